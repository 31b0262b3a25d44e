"""What a command runs beside; tests/services/commands/test_services.py has it with processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from athena_reports.errors import SettingsError
from athena_reports.settings import read_settings
from athena_reports_cli.local import beside
from athena_reports_cli.local.beside import (
    NoServicesError,
    configure_airflow,
    published_services,
    services_beside,
    use_local_names,
)
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running
from athena_reports_cli.local.services import Services
from tests.support.variables import kept_environment

VARIABLES = {
    "AIRFLOW_HOME": ".airflow",
    "AIRFLOW__CORE__DAGS_FOLDER": "dags",
    "AIRFLOW__CORE__PLUGINS_FOLDER": "plugins",
    "ATHENA_REPORTS_SQL_FOLDER": "include/sql",
}


def configured(project: Project, **shell: str) -> dict[str, str | None]:
    """What is set of the variables after a shell that has set some."""
    with kept_environment():
        for name in (*VARIABLES, "AIRFLOW__CORE__LOAD_EXAMPLES"):
            os.environ.pop(name, None)
        os.environ |= shell
        configure_airflow(project)
        assert os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
        return {name: os.environ.get(name) for name in VARIABLES}


def test_airflow_has_the_folders_of_the_project(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.sql.mkdir(parents=True)
    expected = {name: str(tmp_path / folder) for name, folder in VARIABLES.items()}
    assert configured(project) == expected
    assert configured(project, **dict.fromkeys(VARIABLES, "")) == expected


@pytest.mark.parametrize("name", VARIABLES)
def test_what_the_shell_names_stays(name: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.sql.mkdir(parents=True)
    expected: dict[str, str | None] = {}
    expected |= {other: str(tmp_path / folder) for other, folder in VARIABLES.items()}
    expected[name] = "/elsewhere"
    if name == "AIRFLOW__CORE__DAGS_FOLDER":  # other DAG files have their SQL elsewhere too
        expected["ATHENA_REPORTS_SQL_FOLDER"] = None
    assert configured(project, **{name: "/elsewhere"}) == expected


def test_without_a_folder_of_sql_the_library_looks_by_itself(tmp_path: Path) -> None:
    assert configured(Project(tmp_path))["ATHENA_REPORTS_SQL_FOLDER"] is None


# --- services of AWS

UP = "http://127.0.0.1:4566"
ENDPOINT = "AWS_ENDPOINT_URL"
ENVIRONMENT = "ATHENA_REPORTS_ENV"
RUNNING = Running("http://127.0.0.1:8080", "admin", "secret", {ENDPOINT: UP})
SET = (ENDPOINT, ENVIRONMENT, "AWS_ACCESS_KEY_ID")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is started in place of services, in order."""
    done: list[Any] = []

    @contextmanager
    def local_services(log: Path) -> Iterator[Services]:
        assert log.parent.is_dir()
        done.append("services")
        yield Services("http://127.0.0.1:4999")
        done.append("end")

    def fill_services(
        services: Services, environment: str, folder: Path, progress: Callable[[str], None]
    ) -> None:
        progress("of no command")  # which has its own output
        done.append((services.endpoint_url, environment, folder))

    monkeypatch.setattr(beside, "local_services", local_services)
    monkeypatch.setattr(beside, "fill_services", fill_services)
    return done


@contextmanager
def shell_of(
    shell: Mapping[str, str], *, is_up: bool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A shell with some variables, of those that a command looks at, and maybe an `up`."""
    monkeypatch.setattr(beside, "find_running", lambda _: RUNNING if is_up else None)
    with kept_environment():
        for name in SET:
            os.environ.pop(name, None)
        os.environ |= shell
        yield


def variables_now() -> dict[str, str]:
    return {name: os.environ[name] for name in SET if name in os.environ}


@pytest.mark.parametrize(
    ("shell", "is_up", "variables", "running"),
    [
        # Nothing is named: those of the `up`.
        ({}, True, {ENDPOINT: UP}, RUNNING),
        ({ENDPOINT: ""}, True, {ENDPOINT: UP}, RUNNING),
        # The same services are named, as by the line that `up` prints.
        ({ENDPOINT: UP}, True, {ENDPOINT: UP}, RUNNING),
        ({ENDPOINT: UP, ENVIRONMENT: "stg"}, True, {ENDPOINT: UP, ENVIRONMENT: "stg"}, RUNNING),
        # Others are named: they are left alone.
        ({ENDPOINT: "http://other"}, True, {ENDPOINT: "http://other"}, None),
        ({ENVIRONMENT: "prd"}, True, {ENVIRONMENT: "prd"}, None),
        ({ENDPOINT: UP}, False, {ENDPOINT: UP}, None),
        ({ENVIRONMENT: "prd"}, False, {ENVIRONMENT: "prd"}, None),
    ],
)
def test_a_command_has_the_services_that_its_shell_names_or_those_of_the_up(
    shell: dict[str, str],
    is_up: bool,
    variables: dict[str, str],
    running: Running | None,
    tmp_path: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path)
    with shell_of(shell, is_up=is_up, monkeypatch=monkeypatch):
        assert published_services(project) == running
        assert variables_now() == variables
    capsys.readouterr()
    with shell_of(shell, is_up=is_up, monkeypatch=monkeypatch), services_beside(project):
        assert variables_now() == variables
    assert started == []
    note = (
        "Using the `up` at http://127.0.0.1:8080."
        " To use other services, set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV.\n"
    )
    assert capsys.readouterr() == ("", "" if any(shell.values()) else note)


def test_without_any_services_some_are_started_with_the_kept_tables_and_ended(
    tmp_path: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(tmp_path)
    with shell_of({}, is_up=False, monkeypatch=monkeypatch), services_beside(project):
        variables = variables_now()
    url = "http://127.0.0.1:4999"
    assert variables == {ENDPOINT: url, "AWS_ACCESS_KEY_ID": "local"}
    assert started == ["services", (url, "dev", project.lake), "end"]
    assert capsys.readouterr().err == (
        "Using local services. To use others, set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV.\n"
    )


def test_what_reads_publications_is_refused_where_there_are_none(
    tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services that were started for it would be empty."""
    shell = {ENDPOINT: "", ENVIRONMENT: ""}
    with (
        shell_of(shell, is_up=False, monkeypatch=monkeypatch),
        pytest.raises(NoServicesError) as refused,
    ):
        published_services(Project(tmp_path))
    assert str(refused.value) == (
        "No environment is selected: ATHENA_REPORTS_ENV and AWS_ENDPOINT_URL are not set, and no"
        " `up` is running in this project. On this machine, start `athena-reports up` first. For an"
        " environment on AWS, set ATHENA_REPORTS_ENV to its name, such as prd."
    )
    assert started == []


@pytest.mark.parametrize(
    ("shell", "environment"),
    [
        ({}, "dev"),
        ({ENDPOINT: "", ENVIRONMENT: ""}, "dev"),
        ({ENVIRONMENT: "prd"}, None),  # its own settings name what it has
        ({ENDPOINT: "http://other", ENVIRONMENT: "stg"}, "stg"),
    ],
)
def test_the_names_of_an_environment_need_no_services(
    shell: dict[str, str],
    environment: str | None,
    started: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: str | None = None
    with kept_environment():
        for name in SET:
            os.environ.pop(name, None)
        os.environ |= shell
        use_local_names()
        with suppress(SettingsError):
            names = read_settings(os.environ).environment
    assert names == environment
    assert started == []
    note = "Using the names of the local environment dev. To use another, set ATHENA_REPORTS_ENV.\n"
    assert capsys.readouterr().err == ("" if any(shell.values()) else note)


SHELL_OF_AN_ACCOUNT = {
    "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
    "AWS_ENDPOINT_URL_GLUE": "https://glue.example.com",
    "AWS_ENDPOINT_URL_STS": "https://sts.example.com",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_PROFILE": "absent",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_USE_FIPS_ENDPOINT": "true",
}
PROFILES = """[default]
ignore_configured_endpoint_urls = true
use_fips_endpoint = true
services = mine
[services mine]
s3 =
  endpoint_url = https://s3.example.com
"""


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("named", "is_up"),
    [({}, True), ({ENDPOINT: UP}, True), ({}, False)],  # `up` prints how to name its services
)
def test_every_client_calls_the_services_that_a_command_says_it_uses(
    named: dict[str, str], is_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the shell of an account, with its profiles."""
    config = tmp_path / "config"
    config.write_text(PROFILES)
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config)}
    url = UP if is_up else "http://127.0.0.1:4999"
    running = Running("http://127.0.0.1:8080", "admin", "secret", Services(UP).environment)
    monkeypatch.setattr(beside, "find_running", lambda _: running if is_up else None)
    with kept_environment():
        for name in SET:
            os.environ.pop(name, None)
        os.environ |= files | SHELL_OF_AN_ACCOUNT | named
        with services_beside(Project(tmp_path)):
            clients = [boto3.client(name) for name in ("athena", "glue", "s3", "sts")]
            credentials = boto3.Session().get_credentials()
    assert {client.meta.endpoint_url for client in clients} == {url}
    assert credentials is not None
    assert (credentials.access_key, credentials.token) == ("local", None)
