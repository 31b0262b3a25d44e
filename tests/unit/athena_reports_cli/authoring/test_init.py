"""`init`: a whole project that passes what its author runs, or nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import date
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from athena_reports import __version__
from athena_reports_cli.authoring.commands import app
from athena_reports_cli.authoring.init import write_project
from athena_reports_cli.authoring.new import NewReport
from athena_reports_cli.authoring.project_folder import InitError
from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.authoring.text_templates import text_templates
from tests.support.code_blocks import blocks_of, commands_of
from tests.support.paths import ROOT
from tests.support.shell import Shell

OPTIONS = {
    "--report": "best_users",
    "--table": "plays",
    "--ranked": "user_id",
    "--time": "played_at",
    "--since": "2025-01-01",
    "--owner": "analytics",
}
FILES = {
    ".github/workflows/ci.yaml",
    ".github/workflows/deploy.yaml",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".sqlfluff",
    "AGENTS.md",
    "README.md",
    "dags/.airflowignore",
    "dags/athena_reports_maintenance.py",
    "dags/best_users.py",
    "deploy/deploy.sh",
    "deploy/environments/dev.env",
    "deploy/environments/dev.yaml",
    "deploy/environments/prd.env",
    "deploy/environments/prd.yaml",
    "deploy/environments/stg.env",
    "deploy/environments/stg.yaml",
    "docker-compose.yaml",
    "include/sql/best_users.sql",
    "plugins/README.md",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "tables.yaml",
    "tests/reports/best_users/bounds/case.yaml",
    "tests/reports/best_users/bounds/expected.csv",
    "tests/reports/best_users/bounds/plays.csv",
    "tests/reports/best_users/golden/monthly_2025-01.sql",
    "tests/reports/best_users/golden/weekly_2025-01-06.sql",
}
REPORT = NewReport(
    name="best",
    table="plays",
    ranked="user_id",
    time="played_at",
    owner="us",
    since=date(2025, 1, 1),
)
WHEEL = f"athena_reports_cli-{__version__}-py3-none-any.whl"
WHEEL_OF_LIBRARY = f"athena_reports-{__version__}-py3-none-any.whl"
ENTRY_POINT = "[airflow.plugins]\nathena_reports = athena_reports.plugin:AthenaReportsPlugin\n"
WHEEL_OF_LOCAL_ATHENA = "local_athena-7.0-py3-none-any.whl"


def options(**changed: str) -> list[str]:
    values = OPTIONS | {f"--{name}": text for name, text in changed.items()}
    return [word for pair in values.items() for word in pair]


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class Packages:
    """What pip has written down of the packages that it installed.

    Attributes:
        folder: The folder of the packages, for the path of Python.
        dist: A folder with a wheel of each.
    """

    def __init__(self, folder: Path, dist: Path) -> None:
        self.folder = folder
        self.dist = dist
        dist.mkdir()
        for name in (WHEEL, WHEEL_OF_LIBRARY, WHEEL_OF_LOCAL_ATHENA):
            (dist / name).write_text(name)

    def add(self, name: str, version: str, url: str = "") -> None:
        """A package, installed from a URL or from an index."""
        folder = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text)
        if name == "athena-reports":
            (folder / "entry_points.txt").write_text(ENTRY_POINT)
        if url:
            (folder / "direct_url.json").write_text(json.dumps({"url": url}))

    def url(self, wheel: str) -> str:
        return (self.dist / wheel).as_uri()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Nothing is installed but what the test adds, and what this repository is tested with."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return Packages(folder, tmp_path / "my wheels")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.ci
def test_what_is_not_given_is_asked_for_and_an_empty_folder_is_filled(
    work: Path, packages: Packages
) -> None:
    packages.add("athena-reports-cli", __version__)
    packages.add("athena-reports", __version__)
    (work / "reports").mkdir()

    # Each answer is validated before the next question.
    asked = {name: text for name, text in OPTIONS.items() if name != "--owner"}
    answers = "Best-Users\n" + "".join(f"{text}\n" for text in asked.values())
    # In a process of its own: its Airflow has the settings of the project.
    path = os.pathsep.join([str(packages.folder), f"{ROOT}/plugins", f"{ROOT}/cli"])
    done = subprocess.run(
        [sys.executable, "-m", "athena_reports_cli", "init", "reports", "--until", "2025-01-20"],
        env={"PATH": os.environ["PATH"], "HOME": str(work), "PYTHONPATH": path},
        input=answers,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    refused, _, questions = done.stdout.partition("\n")
    assert refused.startswith('Name of the first report: Error: "Best-Users" is not a valid')
    assert questions.startswith(
        "Name of the first report: Events table: Column to rank: Event time (a timestamp in"
        " UTC): First date with data: "
    )
    assert [path.name for path in work.iterdir()] == ["reports"]
    written = files(work / "reports")
    assert written.keys() == FILES  # the package is on an index: there is no wheel
    assert not any(b"wheels" in text for text in written.values())
    assert f"=={__version__}\n".encode() in written["requirements.txt"]
    # The Airflow of its author is that of its containers and of the check before a deployment.
    airflow = distribution("apache-airflow").version
    assert written["requirements-dev.txt"].decode().splitlines()[1:] == [
        "-r requirements.txt",
        f"athena-reports-cli[mwaa]=={__version__}",
        f"apache-airflow=={airflow}",
    ]
    image = f"reports-airflow:{airflow}"
    assert image in written["docker-compose.yaml"].decode()
    assert f"mwaa-check --env stg --version {airflow} " in written["README.md"].decode()
    for environment in ("dev", "stg", "prd"):
        lines = written[f"deploy/environments/{environment}.env"].decode().splitlines()
        assert {line[0] for line in lines} == {"#"}  # nothing is set before somebody decides it
        assert f"# ATHENA_REPORTS_POOL=athena_{environment}" in lines
        parameters = yaml.safe_load(written[f"deploy/environments/{environment}.yaml"])
        assert parameters == {"AirflowVersion": airflow}
    assert yaml.safe_load(written["docker-compose.yaml"])["name"] == "reports"


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("My-Reports", '"My-Reports" is not a valid project name: use lower-case letters'),
        ("2025", "begin with a letter"),
        ("full", "is not empty. Choose another folder, such as full-2"),
        ("hidden", "is not empty."),
        ("file", "Cannot write "),
        (".", "is the working directory, which cannot be replaced. Run"),
        ("none/reports", "No such file or directory. Choose another folder."),
        ("r" * 300, ": File name too long. Choose another folder."),
    ],
)
def test_a_place_that_is_none_is_refused(
    folder: str, problem: str, tmp_path: Path, packages: Packages, work: Path, shell: Shell
) -> None:
    packages.add("athena-reports-cli", __version__)
    if folder != ".":
        for name in ("full/notes.txt", "hidden/.git/HEAD", "file"):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text("mine")
    before = files(tmp_path)

    code, printed = shell("init", folder)

    assert code == 1
    assert problem in printed
    assert "first report" not in printed  # nothing is asked before
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("changed", "expected_code", "problem"),
    [
        ({"report": "class-1"}, 2, "class-1"),
        ({"table": "a b"}, 2, "a b"),
        ({"ranked": "played_at"}, 1, "must be different columns"),
        ({"timezone": "Tokyo"}, 1, "Tokyo"),
        ({"owner": " "}, 2, "'--owner'"),
    ],
)
def test_a_report_that_could_not_run_makes_no_project(
    changed: dict[str, str],
    expected_code: int,
    problem: str,
    packages: Packages,
    work: Path,
    shell: Shell,
) -> None:
    packages.add("athena-reports-cli", __version__)
    code, printed = shell("init", "reports", *options(**changed))
    assert code == expected_code
    assert problem in printed
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///src/athena-reports",
        "https://example.com/athena_reports-0.2.0-py3-none-any.whl",
        "file:///gone/athena_reports-0.2.0-py3-none-any.whl",
    ],
)
def test_a_wheel_that_cannot_be_kept_makes_no_project(
    url: str, packages: Packages, work: Path, shell: Shell
) -> None:
    packages.add("athena-reports-cli", __version__, url)
    code, printed = shell("init", "reports", *options())
    assert code == 1
    assert f"athena-reports-cli was installed from {url}, which is not a wheel." in printed
    assert list(work.iterdir()) == []


def test_a_project_is_there_as_a_whole_or_not_at_all(
    work: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Repository) -> None:
        raise OSError(28, "No space left on device")

    packages.add("athena-reports-cli", __version__)
    monkeypatch.setattr("athena_reports_cli.authoring.init.renew", fail)
    monkeypatch.setattr("sys.dont_write_bytecode", sys.dont_write_bytecode)  # which it sets
    with pytest.raises(InitError) as refused:
        write_project(work / "reports", REPORT)
    problem = "[Errno 28] No space left on device. Nothing was written."
    assert str(refused.value) == f"{work / 'reports'}: {problem}"
    assert list(work.iterdir()) == []


def test_a_project_is_written_beside_its_place_and_has_the_wheels_that_are_installed(
    work: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.add("athena-reports-cli", __version__, packages.url(WHEEL))
    packages.add("athena-reports", __version__)
    packages.add("local-athena", "7.0")
    for version in ("6.0", "7.0.1", "10.0"):
        (packages.dist / f"local_athena-{version}-py3-none-any.whl").write_text(version)
    monkeypatch.setattr("sys.dont_write_bytecode", False)

    def look(repository: Repository) -> None:
        assert repository.root.name == "my_reports-2"
        assert repository.root.parent.parent == work  # so that it can be renamed
        assert sys.dont_write_bytecode

    monkeypatch.setattr("athena_reports_cli.authoring.init.renew", look)
    report = REPORT.model_copy(update={"until": date(2025, 1, 20)})
    write_project(work / "my_reports-2", report)
    project = work / "my_reports-2"
    assert [path.name for path in work.iterdir()] == ["my_reports-2"]
    assert 'name="best"' in (project / "dags" / "best.py").read_text()
    # The example is about dates that have data.
    assert " --from 2025-01-01 --to 2025-01-20 " in (project / "README.md").read_text()
    wheels = {path.name: path.read_text() for path in (project / "wheels").iterdir()}
    assert wheels == {name: name for name in (WHEEL, WHEEL_OF_LIBRARY, WHEEL_OF_LOCAL_ATHENA)}
    assert "--find-links wheels\n" in (project / "requirements.txt").read_text()


# --- what a project is


VALUES = {"name": "reports", "airflow": "3.3.1", "wheels": False, "last_date": "2025-01-31"}


def rendered(template: str, report: NewReport = REPORT) -> str:
    return text_templates().get_template(f"project/{template}.jinja").render(VALUES, report=report)


def test_what_this_machine_makes_is_in_no_repository_and_all_else_is(tmp_path: Path) -> None:
    made = [".airflow/up/airflow.db", ".lake/plays/table.json", "dist/mwaa/plugins.zip"]
    made += [".venv/bin/python", "dags/__pycache__/a.pyc"]
    made += ["logs/a.log", "config/airflow.cfg", ".env", ".ruff_cache/a"]
    kept = [*FILES, "wheels/a.whl", "config/airflow_local_settings.py"]
    (tmp_path / ".gitignore").write_text(rendered("gitignore"))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *made, *kept],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == made


def test_each_path_that_a_page_of_a_project_has_is_one_of_its_files() -> None:
    report = REPORT.model_copy(update={"name": "best_users"})
    for page in ("README.md", "AGENTS.md"):
        text = rendered(page, report).replace("<name>", "best_users")
        paths = set(re.findall(r"`((?:dags|include|tests|\.github)/[^`]*)`", text))
        assert len(paths) >= 3
        for path in paths:
            assert any(file.startswith(path) for file in FILES), (page, path)


INLINE_CODE = re.compile(r"`athena-reports ([^`]+)`")


@pytest.mark.parametrize("page", ["README.md", "AGENTS.md"])
def test_each_command_that_a_page_of_a_project_has_is_one_with_its_options(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a project without reports: `new` rejects the name of a report that exists.
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / page
    path.write_text(rendered(page))
    typed = [command for block in blocks_of(path) for command in commands_of(block)]
    # Within a sentence, the ones that are whole.
    inline = INLINE_CODE.findall(" ".join(path.read_text().split()))
    typed += [f"athena-reports {command}" for command in inline if "<name>" in command]
    group: Any = typer.main.get_command(app)
    names = []
    for line in typed:
        typed_line = line.replace("<date>", "2025-01-01").replace("<column>", "at")
        typed_line = re.sub("<(name|table|owner|period)>", "best_users", typed_line)
        words = shlex.split(typed_line, comments=True)
        if words[0] != "athena-reports":
            continue
        _, name, *arguments = words
        names.append(name)
        group.commands[name].make_context(name, arguments)
    assert {"README.md": "backfill", "AGENTS.md": "preview"}[page] in names


# --- what a project has in common with this repository

TEMPLATES = ROOT / "cli" / "athena_reports_cli" / "authoring" / "templates" / "project"


def test_the_maintenance_of_a_project_is_the_one_here() -> None:
    here = (ROOT / "dags" / "athena_reports_maintenance.py").read_text()
    assert (TEMPLATES / "maintenance.py.jinja").read_text() == here


@pytest.mark.parametrize("workflow", ["ci.yaml", "deploy.yaml"])
def test_a_workflow_uses_the_actions_that_are_used_here(workflow: str) -> None:
    def actions(text: str) -> set[str]:
        return set(re.findall(r"uses: (\S+@\S+ # \S+)", text))

    template = (TEMPLATES / f"{workflow}.jinja").read_text()
    here = (ROOT / ".github" / "workflows" / workflow).read_text()
    assert actions(template)
    assert actions(template) <= actions(here)


@pytest.mark.parametrize(
    ("workflow", "installs"),
    [
        (ROOT / ".github" / "workflows" / "deploy.yaml", "make setup"),
        (TEMPLATES / "deploy.yaml.jinja", "pip install"),
    ],
    ids=["here", "project"],
)
def test_packages_are_installed_before_there_are_credentials_to_read(
    workflow: Path, installs: str
) -> None:
    steps = yaml.safe_load(workflow.read_text())["jobs"]["deploy"]["steps"]
    (install,) = [n for n, step in enumerate(steps) if installs in step.get("run", "")]
    (credentials,) = [
        n for n, step in enumerate(steps) if "configure-aws-credentials" in step.get("uses", "")
    ]
    assert install < credentials


def test_a_project_deploys_only_by_hand_and_with_the_rights_and_times_that_are_used_here() -> None:
    theirs = yaml.safe_load((TEMPLATES / "deploy.yaml.jinja").read_text())
    ours = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yaml").read_text())
    assert list(theirs[True]) == ["workflow_dispatch"]  # YAML reads the key `on` as true
    # A change of the stack takes hours, for which the credentials and the job have to last.
    seconds = []
    for workflow in (theirs, ours):
        job = workflow["jobs"]["deploy"]
        steps = job["steps"]
        job["steps"] = [step for step in steps if "uses" in step]
        seconds += [
            step["with"]["role-duration-seconds"]
            for step in job["steps"]
            if "role-to-assume" in step["with"]
        ]
    assert theirs == ours
    assert seconds == [3 * 60 * 60] * 2
