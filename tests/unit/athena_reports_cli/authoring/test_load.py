"""What a file becomes as a table; test_csv_files.py and test_text_values.py have CSV itself."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from rich.console import Console

from athena_reports import Input
from athena_reports.aws.s3 import S3
from athena_reports_cli.authoring.csv_files import DataFileError
from athena_reports_cli.authoring.load import Source, load, parse_types, show
from athena_reports_cli.authoring.report_name import NewReportError
from athena_reports_cli.local.lake import KeptTable, Lake, LakeError

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Loader:
    """Loads files of a folder, and keeps the tables in its `.lake`."""

    folder: Path
    lake: Lake

    def source(self, name: str, text: str, **options: Any) -> Source:
        """A file with a text; one of Parquet has the columns of a SELECT."""
        file = self.folder / name
        if file.suffix == ".parquet":
            duckdb.sql(f"COPY (SELECT {text}) TO '{file}' (FORMAT parquet)")
        else:
            file.write_text(text)
        return Source("plays", file, **options)

    def load(self, source: Source) -> KeptTable:
        return load(source, self.lake, self.folder / ".lake")

    def __call__(self, name: str, text: str, **options: Any) -> KeptTable:
        return self.load(self.source(name, text, **options))

    def rows(self, kept: KeptTable) -> list[tuple[Any, ...]]:
        """The rows of a table, as the project keeps them."""
        files = self.folder / ".lake" / "plays" / kept.version
        columns = ", ".join(f'"{name}"' for name in kept.columns)
        return duckdb.sql(f"SELECT {columns} FROM read_parquet('{files}/**/*.parquet')").fetchall()

    def refusal(self, name: str, text: str, **options: Any) -> str:
        """The error of a file that cannot become a table, which leaves nothing behind."""
        source = self.source(name, text, **options)
        with pytest.raises(DataFileError) as refused:
            self.load(source)
        assert self.lake.glue.get_tables(DatabaseName=self.lake.database)["TableList"] == []
        assert not (self.folder / ".lake").exists()
        return str(refused.value).removeprefix(str(source.file))


@pytest.fixture
def loader(glue: GlueClient, s3: S3Client, database: str, bucket: str, tmp_path: Path) -> Loader:
    return Loader(tmp_path, Lake(S3(s3), glue, bucket, database))


def test_a_table_that_was_not_loaded_is_refused_before_anything_is_kept(loader: Loader) -> None:
    lake = loader.lake
    lake.glue.create_table(DatabaseName=lake.database, TableInput={"Name": "plays"})
    with pytest.raises(LakeError, match="was not loaded by this command"):
        loader("rows.csv", "n\n1\n")
    assert not (loader.folder / ".lake").exists()


def printed(source: Source, kept: KeptTable, width: int = 200) -> list[str]:
    output = StringIO()
    show(source, kept, set(), Console(file=output, width=width))
    return output.getvalue().splitlines()


def cells(lines: list[str]) -> list[list[str]]:
    """The rows of the table that is printed, without its header."""
    return [
        [cell.strip() for cell in line[1:-1].split("│")] for line in lines if line.startswith("│")
    ]


# --- CSV


def test_the_table_has_the_values_of_the_file_and_says_how_to_declare_it(loader: Loader) -> None:
    text = 'Country;id;"Größe [cm]";at\nNO;007;1,80;2026-03-01\n'
    source = loader.source("rows.csv", text)
    kept = loader.load(source)
    assert kept.columns == {
        "country": "string",
        "id": "string",
        "gr_e_cm_": "string",
        "at": "date",
    }
    assert loader.rows(kept) == [("NO", "007", "1,80", date(2026, 3, 1))]
    lines = printed(source, kept)
    assert lines[0] == "plays: 1 row, no partitions"
    assert cells(lines) == [list(column) for column in kept.columns.items()]
    assert lines[-1] == 'In the report, use Input("plays", columns=())'


def test_a_header_or_an_option_declares_types(loader: Loader) -> None:
    text = "price decimal(10,2),id varchar(9),at date\n1.5,1,1.3.2026\n"
    kept = loader("rows.csv", text, types=parse_types(["ID=int"]), date_format="%d.%m.%Y")
    assert kept.columns == {"price": "decimal(10,2)", "id": "int", "at": "date"}
    assert loader.rows(kept) == [(Decimal("1.50"), 1, date(2026, 3, 1))]
    # A type in some fields only is part of a name.
    kept = loader("rows.csv", "ship date,n\n2026-03-01,1\n")
    assert kept.columns == {"ship_date": "date", "n": "bigint"}


@pytest.mark.parametrize(
    ("declaration", "problem"),
    [
        ("price", '--type "price" has no type. Use the format --type column=type.'),
        ("price=money", "--type price=money: money is not a supported type. Use one of boolean,"),
    ],
)
def test_an_option_that_declares_no_type_is_rejected(declaration: str, problem: str) -> None:
    with pytest.raises(DataFileError) as refused:
        parse_types([declaration])
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ("a,b\n", {}, " has no rows."),
        ("a,b\n1,2\n", {"time": "when"}, ' has no column "when". It has a, b.'),
        ("a,b\n1,2\n", {"types": {"c": "int"}}, ' has no column "c". It has a, b.'),
        (
            "at,DT\n2026-03-01,1\n",
            {"time": "at"},
            " already has a column dt, the name of the parti",
        ),
        (
            "a,b\nx,2\n",
            {"types": {"a": "int"}},
            ', row 1, column a: expected int; found "x". Correct the value, or describe the'
            " column with --type or --date-format.",
        ),
        # A time is one, whatever the column is otherwise.
        (
            "at,n\n2026-03-01,1\nlater,2\n",
            {"time": "At"},
            ", row 2, column at: expected timestamp",
        ),
        ("at,n\n5,1\n", {"time": "at"}, ", row 1, column at: expected timestamp"),
        ("at,n\n2026-03-01,1\n,2\n", {"time": "at"}, ", row 2, column at: the value is missing"),
    ],
)
def test_a_file_that_cannot_become_a_table_changes_nothing(
    text: str, options: dict[str, Any], problem: str, loader: Loader
) -> None:
    assert loader.refusal("rows.csv", text, **options).startswith(problem)


@pytest.mark.parametrize(("table", "key"), [("2nd", "dt"), ("names", "a b"), ("names", "from")])
def test_what_is_not_a_name_in_athena_is_rejected(table: str, key: str, loader: Loader) -> None:
    source = loader.source("rows.csv", "at,n\n2026-03-01,1\n", time="at", key=key)
    with pytest.raises(NewReportError):
        loader.load(source._replace(table=table))
    assert not (loader.folder / ".lake").exists()


def test_a_file_of_an_unknown_format_is_rejected(loader: Loader) -> None:
    assert loader.refusal("rows.xlsx", "n\n1\n") == (
        " has an unknown format. Its name must end with .csv, .parquet, .jsonl, .ndjson,"
        " .json, or one of these followed by .gz."
    )


# --- Parquet

# How a value is written as SQL of DuckDB, and the type that the table has for it.
TYPES = {
    "true": "boolean",
    "1::TINYINT": "tinyint",
    "1::SMALLINT": "smallint",
    "1::INTEGER": "int",
    "1::BIGINT": "bigint",
    "255::UTINYINT": "smallint",
    "65535::USMALLINT": "int",
    "4294967295::UINTEGER": "bigint",
    "18446744073709551615::UBIGINT": "decimal(20,0)",
    "1.5::FLOAT": "float",
    "1.5::DOUBLE": "double",
    "1.50::DECIMAL(5,2)": "decimal(5,2)",
    "'2026-03-01'": "string",
    "'\\x00'::BLOB": "binary",
    "uuid()": "string",
    "DATE '2026-03-01'": "date",
    "TIMESTAMP '2026-03-01 10:00:00'": "timestamp",
    "TIMESTAMPTZ '2026-03-01 10:00:00+09:00'": "timestamp",
    "TIME '10:00:00'": "string",
    "[1, 2]": "array<int>",
    "[255::UTINYINT]": "array<smallint>",
    "{'a': 1, 'b': TIME '10:00'}": "struct<a:int,b:string>",
    "MAP {'a': TIMESTAMP '2026-03-01 10:00:00'}": "map<string,timestamp>",
    "INTERVAL 1 DAY": "string",
    "TIMESTAMP_NS '2026-03-01 10:00:00.123456789'": "timestamp",
}


def test_each_type_of_parquet_is_one_of_the_table(loader: Loader) -> None:
    columns = ", ".join(f"{value} AS c{number}" for number, value in enumerate(TYPES))
    kept = loader("types.parquet", columns)
    assert dict(zip(TYPES, kept.columns.values(), strict=True)) == TYPES
    (row,) = loader.rows(kept)
    assert [str(row[number]) for number in (8, 12, 16, 17, 18)] == [
        "18446744073709551615",
        "2026-03-01",
        "2026-03-01 10:00:00",
        "2026-03-01 01:00:00",  # in UTC
        "10:00:00",
    ]


def test_a_column_of_parquet_may_be_declared_with_another_type(loader: Loader) -> None:
    columns = "'2026-03-01 09:00' AS at, 1.5 AS price"
    kept = loader("rows.parquet", columns, types={"price": "decimal(10,2)"}, time="at")
    assert kept.columns == {"at": "timestamp", "price": "decimal(10,2)"}
    assert kept.partitions == ("2026-03-01",)
    columns = "NULL::TIMESTAMP AS at UNION ALL SELECT TIMESTAMP '2026-03-01'"
    with pytest.raises(DataFileError, match="row 1, column at: the value is missing"):
        loader("rows.parquet", columns, time="at")


@pytest.mark.parametrize("written", ["2005-10-31 23:59:59.999999999", "1965-10-31 23:59:59.9999"])
@pytest.mark.parametrize(("zone", "hour_in_utc"), [("", "23"), ("+09", "14")])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_a_time_has_below_milliseconds_is_cut_off_in_each_format(
    suffix: str, zone: str, hour_in_utc: str, written: str, loader: Loader
) -> None:
    """A period of pandas ends with such a time. If it was rounded, it would be in the next one."""
    text = f"{written}{zone}"
    kind = "TIMESTAMPTZ_NS" if zone else "TIMESTAMP_NS"
    texts = {
        "csv": f"seen\n{text}\n",
        "jsonl": json.dumps({"seen": text}),
        "parquet": f"{kind} '{text}' AS seen",
    }
    name = "Asia/Tokyo" if zone else "UTC"
    kept = loader(f"rows.{suffix}", texts[suffix], time="seen", zone=name)
    assert kept.partitions == (written[:10],)
    assert str(loader.rows(kept)[0][0]) == f"{written[:10]} {hour_in_utc}:59:59.999000"


def test_a_file_that_is_not_parquet_is_reported(loader: Loader) -> None:
    file = loader.folder / "rows.parquet"
    file.write_text("PAR1")
    with pytest.raises(DataFileError) as refused:
        loader.load(Source("bad", file))
    problem = f"{file} cannot be read: Invalid Input Error: File '{file}' too small"
    assert str(refused.value).startswith(problem)


# --- JSON


def test_json_may_be_compressed(loader: Loader) -> None:
    source = loader.source("rows.ndjson.gz", "")
    source.file.write_bytes(gzip.compress(b'{"n": 1}\n{"n": 2}\n'))
    assert sorted(loader.rows(loader.load(source))) == [(1,), (2,)]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".array.json"])
def test_json_tells_the_types_and_its_strings_stay_as_they_are(suffix: str, loader: Loader) -> None:
    rows: list[dict[str, Any]] = [
        {"n": 1, "x": 0.1, "ok": True, "id": "123E4567-E89B-12D3-A456-426614174000", "code": "1E5"},
        {"n": 2, "x": 1e-7, "at": "2026-03-01T10:00:00Z", "day": "2026-03-01", "hour": "10:00:00"},
        {"big": 10**25, "mixed": "a", "nested": {"at": "2026-03-01", "n": [1]}, "nothing": None},
        {"mixed": {"b": 1.5}, "nested": {"n": []}, "wide": 2**64 - 1},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    if suffix == ".array.json":
        text = json.dumps(rows)
    kept = loader(f"f{suffix}", text)
    assert kept.columns == {
        "n": "bigint",
        "x": "double",
        "ok": "boolean",
        "id": "string",
        "code": "string",
        "at": "timestamp",
        "day": "date",
        "hour": "string",
        "big": "decimal(38,0)",
        "mixed": "string",
        "nested": "struct<at:string,n:array<bigint>>",
        "nothing": "string",
        "wide": "decimal(38,0)",
    }
    values = [dict(zip(kept.columns, row, strict=True)) for row in loader.rows(kept)]
    assert [row["x"] for row in values[:2]] == [0.1, 1e-7]
    assert values[0]["id"] == rows[0]["id"]
    assert (values[2]["big"], values[3]["wide"]) == (10**25, 2**64 - 1)
    assert [row["mixed"] for row in values[2:]] == ["a", '{"b":1.5}']
    assert values[2]["nested"] == rows[2]["nested"]


def test_a_declared_type_of_json_gets_all_digits(loader: Loader) -> None:
    types = {"id": "string", "p": "decimal(10,2)"}
    kept = loader("rows.jsonl", '{"Id": 12345678901234567890, "p": 1.10}', types=types)
    assert loader.rows(kept) == [("12345678901234567890", Decimal("1.10"))]


def test_the_type_of_a_column_of_json_is_that_of_all_its_values(loader: Loader) -> None:
    """DuckDB looks at the first 20,480 rows only, unless it is told to look at all."""
    kept = loader("late.jsonl", '{"n": 1}\n' * 20_500 + '{"n": "none"}')
    assert (kept.columns, kept.rows) == ({"n": "string"}, 20_501)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1}\n\n{"a": \n', " cannot be read: Invalid Input Error: Malformed JSON"),
        (
            '{"a": 1, "a": 2}\n',
            " cannot be read: Invalid Input Error: JSON transform error in file ",
        ),
        ('{"a b": 1, "a_b": 3}\n', ": columns 1 and 2 are both named a_b."),
        ('{"id": 1, "ID": 2}', ", column id_1: two keys differ only in upper and low"),
        ("", " has no rows."),
        (
            '{"person": {"first name": "Ada"}}',
            ', column person: Athena has no column type for STRUCT("first name" VARCHAR). Load'
            " it as text: --type person=string",
        ),
    ],
)
def test_json_that_is_not_a_table_is_reported(text: str, problem: str, loader: Loader) -> None:
    assert loader.refusal("f.jsonl", text).startswith(problem)


# --- partitions

INSTANTS = {
    # How the file writes it, and its hour in UTC and in Tokyo.
    "2026-03-01 14:59:59.9999": ("2026-03-01-14", "2026-03-01-23"),
    "2026-03-01 15:00:00": ("2026-03-01-15", "2026-03-02-00"),
    "2026-03-02T00:00:00": ("2026-03-02-00", "2026-03-02-09"),
    "2026-03-01T23:30:00-05:00": ("2026-03-02-04", "2026-03-02-13"),
    "2026-03-01T15:30:00Z": ("2026-03-01-15", "2026-03-02-00"),
}


@pytest.mark.parametrize(("zone", "place"), [("UTC", 0), ("Asia/Tokyo", 1)])
@pytest.mark.parametrize("unit", ["day", "hour"])
def test_the_partition_of_a_row_is_the_day_or_the_hour_in_the_zone(
    unit: Any, zone: str, place: int, loader: Loader
) -> None:
    text = "\n".join(["Seen At,n", *(f"{at},1" for at in INSTANTS)])
    source = loader.source("rows.csv", text, time="Seen At", unit=unit, zone=zone)
    kept = loader.load(source)
    length = len("2026-03-01" if unit == "day" else "2026-03-01-14")
    expected = Counter(hours[place][:length] for hours in INSTANTS.values())
    assert kept.partitions == tuple(sorted(expected))
    for value, number in expected.items():
        (file,) = (loader.folder / ".lake/plays" / kept.version / f"dt={value}").iterdir()
        assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(number,)]
    lines = printed(source, kept, width=80)
    assert lines[0] == (
        f"plays: 5 rows, {len(expected)} partitions, {min(expected)} to {max(expected)}"
    )
    assert ["dt", f"string, the {unit} of Seen At in {zone}"] in cells(lines)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_date_is_that_of_its_partition_in_every_zone(zone: str, loader: Loader) -> None:
    kept = loader("rows.csv", "day,n\n2026-03-01,1\n2026-03-02,2\n", time="day", zone=zone)
    assert kept.partitions == ("2026-03-01", "2026-03-02")


@pytest.mark.parametrize(
    ("options", "declared"),
    [
        ({"key": "event_date"}, '"event_date", format="%Y-%m-%d", zone="UTC"'),
        (
            {"unit": "hour", "zone": "Asia/Tokyo"},
            '"dt", format="%Y-%m-%d-%H", zone="Asia/Tokyo"',
        ),
    ],
)
def test_the_declaration_that_is_printed_is_an_input(
    options: dict[str, Any], declared: str, loader: Loader
) -> None:
    source = loader.source("rows.csv", "at,n\n2026-03-01,1\n", time="at", **options)
    declaration = printed(source, loader.load(source), width=20)[-1].partition("use ")[2]
    assert declaration == f'Input("plays", {declared})'
    assert eval(declaration, {"Input": Input}).layout.keys[0].name == source.key
