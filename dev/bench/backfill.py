"""`backfill`: two years of `user_ranking` in one backfill, in a real Airflow on PostgreSQL.

One scheduler runs ours, the DAG by hand with a poll each second, and a DAG of as many tasks that
do nothing. The local Athena answers in milliseconds, so the orchestration is measured.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from athena_reports_cli.local.services import Services, local_services
from bench.local_airflow import DAGS, ROOT, WORK, airflow_config
from bench.results import Row
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.support.databases import postgresql
from tests.support.live_airflow import LiveAirflow
from tests.support.local_athena import column_bytes, query_executions
from tests.support.query_comments import comment_of

WEEKS = 104
QUARTER = 26
FIRST = dt.datetime(2023, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
OURS = "user_ranking"
LIMITS: Mapping[str, float | None] = {"nothing": None, "by_hand_1s": 1.10}
GROWTH_LIMIT = 1.10
PARALLELISM = 5  # tasks of one worker of MWAA's smallest class
MAX_ACTIVE_RUNS = 16
COLUMNS = {"user_id", "user_name", "score", "played_at", "event_id"}
_WEEK = dt.timedelta(days=7)
_LAKE_BEGINS = dt.date(2022, 12, 1)


@contextmanager
def rig() -> Iterator[tuple[LiveAirflow, Services]]:
    """Start the services with a lake of all weeks and Airflow with all DAGs."""
    work = WORK / "backfill"
    shutil.rmtree(work, ignore_errors=True)
    dags = work / "dags"
    dags.mkdir(parents=True)
    report = (ROOT / "dags" / f"{OURS}.py").read_text()
    report = report.replace('since="2025-01-01"', f'since="{FIRST.date()}"')
    (dags / f"{OURS}.py").write_text(report)
    shutil.copy(DAGS / "by_hand.py", dags / "by_hand_1s.py")
    shutil.copy(DAGS / "nothing.py", dags)
    with local_services(work / "services.log") as services, postgresql() as server:
        services.prepare("dev")
        days = 31 + 7 * WEEKS + 14
        lake_ends = _LAKE_BEGINS + dt.timedelta(days=days)
        spec = PlaysSpec(_LAKE_BEGINS, lake_ends, events=50 * days, users=1_000)
        seed_plays(services, "dev", spec)
        tasks = {"AIRFLOW__CORE__PARALLELISM": str(PARALLELISM)}
        config = airflow_config({**services.environment, **server.environment, **tasks}, work, dags)
        dag_ids = [f"{name}_weekly" for name in (OURS, *LIMITS)]
        with LiveAirflow(config, dag_ids=dag_ids) as airflow:
            yield airflow, services


def _seconds(airflow: LiveAirflow, name: str, first_week: int, weeks: int) -> float:
    """Backfill so many weeks from one on, and return the wall time until the last run has ended."""
    client, dag_id, first = airflow.client, f"{name}_weekly", FIRST + first_week * _WEEK

    def ended() -> int:
        # Counted, since a list of all runs would keep the server busy that the tasks need.
        query = {"state": ["success", "failed"], "limit": 1}
        runs = client.request("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)
        return int(runs["total_entries"])

    begun, due = time.monotonic(), ended() + weeks
    last = first + _WEEK * (weeks - 1)
    id_ = client.backfill(dag_id, first, last, max_active_runs=MAX_ACTIVE_RUNS)
    while ended() < due:
        airflow.check_alive()
        if time.monotonic() - begun > 3600:
            raise RuntimeError(
                f"The backfill of {dag_id} is not over after an hour; the logs are in {WORK}."
            )
        time.sleep(0.5)
    elapsed = time.monotonic() - begun
    if {run.state for run in client.runs(dag_id)} != {"success"}:
        raise RuntimeError(f"A run of {dag_id} failed; the logs are in {WORK}.")
    if client.request("GET", f"/api/v2/backfills/{id_}")["completed_at"] is None:
        client.cancel_backfill(id_)  # Airflow would look in half a minute whether it has ended
    return elapsed


def _scans(services: Services) -> tuple[int, int]:
    """Return how many queries ours has made, and the bytes that they scanned."""
    scanned = [
        execution["Statistics"]["DataScannedInBytes"]
        for execution in query_executions(services.athena)
        if comment_of(execution["Query"]).get("dag_id") == f"{OURS}_weekly"
    ]
    return len(scanned), sum(scanned)


def _needed_bytes(services: Services) -> int:
    """Return what the queries have to read: the query's columns of the dates of each week."""
    first = FIRST.date() - dt.timedelta(days=8)  # in UTC, and with the week before
    days = [first + dt.timedelta(days=day) for day in range(7 * WEEKS + 9)]
    sizes = [column_bytes(services.s3, f"plays/dt={day}/part-0.parquet", COLUMNS) for day in days]
    return sum(sizes[7 * week + day] for week in range(WEEKS) for day in range(16))


def measure() -> Sequence[Row]:
    """Backfill two years with each DAG, a quarter of them at a time and in turns.

    So a machine that gets slower meanwhile does so for all.
    """
    quarters: dict[str, list[float]] = {name: [] for name in (OURS, *LIMITS)}
    with rig() as (airflow, services):
        _seconds(airflow, "nothing", -2, 2)  # whatever Airflow does only once
        for first_week in range(0, WEEKS, QUARTER):
            for name, seconds in quarters.items():
                seconds.append(_seconds(airflow, name, first_week, QUARTER))
        queries, scanned_bytes = _scans(services)
        needed_bytes = _needed_bytes(services)
    ours = quarters.pop(OURS)
    unit = f"seconds for {WEEKS} weeks"
    exact = "the ratio has to be 1"
    early, late = ours[0] / QUARTER, sum(ours[1:]) / (WEEKS - QUARTER)
    growth = "seconds per week of the later ones"
    begin = {f"of the first {QUARTER}": early}
    needed = {"needed": needed_bytes}
    beside = []
    for name, seconds in quarters.items():
        other = sum(seconds)
        title = f"backfill: beside {name}"
        beside.append(Row.of(title, unit, sum(ours), {name: other}, other, LIMITS[name]))
    return [
        *beside,
        Row.of("backfill: queries", exact, queries, {"needed": WEEKS}, WEEKS),
        Row.of("backfill: scanned bytes", exact, scanned_bytes, needed, needed_bytes),
        Row.of("backfill: growth", growth, late, begin, early, GROWTH_LIMIT),
    ]
