"""`backfill`: two years of `user_ranking` in one backfill, in a real Airflow on PostgreSQL.

The same scheduler runs, one after the other, ours, the DAG that people write by hand, with a poll every
second, and a DAG of as many tasks that do nothing. The local Athena answers in milliseconds, so what is
measured is the orchestration. All tasks are in Airflow's default pool.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from airflow_local.databases import postgresql
from airflow_local.runtime import AirflowConfig, AirflowRuntime
from airflow_local.services import Services, local_services
from bench.results import Row
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.integration.runner import column_bytes

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(__file__).with_name(".work") / "backfill"

WEEKS = 104
FEW_WEEKS = 26
FIRST = dt.datetime(2023, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
OURS = "user_ranking_weekly"
LIMITS: Mapping[str, float | None] = {"nothing": None, "by_hand_1s": 1.10}
GROWTH_LIMIT = 1.10
PARALLELISM = 5  # tasks of one worker of MWAA's smallest class
MAX_ACTIVE_RUNS = 16
COLUMNS = {"user_id", "user_name", "score", "played_at", "event_id"}
_WEEK = dt.timedelta(days=7)
_LAKE_BEGINS = dt.date(2022, 12, 1)
_TIMEOUT_SECONDS = 3600.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Rig:
    """An Airflow with all DAGs, and the services that they use."""

    airflow: AirflowRuntime
    services: Services

    def seconds(self, dag_id: str, first: dt.datetime, weeks: int) -> float:
        """Backfill so many weeks from one on, and return the wall time until the last run has ended.

        Raises:
            RuntimeError: A run failed, or it takes longer than an hour.
        """
        client = self.airflow.client
        begun = time.monotonic()
        before = self._ended(dag_id)
        last = first + _WEEK * (weeks - 1)
        id_ = client.backfill(dag_id, first, last, max_active_runs=MAX_ACTIVE_RUNS)
        while time.monotonic() - begun < _TIMEOUT_SECONDS:
            self.airflow.check_alive()
            # Counted, since a list of all runs would keep the server busy that the tasks need.
            if self._ended(dag_id) - before == weeks:
                elapsed = time.monotonic() - begun
                if {run.state for run in client.runs(dag_id)} != {"success"}:
                    raise RuntimeError(f"A run of {dag_id} failed; the logs are in {WORK}.")
                if client.request("GET", f"/api/v2/backfills/{id_}")["completed_at"] is None:
                    client.cancel_backfill(id_)  # Airflow would look in half a minute whether it has ended
                return elapsed
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"The backfill of {dag_id} is not over after an hour; the logs are in {WORK}.")

    def _ended(self, dag_id: str) -> int:
        """How many runs of a DAG are over."""
        query = {"state": ["success", "failed"], "limit": 1}
        answer = self.airflow.client.request("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)
        return int(answer["total_entries"])

    def scans(self) -> tuple[int, int]:
        """Return how many queries there were in all, and the bytes that they scanned."""
        athena = self.services.athena
        pages = athena.get_paginator("list_query_executions").paginate(WorkGroup="dev")
        ids = [id_ for page in pages for id_ in page["QueryExecutionIds"]]
        scanned = 0
        for start in range(0, len(ids), 50):
            batch = athena.batch_get_query_execution(QueryExecutionIds=ids[start : start + 50])
            scanned += sum(one["Statistics"]["DataScannedInBytes"] for one in batch["QueryExecutions"])
        return len(ids), scanned

    def needed_bytes(self, weeks: int) -> int:
        """Return what queries for so many weeks have to read: the query's columns of the dates of each."""
        first = FIRST.date() - dt.timedelta(days=8)  # in UTC, and with the week before
        days = [first + dt.timedelta(days=day) for day in range(7 * weeks + 9)]
        keys = [f"plays/dt={day}/part-0.parquet" for day in days]
        sizes = [column_bytes(self.services.s3, key, COLUMNS) for key in keys]
        return sum(sizes[7 * week + day] for week in range(weeks) for day in range(16))


@contextmanager
def rig(weeks: int) -> Iterator[Rig]:
    """Start the services with a lake of so many weeks and Airflow with all DAGs; nothing runs by schedule."""
    shutil.rmtree(WORK, ignore_errors=True)
    dags = WORK / "dags"
    dags.mkdir(parents=True)
    report = (ROOT / "dags" / "user_ranking.py").read_text()
    (dags / "user_ranking.py").write_text(report.replace('since="2025-01-01"', f'since="{FIRST.date()}"'))
    shutil.copy(Path(__file__).with_name("dags") / "rivals.py", dags)
    with local_services(WORK / "services.log") as services, postgresql() as server:
        services.prepare("dev")
        days = 31 + 7 * weeks + 14
        spec = PlaysSpec(_LAKE_BEGINS, _LAKE_BEGINS + dt.timedelta(days=days), events=50 * days, users=1_000)
        seed_plays(services, "dev", spec)
        config = AirflowConfig(
            home=WORK / "airflow",
            dags_folder=dags,
            plugins_folder=ROOT / "plugins",
            environment={
                **services.environment,
                "ATHENA_REPORTS_ENV": "dev",
                "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
                "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
                **server.environment,
            },
        )
        with AirflowRuntime(config, dag_ids=[OURS, *LIMITS]) as airflow:
            yield Rig(airflow, services)


def measure() -> Sequence[Row]:
    """Backfill two years with each DAG in turn; ours begins with half a year, to see how it grows."""
    with rig(WEEKS) as made:
        made.seconds("nothing", FIRST - 2 * _WEEK, 2)  # whatever Airflow does only once
        few = made.seconds(OURS, FIRST, FEW_WEEKS)
        rest = made.seconds(OURS, FIRST + FEW_WEEKS * _WEEK, WEEKS - FEW_WEEKS)
        queries, scanned_bytes = made.scans()
        others = {dag_id: made.seconds(dag_id, FIRST, WEEKS) for dag_id in LIMITS}
        needed_bytes = made.needed_bytes(WEEKS)
    early, late = few / FEW_WEEKS, rest / (WEEKS - FEW_WEEKS)
    exact = {"queries": (queries, WEEKS), "scanned bytes": (scanned_bytes, needed_bytes)}
    return [
        *(_beside(dag_id, few + rest, seconds) for dag_id, seconds in others.items()),
        *(_exact(what, found, needed) for what, (found, needed) in exact.items()),
        Row(
            "backfill: growth",
            "seconds per week of those that came later",
            round(late, 2),
            {f"of the first {FEW_WEEKS}": round(early, 2)},
            round(late / early, 3),
            GROWTH_LIMIT,
        ),
    ]


def _beside(dag_id: str, ours: float, theirs: float) -> Row:
    name, unit = f"backfill: beside {dag_id}", f"seconds for {WEEKS} weeks"
    others = {dag_id: round(theirs, 1)}
    return Row(name, unit, round(ours, 1), others, round(ours / theirs, 3), LIMITS[dag_id])


def _exact(what: str, found: int, needed: int) -> Row:
    ratio = round(found / needed, 3)
    return Row(f"backfill: {what}", "the ratio has to be 1", found, {"needed": needed}, ratio, 1.0)
