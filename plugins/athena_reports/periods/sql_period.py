"""A period as SQL: its bounds, the filters on event time and partitions, and literals.

Literals and the pruning of partitions follow the Athena user guide ("Reserved keywords", "Partition your
data"). Timestamps are compared at Athena's own precision, milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Literal, get_args

from athena_reports.periods.calendar import Period

Scalar = str | int | float | bool | Decimal | date | datetime | None
ParamValue = Scalar | Sequence[Scalar]

PartitionKind = Literal["string", "date", "integer"]
EventTimeKind = Literal["timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds"]

_LITERAL_TYPES = "use str, int, float, bool, Decimal, date, datetime, None, or a list of these"
_DECIMAL_DIGITS = 38


@dataclass(frozen=True)
class SqlPeriod:
    """A period as a SQL template sees it: its bounds, its predecessor, and two filters.

    Attributes:
        period: The period itself.
        late_by: How long after it happened an event may still land in a partition.
    """

    period: Period
    late_by: timedelta = timedelta(0)

    id = property(lambda self: self.period.id, doc="The period id, for example `2026-11-15`.")
    start = property(lambda self: self.period.start, doc="The first instant, in the period's zone.")
    end = property(lambda self: self.period.end, doc="The first instant after it, in the period's zone.")
    start_utc = property(lambda self: self.period.start_utc, doc="The first instant, in UTC.")
    end_utc = property(lambda self: self.period.end_utc, doc="The first instant after it, in UTC.")

    @property
    def previous(self) -> SqlPeriod:
        """The period before this one."""
        return SqlPeriod(self.period.previous, self.late_by)

    def contains(self, column: str, kind: EventTimeKind = "timestamp") -> str:
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
        self, *columns: str, zone: str = "UTC", format: str = "%Y-%m-%d", kind: PartitionKind = "string"
    ) -> str:
        """Return a predicate on date partitions that reads exactly those that can hold the events.

        Those are the dates in `zone` that the period touches, and then those in which an event may still land
        when it is `late_by` late. A Tokyo week lies in 8 UTC dates, not in 7.

        Args:
            columns: One partition key that holds a date, or three that hold year, month and day.
            zone: The time zone in which the partitions are dated.
            format: How one key writes its date (`strftime`). It need not sort by date, and may write longer
                partitions, such as `%Y-%m`.
            kind: Type of the partition keys: `string`, `date` or `integer`.

        Raises:
            ValueError: Neither one nor three columns, an unknown `kind`, or one that the format does not fit.
        """
        if kind not in get_args(PartitionKind):
            raise ValueError(f"partitions(): kind is {kind!r}, expected one of {_listed(PartitionKind)}.")
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
        return self.period.id


def _listed(choices: object) -> str:
    return ", ".join(get_args(choices))


def _instant(at: datetime, kind: str) -> str:
    match kind:
        case "timestamp":
            return f"TIMESTAMP '{_wall_clock(at)}'"
        case "timestamp with time zone":
            return f"TIMESTAMP '{_wall_clock(at)} UTC'"
        case "epoch_seconds":
            return str(int(at.timestamp()))
        case "epoch_milliseconds":
            return str(int(at.timestamp()) * 1000)
    raise ValueError(f"contains(): kind is {kind!r}, expected one of {_listed(EventTimeKind)}.")


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
        raise ValueError(f"partitions(): {text!r} is not a value of kind {kind!r}.") from error


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
    """Return a Python value as an Athena SQL literal; a list becomes the right side of `IN`.

    Raises:
        ValueError: The type has no literal, or the value has none: an empty list, a NUL character, a number
            beyond Athena's bigint or 38 decimal digits, a datetime beyond millisecond precision.
    """
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("an empty list has no literal: IN () is not valid SQL.")
        if any(isinstance(item, list | tuple) for item in value):
            raise ValueError(f"a list within a list has no SQL literal: {_LITERAL_TYPES}.")
        return f"({', '.join(map(literal, value))})"
    match value:  # a class pattern takes subclasses too: bool before int, datetime before date
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return _integer(value)
        case float():
            return _double(value)
        case Decimal():
            return _decimal(value)
        case str():
            return _string(value)
        case datetime():
            return _timestamp(value)
        case date():
            return f"DATE '{value.isoformat()}'"
    raise ValueError(f"{type(value).__name__} has no SQL literal: {_LITERAL_TYPES}.")


def _string(value: str) -> str:
    if "\0" in value:
        raise ValueError("a string with a NUL character has no literal.")
    return "'" + value.replace("'", "''") + "'"


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
