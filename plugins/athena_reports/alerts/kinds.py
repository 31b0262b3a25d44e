"""The kinds of alerts, and for each the record in S3 of the notifiers that have sent it."""

from datetime import datetime
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf

from athena_reports.alerts.alert import Alert
from athena_reports.alerts.record import AlertRecord
from athena_reports.alerts.report_run import STEP_AFTER_FAILURE, Cause
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import ALERTS_FOLDER, PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.reports.report import Report
from athena_reports.settings import settings


def failure_alert(
    dag_id: str, run_id: str, period_id: str, reason: str, *, next_step: str = ""
) -> Alert:
    """Return the alert that a run has failed.

    Args:
        dag_id: The DAG.
        run_id: Its run.
        period_id: Id of the period; the text "unknown" if it is not known.
        reason: Why.
        next_step: What to do about it; empty for what to do about a run of a report.
    """
    return _alert(
        dag_id,
        period_id,
        problem="failed",
        reason=reason,
        next_step=next_step or STEP_AFTER_FAILURE,
        path=f"/dags/{dag_id}/runs/{quote(run_id)}",
    )


def late_alert(dag_id: str, period: Period, late_from: datetime, cause: Cause) -> Alert:
    """Return the alert that a period is not published in time; `late_from` was its deadline."""
    reason = f"it was due at {_local(late_from, period.cadence)} and has not been published"
    if cause.reason:
        reason += f"; {cause.reason}"
    return _alert(
        dag_id,
        period.id,
        problem="is late",
        reason=reason,
        next_step=cause.next_step,
        path=f"/dags/{dag_id}",
    )


def all_clear_alert(dag_id: str, period: Period, manifest: Manifest | None) -> Alert:
    """Return the alert that a period is no longer late.

    Args:
        dag_id: The report's DAG.
        period: The period.
        manifest: Its manifest; None if its run found no rows, so that it is not published.
    """
    if manifest is None:
        reason = 'its run found no rows, so the period was skipped (empty="skip")'
    else:
        published_at = datetime.fromisoformat(manifest.published_at)
        reason = f"it was published at {_local(published_at, period.cadence)}"
    return _alert(
        dag_id,
        period.id,
        problem="is no longer late",
        reason=reason,
        next_step="None.",
        path=f"/dags/{dag_id}",
    )


def warning_alert(report: Report, period: Period, manifest: Manifest) -> Alert:
    """Return the alert that checks warn of the published version, which has `warnings`."""
    dag_id = f"{report.name}_{period.cadence.unit}"
    findings = [f"{check.name}: {check.message}" for check in manifest.warnings]
    manifest_uri = location_of(report, period).manifest_uri
    next_step = (
        f"See the checks in {manifest_uri}. If the rows are wrong, correct the source and restate"
        " the period."
    )
    return _alert(
        dag_id,
        period.id,
        problem="was published with warnings",
        reason="; ".join(findings),
        next_step=next_step,
        path=f"/dags/{dag_id}/runs/{quote(manifest.run.run_id)}",
    )


def failure_record(dag_id: str, run_id: str, clear_number: int) -> AlertRecord:
    """Return the record of a failed run.

    A run that was cleared can fail again, so there is a record for each time that it was cleared.
    """
    return _record(dag_id, run_id, f"failed-{clear_number}")


def warning_record(dag_id: str, manifest: Manifest) -> AlertRecord:
    """Return the record of the warnings of the version that a manifest names."""
    return _record(dag_id, manifest.run.run_id, f"warning-{manifest.version}")


def late_record(dag_id: str, run_id: str, clear_number: int) -> AlertRecord:
    """Return the record of a late period, which a run of the DAG beside the report has noticed.

    Args:
        dag_id: The DAG beside the report.
        run_id: Its run.
        clear_number: How often that run was cleared. A cleared run sends all alerts again.
    """
    return _record(dag_id, run_id, f"late-{clear_number}")


def all_clear_record(dag_id: str, run_id: str, clear_number: int) -> AlertRecord:
    """Return the record of a period that is no longer late; see `late_record`."""
    return _record(dag_id, run_id, f"no-longer-late-{clear_number}")


def location_of(report: Report, period: Period) -> PeriodLocation:
    """Return where a period is published."""
    return PeriodLocation.of(settings().report_bucket, report.name, period)


def published_manifest(report: Report, period: Period) -> Manifest | None:
    """Return the manifest of a period; None if it is not published."""
    manifest, _ = read_manifest(location_of(report, period), _open_s3())
    return manifest


def _alert(
    dag_id: str, period_id: str, *, problem: str, reason: str, next_step: str, path: str
) -> Alert:
    """Return an alert; `path` is where to look, below the address of Airflow's web server."""
    base_url = conf.get("api", "base_url", fallback="http://localhost:8080/").rstrip("/")
    return Alert(
        dag_id=dag_id,
        period_id=period_id,
        environment=settings().environment,
        problem=problem,
        reason=reason,
        next_step=next_step,
        url=f"{base_url}{path}",
    )


def _local(instant: datetime, cadence: Cadence) -> str:
    """Return an instant as people read it: in the zone of the cadence."""
    return f"{instant.astimezone(cadence.zone):%Y-%m-%d %H:%M} {cadence.timezone}"


def _record(dag_id: str, run_id: str, kind: str) -> AlertRecord:
    run_folder = f"{ALERTS_FOLDER}/{dag_id}/{quote(run_id, safe='')}"
    return AlertRecord(f"s3://{settings().report_bucket}/{run_folder}/{kind}/", _open_s3)


def _open_s3() -> S3:
    deployment = settings()
    hook = SharedSessionHook(aws_conn_id=deployment.aws_conn_id)
    return S3(hook.client("s3"), deployment.bucket_owner, deployment.encryption)
