"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report, and each is a SQL query over the rows as they were written:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]

A check that is declared wrongly, such as a range without a bound, raises ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from athena_reports.rows.columns import duckdb_type, quoted
from athena_reports.rows.engine import reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

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
_FLOATS = ("FLOAT", "DOUBLE")
_EXACT = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT)|DECIMAL\(\d+,(\d+)\)")


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
        find: What it finds in the rows, given what it compares with.
        against: What it compares with; None for nothing.
    """

    name: str
    severity: Severity
    find: Callable[[Any, Baseline | None], Any]
    against: Against | None = None


def run_checks(
    checks: Sequence[Check],
    table: LocalTable,
    engine: Engine,
    *,
    previous_period: Baseline | None = None,
    previous_version: Baseline | None = None,
) -> tuple[CheckResult, ...]:
    """Return what each check finds. One that cannot run has not passed, and its message says why."""
    import duckdb

    published = {"previous_period": previous_period, "previous_version": previous_version}
    results = []
    for check in checks:
        try:
            found = check.find(_Rows(table, engine), published.get(check.against or ""))
        except (_UncheckableError, duckdb.Error) as problem:
            if engine.explain(problem):
                raise
            found = _Finding(False, f"It cannot be checked: {reason(problem)}.")
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
    """Check the number of rows."""
    interval = _interval(at_least, at_most, "rows()")

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        count = rows.table.rows
        message = f"There are {count:,} rows; expected {interval}."
        return _Finding(_inside(count, at_least, at_most), message, value=count)

    return Check(name=f"rows({interval})", severity=severity, find=find)


def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.
    """
    name = f"unique({_listed(columns, 'unique')})"
    return Check(name=name, severity=severity, find=partial(_unique, columns))


def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Check that no row has NULL in any of these columns."""
    name = f"not_null({_listed(columns, 'not_null')})"
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    fault = f"have NULL in {' or '.join(columns)}"
    return Check(name=name, severity=severity, find=lambda rows, _: rows.each(condition, fault, columns))


def in_range(
    column: str, *, at_least: Bound | None = None, at_most: Bound | None = None, severity: Severity = "fail"
) -> Check:
    """Check that each value of a column is within bounds, which are included.

    NULL passes; see `not_null`. NaN does not. Numbers are compared exactly, whatever their types. A date as
    the bound of a timestamp means its midnight.
    """
    interval = _interval(at_least, at_most, f"in_range({column!r})")

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        kind, name = rows.type_of(column), quoted(column)
        holds = [f"NOT isnan({name})"] if kind in _FLOATS else []
        for bound, sign in ((at_least, 1), (at_most, -1)):
            if bound is not None and (limit := _limit(kind, bound, sign)) is None:
                raise _UncheckableError(f"{column} is {kind}, which does not compare with {interval}")
            if bound is not None:
                holds.append(f"{name} {'>=' if sign == 1 else '<='} {limit}")
        condition = f"{name} IS NULL OR ({' AND '.join(holds)})"
        return rows.each(condition, f"have a {column} outside the range {interval}", [column])

    return Check(name=f"in_range({column}, {interval})", severity=severity, find=find)


def expression(condition: str, *, description: str = "", severity: Severity = "fail") -> Check:
    """Check a condition of your own on each row.

    Args:
        condition: One condition in DuckDB's SQL, such as `score >= plays`. A row passes only where it is
            true; NULL does not pass.
        description: What holds, in words; by default the condition.
        severity: `fail` or `warn`.
    """
    if not condition.strip():
        raise ValueError("expression(): give a condition in SQL, such as 'score >= plays'.")

    def find(rows: _Rows, _: Baseline | None) -> _Finding:
        if (kind := rows.query(f"SELECT ({condition}\n)").types[0].id) != "boolean":
            raise _UncheckableError(f"the condition is a {kind}; it has to be true or false")
        return rows.each(f"{condition}\n", f"do not satisfy: {description or condition}", [])

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
    name = f"change({what}, within={within}, against={against})"
    find = partial(_change, what, within, against.replace("_", " "))
    return Check(name=name, severity=severity, find=find, against=against)


def schema(columns: Mapping[str, str], *, severity: Severity = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Args:
        columns: For each name its type as Athena calls it in a result or in a table, such as `bigint`,
            `varchar` or `array<string>`.
        severity: `fail` or `warn`.
    """
    if not columns:
        raise ValueError("schema(): give the type of each column.")
    return Check(name="schema", severity=severity, find=partial(_schema, dict(columns)))


class _Finding(NamedTuple):
    passed: bool
    message: str
    rows: Sequence[Mapping[str, str]] = ()
    value: int | float | None = None


class _UncheckableError(Exception):
    """The rows are not such that the check makes sense; the message says why."""


class _Rows(NamedTuple):
    table: LocalTable
    engine: Engine

    def query(self, select: str, rest: str = "", *, numbered: bool = False) -> DuckDBPyRelation:
        number = f"SELECT row_number() OVER () AS {quoted(_ROW_NUMBER)}, * FROM {self.table.source}"
        source = f"({number})" if numbered else self.table.source
        return self.engine.connection.sql(f"{select} FROM {source} {rest}")

    def value(self, select: str, rest: str = "") -> Any:
        return self.query(f"SELECT {select}", rest).fetchall()[0][0]

    def type_of(self, column: str) -> str:
        kinds = {each.name: each.type for each in self.table.columns}
        if column not in kinds:
            raise _UncheckableError(f"there is no column {column}; the rows have {', '.join(kinds)}")
        return kinds[column]

    def each(self, condition: str, fault: str, first: Sequence[str]) -> _Finding:
        """Count the rows that do not satisfy a condition, and show some, the columns `first` first."""
        for column in first:
            self.type_of(column)
        where = f"WHERE ({condition}) IS NOT TRUE"
        failed: int = self.value("count(*)", where)
        names = [_ROW_NUMBER, *dict.fromkeys([*first, *(each.name for each in self.table.columns)])]
        texts = _texts(names[: _MAX_COLUMNS + 1])
        examples = self.query(texts, f"{where} LIMIT {MAX_EXAMPLES if failed else 0}", numbered=True).fetchall()
        shown = [dict(zip(names, map(_shortened, example), strict=False)) for example in examples]
        return _Finding(not failed, f"{failed:,} of {self.table.rows:,} rows {fault}.", shown, failed)


def _unique(columns: Sequence[str], rows: _Rows, _: Baseline | None) -> _Finding:
    for column in columns:
        rows.type_of(column)
    names, number = ", ".join(map(quoted, columns)), quoted(_ROW_NUMBER)
    # A window spills where a GROUP BY over many values runs out of memory.
    nth = rows.query(f"SELECT row_number() OVER (PARTITION BY {names}) AS nth")
    surplus = nth.filter("nth > 1").aggregate("count(*)").fetchall()[0][0]
    examples = []
    if surplus:
        having = f"GROUP BY {names} HAVING count(*) > 1 ORDER BY min({number}) LIMIT {MAX_EXAMPLES}"
        select = f"{_texts(columns)}, min({number}), max({number}), count(*)"
        for *values, first, last, count in rows.query(select, having, numbered=True).fetchall():
            where = f"{first} and {last}" if count == 2 else f"{first} to {last}, {count} times"
            named = dict(zip(columns, map(_shortened, values), strict=True))
            examples.append({_ROW_NUMBER: where, **named})
    message = f"{surplus:,} of {rows.table.rows:,} rows repeat the {', '.join(columns)} of one before."
    return _Finding(not surplus, message, examples, surplus)


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
    kind = rows.type_of(column)
    if kind not in _FLOATS and not _EXACT.fullmatch(kind):
        raise _UncheckableError(f"{column} has no total: {kind} is not a number")
    total = rows.value(f"coalesce({'fsum' if kind in _FLOATS else 'sum'}({quoted(column)}), 0)")
    if not math.isfinite(total):
        raise _UncheckableError(f"{column} has no total: it is {total}")
    return int(total) if total == int(total) else float(total)


def _value_in(baseline: Baseline | None, what: str) -> int | float | None:
    """Return the earlier figure; a check with other limits has measured the same."""
    if baseline is None:
        return None
    if what == "rows":
        return baseline.rows
    same = (check.value for check in baseline.checks if check.name.startswith(f"change({what}, "))
    return next(same, None)


def _schema(expected: Mapping[str, str], rows: _Rows, _: Baseline | None) -> _Finding:
    found = {column.name: column for column in rows.table.columns}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not expected" for name in found if name not in expected]
    for name, kind in expected.items():
        column = found.get(name)
        try:
            if column and kind.lower().replace(" ", "") != column.glue and duckdb_type(kind) != column.type:
                problems.append(f"{name} is {column.type}, expected {kind}")
        except ValueError as error:
            raise _UncheckableError(str(error)) from error
    if not problems and list(found) != list(expected):
        problems.append(f"they come as {', '.join(found)}, expected {', '.join(expected)}")
    message = f"The columns differ: {'; '.join(problems)}." if problems else "The columns are as expected."
    return _Finding(not problems, message)


def _limit(kind: str, bound: Bound, sign: int) -> str | None:
    """Return the least (sign 1) or greatest (-1) value within a bound; None if they do not compare."""
    if isinstance(bound, date):
        is_instant = kind == "TIMESTAMP WITH TIME ZONE"
        if kind == "DATE" and not isinstance(bound, datetime):
            return f"DATE '{bound}'"
        at = bound if isinstance(bound, datetime) else datetime.combine(bound, time(), UTC if is_instant else None)
        comparable = kind.startswith("TIMESTAMP") and (at.tzinfo is not None) == is_instant
        return f"'{at.isoformat(' ')}'::{kind}" if comparable else None
    if kind in _FLOATS or math.isinf(bound):
        near = _double(bound)
        if sign * near < sign * (bound if isinstance(bound, float) else Fraction(bound)):
            near = math.nextafter(near, sign * math.inf)
        return f"'{near!r}'::DOUBLE" if kind in _FLOATS or _EXACT.fullmatch(kind) else None
    if not (exact := _EXACT.fullmatch(kind)):
        return None
    scale = int(exact[2] or 0)
    # In units of the column's last digit, rounded up for a lower bound and down for an upper one.
    units = sign * math.ceil(sign * Fraction(bound) * 10**scale)
    if abs(units) >= 10**38:
        return f"'{math.copysign(math.inf, units)!r}'::DOUBLE"
    return f"'{Decimal(units).scaleb(-scale):f}'::DECIMAL(38,{scale})"


def _double(bound: Number) -> float:
    try:
        return float(bound)
    except OverflowError:
        return math.inf if bound > 0 else -math.inf


def _inside(value: Any, at_least: Bound | None, at_most: Bound | None) -> bool:
    return bool((at_least is None or at_least <= value) and (at_most is None or value <= at_most))


def _exact(number: int | float) -> Fraction:
    """Return a number as it is written: 0.3 is three tenths."""
    return Fraction(str(number))


def _listed(columns: Sequence[str], who: str) -> str:
    if not all(columns) or not 0 < len(columns) == len(set(columns)):
        raise ValueError(f"{who}(): {list(columns)!r} has to name at least one column, and each once.")
    return ", ".join(columns)


def _interval(at_least: Bound | None, at_most: Bound | None, who: str) -> str:
    """Return the bounds as text, once they make sense."""
    bounds = {"at_least": at_least, "at_most": at_most}
    text = ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)
    if not text:
        raise ValueError(f"{who}: give at_least, at_most, or both.")
    if not all(_inside(bound, at_least, at_most) for bound in bounds.values() if bound is not None):
        raise ValueError(f"{who}: nothing is {text}.")
    return text


def _texts(names: Sequence[str]) -> str:
    return "SELECT " + ", ".join(f"{quoted(name)}::VARCHAR" for name in names)


def _shortened(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _shown(rows: Sequence[Mapping[str, str]]) -> str:
    texts = (", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)
    return f" For example {'; '.join(texts)}." if rows else ""
