"""`make deploy-guided`: what it asks, refuses and remembers."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import pytest

from deploy.errors import TargetError
from deploy.guided import Options, guide
from local_aws import LocalAws
from tests.deploy.conftest import NAME, SESSION, Account, Repository
from tests.deploy.mwaa import ACCOUNT, REGION
from tests.stacks import create_stack, kept_parameters

QUESTIONS = ("region", "account", "mwaa_environment", "report_bucket", "query_results", "committed_only")
ANSWERS = (REGION, ACCOUNT, NAME, "company-reports", "s3://company-results/athena/", "no")
TARGET = {"region": REGION, "account": ACCOUNT, "mwaa_environment": NAME, "committed_only": False}
COMMENT = "# Ours alone.\n# ATHENA_REPORTS_BUCKET=my-company-reports-qa\nATHENA_REPORTS_POOL=athena_ours\n"


@pytest.fixture
def answer(account: Account, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Answers the questions for the environment `qa`; returns what was said."""

    def answer(*lines: str, **options: Any) -> list[str]:
        said: list[str] = []
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        guide(repository.folder, "qa", SESSION, Options(**options), said.append)
        return said

    return answer


def files(repository: Repository) -> dict[str, str]:
    folder = repository.folder / "deploy" / "environments"
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith("stg")}


def test_answers_are_remembered_and_are_the_defaults_of_the_next_time(
    answer: Callable[..., list[str]], repository: Repository
) -> None:
    repository.write("deploy/environments/qa.env", COMMENT)

    answer(*ANSWERS)

    first = files(repository)
    assert json.loads(first["qa.json"]) == TARGET
    assert first["qa.env"] == (
        "# Ours alone.\nATHENA_REPORTS_BUCKET=company-reports\nATHENA_REPORTS_POOL=athena_ours\n"
        "ATHENA_REPORTS_QUERY_RESULTS=s3://company-results/athena/\n"
    )
    answer(*[""] * len(ANSWERS))
    assert files(repository) == first
    answer("", "", "", "company-results", "managed", "yes")
    assert json.loads(files(repository)["qa.json"]) == TARGET | {"committed_only": True}
    assert "ATHENA_REPORTS_BUCKET=company-results\n" in files(repository)["qa.env"]


def test_what_is_remembered_can_be_deployed(
    answer: Callable[..., list[str]], repository: Repository, account: Account
) -> None:
    options = dict(zip(QUESTIONS, ANSWERS, strict=True))
    answer(**options)
    for ending in ("env", "json"):
        shutil.copy(
            repository.folder / f"deploy/environments/qa.{ending}",
            repository.folder / f"deploy/environments/stg.{ending}",
        )
    repository.deploy()
    assert b"QUERY_RESULTS=s3://company-results/athena/\n" in account.pinned("startup.sh")


def test_the_outputs_of_the_stack_are_the_defaults(
    answer: Callable[..., list[str]], repository: Repository, account: Account, local_aws: LocalAws
) -> None:
    parameters = kept_parameters("stg") | {"Environment": "qa"}
    stack = create_stack(local_aws.client("cloudformation", REGION), parameters)
    account.mwaa.create("athena-reports-qa", stack.outputs["MwaaBucket"])

    answer(region=REGION, take_defaults=True)

    assert json.loads(files(repository)["qa.json"]) == TARGET | {"mwaa_environment": "athena-reports-qa"}
    lines = {f"{name}={value}" for name, value in stack.variables.items() if name != "ATHENA_REPORTS_ENV"}
    assert set(files(repository)["qa.env"].splitlines()) == lines
    assert len(lines) > 2


@pytest.mark.parametrize("count", range(len(ANSWERS)))
def test_when_the_answers_end_nothing_is_written(
    answer: Callable[..., list[str]], repository: Repository, count: int
) -> None:
    repository.write("deploy/environments/qa.env", COMMENT)
    with pytest.raises(TargetError, match="Nothing was written"):
        answer(*ANSWERS[:count])
    assert files(repository) == {"qa.env": COMMENT}


def test_a_name_that_the_stack_would_refuse_is_refused(repository: Repository) -> None:
    with pytest.raises(TargetError, match="up to 15 letters and digits"):
        guide(repository.folder, "a" * 16, SESSION, Options(), print)


@pytest.mark.parametrize("ends", ["", "json"])
def test_an_interrupt_leaves_no_half_of_a_file(
    answer: Callable[..., list[str]], repository: Repository, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """While it asks, or while it writes the second file."""
    replace = os.replace

    def interrupted(*arguments: Any) -> None:
        if str(arguments[-1]).endswith(ends):
            raise KeyboardInterrupt
        replace(*arguments)

    if ends:
        monkeypatch.setattr(os, "replace", interrupted)
    else:
        monkeypatch.setattr("builtins.input", interrupted)
    with pytest.raises(KeyboardInterrupt):
        answer(*ANSWERS)
    assert set(files(repository)) == ({"qa.env"} if ends else set())


WRONG = {
    "region": ("Frankfurt", "'Frankfurt' is not a region"),
    "account": ("999999999999", f"credentials are of the account {ACCOUNT}, not 999999999999"),
    "mwaa_environment": ("reports-qa", "no MWAA environment 'reports-qa'"),
    "report_bucket": ("company-nothing", "no bucket 'company-nothing'"),
    "query_results": ("s3://company-results", "with the closing slash"),
    "committed_only": ("maybe", "neither yes nor no"),
}


def test_wrong_answers_are_asked_for_again(answer: Callable[..., list[str]], repository: Repository) -> None:
    said = answer(*(line for name, right in zip(QUESTIONS, ANSWERS, strict=True) for line in (WRONG[name][0], right)))

    for _, message in WRONG.values():
        assert any(message in line for line in said), message
    assert json.loads(files(repository)["qa.json"]) == TARGET


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_wrong_option_is_refused(answer: Callable[..., list[str]], repository: Repository, name: str) -> None:
    wrong, message = WRONG[name]
    options = dict(zip(QUESTIONS, ANSWERS, strict=True)) | {name: wrong}
    with pytest.raises(TargetError, match=f"{message}.*Nothing was written"):
        answer(**options)
    assert files(repository) == {}


def test_an_environment_that_cannot_be_deployed_to_is_refused(
    answer: Callable[..., list[str]], account: Account
) -> None:
    account.mwaa.create("old", "company-mwaa", AirflowVersion="2.10.3")
    account.mwaa.create("unversioned", "company-reports")
    for name, message in (("old", "upgrade the environment"), ("unversioned", "does not keep versions")):
        with pytest.raises(TargetError, match=message):
            answer(**dict(zip(QUESTIONS, ANSWERS, strict=True)) | {"mwaa_environment": name})
