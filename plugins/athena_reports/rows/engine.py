"""One DuckDB connection for one task: bounded in memory, without access to files outside its own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

from athena_reports.errors import AthenaReportsError, is_disk_full

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
    explainers: list[Callable[[Exception], AthenaReportsError | None]] = field(default_factory=list)

    def explain(self, error: Exception) -> AthenaReportsError | None:
        """Return our error for one of DuckDB or of the disk; None if its cause is not known here."""
        text = str(error)
        if is_disk_full(error) or "No space left on device" in text or "max_temp_directory_size" in text:
            return DiskFullError(
                f"{self.about}: no space left on the worker's disk: {reason(error)}. Free space in {gettempdir()}, "
                f"or set TMPDIR to a larger disk, then clear transform."
            )
        if type(error).__name__ == "OutOfMemoryException":
            return MemoryLimitError(
                f"{self.about}: the rows need more memory than allowed: {reason(error)}. "
                f"Raise ATHENA_REPORTS_MEMORY_LIMIT, or hold fewer rows at once in the transform."
            )
        return next(filter(None, (explain(error) for explain in self.explainers)), None)


_SETTINGS = """SET TimeZone = 'UTC'; SET autoload_known_extensions = false; SET autoinstall_known_extensions = false;
SET enable_external_access = false; SET lock_configuration = true"""
current_engine: ContextVar[Engine] = ContextVar("current_engine")


@contextmanager
def open_engine(memory_limit: str, *, about: str = "") -> Iterator[Engine]:
    """Open DuckDB with one thread, so that equal rows in equal order give equal bytes."""
    import duckdb

    with TemporaryDirectory(prefix="athena-reports-") as name:
        folder = Path(name).resolve()
        config = {"memory_limit": memory_limit, "threads": "1", "temp_directory": str(folder / "spill")}
        with duckdb.connect(":memory:", config={**config}) as connection:
            connection.execute("SET allowed_directories = [$folder]", {"folder": str(folder)})
            connection.execute(_SETTINGS)
            engine = Engine(connection, folder, about)
            token = current_engine.set(engine)
            try:
                yield engine
            except (duckdb.Error, OSError) as error:
                if (explained := engine.explain(error)) is None:
                    raise
                raise explained from error
            finally:
                current_engine.reset(token)


def reason(error: Exception) -> str:
    """Return what DuckDB says is wrong, without its advice."""
    return str(error).strip().partition("\n")[0].rstrip(".!")
