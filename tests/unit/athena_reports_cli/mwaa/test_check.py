"""The check of a bundle in a twin, whose Airflow and local services answer what is given here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa import check as module
from athena_reports_cli.mwaa.twin import DEFAULTS, FORCED, Installed, ReportPeriod, Twin

PAGE = "/athena-reports/api/reports"


def airflow(*import_errors: dict[str, str]) -> Any:
    """An Airflow that lists import errors of plugins, and shows the Reports page."""
    answers = {"/api/v2/plugins/importErrors": {"import_errors": import_errors}, PAGE: {}}
    client = SimpleNamespace(request=lambda _, path: answers[path])
    return SimpleNamespace(client=client, url="http://127.0.0.1:1")


@pytest.mark.parametrize(("status", "passes"), [(401, True), (200, False), (500, False)])
def test_a_page_that_does_not_ask_for_a_login_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, status: int, passes: bool
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(status))
    if passes:
        module.check_plugin(airflow())
        return
    says = f"Without a login, {PAGE} returns {status} instead of 401."
    with pytest.raises(BundleError, match=says):
        module.check_plugin(airflow())


def test_a_plugin_with_an_import_error_fails_the_check() -> None:
    with pytest.raises(BundleError) as refused:
        module.check_plugin(airflow({"source": "other_plugin.py", "error": "No module named 'x'"}))
    says = "Plugins have import errors:\nother_plugin.py: No module named 'x'"
    assert str(refused.value) == says


NAMES_IN_AN_ACCOUNT = {
    "ATHENA_REPORTS_AWS_CONN_ID": "aws_reports",
    "ATHENA_REPORTS_BUCKET": "reports-of-the-team",
    "ATHENA_REPORTS_BUCKET_OWNER": "123456789012",
    "ATHENA_REPORTS_DATABASE": "lake",
    "ATHENA_REPORTS_ENCRYPTION": "alias/reports",
    "ATHENA_REPORTS_POOL": "athena",
    "ATHENA_REPORTS_QUERY_RESULTS": "s3://results-of-the-team/",
    "ATHENA_REPORTS_REPORT_DATABASE": "reports",
    "ATHENA_REPORTS_WORKGROUP": "team",
}
OTHERS = {
    "ATHENA_REPORTS_ENV": "stg",
    "ATHENA_REPORTS_MEMORY_LIMIT": "512MB",
    "OF_THE_TEAM": "ATHENA_REPORTS_POOL",
}
# The check reaches nothing in AWS, whatever startup.sh sets.
IN_AWS = {"AWS_ENDPOINT_URL": "https://vpce-1.example.com"}
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
PERIODS = {
    "plays_weekly": ReportPeriod(report="plays", cadence="weekly", period="2025-06-01"),
    "games_monthly": ReportPeriod(report="games", cadence="monthly", period="2025-05"),
}


class BuiltTwin(Twin):
    """A twin with given answers."""

    periods: Mapping[str, ReportPeriod] = PERIODS
    installed = Installed(added={"duckdb": "1.5", "six": "1"}, needs_index=False)

    def import_plugins(self) -> None:
        pass

    def startup_variables(self) -> tuple[dict[str, str], list[str]]:
        return NAMES_IN_AN_ACCOUNT | OTHERS | IN_AWS, ["AIRFLOW_HOME", "PYTHONPATH"]

    def report_periods(self, variables: Mapping[str, str]) -> dict[str, ReportPeriod]:
        assert dict(variables) == OTHERS | LOCAL
        return dict(self.periods)


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltTwin:
    """What is built of any bundle."""
    twin = BuiltTwin(tmp_path / "twin")
    monkeypatch.setattr(module, "build_twin", lambda *_: twin)
    return twin


class Checked:
    """A check of a bundle: what is told, what is done in Airflow, and what it is started with."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int = 3) -> None:
        self.told: list[str] = []
        self.done: list[Any] = []
        self.configs: list[AirflowConfig] = []
        self._project = Project(tmp_path)
        (tmp_path / "twin/root/usr/local/airflow/dags").mkdir(parents=True)
        (tmp_path / "twin/root/usr/local/airflow/dags/plays.py").touch()
        monkeypatch.setattr(module, "local_services", lambda _: nullcontext(self._services(rows)))
        monkeypatch.setattr(module, "fill_services", lambda _, *rest: self.done.append(rest[:2]))
        monkeypatch.setattr(module, "AirflowRuntime", self._start)
        monkeypatch.setattr(module, "check_plugin", lambda _: self.done.append("plugin"))
        monkeypatch.setattr(module, "follow_run", lambda *given: self.done.append(given[1:3]))
        monkeypatch.setattr(module, "require_success", lambda *_: None)

    def run(self) -> None:
        bundle = self._project.root / "dist" / "mwaa"
        module.check_in_twin(self._project, bundle, "3.3.1", self.told.append)

    def _services(self, rows: int) -> Any:
        def read(**where: str) -> Any:
            self.done.append(f"s3://{where['Bucket']}/{where['Key']}")
            return {"Body": BytesIO(json.dumps({"rows": rows}).encode())}

        return SimpleNamespace(environment=LOCAL, s3=SimpleNamespace(get_object=read))

    def _trigger(self, dag_id: str, conf: dict[str, str]) -> Any:
        self.done.append((dag_id, conf))
        return SimpleNamespace(run_id="run")

    def _start(self, config: AirflowConfig, **_: Any) -> Any:
        self.configs.append(config)
        client = SimpleNamespace(
            unpause=lambda _: None,
            trigger=self._trigger,
        )
        return nullcontext(
            SimpleNamespace(client=client, config=config, wait_until_parsed=self.done.append)
        )


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin: BuiltTwin) -> Checked:
    return Checked(tmp_path, monkeypatch)


def test_the_airflow_of_the_twin_has_no_name_of_what_only_the_account_has(
    checked: Checked, twin: BuiltTwin
) -> None:
    """A task that asks for a pool that does not exist would wait for ever."""
    checked.run()
    (config,) = checked.configs
    assert not config.environment.keys() & NAMES_IN_AN_ACCOUNT.keys()
    assert (OTHERS | LOCAL | DEFAULTS | FORCED).items() <= config.environment.items()
    # Of the last week there are no data. And the page asks for a login as Amazon MWAA's does.
    assert config.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert config.environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager")
    assert (config.home, config.python) == (twin.home, twin.python)
    folders = (twin.home / "dags", twin.home / "plugins")
    assert (config.dags_folder, config.plugins_folder) == folders


def test_each_report_with_data_runs_its_period_and_its_rows_are_told(
    checked: Checked, tmp_path: Path
) -> None:
    checked.run()
    assert checked.done == [
        ("stg", tmp_path / ".lake"),
        "plugin",
        ["plays.py"],
        ("plays_weekly", {"period": "2025-06-01"}),
        ("plays_weekly", "run"),
        "s3://athena-report-stg/plays/weekly/2025-06-01/manifest.json",
        ("games_monthly", {"period": "2025-05"}),
        ("games_monthly", "run"),
        "s3://athena-report-stg/games/monthly/2025-05/manifest.json",
    ]
    assert checked.told == [
        "requirements.txt adds duckdb, six",
        "requirements.txt needs no package index",
        "MWAA ignores these exports of startup.sh: AIRFLOW_HOME, PYTHONPATH",
        "plays_weekly: running 2025-06-01",
        "plays_weekly: published 3 rows for 2025-06-01",
        "games_monthly: running 2025-05",
        "games_monthly: published 3 rows for 2025-05",
        "the bundle works in the twin of MWAA's image for Airflow 3.3.1",
    ]


def test_what_needs_an_index_and_that_no_report_runs_is_told(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BuiltTwin, "installed", Installed(added={}, needs_index=True))
    monkeypatch.setattr(BuiltTwin, "periods", {})
    checked.run()
    assert checked.told[:2] == [
        "requirements.txt adds nothing",
        "requirements.txt needs a package index; without one, pip installs nothing",
    ]
    assert "no report was run: .lake/ contains none of the tables they read" in checked.told


def test_a_report_without_a_row_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin: BuiltTwin
) -> None:
    with pytest.raises(BundleError, match="plays_weekly published no rows for 2025-06-01"):
        Checked(tmp_path, monkeypatch, rows=0).run()


@pytest.mark.parametrize(
    "error",
    [
        BundleError("A plugin is broken."),
        EndpointConnectionError(endpoint_url="http://local"),
        ClientError({"Error": {"Code": "NoSuchBucket"}}, "GetObject"),
    ],
    ids=["of the bundle", "of the network", "of AWS"],
)
def test_a_check_that_fails_says_where_the_logs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: Checked, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "fill_services", fail)
    with pytest.raises(BundleError) as refused:
        checked.run()
    assert str(refused.value) == f"{error}\nLogs are in {tmp_path}/.airflow/mwaa."
