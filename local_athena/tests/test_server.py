from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from local_athena import LocalAws, PortInUseError
from local_athena.__main__ import main
from tests.account import SOURCE, Account


def test_what_only_stacks_need_is_not_imported_at_the_start() -> None:
    """With what moto's CloudFormation imports, a command waits for its services twice as long."""
    command = [sys.executable, "-c", "import sys, local_athena.server; print(*sys.modules)"]
    loaded = subprocess.check_output(command, cwd=SOURCE, text=True).split()
    assert "local_athena.athena.executions" in loaded
    assert {"moto.cloudformation", "moto.ec2", "moto.autoscaling"}.isdisjoint(loaded)
    # The processes of queries have these.
    assert {"duckdb", "pyarrow", "sqlglot"}.isdisjoint(loaded)


def test_a_port_in_use_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert f"127.0.0.1:{port}" in errors
    assert "--port" in errors
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGTERM}


def test_start_and_stop_leave_nothing_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(2):
        with LocalAws.start() as aws:
            port = int(aws.endpoint_url.rpartition(":")[2])
            assert aws.client("s3").list_buckets()["Buckets"] == []
            Account(aws).start("SELECT 1")
            with pytest.raises(PortInUseError, match="--port"):
                LocalAws.start(port)
        left = set(threading.enumerate()) - before
        assert not [each for each in left if each.name.startswith(("athena", "local-aws"))]
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_reset_forgets_everything_in_every_region(aws: LocalAws) -> None:
    aws.client("s3").create_bucket(Bucket="left")
    aws.client("athena").create_work_group(Name="dev")
    aws.reset()
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("glue", "eu-nowhere-9").get_databases()["DatabaseList"] == []
    groups = aws.client("athena").list_work_groups()["WorkGroups"]
    assert [group["Name"] for group in groups] == ["primary"]


def ask(aws: LocalAws, path: str = "/", **headers: str) -> int:
    request = urllib.request.Request(aws.endpoint_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("path", ["/", "/_local/faults"])
def test_this_machines_programs_are_served_and_web_pages_refused(aws: LocalAws, path: str) -> None:
    for origin in ("https://evil.example", "null"):
        assert ask(aws, path, Origin=origin) == 403
    for host in ("evil.example", "127.0.0.1.evil.example"):
        assert ask(aws, path, Host=host) == 403
    aws.client("s3").create_bucket(Bucket="plays")
    for host in ("127.0.0.1", "localhost", "plays.localhost", "[::1]"):
        assert ask(aws, path, Host=f"{host}:4566") == 200
    assert ask(aws, "/_local/athena/executions/none") == 404
