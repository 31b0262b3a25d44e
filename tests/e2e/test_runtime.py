import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_local.runtime import (
    AirflowApiError,
    AirflowConfig,
    AirflowProcessError,
    AirflowRuntime,
    AirflowRuntimeError,
    DagImportErrors,
)

if TYPE_CHECKING:
    from tests.e2e.harness import StartAirflow

pytest_plugins = ["tests.e2e.harness"]
pytestmark = [pytest.mark.e2e, pytest.mark.full]

REPOSITORY = Path(__file__).parents[2]
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

    BashOperator(task_id="render", bash_command='test -n {{ run_id }} -a -z "$AWS_PROFILE"') << greet()
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
    return {leader["pid"] for leader in json.loads((home / "leaders.json").read_text())}


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "daily.py").write_text(DAG_FILE)
    return folder


@pytest.fixture(scope="module")
def airflow(start_airflow: "StartAirflow", dags_folder: Path) -> Iterator[AirflowRuntime]:
    with pytest.MonkeyPatch.context() as shell:
        shell.setenv("AWS_PROFILE", "production")
        shell.setenv("AIRFLOW__CORE__PARALLELISM", "none")
        yield start_airflow(
            dags_folder, dag_ids=("daily",), environment={"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1"}
        )


def test_a_manual_run_without_a_logical_date_succeeds_and_can_be_inspected(airflow: AirflowRuntime) -> None:
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
    assert run.run_id in client.rendered_fields("daily", run.run_id, "render")["bash_command"]
    assert "Returned value was: {'hello': 'world'}" in client.task_log("daily", run.run_id, "greet")
    tasks = {task.task_id: task for task in client.task_instances("daily", run.run_id)}
    assert {task_id: task.operator_name for task_id, task in tasks.items()} == {
        "greet": "@task",
        "render": "BashOperator",
    }

    assert client.clear("daily", run.run_id, task_ids=["render"]) == ["render"]
    client.wait_for_runs("daily", [run.run_id], timeout_seconds=60)
    tries = {task.task_id: task.try_number for task in client.task_instances("daily", run.run_id)}
    assert tries == {"greet": 1, "render": 2}

    client.set_state("daily", run.run_id, "failed")
    assert client.run("daily", run.run_id).state == "failed"


def test_a_backfill_runs_each_of_its_periods(airflow: AirflowRuntime) -> None:
    client = airflow.client
    client.unpause("daily")

    client.backfill("daily", datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 3, tzinfo=UTC))
    backfilled = [run.run_id for run in client.runs("daily") if run.run_type == "backfill"]
    runs = client.wait_for_runs("daily", backfilled, timeout_seconds=60)

    assert [(run.data_interval_start, run.data_interval_end, run.state) for run in runs] == [
        (datetime(2025, 3, day, tzinfo=UTC), datetime(2025, 3, day + 1, tzinfo=UTC), "success") for day in (1, 2, 3)
    ]


def test_a_refusal_tells_status_and_body(airflow: AirflowRuntime) -> None:
    with pytest.raises(AirflowApiError, match="not found") as refusal:
        airflow.client.trigger("nightly")

    assert refusal.value.status == 404
    assert "nightly" in refusal.value.body["detail"]


def test_the_command_line_meets_the_same_airflow(airflow: AirflowRuntime) -> None:
    *_, listing = airflow.cli("dags", "list", "--output", "json").splitlines()

    assert [dag["dag_id"] for dag in json.loads(listing)] == ["daily"]


def test_a_file_that_cannot_be_imported_is_named_with_its_stack_trace(
    airflow: AirflowRuntime, dags_folder: Path
) -> None:
    broken = dags_folder / "broken.py"
    broken.write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    try:
        with pytest.raises(DagImportErrors, match="No module named 'no_such_module'") as failure:
            airflow.wait_until_parsed(["absent"], timeout_seconds=60)
    finally:
        broken.unlink()

    assert [error.filename for error in failure.value.errors] == ["broken.py"]


def test_a_home_in_use_is_refused_and_left_alone(airflow: AirflowRuntime) -> None:
    with pytest.raises(AirflowRuntimeError, match="another runtime is using"), AirflowRuntime(airflow.config):
        pass

    airflow.check_alive()
    assert recorded_leaders(airflow.config.home)


def test_a_stop_leaves_no_process_and_frees_the_port(airflow: AirflowRuntime) -> None:
    leaders = recorded_leaders(airflow.config.home)
    port = int(airflow.url.rpartition(":")[2])
    assert len(session_members(leaders)) > len(leaders)
    assert is_listening(port)

    airflow.stop()

    assert session_members(leaders) == []
    assert not is_listening(port)
    airflow.stop()


def test_an_unusable_database_is_an_error_with_the_log_of_the_migration(dags_folder: Path, tmp_path: Path) -> None:
    config = AirflowConfig(
        home=tmp_path / "home",
        dags_folder=dags_folder,
        database_url=f"sqlite:///{tmp_path}/no/such/folder/airflow.db",
    )

    with (
        pytest.raises(AirflowProcessError, match="unable to open database file") as failure,
        AirflowRuntime(config),
    ):
        pass

    assert failure.value.name == "db migrate"
    assert failure.value.returncode > 0
    assert len(failure.value.log_tail.splitlines()) <= 30
    assert failure.value.log_tail in failure.value.log_path.read_text()


def test_a_component_that_ends_is_named_and_the_others_are_stopped(
    dags_folder: Path, tmp_path: Path, database_templates: Path
) -> None:
    config = AirflowConfig(
        home=tmp_path,
        dags_folder=dags_folder,
        components=("api-server", "triggerer"),
        environment={"AIRFLOW__TRIGGERER__CAPACITY": "many"},
        database_templates=database_templates,
    )

    before = set(psutil.Process().children(recursive=True))

    with (
        pytest.raises(AirflowProcessError, match='"capacity" key in "triggerer" section') as failure,
        AirflowRuntime(config),
    ):
        pass

    assert failure.value.name == "triggerer"
    assert failure.value.log_path == tmp_path / "logs" / "components" / "triggerer.log"
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.ci
def test_a_postgresql_is_made_once_and_copied_and_gone_after_the_stop(
    dags_folder: Path, tmp_path: Path, database_templates: Path
) -> None:
    config = AirflowConfig(
        home=tmp_path,
        dags_folder=dags_folder,
        components=("api-server",),
        database="postgresql",
        database_templates=database_templates,
    )
    migrated = []
    for _ in range(2):
        with AirflowRuntime(config) as runtime:
            leaders, folder = recorded_leaders(tmp_path), (tmp_path / "postgresql").resolve()
            assert folder.is_dir()
            runtime.restart("postgresql")
            runtime.client.request("GET", "/api/v2/pools")
            leaders |= recorded_leaders(tmp_path)
            migrated.append(runtime.log_path("db migrate").exists())
        assert session_members(leaders) == []
        assert not folder.exists()
    assert migrated == [True, False]


def test_a_taken_port_is_refused(dags_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = AirflowConfig(home=tmp_path, dags_folder=dags_folder, port=server.getsockname()[1])

        with (
            pytest.raises(AirflowRuntimeError, match=f"port {config.port} on 127.0.0.1 is taken"),
            AirflowRuntime(config),
        ):
            pass


@pytest.fixture
def starting(dags_folder: Path, tmp_path: Path, database_templates: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is about to start the API servers in `tmp_path`."""
    script = f"""
from pathlib import Path
from airflow_local.runtime import AirflowConfig, AirflowRuntime
with AirflowRuntime(AirflowConfig(
    home=Path({str(tmp_path)!r}), dags_folder=Path({str(dags_folder)!r}), components=("api-server",),
    database_templates=Path({str(database_templates)!r}),
)):
    pass
"""
    with (tmp_path / "errors.txt").open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stderr=stderr)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "leaders.json").exists() or len(recorded_leaders(tmp_path)) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_sigterm_while_starting_stops_what_was_started(starting: subprocess.Popen[bytes], tmp_path: Path) -> None:
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
    broken = AirflowConfig(home=tmp_path, dags_folder=dags_folder, database_url="sqlite:////no/such/folder/db")

    with pytest.raises(AirflowProcessError), AirflowRuntime(broken):
        pass

    assert session_members(leaders) == []
