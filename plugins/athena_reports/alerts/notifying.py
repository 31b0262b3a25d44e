"""Calls notifiers so that none of them can hold up a task, a callback or another notifier."""

import contextvars
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from copy import copy
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from airflow.sdk import BaseNotifier

from athena_reports.alerts.alert import Alert
from athena_reports.alerts.policy import Notifiers
from athena_reports.alerts.record import AlertRecord

NOTIFIER_LIMIT = timedelta(seconds=20)
# How long all notifiers of a callback may take together. Airflow ends the process that runs the
# callbacks of a DAG after 50 s (`dag_file_processor_timeout`), of which the record may take
# `_RECORD_LIMIT`. It ends the process of a task, which runs the task's callbacks too, 20 s after
# the task has failed (`task_success_overtime`).
TIME_OF_DAG_CALLBACK = timedelta(seconds=25)
TIME_OF_TASK_CALLBACK = timedelta(seconds=15)
# For one access to the record. On a slow machine the first client of boto3 takes seconds.
_RECORD_LIMIT = timedelta(seconds=20)
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def send_alert(
    notifiers: Notifiers,
    context: Mapping[str, Any],
    alert: Alert,
    record: AlertRecord | None,
    *,
    time_for_all: timedelta | None = None,
) -> list[str]:
    """Call the notifiers that have not sent the alert yet, and record those that have.

    A notifier that fails, or takes longer than `NOTIFIER_LIMIT`, does not stop the others. An alert
    is sent twice if two processes call a notifier at the same time, if a process is killed before
    it writes the record, if the notifier delivers after its limit, or if S3 does not serve the
    record: a second alert is better than none.

    Args:
        notifiers: The notifiers.
        context: Airflow's context of the task or the callback.
        alert: The alert.
        record: Which notifiers have sent it; None to call all of them and record nothing.
        time_for_all: How long all notifiers together may take. Each gets an equal share of it, and
            at most `NOTIFIER_LIMIT`. None for `NOTIFIER_LIMIT` each.

    Returns:
        The problems, for which this has to be called again.
    """
    limit = NOTIFIER_LIMIT
    if time_for_all is not None and notifiers:
        limit = min(limit, time_for_all / len(notifiers))
    problems: list[str] = []
    notified: set[str] = set()
    if record is not None:
        try:
            notified = call_within(_RECORD_LIMIT, record.notified)
        except Exception as error:
            problems.append(_problem_of_record(record, error))
            record = None
    for name, notifier in named_notifiers(notifiers):
        if name in notified:
            continue
        try:
            call_within(limit, partial(_call, notifier, context, alert))
        except Exception as error:
            _log.exception("Notifier %s failed: %s", name, alert.message)
            problems.append(f"Notifier {name} failed: {error}")
            continue
        if record is not None:
            try:
                call_within(_RECORD_LIMIT, partial(record.note_notified, name))
            except Exception as error:
                problems.append(_problem_of_record(record, error))
                record = None  # otherwise each notifier would wait for S3 again
    return problems


def _problem_of_record(record: AlertRecord, error: Exception) -> str:
    problem = f"Could not read or write the alert records in {record.folder_uri}: {error}"
    _log.error(problem, exc_info=error)
    return problem


def named_notifiers(notifiers: Notifiers) -> Iterator[tuple[str, BaseNotifier]]:
    """Yield each notifier with its name in the record, such as `SnsNotifier 1`.

    All processes give it the same name: its class, and its number among those of this class.
    """
    counts: Counter[str] = Counter()
    for notifier in notifiers:
        class_name = type(notifier).__name__
        counts[class_name] += 1
        yield f"{class_name} {counts[class_name]}", notifier


def call_within(limit: timedelta, function: Callable[[], _Result]) -> _Result:
    """Call a function, and wait for it no longer than a limit.

    It runs in a thread. If it hangs, the thread goes on, and does not keep the process from ending:
    Airflow ends the processes of tasks and callbacks by `os._exit`. Airflow's own `timeout` is not
    used. It works in the main thread only, and uses the same alarm as `execution_timeout`, which
    would not end the task any more.

    Raises:
        TimeoutError: It took longer.
        RuntimeError: The function ended by what is no Exception, such as `sys.exit`.
        Exception: What the function raises.
    """
    outcome: Future[_Result] = Future()
    variables = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.set_result(variables.run(function))
        except Exception as error:
            outcome.set_exception(error)
        except BaseException as error:
            # In the thread it ends nothing, and here it would end what the caller does for others.
            outcome.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    Thread(target=run, daemon=True).start()
    seconds = limit.total_seconds()
    ended, _ = wait([outcome], timeout=seconds)
    if not ended:
        raise TimeoutError(f"timed out after {seconds:g} s")
    return outcome.result()


def _call(notifier: BaseNotifier, context: Mapping[str, Any], alert: Alert) -> None:
    # Airflow renders a notifier's templates in place and adds its fields to the context, so each
    # call gets copies. Otherwise a second alert would have the text of the first.
    own_context = dict(context)
    own_context["alert"] = {
        "environment": alert.environment,
        "subject": alert.subject,
        "message": alert.message,
        "html": alert.html,
    }
    copy(notifier)(own_context)
