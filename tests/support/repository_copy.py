"""A copy of the repository, in which a test runs the commands of a page."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def airflow_up(root: Path) -> Iterator[tuple[LiveClient, Mapping[str, str]]]:
    """Run `make up`, and yield a client of its Airflow and the variables that other shells export.

    It prints these variables.
    """
    port = free_port()
    command = ["make", "up", f"PORT={port}", *USING]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=root, env=SHELL, stdout=pipe, text=True, start_new_session=True
    ) as up:
        assert up.stdout is not None
        said = "".join(itertools.takewhile(lambda line: "Ctrl-C" not in line, up.stdout))
        try:
            login = re.search(r"user (\S+), password (\S+)", said)
            exported = re.search(r"export (.+)", said)
            assert login is not None, said
            assert exported is not None, said
            variables = dict(word.split("=", 1) for word in exported[1].split())
            yield LiveClient(f"http://127.0.0.1:{port}", login=login.groups()), variables
        finally:
            os.killpg(up.pid, signal.SIGINT)
