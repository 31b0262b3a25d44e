"""Print a period of each DAG whose data the local tables have, by DAG id, as a line of JSON.

Usage: `PYTHONPATH=<plugins folder> python report_periods.py <dags folder>`.

It runs in the Python of the twin, so that DAG files and library are those of the bundle. The period
is the last one between `since` and `until` whose partitions all exist. A report has none if it has
no inputs, or if a table or the success markers of one are missing, or one is of another catalog.
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

from athena_reports import Input
from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.s3 import S3
from athena_reports.errors import InputError
from athena_reports.settings import settings
from athena_reports.steps.input_coverage import complete_periods
from athena_reports.workflows.dag_files import dag_files
from athena_reports.workflows.report_dag import BuiltDag

if TYPE_CHECKING:
    from athena_reports.periods.calendar import Period
    from athena_reports.reports.report import Report


def _has_local_inputs(report: Report) -> bool:
    """Whether a report has inputs, all of them tables of the lake alone.

    It has neither success markers nor other catalogs.
    """
    elsewhere = [
        source
        for source in report.inputs
        if isinstance(source, Input) and (source.done or source.catalog)
    ]
    return bool(report.inputs) and not elsewhere


def _last_period(dag: BuiltDag, glue: Any, s3: S3) -> Period | None:
    """Return the last period with all its partitions; None if no period has them."""
    now = datetime.now(UTC)
    start: Any = dag.start_date  # a report has one
    period = dag.cadence.last_complete(now)
    if dag.end_date is not None:
        period = min(period, dag.cadence.containing(dag.end_date))
    newest_first = []
    while period.start >= start:
        newest_first.append(period)
        period = period.previous
    complete = complete_periods(
        dag.report.inputs,
        newest_first,
        late_by=dag.report.late_by,
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


def main() -> None:
    """Import the DAG files, and print what was found."""
    glue = boto3.client("glue")
    s3 = S3(boto3.client("s3"))
    periods = {}
    for path in dag_files(Path(sys.argv[1])):
        for dag in runpy.run_path(str(path)).values():
            if not isinstance(dag, BuiltDag) or not _has_local_inputs(dag.report):
                continue
            try:
                period = _last_period(dag, glue, s3)
            except InputError as error:
                if not _is_table_missing(error):
                    raise
                continue
            if period is not None:
                periods[dag.dag_id] = period.id
    print(json.dumps(periods))


if __name__ == "__main__":
    main()
