"""The Airflow of `up` and of the demo before its start."""

from __future__ import annotations

import re
import socket
import subprocess
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from athena_reports_cli.local import up
from athena_reports_cli.local.client import AirflowRuntimeError
from athena_reports_cli.local.connections import ConnectionsError
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, announced, find_running
from athena_reports_cli.local.runtime import free_port
from athena_reports_cli.local.services import Services, ServicesError
from athena_reports_cli.local.up import airflow_of, require_free, stay_up


def test_an_airflow_has_what_the_project_and_the_services_say(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.sql.mkdir(parents=True)
    services = Services("http://127.0.0.1:4566")
    home = tmp_path / "home"
    connections = {
        "AIRFLOW_CONN_SMTP_DEFAULT": "smtp://x",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://k:s@",
    }
    airflow = airflow_of(
        project, services, lambda _: None, connections, home=home, port=8081, schedule=True
    )
    config = airflow.config
    assert config.environment == {
        "AIRFLOW_CONN_SMTP_DEFAULT": "smtp://x",
        **services.environment,
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_SQL_FOLDER": str(tmp_path / "include" / "sql"),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
    }
    assert (config.home, config.port) == (home, 8081)
    assert (config.dags_folder, config.plugins_folder) == (project.dags, project.plugins)


def test_by_default_an_airflow_starts_no_run_by_itself_in_the_folder_of_up(tmp_path: Path) -> None:
    services = Services("http://127.0.0.1:4566")
    told: list[str] = []
    airflow = airflow_of(Project(tmp_path), services, told.append, {})
    config = airflow.config
    assert config.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert (config.home, config.port) == (tmp_path / ".airflow" / "up", None)
    airflow.__exit__()
    assert told == ["stopping Airflow"]


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def local_services(_: Path) -> None:
        raise AssertionError("nothing is started")

    monkeypatch.setattr(up, "local_services", local_services)


@pytest.mark.usefixtures("nothing_starts")
def test_a_port_that_is_taken_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AirflowRuntimeError) as refused:
            up.up(Project(tmp_path), port, Console(file=StringIO()))
    assert re.fullmatch(
        rf"Cannot use port {port} on 127\.0\.0\.1: Address already in use.*\. Choose another with"
        r" --port\.",
        str(refused.value),
    )
    require_free(port)


@pytest.mark.usefixtures("nothing_starts")
def test_a_second_one_is_told_where_the_first_one_runs(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.airflow.mkdir()
    with (
        announced(Running("http://127.0.0.1:9", "admin", "secret", {}), project),
        pytest.raises(
            AirflowRuntimeError, match=r"already running .*, at http://127\.0\.0\.1:9\. "
        ),
    ):
        up.up(project, free_port(), Console(file=StringIO()))


class EndedError(Exception):
    """A component of Airflow has ended."""


def test_it_is_told_how_to_use_what_runs_and_what_runs_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    project.airflow.mkdir()
    services = Services("http://127.0.0.1:4566")
    looks = []

    def check_alive() -> None:
        looks.append(find_running(project))
        if len(looks) == 3:
            raise EndedError

    airflow: Any = SimpleNamespace(
        url="http://127.0.0.1:8080",
        admin_login=("admin", "sec[ret"),
        config=SimpleNamespace(home=tmp_path / "a home"),
        check_alive=check_alive,
    )
    pauses = iter(range(10))  # where nobody looks any more, the test ends too
    monkeypatch.setattr("time.sleep", lambda _: next(pauses))
    output = StringIO()
    console = Console(file=output, width=40)
    with pytest.raises(EndedError):
        stay_up(airflow, services, project, console)
    running = Running("http://127.0.0.1:8080", "admin", "sec[ret", services.environment)
    assert looks == [running] * 3
    assert find_running(project) is None
    _, told_airflow, reports, shell, *lines = output.getvalue().splitlines()
    assert [told_airflow, reports, *lines] == [
        "Airflow  http://127.0.0.1:8080  user admin, password sec[ret",
        "Reports  http://127.0.0.1:8080/athena-reports/",
        "         (only for the commands airflow and aws)",
        "Publish  athena-reports run REPORT PERIOD, in another shell",
        "Press Ctrl-C to stop everything.",
    ]
    command = ["sh", "-c", f"{shell.removeprefix('Shell    ')}; env"]
    exported = subprocess.check_output(command, env={}, text=True).splitlines()
    expected = {"AIRFLOW_HOME": str(tmp_path / "a home"), **services.environment}
    assert {f"{name}={value}" for name, value in expected.items()} <= set(exported)


@pytest.mark.usefixtures("nothing_starts")
def test_a_wrong_line_of_the_connections_is_told_before_anything_is_started(
    tmp_path: Path,
) -> None:
    (tmp_path / ".airflow.env").write_text("SMTP_DEFAULT=smtp://x\n")
    with pytest.raises(ConnectionsError, match=r"\.airflow\.env, line 1 "):
        up.up(Project(tmp_path), free_port(), Console(file=StringIO()))


@pytest.mark.parametrize("error", [AirflowRuntimeError("it ended"), ServicesError("no port")])
def test_what_ends_it_is_told_with_the_folder_of_the_logs(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def local_services(_: Path) -> None:
        raise error

    monkeypatch.setattr(up, "local_services", local_services)
    project = Project(tmp_path)
    with pytest.raises(AirflowRuntimeError) as ended:
        up.up(project, free_port(), Console(file=StringIO()))
    assert str(ended.value) == f"{error}\nLogs: {project.airflow}"
