"""SeaweedFS as the S3 server of a benchmark: a real one, on this machine, while it is needed."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOST = "127.0.0.1"
_PORTS = [
    f"{server}.port{kind}"
    for server in ("master", "volume", "filer", "s3")
    for kind in ("", ".grpc")
]
# Volumes grow with what is written, up to 32 GB in all.
_OPTIONS = f"""-dir=data -ip={_HOST} -ip.bind={_HOST}
    -master.telemetry=false -master.volumeSizeLimitMB=512
    -volume.max=64 -volume.preStopSeconds=0 -filer.localSocket=filer.sock
    -s3 -s3.port.iceberg=0 -s3.port.lance=0 -s3.localSocket=s3.sock""".split()


@contextmanager
def seaweedfs(weed: Path, folder: Path) -> Iterator[tuple[S3Client, Mapping[str, str]]]:
    """Run the program `weed` in an empty folder, on free ports of 127.0.0.1.

    Yields a client, and the variables by which another one reaches it.
    """
    (folder / "data").mkdir(parents=True)
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_HOST, 0))) for _ in _PORTS]
        ports = {name: each.getsockname()[1] for name, each in zip(_PORTS, sockets, strict=True)}
    url = f"http://{_HOST}:{ports['s3.port']}"
    key = secrets.token_hex(10)
    secret = secrets.token_hex(20)
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    client: S3Client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    environment = {
        **{name.upper(): value for name, value in keys.items()},
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [weed, "server", *_OPTIONS, *(f"-{name}={port}" for name, port in ports.items())]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
        )
        try:
            if not _becomes_ready(process, client):
                raise RuntimeError(f"SeaweedFS is not ready; its log is {log.name}")
            yield client, environment
        finally:
            process.kill()  # nothing of what it holds is needed again
            process.wait()


def _becomes_ready(process: subprocess.Popen[bytes], client: S3Client) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(BotoCoreError, ClientError):
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return True
        time.sleep(0.2)
    return False
