"""The workflows for GitHub: they prove what `.ci/run` proves, and run every test there is,
with no more rights than they need.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml
from packaging.specifiers import SpecifierSet

from athena_reports_cli.authoring.commands import app
from tests.support.selection import COLLECTED

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (ROOT / ".github" / "workflows").iterdir()
}
PARSED: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS: dict[str, dict[str, Any]] = PARSED["ci"]["jobs"]
DEPLOY: dict[str, Any] = PARSED["deploy"]["jobs"]["deploy"]
RELEASE: dict[str, Any] = PARSED["release"]["jobs"]
STEPS = [
    step
    for each in PARSED.values()
    for job in each["jobs"].values()
    for step in job.get("steps", [])
]


def commands(text: str) -> set[str]:
    """The targets of make and the commands of `athena-reports` that a script or a workflow runs."""
    pattern = r"^[ -]*(?:run: )?(make(?: -C \w+)? [a-z0-9-]+|\.venv/bin/athena-reports [a-z-]+)"
    return set(re.findall(pattern, text, re.MULTILINE))


def test_each_step_of_ci_is_in_a_job_and_each_command_exists() -> None:
    steps = commands((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert steps
    assert steps <= commands(TEXTS["ci"])
    subcommands: Any = typer.main.get_command(app)
    for name, text in TEXTS.items():
        assert commands(text), name
        for command in commands(text):
            *program, last = command.split()
            if program[0] == "make":
                folder = program[-1] if "-C" in program else "."
                makefile = (ROOT / folder / "Makefile").read_text(encoding="utf-8")
                assert re.search(rf"^{last}:", makefile, re.MULTILINE), command
            else:
                assert last in subcommands.commands, command


def test_an_action_has_one_version_in_all_workflows() -> None:
    commits: dict[str, set[str]] = {}
    for step in STEPS:
        action, _, commit = step.get("uses", "").partition("@")
        commits.setdefault(action, set()).add(commit)
    assert {action: len(found) for action, found in commits.items() if len(found) > 1} == {}


def test_the_containers_are_asked_for_a_period_of_a_report_that_is_here() -> None:
    asking, logs = JOBS["compose"]["steps"][2:]
    assert logs["if"] == "failure()"
    assert asking["if"] == "hashFiles('dags/user_ranking.py') != ''"
    assert subprocess.run(["bash", "-n", "-c", asking["run"]]).returncode == 0
    assert "/dags/user_ranking_weekly/dagRuns" in asking["run"]
    assert '"conf": {"period": "2025-06-22"}' in asking["run"]
    assert asking["run"].rstrip().endswith("""jq --exit-status '.state == "success"'""")


def test_the_links_that_are_followed_are_those_of_the_pages(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "[one](https://a.example/x#part), [two](http://b.example) and [here](other.md)\n"
    )
    (tmp_path / "b.md").write_text("[one again](https://a.example/x)\n")
    (tmp_path / "c.txt").write_text("[no page](https://c.example)\n")
    (_, step) = PARSED["nightly"]["jobs"]["links"]["steps"]
    listing, _, following = step["run"].partition("| xargs -n 1 ")
    done = run_step({"run": f"cd '{tmp_path}'; {listing}"})
    assert done.stdout.split() == ["http://b.example", "https://a.example/x"]
    assert {"--fail", "--location"} <= set(following.split())


def test_each_job_has_a_machine_that_stays_and_ends_by_itself() -> None:
    minutes = {}
    for name, parsed in PARSED.items():
        for job_name, job in parsed["jobs"].items():
            if "uses" in job:
                continue
            assert job["runs-on"] == "ubuntu-24.04", job_name
            minutes[f"{name} {job_name}"] = job["timeout-minutes"]
    assert all(isinstance(each, int) and each <= 300 for each in minutes.values())
    # The SAM CLI waits for three hours, for which there are credentials too.
    assert minutes["deploy deploy"] > 180


class Selection(NamedTuple):
    """What a command of pytest selects."""

    marks: str
    paths: list[str]

    def has(self, node_id: str, marks: set[str]) -> bool:
        """Whether it selects a test; an expression of marks is one of Python too."""
        if not any(node_id.startswith((f"{path}/", f"{path}::")) for path in self.paths):
            return False
        words = set(re.findall(r"\w+", self.marks)) - {"and", "or", "not"}
        return bool(eval(self.marks, {}, {word: word in marks for word in words}))


def selections(script: str) -> list[Selection]:
    """What the commands of pytest in a script select."""
    parser = ArgumentParser()
    parser.add_argument("-m", dest="marks", required=True)
    parser.add_argument("paths", nargs="*")
    found = []
    for line in script.splitlines():
        _, runs_tests, rest = line.partition(" -m pytest ")
        arguments, _, _ = rest.partition(";")  # the shell goes on after it
        if runs_tests:
            known, _ = parser.parse_known_args(shlex.split(arguments))
            paths = [word for word in known.paths if (ROOT / word).exists()]
            found.append(Selection(known.marks, paths or ["tests"]))
    return found


def recipe(target: str) -> str:
    """The commands of a target of make."""
    command = ["make", "--dry-run", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_every_test_runs_in_some_job(pytestconfig: pytest.Config) -> None:
    """Of those that are collected here: `make test` collects all."""
    assert selections(recipe("test")) == [Selection("not ci and not full", ["tests"])]
    scripts = [step["run"] for step in STEPS if "run" in step]
    targets = {name for script in scripts for name in re.findall(r"^make (test\S*)", script)}
    scripts += [recipe(target) for target in targets]
    found = [selection for script in scripts for selection in selections(script)]
    assert len(found) >= 4
    forgotten = []
    for item in pytestconfig.stash[COLLECTED]:
        marks = {mark.name for mark in item.iter_markers()}
        if not any(each.has(item.nodeid, marks) for each in found):
            forgotten.append(item.nodeid)
    assert forgotten == []


def test_make_test_leaves_out_all_tests_on_the_local_services(pytestconfig: pytest.Config) -> None:
    """Of those that are collected here: `make test` collects all."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (folders,) = re.findall(r"^SERVICES_TESTS := (.+)$", makefile, re.MULTILINE)
    on_services = Selection("not ci", folders.split())
    assert all((ROOT / folder).is_dir() for folder in on_services.paths)
    selected = []
    for item in pytestconfig.stash[COLLECTED]:
        marks = {mark.name for mark in item.iter_markers()}
        if on_services.has(item.nodeid, marks):
            selected.append(item.nodeid)
    assert selected == []


def test_the_tests_of_local_athena_run_in_some_job() -> None:
    assert "make -C local_athena test" in commands(TEXTS["ci"])
    assert " -C local_athena test-full" in recipe("test-nightly")


def test_each_supported_python_is_tested() -> None:
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    tested = list(SpecifierSet(supported).filter(f"3.{minor}" for minor in range(99)))
    assert tested == JOBS["test"]["strategy"]["matrix"]["python"]


def test_each_image_of_mwaa_whose_packages_are_kept_is_tested_and_the_newest_airflow() -> None:
    kept = {
        path.name.partition("-")[0]
        for path in (ROOT / "cli" / "athena_reports_cli" / "mwaa" / "images").iterdir()
    }
    assert set(JOBS["mwaa"]["strategy"]["matrix"]["airflow"]) == kept
    assert 'athena-reports mwaa-check --version "$newest"' in TEXTS["nightly"]


def test_each_night_the_wheels_meet_the_newest_packages_that_they_allow() -> None:
    (step,) = [step for step in STEPS if "INSTALL_NEWEST" in step.get("env", {})]
    assert step in PARSED["nightly"]["jobs"]["wheels"]["steps"]
    (selection,) = selections(step["run"])
    assert selection.has("tests/repository/test_new_project.py::test_any", {"ci"})


def test_only_a_person_deploys_and_only_where_the_role_is_known() -> None:
    # YAML reads the key `on` as true.
    assert PARSED["deploy"][True].keys() == {"workflow_dispatch"}
    deploying = [name for name, text in TEXTS.items() if "deploy/deploy.sh" in text]
    calling = [name for name, text in TEXTS.items() if "workflows/deploy.yaml" in text]
    assert (deploying, calling) == (["deploy"], [])

    first = DEPLOY["steps"][0]
    assert first["if"] == "vars.AWS_DEPLOY_ROLE == ''"
    refused = run_step(first, TARGET="stg")
    assert refused.returncode == 1
    assert "stg has no variable AWS_DEPLOY_ROLE" in refused.stdout
    assert DEPLOY["environment"] == DEPLOY["env"]["TARGET"] == "${{ inputs.environment }}"


def run_step(step: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as GitHub does."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        env={"PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        text=True,
    )


def test_a_tag_is_tested_and_built_and_published_only_by_the_project_itself() -> None:
    tagged = [name for name, parsed in PARSED.items() if "tags" in (parsed[True].get("push") or {})]
    assert tagged == ["release"]
    assert RELEASE["ci"]["uses"] == "./.github/workflows/ci.yaml"
    assert "workflow_call" in PARSED["ci"][True]
    publish = RELEASE["publish"]
    assert set(publish["needs"]) == {"ci", "build"}
    assert publish["if"] == "vars.PUBLISH_TO_PYPI == 'true'"
    # What builds has no identity, and what has one runs nothing of the repository.
    assert not [step for step in publish["steps"] if "run" in step]
    assert "password" not in TEXTS["release"]
    upload = RELEASE["build"]["steps"][-1]
    download = publish["steps"][0]
    assert upload["with"]["name"] == download["with"]["name"]
    assert upload["with"]["path"] == f"{download['with']['path']}/*.whl"
    assert upload["with"]["if-no-files-found"] == "error"
    assert publish["environment"] == "pypi"


WHEELS = ("athena_reports", "athena_reports_cli", "local_athena")


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
    rights = {}
    for name, parsed in PARSED.items():
        rights[name] = parsed["permissions"]
        for job_name, job in parsed["jobs"].items():
            if "permissions" in job:
                rights[f"{name} {job_name}"] = job["permissions"]
    read = {"contents": "read"}
    assert rights == {
        "ci": read,
        "nightly": read,
        "release": read,
        "deploy": {"contents": "read", "id-token": "write"},
        "release publish": {"id-token": "write"},
        "site": read,
        "site publish": {"pages": "write", "id-token": "write"},
    }
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not [name for name, text in TEXTS.items() if "secrets." in text]


def test_packages_are_installed_before_there_are_credentials() -> None:
    names = [step.get("run") or step["uses"].partition("@")[0] for step in DEPLOY["steps"]]
    credentials = names.index("aws-actions/configure-aws-credentials")
    assert names.index("make setup PYTHON=python") < credentials
    assert names[credentials + 1 :] == [
        'PATH="$PWD/.venv/bin:$PATH" bash deploy/deploy.sh "$TARGET"'
    ]
    assert DEPLOY["steps"][credentials]["with"] == {
        "role-to-assume": "${{ vars.AWS_DEPLOY_ROLE }}",
        "aws-region": "${{ vars.AWS_REGION }}",
        "role-duration-seconds": 3 * 60 * 60,
    }


def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is() -> None:
    uses = [each for text in TEXTS.values() for each in re.findall(r"uses: ([^.].*)", text)]
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_no_script_is_put_together_from_what_an_event_says() -> None:
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]
