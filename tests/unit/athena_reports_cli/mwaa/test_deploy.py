"""deploy/deploy.sh, with programs of the test's own in place of athena-reports, aws and sam."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jmespath
import pytest

from tests.support.console import check_aws
from tests.support.paths import ROOT
from tests.support.stacks import REPORTS_TEMPLATE, TEMPLATE

SCRIPT = ROOT / "deploy" / "deploy.sh"
TEMPLATES = ROOT / "cli" / "athena_reports_cli" / "authoring" / "templates" / "project"
STACK = "athena-reports-stg"
PARAMETERS = "AirflowVersion: 3.2.1\nSourceDataArns: [arn:aws:s3:::lake]\n"
BUILT = {
    "plugins.zip": "plugins 1",
    "requirements.txt": "requirements 1",
    "startup.sh": "export ATHENA_REPORTS_ENV=stg\n",
    "stack.yaml": "",
    "stack-policy.json": "",
    "dags/plays.py": "",
    "dags/include/sql/plays.sql": "",
}
OUTPUTS = [
    {"OutputKey": "MwaaBucket", "OutputValue": "mwaa", "Description": "Bucket for dags/"},
    {"OutputKey": "A", "OutputValue": "stg", "Description": "ATHENA_REPORTS_ENV"},
    {"OutputKey": "B", "OutputValue": "b", "Description": "ATHENA_REPORTS_BUCKET"},
]
# Each writes its call into a file. The account is a folder with the bucket, the versions of its
# objects, and a file for the stack.
PROGRAM = f"""#!{sys.executable} -SE
import base64, hashlib, json, os, shutil, sys
from pathlib import Path

program = Path(sys.argv[0]).name
words = sys.argv[1:]
account = Path(os.environ["ACCOUNT"])
with (account / "calls").open("a") as calls:
    calls.write(json.dumps([program, *words]) + "\\n")
if os.environ.get("FAILS", "none") in f"{{program}} {{' '.join(words)}}":
    sys.exit(f"{{program}} fails")
stack = account / "stack.json"
versions = account / "versions.json"
options = dict(zip(words, words[1:]))


def local(uri):
    if uri.startswith("s3://"):
        return account / "bucket" / uri.removeprefix("s3://mwaa/")
    return Path(uri)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def show(answer):
    sys.path.append({str(Path(jmespath.__file__).parents[1])!r})
    import jmespath

    found = jmespath.search(options["--query"], answer)
    rows = found if isinstance(found, list) else [found]
    if not any(isinstance(row, list) for row in rows):
        rows = [rows]
    print("\\n".join("\\t".join(row) for row in rows))


if program == "athena-reports":
    shutil.rmtree("dist/mwaa", ignore_errors=True)
    shutil.copytree("built", "dist/mwaa")
elif program == "sam":
    stack.touch()
elif words[1] == "describe-stacks":
    if not stack.exists():
        sys.exit(f"Stack with id {{options['--stack-name']}} does not exist")
    show({{"Stacks": [{{"Outputs": {OUTPUTS!r}}}]}})
elif words[0] == "s3":
    paths = [local(word) for word in words[2:] if not word.startswith("--")]
    if words[1] == "rm":
        paths[0].unlink()
    elif words[1] == "cp" or paths[0].exists():
        copy(*paths)
elif words[0] == "s3api":
    numbers = json.loads(versions.read_text()) if versions.exists() else {{}}
    key = options["--key"]
    stored = account / "bucket" / key
    if words[1] == "put-object":
        numbers[key] = numbers.get(key, 0) + 1
        versions.write_text(json.dumps(numbers))
        copy(Path(options["--body"]), stored)
    elif not stored.exists():
        sys.exit("Not Found")
    checksum = base64.b64encode(hashlib.sha256(stored.read_bytes()).digest()).decode()
    show({{"ChecksumSHA256": checksum, "VersionId": f"{{key}}.{{numbers[key]}}"}})
"""


class Script:
    """The script in a project, and the account that it deploys to, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.account = folder / "account"
        self._programs = folder / "bin"
        if folder.exists():
            return
        for path in (folder, self.account, self._programs):
            path.mkdir()
        for name in ("athena-reports", "aws", "sam"):
            (self._programs / name).write_text(PROGRAM)
            (self._programs / name).chmod(0o755)
        for path, text in BUILT.items():
            self.write(f"built/{path}", text)
        self.write("deploy/environments/stg.yaml", PARAMETERS)
        shutil.copy(SCRIPT, self.project / "deploy")

    def write(self, path: str, text: str) -> None:
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def deploy(self, *options: str, code: int = 0, **variables: str) -> str:
        """Run the script for stg; return what it prints."""
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "ACCOUNT": str(self.account), **variables}
        command = ["bash", str(self.project / "deploy" / "deploy.sh"), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def calls(self) -> list[list[str]]:
        """Return the calls since the last time."""
        file = self.account / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def versions_given(self) -> list[Mapping[str, str]]:
        """Return the versions that each call of sam since the last time has given to the stack."""
        found = []
        for program, *words in self.calls():
            if program == "sam":
                pairs = dict(word.split("=", 1) for word in words if "=" in word)
                found.append({name: pairs[name] for name in pairs if name.endswith("Version")})
        return found

    def stored(self) -> dict[str, str]:
        bucket = self.account / "bucket"
        paths = [path for path in bucket.rglob("*") if path.is_file()]
        return {str(path.relative_to(bucket)): path.read_text() for path in paths}


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "new")


@pytest.fixture(scope="module")
def deployed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed") / "once"
    script = Script(folder)
    script.deploy("stg", "--create")
    script.calls()
    return folder


@pytest.fixture
def deployed(deployed_once: Path, tmp_path: Path) -> Script:
    """A project that is deployed."""
    return Script(shutil.copytree(deployed_once, tmp_path / "deployed"))


def test_the_stack_is_created_then_what_it_pins_then_airflow_and_dags_last(script: Script) -> None:
    assert script.deploy("stg", "--create").endswith("stg is deployed.\n")
    calls = script.calls()
    check, *others = calls
    assert check == ["athena-reports", "mwaa-check", "--env", "stg", "--version", "3.2.1"]
    for program, *words in others:
        if program == "aws":
            check_aws(words)
    looks = {"describe-stacks", "head-object", "sync"}
    changes = [words for words in others if not looks & set(words)]
    operations = [words[2] if words[0] == "aws" else words[1] for words in changes]
    assert operations == [
        *("deploy", "set-stack-policy", "update-termination-protection"),
        *("put-object", "put-object", "put-object", "deploy", "cp", "cp", "cp"),
    ]
    copied = [words[-1].removeprefix("s3://mwaa/") for words in others if "cp" in words]
    assert copied == ["dags/include", "dags", "deployed/dags.txt"]
    create, change = [words for words in others if words[0] == "sam"]
    given = ["file://deploy/environments/stg.yaml", "Environment=stg"]
    assert create[-2:] == given
    files = ("plugins.zip", "requirements.txt", "startup.sh")
    versions = [f"{file.partition('.')[0].capitalize()}Version={file}.1" for file in files]
    assert change[-5:] == [*given, *versions]
    assert change[change.index("--stack-name") + 1] == STACK
    # The names in AWS come first, so that those of the environment win.
    assert script.stored()["startup.sh"].split() == [
        *("export", "ATHENA_REPORTS_ENV=stg", "export", "ATHENA_REPORTS_BUCKET=b"),
        *("export", "ATHENA_REPORTS_ENV=stg"),
    ]


def test_an_account_without_the_stack_is_refused(script: Script) -> None:
    assert f"Stack with id {STACK} does not exist" in script.deploy("stg", code=1)
    assert script.versions_given() == []
    assert script.stored() == {}


@pytest.mark.ci
def test_what_is_unchanged_keeps_the_version_that_airflow_runs(deployed: Script) -> None:
    before = deployed.stored()
    deployed.deploy("stg", "--no-check")
    assert deployed.stored() == before
    (first,) = deployed.versions_given()
    deployed.write("built/plugins.zip", "plugins 2")
    deployed.deploy("stg", "--no-check")
    (second,) = deployed.versions_given()
    assert first["PluginsVersion"] == "plugins.zip.1"
    assert second == {**first, "PluginsVersion": "plugins.zip.2"}


@pytest.mark.parametrize("fails", ["athena-reports mwaa-check", "sam deploy"])
def test_no_dag_is_deployed_if_a_step_before_fails(fails: str, deployed: Script) -> None:
    deployed.write("built/plugins.zip", "plugins 2")
    deployed.write("built/dags/new.py", "")
    deployed.deploy("stg", code=1, FAILS=fails)
    assert "dags/new.py" not in deployed.stored()
    # The same command finishes it.
    deployed.deploy("stg")
    assert "dags/new.py" in deployed.stored()


def test_a_removed_file_goes_and_those_of_others_stay(deployed: Script) -> None:
    theirs = deployed.account / "bucket" / "dags" / "theirs.py"
    theirs.touch()
    for path in ("dags/plays.py", "dags/include/sql/plays.sql"):
        (deployed.project / "built" / path).unlink()
    deployed.write("built/dags/include/sql/games.sql", "")
    deployed.deploy("stg")
    dags = {path for path in deployed.stored() if path.startswith("dags/")}
    assert dags == {"dags/theirs.py", "dags/include/sql/games.sql"}
    theirs.unlink()
    deployed.deploy("stg")  # also of what others have removed


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        ([], 1, "Usage: bash deploy/deploy.sh ENVIRONMENT [--create]"),
        (["qa"], 2, "deploy/environments/qa.yaml"),
        (["stg", "--force"], 2, "Unknown option --force"),
    ],
)
def test_a_wrong_call_does_nothing(
    options: list[str], code: int, problem: str, script: Script
) -> None:
    assert problem in script.deploy(*options, code=code)
    assert script.calls() == []


def test_an_update_replaces_nothing_that_has_a_name_and_keeps_airflow() -> None:
    """By the elements of a stack policy in CloudFormation's user guide."""
    path = REPORTS_TEMPLATE.with_name("stack-policy.json")
    allow, *denials = json.loads(path.read_text())["Statement"]
    assert (allow["Effect"], allow["Action"]) == ("Allow", "Update:*")
    types = {each["Action"]: each["Condition"]["StringEquals"]["ResourceType"] for each in denials}
    names = {"Name", "BucketName", "DatabaseInput"}
    resources = TEMPLATE["Resources"].values()
    named = {each["Type"] for each in resources if names & each["Properties"].keys()}
    assert types.keys() == {"Update:Replace", "Update:Delete"}
    assert set(types["Update:Replace"]) == named
    assert list(types["Update:Delete"]) == ["AWS::MWAA::Environment"]


def test_a_project_has_this_script_and_its_parameters() -> None:
    template = TEMPLATES / "deploy.sh.jinja"
    assert template.read_text() == SCRIPT.read_text()
    # What a project begins with, most of it as comments.
    declared = (ROOT / "deploy" / "environments" / "stg.yaml").read_text()
    names = re.findall(r"^(?:# )?(\w+): ", declared, re.MULTILINE)
    assert len(names) >= 5
    assert set(names) <= TEMPLATE["Parameters"].keys()
