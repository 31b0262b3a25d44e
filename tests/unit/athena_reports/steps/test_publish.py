"""The last task of a run as a worker runs it; test_transform.py has what it publishes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Asset

from athena_reports import __version__, build_dag
from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import PublishedCalendar, find_calendar, require_calendar
from athena_reports.publication.manifest import PlannedDelivery
from athena_reports.reports.logic_digest import logic_digest
from athena_reports.rows import checks
from athena_reports.settings import Encryption
from tests.support.airflow_run import context
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.unit.athena_reports.steps.last_tasks import (
    ASSETS,
    HEADER,
    ONE_EVENT_EACH,
    SQL,
    LastTasks,
    submitted,
)


@since_3_3
def test_there_is_an_event_only_if_something_new_was_published(last: LastTasks) -> None:
    prepared = last.transformed()
    earlier, later, final = (
        prepared | {"query": last.later(day, day)}
        for day in ("2025-06-15", "2025-06-17", "2025-10-18")
    )
    outcomes = [
        last.published(each, late_by=timedelta(days=90), **ASSETS)
        for each in (prepared, prepared, earlier, later, final)
    ]
    # The second is a retry after a crash, of which nobody has heard. Whoever delivers only what is
    # final waits for the last one.
    assert [(each["outcome"], each["keys"]) for each in outcomes] == [
        ("published", ONE_EVENT_EACH),
        ("published", ONE_EVENT_EACH),
        ("superseded", {}),
        ("unchanged", {}),
        ("settled", ONE_EVENT_EACH),
    ]


@since_3_3
@pytest.mark.parametrize(
    ("days_after_end", "delivered", "correct_days", "is_announced"),
    [
        (6.9, "", 60, True),
        (6.9, "1.json", 60, True),
        (6.9, "1.json", 0, True),  # another channel may have none yet
        (7.1, "", 60, False),
        (7.1, "1.claim", 60, False),
        (7.1, "1.json", 60, True),
        (59.9, "1.json", 60, True),
        (60.1, "1.json", 60, False),
    ],
)
def test_a_delivery_is_started_only_for_what_it_would_send(
    last: LastTasks, *, days_after_end: float, delivered: str, correct_days: int, is_announced: bool
) -> None:
    """Otherwise a backfill would start a run of skipped tasks for each old period."""
    prepared = last.transformed()
    if delivered:
        key = f"plays/weekly/2025-06-08/receipts/v0/sales/{delivered}"
        last.s3.put_object(Bucket=last.bucket, Key=key, Body=b"{}")
    options: Any = {
        "channels": ("sales",),
        "deliver_within": timedelta(days=7),
        "correct_within": timedelta(days=correct_days),
        "delivery_outlets": [Asset("plays_weekly_deliveries")],
    }
    published_at = WEEK.end_utc + timedelta(days=days_after_end)
    with time_machine.travel(published_at, tick=False):
        keys = last.published(prepared, **ASSETS, **options)["keys"]
    assert keys.pop("plays_weekly_deliveries", set()) == ({WEEK.id} if is_announced else set())
    assert keys == ONE_EVENT_EACH


def test_what_is_published_without_channels_starts_no_delivery(last: LastTasks) -> None:
    outlets = [Asset("plays_weekly_deliveries")]
    prepared = last.transformed()
    assert last.published(prepared, delivery_outlets=outlets)["keys"] == {}


@pytest.mark.parametrize(
    ("options", "warnings"), [({}, ["rows_lost"]), ({"may_lose_rows": True}, [])]
)
def test_a_version_that_has_lost_its_rows_warns_unless_its_report_may_lose_them(
    last: LastTasks, options: dict[str, Any], warnings: list[str]
) -> None:
    last.published(last.transformed())
    last.put_result(HEADER)
    later = last.transformed(last.later("q-2", "2025-06-17"), empty="publish")
    event = last.published(later, **options)
    assert (event["outcome"], event["rows"], event["warnings"]) == ("published", 0, warnings)


def test_what_the_task_tells_is_what_readers_have(last: LastTasks) -> None:
    """Also if another query had the same rows, or a later one has published meanwhile."""
    first, again = last.transformed(), last.transformed()
    assert again["version"]["version"] != first["version"]["version"]
    again["query"] = last.later("q-2", "2025-06-17")
    last.put_result(HEADER + b'"9",,\n')
    slow = last.transformed()
    slow["query"] = last.later("q-0", "2025-06-15")
    told = [last.published(each) for each in (first, again, slow)]
    assert [each.pop("outcome") for each in told] == ["published", "unchanged", "superseded"]
    assert told[0]["rows"] != slow["version"]["rows"]
    for name in ("version", "rows"):
        assert {each[name] for each in told} == {first["version"][name]}


def test_the_owner_the_encryption_and_the_memory_are_those_of_the_deployment(
    last: LastTasks, made_s3: list[S3], memory_limits: list[str]
) -> None:
    """The memory is that of the comparison with the version before."""
    first = last.transformed(formats=["parquet"])
    last.put_result(HEADER + b'"9",,\n')
    second = last.transformed(formats=["parquet"])
    second["query"] = last.later("q-2", "2025-06-18")
    made_s3.clear()
    memory_limits.clear()
    options: Any = {
        "bucket_owner": "123456789012",
        "encryption": Encryption.from_text("alias/reports"),
        "memory_limit": "200MB",
    }
    for prepared in (first, second):
        assert last.published(prepared, **options)["outcome"] == "published"
    assert {(each.owner, each.encryption) for each in made_s3} == {
        ("123456789012", options["encryption"])
    }
    assert memory_limits == ["200MB"]


def test_what_openlineage_is_told_is_read_from_a_bucket_of_the_owner(
    last: LastTasks, made_s3: list[S3]
) -> None:
    prepared = last.transformed()
    made_s3.clear()
    task = last.publish_task(prepared=prepared, submitted=submitted(), bucket_owner="123456789012")
    lineage = task.get_openlineage_facets_on_start()
    assert [each.owner for each in made_s3] == ["123456789012"]
    assert lineage.job_facets["sql"].query == SQL
    (dataset,) = lineage.outputs
    assert dataset.facets["version"].datasetVersion == prepared["version"]["version"]


def part_that_settles(at: datetime) -> InputCoverage:
    """What a week has of the days of another report, of which one is provisional until then."""
    return InputCoverage(
        table="reports_db.days_daily",
        missing="fail",
        needed=7,
        dag_id="days_daily",
        versions={"2025-06-08": "v1"},
        settles_at=at,
    )


def test_what_a_manifest_says_of_a_query_and_its_report_is_what_the_task_was_given(
    last: LastTasks,
) -> None:
    """Each has a value of its own."""
    part = part_that_settles(datetime(2025, 7, 1, tzinfo=UTC))
    settled = part.model_copy(
        update={"dag_id": "hours_daily", "settles_at": datetime(2025, 6, 20, tzinfo=UTC)}
    )
    last.published(
        last.transformed(transforms_logic="v2:transforms"),
        inputs=(part, settled),
        ran="v2:query",
        late_by=timedelta(days=1),
        reads_previous=True,
        channels=("sales", "team"),
        deliver_within=timedelta(days=9),
        correct_within=timedelta(days=30),
    )
    manifest = last.manifest
    assert manifest.logic == logic_digest("v2:query", "v2:transforms")
    assert manifest.code_version == __version__
    assert manifest.bundle_version == "4f0c9d2"
    assert manifest.query.reads_previous
    assert manifest.delivery == PlannedDelivery(
        channels=("sales", "team"),
        until=(WEEK.end_utc + timedelta(days=9)).isoformat(),
        correct_until=(WEEK.end_utc + timedelta(days=30)).isoformat(),
    )
    assert manifest.parts == {
        "days_daily": {"2025-06-08": "v1"},
        "hours_daily": {"2025-06-08": "v1"},
    }
    # A part that is provisional may still change, and so may what has read it.
    assert (manifest.provisional, manifest.partial) == (True, False)
    assert manifest.settles_at == "2025-07-01T00:00:00+00:00"


def test_what_was_published_before_its_events_settles_when_they_have_arrived(
    last: LastTasks,
) -> None:
    part = part_that_settles(datetime(2025, 6, 15, tzinfo=UTC))
    last.published(last.transformed(), inputs=(part,), late_by=timedelta(days=90))
    assert last.manifest.settles_at == (WEEK.end_utc + timedelta(days=90)).isoformat()
    assert last.manifest.delivery is None


def test_the_log_says_what_was_published_and_which_checks_warn(
    last: LastTasks, logged: Callable[[], list[str]]
) -> None:
    declared = [checks.unique("rank"), checks.not_null("previous_rank", severity="warn")]
    prepared = last.transformed(checks=declared)
    logged()
    event = last.published(prepared)
    assert logged() == [
        f"info: published: version {event['version']}, 2 rows, {event['manifest']}",
        "warning: check not_null(previous_rank): 1 of 2 rows have NULL in previous_rank.",
    ]


@pytest.mark.parametrize(
    ("late_by", "provisional"),
    [
        # the query was submitted at 2025-06-16 00:00 UTC, the week ended at 2025-06-14 15:00 UTC
        (timedelta(hours=33), False),
        (timedelta(hours=33, milliseconds=1), True),
    ],
)
def test_what_is_published_before_all_events_can_have_arrived_is_provisional(
    last: LastTasks, late_by: timedelta, provisional: bool
) -> None:
    assert last.published(last.transformed(), late_by=late_by)["provisional"] is provisional


@pytest.mark.parametrize(
    ("missing", "cleared"),
    [
        ({"prepared": None}, "transform"),
        ({"submitted": None}, "run_query"),
        ({"submitted": {"period": None, "sql_sha256": ""}}, "run_query"),
    ],
)
def test_publish_without_a_version_or_a_period_names_the_way_out(
    last: LastTasks, missing: dict[str, Any], cleared: str
) -> None:
    given = {"prepared": last.transformed(), "submitted": submitted()} | missing
    task = last.publish_task(**given)
    with pytest.raises(AirflowFailException) as caught:
        task.execute({"run_id": "run-1"})  # type: ignore[typeddict-item]
    assert str(caught.value) == (
        "Report 'plays': publish received no period or no prepared version."
        f" If {cleared} was marked as success, clear {cleared} and its downstream"
        " tasks. In a custom DAG, pass the cadence to run_query, and prepared=transform.output and"
        " submitted=XComArg(run_query, key='submitted') to publish."
    )


def test_publish_after_tasks_that_were_marked_as_success_fails_for_good(
    make_report: MakeReport,
) -> None:
    """Airflow does not render the missing XCom as None, since it has a key of its own."""
    task: Any = build_dag(make_report(), WEEKS).get_task("publish")
    says = "If run_query was marked as success, clear run_query and its downstream tasks"
    with pytest.raises(AirflowFailException, match=says):
        task.render_template_fields(context())


def test_the_folder_gets_the_calendar_of_the_report(last: LastTasks) -> None:
    last.published(last.transformed())
    calendar = find_calendar(last.location.report, S3(last.s3))
    assert calendar == PublishedCalendar(environment="dev", report="plays", cadence=WEEK.cadence)


def test_a_folder_of_another_environment_gets_nothing(last: LastTasks) -> None:
    """A DAG that is written by hand has no preflight check."""
    others = PublishedCalendar(environment="stg", report="plays", cadence=WEEK.cadence)
    require_calendar(last.location.report, others, S3(last.s3))
    with pytest.raises(AirflowFailException, match="belongs to environment stg"):
        last.published(last.transformed())
    assert read_manifest(last.location, S3(last.s3))[0] is None
