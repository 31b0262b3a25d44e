from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrity.dag_rules import RULES, ParsedFolder, Rule

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def dags() -> ParsedFolder:
    return ParsedFolder(DAGS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_dags_of_this_repository_keep_the_rules(dags: ParsedFolder, rule: Rule) -> None:
    assert rule(dags) == []


def test_the_reports_that_others_rely_on_are_there(dags: ParsedFolder) -> None:
    assert {
        "user_ranking_weekly",
        "user_ranking_monthly",
        "carrier_ranking_weekly",
        "carrier_ranking_monthly",
    } <= {dag.dag_id for dag in dags.dags}


def test_the_maintenance_dags_are_there(dags: ParsedFolder) -> None:
    others = sorted(dag.dag_id for dag in dags.dags if dag not in dags.reports)
    assert others == ["athena_reports_cleanup", "athena_reports_reconciler", "athena_reports_restatement"]


def test_every_dag_file_is_seen(dags: ParsedFolder) -> None:
    """Nothing that lies openly in the folder is left out by .airflowignore."""
    assert dags.files == sorted(DAGS.glob("*.py"))
