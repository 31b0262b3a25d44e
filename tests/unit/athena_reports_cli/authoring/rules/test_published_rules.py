"""The rules for reports that read other reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.authoring.rules.published_rules import (
    reports_do_not_read_each_other,
    reports_that_are_read_exist,
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
        assert not [bag.import_errors for bag in repository.bags.values() if bag.import_errors]
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
    assert reports_that_are_read_exist(reports.repository) == []
    assert reports_do_not_read_each_other(reports.repository) == []


@pytest.mark.parametrize(
    ("published", "says"),
    [
        (
            'Published("dayz", daily("Asia/Tokyo"))',
            "dayz_daily, which is not a DAG of a report here. Did you mean days_daily? The DAGs:"
            " days_daily, months_monthly, texts_daily, young_daily.",
        ),
        (
            'Published("days", daily("UTC"), parts="overlapping")',
            "days_daily, which is published Daily, Asia/Tokyo, and its input says Daily, UTC."
            " Use the cadence of its build_dag.",
        ),
        (
            'Published("zz", weekly("sunday"), parts="overlapping")',
            "zz_weekly, which is not a DAG of a report here. The DAGs: days_daily, months_monthly,"
            " texts_daily, young_daily.",
        ),
        (
            'Published("texts", daily("Asia/Tokyo"))',
            "texts_daily, which has no table. Let that report publish Parquet too (outputs=).",
        ),
        (
            'Published("young", daily("Asia/Tokyo"))',
            "young_daily, which begins with 2025-01-02. The period 2025-01 needs 2025-01-01."
            " Give since= of a later period, or of an earlier part.",
        ),
    ],
)
def test_parts_that_are_never_published_are_found(
    reports: Reports, published: str, says: str
) -> None:
    reports.add("days")
    reports.add("texts", more=', outputs=["csv"]')
    reports.add("young", since="2025-01-02")
    reports.add("months", published, cadence=MONTHS)
    (finding,) = reports_that_are_read_exist(reports.repository)
    assert finding == f"months_monthly: it reads {says}"


def test_each_report_that_is_read_and_is_not_there_is_a_finding(reports: Reports) -> None:
    read = ", ".join(f'Published("{name}", daily("Asia/Tokyo"))' for name in ("days", "aa", "bb"))
    for name in ("days", "other"):
        reports.add(name)
    for name in ("months", "totals"):
        reports.add(name, read, cadence=MONTHS)
    findings = reports_that_are_read_exist(reports.repository)
    assert [finding.partition(", ")[0] for finding in findings] == [
        f"{name}_monthly: it reads {read}"
        for name in ("months", "totals")
        for read in ("aa_daily", "bb_daily")
    ]


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("", "This report goes on. Give it until= too, or let it read another report."),
        (
            "2025-03-01",
            "The period 2025-03 needs 2025-03-31. Give until= of an earlier period, or of a later"
            " part.",
        ),
        ("2025-02-28", ""),
    ],
)
def test_parts_that_are_not_published_any_more_are_found(
    reports: Reports, until: str, says: str
) -> None:
    reports.add("days", more=', until="2025-03-30"')
    reports.add(
        "months",
        'Published("days", daily("Asia/Tokyo"))',
        cadence=MONTHS,
        more=f', until="{until}"' if until else "",
    )
    findings = reports_that_are_read_exist(reports.repository)
    about = "months_monthly: it reads days_daily, which ends with 2025-03-30."
    assert findings == ([f"{about} {says}"] if says else [])


def test_the_first_whole_period_of_a_report_decides_which_parts_it_needs(
    reports: Reports,
) -> None:
    reports.add("days", since="2025-02-01")
    days = 'Published("days", daily("Asia/Tokyo"))'
    reports.add("months", days, cadence=MONTHS, since="2025-01-15")
    assert reports_that_are_read_exist(reports.repository) == []


def test_the_last_part_may_be_the_last_period_of_its_report(reports: Reports) -> None:
    reports.add("days", more=', until="2025-03-31"')
    reports.add(
        "months",
        'Published("days", daily("Asia/Tokyo"))',
        cadence=MONTHS,
        more=', until="2025-03-31"',
    )
    assert reports_that_are_read_exist(reports.repository) == []


def test_a_circle_is_named_once_and_what_only_leads_to_it_is_not(reports: Reports) -> None:
    for name in ("days", "more"):
        reports.add(name)
    days, more = (f'Published("{name}", daily("Asia/Tokyo"))' for name in ("days", "more"))
    for name, read in [("a", "b"), ("b", "c"), ("c", "a"), ("leads", "a")]:
        reports.add(name, f'{days}, Published("{read}", daily("Asia/Tokyo")), {more}')
    (finding,) = reports_do_not_read_each_other(reports.repository)
    assert finding == (
        "a_daily reads b_daily reads c_daily reads a_daily. Let one of them read the tables"
        " instead."
    )


def test_two_circles_are_two_findings(reports: Reports) -> None:
    for name, read in [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "a")]:
        reports.add(name, f'Published("{read}", daily("Asia/Tokyo"))')
    findings = reports_do_not_read_each_other(reports.repository)
    assert [finding.partition(" reads ")[0] for finding in findings] == ["a_daily", "c_daily"]


@pytest.mark.parametrize(
    ("inputs", "cadence", "says"),
    [
        ('Published("months", monthly("Asia/Tokyo"))', MONTHS, "it reads itself, months_monthly"),
        ('Published("weeks", weekly("sunday", "Asia/Tokyo"))', MONTHS, "is not made of whole"),
    ],
)
def test_what_one_file_can_tell_is_an_import_error(
    reports: Reports, inputs: str, cadence: str, says: str
) -> None:
    reports.add("months", inputs, cadence=cadence)
    (bag,) = Repository(Project(reports.root)).bags.values()
    (error,) = bag.import_errors.values()
    assert f"ReportError: Report 'months', field 'inputs': {says}" in error or says in error
