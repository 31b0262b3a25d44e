"""Registers the library with Airflow: the timetable, and the macros `macros.athena_reports.<name>`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from athena_reports.macros import period
from athena_reports.period import daily, monthly, quarterly, weekly, yearly
from athena_reports.sql import literal
from athena_reports.timetable import PeriodTimetable


class AthenaReportsPlugin(AirflowPlugin):
    """What Airflow is to know of this package."""

    name = "athena_reports"
    timetables = [PeriodTimetable]  # noqa: RUF012  # Airflow's way to declare it
    macros = [period, literal, daily, weekly, monthly, quarterly, yearly]  # noqa: RUF012
