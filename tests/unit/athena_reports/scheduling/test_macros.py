import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.execution_time.context import MacrosAccessor
from airflow.sdk.plugins_manager import integrate_macros_plugins

from athena_reports.errors import RunPeriodError
from athena_reports.plugin import AthenaReportsPlugin
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.scheduling import macros
from tests.support.airflow_run import DagRun, context
from tests.support.calendars import WEEK, WEEKS
from tests.support.tasks import submit_task


def test_the_macro_gives_what_a_report_sees() -> None:
    by_hand = DagRun("manual", data_interval_start=None, data_interval_end=None)

    assert macros.period(by_hand, WEEKS, late_days=1.5) == SqlPeriod(WEEK, timedelta(hours=36))
    assert macros.period(by_hand, WEEKS, param="2025-01-05").id == "2025-01-05"
    with pytest.raises(RunPeriodError):
        macros.period(DagRun("backfill"), WEEKS, param="2025-01-05")
    names = {macro.__name__ for macro in AthenaReportsPlugin.macros}
    assert names == {"period", "literal", "daily", "weekly", "monthly", "quarterly", "yearly"}


@pytest.mark.parametrize("with_cadence", [True, False])
def test_a_dag_written_by_hand_that_asks_for_partitions_by_minute_fails_before_its_query(
    with_cadence: bool,
) -> None:
    integrate_macros_plugins()
    by_macro = (
        "{% set period = macros.athena_reports.period(dag_run,"
        ' macros.athena_reports.weekly(timezone="Asia/Tokyo")) %}'
    )
    sql = 'SELECT 1 FROM plays WHERE {{ period.partitions("datehour", format="%Y/%m/%d/%H/%M") }}'
    task = submit_task(sql) if with_cadence else submit_task(f"{by_macro}{sql}", cadence=None)
    with pytest.raises(
        ValueError, match=r"format '%Y/%m/%d/%H/%M'.*a directive finer than an hour"
    ):
        task.render_template_fields(context() | {"macros": MacrosAccessor()})


def test_the_plugin_loads_nothing_heavy() -> None:
    """Every component of Airflow imports it, the web server among them."""
    plugins = Path(macros.__file__).parents[2]
    script = (
        f"import sys; sys.path.insert(0, {str(plugins)!r}); import airflow.plugins_manager; "
        "before = set(sys.modules); import athena_reports_plugin; new = set(sys.modules) - before; "
        "print(*sorted({name.partition('.')[0] for name in new}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "athena_reports" in loaded
    heavy = {"pyarrow", "pandas", "duckdb", "boto3", "botocore", "fastapi", "local_athena"}
    assert heavy.isdisjoint(loaded)
