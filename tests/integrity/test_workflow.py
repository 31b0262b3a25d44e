"""The workflows for GitHub: they prove what `.ci/run` proves, and run every test there is,
with no more rights than they need.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.integrity.selection import BEGIN

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (ROOT / ".github" / "workflows").iterdir()
}
PARSED: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS: dict[str, dict[str, Any]] = PARSED["ci"]["jobs"]
DEPLOY: dict[str, Any] = PARSED["deploy"]["jobs"]["deploy"]
STEPS = [
    step
    for each in PARSED.values()
    for job in each["jobs"].values()
    for step in job.get("steps", [])
]


def targets(text: str) -> set[str]:
    """The targets of make that lines of a script or of a workflow run."""
    return set(re.findall(r"^[ -]*(?:run: )?make ([a-z0-9-]+)", text, re.MULTILINE))


def test_each_step_of_ci_is_a_job_and_each_command_is_one_of_the_makefile() -> None:
    steps = targets((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    made = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert steps
    assert steps <= targets(TEXTS["ci"])
    for name, text in TEXTS.items():
        assert targets(text), name
        assert targets(text) <= made, name


class Selection(NamedTuple):
    """What a command of pytest selects."""

    marks: str
    folders: list[str]

    def has(self, node_id: str, marks: set[str]) -> bool:
        """Whether it selects a test; an expression of marks is one of Python too."""
        if not any(node_id.startswith(f"{folder}/") for folder in self.folders):
            return False
        words = set(re.findall(r"\w+", self.marks)) - {"and", "or", "not"}
        return bool(eval(self.marks, {}, {word: word in marks for word in words}))


def selections(target: str) -> list[Selection]:
    """What the commands of a target of make select; there are none if it runs no test."""
    command = ["make", "--dry-run", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    parser = ArgumentParser()
    parser.add_argument("-m", dest="marks", required=True)
    parser.add_argument("folders", nargs="*")
    found = []
    for line in done.stdout.splitlines():
        _, runs_tests, arguments = line.partition(" -m pytest ")
        if runs_tests:
            known, _ = parser.parse_known_args(shlex.split(arguments))
            folders = [word for word in known.folders if (ROOT / word).is_dir()]
            found.append(Selection(known.marks, folders or ["tests"]))
    return found


@pytest.mark.ci
def test_every_test_runs_in_some_job() -> None:
    run = {target for text in TEXTS.values() for target in targets(text)}
    found = [each for name in run if name.startswith("test") for each in selections(name)]
    assert len(found) >= 3
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "--quiet",
        "-p",
        "no:cacheprovider",
    ]
    command += ["-p", "tests.integrity.selection"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(BEGIN)]
    tests: dict[str, list[str]] = json.loads(line.removeprefix(BEGIN))

    assert done.returncode == 0, done.stdout
    assert len(tests) > 1000
    assert [
        node_id
        for node_id, marks in tests.items()
        if not any(each.has(node_id, set(marks)) for each in found)
    ] == []


def test_each_supported_python_is_tested() -> None:
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    tested = list(SpecifierSet(supported).filter(f"3.{minor}" for minor in range(99)))
    assert tested == JOBS["test"]["strategy"]["matrix"]["python"]


def test_each_image_of_mwaa_whose_packages_are_kept_is_tested_and_the_newest_airflow() -> None:
    kept = {
        path.name.partition("-")[0]
        for path in (ROOT / "plugins" / "athena_reports" / "mwaa" / "images").iterdir()
    }
    assert set(JOBS["mwaa"]["strategy"]["matrix"]["airflow"]) == kept
    assert "make mwaa-check VERSION=newest" in TEXTS["nightly"]


def test_what_is_deployed_is_a_tag_that_was_tested_and_prd_comes_last() -> None:
    assert JOBS["deploy-stg"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert JOBS["deploy-stg"]["needs"] == ["test", "test-ci"]
    assert JOBS["deploy-prd"]["needs"] == "deploy-stg"
    assert [JOBS[f"deploy-{name}"]["with"]["environment"] for name in ("stg", "prd")] == [
        "stg",
        "prd",
    ]
    assert DEPLOY["environment"] == DEPLOY["env"]["TARGET"] == "${{ inputs.environment }}"
    assert DEPLOY["concurrency"]["cancel-in-progress"] is False


def test_only_what_deploys_may_ask_for_an_identity_and_nothing_may_write() -> None:
    identity = {"contents": "read", "id-token": "write"}
    assert PARSED["ci"]["permissions"] == {"contents": "read"}
    assert PARSED["deploy"]["permissions"] == identity
    rights = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert rights == {"deploy-stg": identity, "deploy-prd": identity}
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not [name for name, text in TEXTS.items() if "secrets." in text]


def test_packages_are_installed_before_there_are_credentials() -> None:
    names = [step.get("run") or step["uses"].partition("@")[0] for step in DEPLOY["steps"]]
    credentials = names.index("aws-actions/configure-aws-credentials")
    assert names.index("make setup PYTHON=python") < credentials
    assert names[credentials + 1 :] == ['make deploy ENV="$TARGET" PYTHON=python']


def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is() -> None:
    uses = [each for text in TEXTS.values() for each in re.findall(r"uses: ([^.].*)", text)]
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_no_script_is_put_together_from_what_an_event_says() -> None:
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]
