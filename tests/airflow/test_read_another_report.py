"""A report that reads another one, in a real Airflow: it waits for its days, and follows them.

The reports are those of docs/how-to/read-another-report.md, on the lake of the demo.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.periods.calendar import weekly
from athena_reports.publication.location import PeriodLocation
from athena_reports_cli.local.services import local_services
from demo.lake import land_late_plays, seed_plays
from demo.plays import PlaysSpec, generate
from tests.airflow.backfilled import BUCKET, TOKYO
from tests.airflow.environment import PATIENCE
from tests.airflow.report_run import ReportRun, until
from tests.support.code_blocks import files_of
from tests.support.paths import ROOT
from tests.support.published import read_json, rows_of
from tests.support.reports import Play, plays_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from athena_reports_cli.local.client import DagRun
    from athena_reports_cli.local.services import Services
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

PAGE = ROOT / "docs" / "how-to" / "read-another-report.md"
DAYS, WEEKS = "daily_scores_daily", "total_scores_weekly"
RESTATEMENT = "athena_reports_restatement"
WEEK = weekly("sunday", "Asia/Tokyo").period("2025-02-09")
IDS = [f"2025-02-{day:02d}" for day in range(9, 16)]
LATE_DAY = "2025-02-11"


class Lake:
    """The lake of the demo around the week, and what is in it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        first, end = dt.date(2025, 2, 5), dt.date(2025, 2, 20)
        spec = PlaysSpec(first, end, events=60 * (end - first).days, users=40)
        seed_plays(services, "dev", spec)
        self.plays = list(plays_of(table for _, table in generate(spec)))

    def land_late(self) -> None:
        """Let plays land in the partition of a later day."""
        played_at = dt.datetime(2025, 2, 11, 12, tzinfo=TOKYO)
        land_late_plays(self.services, "dev", dt.date(2025, 2, 12), played_at, [500, 7])
        as_stored = played_at.astimezone(dt.UTC).replace(tzinfo=None)
        self.plays += [Play("u999999", score, as_stored) for score in (500, 7)]

    def totals(self) -> list[dict[str, Any]]:
        """What the week must say, counted from the plays alone."""
        points: Counter[str] = Counter()
        days = defaultdict(set)
        for play in self.plays:
            at = play.played_at.replace(tzinfo=dt.UTC)
            if WEEK.start_utc <= at < WEEK.end_utc:
                points[play.user_id] += play.score
                days[play.user_id].add(at.astimezone(TOKYO).date())
        return [
            {"user_id": user, "points": points[user], "days": len(days[user])}
            for user in sorted(points)
        ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as services:
        services.prepare("dev")
        yield Lake(services)


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> LiveAirflow:
    project = tmp_path_factory.mktemp("project")
    for path, block in files_of(PAGE):
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # A week of long ago is waited for, too.
        file.write_text(block.text.replace("timedelta(hours=10)", "timedelta(days=36500)"))
    (project / "dags" / "restatement.py").write_text(
        "from athena_reports import build_restatement\ndag = build_restatement()  # of Airflow\n"
    )
    runtime: LiveAirflow = start_airflow(
        project / "dags",
        dag_ids=[DAYS, WEEKS, RESTATEMENT],
        plugins_folder=ROOT / "plugins",
        environment={
            **lake.services.environment,
            **PATIENCE,
            "ATHENA_REPORTS_ENV": "dev",
            "ATHENA_REPORTS_SQL_FOLDER": str(project / "include" / "sql"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        },
    )
    return runtime


def published(lake: Lake) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    location = PeriodLocation.of(BUCKET, "total_scores", WEEK)
    manifest = {**read_json(lake.services.s3, location.manifest_uri), "bucket": BUCKET}
    return manifest, rows_of(lake.services.s3, manifest, "parquet")


def restate(airflow: LiveAirflow) -> list[DagRun]:
    """Report stale periods again, and return the runs of the week that it has triggered."""
    client = airflow.client
    run = client.trigger(RESTATEMENT, conf={"stale": True})
    until(lambda: client.run(RESTATEMENT, run.run_id).finished, "it has ended", seconds=120)
    assert client.run(RESTATEMENT, run.run_id).state == "success"
    return [each for each in client.runs(WEEKS) if each.run_id.startswith("restatement__")]


def test_a_week_waits_for_its_days_and_follows_a_day_that_is_restated(
    airflow: LiveAirflow, lake: Lake
) -> None:
    client = airflow.client
    week = ReportRun.begin(airflow, lake.services, WEEKS, "the-week", WEEK.id)
    until(lambda: week.task("wait_for_inputs").state == "deferred", "it waits", seconds=120)
    assert week.queries == []
    plan = client.request(
        "GET",
        f"/athena-reports/api/dags/{WEEKS}/plan",
        params={"first": WEEK.id, "last": WEEK.next.id, "state": "missing"},
    )
    (held,) = plan["held"]  # the week itself has a run, and the next one has no days
    assert (held["period"], held["dag_id"], len(held["parts"])) == (WEEK.next.id, DAYS, 7)

    runs = [ReportRun.begin(airflow, lake.services, DAYS, f"day-{day}", day) for day in IDS]
    for run in runs:
        run.wait_until_success()
    week.wait_until_success()
    manifest, rows = published(lake)
    assert rows == lake.totals()
    assert list(manifest["parts"][DAYS]) == IDS
    assert len(week.queries) == 1
    assert restate(airflow) == []

    lake.land_late()
    late = ReportRun.begin(airflow, lake.services, DAYS, "late-day", LATE_DAY)
    late.wait_until_success()
    (restatement,) = restate(airflow)
    ReportRun(airflow, lake.services, WEEKS, restatement.run_id).wait_until_success()
    manifest, rows = published(lake)
    assert rows == lake.totals()
    assert len(manifest["earlier_versions"]) == 1
    # It is not reported again for ever.
    assert [run.run_id for run in restate(airflow)] == [restatement.run_id]
