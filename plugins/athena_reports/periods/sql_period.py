"""A period as SQL: its bounds, the filters on event time and partitions, and literals (Athena user guide)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Literal, get_args

from athena_reports.periods.calendar import Period
from athena_reports.periods.partition_format import require_dates

Scalar = str | int | float | bool | Decimal | date | datetime | None
ParamValue = Scalar | Sequence[Scalar]
PartitionKind = Literal["string", "date", "integer"]
EventTimeKind = Literal["timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds"]


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
    def previous(self) -> "SqlPeriod":
        """The period before this one."""
        return SqlPeriod(self.period.previous, self.late_by)

    def contains(self, column: str, kind: EventTimeKind = "timestamp") -> str:
        """Return a predicate that is true for exactly the events of this period.

        Args:
            column: The event time: a column or an expression.
            kind: `timestamp` (UTC, without a zone), `timestamp with time zone`, `epoch_seconds`, `epoch_milliseconds`.
        """
        start, end = (_instant(at, kind) for at in (self.start_utc, self.end_utc))
        return f"({column} >= {start} AND {column} < {end})"

    def partitions(
        self, *columns: str, zone: str = "UTC", format: str = "%Y-%m-%d", kind: PartitionKind = "string"
    ) -> str:
        """Return a predicate on date partitions that reads exactly those that can hold the events.

        Those are the dates in `zone` that the period touches, and those in which an event that is `late_by` late
        may land. A Tokyo week lies in 8 UTC dates, not in 7.

        Args:
            columns: One partition key that holds a date, or three that hold year, month and day.
            zone: The time zone in which the partitions are dated.
            format: How one key writes its date (`strftime`); also of longer partitions, such as `%Y-%m`. Hourly
                partitions are not supported yet.
            kind: Type of the partition keys: `string`, `date` or `integer`.

        Raises:
            ValueError: An argument is wrong, such as a format that has hours or no year.
        """
        if kind not in get_args(PartitionKind):
            raise ValueError(f"partitions(): kind is {kind!r}, expected one of {', '.join(get_args(PartitionKind))}.")
        try:
            require_dates(format)
        except ValueError as error:
            raise ValueError(f"partitions(): format {format!r} is not valid: {error}") from error
        dates = self.period.dates_in(zone, self.late_by)
        match columns:
            case (column,):
                texts = dict.fromkeys(day.strftime(format) for day in dates)
                return f"({column} IN ({', '.join(_partition_value(text, kind) for text in texts)}))"
            case (year, month, day):
                months = (
                    f"({year} = {_partition_value(start[:4], kind)} AND {month} = {_partition_value(start[5:], kind)} "
                    f"AND {day} IN ({', '.join(_partition_value(f'{each:%d}', kind) for each in days)}))"
                    for start, days in groupby(dates, key=lambda each: f"{each:%Y-%m}")
                )
                return f"({' OR '.join(months)})"
        raise ValueError(f"partitions(): {len(columns)} columns given, expected a date, or year, month and day.")

    def __str__(self) -> str:
        return self.period.id


def partition_values(columns: Sequence[str], day: date, format: str, kind: str) -> tuple[str, ...]:
    """Return the values under which Glue holds the partition of a date; see `SqlPeriod.partitions`."""
    texts = [day.strftime(format)] if len(columns) == 1 else [f"{day:%Y}", f"{day:%m}", f"{day:%d}"]
    return tuple(str(int(text)) if kind == "integer" else text for text in texts)


def _partition_value(text: str, kind: str) -> str:
    try:
        return literal(text if kind == "string" else int(text) if kind == "integer" else date.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"partitions(): {text!r} is not a value of kind {kind!r}.") from error


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
    raise ValueError(f"contains(): kind is {kind!r}, expected one of {', '.join(get_args(EventTimeKind))}.")


def _wall_clock(at: datetime) -> str:
    return at.isoformat(" ", "milliseconds")[:23]


def literal(value: ParamValue) -> str:
    """Return a Python value as an Athena SQL literal, a list as the right side of `IN`; ValueError if it has none."""
    match value:  # a class pattern takes subclasses too: bool before int, datetime before date
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() if -(2**63) < value < 2**63:
            return f"{value:d}" if value >= 0 else f"({value:d})"  # two minus signs would begin a comment
        case float() if math.isfinite(value):
            return f"DOUBLE '{float(value)!r}'"
        case Decimal() if value.is_finite() and sum(map(str.isdigit, f"{value:f}")) <= 38:
            return f"DECIMAL '{value:f}'"
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''") + "'"
        case datetime() if value.microsecond % 1000 == 0:
            zone = " UTC" if value.tzinfo else ""
            return f"TIMESTAMP '{_wall_clock(value.astimezone(UTC) if zone else value)}{zone}'"
        case date() if not isinstance(value, datetime):
            return f"DATE '{value.isoformat()}'"
        case list() | tuple() if value and not any(isinstance(item, list | tuple) for item in value):
            return f"({', '.join(map(literal, value))})"
    raise ValueError(
        f"{value!r} has no SQL literal: give a str without NUL, bigint, finite float, Decimal of up to 38 digits, "
        f"a bool, a date, None, a datetime in whole milliseconds, or a list of these that is not empty."
    )
