"""What `up` tells the other commands of a project while it runs.

It writes a file, and keeps it locked. A lock ends with its process: a file without a lock was left
behind by an `up` that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import httpx

from athena_reports_cli.local.project import Project

_FILE = "up.json"


class Running(NamedTuple):
    """The Airflow and the services of an `up`.

    Attributes:
        airflow: Address of Airflow, without a trailing slash.
        user: Who logs in.
        password: With what.
        environment: The variables by which a command reaches the services.
    """

    airflow: str
    user: str
    password: str
    environment: Mapping[str, str]

    def variables(self) -> dict[str, str]:
        """Return the variables by which `athena-reports backfill` reaches this Airflow.

        There are none if Airflow does not answer.
        """
        login = {"username": self.user, "password": self.password}
        try:
            response = httpx.post(f"{self.airflow}/auth/token", json=login, trust_env=False)
            response.raise_for_status()
        except httpx.HTTPError:
            return {}
        return {"AIRFLOW_URL": self.airflow, "AIRFLOW_TOKEN": response.json()["access_token"]}


@contextmanager
def announced(running: Running, project: Project) -> Iterator[None]:
    """Tell the other commands of a project for as long as the context lasts."""
    file = project.airflow / _FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)  # it has the password
    with os.fdopen(descriptor, "r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate()
        json.dump(running._asdict(), stream)
        stream.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def find_running(project: Project) -> Running | None:
    """Return what `up` tells; None if none runs in the project."""
    try:
        with (project.airflow / _FILE).open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # `up` has the lock, so it runs
                return Running(**json.load(stream))
    except (FileNotFoundError, json.JSONDecodeError):  # it does not run, or has not written yet
        return None
    return None  # nobody has the lock: an `up` that was killed has left the file
