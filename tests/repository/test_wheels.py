"""The three wheels: what is in them, and what they do where nothing of this repository is."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import athena_reports
from tests.repository.installed import REPOSITORY_URL, index_variables
from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL

pytestmark = pytest.mark.ci
PACKAGES = ("athena_reports", "athena_reports_cli", "local_athena")


def wheel(wheels: Path, name: str) -> Path:
    (path,) = wheels.glob(f"{name}-*.whl")
    return path


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.mark.parametrize(
    ("name", "source", "packages"),
    [
        ("athena_reports", "plugins", {"athena_reports", "athena_reports_plugin.py"}),
        ("athena_reports_cli", "cli", {"athena_reports_cli"}),
        ("local_athena", "local_athena/src", {"local_athena"}),
    ],
)
def test_a_wheel_has_the_files_of_its_packages_and_no_other(
    name: str, source: str, packages: set[str], wheels: Path
) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", source]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {path.removeprefix(f"{source}/") for path in listed.stdout.split()}
    in_packages = {path for path in tracked if path.partition("/")[0] in packages}
    assert len(in_packages) > 10

    with zipfile.ZipFile(wheel(wheels, name)) as archive:
        contents = {path for path in archive.namelist() if ".dist-info/" not in path}
    assert contents == in_packages


@pytest.mark.parametrize("name", PACKAGES)
def test_a_wheel_says_that_it_has_types_and_carries_its_licence(name: str, wheels: Path) -> None:
    # Type checkers look for the file that PEP 561 names.
    with zipfile.ZipFile(wheel(wheels, name)) as archive:
        assert f"{name}/py.typed" in archive.namelist()
        (licence,) = [path for path in archive.namelist() if path.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", PACKAGES)
def test_the_page_on_a_package_index_has_no_link_into_the_repository(
    name: str, wheels: Path
) -> None:
    described = metadata(wheel(wheels, name))
    description = str(described.get_payload())
    assert described["Description-Content-Type"].startswith("text/markdown")
    assert description.startswith("# ")
    targets = re.findall(r"\]\(([^)\s]+)", description)
    targets += re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", description)
    assert [target for target in targets if not target.startswith("https://")] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_a_wheel_names_its_version_and_the_repository_it_is_built_from(
    name: str, wheels: Path
) -> None:
    described = metadata(wheel(wheels, name))
    assert described["Version"] == athena_reports.__version__
    urls = described.get_all("Project-URL")
    assert urls == [f"Repository, {REPOSITORY_URL}"]


def test_a_build_leaves_nothing_but_the_wheels(wheels: Path) -> None:
    assert [path.suffix for path in wheels.iterdir()] == [".whl"] * 3
    assert not [*(wheels.parent).rglob("*.egg-info"), *wheels.parent.glob("build")]


def test_a_wheel_needs_what_the_files_of_requirements_say(wheels: Path) -> None:
    described = metadata(wheel(wheels, "athena_reports"))
    requirements = [Requirement(text) for text in described.get_all("Requires-Dist", [])]
    always = {str(requirement) for requirement in requirements if requirement.marker is None}
    lines = []
    for name in ("requirements.txt", "requirements-airflow.txt"):
        lines += (ROOT / name).read_text().splitlines()
    assert always == {str(Requirement(line)) for line in lines if not line.startswith("#")}
    assert described.get_all("Provides-Extra") == ["lineage", "delivery"]


def test_an_older_python_is_refused_with_the_versions_that_are_possible(
    wheels: Path, tmp_path: Path
) -> None:
    for name in PACKAGES:
        path = wheel(wheels, name)
        assert "3.10" not in SpecifierSet(str(metadata(path)["Requires-Python"]))
    packages = tmp_path / "packages"
    command = [sys.executable, "-m", "pip", "install", "--python-version=3.10"]
    command += ["--only-binary=:all:", "--no-deps", f"--target={packages}", str(path)]
    variables = SHELL | index_variables()
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"requires a different Python: 3\.10\S* not in '<3\.15,>=3\.11'", done.stderr)
    assert not packages.exists()
