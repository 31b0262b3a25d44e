"""What a translated query is made of (scans, columns, scopes), and what it needs of each table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_athena.athena.types import Expr, Type

if TYPE_CHECKING:
    from local_athena.athena.catalog import Table


@dataclass(eq=False)
class Scan:
    """One place in which a table stands in a query.

    Attributes:
        name: Under which DuckDB finds it.
        columns: Names of the table's columns (not of its partition keys) that the query needs.
        predicates: What each partition's values must satisfy to be read.
    """

    table: Table
    name: str
    columns: set[str] = field(default_factory=set)
    predicates: list[Predicate] = field(default_factory=list)


@dataclass(frozen=True)
class Predicate:
    """A condition on the partition keys of one scan.

    Attributes:
        sql: DuckDB's text over a relation `k` of partition values.
        unless: A constant condition of DuckDB under which it must not prune: the predicate holds
            for the row of NULLs that an outer join puts in the place of a missing one.
    """

    sql: str
    unless: str


@dataclass(eq=False)
class Column:
    """A column of a relation in FROM, or of a query's output.

    Attributes:
        name: As written where it was named.
        sql: DuckDB's text for it.
        scan: The scan it is read from, if it is a table's.
        sources: What it is made of, if it is a query's (one expression for each side of a set
            operation).
        transparent: Whether a condition on it may be checked on its source instead.
    """

    name: str
    type: Type
    sql: str
    scan: Scan | None = None
    sources: tuple[Expr, ...] = ()
    transparent: bool = False

    @property
    def relation(self) -> Scan | str:
        """What tells its relation from the others."""
        return self.scan or self.sql.partition(".")[0]

    def as_expr(self) -> Expr:
        """Return a reference to it."""
        return Expr((self,), self.type)


@dataclass(eq=False)
class Query:
    """A translated query.

    Attributes:
        outputs: Its columns, their `sql` the position's name (`c0`, `c1`, ...).
        needs: Expressions that decide which rows come out, whichever outputs are used.
        children: Queries inside: derived tables, subqueries.
    """

    sql: str
    outputs: list[Column]
    needs: list[Expr] = field(default_factory=list)
    children: list[Query] = field(default_factory=list)


@dataclass(eq=False)
class Field:
    """A column as a name can reach it.

    Attributes:
        qualifier: Alias or table name, lower case; None if only the bare name reaches it, as after
            JOIN USING.
        column: The column.
        nullable: Whether an outer join can put NULL in its place.
        hidden: Whether `*` leaves it out.
    """

    qualifier: str | None
    column: Column
    nullable: bool = False
    hidden: bool = False


@dataclass(eq=False)
class Scope:
    """The columns that a query's expressions see, and the enclosing query's scope."""

    fields: list[Field] = field(default_factory=list)
    parent: Scope | None = None


def mark_needed_columns(query: Query) -> None:
    """Note in every scan which of the table's columns the query needs.

    Those are all outputs of `query`, what decides its rows, and what those are made of in turn; not
    what an inner query offers and nobody uses.
    """
    seen: set[Column] = set()

    def need(column: Column) -> None:
        if column in seen:
            return
        seen.add(column)
        if column.scan is not None and column.name not in column.scan.table.partition_types:
            column.scan.columns.add(column.name)
        for source in column.sources:
            for inner in source.columns:
                need(inner)

    def visit(inner: Query) -> None:
        for expr in inner.needs:
            for column in expr.columns:
                need(column)
        for child in inner.children:
            visit(child)

    for output in query.outputs:
        need(output)
    visit(query)


def add_pruning(condition: Expr, fields: list[Field]) -> None:
    """Let a conjunct of WHERE or ON prune partitions, if it is on partition keys of one scan alone.

    `fields` are the columns whose rows the condition may remove before the join.
    """
    reachable = {field.column: field for field in fields}
    columns = list(condition.columns)
    if condition.opaque or not columns or any(column not in reachable for column in columns):
        return
    unless = "false"
    if any(reachable[column].nullable for column in columns):
        unless = "".join(
            part if isinstance(part, str) else f"CAST(NULL AS {part.type.duckdb})"
            for part in condition.parts
        )
    for scan, sql in _on_partition_keys(condition):
        scan.predicates.append(Predicate(sql, unless))


def _on_partition_keys(condition: Expr) -> Iterator[tuple[Scan, str]]:
    """The scans of whose partition keys alone the condition speaks, each with its text over it."""
    columns = list(condition.columns)
    if not columns or condition.opaque or len({column.relation for column in columns}) > 1:
        return
    scan = columns[0].scan
    if scan is not None:
        if all(column.name in scan.table.partition_types for column in columns):
            parts = (
                part if isinstance(part, str) else f'k."{part.name}"' for part in condition.parts
            )
            yield scan, "".join(parts)
    elif all(column.transparent for column in columns):
        for position in range(len(columns[0].sources)):
            yield from _on_partition_keys(_substituted(condition, position))


def _substituted(expr: Expr, position: int) -> Expr:
    """The expression over what its columns are made of, on one side of a set operation."""
    parts: list[str | Column] = []
    opaque = False
    for part in expr.parts:
        if isinstance(part, str):
            parts.append(part)
        else:
            source = part.sources[position]
            opaque = opaque or source.opaque
            parts += ["(", *source.parts, ")"]
    return Expr(tuple(parts), expr.type, opaque)
