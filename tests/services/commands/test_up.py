"""`up`: Airflow with the reports of a project, which the other commands use until it is stopped."""

from __future__ import annotations

import json
import re
import signal
from contextlib import suppress

import psutil
import pytest

from athena_reports_cli.local.project import find_project
from athena_reports_cli.local.runtime import free_port
from athena_reports_cli.local.services import Services
from tests.services.commands.project import NO_AWS, SOLD_WEEK, Project, load_sales
from tests.support.live_airflow import LiveClient

# An installed package has it as an entry point.
PLUGIN = "from athena_reports.plugin import AthenaReportsPlugin\n"
# Each component of Airflow imports it.
TELLING_PLUGIN = """
import json
import os
from pathlib import Path

told = Path(__file__).parents[1] / "told"
told.mkdir(exist_ok=True)
names = ("PYTHONWARNINGS", "AIRFLOW_CONN_OF_FILE", "AIRFLOW_CONN_OF_SHELL")
(told / str(os.getpid())).write_text(json.dumps({name: os.environ.get(name) for name in names}))
"""


# CI has cheaper siblings: the unit tests of `up` with a stand-in of Airflow, a backfill by the
# Airflow of an announced `up` in test_services.py, and `mwaa-check`, which starts an Airflow by the
# same code.
@pytest.mark.full
def test_a_backfill_beside_up_publishes_and_a_signal_ends_all(shop: Project) -> None:
    shop.write("plugins/athena_reports_plugin.py", PLUGIN)
    shop.write("plugins/telling_plugin.py", TELLING_PLUGIN)
    load_sales(shop)
    port = str(free_port())
    shop.write(".airflow.env", "AIRFLOW_CONN_OF_FILE=smtp://file\n")
    warnings = "default::ResourceWarning"
    of_shell = {"PYTHONWARNINGS": warnings, "AIRFLOW_CONN_OF_SHELL": "smtp://shell"}
    with shop.start("up", "--port", port, **of_shell, **NO_AWS) as up:
        assert up.stdout is not None
        printed = ""
        for line in up.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        login = re.search(r"user (\S+), password (\S+)", printed)
        assert login is not None, printed + (up.stderr.read() if up.stderr else "")
        assert "table sales, from .lake/" in printed
        assert f"Reports  http://127.0.0.1:{port}/athena-reports/" in printed
        client = LiveClient(f"http://127.0.0.1:{port}", login=login.groups())

        backfill = ["backfill", "items_weekly", "--from", SOLD_WEEK, "--to", SOLD_WEEK, "--yes"]
        done = shop.shell(*backfill, **NO_AWS)
        assert done.code == 0, done.out + done.err
        assert done.err.startswith(f"Using the `up` at http://127.0.0.1:{port}.")
        runs = client.wait_for_runs("items_weekly", timeout_seconds=300)
        assert [run.state for run in runs] == ["success"]
        done = shop.shell("status", "items_weekly", "--json", **NO_AWS)
        (status,) = done.json
        assert [row["period"] for row in status["periods"] if row["version"]] == [SOLD_WEEK]

        second = shop.run("up", "--port", port, **NO_AWS)
        assert (second.code, second.out) == (1, "")
        assert second.err.startswith(
            f"`up` is already running in this project, at http://127.0.0.1:{port}."
        )

        # Airflow has the shell's environment, not one that suits the output of a command, and the
        # project's connections, not the shell's.
        told = [json.loads(file.read_text()) for file in (shop.root / "told").iterdir()]
        assert len(told) >= 3
        for variables in told:
            assert variables == {
                "PYTHONWARNINGS": warnings,
                "AIRFLOW_CONN_OF_FILE": "smtp://file",
                "AIRFLOW_CONN_OF_SHELL": None,
            }

        processes = psutil.Process(up.pid).children(recursive=True)
        # The second one must not break off what the first one has begun to stop.
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGTERM)
        rest, _ = up.communicate()
    _, _, after_the_stop = rest.partition("stopping Airflow")
    assert after_the_stop.count("Interrupted; everything that was started has been stopped.") == 1
    assert up.returncode in (130, 143)
    psutil.wait_procs(processes, timeout=30)
    with suppress(psutil.NoSuchProcess):
        assert not [process for process in processes if process.is_running()]


@pytest.mark.parametrize(
    ("interrupt", "code"),
    [
        (KeyboardInterrupt("SIGTERM"), 143),
        (KeyboardInterrupt("SIGHUP"), 129),
        (KeyboardInterrupt("SIGINT"), 130),
    ],
)
def test_what_ends_it_is_the_exit_code(
    interrupt: KeyboardInterrupt, code: int, shop: Project
) -> None:
    given = []

    def run(project: object, port: int, _: object, *, schedule: bool) -> None:
        Services("http://127.0.0.1:9")  # its clients take nothing of the shell
        given.append((project, port, schedule))
        raise interrupt

    shop.patch.setattr("athena_reports_cli.local.up.up", run)
    with_options = ["--port", "8099", "--schedule"]
    for options, port, uses_shell in (([], 8080, False), (with_options, 8099, True)):
        done = shop.run("up", *options, AWS_PROFILE="absent", AWS_USE_FIPS_ENDPOINT="true")
        assert (done.code, done.err) == (code, "")
        assert done.lines == ["", "Interrupted; everything that was started has been stopped."]
        assert given.pop() == (find_project(shop.root), port, uses_shell)
