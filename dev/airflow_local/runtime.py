"""A real Airflow on this machine: started as child processes, driven over its REST API, all stopped again.

`AirflowRuntime` starts the components that a deployment has, each as a process of its own, on 127.0.0.1 and
configured by environment variables alone. Metadata are in SQLite or in a PostgreSQL of its own, and tasks run
under the scheduler or in Celery workers, with a Redis of their own. `AirflowClient` speaks to the public API
as any other client would, with a token from the auth manager.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, NoReturn, Self

import httpx
import psutil  # type: ignore[import-untyped]

from airflow_local.client import (
    AirflowApiError,
    AirflowClient,
    AirflowRuntimeError,
    AirflowTimeoutError,
    AirflowUnreachableError,
    DagImportError,
    DagRun,
    TaskInstance,
)
from airflow_local.databases import Postgresql, Redis, unprivileged
from airflow_local.services import environment_without

__all__ = [
    "COMPONENTS",
    "AirflowApiError",
    "AirflowClient",
    "AirflowConfig",
    "AirflowProcessError",
    "AirflowRuntime",
    "AirflowRuntimeError",
    "AirflowTimeoutError",
    "AirflowUnreachableError",
    "Component",
    "DagImportError",
    "DagImportErrors",
    "DagRun",
    "Progress",
    "TaskInstance",
    "tail",
]

Component = Literal["api-server", "scheduler", "dag-processor", "triggerer"]
COMPONENTS: tuple[Component, ...] = ("api-server", "scheduler", "dag-processor", "triggerer")

Progress = Callable[[str], None]
"""Told in a few words what is going on."""

_AUTH_MANAGERS = {
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
}
_ADMIN = "admin"
_DATABASE_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_POSTGRESQL = "postgresql"
_REDIS = "redis"
_SERVING = ("api-server", "execution-api")
_STORING = (_POSTGRESQL, _REDIS)
_LOG_TAIL_LINES = 30
_POLL_SECONDS = 0.2
_ON_KILL_SECONDS = 2.0  # for tasks to stop what they started elsewhere


class AirflowProcessError(AirflowRuntimeError):
    """A process ended when it should not have, or with another exit code than 0.

    Attributes:
        name: The component or command, as in `airflow <name>`, or the database.
        returncode: Its exit code; a negative one is the signal that ended it.
        log_path: The file that holds all it printed.
        log_tail: The last 30 lines of that file.
    """

    def __init__(self, name: str, returncode: int, log_path: Path) -> None:
        self.name = name
        self.returncode = returncode
        self.log_path = log_path
        self.log_tail = tail(log_path)
        super().__init__(
            f"`{name}` ended with exit code {returncode}. Its log is {log_path}; the last lines:\n{self.log_tail}"
        )


class DagImportErrors(AirflowRuntimeError):  # noqa: N818 - it holds several
    """Files in the DAGs folder cannot be imported.

    Attributes:
        errors: One per file.
    """

    def __init__(self, errors: Iterable[DagImportError]) -> None:
        self.errors = tuple(errors)
        listing = "\n".join(f"{error.filename}:\n{error.stack_trace}" for error in self.errors)
        super().__init__(f"DAG files that cannot be imported:\n{listing}")


@dataclass(frozen=True, kw_only=True)
class AirflowConfig:
    """What to start, and where.

    Attributes:
        home: AIRFLOW_HOME: database, logs and secrets. One runtime uses it at a time; while none does, it may
            be removed.
        dags_folder: Where the DAG files are.
        plugins_folder: Where the plugins are; by default none.
        environment: Variables for all components. They win over every setting made here and over those of
            this process, whose AIRFLOW*, AWS_* and ATHENA_REPORTS_* reach no component: a local run must not
            depend on, or reach, the account that a shell happens to be set up for.
        components: What to start. The API server is always needed: tasks report to it.
        database: Where the metadata are: in SQLite in `home`, or in a PostgreSQL that begins empty and is
            gone after the stop.
        database_url: SQLAlchemy URL of a metadata database that is there already, instead of these.
        database_templates: A folder that keeps a database as it is before the first start, per kind and
            version of Airflow, made at first use: a copy takes no time, a migration 5 s. By default each home
            migrates its own.
        fresh: Whether SQLite in `home` and the logs begin empty. A database given by URL is never emptied.
        parallelism: How many tasks run at the same time.
        celery_workers: How many Celery workers (`worker-1`, `worker-2` and so on) run the tasks, each as many
            at a time as `parallelism` says; with 0 the scheduler's own processes do. They need PostgreSQL.
        auth_manager: Who decides what a user may: Airflow's simple auth manager, or that of the FAB provider,
            which has to be installed.
        python: Interpreter whose Airflow is started; by default this one.
        supervised: Whether a component that ends once all had started is started again, as a deployment's
            supervisor does, whenever `check_alive` looks; by default it is an error.
        port: Port of the API server on 127.0.0.1; by default a free one.
        start_timeout_seconds: How long the start may take, until all is healthy and the DAGs are parsed.
        stop_grace_seconds: How long running tasks may go on once a stop is asked for.
    """

    home: Path
    dags_folder: Path
    plugins_folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    components: tuple[Component, ...] = COMPONENTS
    database: Literal["sqlite", "postgresql"] = "sqlite"
    database_url: str | None = None
    database_templates: Path | None = None
    fresh: bool = True
    parallelism: int = 4
    celery_workers: int = 0
    auth_manager: Literal["simple", "fab"] = "simple"
    python: Path = Path(sys.executable)
    supervised: bool = False
    port: int | None = None
    start_timeout_seconds: float = 120
    stop_grace_seconds: float = 5

    def __post_init__(self) -> None:
        if "api-server" not in self.components:
            raise ValueError(f"components must hold 'api-server', tasks report to it: {self.components}")
        if self.parallelism < 1:
            raise ValueError(f"parallelism must be at least 1: {self.parallelism}")
        if self.database == "postgresql" and self.database_url is not None:
            raise ValueError("database_url names a database that is there: leave out database='postgresql'")
        if self.celery_workers and self.uses_sqlite:
            raise ValueError("celery_workers need database='postgresql': Celery cannot share SQLite")

    @property
    def uses_sqlite(self) -> bool:
        """Whether the metadata database is SQLite."""
        if self.database_url is not None:
            return self.database_url.startswith("sqlite")
        return self.database == "sqlite"

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the Celery workers."""
        return tuple(f"worker-{number}" for number in range(1, self.celery_workers + 1))


class AirflowRuntime:
    """Airflow, running for as long as the context lasts.

    On entering: ends what an interrupted run in the same home left running, prepares the database, starts the
    components, and waits until all are healthy and the DAGs asked for are parsed. On leaving, for whatever
    reason: stops every process that it started. SIGTERM of this process is a KeyboardInterrupt, like SIGINT.

    Args:
        config: What to start, and where.
        dag_ids: DAGs that must be parsed before the context is entered.
        on_progress: Told what happens; silent by default.

    Raises:
        AirflowProcessError: On entering, if the database cannot be prepared or a component ends.
        DatabaseError: On entering, if PostgreSQL or Redis is asked for and not installed.
        DagImportErrors: On entering, if a DAG file cannot be imported.
        AirflowTimeoutError: On entering, if it takes longer than the configured time.
        AirflowRuntimeError: On entering, if another runtime uses the home or the port is taken.
    """

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
        self._components: dict[str, _Child] = {}
        self._commands: dict[str, tuple[str, ...]] = {}
        self._stores: dict[str, Postgresql | Redis] = {}
        self._started_at = datetime.now(UTC)
        self._environment: dict[str, str] = {}
        self._client: AirflowClient | None = None
        self._is_supervising = False
        self._held = contextlib.ExitStack()

    @property
    def client(self) -> AirflowClient:
        """A client of the running API, logged in as admin. Its waiting ends early if a component does."""
        if self._client is None:
            raise AirflowRuntimeError("Airflow is not running: enter the context of the runtime first")
        return self._client

    @property
    def url(self) -> str:
        """Address of the UI and the API, without a trailing slash."""
        return self.client.url

    @property
    def admin_login(self) -> tuple[str, str]:
        """User name and password for the UI."""
        return _ADMIN, _load_secrets(self.config.home).admin_password

    @property
    def environment(self) -> Mapping[str, str]:
        """The components' variables: an `airflow` command run with them meets this Airflow. Holds secrets."""
        return dict(self._environment)

    def log_path(self, name: str) -> Path:
        """The file with all that a component, or a command like `db migrate`, has printed."""
        return self.config.home / "logs" / "components" / f"{name.replace(' ', '-')}.log"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def cli(self, *args: str, timeout_seconds: float = 60) -> str:
        """Run `airflow <args>` in the components' environment and return what it printed, warnings included.

        Raises:
            AirflowProcessError: If it ends with another exit code than 0.
            AirflowTimeoutError: If it takes longer than `timeout_seconds`; it is ended.
        """
        return self._run_command(args, self._environment, timeout_seconds).read_text()

    def check_alive(self) -> None:
        """Do nothing while all components run; if they are supervised, start again what has ended.

        Raises:
            AirflowProcessError: If one has ended.
        """
        for name, child in list(self._components.items()):
            if self._is_supervising and child.process.poll() is not None:
                self.kill(name)
                self._start_component(name)
            else:
                child.check_alive()

    def wait_until_parsed(self, dag_ids: Collection[str], *, timeout_seconds: float = 60) -> None:
        """Wait until the DAGs, in the state that their files have now or later, are known to the API.

        Raises:
            DagImportErrors: If a file in the DAGs folder cannot be imported.
            AirflowTimeoutError: If it takes too long; the message names the DAGs still missing.
            AirflowProcessError: If a component ends.
        """
        self._wait_until_none(lambda: self._unparsed(dag_ids), "parsed", timeout_seconds)

    @property
    def task_hosts(self) -> tuple[str, ...]:
        """The names of those whose processes run tasks."""
        return self.config.workers or ("scheduler",)

    def processes(self, name: str) -> list[psutil.Process]:
        """The living processes of a component or worker: its own and all that it started, such as tasks."""
        found = []
        for pid in self._components[name].leader.session():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                found.append(psutil.Process(pid))
        return found

    def kill(self, name: str) -> None:
        """Kill all processes of a component, a worker or `postgresql` at once; the others are not told."""
        child = self._components.pop(name)
        if name == _POSTGRESQL:
            # Its processes lead sessions of their own, so it must end them itself.
            child.process.send_signal(signal.SIGQUIT)
            child.process.wait()
        else:
            child.kill()
        self._record_leaders()

    def restart(self, name: str, *, timeout_seconds: float = 60) -> None:
        """Kill what `kill` can, unless it was killed before, start it again, and wait until it is healthy.

        Nobody tells whether a worker is healthy: it takes tasks as soon as it can.

        Raises:
            AirflowTimeoutError: If it takes too long.
            AirflowProcessError: If a component ends.
        """
        if name in self._components:
            self.kill(name)
        since = datetime.now(UTC)
        self._start_component(name)
        if name in self._stores:
            self._wait_until_none(lambda: self._unready([name]), "ready", timeout_seconds)
        else:
            self._wait_until_none(lambda: self._unhealthy([name], since), "healthy", timeout_seconds)

    def stop(self) -> None:
        """Stop every process of every component; does nothing if none runs.

        All are asked with SIGTERM first. Tasks may go on for the grace, which a SIGINT or SIGTERM cuts short;
        what then still runs is killed.
        """
        hurry = threading.Event()

        def do_hurry(_number: int, _frame: FrameType | None) -> None:
            hurry.set()

        with _handling((signal.SIGINT, signal.SIGTERM), do_hurry):
            if self._components:
                self._progress("stopping Airflow")
                # Tasks that end in the grace still report to the API, and that to the database.
                for group in _stop_order(self._components):
                    _terminate(group, self.task_hosts, self.config.stop_grace_seconds, hurry)
                self._components.clear()
                self._leaders_path.unlink(missing_ok=True)
            self._is_supervising = False
            if self._client is not None:
                self._client.close()
                self._client = None
        self._held.close()

    def _start(self) -> None:
        config = self.config
        config.home.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(_lock(config.home / "runtime.lock"))
        self._held.enter_context(_handling((signal.SIGTERM,), _interrupt))
        self._end_leftovers()
        if config.fresh:
            leftovers = (config.home / "airflow.cfg", config.home / "logs", *config.home.glob("airflow.db*"))
            _remove(leftovers)
        ports = _Ports.choose(config)
        self._stores = self._make_stores()
        urls = {name: store.url for name, store in self._stores.items()}
        self._environment = _environment(config, _load_secrets(config.home), ports, urls)
        self._commands = {name: store.command for name, store in self._stores.items()}
        self._start_stores(self._stores)
        if config.uses_sqlite:
            _copy(
                Path(__file__).with_name("sqlite_settings.py"),
                config.home / "config" / "airflow_local_settings.py",
            )
        self._prepare_database()
        self._started_at = datetime.now(UTC)
        self._progress(f"starting {', '.join(config.components)}")
        self._commands |= _commands(config, ports)
        for name in self._commands:
            if name not in self._stores:
                self._start_component(name)
        self._client = AirflowClient(ports.api_url, *self.admin_login, check=self.check_alive)
        self._wait_until_none(
            lambda: self._unhealthy(config.components, self._started_at),
            "healthy",
            config.start_timeout_seconds,
        )
        self._wait_until_none(lambda: self._unparsed(self._dag_ids), "parsed", config.start_timeout_seconds)
        self._is_supervising = config.supervised
        self._progress(f"Airflow is ready at {self.url}")

    def _start_component(self, name: str) -> None:
        with _deferring_interrupts():
            self._components[name] = _Child.start(
                name, self._commands[name], self._environment, self.config.home, self.log_path(name)
            )
            self._record_leaders()

    def _make_stores(self) -> dict[str, Postgresql | Redis]:
        """PostgreSQL and Redis, as far as they are asked for, ready to be started."""
        stores: dict[str, Postgresql | Redis] = {}
        if self.config.database == "postgresql":
            postgresql = Postgresql.create(_free_port(), self._template(_POSTGRESQL))
            self._held.callback(postgresql.remove)
            # For the next runtime, in case this one is killed before it can remove it.
            self._postgresql_link.symlink_to(postgresql.folder)
            stores[_POSTGRESQL] = postgresql
        if self.config.celery_workers:
            stores[_REDIS] = Redis.create(self.config.home, _free_port())
        return stores

    def _start_stores(self, names: Collection[str]) -> None:
        for name in names:
            self._progress(f"starting {name}")
            self._start_component(name)
        self._wait_until_none(lambda: self._unready(names), "ready", self.config.start_timeout_seconds)

    def _unready(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self._stores[name].is_ready()]

    def _template(self, kind: str) -> Path | None:
        """Where the database of a kind is kept as it is before the first start, if it is."""
        if self.config.database_templates is None:
            return None
        return self.config.database_templates / f"airflow-{version('apache-airflow')}.{kind}"

    def _prepare_database(self) -> None:
        """Bring the database to this Airflow's schema; SQLite appears in the home only when complete."""
        database = self.config.home / "airflow.db"
        if self.config.database == "postgresql":
            self._prepare_postgresql()
        elif self.config.database_url is not None or database.exists():
            self._progress("migrating the metadata database")
            self._set_up(self._environment)
        elif (template := self._template("db")) is not None and template.exists():
            _copy(template, database)
        else:
            self._progress("creating the metadata database")
            unfinished = self.config.home / "airflow.db.unfinished"
            _remove(self.config.home.glob("airflow.db.unfinished*"))
            self._set_up(self._environment | {_DATABASE_VARIABLE: _sqlite_url(unfinished)})
            unfinished.replace(database)
            if template is not None:
                _copy(database, template)

    def _prepare_postgresql(self) -> None:
        postgresql = self._stores[_POSTGRESQL]
        assert isinstance(postgresql, Postgresql)
        if postgresql.is_copy:
            return
        self._progress("creating the metadata database")
        self._set_up(self._environment)
        if (template := self._template(_POSTGRESQL)) is not None:
            server = self._components.pop(_POSTGRESQL).process
            server.terminate()
            server.wait()
            postgresql.keep_as(template)
            self._start_stores([_POSTGRESQL])

    def _set_up(self, environment: Mapping[str, str]) -> None:
        """Migrate the database, and make the user of the FAB provider."""
        self._run_command(("db", "migrate"), environment, self.config.start_timeout_seconds)
        if self.config.auth_manager == "fab":
            user, password = self.admin_login
            options = {
                "username": user,
                "password": password,
                "role": "Admin",
                "firstname": user,
                "lastname": user,
                "email": f"{user}@example.com",
            }
            words = [f"--{name}={value}" for name, value in options.items()]  # a password may begin with a dash
            self._run_command(("users", "create", *words), environment, self.config.start_timeout_seconds)

    def _run_command(self, args: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> Path:
        """Run a command to its end and return the file with what it printed."""
        name = " ".join(args)
        log_path = self.log_path(" ".join(args[:2]))
        log_path.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            with _deferring_interrupts():
                command = _airflow(self.config.python, *args)
                child = _Child.start(name, command, environment, self.config.home, log_path)
                stack.callback(child.kill)
            returncode = child.wait(timeout_seconds)
        if returncode is None:
            raise AirflowTimeoutError(
                f"`airflow {name}` took longer than {timeout_seconds:g} s. Its log is {log_path}; "
                f"the last lines:\n{tail(log_path)}"
            )
        if returncode != 0:
            raise AirflowProcessError(name, returncode, log_path)
        return log_path

    def _unhealthy(self, names: Iterable[str], since: datetime) -> list[str]:
        """Those of the components that have not yet reported to be well since they were started."""
        execution_url = self._environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        try:
            health = self.client.health()
            httpx.get(f"{execution_url}health", trust_env=False).raise_for_status()
        except (AirflowUnreachableError, httpx.TransportError):
            return ["api-server"]
        reporting = [name for name in names if name in COMPONENTS and name != "api-server"]
        return [name for name in reporting if not _is_healthy(health, name, since)]

    def _unparsed(self, dag_ids: Collection[str]) -> list[str]:
        """Those of the DAGs that this runtime's DAG processor has not yet stored."""
        if errors := self.client.import_errors():
            raise DagImportErrors(errors)
        parsed = self.client.parsed_dags()
        return [dag_id for dag_id in dag_ids if dag_id not in parsed or parsed[dag_id] < self._started_at]

    def _wait_until_none(self, missing: Callable[[], list[str]], what: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        reported: list[str] = []
        while still := missing():
            self.check_alive()
            if still != reported:
                self._progress(f"waiting for {', '.join(still)} to be {what}")
                reported = still
            if time.monotonic() > deadline:
                raise AirflowTimeoutError(
                    f"not {what} within {timeout_seconds:g} s: {', '.join(still)}. "
                    f"The logs are in {self.log_path('any').parent}"
                )
            time.sleep(_POLL_SECONDS)

    @property
    def _leaders_path(self) -> Path:
        return self.config.home / "leaders.json"

    @property
    def _postgresql_link(self) -> Path:
        return self.config.home / "postgresql"

    def _record_leaders(self) -> None:
        leaders = [asdict(child.leader) for child in self._components.values()]
        _write_private(self._leaders_path, json.dumps(leaders))

    def _end_leftovers(self) -> None:
        """Kill the components of a runtime in this home that was itself killed before it could stop them."""
        if self._leaders_path.exists():
            leaders = [_Leader(**record) for record in json.loads(self._leaders_path.read_text())]
            if alive := [leader for leader in leaders if leader.is_alive()]:
                self._progress("ending what an interrupted run left behind")
                _kill_sessions(alive)
            self._leaders_path.unlink()
        if self._postgresql_link.is_symlink():
            shutil.rmtree(self._postgresql_link.readlink(), ignore_errors=True)
            self._postgresql_link.unlink()


@dataclass(frozen=True)
class _Secrets:
    """What a database is unreadable without, and what keeps the machine's other users out."""

    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    admin_password: str


def _load_secrets(home: Path) -> _Secrets:
    """The secrets of a home, generated at first use."""
    path = home / "secrets.json"
    if not path.exists():
        generated = _Secrets(
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(64),
            api_secret_key=secrets.token_urlsafe(32),
            admin_password=secrets.token_urlsafe(12),
        )
        _write_private(home / "passwords.json", json.dumps({_ADMIN: generated.admin_password}))
        _write_private(path, json.dumps(asdict(generated)))
    return _Secrets(**json.loads(path.read_text()))


@dataclass(frozen=True)
class _Ports:
    """Where on 127.0.0.1 people and clients are served, and where running tasks; maybe the same."""

    api: int
    execution: int

    @classmethod
    def choose(cls, config: AirflowConfig) -> Self:
        api = _free_port() if config.port is None else config.port
        if not _is_free(api):
            raise AirflowRuntimeError(f"port {api} on 127.0.0.1 is taken: choose another, or None for a free one")
        return cls(api, execution=_free_port() if config.uses_sqlite else api)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api}"

    @property
    def execution_url(self) -> str:
        return f"http://127.0.0.1:{self.execution}"


def _commands(config: AirflowConfig, ports: _Ports) -> dict[str, tuple[str, ...]]:
    """The command of each process of Airflow.

    With SQLite the tasks' API is a process apart. The public API logs each action in its event loop
    (airflow.api_fastapi.logging.decorators), so it waits there for SQLite's only writer. Were that a task's
    request in the same process, which needs the loop to commit, both would wait until SQLite gives up.
    """
    airflow = partial(_airflow, config.python)
    commands: dict[str, tuple[str, ...]] = {}
    for component in config.components:
        if component != "api-server":
            # Log servers listen on all interfaces; on one machine the API server reads the files itself.
            serving_logs = component in {"scheduler", "triggerer"}
            commands[component] = airflow(component, *["--skip-serve-logs"] * serving_logs)
        elif ports.api == ports.execution:
            commands[component] = airflow("api-server")
        else:
            commands["api-server"] = airflow("api-server", "--apps", "core")
            execution_port = str(ports.execution)
            commands["execution-api"] = airflow("api-server", "--apps", "execution", "--port", execution_port)
    for worker in config.workers:
        # Only where it is needed: a worker of provider 3.18 that has one takes tasks and never runs them
        # (https://github.com/apache/airflow/issues/59707).
        hostname = ("--celery-hostname", f"{worker}@%h") if config.celery_workers > 1 else ()
        # Without a look around at the start for others of its kind, of whom it would need nothing.
        commands[worker] = airflow(
            *("celery", "worker", *hostname, "--skip-serve-logs"),
            *("--concurrency", str(config.parallelism), "--without-mingle", "--without-gossip"),
            *("--pid", str(config.home.absolute() / f"{worker}.pid")),
        )
    return commands


def _airflow(python: Path, *args: str) -> tuple[str, ...]:
    # -P: a folder in the home must not shadow a package.
    return (str(python), "-P", str(python.with_name("airflow")), *args)


def _environment(config: AirflowConfig, keys: _Secrets, ports: _Ports, urls: Mapping[str, str]) -> dict[str, str]:
    """All variables of a component: this process's harmless ones, the settings, the configured ones."""
    inherited = environment_without("AIRFLOW", "AWS_", "ATHENA_REPORTS_")
    home = config.home.absolute()  # the components run in it
    settings = {
        "CORE__DAGS_FOLDER": str(config.dags_folder.absolute()),
        "CORE__PLUGINS_FOLDER": str((config.plugins_folder or home / "plugins").absolute()),
        "CORE__EXECUTOR": "CeleryExecutor" if config.workers else "LocalExecutor",
        "CORE__PARALLELISM": str(config.parallelism * max(1, config.celery_workers)),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__FERNET_KEY": keys.fernet_key,
        "CORE__EXECUTION_API_SERVER_URL": f"{ports.execution_url}/execution/",
        "CORE__AUTH_MANAGER": _AUTH_MANAGERS[config.auth_manager],
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "DATABASE__SQL_ALCHEMY_CONN": (
            config.database_url or urls.get(_POSTGRESQL) or _sqlite_url(home / "airflow.db")
        ),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(ports.api),
        "API__BASE_URL": ports.api_url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": keys.api_secret_key,
        "API_AUTH__JWT_SECRET": keys.jwt_secret,
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        # In seconds, whole ones, instead of 5. A task's sockets close a moment before it is gone, and nothing
        # wakes its supervisor for that: after every third task 3.3.1 sleeps until this is over.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }
    if config.workers:
        settings |= {"CELERY__BROKER_URL": urls[_REDIS]}
    return (
        inherited
        | {f"AIRFLOW__{name}": value for name, value in settings.items()}
        | {
            "AIRFLOW_HOME": str(home),
            "PYTHONUNBUFFERED": "1",
            # All that is reached is on this machine, and on macOS a proxy look-up after a fork crashes.
            "NO_PROXY": "*",
            "no_proxy": "*",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
            # Profiles and instance metadata could lead a local run to a real account.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        | dict(config.environment)
    )


@dataclass(frozen=True)
class _Leader:
    """A process that leads a session of its own, told apart from a later one of the same number by its age.

    Airflow's supervisor gives every task a new process group, so no group holds all that a component started;
    nothing in Airflow leaves the session, so the session does.
    """

    pid: int
    created: float

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return self._is(process) and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def session(self) -> list[int]:
        """The ids of the living processes in its session, whether it lives itself or not."""
        try:
            if not self._is(psutil.Process(self.pid)):
                return []
        except psutil.NoSuchProcess:
            pass  # the system gives its number to no other process while the session has members
        return [pid for pid in psutil.pids() if _session_of(pid) == self.pid]

    def _is(self, process: psutil.Process) -> bool:
        # The time of creation is counted from that of the boot, which moves when the clock is set.
        return bool(abs(process.create_time() - self.created) < 2)


@dataclass(frozen=True)
class _Child:
    """A child process that leads its own session and prints into a file."""

    name: str
    log_path: Path
    leader: _Leader
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], environment: Mapping[str, str], home: Path, log_path: Path
    ) -> Self:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(unprivileged() if name == _POSTGRESQL else {}),
            )
        return cls(name, log_path, _Leader(process.pid, psutil.Process(process.pid).create_time()), process)

    def check_alive(self) -> None:
        if (returncode := self.process.poll()) is not None:
            raise AirflowProcessError(self.name, returncode, self.log_path)

    def wait(self, timeout_seconds: float) -> int | None:
        """Its exit code, or None if it runs for longer."""
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End its whole session at once."""
        _kill_sessions([self.leader])
        self.process.wait()


def _session_of(pid: int) -> int | None:
    """The session of a living process; None for one that is gone, a zombie, or none of ours."""
    try:
        return None if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else os.getsid(pid)
    except (psutil.Error, OSError):
        return None


def _signal_sessions(leaders: Iterable[_Leader], number: signal.Signals) -> bool:
    """Send a signal to every living process of the sessions; whether there was any."""
    pids = [pid for leader in leaders for pid in leader.session()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)


def _kill_sessions(leaders: Collection[_Leader]) -> None:
    """Kill until nothing lives: a process may fork between being found and being killed."""
    while _signal_sessions(leaders, signal.SIGKILL):
        time.sleep(0.02)


def _stop_order(components: Mapping[str, _Child]) -> list[list[_Child]]:
    """Those that the API servers serve, then the API servers, then what holds their data."""
    groups: list[list[_Child]] = [[], [], []]
    for name, child in components.items():
        groups[2 if name in _STORING else 1 if name in _SERVING else 0].append(child)
    return groups


def _terminate(
    children: Collection[_Child], task_hosts: Collection[str], grace_seconds: float, hurry: threading.Event
) -> None:
    """End children and all in their sessions: asked first, then killed.

    Task hosts let their workers end the tasks that they run. The grace is for them: nothing else leaves
    anything undone, and the scheduler itself can take seconds to be gone after that.
    """
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.process.terminate()
    hosts = [child.leader for child in children if child.name in task_hosts]
    _wait_while(lambda: any(set(leader.session()) - {leader.pid} for leader in hosts), grace_seconds, hurry)
    leaders = [child.leader for child in children]
    _signal_sessions(leaders, signal.SIGTERM)
    _wait_while(lambda: any(child.process.poll() is None for child in children), _ON_KILL_SECONDS, hurry)
    _kill_sessions(leaders)
    for child in children:
        child.process.wait()


def _wait_while(condition: Callable[[], bool], seconds: float, hurry: threading.Event) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline and not hurry.wait(0.05):
        pass


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextlib.contextmanager
def _handling(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals in another way for a while, where Python allows it: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


@contextlib.contextmanager
def _deferring_interrupts() -> Iterator[None]:
    """Let no SIGINT or SIGTERM come between the start of a process and the note of it."""
    deferred: list[int] = []
    with _handling((signal.SIGINT, signal.SIGTERM), lambda number, _: deferred.append(number)):
        yield
    if deferred:
        raise KeyboardInterrupt(signal.Signals(deferred[0]).name)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a home; the system lets go of it when this process ends in whatever way."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AirflowRuntimeError(
                f"another runtime is using {path.parent}: stop it, or choose another home"
            ) from None
        yield


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _sqlite_url(path: Path) -> str:
    # Writers wait for one another, for longer than the driver's 5 s on a busy machine.
    return f"sqlite:///{path.absolute()}?timeout=20"


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever sees a part of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _write_private(path: Path, text: str) -> None:
    """Write a file for this user's eyes only, at once or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def tail(path: Path) -> str:
    """The last 30 lines of a log; empty if it is not there."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-_LOG_TAIL_LINES:])


def _is_healthy(health: Mapping[str, Any], component: str, since: datetime) -> bool:
    """Whether a component is well and said so after a moment: an earlier run's last word does not count."""
    name = component.replace("-", "_")
    heartbeat = health[name].get(f"latest_{name}_heartbeat")
    if health[name]["status"] != "healthy" or heartbeat is None:
        return False
    return datetime.fromisoformat(heartbeat) >= since
