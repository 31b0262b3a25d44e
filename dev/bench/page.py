"""`page`: how long the Reports page takes to show 50 reports over five years of weeks.

Times are the browser's (Debian's chromium-headless-shell), from the start of the navigation on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from athena_reports_cli.local.services import Services, local_services
from bench.local_airflow import airflow_config
from bench.results import Row
from tests.support.browser import launch, log_in
from tests.support.calendars import WEEKS
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import Publisher, last_periods

REPORTS, PERIODS, LOADS = 50, 260, 5
FIRST_PAINT_SECONDS = 1.0
_DAGS = '''
"""Many reports of Airflow."""
from athena_reports import Input, Report, build_dag, weekly

for number in range({reports}):
    report = Report(
        name=f"report_{{number:02d}}", sql="user_ranking.sql", owner="analytics", since="{since}",
        params={{"top": 100}}, inputs=[Input("plays", "dt", previous=True)], doc=__doc__,
    )
    globals()[report.name] = build_dag(report, weekly("sunday", timezone="Asia/Tokyo"))
'''


def publish(services: Services) -> str:
    """Publish the periods of one report, register them for the others; return the first date."""
    glue, database = services.glue, "report_dev"
    periods = last_periods(WEEKS, PERIODS)
    publisher = Publisher(services, "report_00", WEEKS)
    for period in periods:
        publisher.put(period)
    first = {"DatabaseName": database, "TableName": "report_00_weekly"}
    pages = glue.get_paginator("get_partitions").paginate(**first)
    keys = ("Values", "StorageDescriptor", "Parameters")
    partitions = [{key: each[key] for key in keys} for page in pages for each in page["Partitions"]]
    table = glue.get_table(DatabaseName=database, Name="report_00_weekly")["Table"]
    table_keys = ("TableType", "Parameters", "StorageDescriptor", "PartitionKeys")
    kept = {key: table[key] for key in table_keys}
    for number in range(1, REPORTS):
        name = f"report_{number:02d}_weekly"
        glue.create_table(DatabaseName=database, TableInput={"Name": name, **kept})
        for start in range(0, PERIODS, 100):
            batch = partitions[start : start + 100]
            glue.batch_create_partition(
                DatabaseName=database, TableName=name, PartitionInputList=batch
            )
    return periods[0].start.date().isoformat()


def measure() -> Sequence[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        local_services(Path(folder) / "aws.log") as services,
    ):
        services.prepare("dev")
        dags = Path(folder) / "dags"
        dags.mkdir()
        (dags / "reports.py").write_text(_DAGS.format(reports=REPORTS, since=publish(services)))
        components = ("api-server", "dag-processor")
        config = airflow_config(services.environment, Path(folder), dags, components=components)
        ids = [f"report_{number:02d}_weekly" for number in range(REPORTS)]
        with LiveAirflow(config, dag_ids=ids) as airflow:
            loads = load(airflow.url, airflow.admin_login)
    unit = (
        f"seconds for {REPORTS} reports over {PERIODS} weeks;"
        f" the ratio is to {FIRST_PAINT_SECONDS} s"
    )
    first, whole = (median(times) for times in zip(*loads, strict=True))
    others = {"until the rows in view are known": whole}
    return [Row.of("page: first paint", unit, first, others, FIRST_PAINT_SECONDS)]


def load(url: str, login: tuple[str, str]) -> Sequence[tuple[float, float]]:
    """Load the page again and again, each time in a browser without a cache.

    Returns the seconds until cells are painted and until the rows in view are known, of each load
    but the first, in which the server imports.
    """
    found = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        for _ in range(LOADS + 1):
            with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                page = context.new_page()
                log_in(page, url, *login)
                page.goto(f"{url}/athena-reports/")
                page.locator("#status[data-complete=true]").wait_for(timeout=120_000)
                painted = page.evaluate("performance.getEntriesByName('shown')[0].startTime")
                whole = page.evaluate("performance.now()")
                found.append((painted / 1000, whole / 1000))
    return found[1:]
