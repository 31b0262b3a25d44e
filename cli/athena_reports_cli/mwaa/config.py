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
from typing import Any, NamedTuple

import boto3

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import DeployError

CONFIG = "deploy/samconfig.toml"


class _Question(NamedTuple):
    """A parameter of the stack that is asked for.

    Attributes:
        parameter: Its name in the template.
        text: What is asked.
        pattern: What an answer looks like. An empty one leaves the template's default.
    """

    parameter: str
    text: str
    pattern: str


_QUESTIONS = (
    _Question(
        "SourceDataArns",
        "ARNs of what the queries read, such as arn:aws:s3:::my-lake,arn:aws:s3:::my-lake/*",
        r"arn:[^\s,]+(,arn:[^\s,]+)*",
    ),
    _Question(
        "AlertEmail",
        "Address that alerts are sent to; empty for none",
        r"([^@\s]+@[^@\s]+)?",
    ),
)
_SUBNETS = _Question(
    "SubnetIds",
    "Two private subnets for an MWAA environment, which costs 358 USD a month or more;"
    " empty for none",
    r"(subnet-\w+,subnet-\w+)?",
)
# They are asked only if there are subnets.
_QUESTIONS_OF_AN_ENVIRONMENT = (
    _Question("SecurityGroupIds", "Its security groups", r"sg-\w+(,sg-\w+)*"),
    _Question(
        "WebserverAccessMode",
        "Whether the internet reaches the login page of Airflow: PUBLIC_ONLY, or empty for"
        " PRIVATE_ONLY",
        r"PUBLIC_ONLY|PRIVATE_ONLY|",
    ),
)


@dataclass(frozen=True)
class Config:
    """Where an environment is deployed to.

    Attributes:
        environment: Name of the environment.
        region: Region of AWS.
        stack: Name of the stack.
        parameters: Parameters of the stack. Those that are not here have the template's defaults.
    """

    environment: str
    region: str
    stack: str
    parameters: Mapping[str, str]


def read_config(project: Project, environment: str) -> Config | None:
    """Return the configuration of an environment; None if it has none.

    Raises:
        DeployError: The file of the SAM CLI is not valid, or lacks something.
    """
    path = project.root / CONFIG
    if not path.exists():
        return None
    try:
        tables = tomllib.loads(path.read_text())
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
    """Ask on the terminal, or read answers from a pipe, a line each; then remember them.

    Args:
        project: The project that remembers them.
        environment: Which environment is asked about.
        session: Whose region is suggested, and whose credentials are shown.

    Raises:
        DeployError: The answers have ended. Nothing is remembered.
    """
    regions = session.get_available_regions("mwaa")
    example = session.region_name or "eu-central-1"
    region = _ask(f"AWS region, such as {example}", "|".join(regions))
    identity: Any = session.client("sts", region_name=region).get_caller_identity()
    print(f"These are the credentials of {identity['Arn']} in the account {identity['Account']}.")
    answers = {"Environment": environment}
    for question in _QUESTIONS:
        answers[question.parameter] = _ask(question.text, question.pattern)
    subnets = _ask(_SUBNETS.text, _SUBNETS.pattern)
    if subnets:
        answers[_SUBNETS.parameter] = subnets
        for question in _QUESTIONS_OF_AN_ENVIRONMENT:
            answers[question.parameter] = _ask(question.text, question.pattern)
    overrides = [f"{parameter}={answer}" for parameter, answer in answers.items() if answer]
    values = {
        "stack_name": f"athena-reports-{environment}",
        "region": region,
        "capabilities": "CAPABILITY_IAM",
        "parameter_overrides": overrides,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path = project.root / CONFIG
    text = "version = 0.1\n"
    if path.exists():
        text = path.read_text()
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
