"""Transforms: from the rows of a result to the rows that are published.

A transform is a function of (rows, period). The rows are a DuckDB relation: nothing runs before
they are written, and each use of a relation runs it again. It returns a relation of the same
connection, an Arrow table or reader, or a pandas or polars frame:

    def top(rows, period):
        return rows.query("rows", "SELECT *, rank() OVER (ORDER BY score DESC) AS rank FROM rows")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from inspect import signature
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    InstanceOf,
    NaiveDatetime,
    TypeAdapter,
    ValidationError,
)

from athena_reports.errors import TransformError
from athena_reports.rows.columns import (
    duckdb_literal,
    duckdb_type,
    refuse_duplicates,
    rewritten,
)
from athena_reports.rows.engine import Engine, current_engine
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

    from athena_reports.periods.calendar import Period

    Transform = Callable[[DuckDBPyRelation, Period], Any]

__all__ = ["each_row", "movement"]

_numbers = count()  # of the views and files that are made, so that two transforms do not share one
_ROWS_AT_ONCE = 4096  # that each_row holds in memory

_MOVEMENT = """
*,
CASE
    WHEN {previous_rank} > {rank} THEN 'up ' || ({previous_rank} - {rank})
    WHEN {previous_rank} < {rank} THEN 'down ' || ({rank} - {previous_rank})
    WHEN {previous_rank} = {rank} THEN 'same'
    ELSE 'new'
END AS {into}
"""
_READ_ROWS = """
SELECT {values}
FROM read_json({path}, format = 'newline_delimited', columns = {{{columns}}})
"""


def _integer(bits: int) -> Any:
    limit = 2 ** (bits - 1)
    return Annotated[int, Field(ge=-limit, lt=limit)]


def _float(exact_bits: int) -> Any:
    """Return the type of floats, and of the integers that a float of so many bits has exactly."""
    limit = 2**exact_bits
    return InstanceOf[float] | Annotated[int, Field(ge=-limit, le=limit)]


def _decimal(precision: int, scale: int) -> Any:
    limit = 10 ** (precision - scale)
    exact = Annotated[Decimal, Field(max_digits=precision, decimal_places=scale)]
    return exact | Annotated[int, Field(gt=-limit, lt=limit)]


def _whole_milliseconds(at: datetime) -> datetime:
    if at.microsecond % 1000:
        raise ValueError
    return at


_PARTS = InstanceOf[list[Any]] | InstanceOf[dict[Any, Any]]
# The values that each_row takes for a column, by `DuckDBPyType.id`. Validation is strict, so that
# DuckDB rounds or converts none. Any other column takes texts.
_VALUES: dict[str, Any] = {
    "boolean": bool,
    "tinyint": _integer(8),
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "hugeint": _integer(128),
    "float": _float(24),
    "double": _float(53),
    "blob": bytes,
    "date": date,
    "time": time,
    "timestamp": NaiveDatetime,
    "timestamp_ms": Annotated[NaiveDatetime, AfterValidator(_whole_milliseconds)],
    "timestamp with time zone": AwareDatetime,
    "list": _PARTS,
    "array": _PARTS,
    "map": _PARTS,
    "struct": _PARTS,
}


@dataclass(frozen=True, eq=False)
class LibraryTransform:
    """A transform of this module, with the name and the arguments that an author gives.

    These tell it from another transform, in an error's message and in the digest of a report's
    logic. The function that does the work may be renamed or moved.
    """

    name: str
    arguments: Mapping[str, Any]
    work: Callable[..., Any]
    from_previous: tuple[str, ...] = ()  # the columns whose values come from the previous period

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, rows: DuckDBPyRelation, period: Period) -> Any:
        return self.work(rows, period, **self.arguments)


def apply(
    transforms: Sequence[Transform],
    relation: DuckDBPyRelation,
    period: Period,
    engine: Engine,
) -> DuckDBPyRelation:
    """Return what the transforms make of the rows, in order; TransformError if one fails."""
    for number, transform in enumerate(transforms, start=1):
        try:
            relation = _relation(transform(relation, period), engine)
            refuse_duplicates(relation.columns)
        except Exception as error:
            explained = engine.explain(error)
            if explained is not None:
                raise explained from error
            problem = str(error)
            if not isinstance(error, TransformError):
                problem = f"{type(error).__name__}: {error}"
            name = transform_label(transforms, number)
            raise TransformError(f"{engine.about}: {name} failed: {problem}") from error
    return relation


def transform_label(transforms: Sequence[Transform], number: int) -> str:
    """Return what a message calls a transform, counted from 1: `transform 1 of 2 (movement)`."""
    transform = transforms[number - 1]
    function = transform.func if isinstance(transform, partial) else transform
    name = getattr(function, "__name__", type(function).__name__).strip("_")
    return f"transform {number} of {len(transforms)} ({name})"


def _relation(rows: Any, engine: Engine) -> DuckDBPyRelation:
    import duckdb

    if isinstance(rows, duckdb.DuckDBPyRelation):
        return rows
    if type(rows).__module__.partition(".")[0] == "pandas":
        return engine.connection.from_df(rows)
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        return engine.connection.from_arrow(rows)
    raise TransformError(
        f"it returned a {type(rows).__name__}. Return a relation, an Arrow table or a data frame."
    )


def movement(
    *, rank: str = "rank", previous_rank: str = "previous_rank", into: str = "movement"
) -> Transform:
    """Return a transform that says how far each row moved since the previous period.

    It adds one text column: `new` where there was no previous rank, `up 3`, `down 3` or `same`.
    Neither this column nor that of the previous rank makes the next period stale.

    Args:
        rank: Integer column of this period's rank, never NULL.
        previous_rank: Integer column of the previous period's rank, NULL for a newcomer.
        into: Name of the column that is added.
    """
    arguments = {"rank": rank, "previous_rank": previous_rank, "into": into}
    return LibraryTransform("movement", arguments, _movement, from_previous=(previous_rank, into))


def columns_from_previous(transforms: Sequence[Transform]) -> list[str]:
    """Return the columns whose values come from the previous period, as far as transforms say."""
    columns: list[str] = []
    for transform in transforms:
        if isinstance(transform, LibraryTransform):
            columns += transform.from_previous
    return columns


def _movement(
    rows: DuckDBPyRelation, _: Period, *, rank: str, previous_rank: str, into: str
) -> DuckDBPyRelation:
    values = _MOVEMENT.format(
        rank=quoted(rank),
        previous_rank=quoted(previous_rank),
        into=quoted(into),
    )
    return rows.project(values)


def each_row(
    function: Callable[..., Mapping[str, Any] | None],
    *,
    adds: Mapping[str, str] | None = None,
    drops: Sequence[str] = (),
) -> Transform:
    """Return a transform that makes each row by a function, in the order of the rows.

    The columns are those of the rows, with `adds` laid over them and without `drops`, so they are
    known for an empty result too. SQL is much faster for millions of rows.

    Args:
        function: Takes a row as a dict and returns one with every column that is published, or None
            to leave the row out. A value of DuckDB's type JSON is its text. If it takes a second
            argument, that is the Period.
        adds: Columns that are new or change their type, each with the name of its type in Athena,
            such as `bigint`, `varchar` or `decimal(10,2)`.
        drops: Columns to leave out. The function may return them or not.

    Raises:
        ValueError: A type is not known.
    """
    added_types = {name: duckdb_type(kind) for name, kind in (adds or {}).items()}
    arguments = {"function": function, "adds": added_types, "drops": frozenset(drops)}
    return LibraryTransform("each_row", arguments, _each_row)


def _each_row(
    rows: DuckDBPyRelation,
    period: Period,
    *,
    function: Callable[..., Mapping[str, Any] | None],
    adds: Mapping[str, str],
    drops: frozenset[str],
) -> DuckDBPyRelation:
    unknown = sorted(drops.difference(rows.columns))
    if unknown:
        raise TransformError(
            f"it drops {', '.join(unknown)}, but the rows have {', '.join(rows.columns)}."
        )
    engine = current_engine.get()
    types = _types_after(rows, adds, drops, engine)
    adapters = {name: _adapter(kind) for name, kind in types.items()}
    path = engine.folder / f"each_row-{next(_numbers)}.json"
    encode = json.JSONEncoder(ensure_ascii=False, default=_json_text).encode
    with path.open("w", encoding="utf-8") as file:
        for batch in _batches(_with_period(function, period), rows, engine):
            _require_columns(batch, types, drops)
            _require_exact_values(batch, types, adapters)
            file.writelines(f"{encode(row)}\n" for row in batch.values())
    return _read_rows(path, types, engine)


def _types_after(
    rows: DuckDBPyRelation, adds: Mapping[str, str], drops: frozenset[str], engine: Engine
) -> dict[str, DuckDBPyType]:
    types = dict(zip(rows.columns, rows.types, strict=True))
    types |= {name: engine.connection.sqltype(kind) for name, kind in adds.items()}
    return {name: kind for name, kind in types.items() if name not in drops}


def _with_period(function: Callable[..., Any], period: Period) -> Callable[[dict[str, Any]], Any]:
    try:
        signature(function).bind(None, period)
    except TypeError:
        return function
    return lambda row: function(row, period)


def _batches(
    function: Callable[[dict[str, Any]], Any], rows: DuckDBPyRelation, engine: Engine
) -> Iterator[dict[int, Any]]:
    # Each batch has what the function makes of some rows, by the numbers of those it keeps.
    names = rows.columns
    view = f"each_row_{next(_numbers)}"
    rows.create_view(view)  # `fetchmany` of a relation holds all rows in memory
    cursor = engine.connection.execute(f"FROM {view}")
    number = 0
    while True:
        fetched = cursor.fetchmany(_ROWS_AT_ONCE)
        if not fetched:
            return
        batch = {}
        for values in fetched:
            number += 1
            try:
                row = function(dict(zip(names, values, strict=True)))
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                raise TransformError(f"{problem}, in row {number:,}.") from error
            if row is not None:
                batch[number] = row
        yield batch


def _require_columns(
    rows: Mapping[int, Any], types: Mapping[str, DuckDBPyType], drops: frozenset[str]
) -> None:
    for number, row in rows.items():
        if not isinstance(row, Mapping):
            raise TransformError(
                f"the function returned a {type(row).__name__} for row {number:,}."
                " Return a dict, or None to leave the row out."
            )
        if (row.keys() ^ types.keys()) - drops:  # it may have the columns that are dropped
            raise TransformError(
                f"the function returned the columns {', '.join(map(str, row))} for row {number:,};"
                f" expected {', '.join(types)}. Declare a new column in `adds`, and return None for"
                " a missing value."
            )


def _require_exact_values(
    rows: Mapping[int, Mapping[str, Any]],
    types: Mapping[str, DuckDBPyType],
    adapters: Mapping[str, TypeAdapter[Any]],
) -> None:
    for name, adapter in adapters.items():
        values = [row[name] for row in rows.values()]
        try:
            adapter.validate_python(values)
        except ValidationError as error:
            first, *_ = error.errors()
            place = int(first["loc"][0])
            number = list(rows)[place]
            raise TransformError(
                f"row {number:,}, column {name!r}: {values[place]!r:.80} is not a valid"
                f" {types[name]}."
                " Convert it, or change the column's type in `adds`."
            ) from error


def _adapter(kind: DuckDBPyType) -> TypeAdapter[Any]:
    values = _VALUES.get(kind.id, str)
    if kind.id == "decimal":
        (_, precision), (_, scale) = kind.children
        values = _decimal(int(str(precision)), int(str(scale)))
    return TypeAdapter(list[values | None], config=ConfigDict(strict=True))  # type: ignore[valid-type]


def _json_text(value: Any) -> str:
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02x}" for byte in value)  # as DuckDB reads it
    return str(value)


def _read_rows(path: Path, types: Mapping[str, DuckDBPyType], engine: Engine) -> DuckDBPyRelation:
    columns = []
    values = []
    for name, kind in types.items():
        type_in_file = rewritten(kind, _type_in_file)
        columns.append(f"{duckdb_literal(name)}: {duckdb_literal(type_in_file)}")
        values.append(f"{quoted(name)}::{kind} AS {quoted(name)}")
    sql = _READ_ROWS.format(
        values=", ".join(values),
        path=duckdb_literal(str(path)),
        columns=", ".join(columns),
    )
    return engine.connection.sql(sql)


def _type_in_file(kind: str) -> str:
    # A function gets and gives a value of JSON as its text, which is written as a string. Read as
    # JSON, it would stay a string: its text in quotes.
    return "VARCHAR" if kind == "JSON" else kind
