"""How the waits of a triggerer share their looks."""

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    UnauthorizedSSOTokenError,
)
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.queries.execution import QueryExecution
from athena_reports.steps.query_poller import (
    ANSWER_WITHIN_SECONDS,
    CALLS_PER_SECOND,
    IDS_PER_CALL,
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    NoAnswerError,
    QueryPoller,
)
from athena_reports.steps.shared_poller import Connection
from tests.support.aws_errors import THROTTLED, api_error
from tests.support.memory_athena import MemoryAthena, Plan, nothing, serve
from tests.support.submissions import start_sql
from tests.support.triggers import CONNECTION as GAMES
from tests.support.virtual_clock import START, VirtualClock, virtual_clock

CONNECTION = Connection("aws_default")
NO_NETWORK = EndpointConnectionError(endpoint_url="https://athena.example")
DENIED = api_error("AccessDeniedException", "not authorized")


def start(athena: MemoryAthena, seconds: float) -> str:
    """Submit a query that runs so long."""
    id_ = start_sql(athena, "SELECT 1")
    athena.queries[id_].plan = Plan(states=(("QUEUED", seconds / 2), ("RUNNING", seconds / 2)))
    return id_


async def end_of(query_id: str, connection: Connection = CONNECTION) -> QueryExecution:
    """Wait for the end of a query."""
    executions = [each async for each in QueryPoller.of(connection).states(query_id)]
    return executions[-1]


async def ends_of(query_ids: Sequence[str], clock: VirtualClock) -> dict[str, float]:
    """Wait for all of them at once; when each wait has ended, in seconds from the start."""
    ended: dict[str, float] = {}

    async def note_end(query_id: str) -> None:
        assert (await end_of(query_id)).id == query_id
        ended[query_id] = clock.seconds

    await asyncio.gather(*map(note_end, query_ids))
    return ended


def failing(
    clock: VirtualClock, error: Exception, *spans: tuple[float, float]
) -> Callable[[str], None]:
    """Let each call within some spans, in seconds, fail."""

    def refuse(action: str) -> None:
        if any(first <= clock.seconds < last for first, last in spans):
            raise error

    return refuse


def calls_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for queries, in seconds from the start."""
    return [
        (at - START).total_seconds()
        for action, at in athena.calls
        if action == "BatchGetQueryExecution"
    ]


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=120))
def test_no_end_is_noticed_later_than_a_pause_and_the_calls_of_a_look(
    run_seconds: list[float],
) -> None:
    athena = MemoryAthena()
    with virtual_clock() as clock, pytest.MonkeyPatch.context() as patch:
        serve(athena, patch)
        ids = [start(athena, seconds) for seconds in run_seconds]
        ended = clock.run(ends_of(ids, clock))

    seconds_of_a_look = -(-len(ids) // IDS_PER_CALL) / CALLS_PER_SECOND
    for query_id, seconds in zip(ids, run_seconds, strict=True):
        assert 0 <= ended[query_id] - seconds <= PAUSE_SECONDS + seconds_of_a_look + 0.01


@pytest.mark.parametrize("waits", [1, 50, 51, 500])
def test_a_call_asks_for_fifty_and_a_triggerer_makes_five_a_second(
    athena: MemoryAthena, clock: VirtualClock, waits: int
) -> None:
    ids = [start(athena, 29.5) for _ in range(waits)]
    clock.run(ends_of(ids, clock))
    calls = calls_of(athena)
    calls_of_a_look = math.ceil(waits / IDS_PER_CALL)
    looks = 30 / (PAUSE_SECONDS + (calls_of_a_look - 1) / CALLS_PER_SECOND)
    assert len(calls) <= (looks + 2) * calls_of_a_look
    assert max(Counter(int(at) for at in calls).values()) <= CALLS_PER_SECOND
    assert athena.count("GetQueryExecution") == 0


def test_two_connections_have_a_client_each_and_share_the_calls(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A region is another Athena."""
    regions = ("us-east-1", "eu-west-1")
    athenas = {region: MemoryAthena() for region in regions}
    made: list[str] = []

    def get_conn(hook: AthenaHook) -> MemoryAthena:
        made.append(str(hook.region_name))
        return athenas[str(hook.region_name)]

    monkeypatch.setattr(AthenaHook, "get_conn", get_conn)
    queries = [(region, start(athenas[region], 9)) for region in regions for _ in range(100)]

    async def wait_for_all() -> None:
        waits = [end_of(query, Connection("aws_default", region)) for region, query in queries]
        await asyncio.gather(*waits)

    clock.run(wait_for_all())
    assert sorted(made) == sorted(regions)
    calls = [int(at) for athena in athenas.values() for at in calls_of(athena)]
    assert max(Counter(calls).values()) <= CALLS_PER_SECOND


def test_a_wait_that_ends_leaves_the_others_their_look(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """And when the last one has left, nobody asks any more."""
    short, long = start(athena, 3), start(athena, 20)

    async def cancel_one() -> None:
        cancelled = asyncio.create_task(end_of(start(athena, 60)))
        others = asyncio.create_task(ends_of([short, long], clock))
        await asyncio.sleep(5)
        cancelled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled
        await others
        await asyncio.sleep(30)

    clock.run(cancel_one())
    assert 20 <= calls_of(athena)[-1] <= 20 + 2 * PAUSE_SECONDS


def test_two_waits_for_one_query_both_end(athena: MemoryAthena, clock: VirtualClock) -> None:
    """As when a cleared task waits for its query again before the old trigger was ended."""
    query = start(athena, 3)

    async def wait_twice() -> list[QueryExecution]:
        return await asyncio.gather(end_of(query), end_of(query))

    assert [execution.state for execution in clock.run(wait_twice())] == ["SUCCEEDED"] * 2


@pytest.mark.parametrize("error", [NO_NETWORK, THROTTLED, DENIED, RuntimeError("a bug")])
def test_a_time_without_answers_fails_no_wait_and_a_long_one_each(
    athena: MemoryAthena, clock: VirtualClock, error: Exception
) -> None:
    """Each wait counts from its own last answer."""
    early, late = start(athena, 400), start(athena, 10_000)
    spans = [(5, 5 + ANSWER_WITHIN_SECONDS / 2), (500, math.inf)]
    athena.before = failing(clock, error, *spans)

    async def wait_for_both() -> list[Any]:
        return await asyncio.gather(end_of(early), end_of(late), return_exceptions=True)

    ended, failed = clock.run(wait_for_both())
    assert ended.state == "SUCCEEDED"
    assert isinstance(failed, NoAnswerError)
    assert f"Could not get the status of query {late} for 30" in str(failed)
    assert str(error) in str(failed)
    assert clock.seconds == pytest.approx(
        500 + ANSWER_WITHIN_SECONDS, abs=2 * LONGEST_PAUSE_SECONDS
    )


def test_it_gives_way_while_athena_throttles(athena: MemoryAthena, clock: VirtualClock) -> None:
    query = start(athena, 130)
    athena.before = failing(clock, THROTTLED, (0, 120))
    clock.run(end_of(query))
    calls = [at for at in calls_of(athena) if at < 120]
    pauses = [after - before for before, after in pairwise(calls)]
    assert pauses == pytest.approx([2, 4, 8, *[LONGEST_PAUSE_SECONDS] * (len(pauses) - 3)])
    assert clock.seconds - 130 <= LONGEST_PAUSE_SECONDS + PAUSE_SECONDS


def test_what_a_throttled_look_leaves_out_comes_first_in_the_next(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """Of each two calls the second is throttled, and yet each query has its turn."""
    calls = 0

    def throttle(action: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise THROTTLED

    # The calls of the first look ask for the long ones. They must not be asked for alone.
    long_ids = [start(athena, 100) for _ in range(100)]
    short_ids = [start(athena, 10) for _ in range(150)]
    athena.before = throttle
    ended = clock.run(ends_of([*long_ids, *short_ids], clock))
    assert max(ended[query_id] for query_id in short_ids) < 25
    assert max(ended[query_id] for query_id in long_ids) < 115


def change_answers(
    athena: MemoryAthena, patch: pytest.MonkeyPatch, change: Callable[[list[str], Any], Any]
) -> None:
    """Let Athena's answers about queries be changed by the ids that were asked for."""
    answer = athena.batch_get_query_execution
    patch.setattr(
        athena,
        "batch_get_query_execution",
        lambda QueryExecutionIds: change(QueryExecutionIds, answer(QueryExecutionIds)),
    )


def refuse_unknown(ids: list[str], response: Any) -> Any:
    if "unknown" in ids:
        raise DENIED
    return response


@pytest.mark.parametrize("is_waited_for_first", [True, False])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _, response: response, "QueryExecution unknown was not found (INVALID_INPUT)"),
        (refuse_unknown, "not authorized"),
        (
            lambda _, response: response | {"UnprocessedQueryExecutionIds": []},
            "missing from BatchGetQueryExecution",
        ),
    ],
    ids=["of one id", "of the call", "without a word"],
)
def test_an_id_that_may_not_be_read_fails_its_own_wait_only(
    athena: MemoryAthena,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    change: Any,
    reason: str,
    is_waited_for_first: bool,
) -> None:
    ids = [start(athena, 400) for _ in range(40)]  # with the unknown one, they fit into one call
    change_answers(athena, monkeypatch, change)

    async def wait_for_all() -> list[Any]:
        others = asyncio.create_task(ends_of(ids, clock))
        if not is_waited_for_first:
            await asyncio.sleep(1)  # by then the others are waited for
        unknown = asyncio.wait_for(end_of("unknown"), 10_000)
        return await asyncio.gather(unknown, others, return_exceptions=True)

    failed, ended = clock.run(wait_for_all())
    assert isinstance(failed, NoAnswerError)
    assert reason in str(failed)
    assert ended.keys() == set(ids)
    assert max(ended.values()) - 400 <= 2


def test_an_id_that_is_unprocessed_for_some_looks_is_read_by_a_later_one(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = start(athena, 20)
    unprocessed = {"QueryExecutionId": query, "ErrorCode": "INTERNAL_FAILURE"}

    def leave_unprocessed(_: list[str], response: Any) -> Any:
        return response if clock.seconds > 10 else {"UnprocessedQueryExecutionIds": [unprocessed]}

    change_answers(athena, monkeypatch, leave_unprocessed)
    assert clock.run(end_of(query)).state == "SUCCEEDED"


def test_a_look_goes_on_when_only_its_call_was_cancelled(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow cancels what its triggers have asked when it loses its supervisor."""
    query = start(athena, 10)

    def cancel(_: list[str], response: Any) -> Any:
        if 3 < clock.seconds < 6:
            raise asyncio.CancelledError
        return response

    change_answers(athena, monkeypatch, cancel)
    assert clock.run(end_of(query)).state == "SUCCEEDED"


def test_an_answer_that_cannot_be_read_ends_no_wait(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = start(athena, 20)
    read = QueryExecution.from_response

    def refuse_at_first(response: Any, region: str) -> QueryExecution:
        if clock.seconds < 10:
            raise ValueError("Athena has sent what no release knows")
        return read(response, region)

    monkeypatch.setattr(QueryExecution, "from_response", refuse_at_first)
    assert clock.run(end_of(query)).state == "SUCCEEDED"


def test_one_failed_call_after_a_long_time_fails_no_wait(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """As when a triggerer was frozen, and comes back while the network does not answer yet."""
    query = start(athena, 2_000)

    async def freeze() -> QueryExecution:
        waiting = asyncio.create_task(end_of(query))
        await asyncio.sleep(5)
        clock.sleep(1_000)
        return await waiting

    athena.before = failing(clock, NO_NETWORK, (1_000, 1_010))
    assert clock.run(freeze()).state == "SUCCEEDED"


@pytest.mark.parametrize("error", [THROTTLED, NO_NETWORK])
def test_a_stop_that_is_not_served_is_repeated(
    athena: MemoryAthena, clock: VirtualClock, error: Exception
) -> None:
    query = start(athena, 60)
    athena.before = failing(clock, error, (0, 2.5))
    clock.run(QueryPoller.of(CONNECTION).stop(query))
    assert athena.states == ["CANCELLED"]

    athena.before = nothing
    other = start(athena, 60)
    athena.before = failing(clock, DENIED, (0, math.inf))
    with pytest.raises(ClientError):
        clock.run(QueryPoller.of(CONNECTION).stop(other))
    assert athena.count("StopQueryExecution") == 5


def test_a_client_gives_up_a_call_that_hangs_unless_the_connection_says_otherwise() -> None:
    """Meanwhile nobody else is asked for."""

    def config_of(**botocore_config: Any) -> Any:
        look = QueryPoller.of(
            Connection("aws_default", "us-east-1", botocore_config=botocore_config)
        )
        return asyncio.run(look.clients()).meta.config

    usual = config_of()
    assert (usual.connect_timeout, usual.read_timeout) == (5, 10)
    assert usual.retries["total_max_attempts"] == 1
    patient = config_of(read_timeout=99, retries={"total_max_attempts": 4})
    assert (patient.connect_timeout, patient.read_timeout) == (5, 99)
    assert patient.retries["total_max_attempts"] == 4


def test_each_connection_has_its_own_poller() -> None:
    others: Any = {
        "aws_conn_id": None,
        "region_name": None,
        "verify": True,
        "botocore_config": {"read_timeout": 43},
    }
    keys = {Connection(**GAMES | {name: other}).key for name, other in others.items()}
    assert len(keys | {Connection(**GAMES).key}) == 1 + len(others)
    hook = Connection(**GAMES).new_hook()
    assert (hook.aws_conn_id, hook._region_name, hook._verify) == ("aws_games", "us-west-2", False)
    in_another_order = {"retries": 1, "read_timeout": 42}
    in_order = {"read_timeout": 42, "retries": 1}
    assert (
        Connection("a", botocore_config=in_order).key
        == Connection("a", botocore_config=in_another_order).key
    )


@pytest.mark.parametrize("first", ["stop", "wait"])
def test_a_wait_that_nobody_waits_beside_uses_new_clients(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The connection may have changed since the poller made the last ones."""
    old, new = MemoryAthena(), MemoryAthena()
    first_query, second_query = start(old, 3), start(new, 3)
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: old)
    if first == "stop":
        clock.run(QueryPoller.of(CONNECTION).stop(first_query))
    else:
        clock.run(end_of(first_query))

    old.before = failing(clock, NO_NETWORK, (0, math.inf))
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: new)
    assert clock.run(end_of(second_query)).state == "SUCCEEDED"


def test_what_an_ended_event_loop_asked_for_can_be_asked_for_again(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    query = start(athena, 60)
    with pytest.raises(TimeoutError):
        clock.run(asyncio.wait_for(end_of(query), 0.5 * PAUSE_SECONDS))
    assert clock.run(end_of(query)).state == "SUCCEEDED"


@pytest.mark.parametrize("refusal", [DENIED, UnauthorizedSSOTokenError()], ids=str)
def test_credentials_that_were_corrected_are_used(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    """A client has those of when it was made."""
    old, new = MemoryAthena(), MemoryAthena()
    query = start(new, 30)

    old.before = failing(clock, refusal, (0, math.inf))
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: old if clock.seconds < 10 else new)
    assert clock.run(end_of(query)).state == "SUCCEEDED"


def test_a_wait_says_once_that_athena_does_not_answer_and_the_look_says_nothing(
    athena: MemoryAthena, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    query = start(athena, 60)
    athena.before = failing(clock, NO_NETWORK, (5, 20), (30, 40))
    with caplog.at_level(logging.INFO):
        clock.run(end_of(query))
    said = [record.getMessage() for record in caplog.records if "response" in record.getMessage()]
    assert len(said) == 2
    assert all("https://athena.example" in line for line in said)
