"""The check runs a period of each report for which the tables there have the data."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from athena_reports.errors import InputError
from athena_reports_cli.local.services import Services
from athena_reports_cli.mwaa import report_periods, twin
from demo.lake import seed_flights
from tests.support.paths import ROOT
from tests.support.reports import DAGS, SQL

ENVIRONMENT = "periodstest"
# Python runs it before the script. It writes down what is asked of Glue.
SITE = """
import os
import boto3

boto3.setup_default_session()

def write_down(model, **_):
    with open(os.environ["GLUE_CALLS"], "a") as file:
        file.write(f"{model.name}\\n")

boto3.DEFAULT_SESSION.events.register("before-call.glue", write_down)
"""


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A DAGs folder with SQL inside, as on MWAA; one file is not for Airflow."""
    folder = tmp_path / "dags"
    shutil.copytree(DAGS, folder)
    shutil.copytree(SQL, folder / "include" / "sql")
    carriers = (folder / "carriers.py").read_text()
    since, inputs = 'since="2013-01-01"', 'Input("flights", "dt", missing="partial")'
    marked = 'Input("flights", "dt", wait=timedelta(hours=6), done="s3://nobody-made-this/{date}")'
    for name, old, new in (
        ("ended", since, f'{since}, until="2013-03-20"'),
        ("begun", since, 'since="2013-12-23"'),  # its first week is the last one
        ("late", since, f"{since}, late_by=timedelta(days=5)"),
        ("alone", inputs, ""),
        ("marked", inputs, marked),
    ):
        assert old in carriers
        text = carriers.replace("carriers", name).replace(old, new)
        text = text.replace("from athena", "from datetime import timedelta\n\nfrom athena", 1)
        (folder / f"{name}.py").write_text(text)
        sql = "SELECT 1 AS carrier ORDER BY 1\n"
        if name != "alone":
            sql = (folder / "include" / "sql" / "carriers.sql").read_text()
        (folder / "include" / "sql" / f"{name}.sql").write_text(sql)
    (folder / "helper.py").write_text("raise RuntimeError('airflow imported it as a dag')\n")
    (folder / ".airflowignore").write_text("helper.py\ninclude/**\n")
    return folder


def test_each_report_has_the_last_period_with_all_partitions_that_it_may_have(
    running_services: Services, dags: Path, tmp_path: Path
) -> None:
    running_services.prepare(ENVIRONMENT)
    seed_flights(running_services, ENVIRONMENT)  # from 2013-01-01 to 2014-01-01, in UTC
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    script = Path(twin.__file__).with_name("report_periods.py")
    own = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT / "plugins")]),
        "GLUE_CALLS": str(tmp_path / "calls"),
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
    # The table of top_users is missing, nothing says what alone reads, and marked has no markers.
    assert periods == {
        "carriers_weekly": "2013-12-23",
        "carriers_monthly": "2013-12",
        "ended_weekly": "2013-03-18",
        "ended_monthly": "2013-03",
        "begun_weekly": "2013-12-23",
        # Events of its last days may lie in partitions that are not there.
        "late_weekly": "2013-12-16",
        "late_monthly": "2013-11",
    }

    # The data end years ago. A DAG asks Glue for its table once, and for 1,000 days in a call.
    calls = Counter((tmp_path / "calls").read_text().split())
    days = (datetime.now(UTC) - datetime(2012, 12, 31, tzinfo=UTC)).days
    assert calls["GetTable"] == 10
    assert calls["BatchGetPartition"] <= 10 * math.ceil(days / 1000)
    assert calls.keys() == {"GetTable", "BatchGetPartition"}


@pytest.mark.usefixtures("flights_lake")
def test_an_input_that_is_declared_wrongly_fails_the_check(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the report would fail too, so a deployment must not go on."""
    folder = tmp_path / "dags"
    folder.mkdir()
    text = (DAGS / "carriers.py").read_text()
    assert '"flights", "dt"' in text
    (folder / "carriers.py").write_text(text.replace('"flights", "dt"', '"flights", "day"'))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(SQL))
    monkeypatch.setattr(sys, "argv", ["report_periods.py", str(folder)])
    with pytest.raises(InputError, match="the input declares day"):
        report_periods.main()
