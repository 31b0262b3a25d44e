"""What is published of the reports that another report reads: its parts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from athena_reports.errors import InputError
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.published import KEY, Published
from athena_reports.inputs.registered import stored_partitions
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import Partition, PartitionFacts, partitions_by_period

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

PublishedOf = Callable[[str], Mapping[str, PartitionFacts]]
"""Returns the facts of a report's published periods by period id; the report's table is given."""


def find_parts(
    parts_read: Sequence[tuple[Published, Period]], glue: "GlueClient"
) -> list[InputPartitions]:
    """Return what Glue has of the parts of some periods of one report, in their order.

    InputError if a part is broken or of another time zone.
    """
    needed = chain.from_iterable(published.parts_of(period) for published, period in parts_read)
    values = [[part.id] for part in dict.fromkeys(needed)]  # each once, in order
    first, _ = parts_read[0]
    parts: Mapping[str, Partition] = {}
    # Without a table, nothing of the report is published yet.
    with suppress(glue.exceptions.EntityNotFoundException):
        stored = stored_partitions(first.database, first.table, values, glue)
        parts = partitions_by_period(stored)
    return [_parts_of(published, period, parts) for published, period in parts_read]


def changed_parts(
    periods: Mapping[str, PartitionFacts], published_of: PublishedOf
) -> dict[str, list[str]]:
    """Return the parts that have another version now than when a period read them.

    They are texts such as `plays_daily 2025-06-03`, by the period's id. `published_of` is called
    once for each table.
    """
    published_of = cache(published_of)
    changed: dict[str, list[str]] = {}
    for period_id, facts in periods.items():
        for table, versions_read in facts.parts.items():
            for part_id, version in versions_read.items():
                part = published_of(table).get(part_id)
                if part is not None and part.version != version:
                    changed.setdefault(period_id, []).append(f"{table} {part_id}")
    return changed


def _parts_of(
    published: Published, period: Period, parts: Mapping[str, Partition]
) -> InputPartitions:
    needed = published.parts_of(period)
    unpublished, partial, settling_times = [], [], []
    folders, versions = {}, {}
    for part in needed:
        name = f"{KEY}={part.id}"
        partition = parts.get(part.id)
        if partition is None:
            unpublished.append(name)
            continue
        facts = partition.facts
        _require_rows_of(part, facts, published)
        folders[name] = partition.location
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


def _require_rows_of(part: Period, facts: PartitionFacts, published: Published) -> None:
    about = f"Input {published.database}.{published.table}, period {part.id}"
    if facts.broken:
        raise InputError(f"{about} is broken: {facts.broken}. Clear that period's run.")
    # The days of two time zones have the same ids.
    if facts.period.timezone != published.cadence.timezone:
        raise InputError(
            f"{about} is published in time zone {facts.period.timezone}; the input declares "
            f"{published.cadence.timezone}. Use the cadence of the report's build_dag."
        )
