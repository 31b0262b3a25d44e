"""Checks: what must hold of the rows of a report before they become visible.

They are declared in a report and watch its rows stream by, in constant memory:

    checks=[checks.unique("user_id"), checks.change("rows", within=0.5, severity="warn")]

pyarrow is imported where it is used, because DAG files import this module and are parsed all the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Self

from athena_reports.transforms import exact_sum

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.tally import Tally

SEVERITIES = ("fail", "warn")
AGAINST = ("previous_period", "previous_version")
MAX_EXAMPLES = 5
"""How many offending rows a result shows."""

_MAX_COLUMNS = 20
_MAX_TEXT = 80
_ROW_NUMBER = "row number"

Number = int | float | Decimal
Bound = Number | date


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: The check, such as `unique(user_id)`.
        severity: `fail` if nothing may be published when it does not pass, or `warn`.
        passed: Whether it passed.
        message: What was found, as a sentence.
        rows: At most `MAX_EXAMPLES` offending rows as text, with their `row number`, from 1, as they came.
        value: What was measured: for `rows` their number, for `change` the total, for `unique` how many rows
            repeat others, for checks of single rows how many failed. None if there is no such number.
    """

    name: str
    severity: str
    passed: bool
    message: str
    rows: Sequence[Mapping[str, str]] = ()
    value: int | float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for XCom and the manifest."""
        return {**asdict(self), "rows": [dict(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was made of."""
        return cls(**{**facts, "rows": tuple(facts["rows"])})


@dataclass(frozen=True)
class Check:
    """A check as a report declares it; made by the functions below.

    Attributes:
        name: What it says; unique within a report.
        severity: `fail` or `warn`.
        begin: Makes the watcher that sees the rows of one run.
        against: What it compares with: `previous_period`, `previous_version`, or None for nothing.
    """

    name: str
    severity: str
    begin: Callable[[], Watcher]
    against: str | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"{self.name}: severity is {self.severity!r}, expected fail or warn.")


def rows(*, at_least: int | None = None, at_most: int | None = None, severity: str = "fail") -> Check:
    """Check the number of rows.

    Raises:
        TypeError: A bound is no integer.
        ValueError: There is no bound, or none fits both.
    """
    name = f"rows({_interval(at_least, at_most, 'rows()', (int,))})"
    return Check(name, severity, partial(_RowCount, at_least, at_most))


def unique(*columns: str, severity: str = "fail") -> Check:
    """Check that no two rows have the same values in these columns, taken together.

    NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.

    Raises:
        ValueError: There is no column.
    """
    _require_columns(columns, "unique")
    return Check(f"unique({', '.join(columns)})", severity, partial(_Unique, columns))


def not_null(*columns: str, severity: str = "fail") -> Check:
    """Check that no row has NULL in any of these columns.

    Raises:
        ValueError: There is no column.
    """
    _require_columns(columns, "not_null")
    fault = f"have NULL in {' or '.join(columns)}"
    begin = partial(_EachRow, columns, fault, partial(_all_valid, columns=columns))
    return Check(f"not_null({', '.join(columns)})", severity, begin)


def in_range(
    column: str, *, at_least: Bound | None = None, at_most: Bound | None = None, severity: str = "fail"
) -> Check:
    """Check that each value of a column is within bounds, which are included.

    NULL passes; see `not_null`. NaN does not. Numbers are compared exactly, whatever their types. A date as
    the bound of a timestamp means its midnight.

    Raises:
        TypeError: A bound is no number, date or datetime.
        ValueError: There is no bound, or none fits both.
    """
    _require_columns([column], "in_range")
    interval = _interval(at_least, at_most, f"in_range({column!r})", (int, float, Decimal, date))
    passes = partial(_within, column=column, at_least=at_least, at_most=at_most)
    begin = partial(_EachRow, [column], f"have a {column} outside the range {interval}", passes)
    return Check(f"in_range({column}, {interval})", severity, begin)


def expression(
    description: str, function: Callable[[pa.RecordBatch], pa.Array], *, severity: str = "fail"
) -> Check:
    """Check a condition of your own on each row.

    Args:
        description: What holds, such as `score is at least plays`.
        function: Takes a pyarrow.RecordBatch and returns a boolean array, one value for each row. A row
            passes only where it is true; NULL does not pass.
        severity: `fail` or `warn`.

    Raises:
        TypeError: The function is none.
        ValueError: The description is empty.
    """
    if not isinstance(description, str) or not description.strip():
        raise ValueError("expression(): say in words what holds, such as 'score is at least plays'.")
    if not callable(function):
        raise TypeError(f"expression({description!r}): {function!r} is no function of a record batch.")
    begin = partial(_EachRow, [], f"do not satisfy: {description}", partial(_holds, function=function))
    return Check(f"expression({description})", severity, begin)


def change(what: str, *, within: float, against: str = "previous_period", severity: str = "fail") -> Check:
    """Check that a figure has not changed by too much.

    Args:
        what: `rows` for the number of rows, or a numeric column for its total. Integers and decimals are
            added exactly; NULL counts for nothing.
        within: By which part of the earlier figure it may differ, up or down: 0.5 for half of it.
        against: `previous_period`, or `previous_version` for what is published of the same period. If there
            is none, or it was published without this check, the check passes and says so.
        severity: `fail` or `warn`.

    Raises:
        TypeError: `within` is no number.
        ValueError: `within` is negative or not finite, or `against` is neither.
    """
    _require_columns([what], "change")
    if isinstance(within, bool) or not isinstance(within, int | float):
        raise TypeError(f"change({what!r}): within is {within!r}, which is no number.")
    if not 0 <= within < math.inf:
        raise ValueError(f"change({what!r}): within is {within!r}, expected 0 or more, such as 0.5.")
    if against not in AGAINST:
        raise ValueError(f"change({what!r}): against is {against!r}, expected {' or '.join(AGAINST)}.")
    name = f"{_change_of(what)}within={within}, against={against})"
    return Check(name, severity, partial(_Change, what, within, against), against)


def schema(columns: Mapping[str, str], *, severity: str = "fail") -> Check:
    """Check that the rows have exactly these columns, in this order.

    Args:
        columns: For each name its type as Athena calls it in a result or in a table, such as `bigint`,
            `varchar` or `array<string>`.
        severity: `fail` or `warn`.

    Raises:
        TypeError: A name or a type is no text.
        ValueError: There is no column.
    """
    if not columns:
        raise ValueError("schema(): give the type of each column.")
    for name, kind in columns.items():
        if not isinstance(name, str) or not isinstance(kind, str):
            raise TypeError(f"schema(): {name!r}: {kind!r} is no column with the name of its type.")
    return Check("schema", severity, partial(_Schema, dict(columns)))


def watch(checks: Sequence[Check]) -> Watch:
    """Return what sees the rows of a run for its checks. Use it as a context manager.

    Raises:
        ValueError: Two checks have the same name.
    """
    return Watch(checks)


def failures(results: Sequence[CheckResult]) -> str:
    """Return what to say of the failed checks that forbid to publish; an empty text if there are none."""
    return " ".join(
        f"Check {result.name} failed: {result.message}{_shown(result.rows)}"
        for result in results
        if result.severity == "fail" and not result.passed
    )


class Watch:
    """The checks of one run at work.

    Attributes:
        compares_periods: Whether `conclude` needs the manifest of the previous period.
        compares_versions: Whether `conclude` needs the manifest that is published of this period.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        names = [check.name for check in checks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is declared twice. Keep one.")
        self.compares_periods = any(check.against == "previous_period" for check in checks)
        self.compares_versions = any(check.against == "previous_version" for check in checks)
        self._watchers = [(check, check.begin()) for check in checks]
        self._problems: dict[str, str] = {}
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _check, watcher in self._watchers:
            watcher.close()

    def see(self, batch: pa.RecordBatch) -> None:
        """Look at the next batch that is published.

        Raises:
            OSError: The disk is full.
        """
        for check, watcher in self._watchers:
            if check.name not in self._problems:
                try:
                    watcher.see(batch, self._rows)
                except _UncheckableError as problem:
                    self._problems[check.name] = str(problem)
        self._rows += batch.num_rows

    def conclude(
        self, previous: Mapping[str, Any] | None, current: Mapping[str, Any] | None
    ) -> tuple[CheckResult, ...]:
        """Return what each check found, when all batches were seen. One that cannot be done has not passed.

        Args:
            previous: Manifest of the previous period, if it is published.
            current: Manifest that is published of this period, if there is one.

        Raises:
            OSError: The disk is full.
        """
        published = {"previous_period": previous, "previous_version": current}
        results = []
        for check, watcher in self._watchers:
            problem = self._problems.get(check.name)
            finding = (
                Finding(False, f"It cannot be checked: {problem}")
                if problem
                else watcher.conclude(published.get(check.against or ""))
            )
            results.append(
                CheckResult(
                    check.name, check.severity, finding.passed, finding.message, finding.rows, finding.value
                )
            )
        return tuple(results)


@dataclass(frozen=True)
class Finding:
    """A result without the name and the severity of its check; see `CheckResult`."""

    passed: bool
    message: str
    rows: Sequence[Mapping[str, str]] = ()
    value: int | float | None = None


class Watcher:
    """What a check does in one run."""

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        """Look at a batch, before which so many rows were published."""
        raise NotImplementedError

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        """Say what was found, given the manifest that the check compares with."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of temporary files."""


class _UncheckableError(Exception):
    """The rows are not such that the check makes sense; the message says why."""


class _RowCount(Watcher):
    def __init__(self, at_least: int | None, at_most: int | None) -> None:
        self._at_least = at_least
        self._at_most = at_most
        self._rows = 0

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        self._rows = before + batch.num_rows

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        passed = _inside(self._rows, self._at_least, self._at_most)
        expected = _bounds_text(self._at_least, self._at_most)
        return Finding(passed, f"There are {self._rows:,} rows; expected {expected}.", value=self._rows)


class _Unique(Watcher):
    def __init__(self, columns: Sequence[str]) -> None:
        from athena_reports.tally import Tally

        self._columns = columns
        self._tally: Tally = Tally()
        self._rows = 0

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        from athena_reports.tally import row_keys

        _require_present(batch, self._columns)
        self._tally.add(row_keys(batch, self._columns))
        self._rows = before + batch.num_rows

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        from athena_reports.tally import key_values

        found = self._tally.repetitions(MAX_EXAMPLES)
        examples = []
        for repeated in found.examples:
            numbers = f"{repeated.first} and {repeated.last}"
            if repeated.count > 2:
                numbers = f"{repeated.first} to {repeated.last}, {repeated.count} times"
            values = zip(self._columns, key_values(repeated.key), strict=True)
            examples.append({_ROW_NUMBER: numbers, **{name: _shortened(value) for name, value in values}})
        message = (
            f"{found.surplus:,} of {self._rows:,} rows repeat the {', '.join(self._columns)} of one before."
        )
        return Finding(not found.surplus, message, tuple(examples), found.surplus)

    def close(self) -> None:
        self._tally.close()


class _EachRow(Watcher):
    """Counts the rows that do not pass.

    Args:
        columns: Columns to show first of a row that does not.
        fault: What is wrong with those rows, to follow "3 of 100 rows".
        passes: For each row of a batch whether it passes, without NULLs.
    """

    def __init__(
        self, columns: Sequence[str], fault: str, passes: Callable[[pa.RecordBatch], pa.Array]
    ) -> None:
        self._columns = columns
        self._fault = fault
        self._passes = passes
        self._examples: list[Mapping[str, str]] = []
        self._failed = 0
        self._rows = 0

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        import pyarrow.compute as pc

        _require_present(batch, self._columns)
        fails = pc.invert(self._passes(batch))
        failed = pc.sum(fails).as_py() or 0
        self._rows = before + batch.num_rows
        self._failed += failed
        if failed and len(self._examples) < MAX_EXAMPLES:
            wanted = pc.indices_nonzero(fails)[: MAX_EXAMPLES - len(self._examples)].to_pylist()
            self._examples += [self._example(batch, row, before) for row in wanted]

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        message = f"{self._failed:,} of {self._rows:,} rows {self._fault}."
        return Finding(not self._failed, message, tuple(self._examples), self._failed)

    def _example(self, batch: pa.RecordBatch, row: int, before: int) -> Mapping[str, str]:
        others = [name for name in batch.schema.names if name not in self._columns]
        shown = [*self._columns, *others][:_MAX_COLUMNS]
        values = {name: _shortened(batch[name][row].as_py()) for name in shown}
        return {_ROW_NUMBER: str(before + row + 1), **values}


class _Change(Watcher):
    def __init__(self, what: str, within: float, against: str) -> None:
        self._what = what
        self._within = within
        self._against = against.replace("_", " ")
        self._total = Fraction(0)

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        if self._what == "rows":
            self._total += batch.num_rows
        else:
            _require_present(batch, [self._what])
            self._total += _sum(batch, self._what)

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        now = int(self._total) if self._total.denominator == 1 else float(self._total)
        figure = f"{now:,} rows" if self._what == "rows" else f"The total of {self._what} is {now:,}"
        before = self._value_in(earlier)
        if before is None:
            return Finding(True, f"{figure}; the {self._against} has nothing to compare with.", value=now)
        difference = _exact(now) - _exact(before)
        passed = abs(difference) <= _exact(self._within) * abs(_exact(before))
        relative = f" ({float(difference / _exact(before)):+.1%})" if before else ""
        message = (
            f"{figure}, after {before:,} in the {self._against}{relative}; "
            f"expected within {self._within:.1%}."
        )
        return Finding(passed, message, value=now)

    def _value_in(self, manifest: Mapping[str, Any] | None) -> int | float | None:
        """Return the figure of the manifest; a check of other limits has measured the same."""
        if manifest is None:
            return None
        if self._what == "rows":
            return int(manifest["rows"])
        named = (check for check in manifest["checks"] if check["name"].startswith(_change_of(self._what)))
        return next((check["value"] for check in named), None)


class _Schema(Watcher):
    def __init__(self, columns: Mapping[str, str]) -> None:
        self._expected = columns
        self._problems: list[str] = []

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        if not before:
            self._problems = _schema_problems(batch.schema, self._expected)

    def conclude(self, earlier: Mapping[str, Any] | None) -> Finding:
        if self._problems:
            return Finding(False, f"The columns differ: {'; '.join(self._problems)}.")
        return Finding(True, f"The {len(self._expected)} columns are as expected.")


def _schema_problems(found: pa.Schema, expected: Mapping[str, str]) -> list[str]:
    problems = [f"{name} is missing" for name in expected if name not in found.names]
    problems += [f"{name} is not expected" for name in found.names if name not in expected]
    problems += [
        f"{field.name} is {field.type}, expected {expected[field.name]}"
        for field in found
        if field.name in expected and not _is_called(field.type, expected[field.name])
    ]
    if not problems and found.names != list(expected):
        problems.append(f"they come as {', '.join(found.names)}, expected {', '.join(expected)}")
    return problems


def _is_called(kind: pa.DataType, name: str) -> bool:
    """Whether a table or a result calls the type by this name."""
    from athena_reports.schema import arrow_type, glue_type

    try:
        if glue_type(kind) == name.lower().replace(" ", ""):
            return True
    except ValueError:
        pass  # Only a result has a name for it.
    try:
        return bool(arrow_type(name) == kind)
    except ValueError as error:
        raise _UncheckableError(str(error)) from error


def _all_valid(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    import pyarrow.compute as pc

    return reduce(pc.and_, [pc.is_valid(batch[column]) for column in columns])


def _within(batch: pa.RecordBatch, column: str, at_least: Bound | None, at_most: Bound | None) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = batch[column]
    try:
        extremes = pc.min_max(values).as_py().values()
        no_nan = not pa.types.is_floating(values.type) or not pc.any(pc.is_nan(values)).as_py()
        if no_nan and all(_inside(value, at_least, at_most) for value in extremes):
            return pa.repeat(True, len(values))
        # Python compares numbers of different types exactly. It is slow, but few batches come here.
        return pa.array([_inside(value, at_least, at_most) for value in values.to_pylist()], pa.bool_())
    except (TypeError, NotImplementedError) as error:
        raise _UncheckableError(
            f"{column} is {values.type}, which does not compare with {_bounds_text(at_least, at_most)}."
        ) from error


def _inside(value: Any, at_least: Bound | None, at_most: Bound | None) -> bool:
    """Whether a value is within the bounds; NULL is."""
    if value is None:
        return True
    if value != value:  # NaN
        return False
    return (at_least is None or _bound_for(value, at_least) <= value) and (
        at_most is None or value <= _bound_for(value, at_most)
    )


def _bound_for(value: Any, bound: Bound) -> Any:
    if isinstance(value, datetime) and isinstance(bound, date) and not isinstance(bound, datetime):
        return datetime.combine(bound, time(), value.tzinfo)
    return bound


def _holds(batch: pa.RecordBatch, function: Callable[[pa.RecordBatch], Any]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = function(batch)
    except Exception as error:
        raise _UncheckableError(f"the function raised {type(error).__name__}: {error}.") from error
    if not isinstance(found, pa.Array) or not pa.types.is_boolean(found.type) or len(found) != len(batch):
        raise _UncheckableError(
            f"the function returned {_shortened(found)} for {batch.num_rows:,} rows; "
            f"it has to return a boolean pyarrow.Array, one value for each."
        )
    return pc.fill_null(found, False)


def _sum(batch: pa.RecordBatch, column: str) -> Fraction:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = batch[column]
    try:
        if pa.types.is_floating(values.type):
            return Fraction(pc.sum(values).as_py() or 0)
        return exact_sum(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise _UncheckableError(f"{column} has no total: {error}.") from error


def _exact(number: int | float) -> Fraction:
    """Return a number as it is written: 0.3 is three tenths."""
    return Fraction(str(number))


def _change_of(what: str) -> str:
    return f"change({what}, "


def _require_present(batch: pa.RecordBatch, columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in batch.schema.names]:
        raise _UncheckableError(
            f"there is no column {', '.join(missing)}; the rows have {', '.join(batch.schema.names)}."
        )


def _require_columns(columns: Sequence[str], who: str) -> None:
    if not columns or not all(isinstance(name, str) and name for name in columns):
        raise ValueError(f"{who}(): {list(columns)!r} names no column. Give the name of at least one.")
    if len(set(columns)) < len(columns):
        raise ValueError(f"{who}(): {', '.join(columns)} names a column twice.")


def _interval(at_least: Bound | None, at_most: Bound | None, who: str, kinds: tuple[type, ...]) -> str:
    """Return the bounds as text, once they make sense."""
    bounds = [bound for bound in (at_least, at_most) if bound is not None]
    if not bounds:
        raise ValueError(f"{who}: give at_least, at_most, or both.")
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, kinds):
            raise TypeError(f"{who}: {bound!r} is no {' or '.join(kind.__name__ for kind in kinds)}.")
        if not _inside(bound, at_least, at_most):
            raise ValueError(f"{who}: nothing is {_bounds_text(at_least, at_most)}.")
    return _bounds_text(at_least, at_most)


def _bounds_text(at_least: Bound | None, at_most: Bound | None) -> str:
    bounds = {"at_least": at_least, "at_most": at_most}
    return ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)


def _shortened(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _shown(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    texts = (", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)
    return f" For example {'; '.join(texts)}."
