"""The wheels that MWAA's images lack, which a bundle carries in plugins.zip.

A private web server and a network without a NAT reach no package index. There pip installs what
lies in the plugins folder. `wheels.txt` pins each wheel by its hash: a bundle has the same bytes
whatever machine builds it, and whatever an index offers later.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from athena_reports_cli.mwaa import DeployError

FOLDER = PurePosixPath("wheels")
"""Where the wheels lie in plugins.zip."""
PYTHON = (3, 12)
"""The Python of all images of Airflow 3."""
CACHE = PurePosixPath("dist/wheels")
"""Where a project keeps the wheels that were downloaded."""

_LIST = Path(__file__).with_name("wheels.txt")
_NEWEST_GLIBC = 34  # 2.34, that of Amazon Linux 2023, which the images are made of
_OLDEST_GLIBC = 5  # 2.5, the oldest that a wheel names


def carried_wheels(cache: Path) -> dict[str, bytes]:
    """Return the wheels that `wheels.txt` names, by their file names, sorted.

    Args:
        cache: A folder that has the wheels of earlier calls. What it lacks is downloaded into it.

    Raises:
        DeployError: pip could not download a wheel. The cache is as it was.
    """
    hashes = _listed_hashes()
    wheels = _cached_wheels(cache, hashes)
    if len(wheels) < len(hashes):
        _download(cache)
        wheels = _cached_wheels(cache, hashes)
    return wheels


def _listed_hashes() -> set[str]:
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", _LIST.read_text()))


def _cached_wheels(cache: Path, hashes: set[str]) -> dict[str, bytes]:
    """Return the listed wheels of a folder; what a file is called does not count."""
    wheels = {}
    for path in sorted(cache.glob("*.whl")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() in hashes:
            wheels[path.name] = content
    return wheels


def _download(cache: Path) -> None:
    """Let pip download the wheels, and move those that have arrived whole into the cache."""
    if importlib.util.find_spec("pip") is None:
        raise DeployError(
            f"pip downloads the wheels that MWAA's images lack, and {sys.prefix} has none."
            " Install pip there, and run the same command again."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".download-", dir=cache) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--retries", "2", "--dest", folder]
        # Neither this machine's Python nor its platform counts.
        version = ".".join(str(part) for part in PYTHON)
        command += ["--implementation", "cp", "--python-version", version]
        command += ["--only-binary", ":all:", "--no-deps", *_platforms()]
        command += ["--require-hashes", "--requirement", str(_LIST)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise DeployError(
                "pip could not download the wheels that MWAA's images lack. Run the same command"
                " again with a network, or name a package index that this machine reaches"
                f" (PIP_INDEX_URL=...). {cache} keeps them for the next time.\n"
                f"{done.stderr.strip()}"
            )
        for path in Path(folder).iterdir():
            path.replace(cache / path.name)


def _platforms() -> Iterator[str]:
    """Yield the options that name the image's platform.

    pip takes a wheel for an older glibc only if that is named too.
    """
    for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1):
        yield f"--platform=manylinux_2_{minor}_x86_64"
    # The names that came before, for 2.17, 2.12 and 2.5.
    for old_name in ("manylinux2014", "manylinux2010", "manylinux1"):
        yield f"--platform={old_name}_x86_64"


def wheel_lines(
    wheels: Mapping[str, bytes], plugins: PurePosixPath, *, hashes: bool
) -> Iterator[str]:
    """Yield the lines of requirements.txt that name wheels by their paths.

    Args:
        wheels: The wheels by their file names.
        plugins: The plugins folder of the environment.
        hashes: Whether each line has the hash of its wheel.
    """
    for name, content in wheels.items():
        line = str(plugins / FOLDER / name)
        if hashes:
            line += f" --hash=sha256:{hashlib.sha256(content).hexdigest()}"
        yield line
