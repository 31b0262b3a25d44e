"""`docs`: what a report promises; tests/services/commands/test_looks.py has the command."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from athena_reports import Column, Input, Published, build_dag, checks, daily, monthly, weekly
from athena_reports_cli.authoring.docs import markdown
from athena_reports_cli.authoring.report_files import DeclaredReport
from tests.support.declared import MakeReport

CADENCES = (weekly("sunday", "Asia/Tokyo"), monthly("Asia/Tokyo"))
COLUMNS = {
    "user|id": Column("varchar", "who | `played` <b>often</b> & 'well'"),
    "score": Column("decimal(10,2)", "points won", unit="points"),
    "tags": Column("array<string>", "what it  *is* \\ [called]"),
}


def described(make_report: MakeReport, **fields: Any) -> list[str]:
    report = make_report(**fields)
    dags = [DeclaredReport(build_dag(report, cadence)) for cadence in CADENCES]
    return markdown(dags).splitlines()


def test_markdown_has_a_section_for_dags_inputs_columns_and_checks(
    make_report: MakeReport,
) -> None:
    assert described(
        make_report,
        late_by=timedelta(hours=36, minutes=30),
        inputs=[Input("events", ["year", "month", "day"], zone="America/Lima")],
        columns=COLUMNS,
        key=["user|id"],
        checks=[checks.in_range("score", at_least=0)],
        outputs=["parquet", "csv"],
    ) == [
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


def test_what_a_report_does_not_declare_has_no_section(make_report: MakeReport) -> None:
    lines = described(make_report, outputs=["csv"])
    assert [line for line in lines if line.startswith("#")] == ["# plays", "## Published"]
    assert lines[-1].endswith(" |  | none | s3://athena-report-dev/plays/monthly/ |")


def test_markdown_tells_inputs_without_partitions_and_other_reports_apart(
    make_report: MakeReport,
) -> None:
    best = Published("best", daily("UTC"), missing="partial", parts="overlapping")
    lines = described(
        make_report,
        inputs=[Input("users", columns=()), best],
        until="2025-03-31",
        owner="ops | <b>\nand us",
        doc="\n# 商品\n\nAll.\n",
    )
    assert lines[:4] == ["# 商品", "", "All.", ""]  # without the lines around it
    assert lines[4].startswith("Owner: ops \\| &lt;b&gt; and us. Formats: ")
    assert "| users | none |  |  |" in lines
    assert "| best_daily | period | UTC | partial |" in lines
    (monthly_dag,) = [line for line in lines if line.startswith("| plays_monthly |")]
    assert "| 2025-01-01 | 2025-03-31 | report_dev.plays_monthly |" in monthly_dag
