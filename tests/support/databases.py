"""PostgreSQL and Redis, as Debian packages them, for an Airflow as it is deployed.

They listen on sockets in a folder that nobody else may enter,
so they need no ports and no passwords.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_DEBIAN = Path("/usr/lib/postgresql")


class Postgresql:
    """An empty PostgreSQL in a folder. It refuses to run as root, and then belongs to nobody."""

    def __init__(self, folder: str) -> None:
        url = f"postgresql+psycopg2://airflow@/postgres?host={folder}"
        self.environment = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        self._user: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._user |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        options = "--username=airflow --auth=trust --encoding=UTF8 --no-locale --no-sync"
        self._control("init", f"--options={options}")
        # It has to survive the end of its processes, not of the machine: without fsync.
        options = (
            f"-c listen_addresses= -c unix_socket_directories={folder}"
            " -c max_connections=300 -c fsync=off"
        )
        self._control("start", "--log=log", f"--options={options}")

    def restart(self) -> None:
        """Kill it, and start it again with what it has stored."""
        self._control("restart", "--mode=immediate", "--log=log")

    def stop(self) -> None:
        """Kill it."""
        self._control("stop", "--mode=immediate")

    def _control(self, command: str, *options: str) -> None:
        newest = max(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name))
        subprocess.run(
            [newest / "pg_ctl", command, "--pgdata=data", "--silent", *options],
            check=True,
            **self._user,
        )


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """Run a PostgreSQL for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = Postgresql(folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def redis() -> Iterator[Mapping[str, str]]:
    """Run a Redis that keeps nothing for as long as the context lasts.

    Yields the variables of Celery on it.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = [
            *("redis-server", "--port", "0", "--unixsocket", f"{folder}/socket"),
            *("--save", "", "--logfile", "log"),
        ]
        with subprocess.Popen(command, cwd=folder, start_new_session=True) as server:
            try:
                url = f"redis+socket://{folder}/socket"
                yield {
                    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                    "AIRFLOW__CELERY__BROKER_URL": url,
                }
            finally:
                server.kill()
