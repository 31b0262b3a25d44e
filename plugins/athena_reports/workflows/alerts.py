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
_REASONS = {"timed_out": "the run took longer than its run_timeout", "all_tasks_deadlocked": "no task could run"}
_DOC = """Tells the notifiers when a period of `{dag_id}` is not published in time.\n
**Schedule.** Once for each period of the report, {due} after its end.\n
**Input.** The manifest of the period.\n
**Rerun.** At any time: it tells again if the period is still not published. A backfill is refused.\n
**Permissions.** Read the report bucket; what the notifiers need.
"""
_NEXT_STEPS = {
    "failed": "See the reason or the log of the task, mend that, and clear the run from there.",
    "is late": "See whether the DAG is paused, or its run waits or has failed. Clear that run, or trigger one.",
}
_log = logging.getLogger(__name__)

Notifiers = Sequence[BaseNotifier]
_Context = Mapping[str, Any]


def require_notifiers(report: Report, option: str, given: object) -> None:
    """Raise ReportError if an option is not a list of notifiers."""
    if not isinstance(given, Sequence) or not all(isinstance(each, BaseNotifier) for each in given):
        report.refuse(option, f"{given!r} is not valid: give a list of Airflow notifiers, such as [SnsNotifier(...)].")


def build_late_check(
    dag: DAG, report: Report, cadence: Cadence, *, due: timedelta, on_late: Notifiers, on_failure: Notifiers
) -> None:
    """Build the DAG `<report>_<cadence>_late`, which runs when a period is due, also while the report is paused.

    It begins and ends with `dag`, the report's DAG. It refuses backfills, which would tell of each old period.
    Airflow finds it without a variable. It is in the report's file because only there the notifiers are known.
    """
    with DAG(
        f"{dag.dag_id}_late",
        doc_md=_DOC.format(dag_id=dag.dag_id, due=due),
        schedule=PeriodTimetable(cadence, due),
        start_date=dag.start_date,
        end_date=dag.end_date,
        catchup=False,
        allowed_run_types=ALL_BUT_BACKFILLS,
        is_paused_upon_creation=dag.is_paused_upon_creation,
        default_args={**dag.default_args, "on_failure_callback": keep_reason},
        on_failure_callback=failure_callback(cadence, on_failure or on_late),
        tags=[MAINTENANCE_TAG, cadence.name, settings().environment],
    ):
        check = partial(_tell_if_late, report=report, cadence=cadence, due=due, notifiers=on_late)
        PythonOperator(task_id="tell_if_late", python_callable=check)


def failure_callback(cadence: Cadence, notifiers: Notifiers) -> list[Callable[..., None]] | None:
    """Return the callback of a DAG. Airflow calls it once for each time that a run fails, in the DAG processor."""
    return [partial(_tell_failure, cadence=cadence, notifiers=notifiers)] if notifiers else None


def keep_reason(context: _Context) -> None:
    """Leave a task's exception, which only its worker knows, for the callback of the DAG."""
    context["ti"].xcom_push(_REASON_XCOM, str(context.get("exception"))[:4_000])


def _tell_failure(context: _Context, *, cadence: Cadence, notifiers: Notifiers) -> None:
    run: Any = context.get("dag_run")
    ti, dag_id, period = context.get("ti"), context["dag"].dag_id, "unknown"
    reason = _REASONS.get(context["reason"], "")
    with suppress(AthenaReportsError, AttributeError):  # Airflow may know no more than the run's id
        period = period_of_run(cadence, run, param=(run.conf or {}).get(PERIOD_PARAM) or "").id
    if ti is not None:
        with suppress(Exception):  # an alert without the reason is better than none
            reason = reason or ti.xcom_pull(task_ids=ti.task_id, key=_REASON_XCOM, map_indexes=ti.map_index)
        reason = f"{ti.task_id}: {reason or 'it failed'}"
    _tell(notifiers, context, dag_id, period, "failed", reason or "a task failed")


def _tell_if_late(*, report: Report, cadence: Cadence, due: timedelta, notifiers: Notifiers, **context: Any) -> bool:
    """Tell that the period of this run is not published; return whether it is late."""
    names, dag_id = settings(), f"{report.name}_{cadence.name}"
    with report_errors():
        period = period_of_run(cadence, context["dag_run"])
        if not _is_scheduled(period, context["dag"]):
            _log.info("The period %s is not one that the report is made for, so it is not late.", period)
            return False
        s3 = S3(SharedSessionHook(aws_conn_id=names.aws_conn_id).client("s3"), names.bucket_owner)
        manifest, _ = read_manifest(PeriodLocation.of(names.report_bucket, report.name, period), s3)
    runs = {"dag_id": dag_id, "logical_dates": [period.start_utc], "states": ["success"]}
    if manifest or (report.empty == "skip" and context["ti"].get_dr_count(**runs)):
        return False
    due_at = f"{(period.end_utc + due).astimezone(cadence.zone):%Y-%m-%d %H:%M} {cadence.timezone}"
    _tell(notifiers, context, dag_id, period.id, "is late", f"it was due at {due_at} and is not published")
    return True


def _is_scheduled(period: Period, dag: DAG) -> bool:
    """Whether a DAG has a run of a period by its schedule. A run that somebody triggers can be of any period."""
    if dag.start_date is not None and period.start_utc < dag.start_date:
        return False
    return dag.end_date is None or period.start_utc <= dag.end_date


def _tell(notifiers: Notifiers, context: _Context, dag_id: str, period: str, problem: str, reason: str) -> None:
    environment, url = settings().environment, conf.get("api", "base_url", fallback="http://localhost:8080/")
    run = f"/runs/{quote(context['run_id'])}" if problem == "failed" else ""
    message = f"{dag_id}, period {period}, environment {environment}: {problem}.\nReason: {reason}\n"
    message += f"Next step: {_NEXT_STEPS[problem]}\n{url.rstrip('/')}/dags/{dag_id}{run}"
    subject = f"{environment}: {dag_id} {period} {problem}"[:99]  # SNS takes no more
    alert = {"environment": environment, "subject": subject, "message": message}
    for notifier in notifiers:
        try:
            # A copy: a notifier puts what it has rendered in the place of its templates.
            copy(notifier)({**context, "alert": alert})
        except Exception:
            _log.exception("The notifier %s failed: %s", type(notifier).__name__, message)
