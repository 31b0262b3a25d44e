"""SeaweedFS as the S3 server of a benchmark: a real one, on this machine alone, while it is needed."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOST = "127.0.0.1"
_REGION = "us-east-1"
_READY_SECONDS = 60
# Each server listens for HTTP and for gRPC.
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(frozen=True)
class S3Server:
    """A running S3 server.

    Attributes:
        endpoint_url: Its address.
        access_key: The one access key that it knows.
        secret_key: Its secret.
    """

    endpoint_url: str
    access_key: str
    secret_key: str

    @property
    def client(self) -> S3Client:
        """A client of it."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION,
        )
        return client

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which any AWS client, pyarrow's too, reaches it for S3."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def seaweedfs(weed: Path, folder: Path) -> Iterator[S3Server]:
    """Run a server on free ports of 127.0.0.1 until the context ends.

    Args:
        weed: The program.
        folder: An empty folder, for all that it keeps.

    Raises:
        RuntimeError: It did not become ready; the message names its log.
    """
    server, arguments = _configured(folder)
    log_path = folder / "weed.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [weed, "server", *arguments], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            _await_ready(process, server, log_path)
            yield server
        finally:
            process.kill()  # what it keeps is thrown away: there is nothing to be put in order
            process.wait()


def _configured(folder: Path) -> tuple[S3Server, Sequence[str]]:
    ports = _free_ports(2 * len(_PORTS))
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    listening = [f"-{name}={ports.pop()}" for name in (*_PORTS, *(f"{name}.grpc" for name in _PORTS))]
    arguments = [
        "-dir=data",
        f"-ip={_HOST}",
        f"-ip.bind={_HOST}",
        *listening,
        "-s3",
        "-s3.config=identities.json",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        # Volumes grow with what is written, up to 32 GB in all.
        "-master.volumeSizeLimitMB=512",
        "-volume.max=64",
        "-volume.preStopSeconds=0",
        "-master.telemetry=false",
    ]
    s3_port = listening[_PORTS.index("s3.port")].partition("=")[2]
    return S3Server(f"http://{_HOST}:{s3_port}", access_key, secret_key), arguments


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _await_ready(process: subprocess.Popen[bytes], server: S3Server, log_path: Path) -> None:
    """Wait until a bucket can be made and written to."""
    client = server.client
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(BotoCoreError, ClientError):
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return
        time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS is not ready; its log is {log_path}")
