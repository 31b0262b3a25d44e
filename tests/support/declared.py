"""Declarations of reports."""

from collections.abc import Callable

from athena_reports import Report

MakeReport = Callable[..., Report]
