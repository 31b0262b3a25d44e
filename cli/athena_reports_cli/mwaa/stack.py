"""The stack of an environment: the SAM CLI changes it, and CloudFormation owns what is in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.services import environment_without
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.config import CONFIG, Config

_READY = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}
"""The states in which CloudFormation changes a stack."""
_NOT_CREATED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
"""The states of a stack in which nothing runs."""
_AIRFLOW = "AWS::MWAA::Environment"
# What has a name of its own cannot be replaced: the new one would need the same name.
_NAMED = (_AIRFLOW, "AWS::S3::Bucket", "AWS::Athena::WorkGroup", "AWS::Glue::Database")
# How CloudFormation says that a change set is empty.
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class State:
    """A stack as it is.

    Attributes:
        parameters: Its parameters.
        outputs: Its outputs.
        settings: Those outputs that are variables of the library, by the names of the variables.
    """

    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    settings: Mapping[str, str]


class Stack:
    """A stack.

    Args:
        project: Has the configuration, and the environment of the SAM CLI.
        config: Which stack it is, and its parameters.
        cloudformation: A client of the region that the configuration names.
    """

    def __init__(self, project: Project, config: Config, cloudformation: Any) -> None:
        self._config = config
        self._cloudformation = cloudformation
        self._template = Path(__file__).with_name("stack.yaml")
        self._sam = project.root / ".venv-deploy" / "bin" / "sam"
        self._config_file = project.root / CONFIG

    def state(self) -> State | None:
        """Return what it is now; None if there is no such stack.

        Raises:
            DeployError: Something else has to be done first.
        """
        try:
            response = self._cloudformation.describe_stacks(StackName=self._config.stack)
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        stack = response["Stacks"][0]
        status = stack["StackStatus"]
        if status == "REVIEW_IN_PROGRESS":  # a change set that nobody has executed
            return None
        if status not in _READY:
            raise DeployError(
                f"{self._config.stack} is {status}. {self._reasons()}{self._next_step(status)}"
            )
        parameters = {}
        for parameter in stack.get("Parameters", []):
            parameters[parameter["ParameterKey"]] = parameter.get("ParameterValue", "")
        outputs = {}
        settings = {}
        for output in stack.get("Outputs", []):
            outputs[output["OutputKey"]] = output["OutputValue"]
            # The template describes an output that is a setting by its variable.
            description = output.get("Description", "")
            if description.startswith("ATHENA_REPORTS_"):
                settings[description] = output["OutputValue"]
        return State(parameters, outputs, settings)

    def plan(self, versions: Mapping[str, str]) -> bool:
        """Print what would change, and return whether anything would.

        Args:
            versions: The parameters that pin the files of the bundle.

        Raises:
            DeployError: There is no change set, or something would be replaced or removed that must
                not be.
        """
        done = self._run(
            versions, "--no-execute-changeset", "--output", "json", stdout=subprocess.PIPE
        )
        entries = _json_lines(done.stdout)
        message = ""
        for entry in entries:
            if entry.get("status") == "failure":
                message = entry["error"]["message"]
                break
        is_empty = any(text in message for text in _NOTHING)
        if done.returncode != 0 and not is_empty:
            reason = f"could not make a change set: {message}"
            if not message:
                reason = f"ended with exit code {done.returncode}."
            raise DeployError(f"The SAM CLI {reason}\nNothing was changed in the stack.")
        change_sets = [entry["changeset_id"] for entry in entries if "changeset_id" in entry]
        for change_set in change_sets:
            self._cloudformation.delete_change_set(ChangeSetName=change_set)
        if change_sets:
            print("The stack changes:")
        else:
            print("Nothing changes in the stack.")
        self._print_changes([entry for entry in entries if entry["type"] == "changeset"])
        return change_sets != []

    def _print_changes(self, changes: list[dict[str, str]]) -> None:
        """Print the changes of resources.

        Raises:
            DeployError: A resource would be replaced or removed that must not be.
        """
        refused = []
        for change in changes:
            resource = change["logical_id"]
            kind = change["resource_type"]
            replacement = change["replacement"]
            print(f"{change['action']:7} {resource} ({kind}), replacement: {replacement}")
            is_replaced = kind in _NAMED and replacement == "True"
            is_removed = kind == _AIRFLOW and change["action"] == "Remove"
            if is_replaced or is_removed:
                refused.append(resource)
        if refused:
            raise DeployError(
                f"{', '.join(refused)} would be replaced or removed. What has a name cannot be"
                " replaced, and an environment takes the history of its runs along. Nothing was"
                " changed in the stack. Put the parameters back in deploy/samconfig.toml:"
                " SubnetIds, SecurityGroupIds and KmsKeyArn stay as they were created. An"
                " environment in another network needs another name."
            )

    def apply(self, versions: Mapping[str, str]) -> State:
        """Create or change it, wait, and return what it is then.

        Args:
            versions: The parameters that pin the files of the bundle.

        Raises:
            DeployError: It is not changed, or not whole.
        """
        done = self._run(versions)
        state = self.state()
        if done.returncode != 0 or state is None:
            reasons = ""
            if state is not None:
                reasons = self._reasons()
            raise DeployError(
                f"The SAM CLI failed; above is why. {reasons}What ran before still runs, with its"
                " DAG files and SQL. Remove the cause, and run the same command again."
            )
        # An environment bills by the hour and holds the history of runs:
        # it neither stays nor goes by accident.
        self._cloudformation.update_termination_protection(
            StackName=self._config.stack, EnableTerminationProtection=True
        )
        return state

    def _run(self, versions: Mapping[str, str], *options: str, stdout: int | None = None) -> Any:
        summary = self._cloudformation.get_template_summary(TemplateBody=self._template.read_text())
        # All of them: one that is not given would keep what an earlier deployment gave.
        parameters = {}
        for parameter in summary["Parameters"]:
            parameters[parameter["ParameterKey"]] = parameter.get("DefaultValue", "")
        parameters.update(self._config.parameters)
        parameters.update(versions)
        overrides = [f'{name}="{value}"' for name, value in parameters.items()]
        # PYTHON* and AIRFLOW* are for the Python of this process alone.
        environment = environment_without("PYTHON", "AIRFLOW")
        environment["SAM_CLI_TELEMETRY"] = "0"
        if not self._sam.exists():
            folder = self._sam.parent.parent
            raise DeployError(
                f"There is no SAM CLI at {self._sam}. It has an environment of its own: python -m"
                f" venv {folder} && {folder}/bin/python -m pip install aws-sam-cli"
            )
        minutes = "180"
        command = [str(self._sam), "deploy"]
        command += ["--no-fail-on-empty-changeset", "--no-confirm-changeset"]
        command += ["--template-file", str(self._template)]
        command += ["--config-file", str(self._config_file)]
        command += ["--config-env", self._config.environment]
        command += ["--max-wait-duration", minutes]
        command += ["--parameter-overrides", *overrides]
        return subprocess.run(
            [*command, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
        )

    def _next_step(self, status: str) -> str:
        again = "then run the same command again."
        if status.endswith("_IN_PROGRESS"):
            waiting = "wait stack-update-complete"
            if status.startswith("CREATE"):
                waiting = "wait stack-create-complete"
            command = self._aws_command(waiting)
            return f"Another deployment is under way. Wait until it is over ({command}), {again}"
        if status == "UPDATE_ROLLBACK_FAILED":
            command = self._aws_command("continue-update-rollback")
            return f"Correct that, let the rollback end ({command}), {again}"
        if status not in _NOT_CREATED:
            return (
                "A change of it has failed outside of this command. See its events in the console"
                f" of CloudFormation, bring it to a state that ends with COMPLETE, {again}"
            )
        command = self._aws_command("delete-stack")
        return (
            f"It was not created; nothing runs in it. Remove it ({command}),"
            f" remove the cause, and run `athena-reports deploy --env {self._config.environment}"
            " --guided`. The page docs/how-to/deploy.md of athena-reports says how to import what"
            " exists."
        )

    def _aws_command(self, action: str) -> str:
        """Return a command of the AWS CLI for the stack."""
        stack = f"--region {self._config.region} --stack-name {self._config.stack}"
        return f"aws cloudformation {action} {stack}"

    def _reasons(self) -> str:
        """Why the last change failed, in the words of AWS; empty if it did not."""
        reasons: list[str] = []
        events = self._cloudformation.describe_stack_events(StackName=self._config.stack)
        for event in events["StackEvents"]:  # the newest first
            resource = event["LogicalResourceId"]
            status = event.get("ResourceStatus", "")
            reason = event.get("ResourceStatusReason", "")
            if status.endswith("_FAILED") and "cancelled" not in reason:
                reasons.insert(0, f"{resource}: {reason} ")
            begins = status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            if resource == self._config.stack and begins:
                break
        return "".join(reasons)


def _json_lines(printed: str) -> list[dict[str, Any]]:
    """Return the JSON objects among the lines. One that a killed process has cut off is none."""
    found = []
    for line in printed.splitlines():
        if line.startswith("{"):
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found
