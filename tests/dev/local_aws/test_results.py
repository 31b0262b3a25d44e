from __future__ import annotations

import math
import re
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local_aws.athena import results
from local_aws.athena.errors import ApiError
from local_aws.athena.types import DOUBLE, INTEGER, VARCHAR, Type, array

TEXTS = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8), st.sampled_from(['"', '""', ",", "\n"]))
ROWS = st.lists(st.tuples(TEXTS, TEXTS), max_size=30)


def _csv(rows: list[tuple[str | None, ...]], columns: int = 2) -> bytes:
    arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(columns)]
    batch = pa.record_batch(arrays, names=[f"c{i}" for i in range(columns)])
    return bytes(results.csv_rows(batch, [VARCHAR] * columns))


@given(ROWS)
@example([(None, ""), ("", None)])
def test_arrow_reads_back_what_was_written(rows: list[tuple[str | None, str | None]]) -> None:
    data = results.csv_header(["a", "b"]) + _csv(rows)
    table = pyarrow.csv.read_csv(
        pa.py_buffer(data),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={"a": pa.string(), "b": pa.string()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows


def test_to_the_byte() -> None:
    rows = [("a", None), ('say "hi"', ""), ("two\nlines", "é,")]
    assert _csv(rows) == b'"a",\n"say ""hi""",""\n"two\nlines","\xc3\xa9,"\n'
    assert results.csv_header(["a b", 'c"d']) == b'"a b","c""d"\n'


def test_a_slice_of_a_batch_gives_its_own_rows() -> None:
    batch = pa.record_batch([pa.array(["a", "b", "c", None], pa.string())], names=["x"])
    assert bytes(results.csv_rows(batch.slice(1, 2), [VARCHAR])) == b'"b"\n"c"\n'


@given(st.floats())
@example(1e7)
@example(9999999.999)
@example(0.001)
@example(0.00099)
@example(-0.0)
@example(5e-324)
def test_doubles_print_as_in_java(value: float) -> None:
    text = results.java_double(value)
    if math.isfinite(value):
        assert float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value)
        plain = value == 0 or 1e-3 <= abs(value) < 1e7
        assert re.fullmatch(r"-?\d+\.\d+" if plain else r"-?\d\.\d+E-?\d+", text)
        assert not re.search(r"\.\d+0(E|$)", text)
    else:
        assert text == {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


class Bucket:
    """S3's get_object over one object."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        part = self._data[first : last + 1]
        return {"Body": pa.BufferReader(part), "ContentRange": f"bytes {first}-{last}/{len(self._data)}"}


@given(rows=ROWS, size=st.integers(1, 7), chunk=st.integers(1, 40), in_s3=st.booleans())
def test_pages_give_every_row_once(
    rows: list[tuple[str | None, str | None]], size: int, chunk: int, in_s3: bool
) -> None:
    data = results.csv_header(["a", "b"]) + _csv(rows)
    offset: int | None = 0
    pages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_CHUNK_BYTES", chunk)
        while offset is not None:
            chunks = results.stored(Bucket(data), "s3://b/k", offset) if in_s3 else results.kept(data, offset)
            page, offset = results.read_page(chunks, offset, size)
            pages.append(page)
    assert [tuple(row) for page in pages for row in page] == [("a", "b"), *rows]
    assert all(len(page) == size for page in pages[:-1])
    assert pages[-1]


def test_a_token_belongs_to_its_execution() -> None:
    token = results.encode_token("one", 77)
    assert results.decode_token("one", token) == 77
    for execution, bad in (("two", token), ("one", "nonsense"), ("one", "é")):
        with pytest.raises(ApiError, match="Invalid NextToken"):
            results.decode_token(execution, bad)


def test_column_info() -> None:
    (info,) = results.column_info(["a"], [DOUBLE])
    assert info["Name"] == info["Label"] == "a"
    assert (info["Type"], info["Precision"], info["Scale"], info["CaseSensitive"]) == ("double", 17, 0, False)


def test_column_info_of_nested_types() -> None:
    types = [array(INTEGER), Type("map", of=(VARCHAR, DOUBLE)), Type("row", of=(INTEGER,), fields=("x",))]
    info = results.column_info(["a", "m", "r"], types)
    assert [(each["Type"], each["Precision"], each["Scale"]) for each in info] == [
        ("array", 0, 0),
        ("map", 0, 0),
        ("row", 0, 0),
    ]


LISTS = st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=3), max_size=8)


@given(rows=LISTS, start=st.integers(0, 4))
def test_slices_of_arrays_and_maps_print_their_own_values(rows: list[list[int | None] | None], start: int) -> None:
    def printed(row: list[int | None] | None, keys: bool) -> str | None:
        words = ["null" if each is None else str(each) for each in row or []]
        words = [f"{key}={word}" for key, word in enumerate(words)] if keys else words
        return None if row is None else f"{'{' if keys else '['}{', '.join(words)}{'}' if keys else ']'}"

    arrays = pa.array(rows, pa.list_(pa.int32())).slice(start)
    assert results.as_text(arrays, array(INTEGER)).to_pylist() == [printed(r, False) for r in rows[start:]]
    pairs = [None if row is None else list(enumerate(row)) for row in rows]
    maps = pa.array(pairs, pa.map_(pa.int32(), pa.int32())).slice(start)
    kind = Type("map", of=(INTEGER, INTEGER))
    assert results.as_text(maps, kind).to_pylist() == [printed(r, True) for r in rows[start:]]
