"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report, and each is a SQL query over the rows as they were written:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]

A check that is declared wrongly, such as a range without a bound, raises ReportError or ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, Field

from athena_reports.declaration import validated
from athena_reports.errors import AthenaReportsError
from athena_reports.rows.columns import glue_name
from athena_reports.rows.engine import Engine, reason
from athena_reports.rows.failing_rows import FailingRows, not_satisfying, repeating
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from athena_reports.rows.writer import LocalTable

__all__ = ["change", "expression", "in_range", "not_null", "rows", "schema", "unique"]

Severity = Literal["fail", "warn"]
Against = Literal["previous_period", "previous_version"]
Bound = int | float | Decimal | date | datetime
_Count = Annotated[int, Field(ge=0)]

_ERROR_KIND = re.compile(r"^(\w+ )?\w+ Error: ")  # how DuckDB's errors begin
_ONE_ROW = "FROM (FROM {source}) WHERE ({condition}\n)"
_TOTAL = "SELECT coalesce(sum({column}), 0) FROM (FROM {source})"


class Finding(BaseModel, frozen=True):
    """What a check found in some rows."""

    passed: bool
    message: str
    # A few offending rows as text, with their `row number`, from 1.
    rows: tuple[dict[str, str], ...] = ()
    # The number of rows, or of rows that failed; for `change` the total.
    value: int | float | None = None


class CheckResult(Finding, frozen=True):
    """What a check of a report found."""

    name: str
    severity: Severity


class Baseline(Protocol):
    """What was published before: the number of its rows, and what its checks found."""

    @property
    def rows(self) -> int: ...
    @property
    def checks(self) -> Sequence[CheckResult]: ...


@dataclass(frozen=True)
class Check:
    """A check as a report declares it."""

    name: str
    severity: Severity
    find: Callable[..., Any]  # from LocalTable, Engine and Baseline to a Finding
    against: Against | None = None
    key: tuple[str, ...] = ()  # the columns that tell rows apart, if that is what is checked


def run_checks(
    checks: Sequence[Check],
    table: LocalTable,
    engine: Engine,
    *,
    previous_period: Baseline | None = None,
    previous_version: Baseline | None = None,
) -> tuple[CheckResult, ...]:
    """Return what each check finds in the rows of a table; a check that cannot run fails.

    The baselines are what is published of the previous period, and of this one. An error that
    `Engine.explain` knows, such as a full disk, is raised.
    """
    import duckdb

    baselines = {"previous_period": previous_period, "previous_version": previous_version}
    results = []
    for check in checks:
        baseline = baselines[check.against] if check.against else None
        try:
            finding = check.find(table, engine, baseline)
        except (ValueError, duckdb.Error) as error:
            if engine.explain(error) is not None:
                raise  # `open_engine` raises the explained error in its place
            problem = _ERROR_KIND.sub("", reason(error))
            # Only these are raised before a value is read.
            may_quote = not isinstance(error, _DeclarationError | duckdb.BinderException)
            if table.private_columns and may_quote:
                problem = f"{type(error).__name__} (its text may quote a private column)"
            finding = Finding(passed=False, message=f"Cannot run this check: {problem}.")
        result = CheckResult(name=check.name, severity=check.severity, **dict(finding))
        results.append(result)
    return tuple(results)


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
            message += f" Examples: {examples}."
        messages.append(message)
    return " ".join(messages)


def _example(row: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


@validated
def rows(
    *, at_least: _Count | None = None, at_most: _Count | None = None, severity: Severity = "fail"
) -> Check:
    """Check the number of rows. The severity of a check is `fail` or `warn`."""
    interval = _interval(at_least, at_most)

    def find(table: LocalTable, _engine: Engine, _baseline: Baseline | None) -> Finding:
        is_too_few = at_least is not None and table.rows < at_least
        is_too_many = at_most is not None and table.rows > at_most
        noun = "row" if table.rows == 1 else "rows"
        message = f"{table.rows:,} {noun}; expected {interval}."
        return Finding(passed=not is_too_few and not is_too_many, message=message, value=table.rows)

    return Check(f"rows({interval})", severity, find)


@validated
def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.
    """
    names = _listed(columns)

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> Finding:
        _require_columns(columns, table)
        failing = repeating(columns, table, engine)
        return _finding(failing, f"repeat the {names} of an earlier row", table)

    return Check(f"unique({names})", severity, find, key=columns)


@validated
def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no row has NULL in any of these columns."""
    names = _listed(columns)
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> Finding:
        _require_columns(columns, table)
        failing = not_satisfying(condition, columns, table, engine)
        return _finding(failing, f"have NULL in {' or '.join(columns)}", table)

    return Check(f"not_null({names})", severity, find)


@validated
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
        # This rejects NaN, which is greater than infinity in DuckDB.
        limits.append(f"{name} <= {_sql_bound(math.inf)}")
    condition = f"{name} IS NULL OR ({' AND '.join(limits)})"

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> Finding:
        _require_columns([column], table)
        failing = not_satisfying(condition, [column], table, engine)
        return _finding(failing, f"have a {column} outside the range {interval}", table)

    return Check(f"in_range({column}, {interval})", severity, find)


@validated
def expression(condition: str, *, description: str = "", severity: Severity = "fail") -> Check:
    """Check a condition of your own on each row.

    It is one condition in DuckDB's SQL, such as `score >= plays`. A row passes only where it is
    true; NULL does not pass. `description` says in words what holds.
    """
    description = description or condition

    def find(table: LocalTable, engine: Engine, _baseline: Baseline | None) -> Finding:
        # Made, not run: in WHERE DuckDB rejects an aggregate or a window, as a condition is of one
        # row.
        engine.connection.sql(_ONE_ROW.format(condition=condition, source=table.source))
        failing = not_satisfying(condition, [], table, engine)
        return _finding(failing, f"do not satisfy: {description}", table)

    return Check(f"expression({description})", severity, find)


@validated
def change(
    what: str,
    *,
    within: Annotated[float, Field(ge=0, allow_inf_nan=False)],
    against: Against = "previous_period",
    severity: Severity = "fail",
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
    baseline_name = against.replace("_", " ")

    def find(table: LocalTable, engine: Engine, baseline: Baseline | None) -> Finding:
        name = "The number of rows"
        current: int | float = table.rows
        previous: int | float | None = baseline.rows if baseline else None
        is_private = False
        if what != "rows":
            name = f"The total of {what}"
            current = _total(what, table, engine)
            previous = _published_total(what, baseline)
            is_private = table.is_private(what)
        figure = f"{name} is {_shown(current, is_private)}"
        if previous is None:
            message = f"{figure}; not compared: the {baseline_name} has no such figure."
            return Finding(passed=True, message=message, value=current)

        difference = _exact(current) - _exact(previous)
        allowed_difference = _exact(within) * abs(_exact(previous))
        comparison = f"{_shown(previous, is_private)} in the {baseline_name}"
        if previous != 0:
            comparison += f" ({float(difference / _exact(previous)):+.1%})"
        message = f"{figure}, compared with {comparison}; expected a change within {within:.1%}."
        return Finding(passed=abs(difference) <= allowed_difference, message=message, value=current)

    name = f"change({what}, within={within}, against={against})"
    return Check(name, severity, find, against)


def _total(column: str, table: LocalTable, engine: Engine) -> int | float:
    _require_columns([column], table)
    sql = _TOTAL.format(column=quoted(column), source=table.source)
    total = engine.connection.execute(sql).fetchall()[0][0]
    if not math.isfinite(total):
        raise _DeclarationError(f"cannot compare {column}: its total is {total}")
    return int(total) if total == int(total) else float(total)  # as a JSON file can hold it


def _published_total(column: str, baseline: Baseline | None) -> int | float | None:
    for result in baseline.checks if baseline else ():
        if result.name.startswith(f"change({column}, "):  # whatever change it allowed
            return result.value
    return None


def _shown(figure: int | float, is_private: bool) -> str:
    return "private" if is_private else f"{figure:,}"


def _exact(figure: int | float) -> Fraction:
    return Fraction(str(figure))  # as it is written: 0.3 is three tenths


@validated
def schema(columns: Mapping[str, str], *, severity: Severity = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Types are called as in a result of Athena or in a table, such as `bigint`, `varchar` or
    `array<string>`.
    """
    return _columns_check("schema", columns, severity, has_order=True)


def promised(columns: Mapping[str, str]) -> Check:
    """Return the check that the rows have exactly the columns of a report, in any order."""
    return _columns_check("columns", columns, "fail", has_order=False)


def _columns_check(
    name: str, columns: Mapping[str, str], severity: Severity, *, has_order: bool
) -> Check:
    declared = {column: glue_name(kind) for column, kind in columns.items()}

    def find(table: LocalTable, _engine: Engine, _baseline: Baseline | None) -> Finding:
        written = {column.name: column.glue or column.type for column in table.columns}
        problems = []
        for column in dict.fromkeys([*declared, *written]):
            declared_type = declared.get(column, "no column")
            written_type = written.get(column, "missing")
            if written_type != declared_type:
                problems.append(f"{column!r} is {written_type}, declared as {declared_type}")
        if has_order and not problems and list(written) != list(declared):
            problems.append(f"the order is {', '.join(written)}, declared as {', '.join(declared)}")
        if not problems:
            return Finding(passed=True, message="The columns match the declaration.")
        return Finding(
            passed=False,
            message=f"The columns do not match the declaration: {'; '.join(problems)}. CAST or"
            " rename them in the SQL (AS) or in the transform, or correct the declaration.",
        )

    return Check(name, severity, find)


class _DeclarationError(AthenaReportsError, ValueError):
    """A check does not fit the columns of the rows. The text quotes no value of a row."""


def _require_columns(names: Sequence[str], table: LocalTable) -> None:
    # DuckDB rejects a missing column too, but not one with the name of a function, such as `user`.
    written = {column.name.lower() for column in table.columns}  # DuckDB takes any case
    for name in names:
        if name.lower() not in written:
            columns = ", ".join(column.name for column in table.columns)
            raise _DeclarationError(f"column {name} does not exist. The columns are {columns}")


def _finding(failing: FailingRows, problem: str, table: LocalTable) -> Finding:
    message = f"{failing.total:,} of {table.rows:,} rows {problem}."
    return Finding(
        passed=failing.total == 0, message=message, rows=failing.examples, value=failing.total
    )


def _sql_bound(bound: Bound) -> str:
    if isinstance(bound, datetime) and bound.tzinfo is not None:
        return f"'{bound}'::TIMESTAMPTZ"
    if isinstance(bound, date):
        return f"'{bound}'::TIMESTAMP"
    if isinstance(bound, float):
        return f"'{bound}'::DOUBLE"
    # Without an exponent: DuckDB reads a number with one as a DOUBLE.
    return f"{Decimal(bound):f}"


def _listed(columns: Sequence[str]) -> str:
    is_repeated = len(set(columns)) < len(columns)
    if not columns or not all(columns) or is_repeated:
        raise ValueError(f"columns {list(columns)!r}: list at least one column, each only once.")
    return ", ".join(columns)


def _interval(at_least: Any, at_most: Any) -> str:
    if at_least is None and at_most is None:
        raise ValueError("set at_least, at_most, or both.")
    if at_most is None:
        return f"at_least={at_least}"
    if at_least is None:
        return f"at_most={at_most}"
    if at_least > at_most:
        raise ValueError(f"at_least ({at_least}) is greater than at_most ({at_most}).")
    return f"at_least={at_least}, at_most={at_most}"
