from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.errors import QueryError
from athena_reports.queries.ownership import Submission
from athena_reports.queries.submission import (
    LOOK_BACK,
    MAX_EXECUTIONS,
    current_execution,
    recent_executions,
    stop_all,
    submit_once,
)
from tests.library.queries.samples import start, start_sql, starter, submission
from tests.simulation.clock import VirtualClock, virtual_clock
from tests.simulation.memory_athena import LOST, MemoryAthena, Plan

pytestmark = pytest.mark.usefixtures("clock")
FORGOTTEN = pytest.mark.parametrize("forgotten", [False, True], ids=["token known", "token forgotten"])


def submit(athena: Any, made: Submission | None = None, *, is_retry: bool = True) -> str:
    return submit_once(made or submission(), athena=athena, start=starter(athena), is_retry=is_retry)


def test_a_first_try_is_one_call(athena: MemoryAthena) -> None:
    submit(athena, is_retry=False)

    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]


@FORGOTTEN
@pytest.mark.parametrize("seconds", [0, 1, 60], ids=["queued", "running", "succeeded"])
def test_a_retry_finds_its_query_whatever_has_become_of_it(
    clock: VirtualClock, athena: MemoryAthena, forgotten: bool, seconds: float
) -> None:
    first = submit(athena, is_retry=False)
    clock.sleep(seconds)
    if forgotten:
        athena.forget_tokens()

    assert submit(athena) == first
    assert len(athena.queries) == 1


def test_a_start_whose_answer_is_lost_leads_back_to_its_query(athena: MemoryAthena) -> None:
    def lose(action: str) -> None:
        if action == "StartQueryExecution":
            raise LOST

    athena.after = lose
    with pytest.raises(type(LOST)):
        submit(athena, is_retry=False)
    athena.after = lambda _: None
    athena.forget_tokens()

    assert submit(athena) == "q-1"


def test_a_query_that_failed_for_good_is_the_current_one(clock: VirtualClock, athena: MemoryAthena) -> None:
    athena.plan = lambda _: Plan.failing(1006, category=2)
    first = submit(athena, is_retry=False)
    clock.sleep(60)

    assert submit(athena) == first


@FORGOTTEN
def test_a_cancelled_query_is_submitted_again(athena: MemoryAthena, forgotten: bool) -> None:
    first = submit(athena, is_retry=False)
    athena.cancel(first)
    if forgotten:
        athena.forget_tokens()

    second = submit(athena)
    assert athena.states == ["CANCELLED", "QUEUED"]
    assert submit(athena) == second != first


@pytest.mark.parametrize("error_type", [0, 233, 1403, 1602])
@pytest.mark.parametrize("unload_to", [None, "s3://results/unload/"])
def test_a_query_that_athena_failed_in_passing_is_submitted_again_with_a_folder_of_its_own(
    clock: VirtualClock, athena: MemoryAthena, error_type: int, unload_to: str | None
) -> None:
    athena.plan = lambda number: Plan() if number else Plan.failing(error_type)
    made = submission(unload_to=unload_to)
    submit(athena, made, is_retry=False)
    clock.sleep(60)

    second = submit(athena, made)
    assert (submit(athena, made), len(athena.queries)) == (second, 2)
    texts = [query.request["QueryString"] for query in athena.queries.values()]
    assert texts == [made.sql(0), made.sql(1)]
    assert len(set(texts)) == (1 if unload_to is None else 2)


@FORGOTTEN
def test_the_number_of_executions_is_bounded_and_the_last_reason_is_told(
    clock: VirtualClock, athena: MemoryAthena, forgotten: bool
) -> None:
    athena.plan = lambda _: Plan.failing(0)
    for _ in range(MAX_EXECUTIONS):
        submit(athena)
        clock.sleep(60)
        if forgotten:
            athena.forget_tokens()
    says = rf"^{MAX_EXECUTIONS} executions.* q-{MAX_EXECUTIONS}, FAILED: Failed with type 0 \[res.* Make"
    with pytest.raises(QueryError, match=says):
        submit(athena)
    assert len(athena.queries) == MAX_EXECUTIONS


def test_a_retry_with_edited_sql_stops_its_predecessor_unless_it_has_ended(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    submit(athena, is_retry=False)

    assert submit(athena, submission("SELECT 2")) == "q-2"
    assert athena.states == ["CANCELLED", "QUEUED"]
    clock.sleep(60)
    submit(athena, submission("SELECT 3"))
    assert athena.count("StopQueryExecution") == 1


def test_editing_back_and_forth_ends_with_one_query_that_was_not_stopped(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    for sql in ("SELECT 1", "SELECT 2", "SELECT 1", "SELECT 2"):
        submit(athena, submission(sql))
    clock.sleep(60)

    assert athena.states == ["CANCELLED", "CANCELLED", "CANCELLED", "SUCCEEDED"]


@pytest.mark.parametrize(
    "others",
    [
        {"environment": "stg"},
        {"dag_id": "plays_monthly"},
        {"run_id": "manual__1"},
        {"task_id": "other_query"},
        {"generation": "1"},
        {"workgroup": "stg", "sql": "SELECT 2"},
    ],
    ids=str,
)
def test_a_retry_takes_no_query_of_another_task_or_run_and_stops_none(
    athena: MemoryAthena, others: dict[str, Any]
) -> None:
    start(athena, submission(**others))
    start_sql(athena, "SELECT 1")

    assert submit(athena) == "q-3"
    assert athena.count("StopQueryExecution") == 0


def test_an_edited_copy_of_the_query_is_neither_taken_nor_stopped(athena: MemoryAthena) -> None:
    first = submit(athena, is_retry=False)
    start_sql(athena, submission().sql(0).replace("SELECT 1", "SELECT 1000"))
    athena.cancel(first)

    assert current_execution(athena, athena.get_query_execution(first)) is None  # type: ignore[arg-type]
    assert submit(athena) == "q-3"
    assert athena.states == ["CANCELLED", "QUEUED", "QUEUED"]


@pytest.mark.parametrize("newer", [LOOK_BACK - 1, LOOK_BACK], ids=["within", "beyond"])
def test_beyond_the_look_back_only_the_token_leads_back(athena: MemoryAthena, newer: int) -> None:
    first = submit(athena, is_retry=False)
    for _ in range(newer):
        start_sql(athena, "SELECT 1")

    assert submit(athena) == first
    athena.forget_tokens()
    assert (submit(athena) == first) == (newer < LOOK_BACK)


def test_the_latest_executions_are_asked_for_in_pages_that_athena_allows(athena: MemoryAthena) -> None:
    for number in range(321):
        start_sql(athena, "SELECT 1", "dev" if number < 320 else "stg")

    client: Any = athena
    found = {each["QueryExecution"]["QueryExecutionId"] for each in recent_executions(client, "dev")}
    assert found == {f"q-{number}" for number in range(320, 320 - LOOK_BACK, -1)}
    assert athena.count("BatchGetQueryExecution") == LOOK_BACK / 50
    assert list(recent_executions(client, "empty")) == []


STEPS = st.lists(st.sampled_from(["crash before", "crash after", "forget", "wait", "cancel", "retry"]), max_size=12)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_happens_between_tries_one_query_is_paid(steps: list[str]) -> None:
    with virtual_clock() as clock:
        athena = MemoryAthena()
        for step in [*steps, "retry"]:
            if step == "forget":
                athena.forget_tokens()
            elif step == "wait":
                clock.sleep(1)
            elif step == "cancel" and athena.queries and athena.states[-1] != "SUCCEEDED":
                if athena.states.count("CANCELLED") < MAX_EXECUTIONS - 1:
                    athena.cancel([*athena.queries][-1])
            elif step == "retry" or step.startswith("crash"):
                _submit_and_crash(athena, step)
        clock.sleep(60)

        assert athena.states.count("SUCCEEDED") == 1
        assert set(athena.states) <= {"SUCCEEDED", "CANCELLED"}


class CrashError(BaseException):
    """The process is gone."""


def _submit_and_crash(athena: MemoryAthena, step: str) -> None:
    def crash(action: str) -> None:
        if action == "StartQueryExecution":
            raise CrashError

    faulty = replace(athena)  # the same queries and tokens
    if step == "crash before":
        faulty.before = crash
    elif step == "crash after":
        faulty.after = crash
    try:
        submit(faulty)
    except CrashError:
        assert step != "retry"


def test_the_current_execution_is_what_a_cancelled_query_was_submitted_again_as(athena: MemoryAthena) -> None:
    client: Any = athena
    first = submit(athena, is_retry=False)
    athena.cancel(first)
    start(athena, submission(run_id="other"))
    somebodys = start_sql(athena, "SELECT 1")
    assert current_execution(client, athena.get_query_execution(first)) is None
    second = submit(athena)

    found = current_execution(client, athena.get_query_execution(first))
    assert found is not None
    assert found.id == second
    assert current_execution(client, athena.get_query_execution(somebodys)) is None


def test_whoever_stops_a_query_stops_every_running_execution_of_its_intention(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    client: Any = athena
    start(athena, submission())
    clock.sleep(60)
    athena.plan = lambda _: Plan.endless()
    ids = start(athena, *[submission()] * 2, submission(run_id="other"))
    somebodys = start_sql(athena, "SELECT 1")

    assert set(stop_all(client, athena.get_query_execution(ids[0]))) == set(ids[:2])
    assert athena.states == ["SUCCEEDED", "CANCELLED", "CANCELLED", "RUNNING", "RUNNING"]
    assert stop_all(client, athena.get_query_execution(somebodys)) == [somebodys]
