"""From Trino's parse tree to DuckDB's text: every name is resolved, and every type is known.

Nothing is passed on unseen. Each node of the tree is translated by a method of its own, and each
function by a row of `functions`; what has neither is refused. A WITH query is translated anew
wherever it is named, as Trino does, so that each place reads its tables, and prunes their
partitions, on its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlglot import exp
from trino_sql_validator import validate

from local_athena.athena import functions, literals
from local_athena.athena.casts import cast
from local_athena.athena.catalog import PATH, Partition, Table, View, partition_values
from local_athena.athena.dialect import LITERAL_WITH_TYPE, OPERATOR, Statement, parse
from local_athena.athena.errors import ApiError, QueryFailed, not_supported
from local_athena.athena.functions import operators, strings
from local_athena.athena.relations import (
    Column,
    Field,
    Query,
    Scan,
    Scope,
    add_pruning,
    mark_needed_columns,
)
from local_athena.athena.signatures import Argument, Lambda
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    JSON,
    TIMESTAMP,
    TIMESTAMP_UTC,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    coerce,
    connected,
    instant,
    is_float,
    joined,
    quoted,
    row_fields,
    separated,
    text,
    unify,
)
from local_athena.athena.window_frames import check_range, check_window, window_frame

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
_PARTITIONS = "$partitions"
_MANY_CTES = 64
"""How often WITH queries are translated anew where they are named; then they are shared."""
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
_ZONE_FIELDS = ("timezone_hour", "timezone_minute")
_DAY_FIELDS = ("day_of_month", "day_of_week", "dow", "day_of_year", "doy")
_PASSIVE_ARGS = {"typed", "safe", "_type", "over", "nested", "nulls_first", "side", "kind"}


class Tables(Protocol):
    """Where tables are looked up."""

    def table(self, database: str, name: str) -> Table | View:
        """Return the table, or the view."""

    def partitions(self, table: Table) -> list[Partition]:
        """Its partitions."""


@dataclass(frozen=True)
class Translation:
    """A query as DuckDB takes it.

    Attributes:
        sql: DuckDB's text; the columns come out as `c0`, `c1`, ...
        scans: The tables it reads, once for each place where one stands.
    """

    sql: str
    names: list[str]
    types: list[Type]
    scans: list[Scan]


@dataclass(eq=False)
class _Cte:
    """A WITH query.

    Attributes:
        is_named: Whether it is named anywhere.
        shared: Its translation and DuckDB's name for it, if it is shared.
    """

    query: exp.Expr
    columns: list[str]
    ctes: Mapping[str, _Cte]
    is_named: bool = False
    shared: tuple[str, Query] | None = None


@dataclass
class _Frame:
    """One SELECT under translation."""

    ctes: Mapping[str, _Cte]
    scope: Scope
    children: list[Query] = field(default_factory=list)
    needs: list[Expr] = field(default_factory=list)
    aliases: dict[str, list[Expr]] = field(default_factory=dict)
    lambdas: Mapping[str, Expr] = field(default_factory=dict)
    windows: Mapping[str, exp.Window] = field(default_factory=dict)
    windowed: bool = False
    depth: int = 0


@dataclass
class _Try:
    """One TRY under translation: what DuckDB does not take in it, and is computed before."""

    row: str
    before: list[Expr] = field(default_factory=list)


def translate(
    statement: Statement, tables: Tables, database: str, now: datetime | None = None
) -> Translation:
    """Translate a parsed query, whose unqualified tables are in `database`."""
    translator = _Translator(statement.sql, tables, database, now or datetime.now(UTC))
    try:
        query = translator.query(statement.tree, {}, None)
    except RecursionError:
        raise not_supported("expressions that are nested so deep") from None
    sql = _printable(query)
    query.children += [shared.query for shared in translator.shared]
    mark_needed_columns(query)
    if translator.shared:
        listed = ", ".join(
            f"{each.name} AS MATERIALIZED ({each.query.sql})" for each in translator.shared
        )
        sql = f"WITH {listed} {sql}"
    return Translation(
        sql,
        [output.name for output in query.outputs],
        [output.type for output in query.outputs],
        translator.scans,
    )


def _printable(query: Query) -> str:
    """The query, with texts for intervals and for timestamps of several zones."""
    shown = []
    for output in query.outputs:
        type_ = output.type
        if type_.is_zone_open or type_.base.startswith("interval"):
            shown.append(f"{cast(Expr((output.sql,), type_), VARCHAR).sql} AS {output.sql}")
        elif type_.holds_open_zone or any(
            base.startswith(("interval", "unsupported")) for base in type_.bases
        ):
            raise not_supported(f"{type_} in a result")
        else:
            shown.append(output.sql)
    if shown == [output.sql for output in query.outputs]:
        return query.sql
    return f"SELECT {', '.join(shown)} FROM ({query.sql}) AS shown"


@dataclass(frozen=True)
class _Shared:
    """A WITH query that is translated once."""

    name: str
    query: Query


class _Translator:
    def __init__(self, sql: str, tables: Tables, database: str, now: datetime) -> None:
        self.scans: list[Scan] = []
        self.shared: list[_Shared] = []
        self._now = now.astimezone(UTC)
        self._try: _Try | None = None
        self._translated_ctes = 0
        self._views: list[View] = []
        self._sql = sql
        self._tables = tables
        self._database = database.lower()
        self._numbers = itertools.count()

    # --- queries ----------------------------------------------------------------------------------

    def query(self, node: exp.Expr, ctes: Mapping[str, _Cte], parent: Scope | None) -> Query:
        """A query in parentheses or not: SELECT, VALUES or a set operation, with its WITH."""
        with_ = node.args.get("with_")
        if with_ is not None:
            ctes = self._with(with_, ctes)
            query = self._body(node, ctes, parent)
            self._check_unnamed(with_, ctes)
            return query
        return self._body(node, ctes, parent)

    def _with(self, with_: exp.With, ctes: Mapping[str, _Cte]) -> Mapping[str, _Cte]:
        _only(with_, "expressions")
        names: set[str] = set()
        for cte in with_.expressions:
            _only(cte, "this", "alias")
            name = cte.alias.lower()
            if name in names:
                message = f"WITH query name '{name}' specified more than once"
                raise self._located(QueryFailed("DUPLICATE_NAMED_QUERY", message), cte)
            names.add(name)
            columns = [column.name for column in cte.args["alias"].args.get("columns") or []]
            ctes = {**ctes, name: _Cte(cte.this, columns, ctes)}
        return ctes

    def _check_unnamed(self, with_: exp.With, ctes: Mapping[str, _Cte]) -> None:
        """Athena analyses a WITH query that nobody names too."""
        for cte in with_.expressions:
            each = ctes[cte.alias.lower()]
            if not each.is_named:
                scans = list(self.scans)
                query = self.query(each.query, each.ctes, None)
                self._renamed(query.outputs, each.columns, cte)
                self.scans = scans

    def _body(self, node: exp.Expr, ctes: Mapping[str, _Cte], parent: Scope | None) -> Query:
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
        _only(node, "with_", "expressions", "distinct", "from_", "joins", "windows", *_CLAUSES)
        windows = {each.name.lower(): each for each in node.args.get("windows") or []}
        frame = _Frame(ctes, Scope(parent=parent), windows=windows)
        clauses = []
        if node.args.get("from_"):
            _only(node.args["from_"], "this")
            joins = node.args.get("joins") or []
            clauses.append(f"FROM {self._from(node.args['from_'].this, joins, frame)}")
        if node.args.get("where"):
            condition = self._condition(node.args["where"].this, frame, frame.scope.fields)
            clauses.append(f"WHERE {condition.sql}")
        items = list(self._items(node, frame))
        qualified: list[str] = []
        if node.args.get("group"):
            sql, groups = self._group(node.args["group"], items, frame)
            clauses.append(f"GROUP BY {sql}")
            if any(key.type.is_zone_open for key in groups):
                qualified.append(_one_zone_each(groups))
        if node.args.get("having"):
            having = self._boolean(node.args["having"].this, frame)
            frame.needs.append(having)
            clauses.append(f"HAVING {having.sql}")
        distinct = node.args.get("distinct")
        if distinct is not None:
            _only(distinct)
            frame.needs += [expr for _, expr in items]
            different = [expr for _, expr in items]
            is_plain = not (
                frame.windowed or any(node.args.get(each) for each in ("group", "having"))
            )
            has_open_zone = any(expr.type.is_zone_open for expr in different)
            if is_plain and has_open_zone and not any(expr.opaque for expr in different):
                # DuckDB takes the check of time zones beside GROUP BY alone.
                positions = ", ".join(str(position) for position in range(1, len(items) + 1))
                clauses.append(f"GROUP BY {positions}")
                qualified.append(_one_zone_each(different))
                different = [expr for expr in different if not expr.type.is_zone_open]
            for expr in different:
                _groupable(expr)
        ordered: list[str] = []
        if node.args.get("order"):
            for name, expr in items:
                same = frame.aliases.setdefault(name.lower(), [])
                if all(expr.parts != other.parts for other in same):
                    same.append(expr)
            outputs_only = [expr for _, expr in items]
            order = self._order(node.args["order"], frame, outputs_only, distinct is not None)
            if _ties(node):
                if distinct is not None or node.args.get("offset"):
                    raise not_supported("WITH TIES beside DISTINCT or OFFSET")
                keys = self._order_keys(node.args["order"], frame, outputs_only)
                listed = ", ".join(f"{instant(key).sql}{direction}" for _, key, direction in keys)
                qualified.append(f"rank() OVER (ORDER BY {listed}) <= {_ties(node)}")
                frame.windowed = True
            ordered = [f"ORDER BY {order}"]
        elif _ties(node):
            message = "FETCH FIRST WITH TIES clause requires ORDER BY"
            raise QueryFailed("MISSING_ORDER_BY", message)
        if qualified:
            clauses.append(f"QUALIFY {' AND '.join(qualified)}")
        clauses += ordered
        window = self._limit(node)
        nullable = {each.column for each in frame.scope.fields if each.nullable}
        group = node.args.get("group")
        has_sets = group is not None and any(group.args.get(name) for name in _GROUPING_SETS)
        whole = not window and not frame.windowed and not has_sets
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
                found = [
                    each.column
                    for each in frame.scope.fields
                    if qualifier in (None, each.qualifier) and not each.hidden
                ]
                whole = self._row_behind(item, frame) if not found else None
                if whole is not None:
                    held = zip(whole.type.fields, row_fields(whole), strict=True)
                    for name, field_ in held:
                        yield name or f"_col{count}", field_
                        count += 1
                    continue
                if not found and qualifier is None:
                    message = "SELECT * not allowed in queries without FROM clause"
                    raise self._located(QueryFailed("COLUMN_NOT_FOUND", message), item)
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

    def _row_behind(self, item: exp.Expr, frame: _Frame) -> Expr | None:
        """The row whose fields `row.*` names."""
        if not isinstance(item, exp.Column):
            return None
        found = self._find(item.args["table"].name, None, frame.scope.fields, item)
        is_row = found is not None and found.column.type.base == "row"
        return found.column.as_expr() if found is not None and is_row else None

    def _group(
        self, group: exp.Group, items: list[tuple[str, Expr]], frame: _Frame
    ) -> tuple[str, list[Expr]]:
        """GROUP BY, and the keys of it that stand in no grouping set."""
        _only(group, "expressions", *_GROUPING_SETS)
        is_distinct = group.args.get("all") is False
        if is_distinct and (
            group.args.get("rollup") or group.args.get("cube") or group.expressions
        ):
            raise not_supported("GROUP BY DISTINCT of anything but GROUPING SETS")
        keys = []
        plain: list[Expr] = []
        for item in group.expressions:
            if isinstance(item, exp.Literal) and not item.is_string:
                keys.append(item.name)
                plain.append(self._ordinal(item, [expr for _, expr in items]))
            elif isinstance(item, exp.Tuple) and not item.expressions:
                keys.append("()")
            else:
                plain.append(self.expr(item, frame))
                keys.append(plain[-1].sql)
        frame.needs += plain
        has_sets = any(group.args.get(name) for name in _GROUPING_SETS)
        for key in plain:
            if has_sets or not key.type.is_zone_open:
                _groupable(key)
        for name, word in _GROUPING_SETS.items():
            for each in group.args.get(name) or []:
                _only(each, "expressions")
                sets = [self._grouping_set(item, frame) for item in each.expressions]
                sets = list(dict.fromkeys(sets)) if is_distinct else sets
                keys.append(f"{word} ({', '.join(sets)})")
        return ", ".join(keys), plain

    def _group_key(self, item: exp.Expr, frame: _Frame) -> str:
        key = _groupable(self.expr(item, frame))
        frame.needs.append(key)
        return key.sql

    def _grouping_set(self, item: exp.Expr, frame: _Frame) -> str:
        columns = item.expressions if isinstance(item, exp.Tuple) else [item.unnest()]
        if any(isinstance(each, (exp.Rollup, exp.Cube, exp.GroupingSets)) for each in columns):
            raise not_supported("grouping sets inside of others")
        if not all(isinstance(each, (exp.Column, exp.Dot)) for each in columns):
            raise not_supported("grouping sets of anything but columns")
        return f"({', '.join(self._group_key(each, frame) for each in columns)})"

    def _order(
        self, order: exp.Order, frame: _Frame, outputs: list[Expr], is_distinct: bool = False
    ) -> str:
        return ", ".join(
            f"{position or instant(key).sql}{direction}"
            for position, key, direction in self._order_keys(order, frame, outputs, is_distinct)
        )

    def _order_keys(
        self, order: exp.Order, frame: _Frame, outputs: list[Expr], is_distinct: bool = False
    ) -> Iterator[tuple[int | None, Expr, str]]:
        """Keys with their directions, and their position if they are an output."""
        for item in order.expressions:
            _only(item, "this", "desc")
            if isinstance(item.this, exp.Literal) and not item.this.is_string:
                key = self._ordinal(item.this, outputs)
            else:
                key = self.expr(item.this, frame)
            operators.sort_key(key)
            frame.needs.append(key)
            # DuckDB takes a number for a position, and under DISTINCT nothing else.
            positions = [i for i, output in enumerate(outputs, 1) if output.parts == key.parts]
            if is_distinct and not positions:
                message = "For SELECT DISTINCT, ORDER BY expressions must appear in select list"
                raise self._located(QueryFailed("EXPRESSION_NOT_IN_DISTINCT", message), item)
            is_position = bool(positions) and not key.type.holds_open_zone
            yield (positions[0] if is_position else None), key, _direction(item)

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
            if isinstance(limit, exp.Fetch):
                options = limit.args.get("limit_options")
                if options is not None and options.args.get("percent"):
                    raise not_supported("this form of FETCH")
                if _ties(node):
                    continue
                value = limit.args.get("count") or exp.Literal.number(1)
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
            numbers = ", ".join(str(len(side.outputs)) for side in sides)
            message = f"{node.key.upper()} query has different number of fields: {numbers}"
            raise self._at(QueryFailed("TYPE_MISMATCH", message), node.meta[OPERATOR])
        frame = _Frame(ctes, Scope())
        derived = [self._derive(side, frame) for side in sides]
        pairs = zip(*(columns for _, columns in derived), strict=True)
        rows = []
        for number, pair in enumerate(pairs, start=1):
            try:
                rows.append(unify(*(column.as_expr() for column in pair)))
            except QueryFailed as error:
                types = ", ".join(str(column.type) for column in pair)
                message = f"column {number} in {node.key.upper()} query has incompatible types"
                failed = QueryFailed(error.name, f"{message}: {types}")
                raise self._at(failed, node.meta[OPERATOR]) from error
        selects = []
        for side in (0, 1):
            listed = ", ".join(f"{row[side].sql} AS c{i}" for i, row in enumerate(rows))
            selects.append(f"SELECT {listed} FROM {derived[side][0]}")
        distinct = bool(node.args.get("distinct"))
        if distinct or not isinstance(node, exp.Union):
            frame.needs += [_groupable(expr) for row in rows for expr in row]
        word = f"{node.key.upper()}{'' if distinct else ' ALL'}"
        outputs = [
            Column(column.name, row[0].type, f"c{i}", None, row, isinstance(node, exp.Union))
            for i, (column, row) in enumerate(zip(derived[0][1], rows, strict=True))
        ]
        merged = Query(f"{selects[0]} {word} {selects[1]}", outputs, frame.needs, frame.children)
        return self._ordered(node, merged, ctes)

    def _ordered(self, node: exp.Expr, query: Query, ctes: Mapping[str, _Cte]) -> Query:
        """A query under an ORDER BY, LIMIT and OFFSET that see only its outputs."""
        if _ties(node):
            raise not_supported("WITH TIES beside a set operation or VALUES")
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
        rows: list[list[Expr]] = []
        names_of_rows: list[tuple[str, ...]] = []
        for row in node.expressions:
            values, names_of_row = _row_of([self.expr(value, frame) for value in row.expressions])
            rows.append(values)
            names_of_rows.append(names_of_row)
        if len({len(row) for row in rows}) > 1:
            error = QueryFailed("TYPE_MISMATCH", "Values rows have mismatched sizes")
            raise self._located(error, node)
        columns = [unify(*column) for column in zip(*rows, strict=True)]
        listed = ", ".join(
            "(" + ", ".join(expr.sql for expr in row) + ")" for row in zip(*columns, strict=True)
        )
        names = ", ".join(f"c{i}" for i in range(len(columns)))
        outputs = [
            Column(_common_name(found) or f"_col{i}", column[0].type, f"c{i}")
            for i, (column, found) in enumerate(
                zip(columns, zip(*names_of_rows, strict=True), strict=True)
            )
        ]
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
        """FROM: a comma is weaker than JOIN, whose ON sees only what stands behind the comma."""
        earlier: list[Field] = []
        sql, frame.scope.fields = self._relation(first, frame)
        for join in joins:
            if _is_comma(join):
                earlier = [*earlier, *frame.scope.fields]
                frame.scope.fields = earlier
                relation, frame.scope.fields = self._relation(join.this, frame)
                sql += f", {relation}"
            else:
                sql += self._join(join, frame, earlier)
        frame.scope.fields = [*earlier, *frame.scope.fields]
        return sql

    def _relation(self, node: exp.Expr, frame: _Frame) -> tuple[str, list[Field]]:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            _only(node, "this")
            node = node.this
        if node.args.get("joins"):
            inner = _Frame(
                frame.ctes,
                Scope(parent=frame.scope.parent),
                frame.children,
                frame.needs,
                lambdas=frame.lambdas,
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
        elif isinstance(node, exp.Unnest):
            sql, columns = self._unnest(node, frame, len(names))
            ordinality = node.args.get("offset")
            if names and isinstance(ordinality, exp.Identifier):
                names.append(ordinality.name)
        elif isinstance(node, exp.Lateral):
            _only(node, "this", "alias")
            sql, columns = self._derive(self.query(node.this, frame.ctes, frame.scope), frame)
            sql = f"LATERAL {sql}"
        else:
            raise not_supported(f"{node.key.upper()} in FROM")
        hidden = [column for column in columns if column.name == PATH and column.scan is not None]
        shown = [column for column in columns if column not in hidden]
        return sql, [
            *(Field(qualifier, column) for column in self._renamed(shown, names, node)),
            *(Field(qualifier, column, hidden=True) for column in hidden),
        ]

    def _unnest(self, node: exp.Unnest, frame: _Frame, named: int) -> tuple[str, list[Column]]:
        """UNNEST: arrays side by side, the shorter filled up with NULL.

        A row gives its fields, as in Trino. It stays whole where there is one name for each array,
        as in the queries of AWS over logs: `UNNEST(httprequest.headers) AS t(header)`.
        """
        _only(node, "expressions", "alias", "offset")
        alias = f"r{next(self._numbers)}"
        lists: list[Expr] = []
        values: list[Expr] = []
        for item in node.expressions:
            arg = self.expr(item, frame)
            frame.needs.append(arg)
            if arg.type.base == "map":
                key, held = (array(inner) for inner in arg.type.of)
                lists += [build("map_keys({0})", key, arg), build("map_values({0})", held, arg)]
            elif arg.type.base == "array":
                lists.append(arg)
            else:
                message = f"Cannot unnest type: {arg.type}"
                raise self._located(QueryFailed("TYPE_MISMATCH", message), item)
        keeps_rows = named == len(lists)
        fields: list[str] = []
        for position, listed in enumerate(lists, 1):
            # DuckDB reads fields of a row that fills a shorter array up as those of another row.
            filled = f"CASE WHEN v[{position}] IS NOT NULL THEN v[{position}] END"
            is_row = listed.type.of[0].base == "row"
            element = Expr((filled if is_row else f"v[{position}]",), listed.type.of[0])
            if element.type.base == "row" and not keeps_rows:
                values += row_fields(element)
                fields += element.type.fields
            else:
                values.append(element)
                fields.append("")
        if node.args.get("offset"):
            lengths = [f"coalesce(len({{{position}}}), 0)" for position in range(len(lists))]
            numbers = f"range(1, greatest({', '.join(lengths)}) + 1)"
            lists.append(build(numbers, array(BIGINT), *lists))
            values.append(Expr((f"v[{len(lists)}]",), BIGINT))
            fields.append("")
        zipped = build("list_zip({*})", UNKNOWN, *lists)
        listed_columns = ", ".join(f"{value.sql} AS c{i}" for i, value in enumerate(values))
        inner = f"SELECT unnest({zipped.sql}) AS v"
        sql = f"LATERAL (SELECT {listed_columns} FROM ({inner}) AS u{alias}) AS {alias}"
        columns = [
            Column(name or f"_col{i}", value.type, f"{alias}.c{i}", None, (zipped.as_opaque(),))
            for i, (name, value) in enumerate(zip(fields, values, strict=True))
        ]
        return sql, columns

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
            sql, columns = self._cte(cte, frame)
            return sql, self._renamed(columns, cte.columns, node), name
        if node.catalog.lower() not in ("", "awsdatacatalog"):
            message = f"Catalog '{node.catalog.lower()}' does not exist"
            raise self._located(QueryFailed("CATALOG_NOT_FOUND", message), node)
        try:
            table = self._tables.table(database, name.removesuffix(_PARTITIONS))
        except QueryFailed as error:
            raise self._located(error, node) from None
        if isinstance(table, View):
            if name.endswith(_PARTITIONS):
                message = f"Table 'awsdatacatalog.{database}.{name}' does not exist"
                raise self._located(QueryFailed("TABLE_NOT_FOUND", message), node)
            return *self._view(table, frame), name
        if name.endswith(_PARTITIONS):
            return *self._partitions(table, frame), name
        number = next(self._numbers)
        scan = Scan(table, f"scan_{number}")
        self.scans.append(scan)
        columns = []
        for column, type_ in {**table.columns, **table.partition_types}.items():
            columns.append(Column(column, type_, _scanned(f'r{number}."{column}"', type_), scan))
        columns.append(Column(PATH, VARCHAR, f'r{number}."{PATH}"', scan))
        return f"{scan.name} AS r{number}", columns, name

    def _view(self, view: View, frame: _Frame) -> tuple[str, list[Column]]:
        """A view, in whose query positions and unqualified tables are its own."""
        if view in self._views:
            raise QueryFailed("VIEW_IS_RECURSIVE", f"View '{view.name}' is recursive")
        outer = self._sql, self._database
        self._views.append(view)
        try:
            statement = parse(view.sql)
            self._sql, self._database = statement.sql, view.database.lower()
            query = self.query(statement.tree, {}, None)
        except (ApiError, QueryFailed) as error:
            message = f"Failed analyzing stored view '{view.database}.{view.name}': {error}"
            if isinstance(error, QueryFailed) and error.name == "NOT_SUPPORTED":
                raise QueryFailed("NOT_SUPPORTED", message) from None
            raise QueryFailed("INVALID_VIEW", message) from None
        finally:
            self._sql, self._database = outer
            self._views.pop()
        if len(query.outputs) != len(view.columns):
            message = f"View '{view.database}.{view.name}' is stale or in invalid state"
            raise QueryFailed("VIEW_IS_STALE", message)
        sql, columns = self._derive(query, frame)
        renamed = zip(view.columns, columns, strict=True)
        return sql, [
            Column(name, column.type, column.sql, None, (column.as_expr(),), True)
            for name, column in renamed
        ]

    def _partitions(self, table: Table, frame: _Frame) -> tuple[str, list[Column]]:
        """`"table$partitions"`: the values of its partitions, read without the files."""
        names = list(table.partition_types)
        if not names:
            message = f"Table 'awsdatacatalog.{table.database}.{table.name}{_PARTITIONS}'"
            raise QueryFailed("TABLE_NOT_FOUND", f"{message} does not exist")
        values = partition_values(table, self._tables.partitions(table)).to_pylist()
        rows = [
            [
                cast(text(str(row[name])), type_) if row[name] is not None else build("NULL", type_)
                for name, type_ in table.partition_types.items()
            ]
            for row in values
        ]
        listed = ", ".join(f"({', '.join(value.sql for value in row)})" for row in rows)
        fields = ", ".join(f"c{position}" for position in range(len(names)))
        casts = ", ".join(
            f"CAST(c{position} AS {type_.duckdb}) AS c{position}"
            for position, type_ in enumerate(table.partition_types.values())
        )
        nothing = "(" + ", ".join(["NULL"] * len(names)) + ")"
        where = "" if rows else " WHERE false"
        sql = f"SELECT {casts} FROM (VALUES {listed or nothing}) AS v({fields}){where}"
        outputs = [
            Column(name, type_, f"c{position}")
            for position, (name, type_) in enumerate(table.partition_types.items())
        ]
        return self._derive(Query(sql, outputs), frame)

    def _cte(self, cte: _Cte, frame: _Frame) -> tuple[str, list[Column]]:
        """A WITH query where it is named: translated anew, or shared once there are many."""
        cte.is_named = True
        self._translated_ctes += 1
        if cte.shared is None:
            if self._translated_ctes <= _MANY_CTES:
                return self._derive(self.query(cte.query, cte.ctes, None), frame)
            held, self._try = self._try, None
            query = self.query(cte.query, cte.ctes, None)
            self._try = held
            cte.shared = (f"shared{next(self._numbers)}", query)
            self.shared.append(_Shared(*cte.shared))
        name, query = cte.shared
        alias = f"r{next(self._numbers)}"
        columns = [
            Column(each.name, each.type, f"{alias}.{each.sql}", None, each.sources)
            for each in query.outputs
        ]
        return f"{name} AS {alias}", columns

    def _join(self, join: exp.Join, frame: _Frame, earlier: list[Field]) -> str:
        _only(join, "this", "on", "using")
        side, kind = join.side.upper(), join.kind.upper()
        if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise not_supported(f"{side} {kind} JOIN")
        left = frame.scope.fields
        frame.scope.fields = [*earlier, *left]
        sql, right = self._relation(join.this, frame)
        frame.scope.fields = [*left, *right]
        if isinstance(join.this, (exp.Unnest, exp.Lateral)) and kind != "CROSS":
            on = join.args.get("on")
            if side not in ("", "LEFT") or not (isinstance(on, exp.Boolean) and on.this):
                raise not_supported("JOIN of UNNEST or LATERAL other than ON TRUE")
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
            equal = operators.comparison("=", *(column.as_expr() for column in sides))
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
        """A name: a column, perhaps under its table's name, and perhaps fields of it."""
        _only(node, "this", "table", "db", "catalog")
        names = [part.name for part in node.parts]
        first = names[0].lower()
        if first in frame.lambdas:
            return self._fields(frame.lambdas[first], names[1:], names)
        if len(names) == 1 and first in frame.aliases:
            if len(frame.aliases[first]) > 1:
                raise QueryFailed("AMBIGUOUS_NAME", f"Column '{names[0]}' is ambiguous")
            return frame.aliases[first][0]
        scope: Scope | None = frame.scope
        while scope is not None:
            for found, rest in self._candidates(names, scope, node):
                return self._fields(found.column.as_expr(), rest, names)
            scope = scope.parent
        shown = ".".join([first, *names[1:]]) if len(names) > 1 else names[0]
        raise QueryFailed("COLUMN_NOT_FOUND", f"Column '{shown}' cannot be resolved")

    def _candidates(
        self, names: list[str], scope: Scope, node: exp.Expr
    ) -> Iterator[tuple[Field, list[str]]]:
        """A column with the names of fields behind it: `table.column`, then `column.field`."""
        if len(names) > 2 and names[0].lower() == self._database:
            found = self._find(names[2], names[1].lower(), scope.fields, node)
            if found is not None:
                yield found, names[3:]
        if len(names) > 1:
            found = self._find(names[1], names[0].lower(), scope.fields, node)
            if found is not None:
                yield found, names[2:]
        found = self._find(names[0], None, scope.fields, node)
        if found is not None and (len(names) == 1 or found.column.type.base == "row"):
            yield found, names[1:]

    def _fields(self, value: Expr, rest: Sequence[str], names: Sequence[str]) -> Expr:
        for name in rest:
            field_ = operators.field_of(value, name) if value.type.base == "row" else None
            if field_ is None:
                shown = ".".join(names)
                raise QueryFailed("COLUMN_NOT_FOUND", f"Column '{shown}' cannot be resolved")
            value = field_
        return value

    # --- expressions ------------------------------------------------------------------------------

    def expr(self, node: exp.Expr, frame: _Frame) -> Expr:
        """Translate an expression, and put its position into its errors."""
        try:
            operator = _COMPARISONS.get(type(node))
            if operator is not None and _quantifier(node.expression) is not None:
                return self._quantified(operator, node, frame)
            if operator is not None:
                sides = self.expr(node.this, frame), self.expr(node.expression, frame)
                return operators.comparison(operator, *sides)
            operator = _ARITHMETIC.get(type(node))
            if operator is not None:
                sides = self.expr(node.this, frame), self.expr(node.expression, frame)
                return operators.arithmetic(operator, *sides)
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
        return self._at(error, start)

    def _at(self, error: QueryFailed, start: int) -> QueryFailed:
        """The error with its place in the text."""
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
            sides = [self._condition(side, frame, prunable) for side in node.flatten()]
            return connected("AND", sides)
        condition = self._boolean(node, frame)
        frame.needs.append(condition)
        add_pruning(condition, prunable)
        return condition

    def _literal(self, node: exp.Literal, _: _Frame) -> Expr:
        return text(node.name) if node.is_string else literals.number(node.name)

    def _quantified(self, operator: str, node: exp.Expr, frame: _Frame) -> Expr:
        """`= ANY (SELECT ...)` and its like."""
        word, inner = _quantifier(node.expression) or ("", node)
        value = self.expr(node.this, frame)
        query = self._subquery_of(inner, frame)
        source, (column,) = self._derive(query, _Frame({}, Scope()))
        left, right = unify(value, column.as_expr())
        if is_float(left.type) or left.type.of or left.type.holds_open_zone:
            raise not_supported(f"{word} of {left.type}")
        in_query = f" {operator} {word} (SELECT {right.sql} FROM {source}))"
        return self._hoisted(joined("(", left, in_query, type_=BOOLEAN, opaque=True))

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
            return literals.number(f"-{node.this.name}")
        value = self.expr(node.this, frame)
        return operators.negate(value)

    def _and(self, node: exp.And, frame: _Frame) -> Expr:
        return connected("AND", [self._boolean(side, frame) for side in node.flatten()])

    def _or(self, node: exp.Or, frame: _Frame) -> Expr:
        return connected("OR", [self._boolean(side, frame) for side in node.flatten()])

    def _not(self, node: exp.Not, frame: _Frame) -> Expr:
        return build("(NOT {0})", BOOLEAN, self._boolean(node.this, frame))

    def _is(self, node: exp.Is, frame: _Frame) -> Expr:
        if not isinstance(node.expression, exp.Null):
            raise not_supported("IS with anything but NULL")
        return build("({0} IS NULL)", BOOLEAN, self.expr(node.this, frame))

    def _between(self, node: exp.Between, frame: _Frame) -> Expr:
        _only(node, "this", "low", "high")
        value, low, high = (self.expr(node.args[name], frame) for name in ("this", "low", "high"))
        bounds = operators.comparison(">=", value, low), operators.comparison("<=", value, high)
        return build("({0} AND {1})", BOOLEAN, *bounds)

    def _in(self, node: exp.In, frame: _Frame) -> Expr:
        _only(node, "this", "expressions", "query")
        value = self.expr(node.this, frame)
        only = node.expressions[0] if len(node.expressions) == 1 else None
        if isinstance(only, exp.Values):
            node = exp.In(this=node.this, query=exp.Subquery(this=only))
        if node.args.get("query") is None:
            return operators.is_one_of(value, [self.expr(item, frame) for item in node.expressions])
        if value.type.base == "row":
            return self._row_in(value, node.args["query"], frame)
        query = self._subquery_of(node.args["query"], frame)
        source, (column,) = self._derive(query, _Frame({}, Scope()))
        left, right = (instant(side) for side in unify(value, column.as_expr()))
        in_query = f" IN (SELECT {right.sql} FROM {source}))"
        return self._hoisted(joined("(", left, in_query, type_=BOOLEAN, opaque=True))

    def _row_in(self, value: Expr, node: exp.Expr, frame: _Frame) -> Expr:
        """(a, b) IN (SELECT x, y ...): NULL where only a NULL keeps it from being true."""
        query = self.query(node, frame.ctes, frame.scope)
        sides = row_fields(value)
        if len(query.outputs) != len(sides):
            message = f"The subquery has {len(query.outputs)} columns, and the row {len(sides)}"
            raise self._located(QueryFailed("TYPE_MISMATCH", message), node)
        for output in query.outputs:
            query.needs += output.sources
        frame.children.append(query)
        source, columns = self._derive(query, _Frame({}, Scope()))
        pairs = zip(sides, (column.as_expr() for column in columns), strict=True)
        is_equal = connected("AND", [operators.comparison("=", *pair) for pair in pairs])
        exists = f"EXISTS (SELECT 1 FROM {source} WHERE "
        pieces = ("CASE WHEN ", exists, is_equal, ") THEN true WHEN ", exists, "(", is_equal)
        whole = joined(*pieces, ") IS NULL) THEN NULL ELSE false END", type_=BOOLEAN, opaque=True)
        return self._hoisted(whole)

    def _like(self, node: exp.Like, frame: _Frame) -> Expr:
        sides = self.expr(node.this, frame), self.expr(node.expression, frame)
        found = operators.like(*sides, None)
        return build("(NOT {0})", BOOLEAN, found) if node.args.get("negate") else found

    def _escape(self, node: exp.Escape, frame: _Frame) -> Expr:
        if not isinstance(node.this, exp.Like):
            raise not_supported("ESCAPE here")
        value, pattern = node.this.this, node.this.expression
        escape = node.expression
        found = operators.like(*(self.expr(each, frame) for each in (value, pattern, escape)))
        negated = node.args.get("negate") or node.this.args.get("negate")
        return build("(NOT {0})", BOOLEAN, found) if negated else found

    def _dpipe(self, node: exp.DPipe, frame: _Frame) -> Expr:
        sides = [self.expr(node.this, frame), self.expr(node.expression, frame)]
        return functions.call("concat", sides)

    def _attimezone(self, node: exp.AtTimeZone, frame: _Frame) -> Expr:
        moment, zone = self.expr(node.this, frame), self.expr(node.args["zone"], frame)
        return operators.at_time_zone(moment, zone)

    def _case(self, node: exp.Case, frame: _Frame) -> Expr:
        _only(node, "this", "ifs", "default")
        subject = self.expr(node.this, frame) if node.this else None
        conditions = []
        for branch in node.args["ifs"]:
            if subject is None:
                conditions.append(self._boolean(branch.this, frame))
            else:
                value = self.expr(branch.this, frame)
                conditions.append(operators.comparison("=", subject, value))
        results = [self.expr(branch.args["true"], frame) for branch in node.args["ifs"]]
        default = node.args.get("default")
        results.append(
            self.expr(default, frame) if default is not None else Expr(("NULL",), UNKNOWN)
        )
        return operators.conditional(conditions, results)

    def _if(self, node: exp.If, frame: _Frame) -> Expr:
        _only(node, "this", "true", "false")
        default = node.args.get("false")
        results = [
            self.expr(node.args["true"], frame),
            self.expr(default, frame) if default is not None else Expr(("NULL",), UNKNOWN),
        ]
        return operators.conditional([self._boolean(node.this, frame)], results)

    def _cast(self, node: exp.Cast, frame: _Frame) -> Expr:
        _only(node, "this", "to")
        if node.meta.get(LITERAL_WITH_TYPE):
            return literals.typed_literal(node)
        to, safe = literals.named_type(node.args["to"]), isinstance(node, exp.TryCast)
        is_row = isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "row"
        if to.base == "row" and is_row:
            values = [self.expr(value, frame) for value in node.this.expressions]
            return operators.named_row(to, values, safe=safe)
        return cast(self.expr(node.this, frame), to, safe=safe)

    def _array(self, node: exp.Array, frame: _Frame) -> Expr:
        _only(node, "expressions")
        return operators.array_of(*(self.expr(element, frame) for element in node.expressions))

    def _interval(self, node: exp.Interval, _: _Frame) -> Expr:
        return literals.interval(node)

    def _exists(self, node: exp.Exists, frame: _Frame) -> Expr:
        _only(node, "this")
        query = self.query(node.this, frame.ctes, frame.scope)
        frame.children.append(query)
        return self._hoisted(joined(f"EXISTS ({query.sql})", type_=BOOLEAN, opaque=True))

    def _subquery_of(self, node: exp.Expr, frame: _Frame) -> Query:
        query = self.query(node, frame.ctes, frame.scope)
        if len(query.outputs) != 1:
            raise not_supported("a subquery of several columns in an expression")
        query.needs += query.outputs[0].sources
        frame.children.append(query)
        return query

    def _subquery(self, node: exp.Subquery, frame: _Frame) -> Expr:
        query = self._subquery_of(node, frame)
        return self._hoisted(joined(f"({query.sql})", type_=query.outputs[0].type, opaque=True))

    # --- functions --------------------------------------------------------------------------------

    def _extract(self, node: exp.Extract, frame: _Frame) -> Expr:
        name = node.name.lower()
        if name not in (*_FIELDS, *_DAY_FIELDS, *_ZONE_FIELDS):
            raise not_supported(f"EXTRACT({name.upper()} ...)")
        return functions.call(name, [self.expr(node.expression, frame)])

    def _substring(self, node: exp.Substring, frame: _Frame) -> Expr:
        _only(node, "this", "start", "length")
        args = [node.args.get(name) for name in ("this", "start", "length")]
        given = [self.expr(arg, frame) for arg in args if arg is not None]
        return functions.call("substr", given)

    def _strposition(self, node: exp.StrPosition, frame: _Frame) -> Expr:
        _only(node, "this", "substr")
        args = [self.expr(node.args[name], frame) for name in ("this", "substr")]
        return functions.call("strpos", args)

    def _trim(self, node: exp.Trim, frame: _Frame) -> Expr:
        _only(node, "this", "position", "expression")
        position = (node.args.get("position") or "").upper()
        kind = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(position, "trim")
        value = self.expr(node.this, frame)
        characters = node.args.get("expression")
        if characters is None:
            return strings.trim(kind, value)
        return strings.trim(kind, value, self.expr(characters, frame))

    def _anonymous(self, node: exp.Anonymous, frame: _Frame) -> Expr:
        name, arguments = node.name.lower(), node.expressions
        if name == "try":
            return self._attempt(node, frame)
        if name == "grouping":
            return self._grouping(node, frame)
        if name == "normalize" and len(arguments) == 2:
            form = text(arguments[1].name.upper())
            return functions.call(name, [self.expr(arguments[0], frame), form])
        if name == "typeof" and len(arguments) == 1:
            return text(str(self.expr(arguments[0], frame).type))
        if name == "row":
            return operators.row_of(*(self.expr(arg, frame) for arg in arguments))
        if name in ("now", "current_timestamp", "localtimestamp"):
            return self._moment(name, node)
        if name == "json_parse" and len(arguments) == 1 and self._try and not frame.lambdas:
            return self._parsed_in_try(arguments[0], frame)
        is_aggregate = name in functions.AGGREGATES and name not in functions.SCALARS
        if name in functions.SCALARS and not is_aggregate:
            return functions.call(name, [self._argument(arg, frame) for arg in arguments])
        if name in functions.WINDOWS:
            raise QueryFailed("MISSING_OVER", f"Window function {name} requires an OVER clause")
        return self._called(node, frame)

    def _argument(self, node: exp.Expr, frame: _Frame) -> Argument:
        """An argument: an expression, or a lambda that waits for the types of its parameters."""
        if not isinstance(node, exp.Lambda):
            return self.expr(node, frame)
        given = [parameter.name.lower() for parameter in node.expressions]

        def body(parameters: Sequence[Expr]) -> Expr:
            lambdas = {**frame.lambdas, **dict(zip(given, parameters, strict=True))}
            return self.expr(node.this, replace(frame, lambdas=lambdas, depth=frame.depth + 1))

        # The same lambda has the same text wherever it stands, as GROUP BY asks for it.
        names = (f"p{frame.depth}_{position}" for position in range(len(given)))
        return Lambda(tuple(names), body)

    def _identifier(self, node: exp.Identifier, frame: _Frame) -> Expr:
        """A parameter of a lambda."""
        if node.name.lower() not in frame.lambdas:
            message = f"Column '{node.name}' cannot be resolved"
            raise QueryFailed("COLUMN_NOT_FOUND", message)
        return frame.lambdas[node.name.lower()]

    def _dot(self, node: exp.Dot, frame: _Frame) -> Expr:
        if isinstance(node.expression, exp.Anonymous):
            name = f"{node.this.name}.{node.expression.name}".lower()
            raise QueryFailed("FUNCTION_NOT_FOUND", f"Function '{name}' not registered")
        value = self.expr(node.this, frame)
        if not isinstance(node.expression, exp.Identifier):
            raise not_supported("all fields of a row")
        name = node.expression.name
        return self._fields(value, [name], [str(value.type), name])

    def _bracket(self, node: exp.Bracket, frame: _Frame) -> Expr:
        _only(node, "this", "expressions")
        if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
            raise not_supported("this subscript")
        key = self.expr(node.expressions[0], frame)
        return operators.subscript(self.expr(node.this, frame), key)

    def _tuple(self, node: exp.Tuple, frame: _Frame) -> Expr:
        return operators.row_of(*(self.expr(value, frame) for value in node.expressions))

    def _moment(self, name: str, node: exp.Anonymous) -> Expr:
        """now() and its like: the moment at which the query was submitted, in UTC."""
        if node.expressions and [each.name for each in node.expressions] != ["3"]:
            raise not_supported(f"another precision of {name} than milliseconds")
        shown = self._now.strftime("%Y-%m-%d %H:%M:%S.") + f"{self._now.microsecond // 1000:03d}"
        if name == "localtimestamp":
            return Expr((f"TIMESTAMP '{shown}'",), TIMESTAMP)
        return Expr((f"TIMESTAMPTZ '{shown}+00'",), TIMESTAMP_UTC)

    def _currenttimestamp(self, node: exp.Expr, _: _Frame) -> Expr:
        return self._moment("current_timestamp", exp.Anonymous(expressions=_precision(node)))

    def _localtimestamp(self, node: exp.Expr, _: _Frame) -> Expr:
        return self._moment("localtimestamp", exp.Anonymous(expressions=_precision(node)))

    def _currentdate(self, _node: exp.CurrentDate, _: _Frame) -> Expr:
        return Expr((f"DATE '{self._now:%Y-%m-%d}'",), DATE)

    def _grouping(self, node: exp.Anonymous, frame: _Frame) -> Expr:
        keys = [self.expr(arg, frame) for arg in node.expressions]
        return build("CAST(GROUPING({*}) AS BIGINT)", BIGINT, *keys).as_opaque()

    def _attempt(self, node: exp.Anonymous, frame: _Frame) -> Expr:
        """TRY: what DuckDB's does not take in it is computed before, in a row."""
        if len(node.expressions) != 1:
            raise QueryFailed("FUNCTION_NOT_FOUND", "TRY takes one argument")
        if self._try is not None:
            inner = self.expr(node.expressions[0], frame)
            return build("TRY({0})", inner.type, inner)
        attempt = _Try(f"p{next(self._numbers)}")
        self._try = attempt
        try:
            inner = self.expr(node.expressions[0], frame)
        finally:
            self._try = None
        tried = build("TRY({0})", inner.type, inner)
        if not attempt.before:
            return tried
        named = [
            joined(f"h{position} := ", each, type_=each.type)
            for position, each in enumerate(attempt.before)
        ]
        return joined(
            "list_transform([struct_pack(",
            *separated(", ", named),
            f")], lambda {attempt.row}: ",
            tried,
            ")[1]",
            type_=inner.type,
            opaque=True,
        )

    def _parsed_in_try(self, node: exp.Expr, frame: _Frame) -> Expr:
        """json_parse in TRY: what is not JSON fails in it, the rest is parsed before."""
        value = self.expr(node, frame)
        if not isinstance(node, exp.Column) or value.constant is not None:
            return functions.call("json_parse", [value])
        parsed = build(
            "CASE WHEN json_valid({0}) THEN {1} END",
            JSON,
            value,
            functions.call("json_parse", [value]),
        )
        before = self._hoisted(parsed)
        failed = "{0} IS NOT NULL AND {1} IS NULL"
        failure = "trino_invalid('Cannot convert value to JSON')"
        return build(f"CASE WHEN {failed} THEN {failure} ELSE {{1}} END", JSON, value, before)

    def _hoisted(self, expr: Expr) -> Expr:
        """An aggregate, a window or a subquery, which TRY of DuckDB does not take."""
        if self._try is None:
            return expr
        self._try.before.append(expr)
        name = f"{self._try.row}.h{len(self._try.before) - 1}"
        return Expr((name,), expr.type, opaque=True)

    def _filter(self, node: exp.Filter, frame: _Frame) -> Expr:
        return self._called(node, frame)

    def _window(self, node: exp.Window, frame: _Frame) -> Expr:
        _only(node, "this", "partition_by", "order", "spec", "alias")
        frame.windowed = True
        return self._called(node.this, frame, self._named_window(node, frame))

    def _named_window(self, node: exp.Window, frame: _Frame) -> exp.Window:
        """A window with what the one of WINDOW says that it names."""
        if not node.args.get("alias"):
            return node
        base = frame.windows.get(node.args["alias"].name.lower())
        if base is None:
            raise QueryFailed("INVALID_WINDOW_REFERENCE", "Cannot resolve WINDOW name")
        base = self._named_window(base, frame)
        whole = node.copy()
        for name in ("partition_by", "order", "spec"):
            if base.args.get(name):
                whole.set(name, base.args[name])
        return whole

    def _over(self, node: exp.Window, frame: _Frame) -> Expr:
        clause: list[str | Expr] = [" OVER ("]
        partition_by = node.args.get("partition_by") or []
        if partition_by:
            partition_keys = [_groupable(instant(self.expr(item, frame))) for item in partition_by]
            clause += ["PARTITION BY ", *separated(", ", partition_keys)]
        keys = self._order_inside(node.args.get("order"), frame)
        check_range(node.args.get("spec"), [key for key in keys if isinstance(key, Expr)])
        clause += keys
        return joined(*clause, f"{window_frame(node.args.get('spec'))})", type_=UNKNOWN)

    def _order_inside(self, order: exp.Order | None, frame: _Frame) -> list[str | Expr]:
        """ORDER BY of a window or of an aggregate's arguments."""
        pieces: list[str | Expr] = []
        for item in order.expressions if order is not None else []:
            _only(item, "this", "desc")
            key = operators.sort_key(self.expr(item.this, frame))
            pieces += [", " if pieces else " ORDER BY ", key, _direction(item)]
        return pieces

    def _called(self, node: exp.Expr, frame: _Frame, over: exp.Window | None = None) -> Expr:
        """An aggregate or window function with its DISTINCT, ORDER BY, FILTER and OVER."""
        held, self._try = self._try, None
        try:
            called = self._aggregate(node, frame, over)
        finally:
            self._try = held
        return self._hoisted(called)

    def _aggregate(self, node: exp.Expr, frame: _Frame, over: exp.Window | None) -> Expr:
        suffix: list[str | Expr] = []
        condition = None
        nulls = ""
        order: list[str | Expr] = []
        if isinstance(node, (exp.IgnoreNulls, exp.RespectNulls)):
            nulls = " IGNORE NULLS" if isinstance(node, exp.IgnoreNulls) else ""
            node = node.this
        if isinstance(node, exp.Filter):
            condition = self._boolean(node.expression.this, frame)
            suffix += [" FILTER (WHERE ", condition, ")"]
            node = node.this
        if over is not None:
            suffix.append(self._over(over, frame))
        if isinstance(node, exp.WithinGroup):
            order = self._order_inside(node.expression, frame)
            node = node.this
            if node.name.lower() != "listagg":
                raise not_supported(f"WITHIN GROUP of {node.name}")
            if over is not None:
                raise not_supported("listagg with OVER")
        elif isinstance(node, exp.Anonymous) and node.name.lower() == "listagg":
            raise not_supported("listagg without WITHIN GROUP")
        if not isinstance(node, exp.Anonymous):
            raise not_supported(f"{node.key.upper()} here")
        name, arguments = node.name.lower(), list(node.expressions)
        if over is not None:
            check_window(name, over)
        if name not in functions.AGGREGATES and (over is None or name not in functions.WINDOWS):
            raise self._unknown_function(name)
        if nulls and name not in _IGNORING_NULLS:
            raise not_supported(f"IGNORE NULLS of {name}")
        if arguments and isinstance(arguments[-1], exp.Order):
            if name != "array_agg":
                raise not_supported(f"ORDER BY in {name}")
            order = self._order_inside(arguments[-1], frame)
            arguments[-1] = arguments[-1].this
        distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
        if distinct:
            _only(arguments[0], "expressions")
            arguments = [*arguments[0].expressions, *arguments[1:]]
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        if distinct and over is not None:
            message = "DISTINCT in window function parameters not yet supported"
            raise QueryFailed("NOT_SUPPORTED", message)  # Trino's own words
        if distinct and len(arguments) != 1 and name != "listagg":
            raise not_supported("DISTINCT here")
        args: list[Argument] = [self._argument(arg, frame) for arg in arguments]
        if distinct:
            self._check_distinct(name, args, order)
        if condition is not None:
            # DuckDB evaluates arguments before it filters, and some rows cannot be compared.
            for position, arg in enumerate(args):
                if isinstance(arg, Expr) and arg.type.base == "row":
                    kept = build("CASE WHEN {1} THEN {0} END", arg.type, arg, condition)
                    args[position] = kept
        return functions.aggregate(name, args, windowed=over is not None).expr(
            distinct=distinct,
            order=joined(*order, type_=UNKNOWN),
            nulls=nulls,
            suffix=joined(*suffix, type_=UNKNOWN),
        )

    def _check_distinct(self, name: str, args: list[Argument], order: Sequence[str | Expr]) -> None:
        """Reject a DISTINCT that DuckDB would do otherwise; `count` compares instants."""
        if name in ("approx_distinct", "map_agg", "max_by", "min_by"):
            raise not_supported(f"DISTINCT in {name}")
        if name == "count" and isinstance(args[0], Expr):
            args[0] = instant(args[0])
        first = args[0]
        keys = [piece for piece in order if isinstance(piece, Expr)]
        if isinstance(first, Expr):
            _groupable(first)
            if any(key.parts != first.parts for key in keys):
                message = (
                    "For aggregate function with DISTINCT, ORDER BY expressions must appear in"
                    " arguments"
                )
                raise QueryFailed("EXPRESSION_NOT_IN_DISTINCT", message)

    def _unknown_function(self, name: str) -> QueryFailed:
        if name not in functions.SCALARS:
            analysis = validate(f'SELECT "{name}"()', function_arguments="off")
            if analysis.unknown_functions:
                return QueryFailed("FUNCTION_NOT_FOUND", f"Function '{name}' not registered")
        return not_supported(f"the function {name} here")


def with_place(error: QueryFailed, statement: Statement) -> QueryFailed:
    """The error as it is; that of a column outside of the groups in Trino's words, with its place.

    DuckDB finds it, and knows neither the names nor the places of the statement.
    """
    if error.name != "EXPRESSION_NOT_AGGREGATE":
        return error
    for select in statement.tree.find_all(exp.Select):
        for column in _ungrouped(select):
            name = column.sql("trino")
            message = f"'{name}' must be an aggregate expression or appear in GROUP BY clause"
            start = min(part.meta["start"] for part in column.walk() if "start" in part.meta)
            before = statement.sql[:start]
            place = (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
            return QueryFailed(error.name, message).at(*place)
    return error


def _ungrouped(select: exp.Select) -> Iterator[exp.Column]:
    """The columns of a SELECT that are neither aggregated nor grouped, by their names alone."""
    group = select.args.get("group")
    grouped: set[str] = set()
    aggregated: set[int] = set()
    for key in group.expressions if group is not None else []:
        if isinstance(key, exp.Literal):
            key = select.expressions[int(key.name) - 1]
        grouped |= {column.name.lower() for column in key.find_all(exp.Column)}
    for call in (call for item in select.expressions for call in item.find_all(exp.Anonymous)):
        if call.name.lower() in functions.AGGREGATES:
            aggregated |= {id(column) for column in call.find_all(exp.Column)}
    if group is None and not aggregated:
        return
    for column in (column for item in select.expressions for column in item.find_all(exp.Column)):
        if column.name.lower() not in grouped and id(column) not in aggregated:
            yield column


_EXPRESSIONS: dict[type[exp.Expr], Callable[[_Translator, Any, _Frame], Expr]] = {
    exp.And: _Translator._and,
    exp.Anonymous: _Translator._anonymous,
    exp.Array: _Translator._array,
    exp.Bracket: _Translator._bracket,
    exp.CurrentDate: _Translator._currentdate,
    exp.CurrentTimestamp: _Translator._currenttimestamp,
    exp.Dot: _Translator._dot,
    exp.Identifier: _Translator._identifier,
    exp.Localtimestamp: _Translator._localtimestamp,
    exp.Tuple: _Translator._tuple,
    exp.WithinGroup: _Translator._filter,
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
    """Reject a node that says more than the translation reads."""
    for name, value in node.args.items():
        if value and name not in allowed and name not in _PASSIVE_ARGS:
            raise not_supported(f"{name.rstrip('_').upper()} in {node.key.upper()}")


def _row_of(values: list[Expr]) -> tuple[list[Expr], tuple[str, ...]]:
    """The columns of a row of VALUES, and their names where they have some.

    A single value of type row is the whole row, as in `VALUES ROW(1, 2)`.
    """
    if len(values) == 1 and values[0].type.base == "row":
        return row_fields(values[0]), values[0].type.fields
    return values, ("",) * len(values)


def _common_name(names: Sequence[str]) -> str:
    """The name that all rows give a column, or nothing."""
    return names[0] if len(set(names)) == 1 else ""


def _scanned(column: str, type_: Type) -> str:
    """A table's column as Athena reads it: timestamps to the millisecond, char padded."""
    if type_ == TIMESTAMP:
        return f"trino_milliseconds({column})"
    return f"rpad({column}, {type_.precision}, ' ')" if type_.base == "char" else column


_GROUPING_SETS = {"rollup": "ROLLUP", "cube": "CUBE", "grouping_sets": "GROUPING SETS"}
_IGNORING_NULLS = ("first_value", "last_value", "nth_value", "lag", "lead")


def _ties(node: exp.Expr) -> int:
    """How many rows FETCH FIRST ... WITH TIES asks for; 0 if it does not stand there."""
    limit = node.args.get("limit")
    options = limit.args.get("limit_options") if isinstance(limit, exp.Fetch) else None
    if limit is None or options is None or not options.args.get("with_ties"):
        return 0
    count = limit.args.get("count") or exp.Literal.number(1)
    if not isinstance(count, exp.Literal) or not count.name.isdigit() or int(count.name) == 0:
        raise not_supported("this form of FETCH")
    return int(count.name)


def _is_comma(join: exp.Join) -> bool:
    """Whether a comma stands for it."""
    return not any(join.args.get(name) for name in ("side", "kind", "method", "on", "using"))


def _quantifier(node: exp.Expr) -> tuple[str, exp.Expr] | None:
    """ANY or ALL, and the query behind it."""
    if isinstance(node, exp.Any):
        return "ANY", node.this
    if isinstance(node, exp.All):
        return "ALL", node.this
    if isinstance(node, exp.Anonymous) and node.name.upper() in ("ALL", "ANY", "SOME"):
        return ("ALL" if node.name.upper() == "ALL" else "ANY"), node.expressions[0]
    return None


def _precision(node: exp.Expr) -> list[exp.Expr]:
    return [node.this] if isinstance(node.this, exp.Literal) else []


def _groupable(expr: Expr) -> Expr:
    """Reject what DuckDB would group otherwise: equal instants of two zones are one value."""
    if expr.type.holds_open_zone:
        raise not_supported("GROUP BY or DISTINCT of a timestamp whose time zone is not known")
    return expr


def _one_zone_each(keys: Sequence[Expr]) -> str:
    """A condition that is true, or fails if two rows differ in nothing but a time zone."""
    same = f"OVER (PARTITION BY {', '.join(instant(key).sql for key in keys)})"
    zones = [f"({key.sql}).z" for key in keys if key.type.is_zone_open]
    differ = " OR ".join(f"min({zone}) {same} <> max({zone}) {same}" for zone in zones)
    failure = f"trino_undone({quoted('one instant in several time zones')})"
    return f"CASE WHEN {differ} THEN {failure} ELSE true END"


def _direction(item: exp.Ordered) -> str:
    """NULLS LAST is Trino's default in both directions."""
    nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
    return f" {'DESC' if item.args.get('desc') else 'ASC'} NULLS {nulls}"
