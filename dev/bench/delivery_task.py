"""A part of the benchmark `delivery`, in a process of its own. It prints its figures as JSON.

Each function first imports what it works with. The peak of memory is `VmHWM` of /proc/self/status:
that of `getrusage` is also of the process that started this one.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.airflow_run import DagRun

_MEMORY_LIMIT = "128MB"  # the default of ATHENA_REPORTS_MEMORY_LIMIT


def _measured(function: Callable[[], object]) -> Mapping[str, float]:
    begun = time.process_time()
    function()
    cpu_seconds = time.process_time() - begun
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if peak is None:
        raise RuntimeError("/proc/self/status does not have VmHWM")
    return {"cpu_seconds": cpu_seconds, "peak_mb": int(peak[1]) * 1024 / 1e6}


def workbook(parquet: str) -> Mapping[str, float]:
    """Write the rows of a file as a delivery attaches them."""
    import xlsxwriter  # noqa: F401  # the library imports it when it writes

    from athena_reports.delivery.content import Content, shown_columns
    from athena_reports.delivery.published_rows import PublishedRows
    from athena_reports.delivery.workbook import write_workbook
    from athena_reports.periods.calendar import weekly
    from athena_reports.rows.columns import columns_of
    from athena_reports.rows.engine import open_engine

    cadence = weekly("sunday", "Asia/Tokyo")
    now = datetime.now(UTC)
    with open_engine(_MEMORY_LIMIT) as engine:
        path = engine.folder / "rows.parquet"
        shutil.copy(parquet, path)
        columns = columns_of(engine.connection.read_parquet(str(path)))

        def write() -> None:
            names = [column.name for column in columns]
            rows = PublishedRows(path, names, engine, zone=cadence.zone, ordered=True)
            content = Content(
                report="plays",
                environment="dev",
                period=cadence.period("2025-03-09"),
                version="0123456789abcdef",
                published_at=now,
                settles_at=now,
                provisional=False,
                missing_partitions=0,
                warned_checks=(),
                columns=shown_columns(columns, {}),
                rows=rows.first(20),
                total_rows=100_000,
            )
            write_workbook(content, rows.all(), engine.folder / "rows.xlsx", "en")

        return _measured(write)


def openpyxl(parquet: str) -> Mapping[str, float]:
    import duckdb
    from openpyxl import Workbook

    connection = duckdb.connect(config={"memory_limit": _MEMORY_LIMIT, "threads": "1"})

    def write() -> None:
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        rows = connection.execute(f"FROM '{parquet}'")
        sheet.append([column[0] for column in rows.description])
        while batch := rows.fetchmany(2048):
            for row in batch:
                sheet.append(row)
        book.save(str(Path(parquet).with_name("openpyxl.xlsx")))

    return _measured(write)


def publish(dag_file: str) -> Mapping[str, float]:
    from tests.support.dag_files import parse_dags
    from tests.support.task_runner import run_dag

    run_dag(parse_dags(Path(dag_file))["delivered_weekly"], _run())
    return {}


def deliver(dag_file: str, channel: str, clears: str) -> Mapping[str, float]:
    """Deliver it to a channel; it is sent again after each clear."""
    from tests.support.airflow_run import TaskInstance
    from tests.support.dag_files import parse_dags
    from tests.support.task_runner import execute, prepare

    run = replace(_run(), run_type="asset_triggered", partition_key="2025-03-09")
    dag = parse_dags(Path(dag_file))["delivered_weekly_deliver"]
    ti = TaskInstance(dag_id=dag.dag_id, run_id="event-1", try_number=1 + int(clears))
    task: Any
    task, context = prepare(dag.get_task(channel), ti, "event-1", run)
    ti.max_tries = task.retries + int(clears)
    return _measured(lambda: execute(task, context))


def _run() -> DagRun:
    """Return the scheduled run of the week."""
    from athena_reports.periods.calendar import weekly
    from tests.support.airflow_run import DagRun

    week = weekly("sunday", "Asia/Tokyo").period("2025-03-09")
    soon = week.end_utc + timedelta(hours=1)
    return DagRun("scheduled", soon, week.start_utc, week.end_utc, start_date=soon)


PARTS: Mapping[str, Callable[..., Mapping[str, float]]] = {
    "workbook": workbook,
    "openpyxl": openpyxl,
    "publish": publish,
    "deliver": deliver,
}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
