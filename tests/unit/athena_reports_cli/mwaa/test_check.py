"""The check of a bundle in a twin: what is refused before there is one, and what it asks Airflow.

The answers of the API server are given here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from athena_reports_cli.local.client import AirflowRuntimeError
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa import check as module
from athena_reports_cli.mwaa.check import check_bundle, check_in_twin
from athena_reports_cli.mwaa.twin import DEFAULTS, FORCED, ReportPeriod, Twin

PLUGIN = {"name": "athena_reports", "timetables": ["t"], "macros": ["m"]}


PAGE = "/athena-reports/api/coverage"


def airflow(*plugins: dict[str, Any], import_errors: list[dict[str, str]] | None = None) -> Any:
    """An Airflow that lists plugins and their import errors, and shows its page."""
    answers = {
        "/api/v2/plugins": {"plugins": plugins, "total_entries": len(plugins)},
        "/api/v2/plugins/importErrors": {"import_errors": import_errors or []},
        PAGE: {},
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


def test_a_page_that_fails_for_who_is_logged_in_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(401))
    found = airflow(PLUGIN)
    answer = found.client.request

    def request(method: str, path: str) -> Any:
        if path == PAGE:
            raise AirflowRuntimeError("GET answered 500")
        return answer(method, path)

    found.client.request = request
    with pytest.raises(AirflowRuntimeError, match="GET answered 500"):
        module.check_plugin(found)


class ClosedPage(BaseHTTPRequestHandler):
    """A page that asks for a login."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_page_is_asked_for_without_the_proxy_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(ClosedPage, "asked", [])
    with HTTPServer(("127.0.0.1", 0), ClosedPage) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found = airflow(PLUGIN)
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            module.check_plugin(found)
        finally:
            server.shutdown()
            thread.join()
    assert ClosedPage.asked == [PAGE]


@pytest.mark.parametrize("plugins", [[], [PLUGIN | {"macros": []}], [PLUGIN | {"timetables": []}]])
def test_a_plugin_that_is_not_whole_fails_the_check(plugins: list[dict[str, Any]]) -> None:
    with pytest.raises(DeployError, match="has not all of the plugin"):
        module.check_plugin(airflow(*plugins))


def test_a_plugin_with_an_import_error_fails_the_check() -> None:
    errors = [{"source": "other_plugin.py", "error": "No module named 'x'"}]
    says = "Plugins have import errors:\nother_plugin.py: No module named 'x'"
    with pytest.raises(DeployError, match=f"^{re.escape(says)}$"):
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
# The check reaches nothing in AWS, whatever startup.sh sets.
IN_AWS = {"AWS_ENDPOINT_URL": "https://vpce-1.example.com"}


POSTGRESQL = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql:///twin"}
REDIS = {"AIRFLOW__CELERY__BROKER_URL": "redis:///twin"}


@pytest.mark.parametrize("has_databases", [False, True])
def test_the_airflow_of_the_twin_has_no_name_of_what_only_the_account_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_databases: bool
) -> None:
    """A task that asks for a pool that is not there would wait for ever."""

    class BuiltTwin(Twin):
        """A twin whose startup.sh exports all of them."""

        def import_plugins(self) -> None:
            pass

        def startup_variables(self, progress: object) -> dict[str, str]:
            return NAMES_IN_AN_ACCOUNT | OTHERS | IN_AWS

    started = []

    def start(config: AirflowConfig, **_: Any) -> None:
        started.append(config)
        raise DeployError("It is not started here.")

    services = SimpleNamespace(environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    monkeypatch.setattr(module, "local_services", lambda _: nullcontext(services))
    monkeypatch.setattr(module, "fill_services", lambda *_: None)
    monkeypatch.setattr(module, "are_installed", lambda: has_databases)
    server = SimpleNamespace(environment=POSTGRESQL)
    monkeypatch.setattr(module, "postgresql", lambda: nullcontext(server))
    monkeypatch.setattr(module, "redis", lambda: nullcontext(REDIS))
    monkeypatch.setattr(module, "AirflowRuntime", start)
    told: list[str] = []
    with pytest.raises(DeployError, match="It is not started here"):
        check_bundle(BuiltTwin(tmp_path / "twin"), Project.usual(tmp_path), told.append)
    (config,) = started
    assert not config.environment.keys() & NAMES_IN_AN_ACCOUNT.keys()
    expected = OTHERS | services.environment | DEFAULTS | FORCED
    assert expected.items() <= config.environment.items()
    # Of the last week there are no data. And the page asks for a login as Amazon MWAA's does.
    assert config.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert config.environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager")
    home = tmp_path / "twin" / "root" / "usr" / "local" / "airflow"
    assert (config.home, config.python) == (home, tmp_path / "twin" / "venv" / "bin" / "python")
    assert (config.dags_folder, config.plugins_folder) == (home / "dags", home / "plugins")
    # As on MWAA where that can be, and otherwise it is told what differs.
    assert ("worker" in config.components) == has_databases
    assert ((POSTGRESQL | REDIS).items() <= config.environment.items()) == has_databases
    differs = "PostgreSQL or Redis is not installed: metadata in SQLite, and tasks without Celery"
    assert any(line.startswith(differs) for line in told) != has_databases


def test_a_plugin_is_found_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(401))
    others = [{"name": name, "timetables": [], "macros": []} for name in ("a", "z")]
    module.check_plugin(airflow(others[0], PLUGIN, others[1]))


class RunningTwin(Twin):
    """A twin whose Airflow is given, with a period of two reports."""

    def import_plugins(self) -> None:
        self.imported = True

    def startup_variables(self, progress: object) -> dict[str, str]:
        return {"ATHENA_REPORTS_ENV": "stg"} | IN_AWS

    def report_periods(self, variables: Mapping[str, str]) -> dict[str, ReportPeriod]:
        assert variables["ATHENA_REPORTS_ENV"] == "stg"
        assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        return self.periods

    periods: ClassVar[dict[str, ReportPeriod]] = {}


def checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rows: int = 3,
    needs_index: bool = False,
    added: Mapping[str, str] | None = None,
) -> tuple[list[str], list[Any]]:
    """What is told of a bundle in its twin, and what Airflow is asked for."""
    asked: list[Any] = []
    client = SimpleNamespace(
        unpause=lambda dag_id: asked.append(("unpause", dag_id)),
        trigger=lambda dag_id, **options: asked.append(("trigger", dag_id, options)),
    )
    (tmp_path / "dags").mkdir(exist_ok=True)
    (tmp_path / "dags" / "plays.py").touch()
    running = SimpleNamespace(
        client=client,
        config=SimpleNamespace(dags_folder=tmp_path / "dags"),
        wait_until_files_parsed=lambda names: asked.append(("parsed", names)),
    )

    def read(**where: str) -> Any:
        asked.append(("read", where))
        return {"Body": BytesIO(json.dumps({"rows": rows}).encode())}

    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    services = SimpleNamespace(environment=environment, s3=SimpleNamespace(get_object=read))
    monkeypatch.setattr(module, "local_services", lambda _: nullcontext(services))
    monkeypatch.setattr(
        module, "fill_services", lambda _, *of_project: asked.append(("fill", *of_project[:2]))
    )
    monkeypatch.setattr(module, "_airflow", lambda *_: nullcontext(running))
    monkeypatch.setattr(module, "check_plugin", lambda _: asked.append("plugin"))
    monkeypatch.setattr(module, "finish", lambda _, dag_id, __: asked.append(("finish", dag_id)))
    twin = RunningTwin(tmp_path / "twin")
    twin.added = dict(added or {})
    twin.needs_index = needs_index
    told: list[str] = []
    check_bundle(twin, Project.usual(tmp_path), told.append)
    assert twin.imported
    return told, asked


PERIODS = {
    "plays_weekly": ReportPeriod("plays", "weekly", "2025-06-01"),
    "games_monthly": ReportPeriod("games", "monthly", "2025-05"),
}


def test_each_report_with_data_runs_its_period_and_its_rows_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunningTwin, "periods", PERIODS)
    told, asked = checked(tmp_path, monkeypatch, added={"duckdb": "1.5", "six": "1"})
    assert told == [
        "requirements.txt adds duckdb 1.5, six 1",
        "requirements.txt needs no package index",
        "plugins can be imported without what requirements.txt installs",
        "each DAG file has given a DAG",
        "plays_weekly runs 2025-06-01",
        "games_monthly runs 2025-05",
        "plays_weekly has published 3 rows of 2025-06-01",
        "games_monthly has published 3 rows of 2025-05",
    ]
    manifests = [
        {"Bucket": "athena-report-stg", "Key": f"{folder}/manifest.json"}
        for folder in ("plays/weekly/2025-06-01", "games/monthly/2025-05")
    ]
    assert asked == [
        ("fill", "stg", tmp_path / ".lake"),
        "plugin",
        ("parsed", {"plays.py"}),
        ("unpause", "plays_weekly"),
        ("trigger", "plays_weekly", {"conf": {"period": "2025-06-01"}}),
        ("unpause", "games_monthly"),
        ("trigger", "games_monthly", {"conf": {"period": "2025-05"}}),
        ("finish", "plays_weekly"),
        ("read", manifests[0]),
        ("finish", "games_monthly"),
        ("read", manifests[1]),
    ]


def test_a_report_without_a_row_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunningTwin, "periods", PERIODS)
    with pytest.raises(DeployError, match="plays_weekly has published 2025-06-01 without a row"):
        checked(tmp_path, monkeypatch, rows=0)


def test_where_no_table_is_kept_nothing_runs_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, asked = checked(tmp_path, monkeypatch, needs_index=True)
    assert told[0] == "requirements.txt adds nothing"
    assert told[1].startswith("requirements.txt needs a package index.")
    assert told[-1] == "no table of a report is kept in .lake/, so no report is run"
    assert asked == [("fill", "stg", tmp_path / ".lake"), "plugin", ("parsed", {"plays.py"})]


@pytest.fixture
def asked_of_twins(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What twins are built of; pip finds the newest Airflow, which is 3.10.2."""
    asked: list[Any] = []

    def build(version: str, constraints: str, *more: Any) -> str:
        *places, progress = more
        progress("a twin is made")
        asked.append((version, constraints, *places))
        return "the twin"

    def find(command: list[str], **_: Any) -> Any:
        assert command[1:] == ["-m", "pip", "index", "versions", "apache-airflow"]
        listed = "apache-airflow (3.10.2)\nAvailable versions: 3.10.2, 3.9.1\n"
        return SimpleNamespace(stdout=listed, stderr="")

    monkeypatch.setattr(module, "build_twin", build)
    monkeypatch.setattr(module.subprocess, "run", find)
    return asked


@pytest.mark.parametrize(("version", "image"), [("3.3.1", "3.3.1"), ("newest", "3.10.2")])
def test_the_bundle_of_a_project_is_checked_in_the_image_that_is_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_of_twins: list[Any],
    version: str,
    image: str,
) -> None:
    project = Project.usual(tmp_path)
    monkeypatch.setattr(module, "check_bundle", lambda *asked: asked_of_twins.append(asked[:2]))
    told: list[str] = []
    image_options = {"constraints": "limits.txt", "python": "/opt/python"}
    check_in_twin(project, version, progress=told.append, **image_options)
    bundle, work = tmp_path / "dist" / "mwaa", tmp_path / ".airflow" / "mwaa"
    assert asked_of_twins == [
        (image, "limits.txt", bundle, work, "/opt/python"),
        ("the twin", project),
    ]
    assert told == [
        "a twin is made",
        f"the bundle works in the twin of MWAA's image for Airflow {image}",
    ]


@pytest.mark.parametrize(
    "error",
    [
        DeployError("A plugin is broken."),
        EndpointConnectionError(endpoint_url="http://local"),
        ClientError({"Error": {"Code": "NoSuchBucket"}}, "GetObject"),
    ],
    ids=["of the bundle", "of the network", "of AWS"],
)
def test_a_check_that_fails_says_where_the_logs_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_of_twins: list[Any],
    error: Exception,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "check_bundle", fail)
    told: list[str] = []
    with pytest.raises(DeployError) as refused:
        check_in_twin(Project.usual(tmp_path), "3.3.1", progress=told.append)
    assert str(refused.value) == f"{error}\nLogs are in {tmp_path}/.airflow/mwaa."
    assert told == ["a twin is made"]


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
