"""What each kind of alert says, and which alerts share a record of who was told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from athena_reports import weekly
from athena_reports.alerts.alert import Alert
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
from athena_reports.alerts.report_run import Cause
from athena_reports.aws.s3 import S3
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.publishing import Place, facts

# In Tokyo the day begins at 15:00 of UTC.
TOKYO_WEEK = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
LATE_FROM = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
RUN_ID = "scheduled__2026-11-15T00:00:00+00:00"
RUN_IN_URL = "scheduled__2026-11-15T00%3A00%3A00%2B00%3A00"
AIRFLOW = "https://airflow.example.com"


@pytest.fixture(autouse=True)
def deployment(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{AIRFLOW}/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "stg")
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)


@pytest.fixture
def manifest(place: Place) -> Manifest:
    """The manifest of a version on which one check of three warns, and another."""
    checks = (
        CheckResult(name="rows(at_least=1)", severity="warn", passed=True, message="All is well."),
        CheckResult(name="rows(at_most=0)", severity="warn", passed=False, message="One row."),
        CheckResult(name="unique(a)", severity="warn", passed=False, message="Two rows are one."),
    )
    place.publish(place.upload("a"), facts(by=RUN_ID, checks=checks))
    return Manifest.model_validate_json(place.s3.read(place.location.manifest_uri)[0])


def lines(alert: Alert) -> list[str]:
    return alert.message.splitlines()


def test_a_failed_run_is_told_with_its_page_and_the_next_step_of_its_kind() -> None:
    alert = failure_alert("plays_weekly", RUN_ID, "2026-11-15", "publish: S3 is down")
    assert alert.subject == "stg: plays_weekly 2026-11-15 failed"
    assert lines(alert) == [
        "plays_weekly, period 2026-11-15, environment stg: failed.",
        "Reason: publish: S3 is down",
        "Next step: Fix the cause (see the task log), then clear the failed task and its downstream"
        " tasks.",
        f"{AIRFLOW}/dags/plays_weekly/runs/{RUN_IN_URL}",
    ]
    other = failure_alert("plays_weekly", RUN_ID, "unknown", "no", next_step="Clear one task.")
    assert other.next_step == "Clear one task."


@pytest.mark.parametrize(
    ("reason", "added"), [("", ""), ("the DAG is paused", "; the DAG is paused")]
)
def test_a_late_period_is_told_with_its_deadline_in_the_zone_of_the_report(
    reason: str, added: str
) -> None:
    alert = late_alert("plays_weekly", TOKYO_WEEK, LATE_FROM, Cause(reason, "Unpause the DAG."))
    assert alert.subject == "stg: plays_weekly 2026-11-15 is late"
    assert lines(alert) == [
        "plays_weekly, period 2026-11-15, environment stg: is late.",
        f"Reason: it was due at 2026-11-22 03:30 Asia/Tokyo and has not been published{added}",
        "Next step: Unpause the DAG.",
        f"{AIRFLOW}/dags/plays_weekly",
    ]


def test_an_all_clear_says_when_the_period_was_published_or_that_it_has_no_rows(
    manifest: Manifest,
) -> None:
    published_at = manifest.model_copy(update={"published_at": "2026-11-22T08:45:59+00:00"})
    published = all_clear_alert("plays_weekly", TOKYO_WEEK, published_at)
    assert published.subject == "stg: plays_weekly 2026-11-15 is no longer late"
    assert lines(published) == [
        "plays_weekly, period 2026-11-15, environment stg: is no longer late.",
        "Reason: it was published at 2026-11-22 17:45 Asia/Tokyo",
        "Next step: None.",
        f"{AIRFLOW}/dags/plays_weekly",
    ]
    without_rows = all_clear_alert("plays_weekly", TOKYO_WEEK, None)
    assert without_rows.reason == 'its run found no rows, so the period was skipped (empty="skip")'


def test_warnings_are_told_with_each_check_that_was_not_passed_and_the_manifest(
    manifest: Manifest, make_report: MakeReport, bucket: str
) -> None:
    period = UTC_WEEKS.period("2026-11-15")
    alert = warning_alert(make_report(), period, manifest)
    assert alert.subject == "stg: plays_weekly 2026-11-15 was published with warnings"
    assert lines(alert) == [
        "plays_weekly, period 2026-11-15, environment stg: was published with warnings.",
        "Reason: rows(at_most=0): One row.; unique(a): Two rows are one.",
        f"Next step: See the checks in s3://{bucket}/plays/weekly/2026-11-15/manifest.json. If the"
        " rows are wrong, correct the source and restate the period.",
        f"{AIRFLOW}/dags/plays_weekly/runs/{RUN_IN_URL}",
    ]


def test_the_manifest_of_a_period_is_read_where_it_is_published(
    manifest: Manifest, make_report: MakeReport
) -> None:
    assert published_manifest(make_report(), UTC_WEEKS.period("2026-11-15")) == manifest
    assert published_manifest(make_report(), UTC_WEEKS.period("2026-11-08")) is None


def test_each_kind_and_each_time_that_a_run_is_cleared_has_a_record_of_its_own(
    manifest: Manifest, bucket: str
) -> None:
    folder = f"s3://{bucket}/_alerts/plays_weekly/{RUN_IN_URL}"
    uris = [
        (failure_record("plays_weekly", RUN_ID, 2), f"{folder}/failed-2/"),
        (late_record("plays_weekly", RUN_ID, 3), f"{folder}/late-3/"),
        (all_clear_record("plays_weekly", RUN_ID, 3), f"{folder}/no-longer-late-3/"),
        (warning_record("plays_weekly", manifest), f"{folder}/warning-{manifest.version}/"),
    ]
    assert [record.folder_uri for record, _ in uris] == [uri for _, uri in uris]


def test_who_was_told_is_kept_as_the_deployment_says(
    made_s3: list[S3], connections: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its connection, encrypted, and in its own account alone."""
    monkeypatch.setenv("ATHENA_REPORTS_AWS_CONN_ID", "aws_reports")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "AES256")
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "123456789012")
    settings.cache_clear()
    record = late_record("plays_weekly", RUN_ID, 0)
    assert made_s3 == [], "the first client may take seconds"
    record.note_notified("SnsNotifier 1")
    assert record.notified() == {"SnsNotifier 1"}
    (store,) = made_s3
    assert (store.owner, store.encryption) == ("123456789012", settings().encryption)
    assert store.encryption is not None
    assert connections == ["aws_reports"]
