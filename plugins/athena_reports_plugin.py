"""Registers the library with an Airflow that has it in its plugins folder."""

from athena_reports.plugin import AthenaReportsPlugin

__all__ = ["AthenaReportsPlugin"]
