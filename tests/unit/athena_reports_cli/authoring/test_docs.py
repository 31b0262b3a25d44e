"""`docs`: what a report promises, for its readers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_reports_cli.authoring.command_line import main
from tests.support.variables import kept_environment

Describe = Callable[..., tuple[int, str]]
REPORT = """
from datetime import timedelta
from athena_reports import Column, Input, Report, build_dag, checks, monthly, weekly

plays = Report(
    name="plays",
    sql="plays.sql",
    since="2025-01-01",
    late_by=timedelta(hours=36, minutes=30),
    inputs=[Input("events", ["year", "month", "day"], zone="America/Lima")],
    columns={
        "user|id": Column("varchar", "who | `played` <b>often</b> & 'well'"),
        "score": Column("decimal(10,2)", "points won", unit="points"),
        "tags": Column("array<string>", "what it  *is* \\\\ [called]"),
    },
    key=KEY,
    checks=[checks.in_range("score", at_least=0)],
    outputs=OUTPUTS,
)
plays_weekly = build_dag(plays, weekly("sunday", "Asia/Tokyo"))
plays_monthly = build_dag(plays, monthly("Asia/Tokyo"))
"""


@pytest.fixture
def describe(
    tmp_path: Path,
    sql_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Describe:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    def describe(
        *arguments: str, outputs: str = "['parquet', 'csv']", key: str = "['user|id']"
    ) -> tuple[int, str]:
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / "plays.py").write_text(
            REPORT.replace("OUTPUTS", outputs).replace("KEY", key)
        )
        monkeypatch.setattr(sys, "argv", ["athena_reports", "docs", *arguments])
        capsys.readouterr()
        with kept_environment(), pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out + printed.err

    return describe


def test_markdown_has_a_section_for_dags_inputs_columns_and_checks(describe: Describe) -> None:
    code, text = describe("plays")
    assert code == 0
    assert text.splitlines() == [
        "# plays",
        "",
        "Owner: airflow. Formats: parquet, csv. Row key: user\\|id. Events can arrive up"
        " to 36.5 h late; until then, a period is provisional.",
        "",
        "## Published",
        "",
        "| DAG | schedule | since | until | table | objects |",
        "| --- | --- | --- | --- | --- | --- |",
        "| plays_weekly | Weekly from Sunday, Asia/Tokyo, +5 min | 2025-01-01 |  |"
        " report_dev.plays_weekly | s3://athena-report-dev/plays/weekly/ |",
        "| plays_monthly | Monthly, Asia/Tokyo, +5 min | 2025-01-01 |  |"
        " report_dev.plays_monthly | s3://athena-report-dev/plays/monthly/ |",
        "",
        "## Inputs",
        "",
        "| table | partitioned by | time zone | if a partition is missing |",
        "| --- | --- | --- | --- |",
        "| events | year, month, day | America/Lima | fail |",
        "",
        "## Columns",
        "",
        "| column | type | unit | meaning |",
        "| --- | --- | --- | --- |",
        "| user\\|id | string |  | who \\| \\`played\\` &lt;b&gt;often&lt;/b&gt; &amp; 'well' |",
        "| score | decimal(10,2) | points | points won |",
        "| tags | array&lt;string&gt; |  | what it \\*is\\* \\\\ \\[called\\] |",
        "",
        "## Checks",
        "",
        "| check | if it fails |",
        "| --- | --- |",
        "| columns | fail |",  # one of the checks that previews, plans and cases run too
        "| unique(user\\|id) | fail |",
        "| in_range(score, at_least=0) | fail |",
    ]
    assert "plays_monthly" not in describe("plays_weekly")[1]


def test_what_a_report_does_not_declare_has_no_section(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = (
        "from athena_reports import Report, build_dag, weekly\n"
        'plays = Report(name="plays", sql="plays.sql", since="2025-01-01", outputs=["csv"])\n'
        "plays_weekly = build_dag(plays, weekly())\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    code, text = describe("plays")
    assert code == 0, text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# plays",
        "## Published",
    ]
    assert text.splitlines()[-1].endswith(" |  | none | s3://athena-report-dev/plays/weekly/ |")


def test_markdown_tells_inputs_without_partitions_and_other_reports_apart(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = REPORT.replace(
        'Input("events", ["year", "month", "day"], zone="America/Lima")',
        'Input("users", columns=()), Published("best", daily("UTC"), missing="partial",'
        ' parts="overlapping")',
    )
    report = report.replace("import Column", "import Published, daily, Column")
    report = report.replace(
        "late_by=timedelta(hours=36, minutes=30)", 'until="2025-03-31", owner="ops | <b>"'
    )
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    code, text = describe("plays_monthly")
    assert code == 0, text
    lines = text.splitlines()
    assert "| users | none |  |  |" in lines
    assert "| best_daily | period | UTC | partial |" in lines
    assert "Owner: ops \\| &lt;b&gt;. Formats: parquet, csv. Row key: user\\|id." in lines
    assert (
        "| plays_monthly | Monthly, Asia/Tokyo, +5 min | 2025-01-01 | 2025-03-31 |"
        " report_dev.plays_monthly | s3://athena-report-dev/plays/monthly/ |"
    ) in lines


def test_the_text_of_a_report_stands_without_the_lines_around_it(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = REPORT.replace("since=", 'doc="\\n# 商品\\n\\nAll.\\n",\n    since=')
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    assert describe("plays")[1].startswith("# 商品\n\nAll.\n\nOwner: ")
