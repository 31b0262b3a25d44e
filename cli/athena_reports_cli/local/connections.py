"""The connections and variables of a local Airflow, from the project's file `.airflow.env`.

The file holds passwords: git ignores it, a bundle leaves it out, and no message quotes its lines.
"""

from __future__ import annotations

import re

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.project import Project

_FILE = ".airflow.env"
# Airflow looks for an id in capital letters.
_ASSIGNMENT = re.compile(r"(AIRFLOW_(?:CONN|VAR)_[^\sa-z=]+)=(?![\"'])(.*)")


class ConnectionsError(AthenaReportsError):
    """A line of the file is neither a connection nor a variable."""


def read_connections(project: Project) -> dict[str, str]:
    """Return the environment variables of a project's connections and variables of Airflow."""
    file = project.root / _FILE
    if not file.exists():
        return {}
    connections = {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConnectionsError(f"{file} is not UTF-8. Save it as UTF-8.") from None
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            raise ConnectionsError(
                f"{file}, line {number} is neither an Airflow connection nor a variable. Use"
                " AIRFLOW_CONN_<ID>=<URI or JSON> or AIRFLOW_VAR_<KEY>=<value>, with an upper-case"
                " name, no spaces around the = and no quotes around the value."
            )
        connections[assignment[1]] = assignment[2]
    return connections
