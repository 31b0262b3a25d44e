"""Print a period of each report that the tables there have the data of, as a line of JSON.

Usage: `PYTHONPATH=<plugins folder> python report_periods.py <dags folder>`.

It runs in the Python of the twin, so that DAG files and library are those of the bundle. The period
is the last one between `since` and `until` for which no partition of the inputs is missing. There
is none for a report that declares no inputs, or whose table or bucket of markers is missing.
"""

from __future__ import annotations

import json
import runpy
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from athena_reports.aws.errors import ErrorKind, error_code, error_kind
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.errors import InputError
from athena_reports.settings import settings
from athena_reports.steps.input_coverage import complete_periods
from athena_reports.workflows.dag_files import dag_files
from athena_reports.workflows.report_dag import BuiltDag

if TYPE_CHECKING:
    from athena_reports.periods.calendar import Period


def _last_period(dag: BuiltDag, glue: Any, s3: S3, now: datetime) -> Period | None:
    """Return the last period with all its partitions; None if there is none."""
    report = dag.report
    start: Any = dag.start_date  # a report has one
    period = dag.cadence.last_complete(now)
    if dag.end_date is not None:
        period = min(period, dag.cadence.containing(dag.end_date))
    newest_first = []
    while period.start >= start:
        newest_first.append(period)
        period = period.previous
    complete = complete_periods(
        report.inputs,
        newest_first,
        late_by=report.late_by,
        now=now,
        database=settings().database,
        glue=glue,
        s3=s3,
    )
    if not complete:
        return None
    return complete[0]


def _is_table_missing(error: InputError) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and error_kind(cause) is ErrorKind.NO_ENTITY


def _is_bucket_missing(error: InputError) -> bool:
    """Whether there is no bucket for the success markers: the twin has the tables alone."""
    refused = error.__cause__
    return (
        isinstance(refused, S3Error)
        and isinstance(refused.__cause__, ClientError)
        and error_code(refused.__cause__) == "NoSuchBucket"
    )


def main() -> None:
    """Import the DAG files and print what was found."""
    glue = boto3.client("glue")
    s3 = S3(boto3.client("s3"))
    now = datetime.now(UTC)
    periods = {}
    for path in dag_files(Path(sys.argv[1])):
        for dag in runpy.run_path(str(path)).values():
            if not isinstance(dag, BuiltDag) or not dag.report.inputs:
                continue
            try:
                period = _last_period(dag, glue, s3, now)
            except InputError as error:
                if not _is_table_missing(error) and not _is_bucket_missing(error):
                    raise
                continue
            if period is not None:
                periods[dag.dag_id] = {
                    "report": dag.report.name,
                    "cadence": dag.cadence.name,
                    "period": period.id,
                }
    print(json.dumps(periods))


if __name__ == "__main__":
    main()
