import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

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
