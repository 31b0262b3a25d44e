"""Downloads the wheels that MWAA's images lack, which a bundle carries in plugins.zip.

A private web server and a network without a NAT gateway reach no package index. There pip installs
what is in the plugins folder.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from athena_reports_cli.mwaa import FOLDER, BundleError

CACHE = PurePosixPath("dist/wheels")
"""Where a project keeps the wheels that were downloaded."""

_LIST = FOLDER / "wheels.txt"  # each line has a hash, so pip requires it of each wheel
_FOR_THE_IMAGE = (
    "--python-version=3.12",  # of all images of Airflow 3
    "--platform=manylinux_2_28_x86_64",  # DuckDB's; the images have glibc 2.34
    "--only-binary=:all:",
    "--no-deps",
)


def carried_wheels(cache: Path) -> list[Path]:
    """Return the wheels that `wheels.txt` names, sorted. pip downloads them into a cache once."""
    version = hashlib.sha256(_LIST.read_bytes()).hexdigest()[:12]
    folder = cache / version
    if not folder.is_dir():
        _download(folder)
    return sorted(folder.glob("*.whl"))


def _download(folder: Path) -> None:
    """Download the wheels. Only when all have arrived does the folder exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        wheels = Path(temporary) / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--no-input", *_FOR_THE_IMAGE]
        command += [f"--dest={wheels}", f"--requirement={_LIST}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise BundleError(
                "pip could not download the wheels that MWAA's images lack. Connect to a network,"
                f" or set PIP_INDEX_URL to another package index.\n{done.stderr.strip()}"
            )
        wheels.rename(folder)
