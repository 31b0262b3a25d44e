"""How often a query scans each table, and whether its filters bound each scan.

Athena puts a CTE in the place of each of its names. So a CTE that is read twice scans its tables
twice.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from athena_reports_cli.authoring.sql_parser import DIALECT, SqlError, parse_query


class TableUses(NamedTuple):
    """The tables that a query scans.

    Attributes:
        number: How often it scans each, by the name in the SQL: in lower case, with the database if
            the SQL names it.
        are_filtered: Whether it is certain that the query scans no other tables, and that each scan
            is filtered.
    """

    number: Counter[str]
    are_filtered: bool


def table_uses(
    sql: str, filters: Mapping[str, Collection[str]], unpartitioned: Collection[str] = ()
) -> TableUses:
    """Return how often a query scans each table; none, and not filtered, if it cannot be read.

    Args:
        sql: The rendered query.
        filters: Predicates by the name of a table as `number` has it. A scan counts as filtered if
            one of them must hold for its rows. There the query may write the keys with its alias.
        unpartitioned: Names of tables that need no filter.
    """
    try:
        query = parse_query(sql)
        scope = build_scope(query)
        predicates_of_table = {}
        for table, predicates in filters.items():
            predicates_of_table[table] = [_predicate(predicate) for predicate in predicates]
        assert scope is not None  # each query has one
        reader = _Reader(predicates_of_table, unpartitioned)
        number = reader.scans(scope)
    except (SqlError, SqlglotError, RecursionError):
        return TableUses(Counter(), False)
    # Nobody knows how often a recursive query reads itself.
    is_recursive = any(part.recursive for part in query.find_all(exp.With))
    return TableUses(number, reader.are_filtered and not is_recursive)


def _predicate(predicate: str) -> frozenset[str]:
    """Return the conditions that a predicate consists of, as texts that can be compared."""
    condition = exp.condition(predicate, dialect=DIALECT)
    return frozenset(_text(part, "") for part in _conditions(condition))


def _conditions(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """Yield the conditions that AND connects: each must hold for all of it to hold."""
    if condition is None:
        return
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conditions(condition.this)
        yield from _conditions(condition.expression)
    else:
        yield condition


def _text(condition: exp.Expr, alias: str) -> str:
    """Return a condition as text, without the alias of a table before its columns."""
    copy = condition.copy()
    for column in copy.find_all(exp.Column):
        if column.table.lower() == alias:
            column.set("table", None)
            column.set("db", None)
    return copy.sql(DIALECT, normalize=True)


class _Reader:
    """Counts scans, and notes on its way in `are_filtered` what keeps it from being certain."""

    def __init__(
        self, filters: Mapping[str, Sequence[frozenset[str]]], unpartitioned: Collection[str]
    ) -> None:
        self.filters = filters
        self.unpartitioned = unpartitioned
        self.are_filtered = True

    def scans(self, scope: Scope) -> Counter[str]:
        """Return how often a query scans each table."""
        number: Counter[str] = Counter()
        tables = []
        for table in scope.tables:
            cte = scope.cte_sources.get(table.name)
            if not isinstance(table.this, exp.Identifier):
                self.are_filtered = False  # nobody knows what it scans, as in TABLE(f(a))
            elif isinstance(cte, Scope) and not table.db:
                if _cte_around(cte) is not _cte_around(scope):  # else it is recursive
                    number += self.scans(cte)
            else:
                number[_name(table)] += 1
                tables.append(table)
        for inner in (*scope.union_scopes, *scope.subquery_scopes, *scope.table_scopes):
            number += self.scans(inner)
        self._look_at_filters(scope, tables)
        return number

    def _look_at_filters(self, scope: Scope, tables: Sequence[exp.Table]) -> None:
        """Note a table of a SELECT of which more may be scanned than the filtered partitions."""
        names = Counter(_name(table) for table in tables)
        for table in tables:
            name = _name(table)
            if name in self.unpartitioned:
                continue
            conditions = list(_conditions_on(table, scope.expression))
            texts = {_text(condition, table.alias_or_name.lower()) for condition in conditions}
            if names[name] > 1:
                # Of a table that is named twice, a filter without an alias may bound only one.
                texts -= {_text(condition, "") for condition in conditions}
            if not any(predicate <= texts for predicate in self.filters.get(name, ())):
                self.are_filtered = False


def _cte_around(scope: Scope) -> exp.CTE | None:
    return scope.expression.find_ancestor(exp.CTE)


def _name(table: exp.Table) -> str:
    name = table.name.lower()
    if table.db:
        name = f"{table.db.lower()}.{name}"
    return name


def _conditions_on(table: exp.Table, select: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the conditions of a SELECT that each row of one of its tables has to meet.

    Those of a LEFT JOIN are for its right table alone. Those of a RIGHT or a FULL JOIN keep rows.
    """
    where = select.args.get("where")
    if where is not None:
        yield from _conditions(where.this)
    for join in select.args.get("joins") or []:
        is_inner = join.side == "" and join.kind in ("", "INNER")
        is_right_of_left_join = join.side == "LEFT" and join.this is table
        if is_inner or is_right_of_left_join:
            yield from _conditions(join.args.get("on"))
