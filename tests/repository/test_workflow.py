"""The workflows for GitHub prove what `.ci/run` proves, with no more rights than they need."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.specifiers import SpecifierSet

from athena_reports_cli.authoring.commands import app
from tests.support.paths import ROOT

TEXTS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (ROOT / ".github" / "workflows").iterdir()
}
PARSED: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
CI: dict[str, dict[str, Any]] = PARSED["ci"]["jobs"]
DEPLOY: dict[str, Any] = PARSED["deploy"]["jobs"]["deploy"]
RELEASE: dict[str, Any] = PARSED["release"]["jobs"]
JOBS = {
    f"{name} {job_name}": job
    for name, parsed in PARSED.items()
    for job_name, job in parsed["jobs"].items()
}
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])]
WHEELS = ("athena_reports", "athena_reports_cli", "local_athena")


def commands(text: str) -> set[str]:
    """The targets of make and the commands of `athena-reports` that a script or a workflow runs."""
    pattern = r"^[ -]*(?:run: )?(make(?: -C \w+)? [a-z0-9-]+|\.venv/bin/athena-reports [a-z-]+)"
    return set(re.findall(pattern, text, re.MULTILINE))


def test_each_step_of_ci_is_in_a_job_and_each_command_exists() -> None:
    steps = commands((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert steps
    assert steps <= commands(TEXTS["ci"])
    subcommands: Any = typer.main.get_command(app)
    for command in set().union(*map(commands, TEXTS.values())):
        *program, last = command.split()
        if program[0] == "make":
            folder = program[-1] if "-C" in program else "."
            makefile = (ROOT / folder / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{last}:", makefile, re.MULTILINE), command
        else:
            assert last in subcommands.commands, command


def test_each_job_has_a_time_limit_and_that_of_a_deployment_is_longer_than_sam_waits() -> None:
    assert [
        name for name, job in JOBS.items() if "steps" in job and "timeout-minutes" not in job
    ] == []
    assert DEPLOY["timeout-minutes"] > 180


def test_each_supported_python_and_each_image_of_mwaa_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = SpecifierSet(project["requires-python"]).filter(f"3.{minor}" for minor in range(99))
    newest = JOBS["nightly python"]["steps"][1]["with"]["python-version"]
    assert [*CI["test"]["strategy"]["matrix"]["python"], newest] == list(supported)
    images = (ROOT / "cli" / "athena_reports_cli" / "mwaa" / "images").iterdir()
    kept = {path.name.partition("-")[0] for path in images}
    assert set(CI["mwaa"]["strategy"]["matrix"]["airflow"]) == kept


def test_only_a_person_deploys_and_only_where_the_role_is_known() -> None:
    # YAML reads the key `on` as true.
    assert PARSED["deploy"][True].keys() == {"workflow_dispatch"}
    assert [name for name, text in TEXTS.items() if "deploy/deploy.sh" in text] == ["deploy"]
    assert not [name for name, text in TEXTS.items() if "workflows/deploy.yaml" in text]

    first = DEPLOY["steps"][0]
    assert first["if"] == "vars.AWS_DEPLOY_ROLE == ''"
    refused = run_step(first, TARGET="stg")
    assert refused.returncode == 1
    assert "stg has no variable AWS_DEPLOY_ROLE" in refused.stdout


def run_step(step: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as GitHub does."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        env={"PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        text=True,
    )


def test_a_tag_of_the_version_of_all_wheels_is_released(tmp_path: Path) -> None:
    assert release(tmp_path, dict.fromkeys(WHEELS, "0.2.0"), tag="v0.2.0") == 0
    assert release(tmp_path, {}, tag="v0.2.1") != 0
    assert release(tmp_path, {}, tag="v0.2") != 0


@pytest.mark.parametrize("wheel", WHEELS)
def test_a_wheel_of_another_version_than_the_tag_is_not_released(
    wheel: str, tmp_path: Path
) -> None:
    versions = dict.fromkeys(WHEELS, "0.2.0") | {wheel: "0.1.0"}
    assert release(tmp_path, versions, tag="v0.2.0") != 0


def release(folder: Path, versions: Mapping[str, str], *, tag: str) -> int:
    """The exit code of the step that compares the built wheels with the tag."""
    (look,) = [step for step in RELEASE["build"]["steps"] if "GITHUB_REF_NAME" in str(step)]
    (folder / "dist").mkdir(exist_ok=True)
    for name, version in versions.items():
        (folder / "dist" / f"{name}-{version}-py3-none-any.whl").touch()
    return run_step({"run": f"cd '{folder}'; {look['run']}"}, GITHUB_REF_NAME=tag).returncode


def test_only_what_deploys_or_publishes_may_ask_for_an_identity_and_nothing_may_write() -> None:
    granted = PARSED | JOBS
    rights = {
        name: set(job["permissions"].items())
        for name, job in granted.items()
        if "permissions" in job
    }
    assert rights.keys() >= PARSED.keys()
    identity = ("id-token", "write")
    assert {name for name, grants in rights.items() if identity in grants} == {
        "deploy",
        "release publish",
        "site publish",
    }
    assert set().union(*rights.values()) == {("contents", "read"), ("pages", "write"), identity}
    assert not [name for name, text in TEXTS.items() if "secrets." in text]


def test_actions_are_pinned_to_a_commit_and_keep_no_credentials() -> None:
    uses = [line for text in TEXTS.values() for line in re.findall(r"uses: ([^.].*)", text)]
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_script_is_put_together_from_what_an_event_says() -> None:
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]
