"""One DuckDB connection for one task: bounded in memory, with access to its own folder only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from athena_reports.errors import AthenaReportsError, MissingPackageError, is_disk_full

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


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
    # Whoever makes a relation adds one: the relation raises its errors later, when it is used.
    explainers: list[Callable[[Exception], AthenaReportsError | None]] = field(default_factory=list)

    def explain(self, error: Exception) -> AthenaReportsError | None:
        """Return our error for one of DuckDB or of the disk; None if its cause is not known."""
        text = str(error)
        cannot_spill = "No space left on device" in text or "max_temp_directory_size" in text
        if cannot_spill or is_disk_full(error):
            return DiskFullError(
                f"{self.about}: no space left on the worker's disk: {reason(error)}. "
                f"Free space in {gettempdir()}, or set TMPDIR to a larger disk, "
                f"then {self.read_again}."
            )
        if type(error).__name__ == "OutOfMemoryException":
            return MemoryLimitError(
                f"{self.about}: the rows need more memory than allowed: {reason(error)}. "
                "Raise ATHENA_REPORTS_MEMORY_LIMIT, or hold fewer rows at once in the transform."
            )
        for explain in self.explainers:
            explained = explain(error)
            if explained is not None:
                return explained
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

    Args:
        memory_limit: The memory of DuckDB, such as `128MB`. Beyond it, DuckDB writes to the disk.
        about: Report and period, the first words of an error.
        again: What a person does to try again, such as `run the command again`; empty for the tasks
            of a run that are cleared.

    Raises:
        MissingPackageError: DuckDB is not installed here. Nothing that uses an open engine needs to
            look for that again.
        AthenaReportsError: In the place of an error that `Engine.explain` knows.
    """
    # Inside of functions everywhere: Amazon MWAA loads plugins before pip has installed DuckDB.
    try:
        import duckdb
    except ImportError as error:
        raise _missing_duckdb(about, again, error) from error

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


def _missing_duckdb(about: str, again: str, error: ImportError) -> MissingPackageError:
    problem = f"DuckDB cannot be imported here: {error}."
    if about:
        problem = f"{about}: {problem}"
    then = again or "clear the failed task, or open the page again"
    return MissingPackageError(
        f"{problem} pip has not installed requirements.txt, or not all of it. On Amazon MWAA only"
        " the log stream requirements_install says why. Remove the cause, update the environment,"
        f" then {then}."
    )


def reason(error: Exception) -> str:
    """Return what DuckDB says is wrong, without its advice."""
    first_line = str(error).strip().partition("\n")[0]
    return first_line.rstrip(" .!")
