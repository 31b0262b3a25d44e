"""Who is told what; that it arrives is tested in tests/integration and tests/e2e."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import BaseNotifier
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import build_dag, weekly
from athena_reports.errors import ReportError
from athena_reports.periods.timetable import PeriodTimetable
from tests.library.conftest import MakeReport
from tests.library.queries.tasks import TOKYO_WEEK, WEEK, Run
from tests.parsed import parse_dags

DAG_FILE = """
from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

from athena_reports import Report, build_dag, weekly

tell = [SnsNotifier(target_arn="arn", message="{{ alert.message }}")]
doc = "**Schedule.** **Input.** **Rerun.** **Permissions.**".replace(" ", "\\n")
plays = Report(name="plays", sql="plays.sql", since="2025-01-01", owner="analytics", doc=doc)
plays_weekly = build_dag(plays, weekly("sunday", "Asia/Tokyo"), due=timedelta(hours=6), on_late=tell)
"""


class Recorder(BaseNotifier):
    """Keeps what it is told."""

    template_fields = ("message",)

    def __init__(self, message: str = "{{ alert.message }}") -> None:
        super().__init__()
        self.message = message
        self.told: list[str] = []

    def notify(self, context: Any) -> None:
        self.told.append(self.message)


class Broken(Recorder):
    """Tells nobody."""

    def notify(self, context: Any) -> None:
        raise OSError("the chat is down")


@dataclass
class TaskInstance:
    """The failed task, as the DAG processor knows it."""

    task_id: str = "transform"
    map_index: int = -1
    xcoms: dict[str, str] = field(default_factory=dict)

    def xcom_push(self, key: str, value: str) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> str | None:
        return self.xcoms.get(key)


@dataclass(frozen=True)
class FailedRun(Run):
    conf: Mapping[str, str] | None = None


Build = Callable[..., Any]


@pytest.fixture
def build(make_report: MakeReport) -> Build:
    return lambda **options: build_dag(make_report(), TOKYO_WEEK, **options)


def fail(dag: Any, reason: str = "task_failure", run_id: str = "manual__1", **known: Any) -> None:
    """Call the callbacks as Airflow's DAG processor does for a failed run."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    if stored.has_on_failure_callback:
        for callback in dag.on_failure_callback:
            callback({"dag": dag, "run_id": run_id, "reason": reason, **known})


def test_a_failure_is_told_with_report_period_environment_reason_next_step_and_link(build: Build) -> None:
    recorder, ti = Recorder(), TaskInstance()
    dag = build(on_failure=[recorder])
    dag.get_task("transform").on_failure_callback[0]({"ti": ti, "exception": ValueError("three rows too many")})

    fail(dag, dag_run=FailedRun(), ti=ti)

    (message,) = recorder.told
    assert message.splitlines() == [
        f"plays_weekly, period {WEEK.id}, environment dev: failed.",
        "Reason: transform: three rows too many",
        "Next step: See the reason or the log of the task, mend that, and clear the run from there.",
        "http://localhost:8080/dags/plays_weekly/runs/manual__1",
    ]


@pytest.mark.parametrize(
    ("reason", "known", "expected"),
    [
        ("task_failure", {"ti": TaskInstance()}, "Reason: transform: it failed"),
        ("timed_out", {"ti": TaskInstance()}, "Reason: transform: the run took longer than its run_timeout"),
        ("timed_out", {}, "period unknown, environment dev: failed.\nReason: the run took longer"),
        ("task_failure", {"dag_run": FailedRun(conf={"period": "2025-06-09"})}, "period unknown"),
        ("task_failure", {"dag_run": FailedRun(conf={"period": "2025-06-01"})}, "period 2025-06-01"),
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


def test_a_notifier_that_fails_is_logged_and_keeps_no_other_from_being_called(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """And each failure is told in its own words."""
    recorder = Recorder()
    dag = build(on_failure=[Broken(), Recorder("{{ alert.misspelt }}"), recorder])
    for run_id in ("one", "two"):
        fail(dag, ti=TaskInstance(), run_id=run_id)

    assert [message.rpartition("/")[2] for message in recorder.told] == ["one", "two"]
    assert "The notifier Broken failed: plays_weekly, period unknown" in caplog.text
    assert "the chat is down" in caplog.text


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


def test_nobody_is_told_unless_wanted_and_a_dag_is_the_same_each_time_it_is_parsed(build: Build) -> None:
    quiet, loud = build(), build(on_failure=[Recorder()], on_late=[Recorder()])

    assert not DagSerialization.to_dict(quiet)["dag"].get("has_on_failure_callback")
    assert {task.has_on_failure_callback for task in quiet.tasks} == {False}
    assert [task.has_on_failure_callback for task in loud.tasks] == [True] * 4
    assert " object at 0x" not in json.dumps(DagSerialization.to_dict(loud))


def test_a_dag_of_its_own_looks_for_late_periods(sql_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plays.py").write_text(DAG_FILE)
    dags = parse_dags(tmp_path / "plays.py")

    assert set(dags) == {"plays_weekly", "plays_weekly_late"}
    late, report = dags["plays_weekly_late"], dags["plays_weekly"]
    assert late.timetable == PeriodTimetable(weekly("sunday", "Asia/Tokyo"), timedelta(hours=6))
    assert (late.start_date, late.catchup, late.is_paused_upon_creation) == (report.start_date, False, False)
    assert late.has_on_failure_callback, "who is told of late periods is told that nobody can look for them"
    assert not report.has_on_failure_callback
    assert " object at 0x" not in json.dumps(DagSerialization.to_dict(late))


@pytest.mark.parametrize(
    ("field", "options", "says"),
    [
        *(("on_failure", {"on_failure": wrong}, "list of Airflow notifiers") for wrong in ([print], "sns", None)),
        ("on_late", {"on_late": SnsNotifier(target_arn="arn", message="late")}, "such as [SnsNotifier"),
        ("due", {"on_late": [Recorder()], "due": timedelta(minutes=5)}, "Give more time"),
    ],
)
def test_what_is_not_a_list_of_notifiers_or_due_too_early_is_refused(
    build: Build, field: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ReportError) as caught:
        build(**options)
    assert (caught.value.field, says in str(caught.value)) == (field, True)
