"""The stack of athena_reports_cli.mwaa, created in the local services."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cfnlint.decode import decode

from tests.support.paths import ROOT

REPORTS_TEMPLATE = ROOT / "cli" / "athena_reports_cli" / "mwaa" / "stack.yaml"
TEMPLATE: dict[str, Any] = decode(str(REPORTS_TEMPLATE))[0]


@dataclass(frozen=True)
class Stack:
    """A stack of stack.yaml."""

    name: str
    outputs: dict[str, str]
    variables: dict[str, str]  # those outputs that are values of variables, by their names


def kept_parameters(environment: str) -> dict[str, str]:
    """The parameters that have no default."""
    lake = f"arn:aws:s3:::my-company-lake-{environment}"
    return {"Environment": environment, "SourceDataArns": f"{lake},{lake}/*"}


def secrets_backend(environment: str) -> tuple[str, dict[str, Any]]:
    """The class and the arguments of the secrets backend that an environment gets."""
    options = TEMPLATE["Resources"]["Airflow"]["Properties"]["AirflowConfigurationOptions"]
    arguments = options["secrets.backend_kwargs"]["Fn::Sub"].replace("${Environment}", environment)
    return options["secrets.backend"], json.loads(arguments)


def create_stack(cloudformation: Any, parameters: dict[str, str]) -> Stack:
    """Create the stack of an environment as its documentation says;
    the environment is a parameter.
    """
    name = f"athena-reports-{parameters['Environment']}"
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=REPORTS_TEMPLATE.read_text(),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    return Stack(
        name,
        {output["OutputKey"]: output["OutputValue"] for output in outputs},
        {
            output["Description"]: output["OutputValue"]
            for output in outputs
            if output["Description"].startswith("ATHENA_REPORTS_")
        },
    )
