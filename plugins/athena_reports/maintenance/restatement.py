"""Finds published periods to report again.

These are provisional periods whose late events have arrived, and stale ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from airflow.configuration import conf
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.maintenance.undelivered import PLANNED_XCOM, planned_deliveries
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.manifest import PartitionFacts, Reading
from athena_reports.publication.parts import PublishedOf, changed_parts
from athena_reports.steps.airflow_errors import report_errors

STALE_PARAM = "stale"
# If a period and the one before are reported again together, either query may start first, and they
# start at most so far apart. The later period is not stale then, whichever query came first.
TOGETHER = timedelta(minutes=1)
# Late events and deliveries are due much sooner. Older periods would take most of the time of each
# listing, so they are listed only with the param `stale`.
_YEARS_LISTED = 2  # before the present one
_ACTIVE_STATES = ["queued", "running"]
_RUN_IDS_PER_REQUEST = 50  # they are part of the request's address, whose length is limited


@dataclass(frozen=True)
class Restatement:
    """One period to report again."""

    dag_id: str
    period_id: str
    start: datetime  # of the period
    reason: str
    submitted_at: str  # when the query of what is published was submitted
    days_due: int  # how many whole days ago it was due for the first time
    open_parts: Sequence[str]  # what it reads of other reports that has to be final before

    @property
    def run_ids(self) -> list[str]:
        """Ids of the runs that it may have had, one for each whole day since it was due.

        The last one is that of the next run.
        """
        prefix = f"restatement__{self.period_id}__{self.submitted_at}"
        return [f"{prefix}__{day}" for day in range(self.days_due + 1)]

    def to_trigger(self) -> dict[str, Any]:
        """Return the arguments of a TriggerDagRunOperator."""
        return {
            "trigger_dag_id": self.dag_id,
            "trigger_run_id": self.run_ids[-1],
            "conf": {PERIOD_PARAM: self.period_id},
        }


def find_restatements(
    dag_id: str,
    partitions: Mapping[str, PartitionFacts],
    published_of: PublishedOf,
    now: datetime,
    *,
    with_stale: bool,
) -> list[Restatement]:
    """Return which of a report's published periods have to be reported again, in any order.

    These are provisional periods that have settled by `now`, and `with_stale` also stale ones. One
    that reads another report is among them also while its parts are not final. `dag_id` is the name
    of the report's table too, and `partitions` are those of the table by period id.
    """
    reasons = _stale_reasons(partitions, published_of) if with_stale else {}
    for period_id, facts in partitions.items():
        if facts.provisional and datetime.fromisoformat(facts.settles_at) <= now:
            reasons[period_id] = "late events have arrived"

    tables_read = {table for period_id in reasons for table in partitions[period_id].parts}
    open_periods = {
        table: _open_periods(table, published_of, with_stale=with_stale) for table in tables_read
    }
    restatements = []
    for period_id, reason in reasons.items():
        facts = partitions[period_id]
        restatement = Restatement(
            dag_id=dag_id,
            period_id=period_id,
            start=datetime.fromisoformat(facts.period.start),
            reason=reason,
            submitted_at=facts.query.submitted_at,
            days_due=_whole_days_due(facts, now),
            open_parts=_open_parts(facts, open_periods),
        )
        restatements.append(restatement)
    return restatements


def _stale_reasons(
    partitions: Mapping[str, PartitionFacts], published_of: PublishedOf
) -> dict[str, str]:
    """Return why a report's stale periods are stale, by period id."""
    reasons = {}
    for period_id, parts in changed_parts(partitions, published_of).items():
        reasons[period_id] = f"periods that it read were restated: {', '.join(parts)}"
    for period_id in stale_periods(partitions):
        reasons[period_id] = "the previous period was restated"
    return reasons


def _open_periods(table: str, published_of: PublishedOf, *, with_stale: bool) -> set[str]:
    """Return the ids of a report's periods that are not final, or are to be reported again."""
    partitions = published_of(table)
    open_ids = {period_id for period_id, facts in partitions.items() if facts.provisional}
    if with_stale:
        open_ids.update(_stale_reasons(partitions, published_of))
    return open_ids


def _open_parts(facts: PartitionFacts, open_periods: Mapping[str, set[str]]) -> list[str]:
    """Return the tables and ids of those parts of a period that are among the open ones."""
    parts: list[str] = []
    for table, versions_read in facts.parts.items():
        open_ids = [part_id for part_id in versions_read if part_id in open_periods[table]]
        parts.extend(f"{table} {part_id}" for part_id in open_ids)
    return parts


def stale_periods(partitions: Mapping[str, PartitionFacts]) -> list[str]:
    """Return the ids of the periods whose SQL would find something else in the period before now.

    The digests of the period before tell what it found then and would find now: see
    `Version.read_by_next`. So a period is not stale if the one before has the rows again that it
    had then, or if only columns changed that come from a still earlier period, such as a previous
    rank.
    """
    readings_by_end = {facts.period.end: facts.readings for facts in partitions.values()}
    stale = []
    for period_id, facts in partitions.items():
        readings = readings_by_end.get(facts.period.start)
        if not facts.query.reads_previous or not readings:
            continue
        submitted_at = datetime.fromisoformat(facts.query.submitted_at)
        if _digest_at(submitted_at + TOGETHER, readings) != readings[0].digest:
            stale.append(period_id)
    return stale


def _digest_at(instant: datetime, readings: Sequence[Reading]) -> str:
    """Return the digest of what a query of the next period found in a period at an instant.

    A query that was submitted before the first one of the period itself found what that one did:
    both read the same tables. The readings are those of the period, latest first.
    """
    for reading in readings:
        if datetime.fromisoformat(reading.since) <= instant:
            return reading.digest
    return readings[-1].digest


def _whole_days_due(facts: PartitionFacts, now: datetime) -> int:
    """Return how many times 24 hours have passed since the period was due for the first time.

    It is due when its late events have arrived, but not before its query was submitted.

    Dates would not do: many periods become due just before midnight UTC, and their runs are still
    active after it.
    """
    submitted_at = datetime.fromisoformat(facts.query.submitted_at)
    settles_at = datetime.fromisoformat(facts.settles_at)
    time_due = now - max(submitted_at, settles_at)
    # It is negative for a stale period that is restated before its own late events have arrived.
    return max(time_due, timedelta(0)) // timedelta(days=1)


class AthenaRestatementsOperator(AwsBaseOperator[SharedSessionHook]):
    """Returns, for each period that has to be reported again, how to trigger its DAG.

    It lists what is published of all reports in a Glue database. AthenaUndeliveredOperator needs
    the same, so the XCom `PLANNED_XCOM` has for it the periods that may have to be delivered.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("database",)
    ui_color = "#c9d8f0"

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database

    @report_errors()
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the arguments of each TriggerDagRunOperator, the oldest period first.

        A period that has an active run is left out, and so is one whose parts are not final.
        There are at most as many as Airflow maps (`[core] max_map_length`): it fails a task that
        returns more. AirflowFailException if AWS refuses a call.
        """
        restatements = self._list_published(context)
        max_triggers = conf.getint("core", "max_map_length", fallback=1024)
        triggers: list[dict[str, Any]] = []
        for place, restatement in enumerate(restatements):
            if len(triggers) == max_triggers:
                self.log.warning(
                    "Airflow maps at most %d tasks; %d later periods wait for the next run.",
                    max_triggers,
                    len(restatements) - place,
                )
                break
            message = f"{restatement.dag_id}, period {restatement.period_id}: {restatement.reason}"
            if restatement.open_parts:
                message += (
                    f", but these parts are not final yet: {', '.join(restatement.open_parts)}"
                )
            elif _has_active_run(restatement, context):
                # A paused DAG would collect runs, and pay for all of them once it is unpaused.
                message += ", but its run is still active. Check whether the DAG is paused."
            else:
                triggers.append(restatement.to_trigger())
            self.log.info(message)
        return triggers

    def _list_published(self, context: Context) -> list[Restatement]:
        """Push the planned deliveries, and return the restatements, the oldest period first."""
        now = datetime.now(UTC)
        with_stale = bool(context["params"][STALE_PARAM])
        tables = {
            table.name: table for table in published_tables(self.database, self.hook.client("glue"))
        }

        first_id = "" if with_stale else str(now.year - _YEARS_LISTED)

        @cache
        def published_of(table_name: str) -> Mapping[str, PartitionFacts]:
            if table_name not in tables:
                return {}
            return tables[table_name].published_periods(first_id)

        restatements: list[Restatement] = []
        planned: list[Any] = []
        for table in tables.values():
            # Not from the cache: what is published of all reports does not fit into memory, and few
            # of them are read by others.
            partitions = table.published_periods(first_id)
            planned += planned_deliveries(table.location, partitions, now)
            restatements += find_restatements(
                table.name,  # the id of the DAG too
                partitions,
                published_of,
                now,
                with_stale=with_stale,
            )
        context["ti"].xcom_push(PLANNED_XCOM, [each.model_dump(mode="json") for each in planned])
        restatements.sort(key=lambda restatement: restatement.start)
        return restatements


def _has_active_run(restatement: Restatement, context: Context) -> bool:
    """Whether one of the runs that the restatement may have had is queued or running."""
    run_ids = restatement.run_ids
    for start in range(0, len(run_ids), _RUN_IDS_PER_REQUEST):
        active_runs = context["ti"].get_dr_count(
            dag_id=restatement.dag_id,
            run_ids=run_ids[start : start + _RUN_IDS_PER_REQUEST],
            states=_ACTIVE_STATES,
        )
        if active_runs > 0:
            return True
    return False
