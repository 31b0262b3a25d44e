from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.errors import ResultError
from athena_reports.rows import athena_csv
from athena_reports.rows.athena_csv import MAX_ROW_BYTES
from athena_reports.rows.columns import duckdb_type
from tests.support.engines import engine
from tests.unit.athena_reports.rows.athena_output import ResultColumn, csv_of

WORDS = [ResultColumn("n", "bigint"), ResultColumn("word", "varchar")]
TEXTS = [ResultColumn("a", "varchar"), ResultColumn("b", "varchar")]


def read_csv(columns: Sequence[ResultColumn], content: bytes) -> list[tuple[Any, ...]]:
    types = {column.name: duckdb_type(column.type) for column in columns}
    with engine() as opened:
        path = opened.folder / "result.csv"
        path.write_bytes(content)
        return athena_csv.read_csv(path, types, opened).fetchall()


def values_of(type: str, *values: bytes) -> list[Any]:
    content = b'"x"\n' + b"".join(value + b"\n" for value in values)
    return [value for (value,) in read_csv([ResultColumn("x", type)], content)]


def test_a_null_is_not_an_empty_text_and_no_text_means_null() -> None:
    content = b'"a","b"\n,""\n"",\n,\n"NULL","null"\n"NA","\\N"\n'
    assert read_csv(TEXTS, content) == [
        (None, ""),
        ("", None),
        (None, None),
        ("NULL", "null"),
        ("NA", "\\N"),
    ]
    assert values_of("varchar", b"", b'"x"', b"", b'""', b"") == [None, "x", None, "", None]
    assert values_of("timestamp with time zone", b"", b"") == [None, None]


INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Tokyo",
]


@given(INSTANTS, st.sampled_from(ZONES))
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin")
@example(datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "America/New_York")
@example(datetime(2026, 4, 4, 14, 45, tzinfo=UTC), "Australia/Lord_Howe")
@example(datetime(2026, 11, 1, 4, 0, tzinfo=UTC), "America/St_Johns")
def test_a_wall_time_that_comes_twice_is_refused_and_never_guessed(at: datetime, zone: str) -> None:
    at = at.replace(microsecond=0)
    local = at.astimezone(ZoneInfo(zone))
    printed = f'"{local:%Y-%m-%d %H:%M:%S}.000 {zone}"'.encode()
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        with pytest.raises(ResultError, match=r"column 'x': .*use AT TIME ZONE 'UTC'"):
            values_of("timestamp with time zone", b"", printed)
    else:
        assert values_of("timestamp with time zone", b"", printed) == [None, at]


ZONED = "timestamp with time zone"
WRONG_VALUES = [
    ("boolean", "maybe", """column "x". Could not convert string "maybe" to 'BOOLEAN'"""),
    ("tinyint", "128", """column "x". Could not convert string "128" to 'TINYINT'"""),
    ("bigint", "", """column "x". Could not convert string "" to 'BIGINT'"""),
    *(("varbinary", value, "is not hexadecimal") for value in ("6", "zz", "0102")),
    *(("date", day, "is outside the years 0001 to 9999") for day in ("10000-01-01", "0000-12-31")),
    ("timestamp", "+10000-01-01 00:00:00.000", "Could not convert string"),
    ("timestamp", "0000-12-31 23:59:59.999", "is outside the years 0001 to 9999"),
    ("timestamp", "2026-11-24 00:00:00.000001", "has more than millisecond precision"),
    (ZONED, "2026-11-24 00:00:00.000001 Asia/Tokyo", "is not a timestamp(3) with a time zone"),
    (ZONED, "0001-01-01 00:59:59.999 +01:00", "is outside the years 0001 to 9999"),
    (ZONED, "2026-11-24 00:00:00.000", "is not a timestamp(3) with a time zone"),
    (ZONED, "2026-11-24 00:00:00.000 Asia/Atlantis", "is not a timestamp(3) with a time zone"),
    (ZONED, "2026-03-29 02:30:00.000 Europe/Berlin", "or nonexistent"),
    (ZONED, "9999-12-31 23:00:00.000 -02:00", "is outside the years 0001 to 9999"),
    (ZONED, "a day Asia/Tokyo", "is not a timestamp(3) with a time zone"),
]


@pytest.mark.parametrize(("type", "wrong", "problem"), WRONG_VALUES)
def test_a_wrong_value_is_rejected_with_its_column(type: str, wrong: str, problem: str) -> None:
    with pytest.raises(ResultError) as caught:
        values_of(type, b"", f'"{wrong}"'.encode())
    assert str(caught.value).startswith("Report 'plays', period ")
    assert problem in str(caught.value)


def test_a_value_that_cannot_be_read_is_told_with_its_row_and_what_to_do() -> None:
    content = (
        b'"a\nb","the value"\n' + b'"two\nlines","1"\n' * 20_000 + b'"x","' + b"y" * 1000 + b'"\n'
    )
    columns = [ResultColumn("a\nb", "varchar"), ResultColumn("the value", "bigint")]
    with pytest.raises(ResultError) as caught:
        read_csv(columns, content)
    problem = 'row 20,001: column "the value". Could not convert string "' + "y" * 1000
    assert str(caught.value) == (
        "Report 'plays', period 2026-11-15 (weekly): could not read the query result:"
        f" {problem[:400]}. Correct the value in the SQL, for example with CAST, then clear"
        " run_query and its downstream tasks."
    )


def test_times_with_a_zone_are_read_to_the_ends_of_the_calendar() -> None:
    ends = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    printed = [f'"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"'.encode() for at in ends]
    printed[0] = printed[0].replace(b'"1-', b'"0001-')
    assert values_of(ZONED, *printed) == list(ends)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'"3","4","5"\n', "Expected Number of Columns: 2 Found: 3"),
        (b'"3"\n', "Expected Number of Columns: 2 Found: 1"),
        (b'"3","4', "Value with unterminated quote found"),
        (b'"\xff","4"\n', "Invalid unicode"),
        (
            b'"3","' + b"x" * (MAX_ROW_BYTES + 1) + b'"\n',
            "Maximum line size of 16777216 bytes exceeded",
        ),
    ],
    ids=range(5),
)
def test_a_row_that_cannot_be_read_is_named(content: bytes, problem: str) -> None:
    with pytest.raises(ResultError, match=f" row 2: {problem}"):
        read_csv(TEXTS, b'"a","b"\n"1","2"\n' + content)


def test_a_row_may_be_long_and_a_last_row_may_lack_its_line_break() -> None:
    rows = [(1, "a"), (2, "x\n" * (MAX_ROW_BYTES // 2 - 100)), (3, None), (4, "b")]
    assert read_csv(WORDS, csv_of(WORDS, rows)[:-1]) == rows
