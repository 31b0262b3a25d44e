"""What `make bundle`, `deploy-guided` and `deploy` run: `python -m athena_reports.mwaa`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as aws

from athena_reports.errors import AthenaReportsError
from athena_reports.local.project import Project, find_project
from athena_reports.mwaa import DeployError
from athena_reports.mwaa.bundle import BUNDLE, PREFIX, build_bundle
from athena_reports.mwaa.config import ask_config, read_config
from athena_reports.mwaa.stack import Stack
from athena_reports.mwaa.store import PINNED, Store

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


def deploy(project: Project, environment: str, folder: Path, options: argparse.Namespace) -> None:
    """Deploy an environment.

    Build the bundle, check it, upload what the stack pins, change the stack, synchronise dags/.
    """
    if environment == "prd":
        _refuse_uncommitted(project.root)
    build_bundle(project, environment, folder)  # what is wrong with it is said first
    session = boto3.Session()
    if options.guided and read_config(project, environment) is None:
        ask_config(project, environment, session)
    config = read_config(project, environment)
    guided = f"`make deploy-guided ENV={environment}` asks what is needed, and creates it."
    if config is None:
        raise DeployError(f"Where {environment} is deployed to is not known yet: {guided}")
    clients: Any = {
        name: session.client(name, region_name=config.region) for name in ("sts", "s3", "mwaa")
    }
    account = clients["sts"].get_caller_identity()["Account"]
    stack = Stack(project, config, session.client("cloudformation", region_name=config.region))
    state = stack.state()
    if state is None and not options.guided:
        raise DeployError(
            f"There is no stack {config.stack} in {config.region} of the account {account}. Choose"
            f" other credentials (AWS_PROFILE=...), or create it: {guided}"
        )
    # Buckets first: an environment needs what is in one.
    state = state or stack.apply(dict.fromkeys(PINNED.values(), ""))
    while True:
        bundle = build_bundle(project, environment, folder, state.settings)
        store = Store(clients["s3"], state.outputs["MwaaBucket"], account, bundle.files)
        writes, removals = store.differences()
        versions = store.upload(dry_run=True)
        if options.dry_run:
            stack.plan(versions)
            for path in writes:
                print(f"write   {path}")
            for path in removals:
                print(f"remove  {path}")
            return
        if options.check and (writes or removals or versions.items() - state.parameters.items()):
            version = config.parameters.get("AirflowVersion", state.parameters["AirflowVersion"])
            check = [sys.executable, "-m", "athena_reports.mwaa.check", "--version", version]
            if subprocess.run(check, cwd=project.root).returncode != 0:
                raise DeployError("The check has failed: nothing was deployed.")
        versions = store.upload()
        before = state
        if stack.plan(versions):
            state = stack.apply(versions)
        if state.settings == before.settings:  # or startup.sh has to name what there is now
            break
    store.synchronise()
    if (pool := bundle.variables.get(f"{PREFIX}POOL")) and "MwaaEnvironmentName" in state.outputs:
        _create_pool(clients["mwaa"], state.outputs["MwaaEnvironmentName"], pool)
    address = state.outputs.get("WebserverUrl", "It has no MWAA environment.")
    print(f"{environment} is deployed. {address}")


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


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m athena_reports.mwaa", description=__doc__)
    parser.add_argument("command", choices=("bundle", "deploy"))
    parser.add_argument("--env", required=True, help="environment, as in deploy/environments/")
    parser.add_argument(
        "--guided", action="store_true", help="ask where to, if it is not known, and create it"
    )
    parser.add_argument(
        "--no-check", dest="check", action="store_false", help="leave out the check in the twin"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be changed")
    options = parser.parse_args(arguments)
    try:
        project = find_project()
        folder = project.root / BUNDLE
        if options.command == "deploy":
            deploy(project, options.env, folder, options)
        else:
            bundle = build_bundle(project, options.env, folder)
            print(f"{len(bundle.files)} files of {options.env} are in {folder}")
    except (AthenaReportsError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (aws.BotoCoreError, aws.ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, aws.ClientError) else ""
        if isinstance(error, _NO_CREDENTIALS) or code in _REFUSED:
            advice = "Choose credentials (AWS_PROFILE=..., or `aws sso login`)"
        else:
            advice = "Remove the cause"
        again = "then run the same command again: it finishes what was begun."
        print(f"\nAWS: {error}\n{advice}, {again}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. A change of the stack goes on in AWS;"
            " once it is over, the same command finishes the rest.",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
