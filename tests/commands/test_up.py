"""`up`: Airflow with the reports of a project, which the other commands use until it is stopped."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import suppress

import psutil
import pytest

from athena_reports.local.client import AirflowClient
from athena_reports.local.project import find_project
from athena_reports.local.runtime import free_port
from tests.commands.project import NO_AWS, SOLD_WEEK, Project, load_sales

# An installed package has it as an entry point.
PLUGIN = "from athena_reports.plugin import AthenaReportsPlugin\n"
# Each component of Airflow imports it.
TELLING_PLUGIN = """
import os
from pathlib import Path

told = Path(__file__).parents[1] / "told"
told.mkdir(exist_ok=True)
(told / str(os.getpid())).write_text(os.environ.get("PYTHONWARNINGS", "not set"))
"""


def test_a_port_that_is_taken_is_one_message_and_nothing_is_started(shop: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = shop.run("up", "--port", str(port), **NO_AWS)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Port {port} of 127.0.0.1 cannot be used: ")
    assert not (shop.root / ".airflow").exists()


def test_a_backfill_beside_up_publishes_and_a_signal_ends_all(shop: Project) -> None:
    shop.write("plugins/athena_reports_plugin.py", PLUGIN)
    shop.write("plugins/telling_plugin.py", TELLING_PLUGIN)
    load_sales(shop)
    port = str(free_port())
    warnings = "default::ResourceWarning"
    with shop.start("up", "--port", port, PYTHONWARNINGS=warnings, **NO_AWS) as up:
        assert up.stdout is not None
        printed = ""
        for line in up.stdout:
            printed += line
            if line.startswith("Ctrl-C"):
                break
        login = re.search(r"user (\S+), password (\S+)", printed)
        assert login is not None, printed + (up.stderr.read() if up.stderr else "")
        assert "table sales, from .lake/" in printed
        assert f"Reports  http://127.0.0.1:{port}/athena-reports/" in printed
        client = AirflowClient(f"http://127.0.0.1:{port}", *login.groups())

        backfill = ["backfill", "items_weekly", "--from", SOLD_WEEK, "--to", SOLD_WEEK, "--yes"]
        done = shop.shell(*backfill, **NO_AWS)
        assert done.code == 0, done.out + done.err
        assert done.err.startswith(f"Beside the `up` at http://127.0.0.1:{port}.")
        runs = client.wait_for_runs("items_weekly", timeout_seconds=300)
        assert [run.state for run in runs] == ["success"]
        done = shop.shell("status", "items_weekly", "--json", **NO_AWS)
        (status,) = done.json
        assert [row["period"] for row in status["periods"] if row["version"]] == [SOLD_WEEK]

        second = shop.run("up", "--port", port, **NO_AWS)
        assert (second.code, second.out) == (1, "")
        assert second.err == (
            f"`up` of this project runs already, at http://127.0.0.1:{port}. Use it, or stop it"
            " with Ctrl-C where it was started.\n"
        )

        # Airflow has the shell's environment, not one that suits the output of a command.
        told = {file.name: file.read_text() for file in (shop.root / "told").iterdir()}
        assert len(told) >= 3
        assert set(told.values()) == {warnings}

        processes = psutil.Process(up.pid).children(recursive=True)
        # The second one must not break off what the first one has begun to stop.
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGTERM)
        rest, _ = up.communicate()
    assert "all that was started has been stopped" in rest
    assert up.returncode in (130, 143)
    psutil.wait_procs(processes, timeout=30)
    with suppress(psutil.NoSuchProcess):
        assert not [process for process in processes if process.is_running()]


@pytest.mark.parametrize(
    ("interrupt", "code"),
    [
        (KeyboardInterrupt("SIGTERM"), 143),
        (KeyboardInterrupt("SIGHUP"), 129),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_ends_it_is_the_exit_code(
    interrupt: KeyboardInterrupt, code: int, shop: Project
) -> None:
    given = []

    def run(project: object, port: int, _: object) -> None:
        given.append((project, port))
        raise interrupt

    shop.patch.setattr("athena_reports.local.up.up", run)
    for options, port in (([], 8080), (["--port", "8099"], 8099)):
        done = shop.run("up", *options)
        assert (done.code, done.err) == (code, "")
        assert done.lines == ["", "Interrupted; all that was started has been stopped."]
        assert given.pop() == (find_project(shop.root), port)
