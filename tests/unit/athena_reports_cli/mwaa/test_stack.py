"""The template: clean, created in the local services, and no wider than it has to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from string import Template
from typing import Any, ClassVar

import botocore.session
import pytest
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from botocore.validate import ParamValidator
from cfnlint.api import lint_file
from jinja2.utils import import_string
from moto.core.common_models import CloudFormationModel

from athena_reports.settings import ENVIRONMENT_NAME, read_settings
from local_athena import LocalAws
from tests.support.cloudformation import local_services_with_stacks
from tests.support.paths import ROOT
from tests.support.stacks import (
    REPORTS_TEMPLATE,
    TEMPLATE,
    Stack,
    create_stack,
    kept_parameters,
    secrets_backend,
)

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
AIRFLOW = {"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
AIRFLOW |= {f"{name}Version": name.lower() for name in ("Plugins", "Requirements", "Startup")}
# AWS's limit for a managed policy, in characters that are no white space.
POLICY_CHARACTERS = 6144
HERE = f"{REGION}:{ACCOUNT}"
NewStack = Callable[..., Stack]
THROUGH_ATHENA = {"ForAnyValue:StringEquals": {"aws:CalledVia": "athena.amazonaws.com"}}
# Amazon MWAA's user guide grants these on every resource, since they know none, or by a pattern.
ON_EVERY_RESOURCE = {
    *("cloudwatch:PutMetricData", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock"),
}
BY_PATTERN = {"s3:GetBucket*", "s3:GetObject*", "s3:List*", "kms:GenerateDataKey*"}


class Environment(CloudFormationModel):
    """An environment of Amazon MWAA, which moto has not: keeps what was asked for."""

    properties: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::MWAA::Environment"

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "WebserverUrl"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return "airflow.example.com"

    @classmethod
    def create_from_cloudformation_json(cls, *asked: Any, **_: Any) -> Environment:
        cls.properties = asked[1]["Properties"]
        return cls(cls.properties["Name"])


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_services_with_stacks() as aws:
        yield aws


@pytest.fixture
def new_stack(aws: LocalAws) -> NewStack:
    """Creates stacks in an account that is empty before the first one."""
    aws.reset()
    Environment.properties = {}

    def create(environment: str = "dev", **parameters: str) -> Stack:
        return create_stack(aws.client("cloudformation"), kept_parameters(environment) | parameters)

    return create


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def policies_of(aws: LocalAws, stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """The statements of both policies of the execution role, by the policy's logical id."""
    iam = aws.client("iam")
    role = stack.outputs["ExecutionRoleArn"].rpartition("/")[2]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []
    found = {}
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        assert len(json.dumps(policy["Document"], separators=(",", ":"))) <= POLICY_CHARACTERS
        found[attached["PolicyName"].split("-")[-2]] = policy["Document"]["Statement"]
    return found


def touches(statement: Mapping[str, Any], arn: str) -> bool:
    """Whether a statement allows anything on a resource, whatever its conditions say."""
    if statement["Effect"] != "Allow" or statement.get("Resource") == "*":
        return False  # these are tested for their actions
    if "NotResource" in statement:
        others = as_list(statement["NotResource"])
        service = statement["Action"][0].partition(":")[0]
        return arn.split(":")[2] == service and not any(fnmatchcase(arn, other) for other in others)
    return any(fnmatchcase(arn, pattern) for pattern in as_list(statement["Resource"]))


def resources_of(stack: Stack) -> set[str]:
    """ARNs of what belongs to an environment: made by the stack, lying in it, or by its name."""
    environment = stack.outputs["Environment"]
    arns = {
        f"arn:aws:athena:{HERE}:workgroup/{stack.outputs['Workgroup']}",
        f"arn:aws:airflow:{HERE}:environment/{stack.name}",
        f"arn:aws:logs:{HERE}:log-group:airflow-{stack.name}-Task:log-stream:x",
        f"arn:aws:secretsmanager:{HERE}:secret:airflow/{environment}/connections/lake-AbCdEf",
    }
    for database in (stack.outputs["ReportDatabase"], stack.outputs["SourceDatabase"]):
        arns |= {
            f"arn:aws:glue:{HERE}:database/{database}",
            f"arn:aws:glue:{HERE}:table/{database}/plays",
        }
    results = stack.outputs["QueryResultsLocation"].removeprefix("s3://").rstrip("/")
    lake = f"my-company-lake-{environment}"
    for bucket in (stack.outputs["ReportBucket"], stack.outputs["MwaaBucket"], results, lake):
        arns |= {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/user_ranking/weekly/latest.json"}
    return arns


# --- The file -------------------------------------------------------------------------------------


def test_cfn_lint_has_nothing_to_say() -> None:
    assert [f"{match.rule.id} {match.message}" for match in lint_file(REPORTS_TEMPLATE)] == []


def test_an_environment_is_named_as_the_settings_say() -> None:
    assert TEMPLATE["Parameters"]["Environment"]["AllowedPattern"] == ENVIRONMENT_NAME


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [
        ("SourceDatabase", ["", "lake_1-a"], ["Lake", "a b"]),
        ("SourceKmsKeyArn", ["", KEY], ["alias/key", f"{KEY} ", KEY.replace("key/", "alias/")]),
        ("KmsKeyArn", ["", KEY], ["alias/key", f"{KEY} ", KEY.replace("key/", "alias/")]),
        ("MwaaEnvironmentName", ["", "A_b-1", "a" * 80], ["1a", "-a", "a" * 81, "a b"]),
        ("AlertEmail", ["", "a+b@example.com"], ["a", "a@", "a@b@c", "a b@example.com"]),
        ("MaintenanceStart", ["MON:00:00", "SUN:23:30"], ["mon:00:00", "MON:24:00", "MON:12:15"]),
    ],
)
def test_a_wrong_value_of_a_parameter_is_refused(
    parameter: str, taken: list[str], refused: list[str]
) -> None:
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert [value for value in taken if not re.fullmatch(pattern, value)] == []
    assert [value for value in refused if re.fullmatch(pattern, value)] == []


# --- What is created ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", KEY])
def test_what_holds_data_is_encrypted_and_no_object_of_a_report_expires(
    aws: LocalAws, new_stack: NewStack, key: str
) -> None:
    outputs = new_stack("dev", KmsKeyArn=key, QueryResultsDays="12", NoncurrentDays="45").outputs
    s3 = aws.client("s3")
    expiring = {}
    for bucket in (each["Name"] for each in s3.list_buckets()["Buckets"]):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        (rule,) = encryption["Rules"]
        # S3 delivers no access logs to a bucket with a key.
        used = "" if "-logs-" in bucket else key
        assert rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID", "") == used
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        days: list[Any] = []
        for each in rules:
            if "Days" in each.get("Expiration", {}):
                days.append((each["Filter"].get("Prefix", ""), each["Expiration"]["Days"]))
            if "NoncurrentVersionExpiration" in each:
                days.append(int(each["NoncurrentVersionExpiration"]["NoncurrentDays"]))
        expiring[bucket.removesuffix(f"-dev-{ACCOUNT}-{REGION}")] = days
    # An environment pins versions of MWAA's bucket, and an older one may still pin its own.
    assert expiring == {
        "athena-report": [("_alerts/", 90), 45],
        "athena-query-result": [("", 12), 1],
        "athena-reports-mwaa": [365],
        "athena-report-logs": [("", 90), 1],
    }
    group = aws.client("athena").get_work_group(WorkGroup=outputs["Workgroup"])["WorkGroup"]
    assert group["Configuration"]["EnforceWorkGroupConfiguration"]
    by_key = {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    assert group["Configuration"]["ResultConfiguration"] == {
        "OutputLocation": outputs["QueryResultsLocation"],
        "ExpectedBucketOwner": ACCOUNT,
        "EncryptionConfiguration": by_key if key else {"EncryptionOption": "SSE_S3"},
    }


def test_the_outputs_are_the_settings(aws: LocalAws, new_stack: NewStack) -> None:
    stack = new_stack("stg", SourceDatabase="events", CreateSourceDatabase="true")
    # As away from a local endpoint, where buckets have no default; it refuses what is no setting.
    names = read_settings(stack.variables)
    assert names.environment == names.workgroup == "stg"
    databases = [each["Name"] for each in aws.client("glue").get_databases()["DatabaseList"]]
    assert sorted(databases) == [names.database, names.report_database] == ["events", "report_stg"]
    assert names.report_bucket == f"athena-report-stg-{ACCOUNT}-{REGION}"
    assert names.query_results == f"s3://athena-query-result-stg-{ACCOUNT}-{REGION}/"
    assert names.bucket_owner == ACCOUNT


# --- Permissions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", KEY])
def test_grants_are_narrow_and_conditional(aws: LocalAws, new_stack: NewStack, key: str) -> None:
    former = f"{KEY}1,{KEY}2" if key else ""
    stack = new_stack("a" * 15, KmsKeyArn=key, SourceKmsKeyArn=key, FormerKmsKeyArns=former)
    longest = max(len(each["Name"]) for each in aws.client("s3").list_buckets()["Buckets"])
    # S3's limit is 63, with the longest name of a region.
    assert longest + len("ap-southeast-1") - len(REGION) == 63
    policies = policies_of(aws, stack)
    for policy, statements in policies.items():
        for statement in (each for each in statements if each["Effect"] == "Allow"):
            actions = set(as_list(statement["Action"]))
            patterns = {action for action in actions if "*" in action}
            assert patterns <= (BY_PATTERN if policy == "MwaaPolicy" else set())
            # The key of MWAA's own queue is in an account that nobody is told.
            if "NotResource" in statement:
                assert (policy, statement["Sid"]) == ("MwaaPolicy", "EncryptQueue")
                services = list(statement["Condition"]["StringLike"].values())
                assert services == [f"sqs.{REGION}.amazonaws.com"]
            elif "*" in as_list(statement["Resource"]):
                assert policy == "MwaaPolicy"
                assert actions <= ON_EVERY_RESOURCE
    reports = {each["Sid"]: each for each in policies["ReportsPolicy"]}
    assert len(reports) == len(policies["ReportsPolicy"])
    conditions = {sid: each["Condition"] for sid, each in reports.items() if "Condition" in each}
    through = dict.fromkeys(("DecryptSource", "EncryptBuckets", "DecryptFormerly"), "s3")
    through["EncryptAlerts"] = "sns"
    by_athena = {sid: THROUGH_ATHENA for sid in reports if sid.startswith("Athena")}
    assert conditions == by_athena | {
        sid: {"StringEquals": {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}}
        for sid, service in through.items()
        if key
    }
    assert reports["PublishAlerts"]["Resource"] == stack.outputs["AlertTopicArn"]
    # Nobody but Athena reads the source data, and nobody but Athena writes query results. Tasks
    # list the source data, to which the ARNs of objects mean nothing.
    assert as_list(reports["FindDoneObjects"]["Action"]) == ["s3:ListBucket"]
    results = stack.outputs["QueryResultsLocation"].replace("s3://", "arn:aws:s3:::")
    source_data = f"arn:aws:s3:::my-company-lake-{'a' * 15}/x.parquet"
    for sid in reports.keys() - by_athena.keys() - {"FindDoneObjects"}:
        assert not touches(reports[sid], source_data)
        writes = "s3:PutObject" in reports[sid]["Action"]
        assert not (writes and touches(reports[sid], f"{results}x.csv"))
    of_former_key = [each for each in reports.values() if touches(each, f"{KEY}1")]
    actions_of_it = [as_list(each["Action"]) for each in of_former_key]
    assert actions_of_it == ([["kms:Decrypt"]] if key else [])


@pytest.mark.parametrize(("one", "other"), [("dev", "prd"), ("prd", "prd2")])
def test_a_role_touches_its_own_environment_and_no_other(
    aws: LocalAws, new_stack: NewStack, one: str, other: str
) -> None:
    own, others = new_stack(one), new_stack(other)
    statements = [statement for policy in policies_of(aws, own).values() for statement in policy]

    def touched(arns: set[str]) -> set[str]:
        return {arn for arn in arns if any(touches(each, arn) for each in statements)}

    assert touched(resources_of(own)) == resources_of(own)
    assert touched(resources_of(others) | {KEY}) == set()
    name = own.outputs["ExecutionRoleArn"].rpartition("/")[2]
    role = aws.client("iam").get_role(RoleName=name)["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:airflow:{HERE}:environment/{own.name}"},
    }


def test_further_sources_and_lake_formation_are_granted_if_they_are_named(
    aws: LocalAws, new_stack: NewStack
) -> None:
    arns = [f"arn:aws:glue:{HERE}:database/raw", f"arn:aws:glue:{HERE}:table/raw/*"]
    stack = new_stack("dev", FurtherSourceArns=",".join(arns), UsesLakeFormation="true")
    statements = {each["Sid"]: each for each in policies_of(aws, stack)["ReportsPolicy"]}
    assert statements["FindFurtherSources"]["Resource"] == arns
    granted = statements["AthenaGetsGrantedData"]
    assert granted["Action"] == "lakeformation:GetDataAccess"
    assert granted["Condition"] == THROUGH_ATHENA


@pytest.mark.parametrize("key", ["", KEY])
def test_the_policies_for_another_role_grant_what_the_stack_grants(
    aws: LocalAws, new_stack: NewStack, key: str
) -> None:
    """They are filled in as docs/how-to/existing-environment.md does it."""
    stack = new_stack("dev", KmsKeyArn=key, SourceKmsKeyArn=key, FormerKmsKeyArns=key)
    results = stack.outputs["QueryResultsLocation"].removeprefix("s3://").rstrip("/")
    names = {
        "partition": "aws",
        "dns_suffix": "amazonaws.com",
        "region": REGION,
        "account": ACCOUNT,
        "environment": "dev",
        "workgroup": stack.outputs["Workgroup"],
        "source_database": "database_dev",
        "source_bucket": "my-company-lake-dev",
        "report_database": stack.outputs["ReportDatabase"],
        "report_bucket": stack.outputs["ReportBucket"],
        "query_results_bucket": results,
        "alert_topic": stack.outputs["AlertTopicArn"].rpartition(":")[2],
        **dict.fromkeys(("kms_key_arn", "former_kms_key_arn", "source_kms_key_arn"), key),
    }
    files = ["reports-policy.json"]
    if key:
        files.append("reports-policy-keys.json")
    filled = {}
    for file in files:
        text = Template(REPORTS_TEMPLATE.with_name(file).read_text()).substitute(names)
        filled |= {each["Sid"]: listed(each) for each in json.loads(text)["Statement"]}
    statements = policies_of(aws, stack)["ReportsPolicy"]
    assert {each["Sid"]: listed(each) for each in statements} == filled


def listed(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement whose actions and resources are lists, whatever one of them is written as."""
    lists = {name: sorted(as_list(statement[name])) for name in ("Action", "Resource")}
    return statement | lists


# --- The Amazon MWAA environment ------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", KEY])
def test_the_mwaa_environment_is_one_that_the_service_takes(new_stack: NewStack, key: str) -> None:
    stack = new_stack("dev", KmsKeyArn=key, **AIRFLOW)
    properties = Environment.properties
    service = botocore.session.get_session().get_service_model("mwaa")
    shape = service.operation_model("CreateEnvironment").input_shape
    assert ParamValidator().validate(properties, shape).generate_report() == ""
    assert properties["Name"] == stack.outputs["MwaaEnvironmentName"] == "athena-reports-dev"
    assert properties["SourceBucketArn"] == f"arn:aws:s3:::{stack.outputs['MwaaBucket']}"
    assert properties["PluginsS3ObjectVersion"] == "plugins"
    assert properties.get("KmsKey", "") == key
    assert properties["NetworkConfiguration"]["SubnetIds"] == ["subnet-1", "subnet-2"]
    # A task's log, and what pip printed, which docs/how-to/deploy.md looks for in the scheduler's.
    logging = properties["LoggingConfiguration"]
    read = {name for name, log in logging.items() if log["Enabled"] and log["LogLevel"] == "INFO"}
    assert read == {"SchedulerLogs", "TaskLogs"}
    # That class has one worker at most.
    assert "mw1.micro" not in TEMPLATE["Parameters"]["EnvironmentClass"]["AllowedValues"]


@pytest.mark.parametrize("missing", ["SubnetIds", "PluginsVersion"])
def test_there_is_no_environment_without_a_network_or_a_bundle(
    new_stack: NewStack, missing: str
) -> None:
    stack = new_stack("dev", **AIRFLOW | {missing: ""})
    assert not {"MwaaEnvironmentName", "WebserverUrl"} & stack.outputs.keys()
    assert Environment.properties == {}


def test_airflow_looks_for_secrets_where_the_role_may_read_them(
    aws: LocalAws, new_stack: NewStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = new_stack("dev", **AIRFLOW)
    options = Environment.properties["AirflowConfigurationOptions"]
    assert import_string(options["secrets.backend"]) is SecretsManagerBackend
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    secrets = aws.client("secretsmanager")
    made = {
        name: secrets.create_secret(Name=f"airflow/dev/{name}", SecretString="s3://")["ARN"]
        for name in ("connections/lake", "connections/aws_default", "variables/lake", "config/lake")
    }
    backend = SecretsManagerBackend(**json.loads(options["secrets.backend_kwargs"]))
    assert backend.get_conn_value("lake") == "s3://"
    assert backend.get_variable("lake") is None
    assert backend.get_conn_value("aws_default") is None  # MWAA has made it the role itself
    assert backend.get_config("lake") is None
    statements = policies_of(aws, stack)["ReportsPolicy"]
    readable = {name for name, arn in made.items() if any(touches(s, arn) for s in statements)}
    assert readable == {"connections/lake", "connections/aws_default"}


def test_the_page_on_configuration_shows_the_options_of_the_template() -> None:
    page = (ROOT / "docs" / "how-to" / "configure.md").read_text()
    shown = dict(re.findall(r"^(secrets\.\w+) +(\S.*)$", page, re.MULTILINE))
    backend = (shown["secrets.backend"], json.loads(shown["secrets.backend_kwargs"]))
    assert backend == secrets_backend("prd")


# --- What the template says of every resource of a kind -------------------------------------------


def of_type(*kinds: str) -> dict[str, Any]:
    """The resources of some kinds, by their names."""
    resources = TEMPLATE["Resources"]
    return {name: each for name, each in resources.items() if each["Type"] in kinds}


def test_what_holds_data_outlives_the_stack() -> None:
    holding = of_type("AWS::S3::Bucket", "AWS::Athena::WorkGroup", "AWS::Glue::Database")
    assert len(holding) > 3
    for name, each in holding.items():
        kept = (each["DeletionPolicy"], each["UpdateReplacePolicy"])
        assert kept == ("RetainExceptOnCreate", "Retain"), name


def test_buckets_are_closed_to_the_public_and_reached_by_tls_alone() -> None:
    buckets = of_type("AWS::S3::Bucket")
    blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    for each in buckets.values():
        properties = each["Properties"]
        assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(blocks, True)
        owned = properties["OwnershipControls"]["Rules"]
        assert owned == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    closed = set()
    for each in of_type("AWS::S3::BucketPolicy").values():
        for statement in each["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny" and statement["Action"] == "s3:*":
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                closed.add(each["Properties"]["Bucket"]["Ref"])
    assert closed == buckets.keys()


def test_alarms_reach_the_topic_also_if_airflow_reports_nothing() -> None:
    alarms = {name: each["Properties"] for name, each in of_type("AWS::CloudWatch::Alarm").items()}
    acting = {name: alarm for name, alarm in alarms.items() if "AlarmActions" in alarm}
    assert acting.keys() == {"SchedulerAlarm", "ScannedBytesAlarm"}
    assert all(alarm["AlarmActions"] == [{"Ref": "AlertTopic"}] for alarm in acting.values())
    assert alarms["SchedulerAlarm"]["TreatMissingData"] == "breaching"
    assert alarms["SchedulerAlarm"]["ComparisonOperator"] == "LessThanThreshold"
    assert alarms["ScannedBytesAlarm"]["Threshold"] == {"Ref": "ScanAlarmBytesPerDay"}
    (policy,) = of_type("AWS::SNS::TopicPolicy").values()
    allowing, _ = policy["Properties"]["PolicyDocument"]["Statement"]
    assert allowing["Principal"] == {"Service": "cloudwatch.amazonaws.com"}


def test_a_query_has_the_cutoff_of_the_parameter() -> None:
    (workgroup,) = of_type("AWS::Athena::WorkGroup").values()
    configuration = workgroup["Properties"]["WorkGroupConfiguration"]
    assert configuration["BytesScannedCutoffPerQuery"] == {"Ref": "ScanCutoffBytes"}
