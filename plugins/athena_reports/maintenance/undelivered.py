"""Finds published versions that a channel has not got, because an event was lost.

Airflow forgets the events of a publication while the delivering DAG is paused, or not there yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from airflow.configuration import conf
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.delivery.receipt import delivered_to
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.manifest import PartitionFacts, PlannedDelivery
from athena_reports.steps.airflow_errors import report_errors

_TIME_OF_EVENT = timedelta(minutes=15)  # in which the event of a publication starts its run


@dataclass(frozen=True)
class Undelivered:
    """A version that a channel has not got."""

    dag_id: str  # of the delivering DAG
    period_id: str
    version: str
    submitted_at: str  # when the query of what is published was submitted

    @property
    def run_id(self) -> str:
        """Id of its run, made of what is published: each state of a period is tried once more."""
        return f"undelivered__{self.period_id}__{self.version}__{self.submitted_at}"

    def to_trigger(self) -> dict[str, Any]:
        """Return the arguments of a TriggerDagRunOperator."""
        return {
            "trigger_dag_id": self.dag_id,
            "trigger_run_id": self.run_id,
            "conf": {PERIOD_PARAM: self.period_id},
        }


def may_be_undelivered(
    partitions: Mapping[str, PartitionFacts], now: datetime
) -> Mapping[str, PlannedDelivery]:
    """Return to whom periods should be delivered by now, and may still be, by period id.

    Args:
        partitions: What the report's Glue table says of each published period, by period id.
        now: The time.
    """
    planned = {}
    for period_id, facts in partitions.items():
        if facts.delivery is None:
            continue
        is_recent = now - datetime.fromisoformat(facts.published_at) < _TIME_OF_EVENT
        is_over = now > datetime.fromisoformat(facts.delivery.until)
        if not is_recent and not is_over:
            planned[period_id] = facts.delivery
    return planned


class AthenaUndeliveredOperator(AwsBaseOperator[SharedSessionHook]):
    """Returns, for each version that a channel has not got, how to trigger the delivering DAG.

    Args:
        database: The Glue database of the reports.
        bucket_owner: Account id that must own their bucket; empty for any.
        **kwargs: Arguments of `AwsBaseOperator`, such as `task_id` and `aws_conn_id`.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("database",)
    ui_color = "#c9d8f0"

    def __init__(self, *, database: str, bucket_owner: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.bucket_owner = bucket_owner

    @report_errors()
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the arguments of each TriggerDagRunOperator, the oldest period first.

        There are at most as many as Airflow maps (`[core] max_map_length`).

        Raises:
            AirflowFailException: AWS refused a call.
            AirflowException: AWS did not serve a call.
        """
        now = datetime.now(UTC)
        s3 = S3(self.hook.client("s3"), self.bucket_owner)
        undelivered: list[Undelivered] = []
        for table in published_tables(self.database, self.hook.client("glue")):
            dag_id = f"{table.name}_deliver"
            partitions = table.published_periods()
            planned = may_be_undelivered(partitions, now)
            if not planned or not self._is_active(dag_id, context):
                continue
            for period_id, delivery in sorted(planned.items()):
                facts = partitions[period_id]
                location = table.location.period_folder(period_id)
                missing = set(delivery.channels) - delivered_to(facts.version, location, s3)
                version = Undelivered(dag_id, period_id, facts.version, facts.submitted_at)
                if missing and not _was_tried(version, context):
                    names = ", ".join(sorted(missing))
                    self.log.info("%s, period %s: %s has not got it", dag_id, period_id, names)
                    undelivered.append(version)
        max_triggers = conf.getint("core", "max_map_length", fallback=1024)
        return [version.to_trigger() for version in undelivered[:max_triggers]]

    def _is_active(self, dag_id: str, context: Context) -> bool:
        """Whether there is a DAG that is not paused; a paused one would only collect runs."""
        ti: Any = context["ti"]
        try:
            is_paused: bool = ti.get_dag(dag_id).is_paused
        except AirflowRuntimeError as error:
            detail = error.error.detail or {}
            if detail.get("status_code") != HTTPStatus.NOT_FOUND:
                raise
            self.log.info("%s: nothing is delivered, as there is no such DAG", dag_id)
            return False
        if is_paused:
            self.log.info("%s: nothing is delivered, as the DAG is paused", dag_id)
        return not is_paused


def _was_tried(version: Undelivered, context: Context) -> bool:
    """Whether it has a run already, which has found that it is not to be sent, or has failed."""
    runs: int = context["ti"].get_dr_count(dag_id=version.dag_id, run_ids=[version.run_id])
    return runs > 0
