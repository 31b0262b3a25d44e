"""The query of an author's command ends with the command, however that ends."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local_athena.faults import Faults, Hold, Refuse
from tests.support.flown import Flown, interrupt
from tests.support.query_comments import comment_of
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
SQL = "The miles of each carrier"
COMMANDS = {
    "preview": ("preview", "flown", "2013-03-11", "--run"),
    "plan": ("plan", "flown", "--yes"),
}


@pytest.fixture
def faults(flown: Flown) -> Iterator[Faults]:
    """The faults of Athena. Queries of the report do not end."""
    faults = Faults(flown.services.endpoint_url)
    ids = [faults.add(Hold(sql=SQL, times=None, workgroup="dev"))]
    yield faults
    for fault in faults.list():
        if fault["id"] in ids or fault.get("sql") == SQL:
            faults.clear(fault["id"])


def is_struck(faults: Faults, kind: str = "Hold") -> bool:
    return any(fault["struck"] for fault in faults.list() if fault["kind"] == kind)


@contextmanager
def waiting(flown: Flown, faults: Faults, command: str) -> Iterator[subprocess.Popen[str]]:
    """A command that waits for its query."""
    with flown.start(*COMMANDS[command]) as process:
        try:
            while not is_struck(faults):
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def new_queries(flown: Flown, before: set[str]) -> list[dict[str, Any]]:
    return [query for query_id, query in flown.queries().items() if query_id not in before]


def states(flown: Flown, before: set[str]) -> list[str]:
    return [query["Status"]["State"] for query in new_queries(flown, before)]


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        # CI stops `plan` by SIGHUP, and `test` by SIGTERM, in commands/test_shell.py.
        ("preview", signal.SIGINT, 130),
        pytest.param("preview", signal.SIGTERM, 143, marks=pytest.mark.full),
        pytest.param("preview", signal.SIGHUP, 129, marks=pytest.mark.full),
        pytest.param("plan", signal.SIGINT, 130, marks=pytest.mark.full),
        pytest.param("plan", signal.SIGTERM, 143, marks=pytest.mark.full),
    ],
)
def test_a_signal_stops_the_paid_query_and_pays_no_other(
    command: str, number: signal.Signals, code: int, flown: Flown, faults: Faults
) -> None:
    """A cancelled CI job, a closed terminal, Ctrl-C."""
    before = set(flown.queries())
    with waiting(flown, faults, command) as process:
        done = interrupt(process, number)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert states(flown, before) == ["CANCELLED"]


def test_an_error_while_the_query_is_waited_for_stops_it(
    flown: Flown, faults: Faults, shell: Shell
) -> None:
    before = set(flown.queries())
    faults.add(
        Refuse(
            action="GetQueryExecution", sql=SQL, skip=2, message="No more looks", workgroup="dev"
        )
    )
    code, _ = shell(*COMMANDS["preview"])
    assert code == 1
    assert "No more looks" in shell.errors
    assert states(flown, before) == ["CANCELLED"]


def test_a_killed_command_leaves_its_query_which_says_whose_it_is(
    flown: Flown, faults: Faults
) -> None:
    """Athena's own limit ends it, or whoever reads its comment in the console."""
    before = set(flown.queries())
    with waiting(flown, faults, "plan") as process:
        process.kill()
    (query,) = new_queries(flown, before)
    comment = comment_of(query["Query"])
    assert comment.pop("author").startswith("arn:aws:")  # as the local STS says
    assert comment == {"environment": "dev", "command": "plan"}
    assert states(flown, before) == ["RUNNING"]
    flown.services.athena.stop_query_execution(QueryExecutionId=query["QueryExecutionId"])
