"""Built-in transforms: from the batches of a result to the batches that are published.

pyarrow is imported where it is used, because DAG files import this module and are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from athena_reports.errors import AthenaReportsError, TransformError

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.period import Period
    from athena_reports.report import Transform


def apply(
    transform: Transform, batches: Iterator[pa.RecordBatch], period: Period, about: str
) -> Iterator[pa.RecordBatch]:
    """Yield what `transform` makes of the batches, with a clear error where it fails.

    Args:
        transform: The report's transform.
        batches: The result; at least one batch, which may be empty.
        period: The period of the run.
        about: What to call the report and the period in an error.

    Raises:
        TransformError: The transform raised, or yielded something other than record batches of one schema,
            each column with a name of its own.
    """
    import pyarrow as pa

    try:
        schema: pa.Schema | None = None
        for number, batch in enumerate(transform(batches, period), start=1):
            if not isinstance(batch, pa.RecordBatch):
                raise TransformError(
                    f"{about}: the transform yielded a {type(batch).__name__} as batch {number}; "
                    f"it has to yield pyarrow.RecordBatch."
                )
            if schema is None:
                schema = _schema_without_duplicates(batch, about)
            if not batch.schema.equals(schema):
                raise TransformError(
                    f"{about}: the transform yielded batch {number} with the columns "
                    f"{_columns(batch.schema)}, the first with {_columns(schema)}; all have to have the same."
                )
            yield batch
    except AthenaReportsError:
        raise
    except Exception as error:
        raise TransformError(f"{about}: the transform raised {type(error).__name__}: {error}") from error


def _schema_without_duplicates(batch: pa.RecordBatch, about: str) -> pa.Schema:
    names = batch.schema.names
    if len(set(names)) < len(names):
        raise TransformError(
            f"{about}: the transform yielded a column name twice, of {', '.join(names)}; rename one."
        )
    return batch.schema


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


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
            for column in (rank, previous_rank):
                if column not in batch.schema.names:
                    raise TransformError(
                        f"movement() needs the column {column!r}; the result has "
                        f"{', '.join(batch.schema.names)}."
                    )
            yield batch.append_column(into, _movement(batch[rank], batch[previous_rank]))

    return add_movement


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
