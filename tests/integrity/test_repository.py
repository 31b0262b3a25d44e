"""What the repository says of itself: the README's recipe works, the compose file fits, versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import athena_reports
from tests.integrity.dag_rules import RULES, ParsedFolder

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))


def recipe(language: str) -> str:
    """The code block of the README's recipe in one language."""
    (section,) = re.findall(r"## Add a report\n(.*?)\n## ", README, re.DOTALL)
    block = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return re.sub(r"^   ", "", block[1], flags=re.MULTILINE)


def test_the_readmes_recipe_makes_two_dags_that_keep_every_rule(sql_folder: Path, tmp_path: Path) -> None:
    (sql_folder / "best_users.sql").write_text(recipe("sql"))
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "best_users.py").write_text(recipe("python"))
    parsed = ParsedFolder(dags)
    assert {rule.__name__: rule(parsed) for rule in RULES} == {rule.__name__: [] for rule in RULES}


def test_the_readme_names_settings_that_there_are() -> None:
    listed = re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \|", SETTINGS_PAGE, re.MULTILINE)
    named = re.findall(r"`(ATHENA_REPORTS_[A-Z_]+)`", README)
    assert named
    assert set(named) <= set(listed)


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == athena_reports.__version__


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_of_the_compose_file_is_reached_from_this_machine_only_and_mounts_what_is_there(
    name: str,
) -> None:
    service = COMPOSE["services"][name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).is_dir(), volume
    assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_of_the_compose_file_is_pinned_bounded_and_nobody_important(name: str) -> None:
    service = COMPOSE["services"][name]
    # A tag of a whole version: there is no registry here to ask for a digest.
    assert re.fullmatch(r"[\w.-]+:\d+\.\d+(\.\d+)?(-\w+)?", service["image"])
    user = service["user"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


def test_every_service_of_the_compose_file_that_goes_on_has_a_health_check() -> None:
    services = COMPOSE["services"]
    waited = [item for service in services.values() for item in service.get("depends_on", {}).items()]
    once = {other for other, how in waited if how["condition"] == "service_completed_successfully"} | {"ready"}
    healthy = {other for other, how in waited if how["condition"] == "service_healthy"}
    assert once == {"secrets", "lake", "migrate", "ready"}
    assert {name for name, service in services.items() if "healthcheck" in service} == set(services) - once
    assert healthy == set(services) - once


def test_the_compose_file_hands_the_package_and_every_setting_on() -> None:
    listed = set(re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \|", SETTINGS_PAGE, re.MULTILINE))
    package = {f"./{folder}:/opt/airflow/{folder}:ro" for folder in ("dags", "plugins", "include")}
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "migrate"):
        assert set(COMPOSE["services"][name]["volumes"]) >= package
        handed_on = {key for key in COMPOSE["services"][name]["environment"] if key.startswith("ATHENA_REPORTS_")}
        assert handed_on == listed - {"ATHENA_REPORTS_SQL_FOLDER"}  # a folder of the container


def test_secrets_of_the_compose_file_live_in_a_volume_and_are_written_by_those_who_must() -> None:
    writers = {
        name
        for name, service in COMPOSE["services"].items()
        for volume in service.get("volumes", [])
        if volume.startswith("secrets:") and not volume.endswith(":ro")
    }
    assert writers == {"secrets", "api-server"}
    assert "secrets" in COMPOSE["volumes"]
    assert ".env" in (ROOT / ".gitignore").read_text().split()


def test_the_compose_file_runs_the_airflow_that_is_tested() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)$", (ROOT / "dev" / "pins" / "py3.12.txt").read_text(), re.M)
    assert pinned is not None
    assert f"FROM apache/airflow:{pinned[1]}-python3.12" in COMPOSE["x-image"]["build"]["dockerfile_inline"]
