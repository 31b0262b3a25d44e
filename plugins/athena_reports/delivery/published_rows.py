"""The rows of a published version, read from its Parquet as they are shown.

Every value is one of Python's: bool, int, float, Decimal, str, date, datetime, or None for NULL.
What has parts, such as a list, is JSON text; bytes are hexadecimal text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from athena_reports.rows.columns import children, read_parquet
from athena_reports.rows.formats import json_text
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

    from athena_reports.delivery.content import ContentColumn, Rows
    from athena_reports.delivery.language import Number
    from athena_reports.rows.engine import Engine

_ROWS_AT_ONCE = 2048  # in memory
# In the order of the ranks if several moved as far. The difference of two BIGINTs may be a HUGEINT,
# and ranks may be of any type.
_BIGGEST_MOVES = """
SELECT {values} FROM {file}
WHERE TRY_CAST({before} AS HUGEINT) - TRY_CAST({after} AS HUGEINT) > 0
ORDER BY TRY_CAST({before} AS HUGEINT) - TRY_CAST({after} AS HUGEINT) DESC, {rank}, {places}
LIMIT {number}
"""
# DuckDB takes NaN for the greatest number.
_GREATEST_FIRST = "CASE WHEN NOT isnan({column}::DOUBLE) THEN {column} END DESC NULLS LAST"


@dataclass(frozen=True)
class PublishedRows:
    """The rows of one version.

    Attributes:
        path: Its Parquet file, in the engine's folder.
        names: The columns to read, as the file spells them, in order.
        engine: The engine that reads.
        zone: The time zone in which instants are given.
        ordered: Whether the rows of the version have an order.
        first_by: Which of the columns has its greatest values first if they have none; empty for
            none.
    """

    path: Path
    names: tuple[str, ...]
    engine: Engine
    zone: ZoneInfo
    ordered: bool
    first_by: str = ""

    def first(self, number: int) -> Rows:
        """Return the first rows: in the order of the version, if it has one.

        Without an order, those with the greatest values of `first_by` come first, and rows with
        equal ones are in the order of all columns.
        """
        return self._fetch(f"{self._select} LIMIT {number}")

    def all(self) -> Iterator[tuple[Any, ...]]:
        """Yield all rows in the same order. Nothing else may use the engine meanwhile."""
        cursor = self.engine.connection.execute(self._select)
        fetched = cursor.fetchmany(_ROWS_AT_ONCE)
        while fetched:
            yield from map(self._localized, fetched)
            fetched = cursor.fetchmany(_ROWS_AT_ONCE)

    def biggest_moves(self, rank: str, previous_rank: str, number: int) -> tuple[Rows, Rows]:
        """Return the rows that rose most, and those that fell most.

        All rows are compared, and only the returned ones are held in memory.
        """
        rises = self._biggest_moves(previous_rank, rank, rank, number)
        falls = self._biggest_moves(rank, previous_rank, rank, number)
        return rises, falls

    def _biggest_moves(self, before: str, after: str, rank: str, number: int) -> Rows:
        """Return the rows whose number in `before` exceeds that in `after` most."""
        sql = _BIGGEST_MOVES.format(
            values=self._values,
            file=read_parquet(self.path),
            before=quoted(before),
            after=quoted(after),
            rank=quoted(rank),
            places=self._places,
            number=number,
        )
        return self._fetch(sql)

    def _fetch(self, sql: str) -> Rows:
        return tuple(map(self._localized, self.engine.connection.execute(sql).fetchall()))

    @cached_property
    def source(self) -> str:
        """The rows as a table in SQL, in their order, without values of nested types."""
        return f"({self._select})"

    @cached_property
    def _types(self) -> Mapping[str, DuckDBPyType]:
        """The types of the file's columns, by name."""
        rows = self.engine.connection.sql(f"FROM {read_parquet(self.path)}")
        return dict(zip(rows.columns, rows.types, strict=True))

    @cached_property
    def _values(self) -> str:
        """The values that are read, as SQL."""
        values = [f"{_value(name, self._types[name])} AS {quoted(name)}" for name in self.names]
        return ", ".join(values)

    @cached_property
    def _places(self) -> str:
        """The places of the columns, since a name would mean the value before it is made text."""
        return ", ".join(str(place) for place in range(1, len(self.names) + 1))

    @cached_property
    def _select(self) -> str:
        sql = f"SELECT {self._values} FROM {read_parquet(self.path)}"
        if self.ordered:
            return sql
        order = self._places
        if self.first_by:
            order = f"{_GREATEST_FIRST.format(column=quoted(self.first_by))}, {order}"
        return f"{sql} ORDER BY {order}"

    @cached_property
    def _instants(self) -> Sequence[int]:
        """The places of the columns whose values are instants."""
        return [
            place
            for place, name in enumerate(self.names)
            if self._types[name].id == "timestamp with time zone"
        ]

    def _localized(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row with its instants in the zone."""
        values = list(row)
        for place in self._instants:
            instant = values[place]
            if isinstance(instant, datetime):  # DuckDB returns text for a year after 9999
                values[place] = _in_zone(instant, self.zone)
        return tuple(values)


def _in_zone(instant: datetime, zone: ZoneInfo) -> datetime | str:
    """Return an instant in a zone, or its text in UTC if its year there is none of 1 to 9999."""
    if instant.tzinfo is None:  # DuckDB's infinity: its first or last datetime, without a zone
        return "infinity" if instant.year > 1 else "-infinity"
    try:
        return instant.astimezone(zone)
    except (OverflowError, ValueError):
        return str(instant)


def total_of(path: Path, column: ContentColumn, engine: Engine) -> Number | None:
    """Return the total of a column of numbers in a Parquet file; None if it has no number.

    That of integers and decimals is exact.
    """
    total_sql = f"sum({quoted(column.name)})"
    if column.type in ("FLOAT", "DOUBLE"):
        # With compensation for what each addition rounds; by the text of a FLOAT as in `_value`.
        total_sql = f"fsum({quoted(column.name)}::VARCHAR::DOUBLE)"
    rows = engine.connection.execute(f"SELECT {total_sql} FROM {read_parquet(path)}").fetchall()
    total: Number | None = rows[0][0]
    return total if total is not None and math.isfinite(total) else None


def _value(name: str, kind: DuckDBPyType) -> str:
    """Return the expression of a column's value as it is shown.

    What is published has only types whose values Python has too: see `stored_type`.
    """
    column = quoted(name)
    if kind.id == "float":
        # By its text: a double of it would have digits that the float does not have.
        return f"{column}::VARCHAR::DOUBLE"
    if kind.id == "blob":
        return f"lower(hex({column}))"
    if children(kind):
        return json_text(column, kind)
    return column
