"""A period as SQL: its bounds, and the filters on event time and partitions.

What Athena takes is in its user guide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import PartitionKind
from athena_reports.inputs.predicate import partitions_predicate
from athena_reports.periods.calendar import Period
from athena_reports.sql.literals import wall_clock

EventTimeKind = Literal[
    "timestamp", "timestamp with time zone", "epoch_seconds", "epoch_milliseconds"
]


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

    @property
    def last_year(self) -> "SqlPeriod":
        """The same period of the year before: 52 weeks before, or the same month or quarter."""
        return SqlPeriod(self.period.last_year, self.late_by)

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
        format: str | Sequence[str] | None = None,
        kind: PartitionKind | Sequence[PartitionKind] = "string",
    ) -> str:
        """Return a predicate on partitions that reads exactly those that can hold the events.

        Those are the dates or the hours in `zone` that the period touches, and those in which an
        event that is `late_by` late may land. A Tokyo week lies in 8 UTC dates, not in 7.

        Args:
            columns: The partition keys, the longest time first: one that holds a date, or two to
                four that hold year, month, day and hour.
            zone: The time zone in which the partitions are dated.
            format: How each key writes its part of the time (`strftime`), as for `Input`. None only
                for keys named after what they hold.
            kind: Type of the keys, or of each key: `string`, `date` or `integer`.

        Raises:
            ReportError: An argument is wrong, such as a format that has no year.
            ValueError: There are no columns.
        """
        if not columns:
            raise ValueError("partitions(): pass the partition keys, such as 'dt'.")
        names = [column.rpartition(".")[2].strip('"') for column in columns]  # of `p."dt"`
        layout = Input("period.partitions()", names, zone=zone, format=format, kind=kind).layout
        partitions = layout.partitions(self.start_utc, self.end_utc + self.late_by)
        return partitions_predicate(layout, partitions, columns)

    def __str__(self) -> str:
        return self.period.id


def _instant_literal(at: datetime, kind: str) -> str:
    match kind:
        case "timestamp":
            return f"TIMESTAMP '{wall_clock(at)}'"
        case "timestamp with time zone":
            return f"TIMESTAMP '{wall_clock(at)} UTC'"
        case "epoch_seconds":
            return str(int(at.timestamp()))
        case "epoch_milliseconds":
            return str(int(at.timestamp()) * 1000)
    kinds = ", ".join(get_args(EventTimeKind))
    raise ValueError(f"contains(): kind is {kind!r}, expected one of {kinds}.")
