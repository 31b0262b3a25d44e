"""What there is of a report's inputs for a period: of tables, and of other reports."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from athena_reports.aws.s3 import S3
from athena_reports.errors import MissingPartitionsError
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.need import InputNeed
from athena_reports.inputs.partitions import TableNeed, find_in_table
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import Period

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def find_coverage(
    sources: Sequence[Source],
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
            way_out = f'{coverage.remedy}, then clear run_query; or declare missing="partial".'
            raise MissingPartitionsError(f"{coverage}. No query was started. {way_out}")
        coverages.append(coverage)
    return tuple(coverages)


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
    """Return what there is for each of some needs of one table or report, in their order.

    Those of a table have the same `lookup`.

    Arguments and errors are otherwise those of `find_partitions`.
    """
    of_tables = []
    of_reports = []
    for need in needs:
        if isinstance(need.source, Published):
            of_reports.append((need.source, need.period))
        else:
            of_tables.append(TableNeed(need.source, need.period, need.late_by))
    if of_reports:
        # Most reports read tables alone, and the process of their task need not load it.
        from athena_reports.publication.parts import find_parts

        return find_parts(of_reports, glue)
    return find_in_table(of_tables, database=needs[0].database, now=now, glue=glue, s3=s3)


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
