"""Runs that wait for their input or for their query, under a real scheduler with two triggerers.

The input comes late or never; waits are cleared, marked, over, or change hands. Airflow
cancels the trigger of a wait that is lost or ended, and calls its `on_kill`: which queries are
stopped?
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from local_athena.faults import Faults, Hold
from tests.airflow.report_run import (
    ReportRun,
    cells_on_the_page,
    logs_stop_of,
    queries_of,
    until,
)
from tests.airflow.triggerers import give_to_another, start_with_two
from tests.support.calendars import WEEKS
from tests.support.published import read_json

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

TASK = "wait_for_inputs"
DAG_FILE = """
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from athena_reports import Input, Report, RetryPolicy, build_dag, transforms, weekly

sundays = weekly(first_day="sunday", timezone="Asia/Tokyo")


def build_report(report, **options):
    retry = RetryPolicy(retries=2, first_pause=timedelta(seconds=1))
    return build_dag(report, sundays, retry=retry, **options)


def build(name, source, **options):
    report = Report(
        name=name,
        sql="top_users.sql",
        owner="tests",
        since="2025-01-01",
        params={"top": 100},
        inputs=[source],
        doc="Waits for its input.",
    )
    return build_report(report, **options)


def until_the_deadline(period_id):
    deadline = datetime.fromisoformat(Path(__file__).with_name("deadline.txt").read_text())
    return deadline - sundays.period(period_id).end_utc


LONG = timedelta(days=3650)
patient = build("patient", Input("plays", "dt", wait=LONG), max_active_runs=200)
expiring = build("expiring", Input("plays", "dt", wait=LONG))
# `run_timeout` of build_dag has to leave the wait its time.
expiring.dagrun_timeout = timedelta(seconds=30)
strict = build("strict", Input("plays", "dt", wait=until_the_deadline("STRICT")))
steady_report = Report(
    name="steady",
    sql="top_users.sql",
    owner="tests",
    since="2025-01-01",
    params={"top": 100},
    transform=transforms.movement(),
    doc="Runs whose query is held.",
)
steady = build_report(steady_report)
"""
FIRST_WEEK = WEEKS.period("2025-06-08")
# Each run has a week of its own, of which a Wednesday and a Thursday are missing at first.
DAG_OF_RUN = {
    "comes-late": "patient",
    "cleared": "patient",
    "marked-failed": "patient",
    "marked-success": "patient",
    "changes-hands": "patient",
    "times-out": "expiring",
    "gets-nothing": "strict",
}
DEADLINE_SECONDS = 100
# Of `steady`. A run is held by its name in the text of its query, so none may be a part of another.
HELD_RUNS = (
    "held-changes-hands",
    "held-marked-failed",
    "held-marked-success",
    "held-submit-cleared",
    "held-wait-cleared",
)


def week_of(name: str) -> str:
    period = FIRST_WEEK
    for _ in range(list(DAG_OF_RUN).index(name)):
        period = period.next
    return period.id


@dataclass(frozen=True)
class Lake:
    """The table `plays`, and what Glue no longer has of it."""

    services: Services
    taken: dict[str, Any]

    @staticmethod
    def late_dates(period_id: str) -> list[str]:
        """The dates of a week that are missing at first."""
        first = dt.date.fromisoformat(period_id)
        return [str(first + dt.timedelta(days=days)) for days in (3, 4)]

    def take(self, date: str) -> None:
        """Forget a partition."""
        place: Any = {"DatabaseName": "database_dev", "TableName": "plays"}
        stored = self.services.glue.get_partition(**place, PartitionValues=[date])["Partition"]
        self.taken[date] = {"Values": [date], "StorageDescriptor": stored["StorageDescriptor"]}
        self.services.glue.delete_partition(**place, PartitionValues=[date])

    def land(self, date: str) -> None:
        """Register a partition."""
        self.services.glue.create_partition(
            DatabaseName="database_dev", TableName="plays", PartitionInput=self.taken.pop(date)
        )


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    log = tmp_path_factory.mktemp("local-aws") / "log"
    workers = 2 * len(HELD_RUNS)  # a query that is held takes one
    with local_services(log, workers=workers) as running:
        running.prepare("dev")
        spec = PlaysSpec(dt.date(2025, 5, 30), dt.date(2025, 8, 31), events=20_000, users=500)
        seed_plays(running, "dev", spec)
        yield running


@pytest.fixture(scope="module")
def lake(services: Services) -> Lake:
    lake = Lake(services, {})
    for name in DAG_OF_RUN:
        for date in lake.late_dates(week_of(name)):
            lake.take(date)
    return lake


@pytest.fixture(scope="module")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    text = DAG_FILE.replace("STRICT", week_of("gets-nothing"))
    (folder / "waiting.py").write_text(text)
    (folder / "deadline.txt").write_text("2035-01-01T00:00:00+00:00")
    return folder


@pytest.fixture(scope="module")
def airflow(start_airflow: StartAirflow, services: Services, dags_folder: Path) -> LiveAirflow:
    dag_ids = [f"{name}_weekly" for name in sorted({*DAG_OF_RUN.values(), "steady"})]
    return start_with_two(start_airflow, services, dags_folder, dag_ids)


@pytest.fixture(scope="module")
def runs(
    airflow: LiveAirflow, services: Services, lake: Lake, dags_folder: Path
) -> Mapping[str, ReportRun]:
    """A run for each test, all of them begun at once: their waits share their time."""
    # A task reads the DAG file, and so this one, when it begins.
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=DEADLINE_SECONDS)
    (dags_folder / "deadline.txt").write_text(deadline.isoformat())
    return {
        name: ReportRun.begin(airflow, services, f"{dag}_weekly", name, week_of(name))
        for name, dag in DAG_OF_RUN.items()
    }


@pytest.fixture(scope="module")
def faults(services: Services) -> Faults:
    return Faults(services.endpoint_url)


@pytest.fixture(scope="module")
def holds(faults: Faults) -> Mapping[str, str]:
    """The faults that hold the first query of each run."""
    return {name: faults.add(Hold(sql=name)) for name in HELD_RUNS}


@pytest.fixture(scope="module")
def held_runs(
    airflow: LiveAirflow, services: Services, holds: Mapping[str, str]
) -> Mapping[str, ReportRun]:
    """A run for each test, all of them begun at once:
    their tasks then share the time that it takes to start.
    """
    return {
        name: ReportRun.begin(airflow, services, "steady_weekly", name, FIRST_WEEK.id)
        for name in HELD_RUNS
    }


def wait_until_deferred(run: ReportRun) -> None:
    def is_deferred() -> bool:
        task = run.task(TASK)
        assert task.state != "failed", log_of(run)
        return task.state == "deferred" and "missing_inputs" in xcoms_of(run)

    until(is_deferred, f"{run.run_id} waits for its input", seconds=120)


def xcoms_of(run: ReportRun) -> Mapping[str, Any]:
    path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{TASK}/xcomEntries"
    entries = run.airflow.client.rows(path, "xcom_entries")
    found = {}
    for entry in entries:
        value = run.airflow.client.request("GET", f"{path}/{entry['key']}")["value"]
        found[entry["key"]] = json.loads(value) if isinstance(value, str) else value
    return found


def log_of(run: ReportRun) -> str:
    return run.log(TASK, run.task(TASK).try_number)


def said_on_the_page(run: ReportRun) -> str:
    """What the Reports page says of the wait of a run."""
    for cell in cells_on_the_page(run.airflow, run.dag_id):
        if cell["run_id"] == run.run_id:
            return str(cell["waits"])
    raise AssertionError(f"the page does not show {run.run_id}")


def test_input_that_comes_late_and_in_parts_is_waited_for(
    runs: Mapping[str, ReportRun], lake: Lake
) -> None:
    run = runs["comes-late"]
    wait_until_deferred(run)
    first, second = lake.late_dates(week_of(run.run_id))
    said = said_on_the_page(run)
    assert said.startswith("Waiting for inputs since 20")
    assert f"2 of 8 required partitions missing in Glue: dt={first}, dt={second}." in said

    lake.land(first)
    until(
        lambda: f"missing in Glue: dt={second}." in said_on_the_page(run),
        "the page says what is missing now",
    )
    assert run.queries == []
    assert run.task(TASK).state == "deferred"

    lake.land(second)
    run.wait_until_success()
    uri = f"s3://athena-report-dev/patient/weekly/{week_of(run.run_id)}/manifest.json"
    assert read_json(run.services.s3, uri)["partial"] is False
    assert len(run.queries) == 1
    events = [json.loads(line)["event"] for line in log_of(run).splitlines()]
    told = {event for event in events if event.startswith("Waiting for inputs")}
    assert len(told) == 2, events


def test_a_wait_that_is_cleared_begins_again(runs: Mapping[str, ReportRun], lake: Lake) -> None:
    run = runs["cleared"]
    wait_until_deferred(run)
    run.airflow.client.clear(run.dag_id, run.run_id, task_ids=[TASK], include_downstream=True)
    until(lambda: run.task(TASK).try_number == 2, "the wait begins again")
    wait_until_deferred(run)
    for date in lake.late_dates(week_of(run.run_id)):
        lake.land(date)
    run.wait_until_success()
    assert len(run.queries) == 1


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_wait_that_is_marked_is_over_and_pays_nothing(
    runs: Mapping[str, ReportRun], state: Literal["failed", "success"]
) -> None:
    """After a success `missing` of the input decides."""
    run = runs[f"marked-{state}"]
    wait_until_deferred(run)
    run.airflow.client.set_state(run.dag_id, run.run_id, state, task_id=TASK)
    assert run.wait_until_over() == "failed"
    assert run.queries == []
    if state == "success":
        assert "No query was started" in run.log("run_query")


def test_a_run_whose_time_is_over_waits_no_longer(runs: Mapping[str, ReportRun]) -> None:
    run = runs["times-out"]
    assert run.wait_until_over() == "failed"
    assert run.task(TASK).state == "skipped"
    assert run.queries == []


def test_a_wait_that_changes_hands_goes_on(runs: Mapping[str, ReportRun], lake: Lake) -> None:
    run = runs["changes-hands"]
    wait_until_deferred(run)
    give_to_another(run, TASK)
    for date in lake.late_dates(week_of(run.run_id)):
        lake.land(date)
    run.wait_until_success()
    assert len(run.queries) == 1
    assert run.task(TASK).try_number == 1


def test_a_hundred_runs_wait_at_once(airflow: LiveAirflow, services: Services, lake: Lake) -> None:
    """In two triggerers and no slot of a pool; all of them go on when the input is there."""
    period = FIRST_WEEK.previous
    first = str(dt.date.fromisoformat(period.id) + dt.timedelta(days=3))
    lake.take(first)
    waiting = [
        ReportRun.begin(airflow, services, "patient_weekly", f"hundred-{number:02}", period.id)
        for number in range(100)
    ]
    for run in waiting:
        _wait_for_state(run, "deferred")
    marked = [query.run_id for query in queries_of(services, "patient_weekly")]
    assert not [run_id for run_id in marked if run_id.startswith("hundred")]
    lake.land(first)
    for run in waiting:
        _wait_for_state(run, "success")


def _wait_for_state(run: ReportRun, state: str) -> None:
    until(lambda: run.task(TASK).state == state, f"{run.run_id} is {state}", seconds=900)


# --- waits for a query


def assert_stopped(run: ReportRun) -> None:
    """Wait until a run's first query is stopped, and the log says so."""
    query = run.queries[0]
    run.wait_until_cancelled(query)

    def is_told() -> bool:
        # After a clear the next try of run_query may come before the trigger.
        submit = run.task("run_query")
        logs = run.log("wait_for_query") + run.log("run_query", submit.try_number)
        return logs_stop_of(query.id, logs)

    until(is_told, "the stop is in the log")


def test_a_wait_that_changes_hands_leaves_its_query_alone(
    held_runs: Mapping[str, ReportRun], faults: Faults, holds: Mapping[str, str]
) -> None:
    run = held_runs["held-changes-hands"]
    query = run.wait_for_query()
    run.wait_until_watched()
    give_to_another(run, "wait_for_query")
    until(
        lambda: "trigger completed" in run.log("wait_for_query"),
        "the frozen triggerer gives the wait up",
    )

    log = run.log("wait_for_query")
    if "without on_kill" not in log:  # as Airflow 3.4 drops the trigger
        assert "invoking on_kill" in log
        assert f"Query {query.id} continues: another trigger is waiting" in log
    assert run.states == ["RUNNING"]
    faults.clear(holds[run.run_id])
    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]
    assert run.task("wait_for_query").try_number == 1


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_submit_marked_with_what_is_behind_it_stops_its_query(
    held_runs: Mapping[str, ReportRun], state: Literal["failed", "success"]
) -> None:
    run = held_runs[f"held-marked-{state}"]
    run.wait_until_watched()

    run.airflow.client.set_state(
        run.dag_id, run.run_id, state, task_id="run_query", include_downstream=True
    )

    assert_stopped(run)
    assert run.wait_until_over() == state


def test_a_submit_cleared_stops_its_query_and_not_the_next_one(
    held_runs: Mapping[str, ReportRun], faults: Faults
) -> None:
    """Airflow cancels the old trigger when the wait begins again:
    it may have deferred before the trigger asks.
    """
    run = held_runs["held-submit-cleared"]
    run.wait_until_watched()
    hold_of_the_next = faults.add(Hold(sql=run.run_id))

    run.airflow.client.clear(run.dag_id, run.run_id, task_ids=["run_query"])

    assert_stopped(run)
    run.wait_until_watched()
    assert run.states == ["CANCELLED", "RUNNING"]
    faults.clear(hold_of_the_next)
    run.wait_until_success()
    assert run.states == ["CANCELLED", "SUCCEEDED"]


def test_a_wait_cleared_alone_waits_for_its_query_or_stops_it(
    held_runs: Mapping[str, ReportRun], faults: Faults, holds: Mapping[str, str]
) -> None:
    """It depends on whether its next try defers before the old trigger asks for its state."""
    run = held_runs["held-wait-cleared"]
    run.wait_until_watched()

    run.airflow.client.clear(
        run.dag_id, run.run_id, task_ids=["wait_for_query"], include_downstream=False
    )

    def waits_again() -> bool:
        wait = run.task("wait_for_query")
        return wait.try_number == 2 and wait.state in ("deferred", "success", "failed")

    until(waits_again, "the wait has begun again")
    faults.clear(holds[run.run_id])
    outcome = (run.wait_until_over(), run.states)
    assert outcome in [("success", ["SUCCEEDED"]), ("failed", ["CANCELLED"])]


# --- a wait whose time is over: the last test, since the others take as long


def test_input_that_never_comes_fails_the_run_when_its_time_is_over_and_pays_nothing(
    runs: Mapping[str, ReportRun],
) -> None:
    run = runs["gets-nothing"]
    assert run.wait_until_over() == "failed"
    assert run.task(TASK).state == "success"
    assert "The wait for the inputs has timed out" in log_of(run)
    assert "No query was started" in run.log("run_query")
    assert run.queries == []
