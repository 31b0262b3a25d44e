"""Which DAG files the author's commands read,
and that one of them never ends a command that is about another.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from tests.support.reports import DAGS
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
BROKEN = {
    "latin_1": (
        '"""Café, an Airflow DAG by build_dag."""\n'.encode("latin-1"),
        "Save the file as UTF-8.",
    ),
    "utf_16": ('"""An Airflow DAG by build_dag."""\n'.encode("utf-16"), "Save the file as UTF-8."),
    "unknown_encoding": (
        b"# coding: utf-9\n# An Airflow DAG by build_dag.\n",
        "unknown encoding: utf-9",
    ),
    "null_byte": (b"from athena_reports import build_dag\n\0", "null bytes"),
    "syntax": (
        b"from athena_reports import build_dag\nthis is no Python\n",
        "SyntaxError: invalid syntax",
    ),
    "exits": (b"import sys\nfrom athena_reports import build_dag\nsys.exit()\n", "SystemExit"),
    "exits_with_a_text": (
        b"from athena_reports import build_dag\nraise SystemExit('none')\n",
        "SystemExit: none",
    ),
    "base_exception": (
        (
            b"from athena_reports import build_dag\nclass Stop(BaseException): pass\nraise"
            b" Stop('here')\n"
        ),
        "Stop: here",
    ),
    "in_a_function": (
        b"from athena_reports import build_dag\ndef zone():\n    return 1 / 0\nzone()\n",
        "line 3: ZeroDivisionError",  # not line 4, which calls it
    ),
    "report": (
        b"from athena_reports import Report, build_dag\nReport(name='Gone')\n",
        "Report 'Gone', field 'name'",
    ),
}
COMMANDS = [
    ["docs", "top_users"],
    ["status", "top_users_weekly"],
    ["costs", "--json"],
    ["check-account", "--json"],
    ["preview", "top_users", "2025-05", "--json"],
    ["test", "top_users"],
]


@pytest.fixture
def dags(tmp_path: Path, shell: Shell, services: Services, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGs folder with one report, and its case, in the project of the current folder."""
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    folder = tmp_path / "dags"
    folder.mkdir()
    shutil.copy(DAGS / "top_users.py", folder)
    case = tmp_path / "tests" / "reports" / "top_users" / "one"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text("period: 2025-06-15\n")
    (case / "plays.csv").write_text(
        "user_id string,score bigint,played_at timestamp,dt string\n"
        "a,1,2025-06-16 00:00:00,2025-06-16\n"
    )
    (case / "expected.csv").write_text('"rank","user_id","score","previous_rank"\n1,"a",1,\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder))
    return folder


@pytest.mark.usefixtures("plays_lake")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_broken_file_is_told_and_other_reports_work(
    command: list[str], shell: Shell, dags: Path
) -> None:
    assert (shell(*command)[0], shell.errors) == (0, "")
    output = without_times(shell.output)

    for name, (content, _) in BROKEN.items():
        (dags / f"{name}.py").write_bytes(content)
    # What it says of all reports, or of the state of things, may lack something.
    is_incomplete = command[0] in ("status", "costs", "check-account")
    assert shell(*command)[0] == int(is_incomplete)

    assert without_times(shell.output) == output
    told = shell.errors.splitlines()
    for name, (_, reason) in BROKEN.items():
        (line,) = (line for line in told if f"{dags / name}.py" in line)
        assert "cannot be imported" in line
        assert reason in line


def without_times(output: str) -> str:
    return re.sub(r"[\d.]+ s\b", "", output)


@pytest.mark.parametrize("name", BROKEN)
def test_a_report_whose_file_is_broken_is_told_with_the_reason(
    name: str, shell: Shell, dags: Path
) -> None:
    content, reason = BROKEN[name]
    (dags / f"{name}.py").write_bytes(content)

    code, printed = shell("docs", "gone")

    assert code == 1
    assert printed.count(f"{dags / name}.py cannot be imported") == 1
    assert reason in printed
    assert 'There is no report "gone".' in printed


def test_a_file_of_another_encoding_that_says_so_is_read(shell: Shell, dags: Path) -> None:
    source = (DAGS / "top_users.py").read_text().replace("who scored", "who scored in the café")
    (dags / "top_users.py").write_bytes(f"# coding: latin-1\n{source}".encode("latin-1"))

    code, printed = shell("docs", "top_users")

    assert (code, shell.errors) == (0, "")
    assert "café" in printed


def test_ctrl_c_still_ends_a_command(shell: Shell, dags: Path) -> None:
    (dags / "stopped.py").write_text(
        "from athena_reports import build_dag\nraise KeyboardInterrupt\n"
    )

    assert shell("docs", "top_users")[0] == 130
    assert "cannot be imported" not in shell.errors


IGNORED = (
    "from athena_reports import build_dag\nfrom pathlib import Path\nPath('read').touch()\n1 / 0\n"
)


def test_what_airflowignore_names_is_not_read(shell: Shell, dags: Path) -> None:
    (dags / "drafts" / "deep").mkdir(parents=True)
    for path in (
        "idea.py",
        "drafts/first.py",
        "drafts/deep/second.py",
        "team/local.py",
        "team/kept.py",
    ):
        (dags / path).parent.mkdir(exist_ok=True)
        (dags / path).write_text(IGNORED)
    (dags / ".airflowignore").write_text("# not ready\nidea*\ndrafts/\n")
    (dags / "team" / ".airflowignore").write_text("*\n!kept.py\n")
    shutil.copy(DAGS / "carriers.py", dags / "team" / "kept.py")

    code, printed = shell("docs", "carriers")

    assert (code, shell.errors) == (0, "")
    assert "carriers" in printed
    assert not Path("read").exists()


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_folder_without_files_has_no_report(there: bool, shell: Shell, dags: Path) -> None:
    shutil.rmtree(dags)
    if there:
        dags.mkdir()

    code, printed = shell("docs", "top_users")

    assert code == 1
    assert 'There is no report "top_users".' in printed
