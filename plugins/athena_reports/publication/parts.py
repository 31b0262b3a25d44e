"""What is published of the reports that another report reads: its parts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from athena_reports.errors import InputError
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.published import KEY, Published
from athena_reports.inputs.registered import stored_partitions
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import Partition, PartitionFacts

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def find_parts(
    readings: Sequence[tuple[Published, Period]], glue: "GlueClient"
) -> list[InputPartitions]:
    """Return what is published of the parts of some periods, in their order.

    It is what Glue has, since a query reads that.

    Args:
        readings: The report that is read, the same one in each, and the period that reads it.
        glue: The client that knows its table.

    Raises:
        InputError: A part is broken, is of another time zone or is not of this package; or,
            `retryable`, Glue left all partitions unprocessed that it was asked for.
    """
    part_ids: dict[str, None] = {}  # each once, in order
    for published, period in readings:
        part_ids.update(dict.fromkeys(part.id for part in published.parts_of(period)))
    first, _ = readings[0]
    stored = _stored_parts(first, list(part_ids), glue)
    return [_parts_of(published, period, stored) for published, period in readings]


def changed_parts(
    periods: Mapping[str, PartitionFacts], versions_of: Callable[[str], Mapping[str, str]]
) -> dict[str, list[str]]:
    """Return the parts that have another version now than when a period read them.

    One that is no longer published has none, and is not among them.

    Args:
        periods: What is published of the periods that read them, by id.
        versions_of: Returns the present versions of a table by period id. It is asked once for each
            table.

    Returns:
        Their tables and ids, such as `plays_daily 2025-06-03`, for each period that has some.
    """
    versions: dict[str, Mapping[str, str]] = {}
    changed: dict[str, list[str]] = {}
    for period_id, facts in periods.items():
        for table, versions_read in facts.parts.items():
            if table not in versions:
                versions[table] = versions_of(table)
            for part_id, version in versions_read.items():
                if versions[table].get(part_id, version) != version:
                    changed.setdefault(period_id, []).append(f"{table} {part_id}")
    return changed


def _stored_parts(
    published: Published, part_ids: Sequence[str], glue: "GlueClient"
) -> dict[str, Partition]:
    """Return what Glue says of the parts that it has, by their ids."""
    parts = {}
    values = [[part_id] for part_id in part_ids]
    try:
        for stored in stored_partitions(published.database, published.table, values, glue):
            (part_id,) = stored["Values"]
            folder = stored.get("StorageDescriptor", {}).get("Location", "")
            parts[part_id] = Partition(folder, stored.get("Parameters", {}))
    except glue.exceptions.EntityNotFoundException:
        return {}  # nothing of the report is published yet
    return parts


def _parts_of(
    published: Published, period: Period, stored: Mapping[str, Partition]
) -> InputPartitions:
    """Return what is published of the parts of one period."""
    needed = published.parts_of(period)
    folders = {}
    versions = {}
    unpublished = []
    partial = []
    settling_times = []
    for part in needed:
        name = f"{KEY}={part.id}"
        if part.id not in stored:
            unpublished.append(name)
            continue
        facts = _facts(published, part.id, stored[part.id])
        folders[name] = stored[part.id].location
        versions[part.id] = facts.version
        if facts.partial:
            partial.append(name)
        if facts.provisional:
            settling_times.append(datetime.fromisoformat(facts.settles_at))
    coverage = InputCoverage(
        table=f"{published.database}.{published.table}",
        missing=published.missing,
        needed=len(needed),
        present=tuple(folders),
        unpublished=tuple(unpublished),
        partial=tuple(partial),
        dag_id=published.table,
        versions=versions,
        settles_at=max(settling_times, default=None),
    )
    return InputPartitions(coverage, folders)


def _facts(published: Published, part_id: str, stored: Partition) -> PartitionFacts:
    """Return what a partition says; InputError if its rows are not those of the part."""
    about = f"The input {published.database}.{published.table}, period {part_id}"
    try:
        facts = PartitionFacts.from_parameters(stored.parameters)
    except ValueError as error:
        raise InputError(
            f"{about}: its partition is not of this package. Drop it, or clear the run of its"
            " period."
        ) from error
    if facts.broken:
        raise InputError(f"{about} is broken: {facts.broken}. Clear the run of its period.")
    # The days of two time zones have the same ids.
    if facts.timezone != published.cadence.timezone:
        raise InputError(
            f"{about} is published in {facts.timezone}, the report's input says"
            f" {published.cadence.timezone}. Use the cadence of its build_dag."
        )
    return facts
