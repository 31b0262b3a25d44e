import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
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
        return athena_csv.read_csv(path, types, opened, about="Query q-1").fetchall()


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
@settings(max_examples=40)
def test_a_wall_time_that_comes_twice_is_refused_and_never_guessed(at: datetime, zone: str) -> None:
    at = at.replace(microsecond=0)
    local = at.astimezone(ZoneInfo(zone))
    printed = f'"{local:%Y-%m-%d %H:%M:%S}.000 {zone}"'.encode()
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        with pytest.raises(ResultError, match=r"row 2: column 'x'.*use AT TIME ZONE 'UTC'"):
            values_of("timestamp with time zone", b"", printed)
    else:
        assert values_of("timestamp with time zone", b"", printed) == [None, at]


ZONED = "timestamp with time zone"
BAD_VALUES = [
    ("boolean", "maybe", "maybe"),
    ("tinyint", "128", "128"),
    ("bigint", str(2**63), str(2**63)),
    ("bigint", "", "'' is not a valid BIGINT"),
    ("double", "one", "one"),
    ("time", "25:00:00.000", "25:00:00.000"),
    ("varbinary", "6", "not hexadecimal"),
    ("varbinary", "zz", "zz"),
    ("varbinary", "0102", "not hexadecimal"),
    *(("date", f"{day}", "years 0001 to 9999") for day in ("10000-01-01", "0000-12-31")),
    ("timestamp", "+10000-01-01 00:00:00.000", "10000-01-01"),
    ("timestamp", "0000-12-31 23:59:59.999", "years 0001 to 9999"),
    ("timestamp", "2026-11-24 00:00:00.000001", r"000001'.*finer than timestamp\(3\)"),
    (ZONED, "2026-11-24 00:00:00.000001 Asia/Tokyo", r"not a timestamp\(3\) with a time zone"),
    (ZONED, "0001-01-01 00:59:59.999 +01:00", "years 0001 to 9999"),
    (ZONED, "2026-11-24 00:00:00.000", r"not a timestamp\(3\) with a time zone"),
    (ZONED, "2026-11-24 00:00:00.000 Asia/Atlantis", "Asia/Atlantis"),
    (ZONED, "2026-03-29 02:30:00.000 Europe/Berlin", "or never"),
    (ZONED, "9999-12-31 23:00:00.000 -02:00", "years 0001 to 9999"),
    (ZONED, "a day Asia/Tokyo", "a day"),
]
GOOD_VALUES = {
    "boolean": "true",
    "tinyint": "1",
    "bigint": "1",
    "double": "1.0",
    "varbinary": "01",
    "time": "00:00:00.000",
    "date": "2026-11-24",
    "timestamp": "2026-11-24 00:00:00.000",
    ZONED: "2026-11-24 00:00:00.000 Asia/Tokyo",
}


@pytest.mark.parametrize("before", [16, 20_000])
@pytest.mark.parametrize(("type", "bad", "says"), BAD_VALUES)
def test_a_value_that_is_not_of_its_type_is_named_with_its_row_and_column(
    type: str, bad: str, says: str, before: int
) -> None:
    columns = [ResultColumn("a\nb", "varchar"), ResultColumn("the value", type)]
    good = f'"two\nlines","{GOOD_VALUES[type]}"\n'
    content = f'"a\nb","the value"\n{good * before}"x","{bad}"\n{good * 20}'.encode()

    expected = (
        rf"(?s)^Query q-1: .* row {before + 1:,}: column 'the value': .*{says}.*CAST it in the SQL"
    )
    with pytest.raises(ResultError, match=expected) as caught:
        read_csv(columns, content)
    assert str(caught.value).endswith(
        ". CAST it in the SQL, then clear run_query and its downstream tasks."
    )
    assert "Possible" not in str(caught.value)


@pytest.mark.parametrize("type", ["bigint", "varbinary"])
def test_of_a_long_value_that_is_not_of_its_type_the_beginning_is_named(type: str) -> None:
    with pytest.raises(ResultError) as caught:
        values_of(type, b'"' + b"x" * 1000 + b'"')
    (quoted,) = re.findall("'x{2,}", str(caught.value))
    assert quoted == "'" + "x" * 199


def test_times_with_a_zone_are_read_to_the_ends_of_the_calendar() -> None:
    ends = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    printed = [f'"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"'.encode() for at in ends]
    printed[0] = printed[0].replace(b'"1-', b'"0001-')
    assert values_of(ZONED, *printed) == list(ends)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'"a","b"\n"1","2"\n"3","4","5"\n', "row 2: it has more or fewer values"),
        (b'"a","b"\n"1","2"\n"3"\n', "row 2: it has more or fewer values"),
        (
            b'"a","b"\n"1","2"\n"3","4',
            "row 2: the file ends inside a quoted value. Clear run_query and its downstream tasks",
        ),
        (
            b'"a","b"\n"1","2"\n"\xff","4"\n',
            r"row 2: it is not valid UTF-8\. CAST it in the SQL, with from_utf8 for example\.$",
        ),
        (
            b'"a","b"\n"1","2"\n"3","' + b"x" * (MAX_ROW_BYTES + 1) + b'"\n',
            r"row 2: it is longer than 16,777,216 bytes\. Select less of its longest column\.$",
        ),
    ],
    ids=range(5),
)
def test_a_row_that_is_not_one_of_the_columns_is_named(content: bytes, says: str) -> None:
    with pytest.raises(ResultError, match=f"(?s)^Query q-1: .*{says}"):
        read_csv(TEXTS, content)


def test_a_row_may_be_long_and_a_last_row_may_lack_its_line_break() -> None:
    rows = [(1, "a"), (2, "x\n" * (MAX_ROW_BYTES // 2 - 100)), (3, None), (4, "b")]
    assert read_csv(WORDS, csv_of(WORDS, rows)[:-1]) == rows
