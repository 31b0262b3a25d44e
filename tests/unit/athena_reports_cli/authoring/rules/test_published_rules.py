"""The rules for reports that read other reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.authoring.rules.dag_rules import (
    Repository,
    reports_that_are_read_are_published,
)
from athena_reports_cli.local.project import Project

REPORT = '''"""Of Airflow DAGs."""
from athena_reports import Published, Report, build_dag, daily, monthly, weekly
report = Report(name="{name}", sql="plays.sql", since="{since}", inputs=[{inputs}]{more})
dag = build_dag(report, {cadence})
'''


class Reports:
    """Makes the DAG files of a project: a report in each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "dags").mkdir(parents=True)

    def add(
        self,
        name: str,
        inputs: str = "",
        *,
        since: str = "2025-01-01",
        cadence: str = 'daily("Asia/Tokyo")',
        more: str = "",
    ) -> None:
        text = REPORT.format(name=name, inputs=inputs, since=since, cadence=cadence, more=more)
        (self.root / "dags" / f"{name}.py").write_text(text)

    @property
    def repository(self) -> Repository:
        repository = Repository(Project(self.root))
        assert not repository.declared.broken_files
        return repository


@pytest.fixture
def reports(tmp_path: Path, sql_folder: Path) -> Reports:
    (sql_folder / "plays.sql").write_text("SELECT 1 AS one")
    return Reports(tmp_path / "project")


MONTHS = 'monthly("Asia/Tokyo")'


def test_a_report_that_reads_another_one_breaks_no_rule(reports: Reports) -> None:
    reports.add("days", 'Published("hours", daily("Asia/Tokyo"))')
    reports.add("hours")
    reports.add("months", 'Published("days", daily("Asia/Tokyo"))', cadence=MONTHS)
    assert reports_that_are_read_are_published(reports.repository) == []


@pytest.mark.parametrize(
    ("published", "says"),
    [
        (
            'Published("days", daily("UTC"), parts="overlapping")',
            "days_daily is published Daily, Asia/Tokyo, but the input declares Daily, UTC."
            " Use the cadence of its build_dag.",
        ),
        (
            'Published("texts", daily("Asia/Tokyo"))',
            "texts_daily publishes no table to read. Add Parquet to the outputs= of that report.",
        ),
    ],
)
def test_parts_that_are_never_published_are_found(
    reports: Reports, published: str, says: str
) -> None:
    reports.add("days")
    reports.add("texts", more=', outputs=["csv"]')
    reports.add("months", published, cadence=MONTHS)
    (finding,) = reports_that_are_read_are_published(reports.repository)
    assert finding == f"months_monthly: {says}"


@pytest.mark.parametrize(
    ("inputs", "cadence", "says"),
    [
        (
            'Published("months", monthly("Asia/Tokyo"))',
            MONTHS,
            "the report reads itself, months_monthly",
        ),
        ('Published("weeks", weekly("sunday", "Asia/Tokyo"))', MONTHS, "does not consist of whole"),
    ],
)
def test_what_one_file_can_tell_is_an_import_error(
    reports: Reports, inputs: str, cadence: str, says: str
) -> None:
    reports.add("months", inputs, cadence=cadence)
    (broken,) = Repository(Project(reports.root)).declared.broken_files
    assert says in broken.reason
