"""The options of `local-athena serve`."""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

import pytest

from local_athena import LocalAws, PortInUseError
from local_athena.__main__ import main
from local_athena.athena.limits import Limits
from local_athena.faults import Hold
from tests.account import account_at, served

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


def test_host_workers_and_queries_at_once_are_those_of_the_options() -> None:
    options = ("--host=0.0.0.0", "--workers=1", "--max-active=2", "--until-input-ends")
    with served(*options) as (process, endpoint_url):
        # Under any name of this machine, such as that of a container, and not under its own alone.
        request = urllib.request.Request(endpoint_url, headers={"Host": "aws.test"})
        with pytest.raises(urllib.error.HTTPError) as looked_for:
            urllib.request.urlopen(request)
        assert looked_for.value.code == HTTPStatus.NOT_FOUND  # a bucket of this name; not FORBIDDEN
        account = account_at(endpoint_url)
        account.faults.add(Hold(times=None))
        first, second = account.start("SELECT 1"), account.start("SELECT 1")
        account.wait_for(first, "RUNNING")
        assert account.status(second)["State"] == "QUEUED"  # one worker
        with pytest.raises(account.athena.exceptions.TooManyRequestsException):
            account.start("SELECT 1")
        assert process.poll() is None
        output, errors = process.communicate(timeout=60)  # which ends its input
        assert (process.returncode, output, errors) == (0, "", "")
