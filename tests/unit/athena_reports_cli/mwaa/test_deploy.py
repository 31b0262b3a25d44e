"""`athena-reports deploy` with the real SAM CLI: on the local services,
and on a stub for what moto does not do.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa.bundle import build_bundle
from athena_reports_cli.mwaa.store import Store
from local_athena import LocalAws
from tests.unit.athena_reports_cli.mwaa.repository import (
    ACCOUNT,
    BUCKET,
    LAKE,
    REGION,
    Repository,
    keys,
)
from tests.unit.athena_reports_cli.mwaa.stub import NAME, StubAws

pytestmark = pytest.mark.ci

AIRFLOW = {"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}


def stack_of(aws: LocalAws) -> dict[str, Any]:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    return dict(
        stack,
        Parameters={each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]},
    )


def library(s3: Any, version: str) -> str:
    content = s3.get_object(Bucket=BUCKET, Key="plugins.zip", VersionId=version)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as plugins:
        return plugins.read("library/__init__.py").decode()


def test_a_stack_is_created_changed_and_taken_back_by_what_is_checked_out(
    aws: LocalAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = aws.client("s3")
    (repository.folder / "deploy" / "samconfig.toml").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"mars-1\n{REGION}\nno arn\n{LAKE}\n\n\n"))
    said = repository.deploy("--guided")
    assert "'mars-1' does not match" in said
    assert said.endswith("stg is deployed. It has no MWAA environment.\n")
    first = stack_of(aws)
    assert first["EnableTerminationProtection"]
    assert library(s3, first["Parameters"]["PluginsVersion"]) == "VERSION = 1\n"
    startup = s3.get_object(
        Bucket=BUCKET, Key="startup.sh", VersionId=first["Parameters"]["StartupVersion"]
    )
    assert (
        f"ATHENA_REPORTS_BUCKET=athena-report-stg-123456789012-{REGION}\n"
        in startup["Body"].read().decode()
    )
    assert {"dags/plays.py", "dags/include/sql/plays.sql"} < keys(s3).keys()
    repository.commit()
    repository.git("tag", "v1")

    # SQL alone: the versions that the environment pins stay.
    repository.write("include/sql/plays.sql", "SELECT 2\n")
    said = repository.deploy()
    assert "Nothing changes in the stack." in said
    assert keys(s3)["dags/include/sql/plays.sql"] == b"SELECT 2\n"
    assert stack_of(aws)["Parameters"] == first["Parameters"]

    # A changed parameter, and a changed library.
    config = repository.folder / "deploy" / "samconfig.toml"
    config.write_text(
        config.read_text().replace(
            '"Environment=stg"', '"Environment=stg", "ScanCutoffBytes=30000000"'
        )
    )
    repository.write("plugins/library/__init__.py", "VERSION = 2\n")
    repository.write("dags/new.py", "# airflow dag\n")
    repository.deploy()
    second = stack_of(aws)["Parameters"]
    assert library(s3, second["PluginsVersion"]) == "VERSION = 2\n"
    assert second["RequirementsVersion"] == first["Parameters"]["RequirementsVersion"]
    group = aws.client("athena").get_work_group(WorkGroup="stg")["WorkGroup"]["Configuration"]
    assert group["BytesScannedCutoffPerQuery"] == 30_000_000
    repository.commit()

    repository.git("checkout", "--quiet", "v1")
    repository.deploy()
    third = stack_of(aws)["Parameters"]
    assert library(s3, third["PluginsVersion"]) == "VERSION = 1\n"
    # It is not in the file any more.
    assert third["ScanCutoffBytes"] == first["Parameters"]["ScanCutoffBytes"]
    assert keys(s3)["dags/include/sql/plays.sql"] == b"SELECT 1\n"
    assert "dags/new.py" not in keys(s3)


def test_the_first_deployment_ends_with_an_environment_and_its_pool(
    stub: StubAws, repository: Repository
) -> None:
    repository.configure(**AIRFLOW)
    repository.write("deploy/environments/stg.env", "ATHENA_REPORTS_POOL=athena_stg\n")
    repository.deploy("--guided")
    assert stub.status == "UPDATE_COMPLETE"
    # First the buckets, then the environment that needs one.
    assert stub.operations.count("ExecuteChangeSet") == 2
    assert "MwaaEnvironmentName" in stub.outputs
    assert [(pool["name"], pool["include_deferred"]) for pool in stub.pools] == [
        ("athena_stg", True)
    ]

    said = repository.deploy()
    assert "Nothing changes in the stack." in said
    assert stub.operations.count("ExecuteChangeSet") == 2
    assert len(stub.pools) == 1


@pytest.fixture
def deployed(stub: StubAws, bucket: Any, repository: Repository) -> Repository:
    """A repository whose environment runs what is in it."""
    repository.configure(**AIRFLOW)
    stub.status = "UPDATE_COMPLETE"
    settings = {
        description: value
        for value, description in stub.outputs.values()
        if "REPORTS" in description
    }
    project = Project.usual(repository.folder)
    bundle = build_bundle(project, "stg", project.root / "dist" / "mwaa", settings)
    store = Store(bucket, BUCKET, ACCOUNT, bundle.files)
    stub.parameters |= AIRFLOW | store.upload()
    store.synchronise()
    return repository


def test_a_dry_run_shows_the_change_set_and_the_sync_and_changes_nothing(
    stub: StubAws, bucket: Any, deployed: Repository
) -> None:
    before = keys(bucket), stub.parameters
    deployed.write("plugins/library/__init__.py", "VERSION = 2\n")
    deployed.write("include/sql/plays.sql", "SELECT 2\n")
    deployed.write("dags/new.py", "# airflow dag\n")
    (deployed.folder / "dags" / "plays.py").unlink()
    said = deployed.deploy("--dry-run")
    assert "Modify  Airflow (AWS::MWAA::Environment), replacement: False" in said
    for line in (
        "write   dags/include/sql/plays.sql",
        "write   dags/new.py",
        "remove  dags/plays.py",
    ):
        assert line in said.splitlines()
    assert (keys(bucket), stub.parameters) == before
    assert "ExecuteChangeSet" not in stub.operations


@pytest.mark.parametrize("changed", [{"SubnetIds": "subnet-1,subnet-3"}, {"SubnetIds": ""}])
def test_an_environment_is_neither_replaced_nor_removed(
    stub: StubAws, deployed: Repository, changed: dict[str, str]
) -> None:
    deployed.configure(**AIRFLOW | changed)
    assert "Airflow would be replaced or removed." in deployed.deploy(code=1)
    assert "ExecuteChangeSet" not in stub.operations


def test_an_update_that_fails_leaves_dags_alone_and_the_next_one_finishes(
    stub: StubAws, bucket: Any, deployed: Repository
) -> None:
    before = keys(bucket)
    deployed.write("plugins/library/__init__.py", "VERSION = 2\n")
    deployed.write("dags/plays.py", "# airflow dag of version 2\n")
    stub.fails_with = "The archive is broken"
    said = deployed.deploy(code=1)
    assert "Airflow: The archive is broken What ran before still runs" in said
    assert keys(bucket) == before

    deployed.deploy()
    assert stub.status == "UPDATE_COMPLETE"
    assert keys(bucket)["dags/plays.py"] == b"# airflow dag of version 2\n"


def test_a_creation_that_fails_says_why_and_what_to_remove(
    stub: StubAws, repository: Repository
) -> None:
    stub.fails_with = f"{BUCKET} already exists"
    said = repository.deploy("--guided", code=1)
    assert (
        f"{NAME} is ROLLBACK_COMPLETE. Airflow: {BUCKET} already exists It was not created" in said
    )
    assert f"aws cloudformation delete-stack --region {REGION} --stack-name {NAME}" in said
    assert "is ROLLBACK_COMPLETE" in repository.deploy(code=1)  # until then


def test_of_two_deployments_at_once_one_is_refused(stub: StubAws, deployed: Repository) -> None:
    """The other one begins after this one has looked at the stack."""
    look = stub.describe_stacks

    def begin(**asked: Any) -> dict[str, Any]:
        answer = look(**asked)
        stub.status = "UPDATE_IN_PROGRESS"
        return answer

    stub.describe_stacks = begin  # type: ignore[method-assign]
    deployed.write("plugins/library/__init__.py", "VERSION = 2\n")
    said = deployed.deploy(code=1)
    assert "UPDATE_IN_PROGRESS state and can not be updated" in said
    assert "Nothing was changed in the stack." in said
    assert "ExecuteChangeSet" not in stub.operations
