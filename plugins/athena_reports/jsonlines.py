"""JSON Lines: one object for each row, UTF-8, with the columns in their order.

| column | value |
| --- | --- |
| NULL | `null` |
| integer, decimal | a number with all its digits |
| float, double | the shortest number that reads back the same; else `"NaN"`, `"Infinity"`, `"-Infinity"` |
| date, time | ISO 8601 text: `"2026-11-24"`, `"01:02:03.000"` |
| timestamp | ISO 8601 text: `"2026-11-24T01:02:03.000"`, with a zone as UTC: `"2026-11-24T01:02:03.000Z"` |
| varbinary | Base64 text |
| array, row, map | an array, an object, an object whose keys are text |

Values are made by Arrow's kernels, a column at a time; Python sees only the texts that need escaping.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

_TO_ESCAPE = r'[\x00-\x1f"\\]'
_NO_TEXT = pa.scalar(None, pa.string())


class JsonLinesWriter:
    """Writes tables to a file. Use it as a context manager.

    Args:
        path: The file; it is replaced.
        schema: Columns of every table.

    Raises:
        ValueError: A column is of a type that has no form in JSON here.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        require_types(schema)
        self._file = path.open("wb")

    def write_table(self, table: pa.Table) -> None:
        """Append the rows, a chunk at a time.

        Raises:
            OSError: The disk is full.
        """
        for batch in table.to_batches():
            if batch.num_rows:
                lines = _objects(batch.schema.names, batch.columns)
                whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
                self._file.write(pc.binary_join(whole, "\n")[0].as_buffer())
                self._file.write(b"\n")

    def close(self) -> None:
        """Write out what is buffered and let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_types(schema: pa.Schema) -> None:
    """Check that each column has a form in JSON.

    Raises:
        ValueError: One has not; the message names it.
    """
    for field in schema:
        try:
            _values(pa.array([], field.type))
        except (ValueError, NotImplementedError) as error:
            raise ValueError(
                f"the column {field.name!r} is a {field.type}, which JSON does not hold"
            ) from error


def _objects(names: Sequence[str], columns: Iterable[pa.Array]) -> pa.Array:
    """Return the objects that have these columns, as text."""
    parts: list[Any] = []
    for name, column in zip(names, columns, strict=True):
        parts += ["," if parts else "{", f"{json.dumps(name, ensure_ascii=False)}:", _values(column)]
    return pc.binary_join_element_wise(*parts, "}", "")


def _values(array: pa.Array) -> pa.Array:
    """Return each value as JSON text, `null` for NULL."""
    return pc.fill_null(_texts(array), "null")


def _texts(array: pa.Array) -> pa.Array:
    """Return each value as JSON text, NULL for NULL."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return _texts(array.dictionary_decode())
    if types.is_null(kind) or types.is_boolean(kind) or types.is_integer(kind):
        return array.cast(pa.string())
    if types.is_decimal(kind):
        # Some versions of Arrow print a zero as 0.E-7, which is no number in JSON.
        return pc.replace_substring(array.cast(pa.string()), ".E", "E")
    if types.is_floating(kind):
        return _numbers(array)
    if types.is_string(kind) or types.is_large_string(kind):
        return _escaped(array.cast(pa.string()))
    if types.is_date(kind) or types.is_time(kind):
        return _quoted(array.cast(pa.string()))
    if types.is_timestamp(kind):
        return _quoted(_iso(array))
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        encoded = [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]
        return _quoted(pa.array(encoded, pa.string()))
    if types.is_struct(kind):
        objects = _objects([field.name for field in kind], array.flatten())
        return pc.if_else(array.is_valid(), objects, _NO_TEXT)
    if types.is_map(kind):
        return _maps(array)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _joined(array, _values(array.flatten()), "[", "]")
    raise ValueError(f"{kind} has no form in JSON")


def _numbers(array: pa.Array) -> pa.Array:
    infinite = pc.if_else(pc.greater(array, pa.scalar(0, array.type)), '"Infinity"', '"-Infinity"')
    return pc.if_else(
        pc.is_finite(array), array.cast(pa.string()), pc.if_else(pc.is_nan(array), '"NaN"', infinite)
    )


def _iso(array: pa.Array) -> pa.Array:
    if array.type.tz is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)


def _escaped(texts: pa.Array) -> pa.Array:
    to_escape = pc.fill_null(pc.match_substring_regex(texts, _TO_ESCAPE), False)
    quoted = _quoted(texts)
    if not pc.any(to_escape).as_py():
        return quoted
    escaped = [json.dumps(text, ensure_ascii=False) for text in texts.filter(to_escape).to_pylist()]
    return pc.replace_with_mask(quoted, to_escape, pa.array(escaped, pa.string()))


def _quoted(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _maps(array: pa.Array) -> pa.Array:
    lists = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    keys, items = lists.flatten().flatten()
    names = _texts(keys)
    names = pc.if_else(pc.starts_with(names, '"'), names, _escaped(names))
    return _joined(lists, pc.binary_join_element_wise(names, _values(items), ":"), "{", "}")


def _joined(lists: pa.Array, elements: pa.Array, opening: str, closing: str) -> pa.Array:
    """Return the elements of each list, which stand one after the other in `elements`, in brackets."""
    lengths = pc.fill_null(pc.list_value_length(lists).cast(pa.int32()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    # flatten() leaves out what stands under a NULL list, as the lengths do.
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, elements), ",")
    return pc.if_else(lists.is_valid(), pc.binary_join_element_wise(opening, joined, closing, ""), _NO_TEXT)
