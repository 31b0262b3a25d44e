"""The state of every period, against a slow oracle that asks period by period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import (
    Cell,
    OverviewError,
    Published,
    Run,
    State,
    current_runs,
    overview,
    plan,
    stale,
)
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


def expected_states(
    period: Period, partitions: Mapping[str, Mapping[str, str]], runs: Mapping[str, Run]
) -> set[str]:
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
    found = overview(cadence, partitions, runs, since=SINCE, now=periods[-1].end_utc)
    assert [cell.period for cell in found.cells] == periods
    assert not found.problems
    order = ["running", "failed", "missing", "stale", "partial", "warned", "provisional", "published"]
    for cell in found.cells:
        expected = expected_states(cell.period, partitions, runs)
        assert list(cell.states) == [name for name in order if name in expected]
        assert cell.state == cell.states[0]
        assert cell.is_hole == (cell.period.id not in partitions)
        assert (cell.run is not None) == bool({"running", "failed"} & expected)


@given(situations())
def test_stale_is_every_period_that_the_overview_calls_so_in_order(situation: Any) -> None:
    cadence, periods, partitions, _ = situation
    found = overview(cadence, partitions, {}, since=SINCE, now=periods[-1].end_utc)
    assert stale(partitions) == [cell.period.id for cell in found.cells if State.STALE in cell.states]


def test_a_gap_between_two_periods_is_no_reason_to_be_stale() -> None:
    first, _, third = periods_from(WEEKS.period("2026-03-01"), 3)
    late = text(third.end_utc + timedelta(days=9))
    partitions = {
        first.id: facts(first, restated_at=late),
        third.id: facts(third, reads_previous="true"),
    }
    assert stale(partitions) == []


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_period_is_listed_from_the_instant_at_which_it_is_due(seconds: int) -> None:
    last = WEEKS.period("2026-06-07")
    until = last.end_utc + timedelta(seconds=seconds)
    found = overview(WEEKS, {}, {}, since=datetime(2026, 5, 1, tzinfo=UTC), now=until)
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
    found = overview(WEEKS, {}, runs, since=this.start_utc, now=this.end_utc + delay / 2, delay=delay)
    assert [(cell.period.id, cell.state) for cell in found.cells] == [(this.id, State.RUNNING)]


def test_what_is_published_before_the_report_began_is_listed_too() -> None:
    early = WEEKS.period("2020-01-05")
    found = overview(WEEKS, {early.id: facts(early)}, {}, since=SINCE, now=WEEKS.first_from(SINCE).end_utc)
    assert [cell.period.id for cell in found.cells] == ["2020-01-05", "2024-03-10"]


@pytest.mark.parametrize(
    ("period_id", "parameters", "says"),
    [
        ("2026-03-02", facts(WEEKS.period("2026-03-01")), "2026-03-02"),
        ("2026-03", facts(WEEKS.period("2026-03-01")), "'2026-03'"),
        ("2026-03-01", {}, "does not say"),
        ("2026-03-01", facts(WEEKS.period("2026-03-01"), rows="many"), "many"),
        ("2026-03-01", facts(WEEKS.period("2026-03-01"), published_at="2026-03-01T00:00:00"), "no zone"),
    ],
)
def test_a_foreign_partition_is_named_and_hides_nothing(
    period_id: str, parameters: dict[str, str], says: str
) -> None:
    good = WEEKS.period("2026-02-22")
    found = overview(
        WEEKS,
        {period_id: parameters, good.id: facts(good)},
        {},
        since=good.start_utc,
        now=good.next.end_utc,
    )
    (problem,) = found.problems
    assert says in problem
    assert [cell.period.id for cell in found.cells] == ["2026-02-22", "2026-03-01"]
    assert [cell.is_hole for cell in found.cells] == [False, True]


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


def cells_of(states: Mapping[str, Any]) -> list[Cell]:
    """Make cells: for each period id None for a hole, a Run for a hole with that run, or published facts."""
    runs = {id: value for id, value in states.items() if isinstance(value, Run)}
    partitions = {id: value for id, value in states.items() if isinstance(value, dict)}
    periods = [WEEKS.period(id) for id in states if id != LONG_AGO]
    found = overview(WEEKS, partitions, runs, since=periods[0].start_utc, now=periods[-1].end_utc)
    return list(found.cells)


LONG_AGO = "2024-06-02"
IDS = [period.id for period in periods_from(WEEKS.period("2026-03-01"), 8)]
OPEN = [State.MISSING, State.FAILED, State.STALE]


def published(period_id: str, **changes: str) -> dict[str, str]:
    return facts(WEEKS.period(period_id), **changes)


def airflow_runs(backfill: Any, scheduled: Mapping[str, Run]) -> list[str]:
    """What Airflow's backfill runs: what starts in the range, but for periods with a run that stays."""
    starts = [WEEKS.containing(moment).id for moment in (backfill.from_date, backfill.to_date)]
    return [
        period.id
        for period in WEEKS.periods(*starts)
        if period.id not in scheduled
        or (backfill.reprocess == "failed" and scheduled[period.id].state == "failed")
    ]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Cell], dict[str, Run], list[State], str, str]:
    """Periods in any state; one long before the others may be listed, because somebody ran it by hand."""
    states: dict[str, Any] = {}
    scheduled: dict[str, Run] = {}
    ended = WEEKS.period(IDS[-1]).end_utc + timedelta(days=30)
    if draw(st.booleans()):
        states[LONG_AGO] = Run(f"m-{LONG_AGO}", "failed", ended)
    for period_id in IDS:
        run_state = draw(st.sampled_from([None, "success", "failed", "queued"]))
        of_another = draw(st.booleans())
        run = run_state and Run(
            f"s-{period_id}", run_state, None if run_state == "queued" else ended, of_another
        )
        if run:
            scheduled[period_id] = run
        if draw(st.booleans()):
            states[period_id] = published(period_id, partial=draw(st.sampled_from(["true", "false"])))
        else:
            states[period_id] = run if run and not of_another and run.state != "success" else None
    ids = list(states)
    first, last = sorted(draw(st.tuples(st.sampled_from(ids), st.sampled_from(ids))))
    wanted = draw(st.lists(st.sampled_from([*OPEN, State.PARTIAL]), unique=True))
    return cells_of(states), scheduled, wanted, first, last


@given(plans())
def test_a_plan_runs_what_was_chosen_and_nothing_else_each_once(drawn: Any) -> None:
    cells, scheduled, wanted, first, last = drawn
    known = {run.run_id for run in scheduled.values()} | {f"m-{LONG_AGO}"}
    made = plan(cells, first, last, wanted, scheduled=scheduled, run_ids=known)
    chosen = {
        cell.period.id
        for cell in cells
        if first <= cell.period.id <= last
        and set(cell.states) & set(wanted)
        and cell.states[0] != State.RUNNING
    }
    reruns = [rerun.period_id for rerun in made.reruns]
    backfilled = list(made.backfill.periods) if made.backfill else []
    assert sorted([*reruns, *backfilled]) == sorted(chosen)
    assert reruns == sorted(reruns)
    assert made.runs == len(reruns) + len(backfilled)
    if made.backfill:
        assert backfilled == airflow_runs(made.backfill, scheduled)
        assert not any(scheduled[each].is_of_another for each in backfilled if each in scheduled)
        assert set(backfilled) <= {cell.period.id for cell in cells if cell.is_hole}
    for rerun in made.reruns:
        assert rerun.run_id in known or rerun.run_id == ""
        assert rerun.run_id == "" or rerun.run_id.endswith(rerun.period_id)
        assert not any(run.is_of_another for run in scheduled.values() if run.run_id == rerun.run_id)


def test_holes_go_as_one_backfill_over_periods_that_have_their_run() -> None:
    done = {id: Run(f"s-{id}", "success") for id in IDS}
    failed = Run("s-failed", "failed", WEEKS.period(IDS[7]).end_utc)
    cells = cells_of({IDS[0]: None, IDS[1]: published(IDS[1]), IDS[2]: None, IDS[3]: failed})
    scheduled = {IDS[1]: done[IDS[1]], IDS[3]: failed}
    made = plan(cells, IDS[0], IDS[3], OPEN, scheduled=scheduled, run_ids=["s-failed"])
    assert made.backfill is not None
    assert (made.backfill.periods, made.backfill.reprocess) == ((IDS[0], IDS[2], IDS[3]), "failed")
    assert not made.reruns
    # Airflow has forgotten the run between: a backfill would pay for that period again.
    made = plan(cells, IDS[0], IDS[2], OPEN, scheduled={}, run_ids=[])
    assert made.backfill is None
    assert [(rerun.period_id, rerun.run_id) for rerun in made.reruns] == [(IDS[0], ""), (IDS[2], "")]


def test_what_a_plan_costs_is_the_mean_of_what_was_paid() -> None:
    cells = cells_of(
        {
            IDS[0]: published(IDS[0], scanned_bytes="1000", price_usd="0.25"),
            IDS[1]: published(IDS[1], scanned_bytes="3000", price_usd="0.75"),
            IDS[2]: None,
            IDS[3]: None,
            IDS[4]: None,
        }
    )
    made = plan(cells, IDS[0], IDS[4], [State.MISSING], scheduled={}, run_ids=[])
    assert (made.runs, made.scanned_bytes, made.price_usd, made.backfill_bytes) == (3, 6000, 1.5, 6000)
    nothing = cells_of({IDS[0]: None})
    unknown = plan(nothing, IDS[0], IDS[0], [State.MISSING], scheduled={}, run_ids=[])
    assert (unknown.runs, unknown.scanned_bytes, unknown.price_usd) == (1, None, None)
    assert unknown.backfill_bytes is None


def test_runs_of_backfills_and_those_that_are_triggered_count_for_the_budget() -> None:
    """A run keeps its id when it is cleared."""
    run_ids = ["backfill__0", "manual__1"]
    cells = cells_of(
        {
            id: published(id, provisional="true", run_id=run_id, scanned_bytes="1000")
            for id, run_id in zip(IDS, [*run_ids, "forgotten"], strict=False)
        }
    )
    made = plan(cells, IDS[0], IDS[2], [State.PROVISIONAL], scheduled={}, run_ids=run_ids)
    assert [rerun.run_id for rerun in made.reruns] == [*run_ids, ""]
    assert (made.scanned_bytes, made.backfill_bytes) == (3000, 2000)


def test_a_stale_period_is_restated_by_the_run_that_published_it_or_else_by_a_new_one() -> None:
    late = text(WEEKS.period(IDS[7]).end_utc)
    cells = cells_of(
        {
            IDS[0]: published(IDS[0], restated_at=late),
            IDS[1]: published(IDS[1], reads_previous="true", restated_at=late, run_id="manual-1"),
            IDS[2]: published(IDS[2], reads_previous="true", run_id="forgotten"),
        }
    )
    made = plan(cells, IDS[0], IDS[2], OPEN, scheduled={}, run_ids=["manual-1"])
    assert made.backfill is None
    assert [(rerun.period_id, rerun.run_id) for rerun in made.reruns] == [(IDS[1], "manual-1"), (IDS[2], "")]


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (IDS[2], IDS[1], "inverted"),
        ("2026-03-02", IDS[1], "'2026-03-02' is no period"),
        (IDS[0], "2031-01-05", "'2031-01-05' is no period"),
    ],
)
def test_a_range_that_is_none_is_refused_with_what_to_do(first: str, last: str, says: str) -> None:
    cells = cells_of(dict.fromkeys(IDS[:3]))
    with pytest.raises(OverviewError, match=says):
        plan(cells, first, last, OPEN, scheduled={}, run_ids=[])


def test_published_keeps_what_a_partition_says() -> None:
    period = WEEKS.period(IDS[0])
    made = Published.from_parameters(published(IDS[0], provisional="true", checks_warned="2"))
    assert made == Published(
        version="0123456789abcdef",
        rows=100,
        bytes=2048,
        published_at=period.end_utc + timedelta(hours=1),
        provisional=True,
        partial=False,
        scanned_bytes=1000,
        price_usd=0.5,
        query_id="q",
        run_id=f"run-{period.id}",
        checks_warned=2,
        earlier=0,
    )
