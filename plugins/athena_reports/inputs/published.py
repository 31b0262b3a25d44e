"""A report that another report reads: its published periods are the input."""

from collections.abc import Hashable, Sequence
from dataclasses import KW_ONLY
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator, Field, TypeAdapter

from athena_reports.declaration import CONFIG, Declaration
from athena_reports.errors import InputError
from athena_reports.inputs.input import Input, Wait
from athena_reports.inputs.layout import PartitionValues
from athena_reports.periods.calendar import Cadence, Period, Unit
from athena_reports.settings import settings
from athena_reports.sql.literals import literal

KEY = "period"  # the partition key of the tables of reports

# The units whose periods are made of whole periods of a unit, in one time zone.
_WHOLES: dict[Unit, Sequence[Unit]] = {
    "daily": ("daily", "weekly", "monthly", "quarterly", "yearly"),
    "weekly": ("weekly",),
    "monthly": ("monthly", "quarterly", "yearly"),
    "quarterly": ("quarterly", "yearly"),
    "yearly": ("yearly",),
}

_cadences = TypeAdapter(Cadence)


def _read_cadence(cadence: Any) -> Any:
    """Read the wire form of a need, in which it is a mapping."""
    return _cadences.validate_python(cadence) if isinstance(cadence, dict) else cadence


_ReportName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Published(Declaration):
    """The published periods of another report.

    A report reads those that make up its own period: the days of a week, or the months of a
    quarter. They are called its parts.

    Attributes:
        report: Name of the report.
        cadence: The cadence in which it is published, as in its `build_dag`.
        parts: `whole` if each period is made of whole parts. `overlapping` to read every part that
            overlaps with a period, such as the weeks of a month: then a row of a part may count in
            two periods.
        missing: If a part is not published: `fail` before the query is paid, or publish and mark as
            `partial`.
        wait: How long after the end of the period a run waits for the parts, before `missing`
            decides; None to query at once.
    """

    report: _ReportName
    cadence: Annotated[Cadence, BeforeValidator(_read_cadence)]
    _: KW_ONLY
    parts: Literal["whole", "overlapping"] = "whole"
    missing: Literal["fail", "partial"] = "fail"
    wait: Wait | None = None

    @property
    def is_partitioned(self) -> bool:
        """Whether its table has partitions."""
        return True

    @property
    def columns(self) -> Sequence[str]:
        """The partition keys of its table."""
        return (KEY,)

    @property
    def zone(self) -> str:
        """The IANA zone in which the parts are dated."""
        return self.cadence.timezone

    @property
    def previous(self) -> bool:
        """Whether the SQL reads what the previous period reads too: it does not."""
        return False

    @property
    def dag_id(self) -> str:
        """The DAG that publishes the table, whose name it has."""
        return self.table

    @property
    def table(self) -> str:
        """The table of what is published: `<report>_<cadence>`, which is the DAG's id too."""
        return f"{self.report}_{self.cadence.unit}"

    @property
    def database(self) -> str:
        """The environment's database of reports."""
        return settings().report_database

    @property
    def catalog(self) -> None:
        """Athena's catalog of its table: the usual one."""
        return None

    def parts_of(self, period: Period) -> list[Period]:
        """Return the periods of the other report that a period reads, in order."""
        return list(self.cadence.overlapping(period))

    def require_parts_of(self, cadence: Cadence) -> None:
        """Raise InputError if a cadence needs whole parts, and its periods are not made of them."""
        if self.parts == "overlapping":
            return
        has_same_zone = self.cadence.timezone == cadence.timezone
        has_whole_units = cadence.unit in _WHOLES[self.cadence.unit]
        has_same_weeks = self.cadence.first_day in (None, cadence.first_day)
        if not (has_same_zone and has_whole_units and has_same_weeks):
            raise InputError(
                f"a {cadence.noun} ({cadence.description}) does not consist of whole periods of"
                f" {self.table} ({self.cadence.description}). Read a report with matching periods,"
                ' or set parts="overlapping" to read every period that overlaps.'
            )

    def required_partitions(
        self, period: Period, late_by: timedelta, now: datetime
    ) -> list[PartitionValues]:
        """Return the partitions of the parts of a period; arguments as for `Input`."""
        return [(part.id,) for part in self.parts_of(period)]

    def predicate(self, period: Period, late_by: timedelta, alias: str | None = None) -> str:
        """Return the predicate on the parts of a period; arguments as for `Input`."""
        key = KEY if alias is None else f"{alias}.{KEY}"
        part_ids = [part.id for part in self.parts_of(period)]
        return f"({key} IN {literal(part_ids)})"

    def lookup(self, period: Period) -> Hashable:
        """Return what tells one look at the account from another."""
        # A broken part of one period must not hide what there is of another.
        return self.table, self.cadence, period


Source: TypeAlias = Input | Published
"""What a report reads: a table, or another report. What both have serves for either."""
