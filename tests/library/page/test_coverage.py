"""The state of every period, against a slow oracle that asks period by period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import Cell, RangeError, Run, Start, State, coverage, current_runs, plan
from athena_reports.periods.calendar import Cadence, Period, daily, monthly, quarterly, weekly, yearly

WEEKS = weekly("sunday", timezone="Asia/Tokyo")
CADENCES = [
    WEEKS,
    weekly("monday", timezone="America/New_York"),
    daily("Europe/Berlin"),
    monthly("Asia/Tokyo"),
    quarterly("UTC"),
    yearly("America/Sao_Paulo"),
]
SINCE = datetime(2024, 3, 6, 5, tzinfo=UTC)


def periods_from(period: Period, number: int) -> list[Period]:
    found = [period]
    while len(found) < number:
        found.append(found[-1].next)
    return found


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def facts(period: Period, **changes: str) -> dict[str, str]:
    """What the partition of a period says, published an hour after the period."""
    at = text(period.end_utc + timedelta(hours=1))
    return {
        "version": "0123456789abcdef",
        "rows": "100",
        "bytes": "2048",
        "published_at": at,
        "submitted_at": at,
        "reads_previous": "false",
        "settles_at": at,
        "restated_at": "",
        "provisional": "false",
        "partial": "false",
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "timezone": period.cadence.timezone,
        "scanned_bytes": "1000",
        "price_usd": "0.5",
        "query_id": "q",
        "run_id": f"run-{period.id}",
        "dag_id": "d",
        "manifest": "s3://b/m",
        "checks_failed": "0",
        "checks_warned": "0",
        "earlier": "0",
        **changes,
    }


@st.composite
def situations(draw: st.DrawFn) -> tuple[Cadence, list[Period], dict[str, dict[str, str]], dict[str, Run]]:
    cadence = draw(st.sampled_from(CADENCES))
    periods = periods_from(cadence.first_from(SINCE), draw(st.integers(1, 12)))
    hours = st.integers(-2, 400)
    flag = st.sampled_from(["true", "false"])
    partitions, runs = {}, {}
    for period in periods:
        if draw(st.booleans()):
            restated = draw(st.none() | hours)
            partitions[period.id] = facts(
                period,
                submitted_at=text(period.end_utc + timedelta(hours=draw(hours))),
                reads_previous=draw(flag),
                restated_at="" if restated is None else text(period.end_utc + timedelta(hours=restated)),
                provisional=draw(flag),
                partial=draw(flag),
                checks_warned=str(draw(st.integers(0, 2))),
            )
        if draw(st.booleans()):
            state = draw(st.sampled_from(["queued", "running", "failed"]))
            ended = period.end_utc + timedelta(hours=draw(hours)) if state == "failed" else None
            runs[period.id] = Run(f"attempt-{period.id}", state, ended)
    return cadence, periods, partitions, runs


def expected_states(period: Period, partitions: Mapping[str, Mapping[str, str]], runs: Mapping[str, Run]) -> set[str]:
    """By the words of the definition, one period at a time, with instants where the code compares texts."""
    mine, before, run = (
        partitions.get(period.id),
        partitions.get(period.previous.id),
        runs.get(period.id),
    )
    states = {"missing"} if mine is None else {"published"}
    if run is not None and run.state in ("queued", "running"):
        states.add("running")
    if run is not None and run.state == "failed":
        assert run.ended_at is not None
        if mine is None or run.ended_at > datetime.fromisoformat(mine["published_at"]):
            states.add("failed")
    if mine is not None:
        states |= {name for name in ("provisional", "partial") if mine[name] == "true"}
        if mine["checks_warned"] != "0":
            states.add("warned")
        if mine["reads_previous"] == "true" and before is not None and before["restated_at"]:
            restated = datetime.fromisoformat(before["restated_at"])
            if restated > datetime.fromisoformat(mine["submitted_at"]):
                states.add("stale")
    return states


@given(situations())
def test_states_are_those_of_the_oracle_and_the_worst_comes_first(situation: Any) -> None:
    cadence, periods, partitions, runs = situation
    found = coverage(cadence, partitions, runs, since=SINCE, now=periods[-1].end_utc)
    assert [cell.period for cell in found.cells] == periods
    assert not found.problems
    order = ["running", "failed", "missing", "stale", "partial", "warned", "provisional", "published"]
    for cell in found.cells:
        expected = expected_states(cell.period, partitions, runs)
        assert list(cell.states) == [name for name in order if name in expected]
        assert (cell.published is None) == (cell.period.id not in partitions)
        assert (cell.run is not None) == bool({"running", "failed"} & expected)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_period_is_listed_from_the_instant_at_which_it_is_due(seconds: int) -> None:
    last = WEEKS.period("2026-06-07")
    until = last.end_utc + timedelta(seconds=seconds)
    found = coverage(WEEKS, {}, {}, since=datetime(2026, 5, 1, tzinfo=UTC), now=until)
    assert [cell.period.id for cell in found.cells] == [
        "2026-05-03",
        "2026-05-10",
        "2026-05-17",
        "2026-05-24",
        "2026-05-31",
        *["2026-06-07"] * (seconds >= 0),
    ]
    assert {cell.states for cell in found.cells} == {(State.MISSING,)}


def test_a_run_for_a_period_that_is_not_over_is_not_listed_but_one_before_its_time_is() -> None:
    this, following = periods_from(WEEKS.period("2026-06-07"), 2)
    runs = {this.id: Run("by-hand", "running"), following.id: Run("too-early", "failed", this.end_utc)}
    delay = timedelta(minutes=5)
    found = coverage(WEEKS, {}, runs, since=this.start_utc, now=this.end_utc + delay / 2, delay=delay)
    assert [(cell.period.id, cell.states[0]) for cell in found.cells] == [(this.id, State.RUNNING)]


def test_what_is_published_before_the_report_began_is_listed_too() -> None:
    early = WEEKS.period("2020-01-05")
    found = coverage(WEEKS, {early.id: facts(early)}, {}, since=SINCE, now=WEEKS.first_from(SINCE).end_utc)
    assert [cell.period.id for cell in found.cells] == ["2020-01-05", "2024-03-10"]


@pytest.mark.parametrize(
    ("period_id", "parameters", "says"),
    [
        ("2026-03-02", facts(WEEKS.period("2026-03-01")), "2026-03-02"),
        ("2026-03", facts(WEEKS.period("2026-03-01")), "'2026-03'"),
        ("2026-03-01", {}, "version: Field required"),
        (
            "2026-03-01",
            facts(WEEKS.period("2026-03-01"), rows="many"),
            "rows: Input should be a valid integer",
        ),
    ],
)
def test_a_foreign_partition_is_named_and_hides_nothing(period_id: str, parameters: dict[str, str], says: str) -> None:
    good = WEEKS.period("2026-02-22")
    found = coverage(
        WEEKS,
        {period_id: parameters, good.id: facts(good)},
        {},
        since=good.start_utc,
        now=good.next.end_utc,
    )
    (problem,) = found.problems
    assert says in problem
    assert [cell.period.id for cell in found.cells] == ["2026-02-22", "2026-03-01"]
    assert [cell.published is None for cell in found.cells] == [False, True]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.builds(
                Run,
                st.text("xyz", min_size=1, max_size=3),
                st.sampled_from(["queued", "running", "failed", "success"]),
                st.integers(0, 200).map(lambda hours: SINCE + timedelta(hours=hours)),
            ),
        )
    )
)
def test_a_run_under_way_counts_before_the_one_that_ended_last(runs: list[tuple[str, Run]]) -> None:
    found = current_runs(runs)
    assert set(found) == {period_id for period_id, _ in runs}
    for period_id, run in found.items():
        mine = [other for other_id, other in runs if other_id == period_id]
        active = [other for other in mine if other.state in ("queued", "running")]
        assert run in (active or mine)
        assert run.ended_at is not None
        assert all(other.ended_at <= run.ended_at for other in (active or mine))  # type: ignore[operator]


# A plan

IDS = [period.id for period in periods_from(WEEKS.period("2026-03-01"), 8)]


def cells_of(partitions: Mapping[str, dict[str, str]], runs: Mapping[str, Run] = {}) -> list[Cell]:
    since, now = WEEKS.period(IDS[0]).start_utc, WEEKS.period(IDS[-1]).end_utc
    return list(coverage(WEEKS, partitions, runs, since=since, now=now).cells)


def published(period_id: str, **changes: str) -> dict[str, str]:
    return facts(WEEKS.period(period_id), **changes)


@given(
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["true", "false"])),
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["failed", "queued", "running"])),
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["", "the run"])),
    st.sets(st.sampled_from([State.MISSING, State.FAILED, State.PARTIAL])),
    st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).map(sorted),
)
def test_a_plan_runs_each_chosen_period_once_by_the_run_of_its_logical_date(
    partial: Any, active: Any, dated: Any, wanted: set[State], ends: list[str]
) -> None:
    partitions = {id: published(id, partial=flag) for id, flag in partial.items()}
    cells = cells_of(partitions, {id: Run("x", state) for id, state in active.items()})
    made = plan(cells, *ends, wanted, dated)
    assert list(made.starts) == [
        Start(cell.period, run_id=dated.get(cell.period.id, ""), has_logical_date=cell.period.id not in dated)
        for cell in cells
        if ends[0] <= cell.period.id <= ends[1]
        and wanted & set(cell.states)
        and active.get(cell.period.id) not in ("queued", "running")
    ]


def test_what_a_plan_costs_is_the_mean_of_what_was_paid() -> None:
    paid = [("1000", "0.25"), ("3000", "0.75")]
    partitions = {
        id: published(id, scanned_bytes=scanned, price_usd=price)
        for id, (scanned, price) in zip(IDS, paid, strict=False)
    }
    made = plan(cells_of(partitions), IDS[0], IDS[4], [State.MISSING], {})
    assert (len(made.starts), made.scanned_bytes, made.price_usd) == (3, 6000, 1.5)
    unknown = plan(cells_of({}), IDS[0], IDS[0], [State.MISSING], {})
    assert (len(unknown.starts), unknown.scanned_bytes, unknown.price_usd) == (1, None, None)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (IDS[2], IDS[1], "inverted"),
        ("2026-03-02", IDS[1], "'2026-03-02' is not a period"),
        (IDS[0], "2031-01-05", "'2031-01-05' is not a period"),
    ],
)
def test_a_range_that_does_not_exist_is_refused_with_what_to_do(first: str, last: str, says: str) -> None:
    with pytest.raises(RangeError, match=says):
        plan(cells_of({}), first, last, [State.MISSING], {})
