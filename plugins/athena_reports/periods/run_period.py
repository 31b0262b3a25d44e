"""The period of a DAG run: one rule for scheduled, backfilled, manual and asset-triggered runs."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.periods.calendar import Cadence, Period

PERIOD_PARAM = "period"

FILL_RUN_ID = "fill__"
"""Prefix of the ids of runs that the Reports page triggers to fill a period."""

BACKFILL_RUN_IDS = ("backfill__", FILL_RUN_ID)
"""Prefixes of the ids of runs that fill periods: of Airflow's backfills, and of the Reports page."""


class RunFacts(Protocol):
    """The part of Airflow's DAG run that decides on the period; `context["dag_run"]` has it.

    A run that was triggered without a logical date has no data interval either. Every run has `run_after`.
    """

    @property
    def run_type(self) -> str:
        """`scheduled`, `backfill`, `manual` or `asset_triggered`."""

    logical_date: datetime | None
    run_after: datetime
    data_interval_start: datetime | None
    data_interval_end: datetime | None


def period_of_run(cadence: Cadence, run: RunFacts, *, param: str = "") -> Period:
    """Return the period that a run reports on, from the run alone.

    It is the `period` param if given, else the run's data interval, else the last period that is complete at
    its `run_after`. The clock is not read: a run that is cleared a year later keeps its period.

    Args:
        cadence: The cadence of the run's DAG.
        run: The DAG run.
        param: The run's `period` param, a period id; empty for none.

    Raises:
        RunPeriodError: The param or the data interval is not a period of this cadence, the param was given to
            a backfill, or a backfill took over a run that reports another period.
    """
    if param:
        if run.run_type == "backfill":
            raise RunPeriodError(
                f"The param {PERIOD_PARAM!r} is {param!r}, but this run belongs to a backfill, which would "
                f"report that one period in each of its runs. Start the backfill again without the param: "
                f"each run takes its period from its own data interval. For one period only, trigger a run "
                f"with the param. If the backfill has no param, it took over a run that was triggered with "
                f"one: delete that run, then start the backfill again."
            )
        try:
            return cadence.period(param)
        except PeriodError as error:
            raise RunPeriodError(f"The param {PERIOD_PARAM!r} is not valid: {error}") from error
    if run.data_interval_start is None or run.data_interval_end is None:
        return cadence.last_complete(run.run_after)
    if run.run_type == "backfill" and run.logical_date not in (None, run.data_interval_start):
        raise RunPeriodError(
            f"The backfill took over a run that was triggered with the logical date {run.logical_date} and "
            f"reports the period before it, from {run.data_interval_start} on. Delete the run, then start "
            f"the backfill again."
        )
    period = cadence.containing(run.data_interval_start)
    if (period.start_utc, period.end_utc) != (run.data_interval_start, run.data_interval_end):
        raise RunPeriodError(
            f"The run's data interval, {run.data_interval_start.isoformat()} to "
            f"{run.data_interval_end.isoformat()}, is not a period of {cadence.description}: the DAG's "
            f"schedule has changed since the run was created. Trigger a run with the param "
            f"{PERIOD_PARAM!r} instead, for example {period.id}."
        )
    return period


def require_complete(period: Period, now: datetime) -> None:
    """Raise RunPeriodError if a period has not ended at `now`, an aware datetime."""
    if period.end_utc <= now:
        return
    state = "has not begun" if period.start_utc > now else "is not over"
    raise RunPeriodError(
        f"The period {period.id} ({period.cadence.description}) {state}: it ends at "
        f"{period.end.isoformat()}. The last complete one is {period.cadence.last_complete(now).id}."
    )
