from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from athena_reports import monthly, weekly
from athena_reports.errors import RunPeriodError
from athena_reports.periods import macros
from athena_reports.periods.sql_period import SqlPeriod, literal
from athena_reports_plugin import AthenaReportsPlugin

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")


@dataclass(frozen=True)
class Run:
    run_type: str = "manual"
    run_after: datetime = datetime(2025, 6, 18, 3, tzinfo=UTC)
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


def test_the_macro_gives_what_a_report_sees() -> None:
    found = macros.period(Run(), TOKYO_WEEK, late_days=1.5)

    assert found == SqlPeriod(TOKYO_WEEK.period("2025-06-08"), timedelta(hours=36))
    assert macros.period(Run(), TOKYO_WEEK, param="2025-01-05").id == "2025-01-05"
    with pytest.raises(RunPeriodError):
        macros.period(Run("backfill"), TOKYO_WEEK, param="2025-01-05")


def rendered(template: str) -> str:
    """A template of a hand-written DAG, with the macros as Airflow's plugin manager offers them."""
    from airflow.sdk.execution_time import macros as airflow_macros
    from airflow.sdk.plugins_manager import integrate_macros_plugins

    integrate_macros_plugins()
    with DAG("by_hand", schedule=None):
        echo: Any = BashOperator(task_id="echo", bash_command=template)
    echo.render_template_fields({"macros": airflow_macros, "dag_run": Run()})
    return str(echo.bash_command)


def test_a_hand_written_dag_has_the_macros_under_the_name_of_the_package() -> None:
    template = (
        "{% set week = macros.athena_reports.period("
        "dag_run, macros.athena_reports.weekly('sunday', timezone='Asia/Tokyo')) %}"
        "{{ week.contains('at') }} {{ macros.athena_reports.literal(\"it's\") }}"
    )

    week = SqlPeriod(TOKYO_WEEK.period("2025-06-08"))
    assert rendered(template) == f"{week.contains('at')} 'it''s'"


def test_every_cadence_and_the_literals_are_offered() -> None:
    names = {macro.__name__ for macro in AthenaReportsPlugin.macros}

    assert names == {"period", "literal", "daily", "weekly", "monthly", "quarterly", "yearly"}
    assert literal in AthenaReportsPlugin.macros
    assert AthenaReportsPlugin.name == "athena_reports"


def test_the_macro_reads_no_clock() -> None:
    with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC), tick=False):
        assert macros.period(Run(), monthly("Asia/Tokyo")).id == "2025-05"


def test_the_plugin_loads_nothing_heavy() -> None:
    """Every component of Airflow imports it, the web server among them."""
    plugins = Path(macros.__file__).parents[1]
    script = (
        f"import sys; sys.path.insert(0, {str(plugins)!r}); import airflow.plugins_manager; "
        "before = set(sys.modules); import athena_reports_plugin; new = set(sys.modules) - before; "
        "print(*sorted({name.partition('.')[0] for name in new}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "athena_reports" in loaded
    assert not {"pyarrow", "pandas", "duckdb", "boto3", "botocore", "local_aws"} & set(loaded)
