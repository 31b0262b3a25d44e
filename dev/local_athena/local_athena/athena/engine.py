"""DuckDB as the engine of queries: it reads what it is given, and reaches nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from local_athena.athena.errors import EXCEEDED_MEMORY, QueryFailed
from local_athena.athena.functions import MACROS
from local_athena.athena.relations import Predicate

_BATCH_ROWS = 10_000
_THREADS = 2
_MEMORY_BYTES = 700_000_000
_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_FAILURES: tuple[tuple[str, str], ...] = (
    (r"Division by zero", "DIVISION_BY_ZERO"),
    (r"must appear in the GROUP BY clause", "EXPRESSION_NOT_AGGREGATE"),
    (r"More than one row returned by a subquery", "SUBQUERY_MULTIPLE_ROWS"),
    (r"with value -?(nan|inf) can't be cast", "INVALID_CAST_ARGUMENT"),
    (r"^Out of Range Error|out of range|Overflow", "NUMERIC_VALUE_OUT_OF_RANGE"),
    (r"^Conversion Error", "INVALID_CAST_ARGUMENT"),
    (r"^Out of Memory Error", EXCEEDED_MEMORY),
    (r"^(Binder|Parser|Catalog|Not implemented) Error", "NOT_SUPPORTED"),
    (r"^Invalid Input Error", "INVALID_FUNCTION_ARGUMENT"),
)


class Engine:
    """A DuckDB for one query after the other: no files, network or Python variables.

    Args:
        memory_bytes: What DuckDB counts against it; texts and lists are not counted.
    """

    def __init__(self, memory_bytes: int = _MEMORY_BYTES) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": _THREADS,
            "memory_limit": f"{memory_bytes}B",
            "autoload_known_extensions": False,
        }
        self._connection = duckdb.connect(":memory:", config=config)
        for macro in MACROS:
            self._connection.execute(f"CREATE TEMP MACRO {macro}")
        for setting in _SETTINGS:
            self._connection.execute(setting)

    def satisfying(self, values: pa.Table, predicates: Sequence[Predicate]) -> list[int]:
        """The rows of partition values that satisfy all predicates, by position."""
        rows = values.append_column("#", pa.array(range(values.num_rows), pa.int64()))
        conditions = [f"(({predicate.unless}) OR ({predicate.sql}))" for predicate in predicates]
        self._connection.register("k", rows)
        try:
            sql = f'SELECT k."#" FROM k WHERE {" AND ".join(conditions) or "true"} ORDER BY 1'
            return [row for batch in self.run(sql, {}) for row in batch.column(0).to_pylist()]
        finally:
            self._connection.unregister("k")

    def run(self, sql: str, scans: Mapping[str, ds.Dataset]) -> Iterator[pa.RecordBatch]:
        """Runs a query and streams its rows.

        Args:
            sql: DuckDB's text.
            scans: The datasets it reads, by name.

        Raises:
            QueryFailed: What went wrong, under Trino's name for it.
        """
        try:
            for name, dataset in scans.items():
                self._connection.register(name, dataset)
            yield from self._connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
        except MemoryError as error:
            raise QueryFailed(EXCEEDED_MEMORY, str(error)) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _failure(str(error)) from error
        finally:
            for name in scans:
                self._connection.unregister(name)

    def close(self) -> None:
        """Frees the memory."""
        self._connection.close()


def _failure(message: str) -> QueryFailed:
    ours = re.search(
        r"Could not convert string '([A-Z]{3,}(?:_[A-Z]+)+): (.*)' to INT64",
        message,
        flags=re.DOTALL,
    )
    if ours is not None:
        return QueryFailed(ours[1], ours[2].strip())
    ours = re.search(r"\b([A-Z]{3,}(?:_[A-Z]+)+): (.*)", message, flags=re.DOTALL)
    if ours is not None:
        return QueryFailed(ours[1], ours[2].strip().split("\n\nLINE ")[0])
    first = message.strip().split("\n")[0]
    for pattern, name in _FAILURES:
        if re.search(pattern, message):
            detail = first.partition("Error: ")[2] or first
            return QueryFailed(name, "Division by zero" if name == "DIVISION_BY_ZERO" else detail)
    return QueryFailed("INTERNAL", first)
