"""Which partitions a period needs that Athena cannot see.

Without them a query would give fewer rows, and no error.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel, field_serializer, field_validator

from athena_reports.aws.s3 import S3
from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.periods.calendar import Period
from athena_reports.periods.sql_period import partition_values
from athena_reports.queries.done_objects import is_done
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
    not_done: tuple[str, ...] = ()  # there is no object that says that they are complete

    @property
    def gaps(self) -> list[str]:
        """Every needed partition that the query cannot see, or not completely, with its table."""
        missing = (*self.absent, *self.outside, *self.not_done)
        return [f"{self.table}/{partition}" for partition in missing]

    @property
    def stops_run(self) -> bool:
        """Whether a run does not start its query, as it lacks a partition that it needs."""
        return bool(self.gaps) and self.missing == "fail"

    def __str__(self) -> str:
        if not self.is_partitioned:
            return f"{self.table} has no partitions"
        descriptions = []
        if self.absent:
            descriptions.append(self._describe_gaps(self.absent, "are not registered in Glue"))
        if self.outside:
            descriptions.append(
                self._describe_gaps(
                    self.outside, "lie outside the range of its partition projection"
                )
            )
        if self.not_done:
            descriptions.append(self._describe_gaps(self.not_done, "have no done object"))
        if descriptions:
            return "; ".join(descriptions)
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


class InputNeed(BaseModel, frozen=True):
    """What a period needs of one input. It is its own wire form, as JSON.

    Attributes:
        source: The input.
        period: The period that the query is of.
        late_by: How late events may land.
        database: The database of an input that names none.
    """

    source: Input
    period: Period
    late_by: timedelta
    database: str

    @field_serializer("source")
    def _source_to_wire(self, source: Input) -> dict[str, Any]:
        fields = asdict(source)
        if source.wait is not None:
            fields["wait"] = source.wait.total_seconds()
        return fields

    @field_validator("source", mode="before")
    @classmethod
    def _source_from_wire(cls, wire_form: Any) -> Any:
        if not isinstance(wire_form, dict):
            return wire_form
        fields = dict(wire_form)
        if fields["wait"] is not None:
            fields["wait"] = timedelta(seconds=fields["wait"])
        return Input(**fields)

    @property
    def lookup(self) -> tuple[object, ...]:
        """What one look at the account can answer: equal for needs that it answers together."""
        source = self.source
        database = source.database or self.database
        return database, source.table, source.columns, source.format, source.kind, source.done


def find_coverage(
    sources: Sequence[Input],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
    s3: S3,
) -> tuple[InputCoverage, ...]:
    """Return the coverage of every input.

    Args:
        sources: The inputs.
        period: The period that the query is of.
        late_by: How late events may land.
        now: When the query starts.
        database: The database of an input that names none.
        glue: The client that knows the tables.
        s3: Has the done objects.

    Raises:
        MissingPartitionsError: A partition is missing, and its input does not allow that.
        InputError: A table is not there, its partition keys are not those of its input, the
            range of its projection cannot be read, or it is projected and waited for without done
            objects; or these may not be listed; or, `retryable`, Glue left all partitions
            unprocessed that it was asked for.
        S3Error: S3 did not serve a call.
    """
    coverages = []
    for partitions in find_partitions(
        sources, period, late_by=late_by, now=now, database=database, glue=glue, s3=s3
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
    s3: S3,
) -> list[InputPartitions]:
    """Return the partitions that are needed of every input, and which of them are missing.

    Arguments and errors are those of `find_coverage`, save that a missing partition is no error.
    """
    partitions: list[InputPartitions] = []
    for source in sources:
        need = InputNeed(source=source, period=period, late_by=late_by, database=database)
        partitions += find_together([need], now=now, glue=glue, s3=s3)
    return partitions


def find_together(
    needs: Sequence[InputNeed], *, now: datetime, glue: "GlueClient", s3: S3
) -> list[InputPartitions]:
    """Return what there is for each of some needs that have the same `lookup`, in their order.

    However many there are, Glue is asked for the table once, and for up to 1,000 partitions in a
    call. Arguments and errors are otherwise those of `find_partitions`.
    """
    first = needs[0]
    table = _SourceTable.read(first.source, first.source.database or first.database, glue)
    needed_by_need = []
    needed_by_any: dict[_Partition, None] = {}  # each once, in order
    for need in needs:
        dates = needed_dates(need.source, need.period, need.late_by, now)
        needed = _partitions_of_dates(need.source, dates)
        needed_by_need.append(needed)
        needed_by_any.update(dict.fromkeys(needed))
    folder_of_partition: dict[_Partition, str] = {}
    done: set[_Partition] = set()
    if table.source.is_partitioned:
        folder_of_partition = _visible_folders(table, list(needed_by_any), now, glue)
        done = _done_partitions(table, folder_of_partition, s3)
    partitions = []
    for need, needed in zip(needs, needed_by_need, strict=True):
        own_table = replace(table, source=need.source)
        partitions.append(_partitions_of(own_table, needed, folder_of_partition, done))
    return partitions


def complete_periods(
    sources: Sequence[Input],
    periods: Sequence[Period],
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
    s3: S3,
) -> list[Period]:
    """Return those of some periods that lack no partition of any input, in their order.

    However many periods there are, Glue is asked once for the table of each input, and for up to
    1,000 partitions in a call. Arguments and errors are otherwise those of `find_partitions`.
    """
    complete = list(periods)
    for source in sources:
        needs = [
            InputNeed(source=source, period=period, late_by=late_by, database=database)
            for period in complete
        ]
        if not needs:
            break
        partitions = find_together(needs, now=now, glue=glue, s3=s3)
        without_gaps = []
        for period, (coverage, _) in zip(complete, partitions, strict=True):
            if not coverage.gaps:
                without_gaps.append(period)
        complete = without_gaps
    return complete


def refuse_projection(name: str, source: Input, parameters: Mapping[str, str]) -> None:
    """Raise InputError for a projected table that is waited for without done objects.

    Args:
        name: The table, with its database.
        source: The input that it is.
        parameters: The table's parameters in Glue.
    """
    if source.wait is None or source.done is not None or not _is_projected(parameters):
        return
    problem = "but its partitions are projected, so Glue does not know which of them are there."
    example = "done='s3://lake/plays/dt={date}/_SUCCESS'"
    raise InputError(
        f"The input {name} has wait=, {problem} Name the object that says that a partition is "
        f"complete, such as {example}, or leave out wait=."
    )


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
        refuse_projection(name, source, table.get("Parameters", {}))
        location = table.get("StorageDescriptor", {}).get("Location", "")
        return cls(source, database, keys, location, table.get("Parameters", {}))

    @property
    def name(self) -> str:
        return f"{self.database}.{self.source.table}"

    @property
    def is_projected(self) -> bool:
        """Whether Athena computes the partitions, and does not ask Glue for them."""
        return _is_projected(self.parameters)

    def values_by_key(self, partition: _Partition) -> dict[str, str]:
        return dict(zip(self.source.columns, partition, strict=True))


def _is_projected(parameters: Mapping[str, str]) -> bool:
    return parameters.get("projection.enabled", "").lower() == "true"


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


def _partitions_of(
    table: _SourceTable,
    needed: Sequence[_Partition],
    folder_of_partition: Mapping[_Partition, str],
    done: Collection[_Partition],
) -> InputPartitions:
    """Return what there is of an input, by what was found of its table."""
    if not table.source.is_partitioned:
        coverage = InputCoverage(
            table=table.name, is_partitioned=False, missing=table.source.missing, needed=0
        )
        folders = {}
        if table.location:
            folders[""] = table.location
        return InputPartitions(coverage, folders)
    folders = {}
    gaps = []
    not_done = []
    for partition in needed:
        name = "/".join(f"{key}={value}" for key, value in table.values_by_key(partition).items())
        if partition not in folder_of_partition:
            gaps.append(name)
            continue
        folders[name] = folder_of_partition[partition]
        if table.source.done is not None and partition not in done:
            not_done.append(name)
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
        not_done=tuple(not_done),
    )
    return InputPartitions(coverage, folders)


def _done_partitions(
    table: _SourceTable, partitions: Iterable[_Partition], s3: S3
) -> set[_Partition]:
    """Return those of some partitions that have their done object."""
    source = table.source
    if source.done is None:
        return set()
    return {partition for partition in partitions if is_done(source.done_object(partition), s3)}


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
