"""The check of a bundle in a twin, whose Airflow and local services answer what is given here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa import check as module
from athena_reports_cli.mwaa.twin import DEFAULTS, FORCED, Installed, Twin

PAGE = "/athena-reports/api/reports"


def airflow(*import_errors: dict[str, str]) -> Any:
    """An Airflow that lists import errors of plugins, and shows the Reports page."""
    answers = {"/api/v2/plugins/importErrors": {"import_errors": import_errors}, PAGE: {}}
    client = SimpleNamespace(request=lambda _, path: answers[path])
    return SimpleNamespace(client=client, url="http://127.0.0.1:1")


def test_a_page_that_does_not_ask_for_a_login_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(401))
    module.check_plugin(airflow())
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200))
    with pytest.raises(BundleError, match=f"Without a login, {PAGE} returns 200 instead of 401."):
        module.check_plugin(airflow())


def test_a_plugin_with_an_import_error_fails_the_check() -> None:
    with pytest.raises(BundleError) as refused:
        module.check_plugin(airflow({"source": "other_plugin.py", "error": "No module named 'x'"}))
    says = "Plugins have import errors:\nother_plugin.py: No module named 'x'"
    assert str(refused.value) == says


NAMES_IN_AN_ACCOUNT = {
    f"ATHENA_REPORTS_{name}": "of the team"
    for name in (
        *("AWS_CONN_ID", "BUCKET", "BUCKET_OWNER", "DATABASE", "ENCRYPTION", "POOL"),
        *("QUERY_RESULTS", "REPORT_DATABASE", "WORKGROUP"),
    )
}
OTHERS = {
    "ATHENA_REPORTS_ENV": "stg",
    "ATHENA_REPORTS_MEMORY_LIMIT": "512MB",
    "OF_THE_TEAM": "ATHENA_REPORTS_POOL",
    next(iter(DEFAULTS)): "of the team",
}
# The check reaches nothing in AWS, whatever startup.sh sets.
IN_AWS = {"AWS_ENDPOINT_URL": "https://vpce-1.example.com"}
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


class BuiltTwin(Twin):
    """A twin with given answers."""

    periods: ClassVar = {"top_plays_weekly": "2025-06-01", "games_monthly": "2025-05"}
    installed = Installed(added={"duckdb": "1.5", "six": "1"}, needs_index=False)

    def import_plugins(self) -> None:
        pass

    def startup_variables(self) -> tuple[dict[str, str], list[str]]:
        return NAMES_IN_AN_ACCOUNT | OTHERS | IN_AWS, ["AIRFLOW_HOME", "PYTHONPATH"]

    def report_periods(self, variables: Mapping[str, str]) -> dict[str, str]:
        assert dict(variables) == OTHERS | LOCAL
        return dict(self.periods)


class Checked:
    """A check of a bundle: what is told, what is done in Airflow, and what it is started with."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int = 3) -> None:
        self.told: list[str] = []
        self.done: list[Any] = []
        self.configs: list[AirflowConfig] = []
        self.twin = BuiltTwin(tmp_path / "twin")
        self._project = Project(tmp_path)
        self.twin.dags.mkdir(parents=True)
        (self.twin.dags / "plays.py").touch()
        monkeypatch.setattr(module, "build_twin", lambda *_: self.twin)
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
        client = SimpleNamespace(unpause=lambda _: None, trigger=self._trigger)
        return nullcontext(SimpleNamespace(client=client, wait_until_parsed=self.done.append))


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    return Checked(tmp_path, monkeypatch)


def test_the_airflow_of_the_twin_has_no_name_of_what_only_the_account_has(
    checked: Checked,
) -> None:
    """A task that asks for a pool that does not exist would wait for ever."""
    checked.run()
    (config,), twin = checked.configs, checked.twin
    assert not config.environment.keys() & NAMES_IN_AN_ACCOUNT.keys()
    assert (DEFAULTS | OTHERS | LOCAL | FORCED).items() <= config.environment.items()
    # Of the last week there are no data. And the page asks for a login as Amazon MWAA's does.
    assert config.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert config.environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager")
    assert (config.home, config.python) == (twin.home, twin.python)
    assert (config.dags_folder, config.plugins_folder) == (twin.dags, twin.plugins)


def test_each_report_with_data_runs_its_period_and_its_rows_are_told(
    checked: Checked, tmp_path: Path
) -> None:
    checked.run()
    assert checked.done == [
        ("stg", tmp_path / ".lake"),
        "plugin",
        ["plays.py"],
        ("top_plays_weekly", {"period": "2025-06-01"}),
        ("top_plays_weekly", "run"),
        "s3://athena-report-stg/top_plays/weekly/2025-06-01/manifest.json",
        ("games_monthly", {"period": "2025-05"}),
        ("games_monthly", "run"),
        "s3://athena-report-stg/games/monthly/2025-05/manifest.json",
    ]
    assert checked.told == [
        "requirements.txt adds duckdb, six",
        "requirements.txt needs no package index",
        "MWAA ignores these exports of startup.sh: AIRFLOW_HOME, PYTHONPATH",
        "top_plays_weekly: running 2025-06-01",
        "top_plays_weekly: published 3 rows for 2025-06-01",
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
