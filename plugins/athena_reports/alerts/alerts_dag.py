"""Alerts: a run has failed, or a period is late or has warnings.

The callbacks of the report's DAG send them at once. Airflow does not call them in all cases, so a
DAG beside the report checks again when a period is due. Both record what was sent.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG

from athena_reports.alerts.kinds import (
    failure_alert,
    failure_record,
    published_manifest,
    warning_alert,
    warning_record,
)
from athena_reports.alerts.notifying import (
    NOTIFIER_LIMIT,
    TIME_OF_DAG_CALLBACK,
    TIME_OF_TASK_CALLBACK,
    call_within,
    send_alert,
)
from athena_reports.alerts.policy import AlertPolicy, Notifiers
from athena_reports.alerts.redaction import error_text
from athena_reports.alerts.report_run import REASON_XCOM, kept_reason
from athena_reports.alerts.sensors import (
    ALL_CLEAR_WITHIN,
    WHEN_DUE_TASK,
    WHEN_PUBLISHED_TASK,
    WhenDueSensor,
    WhenPublishedSensor,
)
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_delivery, period_of_run
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.reports.report import MAINTENANCE_TAG, Report
from athena_reports.scheduling.timetable import ALL_BUT_BACKFILLS, PeriodTimetable
from athena_reports.settings import settings

_LONGEST_REASON = 4_000  # characters; XCom is no place for a whole log
# In a callback of the DAG. If S3 is so slow that Airflow ends the callback first, the DAG beside
# the report sends the alert.
_MANIFEST_LIMIT = timedelta(seconds=20)
# A run is active for up to `ALL_CLEAR_WITHIN`, so a daily report can have 15 active ones. A queued
# one would send nothing. The other half is for runs that somebody triggers.
_ACTIVE_CHECKS = 32
_TIME_WITHOUT_NOTIFIERS = timedelta(minutes=5)  # of a task of this DAG, for one look
_UNKNOWN_PERIOD = "unknown"  # in the place of a period's id

# What the `reason` that Airflow gives a callback means, where it is not the failure of a task.
_MEANING_OF_AIRFLOW_REASON = {
    "timed_out": "the run took longer than its run_timeout",
    "all_tasks_deadlocked": "no task could run",
}
_STEP_AFTER_FAILED_DELIVERY = (
    "Fix the cause, then clear only the failed task. Clearing the run would send to the other"
    " channels again."
)
_DOC_OF_ALERTS = """\
Sends the alerts of `{dag_id}`.

**Schedule.** Once for each period of the report, {due} after its end. It reports failed
runs, check warnings and late periods, and follows up when a late period is published.

**Input.** The period's manifest and run, and the records of sent alerts.

**Rerun.** At any time: alerts that were already sent are not repeated, except the alert for a
period that is still late. Backfills are rejected.

**Permissions.** Read the report bucket and write below `_alerts/`, plus what the notifiers need.
"""

_log = logging.getLogger(__name__)

_Context = Mapping[str, Any]
_Callbacks = list[Callable[..., None]] | None


def build_alerts_dag(dag: DAG, report: Report, cadence: Cadence, policy: AlertPolicy) -> None:
    """Build the DAG `<report>_<cadence>_alerts`, which runs when a period is due.

    It has the start date and the end date of the report's DAG, and runs also while that one is
    paused. It refuses backfills, which would alert for each old period. It belongs to the report's
    file because only there the notifiers are known. Airflow registers it as it is made, so it is
    not returned.
    """
    time_of_notifiers = NOTIFIER_LIMIT * len(policy.all_notifiers)
    default_args = {
        **dag.default_args,
        # Not the report's retry policy: an alert is tried again even if its tasks are not.
        **RetryPolicy().arguments,
        # A callback of the tasks: one of the DAG would be called only when the run ends, which can
        # be two weeks later.
        "on_failure_callback": _if_any(
            policy.on_failed_check,
            _on_failed_task,
            report=report,
            period_of=partial(period_of_run, cadence),
        ),
        "on_retry_callback": None,
        "execution_timeout": _TIME_WITHOUT_NOTIFIERS + time_of_notifiers,
    }
    with DAG(
        f"{dag.dag_id}_alerts",
        doc_md=_DOC_OF_ALERTS.format(dag_id=dag.dag_id, due=policy.due),
        schedule=PeriodTimetable(cadence, policy.due),
        start_date=dag.start_date,
        end_date=dag.end_date,
        catchup=False,
        max_active_runs=_ACTIVE_CHECKS,
        allowed_run_types=ALL_BUT_BACKFILLS,
        is_paused_upon_creation=dag.is_paused_upon_creation,
        default_args=default_args,
        tags=[MAINTENANCE_TAG, cadence.unit, settings().environment],
    ):
        WhenDueSensor(
            task_id=WHEN_DUE_TASK,
            report=report,
            cadence=cadence,
            alert_policy=policy,
            timeout=policy.due + timedelta(days=1),
        )
        if policy.on_late:
            # It waits for the other task by itself, and is not downstream of it. With the trigger
            # rule `all_success`, nobody would get an all-clear after a failed check. With
            # `all_done`, the run would succeed although its check has failed.
            WhenPublishedSensor(
                task_id=WHEN_PUBLISHED_TASK,
                report=report,
                cadence=cadence,
                alert_policy=policy,
                timeout=policy.due + ALL_CLEAR_WITHIN + timedelta(days=1),
            )


def failure_callback(cadence: Cadence, notifiers: Notifiers) -> _Callbacks:
    """Return the `on_failure_callback` of a report's DAG; None without notifiers.

    Airflow calls it in the DAG processor, once for each time that a run fails. It does not call it
    on some executors (apache/airflow#63374 and #19767), nor if somebody marks the run as failed.
    """
    return _if_any(notifiers, _on_failed_run, cadence=cadence)


def warning_callback(report: Report, cadence: Cadence, notifiers: Notifiers) -> _Callbacks:
    """Return the `on_success_callback` of a report's DAG; None without notifiers."""
    return _if_any(notifiers, _on_published, report=report, cadence=cadence)


def failed_delivery_callback(report: Report, cadence: Cadence, notifiers: Notifiers) -> _Callbacks:
    """Return the `on_failure_callback` of the tasks of a delivering DAG; None without notifiers."""
    return _if_any(
        notifiers,
        _on_failed_task,
        report=report,
        period_of=partial(period_of_delivery, cadence),
        next_step=_STEP_AFTER_FAILED_DELIVERY,
    )


def _if_any(notifiers: Notifiers, function: Callable[..., None], **arguments: Any) -> _Callbacks:
    return [partial(function, notifiers=notifiers, **arguments)] if notifiers else None


def reason_callback(report: Report) -> Callable[[_Context], None]:
    """Return the callback of a report's tasks that keeps the reason why a try has failed.

    The alert of the failure contains it. Only the worker of the task has the exception.
    """
    return partial(_keep_reason, has_private_columns=report.has_private_columns)


def _keep_reason(context: _Context, *, has_private_columns: bool) -> None:
    exception = context.get("exception")
    if exception is None:  # the task was killed, and the DAG processor calls this
        return
    reason = error_text(exception, has_private_columns=has_private_columns)
    context["ti"].xcom_push(REASON_XCOM, reason[:_LONGEST_REASON])


# --- the callbacks of the report's DAG


def _on_failed_run(context: _Context, *, cadence: Cadence, notifiers: Notifiers) -> None:
    """Notify that a run has failed, with as much as Airflow knows of it."""
    dag_id = context["dag"].dag_id
    run_id = context["run_id"]
    run: Any = context.get("dag_run")
    record = None
    # Without the run it is not known how often it was cleared, and so which record is meant.
    if run is not None:
        record = failure_record(dag_id, run_id, run.clear_number or 0)
    period = _period_of(context, partial(period_of_run, cadence, param=_param_of_run(run)))
    alert = failure_alert(dag_id, run_id, _id_of_period(period), _reason_of_failure(context))
    send_alert(notifiers, context, alert, record, time_for_all=TIME_OF_DAG_CALLBACK)


def _on_published(
    context: _Context, *, report: Report, cadence: Cadence, notifiers: Notifiers
) -> None:
    """Notify of the checks that warned of what a run has published."""
    param = _param_of_run(context.get("dag_run"))
    period = _period_of(context, partial(period_of_run, cadence, param=param))
    if period is None:
        _log.warning(
            "Airflow did not pass the run to the callback; the alerts DAG will check for warnings."
        )
        return
    manifest = call_within(_MANIFEST_LIMIT, partial(published_manifest, report, period))
    if manifest is None or not manifest.warnings:
        return
    record = warning_record(context["dag"].dag_id, manifest)
    alert = warning_alert(report, period, manifest)
    send_alert(notifiers, context, alert, record, time_for_all=TIME_OF_DAG_CALLBACK)


def _param_of_run(run: Any) -> str:
    """Return the param `period` of a run of the report; empty if it has none, or is not known."""
    if run is None or not run.conf:
        return ""
    return run.conf.get(PERIOD_PARAM) or ""  # the trigger form sends null for an empty field


def _period_of(context: _Context, period_of: Callable[[Any], Period]) -> Period | None:
    """Return the period of a run; None if it has none, or Airflow gives no more than its id."""
    run = context.get("dag_run")
    if run is None:
        return None
    try:
        return period_of(run)
    except AthenaReportsError:  # the run may have failed for this very reason
        return None


def _id_of_period(period: Period | None) -> str:
    return period.id if period is not None else _UNKNOWN_PERIOD


def _reason_of_failure(context: _Context) -> str:
    """Return why a run failed: Airflow's reason, or the error that the failed task has kept.

    Airflow may name the task that has failed, was not finished in time, or could not run.
    """
    reason = _MEANING_OF_AIRFLOW_REASON.get(context["reason"])
    ti = context.get("ti")
    if ti is None:
        return reason or "a task failed"
    reason = reason or kept_reason(ti, ti.task_id, map_indexes=ti.map_index) or "it failed"
    return f"{ti.task_id}: {reason}"


# --- the callback of the DAGs beside the report's


def _on_failed_task(
    context: _Context,
    *,
    report: Report,
    notifiers: Notifiers,
    period_of: Callable[[Any], Period],
    next_step: str = "",
) -> None:
    """Notify that a task has failed for good.

    It needs no record: Airflow calls this once for each failed task.
    """
    ti = context["ti"]
    reason = "the process was killed"
    exception = context.get("exception")
    if exception is not None:
        reason = error_text(exception, has_private_columns=report.has_private_columns)
    alert = failure_alert(
        context["dag"].dag_id,
        context["run_id"],
        _id_of_period(_period_of(context, period_of)),
        f"{ti.task_id}: {reason}",
        next_step=next_step,
    )
    # A notifier can show the exception too.
    own_context = {**context, "exception": reason}
    send_alert(notifiers, own_context, alert, None, time_for_all=TIME_OF_TASK_CALLBACK)
