"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report, and each is a SQL query over the rows as they were written:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]

A check that is declared wrongly, such as a range without a bound, raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from athena_reports.rows.columns import duckdb_type, quoted
from athena_reports.rows.engine import Engine, reason

if TYPE_CHECKING:
    from athena_reports.rows.writer import LocalTable

__all__ = ["change", "expression", "in_range", "not_null", "rows", "schema", "unique"]

Severity = Literal["fail", "warn"]
Against = Literal["previous_period", "previous_version"]
Bound = int | float | Decimal | date
_SEPARATOR = ", "  # of columns in the name of a check

# The author's names stand only where nothing but the rows has a name: what is made here is named outside of that.
# `(FROM ...)` hides the columns that DuckDB adds to a file, such as file_row_number.
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
_COUNT_ROWS = """
SELECT count(*), min(number, 5)
FROM ({failing_rows})
"""
_SHOW_ROWS = """
SELECT *
FROM (
    SELECT {values}
    FROM (FROM {source})
) AS file(number)
WHERE number IN ({numbers})
ORDER BY number
"""
_TOTAL = "SELECT coalesce(sum({column}), 0) FROM (FROM {source})"


class CheckResult(BaseModel, frozen=True):
    """What a check found."""

    name: str
    severity: Severity
    passed: bool
    message: str
    rows: tuple[dict[str, str], ...] = ()  # a few offending rows as text, with their `row number`, from 1
    value: int | float | None = None  # number of rows, or of rows that failed; for `change` the total


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
    find: Callable[[Any, Any, Baseline | None], Any]  # of the table, the engine, and what it compares with
    against: Against | None = None
    key: tuple[str, ...] = ()  # columns that tell rows apart, if that is what is checked


def run_checks(
    checks: Sequence[Check], table: LocalTable, engine: Engine, **published: Baseline | None
) -> tuple[CheckResult, ...]:
    """Return what each check finds, against `previous_period=` and `previous_version=`; one that cannot run fails."""
    import duckdb

    results = []
    for check in checks:
        try:
            found = check.find(table, engine, published.get(check.against or ""))
        except (ValueError, duckdb.Error) as problem:
            if engine.explain(problem):
                raise
            found = _Finding(False, f"It cannot be checked: {reason(problem)}.")
        results.append(CheckResult(name=check.name, severity=check.severity, **found._asdict()))
    return tuple(results)


def failures(results: Sequence[CheckResult]) -> str:
    """Return what to say of the failed checks that forbid to publish; an empty text if there are none."""
    said = []
    for result in (result for result in results if result.severity == "fail" and not result.passed):
        rows = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in result.rows)
        said.append(f"Check {result.name} failed: {result.message}" + (f" For example {rows}." if rows else ""))
    return " ".join(said)


def rows(*, at_least: int | None = None, at_most: int | None = None, severity: Severity = "fail") -> Check:
    """Check the number of rows. The severity of a check is `fail` or `warn`."""
    interval = _interval(at_least, at_most)

    def find(table: LocalTable, *_: Any) -> _Finding:
        passed = (at_least or 0) <= table.rows <= (math.inf if at_most is None else at_most)
        return _Finding(passed, f"There are {table.rows:,} rows; expected {interval}.", value=table.rows)

    return Check(name=f"rows({interval})", severity=severity, find=find)


def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.
    """
    keys = ", ".join(f"key_{place}" for place in range(len(columns)))
    values = {"columns": ", ".join(map(quoted, columns)), "keys": keys}
    find = partial(_each, _REPEATED_ROWS, values, f"repeat the {_listed(columns)} of one before", columns)
    return Check(name=f"unique({_listed(columns)})", severity=severity, find=find, key=columns)


def unique_columns(results: Sequence[CheckResult], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that the first `unique` of published rows has compared; empty if they are not certain.

    A result names them only in the name of its check, such as `unique(store, family)`.

    Args:
        results: What the checks of the rows have found.
        columns: The names of the columns of the rows.
    """
    first = next((result for result in results if result.name.startswith("unique(")), None)
    if first is None or first.value is None:  # without a value it could not run, so its columns may not exist
        return ()
    published = {column.lower(): column for column in columns}  # DuckDB finds a column in any case of its letters
    if len(published) < len(columns) or any(_SEPARATOR in column for column in columns):
        return ()  # the name of the check could be read in two ways
    compared = first.name.removeprefix("unique(").removesuffix(")").split(_SEPARATOR)
    if not all(name.lower() in published for name in compared):
        return ()
    return tuple(published[name.lower()] for name in compared)


def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no row has NULL in any of these columns."""
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    find = partial(_each, _FAILING_ROWS, {"condition": condition}, f"have NULL in {' or '.join(columns)}", columns)
    return Check(name=f"not_null({_listed(columns)})", severity=severity, find=find)


def in_range(
    column: str, *, at_least: Bound | None = None, at_most: Bound | None = None, severity: Severity = "fail"
) -> Check:
    """Check that each value of a column is within bounds, which are included.

    NULL passes; see `not_null`. NaN does not. An int or a Decimal is compared exactly with integers and decimals,
    a float as a double. A date as the bound of a timestamp means its midnight; a time without a zone is in UTC.
    """
    interval, name = _interval(at_least, at_most), quoted(column)
    # In DuckDB, NaN is greater than infinity.
    limits = {">=": at_least, "<=": math.inf if at_most is None and not isinstance(at_least, date) else at_most}
    holds = " AND ".join(f"{name} {sign} {_literal(bound)}" for sign, bound in limits.items() if bound is not None)
    values = {"condition": f"{name} IS NULL OR ({holds})"}
    find = partial(_each, _FAILING_ROWS, values, f"have a {column} outside the range {interval}", [column])
    return Check(name=f"in_range({column}, {interval})", severity=severity, find=find)


def expression(condition: str, *, description: str = "", severity: Severity = "fail") -> Check:
    """Check a condition of your own on each row.

    It is one condition in DuckDB's SQL, such as `score >= plays`. A row passes only where it is true; NULL does not
    pass. `description` says in words what holds.
    """
    if not condition.strip():
        raise ValueError("expression(): give a condition in SQL, such as 'score >= plays'.")

    def find(table: LocalTable, engine: Engine, _: Any) -> _Finding:
        value = engine.connection.sql(f"SELECT ({condition}\n) FROM (FROM {table.source})")
        if (kind := value.types[0].id) != "boolean":
            raise ValueError(f"the condition is a {kind}; it has to be true or false")
        # A condition on rows, not on all of them together: DuckDB refuses an aggregate in WHERE.
        engine.connection.sql(f"FROM (FROM {table.source}) WHERE ({condition}\n)")
        values = {"condition": condition}
        return _each(_FAILING_ROWS, values, f"do not satisfy: {description or condition}", (), table, engine)

    return Check(name=f"expression({description or condition})", severity=severity, find=find)


def change(what: str, *, within: float, against: Against = "previous_period", severity: Severity = "fail") -> Check:
    """Check that a figure has not changed by too much.

    Args:
        what: `rows` for the number of rows, or a numeric column for its total. Integers and decimals are
            added exactly; NULL counts for nothing.
        within: By which part of the earlier figure it may differ, up or down: 0.5 for half of it.
        against: `previous_period`, or `previous_version` for what is published of the same period. If there
            is none, or it was published without this check, the check passes and says so.
        severity: `fail` or `warn`.
    """
    if not 0 <= within < math.inf:
        raise ValueError(f"change({what!r}): within is {within!r}, expected 0 or more, such as 0.5.")
    of = against.replace("_", " ")

    def find(table: LocalTable, engine: Engine, baseline: Baseline | None) -> _Finding:
        now: int | float = table.rows
        before: int | float | None = baseline.rows if baseline else None
        figure = f"{now:,} rows"
        if what != "rows":
            query = _TOTAL.format(column=quoted(what), source=table.source)
            total = engine.connection.execute(query).fetchall()[0][0]
            if not math.isfinite(total):
                raise ValueError(f"{what} has no total: it is {total}")
            now = int(total) if total == int(total) else float(total)
            earlier = baseline.checks if baseline else ()  # with another limit the total is the same
            before = next((check.value for check in earlier if check.name.startswith(f"change({what}, ")), None)
            figure = f"The total of {what} is {now:,}"
        if before is None:
            return _Finding(True, f"{figure}; the {of} has nothing to compare with.", value=now)
        by = Fraction(str(now)) - Fraction(str(before))  # as they are written: 0.3 is three tenths
        relative = f" ({float(by / Fraction(str(before))):+.1%})" if before else ""
        message = f"{figure}, after {before:,} in the {of}{relative}; expected within {within:.1%}."
        return _Finding(abs(by) <= Fraction(str(within)) * abs(Fraction(str(before))), message, value=now)

    name = f"change({what}, within={within}, against={against})"
    return Check(name=name, severity=severity, find=find, against=against)


def schema(columns: Mapping[str, str], *, severity: Severity = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Types are called as in a result of Athena or in a table, such as `bigint`, `varchar` or `array<string>`.
    """
    if not columns:
        raise ValueError("schema(): give the type of each column.")
    types = {name: {kind.lower().replace(" ", ""), duckdb_type(kind)} for name, kind in columns.items()}

    def find(table: LocalTable, *_: Any) -> _Finding:
        found = {column.name: (column.type, column.glue) for column in table.columns}
        problems = [
            f"{name} is {found.get(name, ('missing',))[0]}, expected {columns.get(name, 'no such column')}"
            for name in {**columns, **found}
            if not types.get(name, set()).intersection(found.get(name, ()))
        ]
        if not problems and list(found) != list(types):
            problems = [f"they come as {', '.join(found)}, expected {', '.join(types)}"]
        message = f"The columns differ: {'; '.join(problems)}." if problems else "The columns are as expected."
        return _Finding(not problems, message)

    return Check(name="schema", severity=severity, find=find)


def promised(columns: Mapping[str, str]) -> Check:
    """Return the check that the rows have exactly these columns, in any order; types are called as in Glue."""

    def find(table: LocalTable, *_: Any) -> _Finding:
        found = {column.name: column.glue or column.type for column in table.columns}
        problems = [
            f"{name!r} is {found.get(name, 'missing')}, declared as {columns.get(name, 'no column')}"
            for name in {**columns, **found}
            if found.get(name) != columns.get(name)
        ]
        if not problems:
            return _Finding(True, "The columns are those that the report declares.")
        way_out = "CAST or name them in the SQL (AS), or correct the columns of the report."
        return _Finding(False, f"The columns are not those that the report declares: {'; '.join(problems)}. {way_out}")

    return Check(name="columns", severity="fail", find=find)


class _Finding(NamedTuple):
    passed: bool
    message: str
    rows: Sequence[Mapping[str, str]] = ()
    value: int | float | None = None


def _each(
    template: str,
    values: Mapping[str, str],
    fault: str,
    shown: Sequence[str],
    table: LocalTable,
    engine: Engine,
    _: Any = None,
) -> _Finding:
    """Count the rows that do not satisfy a condition, and show five, the columns `shown` first."""
    failing_rows = template.format(source=table.source, **values)
    count, numbers = engine.connection.execute(_COUNT_ROWS.format(failing_rows=failing_rows)).fetchall()[0]
    message = f"{count:,} of {table.rows:,} rows {fault}."
    if not count:
        return _Finding(True, message, value=count)
    names = list(dict.fromkeys([*shown, *(column.name for column in table.columns)]))
    names = [name for name in names if name != "row number"][:20]
    texts = [f"left(coalesce({quoted(name)}::VARCHAR, 'NULL'), 80)" for name in names]
    listed = ", ".join(["row_number() OVER ()", *texts])
    query = _SHOW_ROWS.format(values=listed, source=table.source, numbers=", ".join(map(str, numbers)))
    rows = engine.connection.execute(query).fetchall()
    examples = [dict(zip(["row number", *names], [str(number), *row], strict=True)) for number, *row in rows]
    return _Finding(False, message, examples, count)


def _literal(bound: Bound) -> str:
    if isinstance(bound, date):
        return f"'{bound}'::{'TIMESTAMPTZ' if isinstance(bound, datetime) and bound.tzinfo else 'TIMESTAMP'}"
    return f"'{bound}'::DOUBLE" if isinstance(bound, float) else f"{Decimal(bound):f}"


def _listed(columns: Sequence[str]) -> str:
    if not all(columns) or not 0 < len(columns) == len(set(columns)):
        raise ValueError(f"{list(columns)!r} has to name at least one column, and each once.")
    return _SEPARATOR.join(columns)


def _interval(at_least: Any, at_most: Any) -> str:
    bounds = {"at_least": at_least, "at_most": at_most}
    text = ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)
    if not text:
        raise ValueError("give at_least, at_most, or both.")
    if at_least is not None and at_most is not None and not at_least <= at_most:
        raise ValueError(f"nothing is {text}.")
    return text
