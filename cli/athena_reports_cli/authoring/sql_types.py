"""The types of the columns that a query returns, by those that its tables have.

`returned_types` takes sqlglot's word for them. It does not always say what Athena does, so this is
only good to try transforms. `certain_types` has rules of its own, for the forms that Athena's
documentation, or Trino's, gives a type to. Of all other forms it says nothing.
"""

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from athena_reports.rows.columns import glue_name
from athena_reports_cli.authoring.sql_columns import (
    TABLE_CHANGES,
    TableTypes,
    parse_with_columns,
    types_of_table,
)
from athena_reports_cli.authoring.sql_parser import DIALECT, SqlError, not_understood

_INTEGERS = ("tinyint", "smallint", "int", "bigint")  # each holds those before it
_FLOATS = ("float", "double")
_LARGEST_INT = 2**31 - 1
_BIGINTS = (
    *(exp.Count, exp.CountIf, exp.ApproxDistinct, exp.RowNumber, exp.Rank, exp.DenseRank),
    *(exp.Length, exp.DateDiff, exp.Extract),
)
_BOOLEANS = (exp.Predicate, exp.And, exp.Or, exp.Not, exp.Boolean)
_TEXTS = (exp.Lower, exp.Upper, exp.TimeToStr)
# What has the type of its first argument, unless another argument, such as the default of LAG, may
# change it.
_SAME = (
    *(exp.Alias, exp.Paren, exp.Window, exp.Filter, exp.IgnoreNulls, exp.Neg, exp.AnyValue),
    *(exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.Min, exp.Max),
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)


def returned_types(sql: str, database: str, table_types: TableTypes) -> tuple[str, ...]:
    """Return the Athena types of the columns that a query returns, in their order.

    Arguments are those of `query_columns`.

    Raises:
        SqlError: The SQL cannot be read, or sqlglot does not know a type.
    """
    query = parse_with_columns(sql)
    try:
        schema = _schema(query, database, table_types)
        qualified = _qualified(query, database, schema)
        annotated = annotate_types(qualified, schema, dialect=DIALECT)
    except (SqlglotError, RecursionError) as error:
        raise not_understood(error) from error
    types = []
    for column in annotated.selects:
        kind = column.type
        if kind is None or kind.is_type(exp.DType.UNKNOWN, exp.DType.NULL):
            raise SqlError(f"the type of {column.alias_or_name!r} is not known.")
        types.append(kind.sql(DIALECT))
    return tuple(types)


def certain_types(sql: str, database: str, table_types: TableTypes) -> tuple[str, ...]:
    """Return what Glue calls the types of the columns that a query returns, in their order.

    It is empty for a column whose type is not certain, and for an array, a map and a row. No type
    is returned if their number is not certain. Arguments are those of `query_columns`.

    Raises:
        SqlError: The SQL cannot be read.
    """
    query = parse_with_columns(sql)
    try:
        qualified = _qualified(query, database, _schema(query, database, table_types))
        scopes = traverse_scope(qualified)
        types = _Types(database, table_types).of_scope(scopes[-1])
    except (SqlglotError, RecursionError) as error:
        raise not_understood(error) from error
    return tuple(kind for _, kind in types)


def _qualified(query: exp.Query, database: str, schema: MappingSchema) -> exp.Query:
    return qualify(
        query,
        dialect=DIALECT,
        db=database,
        schema=schema,
        expand_alias_refs=False,  # in Athena, a SELECT cannot use the names that it gives
        validate_qualify_columns=False,
    )


def _schema(query: exp.Query, database: str, table_types: TableTypes) -> MappingSchema:
    schema = MappingSchema(dialect=DIALECT)
    for table in query.find_all(exp.Table):
        types = types_of_table(table, database, table_types)
        if types is None:
            continue
        columns = {}
        for name, kind in types.items():
            columns[name] = exp.DataType.build(kind, dialect="hive")
        table_database = table.db if table.db else database
        schema.add_table(exp.table_(table.name, db=table_database), columns, dialect=DIALECT)
    return schema


class _Types:
    """Finds types in one query whose columns all have the name of their table before them.

    A type is what Glue calls it; an empty one is not certain.
    """

    def __init__(self, database: str, table_types: TableTypes) -> None:
        self.database = database
        self.table_types = table_types
        self._known: dict[int, Sequence[tuple[str, str]]] = {}  # by the id of a scope

    def of_scope(self, scope: Scope) -> Sequence[tuple[str, str]]:
        """Return the columns that a scope gives, each with its type."""
        key = id(scope)
        if key not in self._known:
            self._known[key] = self._find(scope)
        return self._known[key]

    def _find(self, scope: Scope) -> Sequence[tuple[str, str]]:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            first, second = (self.of_scope(part) for part in scope.union_scopes)
            if len(first) != len(second):
                return ()
            return [
                (name, _common([kind, other]))
                for (name, kind), (_, other) in zip(first, second, strict=True)
            ]
        if not isinstance(query, exp.Select):
            return ()
        return [(column.alias_or_name.lower(), self._of(column, scope)) for column in query.selects]

    def _of(self, value: exp.Expr | None, scope: Scope) -> str:
        """Return the type of an expression in a scope."""
        if isinstance(value, exp.Column):
            return self._of_column(value, scope)
        if isinstance(value, exp.Cast):  # TRY_CAST too
            return _in_glue(value.to.sql(DIALECT))
        if isinstance(value, exp.Literal):
            return _of_literal(value)
        if isinstance(value, _BOOLEANS):
            return "boolean"
        if isinstance(value, _BIGINTS):
            return "bigint"
        if isinstance(value, _TEXTS):
            return "string"
        if isinstance(value, exp.Sum | exp.Avg):
            return _of_aggregate(value, self._of(_each_once(value.this), scope))
        if isinstance(value, exp.Coalesce | exp.If | exp.Case):
            return _common([self._of(result, scope) for result in _results(value)])
        if isinstance(value, exp.DPipe):
            return _text([self._of(value.left, scope), self._of(value.right, scope)])
        if isinstance(value, _ARITHMETIC):
            return _of_numbers([self._of(value.left, scope), self._of(value.right, scope)])
        if isinstance(value, exp.Round):
            return _of_numbers([self._of(value.this, scope)])
        has_other_values = value is not None and (value.expressions or value.args.get("default"))
        if isinstance(value, _SAME) and not has_other_values:
            return self._of(value.this, scope)
        return ""

    def _of_column(self, column: exp.Column, scope: Scope) -> str:
        source = scope.sources.get(column.table)
        name = column.name.lower()
        if isinstance(source, Scope):
            return _type_of(name, self.of_scope(source))
        if source is None or any(source.args.get(change) for change in TABLE_CHANGES):
            return ""
        types = types_of_table(source, self.database, self.table_types)
        if types is None or source.alias_column_names:
            return ""
        return _type_of(name, [(known.lower(), _in_glue(kind)) for known, kind in types.items()])


def _type_of(name: str, columns: Sequence[tuple[str, str]]) -> str:
    types = [kind for known, kind in columns if known == name]
    if len(types) != 1:
        return ""
    return types[0]


def _in_glue(kind: str) -> str:
    """Return Glue's name of a type of a table or of a CAST; empty if it has parts or none."""
    if kind.lower() == "unknown" or "<" in kind:
        return ""
    try:
        return glue_name(kind)
    except ValueError:
        return ""


def _of_literal(literal: exp.Literal) -> str:
    if literal.is_string:
        return "string"
    if not literal.this.isdecimal():  # a decimal or a double
        return ""
    number = int(literal.this)
    if number == _LARGEST_INT + 1:  # int if a minus stands before it
        return ""
    return "int" if number <= _LARGEST_INT else "bigint"


def _each_once(value: exp.Expr) -> exp.Expr:
    """Return what DISTINCT stands before."""
    if not isinstance(value, exp.Distinct) or len(value.expressions) != 1:
        return value
    (inner,) = value.expressions
    assert isinstance(inner, exp.Expr)
    return inner


def _of_aggregate(value: exp.Sum | exp.Avg, kind: str) -> str:
    """Return the type of a sum or an average of values of a type."""
    if kind in _FLOATS:
        return kind
    if kind in _INTEGERS:
        return "bigint" if isinstance(value, exp.Sum) else "double"
    if not kind.startswith("decimal"):
        return ""
    if isinstance(value, exp.Avg):
        return kind
    scale = kind.rpartition(",")[2]
    return f"decimal(38,{scale}"


def _results(value: exp.Coalesce | exp.If | exp.Case) -> list[exp.Expr]:
    """Return what an expression gives one of, without NULL, which is of any type."""
    if isinstance(value, exp.Coalesce):
        results = [value.this, *value.expressions]
    elif isinstance(value, exp.If):
        results = [value.args["true"], value.args.get("false")]
    else:
        results = [case.args["true"] for case in value.args["ifs"]]
        results.append(value.args.get("default"))
    return [result for result in results if result and not isinstance(result, exp.Null)]


def _common(types: Sequence[str]) -> str:
    """Return the type that values of several types have in one column."""
    if len(set(types)) == 1:
        return types[0]
    if set(types) <= set(_INTEGERS):
        return max(types, key=_INTEGERS.index, default="")
    return ""


def _text(types: Sequence[str]) -> str:
    return "string" if set(types) == {"string"} else ""


def _of_numbers(types: Sequence[str]) -> str:
    """Return the type of what is calculated of integers and floats.

    It is empty for decimals, whose digits change.
    """
    if not set(types) <= {*_INTEGERS, *_FLOATS}:
        return ""
    for float_type in ("double", "float"):
        if float_type in types:
            return float_type
    return _common(types)
