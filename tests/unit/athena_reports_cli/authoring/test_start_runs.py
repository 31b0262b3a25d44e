"""Starting runs and backfills: each once, in an Airflow that has the DAG of these files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from athena_reports import build_dag, monthly
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.start_runs import (
    DeploymentError,
    airflow_of,
    check_pool,
    deployed_dag,
    require_active,
    start_backfill,
    start_run,
)
from athena_reports_cli.local.client import AirflowApiError, AirflowClient, RestAirflow
from athena_reports_cli.local.running import Running
from tests.support.declared import MakeReport
from tests.support.rest_api import run_of

DAG_ID = "plays_monthly"
FIRST, LAST = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 8, tzinfo=UTC)
LOST = AirflowApiError("No response.")
ABSENT = AirflowApiError("Not found.", status=404)
EXISTS = AirflowApiError("It exists.", status=409)
FORBIDDEN = AirflowApiError("Not yours.", status=403)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@dataclass
class Scripted(AirflowClient):
    """An Airflow of which a test says what becomes of each start, and of each look.

    Attributes:
        starts: What each POST raises, or its response.
        looks: Likewise of each GET.
    """

    starts: list[Any]
    looks: list[Any]

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        outcomes = self.looks if method == "GET" else self.starts
        outcome = outcomes.pop(0)
        if isinstance(outcome, AirflowApiError):
            raise outcome
        return outcome

    def link(self, path: str) -> str:
        return path


# --- which Airflow

UP = Running("http://127.0.0.1:8080", "admin", "secret", {})


@pytest.mark.parametrize(
    ("address", "running", "shell", "url"),
    [
        ("", UP, "", UP.airflow),
        ("", UP, "https://shell", UP.airflow),
        ("", None, "https://shell", "https://shell"),
        ("https://named", UP, "https://shell", "https://named"),
    ],
)
def test_the_airflow_is_the_one_that_is_named_that_of_up_or_that_of_the_shell(
    address: str, running: Running | None, shell: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_URL", shell)
    monkeypatch.setenv("AIRFLOW_TOKEN", "token")
    airflow = airflow_of(address, running)
    assert isinstance(airflow, RestAirflow)
    assert airflow.url == url


def test_without_an_airflow_the_message_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIRFLOW_URL", raising=False)
    with pytest.raises(DeploymentError) as refused:
        airflow_of("", None)
    assert str(refused.value) == (
        "No Airflow is selected. Use --airflow URL or --airflow mwaa:NAME. On this machine, start"
        " `athena-reports up` first."
    )


# --- the DAG in it


@pytest.fixture
def declared(make_report: MakeReport) -> DeclaredReport:
    report = make_report(since="2025-03-01", until="2025-12-31")
    return DeclaredReport(build_dag(report, monthly("Asia/Tokyo")))


def details(declared: DeclaredReport, **changed: Any) -> dict[str, Any]:
    """A DAG as Airflow shows it. Its midnights of Tokyo lie on the date before in UTC."""
    return {
        "default_args": {"environment": "dev", "logic": declared.report.logic},
        "timetable_description": "Monthly, Asia/Tokyo",
        "start_date": "2025-02-28T15:00:00Z",
        "end_date": "2025-12-30T15:00:00Z",
        "is_paused": False,
    } | changed


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"timetable_description": "Monthly, UTC"}, "schedule in this Airflow (Monthly, UTC)"),
        (
            {"default_args": {"environment": "dev", "logic": "v2:1"}},
            "logic in this Airflow (v2:1)",
        ),
        (
            {"default_args": {"environment": "prd"}},
            "environment in this Airflow (prd) than here (dev). Use --airflow to select another"
            " Airflow, or deploy these files there, wait a minute until Airflow has read them,"
            " then run the command again.",
        ),
        ({"default_args": None}, "environment in this Airflow (None)"),
    ],
)
def test_a_dag_that_is_not_as_in_the_files_is_refused(
    changed: dict[str, Any], problem: str, declared: DeclaredReport
) -> None:
    with pytest.raises(DeploymentError) as refused:
        deployed_dag(declared, Scripted([], [details(declared, **changed)]))
    assert str(refused.value).startswith(f"{DAG_ID} has a different {problem}")


def test_a_dag_that_airflow_has_not_read_yet_is_told_apart_from_a_refusal(
    declared: DeclaredReport,
) -> None:
    with pytest.raises(DeploymentError, match=f"This Airflow has no DAG {DAG_ID}"):
        deployed_dag(declared, Scripted([], [ABSENT]))
    with pytest.raises(AirflowApiError) as refused:
        deployed_dag(declared, Scripted([], [FORBIDDEN]))
    assert refused.value is FORBIDDEN


def test_a_paused_dag_is_refused_where_its_run_would_be_followed(declared: DeclaredReport) -> None:
    require_active(declared, Scripted([], [details(declared)]))
    with pytest.raises(DeploymentError, match="plays_monthly is paused in this Airflow"):
        require_active(declared, Scripted([], [details(declared, is_paused=True)]))


# --- once


def a_run(airflow: AirflowClient) -> str:
    return start_run(airflow, DAG_ID, "2025-06")


def a_backfill(airflow: AirflowClient) -> int:
    return start_backfill(airflow, DAG_ID, FIRST, LAST)


RUN = run_of("a", "queued", DAG_ID)


def backfills(*ids: int, last: datetime = LAST) -> dict[str, Any]:
    bounds = {"from_date": FIRST.isoformat(), "to_date": last.isoformat()}
    return {"backfills": [{"id": id_, "completed_at": None, **bounds} for id_ in ids]}


OTHER = backfills(3, last=datetime(2025, 3, 15, tzinfo=UTC))
ENDED = {"backfills": [backfills(3)["backfills"][0] | {"completed_at": "2025-04-01T00:00:00Z"}]}


@pytest.mark.parametrize(
    ("start", "starts", "looks"),
    [
        (a_run, [RUN], []),
        # It has started all the same, or starts by a later attempt.
        (a_run, [LOST], [RUN]),
        (a_run, [LOST, RUN], [ABSENT]),
        (a_run, [LOST, RUN], [LOST, ABSENT]),
        # The first attempt takes effect only after the look behind it.
        (a_run, [LOST, EXISTS], [ABSENT, RUN]),
        (a_backfill, [{"id": 4}], []),
        (a_backfill, [LOST], [backfills(4)]),
        (a_backfill, [LOST, EXISTS], [backfills(), backfills(4)]),
        (a_backfill, [LOST, {"id": 4}], [LOST, OTHER]),
        (a_backfill, [LOST, {"id": 4}], [ENDED]),
    ],
)
def test_one_starts_whatever_is_not_answered(
    start: Callable[[AirflowClient], Any], starts: list[Any], looks: list[Any]
) -> None:
    airflow = Scripted(list(starts), list(looks))
    started = start(airflow)
    assert (airflow.starts, airflow.looks) == ([], [])
    if start is a_backfill:
        assert started == 4
    else:
        assert started.startswith("run__2025-06__")


@pytest.mark.parametrize("error", [EXISTS, FORBIDDEN])
@pytest.mark.parametrize("start", [a_run, a_backfill])
def test_a_rejection_starts_nothing(
    start: Callable[[AirflowClient], Any], error: AirflowApiError
) -> None:
    """A conflict at the first attempt is with something else."""
    with pytest.raises(AirflowApiError) as refused:
        start(Scripted([error], []))
    assert refused.value is error


@pytest.mark.parametrize(("start", "look"), [(a_run, ABSENT), (a_backfill, OTHER)])
def test_what_may_have_started_is_told(
    start: Callable[[AirflowClient], Any], look: Any, pauses: list[float]
) -> None:
    with pytest.raises(AirflowApiError, match="may have started") as unknown:
        start(Scripted([LOST] * 4, [look] * 3))
    assert not unknown.value.is_rejection
    # An Airflow that is restarted answers again after some seconds.
    assert pauses == [0, 1, 2, 4]


# --- a pool


def test_a_pool_is_looked_for_in_airflow() -> None:
    assert not check_pool(Scripted([], [{"slots": 1}]), "athena").problem
    problem = check_pool(Scripted([], [ABSENT]), "athena").problem
    assert problem == "Not found. Create it, or set ATHENA_REPORTS_POOL to another pool."
