"""The templates: clean, created in the local services, and no wider than they have to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import botocore.session
import pytest
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from botocore.validate import ParamValidator
from cfnlint.api import lint_file
from cfnlint.decode import decode
from moto.core.common_models import CloudFormationModel

from athena_reports.settings import ENVIRONMENT_NAME, read_settings
from local_aws import LocalAws
from tests.stacks import (
    REPORTS_TEMPLATE,
    STACK_FOLDER,
    Stack,
    create_stack,
    kept_parameters,
    secrets_backend,
)

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"

# What Amazon MWAA's user guide grants on every resource, because these actions know none.
ON_EVERY_RESOURCE = {"cloudwatch:PutMetricData", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock"}
# What it grants by a pattern, on the environment's own bucket and keys.
BY_PATTERN = {"s3:GetBucket*", "s3:GetObject*", "s3:List*", "kms:GenerateDataKey*"}
# AWS's limit for a managed policy, in characters that are no white space.
POLICY_CHARACTERS = 6144


AIRFLOW = {"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
AIRFLOW |= {f"{name}Version": f"version-of-{name.lower()}" for name in ("Plugins", "Requirements", "Startup")}


class Environment(CloudFormationModel):
    """An environment of Amazon MWAA, which moto has not: keeps what was asked for."""

    properties: ClassVar[dict[str, Any]] = {}
    physical_resource_id = "athena-reports-dev"

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
        environment = cls()
        environment.physical_resource_id = cls.properties["Name"]
        return environment


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


@pytest.fixture
def new_stack(aws: LocalAws) -> Callable[..., Stack]:
    """Creates stacks in an account that is empty before the first one."""
    aws.reset()
    Environment.properties = {}

    def create(environment: str = "dev", region: str = REGION, **parameters: str) -> Stack:
        return create_stack(aws.client("cloudformation", region), kept_parameters(environment) | parameters)

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
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        policy = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]
        document = policy["Document"]
        assert len(json.dumps(document, separators=(",", ":"))) <= POLICY_CHARACTERS
        found[attached["PolicyName"].split("-")[-2]] = document["Statement"]
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


def resources_of(aws: LocalAws, stack: Stack) -> set[str]:
    """ARNs of what belongs to an environment: made by the stack, lying in it, or going by its name."""
    environment = stack.outputs["Environment"]
    here = f"{REGION}:{ACCOUNT}"
    arns = {
        f"arn:aws:athena:{here}:workgroup/{stack.outputs['Workgroup']}",
        f"arn:aws:airflow:{here}:environment/{stack.name}",
        f"arn:aws:logs:{here}:log-group:airflow-{stack.name}-Task:log-stream:x",
        f"arn:aws:secretsmanager:{here}:secret:airflow/{environment}/connections/lake-AbCdEf",
    }
    for database in (stack.outputs["ReportDatabase"], stack.outputs["SourceDatabase"]):
        arns |= {f"arn:aws:glue:{here}:database/{database}", f"arn:aws:glue:{here}:table/{database}/plays"}
    made = aws.client("cloudformation").list_stack_resources(StackName=stack.name)["StackResourceSummaries"]
    buckets = [made["PhysicalResourceId"] for made in made if made["ResourceType"] == "AWS::S3::Bucket"]
    assert len(buckets) == 4
    for bucket in buckets:
        if "-logs-" in bucket:
            continue  # S3 writes it, and no role
        arns |= {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/user_ranking/weekly/latest.json"}
    lake = f"arn:aws:s3:::my-company-lake-{environment}"
    return arns | {lake, f"{lake}/plays/dt=2025-01-01/part-0.parquet"}


# --- The files -------------------------------------------------------------------------------------------


def test_the_template_has_no_error_and_no_warning() -> None:
    assert [f"{match.rule.id} {match.message}" for match in lint_file(REPORTS_TEMPLATE)] == []


def test_every_parameter_is_documented() -> None:
    text = (STACK_FOLDER.parents[1] / "docs" / "stack.md").read_text()
    table = text.partition("| parameter |")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1:2][0])]
    assert sorted(named) == sorted(decode(str(REPORTS_TEMPLATE))[0]["Parameters"])


def test_what_holds_data_outlives_its_stack_and_what_bills_does_not() -> None:
    policies: dict[str, set[tuple[str, str]]] = {}
    for resource in decode(str(REPORTS_TEMPLATE))[0]["Resources"].values():
        if "DeletionPolicy" in resource:
            policy = (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])
            policies.setdefault(resource["Type"], set()).add(policy)
    kept = {("RetainExceptOnCreate", "Retain")}
    assert policies == {
        "AWS::S3::Bucket": kept,
        "AWS::Athena::WorkGroup": kept,
        "AWS::Glue::Database": kept,
        "AWS::MWAA::Environment": {("Delete", "Delete")},
    }


# --- What is created -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "algorithm"), [("", "AES256"), (KEY, "aws:kms")])
def test_every_bucket_is_versioned_encrypted_and_closed(
    aws: LocalAws, new_stack: Callable[..., Stack], key: str, algorithm: str
) -> None:
    new_stack("dev", KmsKeyArn=key)
    s3 = aws.client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert len(buckets) == 4
    for bucket in buckets:
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        encryption = rule["ApplyServerSideEncryptionByDefault"]
        # S3 delivers no access logs to a bucket with a key.
        expected = ("AES256", "") if "-logs-" in bucket else (algorithm, key)
        assert (encryption["SSEAlgorithm"], encryption.get("KMSMasterKeyID", "")) == expected
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert len(block) == 4
        assert all(block.values())
        (owner,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert owner["ObjectOwnership"] == "BucketOwnerEnforced"


def test_every_bucket_takes_tls_only() -> None:
    """Read from the template: the local services have no TLS, so they leave policies of buckets out."""
    resources = decode(str(REPORTS_TEMPLATE))[0]["Resources"]
    buckets = [name for name, resource in resources.items() if resource["Type"] == "AWS::S3::Bucket"]
    policies = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::S3::BucketPolicy"]
    assert len(buckets) == 4
    assert sorted(policy["Bucket"]["Ref"] for policy in policies) == sorted(buckets)
    for policy in policies:
        bucket = policy["Bucket"]["Ref"]
        assert policy["PolicyDocument"]["Statement"][0] == {
            "Sid": "OnlyByTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }


def test_every_bucket_but_that_of_the_logs_has_its_accesses_logged() -> None:
    """Read from the template: the local services, which leave policies out, refuse such a destination."""
    resources = decode(str(REPORTS_TEMPLATE))[0]["Resources"]
    buckets = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::S3::Bucket"}
    del buckets["AccessLogsBucket"]
    logging = [properties["LoggingConfiguration"] for properties in buckets.values()]
    assert {each["DestinationBucketName"]["Ref"] for each in logging} == {"AccessLogsBucket"}
    assert len({each["LogFilePrefix"] for each in logging}) == len(buckets) == 3
    allowed = resources["AccessLogsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][1]
    assert allowed["Principal"] == {"Service": "logging.s3.amazonaws.com"}


def test_only_query_results_expire_by_themselves(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    outputs = new_stack("dev", QueryResultsDays="12", NoncurrentDays="45").outputs
    s3 = aws.client("s3")

    def rules_of(bucket: str) -> list[dict[str, Any]]:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert {rule["Status"] for rule in rules} == {"Enabled"}
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
        return list(rules)

    def days_of(rules: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
        current = [rule["Expiration"]["Days"] for rule in rules if "Days" in rule.get("Expiration", {})]
        earlier = [r["NoncurrentVersionExpiration"] for r in rules if "NoncurrentVersionExpiration" in r]
        return current, [int(each["NoncurrentDays"]) for each in earlier]

    results = outputs["QueryResultsLocation"].removeprefix("s3://").rstrip("/")
    assert days_of(rules_of(results)) == ([12], [1])
    assert days_of(rules_of(outputs["ReportBucket"])) == ([], [45])
    assert days_of(rules_of(outputs["MwaaBucket"])) == ([], [365])
    # An environment is pinned to versions, and a rollback needs the ones before; moto forgets their number.
    template, _ = decode(str(REPORTS_TEMPLATE))
    rules = template["Resources"]["MwaaBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (kept,) = (r["NoncurrentVersionExpiration"] for r in rules if "NoncurrentVersionExpiration" in r)
    assert kept["NewerNoncurrentVersions"] == 10


@pytest.mark.parametrize(
    ("key", "encryption"),
    [
        ("", {"EncryptionOption": "SSE_S3"}),
        (KEY, {"EncryptionOption": "SSE_KMS", "KmsKey": KEY}),
    ],
)
def test_the_workgroup_decides_for_its_queries(
    aws: LocalAws, new_stack: Callable[..., Stack], key: str, encryption: dict[str, str]
) -> None:
    stack = new_stack("prd", KmsKeyArn=key, ScanCutoffBytes="20000000")
    group = aws.client("athena").get_work_group(WorkGroup=stack.outputs["Workgroup"])["WorkGroup"]
    configuration = group["Configuration"]
    assert (group["Name"], group["State"]) == ("prd", "ENABLED")
    assert configuration["EnforceWorkGroupConfiguration"]
    assert configuration["PublishCloudWatchMetricsEnabled"]
    assert configuration["BytesScannedCutoffPerQuery"] == 20_000_000
    assert configuration["ResultConfiguration"] == {
        "OutputLocation": stack.outputs["QueryResultsLocation"],
        "ExpectedBucketOwner": ACCOUNT,
        "EncryptionConfiguration": encryption,
    }


def test_a_changed_parameter_changes_the_workgroup_in_place(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    stack = new_stack("dev")
    changed = kept_parameters("dev") | {"ScanCutoffBytes": "30000000"}
    aws.client("cloudformation").update_stack(
        StackName=stack.name,
        TemplateBody=REPORTS_TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in changed.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    group = aws.client("athena").get_work_group(WorkGroup="dev")["WorkGroup"]
    assert group["Configuration"]["BytesScannedCutoffPerQuery"] == 30_000_000
    assert group["Configuration"]["ResultConfiguration"]["OutputLocation"] == (stack.outputs["QueryResultsLocation"])


def test_the_source_database_is_created_on_demand_only(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    new_stack("dev")
    assert {database["Name"] for database in aws.client("glue").get_databases()["DatabaseList"]} == {"report_dev"}
    new_stack("stg", CreateSourceDatabase="true")
    new_stack("prd", CreateSourceDatabase="true", SourceDatabase="events")
    assert {database["Name"] for database in aws.client("glue").get_databases()["DatabaseList"]} == {
        *("report_dev", "report_stg", "report_prd", "database_stg", "events")
    }


def test_the_outputs_are_the_settings(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack("stg", SourceDatabase="events")
    # As away from a local endpoint, where buckets have no default; it refuses what is no setting.
    names = read_settings(stack.variables)
    assert names.environment == names.workgroup == "stg"
    assert (names.database, names.report_database) == ("events", "report_stg")
    assert names.report_bucket == f"athena-report-stg-{ACCOUNT}-{REGION}"
    assert names.query_results == f"s3://athena-query-result-stg-{ACCOUNT}-{REGION}/"
    assert names.bucket_owner == ACCOUNT


def test_an_environment_can_be_called_what_the_library_takes() -> None:
    parameter = decode(str(REPORTS_TEMPLATE))[0]["Parameters"]["Environment"]
    assert parameter["AllowedPattern"] == ENVIRONMENT_NAME


def test_the_longest_names_are_not_too_long(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack("a" * 15, region="ap-southeast-1")
    buckets = [stack.outputs[name] for name in ("ReportBucket", "MwaaBucket")]
    buckets.append(stack.outputs["QueryResultsLocation"].removeprefix("s3://").rstrip("/"))
    assert max(map(len, buckets)) == 63  # S3's limit


def test_alarms_reach_the_topic(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    stack = new_stack("prd", KmsKeyArn=KEY, AlertEmail="reports@example.com", ScanAlarmBytesPerDay="7", **AIRFLOW)
    topic = stack.outputs["AlertTopicArn"]
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {
        (alarm["Namespace"], alarm["MetricName"]): (
            {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]},
            alarm["Statistic"],
            alarm["Threshold"],
        )
        for alarm in alarms
    }
    assert watched == {
        ("AWS/SNS", "NumberOfMessagesPublished"): ({"TopicName": topic.rpartition(":")[2]}, "Sum", 0),
        ("AWS/Athena", "ProcessedBytes"): ({"WorkGroup": stack.outputs["Workgroup"]}, "Sum", 7),
        ("AmazonMWAA", "SchedulerHeartbeat"): (
            {"Environment": "athena-reports-prd", "Function": "Scheduler"},
            "Sum",
            1,
        ),
    }
    told = {alarm["MetricName"]: (alarm["AlarmActions"], alarm["TreatMissingData"]) for alarm in alarms}
    assert told == {
        # What it counts was published to the topic: to publish that again would never end.
        "NumberOfMessagesPublished": ([], "notBreaching"),
        "ProcessedBytes": ([topic], "notBreaching"),
        "SchedulerHeartbeat": ([topic], "breaching"),
    }

    sns = aws.client("sns")
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["KmsMasterKeyId"] == KEY
    allowed, denied = json.loads(attributes["Policy"])["Statement"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "reports@example.com")


# --- Permissions -----------------------------------------------------------------------------------------


KEYS: list[dict[str, str]] = [
    {},
    {"KmsKeyArn": KEY, "SourceKmsKeyArn": KEY, "FormerKmsKeyArns": f"{KEY}1,{KEY}2"},
]


@pytest.mark.parametrize("keys", KEYS, ids=["", "keys"])
def test_grants_are_narrow(aws: LocalAws, new_stack: Callable[..., Stack], keys: dict[str, str]) -> None:
    policies = policies_of(aws, new_stack("a" * 15, **keys))
    assert set(policies) == {"ReportsPolicy", "MwaaPolicy"}
    for policy, statements in policies.items():
        sids = [statement["Sid"] for statement in statements]
        assert len(set(sids)) == len(sids)
        for statement in (s for s in statements if s["Effect"] == "Allow"):
            actions = set(as_list(statement["Action"]))
            exceptions = BY_PATTERN if policy == "MwaaPolicy" else set()
            assert {action for action in actions if "*" in action} <= exceptions, statement
            if "NotResource" in statement:
                # The key of MWAA's own queue is in an account that nobody is told.
                assert (policy, statement["Sid"]) == ("MwaaPolicy", "EncryptQueue")
                (through,) = statement["Condition"]["StringLike"].values()
                assert through == f"sqs.{REGION}.amazonaws.com"
            elif "*" in as_list(statement["Resource"]):
                assert policy == "MwaaPolicy"
                assert actions <= ON_EVERY_RESOURCE, statement


@pytest.mark.parametrize("keys", KEYS, ids=["", "keys"])
def test_what_only_athena_does_is_allowed_through_athena_only(
    aws: LocalAws, new_stack: Callable[..., Stack], keys: dict[str, str]
) -> None:
    statements = policies_of(aws, new_stack("dev", **keys))["ReportsPolicy"]
    through, by_s3 = (
        {statement["Sid"] for statement in statements if statement.get("Condition") == condition}
        for condition in (
            {"ForAnyValue:StringEquals": {"aws:CalledVia": "athena.amazonaws.com"}},
            {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}},
        )
    )
    conditional = {statement["Sid"] for statement in statements if "Condition" in statement}
    of_keys = {s["Sid"] for s in statements if any(a.startswith("kms:") for a in as_list(s["Action"]))}
    assert through == {s["Sid"] for s in statements if s["Sid"].startswith("Athena")} == conditional - of_keys
    assert by_s3 == of_keys - {"EncryptAlerts"}
    assert bool(of_keys) is ("KmsKeyArn" in keys)
    # Nobody but Athena reads the source data, and nobody but Athena writes query results.
    results = f"arn:aws:s3:::athena-query-result-dev-{ACCOUNT}-{REGION}/x.csv"
    for statement in statements:
        if touches(statement, "arn:aws:s3:::my-company-lake-dev/plays/x.parquet"):
            assert statement["Sid"] in through
        if touches(statement, results) and "s3:PutObject" in statement["Action"]:
            assert statement["Sid"] in through


@pytest.mark.parametrize("key", ["", KEY])
def test_reports_publish_alerts_to_one_topic(aws: LocalAws, new_stack: Callable[..., Stack], key: str) -> None:
    stack = new_stack("dev", KmsKeyArn=key)
    statements = policies_of(aws, stack)["ReportsPolicy"]
    found = {s["Sid"]: s for s in statements if s["Sid"].endswith("Alerts")}
    assert set(found) == ({"PublishAlerts", "EncryptAlerts"} if key else {"PublishAlerts"})
    assert as_list(found["PublishAlerts"]["Resource"]) == [stack.outputs["AlertTopicArn"]]
    if key:
        through = {"StringEquals": {"kms:ViaService": f"sns.{REGION}.amazonaws.com"}}
        assert (found["EncryptAlerts"]["Resource"], found["EncryptAlerts"]["Condition"]) == (KEY, through)


def test_a_former_key_may_only_decrypt(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    former = [f"{KEY}1", f"{KEY}2"]
    stack = new_stack("dev", KmsKeyArn=KEY, FormerKmsKeyArns=",".join(former))
    statements = [statement for policy in policies_of(aws, stack).values() for statement in policy]
    for key in former:
        assert [as_list(s["Action"]) for s in statements if touches(s, key)] == [["kms:Decrypt"]]


@pytest.mark.parametrize(("one", "other"), [("dev", "prd"), ("prd", "dev"), ("prd", "prd2")])
def test_a_role_touches_its_own_environment_and_no_other(
    aws: LocalAws, new_stack: Callable[..., Stack], one: str, other: str
) -> None:
    def with_lake(environment: str) -> Stack:
        lake = f"arn:aws:s3:::my-company-lake-{environment}"
        return new_stack(environment, SourceDataArns=f"{lake},{lake}/*")

    own, others = with_lake(one), with_lake(other)
    statements = [statement for policy in policies_of(aws, own).values() for statement in policy]
    untouched = {arn for arn in resources_of(aws, own) if not any(touches(s, arn) for s in statements)}
    assert untouched == set()
    touched = {arn for arn in resources_of(aws, others) if any(touches(s, arn) for s in statements)}
    assert touched == set()
    # Nor any key of the account, as none was given.
    assert not any(touches(statement, KEY) for statement in statements)


def test_only_the_environment_itself_assumes_the_role(aws: LocalAws, new_stack: Callable[..., Stack]) -> None:
    stack = new_stack("dev")
    role = stack.outputs["ExecutionRoleArn"].rpartition("/")[2]
    (trust,) = aws.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]}
    environment = f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{stack.name}"
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": environment},
    }


# --- The Amazon MWAA environment -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", KEY])
def test_the_mwaa_environment_is_one_that_the_service_takes(new_stack: Callable[..., Stack], key: str) -> None:
    stack = new_stack("dev", KmsKeyArn=key, **AIRFLOW)
    properties = Environment.properties
    service = botocore.session.get_session().get_service_model("mwaa")
    report = ParamValidator().validate(properties, service.operation_model("CreateEnvironment").input_shape)
    assert report.generate_report() == ""
    assert properties["Name"] == stack.outputs["MwaaEnvironmentName"] == "athena-reports-dev"
    assert properties["SourceBucketArn"] == f"arn:aws:s3:::{stack.outputs['MwaaBucket']}"
    assert properties["PluginsS3ObjectVersion"] == "version-of-plugins"
    assert properties.get("KmsKey", "") == key
    assert len(properties["NetworkConfiguration"]["SubnetIds"]) == 2


@pytest.mark.parametrize("missing", ["SubnetIds", "PluginsVersion"])
def test_there_is_no_environment_without_a_network_or_a_bundle(new_stack: Callable[..., Stack], missing: str) -> None:
    stack = new_stack("dev", **AIRFLOW | {missing: ""})
    assert not {"MwaaEnvironmentName", "WebserverUrl"} & stack.outputs.keys()
    assert Environment.properties == {}


def test_the_logs_that_are_to_be_read_are_written(new_stack: Callable[..., Stack]) -> None:
    """A task's own, and what pip said, which docs/deploying.md leads to in the scheduler's group."""
    new_stack("dev", **AIRFLOW)
    logging = Environment.properties["LoggingConfiguration"]
    read = {name for name, log in logging.items() if log["Enabled"] and log["LogLevel"] == "INFO"}
    assert read == {"SchedulerLogs", "TaskLogs"}


def test_every_size_that_is_offered_takes_more_than_one_worker() -> None:
    parameters = decode(str(REPORTS_TEMPLATE))[0]["Parameters"]
    assert parameters["MaxWorkers"]["Default"] > 1
    sizes = parameters["EnvironmentClass"]["AllowedValues"]
    assert parameters["EnvironmentClass"]["Default"] in sizes
    assert "mw1.micro" not in sizes  # all in one container, and MaxWorkers has to be 1


def test_airflow_looks_for_secrets_where_the_role_may_read_them(
    aws: LocalAws, new_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = new_stack("dev", **AIRFLOW)
    options = Environment.properties["AirflowConfigurationOptions"]
    assert options["secrets.backend"] == (f"{SecretsManagerBackend.__module__}.{SecretsManagerBackend.__qualname__}")
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


def test_the_settings_page_shows_the_options_of_the_template() -> None:
    text = (STACK_FOLDER.parents[1] / "docs" / "settings.md").read_text()
    shown = dict(re.findall(r"^(secrets\.\w+) +(\S.*)$", text, re.MULTILINE))
    assert (shown["secrets.backend"], json.loads(shown["secrets.backend_kwargs"])) == secrets_backend("prd")
