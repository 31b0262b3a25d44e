"""Finds published periods to report again: provisional ones whose late events have arrived, and stale ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.configuration import conf
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context

from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.steps.airflow_errors import report_errors

STALE_PARAM = "stale"
TOGETHER = timedelta(minutes=1)  # queries of two periods that are reported again together start so far apart


@dataclass(frozen=True)
class Restatement:
    """One period to report again."""

    dag_id: str
    period_id: str
    reason: str
    submitted_at: str  # when the query of what is published was submitted
    days_due: int  # how many whole days ago it was due for the first time

    @property
    def run_ids(self) -> list[str]:
        """Ids of the runs that may exist for it, one a day while they fail, and last of the next one."""
        return [f"restatement__{self.period_id}__{self.submitted_at}__{day}" for day in range(self.days_due + 1)]

    def to_trigger(self) -> dict[str, Any]:
        """Return the arguments of a TriggerDagRunOperator."""
        conf = {PERIOD_PARAM: self.period_id}
        return {"trigger_dag_id": self.dag_id, "trigger_run_id": self.run_ids[-1], "conf": conf}


def find_restatements(
    dag_id: str, partitions: Mapping[str, PartitionFacts], now: datetime, *, with_stale: bool
) -> list[Restatement]:
    """Return which of a report's published periods have to be reported again, the earliest first."""
    outdated = stale(partitions) if with_stale else []
    found = []
    for period_id, facts in sorted(partitions.items(), key=lambda item: item[1].start):
        has_settled = facts.provisional and datetime.fromisoformat(facts.settles_at) <= now
        if has_settled or period_id in outdated:
            reason = "late events have arrived" if has_settled else "the period before was restated"
            # Not a date: many periods become due just before midnight UTC, and their runs are active after it.
            since = max(map(datetime.fromisoformat, (facts.submitted_at, facts.settles_at)))
            days_due = max(now - since, timedelta(0)) // timedelta(days=1)
            found.append(Restatement(dag_id, period_id, reason, facts.submitted_at, days_due))
    return found


def stale(partitions: Mapping[str, PartitionFacts]) -> list[str]:
    """Return the ids of the periods whose SQL read the period before, which was restated since."""
    restated = {facts.end: facts.restated_at for facts in partitions.values() if facts.restated_at}
    read = {id: facts for id, facts in partitions.items() if facts.reads_previous and facts.start in restated}
    since = {id: datetime.fromisoformat(restated[facts.start]) - TOGETHER for id, facts in read.items()}
    return [id for id, facts in read.items() if since[id] > datetime.fromisoformat(facts.submitted_at)]


class AthenaRestatementsOperator(AwsBaseOperator[GlueCatalogHook]):
    """Returns, for each period that has to be reported again, how to trigger its DAG; `database` is of Glue."""

    aws_hook_class = GlueCatalogHook
    template_fields: Sequence[str] = ("database",)
    ui_color = "#c9d8f0"

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database

    @report_errors()
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Find what is due, the oldest first, and leave out what has an active run."""
        triggers: list[dict[str, Any]] = []
        due: list[Restatement] = []
        now, with_stale = datetime.now(UTC), bool(context["params"][STALE_PARAM])
        for table in published_tables(self.database, self.hook.get_conn()):
            due += find_restatements(table.name, table.published_periods(), now, with_stale=with_stale)
        due.sort(key=lambda each: each.period_id)
        most = conf.getint("core", "max_map_length", fallback=1024)  # else Airflow fails the task
        for number, each in enumerate(due):
            if len(triggers) == most:
                self.log.warning(
                    "Airflow maps %d at once; %d later periods wait for the next run.", most, len(due) - number
                )
                break
            # The runs of a paused DAG would all be paid for once it is unpaused.
            ids, count, states = each.run_ids, context["ti"].get_dr_count, ["queued", "running"]
            batches = [ids[start : start + 50] for start in range(0, len(ids), 50)]  # for a request's address
            active = any(count(dag_id=each.dag_id, run_ids=batch, states=states) for batch in batches)
            note = ", but its run has not ended; see whether the DAG is paused" if active else ""
            self.log.info("%s, period %s: %s%s", each.dag_id, each.period_id, each.reason, note)
            triggers += [] if active else [each.to_trigger()]
        return triggers
