"""PostgreSQL and Redis on this machine, by the programs of Debian's packages, for Airflow as it is deployed.

What is here says where they keep their data, how they are started, and whether they answer; the runtime of
`airflow_local.runtime` starts and stops their processes with its own.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from airflow_local.client import AirflowRuntimeError

_DEBIAN = Path("/usr/lib/postgresql")
_SUPERUSER = "airflow"
_UNPRIVILEGED = "nobody"


class DatabaseError(AirflowRuntimeError):
    """PostgreSQL or Redis is not installed, or cannot be prepared; the message says what to do."""


@dataclass(frozen=True)
class Postgresql:
    """A PostgreSQL cluster in a temporary folder; what is in it is gone once it is removed.

    PostgreSQL refuses to run as root, so its processes are then nobody's. Their folder cannot be in that of
    whoever starts them: root's temporary folders are closed to others.

    Attributes:
        folder: Its data and its password.
        port: Its port on 127.0.0.1.
        is_copy: Whether it began as a copy of a template.
    """

    folder: Path
    port: int
    is_copy: bool

    @classmethod
    def create(cls, port: int, template: Path | None, *, password: str | None = None) -> Self:
        """Return a cluster that is ready to be started.

        Args:
            port: A free port.
            template: A cluster that was kept with `keep_as` and is copied; None, or one that is not there,
                for an empty cluster.
            password: Of the superuser of an empty cluster, `airflow`; by default a new one.

        Raises:
            DatabaseError: PostgreSQL is not installed, or refuses to make a cluster.
        """
        initdb = _postgresql_program("initdb")
        is_copy = template is not None and template.exists()
        cluster = cls(Path(tempfile.mkdtemp(prefix="athena-reports-postgresql-")), port, is_copy)
        if template is not None and is_copy:
            shutil.copytree(template, cluster.folder, dirs_exist_ok=True)
            cluster._hand_over()
            return cluster
        password_file = cluster.folder / "password"
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password or secrets.token_urlsafe(24))
        cluster._hand_over()
        made = subprocess.run(
            [
                *(initdb, "--pgdata", str(cluster._data), "--username", _SUPERUSER),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--encoding", "UTF8", "--no-locale", "--no-sync"),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **unprivileged(),
        )
        if made.returncode != 0:
            shutil.rmtree(cluster.folder)
            raise DatabaseError(f"`{initdb}` ended with exit code {made.returncode}:\n{made.stderr}")
        return cluster

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its database; holds the password."""
        password = (self.folder / "password").read_text()
        return f"postgresql+psycopg2://{_SUPERUSER}:{password}@127.0.0.1:{self.port}/postgres"

    @property
    def command(self) -> tuple[str, ...]:
        """What serves it until it is ended."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "off",  # it has to survive the end of its processes, not of the machine
            "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return (_postgresql_program("postgres"), "-D", str(self._data), *options)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        command = [_postgresql_program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(command, stdin=subprocess.DEVNULL).returncode == 0

    def keep_as(self, template: Path) -> None:
        """Copy it to where `create` finds it. It must have been stopped; whoever comes first wins."""
        template.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{template.name}.", dir=template.parent))
        shutil.copytree(self.folder, partial, dirs_exist_ok=True)
        try:
            partial.rename(template)
        except OSError:
            shutil.rmtree(partial)

    def remove(self) -> None:
        """Remove all of it. It must have been stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _hand_over(self) -> None:
        """Make all of it the property of the user that it runs as."""
        if user := unprivileged():
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, user["user"], user["group"])


@dataclass(frozen=True)
class Redis:
    """A Redis that keeps nothing.

    Attributes:
        program: Path of its server.
        folder: Where its configuration is.
        port: Its port on 127.0.0.1.
        password: What its clients must say.
    """

    program: str
    folder: Path
    port: int
    password: str

    @classmethod
    def create(cls, folder: Path, port: int) -> Self:
        """Return one that is ready to be started.

        Args:
            folder: For its configuration.
            port: A free port.

        Raises:
            DatabaseError: Redis is not installed.
        """
        redis = cls(_program("redis-server", package="redis-server"), folder, port, secrets.token_urlsafe(24))
        settings = f"bind 127.0.0.1\nport {port}\nrequirepass {redis.password}\nsave ''\ndir {folder}\n"
        redis._configuration.unlink(missing_ok=True)
        with os.fdopen(os.open(redis._configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            f.write(settings)
        return redis

    @property
    def url(self) -> str:
        """Its URL for Celery; holds the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> tuple[str, ...]:
        """What serves it until it is ended."""
        return (self.program, str(self._configuration))

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def _configuration(self) -> Path:
        return self.folder / "redis.conf"


def are_installed() -> bool:
    """Whether this machine has the programs of both."""
    try:
        _postgresql_program("initdb")
        _program("redis-server", package="redis-server")
    except DatabaseError:
        return False
    return True


def unprivileged() -> dict[str, Any]:
    """Return the arguments of `Popen` that make root's child a process of nobody; none for anybody else's."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _postgresql_program(name: str) -> str:
    """One of PostgreSQL's programs; Debian keeps those of a server off the PATH."""
    versions = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name))
    return _program(name, package="postgresql", folders=versions[::-1])


def _program(name: str, *, package: str, folders: Sequence[Path] = ()) -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
    found = shutil.which(name, path=path)
    if found is None:
        looked = f", nor in {', '.join(map(str, folders))}" if folders else ""
        raise DatabaseError(
            f"`{name}` is not on the PATH{looked}: install Debian's package {package}, "
            f"as with `apt-get install {package}`"
        )
    return found
