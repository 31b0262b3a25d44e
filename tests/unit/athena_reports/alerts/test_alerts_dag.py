"""Who is told what; that it arrives is tested in tests/services and tests/airflow."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import time_machine
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports import Cadence, Column, build_dag, daily, monthly, quarterly, weekly, yearly
from athena_reports.alerts import alerts_dag, notifying
from athena_reports.alerts.kinds import failure_record, warning_record
from athena_reports.alerts.notifying import NOTIFIER_LIMIT
from athena_reports.errors import ReportError
from athena_reports.rows.checks import CheckResult
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import Settings
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.calendars import UTC_WEEKS, WEEK, WEEKS
from tests.support.dag_files import parse_dags
from tests.support.declared import MakeReport
from tests.support.notifiers import Recorder
from tests.support.publishing import LATE, Place, facts

DAG_FILE = """
from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

from athena_reports import Report, build_dag, weekly

tell = [SnsNotifier(target_arn="arn", message="{{ alert.message }}")]
doc = "**Schedule.** **Input.** **Rerun.** **Permissions.**".replace(" ", "\\n")
plays = Report(name="plays", sql="plays.sql", since="2025-01-01", owner="analytics", doc=doc)
sundays = weekly("sunday", "Asia/Tokyo")
plays_weekly = build_dag(plays, sundays, due=timedelta(hours=6), on_late=tell)
"""


Build = Callable[..., Any]


@pytest.fixture(autouse=True)
def report_bucket(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket where callbacks note who was told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    return bucket


@pytest.fixture
def build(make_report: MakeReport) -> Build:
    return lambda **options: build_dag(make_report(), WEEKS, **options)


def fail(dag: Any, reason: str = "task_failure", run_id: str = "manual__1", **known: Any) -> None:
    """Call the callbacks as Airflow's DAG processor does for a failed run."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    if stored.has_on_failure_callback:
        for callback in dag.on_failure_callback:
            callback({"dag": dag, "run_id": run_id, "reason": reason, **known})


def told_of(dag: Any, recorder: Recorder, error: Exception, **known: Any) -> str:
    """What is told of a run whose task `transform` has failed with an error."""
    ti = TaskInstance("transform", **known)
    dag.get_task("transform").on_failure_callback[0]({"ti": ti, "exception": error})
    fail(dag, dag_run=DagRun(), ti=ti)
    (message,) = recorder.told
    return message


def test_a_failure_is_told_with_report_period_environment_reason_next_step_and_link(
    build: Build,
) -> None:
    recorder = Recorder()
    message = told_of(build(on_failure=[recorder]), recorder, ValueError("three rows too many"))
    assert f"plays_weekly, period {WEEK.id}, environment dev: failed.\n" in message
    assert "Reason: transform: three rows too many\n" in message
    assert message.endswith("/dags/plays_weekly/runs/manual__1")


def test_the_reason_of_a_failure_has_its_beginning_if_it_is_long(build: Build) -> None:
    """It is kept in an XCom, which is no place for a whole log."""
    recorder = Recorder()
    error = ValueError("row 1 is wrong; " + "x" * 1_000_000)
    message = told_of(build(on_failure=[recorder]), recorder, error)
    assert "Reason: transform: row 1 is wrong; xxx" in message
    assert len(message) < 10_000


def test_the_reason_of_a_report_with_a_private_column_quotes_nothing(
    make_report: MakeReport,
) -> None:
    """Nobody knows what the text of an error quotes."""
    columns = {"name": Column("varchar", "name", private=True), "n": Column("bigint", "number")}
    recorder = Recorder()
    dag = build_dag(make_report(columns=columns), WEEKS, on_failure=[recorder])
    message = told_of(dag, recorder, ValueError("Ann Example"))
    assert "Reason: transform: ValueError (its text may quote a private column" in message
    assert "Ann" not in message


def test_the_reason_of_a_mapped_task_is_that_of_the_one_that_failed(build: Build) -> None:
    """An author can add such tasks to a report."""
    recorder = Recorder()
    message = told_of(build(on_failure=[recorder]), recorder, OSError("of 3"), map_index=3)
    assert "Reason: transform: of 3\n" in message


def test_a_callback_tells_in_the_time_that_airflow_gives_it(
    make_report: MakeReport, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback of the DAG has more time than one of a task, which ends with the worker."""
    limits: list[timedelta] = []
    monkeypatch.setattr(
        alerts_dag, "send_alert", lambda *_, time_for_all: limits.append(time_for_all)
    )
    told = [Recorder()]
    dag: Any = build_dag(make_report(), UTC_WEEKS, on_failure=told, on_warning=told)
    period = UTC_WEEKS.period(place.location.period_id)
    warned = CheckResult(name="rows", severity="warn", passed=False, message="There are rows.")
    place.publish(place.upload("a"), facts(checks=(warned,)))
    run = DagRun(data_interval_start=period.start_utc, data_interval_end=period.end_utc)
    (of_success,) = dag.on_success_callback
    of_delivery, *_ = alerts_dag.failed_delivery_callback(make_report(), UTC_WEEKS, told) or ()
    known = {"dag": dag, "run_id": "one", "dag_run": run}
    fail(dag, dag_run=run)
    of_success(known)
    of_delivery({**known, "ti": TaskInstance("sales")})
    of_dag, of_task = notifying.TIME_OF_DAG_CALLBACK, notifying.TIME_OF_TASK_CALLBACK
    assert limits == [of_dag, of_dag, of_task]


def test_a_manifest_that_cannot_be_read_in_time_leaves_some_for_the_log(
    make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alerts_dag._MANIFEST_LIMIT < notifying.TIME_OF_DAG_CALLBACK
    monkeypatch.setattr(alerts_dag, "_MANIFEST_LIMIT", timedelta(milliseconds=1))
    goes_on = Event()
    monkeypatch.setattr(alerts_dag, "published_manifest", lambda *_: goes_on.wait(timeout=9))
    dag: Any = build_dag(make_report(), WEEKS, on_warning=[Recorder()])
    (of_success,) = dag.on_success_callback
    try:
        with pytest.raises(TimeoutError):
            of_success({"dag": dag, "run_id": "one", "dag_run": DagRun()})
    finally:
        goes_on.set()


def test_a_task_that_was_killed_keeps_the_reason_of_no_try(build: Build) -> None:
    """The DAG processor calls its callback then, and knows no exception."""
    recorder, ti = Recorder(), TaskInstance("transform")
    dag = build(on_failure=[recorder])
    callback = dag.get_task("transform").on_failure_callback[0]
    for known in ({"ti": ti}, {"ti": ti, "exception": None}):
        callback(known)
    assert ti.pushed == {}
    fail(dag, dag_run=DagRun(), ti=ti)
    (message,) = recorder.told
    assert "\nReason: transform: it failed\n" in message


@pytest.mark.parametrize(
    ("reason", "known", "expected"),
    [
        ("task_failure", {"ti": TaskInstance("transform")}, "Reason: transform: it failed"),
        (
            "timed_out",
            {"ti": TaskInstance("transform")},
            "Reason: transform: the run took longer than its run_timeout",
        ),
        (
            "all_tasks_deadlocked",
            {},
            "period unknown, environment dev: failed.\nReason: no task could run\n",
        ),
        ("timed_out", {}, "period unknown, environment dev: failed.\nReason: the run took longer"),
        ("task_failure", {"dag_run": DagRun(conf={"period": "2025-06-09"})}, "period unknown"),
        ("task_failure", {"dag_run": DagRun(conf={"period": "2025-06-01"})}, "period 2025-06-01"),
        # The trigger form sends null for an empty field.
        ("task_failure", {"dag_run": DagRun(conf={"period": None})}, f"period {WEEK.id},"),
        ("task_failure", {"dag_run": DagRun(conf={})}, f"period {WEEK.id},"),
        ("task_failure", {"ti": None}, "Reason: a task failed"),
    ],
)
def test_a_failure_is_told_with_what_airflow_knows(
    build: Build, reason: str, known: dict[str, Any], expected: str
) -> None:
    recorder = Recorder()
    fail(build(on_failure=[recorder]), reason, **known)

    (message,) = recorder.told
    assert expected in message


def test_a_failure_is_told_once_and_once_more_if_the_cleared_run_fails_again(build: Build) -> None:
    recorder = Recorder()
    dag = build(on_failure=[recorder])
    for clear_number in (0, 0, 1, 1):
        fail(dag, ti=TaskInstance("transform"), dag_run=DagRun(clear_number=clear_number))
        # The alerts DAG reads this record.
        told = failure_record("plays_weekly", "manual__1", clear_number).notified()
        assert told == {"Recorder 1"}
    assert len(recorder.told) == 2
    fail(dag, ti=TaskInstance("transform"), dag_run=DagRun(), run_id="another")
    assert len(recorder.told) == 3


def test_warnings_are_those_of_the_period_that_a_run_was_triggered_for(
    make_report: MakeReport, place: Place, logged: Callable[[], list[str]]
) -> None:
    """Else those of the interval of the run."""
    recorder = Recorder()
    dag: Any = build_dag(make_report(), UTC_WEEKS, on_warning=[recorder])
    periods = [UTC_WEEKS.period(period_id) for period_id in ("2026-11-08", "2026-11-15")]
    for period in periods:
        warned = CheckResult(
            name="rows(at_most=0)",
            severity="warn",
            passed=False,
            message=f"There are rows of {period.id}.",
        )
        at = place.at(period.id)
        at.publish(at.upload("a"), facts(period_id=period.id, checks=(warned,)))
    triggered_for, last = periods
    scheduled = DagRun(data_interval_start=last.start_utc, data_interval_end=last.end_utc)
    triggered = replace(scheduled, run_type="manual", conf={"period": triggered_for.id})
    (callback,) = dag.on_success_callback
    for run in (triggered, scheduled, None):
        callback({"dag": dag, "run_id": "manual__1", "reason": "success", "dag_run": run})

    first, second = recorder.told  # without a run nobody knows of which period to tell
    assert f"period {triggered_for.id}, environment dev: was published with warnings" in first
    assert f"There are rows of {triggered_for.id}." in first
    assert f"There are rows of {last.id}." in second
    callback({"dag": dag, "run_id": "again", "reason": "success", "dag_run": triggered})
    assert len(recorder.told) == 2, "of a version it is told once"
    says = "Airflow did not pass the run to the callback; the alerts DAG will check for warnings."
    assert logged() == [f"warning: {says}"]


def test_of_a_period_without_warnings_or_that_is_not_published_nobody_is_told(
    make_report: MakeReport, place: Place
) -> None:
    recorder = Recorder()
    dag: Any = build_dag(make_report(), UTC_WEEKS, on_warning=[recorder])
    period = UTC_WEEKS.period(place.location.period_id)
    passed = CheckResult(name="rows", severity="warn", passed=True, message="There are rows.")
    failed = passed.model_copy(update={"severity": "fail", "passed": False})
    run = DagRun(data_interval_start=period.start_utc, data_interval_end=period.end_utc)
    (callback,) = dag.on_success_callback

    def succeed() -> None:
        callback({"dag": dag, "run_id": "scheduled__1", "reason": "success", "dag_run": run})

    succeed()  # it has found no rows
    place.publish(place.upload("a"), facts(checks=(passed,)))
    succeed()
    assert recorder.told == []
    warned = passed.model_copy(update={"passed": False})
    manifest = place.publish(place.upload("b"), facts(LATE, checks=(warned, failed))).manifest
    succeed()
    assert len(recorder.told) == 1
    assert warning_record("plays_weekly", manifest).notified() == {"Recorder 1"}


@pytest.mark.parametrize("kind", ["on_failure_callback", "on_success_callback"])
def test_a_callback_that_is_set_later_is_called(build: Build, kind: str) -> None:
    """The scheduler asks for callbacks only if the stored DAG says that there are some."""
    dag = build()
    stored = DagSerialization.to_dict(dag)["dag"]
    assert f"has_{kind}" not in stored

    setattr(dag, kind, print)
    assert DagSerialization.to_dict(dag)["dag"][f"has_{kind}"] is True
    setattr(dag, kind, None)
    assert f"has_{kind}" not in DagSerialization.to_dict(dag)["dag"]


def test_nobody_is_told_unless_wanted_and_a_dag_is_the_same_each_time_it_is_parsed(
    build: Build,
) -> None:
    quiet = build()
    loud = build(on_failure=[Recorder()], on_late=[Recorder()], on_warning=[Recorder()])

    stored_quiet = DagSerialization.to_dict(quiet)["dag"]
    stored_loud = DagSerialization.to_dict(loud)["dag"]
    for kind in ("has_on_failure_callback", "has_on_success_callback"):
        assert not stored_quiet.get(kind)
        assert stored_loud[kind]
    for task in quiet.tasks:
        assert not task.has_on_failure_callback
        assert not task.has_on_retry_callback
    for task in loud.tasks:
        assert task.has_on_failure_callback
        assert task.has_on_retry_callback
    assert " object at 0x" not in json.dumps(DagSerialization.to_dict(loud))


@pytest.mark.parametrize(
    ("options", "tasks"),
    [
        ("on_late=tell", ["tell_when_due", "tell_when_published"]),
        ("on_failure=tell", ["tell_when_due"]),
        ("on_warning=tell", ["tell_when_due"]),
    ],
)
def test_a_dag_of_its_own_looks_when_a_period_is_due(
    sql_folder: Path,
    tmp_path: Path,
    options: str,
    tasks: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It would tell of every period that the report's own catching up has not reached yet.
    monkeypatch.setenv("ATHENA_REPORTS_CATCHUP", "true")
    (tmp_path / "plays.py").write_text(DAG_FILE.replace("on_late=tell", options))
    dags = parse_dags(tmp_path / "plays.py")

    assert set(dags) == {"plays_weekly", "plays_weekly_alerts"}
    alerts, report = dags["plays_weekly_alerts"], dags["plays_weekly"]
    assert alerts.timetable == PeriodTimetable(weekly("sunday", "Asia/Tokyo"), timedelta(hours=6))
    assert (report.catchup, alerts.catchup) == (True, False)
    assert "backfill" not in alerts.allowed_run_types, "it would tell of each old period"
    assert report.has_on_failure_callback == (options == "on_failure=tell")
    assert report.has_on_success_callback == (options == "on_warning=tell")
    assert sorted(alerts.task_ids) == tasks
    for task in alerts.tasks:
        assert task.has_on_failure_callback, "who is told is told that nobody can look"
    assert " object at 0x" not in json.dumps(DagSerialization.to_dict(alerts))


ALL_ALERTS = """
# Airflow looks for a DAG in it.
from datetime import timedelta

from athena_reports import Report, RetryPolicy, build_dag, weekly
from tests.support.notifiers import Recorder

plays = Report(
    name="plays", sql="plays.sql", since="2025-01-01", until="2026-01-03", owner="analytics"
)
sundays = weekly("sunday", "Asia/Tokyo")
failed, late, warned = [Recorder("failed")], [Recorder("late")], [Recorder("warned")]
options = {"on_failure": failed, "on_late": late, "on_warning": warned}
plays_weekly = build_dag(
    plays, sundays, retry=RetryPolicy(retries=0), due=timedelta(hours=6), **options
)
"""


def test_each_setting_and_option_reaches_the_tasks(deployment: Settings, tmp_path: Path) -> None:
    (tmp_path / "plays.py").write_text(ALL_ALERTS)
    dags = parse_dags(tmp_path / "plays.py")
    report_dag, dag = dags["plays_weekly"], dags["plays_weekly_alerts"]

    assert dag.is_paused_upon_creation
    assert dag.tags == {"athena-reports-maintenance", "weekly", "stg"}
    assert (dag.start_date, dag.end_date) == (report_dag.start_date, report_dag.end_date)
    assert "`plays_weekly`." in dag.doc_md
    assert "6:00:00 after its end" in dag.doc_md
    # A daily report can have 15 active ones, while it waits for two weeks.
    assert dag.max_active_runs >= 2 * 15
    due = dag.get_task("tell_when_due")
    published = dag.get_task("tell_when_published")
    for task in (due, published):
        assert (task.report.name, task.cadence) == ("plays", WEEKS)
        policy = task.alert_policy
        told = [policy.on_failure, policy.on_late, policy.on_warning]
        assert [[each.message for each in kind] for kind in told] == [
            ["failed"],
            ["late"],
            ["warned"],
        ]
        assert policy.due == timedelta(hours=6)
        assert (task.owner, task.retries) == ("analytics", 3)
        assert not task.upstream_task_ids
        assert not task.has_on_retry_callback
        # Each notifier has its time, and the look itself has minutes.
        time_of_look = task.execution_timeout - 3 * NOTIFIER_LIMIT
        assert timedelta(minutes=2) <= time_of_look <= timedelta(minutes=15)
        (callback,) = task.on_failure_callback
        assert callback.keywords["notifiers"] == policy.on_failure
    # Each looks for a day longer than its alert may take.
    assert due.timeout == timedelta(hours=6, days=1).total_seconds()
    assert published.timeout == timedelta(hours=6, days=15).total_seconds()
    (failure,) = report_dag.on_failure_callback
    (warning,) = report_dag.on_success_callback
    assert [each.message for each in failure.keywords["notifiers"]] == ["failed"]
    assert [each.message for each in warning.keywords["notifiers"]] == ["warned"]


def test_a_period_is_late_three_hours_after_its_end_unless_an_option_says_otherwise(
    sql_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "plays.py").write_text(DAG_FILE.replace("due=timedelta(hours=6), ", ""))
    alerts = parse_dags(tmp_path / "plays.py")["plays_weekly_alerts"]
    assert alerts.timetable == PeriodTimetable(WEEKS, timedelta(hours=3))


def test_notifiers_are_called_at_once_if_the_check_itself_fails(
    sql_folder: Path, tmp_path: Path
) -> None:
    """By the callback of the task, since the run may go on for two weeks.

    Its DAG has no param `period`, so a conf that names one does not count.
    """
    recorder = Recorder()
    (tmp_path / "plays.py").write_text(DAG_FILE)
    alerts = parse_dags(tmp_path / "plays.py")["plays_weekly_alerts"]
    (callback,) = alerts.get_task("tell_when_due").on_failure_callback
    callback.keywords["notifiers"][:] = [recorder]
    failed = {"dag": alerts, "run_id": "manual__1", "ti": TaskInstance("tell_when_due")}

    callback({**failed, "exception": OSError("S3 is down")})
    callback({**failed, "dag_run": DagRun(conf={"period": "2025-06-01"})})
    first, second = recorder.told
    assert "plays_weekly_alerts, period unknown, environment dev: failed" in first
    assert "tell_when_due: S3 is down" in first
    assert f"period {WEEK.id}, environment dev: failed" in second
    assert "tell_when_due: the process was killed" in second


def file_of(cadence: Cadence, since: date, until: date) -> str:
    """A DAG file whose report has these dates."""
    text = DAG_FILE.replace("weekly\n", "Cadence\n").replace(
        'weekly("sunday", "Asia/Tokyo")', repr(cadence)
    )
    return text.replace('since="2025-01-01"', f'since="{since}", until="{until}"')


def scheduled(dag: Any) -> list[datetime]:
    """Return the starts of the first twenty periods for which Airflow's scheduler makes runs."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    starts: list[datetime] = []
    info = stored.next_dagrun_info(last_automated_run_info=None)
    while info is not None and len(starts) < 20:
        assert info.data_interval is not None
        starts.append(info.data_interval.start)
        info = stored.next_dagrun_info(last_automated_run_info=info)
    return starts


# Each with the longest time from `since` to `until` in days. It has fewer periods than the twenty
# that `scheduled` returns.
CADENCES = {
    daily("America/New_York"): 9,
    weekly("monday", "Asia/Tokyo"): 60,
    monthly("America/Sao_Paulo"): 150,
    quarterly("Pacific/Apia"): 400,
    yearly("UTC"): 1200,
}


@given(st.sampled_from([*CADENCES]), st.dates(date(2008, 1, 1), date(2030, 1, 1)), st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_periods_are_looked_for_as_long_as_the_report_goes_on(
    sql_folder: Path, tmp_path: Path, cadence: Cadence, since: date, length: float
) -> None:
    """The periods that start from `since` to `until`, both included, and no other."""
    until = since + timedelta(days=round(length * CADENCES[cadence]))
    (tmp_path / "plays.py").write_text(file_of(cadence, since, until))
    first, last = (datetime.combine(day, time.min, cadence.zone) for day in (since, until))
    with time_machine.travel(first.astimezone(UTC), tick=False):
        dags = parse_dags(tmp_path / "plays.py")
        report = scheduled(dags[f"plays_{cadence.unit}"])
        looked_for = scheduled(dags[f"plays_{cadence.unit}_alerts"])

    hours = (first + timedelta(hours=hour) for hour in range(-24, 24 * (until - since).days + 25))
    periods = {cadence.containing(hour.astimezone(UTC)) for hour in hours}
    assert (
        looked_for
        == report
        == sorted(period.start_utc for period in periods if first <= period.start_utc <= last)
    )


@pytest.mark.parametrize("kind", ["on_failure", "on_late"])
def test_what_is_due_too_early_is_refused(build: Build, kind: str) -> None:
    options = {kind: [Recorder()], "due": timedelta(hours=2), "delay": timedelta(hours=3)}
    with pytest.raises(ReportError) as caught:
        build(**options)
    assert caught.value.field == "due"
    says = "due (2:00:00) is not longer than delay (3:00:00). Increase due."
    assert says in str(caught.value)
