"""Results as Athena writes them: the CSV to the byte, and its metadata."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from local_athena.athena.types import Type

_PRECISIONS = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "real": 17,
    "double": 17,
    "varchar": 2_147_483_647,
    "char": 1,
    "varbinary": 1_073_741_824,
    "timestamp": 3,
    "timestamp with time zone": 3,
}


def column_info(names: Sequence[str], types: Sequence[Type]) -> list[dict[str, Any]]:
    """ResultSetMetadata.ColumnInfo."""
    return [
        {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": name,
            "Label": name,
            "Type": {"real": "float"}.get(type_.base, type_.base),
            "Precision": (
                _PRECISIONS.get(type_.base, 0) if type_.precision is None else type_.precision
            ),
            "Scale": type_.scale or 0,
            "Nullable": "UNKNOWN",
            "CaseSensitive": type_.base in ("varchar", "char"),
        }
        for name, type_ in zip(names, types, strict=True)
    ]


def csv_header(names: Sequence[str]) -> bytes:
    """Return the first line of a result."""
    return (",".join('"' + name.replace('"', '""') + '"' for name in names) + "\n").encode()


def csv_rows(batch: pa.RecordBatch, types: Sequence[Type]) -> memoryview:
    """Return the lines of a batch: each value quoted, NULL an empty field without quotes."""
    if not batch.num_rows:
        return memoryview(b"")
    fields = []
    for column, type_ in zip(batch.columns, types, strict=True):
        texts = pc.replace_substring(as_text(column, type_), '"', '""').cast(pa.large_string())
        quotes = pa.scalar('"', pa.large_string())
        empty = pa.scalar("", pa.large_string())
        fields.append(pc.binary_join_element_wise(quotes, texts, quotes, empty).fill_null(""))
    lines = pc.binary_join_element_wise(*fields, pa.scalar(",", pa.large_string()))
    end, none = pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string())
    lines = pc.binary_join_element_wise(lines, end, none)
    _, offsets, data = lines.buffers()
    buffers = [None, offsets]
    starts = pa.Array.from_buffers(pa.int64(), len(lines) + 1, buffers, offset=lines.offset)
    first, last = starts[:: len(lines)].to_pylist()
    return memoryview(data)[first:last]


def as_text(column: pa.Array, type_: Type) -> pa.StringArray:
    """Values as Athena prints them; NULL stays NULL."""
    if type_.base in ("real", "double"):
        shortest = _java_float if type_.base == "real" else java_double
        return pa.array(
            [None if v is None else shortest(v) for v in column.to_pylist()], pa.string()
        )
    if type_.base == "varbinary":
        return pa.array(
            [None if v is None else v.hex(" ") for v in column.to_pylist()], pa.string()
        )
    if type_.base == "timestamp":
        return column.cast(pa.timestamp("ms")).cast(pa.string())
    if type_.is_zone_open:
        return column.cast(pa.string())
    if type_.base == "timestamp with time zone":
        zone = type_.zone or "UTC"
        local = pc.local_timestamp(column.cast(pa.timestamp("ms", zone))).cast(pa.string())
        return pc.binary_join_element_wise(local, zone, " ")
    if type_.base == "decimal" and type_.scale:
        # Arrow prints 0.0000001 as 1E-7.
        return pa.array([None if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())
    if type_.of:
        return pa.array(_nested(column, type_), pa.string())
    return column.cast(pa.string())


def _nested(column: pa.Array, type_: Type) -> Iterator[str | None]:
    """Arrays, maps, rows as Athena prints them: `[1, 2]`, `{a=1}`, `{x=1, y=a}`; NULL is null."""
    present = column.is_valid().to_pylist()
    if type_.base == "row":
        columns = map(_words, column.flatten(), type_.of)
        for is_present, *values in zip(present, *columns, strict=True):
            if is_present:
                yield f"{{{', '.join(map('{}={}'.format, type_.shown_fields, values))}}}"
            else:
                yield None
        return
    lists = [column]
    if type_.base == "map":
        lists = [
            pa.ListArray.from_arrays(column.offsets, each) for each in (column.keys, column.items)
        ]
    words = (_words(each.flatten(), held) for each, held in zip(lists, type_.of, strict=True))
    entries = map("=".join, zip(*words, strict=True))
    opening, closing = "[]" if type_.base == "array" else "{}"
    for is_present, length in zip(present, pc.list_value_length(lists[0]).to_pylist(), strict=True):
        text = ", ".join(itertools.islice(entries, length or 0))
        yield f"{opening}{text}{closing}" if is_present else None


def _words(column: pa.Array, type_: Type) -> list[str]:
    words: list[str] = as_text(column, type_).fill_null("null").to_pylist()
    return words


def java_double(value: float) -> str:
    """A double as Java's Double.toString prints it (the shortest digits that give it back)."""
    return _java(repr(value))


def _java_float(value: float) -> str:
    return _java(str(pa.scalar(value, pa.float32()).cast(pa.string()).as_py()))


def _java(text: str) -> str:
    if "n" in text:
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    match = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", text)
    assert match is not None
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return f"{sign}0.0"
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if -3 < point <= 7:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"


def metadata(names: Sequence[str], types: Sequence[Type]) -> bytes:
    """Return the object beside the CSV. Athena's encoding is not published; this one is JSON."""
    return json.dumps({"ColumnInfo": column_info(names, types)}).encode()
