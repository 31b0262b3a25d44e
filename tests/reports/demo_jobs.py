"""What holds for the jobs of the demo, in the tests of each sample."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from demo.run import JOBS


def check_jobs_of(report: str, dags: Mapping[str, Any]) -> None:
    """Hold the jobs of a report against its DAGs: each names whole periods that have data."""
    jobs = [job for job in JOBS if job.report == report]
    assert {job.dag_id for job in jobs} == dags.keys()
    for job in jobs:
        dag = dags[job.dag_id]
        assert dag.cadence.timezone == job.timezone
        for date in (job.first, job.last):
            start = datetime.fromisoformat(date).replace(tzinfo=dag.cadence.zone)
            assert dag.cadence.containing(start).start_utc == start
            assert dag.start_date <= start
            assert dag.end_date is None or start <= dag.end_date
        for period_id in job.periods:
            assert dag.cadence.period(period_id).id == period_id
