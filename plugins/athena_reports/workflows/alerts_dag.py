"""Alerts: notifiers are told that a run has failed, or that a period is late or has warnings.

The callbacks of the report's DAG tell at once. Airflow does not call them in all cases, so a DAG
beside the report looks again when a period is due. Both note who was told.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, BaseNotifier

from athena_reports.alerts.kinds import (
    failure_alert,
    failure_record,
    published_manifest,
    warning_alert,
    warning_record,
    warnings_of,
)
from athena_reports.alerts.notifying import (
    NOTIFIER_LIMIT,
    TIME_OF_DAG_CALLBACK,
    TIME_OF_TASK_CALLBACK,
    Notifiers,
    call_within,
    tell,
)
from athena_reports.alerts.report_run import REASON_XCOM
from athena_reports.alerts.sensors import (
    ALL_CLEAR_WITHIN,
    WHEN_DUE_TASK,
    WHEN_PUBLISHED_TASK,
    AlertPolicy,
    WhenDueSensor,
    WhenPublishedSensor,
)
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.reports.report import MAINTENANCE_TAG, Report
from athena_reports.scheduling.run_types import ALL_BUT_BACKFILLS
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import settings

_LONGEST_REASON = 4_000  # characters; XCom is no place for a whole log
_MANIFEST_LIMIT = timedelta(seconds=20)  # in a callback of the DAG
# A run waits up to `ALL_CLEAR_WITHIN`. A daily report has 15 of them then, and each has to be
# active to tell.
_ACTIVE_CHECKS = 32
_TIME_WITHOUT_NOTIFIERS = timedelta(minutes=5)

# Why Airflow ended a run, where that is not the failure of a task.
_MEANING_OF_AIRFLOW_REASON = {
    "timed_out": "the run took longer than its run_timeout",
    "all_tasks_deadlocked": "no task could run",
}
_DOC_OF_ALERTS = """\
Tells the notifiers what they have to know of each period of `{dag_id}`.

**Schedule.** Once for each period of the report, {due} after its end. It tells of a failed run, of
warnings and of a late period, and when a late period is published.

**Input.** The manifest of the period, its run, and who was told before.

**Rerun.** At any time: it tells again if the period is still late. A backfill is refused.

**Permissions.** Read the report bucket, write below `_alerts/`; what the notifiers need.
"""

_log = logging.getLogger(__name__)

_Context = Mapping[str, Any]


def require_notifiers(report: Report, option: str, notifiers: object) -> None:
    """Raise ReportError if an option is not a list of notifiers."""
    if isinstance(notifiers, Sequence) and all(
        isinstance(item, BaseNotifier) for item in notifiers
    ):
        return
    expected = "give a list of Airflow notifiers, such as [SnsNotifier(...)]."
    report.refuse(option, f"{notifiers!r} is not valid: {expected}")


def build_alerts_dag(dag: DAG, report: Report, cadence: Cadence, policy: AlertPolicy) -> None:
    """Build the DAG `<report>_<cadence>_alerts`, which runs when a period is due.

    It runs also while the report is paused. It begins and ends with `dag`, the report's DAG. It
    refuses backfills, which would tell of each old period. Airflow finds it without a variable. It
    is in the report's file because only there the notifiers are known.

    Args:
        dag: The report's DAG.
        report: The report.
        cadence: The periods that it is made for.
        policy: Who is told of what.
    """
    default_args = dict(dag.default_args)
    # Not the report's policy: an alert is tried again also if its report is not.
    default_args.update(RetryPolicy().arguments)
    # A callback of the task and not of the DAG, whose run may go on for two weeks.
    tell_failed_check = partial(
        _tell_failed_check, cadence=cadence, notifiers=policy.on_failed_check
    )
    default_args["on_failure_callback"] = [tell_failed_check]
    default_args["on_retry_callback"] = None
    time_of_notifiers = NOTIFIER_LIMIT * len(policy.all_notifiers)
    default_args["execution_timeout"] = _TIME_WITHOUT_NOTIFIERS + time_of_notifiers
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
        tags=[MAINTENANCE_TAG, cadence.name, settings().environment],
    ):
        WhenDueSensor(
            task_id=WHEN_DUE_TASK,
            report=report,
            cadence=cadence,
            alert_policy=policy,
            timeout=policy.due + timedelta(days=1),
        )
        if policy.on_late:
            # It does not follow on the other one: then a failed check would be seen only when its
            # run ends.
            WhenPublishedSensor(
                task_id=WHEN_PUBLISHED_TASK,
                report=report,
                cadence=cadence,
                alert_policy=policy,
                timeout=policy.due + ALL_CLEAR_WITHIN + timedelta(days=1),
            )


def failure_callback(cadence: Cadence, notifiers: Notifiers) -> list[Callable[..., None]] | None:
    """Return the `on_failure_callback` of a report's DAG; None without notifiers.

    Airflow calls it once for each time that a run fails, in the DAG processor. It is not called on
    some executors (apache/airflow#63374 and #19767), and not if somebody marks the run.
    """
    if not notifiers:
        return None
    return [partial(_tell_failure, cadence=cadence, notifiers=notifiers)]


def warning_callback(
    report: Report, cadence: Cadence, notifiers: Notifiers
) -> list[Callable[..., None]] | None:
    """Return the `on_success_callback` of a report's DAG; None without notifiers."""
    if not notifiers:
        return None
    return [partial(_tell_published_warnings, report=report, cadence=cadence, notifiers=notifiers)]


def keep_reason(context: _Context) -> None:
    """Leave a task's exception, which only its worker knows, for those who tell of it."""
    exception = context.get("exception")
    if exception is None:  # the task was killed, and this is not its worker
        return
    context["ti"].xcom_push(REASON_XCOM, str(exception)[:_LONGEST_REASON])


# --- the callbacks of the report's DAG


def _tell_failure(context: _Context, *, cadence: Cadence, notifiers: Notifiers) -> None:
    """Notify that a run has failed, with as much as Airflow knows of it."""
    dag_id = context["dag"].dag_id
    run_id = context["run_id"]
    run: Any = context.get("dag_run")
    record = None
    if run is not None:  # else it is not known how often the run was cleared
        record = failure_record(dag_id, run_id, run.clear_number or 0)
    alert = failure_alert(
        dag_id, run_id, _period_of_callback(context, cadence), _reason_of_failure(context)
    )
    tell(notifiers, context, alert, record, time_for_all=TIME_OF_DAG_CALLBACK)


def _tell_published_warnings(
    context: _Context, *, report: Report, cadence: Cadence, notifiers: Notifiers
) -> None:
    """Notify of the checks that warned of what a run has published."""
    period_id = _period_of_callback(context, cadence)
    if period_id == "unknown":
        _log.warning("Airflow did not say which run has succeeded. The DAG beside it will look.")
        return
    period = cadence.period(period_id)
    manifest = call_within(_MANIFEST_LIMIT, partial(published_manifest, report, period))
    if manifest is None or not warnings_of(manifest):
        return
    record = warning_record(context["dag"].dag_id, manifest)
    alert = warning_alert(report, period, manifest)
    tell(notifiers, context, alert, record, time_for_all=TIME_OF_DAG_CALLBACK)


def _period_of_callback(context: _Context, cadence: Cadence) -> str:
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
        return reason or "a task failed"
    if reason is None:
        reason = _own_kept_reason(ti)
    if not reason:
        reason = "it failed"
    return f"{ti.task_id}: {reason}"


def _own_kept_reason(ti: Any) -> str | None:
    """Return what `keep_reason` has left; None if there is nothing."""
    try:
        reason: str | None = ti.xcom_pull(
            task_ids=ti.task_id, key=REASON_XCOM, map_indexes=ti.map_index
        )
    except Exception:  # an alert without the reason is better than none
        _log.exception("The reason of %s is not known.", ti.task_id)
        return None
    return reason


# --- the callback of the DAG beside the report


def _tell_failed_check(context: _Context, *, cadence: Cadence, notifiers: Notifiers) -> None:
    """Notify that a task of the DAG beside a report has failed for good."""
    ti = context["ti"]
    reason = context.get("exception")
    if not reason:
        reason = "it was killed"
    alert = failure_alert(
        context["dag"].dag_id,
        context["run_id"],
        _period_of_callback(context, cadence),
        f"{ti.task_id}: {reason}",
    )
    tell(notifiers, context, alert, None, time_for_all=TIME_OF_TASK_CALLBACK)
