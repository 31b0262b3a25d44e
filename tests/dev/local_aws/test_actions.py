"""What is recorded of the requests of real clients."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import boto3
import botocore.session
import pyarrow as pa
import pytest
from botocore.config import Config

from local_aws import LocalAws, actions
from local_aws.actions import ActionLog, Actions, Permission
from local_aws.athena.clients import OWN_KEY
from tests.dev.local_aws.account import Account

WORKGROUP = "arn:aws:athena:us-east-1:123456789012:workgroup/"
GLUE = "arn:aws:glue:us-east-1:123456789012:"
OBJECT = {"Bucket": "lake", "Key": "a b/ü.txt"}
OBJECT_ARN = "arn:aws:s3:::lake/a b/ü.txt"


@pytest.fixture
def client(account: Account) -> Callable[[str], Any]:
    """Clients of a principal of the test's own; what was done before it is forgotten."""
    account.s3.put_object(**OBJECT, Body=b"abc")
    Actions(account.aws.endpoint_url).clear()
    session: Any = boto3.Session("watched", "secret", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=account.aws.endpoint_url)


@pytest.fixture
def recorded(account: Account) -> Callable[..., set[tuple[str, str]]]:
    def recorded(principal: str = "watched") -> set[tuple[str, str]]:
        log = Actions(account.aws.endpoint_url)
        found = {(each.action, each.resource) for each in log.list() if each.principal == principal}
        log.clear()
        return found

    return recorded


Recorded = Callable[..., set[tuple[str, str]]]
Client = Callable[[str], Any]


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        ("list_buckets", {}, {("s3:ListAllMyBuckets", "*")}),
        ("head_bucket", {"Bucket": "lake"}, {("s3:ListBucket", "arn:aws:s3:::lake")}),
        ("list_objects", {"Bucket": "lake"}, {("s3:ListBucket", "arn:aws:s3:::lake")}),
        ("list_objects_v2", {"Bucket": "lake"}, {("s3:ListBucket", "arn:aws:s3:::lake")}),
        ("list_object_versions", {"Bucket": "lake"}, {("s3:ListBucketVersions", "arn:aws:s3:::lake")}),
        (
            "list_multipart_uploads",
            {"Bucket": "lake"},
            {("s3:ListBucketMultipartUploads", "arn:aws:s3:::lake")},
        ),
        ("get_bucket_location", {"Bucket": "lake"}, {("s3:GetBucketLocation", "arn:aws:s3:::lake")}),
        ("head_object", OBJECT, {("s3:GetObject", OBJECT_ARN)}),
        ("get_object", {**OBJECT, "Range": "bytes=0-1"}, {("s3:GetObject", OBJECT_ARN)}),
        ("get_object_tagging", OBJECT, {("s3:GetObjectTagging", OBJECT_ARN)}),
        ("put_object", {**OBJECT, "Body": b"abc"}, {("s3:PutObject", OBJECT_ARN)}),
        (
            "put_object",
            {**OBJECT, "Body": b"abc", "Tagging": "a=b"},
            {("s3:PutObject", OBJECT_ARN), ("s3:PutObjectTagging", OBJECT_ARN)},
        ),
        (
            "put_object_tagging",
            {**OBJECT, "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
            {("s3:PutObjectTagging", OBJECT_ARN)},
        ),
        ("delete_object", OBJECT, {("s3:DeleteObject", OBJECT_ARN)}),
        (
            "delete_objects",
            {"Bucket": "lake", "Delete": {"Objects": [{"Key": "a&b"}, {"Key": "c", "VersionId": "null"}]}},
            {("s3:DeleteObject", "arn:aws:s3:::lake/a&b"), ("s3:DeleteObjectVersion", "arn:aws:s3:::lake/c")},
        ),
        (
            "copy_object",
            {"Bucket": "results", "Key": "copy", "CopySource": OBJECT, "TaggingDirective": "REPLACE"},
            {("s3:GetObject", OBJECT_ARN), ("s3:PutObject", "arn:aws:s3:::results/copy")},
        ),
        (
            "copy_object",
            {"Bucket": "results", "Key": "copy", "CopySource": OBJECT},
            {
                ("s3:GetObject", OBJECT_ARN),
                ("s3:GetObjectTagging", OBJECT_ARN),
                ("s3:PutObject", "arn:aws:s3:::results/copy"),
                ("s3:PutObjectTagging", "arn:aws:s3:::results/copy"),
            },
        ),
    ],
)
def test_s3(client: Client, recorded: Recorded, operation: str, parameters: dict[str, Any], expected: set[Any]) -> None:
    getattr(client("s3"), operation)(**parameters)
    assert recorded() == expected


def test_multipart_uploads(client: Client, recorded: Recorded) -> None:
    s3 = client("s3")
    begun = {**OBJECT, "UploadId": s3.create_multipart_upload(**OBJECT)["UploadId"]}
    assert recorded() == {("s3:PutObject", OBJECT_ARN)}
    part = s3.upload_part(**begun, PartNumber=1, Body=b"abc")
    assert recorded() == {("s3:PutObject", OBJECT_ARN)}
    copied = {**begun, "PartNumber": 2, "CopySource": {"Bucket": "results", "Key": "x"}}
    client("s3").put_object(Bucket="results", Key="x", Body=b"x")
    recorded()
    s3.upload_part_copy(**copied)
    assert recorded() == {("s3:PutObject", OBJECT_ARN), ("s3:GetObject", "arn:aws:s3:::results/x")}
    s3.list_parts(**begun)
    assert recorded() == {("s3:ListMultipartUploadParts", OBJECT_ARN)}
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**begun, MultipartUpload=parts)
    assert recorded() == {("s3:PutObject", OBJECT_ARN)}
    s3.abort_multipart_upload(**OBJECT, UploadId=s3.create_multipart_upload(**OBJECT)["UploadId"])
    assert recorded() == {("s3:PutObject", OBJECT_ARN), ("s3:AbortMultipartUpload", OBJECT_ARN)}


def test_a_version_of_an_object_takes_another_action(client: Client, recorded: Recorded) -> None:
    s3 = client("s3")
    s3.get_object(**OBJECT, VersionId="null")
    s3.get_object_tagging(**OBJECT, VersionId="null")
    s3.delete_object(**OBJECT, VersionId="null")
    versioned = ("GetObjectVersion", "GetObjectVersionTagging", "DeleteObjectVersion")
    assert recorded() == {(f"s3:{action}", OBJECT_ARN) for action in versioned}


def test_a_presigned_download_is_its_signers(account: Account, client: Client, recorded: Recorded) -> None:
    session: Any = boto3.Session("watched", "secret", region_name="us-east-1")
    version_4 = Config(signature_version="s3v4")
    s3 = session.client("s3", endpoint_url=account.aws.endpoint_url, config=version_4)
    url = s3.generate_presigned_url("get_object", Params=OBJECT)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"abc"
    assert recorded() == {("s3:GetObject", OBJECT_ARN)}


def test_every_operation_of_s3_is_told_apart_and_has_an_action_of_iam() -> None:
    """The actions that there are come from the policy specification that cfn-lint carries."""
    known = iam_actions("s3")
    assert {name.lower() for name in actions._S3_OF_VERSIONS.values()} <= known
    model = botocore.session.get_session().get_service_model("s3")
    for name in model.operation_names:
        operation = model.operation_model(name)
        if "{Key" not in operation.http["requestUri"] and not name.startswith(("List", "Head")):
            continue  # what configures a bucket
        action = actions.S3_ACTIONS.get(name, name)
        if action.lower() not in known:
            # These have no action of their own: they are for directory buckets and for Object Lambda.
            assert name in {"ListDirectoryBuckets", "RenameObject", "SelectObjectContent"} or re.search(
                r"^ListBucket\w+Configurations$", name
            ), name


def iam_actions(service: str) -> set[str]:
    specification = files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text()
    return set(json.loads(specification)[service]["Actions"])


def test_glue_needs_a_resource_and_all_that_it_lies_in(client: Client, recorded: Recorded) -> None:
    glue = client("glue")
    table = {"DatabaseName": "db", "TableInput": {"Name": "plays", "PartitionKeys": [{"Name": "dt"}]}}
    glue.create_table(**table)
    of_table = {f"{GLUE}catalog", f"{GLUE}database/db", f"{GLUE}table/db/plays"}
    assert recorded() == {("glue:CreateTable", each) for each in of_table}
    glue.get_partitions(DatabaseName="db", TableName="plays")
    glue.get_table(DatabaseName="db", Name="plays")
    assert recorded() == {(f"glue:{name}", each) for each in of_table for name in ("GetPartitions", "GetTable")}
    glue.get_tables(DatabaseName="db")
    of_tables = {f"{GLUE}catalog", f"{GLUE}database/db", f"{GLUE}table/db/*"}
    assert recorded() == {("glue:GetTables", each) for each in of_tables}
    glue.get_database(Name="db")
    assert recorded() == {("glue:GetDatabase", each) for each in (f"{GLUE}catalog", f"{GLUE}database/db")}


def test_athena_is_asked_for_the_workgroup_of_each_query(account: Account, client: Client, recorded: Recorded) -> None:
    account.athena.create_work_group(Name="dev")
    place = {"ResultConfiguration": {"OutputLocation": "s3://results/"}}
    athena = client("athena")
    ids = [
        athena.start_query_execution(QueryString="SELECT 1", **place, **group)["QueryExecutionId"]
        for group in ({"WorkGroup": "dev"}, {})
    ]
    assert recorded() == {("athena:StartQueryExecution", f"{WORKGROUP}{name}") for name in ("dev", "primary")}
    athena.batch_get_query_execution(QueryExecutionIds=ids)
    athena.stop_query_execution(QueryExecutionId=ids[0])
    assert recorded() == {
        ("athena:BatchGetQueryExecution", f"{WORKGROUP}dev"),
        ("athena:BatchGetQueryExecution", f"{WORKGROUP}primary"),
        ("athena:StopQueryExecution", f"{WORKGROUP}dev"),
    }
    athena.list_work_groups()
    assert recorded() == {("athena:ListWorkGroups", "*")}


def test_what_athena_does_for_a_query_is_recorded_as_athenas(account: Account, recorded: Recorded) -> None:
    account.create_table("plays", {"score": "bigint"}, {"dt": "string"})
    account.add_partition("plays", ["a"], "dt=a")
    account.put("plays/dt=a/part-0", pa.table({"score": [1, 2]}))
    recorded()
    outcome = account.run("SELECT SUM(score) AS score FROM plays")
    place = outcome.execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://")
    of_table = (f"{GLUE}catalog", f"{GLUE}database/db", f"{GLUE}table/db/plays")
    assert recorded(OWN_KEY) == {
        *((f"glue:{name}", each) for each in of_table for name in ("GetPartitions", "GetTable")),
        ("s3:ListBucket", "arn:aws:s3:::lake"),
        ("s3:GetObject", "arn:aws:s3:::lake/plays/dt=a/part-0"),
        ("s3:PutObject", f"arn:aws:s3:::{place}"),
        ("s3:PutObject", f"arn:aws:s3:::{place}.metadata"),
    }
    account.athena.get_query_results(QueryExecutionId=outcome.execution["QueryExecutionId"])
    assert recorded(OWN_KEY) == {("s3:GetObject", f"arn:aws:s3:::{place}")}


def test_other_services_are_recorded_by_their_protocols(client: Client, recorded: Recorded) -> None:
    client("sts").get_caller_identity()
    topic = client("sns").create_topic(Name="alerts")["TopicArn"]
    client("sns").publish(TopicArn=topic, Message="late")
    other = client("sns").create_topic(Name="others")["TopicArn"]
    client("sns").publish(TargetArn=other, Message="late")
    client("secretsmanager").create_secret(Name="airflow/dev/connections/a", SecretString="b")
    recorded_now = recorded()
    client("secretsmanager").get_secret_value(SecretId="airflow/dev/connections/a")
    assert recorded_now == {
        ("sts:GetCallerIdentity", "*"),
        ("sns:CreateTopic", "*"),
        ("sns:Publish", topic),
        ("sns:Publish", other),
        ("secretsmanager:CreateSecret", "*"),
    }
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:airflow/dev/connections/a"
    assert recorded() == {("secretsmanager:GetSecretValue", secret)}


def test_a_reset_forgets_what_was_done(account: Account, recorded: Recorded) -> None:
    account.aws.reset()
    assert recorded("local") == set()


def test_a_request_of_the_wrong_form_is_answered_as_ever(account: Account) -> None:
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=watched/20250101/us-east-1/athena/aws4_request, ",
        "X-Amz-Target": "AmazonAthena.BatchGetQueryExecution",
    }
    for body in (b"no JSON", b"[]", b'{"QueryExecutionIds": 5}', b'{"QueryExecutionIds": [["a"]]}'):
        request = urllib.request.Request(account.aws.endpoint_url, body, headers)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request)


def permissions(number: int) -> Iterator[Permission]:
    for each in range(number):
        yield Permission("s3:GetObject", f"arn:aws:s3:::lake/{each}")


def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "LIMIT", 3)
    log = ActionLog()
    for _ in range(2):
        log.add("watched", permissions(5))
    told = log.to_json()
    assert [(each["resource"], each["count"]) for each in told["actions"]] == [
        (f"arn:aws:s3:::lake/{number}", 2) for number in range(3)
    ]
    assert told["dropped"] == 4


def test_a_list_that_is_not_complete_is_an_error(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.reset()
    monkeypatch.setattr(actions, "LIMIT", 1)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="lake")
    s3.upload_fileobj(io.BytesIO(b"abc"), "lake", "key")
    with pytest.raises(RuntimeError, match="1 actions beyond the first 1 were dropped"):
        Actions(aws.endpoint_url).list()
