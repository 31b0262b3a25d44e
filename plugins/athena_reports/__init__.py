"""Athena reports on Airflow: a SQL file and a few lines of Python become a weekly and a monthly report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from athena_reports import checks, transforms
from athena_reports.periods.calendar import Cadence, Period, daily, monthly, quarterly, weekly, yearly
from athena_reports.queries.wait_policy import PATIENT, STATE_MACHINE, WaitPolicy
from athena_reports.reports.report import Input, Report

if TYPE_CHECKING:
    from athena_reports.report_dag import build_dag, build_reconciler, build_restatement, build_upkeep

__version__ = "0.1.0"

__all__ = [
    "PATIENT",
    "STATE_MACHINE",
    "Cadence",
    "Input",
    "Period",
    "Report",
    "WaitPolicy",
    "build_dag",
    "build_reconciler",
    "build_restatement",
    "build_upkeep",
    "checks",
    "daily",
    "monthly",
    "quarterly",
    "transforms",
    "weekly",
    "yearly",
]


def __getattr__(name: str) -> Any:
    """Import what makes DAGs when it is asked for: it brings operators, which the plugin must not load."""
    if name in {"build_dag", "build_reconciler", "build_restatement", "build_upkeep"}:
        from athena_reports import report_dag

        return getattr(report_dag, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
