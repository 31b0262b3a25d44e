"""The stack of an environment: the SAM CLI changes it, and CloudFormation owns what is in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from athena_reports.local.project import Project
from athena_reports.mwaa import DeployError
from athena_reports.mwaa.config import CONFIG, Config

_READY = {
    f"{change}_COMPLETE"
    for change in ("CREATE", "UPDATE", "UPDATE_ROLLBACK", "IMPORT", "IMPORT_ROLLBACK")
}
_AIRFLOW = "AWS::MWAA::Environment"
_NAMED = (_AIRFLOW, "AWS::S3::Bucket", "AWS::Athena::WorkGroup", "AWS::Glue::Database")
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class State:
    """A stack as it is: its parameters, and its outputs.

    `settings` are those outputs that are variables of the library.
    """

    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    settings: Mapping[str, str]


class Stack:
    """A stack; `cloudformation` is a client of the region that the configuration names."""

    def __init__(self, project: Project, config: Config, cloudformation: Any) -> None:
        self._config = config
        self._cloudformation = cloudformation
        self._template = Path(__file__).with_name("stack.yaml")
        self._sam = project.root / ".venv-deploy" / "bin" / "sam"
        minutes = "180"
        self._command = [
            *(str(self._sam), "deploy", "--no-fail-on-empty-changeset", "--no-confirm-changeset"),
            *("--template-file", str(self._template)),
            *("--config-file", str(project.root / CONFIG), "--config-env", config.environment),
            *("--max-wait-duration", minutes),
            "--parameter-overrides",
        ]

    def state(self) -> State | None:
        """What it is now; None if there is no such stack.

        Raises:
            DeployError: If something else has to be done first.
        """
        try:
            (stack,) = self._cloudformation.describe_stacks(StackName=self._config.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        status = stack["StackStatus"]
        if status == "REVIEW_IN_PROGRESS":  # a change set that nobody has executed
            return None
        if status not in _READY:
            raise DeployError(
                f"{self._config.stack} is {status}. {self._reasons()}{self._next_step(status)}"
            )
        outputs = stack.get("Outputs", [])
        described = {output.get("Description", ""): output["OutputValue"] for output in outputs}
        return State(
            parameters={
                parameter["ParameterKey"]: parameter.get("ParameterValue", "")
                for parameter in stack.get("Parameters", [])
            },
            outputs={output["OutputKey"]: output["OutputValue"] for output in outputs},
            settings={
                name: value
                for name, value in described.items()
                if name.startswith("ATHENA_REPORTS_")
            },
        )

    def plan(self, versions: Mapping[str, str]) -> bool:
        """Print what would change; returns whether anything would.

        Raises:
            DeployError: If something would be replaced or removed that must not be.
        """
        done = self._run(
            versions, "--no-execute-changeset", "--output", "json", stdout=subprocess.PIPE
        )
        entries = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        errors = [entry["error"] for entry in entries if entry.get("status") == "failure"]
        message = errors[0]["message"] if errors else ""
        if done.returncode != 0 and not any(text in message for text in _NOTHING):
            raise DeployError(
                f"The SAM CLI could not make a change set: {message}\n"
                "Nothing was changed in the stack."
            )
        made = [entry["changeset_id"] for entry in entries if "changeset_id" in entry]
        for change_set in made:
            self._cloudformation.delete_change_set(ChangeSetName=change_set)
        print("The stack changes:" if made else "Nothing changes in the stack.")
        refused = []
        for change in (entry for entry in entries if entry["type"] == "changeset"):
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
        return bool(made)

    def apply(self, versions: Mapping[str, str]) -> State:
        """Create or change it, and wait; returns what it is then."""
        done = self._run(versions)
        state = self.state()
        if done.returncode != 0 or state is None:
            raise DeployError(
                f"The SAM CLI failed; above is why. {self._reasons() if state else ''}What ran"
                " before still runs, with its DAG files and SQL. Remove the cause, and run the same"
                " command again."
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
        defaults = {
            parameter["ParameterKey"]: parameter.get("DefaultValue", "")
            for parameter in summary["Parameters"]
        }
        parameters = {**defaults, **self._config.parameters, **versions}
        overrides = [f'{name}="{value}"' for name, value in parameters.items()]
        ours = ("PYTHON", "AIRFLOW")  # variables of this Python alone
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(ours)
        }
        environment["SAM_CLI_TELEMETRY"] = "0"
        if not self._sam.exists():
            folder = self._sam.parent.parent
            raise DeployError(
                f"There is no SAM CLI at {self._sam}. It has an environment of its own: python -m"
                f" venv {folder} && {folder}/bin/python -m pip install aws-sam-cli"
            )
        return subprocess.run(
            [*self._command, *overrides, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
        )

    def _next_step(self, status: str) -> str:
        again = "then run the same command again."
        of_stack = f"--region {self._config.region} --stack-name {self._config.stack}"
        aws = f"aws cloudformation {{}} {of_stack}"
        if status.endswith("_IN_PROGRESS"):
            change = "create" if status.startswith("CREATE") else "update"
            wait = aws.format(f"wait stack-{change}-complete")
            return f"Another deployment is under way. Wait until it is over ({wait}), {again}"
        if status == "UPDATE_ROLLBACK_FAILED":
            rollback = aws.format("continue-update-rollback")
            return f"Correct that, let the rollback end ({rollback}), {again}"
        return (
            f"It was not created; nothing runs in it. Remove it ({aws.format('delete-stack')}),"
            f" remove the cause, and run `athena-reports deploy --env {self._config.environment}"
            " --guided`. The page docs/how-to/deploy.md of athena-reports says how to import what"
            " exists."
        )

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
            is_begin = status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            if resource == self._config.stack and is_begin:
                break
        return "".join(reasons)
