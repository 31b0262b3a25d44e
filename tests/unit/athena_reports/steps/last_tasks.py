"""The last two tasks of a run, transform and publish, as a worker runs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.queries.submission import Submitted
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.transform import Recipe, transform_result
from tests.support.airflow_run import TaskInstance
from tests.support.calendars import WEEK
from tests.support.published import read_complete

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SQL = "SELECT rank, 'ä' FROM plays"
HEADER = b'"rank","previous_rank","user_name"\n'


def submitted(
    inputs: tuple[InputCoverage, ...] = (), period: Period = WEEK, ran: str = "", **query: Any
) -> dict[str, Any]:
    """What run_query handed on; `ran` is the logic of the query."""
    handed_on = Submitted(period=period, sql_sha256="5ql", inputs=inputs, query_logic=ran, **query)
    return handed_on.model_dump(mode="json")


@dataclass(frozen=True)
class LastTasks:
    """The two tasks of a run, whose query has its result in S3.

    Attributes:
        s3: The client.
        bucket: The bucket that has the result, and gets what is published.
        query: What the sensor handed on.
    """

    s3: S3Client
    bucket: str
    query: dict[str, Any]

    @property
    def location(self) -> PeriodLocation:
        return PeriodLocation.of(self.bucket, "plays", WEEK)

    def put_result(self, content: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key="q-1.csv", Body=content)

    def later(self, id: str, day: str) -> dict[str, Any]:
        """The same query, submitted on another day."""
        return self.query | {"id": id, "submitted_at": f"{day}T00:00:00.000+00:00"}

    def unloaded_nothing(self) -> dict[str, Any]:
        """The query as an UNLOAD without rows."""
        key = "q-1-manifest.csv"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")
        return self.query | {"statement": "UNLOAD", "data_manifest": f"s3://{self.bucket}/{key}"}

    def transformed(
        self,
        query: dict[str, Any] | None = None,
        *,
        inputs: tuple[InputCoverage, ...] = (),
        period: Period = WEEK,
        ran: str = "",
        reads_previous: bool = False,
        **recipe: Any,
    ) -> dict[str, Any]:
        usual: dict[str, Any] = {"report": "plays", "bucket": self.bucket, "formats": ["csv"]}
        handed_on = submitted(inputs, period, ran, reads_previous=reads_previous)
        return transform_result(query or self.query, handed_on, recipe=Recipe(**usual | recipe))

    def publish_task(self, **arguments: Any) -> S3PublishOperator:
        names = {"bucket": self.bucket, "report": "plays", "environment": "dev"}
        with DAG("plays_weekly", schedule=None):
            return S3PublishOperator(task_id="publish", **names, **arguments)

    def published(
        self,
        prepared: dict[str, Any],
        *,
        inputs: tuple[InputCoverage, ...] = (),
        ran: str = "",
        late_by: timedelta = timedelta(0),
        reads_previous: bool = False,
        **arguments: Any,
    ) -> dict[str, Any]:
        handed_on = submitted(inputs, WEEK, ran, late_by=late_by, reads_previous=reads_previous)
        task = self.publish_task(prepared=prepared, submitted=handed_on, **arguments)
        context: Any = {
            "run_id": "run-1",
            "ti": TaskInstance("publish", max_tries=3, bundle_version="4f0c9d2"),
            "outlet_events": OutletEventAccessors(),
        }
        returned = task.execute(context)
        # Airflow makes an event for each outlet that the task has now.
        events = {outlet.name: context["outlet_events"][outlet] for outlet in task.outlets}
        assert [event.extra for event in events.values()] == [returned] * len(events)
        # Events have keys from Airflow 3.3 on.
        keys = {name: getattr(event, "partition_keys", set()) for name, event in events.items()}
        return returned | {"keys": keys}

    @property
    def manifest(self) -> Manifest:
        """What is published; every object that it names is there."""
        read_complete(self.s3, self.location)
        manifest, _ = read_manifest(self.location, S3(self.s3))
        assert manifest is not None
        return manifest


ASSETS: dict[str, Any] = {
    "outlets": [Asset("plays_weekly")],
    "keyed_outlets": [Asset("plays_weekly_periods")],
}
ONE_EVENT_EACH = {"plays_weekly": set(), "plays_weekly_periods": {"2025-06-08"}}
