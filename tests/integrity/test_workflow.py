"""The workflows for GitHub: they call what the Makefile has, with no more rights than they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(WORKFLOWS.iterdir())}
PARSED: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS: dict[str, dict[str, Any]] = PARSED["ci.yaml"]["jobs"]
DEPLOY: dict[str, Any] = PARSED["deploy.yaml"]["jobs"]["deploy"]
DEPLOYING = {"deploy-stg": "stg", "deploy-prd": "prd"}
STEPS = [step for each in PARSED.values() for job in each["jobs"].values() for step in job.get("steps", [])]
COMMANDS = [step["run"] for step in STEPS if step.get("run", "").startswith("make ")]
EVENTS = True  # PyYAML reads YAML 1.1, in which the key `on` is a boolean


def needed(job: str) -> set[str]:
    """The jobs that have to have succeeded before one."""
    needs = JOBS[job].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*map(needed, direct))


def test_only_commands_of_the_makefile_are_run() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert (
        {command.split()[1] for command in COMMANDS} == {"setup", "test", "test-ci", "mwaa-check", "deploy"} <= targets
    )


def test_what_is_deployed_is_a_tag_that_was_tested_and_prd_comes_last() -> None:
    assert set(PARSED["ci.yaml"][EVENTS]) == {"push", "pull_request"}
    assert set(PARSED["deploy.yaml"][EVENTS]) == {"workflow_call"}
    assert JOBS["deploy-stg"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert needed("deploy-stg") == {"test", "test-ci"}
    assert needed("deploy-prd") == {"test", "test-ci", "deploy-stg"}
    for job, environment in DEPLOYING.items():
        assert JOBS[job]["uses"] == "./.github/workflows/deploy.yaml"
        assert JOBS[job]["with"] == {"environment": environment}
        assert (ROOT / "deploy" / "environments" / f"{environment}.env").is_file()
    assert DEPLOY["environment"] == DEPLOY["env"]["TARGET"] == "${{ inputs.environment }}"
    assert DEPLOY["concurrency"]["cancel-in-progress"] is False
    assert DEPLOY["steps"][-1]["run"] == 'make deploy ENV="$TARGET" PYTHON=python'


def test_only_what_deploys_may_ask_for_an_identity_and_nothing_may_write() -> None:
    identity = {"contents": "read", "id-token": "write"}
    assert PARSED["ci.yaml"]["permissions"] == {"contents": "read"}
    assert PARSED["deploy.yaml"]["permissions"] == identity
    assert {job for job, facts in JOBS.items() if "permissions" in facts} == DEPLOYING.keys()
    assert all(JOBS[job]["permissions"] == identity for job in DEPLOYING)
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 5
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not [name for name, text in TEXTS.items() if "secrets." in text]


def test_packages_are_installed_before_there_are_credentials() -> None:
    steps = [step.get("run") or step["uses"].partition("@")[0] for step in DEPLOY["steps"]]
    credentials = steps.index("aws-actions/configure-aws-credentials")
    assert steps.index("make setup PYTHON=python") < credentials == len(steps) - 2


def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is() -> None:
    uses = [each for text in TEXTS.values() for each in re.findall(r"uses: ([^.].*)", text)]
    assert len(uses) >= 5
    for each in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_no_script_is_put_together_from_what_an_event_says() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == len(COMMANDS) + 6  # three that install packages, three of the containers
    assert not [script for script in scripts if "${{" in script]


def test_each_supported_python_is_tested() -> None:
    pinned = {path.stem.removeprefix("py") for path in (ROOT / "dev" / "pins").glob("py*.txt")}
    assert set(JOBS["test"]["strategy"]["matrix"]["python"]) == pinned


def test_each_image_of_mwaa_whose_packages_are_kept_is_tested_and_the_newest_airflow() -> None:
    kept = sorted((ROOT / "dev" / "pins" / "mwaa").iterdir())
    versions = {path.stem.rpartition("-")[0] for path in kept}
    assert {path.name for path in kept} == {
        f"{v}-{kind}.txt" for v in versions for kind in ("constraints", "installed")
    }
    assert set(JOBS["mwaa"]["strategy"]["matrix"]["airflow"]) == versions | {"newest"}
    for path in kept:
        comment, *packages = path.read_text(encoding="utf-8").splitlines()
        assert comment.startswith("# ")
        assert len(packages) > 100
        assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", each) for each in packages)
