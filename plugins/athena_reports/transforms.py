"""Transforms: from the batches of a result to the batches that are published.

A transform is a function of (batches, period) that yields batches. Those made here stream, and what they make
does not depend on how the rows were cut into batches.

pyarrow is imported where it is used, because DAG files import this module and are parsed all the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from inspect import signature
from itertools import chain
from math import fsum
from typing import IO, TYPE_CHECKING, Any, Self

from athena_reports.errors import TransformError, is_disk_full

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.periods.calendar import Period
    from athena_reports.reports.report import Transform

    Row = dict[str, Any]

_SPOOL_BYTES = 4 * 1024 * 1024  # how many bytes of rows are kept in memory before they go to disk
_SLICE_ROWS = 4096  # rows as Python objects take ten times the memory of a batch
_REFUSALS = (TypeError, ValueError, OverflowError, NotImplementedError)  # pyarrow's errors are of these kinds
_TIES = ("row_number", "rank", "dense_rank")


def apply(
    transforms: Sequence[Transform], batches: Iterator[pa.RecordBatch], period: Period, about: str
) -> Iterator[pa.RecordBatch]:
    """Yield what the transforms, applied in order, make of the batches, with a clear error where one fails.

    Args:
        transforms: The report's transforms.
        batches: The result; at least one batch, which may be empty. An error that it raises passes unchanged.
        period: The period of the run.
        about: What to call the report and the period in an error.

    Raises:
        TransformError: A transform raised, or yielded something other than record batches of one schema,
            each column with a name of its own.
        OSError: The disk is full, which is no fault of the transform.
    """
    for number, transform in enumerate(transforms, start=1):
        stage = _Stage(
            name="the transform" if len(transforms) == 1 else f"transform {number} of {len(transforms)}",
            source="the result" if number == 1 else "its input",
            about=about,
        )
        batches = stage.run(transform, batches, period)
    return batches


class _Stage:
    """One transform at work, and how far it has read."""

    def __init__(self, *, name: str, source: str, about: str) -> None:
        self._name = name
        self._source = source
        self._about = about
        self._rows = 0
        self._position = f"before the first row of {source}"
        self._upstream: BaseException | None = None

    def run(
        self, transform: Transform, batches: Iterator[pa.RecordBatch], period: Period
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema: pa.Schema | None = None
        try:
            for number, batch in enumerate(transform(self._reading(batches), period), start=1):
                if not isinstance(batch, pa.RecordBatch):
                    raise TransformError(
                        f"{self._name} yielded a {type(batch).__name__} as batch {number}; "
                        f"it has to yield pyarrow.RecordBatch."
                    )
                if schema is None:
                    schema = self._schema_without_duplicates(batch)
                if not batch.schema.equals(schema):
                    raise TransformError(
                        f"{self._name} yielded batch {number} with the columns {_columns(batch.schema)}, "
                        f"the first with {_columns(schema)}; all have to have the same."
                    )
                yield batch
        except Exception as error:
            if error is self._upstream or is_disk_full(error):
                raise
            if isinstance(error, TransformError):
                raise TransformError(f"{self._about}: {error}") from error
            raise TransformError(
                f"{self._about}: {self._name} raised {type(error).__name__}: {error}, {self._position}."
            ) from error

    def _reading(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                first, self._rows = self._rows + 1, self._rows + batch.num_rows
                self._position = f"in rows {first:,} to {self._rows:,} of {self._source}"
                if not batch.num_rows:
                    self._position = f"in an empty batch after row {self._rows:,} of {self._source}"
                yield batch
        except Exception as error:
            self._upstream = error
            raise
        self._position = f"after the last of {self._rows:,} rows of {self._source}"

    def _schema_without_duplicates(self, batch: pa.RecordBatch) -> pa.Schema:
        names = batch.schema.names
        if len(set(names)) < len(names):
            raise TransformError(
                f"{self._name} yielded a column name twice, of {', '.join(names)}; rename one."
            )
        return batch.schema


def each_row(
    function: Callable[..., Mapping[str, Any] | None],
    *,
    adds: Mapping[str, str] | None = None,
    drops: Sequence[str] = (),
) -> Transform:
    """Return a transform that makes each row by a function.

    The columns are those of the result, with `adds` laid over them and without `drops`, so they are known for
    an empty result too. The simple way for thousands of rows; for millions `each_batch` is much faster.

    Args:
        function: Takes a row as a dict and returns one with every column that is published, or None to leave
            the row out. It may take the Period as a second argument.
        adds: Columns that are new or change their type, each with the name of its type in Athena, such as
            `bigint`, `varchar` or `decimal(10,2)`.
        drops: Columns to leave out. The function may return them or not.

    Raises:
        TypeError: The function takes neither one argument nor two.
        ValueError: A column is both added and dropped.
    """
    added, dropped = dict(adds or {}), frozenset(drops)
    if both := sorted(dropped.intersection(added)):
        raise ValueError(f"each_row() both adds and drops {', '.join(both)}. Decide for one.")
    takes_period = _takes_period(function, "each_row")

    def make_rows(batches: Iterator[pa.RecordBatch], period: Period) -> Iterator[pa.RecordBatch]:
        arguments = (period,) if takes_period else ()
        before = 0
        for batch in batches:
            schema = _laid_over(batch.schema, added, dropped)
            for start in range(0, max(batch.num_rows, 1), _SLICE_ROWS):
                rows = batch.slice(start, _SLICE_ROWS).to_pylist()
                numbered: list[tuple[int, Mapping[str, Any]]] = []
                for number, row in enumerate(rows, start=before + start + 1):
                    made = _made_row(function, row, arguments, number)
                    if made is not None:
                        _require_keys(made, schema.names, dropped, number)
                        numbered.append((number, made))
                yield _batch_of(numbered, schema)
            before += batch.num_rows

    return make_rows


def each_batch(function: Callable[..., pa.RecordBatch]) -> Transform:
    """Return a transform that makes each batch by a function, without a view of the others.

    Args:
        function: Takes a pyarrow.RecordBatch and returns one, always of the same columns. It may take the
            Period as a second argument.

    Raises:
        TypeError: The function takes neither one argument nor two.
    """
    takes_period = _takes_period(function, "each_batch")

    def make_batches(batches: Iterator[pa.RecordBatch], period: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield function(batch, period) if takes_period else function(batch)

    return make_batches


def rank(by: str, *, into: str = "rank", descending: bool = True, ties: str = "row_number") -> Transform:
    """Return a transform that numbers the rows, which have to come ordered by a column, NULLs last.

    Args:
        by: Column by which the SQL orders the rows.
        into: Name of the bigint column that is added.
        descending: Whether the greatest comes first.
        ties: What equal values get: `row_number` counts on (1, 2, 3, 4), `rank` gives them the same number
            and leaves a gap (1, 2, 2, 4), `dense_rank` leaves none (1, 2, 2, 3). NULL equals NULL.

    Raises:
        ValueError: `ties` is none of these.
    """
    if ties not in _TIES:
        raise ValueError(f"rank(): ties is {ties!r}, expected one of {', '.join(_TIES)}.")

    def number_rows(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        ranking = _Ranking(by, descending, ties)
        for batch in batches:
            _require_columns(batch, [by], "rank()")
            yield _with_column(batch, into, ranking.next(batch[by]), "rank()")

    return number_rows


def movement(
    *, rank: str = "rank", previous_rank: str = "previous_rank", into: str = "movement"
) -> Transform:
    """Return a transform that says how far each row moved since the previous period.

    It adds one text column: `new` where there was no previous rank, `up 3`, `down 3` or `same`.

    Args:
        rank: Integer column of this period's rank, never NULL.
        previous_rank: Integer column of the previous period's rank, NULL for a newcomer.
        into: Name of the column that is added.
    """

    def add_movement(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            _require_columns(batch, [rank, previous_rank], "movement()")
            yield _with_column(batch, into, _movement(batch[rank], batch[previous_rank]), "movement()")

    return add_movement


def share(of: str, *, into: str = "share", digits: int | None = None) -> Transform:
    """Return a transform that adds each value's share of its column's total, as a double.

    The total is exact for integers and decimals, and correctly rounded for floating point. NULL counts for
    nothing and has no share; if the total is 0, no row has one. The rows are read twice: what is more than a
    few megabytes goes through a temporary file.

    Args:
        of: Numeric column.
        into: Name of the column that is added.
        digits: Decimal places to round to; None for no rounding.
    """

    def add_share(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with _Spool() as spool:
            total = Fraction(0)
            floating = False
            rows = 0
            for batch in batches:
                _require_columns(batch, [of], "share()")
                floating = pa.types.is_floating(batch[of].type)
                if floating:
                    _require_finite(batch[of], of, rows)
                else:
                    total += exact_sum(batch[of])
                rows += batch.num_rows
                spool.add(batch)
            if floating:
                total = Fraction(
                    fsum(chain.from_iterable(batch[of].drop_null().to_pylist() for batch in spool.batches()))
                )
            for batch in spool.batches():
                yield _with_column(batch, into, _share(batch[of], total, digits), "share()")

    return add_share


def rename(names: Mapping[str, str]) -> Transform:
    """Return a transform that gives columns other names.

    Args:
        names: The new name for each old one.
    """

    def rename_columns(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            _require_columns(batch, names, "rename()")
            renamed = [names.get(name, name) for name in batch.schema.names]
            if clashing := sorted({name for name in renamed if renamed.count(name) > 1}):
                raise TransformError(
                    f"rename() would give two columns the name {', '.join(clashing)}. Choose another name."
                )
            yield batch.rename_columns(renamed)

    return rename_columns


def cast(types: Mapping[str, str]) -> Transform:
    """Return a transform that changes the types of columns, where that loses nothing.

    Text is parsed. Between other types a value has to come back as it was: a decimal that would be rounded,
    or a timestamp with a time of day that is to be a date, is refused. So are nearly all doubles as `real`.

    Args:
        types: For each column the name of its type in Athena, such as `bigint` or `decimal(10,2)`.
    """

    def cast_columns(batches: Iterator[pa.RecordBatch], _: Period) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        wanted = {name: _arrow_type(name, kind, "cast()") for name, kind in types.items()}
        before = 0
        for batch in batches:
            _require_columns(batch, types, "cast()")
            columns = [
                _cast(column, wanted[name], name, before) if name in wanted else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            schema = pa.schema(
                [field.with_type(wanted.get(field.name, field.type)) for field in batch.schema]
            )
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            before += batch.num_rows

    return cast_columns


def exact_sum(values: pa.Array) -> Fraction:
    """Return the exact sum of integers or decimals; NULL counts for nothing.

    Raises:
        TypeError: The values are neither.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if not pa.types.is_integer(kind) and not pa.types.is_decimal(kind):
        raise TypeError(f"{kind} is no number")
    # 38 digits more than a column can have: no sum of it overflows.
    return Fraction(pc.sum(values.cast(_widest_decimal(kind))).as_py() or 0)


def _widest_decimal(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.decimal256(76, kind.scale if pa.types.is_decimal(kind) else 0)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _require_columns(batch: pa.RecordBatch, columns: Iterable[str], who: str) -> None:
    for column in columns:
        if column not in batch.schema.names:
            raise TransformError(
                f"{who} needs the column {column!r}; the rows have {', '.join(batch.schema.names)}."
            )


def _with_column(batch: pa.RecordBatch, name: str, values: pa.Array, who: str) -> pa.RecordBatch:
    if name in batch.schema.names:
        raise TransformError(
            f"{who} would add the column {name!r}, which is there already. Choose another `into`."
        )
    return batch.append_column(name, values)


def _arrow_type(column: str, name: str, who: str) -> pa.DataType:
    from athena_reports.schema import arrow_type

    try:
        return arrow_type(name)
    except ValueError as error:
        raise TransformError(f"{who}, column {column!r}: {error}") from error


def _takes_period(function: object, who: str) -> bool:
    for arguments in (2, 1):
        try:
            signature(function).bind(*[None] * arguments)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        return arguments == 2
    raise TypeError(f"{who}() takes a function of one argument, or of two with the Period, not {function!r}.")


def _laid_over(schema: pa.Schema, added: Mapping[str, str], dropped: frozenset[str]) -> pa.Schema:
    import pyarrow as pa

    if unknown := sorted(dropped.difference(schema.names)):
        raise TransformError(
            f"each_row() drops {', '.join(unknown)}; the rows have {', '.join(schema.names)}."
        )
    types = {field.name: field.type for field in schema if field.name not in dropped}
    types |= {name: _arrow_type(name, kind, "each_row()") for name, kind in added.items()}
    return pa.schema(list(types.items()))


def _made_row(
    function: Callable[..., Mapping[str, Any] | None], row: Row, arguments: tuple[Period, ...], number: int
) -> Mapping[str, Any] | None:
    try:
        made = function(row, *arguments)
    except Exception as error:
        raise TransformError(
            f"each_row(): the function raised {type(error).__name__}: {error}, in row {number:,}."
        ) from error
    if made is not None and not isinstance(made, Mapping):
        raise TransformError(
            f"each_row(): the function returned a {type(made).__name__} for row {number:,}; "
            f"it has to return a dict, or None to leave the row out."
        )
    return made


def _require_keys(
    made: Mapping[str, Any], names: Sequence[str], dropped: frozenset[str], number: int
) -> None:
    if missing := [name for name in names if name not in made]:
        raise TransformError(
            f"each_row(): row {number:,} was returned without {', '.join(missing)}. Give None for no value."
        )
    if unknown := sorted(str(name) for name in made.keys() - dropped - set(names)):
        raise TransformError(
            f"each_row(): row {number:,} was returned with {', '.join(unknown)}, which is no column. "
            f"Declare it in `adds`, with its type."
        )


def _batch_of(rows: Sequence[tuple[int, Mapping[str, Any]]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = []
    for field in schema:
        try:
            columns.append(_exact_array([row[field.name] for _, row in rows], field.type))
        except _REFUSALS:
            for number, row in rows:
                _require_fit(row[field.name], field, number)
            raise
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _require_fit(value: object, field: pa.Field, number: int) -> None:
    try:
        _exact_array([value], field.type)
    except _REFUSALS as error:
        raise TransformError(
            f"each_row(): row {number:,} has {_shortened(value)} in {field.name!r}, which is a column of "
            f"{field.type}: {error}. Convert it, or declare another type in `adds`."
        ) from error


def _exact_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    array = pa.array(values, kind)
    # pyarrow makes 1 of 1.5, and a date of a datetime, without a word.
    if not pa.types.is_floating(kind) and not pa.types.is_nested(kind) and array.to_pylist() != values:
        raise ValueError("it would not stay the same")
    return array


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class _Ranking:
    """Numbers that go on from batch to batch."""

    def __init__(self, by: str, descending: bool, ties: str) -> None:
        self._by = by
        self._descending = descending
        self._ties = ties
        self._rows = 0
        self._rank = 0
        self._last: pa.Array | None = None

    def next(self, values: pa.Array) -> pa.Array:
        """Return the numbers of the next rows.

        Raises:
            TransformError: The rows are not ordered.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(values):
            return pa.array([], pa.int64())
        self._refuse_nan(values)
        before = pa.concat_arrays([values[:1] if self._last is None else self._last, values[:-1]])
        self._require_order(before, values)
        positions = pc.add(pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), len(values))), self._rows)
        tied = pc.and_(_same(before, values), pc.not_equal(positions, 1))
        if self._ties == "row_number":
            ranks = positions
        elif self._ties == "rank":
            ranks = pc.cumulative_max(pc.if_else(tied, self._rank, positions))
        else:
            ranks = pc.add(pc.cumulative_sum(pc.cast(pc.invert(tied), pa.int64())), self._rank)
        self._rows += len(values)
        self._rank = ranks[-1].as_py()
        self._last = values[-1:]
        return ranks

    def _refuse_nan(self, values: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_floating(values.type) and (row := _first(pc.is_nan(values))) is not None:
            raise TransformError(
                f"rank(): {self._by} is NaN in row {self._rows + row + 1:,}, which has no rank."
            )

    def _require_order(self, before: pa.Array, values: pa.Array) -> None:
        import pyarrow.compute as pc

        follows = pc.less_equal(values, before) if self._descending else pc.greater_equal(values, before)
        row = _first(pc.invert(pc.or_(pc.is_null(values), pc.fill_null(follows, False))))
        if row is not None:
            direction = "DESC" if self._descending else "ASC"
            raise TransformError(
                f"rank(): {self._by} is {_shortened(values[row].as_py())} in row {self._rows + row + 1:,}, "
                f"after {_shortened(before[row].as_py())} in the row before. The rows have to come ordered: "
                f"write ORDER BY {self._by} {direction} NULLS LAST in the SQL."
            )


def _same(left: pa.Array, right: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(both_null, pc.fill_null(pc.equal(left, right), False))


def _first(found: pa.Array) -> int | None:
    """Return the index of the first true value."""
    import pyarrow.compute as pc

    index: int = pc.index(pc.fill_null(found, False), True).as_py()
    return None if index < 0 else index


def _movement(rank: pa.Array, previous_rank: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    climbed = pc.subtract(previous_rank, rank)
    places = pc.cast(pc.abs(climbed), "string")
    moved = pc.if_else(
        pc.greater(climbed, 0),
        pc.binary_join_element_wise("up", places, " "),
        pc.if_else(pc.less(climbed, 0), pc.binary_join_element_wise("down", places, " "), "same"),
    )
    return pc.fill_null(moved, "new")


class _Spool:
    """Batches to be read again: a few megabytes in memory, the others in a temporary file."""

    def __init__(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.clear()
        if self._file is not None:
            self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch, behind those that were added before."""
        import pyarrow as pa

        if self._file is None and self._held_bytes + batch.nbytes <= _SPOOL_BYTES:
            self._held.append(batch)
            self._held_bytes += batch.nbytes
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="athena-reports-spool-")  # noqa: SIM115  # see __exit__
            self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), batch.schema)
        self._writer.write_batch(batch)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches, from the first. Nothing can be added afterwards."""
        import pyarrow as pa

        yield from self._held
        if self._file is not None:
            self._writer.close()
            self._file.seek(0)
            with pa.ipc.open_stream(pa.PythonFile(self._file, "r")) as reader:
                yield from reader


def _share(values: pa.Array, total: Fraction, digits: int | None) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not total:
        return pa.nulls(len(values), pa.float64())
    shares = pc.divide(values.cast(pa.float64(), safe=False), float(total))
    return shares if digits is None else pc.round(shares, ndigits=digits)


def _require_finite(values: pa.Array, column: str, rows_before: int) -> None:
    import pyarrow.compute as pc

    if (row := _first(pc.invert(pc.is_finite(values)))) is not None:
        raise TransformError(
            f"share(): {column} is {values[row].as_py()} in row {rows_before + row + 1:,}, so it has no "
            f"total. Replace it in the SQL."
        )


def _cast(column: pa.Array, kind: pa.DataType, name: str, rows_before: int) -> pa.Array:
    try:
        return _exactly_cast(column, kind)
    except _REFUSALS as error:
        where = "no row"
        if len(column):
            row = _first_refused(column, kind)
            where = f"row {rows_before + row + 1:,}, {_shortened(column[row].as_py())}"
        raise TransformError(
            f"cast(): {name} ({column.type}) does not fit {kind}, in {where}: {error}. "
            f"Convert it in the SQL, where you can say what it is to become."
        ) from error


def _exactly_cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    roomy = column
    if pa.types.is_integer(column.type) and pa.types.is_decimal(kind):
        roomy = column.cast(_widest_decimal(column.type))  # else any integer of the type would have to fit
    made = roomy.cast(kind)
    if any(pa.types.is_nested(each) or _is_text(each) for each in (column.type, kind)):
        return made
    # pyarrow makes a date of a timestamp, and 12.57 of 12.567, without a word.
    source = _widest_decimal(column.type) if pa.types.is_decimal(column.type) else column.type
    back = made.cast(source, safe=False)
    same = _same(back, column)
    if pa.types.is_floating(column.type):
        same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(back), pc.is_nan(column)), False))
    if _first(pc.invert(same)) is not None:
        raise ValueError("it would not stay the same")
    return made


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return kind in (pa.string(), pa.large_string())


def _first_refused(column: pa.Array, kind: pa.DataType) -> int:
    """Return the index of the first value that cannot be cast, by halving the part that has it."""
    start, length = 0, len(column)
    while length > 1:
        half = length // 2
        try:
            _exactly_cast(column.slice(start, half), kind)
        except _REFUSALS:
            length = half
        else:
            start, length = start + half, length - half
    return start
