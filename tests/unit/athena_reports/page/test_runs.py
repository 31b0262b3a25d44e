"""What the page finds of reports and their runs in a metadata database, as Airflow fills it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.models import DagModel
from airflow.models.backfill import Backfill
from airflow.models.serialized_dag import SerializedDagModel
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from athena_reports.page.coverage import Run
from athena_reports.page.runs import (
    DatedRun,
    current_runs,
    dated_runs,
    last_run_changes,
    report_dags,
    unfinished_runs,
)
from athena_reports.steps.missing_inputs import MissingInputs
from tests.support.calendars import WEEKS
from tests.support.partition_facts import periods_from, text
from tests.unit.athena_reports.page.metadata import add_run, add_task, dated

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SINCE = datetime(2024, 3, 6, 5, tzinfo=UTC)
WEEK = WEEKS.period("2026-03-01")


def test_the_reports_among_some_dags_are_those_that_a_report_made(session: Session) -> None:
    no_reports = ["tagged_weekly", "undated_weekly", "other", "nothing"]
    ids = ["texts_weekly", "plays_weekly", "plays_monthly", *no_reports]
    session.execute(update(DagModel).values(is_paused=DagModel.dag_id == "plays_monthly"))
    monthly, weekly, texts = report_dags(ids, session)
    shown = [(dag.dag_id, dag.report, dag.is_paused) for dag in (monthly, weekly, texts)]
    assert shown == [
        ("plays_monthly", "plays", True),
        ("plays_weekly", "plays", False),
        ("texts_weekly", "texts", False),
    ]
    assert (weekly.cadence, weekly.since, weekly.until) == (WEEKS, WEEK.start_utc, None)
    assert (weekly.has_table, texts.has_table) == (True, False)
    assert texts.until is not None
    assert WEEKS.containing(texts.until).id == "2026-03-15"
    assert weekly.logic.startswith("v3:")
    session.execute(update(DagModel).values(is_stale=True))  # its file is gone
    assert report_dags(ids, session) == []


def test_a_dag_whose_stored_timetable_is_not_understood_hides_no_other(session: Session) -> None:
    """As another version of the library has stored it, or one in a zone that is gone here."""
    is_weekly = SerializedDagModel.dag_id == "plays_weekly"
    data = session.scalar(select(SerializedDagModel._data).where(is_weekly))
    assert data["dag"]["timetable"]["__var"].keys() == {"cadence", "delay_seconds"}
    for cadence in (
        {"unit": "weekly", "timezone": "Mars/Phobos", "first_day": "sunday"},
        {"unit": "hourly", "timezone": "UTC", "first_day": None},
        None,
    ):
        data["dag"]["timetable"]["__var"] = {"cadence": cadence, "delay_seconds": 0}
        session.execute(update(SerializedDagModel).where(is_weekly).values(_data=data))
        session.expunge_all()

        dags = report_dags(["plays_weekly", "plays_monthly", "texts_weekly"], session)

        assert [dag.dag_id for dag in dags] == ["plays_monthly", "texts_weekly"], cadence


def test_a_run_counts_for_its_period_unless_it_succeeded(session: Session) -> None:
    ended = WEEK.end_utc + timedelta(hours=3)
    add_run(session, "by-param", "queued", conf={"period": WEEK.next.id})
    # The trigger form sends null for an empty field.
    add_run(session, "by-date", "failed", ended=ended, conf={"period": None}, **dated(WEEK))
    add_run(session, "before", "failed", ended=ended - timedelta(hours=1), conf={"period": WEEK.id})
    add_run(session, "of-nothing", "failed", ended=ended, conf={"period": "2026-13"})
    add_run(session, "done", "success", ended=ended, conf={"period": WEEK.next.next.id})
    assert unfinished_runs(report_dags(["plays_weekly", "texts_weekly"], session), session) == {
        "plays_weekly": {
            WEEK.id: Run("by-date", "failed", text(ended)),
            WEEK.next.id: Run("by-param", "queued"),
        },
        "texts_weekly": {},
    }


def test_the_runs_of_a_report_and_of_those_that_it_reads_tell_when_it_may_have_changed(
    session: Session,
) -> None:
    for dag_id in ("plays_weekly", "texts_weekly"):
        add_run(session, "first", "running", dag_id=dag_id)
    sums = report_dags(["sums_weekly"], session)
    before = last_run_changes(sums, session)
    assert before.keys() == {"plays_weekly"}, "the report itself has no run yet"
    add_run(session, "second", "queued")
    assert last_run_changes(sums, session)["plays_weekly"] > before["plays_weekly"]


def test_a_run_that_waits_for_its_input_says_since_when_and_for_what(session: Session) -> None:
    waiting = MissingInputs(since=WEEK.end_utc, missing=("a is missing", "b is missing"))
    states = ["deferred", "up_for_reschedule", "running", "success", "failed"]
    period = WEEK
    expected = {}
    for state in states:
        add_run(session, state, "running", conf={"period": period.id})
        add_task(session, state, "wait_for_inputs", state, {"missing_inputs": waiting})
        waits = str(waiting) if state in ("deferred", "up_for_reschedule") else ""
        expected[period.id] = Run(state, "running", waits=waits)
        period = period.next
        # Scheduled runs of two DAGs often have the same id.
        add_run(session, state, "running", dag_id="plays_monthly")
        add_task(session, state, "wait_for_inputs", "deferred", dag_id="plays_monthly")
    dags = report_dags(["plays_weekly"], session)
    assert unfinished_runs(dags, session) == {"plays_weekly": expected}
    assert str(waiting) == (
        "Waiting for inputs since 2026-03-07 15:00 UTC: a is missing; b is missing."
    )


def test_a_dated_run_can_run_its_period_if_it_reports_it_and_no_backfill_was_cancelled(
    session: Session,
) -> None:
    weeks = periods_from(WEEK, 5)
    ended = {"completed_at": WEEK.end_utc}
    backfills = [
        ("active", "running", weeks[0], {}),
        ("done", "success", weeks[1], ended),
        ("cancelled", "failed", weeks[2], {**ended, "is_paused": True}),
        ("paused", "failed", weeks[4], {"is_paused": True}),
    ]
    bounds = {"from_date": weeks[0].start_utc, "to_date": weeks[-1].start_utc}
    for run_id, state, week, facts in backfills:
        backfill = Backfill(dag_id="plays_weekly", **bounds, **facts)
        session.add(backfill)
        session.flush()
        fields = {"run_type": "backfill", "backfill_id": backfill.id, **dated(week)}
        add_run(session, run_id, state, **fields)
    # Triggered with the date of a period, it reports the period before.
    before = (weeks[2].start_utc, weeks[2].end_utc)
    add_run(session, "triggered", "failed", logical_date=weeks[3].start_utc, data_interval=before)
    within = weeks[3].start_utc + timedelta(hours=1)
    add_run(session, "within", "failed", logical_date=within, data_interval=before)
    add_run(session, "undated", "failed", conf={"period": weeks[4].id})
    (dag,) = report_dags(["plays_weekly"], session)
    assert dated_runs(dag, session) == {
        weeks[0].id: DatedRun("active", can_run_period=True),
        weeks[1].id: DatedRun("done", can_run_period=True),
        weeks[2].id: DatedRun("cancelled", can_run_period=False),
        weeks[3].id: DatedRun("triggered", can_run_period=False),
        weeks[4].id: DatedRun("paused", can_run_period=True),  # it goes on when it is unpaused
    }


STATES = st.sampled_from(["queued", "running", "failed", "success"])
TIMES = st.integers(0, 200).map(lambda hours: text(SINCE + timedelta(hours=hours)))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.builds(Run, st.just("x"), STATES, TIMES)), max_size=8
    )
)
def test_an_active_run_counts_before_the_one_that_ended_last(runs: list[tuple[str, Run]]) -> None:
    found = current_runs(runs)
    assert set(found) == {period_id for period_id, _ in runs}
    for period_id, run in found.items():
        mine = [other for other_id, other in runs if other_id == period_id]
        best = [other for other in mine if other.state in ("queued", "running")] or mine
        assert run in best
        assert run.ended_at == max(other.ended_at for other in best)
