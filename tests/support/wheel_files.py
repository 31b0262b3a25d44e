"""Wheels of some bytes, for what installs or carries packages."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from athena_reports_cli.mwaa.wheels import CACHE
from tests.support.paths import ROOT

LIST = Path("cli/athena_reports_cli/mwaa/wheels.txt")


def write_wheel(
    folder: Path, name: str, version: str, *, tag: str = "py3-none-any", needs: str = ""
) -> Path:
    """Write a wheel of a package with a module `part`; the same bytes each time."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if needs:
        metadata += f"Requires-Dist: {needs}\n"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/part.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files)
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


def requirement_of(wheel: Path) -> str:
    """The line that pins a wheel by its hash."""
    name, version, _ = wheel.name.split("-", 2)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@contextmanager
def carried_small_wheel(repository: Path) -> Iterator[None]:
    """Let a copy of the repository carry a wheel of some bytes: its bundle needs no network."""
    assert repository != ROOT
    wheel = write_wheel(repository / CACHE, "duckdb", "2.0.1")
    line = requirement_of(wheel)
    usual = (repository / LIST).read_text()
    (repository / LIST).write_text(line)
    folder = repository / CACHE / hashlib.sha256(line.encode()).hexdigest()[:12]
    folder.mkdir()
    wheel.rename(folder / wheel.name)
    yield
    (repository / LIST).write_text(usual)
