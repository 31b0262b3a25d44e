"""The connections and variables of a local Airflow, from the project's file `.airflow.env`.

The file holds passwords: git ignores it, a bundle leaves it out, and no message quotes its lines.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.services import AWS_CONNECTION

_FILE = ".airflow.env"
_PREFIXES = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")
# Airflow looks for an id in capital letters.
_CONNECTION = re.compile(r"AIRFLOW_CONN_[^\sa-z=]+")
_VARIABLE = re.compile(r"AIRFLOW_VAR_[^\sa-z=]+")
_URI = re.compile(r"[\w+.-]+://")


class ConnectionsError(AthenaReportsError):
    """The file of connections and variables cannot be read."""


def connections_of_up(
    project: Project, *, use_shell: bool, warn: Callable[[str], None]
) -> dict[str, str]:
    """Return the environment variables of the connections and variables for a local Airflow.

    Args:
        project: The project.
        use_shell: Whether those of the shell are used too. They take precedence over the file.
        warn: Is called with the names of those of the shell that are not used.

    Raises:
        ConnectionsError: The file of the project cannot be read, or a line of it is wrong.
    """
    connections = _read(project.root / _FILE)
    of_shell = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIXES) and name != AWS_CONNECTION  # the local services have theirs
    }
    if use_shell:
        connections.update(of_shell)
    elif of_shell:
        warn(
            f"`up` does not use {', '.join(sorted(of_shell))} of this shell, since a local run"
            f" could then reach real people. Write them into {_FILE}, or add --shell-connections."
        )
    return connections


def use_connections(project: Project) -> None:
    """Let Airflow in this process have the project's connections, unless the shell has others.

    Raises:
        ConnectionsError: The file of the project cannot be read, or a line of it is wrong.
    """
    for name, value in _read(project.root / _FILE).items():
        os.environ.setdefault(name, value)


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError:
        # The error has the whole text.
        raise ConnectionsError(f"{file} is not UTF-8. Save it as UTF-8.") from None
    connections: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        assignment = line.strip()
        if not assignment or assignment.startswith("#"):
            continue
        name, equals, value = assignment.partition("=")
        if name in connections:
            raise ConnectionsError(f"{file}, line {number} sets {name} again. Remove one line.")
        is_connection = _CONNECTION.fullmatch(name) and _is_uri_or_json(value)
        is_variable = _VARIABLE.fullmatch(name) and equals
        if not is_connection and not is_variable:
            raise ConnectionsError(
                f"{file}, line {number} is neither a connection nor a variable of Airflow. Write"
                " AIRFLOW_CONN_<ID>=<URI or JSON>, or AIRFLOW_VAR_<KEY>=<value>: names in capital"
                " letters, no spaces around the =, no quotes around the value. In a URI, encode"
                " special characters: / of a password is %2F."
            )
        connections[name] = value
    return connections


def _is_uri_or_json(value: str) -> bool:
    """Return whether Airflow can parse the value. Its own error can quote a part of a password."""
    try:
        if value.startswith("{"):
            json.loads(value)
            return True
        _ = urlsplit(value).port  # after an unencoded / or #, a part of the password is the port
    except ValueError:
        return False
    return _URI.match(value) is not None
