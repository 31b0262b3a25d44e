"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report, and each is a SQL query over the rows as they were written:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from athena_reports.rows.columns import duckdb_type, literal, quoted
from athena_reports.rows.engine import reason

if TYPE_CHECKING:
    from athena_reports.rows.engine import Engine
    from athena_reports.rows.writer import LocalTable

Severity = Literal["fail", "warn"]
Against = Literal["previous_period", "previous_version"]
Number = int | float | Decimal
Bound = Number | date

MAX_EXAMPLES = 5
"""How many offending rows a result shows."""

_MAX_COLUMNS = 20
_MAX_TEXT = 80
_ROW_NUMBER = "row number"
_INTEGERS = frozenset({"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"})


class CheckResult(BaseModel, frozen=True):
    """What a check found.

    Attributes:
        name: The check, such as `unique(user_id)`.
        severity: `fail` if nothing may be published when it does not pass, or `warn`.
        passed: Whether it passed.
        message: What was found, as a sentence.
        rows: At most `MAX_EXAMPLES` offending rows as text, with their `row number`, from 1.
        value: What was measured: for `rows` their number, for `change` the total, for `unique` how many rows
            repeat others, for checks of single rows how many failed. None if there is no such number.
    """

    name: str
    severity: Severity
    passed: bool
    message: str
    rows: tuple[dict[str, str], ...] = ()
    value: int | float | None = None


class Baseline(Protocol):
    """What was published before: the number of its rows, and what its checks found."""

    @property
    def rows(self) -> int: ...  # noqa: D102

    @property
    def checks(self) -> Sequence[CheckResult]: ...  # noqa: D102


class Check(BaseModel, frozen=True):
    """A check as a report declares it; made by the functions below.

    Attributes:
        name: What it says; unique within a report.
        severity: `fail` or `warn`.
        against: What it compares with; None for nothing.
        find: What it finds in the rows, given what it compares with.
    """

    name: str
    severity: Severity
    against: Against | None = None
    find: Callable[[_Rows, Baseline | None], _Finding]


def run_checks(
    checks: Sequence[Check],
    table: LocalTable,
    engine: Engine,
    *,
    previous_period: Baseline | None = None,
    previous_version: Baseline | None = None,
) -> tuple[CheckResult, ...]:
    """Return what each check finds. One that cannot run has not passed, and its message says why.

    Args:
        checks: The checks.
        table: The rows.
        engine: The engine.
        previous_period: What is published of the period before; None for nothing.
        previous_version: What is published of this period; None for nothing.
    """
    baselines = {"previous_period": previous_period, "previous_version": previous_version}
    results = []
    for check in checks:
        found = _find(check, _Rows(table, engine), baselines.get(check.against or ""))
        results.append(CheckResult(name=check.name, severity=check.severity, **found._asdict()))
    return tuple(results)


def failures(results: Sequence[CheckResult]) -> str:
    """Return what to say of the failed checks that forbid to publish; an empty text if there are none."""
    return " ".join(
        f"Check {result.name} failed: {result.message}{_shown(result.rows)}"
        for result in results
        if result.severity == "fail" and not result.passed
    )


def rows(*, at_least: int | None = None, at_most: int | None = None, severity: Severity = "fail") -> Check:
    """Check the number of rows.

    Raises:
        TypeError: A bound is not an integer.
        ValueError: There is no bound, or no number is within both.
    """
    interval = _interval(at_least, at_most, "rows()", (int,))

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        count = rows.table.rows
        message = f"There are {count:,} rows; expected {interval}."
        return _Finding(_inside(count, at_least, at_most), message, value=count)

    return Check(name=f"rows({interval})", severity=severity, find=find)


def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.

    Raises:
        ValueError: There is no column.
    """
    _require_columns(columns, "unique")
    return Check(name=f"unique({', '.join(columns)})", severity=severity, find=partial(_unique, columns))


def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no row has NULL in any of these columns.

    Raises:
        ValueError: There is no column.
    """
    _require_columns(columns, "not_null")

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
        return rows.each(condition, f"have NULL in {' or '.join(columns)}", columns)

    return Check(name=f"not_null({', '.join(columns)})", severity=severity, find=find)


def in_range(
    column: str, *, at_least: Bound | None = None, at_most: Bound | None = None, severity: Severity = "fail"
) -> Check:
    """Check that each value of a column is within bounds, which are included.

    NULL passes; see `not_null`. NaN does not. Numbers are compared exactly, whatever their types. A date as the
    bound of a timestamp means its midnight.

    Raises:
        TypeError: A bound is not a number, a date or a datetime.
        ValueError: There is no bound, or nothing is within both.
    """
    _require_columns([column], "in_range")
    interval = _interval(at_least, at_most, f"in_range({column!r})", (int, float, Decimal, date))

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        kind, name = rows.type_of(column), quoted(column)
        try:
            bounds = [_bound_sql(name, kind, bound, sign) for bound, sign in ((at_least, 1), (at_most, -1))]
        except TypeError as error:
            raise _UncheckableError(f"{column} is {kind}, which does not compare with {interval}.") from error
        holds = " AND ".join(filter(None, [*bounds, f"NOT isnan({name})" if kind in ("FLOAT", "DOUBLE") else ""]))
        return rows.each(f"{name} IS NULL OR ({holds})", f"have a {column} outside the range {interval}", [column])

    return Check(name=f"in_range({column}, {interval})", severity=severity, find=find)


def expression(condition: str, *, description: str = "", severity: Severity = "fail") -> Check:
    """Check a condition of your own on each row.

    Args:
        condition: One condition in DuckDB's SQL, such as `score >= plays`. A row passes only where it is true;
            NULL does not pass.
        description: What holds, in words; by default the condition.
        severity: `fail` or `warn`.

    Raises:
        ValueError: The condition is empty.
    """
    if not isinstance(condition, str) or not condition.strip():
        raise ValueError("expression(): give a condition in SQL, such as 'score >= plays'.")
    said = description or condition

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        if (kind := rows.query(f"SELECT ({condition}\n)").types[0].id) != "boolean":
            raise _UncheckableError(f"the condition is a {kind}; it has to be true or false.")
        return rows.each(f"{condition}\n", f"do not satisfy: {said}", [])

    return Check(name=f"expression({said})", severity=severity, find=find)


def change(
    what: str, *, within: float, against: Against = "previous_period", severity: Severity = "fail"
) -> Check:
    """Check that a figure has not changed by too much.

    Args:
        what: `rows` for the number of rows, or a numeric column for its total. Integers and decimals are added
            exactly; NULL counts for nothing.
        within: By which part of the earlier figure it may differ, up or down: 0.5 for half of it.
        against: `previous_period`, or `previous_version` for what is published of the same period. If there is
            none, or it was published without this check, the check passes and says so.
        severity: `fail` or `warn`.

    Raises:
        TypeError: `within` is not a number.
        ValueError: `within` is negative or not finite, or `against` is neither.
    """
    _require_columns([what], "change")
    if isinstance(within, bool) or not isinstance(within, int | float):
        raise TypeError(f"change({what!r}): within is {within!r}, which is not a number.")
    if not 0 <= within < math.inf:
        raise ValueError(f"change({what!r}): within is {within!r}, expected 0 or more, such as 0.5.")
    name = f"{_change_of(what)}within={within}, against={against})"
    find = partial(_change, what, within, against.replace("_", " "))
    return Check(name=name, severity=severity, against=against, find=find)


def schema(columns: Mapping[str, str], *, severity: Severity = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Args:
        columns: For each name its type as Athena calls it in a result or in a table, such as `bigint`,
            `varchar` or `array<string>`.
        severity: `fail` or `warn`.

    Raises:
        TypeError: A name or a type is not text.
        ValueError: There is no column.
    """
    if not columns:
        raise ValueError("schema(): give the type of each column.")
    for name, kind in columns.items():
        if not isinstance(name, str) or not isinstance(kind, str):
            raise TypeError(f"schema(): {name!r}: {kind!r} is not a column with the name of its type.")
    return Check(name="schema", severity=severity, find=partial(_schema, dict(columns)))


class _Finding(NamedTuple):
    passed: bool
    message: str
    rows: tuple[dict[str, str], ...] = ()
    value: int | float | None = None


class _UncheckableError(Exception):
    """The rows are not such that the check makes sense; the message says why."""


class _Rows(NamedTuple):
    table: LocalTable
    engine: Engine

    def query(self, select: str, rest: str = "", source: str = "") -> Any:
        return self.engine.connection.sql(f"{select} FROM {source or self.table.source} {rest}")

    def type_of(self, column: str) -> str:
        kinds = {each.name: each.type for each in self.table.columns}
        if column not in kinds:
            raise _UncheckableError(f"there is no column {column}; the rows have {', '.join(kinds)}.")
        return kinds[column]

    @property
    def numbered(self) -> str:
        return f"(SELECT row_number() OVER () AS {quoted(_ROW_NUMBER)}, * FROM {self.table.source})"

    def each(self, condition: str, fault: str, first: Sequence[str]) -> _Finding:
        """Count the rows that do not satisfy a condition, and show some of them with `first` first."""
        for column in first:
            self.type_of(column)
        where = f"WHERE ({condition}) IS NOT TRUE"
        failed = self.query("SELECT count(*)", where).fetchall()[0][0]
        others = [column.name for column in self.table.columns if column.name not in first]
        names = [_ROW_NUMBER, *[*first, *others][:_MAX_COLUMNS]]
        values = ", ".join(f"{quoted(name)}::VARCHAR" for name in names)
        found = self.query(f"SELECT {values}", f"{where} LIMIT {MAX_EXAMPLES}", self.numbered) if failed else None
        examples = [] if found is None else found.fetchall()
        rows = tuple(dict(zip(names, map(_shortened, example), strict=True)) for example in examples)
        return _Finding(not failed, f"{failed:,} of {self.table.rows:,} rows {fault}.", rows, failed)


def _find(check: Check, rows: _Rows, baseline: Baseline | None) -> _Finding:
    import duckdb

    try:
        return check.find(rows, baseline)
    except _UncheckableError as problem:
        return _Finding(False, f"It cannot be checked: {problem}")
    except duckdb.Error as error:
        if rows.engine.explain(error):
            raise
        return _Finding(False, f"It cannot be checked: {reason(error)}.")


def _unique(columns: Sequence[str], rows: _Rows, _: Baseline | None) -> _Finding:
    for column in columns:
        rows.type_of(column)
    names = ", ".join(map(quoted, columns))
    # A window spills where a GROUP BY over many values runs out of memory.
    repeats = f"(SELECT row_number() OVER (PARTITION BY {names}) AS nth FROM {rows.table.source})"
    surplus = rows.query("SELECT count(*)", "WHERE nth > 1", repeats).fetchall()[0][0]
    examples: list[dict[str, str]] = []
    if surplus:
        number = quoted(_ROW_NUMBER)
        having = f"GROUP BY {names} HAVING count(*) > 1 ORDER BY min({number}) LIMIT {MAX_EXAMPLES}"
        texts = ", ".join(f"{quoted(column)}::VARCHAR" for column in columns)
        found = rows.query(f"SELECT min({number}), max({number}), count(*), {texts}", having, rows.numbered)
        for first, last, count, *values in found.fetchall():
            where = f"{first} and {last}" if count == 2 else f"{first} to {last}, {count} times"
            examples.append({_ROW_NUMBER: where, **dict(zip(columns, map(_shortened, values), strict=True))})
    message = f"{surplus:,} of {rows.table.rows:,} rows repeat the {', '.join(columns)} of one before."
    return _Finding(not surplus, message, tuple(examples), surplus)


def _change(what: str, within: float, against: str, rows: _Rows, baseline: Baseline | None) -> _Finding:
    now = rows.table.rows if what == "rows" else _total(what, rows)
    figure = f"{now:,} rows" if what == "rows" else f"The total of {what} is {now:,}"
    before = _value_in(baseline, what)
    if before is None:
        return _Finding(True, f"{figure}; the {against} has nothing to compare with.", value=now)
    difference = _exact(now) - _exact(before)
    relative = f" ({float(difference / _exact(before)):+.1%})" if before else ""
    message = f"{figure}, after {before:,} in the {against}{relative}; expected within {within:.1%}."
    return _Finding(abs(difference) <= _exact(within) * abs(_exact(before)), message, value=now)


def _total(column: str, rows: _Rows) -> int | float:
    kind, name = rows.type_of(column), quoted(column)
    if kind in ("FLOAT", "DOUBLE"):
        total = rows.query(f"SELECT coalesce(fsum({name}), 0)").fetchall()[0][0]
    elif kind.lower() in _INTEGERS or kind.startswith("DECIMAL"):
        total = rows.query(f"SELECT coalesce(sum({name}), 0)").fetchall()[0][0]
    else:
        raise _UncheckableError(f"{column} has no total: {kind} is not a number.")
    if not math.isfinite(total):
        raise _UncheckableError(f"{column} has no total: it is {total}.")
    return int(total) if total == int(total) else float(total)


def _value_in(baseline: Baseline | None, what: str) -> int | float | None:
    """Return the earlier figure; a check with other limits has measured the same."""
    if baseline is None or what == "rows":
        return baseline and baseline.rows
    named = (check.value for check in baseline.checks if check.name.startswith(_change_of(what)))
    return next(named, None)


def _schema(expected: Mapping[str, str], rows: _Rows, _: Baseline | None) -> _Finding:
    found = {column.name: column for column in rows.table.columns}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not expected" for name in found if name not in expected]
    for name in (name for name in found if name in expected):
        try:
            same = expected[name].lower().replace(" ", "") == found[name].glue
            same = same or duckdb_type(expected[name]) == found[name].type
        except ValueError as error:
            raise _UncheckableError(str(error)) from error
        if not same:
            problems.append(f"{name} is {found[name].type}, expected {expected[name]}")
    if not problems and list(found) != list(expected):
        problems.append(f"they come as {', '.join(found)}, expected {', '.join(expected)}")
    if problems:
        return _Finding(False, f"The columns differ: {'; '.join(problems)}.")
    return _Finding(True, f"The {len(expected)} columns are as expected.")


def _bound_sql(name: str, kind: str, bound: Bound | None, sign: int) -> str:
    """Return the condition that a column is at least (sign 1) or at most (-1) the bound, exactly.

    Raises:
        TypeError: Values of the type do not compare with the bound.
    """
    if bound is None:
        return ""
    sign_text = ">=" if sign == 1 else "<="
    if isinstance(bound, date):
        return f"{name} {sign_text} {_date_sql(kind, bound)}"
    if kind in ("FLOAT", "DOUBLE"):
        return f"{name}::DOUBLE {sign_text} '{_nearest(bound, sign)!r}'::DOUBLE"
    scale = int(kind.partition(",")[2].rstrip(")")) if kind.startswith("DECIMAL") else 0
    if kind.lower() not in _INTEGERS and not kind.startswith("DECIMAL"):
        raise TypeError(kind)
    if isinstance(bound, float) and math.isinf(bound):
        return "true" if (bound < 0) == (sign == 1) else "false"
    # The units of the column's last digit: rounded up for at_least, down for at_most.
    units = sign * math.ceil(sign * Fraction(bound) * 10**scale)
    if abs(units) >= 10**38:
        return "true" if (units < 0) == (sign == 1) else "false"
    return f"{name} {sign_text} '{Decimal(units).scaleb(-scale):f}'::DECIMAL(38,{scale})"


def _nearest(bound: Number, sign: int) -> float:
    """Return the least double that is not below the bound (sign 1), or the greatest not above it (-1)."""
    try:
        near = float(bound)
    except OverflowError:
        near = math.inf if bound > 0 else -math.inf
    exact = bound if isinstance(bound, float) else Fraction(bound)
    return near if sign * near >= sign * exact else math.nextafter(near, sign * math.inf)


def _date_sql(kind: str, bound: date) -> str:
    is_instant = kind == "TIMESTAMP WITH TIME ZONE"
    if kind == "DATE" and not isinstance(bound, datetime):
        return f"DATE '{bound}'"
    if not kind.startswith("TIMESTAMP"):
        raise TypeError(kind)
    at = bound if isinstance(bound, datetime) else datetime.combine(bound, time(), UTC if is_instant else None)
    if (at.tzinfo is not None) != is_instant:
        raise TypeError(kind)
    return f"{'TIMESTAMPTZ' if is_instant else 'TIMESTAMP'} '{at.isoformat(' ')}'"


def _inside(value: Any, at_least: Bound | None, at_most: Bound | None) -> bool:
    return bool((at_least is None or at_least <= value) and (at_most is None or value <= at_most))


def _exact(number: int | float) -> Fraction:
    """Return a number as it is written: 0.3 is three tenths."""
    return Fraction(str(number))


def _change_of(what: str) -> str:
    return f"change({what}, "


def _require_columns(columns: Sequence[str], who: str) -> None:
    if not columns or not all(isinstance(name, str) and name for name in columns):
        raise ValueError(f"{who}(): {list(columns)!r} names no column. Give the name of at least one.")
    if len(set(columns)) < len(columns):
        raise ValueError(f"{who}(): {', '.join(columns)} names a column twice.")


def _interval(at_least: Bound | None, at_most: Bound | None, who: str, kinds: tuple[type, ...]) -> str:
    """Return the bounds as text, once they make sense."""
    bounds = {"at_least": at_least, "at_most": at_most}
    text = ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)
    if not text:
        raise ValueError(f"{who}: give at_least, at_most, or both.")
    for bound in (bound for bound in bounds.values() if bound is not None):
        if isinstance(bound, bool) or not isinstance(bound, kinds):
            raise TypeError(f"{who}: {bound!r} is not {' or '.join(kind.__name__ for kind in kinds)}.")
        if not _inside(bound, at_least, at_most):
            raise ValueError(f"{who}: nothing is {text}.")
    return text


def _shortened(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _shown(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    texts = (", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)
    return f" For example {'; '.join(texts)}."


Check.model_rebuild()
