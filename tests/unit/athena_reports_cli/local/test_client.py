"""The client of a local Airflow; tests/airflow/test_runtime.py has it talk to a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from athena_reports_cli.local.client import AirflowApiError, AirflowClient, AirflowRuntimeError
from tests.support.rest_api import TOKEN, RestApi, rest_api
from tests.unit.athena_reports_cli.local.airflow_of_runs import (
    DAG_ID,
    AirflowOfRuns,
    run_of,
    task_of,
)

OTHER = {"other": "success"}


@pytest.mark.parametrize(
    ("run_ids", "looks"),
    [
        # A scheduler makes the runs a moment after the DAG was unpaused.
        ([], [{}, {}, {"a": "queued"}, {"a": "running"}, {"a": "success"}]),
        ([], [{"a": "success", "b": "running"}, {"a": "success", "b": "failed"}]),
        (["a"], [{}, OTHER, OTHER | {"a": "running"}, OTHER | {"a": "success"}]),
        (["a", "b"], [{}, {"a": "success"}, {"a": "success", "b": "failed"}]),
        (["a"], [{"a": "success", "other": "running"}]),
    ],
    ids=["none yet", "two of all", "one beside another", "two that are named", "not the other"],
)
def test_runs_are_waited_for_until_they_are_there_and_have_ended(
    run_ids: list[str], looks: list[dict[str, str]], airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = looks
    runs = client.wait_for_runs(DAG_ID, run_ids, timeout_seconds=60)
    assert airflow.number_of_looks == len(looks)
    expected = {id_: state for id_, state in looks[-1].items() if not run_ids or id_ in run_ids}
    assert {run.run_id: run.state for run in runs} == expected


@pytest.mark.parametrize(("looks", "states"), [({}, ""), ({"a": "running"}, "a running")])
def test_runs_that_do_not_end_in_time_are_named_with_their_states(
    looks: dict[str, str], states: str, airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [looks]
    with pytest.raises(AirflowRuntimeError, match=f"{DAG_ID} not done within 0 s: {states}$"):
        client.wait_for_runs(DAG_ID, timeout_seconds=0)


def test_runs_are_waited_for_until_a_state_that_is_asked_for(
    airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [{"a": "queued"}, {"a": "running"}, {"a": "success"}]
    runs = client.wait_for_runs(
        DAG_ID, until=lambda runs: runs[0].state == "running", timeout_seconds=60
    )
    assert [run.state for run in runs] == ["running"]


def test_a_wait_ends_with_the_reason_of_the_check(airflow: AirflowOfRuns) -> None:
    """Such as a component that has ended, and whose runs would never end."""

    def check() -> None:
        raise AirflowRuntimeError("the scheduler has ended")

    airflow.looks = [{"a": "running"}]
    client = AirflowClient(airflow.url, "admin", "secret", check)
    with pytest.raises(AirflowRuntimeError, match="the scheduler has ended"):
        client.wait_for_runs(DAG_ID, timeout_seconds=60)


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


RUN = run_of("a", "success")
RUNS = "/api/v2/dags/best_weekly/dagRuns"
TASKS = f"{RUNS}/a/taskInstances"
FIRST = datetime(2025, 3, 1, tzinfo=UTC)
LAST = datetime(2025, 3, 3, tzinfo=UTC)
CLEAR = {
    "dry_run": False,
    "dag_run_id": "a",
    "only_failed": False,
    "include_downstream": True,
}
CALLS: dict[str, tuple[Callable[[AirflowClient], Any], Any, str, Any]] = {
    # The call, the answer, and what it asks for.
    "health": (lambda client: client.health(), {}, "GET /api/v2/monitor/health", None),
    "pause": (
        lambda client: client.pause(DAG_ID),
        {},
        "PATCH /api/v2/dags/best_weekly",
        {"is_paused": True},
    ),
    "unpause": (
        lambda client: client.unpause(DAG_ID),
        {},
        "PATCH /api/v2/dags/best_weekly",
        {"is_paused": False},
    ),
    "trigger": (
        lambda client: client.trigger(DAG_ID),
        RUN,
        f"POST {RUNS}",
        {"conf": {}, "logical_date": None},
    ),
    "trigger with dates": (
        lambda client: client.trigger(DAG_ID, conf={"a": 1}, logical_date=FIRST, run_after=LAST),
        RUN,
        f"POST {RUNS}",
        {
            "conf": {"a": 1},
            "logical_date": "2025-03-01T00:00:00+00:00",
            "run_after": "2025-03-03T00:00:00+00:00",
        },
    ),
    "backfill": (
        lambda client: client.backfill(DAG_ID, FIRST, LAST, max_active_runs=3),
        {"id": 7},
        "POST /api/v2/backfills",
        {
            "dag_id": DAG_ID,
            "from_date": "2025-03-01T00:00:00+00:00",
            "to_date": "2025-03-03T00:00:00+00:00",
            "max_active_runs": 3,
        },
    ),
    "cancel_backfill": (
        lambda client: client.cancel_backfill(7),
        {},
        "PUT /api/v2/backfills/7/cancel",
        None,
    ),
    "runs": (
        lambda client: client.runs(DAG_ID),
        {"dag_runs": [RUN], "total_entries": 1},
        f"GET {RUNS}?order_by=run_after&limit=100&offset=0",
        None,
    ),
    "run": (lambda client: client.run(DAG_ID, "a"), RUN, f"GET {RUNS}/a", None),
    "task_instances": (
        lambda client: client.task_instances(DAG_ID, "a"),
        {"task_instances": [task_of("a", "transform", "failed", 2)], "total_entries": 1},
        f"GET {TASKS}?limit=100&offset=0",
        None,
    ),
    "task_log": (
        lambda client: client.task_log(DAG_ID, "a", "transform"),
        {"content": []},
        f"GET {TASKS}/transform/logs/1?full_content=true&map_index=-1",
        None,
    ),
    "task_log of a try": (
        lambda client: client.task_log(DAG_ID, "a", "transform", 3, 2),
        {"content": []},
        f"GET {TASKS}/transform/logs/3?full_content=true&map_index=2",
        None,
    ),
    "xcom": (
        lambda client: client.xcom(DAG_ID, "a", "transform"),
        {"value": 1},
        f"GET {TASKS}/transform/xcomEntries/return_value?deserialize=false",
        None,
    ),
    "clear": (
        lambda client: client.clear(DAG_ID, "a"),
        {},
        "POST /api/v2/dags/best_weekly/clearTaskInstances",
        CLEAR,
    ),
    "clear with options": (
        lambda client: client.clear(DAG_ID, "a", only_failed=True, task_ids=["transform"]),
        {},
        "POST /api/v2/dags/best_weekly/clearTaskInstances",
        CLEAR | {"only_failed": True, "task_ids": ["transform"]},
    ),
    "set_state of a run": (
        lambda client: client.set_state(DAG_ID, "a", "failed"),
        {},
        f"PATCH {RUNS}/a",
        {"state": "failed"},
    ),
    "set_state of a task": (
        lambda client: client.set_state(
            DAG_ID, "a", "success", task_id="transform", include_downstream=True
        ),
        {},
        f"PATCH {TASKS}/transform",
        {"new_state": "success", "include_downstream": True},
    ),
}


@pytest.mark.usefixtures("_proxy")
@pytest.mark.parametrize("name", CALLS)
def test_each_method_asks_the_api_for_what_it_says(name: str, asked: Asked) -> None:
    call, asked.reply, request, body = CALLS[name]
    call(AirflowClient(asked.url, "admin", "secret"))
    assert asked.logins == [{"username": "admin", "password": "secret"}]
    ((found, found_body),) = asked.requests
    path, expected_path = urlsplit(found), urlsplit(request)
    assert path.path == expected_path.path
    assert sorted(parse_qsl(path.query)) == sorted(parse_qsl(expected_path.query))
    assert found_body == body


def test_what_the_api_tells_is_returned(asked: Asked) -> None:
    client = AirflowClient(asked.url, "admin", "secret")
    asked.reply = {"id": "7"}
    assert client.backfill(DAG_ID, FIRST, LAST) == 7
    asked.reply = {"value": {"a": 1}}
    assert client.xcom(DAG_ID, "a", "transform") == {"a": 1}
    asked.reply = {"content": [{"event": "茶"}, {"event": "b"}]}
    assert client.task_log(DAG_ID, "a", "transform") == '{"event": "茶"}\n{"event": "b"}'
    asked.reply = RUN | {"partition_key": "2025-03-01", "conf": {"a": 1}}
    run = client.run(DAG_ID, "a")
    assert (run.dag_id, run.run_id, run.state, run.finished) == (DAG_ID, "a", "success", True)
    assert (run.partition_key, run.conf) == ("2025-03-01", {"a": 1})
    assert len(asked.logins) == 1  # the token is kept
    asked.reply = {"task_instances": [task_of("a", "transform", "failed", 2)], "total_entries": 1}
    (task,) = client.task_instances(DAG_ID, "a")
    assert (task.run_id, task.task_id, task.state, task.try_number) == (
        "a",
        "transform",
        "failed",
        2,
    )


@pytest.mark.parametrize(
    ("state", "finished"),
    [("queued", False), ("running", False), ("success", True), ("failed", True)],
)
def test_a_run_has_finished_if_it_succeeded_or_failed(
    state: str, finished: bool, asked: Asked
) -> None:
    asked.reply = run_of("a", state)
    assert AirflowClient(asked.url, "admin", "secret").run(DAG_ID, "a").finished == finished


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250])
def test_a_listing_is_read_page_by_page(number: int, asked: Asked) -> None:
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
    assert AirflowClient(asked.url, "a", "b").rows("/x", "rows", state="failed") == rows
    assert len(asked.requests) == max(1, -(-number // 100))


def test_a_listing_that_shrinks_meanwhile_ends(asked: Asked) -> None:
    asked.reply = {"rows": [], "total_entries": 5}
    assert AirflowClient(asked.url, "admin", "secret").rows("/x", "rows") == []


def test_a_refusal_tells_request_status_and_body(asked: Asked) -> None:
    asked.status, asked.reply = HTTPStatus.CONFLICT, {"detail": "There is one."}
    with pytest.raises(AirflowApiError) as refused:
        AirflowClient(asked.url, "admin", "secret").unpause(DAG_ID)
    assert (refused.value.status, refused.value.body) == (409, '{"detail": "There is one."}')
    assert str(refused.value) == (
        'PATCH /api/v2/dags/best_weekly was answered with 409: {"detail": "There is one."}'
    )


def test_an_api_that_does_not_answer_is_told_with_its_address_or_why() -> None:
    checks = []
    client = AirflowClient("http://127.0.0.1:9", "admin", "secret", lambda: checks.append(1))
    problem = r"GET http://127\.0\.0\.1:9/api/v2/monitor/health: ConnectError\("
    with pytest.raises(AirflowRuntimeError, match=problem):
        client.health()
    assert checks == [1]


def test_a_login_that_is_refused_is_an_error(asked: Asked) -> None:
    asked.answer = lambda *_: (HTTPStatus.UNAUTHORIZED, {})  # type: ignore[method-assign]
    with pytest.raises(AirflowRuntimeError, match="401"):
        AirflowClient(asked.url, "admin", "wrong").health()
