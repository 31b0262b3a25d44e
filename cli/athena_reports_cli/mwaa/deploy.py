"""Deploys an environment to Amazon MWAA: its bundle, its stack, and then its DAGs folder."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as aws
from rich.console import Console

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runs import TimedProgress
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.bundle import BUNDLE, PREFIX, build_bundle
from athena_reports_cli.mwaa.check import check_in_twin
from athena_reports_cli.mwaa.config import Config, ask_config, read_config
from athena_reports_cli.mwaa.stack import Stack
from athena_reports_cli.mwaa.store import PINNED, Store

_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.CredentialRetrievalError,
    aws.SSOError,
    aws.TokenRetrievalError,
)
_REFUSED = (
    "ExpiredToken",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an environment is deployed.

    Attributes:
        guided: Whether it is asked where to, if that is not known, and the stack may be created.
        check: Whether the bundle is checked in the twin first.
        dry_run: Whether it is only told what would be changed.
    """

    guided: bool = False
    check: bool = True
    dry_run: bool = False


def deploy(project: Project, environment: str, options: Options) -> None:
    """Deploy an environment.

    Build the bundle, check it, upload what the stack pins, change the stack, synchronise dags/.

    Args:
        project: What is deployed.
        environment: Its name, as in the project's folder of environments.
        options: How.

    Raises:
        DeployError: It is not deployed, or not whole; the message says what to do next.
    """
    try:
        _deploy(project, environment, project.root / BUNDLE, options)
    except OSError as error:
        raise DeployError(str(error)) from error
    except (aws.BotoCoreError, aws.ClientError) as error:
        advice = "Remove the cause"
        if _is_about_credentials(error):
            advice = "Choose credentials (AWS_PROFILE=..., or `aws sso login`)"
        again = "then run the same command again: it finishes what was begun."
        raise DeployError(f"AWS: {error}\n{advice}, {again}") from error


def _is_about_credentials(error: Exception) -> bool:
    if isinstance(error, aws.ClientError):
        return error.response["Error"]["Code"] in _REFUSED
    return isinstance(error, _NO_CREDENTIALS)


def _deploy(project: Project, environment: str, folder: Path, options: Options) -> None:
    if environment == "prd":
        _refuse_uncommitted(project.root)
    build_bundle(project, environment, folder)  # what is wrong with it is said first
    session = boto3.Session()
    config = _config(project, environment, session, guided=options.guided)
    sts: Any = session.client("sts", region_name=config.region)
    s3 = session.client("s3", region_name=config.region)
    account = sts.get_caller_identity()["Account"]
    stack = Stack(project, config, session.client("cloudformation", region_name=config.region))
    state = stack.state()
    if state is None:
        if not options.guided:
            raise DeployError(
                f"There is no stack {config.stack} in {config.region} of the account {account}."
                " Choose other credentials (AWS_PROFILE=...), or create it:"
                f" {_advice_to_be_guided(environment)}"
            )
        # Buckets first: an environment needs what is in one.
        state = stack.apply(dict.fromkeys(PINNED.values(), ""))
    while True:
        bundle = build_bundle(project, environment, folder, state.settings)
        store = Store(s3, state.outputs["MwaaBucket"], account, bundle.files)
        writes, removals = store.differences()
        versions = store.upload(dry_run=True)
        if options.dry_run:
            stack.plan(versions)
            _print_changes(writes, removals)
            return
        has_new_versions = not versions.items() <= state.parameters.items()
        if options.check and (writes or removals or has_new_versions):
            version = config.parameters.get("AirflowVersion", state.parameters["AirflowVersion"])
            _check(project, version)
        versions = store.upload()
        settings_of_bundle = state.settings
        if stack.plan(versions):
            state = stack.apply(versions)
        if state.settings == settings_of_bundle:
            break
        # startup.sh has to name what the stack has now: once more, with a new bundle.
    store.synchronise()
    pool = bundle.variables.get(f"{PREFIX}POOL")
    name = state.outputs.get("MwaaEnvironmentName")
    if pool and name:
        _create_pool(session.client("mwaa", region_name=config.region), name, pool)
    address = state.outputs.get("WebserverUrl", "It has no MWAA environment.")
    print(f"{environment} is deployed. {address}")


def _config(project: Project, environment: str, session: boto3.Session, *, guided: bool) -> Config:
    """Return where an environment is deployed to. If that is not known, `guided` asks for it."""
    config = read_config(project, environment)
    if config is None and guided:
        ask_config(project, environment, session)
        config = read_config(project, environment)
    if config is None:
        advice = _advice_to_be_guided(environment)
        raise DeployError(f"Where {environment} is deployed to is not known yet: {advice}")
    return config


def _advice_to_be_guided(environment: str) -> str:
    return (
        f"`athena-reports deploy --env {environment} --guided` asks what is needed, and creates it."
    )


def _print_changes(writes: list[str], removals: list[str]) -> None:
    for path in writes:
        print(f"write   {path}")
    for path in removals:
        print(f"remove  {path}")


def _check(project: Project, version: str) -> None:
    """Raise DeployError unless the bundle works in the twin of an Airflow."""
    try:
        check_in_twin(project, version, progress=TimedProgress(Console()))
    except DeployError as error:
        raise DeployError(f"{error}\nThe check has failed: nothing was deployed.") from error


def _create_pool(mwaa: Any, environment: str, pool: str) -> None:
    """Create a pool of Airflow unless it is there; its slots are changed in Airflow."""
    body = {"name": pool, "slots": 16, "include_deferred": True}
    try:
        mwaa.invoke_rest_api(Name=environment, Method="POST", Path="/pools", Body=body)
    except mwaa.exceptions.RestApiClientException as error:
        if error.response.get("RestApiStatusCode") != 409:
            raise


def _refuse_uncommitted(repository: Path) -> None:
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=repository, capture_output=True, text=True
    )
    if done.returncode != 0 or done.stdout:
        raise DeployError(
            "prd takes only what is committed. Commit or put aside (git stash --include-untracked)"
            f" what git status lists:\n{done.stdout}{done.stderr}"
        )
