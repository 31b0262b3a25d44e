"""The wheels that a bundle carries: a real pip gets them from a folder in place of an index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from athena_reports_cli.mwaa import BundleError, wheels
from athena_reports_cli.mwaa.bundle import CONSTRAINTS
from athena_reports_cli.mwaa.wheels import carried_wheels
from tests.support.paths import ROOT
from tests.support.wheel_files import LIST, requirement_of, write_wheel

PINS = ROOT / "dev" / "pins"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip finds in place of an index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> None:
    """Let the bundle carry what the lines name."""
    path = tmp_path / "wheels.txt"
    path.write_text("".join(lines))
    monkeypatch.setattr(wheels, "_LIST", path)


def test_the_wheels_are_the_images_whatever_machine_builds_and_are_downloaded_once(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = write_wheel(
        index, "engine", "1.0", tag="cp312-abi3-manylinux_2_27_x86_64.manylinux_2_28_x86_64"
    )
    for tag in (
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp312-cp312-macosx_11_0_arm64",
        "cp312-cp312-manylinux_2_28_aarch64",
    ):
        write_wheel(index, "engine", "1.0", tag=tag)
    parts = write_wheel(index, "parts", "2.0", needs="more")
    listed(monkeypatch, tmp_path, requirement_of(parts), requirement_of(engine))
    cache = tmp_path / "dist" / "cache"  # of a fresh clone: neither exists
    found = carried_wheels(cache)
    assert [path.name for path in found] == [engine.name, parts.name]
    assert [path.read_bytes() for path in found] == [engine.read_bytes(), parts.read_bytes()]
    for path in index.iterdir():
        path.unlink()
    assert carried_wheels(cache) == found


def test_another_content_or_no_index_is_one_message_and_leaves_nothing(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(index, "engine", "1.0")
    listed(monkeypatch, tmp_path, requirement_of(wheel))
    wheel.write_bytes(wheel.read_bytes() + b"changed since")
    cache = tmp_path / "cache"
    with pytest.raises(BundleError, match="DO NOT MATCH THE HASHES"):
        carried_wheels(cache)
    assert list(cache.iterdir()) == []
    wheel.unlink()
    with pytest.raises(BundleError) as refused:
        carried_wheels(cache)
    assert str(refused.value).startswith(
        "pip could not download the wheels that MWAA's images lack. Connect to a network, or set"
        " PIP_INDEX_URL to another package index.\n"
    )
    assert "engine==1.0" in str(refused.value)


def pins_of(text: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", text, re.MULTILINE))


def names_of(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(Requirement(line.partition(" --hash")[0]).name) for line in lines}


@pytest.mark.ci
def test_what_is_carried_is_what_is_tested_and_all_that_an_image_lacks() -> None:
    carried = (ROOT / LIST).read_text()
    assert pins_of(carried) == pins_of(CONSTRAINTS.read_text())
    locked = re.sub(r" \\\n\s*", " ", (PINS / "dev.txt").read_text()).splitlines()
    for line in carried.splitlines():
        if not line.startswith("#"):
            requirement, sha256 = line.split(" --hash=")
            (lock,) = [entry for entry in locked if entry.startswith(f"{requirement} ")]
            assert sha256 in lock
    needed = names_of((ROOT / "requirements.txt").read_text())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed |= names_of("\n".join(extras["project"]["optional-dependencies"]["delivery"]))
    images = sorted(CONSTRAINTS.with_name("images").glob("*-installed.txt"))
    assert len(images) > 1
    for image in images:
        assert needed - names_of(image.read_text()) == names_of(carried), image
