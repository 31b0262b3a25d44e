"""How long the Reports page takes to show 50 reports over five years of weeks.

`PYTHONPATH=plugins python -m tests.e2e.page_speed` starts all it needs, prints the times and stops all.
Times are the browser's own, from the start of the navigation on, in milliseconds. The local Glue answers from
one process of Python, so what is asked of it dominates.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from demo.airflow import AirflowConfig, AirflowRuntime
from demo.services import Services, local_services
from tests.e2e.page_browser import launch, log_in
from tests.e2e.page_state import WEEKS, Publisher, last_periods

ROOT = Path(__file__).resolve().parents[2]
REPORTS, PERIODS, LOADS = 50, 260, 5
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
            {
                "Values": [period.id],
                "StorageDescriptor": partition["StorageDescriptor"],
                "Parameters": {
                    **partition["Parameters"],
                    "start": period.start.isoformat(),
                    "end": period.end.isoformat(),
                    "published_at": (period.end_utc + timedelta(minutes=6)).isoformat(
                        timespec="milliseconds"
                    ),
                },
            }
            for period in periods[: -1 if number == 0 else None]
        ]
        for start in range(0, len(wanted), 100):
            services.glue.batch_create_partition(
                DatabaseName="report_dev", TableName=name, PartitionInputList=wanted[start : start + 100]
            )
    return periods[0].start.date().isoformat()


def measure(url: str, login: tuple[str, str]) -> None:
    """Load the page again and again, each time in a browser without a cache, and print how long it took."""
    first_paints, complete = [], []
    with sync_playwright() as playwright, launch(playwright) as browser:
        for load in range(LOADS + 1):
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
                print(f"{shown} cells after {painted:.0f} ms, {cells.count()} known after {whole:.0f} ms")
                if load:
                    first_paints.append(painted)
                    complete.append(whole)
    first, rest = statistics.median(first_paints), statistics.median(complete)
    print(f"median of {LOADS}: first paint {first:.0f} ms, all periods {rest:.0f} ms")


def main() -> int:
    """Start everything, measure, stop everything."""
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
        with AirflowRuntime(config, dag_ids=ids, on_progress=print) as airflow:
            measure(airflow.url, airflow.admin_login)
    return 0


if __name__ == "__main__":
    sys.exit(main())
