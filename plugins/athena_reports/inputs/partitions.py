"""Which partitions a period needs that Athena cannot see.

Without them a query would give fewer rows, and no error.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.done_objects import is_done
from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import Partition, bounds_of_events
from athena_reports.inputs.registered import registered_folders, some_partition
from athena_reports.inputs.source_table import SourceTable
from athena_reports.periods.calendar import Period

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_INSTANT = timedelta(microseconds=1)  # the least difference of two datetimes


class TableNeed(NamedTuple):
    """What a period needs of a table: the input, the period, and how late events may land."""

    source: Input
    period: Period
    late_by: timedelta


def find_in_table(
    needs: Sequence[TableNeed], *, database: str, now: datetime, glue: "GlueClient", s3: S3
) -> list[InputPartitions]:
    """Return what there is for each of some needs of one table, in their order.

    However many there are, Glue is asked for the table once, and for up to 1,000 partitions in a
    call.

    Args:
        needs: The needs. Their inputs are the same but for what says which periods they read.
        database: The database of an input that names none.
        now: When the query starts.
        glue: The client that knows the table.
        s3: Has the done objects.

    Raises:
        InputError: The table is not there, or is laid out otherwise than the input says; its
            projection cannot be read, or it is projected and waited for without done objects; or
            these may not be listed; or, `retryable`, Glue left all partitions unprocessed that it
            was asked for.
        S3Error: S3 did not serve a call.
    """
    source = needs[0].source
    table = SourceTable.read(source, database, glue)
    if not source.is_partitioned:
        return [_unpartitioned(table, need.source) for need in needs]
    needed_by_need = []
    needed_by_any: dict[Partition, None] = {}  # each once, in order
    for need in needs:
        needed = needed_partitions(need.source, need.period, need.late_by, now)
        needed_by_need.append(needed)
        needed_by_any.update(dict.fromkeys(needed))
    folders = _visible_folders(table, list(needed_by_any), now, glue)
    done = _done_partitions(source, folders, s3)
    partitions = []
    for need, needed in zip(needs, needed_by_need, strict=True):
        partitions.append(_partitions_of(table, need.source, needed, folders, done))
    return partitions


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
