"""PostgreSQL and Redis of a machine that has several versions; tests/airflow starts real ones."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports_cli.local import databases
from athena_reports_cli.local.databases import are_installed, postgresql, redis

# Writes down how it was called, and in which folder.
COMMAND = """#!/bin/sh
cd "${{PWD}}" && printf '%s\\n' "{name}" "$PWD" "$@" "end" >> {calls}
"""


def write_command(path: Path, calls: Path, *, name: str, rest: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMMAND.format(name=name, calls=calls) + rest)
    path.chmod(0o755)


def calls_of(file: Path) -> list[list[str]]:
    """The words of each call: its name, its folder, and its arguments."""
    calls: list[list[str]] = [[]]
    for line in file.read_text().splitlines():
        if line == "end":
            calls.append([])
        else:
            calls[-1].append(line)
    return calls[:-1]


def test_the_newest_postgresql_is_started_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9", "17", "16"):
        control = tmp_path / version / "bin" / "pg_ctl"
        write_command(control, tmp_path / "calls", name=version)
    monkeypatch.setattr(databases, "_DEBIAN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with postgresql() as server:
        url = server.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        address, _, socket_folder = url.partition("?host=")
        assert address == "postgresql+psycopg2://airflow@/postgres"
        folder = Path(socket_folder)
        assert folder.is_dir()
        server.restart()
    common = ["--pgdata=data", "--silent"]
    init = "--options=--username=airflow --auth=trust --encoding=UTF8 --no-locale --no-sync"
    start = (
        f"--options=-c listen_addresses= -c unix_socket_directories={folder}"
        " -c max_connections=300 -c fsync=off"
    )
    # It listens on no port, and in a folder that nobody else may enter.
    assert calls_of(tmp_path / "calls") == [
        ["17", str(folder), "init", *common, init],
        ["17", str(folder), "start", *common, "--log=log", start],
        ["17", str(folder), "restart", *common, "--mode=immediate", "--log=log"],
        ["17", str(folder), "stop", *common, "--mode=immediate"],
    ]
    assert not folder.exists()

    (tmp_path / "calls").unlink()
    with pytest.raises(KeyboardInterrupt), postgresql():
        raise KeyboardInterrupt
    assert [call[2] for call in calls_of(tmp_path / "calls")] == ["init", "start", "stop"]


def test_as_root_postgresql_belongs_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses to run as root."""
    (tmp_path / "17" / "bin").mkdir(parents=True)
    calls: list[Any] = []
    monkeypatch.setattr(databases, "_DEBIAN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    nobody = SimpleNamespace(pw_uid=65, pw_gid=66)
    monkeypatch.setattr("pwd.getpwnam", lambda name: {"nobody": nobody}[name])
    monkeypatch.setattr("os.chown", lambda *given: calls.append(given))
    monkeypatch.setattr("subprocess.run", lambda _, **options: calls.append(options))
    with postgresql():
        owner, *runs = calls
    folder = owner[0]
    assert owner == (folder, 65, 66)
    for options in runs:
        assert options == {
            "check": True,
            "cwd": folder,
            "user": 65,
            "group": 66,
            "extra_groups": [],
        }


def test_celery_has_a_redis_that_listens_on_a_socket_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "redis-server"
    file = tmp_path / "calls"
    began = tmp_path / "began"
    write_command(command, file, name="redis", rest=f"echo $$ > {began}\nexec sleep 60\n")
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    with redis() as variables:
        broker = variables["AIRFLOW__CELERY__BROKER_URL"]
        folder = Path(broker.removeprefix("redis+socket://")).parent
        assert dict(variables) == {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"redis+socket://{folder}/socket",
        }
        deadline = time.monotonic() + 60
        while not (began.exists() and began.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # An interrupt from the terminal is for this process alone.
        assert os.getsid(int(began.read_text())) != os.getsid(0)
    options = ["--port", "0", "--unixsocket", f"{folder}/socket", "--save", "", "--logfile", "log"]
    assert calls_of(file) == [["redis", str(folder), *options]]
    assert not folder.exists()


@pytest.mark.parametrize("has_postgresql", [True, False])
@pytest.mark.parametrize("has_redis", [True, False])
def test_both_have_to_be_installed(
    has_postgresql: bool, has_redis: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if has_postgresql:
        write_command(tmp_path / "16" / "bin" / "pg_ctl", tmp_path, name="x")
    if has_redis:
        write_command(tmp_path / "bin" / "redis-server", tmp_path, name="x")
    assert are_installed() == (has_postgresql and has_redis)
