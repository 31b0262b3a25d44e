"""A version's Parquet as values of Python."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.delivery.content import ContentColumn
from athena_reports.delivery.published_rows import PublishedRows, total_of
from athena_reports.rows.engine import Engine
from tests.support.engines import engine
from tests.unit.athena_reports.delivery.contents import TOKYO

CENTS = st.integers(-(10**37), 10**37).map(lambda number: Decimal(f"{number}E-2"))
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | CENTS,
        st.none() | st.floats(),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
        st.none() | st.booleans(),
        st.none() | st.dates(),
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30)),  # noqa: DTZ001
    ),
    max_size=30,
)
TYPES = {
    "big": pa.int64(),
    "cents": pa.decimal128(38, 2),
    "double": pa.float64(),
    "text": pa.string(),
    "yes": pa.bool_(),
    "day": pa.date32(),
    "moment": pa.timestamp("us"),
}


def parquet(shared: Engine, **columns: pa.Array) -> Path:
    path = shared.folder / "rows.parquet"
    # DuckDB, which writes what is published, writes no statistics of a column that has NaN. PyArrow
    # writes the least and the greatest of the other numbers, from which DuckDB concludes that
    # isnan() is false for every row.
    pq.write_table(pa.table(columns), path, write_statistics=False)
    return path


def published(
    shared: Engine, path: Path, *names: str, ordered: bool = True, first_by: str = ""
) -> PublishedRows:
    return PublishedRows(path, names, shared, zone=TOKYO, ordered=ordered, first_by=first_by)


def table(shared: Engine, rows: Sequence[tuple[Any, ...]]) -> Path:
    columns = {}
    for place, (name, kind) in enumerate(TYPES.items()):
        columns[name] = pa.array([row[place] for row in rows], kind)
    return parquet(shared, **columns)


def comparable(row: Sequence[Any]) -> tuple[str, ...]:
    """NaN is itself here, and -0.0 is not 0.0. A time without a zone has no `fold`."""
    return tuple(each.isoformat() if isinstance(each, datetime) else repr(each) for each in row)


@given(ROWS, st.integers(0, 40))
def test_the_first_rows_and_all_rows_are_those_of_the_file(
    rows: list[tuple[Any, ...]], number: int
) -> None:
    with engine() as shared:
        reader = published(shared, table(shared, rows), *TYPES)
        first = reader.first(number)
        everything = list(reader.all())
    assert [comparable(row) for row in first] == [comparable(row) for row in rows[:number]]
    assert [comparable(row) for row in everything] == [comparable(row) for row in rows]


def test_all_of_many_rows_are_read() -> None:
    with engine() as shared:
        path = parquet(shared, n=pa.array(range(10_000)))
        assert list(published(shared, path, "n").all()) == [(n,) for n in range(10_000)]


def test_only_the_columns_that_are_asked_for_are_read() -> None:
    with engine() as shared:
        path = parquet(shared, A=pa.array([1]), secret=pa.array(["s"]), b=pa.array([2]))
        reader = published(shared, path, "b", "A")
        assert reader.first(5) == ((2, 1),)
        assert "secret" not in reader.source


@pytest.mark.parametrize("type_of_score", [pa.float32(), pa.float64()])
@example([(1.0, "a"), (math.nan, "b"), (None, ""), (2.0, None)])
@example([(0.0, None), (math.nan, None)])
@given(
    st.lists(
        st.tuples(st.none() | st.floats(width=32), st.none() | st.sampled_from(["a", "b", ""])),
        max_size=12,
    )
)
def test_rows_without_an_order_are_by_the_bar_and_then_by_all_columns(
    type_of_score: pa.DataType, rows: list[tuple[Any, ...]]
) -> None:
    def read_of(shared: Engine, rows: list[tuple[Any, ...]]) -> PublishedRows:
        path = parquet(
            shared,
            name=pa.array([row[1] for row in rows], pa.string()),
            score=pa.array([row[0] for row in rows], type_of_score),
        )
        return published(shared, path, "name", "score", ordered=False, first_by="score")

    with engine() as shared:
        reader = read_of(shared, rows)
        read = reader.first(20)
        everything = list(reader.all())
        again = read_of(shared, rows[::-1]).first(20)

    def as_numbers(values: Sequence[tuple[Any, ...]]) -> list[tuple[str, ...]]:
        # DuckDB says that -0.0 equals 0.0, so either may come first.
        return [comparable([0.0 if value == 0 else value for value in row]) for row in values]

    assert as_numbers(read) == as_numbers(everything)
    assert as_numbers(read) == as_numbers(again)
    bars = [score for _, score in read if score is not None and not math.isnan(score)]
    assert bars == sorted(bars, reverse=True)
    assert all(score is None or math.isnan(score) for _, score in read[len(bars) :])


def test_rows_without_an_order_and_a_bar_are_in_that_of_their_columns() -> None:
    with engine() as shared:
        path = parquet(shared, a=pa.array([2, 1, 1]), b=pa.array(["x", "z", "y"]))
        reader = published(shared, path, "a", "b", ordered=False)
        assert reader.first(3) == ((1, "y"), (1, "z"), (2, "x"))


def test_an_instant_is_in_the_zone_of_the_period() -> None:
    zone = ZoneInfo("America/New_York")
    instants = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    with engine() as shared:
        path = parquet(shared, at=pa.array([*instants, None], pa.timestamp("us", tz="UTC")))
        reader = PublishedRows(path, ("at",), shared, zone=zone, ordered=True)
        read = [value for (value,) in reader.first(3)]
    assert read[2] is None
    assert [value.astimezone(UTC) for value in read[:2]] == instants
    assert [value.isoformat() for value in read[:2]] == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:30:00-05:00",
    ]


@pytest.mark.parametrize(
    ("zone", "instant", "shown"),
    [
        ("Asia/Tokyo", "9999-12-31 14:59:59+00", "9999-12-31T23:59:59+09:00"),
        ("Asia/Tokyo", "9999-12-31 15:00:00+00", "9999-12-31 15:00:00+00:00"),
        ("America/New_York", "0001-01-01 00:00:00+00", "0001-01-01 00:00:00+00:00"),
        ("Asia/Tokyo", "10000-01-01 00:00:00+00", "10000-01-01 00:00:00+00"),
        ("Asia/Tokyo", "infinity", "infinity"),
        ("Asia/Tokyo", "-infinity", "-infinity"),
    ],
)
def test_an_instant_that_the_zone_of_the_period_cannot_show_is_text_in_utc(
    zone: str, instant: str, shown: str
) -> None:
    with engine() as shared:
        path = shared.folder / "rows.parquet"
        shared.connection.execute(f"COPY (SELECT '{instant}'::TIMESTAMPTZ AS at) TO '{path}'")
        reader = PublishedRows(path, ("at",), shared, zone=ZoneInfo(zone), ordered=True)
        ((value,),) = reader.first(1)
        assert list(reader.all()) == [(value,)]
    assert (value.isoformat() if isinstance(value, datetime) else value) == shown


def test_what_has_parts_is_json() -> None:
    nested = [{"k": [1, None], "t": 'é"\n'}, None]
    kind = pa.struct({"k": pa.list_(pa.int64()), "t": pa.string()})
    with engine() as shared:
        path = parquet(
            shared,
            nested=pa.array(nested, kind),
            list=pa.array([[], None], pa.list_(pa.string())),
            map=pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        )
        first, second = published(shared, path, "nested", "list", "map").first(2)
    assert [json.loads(text) for text in first] == [nested[0], [], {"a": 1}]
    assert second == (None, None, None)


def test_bytes_are_hexadecimal_and_a_float_has_its_own_digits() -> None:
    with engine() as shared:
        path = shared.folder / "rows.parquet"
        values = "'\\x00\\xFF'::BLOB AS b, 0.1::FLOAT AS f"
        shared.connection.execute(f"COPY (SELECT {values}) TO '{path}'")
        assert published(shared, path, "b", "f").first(1) == (("00ff", 0.1),)


def total(kind: str, values: pa.Array) -> Any:
    with engine() as shared:
        return total_of(parquet(shared, n=values), ContentColumn("n", kind), shared)


@given(st.lists(st.none() | st.integers(-(10**36), 10**36), min_size=1, max_size=9))
def test_a_total_of_decimals_is_exact(numbers: list[int | None]) -> None:
    known = [number for number in numbers if number is not None]
    values = [None if number is None else Decimal(number) for number in numbers]
    expected = sum(known) if known else None
    assert total("DECIMAL(38,0)", pa.array(values, pa.decimal128(38, 0))) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_a_total_of_integers_is_exact(numbers: list[int]) -> None:
    assert total("BIGINT", pa.array(numbers)) == sum(numbers)


def test_a_total_of_floats_is_that_of_the_digits_that_are_shown() -> None:
    """The FLOAT that is shown as 0.1 is 0.10000000149."""
    of_floats = total("FLOAT", pa.array([0.1, 0.2], pa.float32()))
    assert of_floats == pytest.approx(0.3, abs=1e-15)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_a_total_of_floats_is_close(numbers: list[float]) -> None:
    exact = sum(map(Fraction, numbers))
    assert abs(Fraction(total("DOUBLE", pa.array(numbers))) - exact) <= Fraction(1, 10**3)


def test_what_is_no_number_has_no_total() -> None:
    assert total("DOUBLE", pa.array([1.0, math.nan])) is None


def test_the_biggest_moves_are_those_of_all_rows_in_any_order_of_the_file() -> None:
    ranks = [3, 1, 2, 10, 4, 9, None, 5]
    before = [1, 3, None, 40, 3, 1, 7, 5]
    names = ["a", "b", "c", "d", "e", "f", "g", "h"]
    for step in (1, -1):
        with engine() as shared:
            path = parquet(
                shared,
                name=pa.array(names[::step]),
                Place=pa.array(ranks[::step], pa.int64()),
                before=pa.array(before[::step], pa.int32()),
            )
            reader = published(shared, path, "name", "Place", "before", ordered=step == 1)
            rises, falls = reader.biggest_moves("Place", "before", 2)
        assert rises == (("d", 10, 40), ("b", 1, 3))
        assert falls == (("f", 9, 1), ("a", 3, 1))


def test_equal_moves_are_by_the_rank_and_then_by_all_columns() -> None:
    with engine() as shared:
        path = parquet(
            shared,
            name=pa.array(["b", "a", "c", "d"]),
            rank=pa.array([2, 2, 1, 9]),
            before=pa.array([3, 3, 2, 8]),
        )
        rises, falls = published(shared, path, "name", "rank", "before").biggest_moves(
            "rank", "before", 3
        )
    assert [name for name, *_ in rises] == ["c", "a", "b"]
    assert [name for name, *_ in falls] == ["d"]


@pytest.mark.parametrize(
    ("kind", "before", "rises"),
    [
        (pa.int8(), 3, ((1, 3),)),
        (pa.decimal128(38, 0), Decimal(3), ((1, Decimal(3)),)),
        (pa.float64(), 3.0, ((1, 3.0),)),
        (pa.string(), "third", ()),
    ],
)
def test_ranks_of_any_type_move_if_they_are_numbers(
    kind: pa.DataType, before: Any, rises: Any
) -> None:
    with engine() as shared:
        path = parquet(shared, rank=pa.array([1, 2]), before=pa.array([before, None], kind))
        reader = published(shared, path, "rank", "before")
        assert reader.biggest_moves("rank", "before", 3) == (rises, ())
