"""A local Airflow whose components are small programs.

tests/airflow/test_backfills.py starts real ones.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from configparser import ConfigParser
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from athena_reports_cli.local import runtime
from athena_reports_cli.local.client import AirflowRuntimeError
from athena_reports_cli.local.runtime import COMPONENTS, AirflowConfig, AirflowRuntime, free_port

# Stands for `airflow`. Each process writes down its command and its variables. The API server has a
# new heartbeat of a component at the third look, and the DAGs and import errors that a test writes
# down. `ENDS` names a component whose first process ends.
AIRFLOW = """#!{python} -S
import json
import os
import subprocess
import sys
import time
from configparser import ConfigParser
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

def now():
    return datetime.now(timezone.utc).isoformat()

command, options = sys.argv[1], sys.argv[2:]
home = Path(os.environ["AIRFLOW_HOME"])
with (home / "commands").open("a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
(home / f"{{command}}.variables").write_text(json.dumps(dict(os.environ)))
if command == "db" and "no/such" in os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", ""):
    print("begin", "x" * 4000, "there is")
    sys.exit("no database")
if command in ("db", "users", "dags"):
    print(os.getcwd())
    sys.exit()
if command == os.environ.get("ENDS") and not (home / "ended").exists():
    (home / "ended").touch()
    print("of a sudden")
    sys.exit(3)
if command != "api-server":
    (home / f"{{command}}.pid").write_text(str(os.getpid()))
    subprocess.Popen(["sleep", "60"], process_group=0)  # as a task
    while True:
        time.sleep(60)

def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

heartbeats = {{}}
looks = {{}}

def state(kind):
    file = home / f"{{kind.replace('_', '-')}}.pid"
    pid = file.read_text() if file.exists() else ""
    looks[pid] = looks.get(pid, 0) + 1
    if pid and is_running(int(pid)) and looks[pid] >= 3:
        heartbeats[kind] = now()
    heartbeat = heartbeats.get(kind)
    return {{"status": "healthy" if heartbeat else None, f"latest_{{kind}}_heartbeat": heartbeat}}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {{"import_errors": [], "dags": [], "total_entries": 0}}
        if (home / "answer").exists():
            answer |= json.loads((home / "answer").read_text())
        if self.path.endswith("/monitor/health"):
            answer = {{kind: state(kind) for kind in ("scheduler", "triggerer", "dag_processor")}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass

ports = [option.removeprefix("--port=") for option in options if option.startswith("--port=")]
settings = ConfigParser()
settings.read(home / "airflow.cfg")
port = int((ports or [settings["api"]["port"]])[0])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AirflowConfig:
    """What starts the small programs."""
    command = tmp_path / "bin" / "airflow"
    command.parent.mkdir()
    command.write_text(AIRFLOW.format(python=sys.executable))
    command.chmod(0o755)
    sleep = time.sleep
    monkeypatch.setattr(runtime.time, "sleep", lambda _: sleep(0.01))
    return AirflowConfig(
        home=tmp_path / "home",
        dags_folder=tmp_path,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
        components=("api-server", "scheduler"),
        python=command.with_name("python"),
    )


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that is set up for an account."""
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "none")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://athena.example.com")
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-prd")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OF_THE_TEAM", "yes")


def variables_of(config: AirflowConfig, command: str) -> dict[str, str]:
    return dict(json.loads((config.home / f"{command}.variables").read_text()))


def settings_of(config: AirflowConfig) -> dict[tuple[str, str], str]:
    """What `airflow.cfg` says, by section and option."""
    parser = ConfigParser()
    parser.read(config.home / "airflow.cfg")
    return {(section, name): value for section in parser for name, value in parser[section].items()}


def commands_of(config: AirflowConfig) -> list[list[str]]:
    return [json.loads(line) for line in (config.home / "commands").read_text().splitlines()]


def processes_of(config: AirflowConfig) -> list[psutil.Process]:
    """The processes that have the home of an Airflow in their variables."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("AIRFLOW_HOME") == str(config.home):
                found.append(process)
    return found


@pytest.mark.usefixtures("shell")
def test_components_have_nothing_of_the_account_of_the_shell_and_are_waited_for(
    config: AirflowConfig,
) -> None:
    started_at = datetime.now(UTC)
    with AirflowRuntime(config) as airflow:
        heartbeat = airflow.client.health()["scheduler"]["latest_scheduler_heartbeat"]
        assert datetime.fromisoformat(heartbeat) > started_at
        for command in ("db", "api-server", "scheduler"):
            variables = variables_of(config, command)
            assert (
                variables.items()
                >= {
                    "OF_THE_TEAM": "yes",
                    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
                    "AWS_CONFIG_FILE": "/dev/null",
                    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "NO_PROXY": "*",
                }.items()
            )
            of_the_account = ("AIRFLOW__", "AWS_PROFILE", "ATHENA_", "PYTHONDONTWRITEBYTECODE")
            assert not [name for name in variables if name.startswith(of_the_account)]


def test_each_component_has_its_command_and_what_happens_is_told(config: AirflowConfig) -> None:
    """Of two servers, one is for tasks: see the comment where it is started."""
    config = replace(config, components=COMPONENTS)
    lines: list[str] = []
    with AirflowRuntime(config, on_progress=lines.append) as airflow:
        commands = commands_of(config)
        variables = variables_of(config, "scheduler")
        # A command of a person has the variables of the components.
        assert airflow.cli("dags", "list") == f"{config.home}\n"
        assert variables_of(config, "dags") == variables
    assert [line for line in lines if not line.startswith("waiting for")] == [
        "creating the metadata database",
        "starting api-server, scheduler, dag-processor, triggerer",
        f"Airflow is ready at {airflow.url}",
        "stopping Airflow",
    ]
    waits = [line for line in lines if line.startswith("waiting for")]
    assert len(waits) == len(set(waits))  # each once, and not at each look
    for line in waits:
        (names,) = re.findall("^waiting for (.*) to be healthy$", line)
        # The others are asked for when the API server answers.
        assert names == "api-server" or set(names.split(", ")) <= set(COMPONENTS[1:])
    port = urlsplit(settings_of(config)["core", "execution_api_server_url"]).port
    assert commands[0] == ["db", "migrate"]
    assert sorted(commands[1:]) == [
        ["api-server", "--apps=core"],
        ["api-server", "--apps=execution", f"--port={port}"],
        ["dag-processor"],
        ["scheduler", "--skip-serve-logs"],
        ["triggerer", "--skip-serve-logs"],
    ]


def test_on_a_server_with_users_there_is_one_api_and_an_administrator(
    config: AirflowConfig,
) -> None:
    environment = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://x",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.FabAuthManager",
    }
    config = replace(config, environment=environment, port=free_port())
    with AirflowRuntime(config) as airflow:
        assert airflow.url == f"http://127.0.0.1:{config.port}"
        user, password = airflow.admin_login
        migrate, users, *components = commands_of(config)
        variables = variables_of(config, "scheduler")
    names = [f"--username={user}", f"--firstname={user}", f"--lastname={user}"]
    rest = [f"--email={user}@example.com", "--role=Admin", f"--password={password}"]
    assert (migrate, users) == (["db", "migrate"], ["users", "create", *names, *rest])
    assert sorted(components) == [["api-server"], ["scheduler", "--skip-serve-logs"]]
    execution_url = settings_of(config)["core", "execution_api_server_url"]
    assert execution_url == f"{airflow.url}/execution/"
    assert variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "postgresql://x"


def test_a_second_start_keeps_nothing_of_what_airflow_knew(
    config: AirflowConfig,
) -> None:
    with AirflowRuntime(config) as airflow:
        user, password = airflow.admin_login
        secret = settings_of(config)["api", "secret_key"]
    assert (user, len(password) >= 12) == ("admin", True)
    assert json.loads((config.home / "passwords.json").read_text()) == {"admin": password}
    assert config.home.stat().st_mode & 0o077 == 0
    for name in ("airflow.db", "airflow.db-wal", "logs/old.log"):
        (config.home / name).write_text("of the first start")
    with AirflowRuntime(config) as airflow:
        assert airflow.admin_login[1] != password
        assert settings_of(config)["api", "secret_key"] != secret
        for name in ("airflow.db", "airflow.db-wal", "logs/old.log"):
            assert not (config.home / name).exists()
        settings = (config.home / "config" / "airflow_local_settings.py").read_text()
    assert "BEGIN IMMEDIATE" in settings


def test_what_an_earlier_airflow_has_left_is_ended_and_so_is_all_that_was_recorded(
    config: AirflowConfig,
) -> None:
    """Also what somebody else has recorded meanwhile, such as a start that was interrupted."""
    records = config.home / "processes"
    config.home.mkdir()
    with ExitStack() as stack:

        def start() -> subprocess.Popen[bytes]:
            process = subprocess.Popen(["sleep", "60"], start_new_session=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        def record(process: subprocess.Popen[bytes]) -> None:
            created = psutil.Process(process.pid).create_time()
            with records.open("a") as file:
                print(json.dumps([process.pid, created]), file=file)

        earlier, meanwhile = start(), start()
        record(earlier)
        with AirflowRuntime(config):
            assert earlier.wait(10) == -9
            record(meanwhile)
        assert meanwhile.wait(10) == -9
    assert not records.exists()


def test_a_server_that_answers_late_is_waited_for(
    config: AirflowConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = httpx.get
    kinds = (httpx.ReadTimeout, httpx.ReadError, httpx.ConnectError)
    failures = [kind("it starts") for kind in kinds]

    def late(*given: Any, **options: Any) -> httpx.Response:
        if failures:
            raise failures.pop()
        return get(*given, **options)

    monkeypatch.setattr(httpx, "get", late)
    with AirflowRuntime(config) as airflow:
        assert failures == []
        airflow.check_alive()


def test_a_home_in_use_is_refused_and_a_stop_leaves_no_process(config: AirflowConfig) -> None:
    said: SimpleQueue[str] = SimpleQueue()

    def start_another() -> None:
        try:
            with AirflowRuntime(config):
                said.put("it has started")
        except AirflowRuntimeError as error:
            said.put(str(error))

    with AirflowRuntime(config) as airflow:
        # In a thread, since one that waits for the home would wait for ever here.
        Thread(target=start_another, daemon=True).start()
        problem = f"another Airflow is using {config.home}: stop it, or choose another home"
        assert said.get(timeout=60) == problem
        airflow.check_alive()
        assert len(processes_of(config)) == 4  # with a task of the scheduler
        airflow.kill("scheduler")
        assert len(processes_of(config)) == 2
    assert processes_of(config) == []
    airflow.stop()


def test_a_component_that_ends_at_the_start_is_told_and_the_others_are_stopped(
    config: AirflowConfig,
) -> None:
    config = replace(config, environment={"ENDS": "scheduler"})
    with (
        pytest.raises(AirflowRuntimeError, match="`scheduler` exited with 3:\nof a sudden\n"),
        AirflowRuntime(config),
    ):
        raise AssertionError("it has started")
    assert processes_of(config) == []


def test_a_command_that_fails_is_told_with_what_it_printed(config: AirflowConfig) -> None:
    unusable = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/such/airflow.db"}
    # Of a long text the end is told.
    problem = "^`airflow db migrate` failed:\nx{1000,} there is\nno database\n$"
    with (
        pytest.raises(AirflowRuntimeError, match=problem),
        AirflowRuntime(replace(config, environment=unusable)),
    ):
        raise AssertionError("it has started")


def test_dags_are_waited_for_and_files_that_cannot_be_imported_are_told(
    config: AirflowConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tells(**answer: Any) -> None:
        (config.home / "answer").write_text(json.dumps(answer))

    one = {"dag_id": "one", "fileloc": "/dags/a.py"}
    config.home.mkdir()
    tells(dags=[one])
    lines: list[str] = []
    with AirflowRuntime(config, dag_ids=["one"], on_progress=lines.append) as airflow:
        airflow.wait_until_parsed(["a.py"])
        monkeypatch.setattr(runtime, "_START_SECONDS", 0)
        with pytest.raises(AirflowRuntimeError, match=r"^not parsed within 0 s: b.py, two$"):
            airflow.wait_until_parsed(["two", "b.py", "one", "a.py"])
        assert lines[-1] == "waiting for b.py, two to be parsed"
        tells(import_errors=[{"filename": "c.py", "stack_trace": "no_such_module"}])
        with pytest.raises(AirflowRuntimeError) as failed:
            airflow.wait_until_parsed(["two"])
    assert str(failed.value) == "DAG files that cannot be imported:\nc.py:\nno_such_module"


def test_a_start_that_is_given_up_leaves_no_process(config: AirflowConfig) -> None:
    def progress(message: str) -> None:
        if message == "waiting for absent to be parsed":
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        AirflowRuntime(config, dag_ids=["absent"], on_progress=progress),
    ):
        raise AssertionError("it has started")
    assert processes_of(config) == []


def test_a_free_port_is_not_one_that_the_system_gives_to_clients() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert 20_000 <= server.getsockname()[1] < 32_000


def test_a_signal_while_it_runs_is_an_interrupt_and_leaves_no_process(
    config: AirflowConfig,
) -> None:
    def run() -> None:
        with AirflowRuntime(config):
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        run()
    assert processes_of(config) == []


def test_the_end_of_a_log_is_told_whatever_bytes_are_in_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"begin" + b"x" * 4000 + b"\xff the end\n")
    assert runtime.tail(log).endswith("x\N{REPLACEMENT CHARACTER} the end\n")
    assert "begin" not in runtime.tail(log)
