"""What only a shell shows: processes, terminals, pipes and signals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from athena_reports_cli.authoring import trial
from local_athena.faults import Fault, Faults, Hold
from tests.services.commands.project import CTRL_C, ENVIRONMENT, WEEKS, Project

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
Strike = Callable[[Fault], None]
OPTIONS = {
    "init": [
        *("--report", "--table", "--ranked", "--time", "--since", "--owner", "--until"),
        *("--partition", "--timezone"),
    ],
    "new": ["--table", "--ranked", "--time", "--since", "--owner", "--until", "--partition"],
    "check": ["--renew"],
    "load": ["--time", "--by", "--partition-key", "--zone", "--type", "--date-format"],
    "preview": ["--run", "--json"],
    "plan": ["--last", "--row-key", "--yes", "--json"],
    "run": ["--airflow"],
    "backfill": ["--from", "--to", "--airflow", "--yes", "--wait"],
    "docs": [],
    "list": ["--json"],
    "status": ["--json"],
    "costs": ["--months", "--json"],
    "test": ["--accept", "--json"],
    "check-account": ["--airflow", "--json"],
    "up": ["--port"],
    "bundle": ["--env"],
    "mwaa-check": ["--version", "--env"],
}


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
    assert [line.split()[0] for line in listed.splitlines() if line[2] != " "] == list(OPTIONS)
    assert "athena-reports init my-reports" in examples
    assert shop.run("previw").code == 2


@pytest.mark.parametrize("command", OPTIONS)
def test_the_help_of_a_command_names_its_options_and_looks_for_nothing(
    command: str, shop: Project
) -> None:
    shop.write("dags/broken.py", "# build_dag\nraise SystemExit('it was imported')\n")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "COLUMNS": "120"}
    done = shop.run(command, "--help", **nowhere)
    assert (done.code, done.err) == (0, "")
    for option in OPTIONS[command]:
        assert f"{option} " in done.out
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


def test_a_closed_standard_output_is_no_error_and_airflow_home_of_the_shell_is_kept(
    shop: Project, tmp_path: Path, folders_of_airflow: Callable[[], list[str]]
) -> None:
    home = str(tmp_path / "home")
    done = shop.shell("docs", "items", shell='"$@" >&-', AIRFLOW_HOME=home)
    assert (done.code, done.err) == (0, "")
    assert folders_of_airflow()[0] == home


def test_a_reader_that_has_gone_away_leaves_standard_error_empty(shop: Project) -> None:
    """The exit code is that of the reader."""
    assert shop.shell("docs", "items", shell='"$@" | :').err == ""


# CI has a cheaper sibling: a reader that has gone away before the command prints.
@pytest.mark.full
@pytest.mark.parametrize("command", ["docs items", "plan items --yes --last 1", "check-account"])
def test_a_reader_that_goes_away_leaves_no_traceback(command: str, shop: Project) -> None:
    """As `head` does, and `less` when it is left."""
    with shop.start(*command.split()) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
        process.wait()
    # What a command paid before it ended is not of the next one.
    shop.account.new_queries()
    shop.account.changed_objects()
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


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


# CI has a cheaper sibling: the question of `new`, which loads no Airflow.
@pytest.mark.full
def test_ctrl_c_at_a_question_in_a_terminal_pays_nothing(shop: Project) -> None:
    shop.edit("include/sql/items.sql", "SUM(amount)", "SUM(amount) + 1")
    terminal, name = _open_terminal()
    # The leader of a session gets the terminal that it opens first.
    with shop.start(
        "plan", "items", shell='"$@" <"$TERMINAL"', session=True, TERMINAL=name
    ) as plan:
        read_until(plan.stderr, "USD)? [y/N]: ")
        _press_ctrl_c(terminal, plan)
        done = shop.ended(plan)
    os.close(terminal)
    assert (done.code, done.out) == (1, "")
    assert done.err.strip() == "Aborted!"
    assert done.changed_nothing


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


@pytest.mark.parametrize(
    "command", ["new best", pytest.param("plan items", marks=pytest.mark.full)]
)
def test_a_closed_standard_input_answers_nothing(command: str, shop: Project) -> None:
    before = shop.files()
    done = shop.shell(*command.split(), shell='"$@" <&-')
    assert done.code == 1
    assert done.err.rstrip().endswith("Aborted!")
    assert "Traceback" not in done.err
    assert done.changed_nothing
    assert shop.files() == before


def _wait_until_held(shop: Project, process: subprocess.Popen[str]) -> None:
    while not shop.account.is_holding():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("test items/bounds", signal.SIGTERM, 143),
        pytest.param("test items/bounds", signal.SIGINT, 130, marks=pytest.mark.full),
        # CI stops it with its own services, in test_services.py.
        pytest.param("preview items 2025-06-09 --run", signal.SIGINT, 130, marks=pytest.mark.full),
        ("plan items --yes", signal.SIGHUP, 129),
    ],
)
def test_a_signal_stops_the_query_and_leaves_nothing(
    command: str, number: signal.Signals, code: int, shop: Project, strike: Strike
) -> None:
    strike(Hold(sql="What was sold", times=None, workgroup=ENVIRONMENT))
    with shop.start(*command.split()) as process:
        _wait_until_held(shop, process)
        process.send_signal(number)
        done = shop.ended(process)
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert [query.state for query in done.queries] == ["CANCELLED"]
    assert not [uri for uri in done.objects if "_cases" in uri]
    names = [item["Name"] for item in shop.services.glue.get_databases()["DatabaseList"]]
    assert not [name for name in names if name.startswith("case_")]


def test_a_killed_command_leaves_its_query_which_names_its_author(
    shop: Project, strike: Strike
) -> None:
    """Athena's own limit ends it, or whoever reads its comment in the console."""
    strike(Hold(sql="What was sold", times=None, workgroup=ENVIRONMENT))
    with shop.start("plan", "items", "--yes") as process:
        _wait_until_held(shop, process)
        process.kill()
        done = shop.ended(process)
    assert [(query.command, query.state) for query in done.queries] == [("plan", "RUNNING")]
    assert done.queries[0].author.startswith("arn:aws:")  # as the local STS says


def test_under_nohup_a_closed_terminal_ends_nothing_and_only_the_result_is_printed(
    shop: Project,
) -> None:
    shop.write("dags/noisy.py", "# build_dag\nimport logging\nlogging.warning('noisy')\n")
    preview = ["preview", "items", WEEKS[0], "--run", "--json"]
    faults = Faults(shop.services.endpoint_url)
    hold = faults.add(Hold(sql="What was sold", times=None, workgroup=ENVIRONMENT))
    try:
        ignored = 'sh -c \'trap "" HUP; exec "$@"\' sh "$@"'
        with shop.start(*preview, shell=ignored) as process:
            _wait_until_held(shop, process)
            process.send_signal(signal.SIGHUP)
            faults.clear(hold)
            done = shop.ended(process)
    finally:
        if hold in [fault["id"] for fault in faults.list()]:
            faults.clear(hold)
    assert (done.code, done.err) == (0, "")
    assert done.json  # and nothing else
    (query,) = done.queries
    assert (query.command, query.workgroup) == ("preview", ENVIRONMENT)
    assert query.state == "SUCCEEDED"


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


def test_a_signal_that_the_shell_has_ignored_ends_nothing(shop: Project) -> None:
    """As under `nohup`."""
    shop.write("dags/hangs_up.py", SWALLOWS.format(second="SIGHUP"))
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = shop.run("docs", "items")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# items\n")


def test_a_second_signal_does_not_break_off_the_stop_of_the_query(
    shop: Project, strike: Strike
) -> None:
    strike(Hold(sql="What was sold", times=None, workgroup=ENVIRONMENT))
    stop = trial._stop

    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def interrupt_and_stop(*arguments: Any) -> None:
        try:
            raise ConnectionError  # which botocore may be handling just then
        except ConnectionError:
            interrupt()
        stop(*arguments)

    def interrupt_while_held(_: float) -> None:
        if shop.account.is_holding():  # and not while the report is validated
            interrupt()

    shop.patch.setattr(trial, "time", SimpleNamespace(sleep=interrupt_while_held))
    shop.patch.setattr(trial, "_stop", interrupt_and_stop)
    done = shop.run("preview", "items", WEEKS[0], "--run")
    assert (done.code, done.out) == (130, "")
    assert [query.state for query in done.queries] == ["CANCELLED"]


@pytest.mark.parametrize("command", ["docs items", "check", "up", "bundle", "new best"])
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
