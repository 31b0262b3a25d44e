"""One DuckDB connection for one task: bounded in memory, with access to its own folder only."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from athena_reports.errors import AthenaReportsError, MissingPackageError, ResultError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REJECTED_VALUE = "athena_reports: "
"""Begins the text of an error of DuckDB that says why a value of a result is rejected."""

_REJECTED = re.compile(rf"{REJECTED_VALUE}(.*)", re.DOTALL)
# What DuckDB says of a CSV: the line, and what is wrong with it.
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_LINE_PROBLEM = re.compile(
    r"column \".*?\"\. Could not convert string \".*?\" to '.*?'"
    r"|Expected Number of Columns: \d+ Found: \d+"
    r"|Value with unterminated quote found"
    r"|Invalid unicode"
    r"|Maximum line size of \d+ bytes exceeded",
    re.DOTALL,
)
_SHOWN_CHARACTERS = 400


class MemoryLimitError(AthenaReportsError):
    """A step needs more memory than the task may use."""


class DiskFullError(AthenaReportsError):
    """The worker's disk is full."""

    retryable = True


@dataclass(frozen=True)
class Engine:
    """The connection and the temporary folder of one task."""

    connection: DuckDBPyConnection
    folder: Path
    about: str  # report and period, the first words of an error
    # How a person lets the query run again, and how its result is read again.
    run_again: str = "clear run_query and its downstream tasks"
    read_again: str = "clear transform and its downstream tasks"

    def explain(self, error: Exception) -> AthenaReportsError | None:
        """Return our error for one of DuckDB or of the disk; None if its cause is not known."""
        text = str(error)
        cannot_spill = "No space left on device" in text or "max_temp_directory_size" in text
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if cannot_spill or is_full:
            return DiskFullError(
                f"{self.about}: no space left on the worker's disk: {reason(error)}. "
                f"Free up space in {gettempdir()}, or set TMPDIR to a larger disk, "
                f"then {self.read_again}."
            )
        if type(error).__name__ == "OutOfMemoryException":
            return MemoryLimitError(
                f"{self.about}: the rows need more memory than allowed: {reason(error)}. "
                "Raise ATHENA_REPORTS_MEMORY_LIMIT, or process fewer rows at once in the transform."
            )
        problem = _problem_of_result(text)
        if problem:
            return ResultError(
                f"{self.about}: could not read the query result:"
                f" {problem:.{_SHOWN_CHARACTERS}}. Correct the value in the SQL, for example with"
                f" CAST, then {self.run_again}."
            )
        return None


current_engine: ContextVar[Engine] = ContextVar("current_engine")
"""The open engine, for transforms: they are called with rows and a period only."""

_SETTINGS = """
SET TimeZone = 'UTC';
SET autoload_known_extensions = false;
SET autoinstall_known_extensions = false;
SET enable_external_access = false;
SET lock_configuration = true
"""


@contextmanager
def open_engine(memory_limit: str, *, about: str = "", again: str = "") -> Iterator[Engine]:
    """Open DuckDB with one thread, so that equal rows in equal order give equal bytes.

    Beyond the memory limit, such as `128MB`, DuckDB writes to the disk. An error begins with
    `about`, report and period, and ends with what to do `again`; by default, which tasks to clear.
    MissingPackageError if DuckDB is not installed; an error that `Engine.explain` knows as ours.
    """
    # Inside of functions everywhere: Amazon MWAA loads plugins before pip has installed DuckDB.
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackageError(
            f"{about}: could not import DuckDB: {error}. Check that pip installed"
            " requirements.txt; on Amazon MWAA, see the requirements_install log stream. Fix the"
            " cause, update the environment, then try again."
        ) from error

    with TemporaryDirectory(prefix="athena-reports-") as path:
        folder = Path(path).resolve()
        config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "threads": "1",
            "temp_directory": str(folder / "spill"),
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET allowed_directories = [$folder]", {"folder": str(folder)})
            connection.execute(_SETTINGS)
            engine = Engine(connection, folder, about)
            if again:
                engine = replace(engine, run_again=again, read_again=again)
            token = current_engine.set(engine)
            try:
                yield engine
            except (duckdb.Error, OSError) as error:
                explained = engine.explain(error)
                if explained is None:
                    raise
                raise explained from error
            finally:
                current_engine.reset(token)


def _problem_of_result(error: str) -> str:
    rejected = _REJECTED.search(error)
    if rejected is not None:
        return rejected[1]
    line = _LINE.search(error)
    if line is None:
        return ""
    # A line is a row: DuckDB does not count the line breaks in values. The first is the header.
    row = int(line[1]) - 1
    problem = _LINE_PROBLEM.search(error)
    return f"row {row:,}" if problem is None else f"row {row:,}: {problem[0]}"


def reason(error: Exception) -> str:
    """Return what DuckDB says is wrong, without its advice."""
    first_line = str(error).strip().partition("\n")[0]
    return first_line.rstrip(" .!")
