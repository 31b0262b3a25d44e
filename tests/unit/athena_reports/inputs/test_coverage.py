"""What is said of an input, and what a run does about it, by what there is of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from athena_reports.inputs.coverage import InputCoverage, why_empty

DAYS = tuple(f"dt=2025-06-0{day}" for day in range(1, 8))


def coverage(**fields: Any) -> InputCoverage:
    usual: dict[str, Any] = {"table": "lake.plays", "missing": "fail", "needed": 7}
    return InputCoverage(**usual | fields)


@pytest.mark.parametrize(
    ("problem", "says", "may_be_waited_for"),
    [
        ("absent", "missing in Glue", True),
        ("outside", "outside the range of its partition projection", True),
        ("not_done", "without a success marker", True),
        ("unpublished", "not published", True),
        ("partial", "published as partial", False),
    ],
)
def test_each_kind_of_gap_is_said_and_a_run_stops_for_those_that_may_still_come(
    problem: str, says: str, may_be_waited_for: bool
) -> None:
    one = coverage(**{problem: DAYS[:1]})
    assert str(one) == f"lake.plays: 1 of 7 required partitions {says}: {DAYS[0]}"
    assert one.gaps == [f"lake.plays/{DAYS[0]}"]
    assert (one.lacks_partitions, one.stops_run) == (may_be_waited_for, may_be_waited_for)
    assert not coverage(**{problem: DAYS[:1]}, missing="partial").stops_run


def test_a_message_names_five_of_many_partitions() -> None:
    five, six, all_seven = (str(coverage(absent=DAYS[:number])) for number in (5, 6, 7))
    assert five.endswith(f": {', '.join(DAYS[:5])}")
    assert six.endswith(f"{DAYS[4]} and 1 more")
    assert all_seven.endswith(f"{DAYS[4]} and 2 more")


def test_all_kinds_of_gaps_are_said_one_after_the_other() -> None:
    kinds = ("absent", "outside", "not_done", "unpublished", "partial")
    each = {kind: (day,) for kind, day in zip(kinds, DAYS, strict=False)}
    whole = coverage(**each)
    parts = [str(coverage(**{kind: each[kind]})).partition(": ")[2] for kind in kinds]
    assert str(whole) == f"lake.plays: {'; '.join(parts)}"
    assert whole.gaps == [f"lake.plays/{day}" for day in DAYS[:5]]


def test_what_is_whole_is_said_too() -> None:
    there = coverage(present=DAYS, settles_at=datetime(2025, 7, 1, tzinfo=UTC))
    assert str(there) == "lake.plays: all 7 required partitions exist"
    assert (there.gaps, there.lacks_partitions, there.stops_run) == ([], False, False)
    unpartitioned = coverage(is_partitioned=False, needed=0)
    assert str(unpartitioned) == "lake.plays has no partitions"


def test_who_makes_what_is_missing_is_named() -> None:
    assert coverage().remedy == "Wait for them, or register them"
    assert (
        coverage(dag_id="plays_daily").remedy == "Wait for them, or run plays_daily to publish them"
    )


def test_why_there_are_no_rows_is_said_by_the_gaps_of_the_inputs() -> None:
    gap, whole = coverage(absent=DAYS[:1]), coverage(table="lake.users")
    assert why_empty([]) == "The report declares no inputs, so no partitions were checked."
    assert why_empty([gap, whole]) == f"Possible cause: {gap}."
    some = coverage(partial=DAYS[:1])
    assert why_empty([whole, some, gap]) == f"Possible cause: {some}; {gap}."
    assert why_empty([whole, coverage()]) == f"{whole}; {coverage()}. No rows matched."
