"""The DAG files of the reports that the Reports page shows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from athena_reports.periods.calendar import Period

DAG_FILE = '''
"""A report of Airflow for the page."""

from athena_reports import Report, build_dag, monthly, transforms, weekly

report = Report(
    name="{report}", sql="{sql}", owner="analytics", {dates}, params={{"top": 100}},
    transform={transform}, key=["user_id"], doc=__doc__,
)
weekly_dag = build_dag(report, weekly("sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
'''


def write_dags(
    folder: Path, sql: Path, reports: Sequence[str], first: Period, last: Period | None = None
) -> Path:
    """Write a DAG file for each report, weekly and monthly.

    Args:
        folder: Where to.
        sql: The SQL file that all of them run.
        reports: Their names.
        first: Their first period.
        last: Their last one; None for reports that go on, of which a further period is due as soon
            as it is over.
    """
    dates = f'since="{first.first_date}"'
    if last is not None:
        dates += f', until="{last.first_date}"'
    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        text = DAG_FILE.format(
            report=report, sql=sql.name, dates=dates, transform="transforms.movement()"
        )
        (folder / f"{report}.py").write_text(textwrap.dedent(text))
    return folder
