"""Files of lines as rows: what each SerDe makes of a line, and what it refuses."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from local_athena.athena.catalog import glue_type
from local_athena.athena.errors import QueryFailed
from local_athena.athena.text_tables import TextFormat

CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
JSON = "org.openx.data.jsonserde.JsonSerDe"


def rows(
    serde: str, text: str, columns: dict[str, str], *, skip: int = 0, **parameters: str
) -> list[list[Any]]:
    table = {"skip.header.line.count": str(skip)} if skip else {}
    named = {name.replace("_", "."): value for name, value in parameters.items()}
    types = {name: glue_type(kind) for name, kind in columns.items()}
    found = TextFormat.of(serde, named, table).rows(text.encode(), "lake/t/part-0", types)
    assert all(list(row) == list(columns) for row in found)
    return [list(row.values()) for row in found]


TEXTS = {"a": "string", "b": "string"}


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ('"x","y, ""z"""\nplain,\n', {}, [["x", 'y, "z"'], ["plain", ""]]),
        ("x,y\r\nz,\r\n", {}, [["x", "y"], ["z", ""]]),
        ("x;'y;z'\n", {"separatorChar": ";", "quoteChar": "'"}, [["x", "y;z"]]),
        ('"x\\"y",z\n', {}, [['x"y', "z"]]),
        ('"x!"y",z\n', {"escapeChar": "!"}, [['x"y', "z"]]),
        ("a,b\nx,y", {"skip": 1}, [["x", "y"]]),
        ("x\nx,y,z\n", {}, [["x", None], ["x", "y"]]),
        ("", {}, []),
    ],
)
def test_lines_of_a_csv(text: str, parameters: dict[str, Any], expected: list[Any]) -> None:
    assert rows(CSV, text, TEXTS, **parameters) == expected


def test_numbers_of_a_csv_are_read_and_what_is_none_is_refused() -> None:
    columns = {"n": "int", "f": "double"}
    assert rows(CSV, '"7","0.5"\n', columns) == [[7, 0.5]]
    with pytest.raises(QueryFailed, match="HIVE_BAD_DATA: Error parsing field value 'x' as int"):
        rows(CSV, '"x","0.5"\n', columns)
    with pytest.raises(QueryFailed, match=r"NOT_SUPPORTED: .*of type date in a CSV table"):
        rows(CSV, '"2025-01-02"\n', {"d": "date"})


SCALARS = {"i": "bigint", "f": "double", "d": "decimal(5,2)", "t": "boolean"}
SCALARS |= {"day": "date", "at": "timestamp", "s": "string"}


@pytest.mark.parametrize(
    ("delimiter", "parameters"),
    [
        ("\x01", {}),
        ("\x01", {"serialization_format": "1"}),
        ("\t", {"serialization_format": "9"}),
        ("\t", {"field_delim": "\\t"}),
        ("|", {"field_delim": "|", "serialization_format": ","}),
    ],
)
def test_cells_between_delimiters_have_their_types_or_are_null(
    delimiter: str, parameters: dict[str, str]
) -> None:
    cells = ["-7", "0.5", "1.005", "TRUE", "2025-01-02", "2025-01-02 03:04:05.678", "text"]
    lines = [cells, [*["x"] * 6, ""], ["\\N"] * 7]
    text = "".join(delimiter.join(cells) + "\n" for cells in lines)
    at = datetime(2025, 1, 2, 3, 4, 5, 678_000)  # noqa: DTZ001 - Athena's have no zone
    first = [-7, 0.5, Decimal("1.00"), True, date(2025, 1, 2), at, "text"]
    assert rows(LAZY, text, SCALARS, **parameters) == [first, [None] * 6 + [""], [None] * 7]


@pytest.mark.parametrize(
    ("line", "type", "expected"),
    [
        ('{"v": "x"}', "string", "x"),
        ('{"V": "x"}', "string", "x"),
        ('{"v": {"k": [1, null]}}', "string", '{"k": [1, null]}'),
        ('{"v": 0.10}', "decimal(9,2)", Decimal("0.10")),
        ('{"v": 12345678901234567.89}', "decimal(19,2)", Decimal("12345678901234567.89")),
        ('{"v": 7}', "int", 7),
        ('{"v": true}', "boolean", True),
        ('{"v": [1, null, 2]}', "array<int>", [1, None, 2]),
        ('{"v": {"a": 1}}', "map<string,int>", [("a", 1)]),
        ('{"v": {"A": 1, "c": 2}}', "struct<a:int,b:string>", {"a": 1, "b": None}),
        ('{"v": "2025-01-02"}', "date", date(2025, 1, 2)),
        ('{"w": 1}', "int", None),
        ('{"v": null}', "int", None),
    ],
)
@pytest.mark.parametrize("serde", [JSON, "org.apache.hive.hcatalog.data.JsonSerDe"])
def test_members_of_json(serde: str, line: str, type: str, expected: Any) -> None:
    assert rows(serde, f"{line}\n\n  \n", {"v": type}) == [[expected]]


def test_what_is_no_json_object_is_refused_or_a_row_of_null() -> None:
    for line in ("{", "[1]", "7"):
        with pytest.raises(QueryFailed, match="HIVE_CURSOR_ERROR: Row is not a valid JSON Object"):
            rows(JSON, line, {"v": "int"})
        with pytest.raises(QueryFailed, match="HIVE_CURSOR_ERROR"):
            rows(JSON, line, {"v": "int"}, ignore_malformed_json="false")
        assert rows(JSON, line, {"v": "int"}, ignore_malformed_json="TRUE") == [[None]]
    with pytest.raises(QueryFailed, match="HIVE_BAD_DATA: Error parsing field value 'x' as intege"):
        rows(JSON, '{"v": "x"}', {"v": "int"})


def test_a_file_may_be_compressed() -> None:
    types = {"a": glue_type("string")}
    content = gzip.compress(b"x\ny\n")
    found = TextFormat.of(CSV, {}, {}).rows(content, "lake/t/part-0.csv.gz", types)
    assert found == [{"a": "x"}, {"a": "y"}]


@pytest.mark.parametrize(
    ("serde", "parameters", "says"),
    [
        ("org.apache.hadoop.hive.serde2.RegexSerDe", {}, "tables of the SerDe org.apache.hadoop"),
        ("", {}, "tables of the SerDe that is not named"),
        (CSV, {"field.delim": ";"}, "the parameter field.delim of"),
        (LAZY, {"escape.delim": "x"}, "the parameter escape.delim of"),
        (JSON, {"mapping.a": "b"}, "the parameter mapping.a of"),
    ],
)
def test_what_is_not_done_is_refused(serde: str, parameters: dict[str, str], says: str) -> None:
    with pytest.raises(QueryFailed, match=f"NOT_SUPPORTED: .* does not support {says}"):
        TextFormat.of(serde, parameters, {})
