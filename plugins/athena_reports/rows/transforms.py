"""Transforms: from the rows of a result to the rows that are published.

A transform is a function of (rows, period). The rows are a DuckDB relation: nothing runs before they are
written, and each use of a relation runs it again. It returns a relation of the same connection, an Arrow
table or reader, or a pandas or polars frame:

    def top(rows, period):
        return rows.query("rows", "SELECT *, rank() OVER (ORDER BY score DESC) AS rank FROM rows")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from inspect import signature
from itertools import count
from typing import TYPE_CHECKING, Any

from athena_reports.errors import TransformError
from athena_reports.rows.columns import duckdb_type, quoted, refuse_duplicates
from athena_reports.rows.engine import current_engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

    from athena_reports.periods.calendar import Period
    from athena_reports.rows.engine import Engine

    Transform = Callable[[DuckDBPyRelation, Period], Any]
    _Numbered = tuple[int, Mapping[str, Any]]

_SLICE_ROWS = 4096  # that are Python objects at once
_numbers = count()


def apply(
    transforms: Sequence[Transform], relation: DuckDBPyRelation, period: Period, *, engine: Engine, about: str
) -> DuckDBPyRelation:
    """Return what the transforms, applied in order, make of the rows.

    Args:
        transforms: The report's transforms.
        relation: The result.
        period: The period of the run.
        engine: The engine.
        about: What to call the report and the period in an error.

    Raises:
        TransformError: A transform raised, or returned something that has no rows.
    """
    for number, transform in enumerate(transforms, start=1):
        try:
            relation = _relation(transform(relation, period), engine)
            refuse_duplicates(relation.columns)
        except Exception as error:
            if explained := engine.explain(error):
                raise explained from error
            which = f"transform {number} of {len(transforms)} ({getattr(transform, '__name__', transform)})"
            problem = str(error) if isinstance(error, TransformError) else f"{type(error).__name__}: {error}"
            raise TransformError(f"{about}: {which} failed: {problem}") from error
    return relation


def movement(*, rank: str = "rank", previous_rank: str = "previous_rank", into: str = "movement") -> Transform:
    """Return a transform that says how far each row moved since the previous period.

    It adds one text column: `new` where there was no previous rank, `up 3`, `down 3` or `same`.

    Args:
        rank: Integer column of this period's rank, never NULL.
        previous_rank: Integer column of the previous period's rank, NULL for a newcomer.
        into: Name of the column that is added.
    """

    def movement(rows: DuckDBPyRelation, _: Period) -> DuckDBPyRelation:
        if missing := [name for name in (rank, previous_rank) if name not in rows.columns]:
            raise TransformError(f"there is no column {missing[0]!r}; the rows have {', '.join(rows.columns)}.")
        now, before = quoted(rank), quoted(previous_rank)
        return rows.project(
            f"*, CASE WHEN {before} > {now} THEN 'up ' || ({before} - {now}) "
            f"WHEN {before} < {now} THEN 'down ' || ({now} - {before}) "
            f"WHEN {before} = {now} THEN 'same' ELSE 'new' END AS {quoted(into)}"
        )

    return movement


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
        TypeError: The function takes neither one argument nor two.
        ValueError: A column is both added and dropped, or a type is not known.
    """
    takes_period = _takes_period(function)
    added = {name: duckdb_type(kind) for name, kind in (adds or {}).items()}
    if both := sorted(set(drops).intersection(added)):
        raise ValueError(f"each_row() both adds and drops {', '.join(both)}. Keep one.")

    def each_row(rows: DuckDBPyRelation, period: Period) -> DuckDBPyRelation:
        from athena_reports.rows.athena_csv import read_csv

        if unknown := sorted(set(drops).difference(rows.columns)):
            raise TransformError(f"it drops {', '.join(unknown)}; the rows have {', '.join(rows.columns)}.")
        engine = current_engine.get()
        types = dict(zip(rows.columns, map(str, rows.types), strict=True)) | added
        columns = {name: engine.connection.sqltype(kind) for name, kind in types.items() if name not in drops}
        path = engine.folder / f"each_row-{next(_numbers)}.csv"
        arguments = (period,) if takes_period else ()
        with path.open("w", encoding="utf-8", newline="") as file:
            for first, some in _slices(rows, engine):
                made = list(_made(function, some, arguments, first))
                _check_names(made, columns.keys(), drops)
                fields = [_fields(made, name, kind) for name, kind in columns.items()]
                file.writelines(",".join(line) + "\n" for line in zip(*fields, strict=True))
        written = {name: types[name] for name in columns}
        return read_csv(path, written, engine, about="each_row()", header=False)

    return each_row


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
    allowed = "a DuckDB relation, an Arrow table or reader, or a pandas or polars frame"
    raise TransformError(f"it returned a {type(made).__name__}. Return {allowed}.")


def _takes_period(function: Callable[..., Any]) -> bool:
    for arguments in (2, 1):
        try:
            signature(function).bind(*[None] * arguments)
        except (TypeError, ValueError):
            continue
        return arguments == 2
    raise TypeError(f"each_row() takes a function of a row, or of a row and the Period, not {function!r}.")


def _slices(rows: DuckDBPyRelation, engine: Engine) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield some rows at a time, with the number of the first one."""
    names, view, first = rows.columns, f"each_row_{next(_numbers)}", 1
    rows.create_view(view)  # iter_rows() of a relation holds all rows in memory.
    cursor = engine.connection.execute(f"FROM {view}")
    while some := cursor.fetchmany(_SLICE_ROWS):
        yield first, [dict(zip(names, row, strict=True)) for row in some]
        first += len(some)


def _made(
    function: Callable[..., Any], rows: Sequence[dict[str, Any]], arguments: tuple[Period, ...], first: int
) -> Iterator[_Numbered]:
    for number, row in enumerate(rows, first):
        try:
            made = function(row, *arguments)
        except Exception as error:
            raise TransformError(f"{type(error).__name__}: {error}, in row {number:,}.") from error
        if isinstance(made, Mapping):
            yield number, made
        elif made is not None:
            problem = f"the function returned a {type(made).__name__} for row {number:,}"
            raise TransformError(f"{problem}. Return a dict, or None to leave the row out.")


def _check_names(rows: Sequence[_Numbered], names: KeysView[str], drops: Sequence[str]) -> None:
    for number, row in ((number, row) for number, row in rows if row.keys() != names):
        if unknown := sorted(map(str, row.keys() - names - set(drops))):
            problem = f"row {number:,} was returned with {', '.join(unknown)}, which is not a column"
            raise TransformError(f"{problem}. Declare it in `adds`, with its type.")
        if missing := [name for name in names if name not in row]:
            problem = f"row {number:,} was returned without {', '.join(missing)}"
            raise TransformError(f"{problem}. Give None for no value.")


def _fields(rows: Sequence[_Numbered], name: str, kind: DuckDBPyType) -> list[str]:
    """Return the values of a column as fields of a CSV in Athena's form."""
    values = [row[name] for _, row in rows]
    if not _fits(values, kind):
        number, value = next((number, row[name]) for number, row in rows if not _fits([row[name]], kind))
        shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
        raise TransformError(
            f"row {number:,} has {shown} in {name!r}, which is a column of {kind}: it would not stay the "
            f"same. Convert it, or declare another type in `adds`."
        )
    text = _TEXTS.get(kind.id, str)
    return ["" if value is None else text(value) for value in values]


def _fits(values: Sequence[Any], kind: DuckDBPyType) -> bool:
    """Whether all values stay the same in a column of this type."""
    present = [value for value in values if value is not None]
    types = set(map(type, present))
    if not types <= _TYPES.get(kind.id, {str}):
        return False
    if kind.id in _BITS:
        most = 2 ** (_BITS[kind.id] - 1)
        return not present or (-most <= min(present) and max(present) < most)
    if kind.id == "decimal":
        return all(_fits_decimal(Decimal(value), str(kind)) for value in present)
    if datetime in types:
        aware = kind.id == "timestamp with time zone"
        return not any(at.microsecond % 1000 or (at.tzinfo is not None) != aware for at in present)
    return True


def _fits_decimal(value: Decimal, kind: str) -> bool:
    precision, scale = map(int, kind.removeprefix("DECIMAL(").removesuffix(")").split(","))
    whole, _, fraction = f"{value:f}".partition(".")
    fits = len(whole.lstrip("-0")) <= precision - scale and len(fraction.rstrip("0")) <= scale
    return fits and value.is_finite()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
_TYPES: dict[str, set[type]] = {
    **{name: {int} for name in _BITS},
    **{name: {float, int} for name in ("float", "double")},
    **{name: {datetime} for name in ("timestamp", "timestamp_ms", "timestamp with time zone")},
    **{name: {list, dict} for name in ("list", "array", "map", "struct")},
    "decimal": {Decimal, int},
    "boolean": {bool},
    "blob": {bytes},
    "date": {date},
    "time": {time},
}
_TEXTS: dict[str, Callable[[Any], str]] = {
    **{name: lambda value: _quoted(json.dumps(value, default=str)) for name in ("list", "array", "map", "struct")},
    "timestamp with time zone": lambda at: f"{at.astimezone(UTC).replace(tzinfo=None)} UTC",
    "blob": lambda value: _quoted(value.hex(" ")),
    "varchar": _quoted,
}
