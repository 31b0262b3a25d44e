"""What `macros.athena_reports` offers to the templates of any DAG."""

from datetime import timedelta

from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import DagRunDates, period_of_run
from athena_reports.reports.sql_period import SqlPeriod


def period(
    dag_run: DagRunDates, cadence: Cadence, param: str = "", late_days: float = 0
) -> SqlPeriod:
    """Return the period of a run, as a report's template sees it.

        {% set period = macros.athena_reports.period(
            dag_run, macros.athena_reports.weekly("sunday", timezone="Asia/Tokyo")) %}
        SELECT ... WHERE {{ period.partitions("dt") }} AND {{ period.contains("played_at") }}

    Arguments and errors are those of `period_of_run`. `late_days` is how many days after it
    happened an event may still land.
    """
    period_of_this_run = period_of_run(cadence, dag_run, param=param)
    return SqlPeriod(period_of_this_run, timedelta(days=late_days))
