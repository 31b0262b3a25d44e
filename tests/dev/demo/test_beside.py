"""`demo.beside`: the command that it runs has what the shell names, and ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL

ENDPOINT = "http://127.0.0.1:9"
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
        [sys.executable, "-m", "demo.beside", sys.executable, "-c", program],
        env=SHELL | {"PYTHONPATH": str(ROOT / "dev"), "AWS_ENDPOINT_URL": ENDPOINT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_where_the_shell_names_an_endpoint_the_command_gets_it_and_nothing_is_started() -> None:
    with beside(PRINTS_ITS_ENDPOINT) as process:
        printed, errors = process.communicate()
    assert (process.returncode, printed, errors) == (3, f"{ENDPOINT}\n", "")


def test_an_interrupt_leaves_the_command_the_time_to_stop_what_it_began() -> None:
    with beside(STOPS_ITS_WORK) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate()
    assert (process.returncode, printed, errors) == (130, "has stopped\n", "")
