"""Partition projection, as a table's parameters and as a query over them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.athena.errors import QueryFailed
from local_aws.athena.projection import partitions
from tests.dev.local_aws.account import Account

DATES = st.dates(dt.date(1990, 1, 1), dt.date(2040, 1, 1))


def _projected(keys: list[str], **settings: str) -> list[tuple[tuple[str, ...], str]]:
    parameters = {f"projection.{name.replace('__', '.')}": value for name, value in settings.items()}
    return list(partitions("db.t", keys, parameters, "s3://lake/t"))


@given(
    first=DATES,
    days=st.integers(0, 400),
    form=st.sampled_from(["yyyy-MM-dd", "yyyy/MM/dd", "yyyyMMdd", "dd.MM.yyyy"]),
)
def test_dates_are_all_days_of_the_range(first: dt.date, days: int, form: str) -> None:
    written = [
        form.replace("yyyy", f"{day.year:04}").replace("MM", f"{day.month:02}").replace("dd", f"{day.day:02}")
        for day in (first + dt.timedelta(n) for n in range(days + 1))
    ]
    bounds = f"{written[0]},{written[-1]}"
    found = _projected(["dt"], dt__type="date", dt__range=bounds, dt__format=form)
    assert found == [((value,), f"s3://lake/t/dt={value}/") for value in written]


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ("NOW,NOW", 0),
        ("NOW-3DAYS, NOW + 1 DAY", 4),
        ("NOW-2WEEKS,NOW", 14),
        ("NOW-24HOURS,NOW", 1),
        ("NOW,NOW-1DAYS", -1),
    ],
)
def test_dates_can_be_relative(bounds: str, days: int) -> None:
    before = dt.datetime.now(dt.UTC).date()
    found = _projected(["dt"], dt__type="date", dt__range=bounds, dt__format="yyyy-MM-dd")
    assert len(found) == days + 1
    if "NOW-3DAYS" in bounds:
        assert dt.date.fromisoformat(found[3][0][0]) in (before, before + dt.timedelta(1))


def test_years_and_months_back() -> None:
    for unit, least, most in (("YEARS", 1095, 1096), ("MONTHS", 89, 92)):
        found = _projected(["dt"], dt__type="date", dt__range=f"NOW-3{unit},NOW", dt__format="yyyy-MM-dd")
        assert least < len(found) <= most + 1


def test_keys_combine_in_their_order_and_in_a_template() -> None:
    settings = {
        "h__type": " Integer ", "h__range": "0,20", "h__interval": "10", "h__digits": "2",
        "kind__type": "enum", "kind__values": "a, b",
    }  # fmt: skip
    found = _projected(["kind", "h"], **settings)
    assert [values for values, _ in found] == [(k, h) for k in ("a", " b") for h in ("00", "10", "20")]
    assert found[1][1] == "s3://lake/t/kind=a/h=10/"
    parameters = {f"projection.{name.replace('__', '.')}": value for name, value in settings.items()}
    parameters["storage.location.template"] = "s3://other/${h}/x-${kind}-${h}"
    assert list(partitions("t", ["kind", "h"], parameters, "s3://lake/t/"))[1][1] == "s3://other/10/x-a-10"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"k__type": "injected"}, r"NOT_SUPPORTED: .* type injected \(db.t, key k\)"),
        ({}, r"INVALID_TABLE_PROPERTY: Table db.t: projection.k.type is missing"),
        ({"k__type": "enum"}, r"INVALID_TABLE_PROPERTY: .*projection.k.values is missing"),
        ({"k__type": "integer", "k__range": "1,x"}, "INVALID_TABLE_PROPERTY: .*projection.k: "),
        ({"k__type": "integer", "k__range": "1"}, "INVALID_TABLE_PROPERTY: .*projection.k: "),
        (
            {"k__type": "date", "k__range": "2025-01-01,NOW+1", "k__format": "yyyy-MM-dd"},
            "INVALID_TABLE_PROPERTY",
        ),
        (
            {"k__type": "date", "k__range": "NOW,NOW", "k__format": "yyyy-MM-dd-HH"},
            "NOT_SUPPORTED: .*yyyy-MM-dd-HH",
        ),
        ({"k__type": "date", "k__range": "NOW,NOW", "k__format": "yyyy-MM"}, "NOT_SUPPORTED: .*yyyy-MM"),
        (
            {"k__type": "date", "k__range": "NOW,NOW", "k__format": "yyyyMMdd", "k__interval.unit": "MONTHS"},
            "NOT_SUPPORTED: .*an interval of MONTHS",
        ),
    ],
)
def test_what_cannot_be_projected(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryFailed, match=reason):
        _projected(["k"], **settings)


@pytest.fixture
def projected(account: Account) -> Account:
    """A table that projects a week, with files on two of its days and one day outside of it."""
    parameters = {
        "projection.enabled": "TRUE",
        "projection.dt.type": "date",
        "projection.dt.range": "2025-01-01,2025-01-07",
        "projection.dt.format": "yyyy-MM-dd",
        "storage.location.template": "s3://lake/events/day/${dt}",
    }
    account.create_table("events", {"n": "int"}, {"dt": "string"}, parameters)
    for day in (2, 5, 9):
        account.put(f"events/day/2025-01-0{day}/x.parquet", pa.table({"n": pa.array([day], pa.int32())}))
    account.add_partition("events", ["2025-01-09"], "day/2025-01-09")
    return account


@pytest.mark.parametrize(
    ("where", "rows", "read"),
    [
        ("", ["2", "5"], 7),
        ("WHERE dt >= '2025-01-03'", ["5"], 5),
        ("WHERE dt = '2025-01-09'", [], 0),
        ("WHERE dt > '2030'", [], 0),
        ("WHERE dt IN ('2025-01-02', '2025-01-03')", ["2"], 2),
    ],
)
def test_a_query_sees_the_projected_days_alone(projected: Account, where: str, rows: list[str], read: int) -> None:
    outcome = projected.run(f"SELECT n FROM events {where} ORDER BY n")
    assert outcome.state == "SUCCEEDED"
    assert outcome.csv == "".join(f'"{row}"\n' for row in ["n", *rows])
    assert len(outcome.partitions()) == read


def test_keys_have_the_types_of_the_table(account: Account) -> None:
    parameters: dict[str, Any] = {
        "projection.enabled": "true",
        "projection.day.type": "date",
        "projection.day.range": "2025-01-01,2025-01-02",
        "projection.day.format": "yyyy-MM-dd",
        "projection.hour.type": "integer",
        "projection.hour.range": "0,23",
        "projection.hour.digits": "2",
    }
    account.create_table("hours", {"n": "int"}, {"day": "date", "hour": "int"}, parameters)
    account.put("hours/day=2025-01-02/hour=07/x.parquet", pa.table({"n": pa.array([1], pa.int32())}))
    outcome = account.run("SELECT n, day, hour FROM hours WHERE day > DATE '2025-01-01' AND hour < 10")
    assert outcome.csv == '"n","day","hour"\n"1","2025-01-02","7"\n'


def test_a_projection_that_is_not_done_fails_the_query(account: Account) -> None:
    parameters = {"projection.enabled": "true", "projection.dt.type": "injected"}
    account.create_table("odd", {"a": "int"}, {"dt": "string"}, parameters)
    outcome = account.run("SELECT * FROM odd")
    assert outcome.state == "FAILED"
    assert outcome.reason.startswith("NOT_SUPPORTED: line 1:15: the local Athena does not do partition projection")
