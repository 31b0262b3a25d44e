"""A period as SQL: its bounds, the filters on event time and partitions, and literals.

What Athena takes is in its user guide.
"""

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
EventTimeKind = Literal[
    "timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds"
]

_MOST_DIGITS = 38  # of a decimal in Athena


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
        """The first instant after it, in the period's zone."""
        return self.period.end

    @property
    def start_utc(self) -> datetime:
        """The first instant, in UTC."""
        return self.period.start_utc

    @property
    def end_utc(self) -> datetime:
        """The first instant after it, in UTC."""
        return self.period.end_utc

    @property
    def previous(self) -> "SqlPeriod":
        """The period before this one."""
        return SqlPeriod(self.period.previous, self.late_by)

    def contains(self, column: str, kind: EventTimeKind = "timestamp") -> str:
        """Return a predicate that is true for exactly the events of this period.

        Args:
            column: The event time: a column or an expression.
            kind: `timestamp` (UTC, without a zone), `timestamp with time zone`, `epoch_seconds`,
                `epoch_milliseconds`.
        """
        start = _instant_literal(self.start_utc, kind)
        end = _instant_literal(self.end_utc, kind)
        return f"({column} >= {start} AND {column} < {end})"

    def partitions(
        self,
        *columns: str,
        zone: str = "UTC",
        format: str = "%Y-%m-%d",
        kind: PartitionKind = "string",
    ) -> str:
        """Return a predicate on date partitions that reads exactly those that can hold the events.

        Those are the dates in `zone` that the period touches, and those in which an event that is
        `late_by` late may land. A Tokyo week lies in 8 UTC dates, not in 7.

        Args:
            columns: One partition key that holds a date, or three that hold year, month and day.
            zone: The time zone in which the partitions are dated.
            format: How one key writes its date (`strftime`); also of longer partitions, such as
                `%Y-%m`. Hourly partitions are not supported yet.
            kind: Type of the partition keys: `string`, `date` or `integer`.

        Raises:
            ValueError: An argument is wrong, such as a format that has hours or no year.
        """
        if kind not in get_args(PartitionKind):
            kinds = ", ".join(get_args(PartitionKind))
            raise ValueError(f"partitions(): kind is {kind!r}, expected one of {kinds}.")
        try:
            require_dates(format)
        except ValueError as error:
            raise ValueError(f"partitions(): format {format!r} is not valid: {error}") from error
        dates = self.period.dates_in(zone, self.late_by)
        match columns:
            case (column,):
                return _one_key_filter(column, dates, format, kind)
            case (year_key, month_key, day_key):
                return _three_keys_filter(year_key, month_key, day_key, dates, kind)
        raise ValueError(
            f"partitions(): {len(columns)} columns given, expected a date, or year, month and day."
        )

    def __str__(self) -> str:
        return self.period.id


def partition_values(columns: Sequence[str], day: date, format: str, kind: str) -> tuple[str, ...]:
    """Return the values under which Glue holds the partition of a date.

    The arguments are those of `SqlPeriod.partitions`.
    """
    texts = [day.strftime(format)]
    if len(columns) == 3:
        texts = [f"{day:%Y}", f"{day:%m}", f"{day:%d}"]
    if kind == "integer":
        texts = [str(int(text)) for text in texts]
    return tuple(texts)


def literal(value: ParamValue) -> str:
    """Return a Python value as an Athena SQL literal; ValueError if it has none.

    A list becomes the right side of `IN`.
    """
    match value:  # a class pattern takes subclasses too: bool before int, datetime before date
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() if -(2**63) < value < 2**63:
            if value < 0:
                return f"({value:d})"  # after another minus sign it would begin a comment
            return f"{value:d}"
        case float() if math.isfinite(value):
            return f"DOUBLE '{float(value)!r}'"
        case Decimal() if value.is_finite() and _count_digits(value) <= _MOST_DIGITS:
            return f"DECIMAL '{value:f}'"
        case str() if "\0" not in value:
            escaped = value.replace("'", "''")
            return f"'{escaped}'"
        case datetime() if value.microsecond % 1000 == 0:
            if value.tzinfo is None:
                return f"TIMESTAMP '{_wall_clock(value)}'"
            return f"TIMESTAMP '{_wall_clock(value.astimezone(UTC))} UTC'"
        case date() if not isinstance(value, datetime):
            return f"DATE '{value.isoformat()}'"
        case list() | tuple() if value and not any(
            isinstance(item, list | tuple) for item in value
        ):
            items = ", ".join(map(literal, value))
            return f"({items})"
    raise ValueError(
        f"{value!r} has no SQL literal: give a str without NUL, bigint, finite float,"
        " Decimal of up to 38 digits, a bool, a date, None, a datetime in whole milliseconds,"
        " or a list of these that is not empty."
    )


def _one_key_filter(column: str, dates: Sequence[date], format: str, kind: PartitionKind) -> str:
    # A partition may hold all days of a month. Its text is listed once.
    texts = dict.fromkeys(day.strftime(format) for day in dates)
    values = ", ".join(_partition_literal(text, kind) for text in texts)
    return f"({column} IN ({values}))"


def _three_keys_filter(
    year_key: str, month_key: str, day_key: str, dates: Sequence[date], kind: PartitionKind
) -> str:
    filters = []
    for _, dates_of_month in groupby(dates, key=lambda day: (day.year, day.month)):
        days = list(dates_of_month)
        year = _partition_literal(f"{days[0]:%Y}", kind)
        month = _partition_literal(f"{days[0]:%m}", kind)
        day_list = ", ".join(_partition_literal(f"{day:%d}", kind) for day in days)
        filters.append(
            f"({year_key} = {year} AND {month_key} = {month} AND {day_key} IN ({day_list}))"
        )
    return f"({' OR '.join(filters)})"


def _partition_literal(text: str, kind: PartitionKind) -> str:
    value: Scalar
    try:
        match kind:
            case "string":
                value = text
            case "integer":
                value = int(text)
            case "date":
                value = date.fromisoformat(text)
        return literal(value)
    except ValueError as error:
        raise ValueError(f"partitions(): {text!r} is not a value of kind {kind!r}.") from error


def _instant_literal(at: datetime, kind: str) -> str:
    match kind:
        case "timestamp":
            return f"TIMESTAMP '{_wall_clock(at)}'"
        case "timestamp with time zone":
            return f"TIMESTAMP '{_wall_clock(at)} UTC'"
        case "epoch_seconds":
            return str(int(at.timestamp()))
        case "epoch_milliseconds":
            return str(int(at.timestamp()) * 1000)
    kinds = ", ".join(get_args(EventTimeKind))
    raise ValueError(f"contains(): kind is {kind!r}, expected one of {kinds}.")


def _wall_clock(at: datetime) -> str:
    text = at.isoformat(" ", "milliseconds")
    return text[: len("2026-11-15 00:00:00.000")]  # without the offset from UTC


def _count_digits(value: Decimal) -> int:
    return sum(character.isdigit() for character in f"{value:f}")
