"""Alerts: notifiers are told that a run of a report has failed, or that a period is late."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseNotifier

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.reports.report import MAINTENANCE_TAG, Report
from athena_reports.scheduling.run_types import ALL_BUT_BACKFILLS
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import settings
from athena_reports.steps.airflow_errors import report_errors

_REASON_XCOM = "reason"
_LONGEST_REASON = 4_000  # characters; XCom is no place for a whole log
_LONGEST_SUBJECT = 99  # characters; SNS takes no more

# Why Airflow ended a run, where that is not the failure of a task.
_MEANING_OF_AIRFLOW_REASON = {
    "timed_out": "the run took longer than its run_timeout",
    "all_tasks_deadlocked": "no task could run",
}
_STEP_AFTER_FAILURE = (
    "See the reason or the log of the task, mend that, and clear the run from there."
)
_STEP_IF_LATE = (
    "See whether the DAG is paused, or its run waits or has failed. Clear that run, or trigger one."
)
_DOC_OF_LATE_CHECK = """\
Tells the notifiers when a period of `{dag_id}` is not published in time.

**Schedule.** Once for each period of the report, {due} after its end.

**Input.** The manifest of the period.

**Rerun.** At any time: it tells again if the period is still not published. A backfill is refused.

**Permissions.** Read the report bucket; what the notifiers need.
"""

_log = logging.getLogger(__name__)

Notifiers = Sequence[BaseNotifier]
_Context = Mapping[str, Any]


def require_notifiers(report: Report, option: str, notifiers: object) -> None:
    """Raise ReportError if an option is not a list of notifiers."""
    if isinstance(notifiers, Sequence) and all(
        isinstance(item, BaseNotifier) for item in notifiers
    ):
        return
    expected = "give a list of Airflow notifiers, such as [SnsNotifier(...)]."
    report.refuse(option, f"{notifiers!r} is not valid: {expected}")


def build_late_check(
    dag: DAG,
    report: Report,
    cadence: Cadence,
    *,
    due: timedelta,
    on_late: Notifiers,
    on_failure: Notifiers,
) -> None:
    """Build the DAG `<report>_<cadence>_late`, which runs when a period is due.

    It runs also while the report is paused. It begins and ends with `dag`, the report's DAG. It
    refuses backfills, which would tell of each old period. Airflow finds it without a variable. It
    is in the report's file because only there the notifiers are known.

    Args:
        dag: The report's DAG.
        report: The report.
        cadence: The periods that it is made for.
        due: How long after its end a period is published at the latest.
        on_late: Notifiers that are called when it is not.
        on_failure: Notifiers that are called when the check itself fails; if empty, `on_late`.
    """
    notifiers_of_check = on_failure
    if not on_failure:
        notifiers_of_check = on_late
    default_args = dict(dag.default_args)
    default_args["on_failure_callback"] = keep_reason
    with DAG(
        f"{dag.dag_id}_late",
        doc_md=_DOC_OF_LATE_CHECK.format(dag_id=dag.dag_id, due=due),
        schedule=PeriodTimetable(cadence, due),
        start_date=dag.start_date,
        end_date=dag.end_date,
        catchup=False,
        allowed_run_types=ALL_BUT_BACKFILLS,
        is_paused_upon_creation=dag.is_paused_upon_creation,
        default_args=default_args,
        on_failure_callback=failure_callback(cadence, notifiers_of_check),
        tags=[MAINTENANCE_TAG, cadence.name, settings().environment],
    ):
        PythonOperator(
            task_id="tell_if_late",
            python_callable=partial(
                _tell_if_late, report=report, cadence=cadence, due=due, notifiers=on_late
            ),
        )


def failure_callback(cadence: Cadence, notifiers: Notifiers) -> list[Callable[..., None]] | None:
    """Return the callback of a DAG; None without notifiers.

    Airflow calls it once for each time that a run fails, in the DAG processor.
    """
    if not notifiers:
        return None
    return [partial(_tell_failure, cadence=cadence, notifiers=notifiers)]


def keep_reason(context: _Context) -> None:
    """Leave a task's exception, which only its worker knows, for the callback of the DAG."""
    reason = str(context.get("exception"))
    context["ti"].xcom_push(_REASON_XCOM, reason[:_LONGEST_REASON])


def _tell_failure(context: _Context, *, cadence: Cadence, notifiers: Notifiers) -> None:
    """Notify that a run has failed, with as much as Airflow knows of it."""
    dag_id = context["dag"].dag_id
    run_id = quote(context["run_id"])
    _notify(
        notifiers,
        context,
        dag_id=dag_id,
        period_id=_period_of_failed_run(context, cadence),
        problem="failed",
        reason=_reason_of_failure(context),
        next_step=_STEP_AFTER_FAILURE,
        path=f"/dags/{dag_id}/runs/{run_id}",
    )


def _period_of_failed_run(context: _Context, cadence: Cadence) -> str:
    """Return the id of a run's period; "unknown" if Airflow knows no more than the run's id."""
    run: Any = context.get("dag_run")
    if run is None:
        return "unknown"
    param = ""
    if run.conf:
        param = run.conf.get(PERIOD_PARAM) or ""  # the trigger form sends null for an empty field
    try:
        return period_of_run(cadence, run, param=param).id
    except AthenaReportsError:  # the run may have failed for this very reason
        return "unknown"


def _reason_of_failure(context: _Context) -> str:
    """Return why a run failed, by Airflow or by the exception that its failed task has kept."""
    reason = _MEANING_OF_AIRFLOW_REASON.get(context["reason"])
    ti = context.get("ti")
    if ti is None:
        return "a task failed" if reason is None else reason
    if reason is None:
        reason = _kept_reason(ti)
    if not reason:
        reason = "it failed"
    return f"{ti.task_id}: {reason}"


def _kept_reason(ti: Any) -> str | None:
    """Return what `keep_reason` has left; None if there is nothing."""
    reason: str | None = None
    with suppress(Exception):  # an alert without the reason is better than none
        reason = ti.xcom_pull(task_ids=ti.task_id, key=_REASON_XCOM, map_indexes=ti.map_index)
    return reason


def _tell_if_late(
    *, report: Report, cadence: Cadence, due: timedelta, notifiers: Notifiers, **context: Any
) -> bool:
    """Notify that the period of this run is not published; return whether it is late."""
    dag_id = f"{report.name}_{cadence.name}"
    with report_errors():
        period = period_of_run(cadence, context["dag_run"])
        if not _is_scheduled(period, context["dag"]):
            _log.info(
                "The period %s is not one that the report is made for, so it is not late.", period
            )
            return False
        if _is_published(report, period):
            return False
    if report.empty == "skip" and _has_succeeded(dag_id, period, context["ti"]):
        return False  # its run found no rows

    due_at = (period.end_utc + due).astimezone(cadence.zone)
    due_at_text = f"{due_at:%Y-%m-%d %H:%M} {cadence.timezone}"
    _notify(
        notifiers,
        context,
        dag_id=dag_id,
        period_id=period.id,
        problem="is late",
        reason=f"it was due at {due_at_text} and is not published",
        next_step=_STEP_IF_LATE,
        path=f"/dags/{dag_id}",
    )
    return True


def _is_scheduled(period: Period, dag: DAG) -> bool:
    """Whether a DAG has a run of a period by its schedule; one that is triggered can be of any."""
    if dag.start_date is not None and period.start_utc < dag.start_date:
        return False
    return dag.end_date is None or period.start_utc <= dag.end_date


def _is_published(report: Report, period: Period) -> bool:
    deployment = settings()
    hook = SharedSessionHook(aws_conn_id=deployment.aws_conn_id)
    s3 = S3(hook.client("s3"), deployment.bucket_owner)
    location = PeriodLocation.of(deployment.report_bucket, report.name, period)
    manifest, _ = read_manifest(location, s3)
    return manifest is not None


def _has_succeeded(dag_id: str, period: Period, ti: Any) -> bool:
    """Whether the scheduled run of a period has succeeded."""
    count = ti.get_dr_count(dag_id=dag_id, logical_dates=[period.start_utc], states=["success"])
    return bool(count > 0)


def _notify(
    notifiers: Notifiers,
    context: _Context,
    *,
    dag_id: str,
    period_id: str,
    problem: str,
    reason: str,
    next_step: str,
    path: str,
) -> None:
    """Call notifiers with the context and an `alert`; one that fails is logged.

    Args:
        notifiers: The notifiers.
        context: Airflow's context of the task or the callback.
        dag_id: The report's DAG.
        period_id: The period; "unknown" if it is.
        problem: What happened to it, after its name.
        reason: Why.
        next_step: What to do about it.
        path: Where to look, below the address of Airflow's web server.
    """
    environment = settings().environment
    base_url = conf.get("api", "base_url", fallback="http://localhost:8080/").rstrip("/")
    message = (
        f"{dag_id}, period {period_id}, environment {environment}: {problem}.\n"
        f"Reason: {reason}\n"
        f"Next step: {next_step}\n"
        f"{base_url}{path}"
    )
    subject = f"{environment}: {dag_id} {period_id} {problem}"
    alert = {
        "environment": environment,
        "subject": subject[:_LONGEST_SUBJECT],
        "message": message,
    }
    for notifier in notifiers:
        # Each gets copies of its own: a notifier puts what it has rendered in the place of its
        # templates, and adds its fields to the context.
        context_of_notifier = {**context, "alert": alert}
        try:
            copy(notifier)(context_of_notifier)
        except Exception:
            _log.exception("The notifier %s failed: %s", type(notifier).__name__, message)
