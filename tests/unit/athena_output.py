"""Results as Athena gives them, written by hand from its printing rules: an oracle for whoever reads them."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from hypothesis import strategies as st

Row = Sequence[Any]

_WIDE = Context(prec=60)


@dataclass(frozen=True)
class Column:
    """A column of a result as GetQueryResults describes it."""

    name: str
    type: str
    precision: int = 0
    scale: int = 0

    @property
    def info(self) -> dict[str, Any]:
        return {"Name": self.name, "Type": self.type, "Precision": self.precision, "Scale": self.scale}


def quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def csv_of(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """The result file of a SELECT."""
    lines = lines_of(columns, rows)
    return "".join(",".join(map(quoted, line)) + "\n" for line in lines).encode()


def pages_of(columns: Sequence[Column], rows: Sequence[Row], size: int) -> list[dict[str, Any]]:
    """The answers of GetQueryResults, with `size` rows each."""
    lines = lines_of(columns, rows)
    data = [{"Data": [{} if text is None else {"VarCharValue": text} for text in line]} for line in lines]
    info = {"ColumnInfo": [column.info for column in columns]}
    return [
        {"ResultSet": {"Rows": data[start : start + size], "ResultSetMetadata": info}}
        for start in range(0, len(data), size)
    ]


def lines_of(columns: Sequence[Column], rows: Sequence[Row]) -> list[list[str | None]]:
    """The header and the rows as texts."""
    header: list[str | None] = [column.name for column in columns]
    return [header] + [
        [
            None if value is None else printed(value, column)
            for value, column in zip(row, columns, strict=True)
        ]
        for row in rows
    ]


def printed(value: Any, column: Column) -> str:
    match column.type:
        case "boolean":
            return "true" if value else "false"
        case "float" | "double":
            return java(value, single=column.type == "float")
        case "decimal":
            digits = str(abs(int(value.scaleb(column.scale, _WIDE)))).rjust(column.scale + 1, "0")
            whole, fraction = digits[: len(digits) - column.scale], digits[len(digits) - column.scale :]
            return ("-" if value < 0 else "") + whole + ("." + fraction if fraction else "")
        case "timestamp":
            return wall(value)
        case "timestamp with time zone":
            return f"{wall(value)} {zone_of(value)}"
        case "time":
            return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}"
        case "varbinary":
            return " ".join(f"{byte:02x}" for byte in value)
    return str(value)


def wall(at: datetime) -> str:
    day = f"{at.year:04d}-{at.month:02d}-{at.day:02d}"
    return f"{day} {at.hour:02d}:{at.minute:02d}:{at.second:02d}.{at.microsecond // 1000:03d}"


def zone_of(at: datetime) -> str:
    if isinstance(at.tzinfo, ZoneInfo):
        return at.tzinfo.key
    minutes = int((at.utcoffset() or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def java(value: float, *, single: bool) -> str:
    """Double.toString and Float.toString: 1.0, 0.001, 1.0E-4, 1.0E7, NaN, -Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    mantissa, exponent = shortest(value, single=single).split("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits, power = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0", int(exponent)
    if -3 <= power < 7:
        digits = digits.rjust(len(digits) - power, "0") if power < 0 else digits.ljust(power + 1, "0")
        point = max(power, 0) + 1
        return f"{sign}{digits[:point]}.{digits[point:] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"


def shortest(value: float, *, single: bool) -> str:
    """The fewest digits, in scientific notation, that give the value back."""
    form = "<f" if single else "<d"
    for digits in range(17):
        text = f"{value:.{digits}e}"
        try:
            if struct.pack(form, float(text)) == struct.pack(form, value):
                return text
        except OverflowError:
            continue
    raise AssertionError(value)


def unloaded(columns: Sequence[Column], rows: Sequence[Row], **options: Any) -> bytes:
    """A file of an UNLOAD."""
    schema = pa.schema([(column.name, UNLOADED[column.type](column)) for column in columns])
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", store_schema=False, **options)
    return file.getvalue()


UNLOADED: Mapping[str, Any] = {
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
"""The types that UNLOAD writes, as Parquet has them."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        *("", '"', '""', ",", "\n", "\r\n", "\r", 'a"\n"b', '",', '\n"', "\x00", "\ufeff"),
        *("NULL", "null", "N/A", "nan", "true", "0", " ", "\\N", "\\", "東京", "👩‍👩‍👧"),
    ]
)


def _milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _is_told_by_its_wall(at: datetime) -> bool:
    return at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset()


_ZONES = st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Asia/Kolkata"])
_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_INSTANTS = st.builds(
    lambda at, zone: at.astimezone(zone),
    st.datetimes(datetime(1970, 1, 3), datetime(2037, 1, 1), timezones=st.just(UTC)).map(_milliseconds),  # noqa: DTZ001
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
    "time": st.times().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    "timestamp": (st.datetimes() | st.sampled_from([datetime.min, datetime.max])).map(_milliseconds),  # noqa: DTZ901
    "timestamp with time zone": _INSTANTS,
    "array": TEXTS,
    "json": TEXTS,
}


@dataclass(frozen=True)
class Table:
    """Columns and rows, each value of its column's type or None."""

    columns: list[Column]
    rows: list[tuple[Any, ...]]


@st.composite
def tables(draw: st.DrawFn, types: Sequence[str] = (*VALUES, "decimal"), max_rows: int = 8) -> Table:
    names = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=5, unique=True))
    columns, values = [], []
    for name in names:
        type = draw(st.sampled_from(types))
        precision = draw(st.integers(1, 38)) if type == "decimal" else 0
        scale = draw(st.integers(0, precision))
        columns.append(Column(name, type, precision, scale))
        values.append(_decimals(precision, scale) if type == "decimal" else VALUES[type])
    rows = draw(st.lists(st.tuples(*(st.none() | value for value in values)), max_size=max_rows))
    return Table(columns, rows)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    digits = st.integers(-most, most) | st.sampled_from([-most, most])
    return digits.map(lambda number: Decimal(number).scaleb(-scale, _WIDE))


def comparable(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Rows whose equality tells -0.0 from 0.0 and takes NaN for NaN."""
    return [tuple(repr(value) if isinstance(value, float) else value for value in row) for row in rows]


def rows_of(batches: Sequence[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    """The rows of batches, comparable."""
    columns = [
        [value for batch in batches for value in batch.column(n).to_pylist()]
        for n in range(batches[0].num_columns)
    ]
    return comparable(list(zip(*columns, strict=True)))


class FakeS3:
    """What a reader needs of an S3 client.

    Attributes:
        objects: Contents by `s3://` address.
        breaks: The next answers break off after so many bytes.
        reads: What was asked for, as addresses.
        resumed_at: The offsets of those that went on where one had broken off.
        sent: The length of each answer.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.breaks: list[int] = []
        self.reads: list[str] = []
        self.resumed_at: list[int] = []
        self.sent: list[int] = []

    def get_object(self, *, Bucket: str, Key: str, Range: str = "bytes=0-", IfMatch: str = "") -> Any:  # noqa: N803
        uri = f"s3://{Bucket}/{Key}"
        self.reads.append(uri)
        if uri not in self.objects:
            raise self._error("NoSuchKey", 404)
        content = self.objects[uri]
        etag = f'"{hash(content)}"'
        if IfMatch not in ("", etag):
            raise self._error("PreconditionFailed", 412)
        start, _, suffix = Range.removeprefix("bytes=").partition("-")
        offset = int(start) if start else max(0, len(content) - int(suffix))
        if start and offset:
            self.resumed_at.append(offset)
        breaks_after = self.breaks.pop(0) if self.breaks else None
        body = _Body(content[offset:], breaks_after)
        length = len(content) - offset
        self.sent.append(length)
        return {
            "Body": StreamingBody(body, length),
            "ContentLength": length,
            "ContentRange": f"bytes {offset}-{len(content) - 1}/{len(content)}",
            "ETag": etag,
            "LastModified": datetime.now(UTC),
        }

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[Any]:  # noqa: N803
        now = datetime.now(UTC)
        keys = [
            uri.removeprefix(f"s3://{Bucket}/") for uri in self.objects if uri.startswith(f"s3://{Bucket}/")
        ]
        found = [key for key in keys if key.startswith(Prefix)]
        yield {"Contents": [{"Key": key, "Size": 1, "ETag": "", "LastModified": now} for key in found]}

    @staticmethod
    def _error(code: str, status: int) -> ClientError:
        response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(response, "GetObject")


class _Body(io.BytesIO):
    def __init__(self, content: bytes, breaks_after: int | None) -> None:
        super().__init__(content)
        self._breaks_after = breaks_after

    def read(self, size: int | None = -1) -> bytes:
        if self._breaks_after is None:
            return super().read(size)
        left = self._breaks_after - self.tell()
        if left == 0:
            raise ConnectionResetError("the connection was reset")
        return super().read(left if size is None or size < 0 else min(size, left))
