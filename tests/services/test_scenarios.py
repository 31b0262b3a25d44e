"""The life of a query, whatever goes wrong around it.

tests/world plays the combinations, and the unit tests of the steps have each decision, both with a
simulated Athena. Here are rows against the local Athena, through the real operator, sensor and
trigger: how many queries were created, how each of them ended (oldest first), how the last step's
task ended, and what it told.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from botocore.config import Config

from athena_reports.steps import wait_for_query
from athena_reports.steps.wait_for_query import MAX_SUCCESSORS
from athena_reports_cli.local.services import Services
from local_athena.faults import (
    Drop,
    End,
    FailResultWrite,
    Fault,
    Faults,
    ForgetToken,
    Hold,
    Report,
)
from tests.services.scenarios import (
    Outcome,
    Run,
    Step,
    begin_wait,
    cancel,
    clear_run,
    evict_while_submitting,
    give_up_after,
    kill_wait,
    lift,
    lose_xcom,
    outcome_of,
    retried,
    settle,
    submit,
    wait,
)
from tests.support.airflow_run import StateStore
from tests.support.triggers import be_impatient

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

RETURNED, RETRYABLE, FAILED, STOPPED = Outcome
DONE, BAD, GONE = "SUCCEEDED", "FAILED", "CANCELLED"
RESULTS = "s3://athena-query-result-dev/"
DEFERRED = (True,)


@dataclass(frozen=True)
class Scenario:
    """A row.

    Attributes:
        name: What happens.
        steps: What happens, one after the other.
        states: The final state of every query that was created, oldest first.
        outcome: How the last step's task ends.
        says: A part of what it tells.
        faults: What is wrong from the start.
        sql: The query; empty for one that succeeds.
        kinds: With a triggerer, without, or both.
    """

    name: str
    steps: tuple[Step, ...]
    states: tuple[str, ...]
    outcome: Outcome = RETURNED
    says: str = ""
    faults: tuple[Fault, ...] = ()
    sql: str = ""
    kinds: tuple[bool, ...] = (True, False)


HELD = Hold(state="RUNNING")
PASSING = End(error_type=1403, category=2, retryable=True, reason="Please reduce your request rate")

SUBMIT = [
    Scenario("nothing", (submit, wait), (DONE,)),
    Scenario(
        "syntax error",
        (submit,),
        (),
        FAILED,
        "mismatched input",
        sql="SELECT 1 FORM t",
        kinds=DEFERRED,
    ),
    Scenario(
        "answer of the start lost", (retried(submit), submit, wait), (DONE,), faults=(Drop(),)
    ),
    Scenario(
        "XCom lost, token forgotten",
        (submit, lose_xcom, submit, wait),
        (DONE,),
        faults=(ForgetToken(times=None),),
    ),
    Scenario(
        "evicted while submitting",
        (evict_while_submitting, submit, lift, wait),
        (DONE,),
        faults=(HELD,),
    ),
]

WAIT = [
    Scenario(
        "queued, then running",
        (submit, wait),
        (DONE,),
        faults=(Hold(state="QUEUED", seconds=0.2), Hold(state="RUNNING", seconds=0.2)),
    ),
    Scenario(
        "state unknown",
        (submit, settle, wait),
        (DONE,),
        FAILED,
        "is PAUSED: Athena gave no reason",
        (Report(action="GetQueryExecution", state="PAUSED"),),
    ),
    Scenario(
        "table missing", (submit, wait), (BAD,), FAILED, "nowhere", sql="SELECT * FROM nowhere.t"
    ),
    Scenario(
        "result cannot be written",
        (submit, wait),
        (BAD,),
        FAILED,
        "result could not be written",
        (FailResultWrite(),),
    ),
    Scenario("failed in passing", (submit, wait), (BAD, DONE), faults=(PASSING,)),
    Scenario(
        "cancelled in the console",
        (submit, begin_wait, cancel, wait),
        (GONE,),
        FAILED,
        "the query was cancelled",
        (HELD,),
    ),
    Scenario(
        "killed while it waits",
        (submit, begin_wait, kill_wait),
        (GONE,),
        STOPPED,
        faults=(HELD,),
        kinds=DEFERRED,
    ),
    Scenario(
        "takes too long",
        (give_up_after(0.4), submit, wait),
        (GONE,),
        FAILED,
        "timed out after 0:00:00.400000 and was stopped",
        (HELD,),
    ),
]

ROWS = [
    pytest.param(scenario, kind, id=f"{scenario.name}-{'deferred' if kind else 'rescheduled'}")
    for scenario in [*SUBMIT, *WAIT]
    for kind in scenario.kinds
]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def athena(running_services: Services) -> AthenaClient:
    """One client for all: to make one takes longer than most scenarios. Each call is made once."""
    return boto3.client(
        "athena",
        endpoint_url=running_services.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(autouse=True)
def _impatient(athena: AthenaClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is made once, and nothing waits for long."""
    monkeypatch.setattr(AthenaHook, "conn", athena)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # for the triggers' clients
    be_impatient(monkeypatch)
    monkeypatch.setattr(wait_for_query, "PAUSES_SECONDS", [0.0] * MAX_SUCCESSORS)


def new_run(
    athena: AthenaClient,
    faults: Faults,
    configuration: Any = None,
    *,
    deferrable: bool = True,
    sql: str = "SELECT 1 AS one",
) -> Run:
    """A run in a workgroup of its own; by default one like that of the environment."""
    dag_id = f"scenario_{next(_numbers)}"
    configuration = configuration or {"ResultConfiguration": {"OutputLocation": RESULTS}}
    athena.create_work_group(Name=dag_id, Configuration=configuration)
    return Run(dag_id, athena, faults, deferrable, sql, workgroup=dag_id)


@pytest.mark.parametrize(("scenario", "deferrable"), ROWS)
def test_scenario(
    athena: AthenaClient, faults: Faults, scenario: Scenario, deferrable: bool
) -> None:
    sql = scenario.sql or "SELECT 1 AS one"
    run = new_run(athena, faults, deferrable=deferrable, sql=sql)
    run.stores = (StateStore(), StateStore())
    for fault in scenario.faults:
        run.faults.add(fault)
    for step in scenario.steps[:-1]:
        step(run)
    outcome, told = outcome_of(scenario.steps[-1], run)
    lift(run)
    settle(run)

    assert (run.states, outcome) == (scenario.states, scenario.outcome), told
    assert scenario.says in told
    if told:
        assert told.startswith(f"{run.dag_id}, environment dev: ")


PLACES: dict[str, tuple[Any, str | None]] = {
    # The workgroup's configuration, and the location that the run asks for.
    "of the client": ({"EnforceWorkGroupConfiguration": False}, f"{RESULTS}reports"),
    "of the client, not of the workgroup": (
        {
            "EnforceWorkGroupConfiguration": False,
            "ResultConfiguration": {"OutputLocation": f"{RESULTS}others/"},
        },
        f"{RESULTS}reports/",
    ),
    "of the workgroup by default": (
        {
            "EnforceWorkGroupConfiguration": False,
            "ResultConfiguration": {"OutputLocation": f"{RESULTS}reports/"},
        },
        None,
    ),
    "of the workgroup, which overrules": (
        {"ResultConfiguration": {"OutputLocation": f"{RESULTS}reports/"}},
        f"{RESULTS}else/",
    ),
    "kept by Athena": ({"ManagedQueryResultsConfiguration": {"Enabled": True}}, None),
}


@pytest.mark.parametrize("unload_to", [None, f"{RESULTS}unload/"])
@pytest.mark.parametrize("place", PLACES)
def test_two_starts_of_a_successor_are_one_request_wherever_results_lie(
    athena: AthenaClient, faults: Faults, place: str, unload_to: str | None
) -> None:
    """Athena refuses a token with another request, and says that its parameters do not match."""
    configuration, output_location = PLACES[place]
    run = new_run(athena, faults, configuration)
    run.output_location, run.unload_to = output_location, unload_to
    for fault in (PASSING, Drop(skip=1)):
        faults.add(fault)
    submit(run)
    settle(run)
    retried(wait)(run)
    wait(run)
    assert run.states == (BAD, DONE)
    first, successor = run.queries
    folders = []
    for query in (first, successor):
        result_uri = query.get("ResultConfiguration", {}).get("OutputLocation", "")
        folders.append(result_uri.rpartition("/")[0])
    assert folders[0] == folders[1]
    assert (first["Query"] == successor["Query"]) == (unload_to is None)


def test_an_unload_that_is_repeated_finds_its_folder_full_until_run_query_is_cleared(
    athena: AthenaClient, faults: Faults
) -> None:
    """Without notes, as before Airflow 3.3, a start is repeated under a token that is forgotten."""
    run = new_run(athena, faults)
    run.unload_to = f"{RESULTS}unload/"
    faults.add(ForgetToken())
    submit(run)
    settle(run)
    lose_xcom(run)
    submit(run)

    outcome, told = outcome_of(wait, run)
    assert outcome is FAILED
    assert "the output folder is not empty" in told
    assert "Clear run_query and its downstream tasks to try again." in told

    clear_run(run)
    submit(run)
    wait(run)
    assert run.states == (DONE, BAD, DONE)
