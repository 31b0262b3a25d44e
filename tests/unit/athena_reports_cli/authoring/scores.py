"""A report with a case that passes: the scores of users."""

from __future__ import annotations

from pathlib import Path

from athena_reports_cli.authoring.cases import CaseResult, run_case
from athena_reports_cli.authoring.report_files import declared_reports
from athena_reports_cli.authoring.trial import Aws

REPORT = """
from datetime import timedelta
from athena_reports import Input, Report, build_dag, checks, monthly, transforms, weekly

scores = Report(
    name="scores",
    sql="scores.sql",
    since="2025-01-01",
    inputs=[Input("plays", "dt")],
    checks=[checks.rows(at_most=2)],
    transform=transforms.each_row(lambda row: row | {"user_id": row["user_id"].upper()}),
)
scores_weekly = build_dag(scores, weekly("sunday", "Asia/Tokyo"))
scores_monthly = build_dag(scores, monthly("Asia/Tokyo"))
"""
SQL = """-- scores
WITH current AS (
    SELECT user_id, score FROM plays -- SELECT in a comment
    WHERE {{ period.partitions("dt") }} AND {{ period.contains("at") }}
)
SELECT user_id, SUM(score) AS score FROM current GROUP BY user_id ORDER BY user_id
"""
PLAYS = """user_id string,score bigint,at timestamp,dt string
a,1,2025-06-14 15:00:00,2025-06-14
a,2,2025-06-21 14:59:59.999,2025-06-21
b,,2025-06-16 00:00:00,2025-06-16
b,5,2025-06-21 15:00:00,2025-06-21
"""
EXPECTED = '"user_id",score\n"A",3\n"B",\n'


def write(root: Path, sql_folder: Path) -> Path:
    """Write the report and its case into empty folders, and return the folder of the case."""
    (root / "dags").mkdir()
    (root / "dags" / "scores.py").write_text(REPORT)
    (sql_folder / "scores.sql").write_text(SQL)
    case = root / "reports" / "scores" / "bounds"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text("period: 2025-06-15")
    (case / "plays.csv").write_text(PLAYS)
    (case / "expected.csv").write_text(EXPECTED)
    return case


def run(case: Path, *, accept: bool = False) -> CaseResult:
    return run_case(case, declared_reports(), Aws.connect(), accept=accept)
