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

from deploy import DeployError
from deploy.config import CONFIG, Config

_READY = {
    f"{change}_COMPLETE"
    for change in ("CREATE", "UPDATE", "UPDATE_ROLLBACK", "IMPORT", "IMPORT_ROLLBACK")
}
_AIRFLOW = "AWS::MWAA::Environment"
_NAMED = (_AIRFLOW, "AWS::S3::Bucket", "AWS::Athena::WorkGroup", "AWS::Glue::Database")
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class State:
    """A stack as it is: its parameters, its outputs, and those outputs that are variables of the library."""

    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    settings: Mapping[str, str]


class Stack:
    """A stack; `cloudformation` is a client of the region that the configuration names."""

    def __init__(self, repository: Path, config: Config, cloudformation: Any) -> None:
        self._config = config
        self._cloudformation = cloudformation
        self._template = repository / "deploy" / "stack" / "reports.yaml"
        self._command = [
            *(
                str(repository / ".venv-deploy" / "bin" / "sam"),
                "deploy",
                "--no-fail-on-empty-changeset",
            ),
            *("--template-file", str(self._template)),
            *("--config-file", str(repository / CONFIG), "--config-env", config.environment),
            *(
                "--no-confirm-changeset",
                "--max-wait-duration",
                "180",
                "--parameter-overrides",
            ),  # minutes
        ]

    def state(self) -> State | None:
        """What it is now, None if there is no such stack; an error if something else has to be done first."""
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
        described = {each.get("Description", ""): each["OutputValue"] for each in outputs}
        return State(
            {
                each["ParameterKey"]: each.get("ParameterValue", "")
                for each in stack.get("Parameters", [])
            },
            {each["OutputKey"]: each["OutputValue"] for each in outputs},
            {
                name: value
                for name, value in described.items()
                if name.startswith("ATHENA_REPORTS_")
            },
        )

    def plan(self, versions: Mapping[str, str]) -> bool:
        """Print what would change; returns whether anything would. What cannot be replaced must not be."""
        done = self._run(
            versions, "--no-execute-changeset", "--output", "json", stdout=subprocess.PIPE
        )
        entries = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        message = next(
            (each["error"]["message"] for each in entries if each.get("status") == "failure"), ""
        )
        if done.returncode != 0 and not any(text in message for text in _NOTHING):
            raise DeployError(
                f"The SAM CLI could not make a change set: {message}\nNothing was changed in the"
                " stack."
            )
        made = [each["changeset_id"] for each in entries if "changeset_id" in each]
        for change_set in made:
            self._cloudformation.delete_change_set(ChangeSetName=change_set)
        print("The stack changes:" if made else "Nothing changes in the stack.")
        refused = []
        for each in (each for each in entries if each["type"] == "changeset"):
            resource, kind, replaces = (
                each["logical_id"],
                each["resource_type"],
                each["replacement"] == "True",
            )
            print(f"{each['action']:7} {resource} ({kind}), replacement: {each['replacement']}")
            if (replaces and kind in _NAMED) or (kind == _AIRFLOW and each["action"] == "Remove"):
                refused.append(resource)
        if refused:
            raise DeployError(
                f"{', '.join(refused)} would be replaced or removed. What has a name cannot be"
                " replaced, and an environment takes the history of its runs along. Nothing was"
                " changed in the stack. Put the parameters back in deploy/samconfig.toml:"
                " SubnetIds, SecurityGroupIds and KmsKeyArn stay as they were created. An"
                " environment in another network is another ENV."
            )
        return bool(made)

    def apply(self, versions: Mapping[str, str]) -> State:
        """Create or change it, and wait; returns what it is then."""
        done = self._run(versions)
        state = self.state()
        if done.returncode != 0 or state is None:
            raise DeployError(
                f"The SAM CLI failed; above is why. {self._reasons() if state else ''}What ran"
                " before still runs, with its DAG files and SQL. Mend the cause, and run the same"
                " command again."
            )
        # An environment bills by the hour and holds the history of runs: it neither stays nor goes
        # by accident.
        protection = {"StackName": self._config.stack, "EnableTerminationProtection": True}
        self._cloudformation.update_termination_protection(**protection)
        return state

    def _run(self, versions: Mapping[str, str], *options: str, stdout: int | None = None) -> Any:
        summary = self._cloudformation.get_template_summary(TemplateBody=self._template.read_text())
        # All of them: one that is not given would keep what an earlier deployment gave.
        defaults = {
            each["ParameterKey"]: each.get("DefaultValue", "") for each in summary["Parameters"]
        }
        parameters = {**defaults, **self._config.parameters, **versions}
        overrides = [f'{name}="{value}"' for name, value in parameters.items()]
        ours = ("PYTHON", "AIRFLOW")  # variables of this Python alone
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(ours)
        }
        environment["SAM_CLI_TELEMETRY"] = "0"
        done: dict[str, Any] = {
            "env": environment,
            "stdin": subprocess.DEVNULL,
            "stdout": stdout,
            "text": True,
        }
        return subprocess.run([*self._command, *overrides, *options], **done)

    def _next_step(self, status: str) -> str:
        again = "then run the same command again."
        aws = (
            f"aws cloudformation {{}} --region {self._config.region} --stack-name"
            f" {self._config.stack}"
        )
        if status.endswith("_IN_PROGRESS"):
            wait = aws.format(
                f"wait stack-{'create' if status.startswith('CREATE') else 'update'}-complete"
            )
            return f"Another deployment is under way. Wait until it is over ({wait}), {again}"
        if status == "UPDATE_ROLLBACK_FAILED":
            return (
                f"Mend that, let the rollback end ({aws.format('continue-update-rollback')}),"
                f" {again}"
            )
        return (
            f"It was not created; nothing runs in it. Remove it ({aws.format('delete-stack')}),"
            f" mend the cause, and run `make deploy-guided ENV={self._config.environment}`."
            " docs/reference/stack.md says how to import what exists."
        )

    def _reasons(self) -> str:
        """Why the last change failed, in the words of AWS; empty if it did not."""
        reasons: list[str] = []
        for event in self._cloudformation.describe_stack_events(StackName=self._config.stack)[
            "StackEvents"
        ]:
            status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
            if status.endswith("_FAILED") and "cancelled" not in reason:
                reasons.insert(0, f"{event['LogicalResourceId']}: {reason} ")
            if event["LogicalResourceId"] == self._config.stack and status in (
                "CREATE_IN_PROGRESS",
                "UPDATE_IN_PROGRESS",
            ):
                break
        return "".join(reasons)
