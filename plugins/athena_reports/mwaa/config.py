"""Where an environment is deployed to, and with which parameters.

They are in `deploy/samconfig.toml`, which is the SAM CLI's.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from athena_reports.local.project import Project
from athena_reports.mwaa import DeployError

CONFIG = "deploy/samconfig.toml"

_LAKE = "ARNs of what the queries read, such as arn:aws:s3:::my-lake,arn:aws:s3:::my-lake/*"
_NETWORK = (
    "Two private subnets for an MWAA environment, which costs 358 USD a month or more;"
    " empty for none"
)
_ACCESS = (
    "Whether the internet reaches the login page of Airflow: PUBLIC_ONLY, or empty for PRIVATE_ONLY"
)
_ASKED = {
    "SourceDataArns": (_LAKE, r"arn:[^\s,]+(,arn:[^\s,]+)*"),
    "AlertEmail": ("Address that alerts are sent to; empty for none", r"([^@\s]+@[^@\s]+)?"),
    "SubnetIds": (_NETWORK, r"(subnet-\w+,subnet-\w+)?"),
    "SecurityGroupIds": ("Its security groups", r"sg-\w+(,sg-\w+)*"),
    "WebserverAccessMode": (_ACCESS, r"PUBLIC_ONLY|PRIVATE_ONLY|"),
}
"""The parameters that are asked for, and what answers look like.

The last two are asked for only if there are subnets.
"""


@dataclass(frozen=True)
class Config:
    """Where an environment is deployed to.

    Parameters of the stack that are not here have the template's defaults.
    """

    environment: str
    region: str
    stack: str
    parameters: Mapping[str, str]


def read_config(project: Project, environment: str) -> Config | None:
    """Return the configuration of an environment; None if it has none."""
    path = project.root / CONFIG
    try:
        tables = tomllib.loads(path.read_text()) if path.exists() else {}
        if environment not in tables:
            return None
        values = tables[environment]["deploy"]["parameters"]
        overrides = values["parameter_overrides"]
        if isinstance(overrides, str):  # as `sam deploy --guided` writes them
            overrides = shlex.split(overrides)
        parameters = dict(override.split("=", 1) for override in overrides)
        return Config(environment, values["region"], values["stack_name"], parameters)
    except (KeyError, TypeError, ValueError) as error:
        raise DeployError(
            f"{path} does not say where {environment} is deployed to: {error!r}. Correct it."
        ) from error


def ask_config(project: Project, environment: str, session: boto3.Session) -> None:
    """Ask on the terminal, or read answers from a pipe, a line each; then remember them."""
    regions = session.get_available_regions("mwaa")
    region = _ask(f"AWS region, such as {session.region_name or 'eu-central-1'}", "|".join(regions))
    identity: Any = session.client("sts", region_name=region).get_caller_identity()
    print(f"These are the credentials of {identity['Arn']} in the account {identity['Account']}.")
    overrides = [f"Environment={environment}"]
    for name, (question, pattern) in _ASKED.items():
        if answer := _ask(question, pattern):
            overrides.append(f"{name}={answer}")
        elif name == "SubnetIds":
            break
    values = {
        "stack_name": f"athena-reports-{environment}",
        "region": region,
        "capabilities": "CAPABILITY_IAM",
        "parameter_overrides": overrides,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path = project.root / CONFIG
    text = path.read_text() if path.exists() else "version = 0.1\n"
    path.write_text("\n".join([text, f"[{environment}.deploy.parameters]", *lines, ""]))
    print(f"Remembered in {path}: commit it, and change answers there.")


def _ask(question: str, pattern: str) -> str:
    while True:
        try:
            answer = input(f"{question}: ").strip()
        except EOFError:
            raise DeployError(f"\nThe answers ended at: {question}. Nothing was changed.") from None
        if re.fullmatch(pattern, answer):
            return answer
        print(f"  {answer!r} does not match {pattern}")
