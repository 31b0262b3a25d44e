"""Which partitions a period needs that Athena cannot see.

Without them a query would give fewer rows, and no error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.periods.calendar import Period
from athena_reports.periods.sql_period import partition_values
from athena_reports.reports.input import Input

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_SHOWN_GAPS = 5  # how many a message names
_KEYS_PER_CALL = 1000  # BatchGetPartition takes no more

# The values of an input's partition keys, in the order of the input's columns.
_Partition: TypeAlias = tuple[str, ...]

# Bounds of a projection's range that move with the time, such as NOW-3YEARS. A year and a month
# have their longest length in days.
_RELATIVE_BOUND = re.compile(
    r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE)S?)?", re.IGNORECASE
)
_DAYS_OF_UNIT = {"YEAR": 366, "MONTH": 31, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440}

# Projections write dates with the patterns of Java.
_JAVA_PATTERN = re.compile("yyyy|MM|dd|HH|mm")
_DIRECTIVE_OF_JAVA_PATTERN = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}


class InputCoverage(BaseModel, frozen=True):
    """What there is of one input for one period; partitions are written as `dt=2025-06-29`."""

    table: str  # with its database
    is_partitioned: bool = True
    missing: Literal["fail", "partial"]  # what the input declares
    needed: int  # 0 for a table without partitions
    present: tuple[str, ...] = ()  # the needed ones that the query sees
    absent: tuple[str, ...] = ()  # Glue does not have them
    outside: tuple[str, ...] = ()  # outside the range of the table's projection

    @property
    def gaps(self) -> list[str]:
        """Every needed partition that the query cannot see, with its table."""
        return [f"{self.table}/{partition}" for partition in (*self.absent, *self.outside)]

    @property
    def stops_run(self) -> bool:
        """Whether a run does not start its query, as it lacks a partition that it needs."""
        return bool(self.gaps) and self.missing == "fail"

    def __str__(self) -> str:
        if not self.is_partitioned:
            return f"{self.table} has no partitions"
        if self.absent:
            return self._describe_gaps(self.absent, "are not registered in Glue")
        if self.outside:
            return self._describe_gaps(
                self.outside, "lie outside the range of its partition projection"
            )
        return f"all {self.needed} partitions of {self.table} that it needs are there"

    def _describe_gaps(self, partitions: Sequence[str], problem: str) -> str:
        shown = ", ".join(partitions[:_SHOWN_GAPS])
        count = f"{len(partitions)} of the {self.needed} partitions of {self.table} that it needs"
        text = f"{count} {problem}: {shown}"
        if len(partitions) > _SHOWN_GAPS:
            text += f" and {len(partitions) - _SHOWN_GAPS} more"
        return text


class InputPartitions(NamedTuple):
    """The partitions of an input that a period needs.

    Attributes:
        coverage: Which of them are missing.
        folders: The `s3://` folder of each other one, by its name, such as `dt=2025-06-29`. A table
            without partitions has one folder, by an empty name. A view has none.
    """

    coverage: InputCoverage
    folders: Mapping[str, str]


def find_coverage(
    sources: Sequence[Input],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
) -> tuple[InputCoverage, ...]:
    """Return the coverage of every input.

    Args:
        sources: The inputs.
        period: The period that the query is of.
        late_by: How late events may land.
        now: When the query starts.
        database: The database of an input that names none.
        glue: The client that knows the tables.

    Raises:
        MissingPartitionsError: A partition is missing, and its input does not allow that.
        InputError: A table is not there, its partition keys are not those of its input, or the
            range of its projection cannot be read; or, `retryable`, Glue left all partitions
            unprocessed that it was asked for.
    """
    coverages = []
    for partitions in find_partitions(
        sources, period, late_by=late_by, now=now, database=database, glue=glue
    ):
        coverage = partitions.coverage
        if coverage.stops_run:
            way_out = (
                "Wait for them or register them, then clear run_query; or declare"
                ' missing="partial".'
            )
            raise MissingPartitionsError(f"{coverage}. No query was started. {way_out}")
        coverages.append(coverage)
    return tuple(coverages)


def find_partitions(
    sources: Sequence[Input],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
) -> list[InputPartitions]:
    """Return the partitions that are needed of every input, and which of them are missing.

    Arguments and errors are those of `find_coverage`, save that a missing partition is no error.
    """
    partitions = []
    for source in sources:
        dates = needed_dates(source, period, late_by, now)
        table = _SourceTable.read(source, source.database or database, glue)
        partitions.append(_find_partitions_of(table, dates, now, glue))
    return partitions


def complete_periods(
    sources: Sequence[Input],
    periods: Sequence[Period],
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
) -> list[Period]:
    """Return those of some periods that lack no partition of any input, in their order.

    However many periods there are, Glue is asked once for the table of each input, and for up to
    1,000 partitions in a call. Arguments and errors are otherwise those of `find_partitions`.
    """
    complete = list(periods)
    for source in sources:
        table = _SourceTable.read(source, source.database or database, glue)
        if not source.is_partitioned:
            continue
        needed_by_period = {}
        needed_by_any: set[_Partition] = set()
        for period in complete:
            dates = needed_dates(source, period, late_by, now)
            needed_by_period[period.id] = _partitions_of_dates(source, dates)
            needed_by_any.update(needed_by_period[period.id])
        visible = _visible_folders(table, sorted(needed_by_any), now, glue).keys()
        complete = [period for period in complete if visible >= set(needed_by_period[period.id])]
    return complete


def needed_dates(source: Input, period: Period, late_by: timedelta, now: datetime) -> list[date]:
    """Return the dates of the partitions that must be there at `now`.

    Partitions that only late events fill are needed from `late_by` after the end of the period on.
    No partition of a date in the future, in the zone of the input's dates, is needed.
    """
    periods = [period]
    if source.previous:
        periods.append(period.previous)
    dates: set[date] = set()
    for read_period in periods:
        late_events_have_landed = read_period.end_utc + late_by <= now
        late = late_by if late_events_have_landed else timedelta(0)
        dates.update(read_period.dates_in(source.zone, late))
    today = now.astimezone(ZoneInfo(source.zone)).date()
    return sorted(day for day in dates if day <= today)


def why_empty(inputs: Sequence[InputCoverage]) -> str:
    """Return a sentence that says why a query may have given no rows.

    Partitions may be missing, or lie outside a projection, or there are no events.
    """
    if not inputs:
        return "The report declares no inputs, so its partitions were not checked."
    with_gaps = [str(coverage) for coverage in inputs if coverage.gaps]
    if with_gaps:
        return f"Perhaps because {'; '.join(with_gaps)}."
    without_gaps = "; ".join(map(str, inputs))
    return f"There are no events: {without_gaps}."


@dataclass(frozen=True)
class _SourceTable:
    """The table of an input, as Glue has it."""

    source: Input
    database: str
    keys: Sequence[str]  # the partition keys in Glue's order; the input may have another
    location: str  # empty for a view
    parameters: Mapping[str, str]

    @classmethod
    def read(cls, source: Input, database: str, glue: "GlueClient") -> "_SourceTable":
        """Return the table; InputError if Glue has none, or one with other partition keys."""
        name = f"{database}.{source.table}"
        try:
            response = glue.get_table(DatabaseName=database, Name=source.table)
        except glue.exceptions.EntityNotFoundException as error:
            problem = f"The input {name} is not in Glue."
            raise InputError(f"{problem} Correct the input, or create the table.") from error
        table: Mapping[str, Any] = response["Table"]
        keys = [key["Name"] for key in table.get("PartitionKeys", [])]
        if sorted(keys) != sorted(source.columns):
            raise InputError(_other_keys_problem(name, source, keys))
        location = table.get("StorageDescriptor", {}).get("Location", "")
        return cls(source, database, keys, location, table.get("Parameters", {}))

    @property
    def name(self) -> str:
        return f"{self.database}.{self.source.table}"

    @property
    def is_projected(self) -> bool:
        """Whether Athena computes the partitions, and does not ask Glue for them."""
        return self.parameters.get("projection.enabled", "").lower() == "true"

    def values_by_key(self, partition: _Partition) -> dict[str, str]:
        return dict(zip(self.source.columns, partition, strict=True))


def _other_keys_problem(name: str, source: Input, keys: Sequence[str]) -> str:
    """Say that a table has other partition keys than its input declares, and what to write."""
    stored = "nothing"
    if keys:
        stored = ", ".join(keys)
    declared = "nothing"
    if source.is_partitioned:
        declared = ", ".join(source.columns)
    way_out = "Correct the input: it takes one partition key, or three."
    if not keys:
        way_out = f'Write Input("{source.table}", columns=()).'
    elif len(keys) in (1, 3):
        written_keys = ", ".join(f'"{key}"' for key in keys)
        way_out = f'Write Input("{source.table}", columns=[{written_keys}]).'
    return f"{name} is partitioned by {stored}, the report's input says {declared}. {way_out}"


def _find_partitions_of(
    table: _SourceTable, dates: Sequence[date], now: datetime, glue: "GlueClient"
) -> InputPartitions:
    if not table.source.is_partitioned:
        coverage = InputCoverage(
            table=table.name, is_partitioned=False, missing=table.source.missing, needed=0
        )
        folders = {}
        if table.location:
            folders[""] = table.location
        return InputPartitions(coverage, folders)
    needed = _partitions_of_dates(table.source, dates)
    folder_of_partition = _visible_folders(table, needed, now, glue)
    folders = {}
    gaps = []
    for partition in needed:
        name = "/".join(f"{key}={value}" for key, value in table.values_by_key(partition).items())
        if partition in folder_of_partition:
            folders[name] = folder_of_partition[partition]
        else:
            gaps.append(name)
    absent: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    if table.is_projected:
        outside = tuple(gaps)
    else:
        absent = tuple(gaps)
    coverage = InputCoverage(
        table=table.name,
        missing=table.source.missing,
        needed=len(needed),
        present=tuple(folders),
        absent=absent,
        outside=outside,
    )
    return InputPartitions(coverage, folders)


def _partitions_of_dates(source: Input, dates: Sequence[date]) -> list[_Partition]:
    """Return the partitions by date, each once: a partition may hold a month."""
    partitions = []
    for day in dates:
        partition = partition_values(source.columns, day, source.format, source.kind)
        partitions.append(partition)
    return list(dict.fromkeys(partitions))


def _visible_folders(
    table: _SourceTable, needed: Sequence[_Partition], now: datetime, glue: "GlueClient"
) -> dict[_Partition, str]:
    """Return the folder of each partition that a query sees."""
    if table.is_projected:
        return _projected_folders(table, needed, now)
    return _registered_folders(table, needed, glue)


def _registered_folders(
    table: _SourceTable, needed: Sequence[_Partition], glue: "GlueClient"
) -> dict[_Partition, str]:
    """Return the folder of each partition that Glue has."""
    is_integer = table.source.kind == "integer"
    wanted = list(needed)
    if is_integer:  # Glue may have a month or a day with or without a zero before it
        for partition in needed:
            with_zeros = tuple(value.zfill(2) for value in partition)
            wanted.append(with_zeros)
        wanted = list(dict.fromkeys(wanted))  # each once
    folders = {}
    for start in range(0, len(wanted), _KEYS_PER_CALL):
        for stored in _registered_partitions(table, wanted[start : start + _KEYS_PER_CALL], glue):
            values = dict(zip(table.keys, stored["Values"], strict=True))
            partition = tuple(values[column] for column in table.source.columns)
            if is_integer:  # as `needed` has it: without the zero
                partition = tuple(str(int(value)) for value in partition)
            folders[partition] = stored.get("StorageDescriptor", {}).get("Location", "")
    return folders


def _registered_partitions(
    table: _SourceTable, wanted: Sequence[_Partition], glue: "GlueClient"
) -> Iterator[Mapping[str, Any]]:
    """Yield what Glue has of some partitions, as many as one call may ask for.

    InputError if Glue leaves all of them unprocessed. To ask again at once could go on without end.
    """
    unprocessed: Any = []
    for partition in wanted:
        values = table.values_by_key(partition)
        unprocessed.append({"Values": [values[key] for key in table.keys]})
    while unprocessed:
        response = glue.batch_get_partition(
            DatabaseName=table.database, TableName=table.source.table, PartitionsToGet=unprocessed
        )
        yield from response.get("Partitions", [])
        left_over = response.get("UnprocessedKeys", [])
        if len(left_over) >= len(unprocessed):
            problem = f"Glue has not looked up {len(left_over)} partitions of {table.name}"
            raise InputError(
                f"{problem}: it returned all of them as unprocessed. Try again later, or see the "
                "AWS health dashboard.",
                retryable=True,
            )
        unprocessed = left_over


def _projected_folders(
    table: _SourceTable, needed: Sequence[_Partition], now: datetime
) -> dict[_Partition, str]:
    """Return the folder of each partition that the projection reaches."""
    folders = {}
    for partition in needed:
        values = table.values_by_key(partition)
        if _is_in_projection(table.parameters, values, now):
            folders[partition] = _projected_folder(table, values)
    return folders


def _is_in_projection(
    parameters: Mapping[str, str], values: Mapping[str, str], now: datetime
) -> bool:
    """Return whether a projection reaches the values.

    Only keys of dates have a range here: any value of another key counts as reached.
    """
    for key, value in values.items():
        if parameters.get(f"projection.{key}.type", "").lower() != "date":
            continue
        pattern = parameters.get(f"projection.{key}.format", "yyyy-MM-dd")
        first, _, last = parameters.get(f"projection.{key}.range", "").partition(",")
        first_instant = _instant(first, pattern, now)
        instant = _instant(value, pattern, now)
        last_instant = _instant(last, pattern, now)
        if not first_instant <= instant <= last_instant:
            return False
    return True


def _projected_folder(table: _SourceTable, values: Mapping[str, str]) -> str:
    """Return the folder that Athena reads for the values of a projection."""

    def value_of(placeholder: re.Match[str]) -> str:
        # A placeholder of no partition key stays as it is.
        return values.get(placeholder[1].lower(), placeholder[0])

    template = table.parameters.get("storage.location.template")
    if template is None:
        below = "/".join(f"{key}=${{{key}}}" for key in table.keys)
        template = f"{table.location.rstrip('/')}/{below}/"
    return re.sub(r"\$\{(\w+)\}", value_of, template)


def _instant(text: str, pattern: str, now: datetime) -> datetime:
    """Return the instant that a bound or a value of a projection stands for."""
    relative = _RELATIVE_BOUND.fullmatch(text.strip())
    if relative:
        return now.astimezone(UTC) + _shift(relative)
    try:
        return datetime.strptime(text.strip(), _strptime_format(pattern)).replace(tzinfo=UTC)
    except ValueError as error:
        problem = (
            f"The table's partition projection has the range {text!r}, which is not of the form"
            f" {pattern!r}."
        )
        raise InputError(f"{problem} Correct the table's parameters.") from error


def _shift(relative_bound: re.Match[str]) -> timedelta:
    sign, number, unit = relative_bound.groups()
    if unit is None:
        return timedelta(0)
    shift = timedelta(days=_DAYS_OF_UNIT[unit.upper()]) * int(number)
    if sign == "-":
        return -shift
    return shift


def _strptime_format(java_pattern: str) -> str:
    def directive_of(match: re.Match[str]) -> str:
        return _DIRECTIVE_OF_JAVA_PATTERN[match[0]]

    return _JAVA_PATTERN.sub(directive_of, java_pattern).replace("'", "")
