"""How many requests a run makes: docs/explanation/cost.md says at most how many."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from botocore.client import BaseClient

from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.paths import ROOT
from tests.support.task_runner import run_dag

COST = (ROOT / "docs" / "explanation" / "cost.md").read_text(encoding="utf-8")
# S3's words for what it bills, by the operation. A deletion is free, and a run makes none.
WORDS = {"GetObject": "GET", "HeadObject": "HEAD", "ListObjectsV2": "LIST", "PutObject": "PUT"}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of every client in this process.

    Those of Athena cost nothing, and their number follows from how long a query takes.
    """
    counted: Counter[str] = Counter()
    call = BaseClient._make_api_call

    def counting(client: Any, operation: str, parameters: Any) -> Any:
        service = client.meta.service_model.service_name
        if service == "s3":
            counted[WORDS[operation]] += 1
        elif service == "glue":
            counted["Glue"] += 1
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", counting)
    return counted


@pytest.fixture
def weekly_dag(services: Services, plays_lake: object, dags_folder: Path) -> DAG:
    """The DAG of a report with the two formats that it has by default, which has run before."""
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    run_dag(dag, period="2025-06-01")
    return dag


def test_a_run_makes_no_more_requests_than_the_page_says(
    weekly_dag: DAG, requests: Counter[str]
) -> None:
    (sentence,) = re.findall(r"^- Requests of the package: at most ([^.]+)\.", COST, re.MULTILINE)
    at_most = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", sentence)}

    run_dag(weekly_dag, period="2025-06-08")

    assert requests.keys() == at_most.keys()
    assert {word for word in requests if requests[word] > at_most[word]} == set()
