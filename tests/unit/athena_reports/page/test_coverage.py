"""The state of every period, against a slow oracle that asks period by period."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import PeriodCoverage, Run, State, period_coverage
from athena_reports.periods.calendar import (
    Cadence,
    Period,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)
from athena_reports.publication.manifest import PartitionFacts, Reading
from athena_reports.scheduling.timetable import PeriodTimetable
from tests.support.calendars import WEEKS
from tests.support.partition_facts import facts, periods_from, text

WEEKLY = PeriodTimetable(WEEKS)
CADENCES = [
    *(WEEKS, weekly("monday", timezone="America/New_York"), daily("Europe/Berlin")),
    *(monthly("Asia/Tokyo"), quarterly("UTC"), yearly("America/Sao_Paulo")),
]
DELAY = timedelta(minutes=5)
SINCE = datetime(2024, 3, 6, 5, tzinfo=UTC)
TODAY = "v3:today"


def coverage(
    timetable: PeriodTimetable,
    partitions: Mapping[str, PartitionFacts],
    runs: Mapping[str, Run],
    since: datetime,
    now: datetime,
    *,
    until: datetime | None = None,
    published: Mapping[str, Mapping[str, PartitionFacts]] = {},
) -> PeriodCoverage:
    return period_coverage(
        timetable,
        partitions,
        runs,
        since=since,
        until=until,
        now=now,
        logic=TODAY,
        published_of=lambda table: published.get(table, {}),
    )


@st.composite
def situations(
    draw: st.DrawFn,
) -> tuple[Cadence, list[Period], dict[str, PartitionFacts], dict[str, Run]]:
    cadence = draw(st.sampled_from(CADENCES))
    periods = periods_from(cadence.first_from(SINCE), draw(st.integers(1, 12)))
    hours = st.integers(-2, 400)
    partitions, runs = {}, {}
    for period in periods:
        if draw(st.booleans()):
            readings = draw(st.dictionaries(hours, st.sampled_from("ab"), max_size=3))
            partitions[period.id] = facts(
                period,
                submitted_at=text(period.end_utc + timedelta(hours=draw(hours))),
                reads_previous=draw(st.booleans()),
                readings=tuple(
                    Reading(digest=digest, since=text(period.end_utc + timedelta(hours=hour)))
                    for hour, digest in sorted(readings.items(), reverse=True)
                ),
                provisional=draw(st.booleans()),
                partial=draw(st.booleans()),
                rows=draw(st.integers(0, 1)),
                checks_warned=draw(st.integers(0, 2)),
                broken=draw(st.sampled_from(["", "it is gone"])),
                logic=draw(st.sampled_from(["", TODAY, "v3:other"])),
            )
        if draw(st.booleans()):
            state = draw(st.sampled_from(["queued", "running", "failed"]))
            ended = text(period.end_utc + timedelta(hours=draw(hours))) if state == "failed" else ""
            runs[period.id] = Run(f"attempt-{period.id}", state, ended)
    return cadence, periods, partitions, runs


def expected_states(
    period: Period, partitions: Mapping[str, PartitionFacts], runs: Mapping[str, Run]
) -> set[str]:
    """The states by the words of the definition, one period at a time.

    It compares instants, where the code compares texts.
    """
    mine, before = partitions.get(period.id), partitions.get(period.previous.id)
    run = runs.get(period.id)
    states = {"missing"} if mine is None else {"broken"} if mine.broken else {"published"}
    if run is not None and run.state in ("queued", "running"):
        states.add("running")
    elif run is not None:
        ended_at = datetime.fromisoformat(run.ended_at)
        if mine is None or ended_at > datetime.fromisoformat(mine.published_at):
            states.add("failed")
    if mine is not None:
        states |= {name for name in ("provisional", "partial") if getattr(mine, name)}
        if mine.checks_warned:
            states.add("warned")
        if not mine.rows:
            states.add("empty")
        if mine.logic == "v3:other":
            states.add("outdated")
        if mine.query.reads_previous and before is not None:
            submitted = datetime.fromisoformat(mine.query.submitted_at)
            readings = [
                (datetime.fromisoformat(each.since), each.digest) for each in before.readings
            ]
            digests = [digest for _, digest in sorted(readings)]
            read = sum(since <= submitted for since, _ in readings)
            if digests and digests[max(read - 1, 0)] != digests[-1]:
                states.add("stale")
    return states


@pytest.mark.parametrize(("minutes", "is_failed"), [(-1, False), (0, False), (1, True)])
def test_a_failed_run_counts_until_its_period_is_published_after_it(
    minutes: int, is_failed: bool
) -> None:
    """A restatement can fail beside what was published before."""
    week = WEEKS.first_from(SINCE)
    published_at = week.end_utc + timedelta(hours=1)
    ended_at = published_at + timedelta(minutes=minutes)
    partitions = {week.id: facts(week, published_at=text(published_at))}
    runs = {week.id: Run("restatement", "failed", text(ended_at))}
    (cell,) = coverage(WEEKLY, partitions, runs, SINCE, week.end_utc).cells
    assert (State.FAILED in cell.states) == is_failed


@given(situations())
def test_states_are_those_of_the_oracle_and_the_worst_comes_first(situation: Any) -> None:
    cadence, periods, partitions, runs = situation
    found = coverage(PeriodTimetable(cadence), partitions, runs, SINCE, periods[-1].end_utc)
    assert [cell.period for cell in found.cells] == periods
    assert not found.problems
    first = ["running", "failed", "missing", "broken", "stale", "outdated"]
    order = [*first, "partial", "warned", "empty", "provisional", "published"]
    for cell in found.cells:
        expected = expected_states(cell.period, partitions, runs)
        assert list(cell.states) == [name for name in order if name in expected]
        assert (cell.published is None) == (cell.period.id not in partitions)
        assert (cell.run is not None) == bool({"running", "failed"} & expected)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_period_is_listed_from_the_instant_at_which_it_is_due(seconds: int) -> None:
    first, *_, last = periods = periods_from(WEEKS.period("2026-05-03"), 6)
    since = first.start_utc - timedelta(days=1)
    now = last.end_utc + DELAY + timedelta(seconds=seconds)
    found = coverage(PeriodTimetable(WEEKS, DELAY), {}, {}, since, now)
    assert [cell.period for cell in found.cells] == (periods if seconds >= 0 else periods[:-1])
    assert {tuple(cell.states) for cell in found.cells} == {(State.MISSING,)}


@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_report_has_no_period_that_starts_after_its_end(seconds: int) -> None:
    periods = periods_from(WEEKS.period("2026-05-03"), 6)
    until = periods[3].start_utc + timedelta(seconds=seconds)
    found = coverage(WEEKLY, {}, {}, periods[0].start_utc, periods[-1].end_utc, until=until)
    assert [cell.period for cell in found.cells] == periods[: 3 if seconds < 0 else 4]


def test_others_are_listed_if_they_are_published_or_have_a_run_and_are_over() -> None:
    this, following, later = periods_from(WEEKS.period("2026-06-07"), 3)
    early = WEEKS.period("2020-01-05")
    runs = {
        this.id: Run("by-hand", "running"),
        following.id: Run("too-early", "failed", text(this.end_utc)),
    }
    partitions, now = {early.id: facts(early), later.id: facts(later)}, this.end_utc
    found = coverage(PeriodTimetable(WEEKS, DELAY), partitions, runs, this.start_utc, now)
    assert [(cell.period, cell.states[0]) for cell in found.cells] == [
        (early, "published"),
        (this, "running"),
        (later, "published"),
    ]


def test_a_partition_of_another_cadence_is_named_and_hides_nothing() -> None:
    good = WEEKS.period("2026-02-22")
    partitions = {"2026-03-02": facts(good), good.id: facts(good)}
    found = coverage(WEEKLY, partitions, {}, good.start_utc, good.next.end_utc)
    (problem,) = found.problems
    assert problem.startswith("'2026-03-02' is not the id of a week")
    assert problem.endswith(". If the cadence was changed, drop the partition.")
    assert [(cell.period, cell.published is None) for cell in found.cells] == [
        (good, False),
        (good.next, True),
    ]


def test_a_period_is_stale_if_a_part_has_another_version_than_it_read() -> None:
    weeks = periods_from(WEEKS.first_from(SINCE), 3)
    read = [{"2025-06-01": "v1", "2025-06-02": "v1", "gone": "v1"}, {"2025-06-01": "v1"}]
    partitions = {
        week.id: facts(week, logic=TODAY, parts={"days_daily": versions})
        for week, versions in zip(weeks, read, strict=False)
    }
    days = {day: facts(daily("UTC").period(day)) for day in ("2025-06-01", "2025-06-02")}
    days["2025-06-02"] = days["2025-06-02"].model_copy(update={"version": "v2"})
    published = {"days_daily": days}
    cells = coverage(WEEKLY, partitions, {}, SINCE, weeks[-1].end_utc, published=published).cells
    assert [State.STALE in cell.states for cell in cells][:2] == [True, False]
