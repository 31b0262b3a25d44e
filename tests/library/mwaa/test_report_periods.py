"""The check runs a period of each report for which the tables there have the data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from athena_reports.local.services import Services
from athena_reports.mwaa import twin
from demo.lake import seed_flights
from tests.support.paths import ROOT
from tests.support.reports import DAGS, SQL

ENVIRONMENT = "periodstest"


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A DAGs folder with SQL inside, as on MWAA; one file is not for Airflow."""
    folder = tmp_path / "dags"
    shutil.copytree(DAGS, folder)
    shutil.copytree(SQL, folder / "include" / "sql")
    carriers = (folder / "carriers.py").read_text()
    ended = carriers.replace("carriers", "ended").replace('"ended.sql"', '"carriers.sql"')
    (folder / "ended.py").write_text(
        ended.replace('since="2013-01-01"', 'since="2013-01-01", until="2013-03-20"')
    )
    alone = carriers.replace("carriers", "alone")
    (folder / "alone.py").write_text(
        alone.replace('inputs=[Input("flights", "dt", missing="partial")]', "inputs=[]")
    )
    (folder / "include" / "sql" / "alone.sql").write_text("SELECT 1 AS carrier ORDER BY 1\n")
    (folder / "helper.py").write_text("raise RuntimeError('airflow imported it as a dag')\n")
    (folder / ".airflowignore").write_text("helper.py\ninclude/**\n")
    return folder


def test_each_report_has_the_last_period_with_all_partitions_that_it_may_have(
    running_services: Services, dags: Path, tmp_path: Path
) -> None:
    running_services.prepare(ENVIRONMENT)
    seed_flights(running_services, ENVIRONMENT)  # from 2013-01-01 to 2014-01-01, in UTC
    script = Path(twin.__file__).with_name("report_periods.py")
    own = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": str(ROOT / "plugins"),
        "ATHENA_REPORTS_ENV": ENVIRONMENT,
    }
    done = subprocess.run(
        [sys.executable, "-P", script, dags],
        env=own | dict(running_services.environment),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    periods = json.loads(done.stdout.splitlines()[-1])
    # There is no table of top_users, and nothing says what alone reads.
    assert {dag_id: fields["period"] for dag_id, fields in periods.items()} == {
        "carriers_weekly": "2013-12-23",
        "carriers_monthly": "2013-12",
        "ended_weekly": "2013-03-18",
        "ended_monthly": "2013-03",
    }
    assert periods["ended_weekly"] == {
        "report": "ended",
        "cadence": "weekly",
        "period": "2013-03-18",
    }
