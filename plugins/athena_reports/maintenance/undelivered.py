"""Finds published versions that a channel has not got, because an event was lost.

Airflow forgets the events of a publication while the delivering DAG is paused, or not there yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

from athena_reports.delivery.receipt import last_versions
from athena_reports.maintenance.published_reports import PublishedReportsOperator
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.steps.airflow_errors import report_errors

_TIME_OF_EVENT = timedelta(minutes=15)  # in which the event of a publication starts its run
# What was published in time can have been lost at the end of that time.
_TIME_TO_RECOVER = timedelta(days=2)


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


def may_be_undelivered(partitions: Mapping[str, PartitionFacts], now: datetime) -> list[str]:
    """Return the ids of the periods that should be delivered by now, and may still be.

    Args:
        partitions: What the report's Glue table says of each published period, by period id.
        now: The time.
    """
    planned = []
    for period_id, facts in partitions.items():
        # What a check warns of waits for a person, who has been told.
        delivery = facts.delivery
        if delivery is None or facts.checks_warned > 0:
            continue
        is_recent = now - datetime.fromisoformat(facts.published_at) < _TIME_OF_EVENT
        until = max(delivery.until, delivery.correct_until, key=datetime.fromisoformat)
        is_over = now > datetime.fromisoformat(until) + _TIME_TO_RECOVER
        if not is_recent and not is_over:
            planned.append(period_id)
    return planned


def channels_without(facts: PartitionFacts, had: Mapping[str, str]) -> list[str]:
    """Return the channels that the current version of a period is still to be sent to.

    Args:
        facts: What the report's Glue table says of the period.
        had: The version that each channel got last.
    """
    delivery = facts.delivery
    if delivery is None:
        return []
    return [
        name
        for name in delivery.channels
        if had.get(name) != facts.version
        and delivery.is_in_time(facts.published_at, is_correction=name in had)
    ]


class AthenaUndeliveredOperator(PublishedReportsOperator):
    """Triggers the delivering DAG for each version that a channel has not got."""

    @report_errors()
    def execute(self, context: Context) -> list[str]:
        """Return the ids of the runs that were triggered.

        Raises:
            AirflowFailException: AWS refused a call.
            AirflowException: AWS did not serve a call.
        """
        now = datetime.now(UTC)
        triggered = []
        for table in self._tables():
            dag_id = f"{table.name}_deliver"
            partitions = table.published_periods()
            planned = may_be_undelivered(partitions, now)
            if not planned or not self._is_active(dag_id, context):
                continue
            for period_id in sorted(planned):
                facts = partitions[period_id]
                had = last_versions(table.location.period_folder(period_id), self._s3)
                missing = channels_without(facts, had)
                found = Undelivered(dag_id, period_id, facts.version, facts.query.submitted_at)
                if missing and self._trigger(found):
                    names = ", ".join(missing)
                    self.log.info("%s, period %s: %s has not got it", dag_id, period_id, names)
                    triggered.append(found.run_id)
        return triggered

    def _is_active(self, dag_id: str, context: Context) -> bool:
        """Whether there is a DAG that is not paused; a paused one would only collect runs."""
        ti: Any = context["ti"]
        try:
            is_paused: bool = ti.get_dag(dag_id).is_paused
        except AirflowRuntimeError as error:
            if _status(error) != HTTPStatus.NOT_FOUND:
                raise
            self.log.info("%s: nothing is delivered, as there is no such DAG", dag_id)
            return False
        if is_paused:
            self.log.info("%s: nothing is delivered, as the DAG is paused", dag_id)
        return not is_paused

    def _trigger(self, found: Undelivered) -> bool:
        """Trigger a run, and return whether there is a new one.

        Not by Airflow's TriggerDagRunOperator, which fails for a DAG that is gone: a report that is
        not delivered any more would fail this DAG for weeks.
        """
        request = TriggerDagRun(
            dag_id=found.dag_id, run_id=found.run_id, conf={PERIOD_PARAM: found.period_id}
        )
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(request)
        except AirflowRuntimeError as error:
            # Airflow keeps a DAG that is gone (404), and one whose file has an import error (400).
            if _status(error) not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                raise
            self.log.warning("%s cannot be triggered: %s", found.dag_id, error)
            return False
        # Otherwise its run is there already. It has found that nothing is to be sent, or failed.
        return not isinstance(answer, ErrorResponse)


def _status(error: AirflowRuntimeError) -> int | None:
    """Return the status of the answer of Airflow's API."""
    detail = error.error.detail or {}
    status: int | None = detail.get("status_code")
    return status
