"""A query and its successors against the local Athena, which holds each token to its request.

tests/world plays what goes wrong around a query, and the unit tests of the steps have each
decision, both with a simulated Athena.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports.steps import wait_for_query
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import MAX_SUCCESSORS, AthenaWaitSensor
from athena_reports_cli.local.services import Services
from local_athena.faults import Drop, End, Faults, ForgetToken
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.local_athena import query_executions
from tests.support.retried import raises_retried
from tests.support.task_runner import run_task

DONE, BAD = "SUCCEEDED", "FAILED"
RESULTS = "s3://athena-query-result-dev/"
_numbers = itertools.count(1)


class Run:
    """A run of the two tasks, submit and wait, in a workgroup of its own."""

    def __init__(self, services: Services, configuration: Any, **fields: Any) -> None:
        self.athena = services.athena
        self.name = f"successors_{next(_numbers)}"
        self.fields = fields
        self.dag_run = DagRun()
        self.xcoms = TaskInstance(dag_id=self.name)
        self.athena.create_work_group(Name=self.name, Configuration=configuration)

    @property
    def queries(self) -> list[dict[str, Any]]:
        """The queries of the run, oldest first."""
        return query_executions(self.athena, self.name)

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(query["Status"]["State"] for query in self.queries)

    def submit(self) -> None:
        """A try of run_query, whose query has ended afterwards."""
        with DAG(self.name, schedule=None):
            task = AthenaSubmitOperator(
                task_id="run_query",
                query="SELECT 1 AS one",
                database="default",
                workgroup=self.name,
                environment="dev",
                retries=3,
                **self.fields,
            )
        run_task(task, self.xcoms, run=self.dag_run)
        while {"QUEUED", "RUNNING"} & set(self.states):
            time.sleep(0.03)

    def wait(self) -> None:
        """A try of wait_for_query."""
        with DAG(self.name, schedule=None):
            task = AthenaWaitSensor(
                task_id="wait_for_query",
                query_execution_id=self.xcoms.values["run_query", "return_value"],
                submitted=self.xcoms.values["run_query", "submitted"],
                environment="dev",
                retries=3,
            )
        run_task(task, self.xcoms, run=self.dag_run)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is made once, and nothing waits for long."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(wait_for_query, "PAUSES_SECONDS", [0.0] * MAX_SUCCESSORS)


PLACES: dict[str, tuple[Any, str | None]] = {
    # The workgroup's configuration, and the location that the run asks for.
    "of the client": ({"EnforceWorkGroupConfiguration": False}, f"{RESULTS}reports"),
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
    services: Services, faults: Faults, place: str, unload_to: str | None
) -> None:
    """Athena refuses a token with another request, and says that its parameters do not match."""
    configuration, output_location = PLACES[place]
    run = Run(services, configuration, output_location=output_location, unload_to=unload_to)
    faults.add(End(error_type=1403, category=2, retryable=True, reason="Reduce your request rate"))
    faults.add(Drop(skip=1))
    run.submit()
    with raises_retried(""):
        run.wait()
    run.xcoms.begin_next_try()
    run.wait()
    assert run.states == (BAD, DONE)
    first, successor = run.queries
    folders = []
    for query in (first, successor):
        result_uri = query.get("ResultConfiguration", {}).get("OutputLocation", "")
        folders.append(result_uri.rpartition("/")[0])
    assert folders[0] == folders[1]
    assert (first["Query"] == successor["Query"]) == (unload_to is None)


def test_an_unload_that_is_repeated_finds_its_folder_full_until_run_query_is_cleared(
    services: Services, faults: Faults
) -> None:
    """Without notes, as before Airflow 3.3, a start is repeated under a token that is forgotten."""
    results = {"ResultConfiguration": {"OutputLocation": RESULTS}}
    run = Run(services, results, unload_to=f"{RESULTS}unload/")
    faults.add(ForgetToken())
    run.submit()
    run.xcoms.begin_next_try()  # the worker has died before the id was saved
    run.submit()
    with pytest.raises(AirflowFailException, match="the output folder is not empty") as failed:
        run.wait()
    assert "Clear run_query and its downstream tasks to try again." in str(failed.value)

    run.dag_run = DagRun(clear_number=1)
    run.submit()
    run.wait()
    assert run.states == (DONE, BAD, DONE)
