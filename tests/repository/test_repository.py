"""What the repository says of itself: settings that there are, versions that agree."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from typing import Any

import pytest
from packaging.requirements import Requirement

import athena_reports
from tests.support.paths import ROOT

PINS = ROOT / "dev" / "pins"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[Any]] = PYPROJECT["dependency-groups"]
LOCKS = {"uv": "uv", "local": "dev", "dev": "dev"}
"""The lock of each group. That of `dev` has requirements.txt too."""


def test_the_library_requires_a_supported_airflow_and_a_deployment_none() -> None:
    """Else pip installs it beside an Airflow that lacks what it imports."""
    (airflow,) = requirements_of("requirements-airflow.txt")
    images = ROOT / "cli" / "athena_reports_cli" / "mwaa" / "images"
    supported = {image.name.partition("-")[0] for image in images.glob("*-installed.txt")}
    assert len(supported) > 1
    assert set(airflow.specifier.filter(["3.0.6", "3.1.8", *supported, "3.9.0", "4.0.0"])) == {
        *supported,
        "3.9.0",
    }
    assert "apache-airflow" not in {each.name for each in requirements_of("requirements.txt")}


def test_the_newest_part_of_the_changelog_is_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, *earlier = re.findall(r"^## (.+)$", text, re.MULTILINE)
    version, _, day = newest.partition(" ")
    assert version == athena_reports.__version__
    if day != "(not released yet)":
        date.fromisoformat(day.strip("()"))
    assert "not released" not in " ".join(earlier)


def asked_by_group(group: str) -> list[Requirement]:
    """What a dependency group asks for, and the groups that it includes."""
    requirements = []
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            requirements.append(Requirement(entry))
        else:
            requirements += asked_by_group(entry["include-group"])
    return requirements


def requirements_of(file: str) -> list[Requirement]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def locked(name: str) -> list[tuple[str, str]]:
    """The packages of a lock and their versions;
    a package may have several, each for some Pythons.
    """
    return re.findall(
        r"^([\w.-]+)==([\w.]+)", (PINS / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize("group", LOCKS)
def test_a_lock_has_what_its_group_asks_for(group: str) -> None:
    requirements = asked_by_group(group)
    if group == "dev":
        requirements += requirements_of("requirements.txt")
    pins = locked(LOCKS[group])
    for requirement in requirements:
        name = requirement.name.lower()
        versions = [version for package, version in pins if package == name]
        assert versions, f"{requirement}: run make lock"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"


def test_a_lock_names_no_index_and_has_a_hash_for_each_package() -> None:
    assert not (ROOT / "uv.lock").exists(), "it holds the addresses of an index"
    assert {path.stem for path in PINS.glob("*.txt")} == {*LOCKS.values(), "newest"}
    for name in set(LOCKS.values()):
        text = (PINS / f"{name}.txt").read_text(encoding="utf-8")
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text):
            assert requirement.startswith("#") or " --hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("package", ["cli", "local_athena"])
def test_the_three_packages_have_one_version(package: str) -> None:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == athena_reports.__version__


def test_the_command_requires_the_library_and_the_local_services_of_its_version() -> None:
    project = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text(encoding="utf-8"))
    assert {
        f"athena-reports[delivery]=={athena_reports.__version__}",
        f"local-athena=={athena_reports.__version__}",
    } < set(project["project"]["dependencies"])
