"""Athena reports on Airflow: a SQL file and a few lines of Python become a weekly and a monthly report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from athena_reports import transforms
from athena_reports.period import Cadence, Period, daily, monthly, quarterly, weekly, yearly
from athena_reports.query import PATIENT, WaitPolicy
from athena_reports.report import Report

if TYPE_CHECKING:
    from athena_reports.dag import build_dag

__version__ = "0.1.0"

__all__ = [
    "PATIENT",
    "Cadence",
    "Period",
    "Report",
    "WaitPolicy",
    "build_dag",
    "daily",
    "monthly",
    "quarterly",
    "transforms",
    "weekly",
    "yearly",
]


def __getattr__(name: str) -> Any:
    """Import `build_dag` when it is asked for: it brings operators, which the plugin must not load."""
    if name == "build_dag":
        from athena_reports.dag import build_dag

        return build_dag
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
