import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from athena_reports_cli.local.client import AirflowRuntimeError
from athena_reports_cli.local.runtime import AirflowConfig
from tests.support.live_airflow import LiveAirflow
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

UNUSABLE = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/such/folder/airflow.db"}
DAG_FILE = """
from datetime import datetime, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, task

with DAG(
    "daily",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
):

    @task
    def greet(dag_run=None):
        return {"hello": dag_run.conf.get("whom")}

    command = 'test -n {{ run_id }} -a -z "$AWS_PROFILE"'
    BashOperator(task_id="render", bash_command=command) << greet()
"""


def session_members(leaders: set[int]) -> list[int]:
    members = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and os.getsid(process.pid) in leaders:
                members.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return members


def recorded_leaders(home: Path) -> set[int]:
    return {json.loads(line)[0] for line in (home / "processes").read_text().splitlines()}


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "daily.py").write_text(DAG_FILE)
    return folder


@pytest.fixture(scope="module")
def airflow(start_airflow: "StartAirflow", dags_folder: Path) -> Iterator[LiveAirflow]:
    with pytest.MonkeyPatch.context() as shell:
        shell.setenv("AWS_PROFILE", "production")
        shell.setenv("AIRFLOW__CORE__PARALLELISM", "none")
        yield start_airflow(
            dags_folder,
            dag_ids=("daily",),
            environment={"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1"},
        )


def test_a_manual_run_without_a_logical_date_succeeds_and_can_be_inspected(
    airflow: LiveAirflow,
) -> None:
    client = airflow.client
    client.unpause("daily")

    triggered = client.trigger("daily", conf={"whom": "world"})
    [run] = client.wait_for_runs("daily", [triggered.run_id], timeout_seconds=60)

    assert (run.state, run.run_type, run.logical_date, run.data_interval_start) == (
        "success",
        "manual",
        None,
        None,
    )
    assert client.xcom("daily", run.run_id, "greet") == {"hello": "world"}
    assert "Returned value was: {'hello': 'world'}" in client.task_log("daily", run.run_id, "greet")
    tasks = {task.task_id: task for task in client.task_instances("daily", run.run_id)}
    assert run.run_id in tasks["render"].rendered_fields["bash_command"]
    assert {task_id: task.operator_name for task_id, task in tasks.items()} == {
        "greet": "@task",
        "render": "BashOperator",
    }

    client.clear("daily", run.run_id, task_ids=["render"])
    client.wait_for_runs("daily", [run.run_id], timeout_seconds=60)
    tries = {task.task_id: task.try_number for task in client.task_instances("daily", run.run_id)}
    assert tries == {"greet": 1, "render": 2}

    client.set_state("daily", run.run_id, "failed")
    assert client.run("daily", run.run_id).state == "failed"


def test_the_command_line_meets_the_same_airflow(airflow: LiveAirflow) -> None:
    *_, listing = airflow.cli("dags", "list", "--output", "json").splitlines()

    assert [dag["dag_id"] for dag in json.loads(listing)] == ["daily"]


def test_a_file_that_cannot_be_imported_is_named_with_its_stack_trace(
    airflow: LiveAirflow, dags_folder: Path
) -> None:
    broken = dags_folder / "broken.py"
    broken.write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    try:
        with pytest.raises(
            AirflowRuntimeError, match=r"(?s)broken\.py:.*No module named 'no_such_module'"
        ):
            airflow.wait_until_parsed(["absent"])
    finally:
        broken.unlink()


def test_a_stop_leaves_no_process_and_frees_the_port(airflow: LiveAirflow) -> None:
    leaders = recorded_leaders(airflow.config.home)
    port = int(airflow.url.rpartition(":")[2])
    assert len(session_members(leaders)) > len(leaders)
    assert is_listening(port)

    airflow.stop()

    assert session_members(leaders) == []
    assert not is_listening(port)
    airflow.stop()


@pytest.fixture
def starting(dags_folder: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is about to start the API servers in `tmp_path`."""
    script = f"""
from pathlib import Path
from athena_reports_cli.local.runtime import AirflowConfig
from tests.support.live_airflow import LiveAirflow
with LiveAirflow(AirflowConfig(
    home=Path({str(tmp_path)!r}),
    dags_folder=Path({str(dags_folder)!r}),
    components=("api-server",),
)):
    pass
"""
    with (tmp_path / "errors.txt").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")},
            stderr=stderr,
        )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "processes").exists() or len(recorded_leaders(tmp_path)) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_sigterm_while_starting_stops_what_was_started(
    starting: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    leaders = recorded_leaders(tmp_path)

    starting.terminate()
    starting.wait(timeout=30)

    assert "KeyboardInterrupt: SIGTERM" in (tmp_path / "errors.txt").read_text()
    assert session_members(leaders) == []


def test_what_a_killed_runtime_left_behind_is_ended_by_the_next(
    starting: subprocess.Popen[bytes], tmp_path: Path, dags_folder: Path
) -> None:
    leaders = recorded_leaders(tmp_path)
    starting.kill()
    starting.wait()
    assert session_members(leaders)
    broken = AirflowConfig(home=tmp_path, dags_folder=dags_folder, environment=UNUSABLE)

    with pytest.raises(AirflowRuntimeError), LiveAirflow(broken):
        pass

    assert session_members(leaders) == []
