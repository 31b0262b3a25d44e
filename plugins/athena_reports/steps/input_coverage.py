"""What exists of a report's inputs for a period: of tables, and of other reports."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from athena_reports.aws.s3 import S3
from athena_reports.errors import MissingPartitionsError
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.need import InputNeed
from athena_reports.inputs.partitions import find_in_table
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import Period

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def find_partitions(
    sources: Sequence[Source],
    period: Period,
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
    s3: S3,
) -> list[InputPartitions]:
    """Return the partitions that a period requires of every input, and which of them are missing.

    InputError if a table or a report does not fit its input.
    """
    needs = [
        InputNeed(source=source, period=period, late_by=late_by, database=database)
        for source in sources
    ]
    return [find_together([need], now=now, glue=glue, s3=s3)[0] for need in needs]


def find_together(
    needs: Sequence[InputNeed], *, now: datetime, glue: "GlueClient", s3: S3
) -> list[InputPartitions]:
    """Return what exists of each of some needs with the same `lookup`, in their order."""
    parts_read = [
        (need.source, need.period) for need in needs if isinstance(need.source, Published)
    ]
    if not parts_read:
        return find_in_table(needs, now=now, glue=glue, s3=s3)
    # Most reports read tables alone, and the process of their task need not load it.
    from athena_reports.publication.parts import find_parts

    return find_parts(parts_read, glue)


def require_partitions(coverages: Sequence[InputCoverage]) -> None:
    """Raise MissingPartitionsError if an input lacks a partition, and does not allow that."""
    for coverage in coverages:
        if coverage.stops_run:
            raise MissingPartitionsError(
                f"{coverage}. No query was started. {coverage.remedy}, then clear run_query; or"
                ' declare missing="partial".'
            )


def complete_periods(
    sources: Sequence[Source],
    periods: Sequence[Period],
    *,
    late_by: timedelta,
    now: datetime,
    database: str,
    glue: "GlueClient",
    s3: S3,
) -> list[Period]:
    """Return those of some periods that lack no partition of any input, in their order.

    Glue is asked once for the table of each input, and for up to 1,000 partitions in a call.
    """
    incomplete: set[Period] = set()
    for source in sources:
        needs = [
            InputNeed(source=source, period=period, late_by=late_by, database=database)
            for period in periods
        ]
        partitions = find_together(needs, now=now, glue=glue, s3=s3)
        for period, found in zip(periods, partitions, strict=True):
            if found.coverage.gaps:
                incomplete.add(period)
    return [period for period in periods if period not in incomplete]
