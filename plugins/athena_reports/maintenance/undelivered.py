"""Finds published versions that a channel has not got, because an event was lost.

Airflow forgets the events of a publication while the delivering DAG is paused, or not there yet.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
from pydantic import BaseModel

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.delivery.receipt import last_versions
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import PartitionFacts, PlannedDelivery
from athena_reports.steps.airflow_errors import report_errors, status_code

PLANNED_XCOM = "planned_deliveries"
_TIME_OF_EVENT = timedelta(minutes=15)  # in which the event of a publication starts its run
# What was published in time can have been lost at the end of that time.
_TIME_TO_RECOVER = timedelta(days=2)
_LISTINGS_AT_ONCE = 4  # of S3, one for each period


class PublishedDelivery(BaseModel, frozen=True):
    """A published version that should have been delivered by now."""

    folder_uri: str  # of the report in the cadence
    period_id: str
    version: str
    submitted_at: str  # when the query of what is published was submitted
    published_at: str
    delivery: PlannedDelivery

    @property
    def location(self) -> PeriodLocation:
        """Where the period is published."""
        return ReportLocation.of_folder(self.folder_uri).period_folder(self.period_id)

    @property
    def dag_id(self) -> str:
        """Id of the delivering DAG."""
        return f"{self.location.report.table_name}_deliver"

    @property
    def run_id(self) -> str:
        """Id of its run, made of what is published: each state of a period is tried once more."""
        return f"undelivered__{self.period_id}__{self.version}__{self.submitted_at}"

    def channels_without(self, had: Mapping[str, str]) -> list[str]:
        """Return the channels that the version is still to be sent to.

        `had` is the version that each channel got last.
        """
        return [
            name
            for name in self.delivery.channels
            if had.get(name) != self.version
            and self.delivery.is_in_time(self.published_at, is_correction=name in had)
        ]


def planned_deliveries(
    report: ReportLocation, partitions: Mapping[str, PartitionFacts], now: datetime
) -> list[PublishedDelivery]:
    """Return the periods that should be delivered by now, and may still be, earliest first."""
    planned = []
    for period_id, facts in sorted(partitions.items()):
        # What a check warns of waits for a person, who has been told.
        delivery = facts.delivery
        if delivery is None or facts.checks_warned > 0:
            continue
        is_recent = now - datetime.fromisoformat(facts.published_at) < _TIME_OF_EVENT
        until = max(delivery.until, delivery.correct_until, key=datetime.fromisoformat)
        is_over = now > datetime.fromisoformat(until) + _TIME_TO_RECOVER
        if is_recent or is_over:
            continue
        planned.append(
            PublishedDelivery(
                folder_uri=report.folder_uri,
                period_id=period_id,
                version=facts.version,
                submitted_at=facts.query.submitted_at,
                published_at=facts.published_at,
                delivery=delivery,
            )
        )
    return planned


class AthenaUndeliveredOperator(AwsBaseOperator[SharedSessionHook]):
    """Triggers the delivering DAG for each version that a channel has not got.

    `planned` is the XCom `PLANNED_XCOM` of AthenaRestatementsOperator. `bucket_owner` is the
    account id that must own the report bucket; empty for any.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("planned",)
    ui_color = "#c9d8f0"

    def __init__(self, *, planned: Any, bucket_owner: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.bucket_owner = bucket_owner

    @report_errors()
    def execute(self, context: Context) -> list[str]:
        """Return the ids of the runs that were triggered.

        AirflowFailException if AWS refuses a call.
        """
        is_active = cache(partial(self._is_active, context=context))  # of the DAG of many periods
        s3 = S3(self.hook.client("s3"), self.bucket_owner)
        planned = [PublishedDelivery.model_validate(fields) for fields in self.planned]
        locations = [published.location for published in planned]
        triggered = []
        with ThreadPoolExecutor(_LISTINGS_AT_ONCE) as threads:
            listed = threads.map(partial(last_versions, s3=s3), locations)
            for published, had in zip(planned, listed, strict=True):
                missing = published.channels_without(had)
                if missing and is_active(published.dag_id) and self._trigger(published):
                    self.log.info(
                        "%s, period %s: not yet delivered to %s",
                        published.dag_id,
                        published.period_id,
                        ", ".join(missing),
                    )
                    triggered.append(published.run_id)
        return triggered

    def _is_active(self, dag_id: str, context: Context) -> bool:
        """Whether there is a DAG that is not paused; a paused one would only collect runs."""
        ti: Any = context["ti"]
        try:
            is_paused: bool = ti.get_dag(dag_id).is_paused
        except AirflowRuntimeError as error:
            if status_code(error) != HTTPStatus.NOT_FOUND:
                raise
            self.log.info("%s: the DAG does not exist, so nothing is delivered", dag_id)
            return False
        if is_paused:
            self.log.info("%s: the DAG is paused, so nothing is delivered", dag_id)
        return not is_paused

    def _trigger(self, published: PublishedDelivery) -> bool:
        """Trigger a run, and return whether there is a new one.

        Airflow's TriggerDagRunOperator fails for a DAG that is gone: a report that is not delivered
        any more would fail this DAG for weeks.
        """
        request = TriggerDagRun(
            dag_id=published.dag_id,
            run_id=published.run_id,
            conf={PERIOD_PARAM: published.period_id},
        )
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(request)
        except AirflowRuntimeError as error:
            # Airflow keeps a DAG that is gone (404), and one whose file has an import error (400).
            if status_code(error) not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                raise
            self.log.warning("%s cannot be triggered: %s", published.dag_id, error)
            return False
        # Otherwise its run is there already. It has found that nothing is to be sent, or failed.
        return not isinstance(answer, ErrorResponse)
