"""What a run does when AWS does not serve a call: which calls are repeated,
by whom, and what is paid.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import DAG

from athena_reports_cli.local.services import Services
from local_athena.faults import Drop, Fault, Faults, Throttle
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of, rows_of
from tests.support.reports import carriers
from tests.support.task_runner import run_task

WEEK = [dt.datetime(2013, 3, day, tzinfo=ZoneInfo("America/New_York")) for day in (4, 11)]
pytestmark = pytest.mark.usefixtures("flights_lake")


@pytest.fixture
def workgroup(services: Services, monkeypatch: pytest.MonkeyPatch) -> str:
    """A workgroup of the test's own, which keeps its results itself;
    so all of its queries are of one run.
    """
    name = f"managed-{uuid4()}"
    managed = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
    services.athena.create_work_group(Name=name, Configuration=managed)
    monkeypatch.setenv("ATHENA_REPORTS_WORKGROUP", name)
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")
    return name


class Run:
    """A run of the carriers of a week, whose tasks a test starts one by one."""

    def __init__(self, services: Services, dag: DAG) -> None:
        self.services, self.dag, self.xcoms = services, dag, TaskInstance(dag_id=dag.dag_id)

    def start(self, task_id: str) -> None:
        """A try of a task, to its end."""
        run_task(self.dag.get_task(task_id), self.xcoms, params={"period": "2013-03-04"})

    @property
    def has_published_all(self) -> bool:
        """Whether the rows are published that were counted without the package."""
        rows = rows_of(self.services.s3, manifest_of(self.services.s3, self.xcoms), "parquet")
        return rows == carriers(*WEEK)


@pytest.fixture
def run(services: Services, workgroup: str, dags_folder: Path) -> Run:
    return Run(services, load_dags(dags_folder / "carriers.py")["carriers_weekly"])


def queries(services: Services, workgroup: str) -> list[str]:
    """The ids of all queries that were ever started in a workgroup."""
    return services.athena.list_query_executions(WorkGroup=workgroup)["QueryExecutionIds"]


UNSERVED = {
    "throttled": Throttle(action="GetQueryResults", times=None),
    "unconnected": Drop(action="GetQueryResults", times=None),
}


@pytest.mark.parametrize("fault", UNSERVED.values(), ids=UNSERVED)
def test_a_transform_that_athena_does_not_serve_is_tried_again_and_publishes_the_paid_query(
    run: Run,
    services: Services,
    workgroup: str,
    faults: Faults,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # botocore's
    run.start("run_query")
    run.start("wait_for_query")
    faults.add(fault)
    with pytest.raises(AirflowException) as caught:
        run.start("transform")
    assert faults.list()[0]["struck"] == 2
    faults.clear()

    assert not isinstance(caught.value, AirflowFailException)
    assert run.dag.get_task("transform").retries > 0
    assert "run_query" not in str(caught.value)
    run.start("transform")
    run.start("publish")
    assert run.has_published_all
    assert queries(services, workgroup) == [run.xcoms.values["run_query", "return_value"]]


@pytest.mark.parametrize("fault", [Throttle(times=2), Drop(status=500)], ids=["throttled", "lost"])
def test_a_start_that_athena_does_not_serve_is_repeated_by_botocore_and_paid_once(
    run: Run, services: Services, workgroup: str, faults: Faults, fault: Fault
) -> None:
    """It has the same token."""
    faults.add(fault)
    run.start("run_query")

    assert faults.list()[0]["struck"] >= 1
    assert queries(services, workgroup) == [run.xcoms.values["run_query", "return_value"]]
