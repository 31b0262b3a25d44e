"""A copy of the repository, in which a test runs the commands of a page."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from athena_reports_cli.local.runtime import free_port
from tests.support.live_airflow import LiveClient
from tests.support.paths import ROOT

USING = ("READY=", f"PY={sys.executable}")
# As in a shell that is set up for nothing.
SHELL = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}


def copy_repository(root: Path) -> Path:
    """Copy what a clone has."""
    left_out = ".git .venv* .airflow .lake demo-output dist __pycache__ *.egg-info .*_cache .work"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*left_out.split()))
    return root


def make(
    root: Path, *arguments: str, typed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run make with this interpreter; `typed` is what its commands read."""
    command = ["make", *arguments, *USING]
    return subprocess.run(
        command, cwd=root, env=SHELL | variables, input=typed, capture_output=True, text=True
    )


@dataclass(frozen=True)
class Up:
    """An `up` that runs; `variables` are those that it prints for other shells to export."""

    url: str
    login: tuple[str, str]
    variables: Mapping[str, str]

    @property
    def client(self) -> LiveClient:
        return LiveClient(self.url, login=self.login)


@contextmanager
def running_up(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[Up]:
    """Run a command that stays up, in a session of its own, and interrupt it at the end."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as up:
        assert up.stdout is not None
        printed = "".join(itertools.takewhile(lambda line: "Ctrl-C" not in line, up.stdout))
        try:
            airflow = re.search(r"Airflow +(\S+) +user (\S+), password (\S+)", printed)
            exported = re.search(r"export (.+)", printed)
            assert airflow is not None, printed
            assert exported is not None, printed
            words = (word.split("=", 1) for word in shlex.split(exported[1]))
            yield Up(airflow[1], (airflow[2], airflow[3]), dict(words))
        finally:
            os.killpg(up.pid, signal.SIGINT)


@contextmanager
def airflow_up(root: Path) -> Iterator[tuple[LiveClient, Mapping[str, str]]]:
    """Run `make up`, and yield a client of its Airflow and the variables that it prints."""
    with running_up(["make", "up", f"PORT={free_port()}", *USING], root, SHELL) as up:
        yield up.client, up.variables
