"""The last task of a run as a worker runs it; test_transform.py has what it publishes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports.aws.s3 import S3
from athena_reports.maintenance.restatement import stale_periods
from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import find_calendar
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.published_calendar import PublishedCalendar
from athena_reports.rows import checks, transforms
from athena_reports.steps.publish import S3PublishOperator
from tests.library.steps.last_tasks import ASSETS, ONE_EVENT_EACH, published, transformed
from tests.support.calendars import WEEK

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client


def test_there_is_an_event_only_if_something_new_was_published(
    bucket: str, query: dict[str, Any]
) -> None:
    prepared = transformed(query, bucket)
    earlier, later = (
        {
            **prepared,
            "query": (
                query | {"id": f"q-{day}", "submitted_at": f"2025-06-{day}T00:00:00.000+00:00"}
            ),
        }
        for day in (15, 17)
    )
    outcomes = [published(each, bucket, **ASSETS) for each in (prepared, prepared, earlier, later)]

    # The second is a retry after a crash, of which nobody has heard.
    assert [(each["outcome"], each["keys"]) for each in outcomes] == [
        ("published", ONE_EVENT_EACH),
        ("published", ONE_EVENT_EACH),
        ("superseded", {}),
        ("unchanged", {}),
    ]


def test_the_log_says_what_was_published_and_which_checks_warn(
    bucket: str, query: dict[str, Any], logged: Callable[[], list[str]]
) -> None:
    declared = [checks.unique("rank"), checks.not_null("previous_rank", severity="warn")]
    prepared = transformed(query, bucket, checks=declared)
    logged()
    event = published(prepared, bucket)
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
    bucket: str, query: dict[str, Any], late_by: timedelta, provisional: bool
) -> None:
    assert (
        published(transformed(query, bucket), bucket, late_by=late_by)["provisional"] is provisional
    )


def test_a_restated_period_makes_only_the_one_after_it_stale(
    s3: S3Client, glue: GlueClient, bucket: str, database: str, query: dict[str, Any]
) -> None:
    """The last week reads the ranks of the second one, and not how they moved since the first."""
    location = ReportLocation.of(bucket, "plays", WEEK.cadence)
    weeks = [WEEK, WEEK.next, WEEK.next.next]

    def publish(period: Period, rows: bytes, submitted_at: str) -> list[str]:
        """Publish a period, and return the stale ones."""
        body = b'"rank","previous_rank","user_name"\n' + rows
        s3.put_object(Bucket=bucket, Key="q-1.csv", Body=body)
        run = query | {"id": f"q at {submitted_at}", "submitted_at": submitted_at}
        recipe = {"transforms": [transforms.movement()], "formats": ["parquet"]}
        prepared = transformed(query, bucket, period=period, **recipe)
        prepared["query"] = run
        published(prepared, bucket, period=period, reads_previous=True, database=database)
        return stale_periods(Table(database, location, glue).published_periods())

    days = [f"2025-07-{day:02}T00:00:00.000+00:00" for day in range(1, 6)]
    for period, submitted_at in zip(weeks, days, strict=False):
        assert publish(period, b'"1","2","a"\n"2","1","b"\n', submitted_at) == []
    # Late events have changed the first week, and so how the second one moved.
    assert publish(weeks[0], b'"1","2","b"\n"2","1","a"\n', days[3]) == [weeks[1].id]
    assert publish(weeks[1], b'"1","1","a"\n"2","2","b"\n', days[4]) == []


@pytest.mark.parametrize("without", [None, {"period": None, "sql_sha256": ""}])
def test_publish_without_a_period_names_the_way_out(
    without: Any, bucket: str, query: dict[str, Any]
) -> None:
    prepared = transformed(query, bucket)
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            prepared=prepared,
            submitted=without,
            bucket=bucket,
            report="plays",
            environment="dev",
        )
    with pytest.raises(
        AirflowFailException, match=r"^Report 'plays': .*clear run_query.*submitted=XComArg"
    ):
        task.execute({"run_id": "run-1"})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("is_checked", [True, False])
def test_the_folder_is_looked_at_unless_run_query_did(
    query: dict[str, Any], s3: S3Client, bucket: str, is_checked: bool
) -> None:
    """A DAG that is written by hand has a `run_query` that knows no folder."""
    published(transformed(query, bucket), bucket, calendar_checked=is_checked)
    calendar = find_calendar(ReportLocation.of(bucket, "plays", WEEK.cadence), S3(s3))
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    has_calendar = "plays/weekly/calendar.json" in [item["Key"] for item in listed]
    assert has_calendar is not is_checked
    assert calendar == PublishedCalendar.of("dev", "plays", WEEK.cadence)
