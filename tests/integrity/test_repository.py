"""What the repository says of itself: settings that there are, versions that agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import athena_reports

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "dev" / "pins"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == athena_reports.__version__


def asked(path: Path) -> list[Requirement]:
    """What a file of requirements asks for, and the files that it names."""
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    others = [path.parent / line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    here = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return here + [each for other in others for each in asked(other)]


def locked(name: str) -> list[tuple[str, str]]:
    """The packages of a lock and their versions;
    a package may have several, each for some Pythons.
    """
    return re.findall(
        r"^([\w.-]+)==([\w.]+)", (PINS / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize("path", sorted(PINS.glob("*.in")), ids=lambda path: path.stem)
def test_a_lock_has_what_its_input_asks_for(path: Path) -> None:
    pins = locked(path.stem)
    for each in asked(path):
        versions = [version for name, version in pins if name == each.name.lower()]
        assert versions, f"{each}: run make lock"
        assert all(map(each.specifier.contains, versions)), f"{each}, not {versions}: run make lock"


def test_the_compose_file_installs_the_versions_that_are_tested() -> None:
    assert set(locked("local")) < set(locked("dev"))
