"""Asks where to deploy an environment, looks whether that can be, and remembers it.

Nothing is written before everything is answered and fits; then each file is replaced in one step. Answers are
options, or a line each from the terminal or a pipe: an empty line takes what is in brackets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from athena_reports.settings import ENVIRONMENT_NAME
from deploy.bundle import ENVIRONMENTS, PREFIX, settings_problem, variables_in
from deploy.environment import Say, describe
from deploy.errors import TargetError
from deploy.releases import Bucket
from deploy.rollout import caller, refuse_unfit, refuse_unversioned
from deploy.target import PATTERNS, Target, read_target, target_path, target_text

if TYPE_CHECKING:
    import boto3

_BUCKET = f"{PREFIX}BUCKET"
_QUERY_RESULTS = f"{PREFIX}QUERY_RESULTS"
_MANAGED = "managed"


@dataclass(frozen=True)
class Options:
    """Answers that are given; what is None is asked for.

    Attributes:
        region: AWS region.
        account: Id of the AWS account.
        mwaa_environment: Name of the MWAA environment.
        report_bucket: `ATHENA_REPORTS_BUCKET`.
        query_results: `ATHENA_REPORTS_QUERY_RESULTS`.
        committed_only: `yes` or `no`: whether only what is committed may be deployed.
        stack: Name of the CloudFormation stack whose outputs are the defaults.
        take_defaults: Whether to take defaults instead of asking.
    """

    region: str | None = None
    account: str | None = None
    mwaa_environment: str | None = None
    report_bucket: str | None = None
    query_results: str | None = None
    committed_only: str | None = None
    stack: str | None = None
    take_defaults: bool = False


def guide(repository: Path, environment: str, session: boto3.Session, options: Options, say: Say) -> Target:
    """Ask where to deploy an environment, and write it down.

    Args:
        repository: The repository.
        environment: Short name of the environment; a new one gets its file of variables.
        session: Whose credentials are used.
        options: Answers that are given.
        say: Told what is found and written.

    Raises:
        TargetError: An answer that was given does not fit, or the answers end; nothing was written.
    """
    if not re.fullmatch(ENVIRONMENT_NAME, environment):
        raise TargetError(
            f"ENV is {environment!r}: expected a short name in lower case, of up to 15 letters and digits, "
            "such as dev, stg or prd."
        )
    known = read_target(repository, environment) if target_path(repository, environment).exists() else None
    variables_path = repository / ENVIRONMENTS / f"{environment}.env"
    text = variables_path.read_text() if variables_path.exists() else ""
    variables = variables_in(variables_path, environment) if text else {}

    def ask(given: str | None, question: str, default: str | None, fits: Callable[[str], None]) -> str:
        return _ask(given, question, default or "", fits, options, say)

    region = ask(options.region, "AWS region", known.region if known else session.region_name, _pattern("region"))
    caller_account, arn = caller(session, region)
    say(f"The credentials are those of {arn}.")
    account = ask(
        options.account,
        "Account that may be deployed to",
        known.account if known else caller_account,
        _account(caller_account),
    )
    stack = options.stack or f"athena-reports-{environment}"
    outputs = _outputs(session, region, stack)
    say(f"Stack {stack}: {'its outputs are the defaults' if outputs else 'there is none that can be read'}.")
    mwaa_environment = ask(
        options.mwaa_environment,
        "MWAA environment",
        known.mwaa_environment if known else outputs.get("MwaaEnvironmentName"),
        _mwaa_environment(session, region, account),
    )
    s3 = session.client("s3", region_name=region)
    values = {name: value for name, value in outputs.items() if name.startswith(PREFIX)}
    values[_BUCKET] = ask(
        options.report_bucket,
        "Bucket that reports are published to",
        variables.get(_BUCKET) or outputs.get(_BUCKET),
        lambda name: _existing_bucket(s3, name),
    )
    values[_QUERY_RESULTS] = ask(
        options.query_results,
        "Where Athena writes results: s3://bucket/prefix/, or 'managed' where the workgroup keeps them",
        variables.get(_QUERY_RESULTS) or outputs.get(_QUERY_RESULTS),
        lambda place: _existing_place(s3, place),
    )
    committed = "yes" if (known.committed_only if known else environment == "prd") else "no"
    answer = ask(options.committed_only, "Deploy only what is committed", committed, _yes_or_no)
    values = {name: variables.get(name, value) for name, value in values.items()} | {
        name: values[name] for name in (_BUCKET, _QUERY_RESULTS)
    }
    values.pop(f"{PREFIX}ENV", None)
    if problem := settings_problem(variables | {f"{PREFIX}ENV": environment} | values):
        raise TargetError(f"{problem} Nothing was written.")
    target = Target(region, account, mwaa_environment, committed_only=answer == "yes")
    _replace(variables_path, with_variables(text, values), say)
    _replace(target_path(repository, environment), target_text(target), say)
    say(f"Commit both. Then see what would be deployed: make deploy ENV={environment} DRY_RUN=1")
    return target


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a file of variables with other values; comments and other lines stay as they are."""
    lines = text.splitlines()
    for name, value in values.items():
        places = [number for number, line in enumerate(lines) if line.startswith(f"{name}=")]
        places += [number for number, line in enumerate(lines) if re.match(rf"#\s*{name}=", line)]
        if places:
            lines[places[0]] = f"{name}={value}"
        else:
            lines.append(f"{name}={value}")
    return "".join(f"{line}\n" for line in lines)


def _ask(
    given: str | None,
    question: str,
    default: str,
    fits: Callable[[str], None],
    options: Options,
    say: Say,
) -> str:
    """An answer that fits; a wrong one from the terminal is asked for again."""
    if given is None and options.take_defaults:
        given = default
        say(f"{question}: {default}")
    if given is not None:
        try:
            fits(given)
        except TargetError as error:
            raise TargetError(f"{question}: {error} Nothing was written.") from error
        return given
    while True:
        try:
            answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
        except EOFError:
            raise TargetError(f"\nThe answers ended at: {question}. Nothing was written.") from None
        try:
            fits(answer)
        except TargetError as error:
            say(f"  {error}")
        else:
            return answer


def _pattern(name: str) -> Callable[[str], None]:
    pattern, expected = PATTERNS[name]

    def fits(answer: str) -> None:
        if not re.fullmatch(pattern, answer):
            raise TargetError(f"{answer!r} is not {expected}.")

    return fits


def _account(callers: str) -> Callable[[str], None]:
    def fits(answer: str) -> None:
        _pattern("account")(answer)
        if answer != callers:
            raise TargetError(
                f"The credentials are of the account {callers}, not {answer}: begin again with others, such "
                "as by AWS_PROFILE."
            )

    return fits


def _mwaa_environment(session: boto3.Session, region: str, account: str) -> Callable[[str], None]:
    def fits(answer: str) -> None:
        _pattern("mwaa_environment")(answer)
        mwaa: Any = session.client("mwaa", region_name=region)
        environment = describe(mwaa, answer)
        refuse_unfit(environment)
        s3 = session.client("s3", region_name=region)
        refuse_unversioned(Bucket(s3, environment.bucket, account))

    return fits


def _existing_bucket(s3: Any, name: str) -> None:
    """Raise TargetError if there is no such bucket; one that only others may look at will do."""
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise TargetError(f"There is no bucket {name!r}: {error}.") from error
    except ParamValidationError as error:
        raise TargetError(f"{name!r} is not the name of a bucket.") from error


def _existing_place(s3: Any, place: str) -> None:
    if place == _MANAGED:
        return
    match = re.fullmatch(r"s3://([^/]+)/(.*/)?", place)
    if match is None:
        raise TargetError(f"{place!r} is neither s3://bucket/prefix/ with the closing slash nor '{_MANAGED}'.")
    _existing_bucket(s3, match[1])


def _yes_or_no(answer: str) -> None:
    if answer not in ("yes", "no"):
        raise TargetError(f"{answer!r} is neither yes nor no.")


def _outputs(session: boto3.Session, region: str, stack: str) -> dict[str, str]:
    """Outputs of a stack: by their names, and those that are described by a variable by its name."""
    cloudformation: Any = session.client("cloudformation", region_name=region)
    try:
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError:
        return {}
    outputs = described.get("Outputs", [])
    named = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    variables = {each.get("Description", ""): each["OutputValue"] for each in outputs}
    return named | {name: value for name, value in variables.items() if name.startswith(PREFIX)}


def _replace(path: Path, text: str, say: Say) -> None:
    """Write a file in one step, unless it has that text."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    say(f"Wrote {path}.")
