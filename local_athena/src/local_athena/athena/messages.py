"""What the service and the process of a query say to each other."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

# --- from the service -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """Read a statement, and say whether Athena would refuse it at the start."""

    sql: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """Run a query.

    Attributes:
        scan_cutoff_bytes: How much it may scan; None for any amount.
        now: The instant that it takes for the present.
    """

    sql: str
    parameters: tuple[str, ...]
    database: str
    scan_cutoff_bytes: int | None
    now: dt.datetime


@dataclass(frozen=True)
class Answer:
    """The answer to `Ask`."""

    value: Any


@dataclass(frozen=True)
class Missing:
    """What `Ask` asks for is not there: the message of a LookupError."""

    message: str


# --- from the process, while it works -------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """It has started and waits."""


@dataclass(frozen=True)
class Ask:
    """A question to the `Lake`: the name of its method, and the arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """The query is translated.

    Attributes:
        columns: ColumnInfo of what GetQueryResults shows: the columns of the result, or those of
            an UNLOAD's data manifest.
        unload_target: Where UNLOAD writes, as an `s3://` prefix; None for a plain query.
    """

    duckdb_sql: str
    columns: list[dict[str, Any]]
    metadata: bytes
    unload_target: str | None


@dataclass(frozen=True)
class TableScan:
    """What was read of one table in one place of the query."""

    table: str
    partitions: list[dict[str, str]]
    columns: list[str]
    scanned_bytes: int


@dataclass(frozen=True)
class Written:
    """The next bytes of one file of the result; a plain query has one, number 0."""

    file: int
    data: bytes


# --- from the process, at the end -----------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """The statement may start.

    Attributes:
        unload_target: Where UNLOAD writes, as an `s3://` prefix; None for a plain query.
    """

    unload_target: str | None


@dataclass(frozen=True)
class Refused:
    """An ApiError: its message and AthenaErrorCode."""

    message: str
    athena_code: str


@dataclass(frozen=True)
class Failed:
    """A QueryFailed: its name and message."""

    name: str
    message: str


@dataclass(frozen=True)
class CutoffExceeded:
    """The query would scan more than it may."""


@dataclass(frozen=True)
class Done:
    """All of the result is written.

    Attributes:
        rows: How many rows UNLOAD has written; 0 for a plain query.
        files: The names that UNLOAD's files get below its target, each with its number in
            `Written`; empty for a plain query.
    """

    rows: int = 0
    files: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Ended:
    """The last message about a statement.

    Attributes:
        is_broken: Whether the process should serve no other statement.
    """

    outcome: Checked | Refused | Failed | CutoffExceeded | Done
    is_broken: bool
    peak_bytes: int
