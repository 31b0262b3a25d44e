"""A wait that one triggerer loses to another, and waits that somebody ends:
which queries are stopped.

Airflow cancels the trigger in both cases, and calls its `on_kill`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import pytest

from athena_reports.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from local_athena.faults import Faults, Hold
from tests.e2e.report_run import ReportRun, now, until
from tests.e2e.triggerers import give_to_another, start_with_two

if TYPE_CHECKING:
    from athena_reports.local.runtime import AirflowRuntime
    from tests.e2e.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.ci]

PERIOD = "2025-06-08"
DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG

from athena_reports import Report, RetryPolicy, build_dag, transforms, weekly

report = Report(
    name="steady",
    sql="top_users.sql",
    owner="tests",
    since="2025-01-01",
    params={"top": 100},
    transform=transforms.movement(),
    doc="Runs whose query is held.",
)
retry = RetryPolicy(retries=2, first_pause=timedelta(seconds=1))
steady = build_dag(report, weekly(first_day="sunday", timezone="Asia/Tokyo"), retry=retry)
"""
# A run is held by its name in the text of its query, so none may be a part of another.
RUNS = ("changes-hands", "marked-failed", "marked-success", "submit-cleared", "wait-cleared")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    log = tmp_path_factory.mktemp("local-aws") / "log"
    with local_services(log, workers=2 * len(RUNS)) as running:  # a query that is held takes one
        running.prepare("dev")
        seed_plays(
            running,
            "dev",
            PlaysSpec(dt.date(2025, 5, 30), dt.date(2025, 6, 18), events=5_000, users=500),
        )
        yield running


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AirflowRuntime:
    dags_folder = tmp_path_factory.mktemp("dags")
    (dags_folder / "steady.py").write_text(DAG_FILE)
    return start_with_two(start_airflow, services, dags_folder, ["steady_weekly"])


@pytest.fixture(scope="module")
def faults(services: Services) -> Faults:
    return Faults(services.endpoint_url)


@pytest.fixture(scope="module")
def holds(faults: Faults) -> Mapping[str, str]:
    """The faults that hold the first query of each run."""
    return {name: faults.add(Hold(sql=name)) for name in RUNS}


@pytest.fixture(scope="module")
def runs(
    airflow: AirflowRuntime, services: Services, holds: Mapping[str, str]
) -> Mapping[str, ReportRun]:
    """A run for each test, all of them begun at once:
    their tasks then share the time that it takes to start.
    """
    return {
        name: ReportRun.begin(airflow, services, "steady_weekly", name, PERIOD) for name in RUNS
    }


StopCheck = Callable[[ReportRun, dt.datetime], None]


@pytest.fixture
def assert_stopped(record_property: Callable[[str, object], None]) -> StopCheck:
    """Wait until a run's first query is stopped,
    and record for how long it went on after an instant.
    """

    def wait(run: ReportRun, instant: dt.datetime) -> None:
        ended = run.wait_until_ended(run.queries[0].id)
        assert ended.state == "CANCELLED"
        assert ended.completed is not None
        record_property(
            "query_went_on_for_seconds", round((ended.completed - instant).total_seconds(), 1)
        )
        until(
            lambda: f"Stopping query {ended.id}" in run.log("wait_for_query"),
            "the stop is in the log",
        )

    return wait


def test_a_wait_that_changes_hands_leaves_its_query_alone(
    runs: Mapping[str, ReportRun], faults: Faults, holds: Mapping[str, str]
) -> None:
    run = runs["changes-hands"]
    query = run.wait_for_query()
    run.wait_until_watched()
    give_to_another(run, "wait_for_query")
    until(
        lambda: "trigger completed" in run.log("wait_for_query"),
        "the frozen triggerer gives the wait up",
    )

    assert "invoking on_kill" in run.log("wait_for_query")
    assert f"Query {query.id} is left running: its task still waits for it" in run.log(
        "wait_for_query"
    )
    assert run.states == ["RUNNING"]
    faults.clear(holds[run.run_id])
    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]
    assert run.task("wait_for_query").try_number == 1


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_submit_marked_with_what_is_behind_it_stops_its_query(
    runs: Mapping[str, ReportRun], state: Literal["failed", "success"], assert_stopped: StopCheck
) -> None:
    run = runs[f"marked-{state}"]
    run.wait_until_watched()

    asked = now()
    run.airflow.client.set_state(
        run.dag_id, run.run_id, state, task_id="run_query", include_downstream=True
    )

    assert_stopped(run, asked)
    assert run.wait_until_over() == state


def test_a_submit_cleared_stops_its_query_and_not_the_next_one(
    runs: Mapping[str, ReportRun], faults: Faults, assert_stopped: StopCheck
) -> None:
    """Airflow cancels the old trigger when the wait begins again:
    it may have deferred before the trigger asks.
    """
    run = runs["submit-cleared"]
    run.wait_until_watched()
    hold_of_the_next = faults.add(Hold(sql=run.run_id))

    asked = now()
    run.airflow.client.clear(run.dag_id, run.run_id, task_ids=["run_query"])

    assert_stopped(run, asked)
    run.wait_until_watched()
    assert run.states == ["CANCELLED", "RUNNING"]
    faults.clear(hold_of_the_next)
    run.wait_until_success()
    assert run.states == ["CANCELLED", "SUCCEEDED"]


def test_a_wait_cleared_alone_does_not_end_in_a_failed_run(
    runs: Mapping[str, ReportRun], faults: Faults, holds: Mapping[str, str]
) -> None:
    """Whether its new try defers before the old trigger asks for its state, or after."""
    run = runs["wait-cleared"]
    run.wait_until_watched()

    run.airflow.client.clear(
        run.dag_id, run.run_id, task_ids=["wait_for_query"], include_downstream=False
    )

    def waits_again() -> bool:
        wait = run.task("wait_for_query")
        return wait.try_number == 2 and wait.state in ("deferred", "success")

    until(waits_again, "the wait has begun again")
    faults.clear(holds[run.run_id])
    run.wait_until_success()
    assert run.states in (["SUCCEEDED"], ["CANCELLED", "SUCCEEDED"])
