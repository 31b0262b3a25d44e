"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report, and each is a SQL query over the rows as they were written:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]

A check that is declared wrongly, such as a range without a bound, raises ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from athena_reports.rows.columns import duckdb_type
from athena_reports.rows.engine import Engine, reason
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from athena_reports.rows.columns import TableColumn
    from athena_reports.rows.writer import LocalTable

__all__ = ["change", "expression", "in_range", "not_null", "rows", "schema", "unique"]

Severity = Literal["fail", "warn"]
Against = Literal["previous_period", "previous_version"]
Bound = int | float | Decimal | date

_ROW_NUMBER = "row number"  # what an offending row calls its number
# How DuckDB's errors begin, and how it says that a column is not there.
_ERROR_KIND = re.compile(r"^(\w+ )?\w+ Error: ")
_MISSING_COLUMN = re.compile(r'Referenced column "(?P<name>.+)" not found')
_SHOWN_ROWS = 5
_SHOWN_COLUMNS = 20
_SHOWN_CHARACTERS = 80

# An author's column may have any name. So no SELECT here has both the names of the rows and names
# of its own, and `(FROM ...)` hides the columns that DuckDB adds to a file, such as filename.
# The line ends after an author's condition, which may end in a comment.
_FAILING_ROWS = """
SELECT number
FROM (
    SELECT
        row_number() OVER (),
        ({condition}
        ) IS TRUE
    FROM (FROM {source})
) AS checked(number, is_true)
WHERE NOT is_true
"""
# A window spills where a GROUP BY over many values runs out of memory.
_REPEATED_ROWS = """
SELECT number
FROM (
    SELECT row_number() OVER (), {columns}
    FROM (FROM {source})
) AS keyed(number, {keys})
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY number) > 1
"""
# The second value is a list: `min` with a number n gives the n least values.
_COUNT_ROWS = """
SELECT count(*), min(number, {shown_rows})
FROM ({failing_rows})
"""
# The alias names the first column only, which is all that the outer SELECT calls by name.
_SHOW_ROWS = """
SELECT *
FROM (
    SELECT {values}
    FROM (FROM {source})
) AS file(number)
WHERE number IN ({numbers})
ORDER BY number
"""
_SHORT_TEXT = "left(coalesce({column}::VARCHAR, 'NULL'), {characters})"
_TOTAL = "SELECT coalesce(sum({column}), 0) FROM (FROM {source})"


class CheckResult(BaseModel, frozen=True):
    """What a check found."""

    name: str
    severity: Severity
    passed: bool
    message: str
    # A few offending rows as text, with their `row number`, from 1.
    rows: tuple[dict[str, str], ...] = ()
    # The number of rows, or of rows that failed; for `change` the total.
    value: int | float | None = None


class Baseline(Protocol):
    """What was published before: the number of its rows, and what its checks found."""

    @property
    def rows(self) -> int: ...
    @property
    def checks(self) -> Sequence[CheckResult]: ...


class Check(BaseModel, frozen=True):
    """A check as a report declares it."""

    name: str
    severity: Severity
    # Takes the LocalTable, the Engine, and what the check compares with; returns a `_Finding`.
    find: Callable[[Any, Any, Baseline | None], Any]
    against: Against | None = None
    # The columns that tell rows apart, if that is what is checked: see `Report.row_key`.
    key: tuple[str, ...] = ()


class _Finding(NamedTuple):
    """What a check finds, apart from what it is called."""

    passed: bool
    message: str
    rows: tuple[dict[str, str], ...] = ()
    value: int | float | None = None


def run_checks(
    checks: Sequence[Check],
    table: LocalTable,
    engine: Engine,
    *,
    previous_period: Baseline | None = None,
    previous_version: Baseline | None = None,
) -> tuple[CheckResult, ...]:
    """Return what each check finds in the rows of a table; a check that cannot run fails.

    Args:
        checks: The checks, as the report declares them.
        table: The rows.
        engine: The engine that wrote them.
        previous_period: What is published of the period before; None if nothing is.
        previous_version: What is published of the same period; None if nothing is.

    Raises:
        duckdb.Error: A check fails for a reason that `Engine.explain` knows, such as a full disk.
    """
    import duckdb

    results = []
    for check in checks:
        baseline = None
        if check.against == "previous_period":
            baseline = previous_period
        elif check.against == "previous_version":
            baseline = previous_version
        try:
            finding = check.find(table, engine, baseline)
        except (ValueError, duckdb.Error) as error:
            if engine.explain(error) is not None:
                raise  # `open_engine` raises the explained error in its place
            finding = _Finding(False, f"It cannot be checked: {_problem(error, table)}.")
        result = CheckResult(
            name=check.name,
            severity=check.severity,
            passed=finding.passed,
            message=finding.message,
            rows=finding.rows,
            value=finding.value,
        )
        results.append(result)
    return tuple(results)


def _problem(error: Exception, table: LocalTable) -> str:
    """Return why a check cannot run, without the words that DuckDB has for kinds of errors."""
    full_reason = reason(error)
    problem = _ERROR_KIND.sub("", full_reason)
    missing = _MISSING_COLUMN.search(problem)
    if missing is not None:
        return _no_column(missing["name"], table)
    is_own = type(error) is ValueError  # with a text of this module; others may quote values
    if table.private_columns and not is_own:
        return f"{type(error).__name__}, whose text may quote a private column"
    return problem


def _require_columns(names: Sequence[str], table: LocalTable) -> None:
    """Raise ValueError for a column that is not there.

    DuckDB says so too, but not for one with the name of a function, such as `user`.
    """
    written = {column.name.lower() for column in table.columns}  # DuckDB takes any case
    for name in names:
        if name.lower() not in written:
            raise ValueError(_no_column(name, table))


def _no_column(name: str, table: LocalTable) -> str:
    columns = ", ".join(column.name for column in table.columns)
    return f"there is no column {name}. The columns are {columns}"


def failed_checks(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results that forbid to publish."""
    return [result for result in results if not result.passed and result.severity == "fail"]


def failures(results: Sequence[CheckResult]) -> str:
    """Return what the failed checks say that forbid to publish; an empty text if there are none."""
    messages = []
    for result in failed_checks(results):
        message = f"Check {result.name} failed: {result.message}"
        if result.rows:
            examples = "; ".join(_example(row) for row in result.rows)
            message += f" For example {examples}."
        messages.append(message)
    return " ".join(messages)


def _example(row: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


def rows(
    *, at_least: int | None = None, at_most: int | None = None, severity: Severity = "fail"
) -> Check:
    """Check the number of rows. The severity of a check is `fail` or `warn`."""
    interval = _interval(at_least, at_most)

    def find(table: LocalTable, _engine: Engine, _baseline: Baseline | None) -> _Finding:
        is_too_few = at_least is not None and table.rows < at_least
        is_too_many = at_most is not None and table.rows > at_most
        message = f"There are {table.rows:,} rows; expected {interval}."
        return _Finding(not is_too_few and not is_too_many, message, value=table.rows)

    return Check(name=f"rows({interval})", severity=severity, find=find)


def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.
    """
    names = _listed(columns)
    identifiers = ", ".join(map(quoted, columns))
    keys = ", ".join(f"key_{place}" for place in range(len(columns)))

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> _Finding:
        _require_columns(columns, table)
        repeated = _REPEATED_ROWS.format(columns=identifiers, keys=keys, source=table.source)
        return _count_failing(repeated, f"repeat the {names} of one before", columns, table, engine)

    return Check(name=f"unique({names})", severity=severity, find=find, key=columns)


def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no row has NULL in any of these columns."""
    names = _listed(columns)
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> _Finding:
        _require_columns(columns, table)
        failing = _FAILING_ROWS.format(condition=condition, source=table.source)
        problem = f"have NULL in {' or '.join(columns)}"
        return _count_failing(failing, problem, columns, table, engine)

    return Check(name=f"not_null({names})", severity=severity, find=find)


def in_range(
    column: str,
    *,
    at_least: Bound | None = None,
    at_most: Bound | None = None,
    severity: Severity = "fail",
) -> Check:
    """Check that each value of a column is within bounds, which are included.

    NULL passes; see `not_null`. NaN does not. An int or a Decimal is compared exactly with integers
    and decimals, a float as a double. A date as the bound of a timestamp means its midnight; a time
    without a zone is in UTC.
    """
    interval = _interval(at_least, at_most)
    name = quoted(column)
    limits = []
    if at_least is not None:
        limits.append(f"{name} >= {_sql_bound(at_least)}")
    if at_most is not None:
        limits.append(f"{name} <= {_sql_bound(at_most)}")
    elif not isinstance(at_least, date):
        # This refuses NaN, which is greater than infinity in DuckDB.
        limits.append(f"{name} <= {_sql_bound(math.inf)}")
    condition = f"{name} IS NULL OR ({' AND '.join(limits)})"

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> _Finding:
        _require_columns([column], table)
        failing = _FAILING_ROWS.format(condition=condition, source=table.source)
        problem = f"have a {column} outside the range {interval}"
        return _count_failing(failing, problem, [column], table, engine)

    return Check(name=f"in_range({column}, {interval})", severity=severity, find=find)


def expression(condition: str, *, description: str = "", severity: Severity = "fail") -> Check:
    """Check a condition of your own on each row.

    It is one condition in DuckDB's SQL, such as `score >= plays`. A row passes only where it is
    true; NULL does not pass. `description` says in words what holds.
    """
    if not condition.strip():
        raise ValueError("expression(): give a condition in SQL, such as 'score >= plays'.")
    if not description:
        description = condition

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> _Finding:
        # This query and the next are only made, not run: DuckDB tells by then what is wrong with
        # them.
        value = engine.connection.sql(f"SELECT ({condition}\n) FROM (FROM {table.source})")
        kind = value.types[0].id
        if kind != "boolean":
            raise ValueError(f"the condition is a {kind}; it has to be true or false")
        # DuckDB refuses an aggregate or a window in WHERE: a condition is of one row.
        engine.connection.sql(f"FROM (FROM {table.source}) WHERE ({condition}\n)")
        failing = _FAILING_ROWS.format(condition=condition, source=table.source)
        return _count_failing(failing, f"do not satisfy: {description}", (), table, engine)

    return Check(name=f"expression({description})", severity=severity, find=find)


def change(
    what: str, *, within: float, against: Against = "previous_period", severity: Severity = "fail"
) -> Check:
    """Check that a figure has not changed by too much.

    Args:
        what: `rows` for the number of rows, or a numeric column for its total. Integers and
            decimals are added exactly; NULL counts for nothing.
        within: By which part of the earlier figure it may differ, up or down: 0.5 for half of it.
        against: `previous_period`, or `previous_version` for what is published of the same period.
            If there is none, or it was published without this check, the check passes and says so.
        severity: `fail` or `warn`.
    """
    if not 0 <= within < math.inf:
        raise ValueError(
            f"change({what!r}): within is {within!r}, expected 0 or more, such as 0.5."
        )
    baseline_name = against.replace("_", " ")

    def find(table: LocalTable, engine: Engine, baseline: Baseline | None) -> _Finding:
        current: int | float
        previous: int | float | None
        is_private = what != "rows" and table.is_private(what)
        if what == "rows":
            current = table.rows
            previous = None if baseline is None else baseline.rows
            figure = f"{current:,} rows"
        else:
            current = _total(what, table, engine)
            previous = _published_total(what, baseline)
            figure = f"The total of {what}"
            if not is_private:
                figure += f" is {current:,}"
        if previous is None:
            message = f"{figure}; the {baseline_name} has nothing to compare with."
            return _Finding(True, message, value=current)

        difference = _exact(current) - _exact(previous)
        allowed_difference = _exact(within) * abs(_exact(previous))
        comparison = f"that of the {baseline_name}"
        if not is_private:
            comparison = f"{previous:,} in the {baseline_name}"
        if previous != 0:
            relative_difference = float(difference / _exact(previous))
            comparison += f" ({relative_difference:+.1%})"
        message = f"{figure}, after {comparison}; expected within {within:.1%}."
        return _Finding(abs(difference) <= allowed_difference, message, value=current)

    name = f"change({what}, within={within}, against={against})"
    return Check(name=name, severity=severity, find=find, against=against)


def _total(column: str, table: LocalTable, engine: Engine) -> int | float:
    """Return the total of a column, as a JSON file can hold it."""
    _require_columns([column], table)
    sql = _TOTAL.format(column=quoted(column), source=table.source)
    total = engine.connection.execute(sql).fetchall()[0][0]
    if not math.isfinite(total):
        raise ValueError(f"{column} has no total: it is {total}")
    if total == int(total):
        return int(total)
    return float(total)


def _published_total(column: str, baseline: Baseline | None) -> int | float | None:
    """Return the total that a check of the column found, whatever it allowed; None without one."""
    if baseline is None:
        return None
    for result in baseline.checks:
        if result.name.startswith(f"change({column}, "):
            return result.value
    return None


def _exact(figure: int | float) -> Fraction:
    """Return a figure as it is written: 0.3 is three tenths."""
    return Fraction(str(figure))


def schema(columns: Mapping[str, str], *, severity: Severity = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Types are called as in a result of Athena or in a table, such as `bigint`, `varchar` or
    `array<string>`.
    """
    if not columns:
        raise ValueError("schema(): give the type of each column.")
    accepted_types = {}
    for name, kind in columns.items():
        glue_type = kind.lower().replace(" ", "")
        accepted_types[name] = {glue_type, duckdb_type(kind)}

    def find(table: LocalTable, _engine: Engine, _baseline: Baseline | None) -> _Finding:
        problems = _column_problems(table, columns, accepted_types, _SCHEMA_MESSAGES)
        written_names = [column.name for column in table.columns]
        if not problems and written_names != list(columns):
            in_written_order = ", ".join(written_names)
            problems.append(f"they come as {in_written_order}, expected {', '.join(columns)}")
        if problems:
            return _Finding(False, f"The columns differ: {'; '.join(problems)}.")
        return _Finding(True, "The columns are as expected.")

    return Check(name="schema", severity=severity, find=find)


def promised(columns: Mapping[str, str]) -> Check:
    """Return the check that the rows have exactly these columns, in any order.

    Types are called as in Glue.
    """
    accepted_types = {name: {kind} for name, kind in columns.items()}

    def find(table: LocalTable, _engine: Engine, _baseline: Baseline | None) -> _Finding:
        problems = _column_problems(table, columns, accepted_types, _PROMISE_MESSAGES)
        if problems:
            message = f"The columns are not those that the report declares: {'; '.join(problems)}."
            return _Finding(False, f"{message} {_way_out(table, accepted_types)}")
        return _Finding(True, "The columns are those that the report declares.")

    return Check(name="columns", severity="fail", find=find)


def _way_out(table: LocalTable, accepted_types: Mapping[str, Collection[str]]) -> str:
    """Say where to correct the columns that are not as promised: in the SQL or the transform."""
    if table.query_columns is None:
        return "CAST or name them in the SQL (AS), or correct the columns of the report."
    query_types = {column.name: column.glue for column in table.query_columns}
    written_types = {column.name: column.glue for column in table.columns}
    in_sql = []
    in_transform = []
    left_out = []
    nowhere = []
    for name in dict.fromkeys([*accepted_types, *written_types]):
        written_type = written_types.get(name)
        if written_type is None and name in query_types:
            left_out.append(name)
        elif written_type is None:
            nowhere.append(name)
        elif written_type in accepted_types.get(name, ()):
            continue
        elif query_types.get(name) == written_type:
            in_sql.append(name)
        else:
            in_transform.append(name)

    sentences = []
    if in_sql:
        sentences.append(f"CAST or name {', '.join(in_sql)} in the SQL (AS).")
    if in_transform:
        names = ", ".join(in_transform)
        sentences.append(
            f"The transform gives {names}: CAST or name it there, for each_row in `adds`."
        )
    if left_out:
        sentences.append(f"The transform leaves out {', '.join(left_out)}: return it there.")
    if nowhere:
        names = ", ".join(nowhere)
        sentences.append(f"Add {names} in the SQL or the transform.")
    return f"{' '.join(sentences)} Or correct the columns of the report."


class _ColumnMessages(NamedTuple):
    """What a check of the columns says of a column, as templates for `str.format`."""

    missing: str
    other_type: str
    not_expected: str


_SCHEMA_MESSAGES = _ColumnMessages(
    missing="{name} is missing, expected {expected}",
    other_type="{name} is {duckdb_type}, expected {expected}",
    not_expected="{name} is {duckdb_type}, expected no such column",
)
_PROMISE_MESSAGES = _ColumnMessages(
    missing="{name!r} is missing, declared as {expected}",
    other_type="{name!r} is {glue_type}, declared as {expected}",
    not_expected="{name!r} is {glue_type}, declared as no column",
)


def _column_problems(
    table: LocalTable,
    columns: Mapping[str, str],
    accepted_types: Mapping[str, Collection[str]],
    messages: _ColumnMessages,
) -> list[str]:
    """Return what is wrong with the columns of a table, whatever their order.

    Args:
        table: The table.
        columns: The columns that it should have, each with its type as it was declared.
        accepted_types: For each of these columns the types that it may have, as DuckDB or Glue
            calls them. DuckDB's are in capitals and Glue's are not, so no name is of both.
        messages: How a problem is told.
    """
    problems = []
    written = {column.name: column for column in table.columns}
    for name, kind in columns.items():
        if name not in written:
            problems.append(messages.missing.format(name=name, expected=kind))
            continue
        column = written[name]
        is_accepted = column.type in accepted_types[name] or column.glue in accepted_types[name]
        if not is_accepted:
            problem = messages.other_type.format(
                name=name,
                duckdb_type=column.type,
                glue_type=_glue_or_duckdb_type(column),
                expected=kind,
            )
            problems.append(problem)
    for name, column in written.items():
        if name not in columns:
            problem = messages.not_expected.format(
                name=name, duckdb_type=column.type, glue_type=_glue_or_duckdb_type(column)
            )
            problems.append(problem)
    return problems


def _glue_or_duckdb_type(column: TableColumn) -> str:
    """Return what Glue calls the type of a column, or DuckDB if Glue has no such type."""
    if column.glue:
        return column.glue
    return column.type


def _count_failing(
    failing_rows: str, problem: str, first_columns: Sequence[str], table: LocalTable, engine: Engine
) -> _Finding:
    """Count the rows that fail, and show a few of them.

    Args:
        failing_rows: The query of their numbers, in a column `number`.
        problem: What these rows do, for the message.
        first_columns: The columns that are shown first.
        table: All rows.
        engine: The engine that has them.
    """
    sql = _COUNT_ROWS.format(shown_rows=_SHOWN_ROWS, failing_rows=failing_rows)
    count, first_numbers = engine.connection.execute(sql).fetchall()[0]
    message = f"{count:,} of {table.rows:,} rows {problem}."
    if count == 0:
        return _Finding(True, message, value=count)
    examples = _shown_rows(first_numbers, first_columns, table, engine)
    return _Finding(False, message, examples, value=count)


def _shown_rows(
    numbers: Sequence[int], first_columns: Sequence[str], table: LocalTable, engine: Engine
) -> tuple[dict[str, str], ...]:
    """Return rows as short texts by the names of their columns, with their numbers.

    Private columns are left out.
    """
    all_columns = [column.name for column in table.columns]
    names: list[str] = []
    for name in [*first_columns, *all_columns]:
        is_hidden = name == _ROW_NUMBER or table.is_private(name)
        if name not in names and not is_hidden:
            names.append(name)
    names = names[:_SHOWN_COLUMNS]
    short_texts = []
    for name in names:
        short_text = _SHORT_TEXT.format(column=quoted(name), characters=_SHOWN_CHARACTERS)
        short_texts.append(short_text)
    sql = _SHOW_ROWS.format(
        values=", ".join(["row_number() OVER ()", *short_texts]),
        source=table.source,
        numbers=", ".join(map(str, numbers)),
    )

    shown = []
    for number, *texts in engine.connection.execute(sql).fetchall():
        row = {_ROW_NUMBER: str(number)}
        row.update(zip(names, texts, strict=True))
        shown.append(row)
    return tuple(shown)


def _sql_bound(bound: Bound) -> str:
    """Return a bound as SQL has it, in the type that it is compared as."""
    if isinstance(bound, datetime) and bound.tzinfo is not None:
        return f"'{bound}'::TIMESTAMPTZ"
    if isinstance(bound, date):
        return f"'{bound}'::TIMESTAMP"
    if isinstance(bound, float):
        return f"'{bound}'::DOUBLE"
    # Without an exponent: DuckDB reads a number with one as a DOUBLE.
    return f"{Decimal(bound):f}"


def _listed(columns: Sequence[str]) -> str:
    """Return columns as the name of a check has them; ValueError if one is empty or named twice."""
    is_repeated = len(set(columns)) < len(columns)
    if not columns or not all(columns) or is_repeated:
        raise ValueError(f"{list(columns)!r} has to name at least one column, and each once.")
    return ", ".join(columns)


def _interval(at_least: Any, at_most: Any) -> str:
    """Return bounds as the name of a check has them; ValueError if nothing lies within them."""
    bounds = []
    if at_least is not None:
        bounds.append(f"at_least={at_least}")
    if at_most is not None:
        bounds.append(f"at_most={at_most}")
    interval = ", ".join(bounds)
    if not bounds:
        raise ValueError("give at_least, at_most, or both.")
    if len(bounds) == 2 and not at_least <= at_most:
        raise ValueError(f"nothing is {interval}.")
    return interval
