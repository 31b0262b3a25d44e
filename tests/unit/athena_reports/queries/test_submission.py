"""How a query is started;
tests/world and tests/services/test_scenarios.py show that it is paid once.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from botocore.exceptions import ClientError

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.queries.failures import QueryFailedError
from athena_reports.queries.ownership import Submission
from athena_reports.queries.submission import (
    LOOK_BACK,
    MAX_EXECUTIONS,
    PAUSES_SECONDS,
    executed_sql,
    executions_of_intention,
    recent_submissions,
    submit_once,
)
from tests.support.aws_errors import LOST, THROTTLED, api_error
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.submissions import of_author, start, start_sql, submission
from tests.support.virtual_clock import VirtualClock


def submit(made: Submission | None = None, *, is_retry: bool = True) -> str:
    return submit_once(made or submission(), SharedSessionHook(), is_retry=is_retry)


def test_a_first_try_is_one_call_that_botocore_does_not_repeat(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = SharedSessionHook(config={"read_timeout": 42, "retries": {"total_max_attempts": 5}})
    used: list[Any] = []
    monkeypatch.setattr(AthenaHook, "get_conn", lambda hook: used.append(hook.config) or athena)
    submit_once(submission(), hook, is_retry=False)

    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]
    assert (used[-1].retries, used[-1].read_timeout) == ({"total_max_attempts": 1}, 42)
    assert hook.config.retries == {"total_max_attempts": 5}


@pytest.mark.parametrize(
    ("error", "starts"),
    [
        (THROTTLED, len(PAUSES_SECONDS) + 1),
        (LOST, len(PAUSES_SECONDS) + 1),
        (api_error("AccessDeniedException"), 1),
    ],
)
def test_only_a_start_that_was_not_served_is_sent_again_after_longer_and_longer_pauses(
    clock: VirtualClock,
    athena: MemoryAthena,
    logged: Callable[[], list[str]],
    error: Exception,
    starts: int,
) -> None:
    def refuse(action: str) -> None:
        if action == "StartQueryExecution":
            raise error

    athena.before = refuse
    logged()
    with pytest.raises(type(error)):
        submit(is_retry=False)
    warned = [line for line in logged() if line.startswith("warning: ")]
    assert warned == [
        f"warning: Athena did not answer, so the query is looked up again in {pause} s: {error}"
        for pause in PAUSES_SECONDS[: starts - 1]
    ]
    assert athena.count("StartQueryExecution") == starts
    longest = sum(PAUSES_SECONDS[: starts - 1])
    assert longest / 2 <= clock.seconds <= longest


def test_a_query_that_fails_in_passing_is_started_again_in_another_folder_after_longer_pauses(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    athena.plan = lambda _: Plan(
        states=(), end="FAILED", error={"ErrorCategory": 1, "ErrorType": 1403}
    )
    made = submission(unload_to="s3://results/unload/")
    submit(made, is_retry=False)
    with pytest.raises(
        QueryFailedError, match=r"4 executions of the query.*The last one: Query q-4 is FAILED"
    ) as caught:
        submit(made)
    assert (caught.value.execution_id, caught.value.category, caught.value.type) == ("q-4", 1, 1403)

    assert [query.request["QueryString"] for query in athena.queries.values()] == [
        made.sql(n) for n in range(4)
    ]
    started = [query.submitted_at.timestamp() for query in athena.queries.values()]
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert len(pauses) == MAX_EXECUTIONS - 1
    assert all(
        most / 2 <= pause <= most for pause, most in zip(pauses, PAUSES_SECONDS, strict=False)
    )


def test_the_latest_executions_are_asked_for_in_pages_that_athena_allows(
    athena: MemoryAthena,
) -> None:
    start(
        athena,
        *[submission(run_id=str(number)) for number in range(320)],
        submission(workgroup="stg"),
    )

    found = {execution.id for _, execution in recent_submissions(athena, "dev")}
    assert found == {f"q-{number}" for number in range(320, 320 - LOOK_BACK, -1)}
    assert athena.count("BatchGetQueryExecution") == LOOK_BACK / 50
    assert list(recent_submissions(athena, "empty")) == []


def test_queries_behind_pages_without_any_are_found(athena: MemoryAthena) -> None:
    """AWS may send an empty page with a token of the next one."""
    id_ = submit(is_retry=False)
    (edited,) = start(athena, submission("SELECT 2"))
    athena.forget_tokens()
    athena.empty_pages = 2
    assert submit() == id_
    assert list(athena.queries) == [id_, edited]

    athena.cancel(id_)
    assert submit() not in (id_, edited)
    assert athena.queries[edited].cancelled_at is not None, "nobody wants it any more"


def test_a_retry_neither_adopts_nor_stops_what_an_author_runs(athena: MemoryAthena) -> None:
    athena.plan = lambda _: Plan.endless()
    start(athena, of_author())
    submit()
    assert athena.count("StopQueryExecution") == 0
    assert athena.states == ["RUNNING", "RUNNING"]


def test_of_the_queries_before_an_edit_only_one_that_still_runs_is_stopped(
    athena: MemoryAthena,
) -> None:
    (ended,) = start(athena, submission("SELECT 2"))
    athena.cancel(ended)
    athena.plan = lambda _: Plan.endless()
    (running,) = start(athena, submission("SELECT 3"))
    stop = athena.stop_query_execution
    stopped: list[str] = []

    def note_stop(QueryExecutionId: str) -> dict[str, Any]:
        stopped.append(QueryExecutionId)
        return stop(QueryExecutionId)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(athena, "stop_query_execution", note_stop)
        submit()
    assert stopped == [running]


ENFORCED = {"ResultConfiguration": {"OutputLocation": "s3://results/"}}
OFFERED = {**ENFORCED, "EnforceWorkGroupConfiguration": False}
MANAGED = {"ManagedQueryResultsConfiguration": {"Enabled": True}}


@pytest.mark.parametrize(
    ("configuration", "asked_for", "lies_in", "is_ours", "calls"),
    [
        (OFFERED, "s3://results/", "s3://results/", True, 0),
        (OFFERED, "s3://results", "s3://results/", True, 0),
        (OFFERED, "s3://results/", "s3://results/Unsaved/2026/11/27/", True, 0),
        (OFFERED, "s3://results/", "s3://results-of-mine/", False, 1),
        (OFFERED, "s3://others/", "s3://results/", False, 1),
        (OFFERED, "", "s3://results/", True, 1),
        (OFFERED, "", "s3://others/", False, 1),
        (ENFORCED, "s3://results/", "s3://results/", True, 0),
        (ENFORCED, "s3://others/", "s3://results/", True, 1),
        (ENFORCED, "s3://others/", "s3://third/", False, 1),
        ({}, "s3://others/", "s3://others/", True, 0),
        ({}, "s3://others/", "s3://third/", False, 1),
        (OFFERED, "s3://results/", "", False, 1),
        (MANAGED, "", "", True, 0),
        (MANAGED, "", "s3://mine/", False, 1),
    ],
)
def test_an_execution_is_ours_only_if_its_result_lies_where_it_was_asked_for_or_the_workgroup_says(
    athena: MemoryAthena,
    monkeypatch: pytest.MonkeyPatch,
    configuration: Any,
    asked_for: str,
    lies_in: str,
    is_ours: bool,
    calls: int,
) -> None:
    """The workgroup is asked for at most once, and not where the location is the expected one."""
    start(athena, submission(output=asked_for), submission(output=asked_for, run_id="run-2"))
    describe = athena.describe

    def described(id_: str) -> dict[str, Any]:
        location = f"{lies_in}{id_}.csv" if lies_in else ""
        return describe(id_) | {"ResultConfiguration": {"OutputLocation": location}}

    monkeypatch.setattr(athena, "describe", described)
    athena.configuration = configuration
    assert len(list(recent_submissions(athena, "dev"))) == (2 if is_ours else 0)
    assert athena.count("GetWorkGroup") == calls


@pytest.mark.parametrize("cancelled", ["q-1", "q-2"])
def test_an_execution_that_runs_is_taken_whichever_other_one_was_cancelled(
    athena: MemoryAthena, cancelled: str
) -> None:
    athena.plan = lambda _: Plan.endless()
    ids = start(athena, submission(), submission())
    athena.cancel(cancelled)
    assert sorted([submit(), cancelled]) == ids


@pytest.mark.parametrize("copied", ["q-1", "q-2"])
def test_a_copy_that_somebody_runs_hides_no_execution_beside_it(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch, copied: str
) -> None:
    start(athena, submission(), submission(run_id="run-2"))
    describe = athena.describe

    def described(id_: str) -> dict[str, Any]:
        folder = "s3://mine" if id_ == copied else "s3://results"
        return describe(id_) | {"ResultConfiguration": {"OutputLocation": f"{folder}/{id_}.csv"}}

    monkeypatch.setattr(athena, "describe", described)
    athena.configuration = OFFERED
    found = [execution.id for _, execution in recent_submissions(athena, "dev")]
    assert sorted([*found, copied]) == ["q-1", "q-2"]


def test_the_executions_of_an_intention_are_not_those_of_its_run_before_an_edit(
    athena: MemoryAthena,
) -> None:
    start(athena, submission(), submission("SELECT 2"), submission())
    assert {each.id for each in executions_of_intention(athena, "q-1")} == {"q-1", "q-3"}


@pytest.mark.parametrize("unload_to", [None, "s3://results/unload/"])
def test_the_sql_that_ran_is_told_without_its_marker(
    athena: MemoryAthena, unload_to: str | None
) -> None:
    made = submission(unload_to=unload_to)
    (ours,) = start(athena, made)
    theirs = start_sql(athena, "SELECT 2")
    told: Any = athena
    assert executed_sql(told, ours) == made.statement
    assert "athena-reports" not in made.statement
    assert executed_sql(told, theirs) == "SELECT 2"


class Notes:
    """Notes of an earlier try."""

    def __init__(self, *noted: str) -> None:
        self.noted = list(noted)

    def ids(self) -> list[str]:
        return list(self.noted)

    def add(self, query_execution_id: str) -> None:
        self.noted.append(query_execution_id)


def test_what_is_started_is_noted_and_a_noted_execution_costs_one_call(
    athena: MemoryAthena,
) -> None:
    notes = Notes()
    id_ = submit_once(submission(), SharedSessionHook(), is_retry=False, notes=notes)
    assert notes.noted == [id_]
    athena.forget_tokens()
    start(athena, *[submission(run_id=str(number)) for number in range(300)])
    athena.calls.clear()

    assert submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes) == id_
    assert [action for action, _ in athena.calls] == ["BatchGetQueryExecution"]


def test_of_many_notes_the_latest_count(athena: MemoryAthena) -> None:
    """Athena describes 50 executions at once, and the last one is the one that may be current."""
    others = start(athena, *[submission(run_id=str(number)) for number in range(60)])
    notes = Notes(*others)
    id_ = submit_once(submission(), SharedSessionHook(), is_retry=False, notes=notes)
    athena.forget_tokens()
    athena.unlisted = set(athena.queries)
    assert submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes) == id_


def test_of_two_noted_executions_that_are_current_the_latest_is_taken(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """Its rows are the newer ones."""
    ids = []
    for _ in range(2):
        ids += start(athena, submission())
        clock.sleep(60)
    earlier, later = ids
    athena.unlisted = {earlier, later}
    for notes in (Notes(earlier, later), Notes(later, earlier)):
        assert submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes) == later


def test_a_noted_execution_counts_only_if_it_is_of_the_intention_and_current(
    athena: MemoryAthena,
) -> None:
    """The run was edited since, or somebody edited the note."""
    edited = submission("SELECT 2")
    others = start(athena, submission(run_id="run-2"), edited)
    foreign = start_sql(athena, "SELECT 3")
    notes = Notes("not an id", foreign, *others)
    athena.queries["not an id"] = athena.queries[foreign]

    id_ = submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes)
    assert id_ not in (foreign, *others)
    assert athena.states[1] == "CANCELLED", "the edited query is not wanted any more"
    assert athena.states[0] != "CANCELLED"


def test_noted_executions_that_are_spent_are_counted_behind_any_number_of_others(
    athena: MemoryAthena,
) -> None:
    athena.plan = lambda _: Plan(
        states=(), end="FAILED", error={"ErrorCategory": 1, "ErrorType": 1403}
    )
    made = submission(unload_to="s3://results/unload/")
    notes = Notes()
    submit_once(made, SharedSessionHook(), is_retry=False, notes=notes)
    athena.plan = lambda _: Plan()
    athena.forget_tokens()
    start(athena, *[submission(run_id=str(number)) for number in range(300)])

    again = submit_once(made, SharedSessionHook(), is_retry=True, notes=notes)
    assert athena.queries[again].request["QueryString"] == made.sql(1), "in a folder of its own"


def test_a_noted_execution_that_athena_does_not_describe_is_looked_for_by_its_marker(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchGetQueryExecution leaves out what it could not process."""
    notes = Notes()
    id_ = submit_once(submission(), SharedSessionHook(), is_retry=False, notes=notes)
    athena.forget_tokens()
    batch = athena.batch_get_query_execution

    def process_nothing_once(**request: Any) -> dict[str, Any]:
        monkeypatch.setattr(athena, "batch_get_query_execution", batch)
        return {"QueryExecutions": [], "UnprocessedQueryExecutionIds": []}

    monkeypatch.setattr(athena, "batch_get_query_execution", process_nothing_once)
    assert submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes) == id_


@pytest.mark.parametrize(
    ("errors", "calls", "is_found"),
    [
        ([], 1, True),
        ([THROTTLED, LOST], 3, True),
        # Athena says so of an id that it does not know.
        ([api_error("InvalidRequestException")], 1, False),
    ],
    ids=["described", "not served at first", "unknown"],
)
def test_an_execution_that_athena_did_not_process_is_asked_for_alone(
    errors: list[Exception],
    calls: int,
    is_found: bool,
    athena: MemoryAthena,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_, notes = leave_unprocessed(athena, monkeypatch)
    refuse_looks(athena, errors)
    found = submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes)
    assert (found == id_) == is_found
    assert len(athena.queries) == (1 if is_found else 2)
    assert athena.count("GetQueryExecution") >= calls


def test_while_an_execution_may_not_be_looked_at_no_other_one_is_started(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, notes = leave_unprocessed(athena, monkeypatch)
    refuse_looks(athena, [api_error("AccessDeniedException")])
    with pytest.raises(ClientError, match="AccessDenied"):
        submit_once(submission(), SharedSessionHook(), is_retry=True, notes=notes)
    assert len(athena.queries) == 1


def leave_unprocessed(athena: MemoryAthena, patch: pytest.MonkeyPatch) -> tuple[str, Notes]:
    """Start a query whose id is noted, and which BatchGetQueryExecution does not process."""
    notes = Notes()
    id_ = submit_once(submission(), SharedSessionHook(), is_retry=False, notes=notes)
    athena.forget_tokens()
    athena.unlisted = {id_}

    def process_nothing(QueryExecutionIds: list[str]) -> dict[str, Any]:
        unprocessed = [{"QueryExecutionId": unprocessed_id} for unprocessed_id in QueryExecutionIds]
        return {"UnprocessedQueryExecutionIds": unprocessed}

    patch.setattr(athena, "batch_get_query_execution", process_nothing)
    return id_, notes


def refuse_looks(athena: MemoryAthena, errors: list[Exception]) -> None:
    """Let the next looks at one execution fail."""

    def refuse(action: str) -> None:
        if action == "GetQueryExecution" and errors:
            raise errors.pop(0)

    athena.before = refuse
