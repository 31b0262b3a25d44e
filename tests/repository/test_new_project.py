"""A project of one's own, by the wheels alone: what docs/how-to/start-a-project.md types."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect, sync_playwright

from athena_reports_cli.local.client import DagRun
from athena_reports_cli.local.runtime import free_port
from athena_reports_cli.local.services import Services
from tests.repository.installed import Installed, index_variables
from tests.support.browser import launch, log_in
from tests.support.code_blocks import blocks_of, commands_of
from tests.support.live_airflow import all_finished
from tests.support.local_athena import run_sql
from tests.support.paths import ROOT
from tests.support.repository_copy import running_up

pytestmark = pytest.mark.ci
PAGE = ROOT / "docs" / "how-to" / "start-a-project.md"
COMMANDS = [
    shlex.split(command, comments=True)
    for block in blocks_of(PAGE)
    if block.language == "console"
    for command in commands_of(block)
]
# Seven users in turn, an event each 40 minutes, for eight weeks.
EVENTS = [
    (f"u{number % 7}", datetime(2025, 5, 20, tzinfo=UTC) + timedelta(minutes=40 * number))
    for number in range(2000)
]
WEEK = datetime(2025, 6, 2, tzinfo=ZoneInfo("Asia/Tokyo"))


def command_of_page(*words: str) -> list[str]:
    """The command of the page that begins with these words."""
    (command,) = [command for command in COMMANDS if command[: len(words)] == list(words)]
    return command


def events_of_week(monday: datetime) -> dict[str, int]:
    """How many events each user had in a week of Tokyo, by plain arithmetic."""
    number_of_user: dict[str, int] = {}
    for user, instant in EVENTS:
        if monday <= instant < monday + timedelta(days=7):
            number_of_user[user] = number_of_user.get(user, 0) + 1
    return number_of_user


class Author(Installed):
    """Who has installed the package with its extras, and has a file of events.

    Attributes:
        wheels: The wheels of the package.
        told: What the command that wrote the project has printed.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        super().__init__(folder)
        self.wheels = wheels
        self.told = ""

    @property
    def project(self) -> Path:
        return self.folder / "my-reports"

    def files(self) -> dict[str, bytes]:
        """Every file of the project, by its path."""
        paths = [path for path in self.project.rglob("*") if path.is_file()]
        paths = [path for path in paths if path.suffix != ".pyc"]
        return {str(path.relative_to(self.project)): path.read_bytes() for path in paths}

    def type(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Type the command of the page that begins with these words, where the page has it."""
        command = command_of_page(*words)
        folder = self.folder if words[1] == "init" else self.project
        done = self.run(*command, folder=folder, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def author(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Author:
    """Has written the project, with nothing but what the wheels have.

    It is in a repository that has other rules, such as in a clone of this one, as README.md does
    it.
    """
    author = Author(tmp_path_factory.mktemp("author"), wheels)
    (wheel,) = wheels.glob("athena_reports_cli-*.whl")
    author.install("--find-links", str(wheels), f"{wheel}[mwaa]")
    with (author.folder / "plays.csv").open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user_id", "played_at"])
        for user, instant in EVENTS:
            writer.writerow([user, instant.isoformat(" ")])
    (author.folder / "pyproject.toml").write_text('[tool.ruff.lint]\nselect = ["D", "INP"]\n')
    # Nothing is asked, and no network is reached.
    no_network = {"HTTPS_PROXY": "http://127.0.0.1:1", "UV_OFFLINE": "1"}
    author.told = author.type("athena-reports", "init", **no_network).stdout
    return author


def test_the_commands_are_those_of_the_wheel(author: Author) -> None:
    done = author.run("python", "-c", "import athena_reports, local_athena; print(athena_reports)")
    assert str(author.folder) in done.stdout
    assert str(ROOT) not in done.stdout


@pytest.mark.full  # `check` fails without it, too
def test_airflow_finds_the_plugin_by_its_entry_point(author: Author) -> None:
    done = author.run("airflow", "plugins", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "athena-reports==" in done.stdout
    assert "athena_reports.scheduling.timetable.PeriodTimetable" in done.stdout


def test_the_readme_of_the_project_has_dates_with_data(author: Author) -> None:
    example = "athena-reports backfill best_users --from 2025-01-01 --to 2025-01-31 "
    assert example in (author.project / "README.md").read_text()


@pytest.mark.full  # the author has installed the same requirements
def test_a_colleague_installs_what_it_requires_from_the_wheels_that_it_keeps(
    author: Author,
) -> None:
    built = {wheel.name: wheel.read_bytes() for wheel in author.wheels.iterdir()}
    assert len(built) == 3
    kept = author.project / "wheels"
    assert {wheel.name: wheel.read_bytes() for wheel in kept.iterdir()} == built
    again = author.folder / "again"
    again.mkdir()
    colleague = Installed(again)
    requirements = author.project / "requirements-dev.txt"
    colleague.install("--requirements", str(requirements))
    assert colleague.packages() >= author.packages()
    assert colleague.run("athena-reports", "--help").returncode == 0


# Also the only check in CI of a project as init creates it; `new` is tested by test_new.py.
@pytest.mark.parametrize("second", [(), pytest.param(("busy_users",), marks=pytest.mark.full)])
def test_check_and_each_case_pass_and_check_changes_no_file(
    second: tuple[str, ...], author: Author
) -> None:
    options = ["--table", "plays", "--ranked", "user_id", "--time", "played_at"]
    options += ["--since", "2025-01-01", "--owner", "us"]
    for name in second:
        done = author.run("athena-reports", "new", name, *options, folder=author.project)
        assert done.returncode == 0, done.stderr
    names = ("best_users", *second)
    before = author.files()
    done = author.type("athena-reports", "check")
    assert f"No findings in {1 + len(names)} DAG files, {2 * len(names)} report DAGs" in done.stdout
    assert author.files() == before
    *cases, summary = author.type("athena-reports", "test").stdout.splitlines()
    assert [case.split()[:2] for case in cases] == [["passed", f"{name}/bounds"] for name in names]
    assert summary == f"{len(names)} passed"


def test_a_table_is_loaded_and_a_period_previewed(author: Author) -> None:
    done = author.type("athena-reports", "load")
    assert "plays: 2,000 rows, 56 partitions" in done.stdout
    done = author.type("athena-reports", "preview")
    rows = re.findall(r"│ (u\d) +│ (\d+) +│", done.stdout)
    shown = {user: int(number) for user, number in rows}
    assert shown == events_of_week(WEEK), done.stdout


@pytest.mark.full
def test_it_is_not_written_a_second_time(author: Author) -> None:
    done = author.run(*command_of_page("athena-reports", "init"))
    assert done.returncode == 1
    assert "is not empty" in done.stderr


def test_the_bundle_has_the_library_once(author: Author) -> None:
    author.type("athena-reports", "bundle")
    requirements = (author.project / "dist" / "mwaa" / "requirements.txt").read_text()
    assert "athena-reports" not in re.sub("#.*", "", requirements)
    plugin = "athena_reports_plugin.py"
    with zipfile.ZipFile(author.project / "dist" / "mwaa" / "plugins.zip") as archive:
        assert archive.read(plugin) == (ROOT / "plugins" / plugin).read_bytes()


@pytest.mark.full
def test_up_publishes_what_is_asked_for_and_the_page_shows_it(author: Author) -> None:
    author.type("athena-reports", "load")
    command = [*command_of_page("athena-reports", "up"), "--port", str(free_port())]
    with running_up(command, author.project, author.variables) as up:
        client = up.client
        assert client.rows("/api/v2/importErrors", "import_errors") == []
        command = [*command_of_page("athena-reports", "backfill"), "--yes"]
        done = author.run(*command, folder=author.project)
        assert done.returncode == 0, done.stdout + done.stderr

        def are_done(runs: Sequence[DagRun]) -> bool:
            ours = [run for run in runs if run.run_type == "backfill"]
            return len(ours) == 5 and all_finished(ours)

        # Mondays of June.
        runs = client.wait_for_runs("best_users_weekly", until=are_done, timeout_seconds=600)
        assert {run.state for run in runs if run.run_type == "backfill"} == {"success"}
        sql = "SELECT user_id, events FROM report_dev.best_users_weekly WHERE period = '2025-06-02'"
        athena = Services(up.variables["AWS_ENDPOINT_URL"]).athena
        rows = run_sql(sql, athena, database="report_dev", workgroup="dev")
        published = {row["user_id"]: int(row["events"]) for row in rows}
        assert published == events_of_week(WEEK)
        assert "5 published" in author.type("athena-reports", "status").stdout

        with sync_playwright() as playwright, launch(playwright) as browser:
            page = browser.new_page()
            log_in(page, up.url, *up.login)
            page.goto(f"{up.url}/athena-reports/")
            expect(page.get_by_text("best_users").first).to_be_visible(timeout=30_000)


@pytest.mark.full
def test_the_twin_runs_the_bundle(author: Author) -> None:
    author.type("athena-reports", "load")
    command = command_of_page("athena-reports", "mwaa-check")
    done = author.run(*command, folder=author.project, **index_variables())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
