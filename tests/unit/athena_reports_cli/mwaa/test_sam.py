"""What the SAM CLI is asked for and what is made of its answers; a script stands for it.

tests/unit/athena_reports_cli/mwaa/test_deploy.py has the real one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.config import CONFIG, Config
from athena_reports_cli.mwaa.stack import Stack, State
from tests.support.stacks import REPORTS_TEMPLATE

SAM = """#!{python} -S
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
(here / "asked.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
print((here / "says").read_text(), end="")
sys.exit(int((here / "code").read_text()))
"""
VERSIONS = {"PluginsVersion": "p2", "RequirementsVersion": "r2", "StartupVersion": "s2"}
DEFAULTS = {"Environment": None, "AlertEmail": "", "MaxWorkers": "2", "PluginsVersion": ""}


class CloudFormation:
    """A stack that is there; what is called is noted."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.status = "UPDATE_COMPLETE"

    def get_template_summary(self, **asked: Any) -> Any:
        assert asked == {"TemplateBody": REPORTS_TEMPLATE.read_text()}
        parameters = []
        for name, default in DEFAULTS.items():
            known = {"ParameterKey": name}
            if default is not None:
                known["DefaultValue"] = default
            parameters.append(known)
        return {"Parameters": parameters}

    def describe_stacks(self, **asked: Any) -> Any:
        self.calls.append(("describe", asked["StackName"]))
        if not self.status:
            message = {"Code": "ValidationError", "Message": "Stack does not exist"}
            raise ClientError({"Error": message}, "DescribeStacks")  # type: ignore[typeddict-item]
        outputs = [
            {"OutputKey": "Bucket", "OutputValue": "b", "Description": "ATHENA_REPORTS_BUCKET"},
            {"OutputKey": "Role", "OutputValue": "r", "Description": "What it runs as"},
            {"OutputKey": "Bare", "OutputValue": "x"},
        ]
        parameters = [
            {"ParameterKey": "PluginsVersion", "ParameterValue": "p1"},
            {"ParameterKey": "Hidden"},
        ]
        stack = {"StackStatus": self.status, "Outputs": outputs, "Parameters": parameters}
        return {"Stacks": [stack]}

    def describe_stack_events(self, **_: Any) -> Any:
        event = {"LogicalResourceId": "Airflow", "ResourceStatus": "UPDATE_FAILED"}
        return {"StackEvents": [event | {"ResourceStatusReason": "The archive is broken"}]}

    def delete_change_set(self, **asked: Any) -> None:
        self.calls.append(("delete", asked["ChangeSetName"]))

    def update_termination_protection(self, **asked: Any) -> None:
        self.calls.append(("protect", asked))


class Sam(SimpleNamespace):
    """The script, and what it was asked for."""

    folder: Path

    def answers(self, *entries: object, code: int = 0) -> None:
        lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
        (self.folder / "says").write_text("".join(f"{line}\n" for line in lines))
        (self.folder / "code").write_text(str(code))

    @property
    def arguments(self) -> list[str]:
        found: list[str] = json.loads((self.folder / "asked.json").read_text())[0]
        return found

    @property
    def variables(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "asked.json").read_text())[1]
        return found

    def parameters(self) -> dict[str, str]:
        """The parameters of the stack, all of which are given."""
        begin = self.arguments.index("--parameter-overrides") + 1
        words = self.arguments[begin:]
        pairs = [word for word in words if not word.startswith("--") and "=" in word]
        return {name: value.strip('"') for name, _, value in (p.partition("=") for p in pairs)}


@pytest.fixture
def sam(tmp_path: Path) -> Sam:
    command = tmp_path / ".venv-deploy" / "bin" / "sam"
    command.parent.mkdir(parents=True)
    command.write_text(SAM.format(python=sys.executable))
    command.chmod(0o755)
    sam = Sam(folder=command.parent)
    sam.answers()
    return sam


@pytest.fixture
def cloudformation() -> CloudFormation:
    return CloudFormation()


@pytest.fixture
def make_stack(tmp_path: Path, cloudformation: CloudFormation) -> Callable[..., Stack]:
    def make(**parameters: str) -> Stack:
        config = Config("stg", "eu-west-1", "reports-of-stg", {"Environment": "stg"} | parameters)
        return Stack(Project.usual(tmp_path), config, cloudformation)

    return make


def change(resource: str, kind: str, action: str = "Modify", replacement: str = "False") -> Any:
    return {
        "type": "changeset",
        "logical_id": resource,
        "resource_type": kind,
        "action": action,
        "replacement": replacement,
    }


CHANGE_SET = {"type": "changeset_created", "changeset_id": "arn:of-the-change-set"}


def test_every_parameter_is_given_and_the_versions_have_the_last_word(
    sam: Sam, make_stack: Callable[..., Stack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "AIRFLOW_HOME", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.setenv(name, "of this process")
    monkeypatch.setenv("OURS", "yes")
    monkeypatch.setenv("AWS_PROFILE", "team")
    stack = make_stack(MaxWorkers="5", PluginsVersion="of-the-file")
    state = stack.apply(VERSIONS)
    assert sam.parameters() == {
        "Environment": "stg",
        "AlertEmail": "",  # else it would keep what an earlier deployment gave
        "MaxWorkers": "5",
        **VERSIONS,
    }
    arguments = sam.arguments
    assert arguments[0] == "deploy"
    for option, value in (
        ("--template-file", str(REPORTS_TEMPLATE)),
        ("--config-file", str(tmp_path / CONFIG)),
        ("--config-env", "stg"),
        ("--max-wait-duration", "180"),
    ):
        assert arguments[arguments.index(option) + 1] == value
    assert {"--no-confirm-changeset", "--no-fail-on-empty-changeset"} <= set(arguments)
    assert "--no-execute-changeset" not in arguments
    passed_on = {"OURS": "yes", "AWS_PROFILE": "team", "SAM_CLI_TELEMETRY": "0"}
    assert sam.variables.items() >= passed_on.items()
    assert "PATH" in sam.variables
    without = ("PYTHON", "AIRFLOW", "ACTIONS_")
    assert [name for name in sam.variables if name.startswith(without)] == []
    assert "PYTHONPATH" in os.environ
    assert state == State(
        parameters={"PluginsVersion": "p1", "Hidden": ""},
        outputs={"Bucket": "b", "Role": "r", "Bare": "x"},
        settings={"ATHENA_REPORTS_BUCKET": "b"},
    )


def test_a_stack_that_has_changed_is_protected_against_being_deleted(
    sam: Sam, make_stack: Callable[..., Stack], cloudformation: CloudFormation
) -> None:
    make_stack().apply(VERSIONS)
    protected = {"StackName": "reports-of-stg", "EnableTerminationProtection": True}
    assert cloudformation.calls == [("describe", "reports-of-stg"), ("protect", protected)]


def test_a_change_that_fails_says_why_and_that_what_ran_still_runs(
    sam: Sam, make_stack: Callable[..., Stack], cloudformation: CloudFormation
) -> None:
    sam.answers(code=1)
    with pytest.raises(DeployError, match="Airflow: The archive is broken What ran before still"):
        make_stack().apply(VERSIONS)
    cloudformation.status = ""
    with pytest.raises(DeployError, match=r"The SAM CLI failed; above is why\. What ran before"):
        make_stack().apply(VERSIONS)
    sam.answers()
    with pytest.raises(DeployError, match="The SAM CLI failed"):
        make_stack().apply(VERSIONS)
    assert [call for call, _ in cloudformation.calls] == ["describe"] * 3


# The states of a stack, by the API reference of CloudFormation.
CHANGEABLE = (
    *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"),
    *("IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"),
)
OTHERS = (
    *("CREATE_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED"),
    *("ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE"),
    *("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_FAILED"),
    *("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"),
    *("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_IN_PROGRESS"),
    *("IMPORT_ROLLBACK_IN_PROGRESS", "IMPORT_ROLLBACK_FAILED"),
)


def test_only_a_stack_at_rest_is_changed(
    make_stack: Callable[..., Stack], cloudformation: CloudFormation
) -> None:
    for status in CHANGEABLE:
        cloudformation.status = status
        state = make_stack().state()
        assert state is not None
        assert state.outputs["Bucket"] == "b"
    for status in OTHERS:
        cloudformation.status = status
        with pytest.raises(DeployError, match=f"^reports-of-stg is {status}\\. "):
            make_stack().state()
    cloudformation.status = "REVIEW_IN_PROGRESS"  # a change set that nobody has executed
    assert make_stack().state() is None


NOT_CREATED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


def test_only_a_stack_that_was_not_created_is_to_be_removed(
    make_stack: Callable[..., Stack], cloudformation: CloudFormation
) -> None:
    """In another one, an environment runs, and its history would go with it."""
    to_remove = []
    for status in OTHERS:
        cloudformation.status = status
        with pytest.raises(DeployError) as refused:
            make_stack().state()
        if "delete-stack" in str(refused.value):
            assert "It was not created; nothing runs in it." in str(refused.value)
            to_remove.append(status)
        else:
            assert str(refused.value).endswith("then run the same command again.")
    assert sorted(to_remove) == sorted(NOT_CREATED)


def test_a_stack_that_may_not_be_looked_at_is_not_taken_for_one_that_is_not_there(
    make_stack: Callable[..., Stack],
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a deployment would ask for a stack to be created that there is."""
    cloudformation.status = ""
    assert make_stack().state() is None
    refusal: Any = {"Error": {"Code": "AccessDenied", "Message": "not authorized"}}

    def refuse(**_: Any) -> Any:
        raise ClientError(refusal, "DescribeStacks")

    monkeypatch.setattr(cloudformation, "describe_stacks", refuse)
    with pytest.raises(ClientError, match="AccessDenied"):
        make_stack().state()


# --- A plan


def test_a_plan_shows_the_changes_and_leaves_no_change_set(
    sam: Sam,
    make_stack: Callable[..., Stack],
    cloudformation: CloudFormation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sam.answers(
        "Some words of the SAM CLI",
        CHANGE_SET,
        change("Airflow", "AWS::MWAA::Environment"),
        change("Topic", "AWS::SNS::Topic", "Remove", "N/A"),
        change("Role", "AWS::IAM::Role", "Modify", "True"),
        change("Bucket", "AWS::S3::Bucket", "Add", "N/A"),
    )
    assert make_stack().plan(VERSIONS)
    assert "--no-execute-changeset" in sam.arguments
    assert sam.arguments[-2:] == ["--output", "json"]
    assert cloudformation.calls == [("delete", "arn:of-the-change-set")]
    assert capsys.readouterr().out.splitlines() == [
        "The stack changes:",
        "Modify  Airflow (AWS::MWAA::Environment), replacement: False",
        "Remove  Topic (AWS::SNS::Topic), replacement: N/A",
        "Modify  Role (AWS::IAM::Role), replacement: True",
        "Add     Bucket (AWS::S3::Bucket), replacement: N/A",
    ]


@pytest.mark.parametrize(
    "message",
    [
        "The submitted information didn't contain changes. Submit different information.",
        "An error occurred (ValidationError): No updates are to be performed.",
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_an_empty_change_set_is_no_change(
    code: int,
    message: str,
    sam: Sam,
    make_stack: Callable[..., Stack],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = {"type": "status", "status": "failure", "error": {"message": message}}
    sam.answers(failure, code=code)
    assert not make_stack().plan(VERSIONS)
    assert capsys.readouterr().out == "Nothing changes in the stack.\n"


@pytest.mark.parametrize("entries", [[], [{"type": "status", "status": "success"}]])
def test_a_change_set_that_cannot_be_made_is_told_with_its_reason(
    entries: list[Any], sam: Sam, make_stack: Callable[..., Stack]
) -> None:
    failures = [
        {"type": "status", "status": "failure", "error": {"message": reason}}
        for reason in ("MaxWorkers is too large", "and more")
    ]
    sam.answers(*entries, *failures, code=1)
    with pytest.raises(DeployError) as refused:
        make_stack().plan(VERSIONS)
    assert str(refused.value) == (
        "The SAM CLI could not make a change set: MaxWorkers is too large\n"
        "Nothing was changed in the stack."
    )


@pytest.mark.parametrize("printed", ["", "Building", '{"type": "status", "sta'])
def test_a_sam_cli_that_dies_is_told_with_its_exit_code(
    printed: str, sam: Sam, make_stack: Callable[..., Stack]
) -> None:
    sam.answers(printed, code=137)
    with pytest.raises(DeployError, match=r"^The SAM CLI ended with exit code 137\.\nNothing was"):
        make_stack().plan(VERSIONS)


@pytest.mark.parametrize(
    "refused",
    [
        change("Airflow", "AWS::MWAA::Environment", "Modify", "True"),
        change("Airflow", "AWS::MWAA::Environment", "Remove", "N/A"),
        change("ReportBucket", "AWS::S3::Bucket", "Modify", "True"),
        change("Workgroup", "AWS::Athena::WorkGroup", "Modify", "True"),
        change("ReportDatabase", "AWS::Glue::Database", "Modify", "True"),
    ],
    ids=lambda entry: f"{entry['logical_id']} {entry['action']}",
)
def test_what_has_a_name_is_not_replaced_and_an_environment_not_removed(
    refused: dict[str, str],
    sam: Sam,
    make_stack: Callable[..., Stack],
    cloudformation: CloudFormation,
) -> None:
    sam.answers(change("Topic", "AWS::SNS::Topic", "Modify", "True"), CHANGE_SET, refused)
    with pytest.raises(DeployError, match=f"^{refused['logical_id']} would be replaced or removed"):
        make_stack().plan(VERSIONS)
    # It would be executed by whoever finds it.
    assert cloudformation.calls == [("delete", "arn:of-the-change-set")]
