"""The DAG files of the reports that the Reports page shows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

DAG_FILE = '''
"""A report of Airflow for the page."""

from athena_reports import Report, build_dag, monthly, transforms, weekly

report = Report(
    name="{report}", sql="{sql}", owner="analytics", since="{since}", params={{"top": 100}},
    transform={transform}, key=["user_id"], doc=__doc__,
)
weekly_dag = build_dag(report, weekly("sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
'''


def write_dags(folder: Path, sql: Path, since: datetime, reports: Sequence[str]) -> Path:
    """Write a DAG file for each report, weekly and monthly.

    Args:
        folder: Where to.
        sql: The SQL file that all of them run.
        since: Where they begin.
        reports: Their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        text = DAG_FILE.format(
            report=report,
            sql=sql.name,
            since=since.date().isoformat(),
            transform="transforms.movement()",
        )
        (folder / f"{report}.py").write_text(textwrap.dedent(text))
    return folder
