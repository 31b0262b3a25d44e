"""A report's DAG that is backfilled: its runs in Airflow, its queries in Athena,
and what it published.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil  # type: ignore[import-untyped]

from athena_reports_cli.local.client import AirflowApiError
from athena_reports_cli.local.runs import require_success
from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec, generate
from tests.airflow.report_run import TASK_TITLE, Query, queries_of, title_of, until
from tests.support.dates import Period
from tests.support.local_athena import column_bytes, facts_of_query
from tests.support.published import object_of, rows_of
from tests.support.reports import DAGS, WEEK_COLUMNS, Play, carriers, plays_of, top_users

if TYPE_CHECKING:
    from athena_reports_cli.local.client import DagRun
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

BUCKET = "athena-report-dev"
FIRST_SUNDAY = dt.date(2023, 1, 1)
DAG_IDS = ("top_users_weekly", "top_users_monthly", "carriers_weekly", "carriers_monthly")
_DAY = dt.timedelta(days=1)

Rows = list[dict[str, Any]]


class Plays:
    """A lake of plays from December 2022 on,
    for the weeks of Tokyo from the first Sunday of 2023 on.
    """

    def __init__(self, services: Services, weeks: int) -> None:
        """Fill the lake with so many weeks, and what lies around them."""
        self.services = services
        days = 31 + 7 * weeks + 14
        spec = PlaysSpec(
            dt.date(2022, 12, 1), dt.date(2022, 12, 1) + _DAY * days, events=50 * days, users=1_000
        )
        seed_plays(services, "dev", spec)
        self._plays = {day: list(plays_of([table])) for day, table in generate(spec)}

    def partitions(self, week: Period) -> set[dt.date]:
        """The UTC dates on which events of a week or of the one before may have landed."""
        # In UTC a day of Tokyo begins at 15:00 of the day before; events land up to a day late.
        return {week.previous - _DAY + _DAY * n for n in range(16)}

    def scanned_bytes(self, week: Period) -> int:
        """What Athena must bill for a week."""
        return sum(
            column_bytes(self.services.s3, f"plays/dt={day}/part-0.parquet", WEEK_COLUMNS)
            for day in self.partitions(week)
        )

    def ranking(self, week: Period) -> Rows:
        """What the report must say of a week."""
        plays: list[Play] = [play for day in self.partitions(week) for play in self._plays[day]]
        return top_users(
            plays, *(week.midnight(day) for day in (week.first, week.end, week.previous))
        )


def flights_ranking(period: Period) -> Rows:
    """What the report of the carriers must say of a period."""
    return carriers(period.start, period.midnight(period.end))


@contextmanager
def lake_of_plays(log_path: Path, weeks: int) -> Iterator[Plays]:
    """The local services, prepared for reports, with a lake of plays."""
    with local_services(log_path) as services:
        services.prepare("dev")
        yield Plays(services, weeks)


def write_dags(folder: Path) -> None:
    """Put the reports of the tests into a folder;
    the weekly tasks have more tries than a test takes from them.
    """
    shutil.copytree(DAGS, folder)
    users, given = folder / "top_users.py", 'weekly("sunday", "Asia/Tokyo")'
    source = users.read_text()
    assert source.count(given) == 1
    source = source.replace(given, f"{given}, retry=RetryPolicy(retries=50)")
    users.write_text(source.replace("import Input", "import RetryPolicy, Input"))


def start_reports(
    start_airflow: StartAirflow, services: Services, folder: Path, **settings: Any
) -> LiveAirflow:
    """Start an Airflow with the reports, in which nothing runs before it is asked for."""
    write_dags(folder / "dags")
    return start_airflow(folder / "dags", dag_ids=DAG_IDS, services=services, **settings)


@dataclass(frozen=True)
class Backfilled:
    """The DAG of a report and a cadence; `expected` is what an oracle says of a period."""

    airflow: LiveAirflow
    services: Services
    report: str
    cadence: str
    expected: Callable[[Period], Rows]

    @property
    def dag_id(self) -> str:
        return f"{self.report}_{self.cadence}"

    def begin(
        self,
        periods: Sequence[Period],
        *,
        max_active_runs: int = 16,
        run_backwards: bool = False,
        reprocess: Literal["none", "failed", "completed"] = "none",
    ) -> int:
        """Start a backfill over the API that the UI uses, once those before are over."""
        self.end()
        return self.airflow.client.backfill(
            self.dag_id,
            periods[0].start,
            periods[-1].start,
            max_active_runs=max_active_runs,
            run_backwards=run_backwards,
            reprocess_behavior=reprocess,
        )

    def end(self) -> None:
        """Let the DAG have its next backfill: Airflow looks each 30 s whether one has ended."""
        client = self.airflow.client
        answer = client.request("GET", "/api/v2/backfills", params={"dag_id": self.dag_id})
        for backfill in answer["backfills"]:
            if backfill["completed_at"] is None:
                try:
                    client.cancel_backfill(backfill["id"])
                except AirflowApiError as refusal:
                    if refusal.status != HTTPStatus.CONFLICT:  # which says that Airflow has looked
                        raise

    def runs(self, periods: Sequence[Period]) -> list[DagRun]:
        """The runs for the periods, in their order, that have a logical date."""
        starts = {period.start for period in periods}
        return [run for run in self.airflow.client.runs(self.dag_id) if run.logical_date in starts]

    def wait_until_published(self, periods: Sequence[Period], number: int) -> None:
        """Wait until at least so many runs of the periods have succeeded."""

        def enough() -> bool:
            self.airflow.check_alive()
            return sum(run.state == "success" for run in self.runs(periods)) >= number

        until(enough, f"{number} runs of {self.dag_id} have succeeded", seconds=600)

    def wait_until_over(self, periods: Sequence[Period]) -> list[DagRun]:
        """Wait until the periods have a run each and all have ended, and return them."""

        def over() -> list[DagRun] | None:
            self.airflow.check_alive()
            runs = self.runs(periods)
            return runs if len(runs) == len(periods) and all(run.finished for run in runs) else None

        seconds = 300 + 30 * len(periods)
        return until(over, f"{len(periods)} runs of {self.dag_id} have ended", seconds=seconds)

    def wait_until_success(self, periods: Sequence[Period]) -> list[DagRun]:
        """Wait until each period has one run, which has succeeded."""
        runs = self.wait_until_over(periods)
        assert [run.logical_date for run in runs] == [period.start for period in periods]
        for run in runs:
            require_success(self.airflow.client, run)
        return runs

    @property
    def queries(self) -> list[Query]:
        """All queries that were ever created for the DAG."""
        return queries_of(self.services, self.dag_id)

    def manifest(self, period: Period) -> Mapping[str, Any] | None:
        """What a reader of the period finds; None if it is not published."""
        s3 = self.services.s3
        try:
            body = s3.get_object(Bucket=BUCKET, Key=f"{self._prefix(period)}manifest.json")[
                "Body"
            ].read()
        except s3.exceptions.NoSuchKey:
            return None
        return {**json.loads(body), "bucket": BUCKET}

    def objects(self, period: Period) -> Mapping[str, bytes]:
        """The published data objects by format."""
        manifest = self.manifest(period)
        assert manifest is not None, f"{period.id} of {self.dag_id} is not published"
        formats = [entry["format"] for entry in manifest["objects"]]
        return {format: object_of(self.services.s3, manifest, format) for format in formats}

    @property
    def partitions(self) -> set[str]:
        """The periods that the published table has in Glue."""
        pages = self.services.glue.get_paginator("get_partitions").paginate(
            DatabaseName="report_dev", TableName=self.dag_id, ExcludeColumnSchema=True
        )
        return {partition["Values"][0] for page in pages for partition in page["Partitions"]}

    def assert_right(self, periods: Sequence[Period]) -> None:
        """What is published of each period is what the raw data say,
        in the only version that it ever had.
        """
        for period in periods:
            manifest = self.manifest(period)
            assert manifest is not None, f"{period.id} of {self.dag_id} is not published"
            expected = self.expected(period)
            assert expected, period
            assert rows_of(self.services.s3, manifest, "parquet") == expected, period
            assert rows_of(self.services.s3, manifest, "csv") == expected, period
            assert manifest["earlier_versions"] == [], period
        assert {period.id for period in periods} <= self.partitions

    def paid(self, runs: Sequence[DagRun]) -> list[int]:
        """How many queries each of the runs has started; all of them must have succeeded."""
        queries = self.queries
        assert {query.state for query in queries} == {"SUCCEEDED"}
        counted = Counter(query.run_id for query in queries)
        return [counted[run.run_id] for run in runs]

    def assert_read(self, periods: Sequence[Period], plays: Plays) -> None:
        """The published queries have read exactly the partitions that they need,
        and were billed for that.
        """
        for period in periods:
            manifest = self.manifest(period)
            assert manifest is not None
            (scan,) = facts_of_query(self.services, manifest["query"]["id"])["scans"]
            dates = {dt.date.fromisoformat(partition["dt"]) for partition in scan["partitions"]}
            assert dates == plays.partitions(period), period
            assert manifest["query"]["scanned_bytes"] == plays.scanned_bytes(period), period

    def task_processes(self, *hosts: str) -> list[psutil.Process]:
        """The processes that run a task at this moment, of all task hosts or of some."""
        workers = [name for name in self.airflow.config.components if name.startswith("worker")]
        names = hosts or workers or ["scheduler"]
        return [each for name in names for each in self.airflow.processes(name) if _is_task(each)]

    def _prefix(self, period: Period) -> str:
        return f"{self.report}/{self.cadence}/{period.id}/"


def _is_task(process: psutil.Process) -> bool:
    # The idle workers of LocalExecutor have a title that begins like a task's.
    title = title_of(process)
    return title.startswith(TASK_TITLE) and "LocalExecutor" not in title
