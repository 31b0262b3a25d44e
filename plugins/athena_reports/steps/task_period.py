"""The period of the run that a task belongs to."""

from datetime import UTC, datetime
from difflib import get_close_matches

from airflow.sdk import DAG, Context

from athena_reports.errors import RunPeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run, require_complete


def period_of_task(cadence: Cadence, context: Context, dag: DAG) -> Period:
    """Return the period of a task's run, by its param or its dates.

    RunPeriodError if the run has no period, or one that has not ended.
    """
    _refuse_misspelt_period(context, dag)
    period_id = context["params"].get(PERIOD_PARAM) or ""
    period = period_of_run(cadence, context["dag_run"], param=period_id)
    require_complete(period, datetime.now(UTC))
    return period


def _refuse_misspelt_period(context: Context, dag: DAG) -> None:
    # With a param like `perod` the run would report on another period than the one that is meant.
    unknown = context["params"].keys() - dag.params.keys() - {PERIOD_PARAM}
    misspelt = get_close_matches(PERIOD_PARAM, unknown, n=1)
    if misspelt:
        raise RunPeriodError(f"Unknown param {misspelt[0]!r}. Did you mean {PERIOD_PARAM!r}?")
