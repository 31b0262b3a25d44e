"""`plan` beside an Airflow, and beside folders that no run could publish to.

Its questions, answers and output are in tests/services/commands/test_plan.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.datamodels.dags import DAGDetailsResponse
from airflow.serialization.serialized_objects import DagSerialization
from pydantic import TypeAdapter

from athena_reports_cli.authoring.report_files import declared_reports, find_report
from tests.support.dag_files import load_dags
from tests.support.flown import DAG_ID, EDIT, WEEKS, Flown
from tests.support.query_comments import comment_of, query_of
from tests.support.rest_api import TOKEN, RestApi, Unanswered, rest_api
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
DETAILS = f"GET /api/v2/dags/{DAG_ID}/details"
RUNS = f"POST /api/v2/dags/{DAG_ID}/dagRuns"


@pytest.fixture
def airflow() -> Iterator[RestApi]:
    """An Airflow that has the report's DAG, as `deploy` puts it there."""
    with rest_api({DETAILS: HTTPStatus.OK, RUNS: HTTPStatus.OK}) as api:
        yield api


def deploy(flown: Flown, airflow: RestApi) -> None:
    """Let Airflow have the DAG as the author's files have it now.

    Its details are what the DAG processor stores and the API server reads and answers.
    """
    dag = load_dags(flown.root / "dags" / "flown.py")[DAG_ID]
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    arguments = DagSerialization.from_dict(stored).default_args
    shown = TypeAdapter(DAGDetailsResponse.model_fields["default_args"].annotation)
    airflow.bodies = {DETAILS: {"default_args": shown.dump_python(arguments, mode="json")}}


def queried(flown: Flown, before: set[str]) -> Counter[str]:
    """The texts of the queries that are new, without the comments of an author that each has."""
    texts: Counter[str] = Counter()
    for query_id, query in flown.queries().items():
        if query_id not in before:
            assert comment_of(query["Query"])["command"] == "plan"
            texts[query_of(query["Query"])] += 1
    return texts


def sql_of(*weeks: str) -> Counter[str]:
    """What one query for each of these weeks asks."""
    declared, _ = find_report(DAG_ID, "", declared_reports())
    return Counter(declared.sql(declared.cadence.period(week)) for week in weeks)


def restated(airflow: RestApi) -> list[str]:
    """The periods whose runs Airflow was asked for, in a form that Airflow takes."""
    bodies = [body for request, body in airflow.requests if request == RUNS]
    return [(TriggerDAGRunPostBody.model_validate(body).conf or {})["period"] for body in bodies]


def changed_rows(markdown: str) -> dict[str, int]:
    """The number of changed rows of each period, by the table of a plan."""
    lines = re.findall(r"^\| (\S+) \| \d+ \| 0 \| 0 \| (\d+) \|", markdown, re.MULTILINE)
    return {period: int(number) for period, number in lines}


def price_of(scans: Sequence[int]) -> str:
    """What queries that scan so many bytes cost in us-east-1, as a question says it.

    Athena bills at least 10 MB of each, at 5 USD for a terabyte.
    """
    usd = sum(max(scanned, 10_000_000) * 5 / 10**12 for scanned in scans)
    kilobytes = sum(scans) / 1000
    assert 1 <= kilobytes < 1000
    return f"about {kilobytes:.1f} kB, {usd:.5f} USD"


def paid(flown: Flown) -> list[int]:
    """What the published query of each week has scanned, by its manifest."""
    scans = []
    for week in WEEKS:
        key = f"flown/weekly/{week}/manifest.json"
        stored = flown.services.s3.get_object(Bucket="athena-report-dev", Key=key)
        scans.append(json.loads(stored["Body"].read())["query"]["scanned_bytes"])
    return scans


def test_the_questions_name_the_price_of_all_that_a_yes_pays(shell: Shell, flown: Flown) -> None:
    """The edited SQL is expected to scan what a published week nearby has scanned."""
    flown.edit(*EDIT)
    code, _ = shell("plan", "flown", answer="y\n")  # and no answer to the second question
    assert code == 1
    scans = paid(flown)
    estimate = round(median(scans))
    first, second, _ = shell.errors.split("Pay?")
    assert f"Query {', '.join(WEEKS)} of {DAG_ID}: {price_of([estimate] * 3)}. " in first
    assert f"{price_of(scans)} more. " in second


def test_a_plan_that_changes_nothing_restates_nothing(
    shell: Shell, flown: Flown, airflow: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    flown.edit("-- The miles", "-- All miles")
    deploy(flown, airflow)
    before = set(flown.queries())
    code, printed = shell("plan", "flown", "--yes", "--apply", airflow.url)
    assert code == 0, printed
    assert "### flown_weekly: 0 of 3 periods change" in printed
    assert changed_rows(printed) == dict.fromkeys(WEEKS, 0)
    assert queried(flown, before) == sql_of(*WEEKS)
    assert restated(airflow) == []


@pytest.mark.parametrize(
    ("apply", "token", "problem"),
    [
        ("{url}/elsewhere", TOKEN, "404 Not Found"),
        ("{url}", "expired", "401 Unauthorized"),
        ("http://127.0.0.1:9", TOKEN, "refused"),
        ("http://[127", TOKEN, "Airflow did not serve GET"),
    ],
    ids=["no such DAG", "an expired token", "no connection", "no address"],
)
def test_an_airflow_that_cannot_restate_is_told_before_anything_is_paid(
    apply: str,
    token: str,
    problem: str,
    shell: Shell,
    flown: Flown,
    airflow: RestApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", token)
    flown.edit(*EDIT)
    before = flown.queries().keys()
    code, printed = shell("plan", "flown", "--yes", "--apply", apply.format(url=airflow.url))
    assert code == 1
    assert f"GET /dags/{DAG_ID}/details" in printed
    assert problem in printed
    assert flown.queries().keys() == before


def test_what_began_is_listed_after_an_error_and_a_repetition_begins_the_rest_alone(
    shell: Shell, flown: Flown, airflow: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    flown.edit("SUM(distance)", "SUM(distance) + 1")  # every week changes
    deploy(flown, airflow)
    first, second, third = WEEKS
    answer = airflow.answer

    def refuse(method: str, path: str, body: Any, authorization: str | None) -> Any:
        if body and body["conf"]["period"] == second:
            return HTTPStatus.FORBIDDEN, {}
        return answer(method, path, body, authorization)

    airflow.unanswered = [Unanswered.DONE]
    with monkeypatch.context() as patch:
        patch.setattr(airflow, "answer", refuse)
        code, printed = shell("plan", "flown", "--yes", "--apply", airflow.url)
    assert code == 1
    assert "403 Forbidden" in printed
    assert f"{DAG_ID} restates {first} in run plan__{first}__" in shell.errors
    assert "It began before" not in shell.errors
    for week in (second, third):
        assert f"{DAG_ID} has not begun to restate {week}." in shell.errors
    assert len(airflow.runs) == 1

    code, _ = shell("plan", "flown", "--yes", "--apply", airflow.url)
    assert code == 0
    assert re.search(rf"restates {first} in run \S+\. It began before, and is queued", shell.errors)
    assert shell.errors.count("It began before") == 1
    assert len(airflow.runs) == 3


def test_a_start_that_is_never_answered_is_not_called_a_run_that_has_not_begun(
    shell: Shell, flown: Flown, airflow: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "40")  # no line is broken in a narrow terminal
    clock = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("athena_reports_cli.authoring.airflow_api.time", clock)
    flown.edit("SUM(distance)", "SUM(distance) + 1")  # every week changes
    deploy(flown, airflow)
    airflow.unanswered = [Unanswered.NOT_DONE] * 20
    code, _ = shell("plan", "flown", "--yes", "--apply", airflow.url)
    assert code == 1
    first, *others = WEEKS
    assert f"{DAG_ID} may have begun to restate {first}." in shell.errors
    assert f"Run plan__{first}__" in shell.errors
    for week in others:
        assert f"{DAG_ID} has not begun to restate {week}." in shell.errors
    assert shell.errors.count("has not begun") == len(others)


@pytest.mark.parametrize(
    ("variables", "old", "new", "says"),
    [
        ({}, 'weekly("monday",', 'weekly("sunday",', "Weekly from Sunday, America/New_York"),
        ({}, '"America/New_York"', '"UTC"', "Weekly from Monday, UTC"),
        (
            {"ATHENA_REPORTS_ENV": "stg"},
            "",
            "",
            "belongs to environment dev; this is environment stg",
        ),
    ],
    ids=["first day", "zone", "environment"],
)
def test_a_report_that_no_run_could_publish_is_refused_before_it_asks_to_pay(
    variables: dict[str, str],
    old: str,
    new: str,
    says: str,
    shell: Shell,
    flown: Flown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-dev")
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", "report_dev")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = flown.root / "dags" / "flown.py"
    if old:
        file.write_text(file.read_text().replace(old, new))
    before = flown.queries().keys()
    code, printed = shell("plan", "flown")
    assert code == 1
    assert "s3://athena-report-dev/flown/weekly/ " in printed
    assert says in printed
    assert "Pay?" not in printed
    assert flown.queries().keys() == before
