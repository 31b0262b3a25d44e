"""Which partitions a period needs that Athena cannot see: a query would give fewer rows, and no error."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.periods.calendar import Period
from athena_reports.periods.sql_period import partition_values
from athena_reports.reports.input import Input

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_NOW = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE)S?)?", re.IGNORECASE)
_DAYS = {"YEAR": 366, "MONTH": 31, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440}
_PATTERNS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}  # Java's, as projections write them


class InputCoverage(BaseModel, frozen=True):
    """What there is of one input for one period; partitions are written as `dt=2025-06-29`."""

    table: str  # with its database
    missing: Literal["fail", "partial"]  # what the input declares
    needed: int
    absent: tuple[str, ...] = ()  # Glue does not have them
    outside: tuple[str, ...] = ()  # outside the range of the table's projection

    @property
    def gaps(self) -> list[str]:
        """Every needed partition that the query cannot see, with its table."""
        return [f"{self.table}/{partition}" for partition in (*self.absent, *self.outside)]

    def __str__(self) -> str:
        missing = self.absent or self.outside
        if not missing:
            return f"all {self.needed} partitions of {self.table} that it needs are there"
        why = "are not registered in Glue" if self.absent else "lie outside the range of its partition projection"
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        which = f"{len(missing)} of the {self.needed} partitions of {self.table} that it needs"
        return f"{which} {why}: {', '.join(missing[:5])}{more}"


class InputPartitions(NamedTuple):
    """The partitions of an input that a period needs: what is missing, and the `s3://` folders of the others."""

    coverage: InputCoverage
    folders: Mapping[str, str]  # by partition, such as `dt=2025-06-29`


def find_coverage(
    sources: Sequence[Input], period: Period, *, late_by: timedelta, now: datetime, database: str, glue: "GlueClient"
) -> tuple[InputCoverage, ...]:
    """Return the coverage of every input at `now`; MissingPartitionsError for a gap that the input does not allow."""
    found = find_partitions(sources, period, late_by=late_by, now=now, database=database, glue=glue)
    for coverage, _ in found:
        if coverage.gaps and coverage.missing == "fail":
            way_out = 'Wait for them or register them, then clear run_query; or declare missing="partial".'
            raise MissingPartitionsError(f"{coverage}. No query was started. {way_out}")
    return tuple(coverage for coverage, _ in found)


def find_partitions(
    sources: Sequence[Input], period: Period, *, late_by: timedelta, now: datetime, database: str, glue: "GlueClient"
) -> list[InputPartitions]:
    """Return the partitions of every input that are needed at `now`; `database` is of those that name none."""
    return [_partitions(each, needed_dates(each, period, late_by, now), now, database, glue) for each in sources]


def needed_dates(source: Input, period: Period, late_by: timedelta, now: datetime) -> list[date]:
    """Return the dates of the partitions that must be there at `now`; of late events only when all have landed."""
    dates: set[date] = set()
    for each in (period.previous, period) if source.previous else (period,):
        dates.update(each.dates_in(source.zone, late_by if each.end_utc + late_by <= now else timedelta(0)))
    today = now.astimezone(ZoneInfo(source.zone)).date()
    return sorted(day for day in dates if day <= today)


def why_empty(inputs: Sequence[InputCoverage]) -> str:
    """Say why a query may have given no rows: partitions missing, outside a projection, or no events."""
    if not inputs:
        return "The report declares no inputs, so its partitions were not checked."
    if gaps := [str(coverage) for coverage in inputs if coverage.gaps]:
        return f"Perhaps because {'; '.join(gaps)}."
    return f"There are no events: {'; '.join(map(str, inputs))}."


def _partitions(
    source: Input, dates: Sequence[date], now: datetime, database: str, glue: "GlueClient"
) -> InputPartitions:
    database = source.database or database
    name = f"{database}.{source.table}"
    try:
        table: Mapping[str, Any] = glue.get_table(DatabaseName=database, Name=source.table)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        raise InputError(f"The input {name} is not in Glue. Correct the input, or create the table.") from error
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if sorted(keys) != sorted(source.columns):
        says = f"the report's input says {', '.join(source.columns)}. Correct the input."
        raise InputError(f"{name} is partitioned by {', '.join(keys) or 'nothing'}, {says}")
    parameters = table.get("Parameters", {})
    needed = list(dict.fromkeys(partition_values(source.columns, day, source.format, source.kind) for day in dates))
    is_projected = parameters.get("projection.enabled", "").lower() == "true"
    if is_projected:
        folders = {
            each: _projected(table, keys, dict(zip(source.columns, each, strict=True)))
            for each in needed
            if _is_projected(parameters, source, each, now)
        }
    else:
        folders = dict(_registered(glue, database, source, keys, needed))
    names = {each: "/".join(map("=".join, zip(source.columns, each, strict=True))) for each in needed}
    gaps = tuple(name for each, name in names.items() if each not in folders)
    coverage = InputCoverage(
        table=name, missing=source.missing, needed=len(needed), **{"outside" if is_projected else "absent": gaps}
    )
    return InputPartitions(coverage, {name: folders[each] for each, name in names.items() if each in folders})


def _registered(
    glue: "GlueClient", database: str, source: Input, keys: Sequence[str], needed: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the values of each partition that Glue has, and its folder."""
    is_integer = source.kind == "integer"  # Glue may hold a number with or without its zeros
    padded = [tuple(value.zfill(2) for value in each) for each in needed] if is_integer else []
    wanted = list(dict.fromkeys([*needed, *padded]))
    order = [source.columns.index(key) for key in keys]
    for start in range(0, len(wanted), 1000):  # BatchGetPartition takes no more
        asked: Any = [{"Values": [each[at] for at in order]} for each in wanted[start : start + 1000]]
        while asked:
            answer = glue.batch_get_partition(DatabaseName=database, TableName=source.table, PartitionsToGet=asked)
            for partition in answer.get("Partitions", []):
                stored = dict(zip(keys, partition["Values"], strict=True))
                values = (stored[column] for column in source.columns)
                folder = partition.get("StorageDescriptor", {}).get("Location", "")
                yield tuple(str(int(value)) if is_integer else value for value in values), folder
            asked = answer.get("UnprocessedKeys", [])


def _projected(table: Mapping[str, Any], keys: Sequence[str], values: Mapping[str, str]) -> str:
    """Return the folder that Athena reads for the values of a projection."""
    below = "/".join(f"{key}=${{{key}}}" for key in keys)
    usual = f"{table.get('StorageDescriptor', {}).get('Location', '').rstrip('/')}/{below}/"
    template = table.get("Parameters", {}).get("storage.location.template", usual)
    return str(re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1].lower(), match[0]), template))


def _is_projected(parameters: Mapping[str, str], source: Input, values: tuple[str, ...], now: datetime) -> bool:
    """Whether a projection reaches the values; types other than dates are taken to reach every value."""
    for column, value in zip(source.columns, values, strict=True):
        if parameters.get(f"projection.{column}.type", "").lower() == "date":
            pattern = parameters.get(f"projection.{column}.format", "yyyy-MM-dd")
            first, _, last = parameters.get(f"projection.{column}.range", "").partition(",")
            instants = [_instant(text, pattern, now) for text in (first, value, last)]
            if instants != sorted(instants):
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
        problem = f"The table's partition projection has the range {text!r}, which is not of the form {pattern!r}."
        raise InputError(f"{problem} Correct the table's parameters.") from error
