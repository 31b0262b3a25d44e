"""The command that `athena_reports.local.beside` runs has what the shell names or `make up` tells,
and ends by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from athena_reports.local.lake import KeptTable, keep, new_version
from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL

ENDPOINT = "http://127.0.0.1:9"
LIBRARY = {"PYTHONPATH": os.pathsep.join(str(ROOT / f) for f in ("plugins", "dev/local_athena"))}
BESIDE = (sys.executable, "-m", "athena_reports.local.beside")
PRINTS_ITS_ENDPOINT = "import os, sys; print(os.environ['AWS_ENDPOINT_URL']); sys.exit(3)"
# As an author's command stops its query: that takes a call, and so a while.
STOPS_ITS_WORK = """
import sys, time
try:
    print("works", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    print("has stopped", flush=True)
    sys.exit(130)
"""


def beside(program: str) -> subprocess.Popen[str]:
    """Start it in a group of its own, as a terminal does."""
    return subprocess.Popen(
        [*BESIDE, sys.executable, "-c", program],
        cwd=ROOT,
        env=SHELL | LIBRARY | {"AWS_ENDPOINT_URL": ENDPOINT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


# As `make up` tells, with an Airflow that does not answer.
TELLS = """
import sys, time
from athena_reports.local.project import find_project
from athena_reports.local.running import Running, announced
project = find_project()
project.airflow.mkdir(exist_ok=True)
running = Running("http://127.0.0.1:9", "admin", "secret", {"AWS_ENDPOINT_URL": sys.argv[1]})
with announced(running, project):
    print("tells", flush=True)
    time.sleep(600)
"""
PRINTS_WHAT_IT_HAS = "import os; print(os.environ.get('AWS_ENDPOINT_URL', 'nothing'))"


@contextmanager
def make_up(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Stands for a `make up` in the project at `root`."""
    with subprocess.Popen(
        [sys.executable, "-c", TELLS, ENDPOINT],
        cwd=root,
        env=SHELL | LIBRARY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "tells\n"
        try:
            yield process
        finally:
            process.kill()


def joined(root: Path, **variables: str) -> tuple[str, str]:
    """What a command prints that joins what runs, and what `beside` tells."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "athena_reports.local.beside",
            "--join",
            sys.executable,
            "-c",
            PRINTS_WHAT_IT_HAS,
        ],
        cwd=root,
        env=SHELL | LIBRARY | variables,
        capture_output=True,
        text=True,
    )
    return done.stdout, done.stderr


def test_a_command_has_the_services_of_the_make_up_that_runs_and_of_no_killed_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    assert joined(tmp_path) == ("nothing\n", "")
    with make_up(tmp_path):
        file = tmp_path / ".airflow" / "up.json"
        assert file.stat().st_mode & 0o077 == 0  # it has the password
        printed, errors = joined(tmp_path)
        assert (printed, "Beside `make up`" in errors) == (f"{ENDPOINT}\n", True)
        elsewhere = "http://127.0.0.1:10"
        assert joined(tmp_path, AWS_ENDPOINT_URL=elsewhere) == (f"{elsewhere}\n", "")
    assert file.exists()  # it was killed, and could not remove it
    assert joined(tmp_path) == ("nothing\n", "")


def test_where_the_shell_names_an_endpoint_the_command_gets_it_and_nothing_is_started() -> None:
    with beside(PRINTS_ITS_ENDPOINT) as process:
        printed, errors = process.communicate()
    assert (process.returncode, printed, errors) == (3, f"{ENDPOINT}\n", "")


def test_where_the_shell_names_an_environment_nothing_is_started() -> None:
    """As with a profile of AWS, which names no endpoint."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "athena_reports.local.beside",
            sys.executable,
            "-c",
            PRINTS_WHAT_IT_HAS,
        ],
        cwd=ROOT,
        env=SHELL | LIBRARY | {"ATHENA_REPORTS_ENV": "stg"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing\n", "")


def test_an_interrupt_leaves_the_command_the_time_to_stop_what_it_began() -> None:
    with beside(STOPS_ITS_WORK) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate()
    assert (process.returncode, printed, errors) == (130, "has stopped\n", "")


PRINTS_A_TABLE = """
import boto3, os
glue = boto3.client("glue")
table = glue.get_table(DatabaseName="database_dev", Name="shops")["Table"]
print(table["StorageDescriptor"]["Columns"][0]["Name"])
"""


def test_services_that_are_started_have_the_tables_that_the_project_keeps(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    kept = KeptTable(version="", columns={"shop": "string"}, key="", rows=0, dates=())
    with new_version("shops", tmp_path / ".lake") as version:
        keep("shops", kept.model_copy(update={"version": version.name}), version)

    done = subprocess.run(
        [*BESIDE, sys.executable, "-c", PRINTS_A_TABLE],
        cwd=tmp_path,
        env=SHELL | LIBRARY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "shop\n"), done.stderr
    assert "Beside the local services." in done.stderr
