"""Results as Athena gives them, for whoever reads them."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3
from local_athena.athena.results import as_text
from local_athena.athena.types import Type
from tests.support.memory_store import MemoryS3

Row = Sequence[Any]

_WIDE = Context(prec=60)


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result as GetQueryResults describes it."""

    name: str
    type: str
    precision: int = 0
    scale: int = 0

    @property
    def info(self) -> dict[str, Any]:
        return {
            "Name": self.name,
            "Type": self.type,
            "Precision": self.precision,
            "Scale": self.scale,
        }


class FakeAthena:
    """A client that answers GetQueryResults from pages; `calls` is what it was asked.

    With an `error` it raises that once it has answered `failing_after` calls.
    """

    def __init__(
        self,
        pages: Sequence[Mapping[str, Any]],
        *,
        failing_after: int = 0,
        error: Exception | None = None,
    ) -> None:
        self._pages, self._failing_after, self._error = pages, failing_after, error
        self.calls: list[dict[str, Any]] = []

    def get_paginator(self, _operation: str) -> Any:
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(
        self, *, PaginationConfig: dict[str, int], **request: Any
    ) -> Iterator[dict[str, Any]]:
        request["MaxResults"] = PaginationConfig["PageSize"]
        page = self.get_query_results(**request)
        yield page
        while "NextToken" in page:
            page = self.get_query_results(**request, NextToken=page["NextToken"])
            yield page

    def get_query_results(self, **request: Any) -> dict[str, Any]:
        self.calls.append(request)
        if self._error is not None and len(self.calls) > self._failing_after:
            raise self._error
        number = int(request.get("NextToken", 0))
        more = {"NextToken": str(number + 1)} if number + 1 < len(self._pages) else {}
        return {**self._pages[number], **more}


def s3_of(objects: Mapping[str, bytes]) -> S3:
    """The objects that a reader downloads, by `s3://` address."""
    client: Any = MemoryS3.holding(objects)
    return S3(client)


def csv_of(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> bytes:
    """The result file of a SELECT."""
    quoted = (
        ["" if text is None else '"' + text.replace('"', '""') + '"' for text in line]
        for line in lines_of(columns, rows)
    )
    return "".join(",".join(line) + "\n" for line in quoted).encode()


def pages_of(
    columns: Sequence[ResultColumn], rows: Sequence[Row], size: int = 1000
) -> list[dict[str, Any]]:
    """The answers of GetQueryResults, with `size` rows each."""
    lines = lines_of(columns, rows)
    data = [
        {"Data": [{} if text is None else {"VarCharValue": text} for text in line]}
        for line in lines
    ]
    info = {"ColumnInfo": [column.info for column in columns]}
    return [
        {"ResultSet": {"Rows": data[start : start + size], "ResultSetMetadata": info}}
        for start in range(0, len(data), size)
    ]


def lines_of(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> list[list[str | None]]:
    """The header and the rows as texts, which the local Athena prints as the real one does."""
    texts = [
        printed([row[number] for row in rows], column) for number, column in enumerate(columns)
    ]
    return [[column.name for column in columns], *map(list, zip(*texts, strict=True))]


def printed(values: Sequence[Any], column: ResultColumn) -> list[str | None]:
    if column.type == "timestamp with time zone":
        walls = printed(
            [value and value.replace(tzinfo=None) for value in values],
            ResultColumn("", "timestamp"),
        )
        return [
            value and f"{wall} {zone_of(value)}" for wall, value in zip(walls, values, strict=True)
        ]
    base, kind = (
        {"float": "real"}.get(column.type, column.type),
        STORED.get(column.type, lambda _: pa.string()),
    )
    texts: list[str | None] = as_text(
        pa.array(values, kind(column)), Type(base, scale=column.scale)
    ).to_pylist()
    return texts


def zone_of(at: datetime) -> str:
    return at.tzinfo.key if isinstance(at.tzinfo, ZoneInfo) else at.isoformat()[-6:]


def unloaded(columns: Sequence[ResultColumn], rows: Sequence[Row], **options: Any) -> bytes:
    """A file of an UNLOAD."""
    schema = pa.schema([(column.name, STORED[column.type](column)) for column in columns])
    table = pa.Table.from_pylist(
        [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
    )
    return parquet_of(table, compression="zstd", store_schema=False, **options)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


STORED: Mapping[str, Any] = {
    "boolean": lambda _: pa.bool_(),
    "tinyint": lambda _: pa.int8(),
    "smallint": lambda _: pa.int16(),
    "integer": lambda _: pa.int32(),
    "bigint": lambda _: pa.int64(),
    "float": lambda _: pa.float32(),
    "double": lambda _: pa.float64(),
    "varchar": lambda _: pa.string(),
    "char": lambda _: pa.string(),
    "varbinary": lambda _: pa.binary(),
    "date": lambda _: pa.date32(),
    "timestamp": lambda _: pa.timestamp("ms"),
    "decimal": lambda column: pa.decimal128(column.precision, column.scale),
}
"""The types that Arrow and UNLOAD have."""
UNLOADED = sorted(STORED)

ODD_TEXTS = ["", '"', '""', ",", "\n", "\r\n", "\r", 'a"\n"b', '",', '\n"', "\x00", "\ufeff", "{c}"]
ODD_TEXTS += ["NULL", "null", "N/A", "nan", "true", "0", " ", "\\N", "\\", "東京", "👩‍👩‍👧"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(ODD_TEXTS)


def _milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _is_told_by_its_wall(at: datetime) -> bool:
    return at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset()


_ZONES = st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Asia/Kolkata"])
_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_INSTANTS = st.builds(
    lambda at, zone: at.astimezone(zone),
    st.datetimes(
        datetime(1970, 1, 3),  # noqa: DTZ001
        datetime(2037, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ).map(_milliseconds),
    _ZONES.map(ZoneInfo) | _OFFSETS,
).filter(_is_told_by_its_wall)

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "tinyint": st.integers(-(2**7), 2**7 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1]),
    "float": st.floats(width=32),
    "double": st.floats(),
    "varchar": TEXTS,
    "char": TEXTS,
    "varbinary": st.binary(max_size=5),
    "date": st.dates() | st.sampled_from([date.min, date.max]),
    "timestamp": (
        st.datetimes() | st.sampled_from([datetime.min, datetime.max])  # noqa: DTZ901
    ).map(_milliseconds),
    "timestamp with time zone": _INSTANTS,
    "array": TEXTS,
    "json": TEXTS,
}


@dataclass(frozen=True)
class Table:
    """Columns and rows, each value of its column's type or None."""

    columns: list[ResultColumn]
    rows: list[tuple[Any, ...]]


@st.composite
def tables(
    draw: st.DrawFn, types: Sequence[str] = (*VALUES, "decimal"), max_rows: int = 8
) -> Table:
    names = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=5, unique_by=str.casefold))
    columns, values = [], []
    for name in names:
        type = draw(st.sampled_from(types))
        precision = draw(st.integers(1, 38)) if type == "decimal" else 0
        scale = draw(st.integers(0, precision))
        columns.append(ResultColumn(name, type, precision, scale))
        values.append(_decimals(precision, scale) if type == "decimal" else VALUES[type])
    rows = draw(st.lists(st.tuples(*(st.none() | value for value in values)), max_size=max_rows))
    return Table(columns, rows)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    digits = st.integers(-most, most) | st.sampled_from([-most, most])
    return digits.map(lambda number: Decimal(number).scaleb(-scale, _WIDE))


def comparable(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Rows whose equality tells -0.0 from 0.0 and takes NaN for NaN."""
    return [
        tuple(repr(value) if isinstance(value, float) else value for value in row) for row in rows
    ]
