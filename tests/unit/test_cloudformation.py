"""Types of resources that stacks have here beside moto's:
created, changed and removed in their services.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_athena import LocalAws
from tests.support.cloudformation import local_services_with_stacks

METRIC = {"Namespace": "AWS/Athena", "MetricName": "ProcessedBytes", "Statistic": "Sum"}
ALARM = {
    "AlarmName": "alarm",
    "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 1,
}


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with local_services_with_stacks() as aws:
        yield aws


def template(*, seconds: int, days: int, address: str, location: str) -> str:
    rule = {"Id": "old", "Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": days}
    bucket = {
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {"Rules": [rule]},
    }
    place = {"ResultConfiguration": {"OutputLocation": location}}
    topic = {"Ref": "Topic"}
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Bucket": ("S3::Bucket", {"BucketName": "bucket", **bucket}),
        "Database": (
            "Glue::Database",
            {"CatalogId": "1", "DatabaseInput": {"Name": "db", "Description": location}},
        ),
        "Group": ("Athena::WorkGroup", {"Name": "group", "WorkGroupConfiguration": place}),
        "Topic": ("SNS::Topic", {"TopicName": "topic"}),
        "Policy": ("SNS::TopicPolicy", {"Topics": [topic], "PolicyDocument": {"Id": location}}),
        "Subscription": (
            "SNS::Subscription",
            {"TopicArn": topic, "Protocol": "email", "Endpoint": address},
        ),
        "Alarm": ("CloudWatch::Alarm", {**METRIC, **ALARM, "Period": seconds}),
    }
    body = {
        name: {"Type": f"AWS::{type_}", "Properties": fields}
        for name, (type_, fields) in resources.items()
    }
    return json.dumps({"Resources": body})


def state(aws: LocalAws) -> list[Any]:
    """What there is in each service of what the template describes."""
    s3, sns, athena, glue = (aws.client(name) for name in ("s3", "sns", "athena", "glue"))
    found: list[Any] = []
    for bucket in (each["Name"] for each in s3.list_buckets()["Buckets"]):
        found.append(s3.get_bucket_versioning(Bucket=bucket)["Status"])
        (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        found.append((rule["Filter"]["Prefix"], rule["Expiration"]["Days"]))
    found += [each["Description"] for each in glue.get_databases()["DatabaseList"]]
    for group in {each["Name"] for each in athena.list_work_groups()["WorkGroups"]} - {"primary"}:
        configuration = athena.get_work_group(WorkGroup=group)["WorkGroup"]["Configuration"]
        found.append(configuration["ResultConfiguration"]["OutputLocation"])
    for topic in sns.list_topics()["Topics"]:
        found.append(json.loads(sns.get_topic_attributes(**topic)["Attributes"]["Policy"])["Id"])
    found += [each["Endpoint"] for each in sns.list_subscriptions()["Subscriptions"]]
    return found + [
        alarm["Period"] for alarm in aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    ]


def test_a_stack_is_created_changed_and_removed(aws: LocalAws) -> None:
    cloudformation = aws.client("cloudformation")
    one, two = "s3://bucket/one/", "s3://bucket/two/"
    first = template(seconds=60, days=7, address="a@example.com", location=one)
    cloudformation.create_stack(StackName="stack", TemplateBody=first)
    assert state(aws) == ["Enabled", ("tmp/", 7), one, one, one, "a@example.com", 60]
    second = template(seconds=300, days=9, address="b@example.com", location=two)
    cloudformation.update_stack(StackName="stack", TemplateBody=second)
    assert state(aws) == ["Enabled", ("tmp/", 9), two, two, two, "b@example.com", 300]
    cloudformation.delete_stack(StackName="stack")
    assert state(aws) == []
