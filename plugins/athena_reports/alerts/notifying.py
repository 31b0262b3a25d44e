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
from athena_reports.alerts.record import ClaimResult, StoredRecord

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


def tell(
    notifiers: Notifiers,
    context: Mapping[str, Any],
    alert: Alert,
    record: StoredRecord | None,
    *,
    time_for_all: timedelta | None = None,
) -> list[str]:
    """Call the notifiers that were not told yet, and note who was told.

    A notifier that fails, or takes longer than `NOTIFIER_LIMIT`, keeps no other from being called.
    A notifier can be told twice only if its process is killed before it notes the call, if the
    notifier delivers after its limit, or if S3 does not serve the record: a second alert is better
    than none.

    Args:
        notifiers: The notifiers.
        context: Airflow's context of the task or the callback.
        alert: What they are told.
        record: Who was told before; None to call all of them and note nothing.
        time_for_all: How long all notifiers together may take. Each gets an equal share of it, and
            at most `NOTIFIER_LIMIT`. None for `NOTIFIER_LIMIT` each.

    Returns:
        The problems because of which this has to be called again, a text each; empty if nothing is
        left to do.
    """
    limit = NOTIFIER_LIMIT
    if time_for_all is not None and notifiers:
        limit = min(limit, time_for_all / len(notifiers))
    bookkeeper = _Bookkeeper(record)
    for name, notifier in named_notifiers(notifiers):
        if not bookkeeper.may_call(name):
            continue
        try:
            call_within(limit, partial(_call, notifier, context, alert))
        except Exception as error:
            _log.exception("The notifier %s failed: %s", name, alert.message)
            bookkeeper.note_failed(name, error)
        else:
            bookkeeper.note_told(name)
    return bookkeeper.problems


class _Bookkeeper:
    """Asks and fills the record of an alert. After the first error of S3 it goes on without it.

    Attributes:
        problems: What `tell` returns.
    """

    def __init__(self, record: StoredRecord | None) -> None:
        self.problems: list[str] = []
        self._record = record

    def may_call(self, name: str) -> bool:
        """Whether a notifier was not told yet, and no other process is calling it.

        True also if that cannot be known: a second alert is better than none.
        """
        if self._record is None:
            return True
        try:
            result = call_within(_RECORD_LIMIT, partial(self._record.claim, name))
        except Exception as error:
            self._give_up(self._record, error)
            return True
        if result is ClaimResult.CLAIMED_BY_ANOTHER:
            self.problems.append(f"{name} is being told by another process")
        return result is ClaimResult.CLAIMED

    def note_told(self, name: str) -> None:
        """Note that a notifier was told."""
        if self._record is not None:
            self._note(self._record, partial(self._record.note_told, name))

    def note_failed(self, name: str, error: Exception) -> None:
        """Note that a call has failed, and let others call the notifier."""
        self.problems.append(f"The notifier {name} failed: {error}")
        if self._record is not None:
            self._note(self._record, partial(self._record.release, name))

    def _note(self, record: StoredRecord, note: Callable[[], None]) -> None:
        try:
            call_within(_RECORD_LIMIT, note)
        except Exception as error:
            self._give_up(record, error)

    def _give_up(self, record: StoredRecord, error: Exception) -> None:
        """Stop using the record. Otherwise each notifier would wait for S3 again."""
        _log.error("It cannot be noted who was told: %s", record.uri, exc_info=error)
        self.problems.append(f"It cannot be noted who was told in {record.uri}: {error}")
        self._record = None


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
        raise TimeoutError(f"it took longer than {seconds:g} s")
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
