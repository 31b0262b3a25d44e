"""`backfill`: two years of `user_ranking` in one backfill, in a real Airflow on PostgreSQL.

The same scheduler runs, one after the other, ours, the DAG that people write by hand (with the provider's
defaults and with a look every second), and a DAG of as many tasks that do nothing. The local Athena answers
in milliseconds, so what is measured is the orchestration.

`backfill-short`: 26 weeks, without the growth.
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

from bench.results import Row, machine
from demo.airflow import AirflowConfig, AirflowRuntime
from demo.lake import column_bytes, seed_plays
from demo.plays import PlaysSpec
from demo.services import Services, local_services

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(__file__).with_name(".work") / "backfill"

WEEKS = 104
FEW_WEEKS = 26
FIRST = dt.datetime(2023, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
OURS = "user_ranking_weekly"
LIMITS: Mapping[str, float] = {"nothing": 1.8, "by_hand_1s": 1.10, "by_hand": 0.60}
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
        before = client.ended(dag_id)
        last = first + _WEEK * (weeks - 1)
        id_ = client.backfill(dag_id, first, last, max_active_runs=MAX_ACTIVE_RUNS)
        while time.monotonic() - begun < _TIMEOUT_SECONDS:
            self.airflow.check_alive()
            # Counted, since a list of all runs would keep the server busy that the tasks need.
            if client.ended(dag_id) - before == weeks:
                elapsed = time.monotonic() - begun
                if {run.state for run in client.runs(dag_id)} != {"success"}:
                    raise RuntimeError(f"A run of {dag_id} failed; the logs are in {WORK}.")
                if client.request("GET", f"/api/v2/backfills/{id_}")["completed_at"] is None:
                    client.cancel_backfill(id_)  # Airflow would look in half a minute whether it has ended
                return elapsed
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"The backfill of {dag_id} is not over after an hour; the logs are in {WORK}.")

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
        sizes = [column_bytes("dev", key, COLUMNS, s3=self.services.s3) for key in keys]
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
    with local_services(WORK / "services.log") as services:
        services.prepare("dev")
        days = 31 + 7 * weeks + 14
        spec = PlaysSpec(_LAKE_BEGINS, _LAKE_BEGINS + dt.timedelta(days=days), events=50 * days, users=1_000)
        seed_plays("dev", s3=services.s3, glue=services.glue, spec=spec)
        config = AirflowConfig(
            home=WORK / "airflow",
            dags_folder=dags,
            plugins_folder=ROOT / "plugins",
            environment={
                **services.environment,
                "ATHENA_REPORTS_ENV": "dev",
                "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            },
            database="postgresql",
            parallelism=PARALLELISM,
            pools={"athena_dev": 32},
        )
        with AirflowRuntime(config, dag_ids=[OURS, *LIMITS]) as airflow:
            yield Rig(airflow, services)


@dataclass(frozen=True)
class Measured:
    """What a comparison has found, in seconds and bytes.

    Attributes:
        weeks: How many weeks each DAG ran.
        few_weeks: How many of ours came first.
        few: Wall time of these.
        ours: Wall time of all of ours.
        others: Wall time by DAG.
        queries: Queries of ours.
        scanned_bytes: What they scanned.
        needed_bytes: What the partitions that they need hold in their columns.
    """

    weeks: int
    few_weeks: int
    few: float
    ours: float
    others: Mapping[str, float]
    queries: int
    scanned_bytes: int
    needed_bytes: int


def measure() -> Sequence[Row]:
    """Backfill two years with each DAG in turn."""
    return rows_of("backfill", run(WEEKS, FEW_WEEKS))


def measure_short() -> Sequence[Row]:
    """Backfill half a year with each DAG in turn."""
    return rows_of("backfill-short", run(FEW_WEEKS, FEW_WEEKS))


def run(weeks: int, few_weeks: int) -> Measured:
    """Let each DAG have its backfill; ours begins with a few weeks, to see how it grows."""
    with rig(weeks) as made:
        made.seconds("nothing", FIRST - 2 * _WEEK, 2)  # whatever Airflow does only once
        few = made.seconds(OURS, FIRST, few_weeks)
        rest = made.seconds(OURS, FIRST + few_weeks * _WEEK, weeks - few_weeks) if weeks > few_weeks else 0.0
        queries, scanned_bytes = made.scans()
        others = {dag_id: made.seconds(dag_id, FIRST, weeks) for dag_id in LIMITS}
        return Measured(
            weeks, few_weeks, few, few + rest, others, queries, scanned_bytes, made.needed_bytes(weeks)
        )


def rows_of(name: str, found: Measured) -> Sequence[Row]:
    """Make the rows of a comparison."""
    unit = f"seconds for {found.weeks} weeks"
    here = machine()
    rows = [
        Row(
            f"{name}: beside {dag_id}",
            unit,
            round(found.ours, 1),
            {dag_id: round(found.others[dag_id], 1)},
            round(found.ours / found.others[dag_id], 3),
            limit,
            here,
        )
        for dag_id, limit in LIMITS.items()
    ]
    exact = {
        "queries": (found.queries, found.weeks),
        "scanned bytes": (found.scanned_bytes, found.needed_bytes),
    }
    rows += [
        Row(
            f"{name}: {what}",
            "the ratio has to be 1",
            ours,
            {"needed": needed},
            round(ours / needed, 3),
            1.0,
            here,
        )
        for what, (ours, needed) in exact.items()
    ]
    if found.weeks > found.few_weeks:
        early = found.few / found.few_weeks
        late = (found.ours - found.few) / (found.weeks - found.few_weeks)
        others = {f"of the first {found.few_weeks}": round(early, 2)}
        unit = "seconds per week of those that came later"
        rows.append(
            Row(f"{name}: growth", unit, round(late, 2), others, round(late / early, 3), GROWTH_LIMIT, here)
        )
    return rows
