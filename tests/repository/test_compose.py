"""The compose files of this repository and of a new project, as Compose reads them.

`dev/containers/run.sh` runs them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from athena_reports.settings import read_settings
from athena_reports_cli.authoring.text_templates import text_templates
from tests.support.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = {name for name in SERVICES if name.startswith(("airflow-", "athena-"))}
ACCOUNT = {
    "ATHENA_REPORTS_ENV": "stg",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_SESSION_TOKEN": "token",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
BY_SCHEDULE = "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"
NAMES = "ATHENA_REPORTS_BUCKET=acme-reports\nATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/\n"


def of_project(*, name: str, wheels: bool = False) -> str:
    """The text of a new project's compose file."""
    template = text_templates().get_template("project/docker-compose.yaml.jinja")
    return template.render(name=name, airflow="3.3.1", wheels=wheels)


def test_the_services_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "run-in-containers.md").read_text("utf-8")
    cells = re.findall(r"^\| (`[a-z`, -]+`) \|", page, re.MULTILINE)
    assert {name.strip("`") for cell in cells for name in cell.split(", ")} == set(SERVICES)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_an_exact_image_and_is_reached_from_this_machine_only(name: str) -> None:
    assert re.fullmatch(r"[\w-]+:\d+\.\d+(\.\d+)?(-\w+)?", SERVICES[name]["image"])
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_airflow_is_the_tested_one() -> None:
    pinned = re.search(
        r"^apache-airflow==(\S+)", (ROOT / "dev" / "pins" / "dev.txt").read_text("utf-8"), re.M
    )
    assert pinned is not None
    dockerfile = SERVICES["airflow-init"]["build"]["dockerfile_inline"]
    assert f"FROM apache/airflow:{pinned[1]}-python3.12\n" in dockerfile
    assert {SERVICES[name]["image"] for name in AIRFLOW} == {f"athena-reports-airflow:{pinned[1]}"}


def test_the_containers_of_a_project_are_those_here_except_for_their_lake_and_command() -> None:
    theirs = yaml.safe_load(of_project(name="athena-reports"))["services"]
    assert theirs.keys() == SERVICES.keys()
    for name in SERVICES.keys() - {"local-aws", "athena-reports"}:
        assert theirs[name] | {"build": ""} == SERVICES[name] | {"build": ""}, name
    for key in ("image", "user", "ports", "healthcheck", "restart"):
        assert theirs["local-aws"][key] == SERVICES["local-aws"][key]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone whose environments name their buckets."""
    environments = tmp_path / "deploy" / "environments"
    environments.mkdir(parents=True)
    (environments / "stg.env").write_text(NAMES)
    return tmp_path


def read(
    folder: Path,
    *overrides: str,
    shell: Mapping[str, str] | None = None,
    compose: Path = ROOT / "docker-compose.yaml",
) -> subprocess.CompletedProcess[str]:
    """Let Compose read the files in a folder, with all that the shell has beside PATH."""
    assert shutil.which("docker-compose"), "install it, as with `apt-get install docker-compose`"
    files = ["--file", str(compose)]
    for name in overrides:
        files += ["--file", str(ROOT / name)]
    return subprocess.run(
        [
            "docker-compose",
            *files,
            "--project-directory",
            str(folder),
            "--profile=debug",
            "config",
            "--format=json",
        ],
        env={"PATH": os.environ["PATH"], **(shell or {})},
        capture_output=True,
        text=True,
    )


def services(
    folder: Path,
    *overrides: str,
    shell: Mapping[str, str] | None = None,
    compose: Path = ROOT / "docker-compose.yaml",
) -> dict[str, Any]:
    """The services as Compose understands them."""
    done = read(folder, *overrides, shell=shell, compose=compose)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@pytest.mark.ci
def test_by_default_nothing_knows_of_the_shells_account(folder: Path) -> None:
    defined = services(folder)
    assert defined.keys() == SERVICES.keys()
    assert services(folder, shell=ACCOUNT) == defined
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in ACCOUNT.items()))
    assert services(folder) == defined
    for name in AIRFLOW:
        variables = defined[name]["environment"]
        assert variables["AWS_ENDPOINT_URL"] == "http://local-aws:4566"
        assert variables["AWS_ACCESS_KEY_ID"] == variables["AWS_SECRET_ACCESS_KEY"] == "local"
        assert variables[BY_SCHEDULE] == "false"  # the demo's lakes end in the past
        assert read_settings(variables).environment == "dev"


@pytest.mark.ci
def test_in_an_account_all_of_airflow_works_with_it_and_nothing_local_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defined = services(folder, "compose.aws.yaml", shell=ACCOUNT)
    assert defined.keys() == SERVICES.keys() - {"local-aws"}
    for name in AIRFLOW:
        variables = defined[name]["environment"]
        assert {key: variables[key] for key in ACCOUNT} == ACCOUNT
        assert variables[BY_SCHEDULE] == "true"
        settings = read_settings(variables)
        assert (settings.environment, settings.report_bucket, settings.paused) == (
            "stg",
            "acme-reports",
            True,
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", variables["AWS_ENDPOINT_URL"])
        athena = boto3.client("athena", region_name=variables["AWS_DEFAULT_REGION"])
        assert athena.meta.endpoint_url == "https://athena.eu-west-1.amazonaws.com"


@pytest.mark.ci
@pytest.mark.parametrize("missing", [name for name in ACCOUNT if name != "AWS_SESSION_TOKEN"])
def test_what_an_account_needs_is_asked_for(folder: Path, missing: str) -> None:
    refused = read(folder, "compose.aws.yaml", shell=ACCOUNT | {missing: ""})
    assert refused.returncode != 0
    assert f"variable {missing} is missing a value" in refused.stderr


@pytest.mark.ci
@pytest.mark.parametrize("wheels", [True, False])
def test_compose_reads_the_file_of_a_new_project(wheels: bool, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yaml"
    file.write_text(of_project(name="my-reports", wheels=wheels))
    defined = services(tmp_path, compose=file)
    for name in AIRFLOW:
        assert defined[name]["image"] == "my-reports-airflow:3.3.1"
        assert read_settings(defined[name]["environment"]).environment == "dev"
    dockerfile = defined["airflow-init"]["build"]["dockerfile_inline"]
    assert ("wheels /requirements/wheels/" in dockerfile) == wheels
