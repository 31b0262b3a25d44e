"""The check of a bundle in a twin: what is refused before there is one, and what it asks Airflow.

The answers of the API server are given here.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from athena_reports.local.project import Project
from athena_reports.local.runtime import AirflowConfig
from athena_reports.mwaa import DeployError
from athena_reports.mwaa import check as module
from athena_reports.mwaa.check import check_bundle, check_in_twin
from athena_reports.mwaa.twin import Twin

PLUGIN = {"name": "athena_reports", "timetables": ["t"], "macros": ["m"]}


def airflow(*plugins: dict[str, Any], import_errors: list[dict[str, str]] | None = None) -> Any:
    """An Airflow that lists plugins and their import errors, and shows its page."""
    answers = {
        "/api/v2/plugins": {"plugins": plugins, "total_entries": len(plugins)},
        "/api/v2/plugins/importErrors": {"import_errors": import_errors or []},
        "/athena-reports/api/coverage": {},
    }
    client = SimpleNamespace(request=lambda _, path, **__: answers[path])
    return SimpleNamespace(client=client, url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("status", "passes"), [(401, True), (200, False), (404, False), (500, False)]
)
def test_a_page_that_does_not_ask_for_a_login_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, status: int, passes: bool
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(status))
    if passes:
        module.check_plugin(airflow(PLUGIN))
        return
    with pytest.raises(DeployError, match=f"Without a login the API server answers {status}"):
        module.check_plugin(airflow(PLUGIN))


@pytest.mark.parametrize("plugins", [[], [PLUGIN | {"macros": []}], [PLUGIN | {"timetables": []}]])
def test_a_plugin_that_is_not_whole_fails_the_check(plugins: list[dict[str, Any]]) -> None:
    with pytest.raises(DeployError, match="has not all of the plugin"):
        module.check_plugin(airflow(*plugins))


def test_a_plugin_with_an_import_error_fails_the_check() -> None:
    errors = [{"source": "other_plugin.py", "error": "No module named 'x'"}]
    with pytest.raises(DeployError, match="other_plugin"):
        module.check_plugin(airflow(PLUGIN, import_errors=errors))


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
    "ATHENA_REPORTS_PAUSED": "true",
    "OF_THE_TEAM": "ATHENA_REPORTS_POOL",
}


def test_the_airflow_of_the_twin_has_no_name_of_what_only_the_account_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that asks for a pool that is not there would wait for ever."""

    class BuiltTwin(Twin):
        """A twin whose startup.sh exports all of them."""

        def import_plugins(self) -> None:
            pass

        def startup_variables(self, progress: object) -> dict[str, str]:
            return NAMES_IN_AN_ACCOUNT | OTHERS

    started = []

    def start(config: AirflowConfig, **_: Any) -> None:
        started.append(config)
        raise DeployError("It is not started here.")

    services = SimpleNamespace(environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    monkeypatch.setattr(module, "local_services", lambda _: nullcontext(services))
    monkeypatch.setattr(module, "fill_services", lambda *_: None)
    monkeypatch.setattr(module, "are_installed", lambda: False)
    monkeypatch.setattr(module, "AirflowRuntime", start)
    with pytest.raises(DeployError, match="It is not started here"):
        check_bundle(BuiltTwin(tmp_path / "twin"), Project.usual(tmp_path), lambda _: None)
    (config,) = started
    assert not config.environment.keys() & NAMES_IN_AN_ACCOUNT.keys()
    assert (OTHERS | services.environment).items() <= config.environment.items()
    # Of the last week there are no data. And the page asks for a login as Amazon MWAA's does.
    assert config.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert config.environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager")
    home = tmp_path / "twin" / "root" / "usr" / "local" / "airflow"
    assert (config.home, config.python) == (home, tmp_path / "twin" / "venv" / "bin" / "python")
    assert (config.dags_folder, config.plugins_folder) == (home / "dags", home / "plugins")
    assert "worker" not in config.components


def test_the_newest_airflow_of_an_index_that_does_not_answer_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_RETRIES", "0")
    project = Project.usual(tmp_path / "project")
    told: list[str] = []
    with pytest.raises(DeployError, match=r"finds no version of apache-airflow.*PIP_INDEX_URL="):
        check_in_twin(project, "newest", progress=told.append)
    assert told == []
    assert not project.root.exists()
