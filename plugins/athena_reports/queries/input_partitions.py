"""What a period reads: which partitions it needs, and which of them Athena cannot see.

Athena sees neither a partition that is not registered in Glue nor one outside the range of a partition
projection: the query gives fewer rows and no error (Athena user guide, "Partition your data" and "Partition
projection"). So the partitions of declared inputs are looked for before the query is paid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.periods.sql_period import partition_values

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from athena_reports.periods.calendar import Period
    from athena_reports.reports.report import Input

_AT_ONCE = 1000  # BatchGetPartition takes no more
_NOW = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE)S?)?", re.IGNORECASE)
_DAYS = {"YEAR": 366, "MONTH": 31, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440}
# Java's date patterns, as projections write them, in Python's.
_PATTERNS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}

Partition = tuple[str, ...]
"""Values of a partition, in the order of the input's columns."""


class InputCoverage(BaseModel):
    """What there is of one input for one period.

    Attributes:
        table: The table, with its database.
        missing: What the input declares for missing partitions.
        needed: How many partitions the period needs.
        absent: Those that Glue does not have, as `dt=2025-06-29`.
        outside: Those outside the range of the table's projection.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    missing: Literal["fail", "partial"]
    needed: int
    absent: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

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


def find_coverage(
    sources: Sequence[Input],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: GlueClient,
) -> tuple[InputCoverage, ...]:
    """Return the coverage of every input.

    Args:
        sources: The inputs.
        period: The period.
        late_by: How long after it happened an event may still land.
        now: The instant of the query, with a zone.
        database: Glue database of the inputs that name none.
        glue: Client to look with.

    Raises:
        InputError: A table is not there, or has other partition keys than its input says.
        MissingPartitionsError: A partition of an input with `missing="fail"` is missing.
        botocore.exceptions.ClientError: Glue did not serve a call.
    """
    found = tuple(
        _coverage(source, needed_dates(source, period, late_by, now), now, source.database or database, glue)
        for source in sources
    )
    for coverage in found:
        if coverage.gaps and coverage.missing == "fail":
            raise MissingPartitionsError(
                f"{coverage}. No query was started. Wait for them or register them, then clear run_query; or "
                f'declare missing="partial" to publish without them.'
            )
    return found


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


def why_empty(inputs: Sequence[InputCoverage]) -> str:
    """Say why a query may have given no rows: partitions missing, outside a projection, or no events."""
    if not inputs:
        return "The report declares no inputs, so nobody looked whether partitions are missing."
    if gaps := [str(coverage) for coverage in inputs if coverage.gaps]:
        return f"Perhaps because {'; '.join(gaps)}."
    return f"There are no events: {'; '.join(map(str, inputs))}."


def _coverage(source: Input, dates: Sequence[date], now: datetime, database: str, glue: GlueClient) -> InputCoverage:
    try:
        table: Mapping[str, Any] = glue.get_table(DatabaseName=database, Name=source.table)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        raise InputError(
            f"The input {database}.{source.table} is not in Glue. Correct the report's inputs, or create the table."
        ) from error
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if sorted(keys) != sorted(source.columns):
        raise InputError(
            f"{database}.{source.table} is partitioned by {', '.join(keys) or 'nothing'}, the report's input "
            f"says {', '.join(source.columns)}. Correct the input."
        )
    parameters = table.get("Parameters", {})
    values = (partition_values(source.columns, day, source.format, source.kind) for day in dates)
    needed = list(dict.fromkeys(values))
    if is_projected := parameters.get("projection.enabled", "").lower() == "true":
        seen = {values for values in needed if _projected(parameters, source, values, now)}
    else:
        seen = set(_registered(glue, database, source, keys, needed))
    gaps = tuple(
        "/".join(f"{column}={value}" for column, value in zip(source.columns, values, strict=True))
        for values in needed
        if values not in seen
    )
    return InputCoverage(
        table=f"{database}.{source.table}",
        missing=source.missing,
        needed=len(needed),
        absent=() if is_projected else gaps,
        outside=gaps if is_projected else (),
    )


def _registered(
    glue: GlueClient, database: str, source: Input, keys: Sequence[str], needed: Sequence[Partition]
) -> Iterator[Partition]:
    is_integer = source.kind == "integer"
    wanted = [dict(zip(source.columns, each, strict=True)) for each in needed]
    if is_integer:  # Glue may hold a number with or without its zeros
        padded = [{key: value.zfill(2) for key, value in each.items()} for each in wanted]
        wanted += [each for each in padded if each not in wanted]
    for start in range(0, len(wanted), _AT_ONCE):
        asked: Any = [{"Values": [each[key] for key in keys]} for each in wanted[start : start + _AT_ONCE]]
        while asked:
            answer = glue.batch_get_partition(DatabaseName=database, TableName=source.table, PartitionsToGet=asked)
            for partition in answer.get("Partitions", []):
                stored = dict(zip(keys, partition["Values"], strict=True))
                values = (stored[column] for column in source.columns)
                yield tuple(str(int(value)) if is_integer else value for value in values)
            asked = answer.get("UnprocessedKeys", [])


def _projected(parameters: Mapping[str, str], source: Input, values: Partition, now: datetime) -> bool:
    """Whether a projection reaches the values; types other than dates are taken to reach every value."""
    for column, value in zip(source.columns, values, strict=True):
        if parameters.get(f"projection.{column}.type", "").lower() == "date":
            pattern = parameters.get(f"projection.{column}.format", "yyyy-MM-dd")
            first, _, last = parameters.get(f"projection.{column}.range", "").partition(",")
            if not _instant(first, pattern, now) <= _instant(value, pattern, now) <= _instant(last, pattern, now):
                return False
    return True


def _instant(text: str, pattern: str, now: datetime) -> datetime:
    if relative := _NOW.fullmatch(text.strip()):
        sign, number, unit = relative.groups()
        shift = timedelta(days=_DAYS[unit.upper()]) * int(number) if unit else timedelta(0)
        return now.astimezone(UTC) + (-shift if sign == "-" else shift)
    form = re.sub("|".join(_PATTERNS), lambda match: _PATTERNS[match[0]], pattern).replace("'", "")
    try:
        return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(
            f"The table's partition projection has the range {text!r}, which does not read as {pattern!r}. "
            f"Correct the table's parameters."
        ) from error


def _few(partitions: Sequence[str]) -> str:
    more = f" and {len(partitions) - 5} more" if len(partitions) > 5 else ""
    return ", ".join(partitions[:5]) + more
