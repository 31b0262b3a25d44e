"""The columns that a query names and returns, held against those that its tables have.

A column counts as unknown only if that is certain: every table or subquery that it could come from
has columns that are known, and none has it. Everything else is told as not checked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.scope import Scope, ScopeType, find_all_in_scope, traverse_scope

from athena_reports_cli.authoring.sql_parser import (
    DIALECT,
    KEYWORDS,
    SqlError,
    not_understood,
    parse_query,
)

TableTypes = Callable[[str, str], Mapping[str, str] | None]
"""Returns the Glue types of a table's columns by database and name; None if they are not known."""

_DEFAULT_CATALOG = "awsdatacatalog"
# What changes the columns of a table, or reads another version of it.
TABLE_CHANGES = ("pivots", "version", "when", "laterals")


class UnknownColumn(NamedTuple):
    """A column that a query names, and that none of its tables has.

    Attributes:
        name: As the SQL writes it, with its qualifier.
        start: Its place in the SQL.
        is_alias: Whether the SELECT around it gives this name, which only ORDER BY can use.
        sources: What was looked through, such as `database_dev.plays` or `the CTE totals`.
        columns: The columns that these have.
        tables: Those of the sources that are tables, by their names with a database.
    """

    name: str
    start: int
    is_alias: bool
    sources: tuple[str, ...]
    columns: tuple[str, ...]
    tables: tuple[str, ...] = ()


class QueryColumns(NamedTuple):
    """What is known of the columns of a query.

    Attributes:
        unknown: The columns that surely do not exist, in the order of the SQL.
        returned: The names of the columns that it returns; None if they are not known.
        not_checked: What is not certain, as texts such as `the columns of t`.
    """

    unknown: tuple[UnknownColumn, ...]
    returned: tuple[str, ...] | None
    not_checked: tuple[str, ...]


def query_columns(sql: str, database: str, table_types: TableTypes) -> QueryColumns:
    """Return which columns of a query do not exist, and which it returns.

    Args:
        sql: The query.
        database: The database of a table that the query names without one.
        table_types: Knows the tables.

    Raises:
        SqlError: The SQL cannot be read.
    """
    query = parse_with_columns(sql)
    try:
        normalize_identifiers(query, dialect=DIALECT)
        reader = _Reader(database, table_types)
        return reader.read(traverse_scope(query))
    except (SqlglotError, RecursionError) as error:
        raise not_understood(error) from error


def parse_with_columns(sql: str) -> exp.Query:
    """Return a query whose columns can be followed; SqlError if sqlglot does not know them."""
    query = parse_query(sql)
    if query.find(exp.MatchRecognize):
        raise SqlError("MATCH_RECOGNIZE is not understood.")
    return query


def types_of_table(
    table: exp.Table, database: str, table_types: TableTypes
) -> Mapping[str, str] | None:
    """Return the types of a table in Glue; None if it is of another catalog, or no table."""
    if _is_function(table) or "$" in table.name:
        return None
    if table.catalog and table.catalog.lower() != _DEFAULT_CATALOG:
        return None
    table_database = table.db if table.db else database
    return table_types(table_database.lower(), table.name.lower())


def _is_function(table: exp.Table) -> bool:
    """Whether it is a table function, which has no name, such as `TABLE(system.query(...))`."""
    return not isinstance(table.this, exp.Identifier)


class _Source(NamedTuple):
    """A table or a subquery in a FROM.

    Attributes:
        alias: Its name in the query, in lower case.
        description: What a message calls it.
        columns: Its columns in lower case; None if they are not known.
        table: Its name with its database; empty if it is no table.
    """

    alias: str
    description: str
    columns: tuple[str, ...] | None
    table: str = ""


class _Reader:
    """Reads the scopes of one query. A scope is a SELECT, or what else has columns of its own."""

    def __init__(self, database: str, table_types: TableTypes) -> None:
        self.database = database
        self.table_types = table_types
        self.not_checked: dict[str, None] = {}  # its keys, in their order and each once
        self._outputs: dict[int, tuple[str, ...] | None] = {}  # by the id of a scope

    def read(self, scopes: Sequence[Scope]) -> QueryColumns:
        unknown: dict[int, UnknownColumn] = {}
        looked_at: set[int] = set()
        for scope in scopes:
            for column in find_all_in_scope(scope.expression, exp.Column):
                if id(column) in looked_at:
                    continue  # it is in the scope of an UNNEST, and in the one around it
                looked_at.add(id(column))
                problem = self._look_at(column, scope)
                if problem is not None:
                    unknown[problem.start] = problem
            for problem in self._unknown_in_using(scope):
                unknown[problem.start] = problem
        in_order = tuple(unknown[start] for start in sorted(unknown))
        returned = self._outputs_of(scopes[-1])
        return QueryColumns(in_order, _named_by_athena(returned), tuple(self.not_checked))

    def _look_at(self, column: exp.Column, scope: Scope) -> UnknownColumn | None:
        """Return what is wrong with a column of a scope; None if nothing surely is."""
        if isinstance(column.this, exp.Star) or column.name.startswith("$"):
            return None  # such as "$path", which every table has
        names = [part.name.lower() for part in column.parts]
        sources = self._visible_sources(scope)
        own_names: tuple[str, ...] | None = ()
        if _is_in_order_by(column, scope):
            own_names = self._outputs_of(scope)
        if own_names is None or self._has(names, sources):
            return None
        if names[0] in own_names:
            if len(names) > 1:
                self.not_checked[f"the fields of {names[0]}"] = None
            return None
        has_nothing_to_name = not sources and not own_names
        named = [source for source in sources if source.alias in names[:-1]]
        # A name behind an alias is of that table: no other has a structure called like the alias.
        possible = named if named else sources
        is_uncertain = any(source.columns is None for source in possible)
        # sqlglot takes a word of a syntax that it does not know for a column.
        is_keyword = len(names) == 1 and names[0] in KEYWORDS and not column.this.quoted
        if has_nothing_to_name or is_uncertain or is_keyword:
            return None
        descriptions = [source.description for source in possible]
        known = list(own_names)
        for source in possible:
            known.extend(source.columns or ())
        if not sources:
            descriptions = ["the columns that are returned"]
        return UnknownColumn(
            name=".".join(part.name for part in column.parts),
            start=column.parts[0].meta_get("start", 0),
            is_alias=len(names) == 1 and names[0] in _aliases(scope),
            sources=tuple(dict.fromkeys(descriptions)),
            columns=tuple(name for name in dict.fromkeys(known) if name),
            tables=_tables(possible),
        )

    def _has(self, names: Sequence[str], sources: Sequence[_Source]) -> bool:
        """Return whether a name can be resolved: as a column, or as a field of one."""
        for source in sources:
            if source.columns is None:
                continue
            rest = names
            if len(names) > 1 and names[0] == source.alias:
                rest = names[1:]
            elif len(names) > 2 and names[1] == source.alias:  # with its database
                rest = names[2:]
            if rest[0] in source.columns:
                if len(rest) > 1:
                    self.not_checked[f"the fields of {rest[0]}"] = None
                return True
        return False

    def _visible_sources(self, scope: Scope) -> list[_Source]:
        """Return what the columns of a scope can come from: its FROM, and those around it."""
        sources = self._sources_of(scope)
        while scope.parent is not None:
            if scope.scope_type in (ScopeType.SUBQUERY, ScopeType.UDTF):
                sources.extend(self._sources_of(scope.parent))
            scope = scope.parent
        return sources

    def _sources_of(self, scope: Scope) -> list[_Source]:
        sources = []
        for name, (_, source) in scope.selected_sources.items():
            sources.append(self._source(name.lower(), source))
        return sources

    def _source(self, alias: str, source: exp.Table | Scope) -> _Source:
        table = ""
        if isinstance(source, exp.Table):
            database = source.db if source.db else self.database
            table = description = f"{database}.{source.name}".lower()
            if _is_function(source):
                table, description = "", "a table function"
            if alias != source.name.lower():
                description += f" AS {alias}"
            columns = self._columns_of_table(source)
        elif source.is_cte:
            cte = source.expression.find_ancestor(exp.CTE)
            assert cte is not None
            description = f"the CTE {cte.alias}"
            columns = tuple(name.lower() for name in cte.alias_column_names)
            if not columns:
                columns = self._outputs_of(source)
        else:
            description = alias if alias else "a subquery"
            columns = self._outputs_of(source)
        if columns is None:
            self.not_checked[f"the columns of {description}"] = None
        return _Source(alias, description, columns, table)

    def _columns_of_table(self, table: exp.Table) -> tuple[str, ...] | None:
        if any(table.args.get(change) for change in TABLE_CHANGES):
            return None
        if table.alias_column_names:
            return tuple(name.lower() for name in table.alias_column_names)
        types = types_of_table(table, self.database, self.table_types)
        if types is None:
            return None
        return tuple(name.lower() for name in types)

    def _outputs_of(self, scope: Scope) -> tuple[str, ...] | None:
        """Return the names that a scope gives; an empty name is none, and None is not known."""
        key = id(scope)
        if key not in self._outputs:
            self._outputs[key] = None  # of a query that reads itself
            self._outputs[key] = self._find_outputs(scope)
        return self._outputs[key]

    def _find_outputs(self, scope: Scope) -> tuple[str, ...] | None:
        query = scope.expression
        if isinstance(query, exp.Unnest):
            return _outputs_of_unnest(query)
        if scope.outer_columns:
            return tuple(name.lower() for name in scope.outer_columns)
        if isinstance(query, exp.SetOperation):
            return self._outputs_of(scope.union_scopes[0])
        if isinstance(query, exp.Subquery):  # the whole query stands in parentheses
            for inner in scope.subquery_scopes:
                if inner.expression is query.unnest():
                    return self._outputs_of(inner)
        if not isinstance(query, exp.Select):
            return None
        names: list[str] = []
        for column in query.expressions:
            if isinstance(column, exp.Paren) and isinstance(column.unnest(), exp.Column | exp.Dot):
                return None  # whether a name in parentheses is one is not documented
            if not column.is_star:
                names.append(_output_name(column))
                continue
            columns = self._columns_of_star(column, scope)
            if columns is None:
                return None
            names.extend(columns)
        return tuple(names)

    def _columns_of_star(self, star: exp.Expr, scope: Scope) -> list[str] | None:
        """Return the columns of `*` or `t.*`; None if they are not known."""
        shared = _using_names(scope)
        sources = self._sources_of(scope)
        if isinstance(star, exp.Column):
            if shared:
                return None
            sources = [source for source in sources if source.alias == star.table.lower()]
        elif not isinstance(star, exp.Star):
            return None
        if not sources:
            return None
        names: list[str] = []
        for source in sources:
            if source.columns is None:
                return None
            for name in source.columns:
                if name not in shared or name not in names:  # USING gives one of both
                    names.append(name)
        return names

    def _unknown_in_using(self, scope: Scope) -> list[UnknownColumn]:
        """Return the columns in USING that one of the two sides of a join does not have."""
        if not isinstance(scope.expression, exp.Select):
            return []
        problems = []
        sources = self._sources_of(scope)
        by_alias = {source.alias: source for source in sources}
        for join in scope.expression.args.get("joins") or []:
            right = by_alias.get(join.this.alias_or_name.lower())
            if right is None or right.columns is None:
                continue
            for identifier in join.args.get("using") or []:
                if identifier.name.lower() not in right.columns:
                    problem = UnknownColumn(
                        name=identifier.name,
                        start=identifier.meta_get("start", 0),
                        is_alias=False,
                        sources=(right.description,),
                        columns=right.columns,
                        tables=_tables([right]),
                    )
                    problems.append(problem)
        return problems


def _tables(sources: Sequence[_Source]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source.table for source in sources if source.table))


def _is_in_order_by(column: exp.Column, scope: Scope) -> bool:
    """Return whether a column stands in the ORDER BY of the query itself, not in that of a window.

    Only there a query can name what it returns.
    """
    order = column.find_ancestor(exp.Order)
    return order is not None and order.parent is scope.expression


def _aliases(scope: Scope) -> set[str]:
    """Return the names that a SELECT gives with AS."""
    if not isinstance(scope.expression, exp.Select):
        return set()
    aliases = set()
    for column in scope.expression.expressions:
        if isinstance(column, exp.Alias):
            aliases.add(column.alias.lower())
    return aliases


def _using_names(scope: Scope) -> set[str]:
    names = set()
    for join in scope.expression.args.get("joins") or []:
        for identifier in join.args.get("using") or []:
            names.add(identifier.name.lower())
    return names


def _outputs_of_unnest(unnest: exp.Unnest) -> tuple[str, ...] | None:
    names = [name.lower() for name in unnest.alias_column_names]
    offset = unnest.args.get("offset")
    if isinstance(offset, exp.Identifier):  # the name of WITH ORDINALITY
        names.append(offset.name.lower())
    if not names:
        return None
    return tuple(names)


def _output_name(column: exp.Expr) -> str:
    """Return the name of a column of a SELECT, empty for none: only a name gives it one."""
    if isinstance(column, exp.Alias | exp.Column | exp.Dot):
        return column.alias_or_name.lower()
    return ""


def _named_by_athena(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names in the result of a query. Athena calls a column without one `_col0`."""
    if names is None:
        return None
    return tuple(name if name else f"_col{place}" for place, name in enumerate(names))
