"""Runs the services of docker-compose.yaml as processes of this machine, in the order that Compose would.

Command lines, environments, health checks and dependencies are those that Compose's own `config` prints. What
is different:

- Paths: /opt/airflow is a temporary folder with links to the tree, /package is its dev/.
- Addresses: host names of services are 127.0.0.1, 0.0.0.0 is too, and each port is a free one.
- Programs: those of this virtual environment and of Debian's packages, instead of the images'. For what the
  image of PostgreSQL does before its command, `initdb` and CREATE DATABASE stand in.
- Users, groups, capabilities, limits, networks and volumes are not made: all run as whoever runs the test,
  PostgreSQL as nobody if that is root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from airflow_local.databases import Postgresql, unprivileged
from airflow_local.runtime import tail

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("4566", "5432", "6379", "8080", "8974")
STORES = ("postgres", "redis")
HOSTS = ("api-server", "local-aws", "postgres", "redis")
_TICK_SECONDS = 0.2
_STOP_SECONDS = 30
_UNITS = {"h": 3600, "m": 60, "s": 1}


def compose(*arguments: str, environment: Mapping[str, str] | None = None, dotenv: str = "") -> str:
    """What Compose prints for the file in a fresh clone.

    Args:
        arguments: Of Compose.
        environment: All that the shell has beside PATH.
        dotenv: What a file `.env` beside the file has.
    """
    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    assert shutil.which(command[0]), "install Debian's docker-compose, as with `apt-get install docker-compose`"
    with tempfile.TemporaryDirectory() as folder:  # a clone of whoever runs the test may have a .env
        if dotenv:
            Path(folder, ".env").write_text(dotenv)
        project = ["--file", str(ROOT / "docker-compose.yaml"), "--project-directory", folder]
        done = subprocess.run(
            [*command, *project, *arguments],
            env={"PATH": os.environ["PATH"], **(environment or {})},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(folder, str(ROOT))


def services(environment: Mapping[str, str] | None = None, dotenv: str = "") -> dict[str, dict[str, Any]]:
    """The services as Compose understands the file; of the arguments see `compose`."""
    config = json.loads(compose("config", "--format", "json", environment=environment, dotenv=dotenv))
    unescaped: dict[str, dict[str, Any]] = json.loads(json.dumps(config["services"]).replace("$$", "$"))
    return unescaped


def seconds(duration: str) -> float:
    """A duration as Compose prints it, such as 1m30s."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", duration))


@dataclass
class Running:
    """A service that was started."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float
    checked: float
    is_healthy: bool = False

    def end(self) -> None:
        """Let it end, and kill what does not."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        while left := self.members():
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            self.process.poll()
            time.sleep(0.05)

    def members(self) -> list[psutil.Process]:
        """Its living processes: its own, and all that it started, in its session or in one of their own."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                is_one = self.process.pid in (os.getsid(process.pid), process.ppid())
                if is_one and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


class ByHand:
    """All services, for as long as the context lasts; entered once all are healthy, or done."""

    def __init__(self, services: Mapping[str, Any], home: Path) -> None:
        self.ports = {port: str(_free_port()) for port in PORTS}
        self.home = home
        self.running: dict[str, Running] = {}
        self.services: dict[str, Any] = json.loads(self._rewritten(json.dumps(services)))
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self.home.mkdir()
        for folder in ("dags", "plugins", "include"):
            (self.home / folder).symlink_to(ROOT / folder)
        (self.home / "secrets").mkdir(mode=0o750)
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['8080']}"

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['4566']}"

    @property
    def secrets(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.home / "secrets").iterdir()}

    def log(self, name: str) -> str:
        return self.running[name].log.read_text(errors="replace")

    def check(self, name: str) -> bool:
        """Run a service's health check once."""
        test = self.services[name]["healthcheck"]["test"]
        command = test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", test[1]]
        with (self.home / f"{name}.check").open("ab") as log, suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command,
                **self._place(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=seconds(self.services[name]["healthcheck"].get("timeout", "30s")),
            )
            return done.returncode == 0
        return False

    def start(self, name: str) -> Running:
        """Start a service."""
        if name == "postgres":
            self._prepare_postgresql()
        log = self.home / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.services[name]["command"],
                **self._place(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(unprivileged() if name == "postgres" else {}),
            )
        now = time.monotonic()
        self.running[name] = Running(process, log, started=now, checked=now)
        return self.running[name]

    def stop(self) -> None:
        """End them, PostgreSQL and Redis last: SIGTERM, and SIGKILL for what does not end."""
        stores = [self.running[name] for name in STORES if name in self.running]
        for group in ([one for one in self.running.values() if one not in stores], stores):
            for running in group:
                running.process.terminate()
            for running in group:
                running.end()
        self.running.clear()
        self._held.close()

    def _start_all(self) -> None:
        waiting = dict(self.services)
        while waiting or any(self._is_coming(name) for name in self.running):
            for name, service in list(waiting.items()):
                conditions = service.get("depends_on", {}).items()
                if all(self._fulfils(other, wanted["condition"]) for other, wanted in conditions):
                    self.start(name)
                    del waiting[name]
            for name, running in self.running.items():
                self._look(name, running)
            time.sleep(_TICK_SECONDS)

    def _is_coming(self, name: str) -> bool:
        """Whether a service has still to become healthy, or to end if it has no health check."""
        running = self.running[name]
        if "healthcheck" in self.services[name]:
            return not running.is_healthy
        return running.process.poll() is None

    def _fulfils(self, name: str, condition: str) -> bool:
        wanted = {"service_healthy": True, "service_completed_successfully": False}[condition]
        assert ("healthcheck" in self.services[name]) is wanted, f"{name} can never be {condition}"
        return name in self.running and not self._is_coming(name)

    def _look(self, name: str, running: Running) -> None:
        """Check a service's health when that is due; fail if it has ended and should not have."""
        code = running.process.poll()
        check = self.services[name].get("healthcheck")
        if check is None or code is not None:
            may_end = check is None and code == 0
            assert code is None or may_end, f"{name} ended with {code}:\n{tail(running.log)}"
            return
        now = time.monotonic()
        if running.is_healthy or now - running.checked < seconds(check["start_interval"]):
            return
        running.is_healthy = self.check(name)
        running.checked = time.monotonic()
        is_late = running.checked - running.started > seconds(check["start_period"])
        assert running.is_healthy or not is_late, (
            f"{name} is not healthy:\n{tail(running.log)}\n{tail(self.home / f'{name}.check')}"
        )

    def _prepare_postgresql(self) -> None:
        """Do what the image's entrypoint does at the first start."""
        variables = self.services["postgres"]["environment"]
        password = Path(variables["POSTGRES_PASSWORD_FILE"]).read_text()
        cluster = Postgresql.create(int(self.ports["5432"]), None, password=password)
        self._held.callback(cluster.remove)
        data = cluster.folder / "data"
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("unix_socket_directories = ''\nfsync = off\n")
        subprocess.run(
            [cluster.command[0], "--single", "-D", str(data), "postgres"],
            input=f"CREATE DATABASE {variables['POSTGRES_DB']} OWNER {variables['POSTGRES_USER']}".encode(),
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            **unprivileged(),
        )
        variables["PGDATA"] = str(data)  # which the image sets
        self.programs = Path(cluster.command[0]).parent

    def _place(self, name: str) -> dict[str, Any]:
        """Where a service's programs run, and with which variables: the file's, and what the images set."""
        programs = [Path(sys.executable).parent, *([self.programs] if name == "postgres" else [])]
        variables = self.services[name].get("environment") or {}
        environment = {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            **{key: value for key, value in variables.items() if value is not None},
        }
        home = "/" if name == "postgres" else str(self.home)
        return {"env": environment, "cwd": self.services[name].get("working_dir", home)}

    def _rewritten(self, text: str) -> str:
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        text = re.sub(rf"\b({'|'.join(HOSTS)})(?=:\d)", "127.0.0.1", text)
        text = text.replace("0.0.0.0", "127.0.0.1").replace("/opt/airflow", str(self.home))
        return text.replace("/package", str(ROOT / "dev"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
