"""What `macros.athena_reports` offers to the templates of any DAG."""

from __future__ import annotations

from datetime import timedelta

from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import RunFacts, period_of_run
from athena_reports.periods.sql_period import SqlPeriod


def period(dag_run: RunFacts, cadence: Cadence, param: str = "", late_days: float = 0) -> SqlPeriod:
    """Return the period of a run, as a report's template sees it.

        {% set period = macros.athena_reports.period(
            dag_run, macros.athena_reports.weekly("sunday", timezone="Asia/Tokyo")) %}
        SELECT ... WHERE {{ period.partitions("dt") }} AND {{ period.contains("played_at") }}

    Args:
        dag_run: Airflow's `dag_run`.
        cadence: The periods of the DAG.
        param: A period id that overrides the run's own, such as a param of the DAG.
        late_days: Days after it happened that an event may still land.

    Raises:
        RunPeriodError: The run has no period of this cadence.
    """
    return SqlPeriod(period_of_run(cadence, dag_run, param=param), timedelta(days=late_days))
