"""A real Airflow on this machine: its components as child processes, until the context ends."""

from __future__ import annotations

import fcntl
import json
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Self

import httpx

from athena_reports_cli.local.client import AirflowRuntimeError, RestAirflow
from athena_reports_cli.local.interrupts import signals_as_interrupts, signals_put_off
from athena_reports_cli.local.processes import Process, end_recorded
from athena_reports_cli.local.services import environment_without

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")

Progress = Callable[[str], None]
"""Told in a few words what is going on."""

_START_SECONDS = 300
# Below those that Linux and macOS give to outgoing connections:
# one of them could get a free port before its server.
_PORTS = range(20_000, 32_000)
_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_VARIABLES = {
    "PYTHONUNBUFFERED": "1",
    # All that is reached is on this machine, and on macOS a proxy look-up after a fork crashes.
    "NO_PROXY": "*",
    "no_proxy": "*",
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
    # Profiles and instance metadata could lead a local run to a real account.
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, kw_only=True)
class AirflowConfig:
    """What to start, and where.

    Attributes:
        home: AIRFLOW_HOME. Logs and SQLite of an earlier start are removed.
        dags_folder: Where the DAG files are.
        plugins_folder: Where the plugins are; by default none.
        environment: Variables of all components, which win over `airflow.cfg`. AIRFLOW*,
            AWS_* and ATHENA_REPORTS_* of this process reach none: a shell may be set up for an
            account.
        components: What to start. The API server is always needed: tasks report to it.
            `triggerer-1` and so on are triggerers that stand in for each other.
        python: Interpreter whose Airflow is started.
        port: Port of the API server on 127.0.0.1; by default a free one.
    """

    home: Path
    dags_folder: Path
    plugins_folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    components: tuple[str, ...] = COMPONENTS
    python: Path = Path(sys.executable)
    port: int | None = None


class AirflowRuntime:
    """Airflow, running for as long as the context lasts.

    It begins without metadata, and on leaving it is killed: nothing that it knows is needed then.
    Meanwhile SIGTERM and SIGHUP raise KeyboardInterrupt. The DAGs of `dag_ids` are parsed when the
    context is entered.
    """

    client: RestAirflow
    admin_login: tuple[str, str]
    _client_type = RestAirflow

    def __init__(
        self,
        config: AirflowConfig,
        *,
        dag_ids: Collection[str] = (),
        on_progress: Progress = lambda _: None,
    ) -> None:
        self.config = config
        self._dag_ids = dag_ids
        self._progress = on_progress
        self._home = config.home.absolute()
        self._running: dict[str, Process] = {}
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """Address of the UI and the API, without a trailing slash."""
        return self.client.url

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._progress("stopping Airflow")
        finally:  # also where nobody reads the progress any more, and standard output is closed
            self.stop()

    def stop(self) -> None:
        """Kill every process of every component; does nothing if none runs."""
        try:
            with signals_put_off():
                for name in list(self._running):
                    self.kill(name)
        finally:
            self._held.close()

    def cli(self, *args: str) -> str:
        """Run `airflow <args>` in the components' environment and return what it printed."""
        done = subprocess.run(
            self._airflow(*args),
            env=self._environment,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise AirflowRuntimeError(
                f"`airflow {' '.join(args[:2])}` failed:\n{(done.stdout + done.stderr)[-3000:]}"
            )
        return done.stdout

    def kill(self, name: str) -> None:
        """Kill all processes of a component at once; the others are not told."""
        self._running.pop(name).end()

    def check_alive(self) -> None:
        """Raise AirflowRuntimeError if a component has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise AirflowRuntimeError(
                    f"`{name}` exited with {process.returncode}:\n{tail(process.log)}"
                )

    def wait_until_parsed(self, names: Collection[str]) -> None:
        """Wait until Airflow has parsed DAGs, given by id or file name such as `user_ranking.py`.

        AirflowRuntimeError if a file in the DAGs folder cannot be imported.
        """

        def unparsed() -> list[str]:
            errors = self.client.rows("/api/v2/importErrors", "import_errors")
            if errors:
                texts = [f"{error['filename']}:\n{error['stack_trace']}" for error in errors]
                raise AirflowRuntimeError("\n".join(["DAG files that cannot be imported:", *texts]))
            unparsed_names = set(names)
            for dag in self.client.rows("/api/v2/dags", "dags"):
                unparsed_names -= {dag["dag_id"], Path(dag["fileloc"]).name}
            return sorted(unparsed_names)

        self._wait_until_none(unparsed, "parsed")

    def _start(self) -> None:
        config = self.config
        home = self._home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._held.enter_context((home / "lock").open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AirflowRuntimeError(
                f"another Airflow is using {home}: stop it, or choose another home"
            ) from error
        self._held.enter_context(signals_as_interrupts())
        self._held.callback(end_recorded, home / "processes")
        end_recorded(home / "processes")
        shutil.rmtree(home / "logs", ignore_errors=True)
        for path in home.glob("airflow.db*"):
            path.unlink()

        (home / "config").mkdir(exist_ok=True)
        shutil.copy(
            Path(__file__).with_name("sqlite_settings.py"),
            home / "config" / "airflow_local_settings.py",
        )

        port = config.port or free_port()
        execution_port = port
        self._commands = {name: self._command(name) for name in config.components}
        if _DATABASE not in config.environment:
            # With SQLite the tasks' API is a process apart. The public API logs each action in its
            # event loop (airflow.api_fastapi.logging.decorators), so it waits there for SQLite's
            # only writer. Were that a task's request in the same process, which needs the loop to
            # commit, both would wait until SQLite gives up.
            execution_port = free_port()
            self._commands["api-server"] += ["--apps=core"]
            self._commands["execution-api"] = self._airflow(
                "api-server", "--apps=execution", f"--port={execution_port}"
            )
        self._execution_url = f"http://127.0.0.1:{execution_port}/execution/"
        self._write_configuration(port)
        # A deployment keeps compiled modules, and each task is a process that imports them.
        not_theirs = ("AIRFLOW", "AWS_", "ATHENA_REPORTS_", "PYTHONDONTWRITEBYTECODE")
        self._environment = {
            **environment_without(*not_theirs),
            **_VARIABLES,
            "AIRFLOW_HOME": str(home),
            **config.environment,
        }
        self._progress("creating the metadata database")
        self.cli("db", "migrate")
        user, password = self.admin_login
        if "fab" in config.environment.get("AIRFLOW__CORE__AUTH_MANAGER", ""):
            names = [f"--username={user}", f"--firstname={user}", f"--lastname={user}"]
            email = f"--email={user}@example.com"
            self.cli("users", "create", *names, email, "--role=Admin", f"--password={password}")
        self._progress(f"starting {', '.join(config.components)}")
        since = datetime.now(UTC)
        for name in self._commands:
            self._start_process(name)
        url = f"http://127.0.0.1:{port}"
        self.client = self._client_type(url, login=self.admin_login, check=self.check_alive)
        self._wait_until_none(lambda: self._unhealthy(config.components, since), "healthy")
        self.wait_until_parsed(self._dag_ids)
        self._progress(f"Airflow is ready at {self.url}")

    def _write_configuration(self, port: int) -> None:
        """Write `airflow.cfg`, so that `airflow` in another shell needs no more than AIRFLOW_HOME.

        The same goes for the passwords of Airflow's simple auth manager.
        """
        plugins_folder = self.config.plugins_folder or self._home / "plugins"
        template = Template(Path(__file__).with_name("airflow.cfg").read_text())
        values = {
            "home": self._home,
            "dags_folder": self.config.dags_folder.absolute(),
            "plugins_folder": plugins_folder.absolute(),
            "port": port,
            "url": f"http://127.0.0.1:{port}",
            "execution_url": self._execution_url,
            "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "secret": secrets.token_urlsafe(64),
        }
        # Airflow interpolates what follows a percent sign.
        text = template.substitute(
            {name: str(value).replace("%", "%%") for name, value in values.items()}
        )
        (self._home / "airflow.cfg").write_text(text)
        user, password = "admin", secrets.token_urlsafe(12)
        self.admin_login = user, password
        (self._home / "passwords.json").write_text(json.dumps({user: password}))

    def _command(self, name: str) -> list[str]:
        kind = _kind(name)
        if kind in ("scheduler", "triggerer"):
            # Their log servers listen on all interfaces;
            # on one machine the API server reads the files itself.
            return self._airflow(kind, "--skip-serve-logs")
        return self._airflow(kind)

    def _airflow(self, *args: str) -> list[str]:
        return [str(self.config.python.with_name("airflow")), *args]

    def _start_process(self, name: str) -> None:
        self._running[name] = Process(
            self._commands[name],
            log=self._home / "logs" / "components" / f"{name}.log",
            records=self._home / "processes",
            env=self._environment,
            cwd=self._home,
        )

    def _unhealthy(self, names: Iterable[str], since: datetime) -> list[str]:
        """Those that have not yet reported to be well since then; workers do not report.

        Of several triggerers Airflow tells only the latest heartbeat.
        """
        try:
            health = self.client.health()
            httpx.get(f"{self._execution_url}health", trust_env=False).raise_for_status()
        except (AirflowRuntimeError, httpx.TransportError):
            return ["api-server"]

        unhealthy = []
        for name in names:
            if _kind(name) not in COMPONENTS[1:]:  # the API server has answered; workers do not
                continue
            kind = _kind(name).replace("-", "_")
            state = health[kind]
            heartbeat = state[f"latest_{kind}_heartbeat"]
            if state["status"] != "healthy" or datetime.fromisoformat(heartbeat) < since:
                unhealthy.append(name)
        return unhealthy

    def _wait_until_none(self, missing: Callable[[], list[str]], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        last_message = ""
        while True:
            names = ", ".join(missing())
            if not names:
                return
            self.check_alive()
            message = f"waiting for {names} to be {what}"
            if message != last_message:
                self._progress(message)
                last_message = message
            if time.monotonic() > deadline:
                raise AirflowRuntimeError(f"not {what} within {_START_SECONDS} s: {names}")
            time.sleep(0.2)


def _kind(name: str) -> str:
    """What a component is, without the number that tells it from others."""
    return name.rstrip("-0123456789")


def tail(log: Path) -> str:
    """The end of what was printed into a file."""
    return log.read_text(errors="replace")[-3000:]


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    for port in random.sample(_PORTS, 50):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AirflowRuntimeError("No free port was found on 127.0.0.1.")
