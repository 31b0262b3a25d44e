"""The period of a DAG run: one rule for scheduled, backfilled, manual and asset-triggered runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.periods.calendar import Cadence, Period

PERIOD_PARAM = "period"
FILL_RUN_ID = "fill__"  # begins the ids of runs that the Reports page triggers to fill a period
BACKFILL_RUN_IDS = ("backfill__", FILL_RUN_ID)


class DagRunDates(Protocol):
    """The part of Airflow's `dag_run` that decides on the period."""

    @property
    def run_type(self) -> str:
        """`scheduled`, `backfill`, `manual` or `asset_triggered`."""

    logical_date: datetime | None
    run_after: datetime
    data_interval_start: datetime | None
    data_interval_end: datetime | None


class DeliveringRun(Protocol):
    """The part of Airflow's `dag_run` that decides what a run of a delivering DAG is for."""

    run_after: datetime
    partition_key: str | None

    @property
    def conf(self) -> Mapping[str, Any] | None:
        """What the run was triggered with."""


def period_of_run(cadence: Cadence, run: DagRunDates, *, param: str = "") -> Period:
    """Return the period that a run reports on, from the run alone.

    So a run that is cleared a year later keeps its period. It is the `period` param if given, else
    the run's data interval, else the last period complete at `run_after`.

    Args:
        cadence: The cadence of the run's DAG.
        run: Airflow's `dag_run`.
        param: The run's `period` param, a period id; empty for none.

    Raises:
        RunPeriodError: That is not a period of this cadence, or a backfill has a param or took over
            a run of another period.
    """
    is_backfill = run.run_type == "backfill"
    if param and is_backfill:
        raise RunPeriodError(
            f"A backfill does not accept the param {PERIOD_PARAM!r} ({param!r}): each run reports"
            " its own period. Start the backfill again without the param. If you set none, first"
            " delete the run that the backfill took over."
        )
    if param:
        try:
            return cadence.period(param)
        except PeriodError as error:
            raise RunPeriodError(f"The param {PERIOD_PARAM!r} is not valid: {error}") from error
    start, end = run.data_interval_start, run.data_interval_end
    if start is None or end is None:
        return cadence.last_complete(run.run_after)
    # A backfill's run has an interval that begins at its logical date. That of a triggered run ends
    # at its logical date, also after a backfill has taken the run over.
    if is_backfill and run.logical_date not in (None, start):
        raise RunPeriodError(
            f"The backfill took over a run that was triggered with the logical date"
            f" {run.logical_date}, which reports the previous period, starting at {start}."
            " Delete the run, then start the backfill again."
        )
    period = cadence.containing(start)
    if (period.start_utc, period.end_utc) != (start, end):
        raise RunPeriodError(
            f"The run's data interval, {start.isoformat()} to {end.isoformat()}, is not a period"
            f" of {cadence.description}: the DAG's schedule has changed since the run was created."
            f" Trigger a run with the param {PERIOD_PARAM!r} instead, such as {period}."
        )
    return period


def period_of_delivery(cadence: Cadence, run: DeliveringRun) -> Period:
    """Return the period that a run of the delivering DAG is for.

    It is the partition key of the event that started it, else the run's param `period`.
    RunPeriodError if it has neither.
    """
    period_id = run.partition_key or (run.conf or {}).get(PERIOD_PARAM)
    if not period_id:
        raise RunPeriodError(
            f"The run has no period. Trigger it with the param {PERIOD_PARAM!r}, such as"
            f" {cadence.last_complete(run.run_after)}."
        )
    return cadence.period(str(period_id))


def require_complete(period: Period, now: datetime) -> None:
    """Raise RunPeriodError if a period has not ended at `now`, an aware datetime."""
    if period.end_utc > now:
        raise RunPeriodError(
            f"The period {period} ({period.cadence.description}) ends at {period.end.isoformat()},"
            " which is in the future. The last complete period is"
            f" {period.cadence.last_complete(now)}."
        )
