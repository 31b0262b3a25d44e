"""Registers the library with Airflow: the timetable, the macros `macros.athena_reports.<name>`, the page."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from athena_reports.page import PREFIX, ReportsPage
from athena_reports.periods.calendar import daily, monthly, quarterly, weekly, yearly
from athena_reports.periods.macros import period
from athena_reports.periods.sql_period import literal
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.priority import ScheduleFirst


class AthenaReportsPlugin(AirflowPlugin):
    """What the package adds to Airflow."""

    name = "athena_reports"
    timetables = [PeriodTimetable]  # noqa: RUF012  # Airflow's way to declare it
    priority_weight_strategies = [ScheduleFirst]  # noqa: RUF012
    macros = [period, literal, daily, weekly, monthly, quarterly, yearly]  # noqa: RUF012
    fastapi_apps = [{"app": ReportsPage(), "url_prefix": PREFIX, "name": "Athena reports"}]  # noqa: RUF012
    # The address is relative to that of the UI, which need not be the root of its host.
    external_views = [  # noqa: RUF012
        {
            "name": "Reports",
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "url_route": "athena-reports",
            "nav_top_level": True,
            "icon": f"{PREFIX.removeprefix('/')}/static/icon.svg",
            "icon_dark_mode": f"{PREFIX.removeprefix('/')}/static/icon-dark.svg",
        }
    ]
