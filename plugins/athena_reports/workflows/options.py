"""Whether the options of `build_dag` fit each other, the report and the deployment."""

from datetime import timedelta

from athena_reports.alerts.policy import AlertPolicy
from athena_reports.errors import InputError
from athena_reports.inputs.published import Published
from athena_reports.periods.calendar import Cadence
from athena_reports.reports.report import Report
from athena_reports.settings import Settings


def require_place_for_unload(report: Report, deployment: Settings) -> None:
    """Raise ReportError if there is no S3 location for the files of an UNLOAD."""
    if report.unload and not deployment.query_results:
        report.refuse(
            "unload",
            "the workgroup manages its query results. Remove unload, or set"
            " ATHENA_REPORTS_QUERY_RESULTS.",
        )


def require_time_to_alert(report: Report, policy: AlertPolicy, delay: timedelta) -> None:
    """Raise ReportError if a period is due before its run has started."""
    if policy.all_notifiers and policy.due <= delay:
        report.refuse(
            "due", f"due ({policy.due}) is not longer than delay ({delay}). Increase due."
        )


def require_time_for_inputs(
    report: Report, policy: AlertPolicy, delay: timedelta, run_timeout: timedelta | None
) -> None:
    """Raise ReportError if a period is late, or its run times out, while it waits for an input."""
    for source in report.inputs:
        if source.wait is None:
            continue
        wait = f"the wait for input {source.table} ({source.wait})"
        if policy.on_late and source.wait > policy.due:
            report.refuse(
                "due",
                f"due ({policy.due}) is shorter than {wait}. Increase due, or shorten the wait.",
            )
        # The wait counts from the end of the period, and the time of the run from its start.
        if run_timeout is not None and delay + run_timeout <= source.wait:
            report.refuse(
                "run_timeout",
                f"the run starts {delay} after the end of the period and times out after"
                f" {run_timeout}, before {wait} ends. Increase run_timeout, or shorten the wait.",
            )


def require_parts(report: Report, cadence: Cadence) -> None:
    """Raise ReportError if the report reads another one whose periods do not fit, or itself."""
    for source in report.inputs:
        if not isinstance(source, Published):
            continue
        if (source.report, source.cadence) == (report.name, cadence):
            report.refuse(
                "inputs", f"the report reads itself, {source.table}. Read another report."
            )
        try:
            source.require_parts_of(cadence)
        except InputError as error:
            report.refuse("inputs", str(error))
