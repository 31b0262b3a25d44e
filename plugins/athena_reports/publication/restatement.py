"""Finds published periods that have to be reported again, from the partitions of the published tables alone.

- A provisional period whose late events have all arrived: its numbers may have changed.
- A stale period: its SQL reads the period before, and that one was restated since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.queries.airflow_errors import report_errors

if TYPE_CHECKING:
    from airflow.sdk import Context

STALE_PARAM = "stale"

_DAY = timedelta(days=1)
_ASKED_AT_ONCE = 50  # run ids in the address of one request


@dataclass(frozen=True)
class Restatement:
    """One period to report again.

    Attributes:
        dag_id: DAG of the report.
        period_id: The period.
        reason: `late events have arrived`, or `the period before was restated`.
        submitted_at: When the query of what is published was submitted.
        days_due: How many whole days ago it was due for the first time.
    """

    dag_id: str
    period_id: str
    reason: str
    submitted_at: str
    days_due: int

    @property
    def run_ids(self) -> list[str]:
        """Ids of the runs that may exist for it, one a day while they fail, and last of the next one."""
        stem = f"restatement__{self.period_id}__{self.submitted_at}__"
        return [f"{stem}{day}" for day in range(self.days_due + 1)]

    def to_trigger(self) -> dict[str, Any]:
        """Return the arguments of a TriggerDagRunOperator."""
        return {
            "trigger_dag_id": self.dag_id,
            "trigger_run_id": self.run_ids[-1],
            "conf": {PERIOD_PARAM: self.period_id},
        }


def find_restatements(
    dag_id: str, partitions: Mapping[str, PartitionFacts], now: datetime, *, with_stale: bool
) -> list[Restatement]:
    """Return which periods of a report have to be reported again, the earliest first.

    Args:
        dag_id: Its DAG, which is the name of its table too.
        partitions: The published periods, by id.
        now: The instant, with a zone.
        with_stale: Whether stale periods count, or provisional ones only.
    """
    reasons = dict.fromkeys(stale(partitions), "the period before was restated") if with_stale else {}
    for period_id, facts in partitions.items():
        if facts.provisional and datetime.fromisoformat(facts.settles_at) <= now:
            reasons[period_id] = "late events have arrived"
    return [
        Restatement(dag_id, each, reasons[each], partitions[each].submitted_at, _days_due(partitions[each], now))
        for each in sorted(reasons, key=lambda each: partitions[each].start)
    ]


def stale(partitions: Mapping[str, PartitionFacts]) -> list[str]:
    """Return the ids of the periods that read the period before it was restated, the earliest first."""
    by_end = {facts.end: facts for facts in partitions.values()}
    found = [
        period_id
        for period_id, facts in partitions.items()
        if facts.reads_previous and facts.start in by_end and by_end[facts.start].restated_at > facts.submitted_at
    ]
    return sorted(found, key=lambda each: partitions[each].start)


def _days_due(facts: PartitionFacts, now: datetime) -> int:
    # Not a date: many periods become due just before midnight UTC, and their runs are active after it.
    since = max(map(datetime.fromisoformat, (facts.submitted_at, facts.settles_at)))
    return max(now - since, timedelta(0)) // _DAY


class AthenaRestatementsOperator(AwsBaseOperator[GlueCatalogHook]):
    """Returns, for each period that has to be reported again, how to trigger its DAG.

    Args:
        database: Glue database of the published tables.
    """

    aws_hook_class = GlueCatalogHook
    template_fields: Sequence[str] = ("database",)
    ui_color = "#c9d8f0"

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Find what is due, and leave out what has an active run."""
        triggers = []
        with_stale = bool(context["params"][STALE_PARAM])
        with report_errors():
            for table in published_tables(self.database, self.hook.get_conn()):
                published = table.published_periods()
                for each in find_restatements(table.name, published, datetime.now(UTC), with_stale=with_stale):
                    # The runs of a paused DAG would all be paid for once it is unpaused.
                    active = _has_active_run(each, context["ti"])
                    note = ", but its run has not ended; see whether the DAG is paused" if active else ""
                    self.log.info("%s, period %s: %s%s", each.dag_id, each.period_id, each.reason, note)
                    triggers += [] if active else [each.to_trigger()]
        return triggers


def _has_active_run(restatement: Restatement, ti: Any) -> bool:
    ids = restatement.run_ids
    batches = (ids[start : start + _ASKED_AT_ONCE] for start in range(0, len(ids), _ASKED_AT_ONCE))
    states = ["queued", "running"]
    return any(ti.get_dr_count(dag_id=restatement.dag_id, run_ids=batch, states=states) for batch in batches)
