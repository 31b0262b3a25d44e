"""`page`: how long the Reports page takes to show 50 reports over five years of weeks.

Times are the browser's own, from the start of the navigation on. The local Glue answers from one process of
Python, so what is asked of it dominates. It needs Debian's Chromium.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from airflow_local.runtime import AirflowConfig, AirflowRuntime
from airflow_local.services import Services, local_services
from bench.results import Row
from tests.e2e.page_browser import launch, log_in
from tests.e2e.page_state import WEEKS, Publisher, last_periods

ROOT = Path(__file__).resolve().parents[2]
REPORTS, PERIODS, LOADS = 50, 260, 5
FIRST_PAINT_SECONDS = 1.0
_DAGS = '''
"""Many reports of Airflow."""
from athena_reports import Report, build_dag, weekly

for number in range({reports}):
    report = Report(
        name=f"report_{{number:02d}}", sql="user_ranking.sql", owner="analytics", since="{since}",
        params={{"top": 100}}, doc=__doc__,
    )
    globals()[report.name] = build_dag(report, weekly("sunday", timezone="Asia/Tokyo"))
'''


def publish(services: Services) -> str:
    """Register every partition, and return the date from which on the reports are made."""
    periods = last_periods(WEEKS, PERIODS)
    Publisher(services, "report_00", WEEKS).put(periods[-1])
    table = services.glue.get_table(DatabaseName="report_dev", Name="report_00_weekly")["Table"]
    partition = services.glue.get_partition(
        DatabaseName="report_dev", TableName="report_00_weekly", PartitionValues=[periods[-1].id]
    )["Partition"]
    kept = ("TableType", "Parameters", "StorageDescriptor", "PartitionKeys")
    for number in range(REPORTS):
        name = f"report_{number:02d}_weekly"
        if number:
            services.glue.create_table(
                DatabaseName="report_dev", TableInput={"Name": name, **{key: table[key] for key in kept}}
            )
        wanted: list[Any] = [
            {"Values": [period.id], "StorageDescriptor": partition["StorageDescriptor"], "Parameters": {
                **partition["Parameters"],
                "start": period.start.isoformat(),
                "end": period.end.isoformat(),
                "published_at": (period.end_utc + timedelta(minutes=6)).isoformat(timespec="milliseconds"),
            }}
            for period in periods[: -1 if number == 0 else None]
        ]  # fmt: skip
        for start in range(0, len(wanted), 100):
            services.glue.batch_create_partition(
                DatabaseName="report_dev", TableName=name, PartitionInputList=wanted[start : start + 100]
            )
    return periods[0].start.date().isoformat()


def measure() -> Sequence[Row]:
    """Start everything, load the page again and again, stop everything."""
    with tempfile.TemporaryDirectory() as folder, local_services(Path(folder) / "aws.log") as services:
        services.prepare("dev")
        since = publish(services)
        dags = Path(folder) / "dags"
        dags.mkdir()
        (dags / "reports.py").write_text(_DAGS.format(reports=REPORTS, since=since))
        config = AirflowConfig(
            home=Path(folder) / "airflow",
            dags_folder=dags,
            plugins_folder=ROOT / "plugins",
            components=("api-server", "dag-processor"),
            environment={**services.environment, "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql")},
        )
        ids = [f"report_{number:02d}_weekly" for number in range(REPORTS)]
        with AirflowRuntime(config, dag_ids=ids) as airflow:
            loads = load(airflow.url, airflow.admin_login)
    unit = f"seconds for {REPORTS} reports over {PERIODS} weeks; the ratio is to {FIRST_PAINT_SECONDS} s"
    first, whole = (round(median(times), 3) for times in zip(*loads, strict=True))
    others = {"until all periods are known": whole}
    ratio = round(first / FIRST_PAINT_SECONDS, 3)
    return [Row("page: first paint", unit, first, others, ratio, 1.0)]


def load(url: str, login: tuple[str, str]) -> Sequence[tuple[float, float]]:
    """Load the page, each time in a browser without a cache, and return how long it took.

    Returns:
        Seconds until cells are painted, and until all periods are known, for each load; the first load, in
        which the server imports, is left out.

    Raises:
        RuntimeError: The page shows other periods than those that are published.
    """
    found = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        for _ in range(LOADS + 1):
            with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                page = context.new_page()
                log_in(page, url, *login)
                page.goto(f"{url}/athena-reports/")
                cells = page.locator(".cell")
                cells.first.wait_for()
                shown = cells.count()
                page.locator("#status[data-complete=true]").wait_for(timeout=120_000)
                painted = page.evaluate("performance.getEntriesByName('shown')[0].startTime")
                whole = page.evaluate("performance.now()")
                page.get_by_label("Show").select_option("1827")
                cells.nth(shown).wait_for()
                if cells.count() < REPORTS * PERIODS:
                    raise RuntimeError(f"The page shows {cells.count()} of {REPORTS * PERIODS} periods.")
                found.append((painted / 1000, whole / 1000))
    return found[1:]
