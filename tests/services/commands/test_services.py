"""What a command finds where its shell names no AWS: the services of an `up`, or its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_athena.faults import Faults, Hold, Slow
from tests.services.commands.project import (
    ENVIRONMENT,
    NO_AWS,
    SOLD_WEEK,
    Project,
    load_sales,
)
from tests.support.repository_copy import SHELL
from tests.support.rest_api import TOKEN, RestApi, rest_api

# As `up` tells.
TELLS = """
import json, sys, time
from athena_reports_cli.local.project import find_project
from athena_reports_cli.local.running import Running, announced
project = find_project()
project.airflow.mkdir(exist_ok=True)
running = Running(sys.argv[1], "admin", "secret", json.loads(sys.argv[2]))
with announced(running, project):
    print("tells", flush=True)
    time.sleep(600)
"""


@contextmanager
def announced_up(
    shop: Project, endpoint: str, airflow: str = "http://127.0.0.1:9"
) -> Iterator[None]:
    """Stands for an `up` in the project, by default with an Airflow that does not answer."""
    variables = shop.services.environment | {"ATHENA_REPORTS_ENV": ENVIRONMENT}
    variables |= {"AWS_ENDPOINT_URL": endpoint}
    with subprocess.Popen(
        [sys.executable, "-c", TELLS, airflow, json.dumps(variables)],
        cwd=shop.root,
        env=SHELL | {"PYTHONPATH": shop.variables["PYTHONPATH"]},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "tells\n"
        try:
            yield
        finally:
            process.kill()


class AirflowWithLogin(RestApi):
    """An Airflow that gives a token to whoever logs in."""

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any] | None:
        if path != "/auth/token":
            return super().answer(method, path, body, authorization)
        assert body == {"username": "admin", "password": "secret"}
        return HTTPStatus.OK, {"access_token": TOKEN}


def test_the_airflow_of_an_up_runs_a_backfill_unless_the_command_names_another(
    shop: Project,
) -> None:
    """Where the shell names the services of the `up`."""
    backfill = ["backfill", "items_weekly", "--from", "2025-06-02", "--to", "2025-06-08"]
    asked = "GET /api/v2/dags/items_weekly/details"
    endpoint = shop.services.endpoint_url
    # What an earlier `up` has left, which was killed, is longer.
    (shop.root / ".airflow").mkdir()
    (shop.root / ".airflow" / "up.json").write_text(10_000 * "{")
    with (
        rest_api({}, kind=AirflowWithLogin) as of_up,
        rest_api({}) as of_shell,
        announced_up(shop, endpoint, of_up.url),
    ):
        assert "has no DAG items_weekly" in shop.run(*backfill).err
        # First without a token, which Airflow rejects.
        assert [request for request, _ in of_up.requests] == [asked, asked]
        of_up.requests.clear()

        # That of the shell is another environment's.
        named = {"AIRFLOW_URL": of_shell.url, "AIRFLOW_TOKEN": TOKEN}
        assert "has no DAG items_weekly" in shop.run(*backfill, **named).err
        assert of_shell.requests == []
        of_up.requests.clear()
        done = shop.run(*backfill, "--airflow", of_shell.url, **named)
        assert "has no DAG items_weekly" in done.err
        assert [request for request, _ in of_shell.requests] == [asked]
        assert of_up.requests == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def amount(shop: Project, kept: Path) -> int:
    """What was sold, by a table that the project keeps: loaded once, and copied after that."""
    file = kept / "amount"
    if file.exists():
        shutil.copytree(kept / "lake", shop.root / ".lake")
        return int(file.read_text())
    loaded = load_sales(shop)
    shutil.copytree(shop.root / ".lake", kept / "lake")
    file.write_text(str(loaded))
    return loaded


def test_services_of_its_own_have_the_tables_that_the_project_keeps(
    shop: Project, amount: int
) -> None:
    done = shop.run("preview", "items", SOLD_WEEK, "--run", "--json", **NO_AWS)
    assert done.code == 0, done.err
    assert done.err.startswith("Using local services.")
    assert str(amount) in json.dumps(done.json)


# Tells the endpoint of its process, and waits until the test is ready.
WAITS = """# build_dag
import os, pathlib, time
root = pathlib.Path(__file__).parents[1]
(root / "told").write_text(os.environ["AWS_ENDPOINT_URL"])
(root / "told").rename(root / "endpoint")
while not (root / "go").exists():
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.full),
    ],
)
def test_a_signal_stops_the_paid_query_and_then_the_services(
    number: signal.Signals, code: int, shop: Project, amount: int
) -> None:
    shop.write("dags/waits.py", WAITS)
    with shop.start("preview", "items", SOLD_WEEK, "--run", session=True, **NO_AWS) as process:
        endpoint = wait_for_text(shop.root / "endpoint", process)
        children = psutil.Process(process.pid).children()
        assert children
        faults = Faults(endpoint)
        faults.add(Hold(sql="What was sold", times=None))
        # So the stop of the query lasts until the test has seen it.
        faults.add(Slow(action="StopQueryExecution", milliseconds=3000))
        (shop.root / "go").touch()
        wait_until_struck(faults, "Hold")
        os.killpg(process.pid, number)
        wait_until_struck(faults, "Slow")
        done = shop.ended(process)
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running()]


def wait_for_text(file: Path, process: subprocess.Popen[str]) -> str:
    """Wait until a command has written a file."""
    while not file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return file.read_text()


def wait_until_struck(faults: Faults, kind: str) -> None:
    """Wait until services that live have got the call of a fault."""
    while not any(fault["kind"] == kind and fault["struck"] for fault in faults.list()):
        time.sleep(0.05)
