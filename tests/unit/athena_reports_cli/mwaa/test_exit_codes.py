"""The exit codes of the commands for Amazon MWAA, and what they say last."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore import exceptions as aws

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.services import Services
from athena_reports_cli.mwaa import DeployError, check, deploy
from tests.unit.athena_reports_cli.mwaa.repository import Repository
from tests.unit.athena_reports_cli.mwaa.stub import StubAws

EXPIRED = """<ErrorResponse><Error><Code>ExpiredToken</Code>
<Message>The security token included in the request is expired</Message></Error></ErrorResponse>
"""


class Expired(BaseHTTPRequestHandler):
    """An STS to which the session of the shell has expired."""

    def do_POST(self) -> None:
        self.send_response(403)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(EXPIRED.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def expired_sts() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Expired) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_session_that_has_expired_says_how_to_choose_another(
    stub: StubAws, repository: Repository, expired_sts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", expired_sts)
    printed = repository.deploy(code=1)
    assert "AWS: An error occurred (ExpiredToken)" in printed
    assert "Choose credentials (AWS_PROFILE=..., or `aws sso login`), then run the same" in printed
    assert stub.operations == []


@pytest.mark.parametrize(
    ("error", "is_about_credentials"),
    [
        ("ExpiredToken", True),
        ("InvalidClientTokenId", True),
        ("SignatureDoesNotMatch", True),
        ("UnrecognizedClientException", True),
        ("AccessDenied", False),
        ("Throttling", False),
        (aws.NoCredentialsError(), True),
        (aws.CredentialRetrievalError(provider="sso", error_msg="gone"), True),
        (aws.SSOTokenLoadError(error_msg="gone"), True),
        (aws.TokenRetrievalError(provider="sso", error_msg="gone"), True),
        (aws.EndpointConnectionError(endpoint_url="https://sts"), False),
    ],
    ids=str,
)
def test_other_credentials_are_asked_for_where_they_would_help(
    error: str | Exception,
    is_about_credentials: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if isinstance(error, str):
        response: Any = {"Error": {"Code": error, "Message": "No"}}
        error = aws.ClientError(response, "GetCallerIdentity")
    raised = error

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(deploy, "build_bundle", fail)
    with pytest.raises(DeployError) as refused:
        deploy.deploy(Project.usual(tmp_path), "stg", deploy.Options())
    problem, advice = str(refused.value).split("\n")
    assert problem == f"AWS: {error}"
    assert advice.startswith("Choose credentials (AWS_PROFILE=") == is_about_credentials
    assert advice.endswith(", then run the same command again: it finishes what was begun.")


def test_another_error_of_aws_asks_for_no_other_credentials(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    printed = repository.deploy(code=1)
    assert "Remove the cause, then run the same command again" in printed
    assert "Choose credentials" not in printed


def test_an_interrupt_is_no_success_and_says_what_goes_on(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "Stack", interrupt)
    printed = repository.deploy(code=130)
    assert "Interrupted. A change of the stack goes on in AWS; once it is over, the same" in printed


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["deploy"], "Missing option '--env'"),
        (["mwaa-check"], "Missing option '--version'"),
        (["deploy", "--env", "stg", "--force"], "No such option: --force"),
    ],
)
def test_what_is_no_command_is_refused(
    arguments: list[str], problem: str, repository: Repository
) -> None:
    assert problem in repository.run(*arguments, code=2)


def test_a_check_is_of_the_bundle_and_the_image_that_are_asked_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function stands for the twin, which takes minutes."""
    monkeypatch.setenv("AWS_PROFILE", "absent")
    asked = []

    def note(project: Project, version: str, *, progress: object, **options: str) -> None:
        Services("http://127.0.0.1:9")  # its clients take nothing of the shell
        startup = project.root / "dist" / "mwaa" / "startup.sh"
        asked.append((version, options, startup.read_text().splitlines()))

    monkeypatch.setattr(check, "check_in_twin", note)
    image = ["--constraints", "none", "--python", "/opt/python3.12"]
    repository.run("mwaa-check", "--version", "3.9.9", "--env", "stg", *image)
    repository.run("mwaa-check", "--version", "newest")
    assert asked == [
        (
            "3.9.9",
            {"constraints": "none", "python": "/opt/python3.12"},
            ["export ATHENA_REPORTS_ENV=stg"],
        ),
        ("newest", {"constraints": "", "python": ""}, ["export ATHENA_REPORTS_ENV=prd"]),
    ]


def test_a_bundle_is_built_without_aws(repository: Repository) -> None:
    printed = repository.run("bundle", "--env", "stg")
    files = [path for path in (repository.folder / "dist" / "mwaa").rglob("*") if path.is_file()]
    assert printed == f"{len(files)} files of stg are in {repository.folder}/dist/mwaa\n"
    assert "absent" in repository.run("bundle", "--env", "absent", code=1)


def test_a_project_without_requirements_is_one_message(repository: Repository) -> None:
    (repository.folder / "requirements.txt").unlink()
    assert "requirements.txt" in repository.run("bundle", code=1)
