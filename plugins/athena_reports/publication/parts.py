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
    """Return what is published of the parts of some periods of one report, in their order.

    It is what Glue has, since a query reads that. InputError if a part is broken or of another time
    zone.
    """
    needed = chain.from_iterable(published.parts_of(period) for published, period in parts_read)
    values = [[part.id] for part in dict.fromkeys(needed)]  # each once, in order
    first, _ = parts_read[0]
    parts: Mapping[str, Partition] = {}
    # Without a table, nothing of the report is published yet.
    with suppress(glue.exceptions.EntityNotFoundException):
        parts = partitions_by_period(stored_partitions(first.database, first.table, values, glue))
    return [_parts_of(published, period, parts) for published, period in parts_read]


def changed_parts(
    periods: Mapping[str, PartitionFacts], published_of: PublishedOf
) -> dict[str, list[str]]:
    """Return the parts that have another version now than when a period read them.

    They are texts such as `plays_daily 2025-06-03`, by the period's id. One that is no longer
    published is not among them. `published_of` is called once for each table.
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
    present = {part: parts[part.id] for part in needed if part.id in parts}
    for part, partition in present.items():
        _require_rows_of(part, partition.facts, published)
    facts = {part: partition.facts for part, partition in present.items()}
    settling_times = [facts[part].settles_at for part in present if facts[part].provisional]
    coverage = InputCoverage(
        table=f"{published.database}.{published.table}",
        missing=published.missing,
        needed=len(needed),
        present=tuple(map(_name, present)),
        unpublished=tuple(_name(part) for part in needed if part not in present),
        partial=tuple(_name(part) for part in present if facts[part].partial),
        dag_id=published.table,
        versions={part.id: facts[part].version for part in present},
        settles_at=max(map(datetime.fromisoformat, settling_times), default=None),
    )
    folders = {_name(part): partition.location for part, partition in present.items()}
    return InputPartitions(coverage, folders)


def _name(part: Period) -> str:
    return f"{KEY}={part.id}"


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
