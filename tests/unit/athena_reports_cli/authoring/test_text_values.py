"""What texts of a CSV file become. Oracles are Python's decimal, datetime and float."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.rows.engine import Engine, open_engine
from athena_reports_cli.authoring.csv_files import (
    DataFileError,
    explained_errors,
    name_columns,
    read_csv,
)
from athena_reports_cli.authoring.text_values import TYPES_OF_CSV, infer_types, read_values

Value = Any


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("100MB") as engine:
        yield engine


def read(
    path: Path,
    engine: Engine,
    declared: Mapping[str, str] = {},
    required: Sequence[str] = (),
    date_format: str = "",
) -> tuple[dict[str, str], list[tuple[Value, ...]]]:
    """The types and the values of a file; what is not declared is inferred."""
    file = read_csv(path, engine)
    rows = name_columns(file.rows, file.header.fields, "")
    candidates = dict.fromkeys(rows.columns, TYPES_OF_CSV)
    types = infer_types(rows, candidates, date_format=date_format) | declared
    values = read_values(
        rows, types, required=required, advice="Correct it.", date_format=date_format
    )
    with explained_errors(path, engine):
        return types, values.fetchall()


def of_text(kind: str, text: str) -> Value:
    """The value that a text stands for, by Python alone; ValueError if it has not this type."""
    if kind == "string":
        return text
    text = text.strip(" ")
    if not text:
        return None
    if kind == "boolean":
        return {"true": True, "false": False}[text.lower()]
    if kind == "date":
        return date.fromisoformat(text)
    if kind == "timestamp":
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if kind == "double":
        assert Decimal(repr(float(text))) == Decimal(text)  # no digit is lost
        return float(text)
    assert str(Decimal(text)) == text  # as an integer is written
    return int(text)


NUMBERS = ["0", "-1", "12", "1.5", "1.50", "0.1", "-0", "-0.0", "1e-05", "9007199254740993"]
LONG = ["12345678901234567890", "9223372036854775808", "0.30000000000000004", "1e+300"]
NOT_QUITE = ["007", "+5", "1E5", "0x1F", "1_000", ".5", "1.", "1,5", "NaN", "0.12345678901234567"]
DATES = ["2026-03-01", "2026-3-1", "01.03.2026", "2026-02-30", "20260301", "2026-03-01x"]
TIMES = ["2026-03-01 10:00", "2026-03-01T10:00:00.123456Z", "2026-03-01 10:00:00+09:00", "10:00"]
WORDS = ["true", "TRUE", "False", "NO", "yes", "t", "", " ", " 5 ", 'a "b"', "x,y", "a\nb", "茶"]
TEXTS = st.none() | st.sampled_from([*NUMBERS, *LONG, *NOT_QUITE, *DATES, *TIMES, *WORDS])
KINDS = [NUMBERS, [*NUMBERS, *LONG], ["true", "FALSE", ""], DATES[:1], [*DATES[:1], *TIMES[:3]]]
COLUMNS = st.one_of(
    st.lists(TEXTS, min_size=4, max_size=4),
    *(st.lists(st.none() | st.sampled_from(kind), min_size=4, max_size=4) for kind in KINDS),
    st.lists(st.integers().map(str), min_size=4, max_size=4),
    st.lists(st.floats(allow_nan=False).map(repr), min_size=4, max_size=4),
    st.lists(st.dates().map(str), min_size=4, max_size=4),
)


@given(COLUMNS)
def test_what_is_read_is_what_the_file_says(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    """Whatever type a column gets, no value of it has changed."""
    path = tmp_path_factory.getbasetemp() / "values.csv"
    lines = ["x,y", *(f"{_field(text)},1" for text in texts)]
    path.write_bytes("\n".join(lines).encode())
    types, rows = read(path, engine)
    for text, (value, _) in zip(texts, rows, strict=True):
        expected = None if text is None else of_text(types["x"], text)
        assert value == expected, (types, text)
        if isinstance(expected, float):
            assert math.copysign(1, value) == math.copysign(1, expected)


def _field(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["true", "FALSE", ""], "boolean"),
        (["NO", "SE"], "string"),
        (["0", "1"], "bigint"),
        (["9223372036854775807", "-9223372036854775808"], "bigint"),
        (["9223372036854775808", "-1"], "decimal(38,0)"),
        (["9" * 39], "string"),
        (["1", "1.50", "-0", "1e-05"], "double"),
        (["0.12345678901234567890"], "string"),
        (["007", "008"], "string"),
        (["1E5"], "string"),
        (["0x1F"], "string"),
        (["1", "n/a"], "string"),
        (["1,5"], "string"),
        (["2026-03-01", "0001-01-01"], "date"),
        (["2026-03-01", "2026-3-2"], "string"),
        (["01.03.2026"], "string"),
        (["2026-02-30"], "string"),
        (["2026-03-01", "2026-03-01T10:00"], "timestamp"),
        (["2026-03-01 10:00:00 UTC", "2026-03-01 10:00:00+00"], "timestamp"),
        (["10:00"], "string"),
        (["", ""], "string"),
        (["1"] * 1_100 + ["x"], "string"),  # beyond the first rows that are looked at
    ],
)
def test_a_column_has_the_first_type_that_keeps_its_values(
    values: list[str], kind: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["x;y", *(f"{value};" for value in values)]))
    types, _ = read(path, engine)
    assert types == {"x": kind, "y": "string"}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "1E5", "1E5"),
        ("string", "007", "007"),
        ("double", "1E5", 100_000.0),
        ("double", ".5", 0.5),
        ("bigint", "0x1F", 31),
        ("bigint", "007", 7),
        ("int", " +5 ", 5),
        ("decimal(10,2)", "-1.500", Decimal("-1.50")),
        ("decimal(38,0)", "1" * 38, Decimal("1" * 38)),
        ("boolean", "True", True),
        ("date", "2026-03-01", date(2026, 3, 1)),
        ("timestamp", "2026-03-01", datetime.fromisoformat("2026-03-01")),
        # Rounded, it could be in the next partition.
        (
            "timestamp",
            "2026-03-01 23:59:59.999999999",
            datetime.fromisoformat("2026-03-01 23:59:59.999"),
        ),
        (
            "timestamp",
            "1965-03-01 00:00:00.9999+09",
            datetime.fromisoformat("1965-02-28 15:00:00.999"),
        ),
        ("array<int>", "[1, 2]", [1, 2]),
        ("map<string,int>", "{a=1, b=2}", {"a": 1, "b": 2}),
        ("struct<a:int,b:array<string>>", "{'a': 1, 'b': [x]}", {"a": 1, "b": ["x"]}),
    ],
)
def test_a_declared_type_reads_what_stands_for_a_value(
    kind: str, text: str, value: Value, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'x;y\n"{text}";1\n;2\n')
    _, rows = read(path, engine, {"x": kind})
    assert rows == [(value, 1), (None, 2)]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("bigint", "one", "bigint"),
        ("bigint", "1.5", "bigint"),
        ("bigint", "1E5", "bigint"),
        ("tinyint", "128", "tinyint"),
        ("bigint", "9223372036854775808", "bigint"),
        ("decimal(10,2)", "1.505", "decimal(10,2)"),
        ("decimal(10,2)", "1,50", "decimal(10,2)"),
        ("decimal(3,2)", "10.00", "decimal(3,2)"),
        ("double", "1e3x", "double"),
        ("boolean", "yes", "boolean, such as true"),
        ("date", "2026-3-1", "date, such as 2025-06-15"),
        ("date", "2026-02-30", "date, such as 2025-06-15"),
        ("timestamp", "1 o'clock", "timestamp, such as 2025-06-15 09:30:00"),
        ("timestamp", "12026-03-01 10:00:00", "timestamp, such as 2025-06-15 09:30:00"),
        ("array<int>", "[1, x]", "array<int>"),
        ("map<string,int>", "{a=x}", "map<string,int>"),
        ("struct<a:int,b:array<string>>", "{'a': x, 'b': []}", "struct<a:int,b:array<string>>"),
    ],
)
def test_a_value_of_another_type_is_reported_with_its_place(
    kind: str, text: str, expected: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'a;Score\n"1\n2";\n\n3;"{text}"\n4;wrong too\n')
    with pytest.raises(DataFileError) as refused:
        read(path, engine, {"score": kind})
    assert str(refused.value) == (
        f'{path}, row 2, column score: expected {expected}; found "{text}". Correct it.'
    )


@pytest.mark.parametrize("value", ["", '""', " "])
def test_a_missing_value_of_a_required_column_is_reported(
    value: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"at,n\n2026-03-01,1\n{value},2\n")
    with pytest.raises(DataFileError, match="row 2, column at: the value is missing"):
        read(path, engine, required=["at"])


@pytest.mark.parametrize(
    ("date_format", "text", "kind", "value"),
    [
        ("%d.%m.%Y", "1.3.2026", "date", date(2026, 3, 1)),
        ("%d.%m.%Y", "2026-03-01", "date", date(2026, 3, 1)),
        (
            "%m/%d/%Y %H:%M",
            "03/01/2026 10:30",
            "timestamp",
            datetime.fromisoformat("2026-03-01 10:30"),
        ),
        ("%d.%m.%Y", "31.02.2026", "string", "31.02.2026"),
    ],
)
def test_another_format_of_dates_is_read_if_it_is_named(
    date_format: str, text: str, kind: str, value: Value, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"x;y\n{text};1\n")
    types, rows = read(path, engine, date_format=date_format)
    assert (types["x"], rows) == (kind, [(value, 1)])
