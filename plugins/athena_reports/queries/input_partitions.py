"""What a period reads: which partitions it needs, and which of them Glue has.

A partition that is not registered is invisible to Athena, and so is one outside the range of a partition
projection: the query gives fewer rows and no error (Athena user guide, "Partition your data" and "Partition
projection"). So a report that declares its inputs is asked about them before its query is paid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.reports.sql_template import partition_values

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from athena_reports.periods.calendar import Period
    from athena_reports.reports.report import Input

_AT_ONCE = 1000  # BatchGetPartition takes no more
_NOW = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE)S?)?", re.IGNORECASE)
_UNITS = {
    "YEAR": timedelta(days=366),
    "MONTH": timedelta(days=31),
    "WEEK": timedelta(weeks=1),
    "DAY": timedelta(days=1),
    "HOUR": timedelta(hours=1),
    "MINUTE": timedelta(minutes=1),
}
# Java's date patterns, as projections write them, in Python's.
_PATTERNS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}


@dataclass(frozen=True)
class Coverage:
    """What there is of one input for one period.

    Attributes:
        table: The table, with its database.
        missing: The `fail` or `partial` of the declaration.
        needed: How many partitions the period needs.
        absent: Those that Glue does not have, as `dt=2025-06-29`.
        outside: Those outside the range of the table's projection.
    """

    table: str
    missing: str
    needed: int
    absent: Sequence[str] = ()
    outside: Sequence[str] = ()

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Coverage:
        """Return the coverage that `to_dict` wrote."""
        return cls(**facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom."""
        return {**asdict(self), "absent": list(self.absent), "outside": list(self.outside)}

    @property
    def gaps(self) -> list[str]:
        """Every needed partition that the query cannot see, with its table."""
        return [f"{self.table}/{partition}" for partition in (*self.absent, *self.outside)]

    def __str__(self) -> str:
        parts = [
            f"{len(gaps)} of the {self.needed} partitions of {self.table} that it needs {why}: {_few(gaps)}"
            for gaps, why in (
                (self.absent, "are not registered in Glue"),
                (self.outside, "lie outside the range of its partition projection"),
            )
            if gaps
        ]
        return "; ".join(parts) or f"all {self.needed} partitions of {self.table} that it needs are there"


def coverage(
    source: Input, period: Period, *, late_by: timedelta, now: datetime, database: str, glue: GlueClient
) -> Coverage:
    """Return which partitions of an input the period needs, and which of them are not there.

    Args:
        source: The input.
        period: The period.
        late_by: How long after it happened an event may still land.
        now: The instant of the query, with a zone.
        database: Glue database, where the input names none.
        glue: Client to look with.

    Raises:
        InputError: The table is not there, or has other partition keys.
        botocore.exceptions.ClientError: Glue did not serve the call.
    """
    database = source.database or database
    table = _table(glue, database, source.table)
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if sorted(keys) != sorted(source.columns):
        raise InputError(
            f"{database}.{source.table} is partitioned by {', '.join(keys) or 'nothing'}, the report's input "
            f"says {', '.join(source.columns)}. Correct the input."
        )
    dates = needed_dates(source, period, late_by, now)
    needed = list(
        dict.fromkeys(partition_values(source.columns, day, source.format, source.kind) for day in dates)
    )
    projection = table.get("Parameters", {})
    name = f"{database}.{source.table}"
    if projection.get("projection.enabled", "").lower() == "true":
        outside = [values for values in needed if not _projected(projection, source.columns, values, now)]
        return Coverage(
            name, source.missing, len(needed), outside=[_spec(source, values) for values in outside]
        )
    found = set(_registered(glue, database, source, keys, needed))
    absent = [values for values in needed if _normal(source, values) not in found]
    return Coverage(name, source.missing, len(needed), absent=[_spec(source, values) for values in absent])


def needed_dates(source: Input, period: Period, late_by: timedelta, now: datetime) -> list[date]:
    """Return the dates of the partitions that must be there at `now`.

    Dates on which only late events land count from when they all have landed; a date that has not begun yet
    is not missing.
    """
    dates: set[date] = set()
    for each in (period.previous, period) if source.previous else (period,):
        settled = each.end_utc + late_by <= now
        dates.update(each.dates_in(source.zone, late_by if settled else timedelta(0)))
    today = now.astimezone(ZoneInfo(source.zone)).date()
    return sorted(day for day in dates if day <= today)


def why_empty(coverages: Sequence[Coverage]) -> str:
    """Say why a query may have given no rows: partitions missing, outside a projection, or no events."""
    if not coverages:
        return "The report declares no inputs, so nobody looked whether partitions are missing."
    gaps = [str(found) for found in coverages if found.gaps]
    if gaps:
        return f"Perhaps because {'; '.join(gaps)}."
    return f"There are no events: {'; '.join(map(str, coverages))}."


def _table(glue: GlueClient, database: str, name: str) -> Mapping[str, Any]:
    try:
        return glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        raise InputError(
            f"The input {database}.{name} is not in Glue. Correct the report's inputs, or create the table."
        ) from error


def _registered(
    glue: GlueClient, database: str, source: Input, keys: Sequence[str], needed: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    order = [source.columns.index(key) for key in keys]
    wanted = iter([form for values in needed for form in _forms(source, values)])
    while some := list(islice(wanted, _AT_ONCE)):
        asked: Any = [{"Values": [values[at] for at in order]} for values in some]
        while asked:
            answer = glue.batch_get_partition(
                DatabaseName=database, TableName=source.table, PartitionsToGet=asked
            )
            for partition in answer.get("Partitions", []):
                stored = dict(zip(keys, partition["Values"], strict=True))
                yield _normal(source, tuple(stored[column] for column in source.columns))
            asked = answer.get("UnprocessedKeys", [])


def _forms(source: Input, values: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield how Glue may hold the values: a number with or without its zeros."""
    yield values
    if source.kind == "integer" and (padded := tuple(value.zfill(2) for value in values)) != values:
        yield padded


def _normal(source: Input, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(int(value)) for value in values) if source.kind == "integer" else values


def _projected(
    projection: Mapping[str, str], columns: Sequence[str], values: Sequence[str], now: datetime
) -> bool:
    """Whether a projection reaches the values; types other than dates are taken to reach every value."""
    for column, value in zip(columns, values, strict=True):
        if projection.get(f"projection.{column}.type", "").lower() == "date":
            form = projection.get(f"projection.{column}.format", "yyyy-MM-dd")
            first, _, last = projection.get(f"projection.{column}.range", "").partition(",")
            at = _moment(value, form, now)
            if not _moment(first, form, now) <= at <= _moment(last, form, now):
                return False
    return True


def _moment(text: str, pattern: str, now: datetime) -> datetime:
    """Return the instant that one end of a projection's range names."""
    if relative := _NOW.fullmatch(text.strip()):
        sign, number, unit = relative.groups()
        shift = _UNITS[unit.upper()] * int(number) if unit else timedelta(0)
        return now.astimezone(UTC) + (-shift if sign == "-" else shift)
    form = re.sub("|".join(_PATTERNS), lambda match: _PATTERNS[match[0]], pattern).replace("'", "")
    try:
        return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(
            f"The table's partition projection has the range {text!r}, which does not read as {pattern!r}. "
            f"Correct the table's parameters."
        ) from error


def _spec(source: Input, values: Sequence[str]) -> str:
    return "/".join(f"{column}={value}" for column, value in zip(source.columns, values, strict=True))


def _few(partitions: Sequence[str]) -> str:
    more = f" and {len(partitions) - 5} more" if len(partitions) > 5 else ""
    return ", ".join(partitions[:5]) + more


def find_coverage(
    sources: Sequence[Input],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: GlueClient,
) -> list[Coverage]:
    """Return the coverage of every input.

    Raises:
        InputError: A table is not as the report says.
        MissingPartitionsError: A partition is missing of an input whose policy is `fail`.
    """
    found = [
        coverage(source, period, late_by=late_by, now=now, database=database, glue=glue) for source in sources
    ]
    for each in found:
        if each.gaps and each.missing == "fail":
            raise MissingPartitionsError(
                f"{each}. No query was started. Wait for them or register them, then clear run_query; or "
                f'declare missing="partial" to publish without them.'
            )
    return found
