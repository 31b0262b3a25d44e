"""The client of an Airflow; tests/airflow/test_backfills.py has it talk to a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import httpx
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from athena_reports_cli.local.client import (
    AirflowApiError,
    AirflowClient,
    AirflowRuntimeError,
    Backfill,
    DagRun,
    MwaaAirflow,
    RestAirflow,
    connect,
)
from tests.support.rest_api import TOKEN, RestApi, rest_api, run_of, task_of
from tests.support.wire import answered as wire_answered
from tests.support.wire import json_error

DAG_ID = "best_weekly"

# --- what each method asks for


@dataclass
class Asked(RestApi):
    """An API with a login that gives one answer to all that it is asked, and keeps the questions.

    Attributes:
        reply: The answer.
        status: And its status.
        logins: The logins.
    """

    reply: Any = None
    status: HTTPStatus = HTTPStatus.OK
    logins: list[Any] = field(default_factory=list)

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any]:
        if path == "/auth/token":
            self.logins.append(body)
            return HTTPStatus.CREATED, {"access_token": TOKEN}
        if authorization != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, {}
        self.requests.append((f"{method} {path}", body))
        return self.status, self.reply


@pytest.fixture
def asked() -> Iterator[Asked]:
    with rest_api({}, kind=Asked) as api:
        assert isinstance(api, Asked)
        yield api


@pytest.fixture
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell with a proxy, which is not for this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(asked: Asked) -> RestAirflow:
    return RestAirflow(asked.url, login=("admin", "secret"))


RUN = run_of("a", "success", DAG_ID)
RUNS = "/api/v2/dags/best_weekly/dagRuns"
FIRST = datetime(2025, 3, 1, tzinfo=UTC)
LAST = datetime(2025, 3, 3, tzinfo=UTC)
BACKFILL = {
    "dag_id": DAG_ID,
    "from_date": "2025-03-01T00:00:00+00:00",
    "to_date": "2025-03-03T00:00:00+00:00",
}
CALLS: dict[str, tuple[Callable[[AirflowClient], Any], Any, str, Any]] = {
    # The call, the answer, and what it asks for.
    "trigger": (
        lambda client: client.trigger(DAG_ID, conf={"a": 1}),
        RUN,
        f"POST {RUNS}",
        {"conf": {"a": 1}, "logical_date": None},
    ),
    "trigger with a date": (
        lambda client: client.trigger(DAG_ID, logical_date="2025-03-01T00:00:00Z"),
        RUN,
        f"POST {RUNS}",
        {"logical_date": "2025-03-01T00:00:00Z"},
    ),
    "backfill": (
        lambda client: client.backfill(DAG_ID, FIRST, LAST, max_active_runs=3),
        {"id": 7},
        "POST /api/v2/backfills",
        {**BACKFILL, "max_active_runs": 3},
    ),
    "backfill_dates": (
        lambda client: client.backfill_dates(DAG_ID, FIRST, LAST, reprocess_behavior="failed"),
        {"backfills": []},
        "POST /api/v2/backfills/dry_run",
        {**BACKFILL, "reprocess_behavior": "failed"},
    ),
    "a pool with any name": (
        lambda client: client.pool("a b/c"),
        {},
        "GET /api/v2/pools/a%20b%2Fc",
        None,
    ),
    "a DAG and a run with any name": (
        lambda client: client.run("a/b", "c+d"),
        RUN,
        "GET /api/v2/dags/a%2Fb/dagRuns/c%2Bd",
        None,
    ),
}


@pytest.mark.usefixtures("_proxy")
@pytest.mark.parametrize("name", CALLS)
def test_each_method_asks_the_api_for_what_it_says(
    name: str, asked: Asked, client: RestAirflow
) -> None:
    call, asked.reply, request, body = CALLS[name]
    call(client)
    assert asked.logins == [{"username": "admin", "password": "secret"}]
    assert asked.requests == [(request, body)]


def test_what_the_api_tells_is_returned(asked: Asked, client: RestAirflow) -> None:
    asked.reply = {"id": "7"}
    assert client.backfill(DAG_ID, FIRST, LAST) == 7
    asked.reply = {"content": [{"event": "茶"}]}
    assert client.log_events(DAG_ID, "a", "transform", 1, -1) == [{"event": "茶"}]
    asked.reply = RUN | {"partition_key": "2025-03-01", "conf": {"a": 1}}
    run = client.run(DAG_ID, "a")
    assert (run.dag_id, run.run_id, run.state, run.finished) == (DAG_ID, "a", "success", True)
    assert (run.partition_key, run.conf) == ("2025-03-01", {"a": 1})
    assert len(asked.logins) == 1  # the token is kept
    asked.reply = {"task_instances": [task_of("a", "transform", "failed", 2)], "total_entries": 1}
    (task,) = client.task_instances(DAG_ID, "a")
    assert (task.run_id, task.task_id) == ("a", "transform")
    assert (task.state, task.try_number) == ("failed", 2)


@pytest.mark.parametrize("ended_at", [None, "2026-03-08T00:00:00Z"])
def test_a_backfill_is_active_until_it_has_ended(
    ended_at: str | None, asked: Asked, client: RestAirflow
) -> None:
    """A paused one is active: Airflow begins no other one beside it."""
    bounds = {"from_date": FIRST.isoformat(), "to_date": LAST.isoformat()}
    asked.reply = {"backfills": [{"id": 4, "completed_at": ended_at, "is_paused": True, **bounds}]}
    expected = None if ended_at else Backfill(id=4, from_date=FIRST, to_date=LAST)
    assert client.active_backfill(DAG_ID) == expected


def test_a_run_has_finished_if_it_succeeded_or_failed() -> None:
    states = ("queued", "running", "success", "failed")
    finished = [state for state in states if DagRun(**run_of("a", state, DAG_ID)).finished]
    assert finished == ["success", "failed"]


@pytest.mark.parametrize("number", [0, 100, 101, 250])
def test_a_listing_is_read_page_by_page(number: int, asked: Asked, client: RestAirflow) -> None:
    rows = list(range(number))

    def answer(
        method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any]:
        query = dict(parse_qsl(urlsplit(path).query))
        first, limit = int(query["offset"]), int(query["limit"])
        assert query["state"] == "failed"
        asked.requests.append((path, body))
        return HTTPStatus.OK, {"rows": rows[first : first + limit], "total_entries": number}

    asked.answer = answer  # type: ignore[method-assign]
    assert client.rows("/x", "rows", state="failed") == rows
    assert len(asked.requests) == max(1, -(-number // 100))


def test_a_listing_that_shrinks_meanwhile_ends(asked: Asked, client: RestAirflow) -> None:
    asked.reply = {"rows": [], "total_entries": 5}
    assert client.rows("/x", "rows") == []


def test_a_refusal_tells_request_status_and_body(asked: Asked, client: RestAirflow) -> None:
    asked.status, asked.reply = HTTPStatus.CONFLICT, {"detail": "There is one."}
    with pytest.raises(AirflowApiError) as refused:
        client.unpause(DAG_ID)
    assert refused.value.status == 409
    assert str(refused.value) == (
        "Airflow rejected PATCH /api/v2/dags/best_weekly: 409 Conflict:"
        ' {"detail": "There is one."}.'
    )


def test_an_api_that_does_not_answer_is_told_with_its_address_or_why() -> None:
    checks = []
    client = RestAirflow("http://127.0.0.1:9", token=TOKEN, check=lambda: checks.append(1))
    problem = (
        r"No response from Airflow to GET /api/v2/monitor/health: http://127\.0\.0\.1:9:"
        r" ConnectError\("
    )
    with pytest.raises(AirflowRuntimeError, match=problem):
        client.health()
    assert checks == [1]


def test_a_login_that_is_refused_is_an_error(asked: Asked, client: RestAirflow) -> None:
    asked.answer = lambda *_: (HTTPStatus.UNAUTHORIZED, {})  # type: ignore[method-assign]
    with pytest.raises(AirflowRuntimeError, match="401"):
        client.health()


@pytest.mark.parametrize("text", ["http://[", "http://127.0.0.1:99999"])
def test_an_address_that_cannot_be_one_may_not_have_done_anything(text: str) -> None:
    with pytest.raises(AirflowApiError) as failed:
        RestAirflow(text, token=TOKEN).health()
    assert not failed.value.is_rejection


def test_an_answer_that_is_not_json_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the page of a login."""

    def answer(_: httpx.Client, method: str, url: str, **__: Any) -> httpx.Response:
        return httpx.Response(200, text="<html>Log in</html>", request=httpx.Request(method, url))

    monkeypatch.setattr(httpx.Client, "request", answer)
    with pytest.raises(AirflowApiError) as failed:
        RestAirflow("https://x", token=TOKEN).health()
    assert not failed.value.is_rejection


def test_a_page_is_below_the_address() -> None:
    assert RestAirflow("https://x/airflow/").link("/dags/a") == "https://x/airflow/dags/a"


@pytest.mark.parametrize(
    ("status", "is_rejection"),
    [(HTTPStatus.UNPROCESSABLE_ENTITY, True), (HTTPStatus.INTERNAL_SERVER_ERROR, False)],
)
def test_an_error_of_the_server_may_have_done_what_was_asked(
    status: HTTPStatus, is_rejection: bool, asked: Asked, client: RestAirflow
) -> None:
    asked.status = status
    with pytest.raises(AirflowApiError) as failed:
        client.unpause(DAG_ID)
    assert failed.value.is_rejection is is_rejection


# --- an address


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("reports", '"reports" is not an Airflow address. Use https://HOST or mwaa:'),
        ("ftp://x", '"ftp://x" is not an Airflow address.'),
        ("https://x", "AIRFLOW_TOKEN is not set. Set it to a token from https://x/auth/token,"),
    ],
)
def test_an_address_that_cannot_be_asked_is_an_error_with_the_way_out(
    address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", "")
    with pytest.raises(AirflowApiError) as refused:
        connect(address)
    assert str(refused.value).startswith(problem)


def test_at_an_address_airflow_is_asked_with_the_token_of_the_shell(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.reply = {"slots": 1}
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    assert connect(f"{asked.url}/").pool("athena") == {"slots": 1}
    monkeypatch.setenv("AIRFLOW_TOKEN", "expired")
    with pytest.raises(AirflowApiError) as refused:
        connect(asked.url).pool("athena")
    assert refused.value.status == 401


def test_an_address_with_a_login_needs_no_token(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_TOKEN", raising=False)
    asked.reply = {"slots": 1}
    airflow = connect(asked.url.replace("://", "://me%40example:secret@"))
    assert airflow.pool("athena") == {"slots": 1}
    assert asked.logins == [{"username": "me@example", "password": "secret"}]
    assert airflow.link("/dags") == f"{asked.url}/dags"


# --- Amazon MWAA


def test_on_mwaa_airflow_is_reached_by_invoke_rest_api() -> None:
    client = boto3.client("mwaa", region_name="us-east-1")
    airflow = MwaaAirflow(client, "reports-stg")
    params = {"dag_id": DAG_ID, "order_by": "-id"}
    look = {"Method": "GET", "Path": "/backfills", "QueryParameters": params}
    unpause = {"Method": "PATCH", "Path": f"/dags/{DAG_ID}", "Body": {"is_paused": False}}
    with Stubber(client) as stubber:
        for request, response in ((look, {"backfills": []}), (unpause, {})):
            stubber.add_response(
                "invoke_rest_api",
                {"RestApiStatusCode": 200, "RestApiResponse": response},
                {"Name": "reports-stg", **request},
            )
        assert airflow.active_backfill(DAG_ID) is None
        airflow.unpause(DAG_ID)
        stubber.assert_no_pending_responses()
        stubber.add_client_error(
            "invoke_rest_api",
            "RestApiClientException",
            modeled_fields={"RestApiStatusCode": 404, "RestApiResponse": {"detail": "None."}},
        )
        with pytest.raises(AirflowApiError) as refused:
            airflow.pool("athena")
    assert str(refused.value) == (
        "Airflow rejected GET /api/v2/pools/athena: 404 {'detail': 'None.'}."
    )
    link = airflow.link("/dags/best_weekly/backfills")
    assert link == "/dags/best_weekly/backfills of the MWAA environment reports-stg"


@pytest.mark.parametrize(
    ("code", "status", "is_rejection"),
    [
        ("AccessDeniedException", 403, True),
        ("ResourceNotFoundException", 404, True),
        ("InternalServerException", 500, False),
    ],
)
def test_what_aws_refuses_before_airflow_is_reached_has_done_nothing(
    code: str, status: int, is_rejection: bool
) -> None:
    """Such as a role without the right to call Airflow, or an environment that does not exist."""
    client = boto3.client("mwaa", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("invoke_rest_api", code, "Not now.", status)
        with pytest.raises(AirflowApiError) as refused:
            MwaaAirflow(client, "reports-stg").pool("athena")
    assert (refused.value.status, refused.value.is_rejection) == (status, is_rejection)


def test_a_request_to_mwaa_is_sent_once_and_may_have_been_done_without_a_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A repetition could start a second run."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    airflow: Any = connect("mwaa:reports-stg")
    failure = json_error("InternalServerException", "Try again", 500)
    with (
        wire_answered(airflow.mwaa, "InvokeRestApi", failure, failure) as requests,
        pytest.raises(AirflowApiError),
    ):
        airflow.pool("athena")
    assert len(requests) == 1

    def time_out(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://airflow")

    monkeypatch.setattr(airflow.mwaa, "invoke_rest_api", time_out)
    with pytest.raises(AirflowApiError) as failed:
        airflow.pool("athena")
    assert not failed.value.is_rejection
