"""The local AWS services as a child process, and what a report needs in them before its first run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

_OF_A_CI_JOB = ("ACTIONS_", "GITHUB_TOKEN")
_ROOT = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 10
# The services take any credentials; these can belong to no account.
_ACCESS_KEY = "local"
_REGION = "us-east-1"


class ServicesError(RuntimeError):
    """The local services could not be started."""


@dataclass(frozen=True)
class Services:
    """The running local services.

    Attributes:
        endpoint_url: Address of all of them.
    """

    endpoint_url: str

    @property
    def s3(self) -> S3Client:
        """A client of S3."""
        client: S3Client = self._client("s3")
        return client

    @property
    def glue(self) -> GlueClient:
        """A client of Glue."""
        client: GlueClient = self._client("glue")
        return client

    @property
    def athena(self) -> AthenaClient:
        """A client of Athena."""
        client: AthenaClient = self._client("athena")
        return client

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which any AWS client reaches these services, and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
            "AWS_DEFAULT_REGION": _REGION,
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        }

    def prepare(self, environment: str) -> None:
        """Create the buckets, the database and the workgroup that the reports of an environment use.

        Args:
            environment: Its short name, such as `dev`.
        """
        for bucket in (f"athena-query-result-{environment}", f"athena-report-{environment}"):
            with suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
                self.s3.create_bucket(Bucket=bucket)
        with suppress(self.glue.exceptions.AlreadyExistsException):
            self.glue.create_database(DatabaseInput={"Name": f"report_{environment}"})
        athena = self.athena
        if environment not in {group["Name"] for group in athena.list_work_groups()["WorkGroups"]}:
            athena.create_work_group(
                Name=environment,
                Configuration={
                    "EnforceWorkGroupConfiguration": True,
                    "ResultConfiguration": {"OutputLocation": f"s3://athena-query-result-{environment}/"},
                },
            )

    def _client(self, service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=_ACCESS_KEY,
            aws_secret_access_key=_ACCESS_KEY,
            region_name=_REGION,
        )


def environment_without(*prefixes: str) -> dict[str, str]:
    """Return this process's variables for a process that it starts, without those that begin so.

    Never among them is that by which a job of GitHub asks for an identity.
    """
    left_out = (*_OF_A_CI_JOB, *prefixes)
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


@contextmanager
def local_services(log_path: Path) -> Iterator[Services]:
    """Run the local services on a free port of 127.0.0.1 for as long as the context lasts.

    Args:
        log_path: File for what they print on standard error.

    Raises:
        ServicesError: They ended before they were ready; the message names the log.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("w") as log:
        # A session of its own: an interrupt from the terminal must end Airflow first, then this.
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "local_aws", "--port", "0", "--until-input-ends"],
            cwd=_ROOT,
            env=environment_without("AWS_"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield Services(_endpoint(process, log_path))
        finally:
            _stop(process)


def _endpoint(process: subprocess.Popen[str], log_path: Path) -> str:
    assert process.stdout is not None  # opened as a pipe
    for line in process.stdout:
        for word in line.split():
            if word.startswith("http://127.0.0.1:"):
                return word
    raise ServicesError(
        f"The local services ended with exit code {process.wait()} before they were ready. Log: {log_path}\n"
        f"{log_path.read_text()[-2000:]}"
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
