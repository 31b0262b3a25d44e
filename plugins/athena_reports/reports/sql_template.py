"""A report's SQL: a Jinja template whose only clock is the period.

Two names stand in a report's template, and no others: `period` (a `SqlPeriod`) and `params` (the report's
constants, as SQL literals). Athena's literals and its pruning of partitions are described in the Athena
user guide under "Reserved keywords" and "Partition your data"; timestamps are compared at millisecond
precision, Athena's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.periods.calendar import Period, daily

_LITERAL_TYPES = "use str, int, float, bool, Decimal, date, datetime, None, or a list of these"

Scalar = str | int | float | bool | Decimal | date | datetime | None
ParamValue = Scalar | Sequence[Scalar]

_SAMPLE = daily().period("2025-01-01")

TEMPLATE_NAMES = frozenset({"period", "params"})

_DECIMAL_DIGITS = 38

_NO_CODE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_PARENTHESES = re.compile(r"\([^()]*\)")
_ORDER = re.compile(r"\b(ORDER\s+BY|LIMIT|OFFSET|FETCH)\b", re.IGNORECASE)

_EVENT_TIME_KINDS = ("timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds")
PARTITION_KINDS = ("string", "date", "integer")


@dataclass(frozen=True)
class SqlPeriod:
    """A period as a SQL template sees it: its bounds, its predecessor, and two filters.

    Attributes:
        period: The period itself.
        late_by: How long after it happened an event may still land in a partition.
    """

    period: Period
    late_by: timedelta = timedelta(0)

    @property
    def id(self) -> str:
        """The period id, for example `2026-11-15`."""
        return self.period.id

    @property
    def start(self) -> datetime:
        """The first instant, in the period's zone."""
        return self.period.start

    @property
    def end(self) -> datetime:
        """The first instant after the period, in the period's zone."""
        return self.period.end

    @property
    def start_utc(self) -> datetime:
        """The first instant, in UTC."""
        return self.period.start_utc

    @property
    def end_utc(self) -> datetime:
        """The first instant after the period, in UTC."""
        return self.period.end_utc

    @property
    def previous(self) -> SqlPeriod:
        """The period before this one."""
        return SqlPeriod(self.period.previous, self.late_by)

    def contains(self, column: str, kind: str = "timestamp") -> str:
        """Return a predicate that is true for exactly the events of this period.

        Args:
            column: The event time: a column or an expression.
            kind: What the column holds: `timestamp` (UTC, without a zone), `timestamp with time zone`,
                `epoch_seconds` or `epoch_milliseconds`.

        Raises:
            ValueError: Unknown `kind`.
        """
        start, end = (_instant(at, kind) for at in (self.start_utc, self.end_utc))
        return f"({column} >= {start} AND {column} < {end})"

    def partitions(
        self, *columns: str, zone: str = "UTC", format: str = "%Y-%m-%d", kind: str = "string"
    ) -> str:
        """Return a predicate on date partitions that reads exactly those that can hold the events.

        Those are the dates in `zone` that the period touches, and then those in which an event may still
        land when it is `late_by` late. A Tokyo week lies in 8 UTC dates, not in 7.

        Args:
            columns: One partition key that holds a date, or three that hold year, month and day.
            zone: The time zone in which the partitions are dated.
            format: How one key writes its date (`strftime`); a format that does not sort by date is fine, and
                so is one for longer partitions, such as `%Y-%m`.
            kind: Type of the partition keys: `string`, `date` or `integer`.

        Raises:
            ValueError: Neither one nor three columns, an unknown `kind`, or one that the format does not fit.
        """
        if kind not in PARTITION_KINDS:
            raise ValueError(f"partitions(): kind is {kind!r}, expected one of {', '.join(PARTITION_KINDS)}.")
        dates = self.period.dates_in(zone, self.late_by)
        if len(columns) == 1:
            texts = dict.fromkeys(day.strftime(format) for day in dates)
            return f"({columns[0]} IN ({', '.join(_partition_value(text, kind) for text in texts)}))"
        if len(columns) == 3:
            return _year_month_day(columns, dates, kind)
        raise ValueError(
            f"partitions(): {len(columns)} columns given, expected one that holds a date "
            f"or three that hold year, month and day."
        )

    def __str__(self) -> str:
        return self.id


def _instant(at: datetime, kind: str) -> str:
    if kind == "timestamp":
        return f"TIMESTAMP '{_wall_clock(at)}'"
    if kind == "timestamp with time zone":
        return f"TIMESTAMP '{_wall_clock(at)} UTC'"
    if kind == "epoch_seconds":
        return str(int(at.timestamp()))
    if kind == "epoch_milliseconds":
        return str(int(at.timestamp()) * 1000)
    raise ValueError(f"contains(): kind is {kind!r}, expected one of {', '.join(_EVENT_TIME_KINDS)}.")


def _wall_clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def partition_values(columns: Sequence[str], day: date, format: str, kind: str) -> tuple[str, ...]:
    """Return the values under which Glue holds the partition of a date; see `SqlPeriod.partitions`."""
    texts = [day.strftime(format)] if len(columns) == 1 else [f"{day:%Y}", f"{day:%m}", f"{day:%d}"]
    return tuple(str(int(text)) if kind == "integer" else text for text in texts)


def _partition_value(text: str, kind: str) -> str:
    if kind == "string":
        return literal(text)
    try:
        return literal(date.fromisoformat(text)) if kind == "date" else literal(int(text))
    except ValueError as error:
        raise ValueError(f"partitions(): {text!r} is no value for a key of kind {kind!r}.") from error


def _year_month_day(columns: Sequence[str], dates: Sequence[date], kind: str) -> str:
    year, month, day = columns

    def value(number: int) -> str:
        return _partition_value(f"{number:02d}", kind)

    months = []
    for (in_year, in_month), days in groupby(dates, key=lambda date_: (date_.year, date_.month)):
        listed = ", ".join(value(date_.day) for date_ in days)
        months.append(f"({year} = {value(in_year)} AND {month} = {value(in_month)} AND {day} IN ({listed}))")
    return f"({' OR '.join(months)})"


def literal(value: ParamValue) -> str:
    """Write a Python value as an Athena SQL literal; a list becomes the right side of `IN`.

    Raises:
        TypeError: A type that has no literal.
        ValueError: An empty list, a NUL character, a number beyond Athena's bigint or 38 decimal digits, or
            a datetime beyond millisecond precision.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a string with a NUL character has no literal.")
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("an empty list has no literal: IN () is no SQL.")
        return f"({', '.join(map(_scalar, value))})"
    raise TypeError(f"{type(value).__name__} has no SQL literal: {_LITERAL_TYPES}.")


def _scalar(value: Scalar) -> str:
    if isinstance(value, list | tuple):
        raise TypeError(f"a list within a list has no SQL literal: {_LITERAL_TYPES}.")
    return literal(value)


def _integer(value: int) -> str:
    if not -(2**63) < value < 2**63:
        raise ValueError(f"{value} does not fit into a bigint.")
    # Behind a minus sign a bare negative number would begin a comment.
    return f"{value:d}" if value >= 0 else f"({value:d})"


def _double(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no literal.")
    return f"DOUBLE '{float(value)!r}'"


def _decimal(value: Decimal) -> str:
    text = f"{value:f}"
    if not value.is_finite() or sum(map(str.isdigit, text)) > _DECIMAL_DIGITS:
        raise ValueError(f"{value} has no decimal literal: it has to be finite, with at most 38 digits.")
    return f"DECIMAL '{text}'"


def _timestamp(value: datetime) -> str:
    if value.microsecond % 1000:
        raise ValueError(f"{value.isoformat()} is finer than Athena's milliseconds.")
    if value.tzinfo is None:
        return f"TIMESTAMP '{_wall_clock(value)}'"
    return f"TIMESTAMP '{_wall_clock(value.astimezone(UTC))} UTC'"


def template_problem(source: str, params: Mapping[str, ParamValue], folder: Path) -> str | None:
    """Say what is wrong with a report's SQL template before any run, or None.

    Found are syntax errors of Jinja, names that no report's template has, such as Airflow's `ds`, and by
    rendering it for some period attributes that the period or the params do not have, and wrong arguments.

    Args:
        source: The template.
        params: The report's params.
        folder: Where files that it includes are.
    """
    environment = SandboxedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined)
    try:
        template = environment.parse(source)
        if unknown := sorted(meta.find_undeclared_variables(template) - TEMPLATE_NAMES):
            return (
                f"it uses {', '.join(unknown)}; a report's SQL knows only 'period' and 'params'. "
                f'Dates come from the period, for example {{{{ period.contains("event_time") }}}}.'
            )
        environment.from_string(template).render(template_context(SqlPeriod(_SAMPLE), params))
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}."
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"it cannot be rendered: {error}."
    return None


def keeps_order(sql: str) -> bool:
    """Whether a rendered query says in which order its rows come, or how many of them (ORDER BY, LIMIT).

    What stands in parentheses, strings and comments does not count.
    """
    text = _NO_CODE.sub(" ", sql)
    while (outside := _PARENTHESES.sub(" ", text)) != text:
        text = outside
    return _ORDER.search(text) is not None


@dataclass(frozen=True)
class SqlValue:
    """A param as a template sees it: it prints as a SQL literal, and can be asked about.

    `{{ params.top }}` writes the literal, `{% if params.guests %}` and `{% if params.kind == "x" %}` ask
    about the value, `{% for country in params.countries %}` goes through its literals.
    """

    value: ParamValue

    def __str__(self) -> str:
        return literal(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __iter__(self) -> Iterator[SqlValue]:
        if not isinstance(self.value, list | tuple):
            raise TypeError(f"{self} is no list")
        return map(SqlValue, self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, SqlValue) else other))

    def __hash__(self) -> int:
        return hash(str(self))


def template_context(period: SqlPeriod, params: Mapping[str, ParamValue]) -> dict[str, object]:
    """Return all that a report's template sees: the period, and the params."""
    values = {name: SqlValue(value) for name, value in params.items()}
    return {"period": period, "params": SimpleNamespace(**values)}
