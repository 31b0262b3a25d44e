"""What only a shell shows: processes, terminals, pipes and signals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO

import pytest

from local_athena.faults import Faults, Hold
from tests.services.commands.project import CTRL_C, ENVIRONMENT, Project

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output


def read_until(stream: IO[str] | None, text: str) -> str:
    """What a process prints, up to a text."""
    assert stream is not None
    printed = ""
    while not printed.endswith(text):
        letter = stream.read(1)
        assert letter, printed
        printed += letter
    return printed


def test_without_a_command_the_help_names_them_all(shop: Project) -> None:
    done = shop.run()
    assert done.code == 2
    asked = shop.run("--help")
    assert (asked.code, asked.out.strip()) == (0, done.err.strip())
    _, _, commands = asked.out.partition("Commands:\n")
    listed, _, examples = commands.partition("\n\n")
    names = [line.split()[0] for line in listed.splitlines() if line[2] != " "]
    assert len(names) > 15
    assert {"init", "check", "preview", "backfill", "up"} < set(names)
    assert "athena-reports init my-reports" in examples
    assert shop.run("previw").code == 2


@pytest.mark.parametrize("command", ["check", "status", "plan", "up"])
def test_the_help_of_a_command_looks_for_nothing(command: str, shop: Project) -> None:
    shop.write("dags/broken.py", "# build_dag\nraise SystemExit('it was imported')\n")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "COLUMNS": "120"}
    done = shop.run(command, "--help", **nowhere)
    assert (done.code, done.err) == (0, "")
    unknown = shop.run(command, "--nothing", **nowhere)
    assert (unknown.code, unknown.out) == (2, "")
    assert "No such option: --nothing" in unknown.err


# Is noisy, and writes down the folders that Airflow has.
ASKS_AIRFLOW = """# build_dag
import logging
import pathlib
from airflow.configuration import AIRFLOW_HOME, conf
import helper_of_the_team
logging.warning("noisy")
folders = [AIRFLOW_HOME, conf.get("core", "dags_folder"), helper_of_the_team.__file__]
pathlib.Path(__file__).with_name("folders").write_text("\\n".join(folders))
"""


@pytest.fixture
def folders_of_airflow(shop: Project) -> Callable[[], list[str]]:
    """Gives the home, the DAGs folder and a plugin of the last command, as its Airflow had them."""
    shop.write("plugins/helper_of_the_team.py", "")
    asks = shop.write("dags/asks.py", ASKS_AIRFLOW)
    return lambda: asks.with_name("folders").read_text().splitlines()


def test_a_command_in_a_subfolder_finds_the_project_and_prints_only_its_result(
    shop: Project, folders_of_airflow: Callable[[], list[str]]
) -> None:
    """What a DAG file logs is not printed. What the terminal cannot show is escaped."""
    below = 'sh -c \'cd dags; exec "$@"\' sh "$@"'
    nothing = {"AIRFLOW_HOME": "", "PYTHONIOENCODING": "ascii"}
    done = shop.shell("docs", "items", shell=below, **nothing)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# items\n")
    assert "| item | string |  | \\u5546\\u54c1 \\| name |" in done.lines
    plugin = shop.root / "plugins" / "helper_of_the_team.py"
    assert folders_of_airflow() == [
        str(shop.root / ".airflow"),
        str(shop.root / "dags"),
        str(plugin),
    ]


# CI runs test_a_reader_that_has_gone_away_leaves_standard_error_empty, and for AIRFLOW_HOME
# test_what_the_shell_names_stays in tests/unit/athena_reports_cli/local/test_beside.py.
@pytest.mark.full
def test_a_closed_standard_output_is_no_error_and_airflow_home_of_the_shell_is_kept(
    shop: Project, tmp_path: Path, folders_of_airflow: Callable[[], list[str]]
) -> None:
    home = str(tmp_path / "home")
    done = shop.shell("docs", "items", shell='"$@" >&-', AIRFLOW_HOME=home)
    assert (done.code, done.err) == (0, "")
    assert folders_of_airflow()[0] == home


def test_a_reader_that_has_gone_away_leaves_standard_error_empty(shop: Project) -> None:
    """The exit code is that of the reader."""
    assert shop.shell("--version", shell='"$@" | :').err == ""


def test_a_character_that_the_terminal_lacks_ends_no_command(shop: Project) -> None:
    shop.edit("include/sql/items.sql", "SUM(amount)", "SUM(amount) + 1")
    code, lines = _shown(shop, "plan", "items", "--yes", "--last", "1", encoding="ascii")
    assert code == 0
    assert "- changed: item \\u8336; amount 1150 \\u2192 1151" in lines
    code, lines = _shown(shop, "check-account", encoding="latin-1")
    assert code == 0
    assert lines[0] == f"\\u2713 workgroup {ENVIRONMENT}"


def _shown(shop: Project, *arguments: str, encoding: str) -> tuple[int, list[str]]:
    """The exit code of a command, and its lines in a terminal of this encoding."""
    screen = BytesIO()
    with shop.patch.context() as patch:
        patch.setattr(sys, "stdout", TextIOWrapper(screen, encoding=encoding))
        done = shop.run(*arguments)
        return done.code, screen.getvalue().decode(encoding).splitlines()


def test_ctrl_c_at_a_question_of_new_in_a_terminal_writes_nothing(shop: Project) -> None:
    before = shop.files()
    terminal, name = _open_terminal()
    with shop.start("new", "best", shell='"$@" <"$TERMINAL"', session=True, TERMINAL=name) as new:
        read_until(new.stdout, "Events table: ")
        os.write(terminal, b"sales\n")
        read_until(new.stdout, "Column to rank: ")
        _press_ctrl_c(terminal, new)
        done = shop.ended(new)
    os.close(terminal)
    assert (done.code, done.err.strip()) == (1, "Aborted!")
    assert shop.files() == before


def _press_ctrl_c(terminal: int, process: subprocess.Popen[str]) -> None:
    """Press it when a process waits for an answer. Python loses one that comes just before that."""
    call = Path("/proc", str(process.pid), "syscall")
    while process.poll() is None and call.read_text().split()[1:2] != ["0x0"]:  # read(0, ...)
        time.sleep(0.01)
    os.write(terminal, CTRL_C.encode())
    process.wait()


def _open_terminal() -> tuple[int, str]:
    """A terminal: what is typed into it goes into the first, and its device is the second."""
    terminal, device = pty.openpty()
    name = os.ttyname(device)
    os.close(device)
    return terminal, name


def test_a_closed_standard_input_answers_nothing(shop: Project) -> None:
    before = shop.files()
    done = shop.shell("new", "best", shell='"$@" <&-')
    assert done.code == 1
    assert done.err.rstrip().endswith("Aborted!")
    assert "Traceback" not in done.err
    assert done.changed_nothing
    assert shop.files() == before


def _send_when_held(shop: Project, number: signal.Signals) -> None:
    while not shop.account.is_holding():
        time.sleep(0.05)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("test items/bounds", signal.SIGTERM, 143),
        pytest.param("test items/bounds", signal.SIGINT, 130, marks=pytest.mark.full),
        # CI stops it as a process with its own services, in test_services.py.
        pytest.param("preview items 2025-06-09 --run", signal.SIGINT, 130, marks=pytest.mark.full),
        pytest.param("plan items --yes", signal.SIGHUP, 129, marks=pytest.mark.full),
    ],
)
def test_a_signal_stops_the_query_and_leaves_nothing(
    command: str, number: signal.Signals, code: int, shop: Project, faults: Faults
) -> None:
    faults.add(Hold(sql="What was sold", times=None, workgroup=ENVIRONMENT))
    with ThreadPoolExecutor() as pool:
        pool.submit(_send_when_held, shop, number)
        done = shop.run(*command.split())
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert [query.state for query in done.queries] == ["CANCELLED"]
    assert not [uri for uri in done.objects if "_cases" in uri]
    names = [item["Name"] for item in shop.services.glue.get_databases()["DatabaseList"]]
    assert not [name for name in names if name.startswith("case_")]


SWALLOWS = """# build_dag
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    pass  # as Python's input does in a rare moment
os.kill(os.getpid(), signal.{second})
"""


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_after_a_signal_that_was_lost_the_next_one_ends_the_command(
    second: str, code: int, shop: Project
) -> None:
    shop.write("dags/swallows.py", SWALLOWS.format(second=second))
    done = shop.run("docs", "items")
    assert (done.code, done.out) == (code, "")


@pytest.mark.parametrize("command", ["docs items", "up"])
def test_outside_of_any_project_a_command_says_so_and_does_nothing(
    command: str, shop: Project
) -> None:
    elsewhere = shop.root.with_name("elsewhere")
    elsewhere.mkdir()
    done = shop.run(*command.split(), folder="../elsewhere")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{elsewhere} is not in a reports project.")


def test_a_module_that_no_extra_brings_is_an_error_of_its_own(shop: Project) -> None:
    def import_pandas() -> None:
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    shop.patch.setattr("athena_reports_cli.authoring.report_files.declared_reports", import_pandas)
    with pytest.raises(ModuleNotFoundError, match="pandas"):
        shop.run("docs", "items")


def test_a_shell_completes_commands_and_options(shop: Project) -> None:
    def completed(words: str, number: int) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(number)}
        return shop.run(_ATHENA_REPORTS_COMPLETE="complete_bash", **asked).lines

    assert completed("athena-reports pre", 1) == ["preview"]
    assert set(completed("athena-reports mwaa-check --", 2)) >= {"--env", "--version"}
    assert "athena-reports" in shop.run(_ATHENA_REPORTS_COMPLETE="source_bash").out
