"""Athena reports on Airflow: a SQL file and a few lines of Python become a weekly and a monthly report.

This is the public API. A name is loaded when it is asked for, so that Airflow's plugin manager loads no operators.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from athena_reports import settings
    from athena_reports.errors import AthenaReportsError, ReportError
    from athena_reports.maintenance.cleanup import RetentionPolicy
    from athena_reports.maintenance.dags import build_cleanup, build_reconciler, build_restatement
    from athena_reports.periods.calendar import Cadence, Period, daily, monthly, quarterly, weekly, yearly
    from athena_reports.periods.run_period import period_of_run
    from athena_reports.periods.sql_period import SqlPeriod, literal
    from athena_reports.queries.retry_policy import STATE_MACHINE_RETRIES, RetryPolicy
    from athena_reports.queries.wait_policy import PATIENT, STATE_MACHINE, WaitPolicy
    from athena_reports.reports.column import Column
    from athena_reports.reports.input import Input
    from athena_reports.reports.report import Report
    from athena_reports.rows import checks, transforms
    from athena_reports.scheduling.asset_partitions import PeriodMapper, PeriodWindow, when_published
    from athena_reports.scheduling.priority import ScheduleFirst
    from athena_reports.scheduling.timetable import PeriodTimetable
    from athena_reports.settings import Settings
    from athena_reports.steps.publish import S3PublishOperator
    from athena_reports.steps.run_query import AthenaSubmitOperator
    from athena_reports.steps.transform import Recipe, transform_result
    from athena_reports.steps.wait_for_query import AthenaWaitSensor
    from athena_reports.workflows.report_dag import build_dag

__version__ = "0.1.0"

_HOMES = {
    "errors": ("AthenaReportsError", "ReportError"),
    "maintenance.dags": ("build_cleanup", "build_reconciler", "build_restatement"),
    "periods.calendar": ("Cadence", "Period", "daily", "monthly", "quarterly", "weekly", "yearly"),
    "scheduling.asset_partitions": ("PeriodMapper", "PeriodWindow", "when_published"),
    "periods.run_period": ("period_of_run",),
    "periods.sql_period": ("SqlPeriod", "literal"),
    "scheduling.timetable": ("PeriodTimetable",),
    "scheduling.priority": ("ScheduleFirst",),
    "maintenance.cleanup": ("RetentionPolicy",),
    "steps.publish": ("S3PublishOperator",),
    "steps.transform": ("Recipe", "transform_result"),
    "queries.retry_policy": ("STATE_MACHINE_RETRIES", "RetryPolicy"),
    "steps.run_query": ("AthenaSubmitOperator",),
    "queries.wait_policy": ("PATIENT", "STATE_MACHINE", "WaitPolicy"),
    "steps.wait_for_query": ("AthenaWaitSensor",),
    "workflows.report_dag": ("build_dag",),
    "reports.column": ("Column",),
    "reports.input": ("Input",),
    "reports.report": ("Report",),
    "settings": ("Settings",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = {"checks": "rows.checks", "settings": "settings", "transforms": "rows.transforms"}  # exported as a whole

__all__ = ["Column", "Input", "Report", "build_cleanup", "build_dag", "build_reconciler", "build_restatement"]
__all__ += ["Cadence", "Period", "daily", "monthly", "quarterly", "weekly", "yearly"]
__all__ += ["PATIENT", "STATE_MACHINE", "STATE_MACHINE_RETRIES", "RetentionPolicy", "RetryPolicy", "WaitPolicy"]
__all__ += ["checks", "transforms"]
__all__ += ["AthenaSubmitOperator", "AthenaWaitSensor", "Recipe", "S3PublishOperator", "transform_result"]
__all__ += ["PeriodTimetable", "ScheduleFirst", "SqlPeriod", "literal", "period_of_run"]
__all__ += ["PeriodMapper", "PeriodWindow", "when_published"]
__all__ += ["AthenaReportsError", "ReportError", "Settings", "settings"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
