"""Deployments and rollbacks that die at every call to AWS in turn: whatever comes next ends right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

from deploy import rollout
from deploy.environment import UpdateFailedError
from deploy.errors import RolloutError
from tests.deploy.conftest import NAME, SESSION, Account, Repository
from tests.deploy.mwaa import ACCOUNT

THEIRS = {"theirs.py": b"# theirs"}


class Killed(BaseException):
    """What ends the process in the middle."""


@contextmanager
def dying(at: int | None = None) -> Iterator[list[str]]:
    """Dies after a call that changes something or waits was answered; gives the names of the calls.

    That is also before the next one.
    """
    calls: list[str] = []

    def count(model: Any, **_: Any) -> None:
        if model.name in ("PutObject", "DeleteObject", "UpdateEnvironment", "GetEnvironment"):
            calls.append(model.name)
            if len(calls) == at:
                raise Killed

    SESSION.events.register("after-call", count)
    try:
        yield calls
    finally:
        SESSION.events.unregister("after-call", count)


@contextmanager
def losing_answers(operation: str, of: str) -> Iterator[list[str]]:
    """Does the first call for each address that has `of` in it, and answers that it has failed."""
    lost: list[str] = []

    def lose(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if of not in request.url or request.url in lost:
            return None
        lost.append(request.url)
        answer = URLLib3Session().send(request)
        assert answer.status_code == 200
        request.reset_stream()
        answer.status_code = 500
        return answer

    SESSION.events.register(f"before-send.{operation}", lose)
    try:
        yield lost
    finally:
        SESSION.events.unregister(f"before-send.{operation}", lose)


def release(repository: Repository, number: int) -> None:
    """Changes of every kind; odd and even releases differ in which files there are."""
    repository.change_library(number)
    repository.write("deploy/constraints.txt", f"pyarrow=={number}.0.0\n")
    repository.write("dags/plays.py", f"# airflow dag {number}\n")
    for path, wanted in (("dags/new.py", number % 2), ("dags/flights.py", not number % 2)):
        if wanted:
            repository.write(path, "# airflow dag\n")
        elif (repository.folder / path).exists():
            repository.remove(path)


def is_deployed(account: Account, repository: Repository, number: int, others: Mapping[str, bytes] = THEIRS) -> bool:
    release(repository, number)
    dags = account.dags() == {**repository.dags(), **others}
    return dags and account.library() == f"VERSION = {number}\n"


def test_wherever_a_deployment_dies_the_next_one_ends_right(account: Account, deployed: Repository) -> None:
    """At each call in turn; then the same again, another deployment, or a rollback."""
    account.put("dags/theirs.py", b"# theirs")
    release(deployed, 1)
    deployed.deploy()
    release(deployed, 2)
    with dying() as calls:
        deployed.deploy()
    assert set(calls) == {"PutObject", "DeleteObject", "UpdateEnvironment", "GetEnvironment"}
    latest = begun = 2
    for call in range(1, len(calls) + 1):
        begun += 2 if (begun - latest) % 2 else 1  # one that never was, with other files than the latest
        release(deployed, begun)
        with dying(call), pytest.raises(Killed):
            deployed.deploy()
        account.mwaa.settle(NAME)
        finished = call == len(calls)
        if call % 3 == 0 and not finished:
            deployed.roll_back(take_over=True)
        else:
            latest = begun = begun + (call % 3 == 1)
            release(deployed, latest)
            deployed.deploy(take_over=True)
        assert is_deployed(account, deployed, latest), call
        assert deployed.deploy()[-1] == "nothing has to be changed", call


def test_wherever_a_rollback_dies_the_next_one_ends_right(account: Account, deployed: Repository) -> None:
    """At each call in turn; then the same again, or a deployment."""
    account.put("dags/theirs.py", b"# theirs")
    number = 2
    for later in (2, 3):
        release(deployed, later)
        deployed.deploy()
    with dying() as calls:
        deployed.roll_back()
    assert set(calls) == {"PutObject", "DeleteObject", "UpdateEnvironment", "GetEnvironment"}
    for call in range(1, len(calls) + 1):
        release(deployed, number + 1)
        deployed.deploy()
        with dying(call), pytest.raises(Killed):
            deployed.roll_back()
        account.mwaa.settle(NAME)
        if call % 2:
            number += 2
            release(deployed, number)
            deployed.deploy(take_over=True)
        elif call != len(calls):
            deployed.roll_back(take_over=True)
        assert is_deployed(account, deployed, number), call
        assert deployed.deploy()[-1] == "nothing has to be changed", call


def test_a_deployment_that_may_be_under_way_is_taken_over_on_demand_or_after_an_hour(
    account: Account, deployed: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(deployed, 2)
    with dying(2), pytest.raises(Killed):
        deployed.deploy()
    before = account.everything()
    begun = rf"begun by arn:aws:sts::{ACCOUNT}:\S+ at 20\S+\+00:00, and may be under way.*TAKE_OVER=1"
    for again in (deployed.deploy, deployed.roll_back):
        with pytest.raises(RolloutError, match=begun):
            again()
        again(dry_run=True)
    assert account.everything() == before

    monkeypatch.setattr(rollout, "ALONE", dt.timedelta(0))
    deployed.deploy()
    assert is_deployed(account, deployed, 2, others={})


@pytest.mark.parametrize("ends", [KeyboardInterrupt, RuntimeError])
def test_after_a_deployment_that_has_ended_itself_nothing_is_to_be_taken_over(
    account: Account, deployed: Repository, ends: type[BaseException]
) -> None:
    def end() -> None:
        raise ends

    release(deployed, 2)
    say = deployed.said.append
    with pytest.raises(ends):
        rollout.deploy(
            deployed.folder,
            "stg",
            deployed.folder.parent / "bundle",
            SESSION,
            lambda line: end() if line.startswith("uploading") else say(line),
        )
    deployed.deploy()
    assert is_deployed(account, deployed, 2, others={})


def test_an_update_whose_answer_was_lost_is_waited_for(account: Account, deployed: Repository) -> None:
    """The client repeats the call, and AWS refuses it since the environment is being updated."""
    release(deployed, 2)
    with losing_answers("mwaa.UpdateEnvironment", NAME) as lost:
        deployed.deploy()
    assert lost
    assert len(account.mwaa.updates) == 1
    assert is_deployed(account, deployed, 2, others={})


def test_an_update_that_aws_refuses_has_failed(account: Account, deployed: Repository) -> None:
    release(deployed, 2)
    account.mwaa.refuses_with = "The version of plugins.zip does not exist"
    with pytest.raises(UpdateFailedError, match=r"refused the update .*plugins\.zip does not exist"):
        deployed.deploy()
    assert account.mwaa.updates == []
    assert account.library() == "VERSION = 1\n"


def test_a_record_whose_answer_was_lost_is_not_taken_for_that_of_somebody_else(
    account: Account, deployed: Repository
) -> None:
    """The client repeats the call, and the condition then meets what it has written itself."""
    deployed.write("dags/plays.py", "# airflow dag, changed\n")
    with losing_answers("s3.PutObject", "/athena-reports/") as lost:
        deployed.deploy()
    assert lost
    assert account.dags() == deployed.dags()
    assert deployed.deploy()[-1] == "nothing has to be changed"
