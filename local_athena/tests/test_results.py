"""Results as Athena writes and pages them."""

from __future__ import annotations

import io
import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local_athena.athena import pages as result_pages
from local_athena.athena import results
from local_athena.athena.types import INTEGER, VARCHAR, Type, array, decimal

TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(['"', '""', ",", "\n"]),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), max_size=30)


def csv(rows: list[tuple[str | None, str | None]]) -> bytes:
    batch = pa.record_batch(
        [pa.array([row[i] for row in rows], pa.string()) for i in (0, 1)], names=["a", "b"]
    )
    return results.csv_header(["a", "b"]) + bytes(results.csv_rows(batch, [VARCHAR, VARCHAR]))


def test_to_the_byte() -> None:
    written = csv([("a", None), (None, ""), ('say "hi"', "é,"), ("two\nlines", "'")])
    assert written.decode() == '"a","b"\n"a",\n,""\n"say ""hi""","é,"\n"two\nlines","\'"\n'
    assert results.csv_header(["a b", 'c"d']) == b'"a b","c""d"\n'


@given(st.floats())
@example(1e7)
@example(9999999.999)
@example(0.001)
@example(0.00099)
@example(-0.0)
@example(5e-324)
def test_doubles_print_as_in_java(value: float) -> None:
    text = results.java_double(value)
    if not math.isfinite(value):
        assert text == {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        return
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    is_plain = value == 0 or 1e-3 <= abs(value) < 1e7
    assert re.fullmatch(r"-?\d+\.\d+" if is_plain else r"-?\d\.\d+E-?\d+", text)
    assert not re.search(r"\.\d+0(E|$)", text)


def test_columns_are_described_as_athena_does() -> None:
    described = {
        Type("boolean"): ("boolean", 0, 0, False),
        Type("tinyint"): ("tinyint", 3, 0, False),
        Type("smallint"): ("smallint", 5, 0, False),
        Type("integer"): ("integer", 10, 0, False),
        Type("bigint"): ("bigint", 19, 0, False),
        Type("real"): ("float", 17, 0, False),
        Type("double"): ("double", 17, 0, False),
        decimal(12, 4): ("decimal", 12, 4, False),
        Type("varchar"): ("varchar", 2_147_483_647, 0, True),
        Type("varchar", 20): ("varchar", 20, 0, True),
        Type("char", 3): ("char", 3, 0, True),
        Type("varbinary"): ("varbinary", 1_073_741_824, 0, False),
        Type("date"): ("date", 0, 0, False),
        Type("timestamp"): ("timestamp", 3, 0, False),
        Type("timestamp with time zone", zone="UTC"): ("timestamp with time zone", 3, 0, False),
        array(INTEGER): ("array", 0, 0, False),
        Type("map", of=(INTEGER, INTEGER)): ("map", 0, 0, False),
        Type("row", of=(INTEGER,), fields=("x",)): ("row", 0, 0, False),
    }
    info = results.column_info([f"c{n}" for n in range(len(described))], list(described))
    told = [
        (each["Type"], each["Precision"], each["Scale"], each["CaseSensitive"]) for each in info
    ]
    assert told == list(described.values())
    assert info[0]["Name"] == info[0]["Label"] == "c0"


def test_a_small_decimal_has_no_exponent() -> None:
    values = pa.array([Decimal("0.0000001"), None], pa.decimal128(10, 7))
    assert results.as_text(values, decimal(10, 7)).to_pylist() == ["0.0000001", None]


class OneObject:
    """An S3 with one object, which serves ranges of it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get_object(self, Bucket: str, Key: str, Range: str) -> dict[str, Any]:
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        return {
            "Body": io.BytesIO(self._body[first : last + 1]),
            "ContentRange": f"bytes {first}-{last}/{len(self._body)}",
        }


@given(rows=ROWS, size=st.integers(1, 7), chunk=st.integers(1, 40), in_s3=st.booleans())
def test_pages_give_every_row_once(
    rows: list[tuple[str | None, str | None]], size: int, chunk: int, in_s3: bool
) -> None:
    data, offset, pages = csv(rows), 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result_pages, "_CHUNK_BYTES", chunk)
        while offset is not None:
            chunks = (
                result_pages.stored(OneObject(data), "s3://b/k", offset)
                if in_s3
                else result_pages.kept(data, offset)
            )
            page, offset = result_pages.read_page(chunks, offset, size)
            pages.append(page)
    assert [tuple(row) for page in pages for row in page] == [("a", "b"), *rows]
    assert all(len(page) == size for page in pages[:-1])
    assert pages[-1]


def test_slices_of_arrays_and_maps_print_their_own_values() -> None:
    lists = pa.array([[1], None, [2, None], [], [3]], pa.list_(pa.int32())).slice(1, 3)
    assert results.as_text(lists, array(INTEGER)).to_pylist() == [None, "[2, null]", "[]"]
    maps = pa.array(
        [[(0, 1)], None, [(1, 2), (2, None)], [], [(3, 3)]], pa.map_(pa.int32(), pa.int32())
    ).slice(1, 3)
    kind = Type("map", of=(INTEGER, INTEGER))
    assert results.as_text(maps, kind).to_pylist() == [None, "{1=2, 2=null}", "{}"]
