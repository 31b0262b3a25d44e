"""The two tasks of the DAG beside a report. They hold no worker while they wait."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG, BaseSensorOperator, Context, PokeReturnValue

from athena_reports.alerts.kinds import (
    all_clear_alert,
    all_clear_record,
    failure_alert,
    failure_record,
    late_alert,
    late_record,
    published_manifest,
    warning_alert,
    warning_record,
)
from athena_reports.alerts.lateness import deadline
from athena_reports.alerts.notifying import send_alert
from athena_reports.alerts.policy import AlertPolicy
from athena_reports.alerts.report_run import (
    Cause,
    ReportRun,
    cause_of_lateness,
    failure_of,
    find_run,
)
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import period_of_run
from athena_reports.publication.manifest import Manifest
from athena_reports.reports.report import Report
from athena_reports.steps.airflow_errors import report_errors

WHEN_DUE_TASK = "tell_when_due"
WHEN_PUBLISHED_TASK = "tell_when_published"

# Whoever needs a late period has asked for it after two weeks, and needs no all-clear. The DAG, in
# `alerts/alerts_dag.py`, lets as many runs be active as a daily report has in this time.
ALL_CLEAR_WITHIN = timedelta(days=14)
_LOOK_EVERY = timedelta(minutes=10)
_ENDED = ("success", "failed", "skipped", "upstream_failed")
_UNKNOWN_CAUSE = Cause(
    "",
    "Check whether the DAG is paused, or whether its run is waiting or has failed."
    " Clear that run, or trigger a new one.",
)
_log = logging.getLogger(__name__)


class _PeriodSensor(BaseSensorOperator):
    """Looks at the period of its run every ten minutes."""

    def __init__(
        self,
        *,
        report: Report,
        cadence: Cadence,
        alert_policy: AlertPolicy,
        timeout: timedelta,
        **kwargs: Any,
    ) -> None:
        super().__init__(mode="reschedule", poke_interval=_LOOK_EVERY, timeout=timeout, **kwargs)
        self.report = report
        self.cadence = cadence
        self.alert_policy = alert_policy

    @property
    def report_dag_id(self) -> str:
        """The report's DAG."""
        return f"{self.report.name}_{self.cadence.unit}"

    def _late_from(self, period: Period, context: Context) -> datetime:
        """Return the time from which on the period is late."""
        run: Any = context["dag_run"]
        is_by_schedule = run.run_type == "scheduled" and not run.clear_number
        check_started = run.start_date if is_by_schedule else None
        return deadline(period.end_utc, self.alert_policy.due, check_started)

    def _has_found_no_rows(self, run: ReportRun | None) -> bool:
        """Whether a period is not published because its run found no rows."""
        return self.report.empty == "skip" and run is not None and run.state == "success"

    def _send_missed_failure(
        self, period: Period, run: ReportRun | None, context: Context
    ) -> list[str]:
        """Send the alert of a failed run, if its callback has not; return the problems."""
        if run is None or run.state != "failed":
            return []
        reason = failure_of(run, context["ti"])
        alert = failure_alert(self.report_dag_id, run.run_id, period.id, reason)
        record = failure_record(self.report_dag_id, run.run_id, run.clear_number)
        return send_alert(self.alert_policy.on_failure, context, alert, record)


class WhenDueSensor(_PeriodSensor):
    """Sends the alerts of a failed run, of warnings and of a late period.

    It waits until the period is published or late, and returns whether it is late. It fails if a
    notifier does, and its retry calls only the notifiers that have not succeeded.
    """

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        with report_errors():
            period = period_of_run(self.cadence, context["dag_run"])
            if not is_scheduled(period, self.dag):
                _log.info("Period %s is outside the report's since and until dates.", period)
                return PokeReturnValue(True, xcom_value=False)
            manifest = published_manifest(self.report, period)
        late_from = self._late_from(period, context)
        if manifest is None and datetime.now(UTC) < late_from:
            return PokeReturnValue(False)

        problems: list[str] = []
        run: ReportRun | None = None
        is_run_known = False
        try:
            run = find_run(context["ti"], self.report_dag_id, period)
            is_run_known = True
        except Exception as error:  # a late alert without the run is better than none
            _log.exception("Could not find the run of %s.", period)
            problems.append(f"Could not find the run of {period}: {error}")
        problems += self._send_missed_failure(period, run, context)
        is_late = manifest is None and not self._has_found_no_rows(run)
        if manifest is not None:
            problems += self._send_missed_warnings(period, manifest, context)
        if is_late:
            cause = self._cause(run, context) if is_run_known else _UNKNOWN_CAUSE
            problems += self._send_late(period, cause, late_from, context)
        _raise_if_any(problems)
        return PokeReturnValue(True, xcom_value=is_late)

    def _send_missed_warnings(
        self, period: Period, manifest: Manifest, context: Context
    ) -> list[str]:
        if not manifest.warnings:
            return []
        alert = warning_alert(self.report, period, manifest)
        record = warning_record(self.report_dag_id, manifest)
        return send_alert(self.alert_policy.on_warning, context, alert, record)

    def _cause(self, run: ReportRun | None, context: Context) -> Cause:
        try:
            return cause_of_lateness(run, context["ti"], self.report_dag_id)
        except Exception:  # an alert without the cause is better than none
            _log.exception("Could not determine why the period is late.")
            return _UNKNOWN_CAUSE

    def _send_late(
        self, period: Period, cause: Cause, late_from: datetime, context: Context
    ) -> list[str]:
        alert = late_alert(self.report_dag_id, period, late_from, cause)
        record = late_record(self.dag_id, context["run_id"], _clear_number(context))
        return send_alert(self.alert_policy.on_late, context, alert, record)


class WhenPublishedSensor(_PeriodSensor):
    """Sends the all-clear of a late period; returns whether it was sent.

    It sends nothing if no alert of a late period was sent, or if the period is not published
    `ALL_CLEAR_WITHIN` after it was late.
    """

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        ti: Any = context["ti"]
        with report_errors():
            period = period_of_run(self.cadence, context["dag_run"])
            if not is_scheduled(period, self.dag):
                return PokeReturnValue(True, xcom_value=False)
            if self._may_still_send_late(ti, context["run_id"]):
                return PokeReturnValue(False)
            record_of_late = late_record(self.dag_id, context["run_id"], _clear_number(context))
            if not record_of_late.notified():
                return PokeReturnValue(True, xcom_value=False)
            manifest = published_manifest(self.report, period)

        if manifest is None:
            run = find_run(ti, self.report_dag_id, period)
            if not self._has_found_no_rows(run):
                # The problems are in the log. They do not fail this task: its next look calls the
                # notifiers again.
                self._send_missed_failure(period, run, context)
                gives_up_at = self._late_from(period, context) + ALL_CLEAR_WITHIN
                has_given_up = datetime.now(UTC) >= gives_up_at
                return PokeReturnValue(has_given_up, xcom_value=False)

        alert = all_clear_alert(self.report_dag_id, period, manifest)
        record = all_clear_record(self.dag_id, context["run_id"], _clear_number(context))
        _raise_if_any(send_alert(self.alert_policy.on_late, context, alert, record))
        return PokeReturnValue(True, xcom_value=True)

    def _may_still_send_late(self, ti: Any, run_id: str) -> bool:
        """Whether the other task of this run may still send the late alert."""
        states = ti.get_task_states(dag_id=self.dag_id, run_ids=[run_id], task_ids=[WHEN_DUE_TASK])
        return states.get(run_id, {}).get(WHEN_DUE_TASK) not in _ENDED


def is_scheduled(period: Period, dag: DAG) -> bool:
    """Whether a DAG has a scheduled run of a period.

    A triggered run can also be of a period before the start date or after the end date.
    """
    if dag.start_date is not None and period.start_utc < dag.start_date:
        return False
    return dag.end_date is None or period.start_utc <= dag.end_date


def _clear_number(context: Context) -> int:
    run: Any = context["dag_run"]
    return run.clear_number or 0


def _raise_if_any(problems: Sequence[str]) -> None:
    """Let the task be retried. A retry calls only the notifiers that have not succeeded."""
    if problems:
        raise AirflowException("; ".join(problems))
