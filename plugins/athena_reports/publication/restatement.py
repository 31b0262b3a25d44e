"""Finds published periods that have to be reported again.

- A provisional period whose late events have all landed: its numbers may have changed.
- A stale period: its SQL reads the period before, and that one was restated since.

Which these are is read from the partitions of the published tables alone.
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
        reason: `late events have landed`, or `the period before was restated`.
        submitted_at: When the query of what is published was submitted.
        days_due: How many whole days ago it could first be reported again.
    """

    dag_id: str
    period_id: str
    reason: str
    submitted_at: str
    days_due: int

    def to_trigger(self) -> dict[str, Any]:
        """Return the arguments of a TriggerDagRunOperator.

        By the run's id a version is restated once a day: a look finds it due while its run is under way, and
        as long as that run has failed.
        """
        return {
            "trigger_dag_id": self.dag_id,
            "trigger_run_id": self.run_ids[-1],
            "conf": {PERIOD_PARAM: self.period_id},
        }

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs that may have been triggered for it since it is due, and of the next one."""
        stem = f"restatement__{self.period_id}__{self.submitted_at}__"
        return [f"{stem}{day}" for day in range(self.days_due + 1)]


def find_restatements(
    dag_id: str, partitions: Mapping[str, Mapping[str, str]], now: datetime, *, with_stale: bool
) -> list[Restatement]:
    """Return which periods of a report have to be reported again, the earliest first.

    Args:
        dag_id: Its DAG, which is the name of its table too.
        partitions: Parameters of the table's partitions, by period id.
        now: The instant, with a zone.
        with_stale: Whether stale periods count, or provisional ones only.
    """
    reasons = dict.fromkeys(stale(partitions), "the period before was restated") if with_stale else {}
    for period_id, facts in partitions.items():
        settles_at = facts.get("settles_at", "")
        if facts.get("provisional") == "true" and settles_at and datetime.fromisoformat(settles_at) <= now:
            reasons[period_id] = "late events have landed"
    return [
        Restatement(
            dag_id,
            period_id,
            reasons[period_id],
            partitions[period_id]["submitted_at"],
            _days_due(partitions[period_id], now),
        )
        for period_id in sorted(reasons, key=lambda period_id: partitions[period_id]["start"])
    ]


def _days_due(facts: Mapping[str, str], now: datetime) -> int:
    """Return how many whole days ago a version was published and its late events had landed, or 0.

    Not a date: many periods become due just before midnight UTC, and their runs are under way after it.
    """
    times = [facts["submitted_at"], facts.get("settles_at", "")]
    since = max(datetime.fromisoformat(time) for time in times if time)
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
        """Look through all published tables."""
        found = [
            restatement
            for table, partitions in published_tables(self.database, self.hook.get_conn())
            for restatement in find_restatements(
                table, partitions, datetime.now(UTC), with_stale=bool(context["params"][STALE_PARAM])
            )
        ]
        triggers = []
        for each in found:
            wait = ""
            if _is_under_way(each, context["ti"]):
                wait = ", but its run has not ended; see whether the DAG is paused"
            else:
                triggers.append(each.to_trigger())
            self.log.info("%s, period %s: %s%s", each.dag_id, each.period_id, each.reason, wait)
        return triggers


def _is_under_way(restatement: Restatement, ti: Any) -> bool:
    """Whether a run of it has not ended: those of a paused DAG would all be paid once it is unpaused."""
    ids = restatement.run_ids
    batches = (ids[start : start + _ASKED_AT_ONCE] for start in range(0, len(ids), _ASKED_AT_ONCE))
    states = ["queued", "running"]
    return any(ti.get_dr_count(dag_id=restatement.dag_id, run_ids=batch, states=states) for batch in batches)


def stale(partitions: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the ids of published periods whose numbers depend on one restated since, earliest first.

    Such a period's SQL reads the period before, and the query whose result replaced another one there was
    submitted after its own. They are restated in this order. Times are ISO 8601 in one zone and one
    precision, so they sort as texts.

    Args:
        partitions: Parameters of the table's partitions, by period id.
    """
    by_end = {facts["end"]: facts for facts in partitions.values() if facts.get("end")}
    found = [
        period_id
        for period_id, facts in partitions.items()
        if facts.get("reads_previous") == "true"
        and by_end.get(facts.get("start", ""), {}).get("restated_at", "") > facts.get("submitted_at", "")
    ]
    return sorted(found, key=lambda period_id: partitions[period_id]["start"])
