"""Airflow's REST API, at its own address and on Amazon MWAA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from athena_reports_cli.authoring.airflow_api import (
    Airflow,
    AirflowApiError,
    Backfill,
    MwaaAirflow,
    active_backfill,
    begin_backfill,
    check_pool,
    connect,
    require_dag,
    restate,
    restating_run_id,
    runs_of_backfill,
)
from tests.support.rest_api import TOKEN, RestApi, Unanswered, rest_api
from tests.support.wire import answered as wire_answered
from tests.support.wire import json_error

LOGIC = "v2:0123456789abcdef"
DETAILS = "GET /api/v2/dags/best_monthly/details"
RUNS = "POST /api/v2/dags/best_monthly/dagRuns"
RUN_ID = restating_run_id("2025-06", LOGIC, "a1")
ARGUMENTS = {"default_args": {"owner": "us", "environment": "stg", "logic": LOGIC}}


@pytest.fixture
def api() -> Iterator[RestApi]:
    """An Airflow with one DAG and one pool."""
    known = (DETAILS, RUNS, "GET /api/v2/pools/athena")
    with rest_api(dict.fromkeys(known, HTTPStatus.OK), {DETAILS: ARGUMENTS}) as api:
        yield api


@pytest.fixture
def airflow(api: RestApi, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return connect(f"{api.url}/")


def test_at_an_address_airflow_is_asked_with_the_token(
    api: RestApi, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)
    assert not check_pool(airflow, "athena").problem
    restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert [request for request, _ in api.requests] == [DETAILS, "GET /api/v2/pools/athena", RUNS]
    assert api.requests[-1][1] == {
        "dag_run_id": RUN_ID,
        "logical_date": None,
        "conf": {"period": "2025-06"},
    }

    assert "404 Not Found" in check_pool(airflow, "other").problem
    with pytest.raises(AirflowApiError, match=r"GET /dags/best_weekly/details: .*404 Not Found"):
        require_dag(airflow, "best_weekly", environment="stg", logic=LOGIC)
    monkeypatch.setenv("AIRFLOW_TOKEN", "expired")
    with pytest.raises(AirflowApiError, match="401 Unauthorized"):
        require_dag(connect(api.url), "best_monthly", environment="stg", logic=LOGIC)


@pytest.mark.parametrize("address", ["http://[", "http://a\tb", "http://127.0.0.1:99999"])
def test_an_address_that_cannot_be_one_is_told_as_what_was_not_served(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    with pytest.raises(AirflowApiError, match="did not serve GET /pools/athena: ") as caught:
        connect(address).request("GET", "/pools/athena")
    assert not caught.value.is_refusal


def test_the_run_of_a_restatement_is_named_by_period_logic_and_version() -> None:
    """No colon, since the name is a part of paths, and of names of logs."""
    assert restating_run_id("2025-06", "v2:0a1b", "c3") == "plan__2025-06__v2-0a1b__c3"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"environment": "prd"}, "is of environment prd in this Airflow, and the shell is set to"),
        ({"environment": None}, "is of environment None in this Airflow, and the shell is set to"),
        (
            {"logic": "v2:1"},
            rf"has other logic in this Airflow \(v2:1\) than in these files \({LOGIC}\)\. Deploy"
            r" these files\. Airflow takes a minute to read an edited file\. Then run the command"
            r" again\.$",
        ),
        ({"logic": None}, r"has other logic in this Airflow \(None\)"),
    ],
)
def test_an_airflow_of_another_environment_or_with_other_code_is_refused(
    arguments: dict[str, Any], problem: str, api: RestApi, airflow: Airflow
) -> None:
    api.bodies = {DETAILS: {"default_args": ARGUMENTS["default_args"] | arguments}}
    with pytest.raises(AirflowApiError, match=problem):
        require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)


NOT_DONE, DONE = Unanswered.NOT_DONE, Unanswered.DONE


@pytest.mark.parametrize(
    "unanswered", [[], [DONE], [NOT_DONE], [NOT_DONE, NOT_DONE], [NOT_DONE, DONE]], ids=str
)
def test_one_run_begins_whatever_is_not_answered_and_a_repetition_begins_none(
    unanswered: list[Unanswered], api: RestApi, airflow: Airflow
) -> None:
    api.unanswered = list(unanswered)
    begun = restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert begun == (RUN_ID, "queued", False)
    assert len(api.runs) == 1

    assert restate(airflow, "best_monthly", "2025-06", RUN_ID) == (RUN_ID, "queued", True)
    assert len(api.runs) == 1


def test_a_conflict_with_something_else_is_told_and_starts_nothing(
    api: RestApi, airflow: Airflow
) -> None:
    """Such as a DAG whose number of runs is limited: there is no run of this id."""
    api.statuses = {**api.statuses, RUNS: HTTPStatus.CONFLICT}
    with pytest.raises(AirflowApiError, match="409 Conflict"):
        restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert [request.split()[0] for request, _ in api.requests] == ["POST", "GET"]


def test_an_airflow_that_never_answers_is_told_with_what_is_not_known(
    api: RestApi, airflow: Airflow
) -> None:
    api.unanswered = [NOT_DONE] * 20
    with pytest.raises(AirflowApiError, match=f"Run {RUN_ID} may have begun. Repeat the command"):
        restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert api.runs == {}


def test_a_run_that_exists_but_cannot_be_looked_at_is_not_called_refused(
    api: RestApi, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    restate(airflow, "best_monthly", "2025-06", RUN_ID)
    answer = api.answer

    def reset(method: str, path: str, body: Any, authorization: str | None) -> Any:
        if method == "GET":
            return None
        return answer(method, path, body, authorization)

    monkeypatch.setattr(api, "answer", reset)
    with pytest.raises(AirflowApiError, match="may have begun") as caught:
        restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert not caught.value.is_refusal


def test_an_answer_that_is_not_json_is_an_error(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the page of a login."""

    def answer(method: str, url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, text="<html>Log in</html>", request=httpx.Request(method, url))

    monkeypatch.setattr(httpx, "request", answer)
    with pytest.raises(AirflowApiError, match="may have begun") as caught:
        restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert not caught.value.is_refusal


def test_an_answer_may_take_some_seconds_and_not_forever(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy Airflow answers late, and a command is not to hang beside one that never does."""
    waits = []

    def answer(method: str, url: str, *, timeout: float, **_: Any) -> httpx.Response:
        waits.append(timeout)
        return httpx.Response(200, json={}, request=httpx.Request(method, url))

    monkeypatch.setattr(httpx, "request", answer)
    check_pool(airflow, "athena")
    (seconds,) = waits
    assert 20 <= seconds <= 60


@pytest.mark.parametrize(
    ("status", "is_refusal"),
    [(HTTPStatus.UNPROCESSABLE_ENTITY, True), (HTTPStatus.INTERNAL_SERVER_ERROR, False)],
)
def test_an_error_of_the_server_may_have_begun_the_run(
    status: HTTPStatus, is_refusal: bool, api: RestApi, airflow: Airflow
) -> None:
    api.statuses = {RUNS: status}
    with pytest.raises(AirflowApiError) as caught:
        restate(airflow, "best_monthly", "2025-06", RUN_ID)
    assert ("may have begun" in str(caught.value)) != is_refusal
    assert caught.value.is_refusal is is_refusal


def test_a_conflict_without_a_run_is_an_error(api: RestApi, airflow: Airflow) -> None:
    api.statuses = {RUNS: HTTPStatus.CONFLICT}
    with pytest.raises(AirflowApiError, match="409 Conflict"):
        restate(airflow, "best_monthly", "2025-06", RUN_ID)


def test_runs_of_other_periods_logic_or_versions_have_other_ids() -> None:
    ids = {
        restating_run_id(period, logic, version)
        for period in ("2025-06", "2025-07")
        for logic in (LOGIC, "v2:1")
        for version in ("a1", "a2")
    }
    assert len(ids) == 8


def test_on_mwaa_airflow_is_reached_by_invoke_rest_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = boto3.client("mwaa", region_name="us-east-1")
    pool = {"Name": "reports-stg", "Path": "/pools/athena", "Method": "GET"}
    body = {"dag_run_id": RUN_ID, "logical_date": None, "conf": {"period": "2025-06"}}
    runs = "/dags/best_monthly/dagRuns"
    run = {"Name": "reports-stg", "Path": runs, "Method": "POST", "Body": body}
    look = {
        "Name": "reports-stg",
        "Path": f"{runs}/{RUN_ID}",
        "Method": "GET",
    }
    queued = {"RestApiStatusCode": 200, "RestApiResponse": {"state": "queued"}}
    mwaa = MwaaAirflow(client, "reports-stg")

    def refuse(stubber: Stubber, asked: Any, status: int) -> None:
        stubber.add_client_error(
            "invoke_rest_api",
            "RestApiServerException" if status >= 500 else "RestApiClientException",
            expected_params=asked,
            modeled_fields={"RestApiStatusCode": status, "RestApiResponse": {}},
        )

    with Stubber(client) as stubber:
        stubber.add_response("invoke_rest_api", queued, pool)
        refuse(stubber, pool, 404)
        assert not check_pool(mwaa, "athena").problem
        problem = check_pool(mwaa, "athena").problem
        assert problem.startswith("Airflow did not serve GET /pools/athena: 404 {}. Create it, or")
        assert "ATHENA_REPORTS_POOL" in problem

        stubber.add_response("invoke_rest_api", queued, run)
        assert restate(mwaa, "best_monthly", "2025-06", RUN_ID) == (RUN_ID, "queued", False)
        refuse(stubber, run, 400)
        with pytest.raises(AirflowApiError, match="POST /dags/best_monthly/dagRuns"):
            restate(mwaa, "best_monthly", "2025-06", RUN_ID)
        refuse(stubber, run, 409)
        stubber.add_response("invoke_rest_api", queued, look)
        assert restate(mwaa, "best_monthly", "2025-06", RUN_ID) == (RUN_ID, "queued", True)
        refuse(stubber, run, 504)
        stubber.add_response("invoke_rest_api", queued, look)
        assert restate(mwaa, "best_monthly", "2025-06", RUN_ID) == (RUN_ID, "queued", False)
        stubber.assert_no_pending_responses()

    def time_out(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://airflow")

    monkeypatch.setattr(client, "invoke_rest_api", time_out)
    with pytest.raises(AirflowApiError, match="may have begun"):
        restate(mwaa, "best_monthly", "2025-06", RUN_ID)


@pytest.mark.parametrize(
    ("code", "status", "is_refusal"),
    [
        ("AccessDeniedException", 403, True),
        ("ResourceNotFoundException", 404, True),
        ("InternalServerException", 500, False),
    ],
)
def test_what_aws_refuses_before_airflow_is_reached_has_begun_nothing(
    code: str, status: int, is_refusal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a role without the right to call Airflow, or an environment that does not exist."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = boto3.client("mwaa", region_name="us-east-1")
    asked = []
    call = client.invoke_rest_api

    def invoke(**arguments: Any) -> Any:
        asked.append(arguments["Method"])
        with Stubber(client) as stubber:
            stubber.add_client_error("invoke_rest_api", code, "Not now.", status)
            return call(**arguments)

    monkeypatch.setattr(client, "invoke_rest_api", invoke)
    with pytest.raises(AirflowApiError, match=r"did not serve .*Not now\.( Run|$)") as caught:
        restate(MwaaAirflow(client, "reports-stg"), "best_monthly", "2025-06", RUN_ID)

    assert caught.value.is_refusal is is_refusal
    assert ("may have begun" in str(caught.value)) != is_refusal
    assert (asked == ["POST"]) is is_refusal


def test_a_backfill_on_mwaa_is_looked_for_and_begun_by_amazons_call() -> None:
    first = datetime(2026, 2, 28, 15, tzinfo=UTC)  # a local midnight of Tokyo
    last = datetime(2026, 3, 7, 15, tzinfo=UTC)
    client: Any = boto3.client("mwaa", region_name="us-east-1")
    mwaa = MwaaAirflow(client, "reports-stg")
    body = {
        "dag_id": "best_weekly",
        "from_date": "2026-02-28T15:00:00+00:00",
        "to_date": "2026-03-07T15:00:00+00:00",
        "reprocess_behavior": "failed",
    }
    look = {
        "Name": "reports-stg",
        "Method": "GET",
        "Path": "/backfills",
        "QueryParameters": {"dag_id": "best_weekly", "order_by": "-id"},
    }
    start = {"Name": "reports-stg", "Method": "POST", "Path": "/backfills", "Body": body}
    ended = {**body, "id": 3, "completed_at": "2026-03-08T00:00:00Z"}
    # A paused one has not ended: Airflow begins no other one beside it.
    begun = {**body, "id": 4, "completed_at": None, "is_paused": True}
    with Stubber(client) as stubber:
        stubber.add_response("invoke_rest_api", answered({"backfills": [ended]}), look)
        assert active_backfill(mwaa, "best_weekly") is None
        stubber.add_response("invoke_rest_api", answered({"backfills": [begun, ended]}), look)
        assert active_backfill(mwaa, "best_weekly") == Backfill(4, first, last, is_active=True)
        stubber.add_response("invoke_rest_api", answered({"backfills": [ended]}), look)
        stubber.add_response("invoke_rest_api", answered(begun), start)
        assert begin_backfill(mwaa, "best_weekly", first, last).id == 4
    link = mwaa.link("/dags/best_weekly/backfills")
    assert link == "/dags/best_weekly/backfills of the MWAA environment reports-stg"


def answered(response: Any) -> Any:
    return {"RestApiStatusCode": 200, "RestApiResponse": response}


def test_names_are_quoted_in_the_paths(api: RestApi, airflow: Airflow) -> None:
    """A pool may have any name."""
    check_pool(airflow, "a b/c")
    with pytest.raises(AirflowApiError):
        require_dag(airflow, "a/b", environment="stg", logic=LOGIC)
    with pytest.raises(AirflowApiError):
        restate(airflow, "a/b", "2025-06", "c/d")
    assert [request for request, _ in api.requests] == [
        "GET /api/v2/pools/a%20b%2Fc",
        "GET /api/v2/dags/a%2Fb/details",
        "POST /api/v2/dags/a%2Fb/dagRuns",
    ]
    runs = "POST /api/v2/dags/a%2Fb/dagRuns"
    api.statuses = {runs: HTTPStatus.OK}
    api.unanswered = [DONE]
    assert restate(airflow, "a/b", "2025-06", "c/d") == ("c/d", "queued", False)
    assert api.requests[-1][0] == "GET /api/v2/dags/a%2Fb/dagRuns/c%2Fd"


def test_of_a_dag_it_is_told_what_a_backfill_has_to_know(api: RestApi, airflow: Airflow) -> None:
    told = {
        "is_paused": True,
        "timetable_description": "Monthly, UTC",
        "start_date": "2025-01-01T00:00:00Z",
        "end_date": "2025-12-31T00:00:00+09:00",
    }
    api.bodies = {DETAILS: ARGUMENTS | told}
    dag = require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)
    assert (dag.is_paused, dag.calendar) == (True, "Monthly, UTC")
    assert dag.since == datetime(2025, 1, 1, tzinfo=UTC)
    assert dag.until == datetime(2025, 12, 30, 15, tzinfo=UTC)

    api.bodies = {DETAILS: ARGUMENTS}
    dag = require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)
    assert dag == (False, "", None, None)


def test_a_dag_without_arguments_is_of_no_environment(api: RestApi, airflow: Airflow) -> None:
    api.bodies = {DETAILS: {"default_args": None}}
    with pytest.raises(AirflowApiError, match="is of environment None in this Airflow"):
        require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)


def test_a_dag_that_is_not_there_keeps_its_status(api: RestApi, airflow: Airflow) -> None:
    api.statuses = {}
    with pytest.raises(AirflowApiError, match="This Airflow has no DAG best_monthly") as absent:
        require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)
    assert absent.value.status == HTTPStatus.NOT_FOUND
    api.statuses = {DETAILS: HTTPStatus.FORBIDDEN}
    with pytest.raises(AirflowApiError, match="403 Forbidden") as refused:
        require_dag(airflow, "best_monthly", environment="stg", logic=LOGIC)
    assert "has no DAG" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("reports", "'reports' is not the address of an Airflow. Name https://HOST, or mwaa:"),
        ("ftp://x", "'ftp://x' is not the address of an Airflow."),
        ("https://x", "AIRFLOW_TOKEN is not set: get a token from https://x/auth/token, or name"),
        ("http://x/", "AIRFLOW_TOKEN is not set: get a token from http://x/auth/token, or name"),
    ],
)
def test_an_address_that_cannot_be_asked_is_told_with_the_way_out(
    address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", "")
    with pytest.raises(AirflowApiError) as refused:
        connect(address)
    assert str(refused.value).startswith(problem)
    assert refused.value.status is None


def test_a_page_is_below_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    assert connect("https://x/airflow/").link("/dags/a") == "https://x/airflow/dags/a"


def test_a_request_to_mwaa_is_sent_once_by_its_client() -> None:
    """A repetition could start a second run: `restate` looks for the first one in between."""
    mwaa: Any = connect("mwaa:reports-stg")
    assert mwaa.name == "reports-stg"
    failure = json_error("InternalServerException", "Try again", 500)
    with (
        wire_answered(mwaa.client, "InvokeRestApi", failure, failure) as requests,
        pytest.raises(AirflowApiError, match="Try again"),
    ):
        mwaa.request("GET", "/pools/athena")
    assert len(requests) == 1


def test_the_pauses_between_two_starts_grow(api: RestApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Airflow that is restarted answers again after some seconds."""
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    api.unanswered = [NOT_DONE] * 20
    with pytest.raises(AirflowApiError, match="may have begun"):
        restate(connect(api.url), "best_monthly", "2025-06", RUN_ID)
    assert pauses[0] == 0  # the first look comes at once
    assert pauses == sorted(pauses)
    assert 5 <= sum(pauses) <= 15
    assert [request.split()[0] for request, _ in api.requests] == [
        "POST",
        *["GET", "POST"] * len(pauses),
    ]


@dataclass
class Runs:
    """An Airflow of which a test says what becomes of each start of a run, and of each look.

    Attributes:
        starts: What each start raises, or its answer.
        looks: Likewise of each look.
    """

    starts: list[Any]
    looks: list[Any]

    def request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Any:
        outcomes = self.looks if method == "GET" else self.starts
        outcome = outcomes.pop(0)
        if isinstance(outcome, AirflowApiError):
            raise outcome
        return outcome

    def link(self, path: str) -> str:
        return path


LOST = AirflowApiError("It was not answered.")
ABSENT = AirflowApiError("It is not there.", status=404)
EXISTS = AirflowApiError("It exists.", status=409)
FORBIDDEN = AirflowApiError("Not yours.", status=403)


@pytest.mark.parametrize(
    ("starts", "looks", "outcome"),
    [
        # The first start takes effect only after the look behind it.
        ([LOST, EXISTS], [ABSENT, {"state": "running"}], ("running", False)),
        ([LOST, LOST, EXISTS], [ABSENT, LOST, ABSENT, {}], ("unknown", False)),
        ([LOST, {"state": "queued"}], [LOST, LOST, ABSENT], ("queued", False)),
        ([EXISTS], [LOST, {"state": "failed"}], ("failed", True)),
        ([EXISTS], [LOST, ABSENT], EXISTS),
        ([LOST, FORBIDDEN], [ABSENT], FORBIDDEN),
    ],
)
def test_a_start_and_a_look_may_cross(
    starts: list[Any], looks: list[Any], outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    airflow = Runs(list(starts), list(looks))
    if isinstance(outcome, AirflowApiError):
        with pytest.raises(AirflowApiError) as refused:
            restate(airflow, "best_monthly", "2025-06", RUN_ID)
        assert refused.value is outcome
    else:
        assert restate(airflow, "best_monthly", "2025-06", RUN_ID) == (RUN_ID, *outcome)
    assert (airflow.starts, airflow.looks) == ([], [])


# --- a backfill whose start is not answered

FIRST, LAST = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 8, tzinfo=UTC)


def as_told(id_: int, first: datetime = FIRST, last: datetime = LAST) -> dict[str, Any]:
    bounds = {"from_date": first.isoformat(), "to_date": last.isoformat()}
    return {"id": id_, "completed_at": None, **bounds}


@dataclass
class Backfills:
    """An Airflow of which a test says what becomes of each start of a backfill, and of each look.

    Attributes:
        starts: What each start raises; None for what begins the backfill 4.
        looks: The backfills that each look finds; an error for one that is not answered.
    """

    starts: list[AirflowApiError | None]
    looks: list[list[dict[str, Any]] | AirflowApiError]

    def request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Any:
        assert path == "/backfills"
        if method == "GET":
            found = self.looks.pop(0)
            if isinstance(found, AirflowApiError):
                raise found
            return {"backfills": found}
        refused = self.starts.pop(0)
        if refused is not None:
            raise refused
        return as_told(4)

    def link(self, path: str) -> str:
        return path


OTHER = as_told(3, last=datetime(2025, 3, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("starts", "looks", "outcome"),
    [
        ([None], [[]], 4),
        # It has begun all the same: by the first start, or by a later one.
        ([LOST], [[], [as_told(5)]], 5),
        ([LOST, EXISTS], [[], LOST, [as_told(5)]], 5),
        # It has not, and is begun by the next one, also if the look is not answered.
        ([LOST, None], [[], []], 4),
        ([LOST, None], [[], LOST], 4),
        # What was there before, or has other bounds, is not the one.
        ([LOST, None], [[as_told(3)], [as_told(3)]], 4),
        ([LOST, None], [[], [OTHER]], 4),
        ([EXISTS], [[], [OTHER]], EXISTS),
        ([FORBIDDEN], [[]], FORBIDDEN),
        (
            [LOST] * 3,
            [[], *[[]] * 3],
            "It was not answered. The backfill may have begun. Repeat the command: Airflow has one"
            " of a DAG at a time.",
        ),
    ],
)
def test_a_backfill_begins_once_whatever_is_not_answered(
    starts: list[Any], looks: list[Any], outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    airflow = Backfills(list(starts), list(looks))
    if isinstance(outcome, int):
        begun = begin_backfill(airflow, "best_weekly", FIRST, LAST)
        assert begun == Backfill(outcome, FIRST, LAST, is_active=True)
    elif isinstance(outcome, str):
        with pytest.raises(AirflowApiError) as unknown:
            begin_backfill(airflow, "best_weekly", FIRST, LAST)
        assert str(unknown.value) == outcome
        assert not unknown.value.is_refusal
    else:
        with pytest.raises(AirflowApiError) as refused:
            begin_backfill(airflow, "best_weekly", FIRST, LAST)
        assert refused.value is outcome
    assert (airflow.starts, airflow.looks) == ([], [])
    # Each start but the first comes after a pause, which grows.
    assert pauses[: len(starts) - 1] == [1, 2, 4][: len(starts) - 1]


def test_the_runs_of_a_backfill_are_asked_for_without_starting_any(
    api: RestApi, airflow: Airflow
) -> None:
    dry_run = "POST /api/v2/backfills/dry_run"
    runs = [{"logical_date": "2025-03-01T00:00:00Z"}, {"logical_date": "2025-03-08T09:00:00+09:00"}]
    api.statuses = {dry_run: HTTPStatus.OK}
    api.bodies = {dry_run: {"backfills": runs}}
    assert runs_of_backfill(airflow, "best_weekly", FIRST, LAST) == [FIRST, LAST]
    assert api.requests == [
        (
            dry_run,
            {
                "dag_id": "best_weekly",
                "from_date": "2025-03-01T00:00:00+00:00",
                "to_date": "2025-03-08T00:00:00+00:00",
                "reprocess_behavior": "failed",
            },
        )
    ]
