"""Each rule finds what it is there for: shown with folders of DAGs that break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integrity import dag_rules
from tests.integrity.dag_rules import RULES, ParsedFolder, Rule

GOOD = '''
"""
# Plays

**Schedule.** Weekly, by an Airflow DAG. **Columns.** None.

**Input.** `plays`.

**Rerun.** At any time.

**Permissions.** All.
"""
from athena_reports import Report, build_dag, weekly

plays = Report(name="plays", sql="plays.sql", since="2025-01-01", owner="analytics", doc=__doc__)
plays_weekly = build_dag(plays, weekly("sunday", timezone="Asia/Tokyo"))
'''

BY_HAND = """
from datetime import datetime, timezone
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

start = datetime(2025, 1, 1, tzinfo=timezone.utc)
with DAG("plays_weekly", schedule="5 15 * * 6", start_date=start, tags=["athena-report"]) as dag:
    EmptyOperator(task_id="run_query") >> EmptyOperator(task_id="publish")
"""

MAINTENANCE = '''
"""
# Reconciler of an Airflow DAG

**Schedule.** Often.

**Input.** Queries.

**Rerun.** At any time.

**Permissions.** Some.
"""
from athena_reports import build_reconciler

reconciler = build_reconciler(doc=__doc__)
'''

MakeFolder = Callable[..., ParsedFolder]


@pytest.fixture
def folder_of(tmp_path: Path, sql_folder: Path) -> MakeFolder:
    """Makes a folder of the given files."""

    def make(**sources: str) -> ParsedFolder:
        path = tmp_path / "dags"
        path.mkdir()
        for name, source in sources.items():
            (path / f"{name}.py").write_text(source)
        return ParsedFolder(path)

    return make


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_folder_that_is_right_breaks_no_rule(folder_of: MakeFolder, rule: Rule) -> None:
    assert rule(folder_of(plays=GOOD, maintenance=MAINTENANCE)) == []


def test_an_empty_folder(folder_of: MakeFolder) -> None:
    (finding,) = dag_rules.there_are_reports(folder_of())

    assert "there is no report at all" in finding


def test_a_folder_without_a_report(folder_of: MakeFolder) -> None:
    assert dag_rules.there_are_reports(folder_of(maintenance=MAINTENANCE))


def test_a_folder_of_nothing_but_broken_files(folder_of: MakeFolder) -> None:
    assert dag_rules.there_are_reports(folder_of(broken=f"{GOOD}\n1 / 0"))


def test_a_file_that_breaks_is_exactly_one_finding(folder_of: MakeFolder) -> None:
    folder = folder_of(plays=GOOD, broken=GOOD.replace('sql="plays.sql"', 'sql="gone.sql"'))

    (finding,) = dag_rules.every_file_can_be_imported(folder)
    assert finding.startswith("broken.py: ")
    assert "Report 'plays', field 'sql': there is no 'gone.sql'" in finding


@pytest.mark.parametrize(
    "source",
    [
        "print('nothing to see')",
        # a right report, but nothing in it says that it is for Airflow
        GOOD.replace("by an Airflow DAG", ""),
        "# airflow dag\ndef make():\n    return None",
    ],
)
def test_a_file_without_a_dag_or_one_that_safe_mode_passes_over(folder_of: MakeFolder, source: str) -> None:
    assert dag_rules.every_file_holds_dags(folder_of(plays=GOOD, other=source)) == [
        "other.py: Airflow finds no DAG in it."
    ]


AGAIN = 'again = build_dag(plays, weekly("monday", timezone="Asia/Tokyo"))'


@pytest.mark.parametrize("files", [{"one": GOOD, "two": GOOD}, {"one": f"{GOOD}\n{AGAIN}\n"}])
def test_one_dag_id_in_two_files_or_twice_in_one(folder_of: MakeFolder, files: dict[str, str]) -> None:
    assert dag_rules.dag_ids_are_unique(folder_of(**files)) == ["plays_weekly: 2 DAGs have this id."]


@pytest.mark.parametrize("section", dag_rules.SECTIONS)
def test_a_report_whose_documentation_lacks_a_section(folder_of: MakeFolder, section: str) -> None:
    folder = folder_of(plays=GOOD.replace(f"**{section}.**", ""))

    assert dag_rules.every_dag_is_documented(folder) == [f"plays_weekly: its documentation has no section {section!r}."]


def test_a_report_without_documentation(folder_of: MakeFolder) -> None:
    folder = folder_of(plays=GOOD.replace(", doc=__doc__", ""))

    assert len(dag_rules.every_dag_is_documented(folder)) == len(dag_rules.SECTIONS)


@pytest.mark.parametrize("section", dag_rules.SECTIONS)
def test_maintenance_whose_documentation_lacks_a_section(folder_of: MakeFolder, section: str) -> None:
    folder = folder_of(maintenance=MAINTENANCE.replace(f"**{section}.**", ""))

    assert dag_rules.every_dag_is_documented(folder) == [
        f"athena_reports_reconciler: its documentation has no section {section!r}."
    ]


def test_maintenance_of_nobody(folder_of: MakeFolder) -> None:
    folder = folder_of(maintenance=f"{MAINTENANCE}\nreconciler.tasks[0].owner = ''\n")

    assert dag_rules.every_dag_has_an_owner(folder) == [
        "athena_reports_reconciler: the task 'stop_unwanted_queries' has no owner."
    ]


@pytest.mark.parametrize("line", ["plays_weekly.tags.clear()", "plays_weekly.tags.add('athena-reports-maintenance')"])
def test_a_dag_that_is_neither_a_report_nor_maintenance_or_both(folder_of: MakeFolder, line: str) -> None:
    assert dag_rules.every_dag_says_by_its_tag_what_it_is(folder_of(plays=f"{GOOD}\n{line}\n")) == [
        "plays_weekly: it must have one of the tags 'athena-report' and 'athena-reports-maintenance'."
    ]


def test_a_report_without_an_owner(folder_of: MakeFolder) -> None:
    folder = folder_of(plays=GOOD.replace('owner="analytics", ', ""))

    assert len(dag_rules.every_dag_has_an_owner(folder)) == len(dag_rules.STEPS)


def test_a_dag_that_is_written_by_hand_against_the_contract(folder_of: MakeFolder) -> None:
    folder = folder_of(by_hand=BY_HAND)

    (schedule,) = dag_rules.every_report_is_scheduled_by_periods_of_a_zone(folder)
    assert "CronTriggerTimetable" in schedule
    (name,) = dag_rules.every_report_is_named_after_itself_and_its_cadence(folder)
    assert name.startswith("plays_weekly: it is no DAG of the report None")
    (steps,) = dag_rules.every_report_has_the_steps_in_their_order(folder)
    assert "['publish', 'run_query']" in steps


def test_a_dag_of_another_name(folder_of: MakeFolder) -> None:
    folder = folder_of(plays=f"{GOOD}\nplays_weekly.dag_id = 'plays_by_week'\n")

    (finding,) = dag_rules.every_report_is_named_after_itself_and_its_cadence(folder)
    assert finding == "plays_by_week: it is no DAG of the report 'plays', cadence 'weekly'."


def test_steps_in_another_order(folder_of: MakeFolder) -> None:
    steps = "\n".join(f"{step} = EmptyOperator(task_id={step!r})" for step in dag_rules.STEPS)
    source = (
        "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n"
        f"with DAG('d', schedule=None, tags=['athena-report']) as dag:\n    {'; '.join(steps.splitlines())}\n"
        "    run_query >> transform >> wait_for_query >> publish\n"
    )

    assert dag_rules.every_report_has_the_steps_in_their_order(folder_of(d=source)) == [
        "d: 'transform' does not wait for 'wait_for_query'."
    ]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "it asks for a service"),
        ("import urllib.request; urllib.request.urlopen('http://example.com')", "it asks for a service"),
        ("import boto3; boto3.client('s3').list_buckets()", "it asks for a service"),
        ("from airflow.sdk import Variable; Variable.get('top', default=None)", "it asks for a Variable"),
        ("from airflow.models import Variable; Variable.get('top')", "it asks for a Variable"),
        (
            "from airflow.sdk import Variable\ntry: Variable.get('top')\nexcept Exception: pass",
            "it asks for a Variable",
        ),
        ("from airflow.sdk import BaseHook; BaseHook.get_connection('aws')", "it asks for a connection"),
        ("from datetime import date; plays_weekly.description = str(date.today())", "it is another DAG"),
        ("import time; plays_weekly.tags.add(str(int(time.time())))", "it is another DAG"),
        (
            "from datetime import datetime, UTC; plays_weekly.start_date = datetime.now(UTC)",
            "it is another DAG",
        ),
    ],
)
def test_a_file_that_asks_for_something_while_it_is_parsed(
    folder_of: MakeFolder, monkeypatch: pytest.MonkeyPatch, line: str, finding: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (found,) = dag_rules.parsing_asks_for_nothing(folder_of(plays=f"{GOOD}\n{line}\n"))

    assert found.startswith("plays.py: ")
    assert finding in found


def test_every_rule_is_shown_to_fail() -> None:
    """Whoever adds a rule adds the folder that breaks it."""
    here = Path(__file__).read_text()

    assert [rule.__name__ for rule in RULES if f"dag_rules.{rule.__name__}(" not in here] == []
