"""Which services of AWS a command takes for local ones, and so writes to without asking."""

from __future__ import annotations

import boto3
import pytest

from athena_reports_cli.local.local_endpoint import remote_endpoint


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4566",
        "127.1.2.3:4566",
        "[::1]:4566",
        "localhost:4566",
        "LOCALHOST:4566",
        "athena.localhost:4566",
        "host.docker.internal:4566",
        "local-aws:4566",
    ],
)
def test_services_of_this_machine_and_of_containers_beside_it_are_local(host: str) -> None:
    assert remote_endpoint(_glue(f"http://{host}")) == ""


@pytest.mark.parametrize(
    "host",
    [
        "glue.us-east-1.amazonaws.com",
        "localhost.example.com",
        "athena.localhost.example.com",
        "mylocalhost.example",
        "127.0.0.1.example.com",
        "docker.internal",
        "10.0.0.1:4566",
        "192.168.1.2:4566",
        "[2001:db8::1]:4566",
    ],
)
def test_all_other_services_are_not_and_are_named(host: str) -> None:
    url = f"https://{host}"
    assert remote_endpoint(_glue(url)) == f"The glue endpoint of this shell is {url}"


def _glue(url: str) -> object:
    return boto3.client("glue", region_name="us-east-1", endpoint_url=url)
