"""The local AWS services as a child process, and what a report needs there before its first run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3

from athena_reports.errors import AthenaReportsError

ENVIRONMENT = "dev"
"""The environment whose names the local services have: buckets, databases and a workgroup."""
AWS_CONNECTION = "AIRFLOW_CONN_AWS_DEFAULT"
"""The variable of the Airflow connection by which tasks reach the local services."""


class ServicesError(AthenaReportsError):
    """The local services could not be started."""


class Services:
    """The running local services: clients of them, and how others reach them."""

    def __init__(self, endpoint_url: str, region: str = "us-east-1") -> None:
        self.endpoint_url = endpoint_url
        session = boto3.Session("local", "local", region_name=region)
        self.s3 = session.client("s3", endpoint_url=endpoint_url)
        self.glue = session.client("glue", endpoint_url=endpoint_url)
        self.athena = session.client("athena", endpoint_url=endpoint_url)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which any AWS client reaches these services, and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            # They take any credentials; these can belong to no account.
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            AWS_CONNECTION: "aws://",
        }

    def prepare(self, environment: str) -> None:
        """Create the buckets, the databases and the workgroup of an environment, such as `dev`."""
        for name in ("athena-lake", "athena-query-result", "athena-report"):
            with suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
                self.s3.create_bucket(Bucket=f"{name}-{environment}")
        for name in ("database", "report"):
            with suppress(self.glue.exceptions.AlreadyExistsException):
                self.glue.create_database(DatabaseInput={"Name": f"{name}_{environment}"})
        location = f"s3://athena-query-result-{environment}/"
        with suppress(self.athena.exceptions.InvalidRequestException):  # it exists
            self.athena.create_work_group(
                Name=environment,
                Configuration={
                    "EnforceWorkGroupConfiguration": True,
                    "ResultConfiguration": {"OutputLocation": location},
                },
            )


def environment_without(*prefixes: str) -> dict[str, str]:
    """Return the variables of this process for one that it starts, without those of some prefixes.

    Those by which a job of GitHub asks for an identity are always left out: the process could
    take it.
    """
    left_out = ("ACTIONS_", "GITHUB_TOKEN", *prefixes)
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def forget_aws_of_shell() -> None:
    """Remove what could lead an AWS client of this process elsewhere than to the local services.

    AWS_ENDPOINT_URL_S3 takes precedence over AWS_ENDPOINT_URL, and a profile can ignore both
    (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
    """
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull  # botocore takes settings from it, too


@contextmanager
def local_services(log_path: Path, *, workers: int = 4) -> Iterator[Services]:
    """Run the local services on a free port of 127.0.0.1 for as long as the context lasts.

    They print into the log. Athena runs as many queries at once as there are workers. ServicesError
    if they end before they are ready; the message has what they printed.
    """
    with starting_services(log_path, workers=workers) as wait_for_endpoint:
        yield Services(wait_for_endpoint())


@contextmanager
def starting_services(log_path: Path, *, workers: int = 4) -> Iterator[Callable[[], str]]:
    """Start the local services as `local_services` does.

    Yields a function that waits until they are ready, and returns the endpoint's URL.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", "-m", "local_athena", "serve"]
    command += ["--port=0", f"--workers={workers}", "--until-input-ends"]
    # The process finds its modules where this one does.
    environment = {**environment_without("AWS_"), "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        log_path.open("w") as log,
        # A session of its own: an interrupt from the terminal must end Airflow first, then this.
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as process,
    ):

        def wait() -> str:
            assert process.stdout is not None  # it is a pipe
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                printed = log_path.read_text()[-2000:]
                raise ServicesError(f"The local services stopped. Log: {log_path}\n{printed}")
            return address[0]

        try:
            yield wait
        finally:
            process.kill()
