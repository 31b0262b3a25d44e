"""`run`: a period is started once, and followed to its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from athena_reports_cli.authoring.report_files import declared_reports, find_report
from tests.support.flown import DAG_ID, WEEKS, Flown
from tests.support.rest_api import TOKEN, RestApi, rest_api
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
DETAILS = f"GET /api/v2/dags/{DAG_ID}/details"
RUNS = f"POST /api/v2/dags/{DAG_ID}/dagRuns"


class RunningApi(RestApi):
    """An Airflow whose runs end at the second look, in `ends` one after another."""

    ends: list[str]

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any] | None:
        plain, _, _ = path.partition("?")
        if plain.endswith("/taskInstances"):
            return HTTPStatus.OK, {"task_instances": [], "total_entries": 0}
        if method == "GET" and plain in self.runs:
            run = self.runs[plain]
            shown = dict(run)
            if run["state"] == "queued":
                run["state"] = self.ends.pop(0)
            return HTTPStatus.OK, shown
        return super().answer(method, path, body, authorization)


@pytest.fixture
def airflow(flown: Flown, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    """An Airflow that has the DAG as the author's files have it."""
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda _: None)
    declared, _ = find_report(DAG_ID, WEEKS[0], declared_reports())
    details = {
        "default_args": {"environment": "dev", "logic": declared.report.logic},
        "timetable_description": declared.cadence.description,
        "start_date": "2013-03-04T05:00:00Z",
        "end_date": "2013-03-25T04:00:00Z",
        "is_paused": False,
    }
    statuses = {DETAILS: HTTPStatus.OK, RUNS: HTTPStatus.OK}
    with rest_api(statuses, {DETAILS: details}, kind=RunningApi) as api:
        assert isinstance(api, RunningApi)
        yield api


def started(airflow: RestApi) -> list[str]:
    """The periods whose runs were started."""
    return [body["conf"]["period"] for request, body in airflow.requests if request == RUNS]


def test_periods_run_one_after_another_and_are_followed(shell: Shell, airflow: RunningApi) -> None:
    airflow.ends = ["success", "success"]
    code, printed = shell("run", "flown", *WEEKS[:2], "--airflow", airflow.url)
    assert code == 0, printed
    assert started(airflow) == list(WEEKS[:2])
    assert len(re.findall(rf"{DAG_ID} {WEEKS[0]}: started\. See {airflow.url}/dags/", printed)) == 1
    assert f"{DAG_ID} {WEEKS[1]}: success\n" in printed


def test_a_run_that_fails_ends_the_command(shell: Shell, airflow: RunningApi) -> None:
    airflow.ends = ["failed"]
    code, printed = shell("run", "flown", *WEEKS[:2], "--airflow", airflow.url)
    assert code == 1
    assert re.match(rf"Run run__{WEEKS[0]}__\S+ of {DAG_ID} is failed\.", printed)
    assert started(airflow) == [WEEKS[0]]


def test_a_period_that_is_not_over_is_refused_before_airflow_is_asked(
    shell: Shell, airflow: RunningApi
) -> None:
    code, printed = shell("run", "flown", WEEKS[0], "2099-12-28", "--airflow", airflow.url)
    assert code == 1
    assert printed.startswith("The period 2099-12-28 ")
    assert airflow.requests == []
