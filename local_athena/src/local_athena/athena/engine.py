"""DuckDB as the engine of queries: it reads what it is given, and reaches nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from duckdb.func import FunctionNullHandling

from local_athena.athena.errors import EXCEEDED_MEMORY, QueryFailed, not_supported
from local_athena.athena.functions import MACROS
from local_athena.athena.python_functions import PYTHON_FUNCTIONS, NotDoneError, PythonFunction
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
    (r"Casting value .* to type DECIMAL", "INVALID_CAST_ARGUMENT"),
    (r"Type DOUBLE with value .* destination type INT64", "INVALID_CAST_ARGUMENT"),
    (r"^Out of Range Error|out of range|Overflow", "NUMERIC_VALUE_OUT_OF_RANGE"),
    (r"^Conversion Error", "INVALID_CAST_ARGUMENT"),
    (r"^Out of Memory Error", EXCEEDED_MEMORY),
    (r"^(Binder|Parser|Catalog|Not implemented) Error", "NOT_SUPPORTED"),
    (r"^Invalid Input Error", "INVALID_FUNCTION_ARGUMENT"),
)
"""Trino's name for a failure, by what DuckDB's message says; the first one that fits."""


class Engine:
    """A DuckDB for one query after the other: no files, network or Python variables.

    DuckDB counts neither texts nor lists against `memory_bytes`.
    """

    def __init__(self, memory_bytes: int = _MEMORY_BYTES) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": _THREADS,
            "memory_limit": f"{memory_bytes}B",
            "autoload_known_extensions": False,
        }
        self._connection = duckdb.connect(":memory:", config=config)
        self._python_names: set[str] = set()
        self._python_failure: QueryFailed | None = None
        for macro in MACROS:
            self._connection.execute(f"CREATE TEMP MACRO {macro}")
        for setting in _SETTINGS:
            self._connection.execute(setting)

    def satisfying(self, values: pa.Table, predicates: Sequence[Predicate]) -> list[int]:
        """Return the rows of partition values that satisfy all predicates, by position."""
        rows = values.append_column("#", pa.array(range(values.num_rows), pa.int64()))
        conditions = [f"(({predicate.unless}) OR ({predicate.sql}))" for predicate in predicates]
        self._connection.register("k", rows)
        try:
            sql = f'SELECT k."#" FROM k WHERE {" AND ".join(conditions) or "true"} ORDER BY 1'
            return [row for batch in self.run(sql, {}) for row in batch.column(0).to_pylist()]
        finally:
            self._connection.unregister("k")

    def run(self, sql: str, scans: Mapping[str, ds.Dataset]) -> Iterator[pa.RecordBatch]:
        """Run a query over datasets by name, and stream its rows."""
        self._python_failure = None
        try:
            self._add_python(sql)
            for name, dataset in scans.items():
                self._connection.register(name, dataset)
            for batch in self._connection.sql(sql).to_arrow_reader(_BATCH_ROWS):
                self._raise_python_failure()
                yield batch
            self._raise_python_failure()  # a TRY in WHERE may have left no row, and so no batch
        except MemoryError as error:
            raise QueryFailed(EXCEEDED_MEMORY, str(error)) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._python_failure or _failure(str(error)) from error
        finally:
            for name in scans:
                self._connection.unregister(name)

    def _add_python(self, sql: str) -> None:
        """Hand DuckDB the Python functions that a query names, and that it does not have yet."""
        named = PYTHON_FUNCTIONS.keys() & re.findall(r"\bpython_\w+", sql)
        for name in sorted(named - self._python_names):
            # `create_function` imports numpy. The worker has put None in its place, so that Arrow
            # does not import it: that None is taken away first.
            if sys.modules.get("numpy", True) is None:
                del sys.modules["numpy"]
            function = PYTHON_FUNCTIONS[name]
            self._connection.create_function(
                name,
                self._reporting(function),
                list(function.parameters),
                function.result,
                null_handling=FunctionNullHandling.SPECIAL,
            )
            self._python_names.add(name)

    def _raise_python_failure(self) -> None:
        if self._python_failure is not None:
            raise self._python_failure

    def _reporting(self, function: PythonFunction) -> Callable[..., Any]:
        """The function as DuckDB calls it.

        TRY may hide what is wrong in the query, which is a ValueError. What is not done and lack of
        memory are noted too, so that `run` fails in any case.
        """

        @wraps(function.call)  # DuckDB counts its parameters
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except ValueError as error:
                raise ValueError(f"INVALID_FUNCTION_ARGUMENT: {error}") from None
            except NotDoneError as error:
                self._python_failure = not_supported(str(error))
                raise
            except RecursionError:
                self._python_failure = not_supported("a text that is nested so deep")
                raise
            except MemoryError:
                message = "The memory is not enough for a function"
                self._python_failure = QueryFailed(EXCEEDED_MEMORY, message)
                raise

        return call

    def close(self) -> None:
        """Free the memory."""
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
            if name == "NOT_SUPPORTED":
                detail = f"the local Athena cannot run this query: {detail}"
            return QueryFailed(name, "Division by zero" if name == "DIVISION_BY_ZERO" else detail)
    return QueryFailed("INTERNAL", first)
