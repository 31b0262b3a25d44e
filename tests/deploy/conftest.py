"""An account to deploy to: local S3 and STS, and a stand-in for Amazon MWAA."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.rollout import Rollout, deploy
from deploy.target import read_target
from local_aws import LocalAws
from tests.deploy.mwaa import ACCOUNT, REGION, Mwaa

SESSION = boto3.Session()  # one for all: each would read the descriptions of the services anew
BUCKET = "company-mwaa"
NAME = "reports-stg"
ARTIFACTS = {"plugins.zip": "Plugins", "requirements.txt": "Requirements", "startup.sh": "StartupScript"}


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


class Account:
    """What is in the account, seen with clients of the test's own."""

    def __init__(self, aws: LocalAws, mwaa: Mwaa) -> None:
        self.mwaa = mwaa
        self.s3: Any = aws.client("s3", REGION)

    def reset(self) -> None:
        """A bucket with versions and an environment, both without anything."""
        for bucket in (BUCKET, "company-reports", "company-results"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.mwaa.environments.clear()
        self.mwaa.updates.clear()
        self.mwaa.create(NAME, BUCKET)

    def dags(self) -> dict[str, bytes]:
        """What Airflow would find below dags/."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="dags/").get("Contents", [])
        return {
            each["Key"].removeprefix("dags/"): self.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in listed
        }

    def pinned(self, path: str) -> bytes:
        """What the environment takes for one of the files that it pins."""
        environment = self.mwaa.environments[NAME]
        key, version = (environment[f"{ARTIFACTS[path]}S3{what}"] for what in ("Path", "ObjectVersion"))
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)["Body"].read()
        return content

    def library(self) -> str:
        """The library that the environment runs."""
        with zipfile.ZipFile(io.BytesIO(self.pinned("plugins.zip"))) as plugins:
            return plugins.read("library/__init__.py").decode()

    def everything(self) -> list[tuple[str, str]]:
        """Every version of every object, and every deletion."""
        answer = self.s3.list_object_versions(Bucket=BUCKET)
        entries = answer.get("Versions", []) + answer.get("DeleteMarkers", [])
        return sorted((each["Key"], each["VersionId"]) for each in entries)

    def put(self, key: str, content: bytes) -> str:
        """What somebody else uploads."""
        version: str = self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)["VersionId"]
        return version


@pytest.fixture
def account(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    local_aws.reset()
    with Mwaa().served() as mwaa:
        monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", mwaa.url)
        monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
        account = Account(local_aws, mwaa)
        account.reset()
        yield account


class Repository:
    """A small repository of the same form, in git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.write("dags/.airflowignore", "include/**\n")
        self.write("dags/plays.py", "# airflow dag\n")
        self.write("dags/flights.py", "# airflow dag\n")
        self.write("include/sql/plays.sql", "SELECT 1\n")
        self.change_library(1)
        self.write("requirements.txt", "pyarrow\n")
        self.write("deploy/constraints.txt", "pyarrow==25.0.0\n")
        self.write(
            "deploy/environments/stg.env",
            "ATHENA_REPORTS_BUCKET=company-reports\nATHENA_REPORTS_QUERY_RESULTS=s3://company-results/\n",
        )
        self.target()
        self.git("init", "--quiet")
        self.commit()

    def target(self, **changes: Any) -> None:
        target = {"region": REGION, "account": ACCOUNT, "mwaa_environment": NAME, "committed_only": False}
        self.write("deploy/environments/stg.json", json.dumps(target | changes))

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def change_library(self, version: int) -> None:
        self.write("plugins/library/__init__.py", f"VERSION = {version}\n")

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change")
        return self.git("rev-parse", "HEAD")

    def deploy(self, **options: Any) -> list[str]:
        """Deploys it; returns what it said."""
        self.said = []
        options = {"poll_seconds": 0, **options}
        bundle = self.folder.parent / "bundle"
        deploy(self.folder, "stg", bundle, SESSION, self.said.append, **options)
        return self.said

    def roll_back(self, **options: Any) -> list[str]:
        """Rolls back; returns what it said."""
        self.said = []
        target = read_target(self.folder, "stg")
        Rollout(target, SESSION, self.said.append, poll_seconds=0).roll_back(**options)
        return self.said

    def dags(self) -> dict[str, bytes]:
        """What has to be below dags/ on MWAA, read from the repository without the code that bundles it."""
        files = {f"{path.name}": path.read_bytes() for path in (self.folder / "dags").iterdir()}
        sql = (self.folder / "include" / "sql").iterdir()
        files |= {f"include/sql/{path.name}": path.read_bytes() for path in sql}
        return files | self.constraints()

    def constraints(self) -> dict[str, bytes]:
        """The constraints, likewise."""
        content = (self.folder / "deploy" / "constraints.txt").read_bytes()
        return {f"constraints-{hashlib.sha256(content).hexdigest()[:8]}.txt": content}


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[[str], Repository]:
    return lambda name: Repository(tmp_path / name / "repository")


@pytest.fixture
def repository(make_repository: Callable[[str], Repository]) -> Repository:
    return make_repository("one")


@pytest.fixture
def deployed(account: Account, repository: Repository) -> Repository:
    """A repository that was deployed once."""
    repository.deploy()
    account.mwaa.updates.clear()
    return repository
