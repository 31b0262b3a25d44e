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
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.specifiers import SpecifierSet

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


def test_each_workflow_starts_when_its_first_lines_say() -> None:
    # YAML reads the key `on` as true.
    starts = {name: parsed[True] for name, parsed in PARSED.items()}
    deploy_inputs = starts.pop("deploy")["workflow_dispatch"]["inputs"]
    assert starts == {
        "ci": {"push": {"branches": ["main"]}, "pull_request": None, "workflow_call": None},
        # After the working day in Europe, and before that of Asia.
        "nightly": {"schedule": [{"cron": "30 17 * * *"}], "workflow_dispatch": None},
        "release": {"push": {"tags": ["v*"]}},
    }
    assert deploy_inputs.keys() == {"environment"}
    assert deploy_inputs["environment"]["type"] == "environment"
    assert deploy_inputs["environment"]["required"] is True


CHECKOUT = "actions/checkout"
PYTHON = "actions/setup-python"
APT = "apt-get"
# By workflow and job: the actions and the commands in their order.
STEPS_OF_JOBS = {
    "ci test": [
        CHECKOUT,
        PYTHON,
        "make test PYTHON=python",
        "make test-services PYTHON=python",
    ],
    "ci test-ci": [APT, CHECKOUT, "make test-ci PYTHON=python3"],
    "ci mwaa": [APT, CHECKOUT, PYTHON, 'make mwaa-check VERSION="$AIRFLOW" PYTHON=python'],
    "ci compose": [
        CHECKOUT,
        "docker compose up --wait --wait-timeout 600",
        "ask",
        "docker compose logs",
    ],
    "nightly test-e2e": [APT, CHECKOUT, "make test-e2e PYTHON=python3"],
    "nightly newest": [CHECKOUT, PYTHON, "make test-newest PYTHON=python"],
    "nightly wheels": [CHECKOUT, PYTHON, "make test-wheels PYTHON=python"],
    "nightly mwaa": [APT, CHECKOUT, PYTHON, "make mwaa-check VERSION=newest PYTHON=python"],
    # Worlds that no night before has played.
    "nightly simulate": [
        CHECKOUT,
        PYTHON,
        'make simulate SEEDS=100000 FROM="$(date +%Y%m%d)000000" PYTHON=python',
    ],
    "nightly links": [CHECKOUT, "grep"],
    "release build": [
        CHECKOUT,
        PYTHON,
        "make build PYTHON=python",
        "ls",
        "actions/upload-artifact",
    ],
    "release publish": ["actions/download-artifact", "pypa/gh-action-pypi-publish"],
    "deploy deploy": [
        "echo",
        APT,
        CHECKOUT,
        PYTHON,
        "make setup PYTHON=python",
        "aws-actions/configure-aws-credentials",
        'make deploy ENV="$TARGET" PYTHON=python',
    ],
}


def test_each_job_does_what_it_is_named_for() -> None:
    steps = {}
    for name, parsed in PARSED.items():
        for job_name, job in parsed["jobs"].items():
            if "uses" not in job:
                steps[f"{name} {job_name}"] = [step_name(step) for step in job["steps"]]
    assert steps == STEPS_OF_JOBS


def step_name(step: dict[str, Any]) -> str:
    """The action of a step, or its command: whole if it is one of make or docker."""
    if "uses" in step:
        return str(step["uses"].partition("@")[0])
    command = step["run"].strip().removeprefix("sudo ")
    if command.startswith(("make ", "docker ")):
        return str(command)
    return re.split(r"\W", command.replace("apt-get", "apt_get"))[0].replace("_", "-")


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


def test_a_job_has_the_python_and_the_packages_that_its_tests_need() -> None:
    pythons = {}
    packages: dict[str, set[str]] = {}
    for name, parsed in PARSED.items():
        for job_name, job in parsed["jobs"].items():
            for step in job.get("steps", []):
                if step.get("uses", "").startswith("actions/setup-python@"):
                    pythons[f"{name} {job_name}"] = step["with"]["python-version"]
                _, installs, names = step.get("run", "").partition(" install --yes ")
                if installs:
                    packages[f"{name} {job_name}"] = set(names.split())
    assert pythons.pop("ci test") == "${{ matrix.python }}"
    assert set(pythons.values()) == {"3.12"}, "that of MWAA's images"
    builds = {"libcurl4-openssl-dev", "libpq-dev", "libssl-dev"}
    real_airflow = {
        *(
            "--no-install-recommends",
            "ca-certificates",
            "chromium-headless-shell",
            "docker-compose",
            "git",
        ),
        *("make", "postgresql", "python3-venv", "redis-server"),
    }
    assert packages == {
        "ci test-ci": real_airflow,
        "nightly test-e2e": real_airflow,
        "ci mwaa": builds,
        "nightly mwaa": builds,
        "deploy deploy": builds,
    }
    for job in (JOBS["test-ci"], PARSED["nightly"]["jobs"]["test-e2e"]):
        assert job["container"] == "debian:trixie-slim"
    assert JOBS["mwaa"]["env"] == {"AIRFLOW": "${{ matrix.airflow }}"}
    for job in (JOBS["test"], JOBS["mwaa"]):
        assert job["strategy"]["fail-fast"] is False, "one that fails says nothing of the others"


def test_only_what_a_newer_push_makes_pointless_is_broken_off() -> None:
    shared = {name: parsed["concurrency"] for name, parsed in PARSED.items() if name != "deploy"}
    assert shared == {
        "ci": {
            "group": "ci-${{ github.ref }}",
            "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
        },
        "nightly": {"group": "nightly", "cancel-in-progress": True},
        "release": {"group": "release", "cancel-in-progress": False},
    }
    # One after the other for an environment, and beside those of the others.
    assert DEPLOY["concurrency"] == {
        "group": "deploy-${{ inputs.environment }}",
        "cancel-in-progress": False,
    }


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


def selections(target: str) -> list[Selection]:
    """What the commands of a target of make select; there are none if it runs no test."""
    command = ["make", "--dry-run", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    parser = ArgumentParser()
    parser.add_argument("-m", dest="marks", required=True)
    parser.add_argument("paths", nargs="*")
    found = []
    for line in done.stdout.splitlines():
        _, runs_tests, rest = line.partition(" -m pytest ")
        arguments, _, _ = rest.partition(";")  # the shell goes on after it
        if runs_tests:
            known, _ = parser.parse_known_args(shlex.split(arguments))
            paths = [word for word in known.paths if (ROOT / word).exists()]
            found.append(Selection(known.marks, paths or ["tests"]))
    return found


def test_every_test_runs_in_some_job(pytestconfig: pytest.Config) -> None:
    """Of those that are collected here: `make test` collects all."""
    assert selections("test") == [Selection("not ci and not full", ["tests"])]
    run = {target for text in TEXTS.values() for target in targets(text)}
    found = [each for name in run if name.startswith("test") for each in selections(name)]
    assert len(found) >= 3
    forgotten = []
    for item in pytestconfig.stash[COLLECTED]:
        marks = {mark.name for mark in item.iter_markers()}
        if not any(each.has(item.nodeid, marks) for each in found):
            forgotten.append(item.nodeid)
    assert forgotten == []


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


def test_each_night_the_wheels_meet_the_newest_packages_that_they_allow() -> None:
    assert "make test-wheels" in TEXTS["nightly"]
    done = subprocess.run(
        ["make", "--dry-run", "test-wheels"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "INSTALL_NEWEST=1 " in done.stdout
    (selection,) = selections("test-wheels")
    assert selection.has("tests/repository/test_new_project.py::test_any", {"ci"})


def test_only_a_person_deploys_and_only_where_the_role_is_known() -> None:
    # YAML reads the key `on` as true.
    assert PARSED["deploy"][True].keys() == {"workflow_dispatch"}
    deploying = [name for name, text in TEXTS.items() if "make deploy" in text]
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
    # A local-athena that has not changed is there already.
    assert publish["steps"][1]["with"] == {"skip-existing": True}


def test_a_tag_of_another_version_than_the_wheels_is_not_released(tmp_path: Path) -> None:
    (look,) = [step for step in RELEASE["build"]["steps"] if "GITHUB_REF_NAME" in str(step)]
    (tmp_path / "dist").mkdir()
    for wheel in ("athena_reports-0.2.0", "local_athena-0.1.0"):
        (tmp_path / "dist" / f"{wheel}-py3-none-any.whl").touch()
    step = {"run": f"cd '{tmp_path}'; {look['run']}"}
    assert run_step(step, GITHUB_REF_NAME="v0.2.0").returncode == 0
    assert run_step(step, GITHUB_REF_NAME="v0.2.1").returncode != 0
    assert run_step(step, GITHUB_REF_NAME="v0.2").returncode != 0


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
    }
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not [name for name, text in TEXTS.items() if "secrets." in text]


def test_the_locks_and_the_actions_are_looked_after() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    updates = {
        update.pop("package-ecosystem"): update for update in yaml.safe_load(text)["updates"]
    }
    # What follows MWAA's images is raised by hand.
    ignored = [entry["dependency-name"] for entry in updates["pip"].pop("ignore")]
    assert ignored == ["apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"]
    weekly = {"interval": "weekly"}
    assert updates == {
        "pip": {
            "directory": "/dev/pins",
            "schedule": weekly,
            "groups": {"pins": {"patterns": ["*"]}},
        },
        "github-actions": {
            "directory": "/",
            "schedule": weekly,
            "groups": {"actions": {"patterns": ["*"]}},
        },
    }
    assert list((ROOT / "dev" / "pins").glob("*.txt"))


def test_packages_are_installed_before_there_are_credentials() -> None:
    names = [step.get("run") or step["uses"].partition("@")[0] for step in DEPLOY["steps"]]
    credentials = names.index("aws-actions/configure-aws-credentials")
    assert names.index("make setup PYTHON=python") < credentials
    assert names[credentials + 1 :] == ['make deploy ENV="$TARGET" PYTHON=python']
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
