from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from athena_reports.errors import RunPeriodError
from athena_reports.periods import macros
from athena_reports.periods.sql_period import SqlPeriod
from athena_reports_plugin import AthenaReportsPlugin
from tests.library.queries.tasks import TOKYO_WEEK, WEEK, Run


def test_the_macro_gives_what_a_report_sees() -> None:
    by_hand = Run("manual", data_interval_start=None, data_interval_end=None)

    assert macros.period(by_hand, TOKYO_WEEK, late_days=1.5) == SqlPeriod(WEEK, timedelta(hours=36))
    assert macros.period(by_hand, TOKYO_WEEK, param="2025-01-05").id == "2025-01-05"
    with pytest.raises(RunPeriodError):
        macros.period(Run("backfill"), TOKYO_WEEK, param="2025-01-05")


def test_a_hand_written_dag_has_the_macros_under_the_name_of_the_package() -> None:
    """As Airflow's plugin manager offers them."""
    from airflow.sdk.execution_time import macros as airflow_macros
    from airflow.sdk.plugins_manager import integrate_macros_plugins

    integrate_macros_plugins()
    template = (
        "{% set week = macros.athena_reports.period("
        "dag_run, macros.athena_reports.weekly('sunday', timezone='Asia/Tokyo')) %}"
        "{{ week.contains('at') }} {{ macros.athena_reports.literal(\"it's\") }}"
    )
    with DAG("by_hand", schedule=None):
        echo: Any = BashOperator(task_id="echo", bash_command=template)
    echo.render_template_fields({"macros": airflow_macros, "dag_run": Run()})

    assert echo.bash_command == f"{SqlPeriod(WEEK).contains('at')} 'it''s'"
    names = {macro.__name__ for macro in AthenaReportsPlugin.macros}
    assert names == {"period", "literal", "daily", "weekly", "monthly", "quarterly", "yearly"}


def test_the_plugin_loads_nothing_heavy() -> None:
    """Every component of Airflow imports it, the web server among them."""
    plugins = Path(macros.__file__).parents[2]
    script = (
        f"import sys; sys.path.insert(0, {str(plugins)!r}); import airflow.plugins_manager; "
        "before = set(sys.modules); import athena_reports_plugin; new = set(sys.modules) - before; "
        "print(*sorted({name.partition('.')[0] for name in new}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "athena_reports" in loaded
    assert not {"pyarrow", "pandas", "duckdb", "boto3", "botocore", "fastapi", "local_aws"} & set(loaded)
