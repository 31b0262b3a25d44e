"""SeaweedFS as the S3 server of a benchmark: a real one, on this machine alone, while it is needed."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOST = "127.0.0.1"
_REGION = "us-east-1"
_READY_SECONDS = 60
_SERVERS = ("master", "volume", "filer", "s3")
_PORTS = [f"{name}.port{kind}" for name in _SERVERS for kind in ("", ".grpc")]
_OPTIONS = (
    "-dir=data",
    f"-ip={_HOST}",
    f"-ip.bind={_HOST}",
    "-s3",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.localSocket=s3.sock",
    "-filer.localSocket=filer.sock",
    # Volumes grow with what is written, up to 32 GB in all.
    "-master.volumeSizeLimitMB=512",
    "-volume.max=64",
    "-volume.preStopSeconds=0",
    "-master.telemetry=false",
)


@dataclass(frozen=True)
class S3Server:
    """A running S3 server: its address, and the one access key that it knows, made for it."""

    endpoint_url: str
    access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20))

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
        """The variables by which any AWS client reaches it for S3."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def seaweedfs(weed: Path, folder: Path) -> Iterator[S3Server]:
    """Run the program `weed` on free ports of 127.0.0.1 until the context ends, with an empty folder."""
    (folder / "data").mkdir()
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    server, log_path = S3Server(f"http://{_HOST}:{ports['s3.port']}"), folder / "weed.log"
    command = [weed, "server", *_OPTIONS, *(f"-{name}={port}" for name, port in ports.items())]
    with log_path.open("wb") as log:
        environment = {**os.environ, **server.environment}  # it takes its access key from there
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            if not _becomes_ready(process, server.client):
                raise RuntimeError(f"SeaweedFS is not ready; its log is {log_path}")
            yield server
        finally:
            process.kill()  # nothing of what it holds is needed again
            process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _becomes_ready(process: subprocess.Popen[bytes], client: S3Client) -> bool:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(BotoCoreError, ClientError):
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return True
        time.sleep(0.2)
    return False
