"""The state of every period, against a slow oracle that asks period by period."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import Cell, Run, State, coverage, current_runs, plan
from athena_reports.periods.calendar import Cadence, Period, daily, monthly, quarterly, weekly, yearly
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.scheduling.timetable import PeriodTimetable

WEEKS = weekly("sunday", timezone="Asia/Tokyo")
WEEKLY = PeriodTimetable(WEEKS)
CADENCES = [
    *(WEEKS, weekly("monday", timezone="America/New_York"), daily("Europe/Berlin")),
    *(monthly("Asia/Tokyo"), quarterly("UTC"), yearly("America/Sao_Paulo")),
]
DELAY = timedelta(minutes=5)
SINCE = datetime(2024, 3, 6, 5, tzinfo=UTC)
Partitions = Mapping[str, Mapping[str, str]]


def periods_from(period: Period, number: int) -> list[Period]:
    return list(accumulate(range(number - 1), lambda each, _: each.next, initial=period))


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def facts(period: Period, **changes: str) -> dict[str, str]:
    """What the partition of a period says, published an hour after the period."""
    times = dict.fromkeys(["published_at", "submitted_at", "settles_at"], text(period.end_utc + timedelta(hours=1)))
    places = {"start": period.start.isoformat(), "end": period.end.isoformat(), "restated_at": "", "broken": ""}
    return dict.fromkeys(PartitionFacts.model_fields, "0") | {"paid": "{}"} | times | places | changes


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
                broken=draw(st.sampled_from(["", "it is gone"])),
            )
        if draw(st.booleans()):
            state = draw(st.sampled_from(["queued", "running", "failed"]))
            ended = text(period.end_utc + timedelta(hours=draw(hours))) if state == "failed" else ""
            runs[period.id] = Run(f"attempt-{period.id}", state, ended)
    return cadence, periods, partitions, runs


def expected_states(period: Period, partitions: Partitions, runs: Mapping[str, Run]) -> set[str]:
    """By the words of the definition, one period at a time, with instants where the code compares texts."""
    mine, before, run = partitions.get(period.id), partitions.get(period.previous.id), runs.get(period.id)
    states = {"missing"} if mine is None else {"broken"} if mine["broken"] else {"published"}
    if run is not None and run.state in ("queued", "running"):
        states.add("running")
    elif run is not None:
        ended_at = datetime.fromisoformat(run.ended_at)
        if mine is None or ended_at > datetime.fromisoformat(mine["published_at"]):
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
    found = coverage(PeriodTimetable(cadence), partitions, runs, SINCE, periods[-1].end_utc)
    assert [cell.period for cell in found.cells] == periods
    assert not found.problems
    order = ["running", "failed", "missing", "broken", "stale", "partial", "warned", "provisional", "published"]
    for cell in found.cells:
        expected = expected_states(cell.period, partitions, runs)
        assert list(cell.states) == [name for name in order if name in expected]
        assert (cell.published is None) == (cell.period.id not in partitions)
        assert (cell.run is not None) == bool({"running", "failed"} & expected)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_period_is_listed_from_the_instant_at_which_it_is_due(seconds: int) -> None:
    first, *_, last = periods = periods_from(WEEKS.period("2026-05-03"), 6)
    since, now = first.start_utc - timedelta(days=1), last.end_utc + DELAY + timedelta(seconds=seconds)
    found = coverage(PeriodTimetable(WEEKS, DELAY), {}, {}, since, now)
    assert [cell.period for cell in found.cells] == (periods if seconds >= 0 else periods[:-1])
    assert {cell.states for cell in found.cells} == {(State.MISSING,)}


def test_others_are_listed_if_they_are_published_or_have_a_run_and_are_over() -> None:
    this, following = periods_from(WEEKS.period("2026-06-07"), 2)
    early = WEEKS.period("2020-01-05")
    runs = {this.id: Run("by-hand", "running"), following.id: Run("too-early", "failed", text(this.end_utc))}
    partitions, now = {early.id: facts(early)}, this.end_utc + DELAY / 2
    found = coverage(PeriodTimetable(WEEKS, DELAY), partitions, runs, this.start_utc, now)
    assert [(cell.period, cell.states[0]) for cell in found.cells] == [(early, "published"), (this, "running")]


GOOD = facts(WEEKS.period("2026-03-01"))


@pytest.mark.parametrize(
    ("period_id", "parameters", "says"),
    [
        ("2026-03-02", GOOD, "2026-03-02"),
        ("2026-03", GOOD, "'2026-03'"),
        ("2026-03-01", {}, "version: Field required"),
        ("2026-03-01", GOOD | {"rows": "many"}, "rows: Input should be a valid integer"),
    ],
)
def test_a_foreign_partition_is_named_and_hides_nothing(period_id: str, parameters: Any, says: str) -> None:
    good = WEEKS.period("2026-02-22")
    partitions = {period_id: parameters, good.id: facts(good)}
    found = coverage(WEEKLY, partitions, {}, good.start_utc, good.next.end_utc)
    (problem,) = found.problems
    assert says in problem
    assert [(cell.period, cell.published is None) for cell in found.cells] == [(good, False), (good.next, True)]


STATES = st.sampled_from(["queued", "running", "failed", "success"])
TIMES = st.integers(0, 200).map(lambda hours: text(SINCE + timedelta(hours=hours)))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.builds(Run, st.just("x"), STATES, TIMES)), max_size=8))
def test_an_active_run_counts_before_the_one_that_ended_last(runs: list[tuple[str, Run]]) -> None:
    found = current_runs(runs)
    assert set(found) == {period_id for period_id, _ in runs}
    for period_id, run in found.items():
        mine = [other for other_id, other in runs if other_id == period_id]
        best = [other for other in mine if other.state in ("queued", "running")] or mine
        assert run in best
        assert run.ended_at == max(other.ended_at for other in best)


IDS = [period.id for period in periods_from(WEEKS.period("2026-03-01"), 8)]


def cells_of(partitions: Partitions, runs: Mapping[str, Run] = {}) -> Sequence[Cell]:
    since, now = WEEKS.period(IDS[0]).start_utc, WEEKS.period(IDS[-1]).end_utc
    return coverage(WEEKLY, partitions, runs, since, now).cells


@given(
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["true", "false"])),
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["failed", "queued", "running"])),
    st.sets(st.sampled_from([State.MISSING, State.FAILED, State.PARTIAL])),
    st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).map(sorted),
)
def test_a_plan_has_the_chosen_periods_of_the_range_without_an_active_run(
    partial: Any, runs: Any, wanted: set[State], ends: list[str]
) -> None:
    partitions = {id: facts(WEEKS.period(id), partial=flag) for id, flag in partial.items()}
    cells = cells_of(partitions, {id: Run("x", state) for id, state in runs.items()})
    assert list(plan(cells, *ends, wanted).periods) == [
        cell.period
        for cell in cells
        if ends[0] <= cell.period.id <= ends[1]
        and wanted & set(cell.states)
        and runs.get(cell.period.id) not in ("queued", "running")
    ]


def test_what_a_plan_costs_is_the_median_of_what_was_paid_nearby() -> None:
    """A lake grows: what a period of long ago cost says little, and one odd price less."""
    weeks = periods_from(WEEKS.period(IDS[0]), 40)
    prices = ["0.25"] * 10 + ["0.75"] * 30
    prices[38] = "900"
    partitions = {
        week.id: facts(week, scanned_bytes=str(4000 * float(price)), price_usd=price)
        for week, price in zip(weeks, prices, strict=True)
        if week not in (weeks[0], weeks[4], weeks[39])
    }
    cells = coverage(WEEKLY, partitions, {}, weeks[0].start_utc, weeks[-1].end_utc).cells
    early, late = (plan(cells, week.id, week.id, [State.MISSING]) for week in (weeks[4], weeks[39]))
    assert (early.scanned_bytes, early.price_usd) == (1000, 0.25)
    assert (late.scanned_bytes, late.price_usd) == (3000, 0.75)
    both = plan(cells, weeks[0].id, weeks[39].id, [State.MISSING])
    assert (len(both.periods), both.scanned_bytes, both.price_usd) == (3, 5000, 1.25)
    del partitions[weeks[38].id]["price_usd"]  # of a query on a reservation
    cells = coverage(WEEKLY, partitions, {}, weeks[0].start_utc, weeks[-1].end_utc).cells
    assert plan(cells, weeks[39].id, weeks[39].id, [State.MISSING])[1:] == (3000, None)
    unknown = plan(cells_of({}), IDS[0], IDS[0], [State.MISSING])
    assert (len(unknown.periods), unknown.scanned_bytes, unknown.price_usd) == (1, None, None)


@pytest.mark.parametrize(
    ("published", "today", "states"),
    [
        ("v2:other", "v2:today", [State.OUTDATED, State.PUBLISHED]),
        ("v2:today", "v2:today", [State.PUBLISHED]),
        ("0123456789abcdef", "v2:today", [State.PUBLISHED]),  # by an older version of the package
        ("", "v2:today", [State.PUBLISHED]),  # by a DAG that says nothing of it
        ("v2:other", "", [State.PUBLISHED]),
    ],
)
def test_a_period_of_other_logic_than_todays_is_outdated_and_can_be_filled(
    published: str, today: str, states: list[State]
) -> None:
    period = WEEKS.first_from(SINCE)
    said = facts(period, logic=published, provisional="false", partial="false", reads_previous="false")
    cells = coverage(WEEKLY, {period.id: said}, {}, period.start_utc, period.end_utc + DELAY, logic=today).cells
    assert [*cells[0].states] == states
    chosen = plan(cells, period.id, period.id, [State.OUTDATED]).periods
    assert [each.id for each in chosen] == [period.id] * (State.OUTDATED in states)
