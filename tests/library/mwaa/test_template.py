"""What the template of the stack promises, property by property.

The sources are the pages of the documentation and AWS's user guides, as each test says. A property
that only AWS could miss, such as the order of creation, is read from the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from string import Template
from typing import Any

import pytest

from athena_reports.mwaa.store import PINNED
from local_athena import LocalAws
from tests.library.mwaa.repository import ACCOUNT, REGION
from tests.library.mwaa.template import (
    AIRFLOW,
    KEY,
    RESOURCES,
    TEMPLATE,
    Environment,
    as_list,
    of_type,
    policies_of,
)
from tests.support.stacks import REPORTS_TEMPLATE, Stack

PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
# "Amazon MWAA execution role" in the user guide of Amazon MWAA: its example policy, and that of an
# environment with a key of one's own. Each action with the resource that it is granted on.
USER_GUIDE = {
    "airflow:PublishMetrics": "arn:aws:airflow:{here}:environment/{name}",
    **dict.fromkeys(("s3:GetObject*", "s3:GetBucket*", "s3:List*"), "{bucket} {bucket}/*"),
    **dict.fromkeys(
        (
            *("logs:CreateLogStream", "logs:CreateLogGroup", "logs:PutLogEvents"),
            *("logs:GetLogEvents", "logs:GetLogRecord", "logs:GetLogGroupFields"),
            "logs:GetQueryResults",
        ),
        "arn:aws:logs:{here}:log-group:airflow-{name}-*",
    ),
    "logs:DescribeLogGroups": "*",
    "s3:GetAccountPublicAccessBlock": "*",
    "cloudwatch:PutMetricData": "*",
    **dict.fromkeys(
        (
            *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage"),
        ),
        "arn:aws:sqs:{region}:*:airflow-celery-*",
    ),
}
KMS_ACTIONS = {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:Encrypt"}


# --- Buckets


def test_each_bucket_is_closed_to_the_public_and_belongs_to_the_account() -> None:
    for name, bucket in of_type("AWS::S3::Bucket").items():
        assert bucket["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, name
        assert bucket["OwnershipControls"] == {
            "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
        }
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_a_bucket_with_a_key_asks_kms_once_for_many_objects() -> None:
    """Amazon S3 Bucket Keys; the logs are delivered to no bucket with a key."""
    for name, bucket in of_type("AWS::S3::Bucket").items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        without_key = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        if name == "AccessLogsBucket":
            assert rule == without_key
            continue
        with_key = {
            "ServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": {"Ref": "KmsKeyArn"},
            },
            "BucketKeyEnabled": True,
        }
        assert rule == {"Fn::If": ["HasKey", with_key, without_key]}, name


def test_what_is_left_of_uploads_and_deletions_goes_from_each_bucket() -> None:
    """Nothing of them is seen in a listing, and all of it is paid."""
    for name, bucket in of_type("AWS::S3::Bucket").items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert {rule["Status"] for rule in rules} == {"Enabled"}, name
        uploads = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
        assert [rule["AbortIncompleteMultipartUpload"] for rule in uploads] == [
            {"DaysAfterInitiation": 7}
        ]
        markers = [rule for rule in rules if rule.get("ExpiredObjectDeleteMarker")]
        assert len(markers) == 1, name
        earlier = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
        assert len(earlier) == 1, name
        # A rule with a prefix leaves the other objects out.
        assert all("Prefix" not in rule for rule in (*uploads, *markers, *earlier)), name


def test_a_rollback_finds_ten_earlier_versions_of_what_an_environment_pins() -> None:
    rules = RESOURCES["MwaaBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expirations = [rule.get("NoncurrentVersionExpiration") for rule in rules]
    assert {"NoncurrentDays": 365, "NewerNoncurrentVersions": 10} in expirations


def test_s3_may_deliver_the_access_logs_of_this_account() -> None:
    """ "Enabling Amazon S3 server access logging" in the user guide of Amazon S3."""
    policy = RESOURCES["AccessLogsBucketPolicy"]["Properties"]
    _, delivery = policy["PolicyDocument"]["Statement"]
    del delivery["Sid"]
    assert delivery == {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": {"Fn::Sub": "${AccessLogsBucket.Arn}/*"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }


# --- Queries and tables


def test_no_query_leaves_what_the_workgroup_says() -> None:
    workgroup = RESOURCES["Workgroup"]["Properties"]
    assert (workgroup["Name"], workgroup["State"]) == ({"Ref": "Environment"}, "ENABLED")
    configuration = dict(workgroup["WorkGroupConfiguration"])
    del configuration["ResultConfiguration"]  # seen on the workgroup that is created
    assert configuration == {
        "EnforceWorkGroupConfiguration": True,
        "PublishCloudWatchMetricsEnabled": True,  # the alarm on scanned bytes needs them
        "BytesScannedCutoffPerQuery": {"Ref": "ScanCutoffBytes"},
        "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
    }


@pytest.mark.parametrize("named", ["", "events"])
def test_a_source_database_is_created_on_demand_alone_and_under_its_name(
    aws: LocalAws, new_stack: Callable[..., Stack], named: str
) -> None:
    glue = aws.client("glue")
    new_stack(SourceDatabase=named)
    assert [database["Name"] for database in glue.get_databases()["DatabaseList"]] == ["report_dev"]
    stack = new_stack("stg", SourceDatabase=named, CreateSourceDatabase="true")
    name = named or "database_stg"
    assert stack.outputs["SourceDatabase"] == name
    assert glue.get_database(Name=name)["Database"]["Name"] == name


# --- Permissions


def test_policies_are_of_the_version_that_knows_variables() -> None:
    """Without a version, a policy is of 2008 ("IAM JSON policy elements: Version")."""
    documents = []
    for resource in RESOURCES.values():
        properties = resource["Properties"]
        documents += [value for name, value in properties.items() if name.endswith("Document")]
    assert len(documents) == 8
    assert {document.get("Version") for document in documents} == {"2012-10-17"}


@pytest.mark.parametrize("key", ["", KEY])
def test_the_role_has_what_the_user_guide_of_mwaa_gives_it_and_no_more(
    aws: LocalAws, new_stack: Callable[..., Stack], key: str
) -> None:
    stack = new_stack("stg", KmsKeyArn=key)
    names = {
        "here": f"{REGION}:{ACCOUNT}",
        "region": REGION,
        "name": "athena-reports-stg",
        "bucket": f"arn:aws:s3:::{stack.outputs['MwaaBucket']}",
    }
    expected = {action: place.format(**names) for action, place in USER_GUIDE.items()}
    granted = {}
    of_keys = []
    for statement in policies_of(aws, stack)["MwaaPolicy"]:
        actions = as_list(statement["Action"])
        if statement["Effect"] == "Deny":
            assert (actions, statement["Resource"]) == (["s3:ListAllMyBuckets"], "*")
        elif actions[0].startswith("kms:"):
            of_keys.append(statement)
        else:
            assert "Condition" not in statement
            granted |= dict.fromkeys(actions, " ".join(as_list(statement["Resource"])))
    assert granted == expected
    assert all(set(statement["Action"]) == KMS_ACTIONS for statement in of_keys)
    services = {
        statement.get("Resource", ""): statement["Condition"]["StringLike"]["kms:ViaService"]
        for statement in of_keys
    }
    through_sqs = f"sqs.{REGION}.amazonaws.com"
    own = {key: [f"s3.{REGION}.amazonaws.com", through_sqs]} if key else {}
    assert services == own | {"": through_sqs}
    (queue,) = (statement for statement in of_keys if "NotResource" in statement)
    assert queue["NotResource"] == f"arn:aws:kms:*:{ACCOUNT}:key/*"


def test_the_policies_for_another_role_grant_what_the_stack_grants(
    aws: LocalAws, new_stack: Callable[..., Stack]
) -> None:
    """They are filled in as docs/how-to/existing-environment.md does it."""
    key, former, source = (f"{KEY[:-1]}{number}" for number in range(3))
    keys = {"KmsKeyArn": key, "FormerKmsKeyArns": former, "SourceKmsKeyArn": source}
    stack = new_stack("stg", **keys)
    names = {
        "partition": "aws",
        "region": REGION,
        "account": ACCOUNT,
        "environment": "stg",
        "workgroup": stack.outputs["Workgroup"],
        "source_database": stack.outputs["SourceDatabase"],
        "report_database": stack.outputs["ReportDatabase"],
        "source_bucket": "my-company-lake-stg",
        "report_bucket": stack.outputs["ReportBucket"],
        "query_results_bucket": stack.outputs["QueryResultsLocation"][len("s3://") :].rstrip("/"),
        "alert_topic": stack.outputs["AlertTopicArn"].rpartition(":")[2],
        "kms_key_arn": key,
        "former_kms_key_arn": former,
        "source_kms_key_arn": source,
    }
    filled = {}
    for file in ("reports-policy.json", "reports-policy-keys.json"):
        text = REPORTS_TEMPLATE.with_name(file).read_text()
        policy = json.loads(Template(text).substitute(names))
        assert policy["Version"] == "2012-10-17"
        filled |= {statement["Sid"]: listed(statement) for statement in policy["Statement"]}
    granted = {}
    for statement in policies_of(aws, stack)["ReportsPolicy"]:
        granted[statement["Sid"]] = listed(statement)
    assert granted == filled


def listed(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement whose actions and resources are lists, whatever one of them is written as."""
    lists = {name: sorted(as_list(statement[name])) for name in ("Action", "Resource")}
    return statement | lists


def test_only_mwaa_takes_the_role() -> None:
    role = RESOURCES["ExecutionRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Effect"], trust["Action"]) == ("Allow", "sts:AssumeRole")
    assert "ManagedPolicyArns" not in role


# --- Alerts


@pytest.mark.parametrize("key", ["", KEY])
def test_alarms_of_the_account_may_publish_to_the_topic_and_only_by_tls(
    aws: LocalAws, new_stack: Callable[..., Stack], key: str
) -> None:
    """With the key of AWS for SNS, no alarm could be published."""
    stack = new_stack("prd", KmsKeyArn=key)
    attributes = aws.client("sns").get_topic_attributes(TopicArn=stack.outputs["AlertTopicArn"])
    assert attributes["Attributes"].get("KmsMasterKeyId", "") == key
    topic = RESOURCES["AlertTopicPolicy"]["Properties"]
    assert topic["Topics"] == [{"Ref": "AlertTopic"}]
    statements = topic["PolicyDocument"]["Statement"]
    publishes = {"Action": "sns:Publish", "Resource": {"Ref": "AlertTopic"}}
    assert statements == [
        {
            "Sid": "AlarmsOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
            **publishes,
        },
        {
            "Sid": "OnlyByTls",
            "Effect": "Deny",
            "Principal": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            **publishes,
        },
    ]


def test_alarms_are_raised_by_too_much_and_by_too_few_heartbeats(
    aws: LocalAws, new_stack: Callable[..., Stack]
) -> None:
    new_stack("prd", **AIRFLOW)
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {a["MetricName"]: (a["Statistic"], a["ComparisonOperator"]) for a in alarms} == {
        "NumberOfMessagesPublished": ("Sum", "GreaterThanThreshold"),
        "ProcessedBytes": ("Sum", "GreaterThanThreshold"),
        "SchedulerHeartbeat": ("Sum", "LessThanThreshold"),
    }


# --- The Amazon MWAA environment


def test_the_environment_is_what_the_parameters_and_the_bundle_say(
    aws: LocalAws, new_stack: Callable[..., Stack]
) -> None:
    asked = {
        "MwaaEnvironmentName": "team",
        "AirflowVersion": "3.2.1",
        "EnvironmentClass": "mw1.large",
        "MinWorkers": "3",
        "MaxWorkers": "7",
        "WebserverAccessMode": "PUBLIC_ONLY",
        "MaintenanceStart": "SAT:03:30",
        "SecurityGroupIds": "sg-1,sg-2",
    }
    stack = new_stack("dev", KmsKeyArn=KEY, **AIRFLOW | asked)
    properties = dict(Environment.properties)
    del properties["AirflowConfigurationOptions"]  # a test of the secrets reads them
    logs = properties.pop("LoggingConfiguration")
    assert properties == {
        "Name": "team",
        "AirflowVersion": "3.2.1",
        "EnvironmentClass": "mw1.large",
        "MinWorkers": 3,
        "MaxWorkers": 7,
        "ExecutionRoleArn": stack.outputs["ExecutionRoleArn"],
        "SourceBucketArn": f"arn:aws:s3:::{stack.outputs['MwaaBucket']}",
        "DagS3Path": "dags",
        "PluginsS3Path": "plugins.zip",
        "PluginsS3ObjectVersion": "version-of-plugins",
        "RequirementsS3Path": "requirements.txt",
        "RequirementsS3ObjectVersion": "version-of-requirements",
        "StartupScriptS3Path": "startup.sh",
        "StartupScriptS3ObjectVersion": "version-of-startup",
        "KmsKey": KEY,
        "NetworkConfiguration": {
            "SubnetIds": ["subnet-1", "subnet-2"],
            "SecurityGroupIds": ["sg-1", "sg-2"],
        },
        "WebserverAccessMode": "PUBLIC_ONLY",
        "WeeklyMaintenanceWindowStart": "SAT:03:30",
    }
    # The deployment uploads them to these keys, and gives these parameters their versions.
    pinned = {
        properties[f"{part}S3Path"]: RESOURCES["Airflow"]["Properties"][f"{part}S3ObjectVersion"]
        for part in ("Plugins", "Requirements", "StartupScript")
    }
    assert pinned == {path: {"Ref": parameter} for path, parameter in PINNED.items()}
    assert {name: (log["Enabled"], log["LogLevel"]) for name, log in logs.items()} == {
        "DagProcessingLogs": (True, "WARNING"),
        "SchedulerLogs": (True, "INFO"),
        "TaskLogs": (True, "INFO"),
        "WebserverLogs": (True, "WARNING"),
        "WorkerLogs": (True, "WARNING"),
    }
    assert stack.outputs["WebserverUrl"] == "https://airflow.example.com"
    assert set(RESOURCES["Airflow"]["DependsOn"]) == {
        "MwaaPolicy",
        "ReportsPolicy",
        "MwaaBucketPolicy",
    }


def test_what_the_parameters_do_not_ask_for_is_not_created(
    aws: LocalAws, new_stack: Callable[..., Stack]
) -> None:
    def created(stack: Stack) -> set[str]:
        resources = aws.client("cloudformation").describe_stack_resources(StackName=stack.name)
        # The local services leave the policies of buckets out.
        return {
            resource["LogicalResourceId"]
            for resource in resources["StackResources"]
            if "LogicalResourceId" in resource
        }

    always = set()
    for name, resource in RESOURCES.items():
        if resource["Type"] != "AWS::S3::BucketPolicy":
            always.add(name)
    on_demand = {"Airflow", "SchedulerAlarm", "AlertSubscription", "CreatedSourceDatabase"}
    assert (
        created(new_stack(CreateSourceDatabase="true", AlertEmail="a@example.com", **AIRFLOW))
        == always
    )
    assert created(new_stack("stg")) == always - on_demand
    # As before the first bundle is there.
    network = new_stack("qa", SubnetIds=AIRFLOW["SubnetIds"])
    assert created(network) == always - on_demand


# --- Parameters


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [
        ("Environment", ["dev", "a" * 15, "s2"], ["", "Dev", "2s", "a" * 16, "a-b"]),
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
    pattern = PARAMETERS[parameter]["AllowedPattern"]
    assert [value for value in taken if not re.fullmatch(pattern, value)] == []
    assert [value for value in refused if re.fullmatch(pattern, value)] == []


def test_numbers_and_choices_of_parameters_have_the_limits_of_aws() -> None:
    least = {name: each["MinValue"] for name, each in PARAMETERS.items() if "MinValue" in each}
    # 10 MB is Athena's least cutoff (CreateWorkGroup in its API reference).
    of_one = ("QueryResultsDays", "NoncurrentDays", "MinWorkers", "MaxWorkers")
    assert least == dict.fromkeys((*of_one, "ScanAlarmBytesPerDay"), 1) | {
        "ScanCutoffBytes": 10_000_000
    }
    defaults = {name: PARAMETERS[name]["Default"] for name in least}
    assert all(defaults[name] >= least[name] for name in least)
    assert defaults["MinWorkers"] <= defaults["MaxWorkers"]
    choices = {name: p["AllowedValues"] for name, p in PARAMETERS.items() if "AllowedValues" in p}
    sizes = ("small", "medium", "large", "xlarge", "2xlarge")
    assert choices == {
        "CreateSourceDatabase": ["true", "false"],
        "EnvironmentClass": [f"mw1.{size}" for size in sizes],
        "WebserverAccessMode": ["PRIVATE_ONLY", "PUBLIC_ONLY"],
    }


def test_each_parameter_has_an_effect() -> None:
    rest = str({name: part for name, part in TEMPLATE.items() if name != "Parameters"})
    assert [name for name in PARAMETERS if not re.search(rf"\b{name}\b", rest)] == []
