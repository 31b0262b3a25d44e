"""Runs and checks the code blocks of pages: each kind by the program that it names."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import botocore.session
import typer.main
from botocore import xform_name

from athena_reports.settings import Settings
from athena_reports_cli.authoring.commands import app
from local_athena import __main__ as local_athena
from tests.support.code_blocks import Block, commands_of
from tests.support.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


_AWS_OPTIONS = {
    "region",
    "profile",
    "output",
    "query",
    "endpoint-url",
    "no-cli-pager",
    "cli-input-json",
}


_AWS_CUSTOM = {("s3", command) for command in ("cp", "ls", "rm", "sync")}
_AWS_CUSTOM |= {("configure", "export-credentials")}


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Execute a block; what it defines is added to the names."""
    exec(compile(block.text, str(block), "exec"), names)


def check_console(block: Block) -> None:
    """Hold every command of a console block against the program that it names."""
    commands = commands_of(block)
    assert commands, f"{block}: no line begins with '$ '"
    for command in commands:
        try:
            _check(command)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block}: {command}: {error}") from error


def _check(line: str) -> None:
    for inner in re.findall(r"\$\((.+)\)", line):
        _check(inner)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word.strip(";|&"):
            words.append(word)
            continue
        _check_words(words)
        words = []


def _check_words(words: list[str]) -> None:
    while words and re.match(r"[A-Za-z_]+=", words[0]):
        words = words[1:]
    if not words or words[0] in _SHELL:
        return
    check = _PROGRAMS.get(re.sub(r"^\.venv/bin/", "", words[0]))
    assert check, f"no check for the program {words[0]}: add one to {Path(__file__).name}"
    check(words[1:])


def _make(words: list[str]) -> None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        known = re.search(rf"\$\({name}\b", MAKEFILE)
        assert not is_variable or known, f"make has no variable {name}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _python(words: list[str]) -> None:
    if words[0] != "-m":
        # The page has written the script.
        assert words[0].endswith(".py"), "neither a module nor a script"
        return
    assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
    if words[1] == "athena_reports_cli":
        _reports(words[2:])


def _reports(words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    with (
        # In a project without reports: `new` rejects the name of a report that exists.
        TemporaryDirectory() as project,
        chdir(project),
        group.make_context("athena-reports", words, allow_extra_args=True) as context,
    ):
        Path("pyproject.toml").write_text("[tool.athena-reports]\n")
        if rest := [*context._protected_args, *context.args]:
            name, command, arguments = group.resolve_command(context, rest)
            command.make_context(name, arguments, parent=context).close()


def check_aws(words: list[str]) -> None:
    """Hold the options of a call of the AWS CLI against botocore's model of the operation."""
    service, operation, *rest = words
    if (service, operation) in _AWS_CUSTOM:
        return
    # The AWS CLI has the operations of S3 by this name; its `s3` is commands of its own.
    model = _service("s3" if service == "s3api" else service)
    name = {xform_name(each, "-"): each for each in model.operation_names}[operation]
    shape = model.operation_model(name).input_shape
    members: Mapping[str, Any] = shape.members if shape else {}
    known = {xform_name(each, "-"): each for each in members}
    given = {word.partition("=")[0].removeprefix("--") for word in rest if word.startswith("--")}
    given = {each.removeprefix("no-") if each not in known else each for each in given}
    assert given <= known.keys() | _AWS_OPTIONS, (
        f"unknown: {sorted(given - known.keys() - _AWS_OPTIONS)}"
    )
    required = set(shape.required_members) if shape else set()
    missing = required - {known[each] for each in given & known.keys()}
    assert not missing or "..." in rest or "cli-input-json" in given, f"missing: {sorted(missing)}"


@cache
def _service(name: str) -> Any:
    return botocore.session.Session().get_service_model(name)


def _airflow(words: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    get_parser().parse_args(words)


def _docker(words: list[str]) -> None:
    """No engine is at hand: the files exist, and a command in a container is one of its program."""
    assert words[0] == "compose"
    assert all(
        (ROOT / file).is_file() for option, file in itertools.pairwise(words) if option == "-f"
    )
    if "airflow" in words:
        _airflow(words[words.index("airflow") + 1 :])
    if "athena-reports" in words:
        _reports(words[words.index("athena-reports") + 1 :])


def _local_athena(words: list[str]) -> None:
    local_athena.command_line().parse_args(words)


def _pytest(words: list[str]) -> None:
    assert all((ROOT / word).exists() for word in words if word.startswith("tests"))


def _export(words: list[str]) -> None:
    names = {word.partition("=")[0] for word in words}
    settings = {field.alias for field in Settings.model_fields.values()}
    unknown = {name for name in names if name.startswith("ATHENA_REPORTS_")} - settings
    assert not unknown, f"no such setting: {sorted(unknown)}"


def _deploy(words: list[str]) -> None:
    path, environment, *options = words
    script = (ROOT / path).read_text(encoding="utf-8")
    assert (ROOT / "deploy" / "environments" / f"{environment}.yaml").is_file()
    assert all(f"{option})" in script for option in options)


_SHELL = {".", "echo", "cd", "eval", "git", "curl", "id"}
# Those of docs/how-to/existing-environment.md, which the unit tests of the bundle run.
_SHELL |= {"cat", "mkdir", "rm", "sed", "unzip", "zip"}


_PROGRAMS = {
    "make": _make,
    "athena-reports": _reports,
    "python": _python,
    "aws": check_aws,
    "local-athena": _local_athena,
    "airflow": _airflow,
    "docker": _docker,
    "pytest": _pytest,
    "export": _export,
    "bash": _deploy,
}
