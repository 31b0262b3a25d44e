"""What make takes for a yes, where a wrong guess would change an environment."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Asks make what a deployment would run."""
    return dry_run("deploy", "ENV=stg", *arguments, **variables)


def dry_run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--dry-run", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True
    )


def test_a_dry_run_is_on_with_1_and_off_when_it_is_left_out() -> None:
    assert "--dry-run" in make("DRY_RUN=1").stdout
    left_out = make()
    assert left_out.returncode == 0
    assert "-m athena_reports_cli deploy --env 'stg'" in left_out.stdout
    assert "--dry-run" not in left_out.stdout


@pytest.mark.parametrize("value", ["0", "no", "true", "1 1", ""])
def test_any_other_value_is_refused(value: str) -> None:
    refused = make(f"DRY_RUN={value}")
    assert refused.returncode == 2
    assert "write DRY_RUN=1 after make, or leave it out" in refused.stderr


def test_one_from_the_shell_is_refused() -> None:
    refused = make(DRY_RUN="1")
    assert refused.returncode == 2
    assert "DRY_RUN is '1', from the environment" in refused.stderr


@pytest.mark.parametrize("target", ["deploy", "deploy-guided"])
def test_the_check_in_the_twin_is_left_out_only_by_check_no_after_make(target: str) -> None:
    for arguments in ([], ["CHECK=yes"], ["CHECK=1"], ["CHECK="]):
        told = dry_run(target, "ENV=stg", *arguments)
        assert told.returncode == 0
        assert "--no-check" not in told.stdout, arguments
    assert "--no-check" in dry_run(target, "ENV=stg", "CHECK=no").stdout
    assert "--no-check" not in dry_run(target, "ENV=stg", CHECK="no").stdout, "of the shell"


# What pays, or overwrites what a case expects, and the option that makes it do so and not ask.
SAID = {"RUN": ("preview", "--run"), "YES": ("plan", "--yes"), "ACCEPT": ("test", "--accept")}
TARGETS = {"RUN": "preview", "YES": "plan", "ACCEPT": "cases"}


@pytest.mark.parametrize("variable", SAID)
@pytest.mark.parametrize(
    ("value", "is_said"), [("", False), ("1", True), ("no", False), ("0", False)]
)
def test_what_pays_or_overwrites_is_said_with_1(variable: str, value: str, is_said: bool) -> None:
    command, option = SAID[variable]
    told = dry_run(
        TARGETS[variable], "REPORT=user_ranking", *([f"{variable}={value}"] if value else [])
    ).stdout
    assert re.search(rf"\.venv/bin/python -m athena_reports_cli {command} '?user_ranking", told)
    assert (option in told) == is_said


@pytest.mark.parametrize("variable", SAID)
def test_a_variable_of_the_shell_says_nothing(variable: str) -> None:
    told = dry_run(TARGETS[variable], "REPORT=user_ranking", **{variable: "1"}).stdout
    assert SAID[variable][1] not in told


def test_a_load_has_the_options_of_its_variables() -> None:
    told = dry_run("load", "TABLE=sales", "FILE=a b.csv", "TIME=sold_at", "ZONE=Asia/Tokyo").stdout
    assert told.split("load ")[1] == "'sales' 'a b.csv' --time 'sold_at'  --zone 'Asia/Tokyo'\n"


@pytest.mark.parametrize(("yes", "is_said"), [("1", True), ("no", False)])
def test_a_backfill_has_the_options_of_its_variables_and_asks(yes: str, is_said: bool) -> None:
    words = ("REPORT=plays", "FROM=2025-06-01", "TO=2025-06", "AIRFLOW=mwaa:stg")
    told = dry_run("backfill", *words, f"YES={yes}").stdout
    assert ".venv/bin/python -m athena_reports_cli backfill 'plays'" in told
    options = told.split("'plays'")[1].split()
    expected = ["--from", "2025-06-01", "--to", "2025-06", "--airflow", "mwaa:stg"]
    assert [option.strip("'") for option in options[:6]] == expected
    assert options[6:] == ["--yes"] * is_said


def test_a_plan_has_the_options_of_its_variables() -> None:
    told = dry_run(
        "plan", "REPORT=user_ranking", "LAST=5", "YES=1", "APPLY=mwaa:reports-stg"
    ).stdout
    assert ".venv/bin/python -m athena_reports_cli plan 'user_ranking'" in told
    assert told.split("'user_ranking'")[1].split() == [
        "--last",
        "5",
        "--yes",
        "--apply",
        "'mwaa:reports-stg'",
    ]
    assert dry_run("plan", "REPORT=user_ranking").stdout.split()[-2:] == ["plan", "'user_ranking'"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["preview", "REPORT=a", "PERIOD=2025-06-22"], "athena_reports preview 'a' 2025-06-22"),
        (["preview", "REPORT=a"], "athena_reports preview 'a'"),
        (["costs"], "athena_reports costs"),
        (["costs", "REPORT=a", "MONTHS=3"], "athena_reports costs 'a' --months '3'"),
        (["cases"], "athena_reports test"),
        (["cases", "REPORT=a/ties"], "athena_reports test a/ties"),
        (["report", "NAME=a", "NEW=--table b"], "athena_reports new 'a' --table b"),
        (["bundle", "ENV=stg"], "athena_reports bundle --env 'stg'"),
        (["deploy-guided", "ENV=stg"], "athena_reports deploy --env 'stg' --guided"),
        (["golden"], "athena_reports check --renew"),
        (["check"], "athena_reports check"),
        (["up"], "demo.up --port 8080"),
        (["up", "PORT=9", "SHELL_CONNECTIONS=1"], "demo.up --port 9 --shell-connections"),
        (["local-aws"], "local_athena serve --port 4566"),
        (["local-aws", "PORT=5000"], "local_athena serve --port 5000"),
    ],
)
def test_a_target_runs_its_command_with_its_variables(arguments: list[str], command: str) -> None:
    lines = dry_run(*arguments).stdout.splitlines()
    commands = [" ".join(line.rpartition(" -m ")[2].split()) for line in lines]
    assert command in commands


@pytest.mark.parametrize("target", ["bundle", "mwaa-check"])
def test_the_environment_is_named_after_make_alone(target: str) -> None:
    """Shells have a variable ENV for something else."""
    told = dry_run(target, "VERSION=3.3.1", ENV="stg")
    assert "--env 'prd'" in told.stdout
