"""The wheels that a bundle carries: a real pip gets them from a folder in place of an index."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from itertools import permutations
from pathlib import Path

import pytest
from packaging._manylinux import platform_tags
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from athena_reports_cli.mwaa import DeployError, wheels
from athena_reports_cli.mwaa.bundle import CONSTRAINTS
from athena_reports_cli.mwaa.wheels import carried_wheels
from tests.support.paths import ROOT
from tests.support.wheel_files import LIST, requirement_of, write_wheel

FOR_THE_IMAGE = "cp312-cp312-manylinux_2_28_x86_64"
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


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_the_wheel_is_the_images_whatever_machine_builds_and_is_downloaded_once(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = write_wheel(index, "engine", "1.0", tag=FOR_THE_IMAGE)
    for tag in (
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp312-cp312-macosx_11_0_arm64",
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp312-cp312-musllinux_1_2_x86_64",
    ):
        write_wheel(index, "engine", "1.0", tag=tag)
    listed(monkeypatch, tmp_path, requirement_of(ours))
    cache = tmp_path / "dist" / "cache"  # of a fresh clone: neither is there

    assert carried_wheels(cache) == {ours.name: ours.read_bytes()}
    assert files_in(cache) == [ours.name]

    for path in index.iterdir():
        path.unlink()
    assert list(carried_wheels(cache)) == [ours.name]


def test_the_wheels_have_one_order_whatever_that_of_the_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the same project would update its environment from each machine."""
    cache = tmp_path / "cache"
    cache.mkdir()
    ours = [write_wheel(cache, name, "1.0", tag=FOR_THE_IMAGE) for name in ("b", "c", "a")]
    listed(monkeypatch, tmp_path, *map(requirement_of, ours))
    for in_the_folder in permutations(ours):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "glob", lambda *_, found=in_the_folder: iter(found))
            assert list(carried_wheels(cache)) == sorted(path.name for path in ours)


@pytest.mark.parametrize(
    "tag", ["cp312-abi3-manylinux_2_27_x86_64.manylinux_2_34_x86_64", "py3-none-any"]
)
def test_wheels_for_more_than_the_image_are_taken(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    wheel = write_wheel(index, "engine", "1.0", tag=tag)
    listed(monkeypatch, tmp_path, requirement_of(wheel))
    assert list(carried_wheels(tmp_path / "cache")) == [wheel.name]


@pytest.mark.parametrize(
    "tag", ["cp312-cp312-manylinux_2_35_x86_64", "cp312-cp312-macosx_11_0_arm64"]
)
def test_a_wheel_that_the_image_cannot_install_is_refused(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    """The image has glibc 2.34."""
    wheel = write_wheel(index, "engine", "1.0", tag=tag)
    listed(monkeypatch, tmp_path, requirement_of(wheel))
    with pytest.raises(DeployError, match=r"engine==1\.0"):
        carried_wheels(tmp_path / "cache")


def test_another_content_is_neither_taken_from_the_cache_nor_from_the_index(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(index, "engine", "1.0")
    expected = wheel.read_bytes()
    listed(monkeypatch, tmp_path, requirement_of(wheel))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / wheel.name).write_bytes(expected[:100])  # of a download that was killed

    assert carried_wheels(cache) == {wheel.name: expected}

    (cache / wheel.name).unlink()
    wheel.write_bytes(expected + b"changed since")
    with pytest.raises(DeployError, match="DO NOT MATCH THE HASHES"):
        carried_wheels(cache)
    assert files_in(cache) == []


def test_what_the_cache_lacks_of_several_wheels_is_downloaded_for_the_image_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function stands for pip, which takes seconds."""
    cache = tmp_path / "cache"
    kept = write_wheel(cache, "engine", "1.0")
    lacking = write_wheel(tmp_path / "elsewhere", "parts", "2.0", needs="more")
    listed(monkeypatch, tmp_path, requirement_of(kept), requirement_of(lacking))
    commands = []

    def download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        shutil.copy(lacking, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("subprocess.run", download)
    expected = {wheel.name: wheel.read_bytes() for wheel in (kept, lacking)}
    assert carried_wheels(cache) == expected
    assert carried_wheels(cache) == expected
    (command,) = commands
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[command.index("--requirement") + 1] == str(wheels._LIST)
    assert command[command.index("--python-version") + 1] == "3.12"
    # What a machine with that glibc takes, the newest first.
    monkeypatch.setattr("packaging._manylinux._get_glibc_version", lambda: (2, 34))
    monkeypatch.setattr("packaging._manylinux._is_compatible", lambda *_: True)
    platforms = list(platform_tags(["x86_64"]))
    asked = [word.partition("=")[2] for word in command if word.startswith("--platform=")]
    assert set(asked) == set(platforms)
    assert asked[0] == platforms[0]


def test_without_a_network_the_message_says_what_to_do_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:9")
    cache = tmp_path / "cache"
    listed(monkeypatch, tmp_path, f"engine==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DeployError) as refused:
        carried_wheels(cache)

    message = str(refused.value)
    assert message.startswith("pip could not download the wheels that MWAA's images lack. Run the")
    assert f"(PIP_INDEX_URL=...). {cache} keeps them for the next time.\n" in message
    assert "engine==1.0" in message
    assert files_in(cache) == []


def test_an_environment_without_pip_is_told_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv makes environments without pip."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DeployError, match="Install pip there, and run the same command again"):
        carried_wheels(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def pins_of(text: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", text, re.MULTILINE))


def names_of(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(Requirement(line.partition(" --hash")[0]).name) for line in lines}


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
