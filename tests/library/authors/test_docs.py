"""`docs`: what a report promises, for its readers and as a data contract."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from athena_reports.authors.command_line import main
from tests.support.variables import kept_environment

Describe = Callable[..., tuple[int, str]]
REPORT = """
from datetime import timedelta
from athena_reports import Column, Input, Report, build_dag, checks, monthly, weekly

plays = Report(
    name="plays",
    sql="plays.sql",
    since="2025-01-01",
    late_by=timedelta(hours=36),
    inputs=[Input("events", ["year", "month", "day"], zone="Asia/Tokyo")],
    columns={
        "user|id": Column("varchar", "who | `played` <b>often</b>"),
        "score": Column("decimal(10,2)", "points won", unit="points"),
        "tags": Column("array<string>", "what it is called"),
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


def test_markdown_holds_one_row_for_each_dag_input_column_and_check(describe: Describe) -> None:
    code, text = describe("plays")
    assert code == 0
    for line in (
        "# plays",
        (
            "Owner: airflow. Formats: parquet, csv. Key of the rows: user\\|id. Events may land"
            " 36 hours late; until then a period is provisional."
        ),
        (
            "| plays_weekly | Weekly from Sunday, Asia/Tokyo, +5 min | 2025-01-01 |  |"
            " report_dev.plays_weekly | s3://athena-report-dev/plays/weekly/ |"
        ),
        "| events | year, month, day | Asia/Tokyo | fail |",
        "| user\\|id | string |  | who \\| \\`played\\` &lt;b&gt;often&lt;/b&gt; |",
        "| score | decimal(10,2) | points | points won |",
        "| columns | fail |",  # one of the checks that previews, plans and cases run too
        "| unique(user\\|id) | fail |",
    ):
        assert line in text.splitlines()
    assert "plays_monthly" not in describe("plays_weekly")[1]


def test_the_data_contract_promises_what_the_report_declares(describe: Describe) -> None:
    code, text = describe("plays", "--odcs")
    assert code == 0
    contract = yaml.safe_load(text)
    assert (contract["apiVersion"], contract["kind"], contract["status"]) == (
        "v3.1.0",
        "DataContract",
        "active",
    )
    assert contract["id"] == "athena-reports:athena-report-dev:plays"
    weekly, monthly = contract["schema"]
    assert (weekly["name"], monthly["name"]) == ("plays_weekly", "plays_monthly")
    assert [
        (each["name"], each["logicalType"], each["physicalType"]) for each in weekly["properties"]
    ] == [
        ("user|id", "string", "string"),
        ("score", "number", "decimal(10,2)"),
        ("tags", "array", "array<string>"),
        ("period", "string", "string"),
    ]
    assert weekly["properties"][0]["unique"] is True
    assert [each.get("primaryKeyPosition") for each in weekly["properties"]] == [
        1,
        None,
        None,
        None,
    ]
    assert weekly["properties"][1]["customProperties"] == [{"property": "unit", "value": "points"}]
    assert [each["type"] for each in contract["servers"]] == ["s3", "s3", "athena"]
    latency = {
        each["element"]: each["value"]
        for each in contract["slaProperties"]
        if each["property"] == "latency"
    }
    assert latency == {"plays_weekly": 36.083, "plays_monthly": 36.083}
    assert yaml.safe_load(describe("plays", "--odcs")[1]) == contract


def test_the_contract_promises_a_key_of_two_columns_in_their_order(describe: Describe) -> None:
    code, text = describe("plays", "--odcs", key="['score', 'user|id']")
    assert code == 0
    weekly, _ = yaml.safe_load(text)["schema"]
    user_id, score, _, period = weekly["properties"]
    assert (user_id["primaryKey"], user_id["primaryKeyPosition"]) == (True, 2)
    assert (score["primaryKey"], score["primaryKeyPosition"]) == (True, 1)
    assert (user_id["unique"], score["unique"], "primaryKey" in period) == (False, False, False)


def test_a_report_without_a_table_is_a_file_and_a_changed_promise_another_version(
    describe: Describe,
) -> None:
    tabled, plain = (
        yaml.safe_load(describe("plays", "--odcs", outputs=outputs)[1])
        for outputs in ("['parquet']", "['csv']")
    )
    assert [each["type"] for each in plain["servers"]] == ["s3", "s3"]
    assert {each["physicalType"] for each in plain["schema"]} == {"file"}
    assert plain["version"] != tabled["version"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("since=", 'owner="finance",\n    since='),
        ('since="2025-01-01"', 'since="2025-02-01"'),
        ("hours=36", "hours=48"),
        ("points won", "points of the week"),
        ('unit="points"', 'unit="goals"'),
        ("at_least=0", "at_least=1"),
        ('weekly("sunday"', 'weekly("monday"'),
        ('sql="plays.sql",', 'sql="plays.sql",\n    doc="# All plays",'),
    ],
)
def test_whatever_the_contract_promises_makes_another_version(
    old: str, new: str, describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = yaml.safe_load(describe("plays", "--odcs")[1])
    assert REPORT.count(old) == 1
    monkeypatch.setattr(sys.modules[__name__], "REPORT", REPORT.replace(old, new))
    second = yaml.safe_load(describe("plays", "--odcs")[1])
    assert second["version"] != first["version"]


def test_the_contract_promises_each_check_its_severity_and_each_dag_its_dates(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = REPORT.replace("at_least=0)", 'at_least=0, severity="warn")')
    monkeypatch.setattr(sys.modules[__name__], "REPORT", warned)
    contract = yaml.safe_load(describe("plays", "--odcs")[1])
    for schema in contract["schema"]:
        severities = {check["name"]: check["severity"] for check in schema["quality"]}
        assert severities == {
            "columns": "error",
            "in_range(score, at_least=0)": "warning",
            "unique(user|id)": "error",
        }
        assert schema["description"].endswith(", Asia/Tokyo")
    promised = [(p["element"], p["property"], p["value"]) for p in contract["slaProperties"]]
    assert sorted(promise for promise in promised if promise[1] != "latency") == [
        # Midnight of this date in Tokyo is on the day before in UTC.
        ("plays_monthly", "frequency", 1),
        ("plays_monthly", "generalAvailability", "2025-01-01"),
        ("plays_weekly", "frequency", 1),
        ("plays_weekly", "generalAvailability", "2025-01-01"),
    ]
    units = {p["element"]: p["unit"] for p in contract["slaProperties"] if "unit" in p}
    assert units == {"plays_weekly": "h", "plays_monthly": "h"}


def test_an_unknown_report_is_one_message(describe: Describe) -> None:
    code, text = describe("played")
    assert code == 1
    assert text.startswith("There is no report 'played'. Is it one of these: plays")
