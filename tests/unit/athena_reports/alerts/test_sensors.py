"""Which of the notifiers each task of the DAG beside a report calls, and what it returns.

tests/services/test_alerts.py has whole DAGs, whose kinds of alerts share a notifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse

from athena_reports.alerts import sensors
from athena_reports.alerts.kinds import failure_record, warning_record
from athena_reports.alerts.policy import AlertPolicy
from athena_reports.alerts.sensors import WhenDueSensor, WhenPublishedSensor
from athena_reports.publication.manifest import Manifest, RunFacts
from athena_reports.rows.checks import CheckResult
from tests.support import neighbour
from tests.support.airflow_run import DagRun
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.support.notifiers import Broken, Recorder

DUE = timedelta(hours=3)
DUE_AT = WEEK.end_utc + DUE
CHECK = DagRun(start_date=DUE_AT)
SUBJECT = f"dev: plays_weekly {WEEK.id}"


def manifest(*, warned: bool) -> Manifest:
    check = CheckResult(name="rows(at_most=0)", severity="warn", passed=not warned, message="One.")
    return Manifest.model_construct(
        checks=(check,),
        version="v1",
        run=RunFacts(dag_id="plays_weekly", run_id="run-1"),
        published_at="2025-06-15T03:00:00.000+00:00",
    )


class Airflow(neighbour.Airflow):
    """Also answers how the other task of the DAG beside the report has ended."""

    other_task: str | None = "success"

    def get_task_states(self, *, dag_id: str, **which: Any) -> Any:
        if dag_id == self.dag_id:
            return super().get_task_states(dag_id=dag_id, **which)
        assert (dag_id, which) == (
            "plays_weekly_alerts",
            {"run_ids": ["scheduled__1"], "task_ids": ["tell_when_due"]},
        )
        return {"scheduled__1": {"tell_when_due": self.other_task}}


@dataclass
class Beside:
    """The DAG beside a report, with notifiers of their own for each kind of alert."""

    report: Any
    patch: pytest.MonkeyPatch
    on_failure: Recorder = field(default_factory=lambda: Recorder("{{ alert.subject }}"))
    on_late: Recorder = field(default_factory=lambda: Recorder("{{ alert.subject }}"))
    on_warning: Recorder = field(default_factory=lambda: Recorder("{{ alert.subject }}"))
    asks_for_failures: bool = True

    def look(
        self,
        task: type[WhenDueSensor | WhenPublishedSensor],
        airflow: Airflow,
        published: Manifest | None,
        *,
        after: timedelta = timedelta(minutes=1),
        run: DagRun = CHECK,
        start_date: datetime | None = WEEK.start_utc,
        end_date: datetime | None = None,
    ) -> tuple[bool, Any]:
        """Whether the task has ended, and what it returns."""
        self.patch.setattr(sensors, "published_manifest", lambda *_: published)
        self.patch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
        on_failure = [self.on_failure] if self.asks_for_failures else []
        policy = AlertPolicy(on_failure, [self.on_late], [self.on_warning], DUE)
        dates: Any = {"start_date": start_date, "end_date": end_date}
        with DAG("plays_weekly_alerts", schedule=None, **dates):
            sensor = task(
                task_id="look",
                report=self.report,
                cadence=WEEKS,
                alert_policy=policy,
                timeout=timedelta(days=1),
            )
        context: Any = {"dag_run": run, "ti": airflow, "run_id": "scheduled__1"}
        with time_machine.travel(DUE_AT + after, tick=False):
            looked = sensor.poke(context)
        return bool(looked), looked.xcom_value

    def told(self) -> dict[str, list[str]]:
        """What each of the three was told since the last time."""
        found = {}
        for kind in ("on_failure", "on_late", "on_warning"):
            recorder = getattr(self, kind)
            found[kind] = [subject.removeprefix(f"{SUBJECT} ") for subject in recorder.told]
            recorder.told.clear()
        return {kind: subjects for kind, subjects in found.items() if subjects}


@pytest.fixture
def beside(
    make_report: MakeReport, bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Beside:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    return Beside(make_report(), monkeypatch)


FAILED = Airflow("failed", {"run_query": "failed"})
RUNNING = Airflow("running", {"run_query": "running"})
SUCCEEDED = Airflow("success", {"run_query": "success"})
PUBLISHED = manifest(warned=False)
WARNED = manifest(warned=True)


@pytest.mark.parametrize(
    ("airflow", "published", "is_late", "told"),
    [
        (RUNNING, None, True, {"on_late": ["is late"]}),
        (FAILED, None, True, {"on_failure": ["failed"], "on_late": ["is late"]}),
        (SUCCEEDED, PUBLISHED, False, {}),
        (SUCCEEDED, WARNED, False, {"on_warning": ["was published with warnings"]}),
        (FAILED, PUBLISHED, False, {"on_failure": ["failed"]}),  # a restatement
    ],
    ids=["running", "failed", "published", "warned", "failed and published"],
)
def test_when_it_is_due_each_is_told_what_they_asked_for(
    beside: Beside,
    airflow: Airflow,
    published: Manifest | None,
    is_late: bool,
    told: dict[str, list[str]],
) -> None:
    assert beside.look(WhenDueSensor, airflow, published) == (True, is_late)
    assert beside.told() == told
    assert beside.look(WhenDueSensor, airflow, published) == (True, is_late)
    assert beside.told() == {}, "a retry tells nobody twice"


def test_a_run_that_fails_again_after_it_was_cleared_is_told_again(beside: Beside) -> None:
    beside.look(WhenDueSensor, FAILED, None)
    beside.told()
    cleared = replace(FAILED, clear_number=1)
    assert beside.look(WhenDueSensor, cleared, None) == (True, True)
    assert beside.told() == {"on_failure": ["failed"]}
    assert beside.look(WhenDueSensor, cleared, None) == (True, True)
    assert beside.told() == {}


def test_who_was_told_is_noted_where_the_callbacks_of_the_report_look(beside: Beside) -> None:
    beside.look(WhenDueSensor, FAILED, WARNED)
    assert failure_record("plays_weekly", neighbour.RUN_ID, 0).notified()
    assert warning_record("plays_weekly", WARNED).notified()


def test_of_a_failed_run_only_those_are_told_who_asked_for_failures(beside: Beside) -> None:
    beside.asks_for_failures = False
    assert beside.look(WhenDueSensor, FAILED, None) == (True, True)
    assert beside.told() == {"on_late": ["is late"]}


def test_before_it_is_due_nobody_is_told_and_it_looks_again(beside: Beside) -> None:
    early = -timedelta(seconds=1)
    assert beside.look(WhenDueSensor, FAILED, None, after=early) == (False, None)
    assert beside.told() == {}
    # What is published needs no deadline.
    assert beside.look(WhenDueSensor, SUCCEEDED, WARNED, after=early) == (True, False)
    assert beside.told() == {"on_warning": ["was published with warnings"]}
    assert beside.look(WhenDueSensor, RUNNING, None, after=timedelta(0)) == (True, True)


def test_an_alert_goes_out_without_what_airflow_does_not_tell(
    beside: Beside, logged: Callable[[], list[str]]
) -> None:
    class Silent(Airflow):
        def xcom_pull(self, **_: Any) -> Any:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

        def get_dag(self, _: str) -> Any:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    beside.on_failure = Recorder("{{ alert.message }}")
    beside.on_late = Recorder("{{ alert.message }}")
    assert beside.look(WhenDueSensor, Silent("failed", {"run_query": "failed"}), None)
    told = beside.told()
    ((of_failure,), (of_lateness,)) = (told["on_failure"], told["on_late"])
    assert "\nReason: run_query: it failed\nNext step: " in of_failure
    assert "; its run failed (run_query: it failed)\n" in of_lateness
    assert "error: Could not determine why run_query failed." in logged()
    again = replace(CHECK, clear_number=1)
    assert beside.look(WhenDueSensor, Silent("running"), None, run=again)
    ((message,),) = beside.told().values()
    assert "and has not been published\nNext step: Check whether the DAG is paused" in message


def test_an_alert_goes_out_without_the_run_and_the_task_is_tried_again(beside: Beside) -> None:
    class Gone(Airflow):
        def get_task_states(self, **_: Any) -> Any:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    beside.on_late = Recorder("{{ alert.message }}")
    says = f"Could not find the run of {WEEK}: "
    with pytest.raises(AirflowException, match=re.escape(says)):
        beside.look(WhenDueSensor, Gone(), None)
    ((message,),) = beside.told().values()
    assert "and has not been published\nNext step: Check whether the DAG is paused" in message
    with pytest.raises(AirflowException, match=re.escape(says)):
        beside.look(WhenDueSensor, Gone(), WARNED)
    assert beside.told() == {"on_warning": ["was published with warnings"]}


def test_each_problem_is_told_if_several_notifiers_fail(beside: Beside) -> None:
    """The task is tried again for those that have failed."""
    working = beside.on_failure
    beside.on_failure = beside.on_late = Broken()
    problem = "Notifier Broken 1 failed: the chat is down"
    with pytest.raises(AirflowException, match=f"^{problem}; {problem}$"):
        beside.look(WhenDueSensor, FAILED, None)
    beside.on_failure = working
    with pytest.raises(AirflowException, match=f"^{problem}$"):
        beside.look(WhenDueSensor, FAILED, None)
    assert beside.told() == {"on_failure": ["failed"]}


@pytest.mark.parametrize("empty", ["skip", "publish"])
def test_a_period_without_rows_is_late_unless_its_report_skips_it(
    beside: Beside, make_report: MakeReport, empty: Any
) -> None:
    beside.report = make_report(empty=empty)
    is_late = empty == "publish"
    assert beside.look(WhenDueSensor, SUCCEEDED, None) == (True, is_late)
    assert beside.told() == ({"on_late": ["is late"]} if is_late else {})
    assert beside.look(WhenDueSensor, RUNNING, None) == (True, True)
    beside.told()
    assert beside.look(WhenPublishedSensor, RUNNING, None) == (False, False)
    assert beside.look(WhenPublishedSensor, SUCCEEDED, None) == (not is_late, not is_late)
    assert beside.told() == ({} if is_late else {"on_late": ["is no longer late"]})


@pytest.mark.parametrize("task", [WhenDueSensor, WhenPublishedSensor])
def test_it_looks_every_ten_minutes_and_holds_no_worker_between(
    beside: Beside, task: type[WhenDueSensor | WhenPublishedSensor]
) -> None:
    sensor = task(
        task_id="look",
        report=beside.report,
        cadence=WEEKS,
        alert_policy=AlertPolicy([], [], [], DUE),
        timeout=timedelta(days=3),
    )
    assert (sensor.mode, sensor.poke_interval, sensor.timeout) == ("reschedule", 600, 259_200)


@pytest.mark.parametrize("task", [WhenDueSensor, WhenPublishedSensor])
@pytest.mark.parametrize(
    ("dates", "is_scheduled"),
    [
        ({"start_date": None}, True),
        ({"end_date": WEEK.start_utc}, True),
        ({"start_date": WEEK.start_utc + timedelta(seconds=1)}, False),
        ({"end_date": WEEK.start_utc - timedelta(seconds=1)}, False),
    ],
)
def test_a_period_that_is_not_scheduled_is_never_late(
    beside: Beside,
    task: type[WhenDueSensor | WhenPublishedSensor],
    dates: dict[str, Any],
    is_scheduled: bool,
) -> None:
    is_told = task is WhenDueSensor and is_scheduled
    assert beside.look(task, RUNNING, None, **dates) == (True, is_told)
    assert beside.told() == ({"on_late": ["is late"]} if is_told else {})


def test_a_check_that_starts_late_gives_the_report_its_time_but_not_if_somebody_started_it(
    beside: Beside,
) -> None:
    hour = timedelta(hours=1)
    second = timedelta(seconds=1)
    late_run = DagRun(start_date=DUE_AT + hour)
    looked = beside.look(WhenDueSensor, RUNNING, None, after=hour + DUE - second, run=late_run)
    assert looked == (False, None)
    looked = beside.look(WhenDueSensor, RUNNING, None, after=hour + DUE, run=late_run)
    assert looked == (True, True)
    assert beside.told() == {"on_late": ["is late"]}
    cleared = replace(late_run, clear_number=1)
    assert beside.look(WhenDueSensor, RUNNING, None, after=hour, run=cleared) == (True, True)
    assert beside.told() == {"on_late": ["is late"]}, "a check that is cleared tells again"
    looked = beside.look(WhenPublishedSensor, SUCCEEDED, PUBLISHED, after=hour, run=cleared)
    assert looked == (True, True)
    assert beside.told() == {"on_late": ["is no longer late"]}
    backfilled = replace(late_run, run_type="backfill", clear_number=0)
    assert beside.look(WhenDueSensor, RUNNING, None, after=hour, run=backfilled) == (True, True)


def test_who_was_told_that_it_is_late_is_told_that_it_is_so_no_longer(beside: Beside) -> None:
    beside.look(WhenDueSensor, RUNNING, None)
    assert beside.told() == {"on_late": ["is late"]}
    assert beside.look(WhenPublishedSensor, RUNNING, None) == (False, False)
    assert beside.told() == {}
    # Its run fails after the other task has looked, and Airflow calls no callback.
    assert beside.look(WhenPublishedSensor, FAILED, None) == (False, False)
    assert beside.told() == {"on_failure": ["failed"]}
    assert beside.look(WhenPublishedSensor, SUCCEEDED, WARNED) == (True, True)
    assert beside.told() == {"on_late": ["is no longer late"]}
    assert beside.look(WhenPublishedSensor, SUCCEEDED, WARNED) == (True, True)
    assert beside.told() == {}, "a retry tells nobody twice"


def test_a_broken_notifier_of_failures_holds_up_no_all_clear_and_one_of_it_does(
    beside: Beside,
) -> None:
    beside.look(WhenDueSensor, RUNNING, None)
    beside.told()
    working, beside.on_failure = beside.on_failure, Broken()
    assert beside.look(WhenPublishedSensor, FAILED, None) == (False, False)
    beside.on_failure, late, beside.on_late = working, beside.on_late, Broken()
    with pytest.raises(AirflowException, match="Notifier Broken 1 failed: the chat is down"):
        beside.look(WhenPublishedSensor, SUCCEEDED, PUBLISHED)
    beside.on_late = late
    assert beside.look(WhenPublishedSensor, SUCCEEDED, PUBLISHED) == (True, True)
    assert beside.told() == {"on_late": ["is no longer late"]}


@pytest.mark.parametrize(
    ("other_task", "has_ended"),
    [
        *((state, True) for state in ("success", "failed", "skipped", "upstream_failed")),
        *((state, False) for state in (None, "running", "up_for_retry", "up_for_reschedule")),
    ],
)
def test_it_waits_while_somebody_may_still_be_told_that_it_is_late(
    beside: Beside, other_task: str | None, has_ended: bool
) -> None:
    airflow = Airflow("success", {"run_query": "success"})
    airflow.other_task = other_task
    assert beside.look(WhenPublishedSensor, airflow, PUBLISHED) == (
        has_ended,
        False if has_ended else None,
    )
    assert beside.told() == {}


def test_after_two_weeks_nobody_waits_for_it_any_more(beside: Beside) -> None:
    beside.look(WhenDueSensor, RUNNING, None)
    two_weeks = timedelta(days=14)
    second = timedelta(seconds=1)
    waiting = beside.look(WhenPublishedSensor, RUNNING, None, after=two_weeks - second)
    assert waiting == (False, False)
    assert beside.look(WhenPublishedSensor, RUNNING, None, after=two_weeks) == (True, False)
