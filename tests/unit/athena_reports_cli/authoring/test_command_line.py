"""What the commands need beside the library; tests/services/commands types each of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from tests.support.flown import DAG_ID, Flown, write
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
EXTRAS = ("local_athena", "sqlfluff", "sqlglot", "time_machine", "trino_sql_validator", "uv")
# As where these modules are not installed.
WITHOUT = """
import importlib.util, json, sys
absent = json.loads(sys.argv.pop(1))
for module in absent:
    sys.modules[module] = None
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in absent else find_spec(name)
from athena_reports_cli.authoring.command_line import main
main()
"""
NOWHERE = {"AWS_ENDPOINT_URL": "", "ATHENA_REPORTS_ENV": ""}


@pytest.fixture
def alone(tmp_path: Path) -> Flown:
    """The folder of the report `flown`, beside services that do not answer."""
    root = tmp_path / "flown"
    write(root)
    return Flown(root, Services("http://127.0.0.1:9"))


def run(
    flown: Flown, *arguments: str, absent: Collection[str] = EXTRAS, **variables: str
) -> tuple[int, str, str]:
    """Run a command where modules are absent."""
    program = ("-c", WITHOUT, json.dumps(list(absent)))
    with flown.start(*arguments, program=program, **variables) as process:
        printed, errors = process.communicate("")
    return process.returncode, printed, errors


@pytest.fixture
def deployable(alone: Flown) -> Flown:
    """The project, with what a bundle is made of."""
    (alone.root / "requirements.txt").touch()
    (alone.root / "deploy" / "environments").mkdir(parents=True)
    (alone.root / "deploy" / "environments" / "prd.env").touch()
    (alone.root / "include" / "sql").mkdir(parents=True)
    (alone.root / "plugins").mkdir()
    return alone


NEW = [
    *("new", "best", "--table=flights", "--key=carrier", "--time=time_hour"),
    *("--since=2013-03-04", "--owner=us"),
]


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        (["preview", DAG_ID], "sqlglot", "authors"),
        pytest.param(["plan", DAG_ID], "sqlglot", "authors", marks=pytest.mark.ci),
        pytest.param(["check"], "time_machine", "authors", marks=pytest.mark.ci),
        pytest.param(NEW, "sqlglot", "authors", marks=pytest.mark.ci),
        pytest.param(["test"], "local_athena", "authors", marks=pytest.mark.ci),
        (["up", "--port=0"], "local_athena", "authors"),
        (["mwaa-check", "--version=3.3.1"], "uv", "mwaa"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_command_says_which_extra_it_needs_and_writes_nothing(
    command: list[str], module: str, extra: str, deployable: Flown
) -> None:
    before = sorted(deployable.root.rglob("*.sql"))
    variables = NOWHERE if module == "local_athena" else {}
    code, _, errors = run(deployable, *command, **variables)
    assert errors.strip() == (
        f"This command needs {module}, which is not installed."
        f" Install it: python -m pip install 'athena-reports[{extra}]'"
    )
    assert code == 1
    assert sorted(deployable.root.rglob("*.sql")) == before


def test_the_local_services_are_asked_for_before_minutes_go_into_a_twin(deployable: Flown) -> None:
    absent = [module for module in EXTRAS if module != "uv"]
    code, _, errors = run(deployable, "mwaa-check", "--version=3.3.1", absent=absent, **NOWHERE)
    assert errors.startswith("This command needs local_athena, which is not installed.")
    assert code == 1
    assert not list(deployable.root.rglob("venv"))


def test_without_the_extras_a_command_that_needs_none_runs_and_each_has_its_help(
    alone: Flown,
) -> None:
    code, printed, errors = run(alone, "docs", DAG_ID, **NOWHERE)
    assert code == 0, errors
    assert "flights" in printed
    for arguments in (["--help"], ["check", "--help"], ["deploy", "--help"]):
        code, printed, errors = run(alone, *arguments)
        assert (code, errors) == (0, "")
        assert "Usage: athena-reports" in printed


@pytest.mark.parametrize("module", [*EXTRAS, "sqlglot.dialects"])
def test_each_module_of_an_extra_is_told_with_its_extra(
    module: str, shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("athena_reports_cli.authoring.rules.check.check", check)
    code, printed = shell("check")
    assert (code, printed.strip()) == (
        1,
        f"This command needs {module.partition('.')[0]}, which is not installed."
        " Install it: python -m pip install 'athena-reports[authors]'",
    )


def test_a_module_that_no_extra_brings_is_an_error_of_python(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("athena_reports_cli.authoring.rules.check.check", check)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        shell("check")


OF_VERSIONS = """
import importlib.metadata, json, sys
versions = json.loads(sys.argv.pop(1))
if versions["python"]:
    sys.version_info = (*versions["python"], "final", 0)
version = importlib.metadata.version
def version_of(package):
    if package in versions:
        return versions[package]
    if package.startswith("apache-airflow"):
        raise importlib.metadata.PackageNotFoundError(package)
    return version(package)
importlib.metadata.version = version_of
from athena_reports_cli.authoring.command_line import main
main()
"""
CORE = "apache-airflow-core"
INSTALL = "Install apache-airflow==3.2.1 or later."


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        (
            {"python": [3, 10, 13], CORE: "3.3.1"},
            "athena-reports needs Python 3.11, 3.12 or 3.13, and this is Python 3.10.13."
            " Install it into an environment of one of them.",
        ),
        (
            {"python": None, CORE: "3.2.0"},
            f"athena-reports needs Airflow 3.2.1 or later, and this is 3.2.0. {INSTALL}",
        ),
        (
            {"python": None, "apache-airflow": "2.11.0"},
            f"athena-reports needs Airflow 3.2.1 or later, and this is 2.11.0. {INSTALL}",
        ),
        ({"python": None}, f"athena-reports needs Airflow, which is not installed. {INSTALL}"),
        ({"python": None, CORE: "3.2.1"}, ""),
        ({"python": None, CORE: "3.10.0rc1"}, ""),
    ],
)
def test_another_python_or_airflow_is_one_message(
    versions: dict[str, object], problem: str, alone: Flown
) -> None:
    with alone.start("--help", program=("-c", OF_VERSIONS, json.dumps(versions))) as process:
        _, errors = process.communicate("")
    assert process.returncode == (1 if problem else 0)
    assert errors == (f"{problem}\n" if problem else "")
