"""Transforms: from the rows of a result to the rows that are published.

A transform is a function of (rows, period). The rows are a DuckDB relation: nothing runs before they are
written, and each use of a relation runs it again. It returns a relation of the same connection, an Arrow
table or reader, or a pandas or polars frame:

    def top(rows, period):
        return rows.query("rows", "SELECT *, rank() OVER (ORDER BY score DESC) AS rank FROM rows")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Context, Decimal
from functools import partial
from inspect import signature
from itertools import count
from typing import TYPE_CHECKING, Any

from athena_reports.errors import TransformError
from athena_reports.rows.columns import duckdb_type, literal, quoted, refuse_duplicates
from athena_reports.rows.engine import Engine, current_engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

    from athena_reports.periods.calendar import Period

    Transform = Callable[[DuckDBPyRelation, Period], Any]

__all__ = ["each_row", "movement"]

_numbers = count()


@dataclass(frozen=True, eq=False)
class LibraryTransform:
    """A transform of this module, with the name and the arguments that an author gives.

    These tell it from another transform, in an error's message and in the digest of a report's logic. The function that
    does the work is private: it may be renamed or moved.
    """

    name: str
    arguments: Mapping[str, Any]
    work: Callable[..., Any]

    def __call__(self, rows: DuckDBPyRelation, period: Period) -> Any:
        """Return the rows that are made of these."""
        return self.work(rows, period, **self.arguments)


def apply(
    transforms: Sequence[Transform], relation: DuckDBPyRelation, period: Period, *, engine: Engine, about: str
) -> DuckDBPyRelation:
    """Return what the transforms, applied in order, make of the rows; `about` begins an error's message."""
    for number, transform in enumerate(transforms, start=1):
        try:
            relation = _relation(transform(relation, period), engine)
            refuse_duplicates(relation.columns)
        except Exception as error:
            if explained := engine.explain(error):
                raise explained from error
            problem = error if isinstance(error, TransformError) else f"{type(error).__name__}: {error}"
            raise TransformError(f"{about}: {describe(transforms, number)} failed: {problem}") from error
    return relation


def describe(transforms: Sequence[Transform], number: int) -> str:
    """Return what a message calls one of some transforms, counted from 1: `transform 1 of 2 (movement)`."""
    transform = transforms[number - 1]
    function = transform.func if isinstance(transform, partial) else transform
    if isinstance(function, LibraryTransform):
        name = function.name
    else:
        name = getattr(function, "__name__", type(function).__name__).strip("_")
    return f"transform {number} of {len(transforms)} ({name})"


def _relation(made: Any, engine: Engine) -> DuckDBPyRelation:
    import duckdb

    if isinstance(made, duckdb.DuckDBPyRelation):
        try:
            engine.connection.sql("SELECT 1").cross(made)
        except duckdb.InvalidInputException as error:
            raise TransformError("it returned a relation of another connection.") from error
        return made
    if type(made).__module__.startswith("pandas."):
        return engine.connection.from_df(made)
    if hasattr(made, "__arrow_c_stream__") or hasattr(made, "__arrow_c_array__"):
        return engine.connection.from_arrow(made)
    raise TransformError(f"it returned a {type(made).__name__}. Return a relation, an Arrow table or a data frame.")


def movement(*, rank: str = "rank", previous_rank: str = "previous_rank", into: str = "movement") -> Transform:
    """Return a transform that says how far each row moved since the previous period.

    It adds one text column: `new` where there was no previous rank, `up 3`, `down 3` or `same`.

    Args:
        rank: Integer column of this period's rank, never NULL.
        previous_rank: Integer column of the previous period's rank, NULL for a newcomer.
        into: Name of the column that is added.
    """
    arguments = {"rank": rank, "previous_rank": previous_rank, "into": into}
    return LibraryTransform("movement", arguments, _movement)


def _movement(rows: DuckDBPyRelation, _: Period, *, rank: str, previous_rank: str, into: str) -> DuckDBPyRelation:
    now, before = quoted(rank), quoted(previous_rank)
    return rows.project(
        f"*, CASE WHEN {before} > {now} THEN 'up ' || ({before} - {now}) "
        f"WHEN {before} < {now} THEN 'down ' || ({now} - {before}) "
        f"WHEN {before} = {now} THEN 'same' ELSE 'new' END AS {quoted(into)}"
    )


def each_row(
    function: Callable[..., Mapping[str, Any] | None],
    *,
    adds: Mapping[str, str] | None = None,
    drops: Sequence[str] = (),
) -> Transform:
    """Return a transform that makes each row by a function, in the order of the rows.

    The columns are those of the rows, with `adds` laid over them and without `drops`, so they are known for
    an empty result too. SQL is much faster for millions of rows.

    Args:
        function: Takes a row as a dict and returns one with every column that is published, or None to leave
            the row out. It may take the Period as a second argument.
        adds: Columns that are new or change their type, each with the name of its type in Athena, such as
            `bigint`, `varchar` or `decimal(10,2)`.
        drops: Columns to leave out. The function may return them or not.

    Raises:
        ValueError: A type is not known.
    """
    types = {name: duckdb_type(kind) for name, kind in (adds or {}).items()}
    return LibraryTransform("each_row", {"function": function, "adds": types, "drops": frozenset(drops)}, _each_row)


def _each_row(
    rows: DuckDBPyRelation,
    period: Period,
    *,
    function: Callable[..., Mapping[str, Any] | None],
    adds: Mapping[str, str],
    drops: frozenset[str],
) -> DuckDBPyRelation:
    if unknown := sorted(drops.difference(rows.columns)):
        raise TransformError(f"it drops {', '.join(unknown)}; the rows have {', '.join(rows.columns)}.")
    engine = current_engine.get()
    takes_period = len(signature(function).parameters) == 2
    types = {**dict(zip(rows.columns, map(str, rows.types), strict=True)), **adds}
    kinds = {name: engine.connection.sqltype(kind) for name, kind in types.items() if name not in drops}
    path, separator = engine.folder / f"each_row-{next(_numbers)}.json", "["
    encode = json.JSONEncoder(ensure_ascii=False, default=_text).encode
    with path.open("w", encoding="utf-8") as file:
        for made in _slices(lambda row: function(row, period) if takes_period else function(row), rows, engine):
            _refuse(made, kinds, drops)
            if made:
                file.write(separator + encode(list(made.values()))[1:-1])
                separator = ","
        file.write("]" if separator == "," else "[]")
    columns = ", ".join(f"{literal(name)}: {literal(types[name])}" for name in kinds)
    source = f"read_json({literal(str(path))}, format = 'array', columns = {{{columns}}})"
    return engine.connection.sql(f"FROM {source}")


def _slices(function: Callable[..., Any], rows: DuckDBPyRelation, engine: Engine) -> Iterator[dict[int, Any]]:
    """Yield what the function makes of some rows at a time, by the rows' numbers, without those left out."""
    names, view, number = rows.columns, f"each_row_{next(_numbers)}", 0
    rows.create_view(view)  # `fetchmany` of a relation holds all rows in memory
    cursor = engine.connection.execute(f"FROM {view}")
    while some := cursor.fetchmany(4096):
        made = {}
        for number, row in enumerate(some, number + 1):  # noqa: B020
            try:
                made[number] = function(dict(zip(names, row, strict=True)))
            except Exception as error:
                raise TransformError(f"{type(error).__name__}: {error}, in row {number:,}.") from error
        yield {at: row for at, row in made.items() if row is not None}


def _refuse(rows: Mapping[int, Any], kinds: Mapping[str, DuckDBPyType], drops: frozenset[str]) -> None:
    """Refuse rows with other columns, and values that would not stay the same."""
    for number, row in rows.items():
        if not isinstance(row, Mapping):
            problem = f"the function returned a {type(row).__name__} for row {number:,}"
            raise TransformError(f"{problem}. Return a dict, or None to leave the row out.")
        if row.keys() != kinds.keys() and (row.keys() ^ kinds.keys()).difference(drops):
            problem = f"row {number:,} was returned with {', '.join(map(str, row))}, not {', '.join(kinds)}"
            raise TransformError(f"{problem}. Declare a new column in `adds`, and give None for no value.")
    for name, kind in kinds.items():
        if not _stay([row[name] for row in rows.values()], kind):
            number, value = next((number, row[name]) for number, row in rows.items() if not _stay([row[name]], kind))
            problem = f"row {number:,} has {value!r:.80} in {name!r}, which is a column of {kind}"
            raise TransformError(f"{problem}: its value would change. Convert it, or change its type in `adds`.")


_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
_TYPES: dict[str, set[type]] = {
    **{name: {int} for name in _BITS},
    **{name: {float, int} for name in ("float", "double")},
    **{name: {datetime} for name in ("timestamp", "timestamp_ms", "timestamp with time zone")},
    **{name: {list, dict} for name in ("list", "array", "map", "struct")},
}
_TYPES |= {"decimal": {Decimal, int}, "boolean": {bool}, "blob": {bytes}, "date": {date}, "time": {time}}


def _stay(values: Sequence[Any], kind: DuckDBPyType) -> bool:
    """Whether all values stay the same in a column of this type."""
    present = [value for value in values if value is not None]
    if not present or not set(map(type, present)) <= _TYPES.get(kind.id, {str}):
        return not present
    if kind.id in _BITS:
        most = 2 ** (_BITS[kind.id] - 1)
        return bool(-most <= min(present) and max(present) < most)
    if kind.id == "decimal":
        precision, scale = (int(str(number)) for _, number in kind.children)
        digits, unit = Context(prec=precision, traps=[]), Decimal(1).scaleb(-scale)
        return all(digits.quantize(Decimal(value), unit) == value for value in present)
    if kind.id.startswith("timestamp"):
        aware, finest = kind.id == "timestamp with time zone", 1000 if kind.id == "timestamp_ms" else 1
        return all((at.tzinfo is not None) == aware and not at.microsecond % finest for at in present)
    return True


def _text(value: Any) -> str:
    """Return the text that DuckDB reads for a value that JSON does not have."""
    return "".join(f"\\x{byte:02x}" for byte in value) if isinstance(value, bytes) else str(value)
