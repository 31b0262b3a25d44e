"""What users of the provider's Athena operator, sensor and trigger rely on, and where ours differ on purpose.

The first half holds for both; each test of the second half names one difference, and shows the provider's own
behaviour beside ours, so that a new version of the provider is noticed.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from athena_reports.queries.submit_operator import AthenaSubmitOperator
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_sensor import AthenaWaitSensor
from athena_reports.queries.wait_trigger import AthenaWaitTrigger
from tests.library.queries.samples import start_sql
from tests.library.queries.tasks import context
from tests.simulation.clock import VirtualClock
from tests.simulation.memory_athena import MemoryAthena, Plan, api_error

OPERATOR: dict[str, Any] = {
    "query": "SELECT * FROM plays",
    "database": "games",
    "output_location": "s3://results/",
    "workgroup": "analysts",
    "catalog": "AwsDataCatalog",
    "aws_conn_id": "aws_games",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"read_timeout": 42},
}
CONNECTION = {name: OPERATOR[name] for name in ("aws_conn_id", "region_name", "verify", "botocore_config")}


@pytest.fixture(autouse=True)
def _provider(athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_GAMES", "aws://")
    monkeypatch.setattr(AthenaHook, "poll_query_status", _poll)


def _poll(hook: AthenaHook, id_: str, max_polling_attempts: int | None = None, sleep_time: int = 30) -> Any:
    """As the provider polls, without the waiter of a botocore client: look, and else sleep."""
    import time

    for _ in range(max_polling_attempts or 120):
        if (state := hook.check_query_status(id_)) not in hook.INTERMEDIATE_STATES:
            break
        time.sleep(sleep_time)
    return state


def operator(kind: type[AthenaOperator], **fields: Any) -> Any:
    with DAG("plays", schedule=None):
        return kind(task_id="query", **OPERATOR | fields)


def sensor(kind: type[AthenaSensor], **fields: Any) -> Any:
    with DAG("plays", schedule=None):
        return kind(task_id="wait", **{"query_execution_id": "q-1"} | CONNECTION | fields)


# --- the same


def parameters(kind: type) -> dict[str, Any]:
    found = inspect.signature(kind).parameters
    return {name: parameter.default for name, parameter in found.items() if parameter.kind.name != "VAR_KEYWORD"}


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator])
def test_the_operator_takes_and_keeps_the_providers_arguments(kind: type[AthenaOperator]) -> None:
    task = operator(kind, client_request_token="t" * 32, sleep_time=5, max_polling_attempts=7, log_query=False)

    given = OPERATOR | {"client_request_token": "t" * 32, "sleep_time": 5, "max_polling_attempts": 7}
    assert {name: getattr(task, name) for name in given} == given
    assert task.log_query is False
    assert task.query_execution_id is None


@pytest.mark.parametrize("kind", [AthenaSensor, AthenaWaitSensor])
def test_the_sensor_takes_and_keeps_the_providers_arguments(kind: type[AthenaSensor]) -> None:
    task = sensor(kind, sleep_time=5, max_retries=3)

    given = CONNECTION | {"query_execution_id": "q-1", "sleep_time": 5, "max_retries": 3}
    assert {name: getattr(task, name) for name in given} == given


@pytest.mark.parametrize("build", [operator, sensor], ids=["operator", "sensor"])
def test_the_hook_is_made_of_the_same_connection(build: Any) -> None:
    theirs, ours = (AthenaOperator, AthenaSubmitOperator) if build is operator else (AthenaSensor, AthenaWaitSensor)
    hooks: list[Any] = [build(kind).hook for kind in (theirs, ours)]

    assert {type(hook) for hook in hooks} == {AthenaHook}
    for hook in hooks:
        assert hook.aws_conn_id == "aws_games"
        assert hook._region_name == "eu-west-1"
        assert hook._verify is False
        assert hook._config.read_timeout == 42


@pytest.mark.parametrize(("ours", "theirs"), [(AthenaSubmitOperator, AthenaOperator), (AthenaWaitSensor, AthenaSensor)])
def test_nothing_that_is_templated_there_is_not_templated_here(ours: Any, theirs: Any) -> None:
    assert set(ours.template_fields) - set(theirs.template_fields) == {"period"}
    assert set(theirs.template_fields) <= set(ours.template_fields)
    assert tuple(ours.template_ext) == tuple(theirs.template_ext)
    assert ours.ui_color == theirs.ui_color
    assert ours.operator_extra_links == theirs.operator_extra_links


def test_the_states_are_the_providers() -> None:
    for name in ("INTERMEDIATE_STATES", "FAILURE_STATES", "SUCCESS_STATES"):
        assert getattr(AthenaWaitSensor, name) == getattr(AthenaHook, name)


def test_the_trigger_takes_the_providers_connection() -> None:
    trigger = AthenaWaitTrigger("q-1", "", WaitPolicy(), **CONNECTION)

    assert isinstance(trigger, AthenaTrigger)
    hook: Any = trigger.hook()
    assert isinstance(hook, AthenaHook)
    assert (hook.aws_conn_id, hook._region_name, hook._verify) == ("aws_games", "eu-west-1", False)
    theirs = AthenaTrigger("q-1", 1, 1, **CONNECTION).serialize()[1]
    assert CONNECTION.items() <= theirs.items()
    assert CONNECTION.items() <= trigger.serialize()[1].items()


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator])
def test_what_the_request_holds_beside_the_query_reaches_athena(
    athena: MemoryAthena, kind: type[AthenaOperator]
) -> None:
    configuration = {"ExpectedBucketOwner": "012345678901", "OutputLocation": "s3://elsewhere/"}
    operator(
        kind, database=None, query_execution_context={"Database": "games"}, result_configuration=configuration
    ).execute(context())
    operator(kind, query_execution_context={"Database": "elsewhere"}).execute(context())

    first, second = (query.request for query in athena.queries.values())
    assert first["QueryExecutionContext"] == {"Database": "games", "Catalog": "AwsDataCatalog"}
    assert first["ResultConfiguration"] == {
        "ExpectedBucketOwner": "012345678901",
        "OutputLocation": "s3://results/",
    }
    assert second["QueryExecutionContext"] == first["QueryExecutionContext"]


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator])
def test_the_operator_returns_the_id_and_starts_the_query_where_it_was_told(
    athena: MemoryAthena, kind: type[AthenaOperator]
) -> None:
    given = context()
    task = operator(kind)

    assert task.execute(given) == task.query_execution_id == "q-1"
    request = athena.queries["q-1"].request
    assert request["QueryString"].startswith("SELECT * FROM plays")
    assert request["QueryExecutionContext"] == {"Database": "games", "Catalog": "AwsDataCatalog"}
    assert request["ResultConfiguration"] == {"OutputLocation": "s3://results/"}
    assert request["WorkGroup"] == "analysts"
    (link,) = kind.operator_extra_links
    assert given["ti"].xcoms[link.key]["query_execution_id"] == "q-1"


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator])
def test_a_killed_operator_stops_its_query(athena: MemoryAthena, kind: type[AthenaOperator]) -> None:
    task = operator(kind)
    task.query_execution_id = start_sql(athena, "SELECT 1")
    task.on_kill()

    assert athena.states == ["CANCELLED"]


@pytest.mark.parametrize("kind", [AthenaSensor, AthenaWaitSensor])
@pytest.mark.parametrize(
    ("plan", "fails"),
    [(Plan(), False), (Plan.failing(1006, category=2), True), (Plan(end="CANCELLED"), True)],
    ids=["SUCCEEDED", "FAILED", "CANCELLED"],
)
def test_the_sensor_succeeds_and_fails_with_its_query(
    athena: MemoryAthena, clock: VirtualClock, kind: type[AthenaSensor], plan: Plan, fails: bool
) -> None:
    started(athena, plan)
    clock.sleep(60)
    if fails:
        with pytest.raises(AirflowException):
            sensor(kind).poke({})
    else:
        assert bool(sensor(kind).poke({})) is True


def started(athena: MemoryAthena, plan: Plan) -> None:
    athena.plan = lambda _: plan
    start_sql(athena, "SELECT 1")


# --- different, on purpose


def test_differs_the_operator_returns_at_once_and_never_looks(athena: MemoryAthena, clock: VirtualClock) -> None:
    operator(AthenaOperator, sleep_time=30).execute(context())
    assert clock.seconds == 30  # for a query of two seconds
    assert athena.count("GetQueryExecution") == 2

    athena.calls.clear()
    operator(AthenaSubmitOperator, sleep_time=30).execute(context())
    assert clock.seconds == 30
    assert athena.count("GetQueryExecution") == 0


def test_differs_the_operator_is_never_deferred(athena: MemoryAthena) -> None:
    with pytest.raises(TaskDeferred):
        operator(AthenaOperator, deferrable=True).execute(context())

    assert operator(AthenaSubmitOperator, deferrable=True).execute(context()) == "q-2"


def test_differs_a_retry_starts_no_second_query(athena: MemoryAthena) -> None:
    for try_number in (1, 2):
        operator(AthenaOperator).execute(context(try_number=try_number))
    assert len(athena.queries) == 2

    ours = {operator(AthenaSubmitOperator).execute(context(try_number=number)) for number in (1, 2)}
    assert ours == {"q-3"}


def test_differs_the_token_is_of_the_intention_and_none_that_is_given(athena: MemoryAthena) -> None:
    """A fixed token would lead to the old query for ever, however it ended."""
    for kind in (AthenaOperator, AthenaSubmitOperator):
        operator(kind, client_request_token="t" * 32).execute(context())

    theirs, ours = athena.tokens
    assert theirs == "t" * 32
    assert ours != theirs


def test_differs_the_query_ends_with_a_marker(athena: MemoryAthena) -> None:
    for kind in (AthenaOperator, AthenaSubmitOperator):
        operator(kind).execute(context())

    theirs, ours = (query.request["QueryString"] for query in athena.queries.values())
    assert theirs == "SELECT * FROM plays"
    assert ours.startswith("SELECT * FROM plays\n-- athena-reports: ")


def test_differs_a_connection_that_is_missing_is_no_other_one(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_GAMES")
    assert operator(AthenaOperator).execute(context()) == "q-1"  # with whatever credentials there are

    with pytest.raises(AirflowException, match="no Airflow connection 'aws_games'"):
        operator(AthenaSubmitOperator).execute(context())
    assert len(athena.queries) == 1


def test_differs_a_query_that_is_refused_is_not_retried(athena: MemoryAthena) -> None:
    def refuse(_: str) -> None:
        raise api_error("InvalidRequestException", "line 1:10: mismatched input")

    athena.before = refuse
    for kind, final in ((AthenaOperator, False), (AthenaSubmitOperator, True)):
        with pytest.raises(Exception, match="mismatched input") as caught:
            operator(kind).execute(context())
        assert isinstance(caught.value, AirflowFailException) is final


def test_differs_a_killed_operator_does_not_wait_for_the_end(athena: MemoryAthena, clock: VirtualClock) -> None:
    athena.stop_seconds = 40
    for kind, seconds in ((AthenaOperator, 60), (AthenaSubmitOperator, 0)):
        started(athena, Plan.endless())
        before = clock.seconds
        task = operator(kind)
        task.query_execution_id = [*athena.queries][-1]
        task.on_kill()
        assert clock.seconds - before == seconds


def test_differs_the_sensor_is_deferred_and_holds_no_worker(athena: MemoryAthena) -> None:
    assert "deferrable" not in parameters(AthenaSensor)
    assert parameters(AthenaWaitSensor)["deferrable"] is True

    started(athena, Plan.endless())
    with pytest.raises(TaskDeferred):
        sensor(AthenaWaitSensor).execute(context())


def test_differs_one_poke_is_one_look(athena: MemoryAthena, clock: VirtualClock) -> None:
    started(athena, Plan.endless())
    assert sensor(AthenaSensor).poke({}) is False
    assert clock.seconds == 1200  # 120 looks, ten seconds apart
    athena.calls.clear()

    assert not sensor(AthenaWaitSensor).poke({})
    assert (athena.count("GetQueryExecution"), clock.seconds) == (1, 1200)


@pytest.mark.parametrize("state", ["PAUSED", ""])
def test_differs_an_unknown_or_missing_state_is_an_error(athena: MemoryAthena, state: str) -> None:
    started(athena, Plan(states=((state, 1e9),)))
    assert sensor(AthenaSensor).poke({}) is True

    with pytest.raises(AirflowFailException, match="neither success nor failure"):
        sensor(AthenaWaitSensor).poke({})


def test_differs_a_failure_says_why(athena: MemoryAthena, clock: VirtualClock) -> None:
    started(athena, Plan.failing(1301, category=2))
    clock.sleep(60)
    with pytest.raises(AirflowException, match=r"^Athena sensor failed$"):
        sensor(AthenaSensor).poke({})

    with pytest.raises(AirflowFailException, match=r"q-1 is FAILED: Failed with type 1301 \[a table does not exist"):
        sensor(AthenaWaitSensor).poke({})


def test_differs_the_sensor_returns_the_facts_of_the_query(athena: MemoryAthena, clock: VirtualClock) -> None:
    started(athena, Plan())
    clock.sleep(60)

    assert sensor(AthenaSensor).execute(context()) is None
    assert sensor(AthenaWaitSensor).execute(context())["id"] == "q-1"


def test_differs_a_killed_wait_stops_the_query(athena: MemoryAthena, clock: VirtualClock) -> None:
    started(athena, Plan.endless())
    sensor(AthenaSensor).on_kill()
    assert athena.states == ["RUNNING"]

    sensor(AthenaWaitSensor).on_kill()
    assert athena.states == ["CANCELLED"]
    started(athena, Plan.endless())
    assert AthenaTrigger.on_kill is not AthenaWaitTrigger.on_kill
    clock.run(AthenaWaitTrigger("q-2", "", WaitPolicy(), **CONNECTION).on_kill())
    assert athena.states == ["CANCELLED"] * 2


def test_differs_the_trigger_fires_facts_instead_of_a_status(athena: MemoryAthena, clock: VirtualClock) -> None:
    """So it is of use with our sensor only, and says so by its own class path."""
    started(athena, Plan())
    trigger = AthenaWaitTrigger("q-1", "", WaitPolicy(), **CONNECTION)

    async def first() -> Any:
        return await anext(trigger.run())

    assert clock.run(first()).payload.keys() == {"query"}
    assert trigger.serialize()[0] == "athena_reports.queries.wait_trigger.AthenaWaitTrigger"
