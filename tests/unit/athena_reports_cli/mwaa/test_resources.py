"""Each resource of the stack, whole: what it is for says which properties it has, and no others.

The statements of the two policies of the execution role have tests of their own: test_template.py
holds them against reports-policy.json and the user guide of Amazon MWAA.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from athena_reports_cli.mwaa.store import PINNED
from tests.unit.athena_reports_cli.mwaa.template import (
    ALL,
    LEAST,
    NETWORK,
    TEMPLATE,
    THERE,
    rendered_outputs,
    rendered_resources,
)

Resource = dict[str, Any]
ACCOUNT = THERE["AWS::AccountId"]
REGION = THERE["AWS::Region"]

# What a parameter is if nobody gives it; None for what has to be given.
DEFAULTS: dict[str, str | None] = {
    "Environment": None,
    "SourceDatabase": "",
    "CreateSourceDatabase": "false",
    "SourceDataArns": None,
    "SourceKmsKeyArn": "",
    "KmsKeyArn": "",
    "FormerKmsKeyArns": "",
    "MwaaEnvironmentName": "",
    "QueryResultsDays": "30",
    "NoncurrentDays": "30",
    "ScanCutoffBytes": "1000000000000",
    "AlertEmail": "",
    "ScanAlarmBytesPerDay": "1000000000000",
    "SubnetIds": "",
    "SecurityGroupIds": "",
    "PluginsVersion": "",
    "RequirementsVersion": "",
    "StartupVersion": "",
    "AirflowVersion": "3.3.1",
    "EnvironmentClass": "mw1.small",
    "MinWorkers": "1",
    "MaxWorkers": "2",
    "WebserverAccessMode": "PRIVATE_ONLY",
    "MaintenanceStart": "WED:12:00",
}
# Data, and what cannot be created again under its name, stays when the stack or the resource goes.
STAYS = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
POLICY_VERSION = "2012-10-17"
BROKEN_UPLOADS_GO = {
    "Id": "uploads-that-broke-off",
    "Status": "Enabled",
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}
DELETE_MARKERS_GO = {
    "Id": "delete-markers",
    "Status": "Enabled",
    "ExpiredObjectDeleteMarker": True,
}


def expected_resources(given: dict[str, Any]) -> dict[str, Resource]:
    """What is created; `given` has a value for each parameter."""
    return {
        **buckets(given),
        **bucket_policies(),
        **queries_and_tables(given),
        **permissions(given),
        **alerts(given),
        **airflow(given),
    }


# --- Buckets


def buckets(given: dict[str, Any]) -> dict[str, Resource]:
    return {
        # No rule expires a current object of a report; below _alerts/ is who was told of what.
        "ReportBucket": bucket(
            "athena-report",
            given,
            rules=[
                {
                    "Id": "records-of-alerts",
                    "Status": "Enabled",
                    "Prefix": "_alerts/",
                    "ExpirationInDays": 90,
                },
                {
                    "Id": "replaced-and-deleted-objects",
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {"NoncurrentDays": int(given["NoncurrentDays"])},
                    "ExpiredObjectDeleteMarker": True,
                },
            ],
            key=given["KmsKeyArn"],
            logs_below="reports/",
        ),
        "QueryResultsBucket": bucket(
            "athena-query-result",
            given,
            rules=[
                {
                    "Id": "query-results",
                    "Status": "Enabled",
                    "ExpirationInDays": int(given["QueryResultsDays"]),
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                },
                DELETE_MARKERS_GO,
            ],
            key=given["KmsKeyArn"],
            logs_below="query-results/",
        ),
        # An environment pins versions of files, and a rollback needs earlier ones.
        "MwaaBucket": bucket(
            "athena-reports-mwaa",
            given,
            rules=[
                {
                    "Id": "replaced-and-deleted-objects",
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {
                        "NoncurrentDays": 365,
                        "NewerNoncurrentVersions": 10,
                    },
                    "ExpiredObjectDeleteMarker": True,
                },
            ],
            key=given["KmsKeyArn"],
            logs_below="mwaa/",
        ),
        # S3 delivers logs to no bucket with a key, and one that logs itself never ends.
        "AccessLogsBucket": bucket(
            "athena-report-logs",
            given,
            rules=[
                {
                    "Id": "access-logs",
                    "Status": "Enabled",
                    "ExpirationInDays": 90,
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                },
                DELETE_MARKERS_GO,
            ],
            key="",
            logs_below=None,
        ),
    }


def bucket(
    name: str, given: dict[str, Any], *, rules: list[Any], key: str, logs_below: str | None
) -> Resource:
    """A bucket that is closed to the public, and whose objects all belong to the account."""
    encryption: dict[str, Any] = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    if key:
        encryption = {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
            "BucketKeyEnabled": True,  # one call of KMS for many objects
        }
    properties = {
        "BucketName": f"{name}-{given['Environment']}-{ACCOUNT}-{REGION}",
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        # Nothing of an unfinished upload is seen in a listing, and all of it is paid.
        "LifecycleConfiguration": {"Rules": [*rules, BROKEN_UPLOADS_GO]},
    }
    if logs_below is not None:
        properties["LoggingConfiguration"] = {
            "DestinationBucketName": "{AccessLogsBucket}",
            "LogFilePrefix": logs_below,
        }
    return {"Type": "AWS::S3::Bucket", **STAYS, "Properties": properties}


def bucket_policies() -> dict[str, Resource]:
    # "Enabling Amazon S3 server access logging" in the user guide of Amazon S3.
    delivery = {
        "Sid": "DeliverAccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws-cn:s3:::{AccessLogsBucket}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    policies = {}
    for name in ("ReportBucket", "QueryResultsBucket", "MwaaBucket", "AccessLogsBucket"):
        only_by_tls = {
            "Sid": "OnlyByTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws-cn:s3:::{{{name}}}", f"arn:aws-cn:s3:::{{{name}}}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        statements = [only_by_tls]
        if name == "AccessLogsBucket":
            statements.append(delivery)
        policies[f"{name}Policy"] = {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": f"{{{name}}}", "PolicyDocument": document(*statements)},
        }
    return policies


def document(*statements: Resource) -> dict[str, Any]:
    """A policy; without a version it is one of 2008, which knows no variables."""
    return {"Version": POLICY_VERSION, "Statement": list(statements)}


# --- Queries and tables


def queries_and_tables(given: dict[str, Any]) -> dict[str, Resource]:
    encryption = {"EncryptionOption": "SSE_S3"}
    if given["KmsKeyArn"]:
        encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": given["KmsKeyArn"]}
    resources = {
        "Workgroup": {
            "Type": "AWS::Athena::WorkGroup",
            **STAYS,
            "Properties": {
                "Name": given["Environment"],
                "Description": "Queries of the Athena reports.",
                "State": "ENABLED",
                "WorkGroupConfiguration": {
                    # Nothing that a query asks for takes the place of what is here.
                    "EnforceWorkGroupConfiguration": True,
                    # The alarm on scanned bytes needs them.
                    "PublishCloudWatchMetricsEnabled": True,
                    "BytesScannedCutoffPerQuery": int(given["ScanCutoffBytes"]),
                    "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                    "ResultConfiguration": {
                        "OutputLocation": "s3://{QueryResultsBucket}/",
                        "ExpectedBucketOwner": ACCOUNT,
                        "EncryptionConfiguration": encryption,
                    },
                },
            },
        },
        "ReportDatabase": database(
            f"report_{given['Environment']}",
            "Published reports, a table for each report and cadence.",
        ),
    }
    if given["CreateSourceDatabase"] == "true":
        resources["CreatedSourceDatabase"] = database(
            source_database(given), "What the reports are made of."
        ) | {"Condition": "CreatesSourceDatabase"}
    return resources


def database(name: str, description: str) -> Resource:
    return {
        "Type": "AWS::Glue::Database",
        **STAYS,
        "Properties": {
            "CatalogId": ACCOUNT,
            "DatabaseInput": {"Name": name, "Description": description},
        },
    }


def source_database(given: dict[str, Any]) -> str:
    return str(given["SourceDatabase"] or f"database_{given['Environment']}")


# --- Permissions


def permissions(given: dict[str, Any]) -> dict[str, Resource]:
    arn = f"arn:aws-cn:airflow:{REGION}:{ACCOUNT}:environment/{environment_name(given)}"
    # Amazon MWAA of this account takes it, for this environment.
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"aws:SourceArn": arn},
        },
    }
    environment = given["Environment"]
    return {
        # What it may do is in the two policies alone.
        "ExecutionRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Description": (
                    "What tasks and the other components of the Amazon MWAA environment run as."
                ),
                "AssumeRolePolicyDocument": document(trust),
            },
        },
        "ReportsPolicy": policy_of_role(f"What the Athena reports of {environment} do."),
        "MwaaPolicy": policy_of_role(
            f"What the Amazon MWAA environment of {environment} does to run Airflow."
        ),
    }


def policy_of_role(description: str) -> Resource:
    """A policy without its statements. It has no name, so that each stack has one of its own."""
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "Description": description,
            "Roles": ["{ExecutionRole}"],
            "PolicyDocument": document(),
        },
    }


def environment_name(given: dict[str, Any]) -> str:
    return str(given["MwaaEnvironmentName"] or f"athena-reports-{given['Environment']}")


# --- Alerts


def alerts(given: dict[str, Any]) -> dict[str, Resource]:
    topic: dict[str, Any] = {"DisplayName": f"Athena reports {given['Environment']}"}
    if given["KmsKeyArn"]:  # with the key of AWS for SNS, no alarm could be published
        topic["KmsMasterKeyId"] = given["KmsKeyArn"]
    resources = {
        "AlertTopic": {"Type": "AWS::SNS::Topic", "Properties": topic},
        "AlertTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": ["{AlertTopic}"],
                "PolicyDocument": document(
                    {
                        "Sid": "AlarmsOfThisAccount",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": "{AlertTopic}",
                        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
                    },
                    {
                        "Sid": "OnlyByTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sns:Publish",
                        "Resource": "{AlertTopic}",
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ),
            },
        },
        # What it counts was published to the topic: to publish that again would never end.
        "LateOrFailedAlarm": alarm(
            f"A report of {given['Environment']} is late or has failed, or another alarm was"
            " raised. See the topic.",
            metric="AWS/SNS NumberOfMessagesPublished",
            dimensions={"TopicName": "{AlertTopic.TopicName}"},
            times=1,
            seconds=5 * 60,
            operator="GreaterThanThreshold",
            threshold=0,
            missing="notBreaching",
        ),
        # Athena's metrics have no points while no query runs.
        "ScannedBytesAlarm": alarm(
            f"Queries of the workgroup {given['Environment']} scan more in a day than expected."
            " See what they cost.",
            metric="AWS/Athena ProcessedBytes",
            dimensions={"WorkGroup": "{Workgroup}"},
            times=1,
            seconds=24 * 60 * 60,
            operator="GreaterThanThreshold",
            threshold=int(given["ScanAlarmBytesPerDay"]),
            missing="notBreaching",
            actions=["{AlertTopic}"],
        ),
    }
    if given["AlertEmail"]:
        resources["AlertSubscription"] = {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasAlertEmail",
            "Properties": {
                "TopicArn": "{AlertTopic}",
                "Protocol": "email",
                "Endpoint": given["AlertEmail"],
            },
        }
    if has_airflow(given):
        # A scheduler that is gone has no points. An update replaces it, which takes a while.
        resources["SchedulerAlarm"] = alarm(
            "The scheduler of {Airflow} has no heartbeat. Nothing is run, and no late report is"
            " told.",
            metric="AmazonMWAA SchedulerHeartbeat",
            dimensions={"Environment": "{Airflow}", "Function": "Scheduler"},
            times=6,
            seconds=5 * 60,
            operator="LessThanThreshold",
            threshold=1,
            missing="breaching",
            actions=["{AlertTopic}"],
        ) | {"Condition": "HasAirflow"}
    return resources


def alarm(
    description: str,
    *,
    metric: str,
    dimensions: dict[str, str],
    times: int,
    seconds: int,
    operator: str,
    threshold: int,
    missing: str,
    actions: list[str] | None = None,
) -> Resource:
    namespace, name = metric.split()
    properties: dict[str, Any] = {
        "AlarmDescription": description,
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Statistic": "Sum",
        "Period": seconds,
        "EvaluationPeriods": times,
        "ComparisonOperator": operator,
        "Threshold": threshold,
        "TreatMissingData": missing,
    }
    if actions is not None:
        properties["AlarmActions"] = actions
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


# --- Amazon MWAA


def has_airflow(given: dict[str, Any]) -> bool:
    """There is none before there are a network and a first bundle."""
    return bool(given["SubnetIds"] and given["PluginsVersion"])


def airflow(given: dict[str, Any]) -> dict[str, Resource]:
    if not has_airflow(given):
        return {}
    properties = {
        "Name": environment_name(given),
        "AirflowVersion": given["AirflowVersion"],
        "EnvironmentClass": given["EnvironmentClass"],
        "MinWorkers": int(given["MinWorkers"]),
        "MaxWorkers": int(given["MaxWorkers"]),
        "ExecutionRoleArn": "{ExecutionRole.Arn}",
        "SourceBucketArn": "arn:aws-cn:s3:::{MwaaBucket}",
        "DagS3Path": "dags",
        "PluginsS3Path": "plugins.zip",
        "PluginsS3ObjectVersion": given["PluginsVersion"],
        "RequirementsS3Path": "requirements.txt",
        "RequirementsS3ObjectVersion": given["RequirementsVersion"],
        "StartupScriptS3Path": "startup.sh",
        "StartupScriptS3ObjectVersion": given["StartupVersion"],
        "NetworkConfiguration": {
            "SubnetIds": given["SubnetIds"].split(","),
            "SecurityGroupIds": given["SecurityGroupIds"].split(","),
        },
        "WebserverAccessMode": given["WebserverAccessMode"],
        "WeeklyMaintenanceWindowStart": given["MaintenanceStart"],
        "AirflowConfigurationOptions": {
            "secrets.backend": (
                "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
            ),
            # MWAA makes aws_default the execution role, so it is not looked up.
            "secrets.backend_kwargs": {
                "connections_prefix": f"airflow/{given['Environment']}/connections",
                "connections_lookup_pattern": "^(?!aws_default$).*$",
                "variables_prefix": None,
                "config_prefix": None,
            },
        },
        # Tasks for their own logs, the scheduler for those of pip.
        "LoggingConfiguration": {
            "DagProcessingLogs": {"Enabled": True, "LogLevel": "WARNING"},
            "SchedulerLogs": {"Enabled": True, "LogLevel": "INFO"},
            "TaskLogs": {"Enabled": True, "LogLevel": "INFO"},
            "WebserverLogs": {"Enabled": True, "LogLevel": "WARNING"},
            "WorkerLogs": {"Enabled": True, "LogLevel": "WARNING"},
        },
    }
    if given["KmsKeyArn"]:
        properties["KmsKey"] = given["KmsKeyArn"]
    return {
        # It bills by the hour, so it goes with the stack.
        "Airflow": {
            "Type": "AWS::MWAA::Environment",
            "Condition": "HasAirflow",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            # Without them its creation fails, or its first tasks do.
            "DependsOn": ["MwaaPolicy", "ReportsPolicy", "MwaaBucketPolicy"],
            "Properties": properties,
        }
    }


# --- Tests

CASES = pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(LEAST, id="least"),
        pytest.param(ALL, id="all"),
        pytest.param(LEAST | NETWORK, id="an environment with defaults"),
        pytest.param(LEAST | NETWORK | {"PluginsVersion": ""}, id="before the first bundle"),
        pytest.param(LEAST | NETWORK | {"SubnetIds": ""}, id="without a network"),
        pytest.param(ALL | {"SourceDatabase": ""}, id="a source database by its usual name"),
    ],
)


def with_defaults(parameters: dict[str, str]) -> dict[str, Any]:
    return DEFAULTS | parameters


@CASES
def test_each_resource_is_what_its_purpose_says(parameters: dict[str, str]) -> None:
    resources = rendered_resources(**parameters)
    for name in ("ReportsPolicy", "MwaaPolicy"):
        resources[name]["Properties"]["PolicyDocument"]["Statement"] = []
    if "Airflow" in resources:
        options = resources["Airflow"]["Properties"]["AirflowConfigurationOptions"]
        options["secrets.backend_kwargs"] = json.loads(options["secrets.backend_kwargs"])

    expected = expected_resources(with_defaults(parameters))
    assert resources.keys() == expected.keys()
    for name, resource in expected.items():
        assert resources[name] == resource, name


@CASES
def test_each_output_has_the_value_that_its_name_says(parameters: dict[str, str]) -> None:
    given = with_defaults(parameters)
    expected = {
        "Environment": given["Environment"],
        "SourceDatabase": source_database(given),
        "Workgroup": "{Workgroup}",
        "QueryResultsLocation": "s3://{QueryResultsBucket}/",
        "ReportBucket": "{ReportBucket}",
        "ReportDatabase": "{ReportDatabase}",
        "BucketOwner": ACCOUNT,
        "MwaaBucket": "{MwaaBucket}",
        "ExecutionRoleArn": "{ExecutionRole.Arn}",
        "ReportsPolicyArn": "{ReportsPolicy}",
        "AlertTopicArn": "{AlertTopic}",
    }
    if has_airflow(given):
        expected["MwaaEnvironmentName"] = "{Airflow}"
        expected["WebserverUrl"] = "https://{Airflow.WebserverUrl}"
    assert rendered_outputs(**parameters) == expected


def test_an_environment_pins_what_the_deployment_uploads() -> None:
    properties = rendered_resources(**ALL)["Airflow"]["Properties"]
    pinned = {
        properties[f"{part}S3Path"]: properties[f"{part}S3ObjectVersion"]
        for part in ("Plugins", "Requirements", "StartupScript")
    }
    assert pinned == {path: ALL[parameter] for path, parameter in PINNED.items()}


def test_each_parameter_has_its_type_and_its_default() -> None:
    declared = TEMPLATE["Parameters"]
    defaults = {}
    for name, parameter in declared.items():
        defaults[name] = str(parameter["Default"]) if "Default" in parameter else None
    assert defaults == DEFAULTS
    of_type: dict[str, set[str]] = {}
    for name, parameter in declared.items():
        of_type.setdefault(parameter["Type"], set()).add(name)
    assert of_type.pop("CommaDelimitedList") == {
        "FormerKmsKeyArns",
        "SecurityGroupIds",
        "SourceDataArns",
        "SubnetIds",
    }
    assert of_type.pop("Number") == {
        "MaxWorkers",
        "MinWorkers",
        "NoncurrentDays",
        "QueryResultsDays",
        "ScanAlarmBytesPerDay",
        "ScanCutoffBytes",
    }
    assert of_type.keys() == {"String"}
