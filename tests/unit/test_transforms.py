from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import PublishError, TransformError
from athena_reports.period import Period, weekly
from athena_reports.transforms import apply, movement

WEEK = weekly("sunday", timezone="Asia/Tokyo").period("2026-11-15")
ABOUT = "Report 'plays', period 2026-11-15 (weekly)"
RANKS = st.integers(1, 2**40)


def batch_of(ranks: list[tuple[int, int | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"rank": [rank for rank, _ in ranks], "previous_rank": [previous for _, previous in ranks]},
        schema=pa.schema([("rank", pa.int64()), ("previous_rank", pa.int64())]),
    )


def moved(ranks: list[tuple[int, int | None]]) -> list[str]:
    (batch,) = apply(movement(), iter([batch_of(ranks)]), WEEK, ABOUT)
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
    for (rank, previous), text in zip(ranks, moved(ranks), strict=True):
        word, _, places = text.partition(" ")
        step = {"up": -1, "down": 1, "same": 0, "new": 0}[word] * int(places or 0)
        assert (word == "new") == (previous is None)
        assert previous is None or previous + step == rank
        assert (places == "") == (word in {"same", "new"})


def test_movement_keeps_the_columns_and_the_type_of_an_empty_batch() -> None:
    (batch,) = apply(movement(into="moved"), iter([batch_of([])]), WEEK, ABOUT)

    assert batch.schema.names == ["rank", "previous_rank", "moved"]
    assert batch.schema.field("moved").type == pa.string()


def test_movement_of_columns_with_other_names() -> None:
    batch = batch_of([(1, 3)]).rename_columns(["place", "place_before"])

    (found,) = movement(rank="place", previous_rank="place_before", into="shift")(iter([batch]), WEEK)
    assert found["shift"].to_pylist() == ["up 2"]


def test_movement_without_its_columns_says_which_there_are() -> None:
    batch = batch_of([(1, 3)]).rename_columns(["rank", "before"])

    with pytest.raises(TransformError, match="'previous_rank'; the result has rank, before"):
        list(apply(movement(), iter([batch]), WEEK, ABOUT))


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
        (divide_by_zero, "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_transform_that_fails_or_yields_something_else(transform: Any, says: str) -> None:
    with pytest.raises(TransformError) as caught:
        list(apply(transform, iter([A]), WEEK, ABOUT))

    assert str(caught.value).startswith(ABOUT)
    assert says in str(caught.value)


def test_an_error_of_the_result_is_not_blamed_on_the_transform() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield A
        raise PublishError("the disk is full")

    with pytest.raises(PublishError, match="the disk is full"):
        list(apply(as_it_is, broken(), WEEK, ABOUT))


def test_a_transform_sees_its_period_and_works_batch_by_batch() -> None:
    taken: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            taken.append(number)
            yield A

    def with_period(batches: Iterable[pa.RecordBatch], period: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch.append_column("week", pa.array([period.id]))

    found = apply(with_period, batches(), WEEK, ABOUT)
    assert next(found)["week"].to_pylist() == ["2026-11-15"]
    assert taken == [0]
