"""The options of `local-athena serve`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_athena import LocalAws, PortInUseError
from local_athena.__main__ import main
from local_athena.athena.limits import Limits
from local_athena.faults import Faults, Hold

SOURCE = Path(__file__).resolve().parents[1] / "src"


DEFAULTS: dict[str, Any] = {
    "port": 4566,
    "host": "127.0.0.1",
    "workers": 4,
    "max_active": None,
    "limits": Limits(cpu_seconds=5, memory_bytes=1 << 30),
    "verbose": False,
}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ([], {}),
        (["--port", "0"], {"port": 0}),
        (["--host", "0.0.0.0"], {"host": "0.0.0.0"}),
        (["--workers", "2"], {"workers": 2}),
        (["--max-active", "9"], {"max_active": 9}),
        (["--query-seconds", "7"], {"limits": Limits(cpu_seconds=7)}),
        (["--query-gigabytes", "0.5"], {"limits": Limits(memory_bytes=1 << 29)}),
        (["--verbose"], {"verbose": True}),
    ],
)
def test_each_option_is_passed_on(
    options: list[str],
    changed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = []

    def start(port: int, **given: Any) -> LocalAws:
        started.append({"port": port, **given})
        raise PortInUseError("It is in use.")

    monkeypatch.setattr(LocalAws, "start", start)
    assert main(["serve", *options]) == 1
    assert started == [DEFAULTS | changed]
    assert capsys.readouterr() == ("", "It is in use.\n")


def test_without_a_port_it_is_the_one_that_the_docs_name() -> None:
    with socket.socket() as other:
        with suppress(OSError):  # somebody has it already
            other.bind(("127.0.0.1", 4566))
            other.listen()
        done = subprocess.run(
            [sys.executable, "-m", "local_athena", "serve"],
            cwd=SOURCE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:4566" in done.stderr


def test_host_workers_and_queries_at_once_are_those_of_the_options() -> None:
    arguments = ("--port=0", "--host=0.0.0.0", "--workers=1", "--max-active=2")
    with subprocess.Popen(
        [sys.executable, "-m", "local_athena", "serve", *arguments, "--until-input-ends"],
        cwd=SOURCE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        endpoint = next(word for word in words if word.startswith("http://"))
        # Under any name of this machine, such as that of a container, and not under its own alone.
        request = urllib.request.Request(endpoint, headers={"Host": "aws.test"})
        with pytest.raises(urllib.error.HTTPError) as looked_for:
            urllib.request.urlopen(request)
        assert looked_for.value.code == HTTPStatus.NOT_FOUND  # a bucket of this name; not FORBIDDEN
        session = boto3.Session("local", "local", region_name="us-east-1")
        session.client("s3", endpoint_url=endpoint).create_bucket(Bucket="results")
        athena = session.client("athena", endpoint_url=endpoint)
        Faults(endpoint).add(Hold(times=None))

        def start() -> str:
            location = {"OutputLocation": "s3://results/"}
            return athena.start_query_execution(
                QueryString="SELECT 1", ResultConfiguration=location
            )["QueryExecutionId"]

        def state(query_id: str) -> str:
            execution = athena.get_query_execution(QueryExecutionId=query_id)
            return execution["QueryExecution"]["Status"]["State"]

        first, second = start(), start()
        while state(first) != "RUNNING":
            time.sleep(0.01)
        assert state(second) == "QUEUED"  # one worker
        with pytest.raises(athena.exceptions.TooManyRequestsException):
            start()
        assert process.poll() is None
        try:
            _, errors = process.communicate(timeout=60)  # which ends its input
        finally:
            process.kill()
        assert (process.returncode, errors) == (0, "")
