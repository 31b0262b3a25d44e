"""Who owns results and buckets: managed query results, the expected bucket owner, and no ACLs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.athena.clients import ACCOUNT
from tests.dev.local_aws.account import Account

OTHER = "210987654321"
MANAGED = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
NOWHERE: dict[str, Any] = {"ResultConfiguration": {}}


def _refusal(call: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def managed(account: Account) -> dict[str, Any]:
    account.athena.create_work_group(Name="managed", Configuration=MANAGED)
    return {"WorkGroup": "managed", **NOWHERE}


def test_a_managed_result_is_in_no_bucket(account: Account, managed: dict[str, Any]) -> None:
    numbers = "(VALUES " + ", ".join(f"({i})" for i in range(40)) + ")"
    sql = f"""
        SELECT n, CASE WHEN n % 2 = 0 THEN '"' || CAST(n AS VARCHAR) || '\n' END AS t
        FROM (SELECT a.x * 40 + b.x AS n FROM {numbers} AS a (x), {numbers} AS b (x))
        ORDER BY n
    """
    outcome = account.run(sql, **managed)
    assert outcome.state == "SUCCEEDED"
    assert "ResultConfiguration" not in outcome.execution
    assert outcome.execution["ManagedQueryResultsConfiguration"] == {"Enabled": True}
    assert account.s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
    id_ = outcome.execution["QueryExecutionId"]
    pages = account.athena.get_paginator("get_query_results").paginate(QueryExecutionId=id_)
    read = [[datum.get("VarCharValue") for datum in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    assert read == [["n", "t"], *([str(i), None if i % 2 else f'"{i}\n'] for i in range(1600))]


def test_a_managed_workgroup_takes_no_location(account: Account, managed: dict[str, Any]) -> None:
    location = {"ResultConfiguration": {"OutputLocation": "s3://results/"}}
    with pytest.raises(ClientError, match="Managed query results are enabled"):
        account.start("SELECT 1", WorkGroup="managed", **location)
    with pytest.raises(ClientError, match="cannot have an OutputLocation"):
        account.athena.create_work_group(Name="both", Configuration={**MANAGED, **location})
    updates = {"ResultConfigurationUpdates": location["ResultConfiguration"]}
    with pytest.raises(ClientError, match="cannot have an OutputLocation"):
        account.athena.update_work_group(WorkGroup="managed", ConfigurationUpdates=updates)
    updates["ManagedQueryResultsConfigurationUpdates"] = {"Enabled": False}
    account.athena.update_work_group(WorkGroup="managed", ConfigurationUpdates=updates)
    assert account.run("SELECT 1", **managed).csv == '"_col0"\n"1"\n'


def test_unload_in_a_managed_workgroup(account: Account, managed: dict[str, Any]) -> None:
    sql = "UNLOAD (SELECT 1 AS a) TO 's3://lake/x/' WITH (format = 'PARQUET')"
    outcome = account.run(sql, **managed)
    assert outcome.state == "SUCCEEDED"
    assert "DataManifestLocation" not in outcome.execution["Statistics"]
    answer = account.athena.get_query_results(
        QueryExecutionId=outcome.execution["QueryExecutionId"], QueryResultType="DATA_MANIFEST"
    )
    (row,) = answer["ResultSet"]["Rows"]
    assert account.read(row["Data"][0]["VarCharValue"])[:4] == b"PAR1"
    assert account.s3.list_objects_v2(Bucket="results")["KeyCount"] == 0


def test_the_bucket_must_have_the_expected_owner(account: Account) -> None:
    bucket: dict[str, Any] = {"Bucket": "lake"}
    key = {**bucket, "Key": "k"}
    account.s3.put_object(**key, Body=b"old", ExpectedBucketOwner=ACCOUNT)
    large = bytes(9 * 1024 * 1024)
    assert _refusal(account.s3.put_object, **key, Body=large, ExpectedBucketOwner=OTHER) == "AccessDenied"
    assert _refusal(account.s3.get_object, **key, ExpectedBucketOwner=OTHER) == "AccessDenied"
    assert _refusal(account.s3.head_object, **key, ExpectedBucketOwner=OTHER) == "403"
    assert _refusal(account.s3.delete_object, **key, ExpectedBucketOwner=OTHER) == "AccessDenied"
    assert _refusal(account.s3.list_objects_v2, **bucket, ExpectedBucketOwner=OTHER) == "AccessDenied"
    assert _refusal(account.s3.create_multipart_upload, **key, ExpectedBucketOwner=OTHER) == "AccessDenied"
    copy = {"Bucket": "lake", "Key": "copy", "CopySource": "lake/k"}
    assert _refusal(account.s3.copy_object, **copy, ExpectedSourceBucketOwner=OTHER) == "AccessDenied"
    for_us = {"ExtraArgs": {"ExpectedBucketOwner": ACCOUNT}}
    account.s3.upload_fileobj(io.BytesIO(large), "lake", "large", **for_us)
    assert account.s3.get_object(**key)["Body"].read() == b"old"
    assert account.s3.list_objects_v2(**bucket, ExpectedBucketOwner=ACCOUNT)["KeyCount"] == 2


def test_a_result_is_written_for_the_expected_owner_alone(account: Account) -> None:
    place = {"OutputLocation": "s3://results/", "ExpectedBucketOwner": OTHER}
    refused = account.run("SELECT 1", ResultConfiguration=place)
    assert refused.state == "FAILED"
    assert refused.execution["Status"]["AthenaError"]["ErrorType"] == 1500
    assert refused.execution["ResultConfiguration"]["ExpectedBucketOwner"] == OTHER
    owned = account.run("SELECT 1", ResultConfiguration={**place, "ExpectedBucketOwner": ACCOUNT})
    assert owned.state == "SUCCEEDED"
    configuration = {"ResultConfiguration": {**place, "OutputLocation": "s3://results/own/"}}
    account.athena.create_work_group(Name="enforced", Configuration=configuration)
    enforced = account.run("SELECT 1", WorkGroup="enforced", ResultConfiguration={"ExpectedBucketOwner": ACCOUNT})
    assert enforced.state == "FAILED"


def test_the_expected_owner_is_not_that_of_unloads_target(account: Account) -> None:
    sql = "UNLOAD (SELECT 1 AS a) TO 's3://lake/x/' WITH (format = 'PARQUET')"
    place = {"OutputLocation": "s3://results/", "ExpectedBucketOwner": OTHER}
    assert account.run(sql, ResultConfiguration=place).execution["Status"]["AthenaError"]["ErrorType"] == 1500
    assert account.s3.list_objects_v2(Bucket="lake")["KeyCount"] == 1


@pytest.mark.parametrize("acl", [{"ACL": "bucket-owner-full-control"}, {"GrantRead": 'id="x"'}])
def test_no_request_may_carry_an_acl(account: Account, acl: dict[str, str]) -> None:
    key: dict[str, Any] = {"Bucket": "lake", "Key": "k"}
    assert _refusal(account.s3.put_object, **key, Body=b"x" * 99_999, **acl) == "AccessControlListNotSupported"
    account.s3.put_object(**key, Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId="our-key")
    head = account.s3.head_object(**key)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"].endswith("our-key")
