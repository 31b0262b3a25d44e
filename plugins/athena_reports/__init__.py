"""Athena reports on Airflow: SQL and a few lines of Python become a weekly and a monthly report.

This is the public API. A name is loaded when it is asked for, so that Airflow's plugin manager
loads no operators: it imports this package in each process of Airflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from athena_reports.version import __version__ as __version__

if TYPE_CHECKING:
    from athena_reports import settings
    from athena_reports.delivery.channels import mail, notify, slack
    from athena_reports.errors import AthenaReportsError, ReportError
    from athena_reports.inputs.input import Input
    from athena_reports.inputs.published import Published
    from athena_reports.maintenance.cleanup import RetentionPolicy
    from athena_reports.maintenance.dags import build_cleanup, build_restatement
    from athena_reports.periods.calendar import (
        Cadence,
        Period,
        daily,
        monthly,
        quarterly,
        weekly,
        yearly,
    )
    from athena_reports.periods.run_period import period_of_run
    from athena_reports.queries.retry_policy import STATE_MACHINE_RETRIES, RetryPolicy
    from athena_reports.reports.column import Column
    from athena_reports.reports.report import Report
    from athena_reports.reports.sql_period import SqlPeriod
    from athena_reports.rows import checks, transforms
    from athena_reports.scheduling.asset_partitions import (
        PeriodMapper,
        PeriodWindow,
        when_published,
    )
    from athena_reports.scheduling.priority import ScheduleFirst
    from athena_reports.scheduling.timetable import PeriodTimetable
    from athena_reports.settings import Settings
    from athena_reports.sql.literals import literal
    from athena_reports.steps.publish import S3PublishOperator
    from athena_reports.steps.recipe import Recipe
    from athena_reports.steps.run_query import AthenaSubmitOperator
    from athena_reports.steps.transform import transform_result
    from athena_reports.steps.wait_for_query import AthenaWaitSensor
    from athena_reports.workflows.report_dag import LONG_QUERY_TIMEOUT, build_dag

# The module of this package that defines a name.
_MODULE_OF = {
    "Column": "reports.column",
    "Input": "inputs.input",
    "Published": "inputs.published",
    "Report": "reports.report",
    "build_cleanup": "maintenance.dags",
    "build_dag": "workflows.report_dag",
    "build_restatement": "maintenance.dags",
    "Cadence": "periods.calendar",
    "Period": "periods.calendar",
    "daily": "periods.calendar",
    "monthly": "periods.calendar",
    "quarterly": "periods.calendar",
    "weekly": "periods.calendar",
    "yearly": "periods.calendar",
    "mail": "delivery.channels",
    "notify": "delivery.channels",
    "slack": "delivery.channels",
    "LONG_QUERY_TIMEOUT": "workflows.report_dag",
    "STATE_MACHINE_RETRIES": "queries.retry_policy",
    "RetentionPolicy": "maintenance.cleanup",
    "RetryPolicy": "queries.retry_policy",
    "AthenaSubmitOperator": "steps.run_query",
    "AthenaWaitSensor": "steps.wait_for_query",
    "Recipe": "steps.recipe",
    "S3PublishOperator": "steps.publish",
    "transform_result": "steps.transform",
    "PeriodTimetable": "scheduling.timetable",
    "ScheduleFirst": "scheduling.priority",
    "SqlPeriod": "reports.sql_period",
    "literal": "sql.literals",
    "period_of_run": "periods.run_period",
    "PeriodMapper": "scheduling.asset_partitions",
    "PeriodWindow": "scheduling.asset_partitions",
    "when_published": "scheduling.asset_partitions",
    "AthenaReportsError": "errors",
    "ReportError": "errors",
    "Settings": "settings",
}
# The names that are modules themselves.
_MODULES = {
    "checks": "rows.checks",
    "transforms": "rows.transforms",
    "settings": "settings",
}

__all__ = [  # noqa: RUF022  # the order of docs/reference/api.md
    # Reports, and the DAGs of them and beside them
    "Column",
    "Input",
    "Published",
    "Report",
    "build_cleanup",
    "build_dag",
    "build_restatement",
    # Periods
    "Cadence",
    "Period",
    "daily",
    "monthly",
    "quarterly",
    "weekly",
    "yearly",
    # Channels that versions are delivered to
    "mail",
    "notify",
    "slack",
    # Policies
    "LONG_QUERY_TIMEOUT",
    "STATE_MACHINE_RETRIES",
    "RetentionPolicy",
    "RetryPolicy",
    # What works on rows
    "checks",
    "transforms",
    # Steps, for a DAG that is written by hand
    "AthenaSubmitOperator",
    "AthenaWaitSensor",
    "Recipe",
    "S3PublishOperator",
    "transform_result",
    # Schedules, and periods in SQL
    "PeriodTimetable",
    "ScheduleFirst",
    "SqlPeriod",
    "literal",
    "period_of_run",
    # Schedules by what is published
    "PeriodMapper",
    "PeriodWindow",
    "when_published",
    # Errors and settings
    "AthenaReportsError",
    "ReportError",
    "Settings",
    "settings",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name in _MODULE_OF:
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
