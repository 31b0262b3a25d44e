import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
import trino_sql_validator
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.errors import ReportError
from athena_reports.periods.calendar import Cadence, Period, daily, monthly, weekly
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.sql.literals import ParamValue, literal
from tests.support.calendars import WEEKS

WEEK = SqlPeriod(WEEKS.period("2026-11-15"))
# With and without DST, whole and odd offsets, a date that was skipped, midnights that do not exist.
ZONES = [
    *("UTC", "Asia/Tokyo", "America/New_York", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def evaluated(engine: duckdb.DuckDBPyConnection, expression: str) -> Any:
    """The value of an Athena expression, by an engine that knows nothing of this package."""
    (statement,) = sqlglot.transpile(f"SELECT {expression}", read="trino", write="duckdb")
    ((found,),) = engine.execute(statement).fetchall()
    return found


def assert_trino_accepts(expression: str) -> None:
    verdict = trino_sql_validator.validate(f"SELECT {expression}", jinja="reject")
    assert verdict.valid, verdict
    assert verdict.statement_count == 1


# --- literals


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
HOSTILE = ["'", "''", "O'Brien", "x'; DROP TABLE plays; --", "/* */ -- ;", "\\'", '"']
HOSTILE += ["{{ params }}{% raw %}{# #}", "$1 ? :name %s", "東京 🎌\r\n\t"]


@given(TEXTS | st.sampled_from(HOSTILE))
def test_a_text_literal_is_that_text(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    assert engine.execute(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_gets_out_of_its_literal(text: str) -> None:
    assert_trino_accepts(f"{literal(text)} AS a, 1 AS b")
    parsed = sqlglot.parse_one(f"SELECT {literal(text)}", read="trino")
    assert [found.this for found in parsed.find_all(sqlglot.exp.Literal)] == [text]


class Level(IntEnum):
    HIGH = 3


class Tier(StrEnum):
    GOLD = "gold's"


class NamedFloat(float):
    """A number type of another library: its `repr` is no number."""

    def __repr__(self) -> str:
        return f"NamedFloat({float(self)})"


def milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


AWARE = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from(ZONES).map(ZoneInfo),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)


@given(
    INTEGERS | FLOATS | st.booleans() | st.none() | st.dates() | st.datetimes().map(milliseconds)
)
@example(-5)
@example(1e-7)
@example(-0.0)
@example(5e-324)
@example(Level.HIGH)
@example(Tier.GOLD)
@example(NamedFloat(1.5))
def test_a_literal_is_its_value(engine: duckdb.DuckDBPyConnection, value: ParamValue) -> None:
    found = evaluated(engine, literal(value))
    assert found == value
    if isinstance(value, float):
        assert (type(found), math.copysign(1, found)) == (float, math.copysign(1, value))


@given(AWARE.map(milliseconds))
def test_an_instant_is_written_in_utc(engine: duckdb.DuckDBPyConnection, at: datetime) -> None:
    assert evaluated(engine, literal(at)).timestamp() == at.timestamp()
    assert literal(at).endswith(" UTC'")


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20
    )
)
@example(Decimal("1E+5"))
@example(Decimal("-1E-30"))
@example(Decimal("1E-37"))
@example(Decimal("1E+37"))
@example(Decimal(10**38 - 1))
def test_a_decimal_literal_keeps_every_digit(value: Decimal) -> None:
    text = literal(value)
    assert_trino_accepts(text)
    match = re.fullmatch(r"DECIMAL '(-?[0-9]+(?:\.[0-9]+)?)'", text)
    assert match
    assert Decimal(match[1]) == value


@pytest.mark.parametrize("value", [-5, -1.5, Decimal("-1.5")])
def test_a_negative_number_behind_a_minus_begins_no_comment(value: ParamValue) -> None:
    assert isinstance(sqlglot.parse_one(f"3 -{literal(value)} + 1", read="trino"), sqlglot.exp.Add)


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=5) | st.lists(TEXTS, min_size=1, max_size=5)
)
def test_a_list_is_the_right_side_of_in(
    engine: duckdb.DuckDBPyConnection, values: list[Any]
) -> None:
    for value in [*values, type(values[0])()]:
        assert evaluated(engine, f"{literal(value)} IN {literal(values)}") == (value in values)


NO_NUMBERS = ["NaN", "-Infinity", "1E+38", "1E-38"]
NO_LITERALS: list[Any] = [
    [],
    [[1]],
    "a\0b",
    2**63,
    -(2**63),
    {"a": 1},
    b"x",
    timedelta(1),
    object(),
]
NO_LITERALS += [*map(Decimal, NO_NUMBERS), Decimal(10**38), *map(float, ("nan", "inf", "-inf"))]
NO_LITERALS += [datetime(2025, 1, 1, 0, 0, 0, 1, UTC)]


@pytest.mark.parametrize("value", NO_LITERALS)
def test_what_has_no_literal_is_refused(value: ParamValue) -> None:
    with pytest.raises(ValueError, match="cannot be written as an SQL literal"):
        literal(value)


# --- filters


PERIODS = st.builds(
    lambda make, zone, at: Cadence.containing(make(timezone=zone), at),
    st.sampled_from([daily, monthly, weekly]),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
LATENESS = st.sampled_from(
    [timedelta(0), timedelta(milliseconds=1), timedelta(hours=5), timedelta(days=2)]
)


def test_the_partitions_are_those_of_an_input_under_the_name_that_the_query_gives_a_key() -> None:
    """Those of late events too. Inputs are compared with clocks in inputs/test_predicate.py."""
    days = SqlPeriod(daily("Asia/Tokyo").period("2026-11-30"), timedelta(days=1))
    options: Any = {"zone": "Asia/Tokyo", "format": "%Y%m%d", "kind": "integer"}
    assert days.partitions('p."dt"', **options) == '(p."dt" IN (20261130, 20261201))'
    assert days.partitions('"day"') == "(\"day\" IN ('2026-11-29', '2026-11-30', '2026-12-01'))"


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ((), {}, "pass the partition keys"),
        (("p.dt", "region"), {}, "no default format for dt, region"),
        (("dt",), {"kind": "varchar"}, "'varchar' is not valid: expected"),
        (("dt",), {"kind": "integer", "format": "%Y-%m-%d"}, "dt is an integer"),
        (("dt",), {"kind": "date", "format": "%d.%m.%Y"}, "dt is a date"),
    ],
)
def test_a_partition_filter_that_cannot_be_is_refused(
    columns: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises((ReportError, ValueError), match=says):
        WEEK.partitions(*columns, **options)


LETTERS = "YyCGmbBdejVUWaAuwFDxHkIlpMSfszZcXTRr"  # of the directives of `strftime`
OTHERS = ["%%", "x", "dt=", "東", "/", "-"]


@given(
    PERIODS,
    LATENESS,
    st.sampled_from(ZONES),
    st.lists(
        st.sampled_from([*(f"%{letter}" for letter in LETTERS), "%-m", "%-d", "%-H", *OTHERS]),
        min_size=1,
        max_size=5,
    ).map("".join),
    st.lists(st.integers(0, 999_999), min_size=1, max_size=5),
    st.timedeltas(timedelta(days=367), timedelta(days=365 * 60)),
)
@example(WEEK.period, timedelta(0), "UTC", "%Y/%m/%d/%H", [500_000], timedelta(days=400))
@example(WEEK.period, timedelta(0), "UTC", "%Y%-m%-d", [500_000], timedelta(days=400))
@example(WEEK.period, timedelta(0), "UTC", "%Y-%m", [500_000], timedelta(days=400))
def test_a_filter_that_is_not_refused_reads_every_partition_of_the_period_and_none_of_other_years(
    period: Period,
    late_by: timedelta,
    zone: str,
    format: str,
    millionths: list[int],
    distance: timedelta,
) -> None:
    """As whoever writes the lake names a partition: by the event's own time."""

    def partition_of(instant: datetime) -> str:
        return instant.astimezone(ZoneInfo(zone)).strftime(format)

    try:
        predicate = SqlPeriod(period, late_by).partitions("dt", zone=zone, format=format)
    except ReportError:
        return
    named = re.findall(r"'([^']*)'", predicate)

    def is_read(text: str) -> bool:
        if " BETWEEN " in predicate:
            return named[0] <= text <= named[1]
        return text in named

    end = period.end_utc + late_by
    for millionth in millionths:
        instant = period.start_utc + (end - period.start_utc) * millionth // 1_000_000
        assert is_read(partition_of(instant))
    assert not is_read(partition_of(period.start_utc - distance))
    assert not is_read(partition_of(end + distance))


KINDS = {  # the event time as a column of each kind
    "timestamp": "instant::TIMESTAMP",
    "timestamp with time zone": "instant",
    "epoch_seconds": "(epoch_ms(instant) / 1000.0)::DECIMAL(18, 3)",
    "epoch_milliseconds": "epoch_ms(instant)",
}


@pytest.mark.parametrize("kind", KINDS)
@given(period=PERIODS)
def test_the_event_filter_is_exact_to_the_millisecond(
    engine: duckdb.DuckDBPyConnection, kind: Any, period: Period
) -> None:
    one = timedelta(milliseconds=1)
    inside = {period.start_utc, period.start_utc + one, period.end_utc - one}
    outside = {period.start_utc - one, period.end_utc, period.end_utc + one}
    predicate = SqlPeriod(period).contains("happened", kind)
    assert_trino_accepts(f"1 FROM t WHERE NOT {predicate}")
    (condition,) = sqlglot.transpile(predicate, read="trino", write="duckdb")

    instants = (
        f"SELECT instant, {KINDS[kind]} AS happened"
        " FROM (SELECT unnest($1::TIMESTAMPTZ[]) AS instant)"
    )
    rows = engine.execute(
        f"SELECT instant FROM ({instants}) WHERE {condition}", [sorted(inside | outside)]
    ).fetchall()
    assert {row[0].astimezone(UTC) for row in rows} == inside


def test_an_unknown_kind_of_event_time_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"'datetime'.*timestamp, timestamp with time zone, epoch_seconds"
    ):
        WEEK.contains("at", "datetime")  # type: ignore[arg-type]


def test_the_previous_period_and_that_of_last_year_keep_the_lateness() -> None:
    late = timedelta(days=1)
    assert SqlPeriod(WEEK.period, late).last_year == SqlPeriod(WEEKS.period("2025-11-16"), late)
    assert SqlPeriod(WEEK.period, late).previous == SqlPeriod(WEEKS.period("2026-11-08"), late)
    assert (WEEK.start.isoformat(), WEEK.end.isoformat()) == (
        "2026-11-15T00:00:00+09:00",
        "2026-11-22T00:00:00+09:00",
    )
    assert f"{WEEK}" == WEEK.id == "2026-11-15"
