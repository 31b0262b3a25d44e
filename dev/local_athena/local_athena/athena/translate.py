"""From Trino's parse tree to DuckDB's text: every name is resolved, and every type is known.

Nothing is passed on unseen. Each node of the tree is translated by a method of its own, and each
function by a row of `functions`; what has neither is refused. A WITH query is translated anew
wherever it is named, as Trino does, so that each place reads its tables, and prunes their
partitions, on its own.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlglot import exp
from trino_sql_validator import validate

from local_athena.athena import functions
from local_athena.athena.casts import cast
from local_athena.athena.catalog import Table
from local_athena.athena.dialect import LITERAL_WITH_TYPE, Statement
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.relations import (
    Column,
    Field,
    Query,
    Scan,
    Scope,
    add_pruning,
    mark_needed_columns,
)
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_INTERVAL,
    DOUBLE,
    INTEGER,
    MONTH_INTERVAL,
    REAL,
    SMALLINT,
    TIMESTAMP,
    TIMESTAMP_TZ,
    TINYINT,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    Expr,
    Type,
    build,
    coerce,
    decimal,
    joined,
    quoted,
    text,
    unify,
)

_TYPES = {
    exp.DType.BOOLEAN: BOOLEAN,
    exp.DType.TINYINT: TINYINT,
    exp.DType.SMALLINT: SMALLINT,
    exp.DType.INT: INTEGER,
    exp.DType.BIGINT: BIGINT,
    exp.DType.FLOAT: REAL,
    exp.DType.DOUBLE: DOUBLE,
    exp.DType.VARCHAR: VARCHAR,
    exp.DType.VARBINARY: VARBINARY,
    exp.DType.DATE: DATE,
    exp.DType.TIMESTAMP: TIMESTAMP,
    exp.DType.TIMESTAMPTZ: TIMESTAMP_TZ,
}
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}
_T = TypeVar("_T")
_CLAUSES = ("where", "group", "having", "order", "limit", "offset")
_FIELDS = (
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "yow",
    "year_of_week",
)
_DAY_FIELDS = ("day_of_month", "day_of_week", "dow", "day_of_year", "doy")
_PASSIVE_ARGS = {"typed", "safe", "_type", "over", "nested", "nulls_first", "side", "kind"}


class Tables(Protocol):
    """Where tables are looked up."""

    def table(self, database: str, name: str) -> Table:
        """The table.

        Raises:
            QueryFailed: SCHEMA_NOT_FOUND or TABLE_NOT_FOUND.
        """


@dataclass(frozen=True)
class Translation:
    """A query as DuckDB takes it.

    Attributes:
        sql: DuckDB's text; the columns come out as `c0`, `c1`, ...
        names: Their names, as Athena shows them.
        types: Their types.
        scans: The tables it reads, once for each place where one stands.
    """

    sql: str
    names: list[str]
    types: list[Type]
    scans: list[Scan]


@dataclass(frozen=True)
class _Cte:
    query: exp.Expr
    columns: list[str]
    ctes: Mapping[str, _Cte]


@dataclass
class _Frame:
    """One SELECT under translation."""

    ctes: Mapping[str, _Cte]
    scope: Scope
    children: list[Query] = field(default_factory=list)
    needs: list[Expr] = field(default_factory=list)
    aliases: dict[str, Expr] = field(default_factory=dict)
    windowed: bool = False


def translate(statement: Statement, tables: Tables, database: str) -> Translation:
    """Translates a parsed query.

    Args:
        statement: The query, from `dialect.parse`.
        tables: The catalog.
        database: Where unqualified tables are.

    Raises:
        QueryFailed: As Athena fails it, or NOT_SUPPORTED for what is not done here.
    """
    translator = _Translator(statement.sql, tables, database)
    query = translator.query(statement.tree, {}, None)
    for output in query.outputs:
        if any(base.startswith(("interval", "row(", "unsupported")) for base in output.type.bases):
            raise not_supported(f"{output.type.base} in a result")
    mark_needed_columns(query)
    return Translation(
        query.sql,
        [output.name for output in query.outputs],
        [output.type for output in query.outputs],
        translator.scans,
    )


class _Translator:
    def __init__(self, sql: str, tables: Tables, database: str) -> None:
        self.scans: list[Scan] = []
        self._sql = sql
        self._tables = tables
        self._database = database.lower()
        self._numbers = itertools.count()

    # --- queries ----------------------------------------------------------------------------------

    def query(self, node: exp.Expr, ctes: Mapping[str, _Cte], parent: Scope | None) -> Query:
        """A query in parentheses or not: SELECT, VALUES or a set operation, with its WITH."""
        with_ = node.args.get("with_")
        if with_ is not None:
            _only(with_, "expressions")
            for cte in with_.expressions:
                _only(cte, "this", "alias")
                names = [column.name for column in cte.args["alias"].args.get("columns") or []]
                ctes = {**ctes, cte.alias.lower(): _Cte(cte.this, names, ctes)}
        if isinstance(node, exp.Select):
            return self._select(node, ctes, parent)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, parent)
        if isinstance(node, exp.Values):
            return self._values(node, ctes, parent)
        if isinstance(node, exp.Subquery):
            _only(node, "this", "with_", "order", "limit", "offset")
            inner = self.query(node.this, ctes, parent)
            if not any(node.args.get(name) for name in ("order", "limit", "offset")):
                return inner
            return self._ordered(node, inner, ctes)
        raise not_supported(f"the query {node.key.upper()}")

    def _select(self, node: exp.Select, ctes: Mapping[str, _Cte], parent: Scope | None) -> Query:
        _only(node, "with_", "expressions", "distinct", "from_", "joins", *_CLAUSES)
        frame = _Frame(ctes, Scope(parent=parent))
        clauses = []
        if node.args.get("from_"):
            _only(node.args["from_"], "this")
            joins = node.args.get("joins") or []
            clauses.append(f"FROM {self._from(node.args['from_'].this, joins, frame)}")
        if node.args.get("where"):
            condition = self._condition(node.args["where"].this, frame, frame.scope.fields)
            clauses.append(f"WHERE {condition.sql}")
        items = list(self._items(node, frame))
        if node.args.get("group"):
            clauses.append(f"GROUP BY {self._group(node.args['group'], items, frame)}")
        if node.args.get("having"):
            having = self._boolean(node.args["having"].this, frame)
            frame.needs.append(having)
            clauses.append(f"HAVING {having.sql}")
        distinct = node.args.get("distinct")
        if distinct is not None:
            _only(distinct)
            frame.needs += [expr for _, expr in items]
        if node.args.get("order"):
            for name, expr in items:
                frame.aliases.setdefault(name.lower(), expr)
            order = self._order(node.args["order"], frame, [expr for _, expr in items])
            clauses.append(f"ORDER BY {order}")
        window = self._limit(node)
        nullable = {each.column for each in frame.scope.fields if each.nullable}
        whole = not window and not frame.windowed
        outputs = [
            Column(
                name, expr.type, f"c{i}", None, (expr,), whole and nullable.isdisjoint(expr.columns)
            )
            for i, (name, expr) in enumerate(items)
        ]
        listed = ", ".join(f"{expr.sql} AS c{i}" for i, (_, expr) in enumerate(items))
        sql = " ".join([f"SELECT {'DISTINCT ' if distinct else ''}{listed}", *clauses]) + window
        return Query(sql, outputs, frame.needs, frame.children)

    def _items(self, node: exp.Select, frame: _Frame) -> Iterator[tuple[str, Expr]]:
        count = 0
        for item in node.expressions:
            if isinstance(item, exp.Star) or isinstance(item.this, exp.Star):
                _only(item, *(("this", "table") if isinstance(item, exp.Column) else ()))
                qualifier = None
                if isinstance(item, exp.Column):
                    qualifier = item.args["table"].name.lower()
                found = [f.column for f in frame.scope.fields if qualifier in (None, f.qualifier)]
                if not found:
                    message = "Relation not found or not visible"
                    raise self._located(QueryFailed("TABLE_NOT_FOUND", message), item)
                for column in found:
                    yield column.name, column.as_expr()
                count += len(found)
                continue
            value = item.this if isinstance(item, exp.Alias) else item
            named = isinstance(item, (exp.Alias, exp.Column))
            yield item.alias_or_name if named else f"_col{count}", self.expr(value, frame)
            count += 1

    def _group(self, group: exp.Group, items: list[tuple[str, Expr]], frame: _Frame) -> str:
        _only(group, "expressions")
        keys = []
        for item in group.expressions:
            if isinstance(item, exp.Literal) and not item.is_string:
                keys.append(item.name)
                frame.needs.append(self._ordinal(item, [expr for _, expr in items]))
            else:
                key = self.expr(item, frame)
                frame.needs.append(key)
                keys.append(key.sql)
        return ", ".join(keys)

    def _order(self, order: exp.Order, frame: _Frame, outputs: list[Expr]) -> str:
        keys = []
        for item in order.expressions:
            _only(item, "this", "desc")
            if isinstance(item.this, exp.Literal) and not item.this.is_string:
                key = self._ordinal(item.this, outputs)
            else:
                key = self.expr(item.this, frame)
            frame.needs.append(key)
            # DuckDB takes a number for a position, and under DISTINCT nothing else.
            positions = [i for i, output in enumerate(outputs, 1) if output.parts == key.parts]
            keys.append(f"{positions[0] if positions else key.sql}{_direction(item)}")
        return ", ".join(keys)

    def _ordinal(self, literal: exp.Literal, outputs: list[Expr]) -> Expr:
        if not literal.name.isdigit() or not 1 <= int(literal.name) <= len(outputs):
            message = f"ORDER BY or GROUP BY position {literal.name} is not in select list"
            raise self._located(QueryFailed("INVALID_COLUMN_REFERENCE", message), literal)
        return outputs[int(literal.name) - 1]

    def _limit(self, node: exp.Expr) -> str:
        clauses = ""
        for name, word in (("limit", "LIMIT"), ("offset", "OFFSET")):
            limit = node.args.get(name)
            if limit is None:
                continue
            value = limit.args.get("expression")
            if not isinstance(value, exp.Literal) or not value.name.isdigit():
                raise not_supported(f"this form of {word}")
            clauses += f" {word} {value.name}"
        return clauses

    def _set_operation(
        self, node: exp.SetOperation, ctes: Mapping[str, _Cte], parent: Scope | None
    ) -> Query:
        _only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset")
        sides = [self.query(side, ctes, parent) for side in (node.this, node.expression)]
        if len({len(side.outputs) for side in sides}) > 1:
            message = f"{node.key.upper()} query has different number of fields"
            raise self._located(QueryFailed("TYPE_MISMATCH", message), node)
        frame = _Frame(ctes, Scope())
        derived = [self._derive(side, frame) for side in sides]
        pairs = zip(*(columns for _, columns in derived), strict=True)
        rows = [unify(*(column.as_expr() for column in pair)) for pair in pairs]
        selects = []
        for side in (0, 1):
            listed = ", ".join(f"{row[side].sql} AS c{i}" for i, row in enumerate(rows))
            selects.append(f"SELECT {listed} FROM {derived[side][0]}")
        distinct = bool(node.args.get("distinct"))
        if distinct or not isinstance(node, exp.Union):
            frame.needs += [expr for row in rows for expr in row]
        word = f"{node.key.upper()}{'' if distinct else ' ALL'}"
        outputs = [
            Column(column.name, row[0].type, f"c{i}", None, row, isinstance(node, exp.Union))
            for i, (column, row) in enumerate(zip(derived[0][1], rows, strict=True))
        ]
        merged = Query(f"{selects[0]} {word} {selects[1]}", outputs, frame.needs, frame.children)
        return self._ordered(node, merged, ctes)

    def _ordered(self, node: exp.Expr, query: Query, ctes: Mapping[str, _Cte]) -> Query:
        """A query under an ORDER BY, LIMIT and OFFSET that see only its outputs."""
        window = self._limit(node)
        if not node.args.get("order") and not window:
            return query
        frame = _Frame(ctes, Scope())
        source, columns = self._derive(query, frame)
        frame.scope.fields = [Field(None, column) for column in columns]
        exprs = [column.as_expr() for column in columns]
        order = ""
        if node.args.get("order"):
            order = f" ORDER BY {self._order(node.args['order'], frame, exprs)}"
        listed = ", ".join(f"{expr.sql} AS c{i}" for i, expr in enumerate(exprs))
        outputs = [
            Column(column.name, column.type, f"c{i}", None, (expr,), not window)
            for i, (column, expr) in enumerate(zip(columns, exprs, strict=True))
        ]
        sql = f"SELECT {listed} FROM {source}{order}{window}"
        return Query(sql, outputs, frame.needs, frame.children)

    def _values(self, node: exp.Values, ctes: Mapping[str, _Cte], parent: Scope | None) -> Query:
        _only(node, "expressions", "with_", "order", "limit", "offset", "alias")
        frame = _Frame(ctes, Scope(parent=parent))
        rows = [[self.expr(value, frame) for value in row.expressions] for row in node.expressions]
        if len({len(row) for row in rows}) > 1:
            error = QueryFailed("TYPE_MISMATCH", "Values rows have mismatched sizes")
            raise self._located(error, node)
        columns = [unify(*column) for column in zip(*rows, strict=True)]
        listed = ", ".join(
            "(" + ", ".join(expr.sql for expr in row) + ")" for row in zip(*columns, strict=True)
        )
        names = ", ".join(f"c{i}" for i in range(len(columns)))
        outputs = [Column(f"_col{i}", column[0].type, f"c{i}") for i, column in enumerate(columns)]
        sql = f"SELECT {names} FROM (VALUES {listed}) AS v({names})"
        query = Query(sql, outputs, [], frame.children)
        return self._ordered(node, query, ctes)

    # --- relations --------------------------------------------------------------------------------

    def _derive(self, query: Query, frame: _Frame) -> tuple[str, list[Column]]:
        """A query as a relation of FROM."""
        frame.children.append(query)
        alias = f"r{next(self._numbers)}"
        columns = [
            Column(
                output.name,
                output.type,
                f"{alias}.{output.sql}",
                None,
                output.sources,
                output.transparent,
            )
            for output in query.outputs
        ]
        return f"({query.sql}) AS {alias}", columns

    def _from(self, first: exp.Expr, joins: list[exp.Join], frame: _Frame) -> str:
        sql, frame.scope.fields = self._relation(first, frame)
        for join in joins:
            sql += self._join(join, frame)
        return sql

    def _relation(self, node: exp.Expr, frame: _Frame) -> tuple[str, list[Field]]:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            _only(node, "this")
            node = node.this
        if node.args.get("joins"):
            inner = _Frame(
                frame.ctes, Scope(parent=frame.scope.parent), frame.children, frame.needs
            )
            alone = node.copy()
            alone.set("joins", None)
            return f"({self._from(alone, node.args['joins'], inner)})", inner.scope.fields
        alias = node.args.get("alias")
        qualifier = alias.name.lower() if alias is not None else None
        columns_named = alias.args.get("columns") or [] if alias is not None else []
        names = [column.name for column in columns_named]
        if isinstance(node, exp.Table):
            sql, columns, name = self._table(node, frame)
            qualifier = qualifier or name
        elif isinstance(node, exp.Subquery):
            _only(node, "this", "alias")
            sql, columns = self._derive(self.query(node.this, frame.ctes, None), frame)
        elif isinstance(node, exp.Values):
            sql, columns = self._derive(self.query(node, frame.ctes, None), frame)
        else:
            raise not_supported(f"{node.key.upper()} in FROM")
        return sql, [Field(qualifier, column) for column in self._renamed(columns, names, node)]

    def _renamed(self, columns: list[Column], names: list[str], node: exp.Expr) -> list[Column]:
        if names and len(names) != len(columns):
            message = (
                f"Column alias list has {len(names)} entries"
                f" but relation has {len(columns)} columns"
            )
            raise self._located(QueryFailed("MISMATCHED_COLUMN_ALIASES", message), node)
        if not names:
            return columns
        return [
            Column(name, column.type, column.sql, None, (column.as_expr(),), True)
            for name, column in zip(names, columns, strict=True)
        ]

    def _table(self, node: exp.Table, frame: _Frame) -> tuple[str, list[Column], str]:
        _only(node, "this", "db", "catalog", "alias")
        if not isinstance(node.this, exp.Identifier):
            raise not_supported("table functions")
        name, database = node.name.lower(), (node.db or self._database).lower()
        cte = frame.ctes.get(name) if not node.db else None
        if cte is not None:
            sql, columns = self._derive(self.query(cte.query, cte.ctes, None), frame)
            return sql, self._renamed(columns, cte.columns, node), name
        if node.catalog.lower() not in ("", "awsdatacatalog"):
            message = f"Catalog '{node.catalog.lower()}' does not exist"
            raise self._located(QueryFailed("CATALOG_NOT_FOUND", message), node)
        try:
            table = self._tables.table(database, name)
        except QueryFailed as error:
            raise self._located(error, node) from None
        number = next(self._numbers)
        scan = Scan(table, f"scan_{number}")
        self.scans.append(scan)
        columns = []
        for column, type_ in {**table.columns, **table.partition_types}.items():
            columns.append(Column(column, type_, _scanned(f'r{number}."{column}"', type_), scan))
        return f"{scan.name} AS r{number}", columns, name

    def _join(self, join: exp.Join, frame: _Frame) -> str:
        _only(join, "this", "on", "using")
        side, kind = join.side.upper(), join.kind.upper()
        if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise not_supported(f"{side} {kind} JOIN")
        left = frame.scope.fields
        sql, right = self._relation(join.this, frame)
        frame.scope.fields = [*left, *right]
        condition = ""
        if join.args.get("using"):
            condition = self._using(join, left, right, frame)
        elif join.args.get("on"):
            prunable = {"": [*left, *right], "LEFT": right, "RIGHT": left, "FULL": []}[side]
            condition = f" ON {self._condition(join.args['on'], frame, prunable).sql}"
        for nullable, fields in ((("RIGHT", "FULL"), left), (("LEFT", "FULL"), right)):
            if side in nullable:
                for each in fields:
                    each.nullable = True
        word = f"{side} JOIN" if condition else "CROSS JOIN"
        return f" {word.strip()} {sql}{condition}"

    def _using(self, join: exp.Join, left: list[Field], right: list[Field], frame: _Frame) -> str:
        conditions, merged, used = [], [], []
        for identifier in join.args["using"]:
            pair = []
            for fields in (left, right):
                found = self._find(identifier.name, None, fields, identifier)
                if found is None:
                    message = f"Column '{identifier.name}' is missing from one side of join"
                    raise self._located(QueryFailed("COLUMN_NOT_FOUND", message), identifier)
                pair.append(found)
            sides = [each.column for each in pair]
            equal = functions.comparison("=", *(column.as_expr() for column in sides))
            frame.needs.append(equal)
            conditions.append(equal.sql)
            used += sides
            if join.side.upper() == "FULL":
                both = unify(*(column.as_expr() for column in sides))
                value = build("coalesce({0}, {1})", both[0].type, *both)
                column = Column(identifier.name, value.type, value.sql, None, (value,))
                merged.append(Field(None, column))
            else:
                kept = pair[join.side.upper() == "RIGHT"]
                merged.append(Field(None, kept.column, kept.nullable))
        rest = [each for each in (*left, *right) if each.column not in used]
        frame.scope.fields = [*merged, *rest]
        return f" ON {' AND '.join(conditions)}"

    # --- names ------------------------------------------------------------------------------------

    def _find(
        self, name: str, qualifier: str | None, fields: list[Field], node: exp.Expr
    ) -> Field | None:
        found = [
            each
            for each in fields
            if each.column.name.lower() == name.lower() and qualifier in (None, each.qualifier)
        ]
        if len(found) > 1:
            error = QueryFailed("AMBIGUOUS_NAME", f"Column '{name}' is ambiguous")
            raise self._located(error, node)
        return found[0] if found else None

    def _column(self, node: exp.Column, frame: _Frame) -> Expr:
        _only(node, "this", "table")
        qualifier = node.table.lower() or None
        if qualifier is None and node.name.lower() in frame.aliases:
            return frame.aliases[node.name.lower()]
        scope: Scope | None = frame.scope
        while scope is not None:
            each = self._find(node.name, qualifier, scope.fields, node)
            if each is not None:
                return each.column.as_expr()
            scope = scope.parent
        shown = f"{qualifier}.{node.name}" if qualifier else node.name
        raise QueryFailed("COLUMN_NOT_FOUND", f"Column '{shown}' cannot be resolved")

    # --- expressions ------------------------------------------------------------------------------

    def expr(self, node: exp.Expr, frame: _Frame) -> Expr:
        """Translates an expression, and puts its position into what goes wrong in it."""
        try:
            operator = _COMPARISONS.get(type(node))
            if operator is not None:
                sides = self.expr(node.this, frame), self.expr(node.expression, frame)
                return functions.comparison(operator, *sides)
            operator = _ARITHMETIC.get(type(node))
            if operator is not None:
                sides = self.expr(node.this, frame), self.expr(node.expression, frame)
                return functions.arithmetic(operator, *sides)
            method = _EXPRESSIONS.get(type(node))
            if method is None:
                raise not_supported(f"the expression {node.key.upper()}")
            return method(self, node, frame)
        except QueryFailed as error:
            raise self._located(error, node) from None

    def _located(self, error: QueryFailed, node: exp.Expr) -> QueryFailed:
        starts = [each.meta["start"] for each in node.walk() if "start" in each.meta]
        start = min(starts, default=None)
        if start is None:
            return error
        before = self._sql[:start]
        return error.at(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)

    def _boolean(self, node: exp.Expr, frame: _Frame) -> Expr:
        value = self.expr(node, frame)
        if value.type not in (BOOLEAN, UNKNOWN):
            message = f"Expression must evaluate to a boolean: actual type {value.type}"
            raise self._located(QueryFailed("TYPE_MISMATCH", message), node)
        return coerce(value, BOOLEAN)

    def _condition(self, node: exp.Expr, frame: _Frame, prunable: list[Field]) -> Expr:
        """A condition of WHERE or ON, each of its conjuncts left to prune the partitions it can."""
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.And):
            sides = [
                self._condition(side, frame, prunable) for side in (node.this, node.expression)
            ]
            return build("({0} AND {1})", BOOLEAN, *sides)
        condition = self._boolean(node, frame)
        frame.needs.append(condition)
        add_pruning(condition, prunable)
        return condition

    def _literal(self, node: exp.Literal, _: _Frame) -> Expr:
        return text(node.name) if node.is_string else _number(node.name)

    def _boolean_literal(self, node: exp.Boolean, _: _Frame) -> Expr:
        return Expr(("true" if node.this else "false",), BOOLEAN)

    def _null(self, _node: exp.Null, _: _Frame) -> Expr:
        return Expr(("NULL",), UNKNOWN)

    def _hexstring(self, node: exp.HexString, _: _Frame) -> Expr:
        return Expr((f"from_hex({quoted(node.name)})",), VARBINARY)

    def _paren(self, node: exp.Paren, frame: _Frame) -> Expr:
        return self.expr(node.this, frame)

    def _neg(self, node: exp.Neg, frame: _Frame) -> Expr:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return _number(f"-{node.this.name}")
        value = self.expr(node.this, frame)
        return functions.negate(value)

    def _and(self, node: exp.And, frame: _Frame) -> Expr:
        sides = self._boolean(node.this, frame), self._boolean(node.expression, frame)
        return build("({0} AND {1})", BOOLEAN, *sides)

    def _or(self, node: exp.Or, frame: _Frame) -> Expr:
        sides = self._boolean(node.this, frame), self._boolean(node.expression, frame)
        return build("({0} OR {1})", BOOLEAN, *sides)

    def _not(self, node: exp.Not, frame: _Frame) -> Expr:
        return build("(NOT {0})", BOOLEAN, self._boolean(node.this, frame))

    def _is(self, node: exp.Is, frame: _Frame) -> Expr:
        if not isinstance(node.expression, exp.Null):
            raise not_supported("IS with anything but NULL")
        return build("({0} IS NULL)", BOOLEAN, self.expr(node.this, frame))

    def _between(self, node: exp.Between, frame: _Frame) -> Expr:
        _only(node, "this", "low", "high")
        value, low, high = (self.expr(node.args[name], frame) for name in ("this", "low", "high"))
        bounds = functions.comparison(">=", value, low), functions.comparison("<=", value, high)
        return build("({0} AND {1})", BOOLEAN, *bounds)

    def _in(self, node: exp.In, frame: _Frame) -> Expr:
        _only(node, "this", "expressions", "query")
        value = self.expr(node.this, frame)
        if node.args.get("query") is None:
            items = [
                functions.comparison("=", value, self.expr(item, frame))
                for item in node.expressions
            ]
            # In pairs, and pairs of pairs: DuckDB takes no expression that is a thousand deep.
            while len(items) > 1:
                pairs = [items[start : start + 2] for start in range(0, len(items), 2)]
                items = [
                    build("({0} OR {1})", BOOLEAN, *pair) if len(pair) == 2 else pair[0]
                    for pair in pairs
                ]
            return items[0]
        query = self._subquery_of(node.args["query"], frame)
        source, (column,) = self._derive(query, _Frame({}, Scope()))
        left, right = unify(value, column.as_expr())
        in_query = f" IN (SELECT {right.sql} FROM {source}))"
        return joined("(", left, in_query, type_=BOOLEAN, opaque=True)

    def _like(self, node: exp.Like, frame: _Frame) -> Expr:
        return functions.like(self.expr(node.this, frame), self.expr(node.expression, frame), None)

    def _escape(self, node: exp.Escape, frame: _Frame) -> Expr:
        if not isinstance(node.this, exp.Like):
            raise not_supported("ESCAPE here")
        value, pattern = node.this.this, node.this.expression
        escape = node.expression
        return functions.like(*(self.expr(each, frame) for each in (value, pattern, escape)))

    def _dpipe(self, node: exp.DPipe, frame: _Frame) -> Expr:
        sides = [self.expr(node.this, frame), self.expr(node.expression, frame)]
        return self._apply("concat", sides)

    def _attimezone(self, node: exp.AtTimeZone, frame: _Frame) -> Expr:
        moment, zone = self.expr(node.this, frame), self.expr(node.args["zone"], frame)
        return functions.at_time_zone(moment, zone)

    def _case(self, node: exp.Case, frame: _Frame) -> Expr:
        _only(node, "this", "ifs", "default")
        subject = self.expr(node.this, frame) if node.this else None
        conditions = []
        for branch in node.args["ifs"]:
            if subject is None:
                conditions.append(self._boolean(branch.this, frame))
            else:
                value = self.expr(branch.this, frame)
                conditions.append(functions.comparison("=", subject, value))
        results = [self.expr(branch.args["true"], frame) for branch in node.args["ifs"]]
        default = node.args.get("default")
        results.append(
            self.expr(default, frame) if default is not None else Expr(("NULL",), UNKNOWN)
        )
        return _case(conditions, results)

    def _if(self, node: exp.If, frame: _Frame) -> Expr:
        _only(node, "this", "true", "false")
        default = node.args.get("false")
        results = [
            self.expr(node.args["true"], frame),
            self.expr(default, frame) if default is not None else Expr(("NULL",), UNKNOWN),
        ]
        return _case([self._boolean(node.this, frame)], results)

    def _cast(self, node: exp.Cast, frame: _Frame) -> Expr:
        _only(node, "this", "to")
        if node.meta.get(LITERAL_WITH_TYPE):
            return _typed_literal(node)
        to, safe = _type(node.args["to"]), isinstance(node, exp.TryCast)
        is_row = isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "row"
        if to.base == "row" and is_row:
            values = [self.expr(value, frame) for value in node.this.expressions]
            return functions.named_row(to, values, safe=safe)
        return cast(self.expr(node.this, frame), to, safe=safe)

    _trycast = _cast

    def _array(self, node: exp.Array, frame: _Frame) -> Expr:
        _only(node, "expressions")
        return functions.array_of(*(self.expr(element, frame) for element in node.expressions))

    def _interval(self, node: exp.Interval, _: _Frame) -> Expr:
        unit, value = node.args["unit"], node.this
        sign = "-" if isinstance(value, exp.Neg) else ""
        value = value.this if sign else value
        name = unit.name.lower() if isinstance(unit, exp.Var) else ""
        is_unit = name in ("year", "month", "day", "hour", "minute", "second")
        if not is_unit or not re.fullmatch(r"-?\d+", value.name):
            raise not_supported("this interval")
        type_ = MONTH_INTERVAL if name in ("year", "month") else DAY_INTERVAL
        sql = f"INTERVAL '{sign}{value.name} {name}'".replace("--", "")
        return Expr((sql,), type_, constant=name)

    def _exists(self, node: exp.Exists, frame: _Frame) -> Expr:
        _only(node, "this")
        query = self.query(node.this, frame.ctes, frame.scope)
        frame.children.append(query)
        return joined(f"EXISTS ({query.sql})", type_=BOOLEAN, opaque=True)

    def _subquery_of(self, node: exp.Expr, frame: _Frame) -> Query:
        query = self.query(node, frame.ctes, frame.scope)
        if len(query.outputs) != 1:
            raise not_supported("a subquery of several columns in an expression")
        query.needs += query.outputs[0].sources
        frame.children.append(query)
        return query

    def _subquery(self, node: exp.Subquery, frame: _Frame) -> Expr:
        query = self._subquery_of(node, frame)
        return joined(f"({query.sql})", type_=query.outputs[0].type, opaque=True)

    # --- functions --------------------------------------------------------------------------------

    def _extract(self, node: exp.Extract, frame: _Frame) -> Expr:
        name = node.name.lower()
        if name not in (*_FIELDS, *_DAY_FIELDS):
            raise not_supported(f"EXTRACT({name.upper()} ...)")
        return self._apply(name, [self.expr(node.expression, frame)])

    def _substring(self, node: exp.Substring, frame: _Frame) -> Expr:
        _only(node, "this", "start", "length")
        args = [node.args.get(name) for name in ("this", "start", "length")]
        given = [self.expr(arg, frame) for arg in args if arg is not None]
        return self._apply("substr", given)

    def _strposition(self, node: exp.StrPosition, frame: _Frame) -> Expr:
        _only(node, "this", "substr")
        args = [self.expr(node.args[name], frame) for name in ("this", "substr")]
        return self._apply("strpos", args)

    def _trim(self, node: exp.Trim, frame: _Frame) -> Expr:
        _only(node, "this", "position", "expression")
        position = (node.args.get("position") or "").upper()
        kind = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(position, "trim")
        value = self.expr(node.this, frame)
        characters = node.args.get("expression")
        if characters is None:
            return functions.trim(kind, value)
        return functions.trim(kind, value, self.expr(characters, frame))

    def _anonymous(self, node: exp.Anonymous, frame: _Frame) -> Expr:
        name = node.name.lower()
        if name in functions.SCALARS:
            return self._apply(name, [self.expr(arg, frame) for arg in node.expressions])
        if name in functions.WINDOWS:
            raise QueryFailed("MISSING_OVER", f"Window function {name} requires an OVER clause")
        return self._called(node, frame)

    def _filter(self, node: exp.Filter, frame: _Frame) -> Expr:
        return self._called(node, frame)

    def _window(self, node: exp.Window, frame: _Frame) -> Expr:
        _only(node, "this", "partition_by", "order", "spec")
        frame.windowed = True
        return self._called(node.this, frame, self._over(node, frame))

    def _over(self, node: exp.Window, frame: _Frame) -> Expr:
        clause: list[str | Expr] = [" OVER ("]
        for position, item in enumerate(node.args.get("partition_by") or []):
            clause += [", " if position else "PARTITION BY ", self.expr(item, frame)]
        order = node.args.get("order")
        for position, item in enumerate(order.expressions if order is not None else []):
            _only(item, "this", "desc")
            clause += [
                ", " if position else " ORDER BY ",
                self.expr(item.this, frame),
                _direction(item),
            ]
        return joined(*clause, f"{_window_frame(node.args.get('spec'))})", type_=UNKNOWN)

    def _called(self, node: exp.Expr, frame: _Frame, over: Expr | None = None) -> Expr:
        """An aggregate or window function with its DISTINCT, FILTER and OVER."""
        suffix: list[str | Expr] = []
        condition = None
        if isinstance(node, exp.Filter):
            condition = self._boolean(node.expression.this, frame)
            suffix += [" FILTER (WHERE ", condition, ")"]
            node = node.this
        if over is not None:
            suffix.append(over)
        if not isinstance(node, exp.Anonymous):
            raise not_supported(f"{node.key.upper()} here")
        name, arguments = node.name.lower(), node.expressions
        table = functions.AGGREGATES
        if over is not None:
            table = {**functions.AGGREGATES, **functions.WINDOWS}
        if name not in table:
            raise self._unknown_function(name)
        distinct = len(arguments) == 1 and isinstance(arguments[0], exp.Distinct)
        if distinct:
            _only(arguments[0], "expressions")
            arguments = arguments[0].expressions
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        if distinct and (over is not None or len(arguments) != 1):
            raise not_supported("DISTINCT here")
        order: list[str | Expr] = []
        if name == "array_agg" and arguments and isinstance(arguments[-1], exp.Order):
            for position, item in enumerate(arguments[-1].expressions):
                _only(item, "this", "desc")
                order += [
                    ", " if position else " ORDER BY ",
                    self.expr(item.this, frame),
                    _direction(item),
                ]
            arguments = [arguments[-1].this]
        args = [self.expr(arg, frame) for arg in arguments]
        if condition is not None:
            # DuckDB evaluates arguments before it filters, and some rows cannot be compared.
            for position, arg in enumerate(args):
                if arg.type.base.startswith("row("):
                    kept = build("CASE WHEN {1} THEN {0} END", arg.type, arg, condition)
                    args[position] = kept
        call = self._translated(name, table[name], args)
        return call.expr(
            distinct=distinct,
            order=joined(*order, type_=UNKNOWN),
            suffix=joined(*suffix, type_=UNKNOWN),
        )

    def _apply(self, name: str, args: list[Expr]) -> Expr:
        return self._translated(name, functions.SCALARS[name], args)

    def _translated(self, name: str, translate: Callable[..., _T], args: list[Expr]) -> _T:
        try:
            if not _takes(translate, len(args)):
                raise functions.WrongArgumentsError
            return translate(*args)
        except functions.WrongArgumentsError:
            given = ", ".join(str(arg.type) for arg in args)
            message = f"Unexpected parameters ({given}) for function {name}"
            raise QueryFailed("FUNCTION_NOT_FOUND", message) from None

    def _unknown_function(self, name: str) -> QueryFailed:
        if name not in functions.SCALARS:
            analysis = validate(f'SELECT "{name}"()', function_arguments="off")
            if analysis.unknown_functions:
                return QueryFailed("FUNCTION_NOT_FOUND", f"Function '{name}' not registered")
        return not_supported(f"the function {name} here")


_EXPRESSIONS: dict[type[exp.Expr], Callable[[_Translator, Any, _Frame], Expr]] = {
    exp.And: _Translator._and,
    exp.Anonymous: _Translator._anonymous,
    exp.Array: _Translator._array,
    exp.AtTimeZone: _Translator._attimezone,
    exp.Between: _Translator._between,
    exp.Boolean: _Translator._boolean_literal,
    exp.Case: _Translator._case,
    exp.Cast: _Translator._cast,
    exp.Column: _Translator._column,
    exp.DPipe: _Translator._dpipe,
    exp.Escape: _Translator._escape,
    exp.Exists: _Translator._exists,
    exp.Extract: _Translator._extract,
    exp.Filter: _Translator._filter,
    exp.HexString: _Translator._hexstring,
    exp.If: _Translator._if,
    exp.In: _Translator._in,
    exp.Interval: _Translator._interval,
    exp.Is: _Translator._is,
    exp.Like: _Translator._like,
    exp.Literal: _Translator._literal,
    exp.Neg: _Translator._neg,
    exp.Not: _Translator._not,
    exp.Null: _Translator._null,
    exp.Or: _Translator._or,
    exp.Paren: _Translator._paren,
    exp.StrPosition: _Translator._strposition,
    exp.Subquery: _Translator._subquery,
    exp.Substring: _Translator._substring,
    exp.Trim: _Translator._trim,
    exp.TryCast: _Translator._cast,
    exp.Window: _Translator._window,
}


def _only(node: exp.Expr, *allowed: str) -> None:
    """Refuses a node that says more than the translation reads."""
    for name, value in node.args.items():
        if value and name not in allowed and name not in _PASSIVE_ARGS:
            raise not_supported(f"{name.rstrip('_').upper()} in {node.key.upper()}")


def _scanned(column: str, type_: Type) -> str:
    """A table's column as Athena reads it: timestamps to the millisecond, char padded."""
    if type_ == TIMESTAMP:
        return f"trino_milliseconds({column})"
    return f"rpad({column}, {type_.precision}, ' ')" if type_.base == "char" else column


def _takes(function: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _direction(item: exp.Ordered) -> str:
    """NULLS LAST is Trino's default in both directions."""
    nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
    return f" {'DESC' if item.args.get('desc') else 'ASC'} NULLS {nulls}"


def _window_frame(spec: exp.WindowSpec | None) -> str:
    if spec is None:
        return ""
    _only(spec, "kind", "start", "start_side", "end", "end_side")
    bounds = []
    for end in ("start", "end"):
        bound, side = spec.args.get(end), spec.args.get(f"{end}_side") or ""
        if bound is None:
            bounds.append("CURRENT ROW")
        elif isinstance(bound, str):
            bounds.append(f"{bound} {side}".upper().strip())
        elif (
            isinstance(bound, exp.Literal)
            and bound.name.isdigit()
            and spec.args["kind"].upper() == "ROWS"
        ):
            bounds.append(f"{bound.name} {side.upper()}")
        else:
            raise not_supported("this window frame")
    return f" {spec.args['kind'].upper()} BETWEEN {bounds[0]} AND {bounds[1]}"


def _number(digits: str) -> Expr:
    """A numeric literal: integer or bigint, else double.

    Athena reads `1.5` as a double, unlike Trino.
    """
    if re.fullmatch(r"-?\d+", digits):
        if not -(2**63) <= int(digits) < 2**63:
            raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", f"Invalid numeric literal: {digits}")
        type_ = INTEGER if -(2**31) <= int(digits) < 2**31 else BIGINT
    elif re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", digits):
        type_ = DOUBLE
    else:
        raise not_supported(f"the number {digits}")
    return Expr((f"CAST({quoted(digits)} AS {type_.duckdb})",), type_, constant=digits)


def _decimal(digits: str) -> Expr:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", digits):
        raise not_supported(f"the decimal {digits}")
    whole, _, fraction = digits.lstrip("+-").partition(".")
    type_ = decimal(len(whole.lstrip("0")) + len(fraction), len(fraction))
    return Expr((f"CAST({quoted(digits)} AS {type_.duckdb})",), type_, constant=digits)


def _case(conditions: list[Expr], results: list[Expr]) -> Expr:
    """CASE: one result more than conditions, the last being ELSE."""
    results = list(unify(*results))
    branches: list[str | Expr] = []
    for condition, result in zip(conditions, results[:-1], strict=True):
        branches += [" WHEN ", condition, " THEN ", result]
    return joined("CASE", *branches, " ELSE ", results[-1], " END", type_=results[0].type)


def _type(node: exp.DataType) -> Type:
    if node.this in (exp.DType.ARRAY, exp.DType.MAP):
        return Type(node.this.value.lower(), of=tuple(map(_type, node.expressions)))
    is_named = all(isinstance(each, exp.ColumnDef) for each in node.expressions)
    if node.this == exp.DType.STRUCT and is_named:
        types = tuple(_type(each.args["kind"]) for each in node.expressions)
        return Type("row", of=types, fields=tuple(each.name for each in node.expressions))
    parameters = [int(parameter.name) for parameter in node.expressions if parameter.name.isdigit()]
    if node.this == exp.DType.DECIMAL:
        precision, scale = [*parameters, *([38, 0][len(parameters) :])]
        return decimal(precision, scale)
    type_ = _TYPES.get(node.this)
    if type_ is None:
        raise not_supported(f"the type {node.sql('trino')}")
    if type_ == VARCHAR and parameters:
        return Type("varchar", parameters[0])
    if parameters not in ([], [3]):
        raise not_supported(f"the type {node.sql('trino')}")
    return type_


def _typed_literal(node: exp.Cast) -> Expr:
    """DECIMAL '1.50' takes its scale from the text, TIMESTAMP '... Asia/Tokyo' its type."""
    value = node.this
    if not isinstance(value, exp.Literal):
        raise not_supported(f"this {node.to.key} literal")
    if node.args["to"].this == exp.DType.DECIMAL:
        return _decimal(value.name)
    match = re.fullmatch(r"(\s*\S+(?: \d\S*)?)\s*(.*)", value.name, flags=re.DOTALL)
    if match is None or not match[2]:
        return cast(text(value.name), TIMESTAMP)
    local_time, zone = cast(text(match[1]), TIMESTAMP), match[2]
    in_zone = functions.at_time_zone(local_time, text(zone))
    return build("timezone({1}, {0})", in_zone.type, local_time, text(zone))
