"""The wheels that `make build` builds, in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL, copy_repository, make

UV = Path(sys.executable).with_name("uv")
# What says which package index there is, and how it is reached.
_PREFIXES = ("UV_", "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "XDG_")


def index_variables() -> dict[str, str]:
    """The variables by which uv and pip reach the package index of this machine.

    uv does not read pip's configuration, so an index that is named only there is named for uv too.
    """
    variables = {
        name: value for name, value in os.environ.items() if name.upper().startswith(_PREFIXES)
    }
    if "UV_DEFAULT_INDEX" not in variables and _index_of_pip():
        variables["UV_DEFAULT_INDEX"] = _index_of_pip()
    return variables


@cache
def _index_of_pip() -> str:
    """The package index of pip's configuration; empty if it names none."""
    index = ""
    for name in ("global.index-url", ":env:.index-url"):
        command = [sys.executable, "-m", "pip", "config", "get", name]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode == 0:
            index = answer.stdout.strip()
    return index


REPOSITORY_URL = "https://example.com/athena-reports"


def build_wheels(folder: Path) -> Path:
    """Build the wheels in a copy of the repository, as a release does; returns their folder."""
    root = copy_repository(folder)
    done = make(root, "build", f"UV={UV}", f"REPOSITORY_URL={REPOSITORY_URL}", **index_variables())
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "dist"


class Installed:
    """An environment without anything of this repository, save what is installed into it.

    Attributes:
        folder: Where it is. Commands run there unless they are told another folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._venv = folder / "venv"
        self.uv("venv", "--python", sys.executable, str(self._venv))

    def uv(self, *arguments: str) -> None:
        """Run uv."""
        command = [str(UV), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=SHELL | index_variables(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def install(self, *requirements: str) -> None:
        """Install requirements, in the versions that this repository is tested with.

        With INSTALL_NEWEST=1, as the nightly job sets it, they are the newest possible ones.
        """
        # The environment is gone after the test, so the files of packages need not be copied.
        command = ["pip", "install", "--link-mode=symlink"]
        command += ["--python", str(self._venv / "bin" / "python")]
        if os.environ.get("INSTALL_NEWEST") != "1":
            command += ["--constraint", str(ROOT / "dev" / "pins" / "dev.txt")]
        self.uv(*command, *requirements)
        self._use_bytecode_of_tests()

    def _use_bytecode_of_tests(self) -> None:
        """Use the bytecode of the environment of the tests, which has many of the same files.

        Python takes it only for a file with the time and the length of the compiled one.
        """
        packages = Path(sysconfig.get_path("purelib"))
        (copies,) = self._venv.glob("lib/python3*/site-packages")
        for bytecode in packages.rglob("__pycache__/*.pyc"):
            link = copies / bytecode.relative_to(packages)
            if link.parents[1].is_dir() and not link.exists():
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(bytecode)

    def packages(self) -> set[str]:
        """The names of the packages that are installed."""
        infos = self._venv.glob("lib/python3*/site-packages/*.dist-info")
        return {info.name.partition("-")[0] for info in infos}

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a shell in which the environment is activated."""
        return SHELL | {
            "PATH": f"{self._venv / 'bin'}:{SHELL['PATH']}",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
        }

    def run(
        self, *command: str, folder: Path | None = None, typed: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment to its end."""
        return subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self.variables | variables,
            input=typed,
            capture_output=True,
            text=True,
        )
