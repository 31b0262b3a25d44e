"""A notifier that fails or hangs keeps no other from being called."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from threading import Event, current_thread, main_thread
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseNotifier

from athena_reports.alerts import notifying
from athena_reports.alerts.alert import Alert
from athena_reports.alerts.notifying import (
    NOTIFIER_LIMIT,
    TIME_OF_DAG_CALLBACK,
    TIME_OF_TASK_CALLBACK,
    call_within,
    named_notifiers,
    send_alert,
)
from athena_reports.alerts.record import AlertRecord
from athena_reports.aws.s3 import S3
from tests.support.notifiers import Broken, Hanging, Recorder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ALERT = Alert("plays_weekly", "2025-06-08", "dev", "is late", "a reason", "a step", "http://x")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    end = Event()
    yield Hanging(end)
    end.set()


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "NOTIFIER_LIMIT", timedelta(milliseconds=50))


@pytest.fixture
def record(s3: S3Client, bucket: str) -> Callable[[], AlertRecord]:
    return lambda: AlertRecord(f"s3://{bucket}/_alerts/late-0/", open_s3=lambda: S3(s3))


@pytest.mark.usefixtures("short_limit")
def test_a_notifier_that_hangs_counts_as_failed_and_a_retry_calls_only_it(
    hanging: Hanging, record: Callable[[], AlertRecord], caplog: pytest.LogCaptureFixture
) -> None:
    before, after = Recorder(), Recorder()
    notifiers = [before, hanging, after]

    (problem,) = send_alert(notifiers, {}, ALERT, record())
    assert problem == "Notifier Hanging 1 failed: timed out after 0.05 s"
    assert (before.told, after.told) == ([ALERT.message], [ALERT.message])
    assert ALERT.message in caplog.text, "what was not delivered is at least in the log"

    hanging.end.set()
    assert send_alert(notifiers, {}, ALERT, record()) == []
    assert hanging.told == ["began", "began"]
    assert (before.told, after.told) == ([ALERT.message], [ALERT.message])
    assert send_alert(notifiers, {}, ALERT, record()) == []
    assert hanging.told == ["began", "began"]


def test_the_last_notifier_of_a_callback_has_its_share_of_the_time(hanging: Hanging) -> None:
    """Airflow ends the process of a callback, so the first ones must not use all of it."""
    last = Recorder()
    notifiers = [hanging, hanging, last]
    problems = send_alert(notifiers, {}, ALERT, None, time_for_all=timedelta(milliseconds=600))
    assert problems == [
        "Notifier Hanging 1 failed: timed out after 0.2 s",
        "Notifier Hanging 2 failed: timed out after 0.2 s",
    ]
    assert last.told == [ALERT.message]


@pytest.mark.usefixtures("short_limit")
def test_the_only_notifier_of_a_callback_has_its_limit_and_not_all_of_the_time(
    hanging: Hanging,
) -> None:
    (problem,) = send_alert([hanging], {}, ALERT, None, time_for_all=timedelta(seconds=10))
    assert problem == "Notifier Hanging 1 failed: timed out after 0.05 s"
    assert send_alert([], {}, ALERT, None, time_for_all=timedelta(seconds=10)) == []


def test_a_notifier_that_would_end_the_process_keeps_no_other_from_being_called() -> None:
    class Exiting(Recorder):
        def notify(self, context: Any) -> None:
            sys.exit("the client gives up")

    last = Recorder()
    problems = send_alert([Exiting(), last], {}, ALERT, None)
    assert problems == ["Notifier Exiting 1 failed: SystemExit: the client gives up"]
    assert last.told == [ALERT.message]


def test_two_processes_at_the_same_time_may_both_tell(record: Callable[[], AlertRecord]) -> None:
    recorder = Recorder()

    class Slow(Recorder):
        def notify(self, context: Any) -> None:
            assert send_alert([recorder, recorder], {}, ALERT, record()) == []
            super().notify(context)

    assert send_alert([recorder, Slow()], {}, ALERT, record()) == []
    assert recorder.told == [ALERT.message] * 2
    assert record().notified() == {"Recorder 1", "Recorder 2", "Slow 1"}


def test_without_a_record_all_are_told_and_the_problem_is_named(s3: S3Client) -> None:
    """A second alert is better than none."""
    # No permission, no bucket, no S3.
    record = AlertRecord("s3://there-is-none/late-0/", open_s3=lambda: S3(s3))
    recorders = [Recorder(), Recorder()]
    (problem,) = send_alert(recorders, {}, ALERT, record)
    assert [recorder.told for recorder in recorders] == [[ALERT.message], [ALERT.message]]
    assert problem.startswith(
        "Could not read or write the alert records in s3://there-is-none/late-0/:"
    )


@pytest.mark.parametrize("call", ["notified", "note_notified"])
def test_an_s3_that_hangs_holds_up_nobody(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(notifying, "_RECORD_LIMIT", timedelta(milliseconds=500))
    monkeypatch.setattr(AlertRecord, "notified", lambda _: set())
    monkeypatch.setattr(AlertRecord, call, lambda *_: hanging.end.wait())
    first, last = Recorder(), Recorder()
    record = AlertRecord("s3://bucket/late-0/", open_s3=pytest.fail)
    (problem,) = send_alert([first, last], {}, ALERT, record)
    assert problem.endswith("s3://bucket/late-0/: timed out after 0.5 s")
    assert first.told == last.told == [ALERT.message]


def test_a_call_has_the_context_variables_and_a_thread_of_its_own() -> None:
    """The main thread's alarm belongs to the `execution_timeout` of the task."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("set by the task")
    seen: list[Any] = []

    class Looking(BaseNotifier):
        def notify(self, context: Any) -> None:
            seen.extend([variable.get(), current_thread() is main_thread()])

    assert send_alert([Looking()], {}, ALERT, None) == []
    assert seen == ["set by the task", False]


def test_a_notifier_has_the_alert_in_a_context_of_its_own() -> None:
    context = {"run_id": "run-1"}
    seen = []

    class Noting(BaseNotifier):
        def notify(self, context: Any) -> None:
            seen.append(dict(context))
            context["run_id"] = "changed"

    assert send_alert([Noting(), Noting()], context, ALERT, None) == []
    first, second = seen
    assert first["run_id"] == second["run_id"] == "run-1"
    assert first["alert"] == {
        "environment": "dev",
        "subject": ALERT.subject,
        "message": ALERT.message,
        "html": ALERT.html,
    }
    assert context == {"run_id": "run-1"}


def test_all_that_a_callback_may_take_fits_into_the_time_that_airflow_gives_it() -> None:
    """Otherwise Airflow ends the process before everybody is told."""
    of_task = timedelta(seconds=conf.getint("core", "task_success_overtime"))
    of_dag = timedelta(seconds=conf.getint("dag_processor", "dag_file_processor_timeout"))
    second = timedelta(seconds=1)
    assert 10 * second <= TIME_OF_TASK_CALLBACK < of_task
    assert 10 * second <= TIME_OF_DAG_CALLBACK < of_dag - notifying._RECORD_LIMIT
    # docs/how-to/alerts.md says these two.
    assert (20 * second, 25 * second) == (NOTIFIER_LIMIT, TIME_OF_DAG_CALLBACK)


def test_a_time_out_of_the_function_itself_keeps_its_message() -> None:
    def fail() -> None:
        raise TimeoutError("the chat took too long")

    with pytest.raises(TimeoutError, match="the chat took too long"):
        call_within(timedelta(seconds=10), fail)
    assert call_within(timedelta(seconds=10), lambda: 7) == 7


def test_a_function_that_ends_just_after_the_limit_counts_as_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure without a reason would be told of a call that has succeeded."""
    end = Event()

    class EndsWhenAsked(Future[Any]):
        """The result of a function that ends as soon as somebody asks whether it has ended."""

        def done(self) -> bool:
            end.set()
            self.result(10)
            return super().done()

    monkeypatch.setattr(notifying, "Future", EndsWhenAsked)
    with pytest.raises(TimeoutError, match=r"timed out after 0\.02 s"):
        call_within(timedelta(milliseconds=20), end.wait)
    end.set()


@pytest.mark.ci
def test_a_process_that_is_ended_as_airflow_ends_it_does_not_wait_for_the_thread() -> None:
    """Airflow's supervisor calls the functions of `atexit` and then `os._exit`."""
    code = """
import atexit, os
from datetime import timedelta
from threading import Event
from athena_reports.alerts.notifying import call_within
try:
    call_within(timedelta(milliseconds=20), Event().wait)
except TimeoutError:
    atexit._run_exitfuncs()
    os._exit(7)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, env=environment)
    assert ended.returncode == 7


def test_names_are_the_same_in_every_process_and_different_for_each() -> None:
    notifiers = [Recorder(), Broken(), Recorder()]
    assert [name for name, _ in named_notifiers(notifiers)] == [
        "Recorder 1",
        "Broken 1",
        "Recorder 2",
    ]
