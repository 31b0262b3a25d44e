from __future__ import annotations

import errno
import io
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports import transforms as module
from athena_reports.errors import PublishError, TransformError
from athena_reports.periods.calendar import Period, weekly
from athena_reports.transforms import (
    apply,
    cast,
    each_batch,
    each_row,
    exact_sum,
    movement,
    rank,
    rename,
    share,
)

WEEK = weekly("sunday", timezone="Asia/Tokyo").period("2026-11-15")
ABOUT = "Report 'plays', period 2026-11-15 (weekly)"
RANKS = st.integers(1, 2**40)
CUTS = st.lists(st.integers(0, 4), max_size=6)

Transform = Callable[[Iterator[pa.RecordBatch], Period], Iterator[pa.RecordBatch]]


def cut(rows: pa.RecordBatch, sizes: Iterable[int]) -> Iterator[pa.RecordBatch]:
    """Cut rows into batches of these sizes, and one of what is left."""
    start = 0
    for size in sizes:
        yield rows.slice(start, size)
        start += size
    yield rows.slice(start)


def run(transform: Transform, rows: pa.RecordBatch, sizes: Iterable[int] = ()) -> pa.Table:
    return pa.Table.from_batches(apply([transform], cut(rows, sizes), WEEK, ABOUT))


def column(values: list[Any], kind: pa.DataType | None = None, name: str = "a") -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(values, kind)], [name])


def refusal(transform: Transform, rows: pa.RecordBatch, sizes: Iterable[int] = ()) -> str:
    with pytest.raises(TransformError) as caught:
        run(transform, rows, sizes)
    assert str(caught.value).startswith(f"{ABOUT}: ")
    return str(caught.value)


def batch_of(ranks: list[tuple[int, int | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"rank": [rank for rank, _ in ranks], "previous_rank": [previous for _, previous in ranks]},
        schema=pa.schema([("rank", pa.int64()), ("previous_rank", pa.int64())]),
    )


def moved(ranks: list[tuple[int, int | None]]) -> list[str]:
    (batch,) = apply([movement()], iter([batch_of(ranks)]), WEEK, ABOUT)
    found: list[str] = batch["movement"].to_pylist()
    return found


def test_movement_in_words() -> None:
    assert moved([(1, 4), (4, 1), (7, 7), (9, None), (1, 2), (2, 1)]) == [
        "up 3",
        "down 3",
        "same",
        "new",
        "up 1",
        "down 1",
    ]


@given(st.lists(st.tuples(RANKS, st.none() | RANKS)))
def test_movement_leads_from_the_previous_rank_to_this_one(ranks: list[tuple[int, int | None]]) -> None:
    for (now, previous), text in zip(ranks, moved(ranks), strict=True):
        word, _, places = text.partition(" ")
        step = {"up": -1, "down": 1, "same": 0, "new": 0}[word] * int(places or 0)
        assert (word == "new") == (previous is None)
        assert previous is None or previous + step == now
        assert (places == "") == (word in {"same", "new"})


def test_movement_keeps_the_columns_and_the_type_of_an_empty_batch() -> None:
    (batch,) = apply([movement(into="moved")], iter([batch_of([])]), WEEK, ABOUT)

    assert batch.schema.names == ["rank", "previous_rank", "moved"]
    assert batch.schema.field("moved").type == pa.string()


def test_movement_of_columns_with_other_names() -> None:
    batch = batch_of([(1, 3)]).rename_columns(["place", "place_before"])

    (found,) = movement(rank="place", previous_rank="place_before", into="shift")(iter([batch]), WEEK)
    assert found["shift"].to_pylist() == ["up 2"]


def test_movement_without_its_columns_says_which_there_are() -> None:
    batch = batch_of([(1, 3)]).rename_columns(["rank", "before"])

    with pytest.raises(TransformError, match="'previous_rank'; the rows have rank, before"):
        list(apply([movement()], iter([batch]), WEEK, ABOUT))


def batches_yielded(*batches: Any) -> Callable[[Iterator[pa.RecordBatch], Period], Iterator[Any]]:
    def transform(_: Iterator[pa.RecordBatch], __: Period) -> Iterator[Any]:
        yield from batches

    return transform


def no_batches(_: Any, __: Period) -> Any:
    return None


def divide_by_zero(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[Any]:
    return (1 / 0 for _ in batches)


def as_it_is(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
    return batches


A = pa.RecordBatch.from_pydict({"a": [1]})


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (batches_yielded(A, A.to_pylist()), "yielded a list as batch 2"),
        (batches_yielded(pa.table({"a": [1]})), "yielded a Table as batch 1"),
        (
            batches_yielded(A, A.rename_columns(["b"])),
            "batch 2 with the columns b int64, the first with a int64",
        ),
        (batches_yielded(A, pa.RecordBatch.from_pydict({"a": ["x"]})), "batch 2 with the columns a string"),
        (batches_yielded(A.append_column("a", A["a"])), "a column name twice, of a, a"),
        (no_batches, "raised TypeError: 'NoneType' object is not iterable"),
        (lambda batches: batches, "raised TypeError"),
        (divide_by_zero, "raised ZeroDivisionError: division by zero, in rows 1 to 1 of the result"),
    ],
)
def test_a_transform_that_fails_or_yields_something_else(transform: Any, says: str) -> None:
    with pytest.raises(TransformError) as caught:
        list(apply([transform], iter([A]), WEEK, ABOUT))

    assert str(caught.value).startswith(ABOUT)
    assert says in str(caught.value)


def test_an_error_of_the_result_is_not_blamed_on_the_transform() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield A
        raise PublishError("the disk is full")

    with pytest.raises(PublishError, match="the disk is full"):
        list(apply([as_it_is], broken(), WEEK, ABOUT))


def test_a_transform_sees_its_period_and_works_batch_by_batch() -> None:
    taken: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            taken.append(number)
            yield A

    def with_period(batches: Iterable[pa.RecordBatch], period: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch.append_column("week", pa.array([period.id]))

    found = apply([with_period], batches(), WEEK, ABOUT)
    assert next(found)["week"].to_pylist() == ["2026-11-15"]
    assert taken == [0]


def test_any_error_of_the_result_passes_unchanged() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield A
        raise ConnectionResetError("by peer")

    with pytest.raises(ConnectionResetError, match=r"^by peer$"):
        list(apply([as_it_is, as_it_is], broken(), WEEK, ABOUT))


def test_transforms_are_applied_in_order() -> None:
    rows = column([1, 2], name="score")
    steps = [rename({"score": "points"}), rank("points", descending=False), rename({"rank": "place"})]

    table = pa.Table.from_batches(apply(steps, iter([rows]), WEEK, ABOUT))
    assert table.to_pydict() == {"points": [1, 2], "place": [1, 2]}


def test_no_transform_hands_the_result_on() -> None:
    assert list(apply([], iter([A]), WEEK, ABOUT)) == [A]


def fails_at(value: int) -> Transform:
    def transform(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if value in batch["a"].to_pylist():
                raise KeyError("b")
            yield batch

    return transform


def fails_at_the_end(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
    yield from batches
    raise KeyError("b")


def fails_at_once(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
    raise KeyError("b")


@pytest.mark.parametrize(
    ("transforms", "says"),
    [
        ([fails_at(0)], "the transform raised KeyError: 'b', in rows 1 to 1,000 of the result."),
        ([fails_at(2500)], "the transform raised KeyError: 'b', in rows 2,001 to 3,000 of the result."),
        (
            [fails_at_the_end],
            "the transform raised KeyError: 'b', after the last of 3,500 rows of the result.",
        ),
        ([fails_at_once], "the transform raised KeyError: 'b', before the first row of the result."),
        (
            [each_row(lambda row: row if row["a"] >= 1500 else None), fails_at(2500)],
            "transform 2 of 2 raised KeyError: 'b', in rows 501 to 1,500 of its input.",
        ),
        (
            [fails_at(1500), as_it_is],
            "transform 1 of 2 raised KeyError: 'b', in rows 1,001 to 2,000 of the result.",
        ),
    ],
)
def test_an_error_says_where_the_transform_was(transforms: list[Transform], says: str) -> None:
    with pytest.raises(TransformError) as caught:
        list(apply(transforms, cut(column(list(range(3500))), [1000, 1000, 1000]), WEEK, ABOUT))

    assert str(caught.value) == f"{ABOUT}: {says}"
    assert isinstance(caught.value.__cause__, KeyError)


# each_row


def graded(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["score"] is None:
        return None
    return {**row, "score": str(row["score"]), "grade": "AB"[row["score"] % 2]}


@given(st.lists(st.none() | st.integers(-5, 5)), CUTS)
def test_each_row_makes_rows_and_leaves_them_out(scores: list[int | None], cuts: list[int]) -> None:
    rows = pa.RecordBatch.from_pydict(
        {"secret": ["x"] * len(scores), "score": scores},
        schema=pa.schema([("secret", pa.string()), ("score", pa.int64())]),
    )
    transform = each_row(graded, adds={"grade": "varchar", "score": "varchar(10)"}, drops=["secret"])
    table = run(transform, rows, cuts)

    assert table.schema == pa.schema([("score", pa.string()), ("grade", pa.string())])
    assert table.to_pylist() == [
        {"score": str(score), "grade": "B" if score % 2 else "A"} for score in scores if score is not None
    ]


def test_each_row_works_through_a_large_batch_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE_ROWS", 3)
    made = list(apply([each_row(lambda row: row)], iter([column(list(range(8)))]), WEEK, ABOUT))

    assert [batch["a"].to_pylist() for batch in made] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert "in row 8." in refusal(each_row(lambda row: {"a": 1 // (row["a"] - 7)}), column(list(range(8))))


def test_each_row_gives_the_period_to_a_function_of_two() -> None:
    table = run(each_row(lambda _, period: {"a": period.id}, adds={"a": "varchar"}), column([1]))

    assert table.to_pydict() == {"a": ["2026-11-15"]}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [2**63 - 1, -(2**63), None, 1]),
        ("double", [0.1, math.inf, 3, None]),
        ("decimal(10,2)", [Decimal("1.50"), 7, None, Decimal("-99999999.99")]),
        ("date", [date(2026, 1, 1), None]),
        ("timestamp", [datetime.fromisoformat("2026-01-01T01:02:03.004"), None]),
        ("timestamp with time zone", [datetime(2026, 1, 1, 1, tzinfo=UTC)]),
        ("boolean", [True, False, None]),
        ("varchar", ["", None, "\u96ea"]),
        ("varbinary", [b"", None, b"\x00"]),
    ],
)
def test_each_row_takes_values_of_the_declared_type(kind: str, values: list[Any]) -> None:
    made = iter(values)
    table = run(each_row(lambda _: {"a": next(made)}, adds={"a": kind}), column([0] * len(values)))

    assert table["a"].to_pylist() == values


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bigint", "1"),
        ("bigint", 1.5),
        ("bigint", 2**63),
        ("bigint", True),
        ("bigint", Decimal("1.5")),
        ("integer", 2**31),
        ("double", "1"),
        ("varchar", 1),
        ("varchar", b"x"),
        ("boolean", 1),
        ("decimal(10,2)", 1.5),
        ("decimal(10,2)", Decimal("1.505")),
        ("date", "2026-01-01"),
        ("date", 5),
        ("date", datetime(2026, 1, 1, 5, tzinfo=UTC)),
        ("timestamp", date(2026, 1, 1)),
        ("timestamp", datetime(2026, 1, 1, 5, tzinfo=UTC)),
        ("timestamp", datetime.fromisoformat("2026-01-01T01:02:03.004005")),
    ],
)
def test_each_row_refuses_a_value_that_would_not_stay_the_same(kind: str, value: Any) -> None:
    said = refusal(
        each_row(lambda row: {"a": value if row["a"] == 2 else None}, adds={"a": kind}),
        column([0, 1, 2, 3]),
        [2],
    )
    assert f"row 3 has {value!r} in 'a', which is a column of " in said


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda _: {}, "each_row(): row 1 was returned without a, grade. Give None for no value."),
        (
            lambda row: {**row, "grade": 1, "b": 2, "c": 3},
            "row 1 was returned with b, c, which is no column.",
        ),
        (lambda row: [row], "the function returned a list for row 1; it has to return a dict"),
        (lambda row: row["b"], "the function raised KeyError: 'b', in row 1."),
    ],
)
def test_each_row_names_the_row_of_a_mistake(function: Any, says: str) -> None:
    assert says in refusal(each_row(function, adds={"grade": "bigint"}), column([5, 6]))


def test_each_row_knows_its_columns_without_rows() -> None:
    transform = each_row(lambda row: row, adds={"grade": "decimal(5,1)"}, drops=["a"])

    assert run(transform, column([], pa.int64())).schema == pa.schema([("grade", pa.decimal128(5, 1))])
    assert "drops b; the rows have a" in refusal(
        each_row(lambda row: row, drops=["b"]), column([], pa.int64())
    )
    assert "column 'b': its type is decimel" in refusal(
        each_row(lambda row: row, adds={"b": "decimel"}), column([], pa.int64())
    )


@pytest.mark.parametrize("maker", [each_row, each_batch])
@pytest.mark.parametrize("function", [None, lambda: None, lambda _, __, ___: None])
def test_a_function_of_neither_one_nor_two_is_refused_where_it_is_declared(maker: Any, function: Any) -> None:
    with pytest.raises(TypeError, match="takes a function of one argument"):
        maker(function)


def test_a_column_is_not_both_added_and_dropped() -> None:
    with pytest.raises(ValueError, match="both adds and drops b"):
        each_row(lambda row: row, adds={"b": "date"}, drops=["b"])


# each_batch


@given(st.lists(st.integers(-5, 5)), CUTS)
def test_each_batch_makes_each_batch(values: list[int], cuts: list[int]) -> None:
    rows = column(values, pa.int64())

    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(0, "a", pc.multiply(batch["a"], 2))

    def with_week(batch: pa.RecordBatch, period: Period) -> pa.RecordBatch:
        return batch.append_column("week", pa.repeat(period.id, len(batch)))

    assert run(each_batch(double), rows, cuts)["a"].to_pylist() == [value * 2 for value in values]
    assert run(each_batch(with_week), rows, cuts)["week"].to_pylist() == ["2026-11-15"] * len(values)


# rank

ORDERED = st.lists(st.none() | st.integers(-3, 3)).map(
    lambda values: sorted(values, key=lambda value: (value is None, -(value or 0)))
)


def ranks_of(values: list[int | None], ties: str) -> list[int]:
    if ties == "row_number":
        return list(range(1, len(values) + 1))
    if ties == "rank":
        return [values.index(value) + 1 for value in values]
    distinct = list(dict.fromkeys(values))
    return [distinct.index(value) + 1 for value in values]


@given(ORDERED, CUTS, st.sampled_from(["row_number", "rank", "dense_rank"]))
@example([None, None], [1], "rank")
@example([5, 5, 5, 4], [0, 2, 1], "dense_rank")
def test_rank_counts_across_batches(values: list[int | None], cuts: list[int], ties: str) -> None:
    table = run(rank("a", into="place", ties=ties), column(values, pa.int64()), cuts)

    assert table.schema == pa.schema([("a", pa.int64()), ("place", pa.int64())])
    assert table["place"].to_pylist() == ranks_of(values, ties)


@given(ORDERED, CUTS)
def test_rank_of_the_least_first(values: list[int | None], cuts: list[int]) -> None:
    ascending = [None if value is None else -value for value in values]
    table = run(rank("a", descending=False, ties="rank"), column(ascending, pa.int64()), cuts)

    assert table["rank"].to_pylist() == ranks_of(ascending, "rank")


@given(st.lists(st.none() | st.integers(-3, 3), min_size=2), CUTS)
def test_rank_refuses_the_first_row_that_is_out_of_order(values: list[int | None], cuts: list[int]) -> None:
    wrong = [
        number
        for number, (before, value) in enumerate(pairwise(values), start=2)
        if value is not None and (before is None or value > before)
    ]
    if not wrong:
        assert len(run(rank("a"), column(values, pa.int64()), cuts)) == len(values)
        return
    said = refusal(rank("a"), column(values, pa.int64()), cuts)
    row = wrong[0]
    assert f"a is {values[row - 1]} in row {row}, after {values[row - 2]} in the row before" in said
    assert "ORDER BY a DESC NULLS LAST" in said


@pytest.mark.parametrize(
    "values", [["b", "a", None], [date(2026, 2, 1), date(2026, 1, 1)], [Decimal(2), Decimal(1)]]
)
def test_rank_by_other_types(values: list[Any]) -> None:
    assert run(rank("a"), column(values))["rank"].to_pylist() == list(range(1, len(values) + 1))


def test_rank_refuses_what_has_no_order() -> None:
    assert "a is NaN in row 3" in refusal(rank("a"), column([2.0, 1.0, math.nan]), [1])
    assert "rank() needs the column 'b'; the rows have a." in refusal(rank("b"), column([1]))
    assert "would add the column 'a', which is there" in refusal(rank("a", into="a"), column([1]))
    with pytest.raises(ValueError, match="ties is 'dense', expected one of row_number, rank, dense_rank"):
        rank("a", ties="dense")


# share


NUMBERS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.decimal128(38, 2), st.decimals(-(10**35), 10**35, places=2)),
    (pa.float64(), st.floats(-1e150, 1e150)),
]


@st.composite
def numbers(draw: st.DrawFn) -> pa.RecordBatch:
    kind, values = draw(st.sampled_from(NUMBERS))
    return column(draw(st.lists(st.none() | values, max_size=8)), kind)


@given(numbers(), CUTS, st.sampled_from([0, 10**9]))
@example(column([1, -1, None], pa.int64()), [1], 0)
@example(column([2**63 - 1] * 3 + [-(2**63)] * 3, pa.int64()), [], 0)
@example(column([1e16, 1.0, -1e16]), [1], 0)
def test_share_is_of_the_exact_total(rows: pa.RecordBatch, cuts: list[int], spool_bytes: int) -> None:
    values = rows["a"].to_pylist()
    total = sum((Fraction(value) for value in values if value is not None), Fraction(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SPOOL_BYTES", spool_bytes)
        table = run(share("a"), rows, cuts)

    assert table["a"].to_pylist() == values
    for value, found in zip(values, table["share"].to_pylist(), strict=True):
        if value is None or float(total) == 0:
            assert found is None
        else:
            assert found == pytest.approx(float(Fraction(value) / total), rel=1e-12, abs=1e-300)


@given(numbers(), CUTS, CUTS)
def test_share_does_not_depend_on_the_batches(
    rows: pa.RecordBatch, cuts: list[int], others: list[int]
) -> None:
    assert run(share("a"), rows, cuts).combine_chunks() == run(share("a"), rows, others).combine_chunks()


def test_share_rounded_and_named() -> None:
    table = run(share("a", into="part", digits=2), column([1, 2, None, -4, 7], pa.int32()))

    assert table["part"].to_pylist() == [0.17, 0.33, None, -0.67, 1.17]
    assert table.schema.field("part").type == pa.float64()


def test_share_says_what_it_cannot_add_up() -> None:
    assert "share(): a is nan in row 3, so it has no total" in refusal(
        share("a"), column([1.0, None, math.nan]), [1]
    )
    assert "share(): a is inf in row 2" in refusal(share("a"), column([1.0, math.inf]))
    assert "string is no number" in refusal(share("a"), column(["x"]))
    assert "needs the column 'b'" in refusal(share("b"), column([1]))
    assert "would add the column 'a'" in refusal(share("a", into="a"), column([1]))


def test_share_spools_to_a_file_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    temporary_file = module.tempfile.TemporaryFile

    def open_file(**kwargs: Any) -> Any:
        opened.append(temporary_file(**kwargs))
        return opened[-1]

    monkeypatch.setattr(module.tempfile, "TemporaryFile", open_file)
    monkeypatch.setattr(module, "_SPOOL_BYTES", 100)
    batches = share("a")(cut(column(list(range(1, 101))), [10] * 9), WEEK)
    first = next(batches)
    (file,) = opened
    assert not file.closed
    assert first["share"][0].as_py() == pytest.approx(1 / 5050)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert file.closed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_fault_of_the_transform(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(number, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **_: FullDisk())
    monkeypatch.setattr(module, "_SPOOL_BYTES", 100)
    transforms = [share("a"), rename({"a": "b"})]
    with pytest.raises(OSError, match="No space left on device") as caught:
        list(apply(transforms, cut(column(list(range(1000))), []), WEEK, ABOUT))
    assert caught.value.errno == number


def test_exact_sum_refuses_what_is_no_exact_number() -> None:
    assert exact_sum(pa.array([2**64 - 1, None, 2**64 - 1], pa.uint64())) == 2**65 - 2
    for kind in (pa.float64(), pa.string(), pa.bool_()):
        with pytest.raises(TypeError, match="is no number"):
            exact_sum(pa.nulls(1, kind))


# rename


@given(st.permutations(["a", "b", "c"]), CUTS)
def test_rename_gives_new_names_even_each_others(names: list[str], cuts: list[int]) -> None:
    rows = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", "y"], "c": [True, False]})
    table = run(rename(dict(zip("abc", names, strict=True))), rows, cuts)

    assert table.schema.names == names
    assert table.to_pydict() == dict(zip(names, rows.to_pydict().values(), strict=True))


def test_rename_refuses_unknown_columns_and_clashes() -> None:
    rows = pa.RecordBatch.from_pydict({"a": [1], "b": [2]})

    assert "rename() needs the column 'c'; the rows have a, b." in refusal(rename({"c": "d"}), rows)
    assert "two columns the name b" in refusal(rename({"a": "b"}), rows)
    assert "two columns the name c" in refusal(rename({"a": "c", "b": "c"}), rows)


# cast


@pytest.mark.parametrize(
    ("values", "kind", "made"),
    [
        ([1, None, -5], "varchar", ["1", None, "-5"]),
        (["12", None, "-5"], "bigint", [12, None, -5]),
        (["1.50", None], "decimal(10,2)", [Decimal("1.50"), None]),
        ([1, 2**53], "double", [1.0, 2.0**53]),
        ([1.0, math.nan], "real", [1.0, math.nan]),
        ([12.5, 12.57], "decimal(10,2)", [Decimal("12.50"), Decimal("12.57")]),
        ([Decimal("1.10")], "double", [1.1]),
        ([Decimal("1.00")], "integer", [1]),
        ([99999999, -1], "decimal(10,2)", [Decimal("99999999.00"), Decimal("-1.00")]),
        ([datetime.fromisoformat("2026-01-01")], "date", [date(2026, 1, 1)]),
        ([date(2026, 1, 1)], "timestamp", [datetime.fromisoformat("2026-01-01")]),
        (["2026-01-01"], "date", [date(2026, 1, 1)]),
        ([1, 0], "boolean", [True, False]),
        ([b"x"], "varchar", ["x"]),
    ],
)
def test_cast_changes_types(values: list[Any], kind: str, made: list[Any]) -> None:
    rows = column(values).append_column("b", pa.array(values))
    table = run(cast({"a": kind}), rows, [1])

    assert repr(table["a"].to_pylist()) == repr(made)
    assert table["b"].type == rows["b"].type


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        ("12", "x", "bigint"),
        ("12", "", "bigint"),
        (1, 2**31, "integer"),
        (1, 2**53 + 1, "double"),
        (1.0, 1.5, "bigint"),
        (1.0, math.nan, "bigint"),
        (1.0, 0.1, "real"),
        (1.0, 1e300, "real"),
        (12.57, 12.567, "decimal(10,2)"),
        (Decimal("1.500"), Decimal("1.505"), "decimal(10,2)"),
        (Decimal("1.0"), Decimal("1.5"), "bigint"),
        (Decimal(1), Decimal(12345678901234567890123), "double"),
        (1, 10**8, "decimal(10,2)"),
        (1, 2, "boolean"),
        (datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2026-01-01T00:00:01"), "date"),
        (
            datetime.fromisoformat("2026-01-01"),
            datetime.fromisoformat("2026-01-01T00:00:00.000001"),
            "timestamp",
        ),
        (b"x", b"\xff", "varchar"),
    ],
)
@given(before=st.integers(0, 9), after=st.integers(0, 9), cuts=CUTS)
def test_cast_names_the_first_value_that_does_not_fit(
    good: Any, bad: Any, kind: str, before: int, after: int, cuts: list[int]
) -> None:
    rows = column([good] * before + [bad] + [None, bad] * after, pa.array([good, bad]).type)

    said = refusal(cast({"a": kind}), rows, cuts)
    assert f"does not fit {module._arrow_type('a', kind, '')}, in row {before + 1}, {bad!r}: " in said


def test_cast_of_no_rows_and_of_what_cannot_be_cast() -> None:
    assert run(cast({"a": "decimal(5,1)"}), column([], pa.string())).schema.field("a").type == pa.decimal128(
        5, 1
    )
    assert "a (list<item: int64>) does not fit date32[day], in no row" in refusal(
        cast({"a": "date"}), column([], pa.list_(pa.int64()))
    )
    assert "cast() needs the column 'b'; the rows have a." in refusal(cast({"b": "bigint"}), column([1]))
    assert "cast(), column 'a': its type is bigit" in refusal(cast({"a": "bigit"}), column([1]))
