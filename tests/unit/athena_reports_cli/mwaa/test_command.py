"""What is refused before anything is changed, and what is said then."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import DeployError, deploy
from athena_reports_cli.mwaa.config import CONFIG, ask_config, read_config
from athena_reports_cli.mwaa.stack import Stack, State
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


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "UPDATE_IN_PROGRESS",
            f"wait stack-update-complete --region us-east-1 --stack-name {NAME}",
        ),
        (
            "CREATE_IN_PROGRESS",
            "under way. Wait until it is over (aws cloudformation wait stack-create-complete",
        ),
        (
            "UPDATE_ROLLBACK_FAILED",
            "let the rollback end (aws cloudformation continue-update-rollback --region",
        ),
        (
            "ROLLBACK_COMPLETE",
            f"Remove it (aws cloudformation delete-stack --region us-east-1 --stack-name {NAME})",
        ),
        ("", "There is no stack athena-reports-stg in us-east-1 of the account 123456789012."),
        ("REVIEW_IN_PROGRESS", "or create it: `athena-reports deploy --env stg --guided` asks"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_named_with_the_next_command(
    stub: StubAws, repository: Repository, status: str, said: str
) -> None:
    stub.status = status
    assert said in repository.deploy(code=1)
    assert set(stub.operations) <= {"DescribeStacks", "DescribeStackEvents"}


def test_the_reasons_are_those_of_the_last_change_in_their_order_without_what_followed_from_them(
    stub: StubAws, repository: Repository
) -> None:
    """CloudFormation cancels what it changes beside a resource that fails."""
    stub.happened(NAME, "UPDATE_IN_PROGRESS")
    stub.happened("Airflow", "UPDATE_FAILED", "This was weeks ago")
    stub.happened(NAME, "UPDATE_ROLLBACK_COMPLETE")
    stub.happened(NAME, "UPDATE_IN_PROGRESS")
    stub.happened("Workgroup", "UPDATE_IN_PROGRESS")
    stub.happened("Workgroup", "UPDATE_FAILED", "The name is taken")
    stub.happened("Airflow", "UPDATE_FAILED", "Resource update cancelled")
    stub.happened(NAME, "UPDATE_ROLLBACK_IN_PROGRESS", "[Workgroup] failed to update")
    stub.happened("Airflow", "UPDATE_FAILED", "The bucket is gone")
    stub.happened(NAME, "UPDATE_ROLLBACK_FAILED", "[Airflow] failed to update")
    stub.status = "UPDATE_ROLLBACK_FAILED"
    reasons = "Workgroup: The name is taken Airflow: The bucket is gone"
    of_stack = f"{NAME}: [Airflow] failed to update"
    assert f"{NAME} is UPDATE_ROLLBACK_FAILED. {reasons} {of_stack} Correct that," in (
        repository.deploy(code=1)
    )


def test_an_environment_that_nobody_has_configured_is_refused(
    stub: StubAws, repository: Repository
) -> None:
    (repository.folder / CONFIG).unlink()
    assert "`athena-reports deploy --env stg --guided` asks what is needed" in repository.deploy(
        code=1
    )
    (repository.folder / CONFIG).write_text("[stg.deploy.parameters]\nregion = 1\n")
    assert (
        "samconfig.toml does not say where stg is deployed to: KeyError('parameter_overrides')"
        in (repository.deploy(code=1))
    )


def test_answers_that_end_early_leave_nothing_behind(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.folder / CONFIG).unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO("us-east-1\narn:aws:s3:::lake\n"))
    assert "The answers ended at: Address that alerts are sent to" in repository.deploy(
        "--guided", code=1
    )
    assert not (repository.folder / CONFIG).exists()
    assert stub.operations == []


def test_who_wants_no_alerts_is_asked_for_a_network(
    stub: StubAws,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (repository.folder / CONFIG).unlink()
    network = "subnet-1\nsubnet-1,subnet-2\nsg-1\n\n"  # one subnet alone is asked for again
    # Blanks around an answer are none of it.
    answers = f"us-east-1 \n arn:aws:s3:::lake\n\n{network}"
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    ask_config(Project.usual(repository.folder), "stg", boto3.Session())

    said = capfd.readouterr().out
    assert said.startswith(f"AWS region, such as {REGION}: ")
    assert f"in the account {ACCOUNT}.\n" in said  # before anything else is answered
    assert said.index("These are the credentials of arn:aws:") < said.index("ARNs of what")
    assert said.endswith(
        f"Remembered in {repository.folder / CONFIG}: commit it, and change answers there.\n"
    )
    config = read_config(Project.usual(repository.folder), "stg")
    assert config is not None
    assert config.parameters == {
        "Environment": "stg",
        "SourceDataArns": "arn:aws:s3:::lake",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
    }
    assert (repository.folder / CONFIG).read_text().splitlines() == [
        "version = 0.1",
        "",
        "[stg.deploy.parameters]",
        'stack_name = "athena-reports-stg"',
        'region = "us-east-1"',
        'capabilities = "CAPABILITY_IAM"',
        'parameter_overrides = ["Environment=stg", "SourceDataArns=arn:aws:s3:::lake",'
        ' "SubnetIds=subnet-1,subnet-2", "SecurityGroupIds=sg-1"]',
    ]


@pytest.mark.parametrize(
    ("question", "taken", "refused"),
    [
        ("AWS region", ["eu-west-1"], ["", "eu-west", "us-east-1x"]),
        (
            "ARNs of what",
            ["arn:aws:s3:::a", "arn:aws:s3:::a,arn:aws:s3:::a/*"],
            ["", "s3://a", "arn:aws:s3:::a, arn:aws:s3:::b", "arn:aws:s3:::a,"],
        ),
        ("Address that", ["", "a+b@example.com"], ["a", "a@b@c", "a b@example.com"]),
        (
            "Two private subnets",
            ["", "subnet-1,subnet-2"],
            ["subnet-1", "subnet-1,subnet-2,subnet-3", "sg-1,sg-2"],
        ),
        ("Its security groups", ["sg-1", "sg-1,sg-2"], ["", "sg-1,", "subnet-1"]),
        ("Whether the internet", ["", "PUBLIC_ONLY", "PRIVATE_ONLY"], ["yes", "PUBLIC"]),
    ],
)
def test_an_answer_that_no_parameter_takes_is_asked_for_again(
    aws: LocalAws,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    taken: list[str],
    refused: list[str],
) -> None:
    right = {
        "AWS region": "us-east-1",
        "ARNs of what": "arn:aws:s3:::lake",
        "Address that": "",
        "Two private subnets": "subnet-1,subnet-2",
        "Its security groups": "sg-1",
        "Whether the internet": "",
    }
    for answer in taken:
        asked: list[str] = []
        given = {name: iter([value]) for name, value in right.items()}
        given[question] = iter([*refused, answer])

        def reply(prompt: str, asked: list[str] = asked, given: Any = given) -> str:
            (name,) = [name for name in given if prompt.startswith(name)]
            asked.append(name)
            return str(next(given[name]))

        monkeypatch.setattr("builtins.input", reply)
        (repository.folder / CONFIG).unlink(missing_ok=True)
        ask_config(Project.usual(repository.folder), "stg", boto3.Session())
        assert asked.count(question) == len(refused) + 1
        assert {asked.count(name) for name in asked if name != question} == {1}


def test_the_guide_does_not_ask_for_what_is_known(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (repository.folder / CONFIG).read_text()
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail(question))
    monkeypatch.setattr(deploy, "Stack", changed_by(stub))
    stub.status = "UPDATE_COMPLETE"
    assert "stg is deployed." in repository.deploy("--guided")
    assert (repository.folder / CONFIG).read_text() == before


def test_another_environment_is_remembered_beside_those_that_there_are(
    aws: LocalAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.usual(repository.folder)
    repository.configure("stg", AlertEmail="a@example.com")
    file = repository.folder / CONFIG
    with file.open("a") as config:
        config.write("# What a person has written.\n")
    before = file.read_text()
    stg = read_config(project, "stg")
    monkeypatch.delenv("AWS_DEFAULT_REGION")  # which not everybody sets
    monkeypatch.setattr("sys.stdin", io.StringIO("eu-west-1\narn:aws:s3:::lake\n\n\n"))

    ask_config(project, "prd", boto3.Session())

    prd = read_config(project, "prd")
    assert prd is not None
    assert (prd.region, prd.stack) == ("eu-west-1", "athena-reports-prd")
    assert read_config(project, "stg") == stg
    assert file.read_text().startswith(before)


def test_without_credentials_it_says_how_to_choose_some(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said = repository.deploy(code=1)
    assert (
        "Unable to locate credentials\nChoose credentials (AWS_PROFILE=..., or `aws sso login`),"
        " then" in said
    )


def test_prd_takes_only_what_is_committed(stub: StubAws, repository: Repository) -> None:
    repository.configure("prd")
    repository.commit()
    assert "There is no stack athena-reports-prd" in repository.deploy(environment="prd", code=1)
    repository.write("dags/new.py", "# airflow dag\n")
    said = repository.deploy(environment="prd", code=1)
    assert "prd takes only what is committed." in said
    assert "what git status lists:\n?? dags/new.py\n" in said

    shutil.rmtree(repository.folder / ".git")
    said = repository.deploy(environment="prd", code=1)
    assert "prd takes only what is committed." in said
    assert "what git status lists:\nfatal: not a git repository" in said


def changed_by(stub: StubAws) -> type[Stack]:
    """A stack that is changed without the SAM CLI, which takes seconds."""

    class ChangedStack(Stack):
        def plan(self, versions: Mapping[str, str]) -> bool:
            return not versions.items() <= stub.parameters.items()

        def apply(self, versions: Mapping[str, str]) -> State:
            stub.parameters.update(versions)
            stub.outputs["Topic"] = ("arn:aws:sns:topic", "ATHENA_REPORTS_ALERT_TOPIC")
            state = self.state()
            assert state is not None
            return state

    return ChangedStack


def test_a_setting_that_the_deployment_itself_changes_is_in_startup_sh(
    stub: StubAws, repository: Repository, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MovingStack(changed_by(stub)):  # type: ignore[misc]
        def apply(self, versions: Mapping[str, str]) -> State:
            stub.outputs["Source"] = ("events", "ATHENA_REPORTS_DATABASE")
            return super().apply(versions)  # type: ignore[no-any-return]

    monkeypatch.setattr(deploy, "Stack", MovingStack)
    stub.status = "UPDATE_COMPLETE"
    stub.outputs["Source"] = ("raw", "ATHENA_REPORTS_DATABASE")
    # `changed_by` adds the topic. It is here already, so that only the value above changes.
    stub.outputs["Topic"] = ("arn:aws:sns:topic", "ATHENA_REPORTS_ALERT_TOPIC")
    repository.deploy()
    startup = bucket.get_object(Bucket=BUCKET, Key="startup.sh")["Body"].read().decode()
    assert "ATHENA_REPORTS_DATABASE=events" in startup


def test_whatever_changes_is_checked_in_the_twin_and_what_is_deployed_already_is_not(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check takes minutes."""
    checked: list[str] = []

    def check(_: Project, version: str, *, progress: Callable[[str], None]) -> None:
        progress("the twin is there")
        checked.append(version)

    monkeypatch.setattr(deploy, "check_in_twin", check)
    monkeypatch.setattr(deploy, "Stack", changed_by(stub))
    stub.status = "UPDATE_COMPLETE"
    repository.deploy()
    assert checked == []  # it was told not to
    repository.deploy(check=True)
    assert checked == []  # nothing has changed

    repository.write("include/sql/plays.sql", "SELECT 2\n")
    repository.deploy(check=True)
    assert len(checked) == 1
    (repository.folder / "include" / "sql" / "plays.sql").unlink()
    repository.deploy(check=True)
    assert len(checked) == 2
    repository.write("plugins/library/__init__.py", "VERSION = 2\n")
    repository.deploy(check=True)
    assert len(checked) == 3


CHECK_FAILED = "The check has failed: nothing was deployed."


def test_a_bundle_that_fails_the_check_in_the_twin_is_not_deployed(
    stub: StubAws,
    bucket: Any,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function stands for the check, which takes minutes."""
    stub.status = "UPDATE_COMPLETE"
    versions = []

    def fail(_: Project, version: str, **__: Any) -> None:
        versions.append(version)
        raise DeployError("A plugin cannot be imported.")

    monkeypatch.setattr(deploy, "check_in_twin", fail)
    said = repository.deploy(check=True, code=1)
    assert f"A plugin cannot be imported.\n{CHECK_FAILED}" in said
    assert keys(bucket) == {}
    assert set(stub.operations) <= {"DescribeStacks", "DescribeStackEvents"}

    # Of the version that the environment is about to have.
    repository.configure(AirflowVersion="3.4.0")
    assert CHECK_FAILED in repository.deploy(check=True, code=1)
    assert versions == ["3.3.1", "3.4.0"]


def test_startup_sh_names_what_the_change_of_a_stack_has_brought(
    stub: StubAws,
    bucket: Any,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as after an update of the library, whose template has another output."""

    stub.status = "UPDATE_COMPLETE"
    monkeypatch.setattr(deploy, "Stack", changed_by(stub))
    repository.write("deploy/environments/stg.env", "ATHENA_REPORTS_POOL=athena\n")
    said = repository.deploy()
    assert said.endswith("stg is deployed. It has no MWAA environment.\n")
    assert stub.pools == []  # where there is none to create it in
    version = stub.parameters["StartupVersion"]
    startup = bucket.get_object(Bucket=BUCKET, Key="startup.sh", VersionId=version)["Body"].read()
    assert "ATHENA_REPORTS_ALERT_TOPIC=arn:aws:sns:topic\n" in startup.decode()
    assert "dags/plays.py" in keys(bucket)


def test_a_pool_is_created_where_the_environment_names_one_that_is_not_there(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "Stack", changed_by(stub))
    stub.status = "UPDATE_COMPLETE"
    stub.outputs["MwaaEnvironmentName"] = (NAME, "Its name")
    repository.deploy()
    assert stub.pools == []
    repository.write("deploy/environments/stg.env", "ATHENA_REPORTS_POOL=athena\n")
    # Each service is asked in the region of the configuration, whatever that of the shell is.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    regions: dict[str, set[str]] = {}
    call = BaseClient._make_api_call

    def note(client: Any, operation: str, parameters: Any) -> Any:
        service = client.meta.service_model.service_name
        regions.setdefault(service, set()).add(client.meta.region_name)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    repository.deploy()
    assert stub.pools == [{"name": "athena", "slots": 16, "include_deferred": True}]
    services = ("cloudformation", "mwaa", "s3", "sts")
    assert regions == {service: {REGION} for service in services}

    stub.pools = [{"name": "athena", "slots": 3}]  # as somebody has changed it
    repository.deploy()
    assert stub.pools == [{"name": "athena", "slots": 3}]
    monkeypatch.setattr("tests.unit.athena_reports_cli.mwaa.stub._Conflict.RestApiStatusCode", 403)
    assert "AWS: An error occurred (RestApiClientException)" in repository.deploy(code=1)


def test_without_the_sam_cli_it_says_how_to_install_it(
    stub: StubAws, repository: Repository
) -> None:
    stub.status = "UPDATE_COMPLETE"
    (repository.folder / ".venv-deploy").unlink()
    folder = repository.folder / ".venv-deploy"
    said = repository.deploy("--dry-run", code=1)
    assert f"There is no SAM CLI at {folder}/bin/sam." in said
    assert f"-m venv {folder} && {folder}/bin/python -m pip install aws-sam-cli" in said
    assert "CreateChangeSet" not in stub.operations


def test_what_is_wrong_with_the_bundle_is_said_before_aws_is_asked(
    stub: StubAws, repository: Repository
) -> None:
    repository.write("dags/plays.py", "def broken(:\n")
    assert "plays.py, line 1 is not Python" in repository.deploy(code=1)
    assert stub.operations == []


def test_a_sam_cli_that_cannot_be_started_is_named(stub: StubAws, repository: Repository) -> None:
    stub.status = "UPDATE_COMPLETE"
    (repository.folder / ".venv-deploy").unlink()
    repository.write(".venv-deploy/bin/sam", "no program\n")
    said = repository.deploy("--dry-run", code=1)
    assert f"Permission denied: '{repository.folder}/.venv-deploy/bin/sam'" in said
    assert "CreateChangeSet" not in stub.operations


def test_a_dry_run_names_what_would_be_written_and_removed_and_changes_nothing(
    stub: StubAws, bucket: Any, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "Stack", changed_by(stub))
    stub.status = "UPDATE_COMPLETE"
    repository.deploy()
    before = keys(bucket), dict(stub.parameters)
    repository.write("dags/new.py", "# airflow dag\n")
    repository.write("include/sql/plays.sql", "SELECT 2\n")
    repository.write("plugins/library/__init__.py", "VERSION = 2\n")
    (repository.folder / "dags" / "plays.py").unlink()
    lines = repository.deploy("--dry-run").splitlines()
    assert [line for line in lines if line.startswith(("write ", "remove "))] == [
        "write   dags/include/sql/plays.sql",
        "write   dags/new.py",
        "remove  dags/plays.py",
    ]
    assert not any("is deployed" in line for line in lines)
    assert (keys(bucket), stub.parameters) == before


def test_the_first_deployment_asks_where_to_and_applies_the_stack_before_it_uploads(
    stub: StubAws, bucket: Any, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[Mapping[str, str]] = []
    had_objects: list[bool] = []

    class NewStack(changed_by(stub)):  # type: ignore[misc]
        def apply(self, versions: Mapping[str, str]) -> State:
            stub.status = "CREATE_COMPLETE"
            applied.append(versions)
            had_objects.append("Contents" in bucket.list_objects_v2(Bucket=BUCKET))
            return super().apply(versions)  # type: ignore[no-any-return]

    monkeypatch.setattr(deploy, "Stack", NewStack)
    (repository.folder / CONFIG).unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{REGION}\n{LAKE}\n\n\n"))
    said = repository.deploy("--guided")
    assert said.endswith("stg is deployed. It has no MWAA environment.\n")
    first, *others = applied
    assert first == dict.fromkeys(("PluginsVersion", "RequirementsVersion", "StartupVersion"), "")
    assert all(all(versions.values()) for versions in others)
    assert had_objects[:2] == [False, True]
    config = read_config(Project.usual(repository.folder), "stg")
    assert config is not None
    assert (config.region, config.parameters["SourceDataArns"]) == (REGION, LAKE)
    assert "dags/plays.py" in keys(bucket)
