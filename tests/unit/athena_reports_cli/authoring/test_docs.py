"""`docs`: what a report promises, for its readers and as a data contract."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

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
        "Owner: airflow. Formats: parquet, csv. Key of the rows: user\\|id. Events may land"
        " 36.5 hours late; until then a period is provisional.",
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
        "| table | partitioned by | dated in | if one is missing |",
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
        "| check | if it does not hold |",
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
    assert "Owner: ops \\| &lt;b&gt;. Formats: parquet, csv. Key of the rows: user\\|id." in lines
    assert (
        "| plays_monthly | Monthly, Asia/Tokyo, +5 min | 2025-01-01 | 2025-03-31 |"
        " report_dev.plays_monthly | s3://athena-report-dev/plays/monthly/ |"
    ) in lines


def test_the_data_contract_promises_what_the_report_declares(describe: Describe) -> None:
    code, text = describe("plays", "--odcs")
    assert code == 0
    contract = yaml.safe_load(text)
    properties = [
        {
            "name": "user|id",
            "logicalType": "string",
            "physicalType": "string",
            "unique": True,
            "description": "who | `played` <b>often</b> & 'well'",
            "primaryKey": True,
            "primaryKeyPosition": 1,
        },
        {
            "name": "score",
            "logicalType": "number",
            "physicalType": "decimal(10,2)",
            "unique": False,
            "description": "points won",
            "customProperties": [{"property": "unit", "value": "points"}],
        },
        {
            "name": "tags",
            "logicalType": "array",
            "physicalType": "array<string>",
            "unique": False,
            "description": "what it  *is* \\ [called]",
        },
        {
            "name": "period",
            "logicalType": "string",
            "physicalType": "string",
            "partitioned": True,
            "partitionKeyPosition": 1,
        },
    ]
    quality = [
        {"name": name, "type": "text", "severity": "error"}
        for name in ("columns", "unique(user|id)", "in_range(score, at_least=0)")
    ]
    servers: list[dict[str, str]] = []
    schema: list[dict[str, object]] = []
    levels: list[dict[str, object]] = []
    for cadence, noun, description in (
        ("weekly", "week", "Weekly from Sunday, Asia/Tokyo"),
        ("monthly", "month", "Monthly, Asia/Tokyo"),
    ):
        dag_id = f"plays_{cadence}"
        server = {"server": dag_id, "type": "s3", "environment": "dev"}
        servers.append({**server, "location": f"s3://athena-report-dev/plays/{cadence}/"})
        table = {"name": dag_id, "logicalType": "object", "physicalType": "table"}
        table["description"] = description
        schema.append({**table, "properties": properties, "quality": quality})
        frequency = {"property": "frequency", "value": 1, "unit": noun}
        latency = {"property": "latency", "value": 36.583, "unit": "h"}
        latency["description"] = "of the final rows"
        since = {"property": "generalAvailability", "value": "2025-01-01"}
        levels += [{**level, "element": dag_id} for level in (frequency, latency, since)]
    athena = {"server": "athena", "type": "athena", "environment": "dev", "schema": "report_dev"}
    servers.append({**athena, "stagingDir": "s3://athena-query-result-dev/"})
    assert len(contract.pop("version")) == 12
    assert contract == {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "name": "plays",
        "id": "athena-reports:athena-report-dev:plays",
        "status": "active",
        "description": {"purpose": "plays"},
        "team": {"name": "airflow"},
        "servers": servers,
        "schema": schema,
        "slaProperties": levels,
    }
    assert describe("plays", "--odcs")[1] == text


LOGICAL_TYPES = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal(38,0)"), "number"),
    **dict.fromkeys(("string", "binary"), "string"),
    **{name: name for name in ("boolean", "date", "timestamp")},
    **dict.fromkeys(("map<string,int>", "struct<a:int>"), "object"),
    "array<map<string,int>>": "array",
}


def test_the_logical_type_of_a_column_is_the_one_that_odcs_has(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = "".join(
        f'        "c{number}": Column("{name}", "x"),\n'
        for number, name in enumerate(LOGICAL_TYPES)
    )
    report = REPORT.replace('        "tags"', f'{columns}        "tags"')
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    code, text = describe("plays", "--odcs")
    assert code == 0, text
    properties = yaml.safe_load(text)["schema"][0]["properties"][2:-2]
    assert {each["physicalType"]: each["logicalType"] for each in properties} == LOGICAL_TYPES


def test_the_contract_promises_a_key_of_two_columns_in_their_order(describe: Describe) -> None:
    code, text = describe("plays", "--odcs", key="['score', 'user|id']")
    assert code == 0
    weekly, _ = yaml.safe_load(text)["schema"]
    user_id, score, _, period = weekly["properties"]
    assert (user_id["primaryKey"], user_id["primaryKeyPosition"]) == (True, 2)
    assert (score["primaryKey"], score["primaryKeyPosition"]) == (True, 1)
    assert (user_id["unique"], score["unique"], "primaryKey" in period) == (False, False, False)


def test_columns_of_which_a_check_says_that_they_are_unique_are_the_key(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = REPORT.replace("checks=[", 'checks=[checks.unique("score", "user|id"), ')
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    assert " Key of the rows: score, user\\|id. " in describe("plays", key="[]")[1]
    weekly, _ = yaml.safe_load(describe("plays", "--odcs", key="[]")[1])["schema"]
    places = {each["name"]: each.get("primaryKeyPosition") for each in weekly["properties"]}
    assert places == {"score": 1, "user|id": 2, "tags": None, "period": None}


def test_one_hour_is_no_hours(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    report = REPORT.replace("hours=36, minutes=30", "hours=1")
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    assert " Events may land 1 hour late; until" in describe("plays")[1]


def test_the_text_of_a_report_stands_without_the_lines_around_it(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = REPORT.replace("since=", 'doc="\\n# 商品\\n\\nAll.\\n",\n    since=')
    monkeypatch.setattr(sys.modules[__name__], "REPORT", report)
    assert describe("plays")[1].startswith("# 商品\n\nAll.\n\nOwner: ")
    text = describe("plays", "--odcs")[1]
    assert "商品" in text  # readable, not escaped
    contract = yaml.safe_load(text)
    assert contract["description"] == {"purpose": "# 商品\n\nAll."}
    # What it is of stands first.
    assert list(contract)[:4] == ["apiVersion", "kind", "name", "id"]


def test_athena_is_no_server_where_it_keeps_the_results_itself(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")
    servers = yaml.safe_load(describe("plays", "--odcs")[1])["servers"]
    assert [server["type"] for server in servers] == ["s3", "s3"]


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
