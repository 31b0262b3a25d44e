"""Types of resources that stacks have here beside moto's: made, changed and removed in their services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws import LocalAws

NAME = {"StackName": "stack"}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


def template(*, seconds: int, days: int, address: str, location: str) -> str:
    rule = {"Id": "old", "Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": days}
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Bucket": (
            "AWS::S3::Bucket",
            {
                "BucketName": "bucket",
                "VersioningConfiguration": {"Status": "Enabled"},
                "LifecycleConfiguration": {"Rules": [rule]},
            },
        ),
        "Database": (
            "AWS::Glue::Database",
            {"CatalogId": "123456789012", "DatabaseInput": {"Name": "db", "Description": location}},
        ),
        "Group": (
            "AWS::Athena::WorkGroup",
            {
                "Name": "group",
                "WorkGroupConfiguration": {"ResultConfiguration": {"OutputLocation": location}},
            },
        ),
        "Topic": ("AWS::SNS::Topic", {"TopicName": "topic"}),
        "Policy": (
            "AWS::SNS::TopicPolicy",
            {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Version": "2012-10-17", "Id": location}},
        ),
        "Subscription": (
            "AWS::SNS::Subscription",
            {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": address},
        ),
        "Alarm": (
            "AWS::CloudWatch::Alarm",
            {
                "AlarmName": "alarm",
                "Namespace": "AWS/Athena",
                "MetricName": "ProcessedBytes",
                "Statistic": "Sum",
                "Period": seconds,
                "EvaluationPeriods": 1,
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 1,
            },
        ),
    }
    return json.dumps({"Resources": {name: {"Type": t, "Properties": p} for name, (t, p) in resources.items()}})


def state(aws: LocalAws) -> dict[str, Any]:
    """What there is in each service of what the template describes."""
    s3, sns = aws.client("s3"), aws.client("sns")
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    groups = [group["Name"] for group in aws.client("athena").list_work_groups()["WorkGroups"]]
    athena = aws.client("athena")
    return {
        "days": [
            rule["Expiration"]["Days"]
            for bucket in buckets
            for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
            if rule["Filter"] == {"Prefix": "tmp/"}
        ],
        "versioned": [s3.get_bucket_versioning(Bucket=bucket)["Status"] for bucket in buckets],
        "databases": [each["Description"] for each in aws.client("glue").get_databases()["DatabaseList"]],
        "locations": [
            athena.get_work_group(WorkGroup=group)["WorkGroup"]["Configuration"]["ResultConfiguration"][
                "OutputLocation"
            ]
            for group in groups
            if group != "primary"
        ],
        "policies": [
            json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])["Id"] for topic in topics
        ],
        "addresses": [each["Endpoint"] for each in sns.list_subscriptions()["Subscriptions"]],
        "seconds": [alarm["Period"] for alarm in aws.client("cloudwatch").describe_alarms()["MetricAlarms"]],
    }


def test_a_stack_is_made_changed_and_removed(aws: LocalAws) -> None:
    aws.reset()
    cloudformation = aws.client("cloudformation")
    first = template(seconds=60, days=7, address="a@example.com", location="s3://bucket/one/")
    cloudformation.create_stack(**NAME, TemplateBody=first)
    assert state(aws) == {
        "days": [7],
        "versioned": ["Enabled"],
        "databases": ["s3://bucket/one/"],
        "locations": ["s3://bucket/one/"],
        "policies": ["s3://bucket/one/"],
        "addresses": ["a@example.com"],
        "seconds": [60],
    }

    second = template(seconds=300, days=9, address="b@example.com", location="s3://bucket/two/")
    cloudformation.update_stack(**NAME, TemplateBody=second)
    assert state(aws) == {
        "days": [9],
        "versioned": ["Enabled"],
        "databases": ["s3://bucket/two/"],
        "locations": ["s3://bucket/two/"],
        "policies": ["s3://bucket/two/"],
        "addresses": ["b@example.com"],
        "seconds": [300],
    }

    cloudformation.delete_stack(**NAME)
    assert not any(state(aws).values())


def test_a_statement_that_a_condition_leaves_out_is_not_in_the_policy(aws: LocalAws) -> None:
    aws.reset()
    allow = {"Sid": "Kept", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
    left_out = {"Fn::If": ["Never", allow | {"Sid": "LeftOut"}, {"Ref": "AWS::NoValue"}]}
    document = {"Version": "2012-10-17", "Statement": [left_out, allow]}
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    body = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": {"Policy": policy}}
    aws.client("cloudformation").create_stack(**NAME, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"])
    iam = aws.client("iam")
    (made,) = iam.list_policies(Scope="Local")["Policies"]
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"]["Statement"] == [allow]
