"""Reports that read another report, as docs/how-to/read-another-report.md writes them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import TaskDeferred

from athena_reports.errors import MissingPartitionsError
from athena_reports.maintenance.restatement import Restatement, find_restatements
from athena_reports.publication.glue_table import published_tables
from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from demo.lake import load
from tests.support.airflow_run import TaskInstance
from tests.support.code_blocks import files_of
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.paths import ROOT
from tests.support.published import manifest_of, rows_of
from tests.support.shell import Shell
from tests.support.task_runner import prepare, run_dag
from tests.support.tasks import hand_on
from tests.support.triggers import be_impatient, first_event, through_the_database

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
PAGE = ROOT / "docs" / "how-to" / "read-another-report.md"
TOKYO = ZoneInfo("Asia/Tokyo")
ENVIRONMENT = "readanother"  # of the lake alone
FIRST = datetime(2025, 2, 1, tzinfo=TOKYO)
SCHEMA = pa.schema(
    [("user_id", pa.string()), ("score", pa.int64()), ("played_at", pa.timestamp("ms"))]
)
WEEK = "2025-02-02"
DAYS = [f"2025-02-0{day}" for day in range(2, 9)]
LATER = datetime(2026, 1, 1, tzinfo=UTC)

Play = tuple[str, int, datetime]


class Lake:
    """The table `plays`, and all plays in it."""

    def __init__(self, services: Services, plays: list[Play]) -> None:
        self.services = services
        self.plays = plays
        services.prepare(ENVIRONMENT)
        self._load((FIRST + timedelta(days=number)).date() for number in range(-2, 32))

    def add(self, plays: list[Play]) -> None:
        """Let plays land late."""
        self.plays += plays
        self._load({at.astimezone(UTC).date() for *_, at in plays})

    def _load(self, days: Iterable[date]) -> None:
        """Write the partitions of some dates, with the plays of these dates."""
        rows: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for user, score, at in self.plays:
            played_at = at.astimezone(UTC).replace(tzinfo=None)
            row = {"user_id": user, "score": score, "played_at": played_at}
            rows[played_at.date()].append(row)
        partitions = [(day, pa.Table.from_pylist(rows[day], SCHEMA)) for day in sorted(days)]
        load(self.services, ENVIRONMENT, "plays", SCHEMA, partitions)

    def totals(self, first: datetime, end: datetime) -> list[dict[str, Any]]:
        """Counted from the plays alone."""
        points: Counter[str] = Counter()
        days = defaultdict(set)
        for user, score, at in self.plays:
            if first <= at < end:
                points[user] += score
                days[user].add(at.astimezone(TOKYO).date())
        return [
            {"user_id": user, "points": points[user], "days": len(days[user])}
            for user in sorted(points)
        ]


@pytest.fixture(scope="module")
def lake(running_services: Services) -> Lake:
    chance = random.Random(30)
    plays: list[Play] = []
    for _ in range(900):
        at = FIRST + timedelta(seconds=chance.randrange(-86_400, 30 * 86_400))
        plays.append((f"u{chance.randrange(20)}", chance.randrange(1, 1000), at))
    for day in range(29):  # in the first and the last moment of each day
        border = FIRST + timedelta(days=day)
        plays += [("early", 1, border), ("late", 1, border - timedelta(milliseconds=1))]
    return Lake(running_services, plays)


@pytest.fixture
def dags(
    lake: Lake, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The DAGs of the page, of which nothing is published yet."""
    for path, block in files_of(PAGE):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", f"database_{ENVIRONMENT}")
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(tmp_path / "include" / "sql"))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    loaded = {}
    for name in ("daily_scores", "total_scores"):
        loaded.update(load_dags(tmp_path / "dags" / f"{name}.py"))
    yield loaded
    services = lake.services
    for dag_id in loaded:
        report, _, cadence = dag_id.rpartition("_")
        pages = services.s3.get_paginator("list_objects_v2").paginate(
            Bucket=settings().report_bucket, Prefix=f"{report}/{cadence}/"
        )
        for page in pages:
            for stored in page.get("Contents", []):
                services.s3.delete_object(Bucket=settings().report_bucket, Key=stored["Key"])
        tables: Any = services.glue.get_tables(DatabaseName=settings().report_database)
        if dag_id in {table["Name"] for table in tables["TableList"]}:
            services.glue.delete_table(DatabaseName=settings().report_database, Name=dag_id)


def published(lake: Lake, run: TaskInstance) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    manifest = manifest_of(lake.services.s3, run)
    return manifest, rows_of(lake.services.s3, manifest, "parquet")


def restatements(lake: Lake, dag_id: str, now: datetime = LATER) -> list[Restatement]:
    reports = {
        table.name: table.published_periods()
        for table in published_tables(settings().report_database, lake.services.glue)
    }
    found = find_restatements(
        dag_id, reports[dag_id], lambda table: reports.get(table, {}), now, with_stale=True
    )
    return [restatement for restatement in found if not restatement.open_parts]


@contextmanager
def waits_for_part(dag: Any, missing: str) -> Iterator[None]:
    """Check that a run defers since this is missing, and goes on after the body of the `with`."""
    wait = dag.get_task("wait_for_inputs")
    (source,) = wait.waits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wait, "waits", {source: timedelta(days=36500)})
        task, context = prepare(
            wait, TaskInstance(dag_id=dag.dag_id), "run", params={"period": WEEK}
        )
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    (sentence,) = context["ti"].values["wait_for_inputs", "missing_inputs"]["missing"]
    assert sentence.endswith(f" required partitions not published: {missing}")
    yield
    trigger = through_the_database(deferred.value.trigger)
    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch)
        event = asyncio.run(asyncio.wait_for(first_event(trigger), 300))
    assert event == {"missing": []}


def test_a_week_waits_for_its_days_and_is_stale_or_provisional_when_they_are(
    dags: dict[str, Any], lake: Lake, shell: Shell
) -> None:
    days, weeks = dags["daily_scores_daily"], dags["total_scores_weekly"]
    for day in DAYS[:-1]:
        run_dag(days, period=day)

    # A day is missing, and nothing is paid.
    paid = count_queries(lake.services)
    with pytest.raises(Exception, match=r"1 of 7 required partitions not published") as missing:
        run_dag(weeks, period=WEEK)
    assert isinstance(missing.value.__cause__, MissingPartitionsError)
    assert "or run daily_scores_daily to publish them, then clear" in str(missing.value)
    assert count_queries(lake.services) == paid
    shown = shell.json("preview", weeks.dag_id, WEEK)
    assert shown["inputs"][0]["coverage"]["unpublished"] == ["period=2025-02-08"]

    with waits_for_part(weeks, "period=2025-02-08"):
        run_dag(days, period=DAYS[-1])
    manifest, rows = published(lake, run_dag(weeks, period=WEEK))
    week = FIRST + timedelta(days=1), FIRST + timedelta(days=8)
    assert rows == lake.totals(*week)
    assert (manifest["partial"], manifest["provisional"]) == (False, False)
    read = manifest["parts"]["daily_scores_daily"]
    assert list(read) == DAYS
    assert restatements(lake, weeks.dag_id) == []

    # A day that gives equal rows again changes nothing.
    run_dag(days, period=DAYS[2])
    assert restatements(lake, weeks.dag_id) == []

    # Late events change a day: the week is stale until it is reported again.
    lake.add(
        [("u1", 500, FIRST + timedelta(days=3, hours=4)), ("new", 7, FIRST + timedelta(days=3))]
    )
    run_dag(days, period=DAYS[2])
    (stale,) = restatements(lake, weeks.dag_id)
    assert stale.reason == "periods that it read were restated: daily_scores_daily 2025-02-04"

    def states() -> list[str]:
        (of_week,) = [
            each["states"]
            for each in shell.status(weeks.dag_id)["periods"]
            if each["period"] == WEEK
        ]
        return list(of_week)

    assert "stale" in states()
    _, rows = published(lake, run_dag(weeks, period=WEEK))
    assert rows == lake.totals(*week)
    assert rows[0] == {"user_id": "early", "points": 7, "days": 7}
    assert restatements(lake, weeks.dag_id) == []
    assert states() == ["published"]

    assert_a_provisional_day_makes_its_week_provisional_and_comes_first(days, weeks, lake)


def assert_a_provisional_day_makes_its_week_provisional_and_comes_first(
    days: Any, weeks: Any, lake: Lake
) -> None:
    """The days and their week are published already. Of both, the day comes first."""
    # Events of the last day may land for years.
    with pytest.MonkeyPatch.context() as patch:
        hand_on(patch, late_by=timedelta(days=9000))
        run_dag(days, period=DAYS[-1])
    manifest, _ = published(lake, run_dag(weeks, period=WEEK))
    assert manifest["provisional"]
    assert not manifest["partial"]
    settles_at = datetime.fromisoformat(manifest["settles_at"])
    assert settles_at == datetime(2025, 2, 9, tzinfo=TOKYO) + timedelta(days=9000)

    after = settles_at + timedelta(days=1)
    assert [day.period_id for day in restatements(lake, days.dag_id, after)] == DAYS[-1:]
    assert restatements(lake, weeks.dag_id, after) == []

    run_dag(days, period=DAYS[-1])
    (week,) = restatements(lake, weeks.dag_id, after)
    assert (week.period_id, week.reason) == (WEEK, "late events have arrived")
    run = run_dag(weeks, period=WEEK)
    manifest, _ = published(lake, run)
    assert not manifest["provisional"]
    assert run.values["publish", "return_value"]["outcome"] == "settled"


def test_a_case_has_the_parts_as_a_file(dags: dict[str, Any], shell: Shell, tmp_path: Path) -> None:
    case = tmp_path / "tests" / "reports" / "total_scores" / "sums"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text("period: 2025-02-02\ncadence: weekly\n")
    (case / "daily_scores_daily.csv").write_text(
        "period string,user_id string,points bigint\n"
        "2025-02-01,a,100\n2025-02-02,a,1\n2025-02-08,a,2\n2025-02-08,b,3\n2025-02-09,b,100\n"
    )
    (case / "expected.csv").write_text("user_id,points,days\na,3,2\nb,3,1\n")
    code, printed = shell("test")
    assert code == 0, printed
    (case / "expected.csv").write_text("user_id,points,days\na,103,3\nb,3,1\n")
    code, printed = shell("test")
    assert code == 1
    assert "103" in printed
