"""What the package adds to Airflow; tests/airflow/page has Airflow show it."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.execution_time.context import MacrosAccessor
from airflow.sdk.plugins_manager import integrate_macros_plugins
from fastapi.testclient import TestClient

from athena_reports import plugin
from athena_reports.errors import ReportError, RunPeriodError
from athena_reports.plugin import AthenaReportsPlugin
from athena_reports.reports.sql_period import SqlPeriod
from tests.support.airflow_run import DagRun, context
from tests.support.calendars import WEEK, WEEKS
from tests.support.tasks import submit_task


def test_the_page_is_served_where_the_navigation_leads_with_an_icon_for_each_theme() -> None:
    (app,) = AthenaReportsPlugin.fastapi_apps
    (view,) = AthenaReportsPlugin.external_views
    client = TestClient(app["app"])
    for name in ("href", "icon", "icon_dark_mode"):
        # Relative to Airflow, which need not be the root of its host.
        folder, _, path = view[name].partition("/")
        assert f"/{folder}" == app["url_prefix"]
        assert client.get(f"/{path}").status_code == 200, path
    assert ["dark" in view[name] for name in ("icon", "icon_dark_mode")] == [False, True]


def test_the_macro_gives_what_a_report_sees() -> None:
    by_hand = DagRun("manual", data_interval_start=None, data_interval_end=None)

    assert plugin.period(by_hand, WEEKS, late_days=1.5) == SqlPeriod(WEEK, timedelta(hours=36))
    assert plugin.period(by_hand, WEEKS, param="2025-01-05").id == "2025-01-05"
    with pytest.raises(RunPeriodError):
        plugin.period(DagRun("backfill"), WEEKS, param="2025-01-05")
    names = {macro.__name__ for macro in AthenaReportsPlugin.macros}
    assert names == {"period", "literal", "daily", "weekly", "monthly", "quarterly", "yearly"}


def test_a_dag_written_by_hand_that_asks_for_partitions_by_minute_fails_before_its_query() -> None:
    integrate_macros_plugins()
    task = submit_task(
        "{% set period = macros.athena_reports.period(dag_run,"
        ' macros.athena_reports.weekly(timezone="Asia/Tokyo")) %}'
        'SELECT 1 FROM plays WHERE {{ period.partitions("datehour", format="%Y/%m/%d/%H/%M") }}',
        cadence=None,
    )
    with pytest.raises(ReportError, match="'%M' in the format of key datehour is not supported"):
        task.render_template_fields(context() | {"macros": MacrosAccessor()})


def output_of(script: str) -> str:
    """What a new process prints, with the plugins folder first on its path."""
    plugins = str(Path(plugin.__file__).parents[1])
    script = f"import sys; sys.path.insert(0, {plugins!r}); {script}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ci
def test_the_plugin_loads_nothing_heavy_and_reports_need_no_extras() -> None:
    """Every component of Airflow imports the plugin, the web server among them."""
    script = (
        "sys.modules['slack_sdk'] = sys.modules['xlsxwriter'] = None; "
        "import airflow.plugins_manager; "
        "before = set(sys.modules); import athena_reports_plugin; new = set(sys.modules) - before; "
        "print(*sorted({name.partition('.')[0] for name in new})); "
        "import athena_reports.workflows.report_dag"
    )
    loaded = output_of(script).split()
    assert "athena_reports" in loaded
    heavy = {"pyarrow", "pandas", "duckdb", "boto3", "botocore", "fastapi", "local_athena"}
    assert heavy.isdisjoint(loaded)
