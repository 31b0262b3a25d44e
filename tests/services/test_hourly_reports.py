"""Weekly reports of tables that are partitioned by hours, run to what they publish.

The weeks hold a change of the clocks, in a zone of half hours and in the zone of the change itself.
What is published is what the events add up to.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.services.partitioned import Lake, Partitioning, Play
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of, rows_of
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
ZONES = ["Asia/Kolkata", "America/New_York"]
# On its first day the clocks of New York show one to two o'clock twice.
WEEK = "2025-11-02"
FIRST = datetime(2025, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = [FIRST + number * HOUR for number in range(11 * 24)]

REPORT = """
from airflow.sdk import DAG
from athena_reports import Input, Report, build_dag, weekly

report = Report(
    name="{name}",
    sql="{name}.sql",
    since="2025-01-01",
    inputs=[Input("{name}", "datehour", format="%Y/%m/%d/%H", zone="{partitions_zone}")],
)
dag = build_dag(report, weekly("sunday", "{zone}"))
"""
SQL = """SELECT user_id, COUNT(*) AS plays, SUM(score) AS points FROM {name}
WHERE {{{{ inputs.{name}.partitions }}}} AND {{{{ period.contains("played_at") }}}}
GROUP BY user_id ORDER BY user_id
"""
BY_HOUR = Partitioning(
    {"datehour": "string"},
    lambda h: (f"{h:%Y/%m/%d/%H}",),
    {
        "datehour.type": "date",
        "datehour.range": "2025/11/01/00,2025/11/11/23",
        "datehour.format": "yyyy/MM/dd/HH",
        "datehour.interval": "1",
        "datehour.interval.unit": "HOURS",
    },
)


def week_of(zone: str) -> tuple[datetime, datetime]:
    """The first instant of the week and the first one after it, told by hand."""
    first, end = {
        "Asia/Kolkata": ("2025-11-01T18:30", "2025-11-08T18:30"),
        # 169 hours: the clocks go back on the first day.
        "America/New_York": ("2025-11-02T04:00", "2025-11-09T05:00"),
    }[zone]
    return (
        datetime.fromisoformat(first).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )


def plays() -> list[Play]:
    """Some in each hour, at each border, and in the hour that comes twice."""
    chance = random.Random(2025)
    instants = [hour + timedelta(seconds=chance.randrange(3600)) for hour in HOURS]
    for zone in ZONES:
        for border in week_of(zone):
            instants += [border, border - timedelta(milliseconds=1)]
    for hour in (5, 6):
        at = datetime(2025, 11, 2, hour, 30, tzinfo=UTC)
        assert at.astimezone(ZoneInfo("America/New_York")).hour == 1
        instants.append(at)
    made = []
    for number, instant in enumerate(instants):
        made.append(Play(f"e{number}", f"u{number % 11:02}", 2**number % 997, instant))
    return made


PLAYS = plays()


def added_up(first: datetime, end: datetime) -> list[dict[str, Any]]:
    """What the report counts, from the plays alone."""
    scores: dict[str, list[int]] = defaultdict(list)
    for play in PLAYS:
        if first <= play.played_at < end:
            scores[play.user_id].append(play.score)
    return [
        {"user_id": user, "plays": len(of_user), "points": sum(of_user)}
        for user, of_user in sorted(scores.items())
    ]


@pytest.fixture(scope="module")
def lake(running_services: Services) -> Lake:
    lake = Lake(running_services, "athena-lake-hourly", "hourly")
    lake.create()
    return lake


def faces(instants: Sequence[datetime], zone: str) -> list[datetime]:
    return [instant.astimezone(ZoneInfo(zone)) for instant in instants]


@pytest.mark.parametrize(
    ("zone", "is_projected"),
    [("America/New_York", True), ("Asia/Kolkata", False)],
    ids=lambda value: {True: "projected", False: "registered"}.get(value, value),
)
def test_a_week_of_hours_is_what_its_events_add_up_to(
    lake: Lake,
    services: Services,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    is_projected: bool,
) -> None:
    """A projected table as Firehose fills it, by UTC; a registered one by the report's clock."""
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", lake.database)
    settings.cache_clear()
    kind = "projected" if is_projected else "registered"
    name = f"{kind}_{zone.split('/')[1].lower()}"
    partitions_zone = "UTC" if is_projected else zone
    on_its_clock = list(
        zip(PLAYS, faces([p.played_at for p in PLAYS], partitions_zone), strict=True)
    )
    registered = None if is_projected else BY_HOUR.partitions(faces(HOURS, partitions_zone))
    lake.add_table(name, BY_HOUR, on_its_clock, registered)
    (sql_folder / f"{name}.sql").write_text(SQL.format(name=name))
    file = tmp_path / f"{name}.py"
    file.write_text(REPORT.format(name=name, zone=zone, partitions_zone=partitions_zone))

    run = run_dag(load_dags(file)[f"{name}_weekly"], period=WEEK)
    manifest = manifest_of(services.s3, run)
    first, end = week_of(zone)
    expected = added_up(first, end)
    assert sum(row["plays"] for row in expected) > 168
    assert rows_of(services.s3, manifest, "parquet") == expected
    assert (manifest["partial"], manifest["missing_partitions"]) == (False, [])
