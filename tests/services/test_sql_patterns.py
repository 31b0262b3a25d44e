"""Each pattern of docs/how-to/sql-patterns.md makes the rows that the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.authoring.cases import run_case
from athena_reports_cli.authoring.report_files import declared_reports
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.support.code_blocks import blocks_of
from tests.support.paths import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
PAGE = ROOT / "docs" / "how-to" / "sql-patterns.md"
USERS = """user_id string,joined_on date
ann,2025-05-01
ben,2025-05-20
dan,2025-06-09
eve,2025-06-12
"""
REPORT = """
from athena_reports import Input, Report, build_dag, weekly

{inputs}
pattern = Report(name="pattern", sql="pattern.sql", since="2024-01-01", inputs=inputs)
pattern_weekly = build_dag(pattern, weekly("sunday", "Asia/Tokyo"))
"""


def blocks_by_heading() -> dict[str, dict[str, str]]:
    """The blocks of the page by language, and those before the first heading under none."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found: dict[str, dict[str, str]] = {}
    for block in blocks_of(PAGE):
        headings = [line for line in lines[: block.line] if line.startswith("## ")]
        heading = headings[-1].removeprefix("## ") if headings else ""
        found.setdefault(heading, {})[block.language] = block.text
    return found


PATTERNS = blocks_by_heading()
INTRODUCTION = PATTERNS.pop("")


def test_the_page_has_ten_patterns() -> None:
    assert len(PATTERNS) == 10


@pytest.mark.parametrize("heading", PATTERNS)
def test_a_pattern_makes_the_rows_of_the_page(
    heading: str,
    tmp_path: Path,
    sql_folder: Path,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    pattern = PATTERNS[heading]
    inputs = pattern.get("python", INTRODUCTION["python"])
    case = tmp_path / "reports" / "pattern" / "page"
    files = {
        tmp_path / "dags" / "pattern.py": REPORT.format(inputs=inputs),
        sql_folder / "pattern.sql": pattern["sql"],
        case / "case.yaml": "period: 2025-06-08",
        case / "plays.csv": INTRODUCTION["csv"],
        case / "expected.csv": pattern["csv"],
    }
    if "users" in inputs:
        files[case / "users.csv"] = USERS
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    result = run_case(case, declared_reports(), Aws.connect())

    assert result.outcome == "passed", result.problem
