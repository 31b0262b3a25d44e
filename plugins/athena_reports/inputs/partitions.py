"""Which partitions a period needs that Athena cannot see.

Without them a query would give fewer rows, and no error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, field_serializer, field_validator

from athena_reports.aws.s3 import S3
from athena_reports.errors import MissingPartitionsError
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.inputs.done_objects import is_done
from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import Partition, bounds_of_events
from athena_reports.inputs.registered import registered_folders, some_partition
from athena_reports.inputs.source_table import SourceTable
from athena_reports.periods.calendar import Period

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_INSTANT = timedelta(microseconds=1)  # the least difference of two datetimes


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
        wire_form = {field.name: getattr(source, field.name) for field in fields(source)}
        wire_form["only"] = dict(source.only)
        if source.wait is not None:
            wire_form["wait"] = source.wait.total_seconds()
        return wire_form

    @field_validator("source", mode="before")
    @classmethod
    def _source_from_wire(cls, wire_form: Any) -> Any:
        if not isinstance(wire_form, dict):
            return wire_form
        arguments = dict(wire_form)
        if arguments["wait"] is not None:
            arguments["wait"] = timedelta(seconds=arguments["wait"])
        return Input(**arguments)

    @property
    def lookup(self) -> tuple[object, ...]:
        """What one look at the account can answer: equal for needs that it answers together."""
        source = self.source
        database = source.database or self.database
        only = tuple(source.only.items())
        keys = (source.columns, source.format, source.kind)
        return database, source.table, source.of, keys, only, source.done


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
        InputError: A table is not there, or is laid out otherwise than its input says; its
            projection cannot be read, or it is projected and waited for without done objects; or
            these may not be listed; or, `retryable`, Glue left all partitions unprocessed that it
            was asked for.
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
    table = SourceTable.read(first.source, first.database, glue)
    if not first.source.is_partitioned:
        return [_unpartitioned(table, need.source) for need in needs]
    needed_by_need = []
    needed_by_any: dict[Partition, None] = {}  # each once, in order
    for need in needs:
        needed = needed_partitions(need.source, need.period, need.late_by, now)
        needed_by_need.append(needed)
        needed_by_any.update(dict.fromkeys(needed))
    folders = _visible_folders(table, list(needed_by_any), now, glue)
    done = _done_partitions(first.source, folders, s3)
    partitions = []
    for need, needed in zip(needs, needed_by_need, strict=True):
        partitions.append(_partitions_of(table, need.source, needed, folders, done))
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


def needed_partitions(
    source: Input, period: Period, late_by: timedelta, now: datetime
) -> list[Partition]:
    """Return the partitions that must be there at `now`: the values of their keys, and of `only`.

    Partitions that only late events fill are needed from `late_by` after the end of the period on.
    No partition of a date or an hour in the future, in the zone of the input's dates, is needed.
    """
    of_time: dict[Partition, None] = {}  # each once, in order
    for read_period in source.periods_read(period):
        late_events_have_landed = read_period.end_utc + late_by <= now
        late = late_by if late_events_have_landed else timedelta(0)
        start, end = bounds_of_events(read_period, late)
        begun = source.layout.partitions(start, min(end, now + _INSTANT))
        of_time.update(dict.fromkeys(begun))
    values_of_only = [[str(value) for value in values] for values in source.only.values()]
    return [(*partition, *values) for partition in of_time for values in product(*values_of_only)]


def _unpartitioned(table: SourceTable, source: Input) -> InputPartitions:
    coverage = InputCoverage(
        table=table.name, is_partitioned=False, missing=source.missing, needed=0
    )
    folders = {}
    if table.location:
        folders[""] = table.location
    return InputPartitions(coverage, folders)


def _partitions_of(
    table: SourceTable,
    source: Input,
    needed: Sequence[Partition],
    folders_of_partition: Mapping[Partition, Mapping[str, str]],
    done: Iterable[Partition],
) -> InputPartitions:
    """Return what there is of an input, by what was found of its table.

    Args:
        table: The table.
        source: The input, which may need other periods than that which the table was read for.
        needed: The partitions that it needs.
        folders_of_partition: What was found: of each partition its folders, by their names.
        done: The partitions that have their done object.
    """
    folders: dict[str, str] = {}
    present = []
    gaps = []
    not_done = []
    for partition in needed:
        pairs = zip(table.selected_keys, partition, strict=True)
        name = "/".join(f"{key}={value}" for key, value in pairs)
        if partition not in folders_of_partition:
            gaps.append(name)
            continue
        present.append(name)
        folders.update(folders_of_partition[partition])
        if source.done is not None and partition not in done:
            not_done.append(name)
    absent: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    if table.projection is not None:
        outside = tuple(gaps)
    else:
        absent = tuple(gaps)
    coverage = InputCoverage(
        table=table.name,
        missing=source.missing,
        needed=len(needed),
        present=tuple(present),
        absent=absent,
        outside=outside,
        not_done=tuple(not_done),
    )
    return InputPartitions(coverage, folders)


def _done_partitions(source: Input, partitions: Iterable[Partition], s3: S3) -> set[Partition]:
    """Return those of some partitions that have their done object."""
    if source.done is None:
        return set()
    count = len(source.columns)  # the values of `only` are no part of its address
    return {
        partition for partition in partitions if is_done(source.done_object(partition[:count]), s3)
    }


def _visible_folders(
    table: SourceTable, needed: Sequence[Partition], now: datetime, glue: "GlueClient"
) -> dict[Partition, Mapping[str, str]]:
    """Return of each partition that a query sees its folders by their names.

    InputError if it sees none because they are written otherwise than the input says.
    """
    if table.projection is not None:
        return _projected_folders(table, needed, now)
    folders: dict[Partition, Mapping[str, str]] = {**registered_folders(table, needed, glue)}
    if needed and not folders:
        stored = some_partition(table, glue)
        if stored is not None:
            table.require_readable(stored)
    return folders


def _projected_folders(
    table: SourceTable, needed: Sequence[Partition], now: datetime
) -> dict[Partition, Mapping[str, str]]:
    assert table.projection is not None
    folders = {}
    for partition in needed:
        values = dict(zip(table.selected_keys, partition, strict=True))
        if table.projection.reaches(values, now):
            folders[partition] = table.projection.folders(values, list(table.keys), table.location)
    return folders
