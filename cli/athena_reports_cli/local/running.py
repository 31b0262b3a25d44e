"""Where the other commands of a project find its `up` while it runs.

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

from athena_reports_cli.local.project import Project

_FILE = "up.json"


class Running(NamedTuple):
    """The Airflow and the services of an `up`."""

    airflow: str  # its address, without a trailing slash
    user: str
    password: str
    environment: Mapping[str, str]  # the variables by which a command reaches the services


@contextmanager
def announced(running: Running, project: Project) -> Iterator[None]:
    """Announce an `up` to the other commands of a project for as long as the context lasts."""
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
    """Return the `up` of a project; None if none runs."""
    try:
        with (project.airflow / _FILE).open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # `up` has the lock, so it runs
                return Running(**json.load(stream))
    except (FileNotFoundError, json.JSONDecodeError):  # it does not run, or has not written yet
        return None
    return None  # nobody has the lock: an `up` that was killed has left the file
