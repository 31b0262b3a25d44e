"""A small repository of the same form, and an account to deploy it to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import __main__ as command
from local_aws import LocalAws
from tests.deploy.stub import StubAws

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT, REGION = "123456789012", "us-east-1"
BUCKET = f"athena-reports-mwaa-stg-{ACCOUNT}-{REGION}"
LAKE = "arn:aws:s3:::lake,arn:aws:s3:::lake/*"


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """Local services that are empty, and that every client of AWS finds."""
    local_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    monkeypatch.setenv("SAM_CLI_POLL_DELAY", "0.1")
    return local_aws


@pytest.fixture
def bucket(aws: LocalAws) -> Any:
    """The bucket of the stack, as a resource of boto3."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return s3


@pytest.fixture
def stub(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubAws]:
    """The stub in place of CloudFormation and Amazon MWAA; the bucket of its stack is there."""
    with StubAws(BUCKET).served() as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", stub.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", stub.url)
        yield stub


class Repository:
    """A repository in git, and what its commands print."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.write("dags/.airflowignore", "include/**\n")
        self.write("dags/plays.py", "# airflow dag\n")
        self.write("include/sql/plays.sql", "SELECT 1\n")
        self.write("plugins/library/__init__.py", "VERSION = 1\n")
        self.write("requirements.txt", "duckdb\n")
        self.write("deploy/constraints.txt", "duckdb==1.0\n")
        self.write("deploy/environments/stg.env", "")
        self.write("deploy/environments/prd.env", "")
        self.configure()
        (folder / "deploy" / "stack").mkdir()
        shutil.copy(ROOT / "deploy" / "stack" / "reports.yaml", folder / "deploy" / "stack")
        self.write(".gitignore", "/.venv-deploy\n/dist\n")
        (folder / ".venv-deploy").symlink_to(ROOT / ".venv-deploy")
        self.git("init", "--quiet")
        self.commit()

    def configure(self, environment: str = "stg", **parameters: str) -> None:
        """What `make deploy-guided` remembers."""
        parameters = {"Environment": environment, "SourceDataArns": LAKE} | parameters
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        name = f"athena-reports-{environment}"
        self.write(
            "deploy/samconfig.toml",
            f'version = 0.1\n[{environment}.deploy.parameters]\nstack_name = "{name}"\nregion ='
            f' "{REGION}"\ncapabilities = "CAPABILITY_IAM"\nparameter_overrides = {overrides}\n',
        )

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def git(self, *arguments: str) -> str:
        arguments = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments)
        return subprocess.run(
            arguments, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change")

    def deploy(
        self, *options: str, environment: str = "stg", code: int = 0, check: bool = False
    ) -> str:
        """Runs the command; returns what it and the SAM CLI print.

        `check` is whether the twin is checked, which the command does unless it is told not to.
        """
        self._monkeypatch.setattr(command, "ROOT", self.folder)
        self._monkeypatch.setattr(command, "BUNDLE", self.folder / "dist" / "mwaa")
        self._capfd.readouterr()
        unchecked = [] if check else ["--no-check"]
        ended = command.main(["deploy", "--env", environment, *unchecked, *options])
        printed = "".join(self._capfd.readouterr())
        assert ended == code, printed
        assert "Traceback" not in printed
        return printed


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Repository:
    return Repository(tmp_path / "repository", monkeypatch, capfd)


def keys(s3: Any) -> dict[str, bytes]:
    """What is below dags/ in the bucket."""
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="dags/").get("Contents", [])
    return {
        each["Key"]: s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed
    }
