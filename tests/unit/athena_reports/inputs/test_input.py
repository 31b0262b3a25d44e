"""The declaration of a table that a report reads: which partitions it may have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from athena_reports import Input
from athena_reports.errors import ReportError
from athena_reports.periods.calendar import Cadence, weekly, yearly

DONE = "expected the S3 address of a success marker with {date}, such as"


@pytest.mark.parametrize(
    ("fields", "named", "says"),
    [
        ({"only": {"dt": ["2025-01-01"]}}, "only", "'dt' is already in columns=. Remove it"),
        ({"only": {"region": "jp"}}, "only['region']", "'jp' is not valid"),
        ({"only": {"region": []}}, "only['region']", "[] is not valid"),
        ({"only": {"region": [1.5]}}, "only['region']", "1.5 is not valid"),
        ({"of": "raw.lake.plays"}, "of", "'raw.lake.plays' is not valid"),
        ({"zone": "Asia/Tokio"}, "zone", "not an IANA time zone"),
        ({"kind": "varchar"}, "kind", "'varchar' is not valid"),
        ({"wait": timedelta(0)}, "wait", "is not valid"),
        (
            {"done": "s3://lake/{date}"},
            "done",
            "has no effect without wait=. Add it, such as wait=timedelta(hours=6).",
        ),
        *(
            ({"done": address, "wait": timedelta(hours=6)}, "done", DONE)
            for address in (
                "s3://lake/plays/_SUCCESS",
                "s3://lake/{date}/{date}",
                "s3://lake/{period}/{date}",
                "s3://lake/plays/dt={}/_SUCCESS",
                "https://lake/{date}",
            )
        ),
    ],
)
def test_an_input_that_cannot_be_names_the_field(
    fields: dict[str, Any], named: str, says: str
) -> None:
    with pytest.raises(ReportError, match=r"^Input 'plays', field ") as caught:
        Input("plays", **fields)
    assert caught.value.field == named
    assert says in str(caught.value)


def test_an_input_is_the_same_whether_it_is_declared_with_lists_or_tuples() -> None:
    regions = ["jp", "us"]

    def declared(of: Any) -> Input:
        return Input(
            "plays",
            of(["dt", "hour"]),
            format=of(["%Y-%m-%d", "%H"]),
            kind=of(["string", "integer"]),
            only={"region": regions if of is list else of(regions)},
        )

    first, second = declared(list), declared(tuple)
    assert first == second
    assert len({first, second}) == 1
    regions.append("de")
    assert first.only == {"region": ("jp", "us")}


@pytest.mark.parametrize(
    ("cadence", "fields", "expected"),
    [
        (weekly("sunday"), {}, ["2025-06-22"]),
        (weekly("sunday"), {"previous": True}, ["2025-06-15", "2025-06-22"]),
        (weekly("sunday"), {"last_year": True}, ["2024-06-23", "2025-06-22"]),
        (
            weekly("sunday"),
            {"previous": True, "last_year": True},
            ["2024-06-23", "2025-06-15", "2025-06-22"],
        ),
        (yearly(), {"previous": True, "last_year": True}, ["2024", "2025"]),
    ],
)
def test_the_periods_that_are_read_come_in_time_and_each_once(
    cadence: Cadence, fields: dict[str, Any], expected: list[str]
) -> None:
    period = cadence.containing(datetime(2025, 6, 25, tzinfo=UTC))
    periods = Input("plays", **fields).periods_read(period)
    assert [each.id for each in periods] == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("zone", "Asia/Tokyo"), ("format", "%Y-%m"), ("kind", "integer"), ("previous", True)),
        *(("last_year", True), ("missing", "partial"), ("of", "raw.plays")),
        ("only", {"region": ["jp"]}),
        ("wait", timedelta(hours=6)),
        ("done", "s3://lake/{date}"),
    ],
)
def test_an_option_of_partitions_is_refused_without_them(field: str, value: object) -> None:
    options: dict[str, Any] = {field: value}
    with pytest.raises(ReportError) as refused:
        Input("users", columns=(), **options)
    assert str(refused.value) == (
        f"Input 'users', field '{field}': requires partitions in Glue, but columns=() declares"
        f" none. Remove {field}=, or remove columns=() if the table has partition keys."
    )


@pytest.mark.parametrize(
    "options", [{"columns": ()}, {"database": "sales"}], ids=["database", "columns"]
)
def test_a_table_of_another_catalog_is_a_whole_table_of_a_database(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ReportError) as refused:
        Input("users", catalog="s3tablescatalog/lake", **options)
    assert str(refused.value) == (
        "Input 'users', field 'catalog': a table in another catalog requires database= and"
        " columns=()."
    )


@pytest.mark.parametrize(
    ("fields", "partition", "address"),
    [
        ({}, ("2025-06-08",), "s3://lake/plays/dt=2025-06-08/_SUCCESS"),
        (
            {"format": "%Y%m%d", "kind": "integer"},
            ("20250608",),
            "s3://lake/plays/dt=20250608/_SUCCESS",
        ),
        ({"format": "%Y-%m"}, ("2025-06",), "s3://lake/plays/dt=2025-06/_SUCCESS"),
        (
            {"columns": ["y", "m", "d"], "format": ["%Y", "%m", "%d"], "kind": "integer"},
            ("2025", "6", "8"),
            "s3://lake/plays/dt=2025-06-08/_SUCCESS",
        ),
    ],
)
def test_the_date_of_a_success_marker_is_that_of_the_partition(
    fields: dict[str, Any], partition: tuple[str, ...], address: str
) -> None:
    wait = {"wait": timedelta(hours=6), "done": "s3://lake/plays/dt={date}/_SUCCESS"}
    assert Input("plays", **fields, **wait).success_marker(partition) == address
