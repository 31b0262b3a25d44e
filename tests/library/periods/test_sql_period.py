from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
import trino_sql_validator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athena_reports.periods.calendar import Cadence, Period, daily, monthly, weekly
from athena_reports.periods.sql_period import ParamValue, SqlPeriod, literal

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
# With and without DST, whole and odd offsets, a date that was skipped, midnights that do not exist.
ZONES = [
    "UTC",
    "Asia/Tokyo",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Cairo",
]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def evaluated(engine: duckdb.DuckDBPyConnection, expression: str) -> object:
    """The value of an Athena expression, by an engine that knows nothing of this package."""
    (statement,) = sqlglot.transpile(f"SELECT {expression}", read="trino", write="duckdb")
    row = engine.execute(statement).fetchone()
    assert row is not None
    return row[0]


def assert_trino_accepts(expression: str) -> None:
    verdict = trino_sql_validator.validate(f"SELECT {expression}", jinja="reject")
    assert verdict.valid, verdict
    assert verdict.statement_count == 1


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
HOSTILE = [
    "'",
    "''",
    "O'Brien",
    "x'; DROP TABLE plays; --",
    "/* */ -- ;",
    "\\'",
    "{{ params }}{% raw %}{# #}",
    "$1 ? :name %s",
    "東京 🎌\r\n\t",
    '"',
]


@given(TEXTS | st.sampled_from(HOSTILE))
def test_a_text_literal_is_that_text(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    assert engine.execute(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_gets_out_of_its_literal(text: str) -> None:
    assert_trino_accepts(f"{literal(text)} AS a, 1 AS b")
    (statement,) = sqlglot.parse(f"SELECT {literal(text)}", read="trino")
    assert statement is not None
    (found,) = statement.find_all(sqlglot.exp.Literal)
    assert found.this == text


class Level(IntEnum):
    HIGH = 3


class Tier(StrEnum):
    GOLD = "gold's"


class NamedFloat(float):
    """A number type of another library: its `repr` is no number."""

    def __repr__(self) -> str:
        return f"NamedFloat({float(self)})"


@given(
    st.one_of(
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
        st.dates(),
        st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(  # noqa: DTZ001
            lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
        ),
    )
)
@example(-5)
@example(1e-7)
@example(-0.0)
@example(5e-324)
@example(Level.HIGH)
@example(NamedFloat(1.5))
def test_a_literal_is_its_value(engine: duckdb.DuckDBPyConnection, value: ParamValue) -> None:
    text = literal(value)

    found = evaluated(engine, text)
    assert found == value
    if isinstance(value, float):
        assert isinstance(found, float)
        assert math.copysign(1, found) == math.copysign(1, value)


def test_an_enumeration_is_its_value(engine: duckdb.DuckDBPyConnection) -> None:
    assert evaluated(engine, literal(Tier.GOLD)) == "gold's"


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from(ZONES).map(ZoneInfo))  # noqa: DTZ001
)
def test_an_instant_is_written_in_utc(engine: duckdb.DuckDBPyConnection, at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)

    found = evaluated(engine, literal(at))
    assert isinstance(found, datetime)
    assert found.timestamp() == at.timestamp()
    assert literal(at).endswith(" UTC'")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
@example(Decimal("1E+5"))
@example(Decimal("-1E-30"))
@example(Decimal(10**38 - 1))
def test_a_decimal_literal_keeps_every_digit(value: Decimal) -> None:
    text = literal(value)
    assert_trino_accepts(text)

    match = re.fullmatch(r"DECIMAL '(-?[0-9]+(?:\.[0-9]+)?)'", text)
    assert match
    assert Decimal(match[1]) == value


@pytest.mark.parametrize("value", [-5, -1.5, Decimal("-1.5")])
def test_a_negative_number_behind_a_minus_begins_no_comment(value: ParamValue) -> None:
    subtraction = f"3 -{literal(value)} + 1"

    assert_trino_accepts(subtraction)
    assert isinstance(sqlglot.parse_one(subtraction, read="trino"), sqlglot.exp.Add)


@given(st.lists(st.integers(-9, 9) | TEXTS, min_size=1, max_size=5))
def test_a_list_is_the_right_side_of_in(values: list[int | str]) -> None:
    parsed = sqlglot.parse_one(f"SELECT x IN {literal(values)}", read="trino").find(sqlglot.exp.In)
    assert parsed is not None
    assert [item.sql("trino").strip("()") for item in parsed.expressions] == [
        sqlglot.exp.convert(value).sql("trino").strip("()") for value in values
    ]


@pytest.mark.parametrize(
    "value",
    [
        *([], [[1]], "a\0b", 2**63, -(2**63), float("nan"), float("-inf"), {"a": 1}, b"x", timedelta(1), object()),
        *(Decimal("NaN"), Decimal("-Infinity"), Decimal(10**38), datetime(2025, 1, 1, 0, 0, 0, 1, UTC)),
    ],
)
def test_what_has_no_literal_is_refused(value: ParamValue) -> None:
    with pytest.raises(ValueError, match="has no SQL literal"):
        literal(value)


def _periods() -> st.SearchStrategy[Period]:
    cadences = st.sampled_from([daily, monthly, weekly]).flatmap(
        lambda make: st.sampled_from(ZONES).map(lambda zone: make(timezone=zone))  # type: ignore[operator]
    )
    instants = st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    return st.builds(Cadence.containing, cadences, instants)


LATENESS = st.sampled_from([timedelta(0), timedelta(milliseconds=1), timedelta(hours=5), timedelta(days=2)])


def _selected_dates(engine: duckdb.DuckDBPyConnection, predicate: str, around: Period) -> set[date]:
    """The partitions that a predicate reads, of a table with one for every date."""
    first, last = around.start_utc.date() - timedelta(10), around.end_utc.date() + timedelta(10)
    rows = engine.execute(
        "SELECT day FROM (SELECT day, strftime(day, '%Y-%m-%d') AS dt, "
        "strftime(day, '%Y%m%d')::INT AS number, "
        "strftime(day, '%d/%m/%Y') AS unsorted, strftime(day, '%Y') AS y, strftime(day, '%m') AS m, "
        "strftime(day, '%d') AS d, year(day) AS iy, month(day) AS im, day(day) AS id "
        "FROM (SELECT unnest(generate_series($1::DATE, $2::DATE, INTERVAL 1 DAY))::DATE AS day)) "
        f"WHERE {predicate}",
        [first, last],
    ).fetchall()
    return {row[0] for row in rows}


def _dates_of_events(period: Period, zone: str, late_by: timedelta) -> set[date]:
    """Where events of the period can land: by asking a clock in the zone, time and again."""
    step, end = timedelta(minutes=30), period.end_utc + late_by
    number = math.ceil((end - period.start_utc) / step)
    instants = [period.start_utc + step * n for n in range(number)] + [end - timedelta(microseconds=1)]
    return {instant.astimezone(ZoneInfo(zone)).date() for instant in instants}


@given(_periods(), st.sampled_from(ZONES), LATENESS)
def test_the_partitions_are_exactly_those_that_can_hold_the_events(
    engine: duckdb.DuckDBPyConnection, period: Period, zone: str, late_by: timedelta
) -> None:
    predicate = SqlPeriod(period, late_by).partitions("dt", zone=zone)

    assert _selected_dates(engine, predicate, period) == _dates_of_events(period, zone, late_by)


@given(_periods(), LATENESS)
@settings(max_examples=40)
def test_each_way_to_write_a_date_reads_the_same_partitions(
    engine: duckdb.DuckDBPyConnection, period: Period, late_by: timedelta
) -> None:
    sql = SqlPeriod(period, late_by)
    expected = _selected_dates(engine, sql.partitions("dt"), period)

    for predicate in (
        sql.partitions("day", kind="date"),
        sql.partitions("number", format="%Y%m%d", kind="integer"),
        sql.partitions("unsorted", format="%d/%m/%Y"),
        sql.partitions("y", "m", "d"),
        sql.partitions("iy", "im", "id", kind="integer"),
    ):
        assert _selected_dates(engine, predicate, period) == expected, predicate
        assert_trino_accepts(f"1 FROM t WHERE NOT {predicate}")


def test_partitions_longer_than_a_day_are_named_once() -> None:
    week = SqlPeriod(TOKYO_WEEK.period("2026-11-29"))

    assert week.partitions("month", format="%Y-%m") == "(month IN ('2026-11', '2026-12'))"


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ((), {}, "0 columns"),
        (("y", "m"), {}, "2 columns"),
        (("dt",), {"kind": "varchar"}, "'varchar'.*string, date, integer"),
        (("dt",), {"kind": "integer"}, "'2026-11-14'.*'integer'"),
        (("dt",), {"kind": "date", "format": "%d.%m.%Y"}, "'14.11.2026'.*'date'"),
        (("y", "m", "d"), {"kind": "date"}, "'date'"),
    ],
)
def test_a_partition_filter_that_cannot_be_is_refused(
    columns: Sequence[str], options: dict[str, str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        SqlPeriod(TOKYO_WEEK.period("2026-11-15")).partitions(*columns, **options)


KINDS = ["timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds"]


@pytest.mark.parametrize("kind", KINDS)
@given(period=_periods())
@settings(max_examples=40)
def test_the_event_filter_is_exact_to_the_millisecond(
    engine: duckdb.DuckDBPyConnection, kind: str, period: Period
) -> None:
    one = timedelta(milliseconds=1)
    inside = {period.start_utc, period.start_utc + one, period.end_utc - one}
    outside = {period.start_utc - one, period.end_utc, period.end_utc + one}
    as_column = {
        "timestamp": "instant::TIMESTAMP",
        "timestamp with time zone": "instant",
        "epoch_seconds": "(epoch_ms(instant) / 1000.0)::DECIMAL(18, 3)",
        "epoch_milliseconds": "epoch_ms(instant)",
    }[kind]
    predicate = SqlPeriod(period).contains("happened", kind)
    assert_trino_accepts(f"1 FROM t WHERE NOT {predicate}")
    (condition,) = sqlglot.transpile(predicate, read="trino", write="duckdb")

    rows = engine.execute(
        "SELECT instant "
        f"FROM (SELECT instant, {as_column} AS happened FROM (SELECT unnest($1::TIMESTAMPTZ[]) AS instant)) "
        f"WHERE {condition}",
        [sorted(inside | outside)],
    ).fetchall()
    assert {row[0].astimezone(UTC) for row in rows} == inside


def test_an_unknown_kind_of_event_time_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'datetime'.*timestamp, timestamp with time zone, epoch_seconds"):
        SqlPeriod(TOKYO_WEEK.period("2026-11-15")).contains("at", "datetime")


def test_the_previous_period_keeps_the_lateness() -> None:
    week = SqlPeriod(TOKYO_WEEK.period("2026-11-15"), timedelta(days=1))

    assert week.previous == SqlPeriod(TOKYO_WEEK.period("2026-11-08"), timedelta(days=1))
    assert week.previous.end_utc == week.start_utc
    assert (week.start.isoformat(), week.end.isoformat()) == (
        "2026-11-15T00:00:00+09:00",
        "2026-11-22T00:00:00+09:00",
    )
    assert f"{week}" == week.id == "2026-11-15"
