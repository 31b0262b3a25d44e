# ruff: noqa: RUF012  # lists are how Airflow declares what a plugin has
"""Registers the library with Airflow: timetable, mappers, priority, macros and the Reports page.

In a template, a macro is called as `macros.athena_reports.<name>`.
"""

from datetime import timedelta

from airflow.plugins_manager import AirflowPlugin

from athena_reports.page import ReportsPage
from athena_reports.periods.calendar import Cadence, daily, monthly, quarterly, weekly, yearly
from athena_reports.periods.run_period import DagRunDates, period_of_run
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.scheduling.asset_partitions import PeriodMapper, PeriodWindow
from athena_reports.scheduling.priority import ScheduleFirst
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import PAGE_PATH
from athena_reports.sql.literals import literal

_HREF = PAGE_PATH.removeprefix("/")  # relative to the UI, which need not be the root of its host


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
    return SqlPeriod(period_of_run(cadence, dag_run, param=param), timedelta(days=late_days))


class AthenaReportsPlugin(AirflowPlugin):
    """What the package adds to Airflow."""

    name = "athena_reports"
    timetables = [PeriodTimetable]
    partition_mappers = [PeriodMapper]
    windows = [PeriodWindow]
    priority_weight_strategies = [ScheduleFirst]
    macros = [period, literal, daily, weekly, monthly, quarterly, yearly]
    fastapi_apps = [{"app": ReportsPage(), "url_prefix": PAGE_PATH, "name": "Athena reports"}]
    external_views = [
        {
            "name": "Reports",
            "href": f"{_HREF}/",
            "url_route": "athena-reports",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{_HREF}/static/icon.svg",
            "icon_dark_mode": f"{_HREF}/static/icon-dark.svg",
        }
    ]
