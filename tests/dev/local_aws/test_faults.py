from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from local_aws import LocalAws
from local_aws.faults import (
    KINDS,
    CutBody,
    Drop,
    End,
    FailResultWrite,
    Fault,
    Faults,
    ForgetToken,
    Hold,
    Refuse,
    Report,
    Slow,
    SlowDown,
    Throttle,
    from_json,
)
from tests.dev.local_aws.account import Account

TOKEN = "a-token-of-at-least-32-characters"


@pytest.fixture
def faults(account: Account) -> Faults:
    return Faults(account.aws.endpoint_url)


@pytest.fixture
def small() -> Iterator[Account]:
    """An account whose Athena runs one query at a time and takes two."""
    with LocalAws.start(workers=1, max_active=2) as aws:
        account = Account(aws)
        account.prepare()
        yield account


def _error(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: dict[str, Any] = dict(caught.value.response)
    return {**response, **response["Error"], "Status": response["ResponseMetadata"]["HTTPStatusCode"]}


def _status(account: Account, id_: str) -> dict[str, Any]:
    status: dict[str, Any] = account.athena.get_query_execution(QueryExecutionId=id_)["QueryExecution"]["Status"]
    return status


def _wait_for(account: Account, id_: str, state: str) -> None:
    while _status(account, id_)["State"] != state:
        time.sleep(0.005)


def _collect(chunks: Iterable[bytes], read: list[bytes]) -> None:
    for chunk in chunks:
        read.append(chunk)  # noqa: PERF402 - what came before an error must be kept


def _created(account: Account, workgroup: str = "primary") -> list[str]:
    ids: list[str] = account.athena.list_query_executions(WorkGroup=workgroup)["QueryExecutionIds"]
    return ids


def _send(account: Account, method: str, path: str = "", body: bytes | None = None) -> tuple[int, Any]:
    url = f"{account.aws.endpoint_url}/_local/faults{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# --- scripting --------------------------------------------------------------------------------------------


def test_faults_are_added_listed_and_cleared(account: Account, faults: Faults) -> None:
    first = faults.add(Throttle(action="GetQueryExecution", times=2))
    second = faults.add(Hold(sql="x", seconds=0.5))
    id_ = account.start("SELECT 1")
    _error(account.athena.get_query_execution, QueryExecutionId=id_)
    assert [(each["id"], each["kind"], each["struck"]) for each in faults.list()] == [
        (first, "Throttle", 1),
        (second, "Hold", 0),
    ]
    faults.clear(first)
    assert account.wait(id_).state == "SUCCEEDED"
    assert [each["id"] for each in faults.list()] == [second]
    with pytest.raises(KeyError):
        faults.clear(first)
    faults.clear()
    assert faults.list() == []


def test_plain_http(account: Account) -> None:
    body = b'{"kind": "Refuse", "action": "ListWorkGroups", "message": "No."}'
    status, answer = _send(account, "POST", body=body)
    assert status == 200
    assert _error(account.athena.list_work_groups)["Message"] == "No."
    (listed,) = _send(account, "GET")[1]["faults"]
    assert listed == {
        "id": answer["id"],
        "kind": "Refuse",
        "times": 1,
        "skip": 0,
        "sql": "",
        "workgroup": None,
        "action": "ListWorkGroups",
        "code": "InvalidRequestException",
        "message": "No.",
        "athena_error_code": "INVALID_INPUT",
        "struck": 1,
    }
    assert _send(account, "DELETE", f"/{answer['id']}") == (200, {})
    assert _send(account, "DELETE", f"/{answer['id']}")[0] == 404
    assert _send(account, "PUT", body=body)[0] == 405


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("nonsense", "Expecting value"),
        ("[]", "kind is one of Throttle"),
        ('{"kind": "Storm"}', "kind is one of Throttle"),
        ('{"kind": "Slow"}', "milliseconds"),
        ('{"kind": "Slow", "milliseconds": "9"}', "milliseconds is '9'"),
        ('{"kind": "Slow", "milliseconds": -9}', "milliseconds is -9"),
        ('{"kind": "Drop", "bucket": "b"}', "has the fields times, skip, sql, workgroup, action"),
        ('{"kind": "End", "state": "SUCCEEDED"}', "Literal['FAILED', 'CANCELLED']"),
        ('{"kind": "Hold", "state": "FAILED"}', "Literal['QUEUED', 'RUNNING']"),
        ('{"kind": "FailResultWrite", "error_type": 7}', "Literal[401, 402]"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(account: Account, body: str, complaint: str) -> None:
    status, answer = _send(account, "POST", body=body.encode())
    assert status == 400
    assert complaint in answer["message"]
    assert _send(account, "GET")[1] == {"faults": []}


def test_every_kind_survives_the_wire(faults: Faults) -> None:
    needed: dict[str, dict[str, Any]] = {"Slow": {"milliseconds": 0}, "Report": {"state": None}}
    added = [kind(**needed.get(name, {})) for name, kind in KINDS.items()]
    for fault in added:
        faults.add(fault)
    listed = [{k: v for k, v in each.items() if k not in ("id", "struck")} for each in faults.list()]
    assert [from_json(json.dumps(each).encode()) for each in listed] == added


def test_the_documented_faults_are_faults() -> None:
    text = (Path(__file__).resolve().parents[3] / "dev" / "local_aws" / "README.md").read_text()
    examples = re.findall(r"-d '(.*?)'", text)
    assert len(examples) >= 5
    for example in examples:
        from_json(example.encode())
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == set(KINDS)


def test_a_reset_forgets_faults(account: Account, faults: Faults) -> None:
    faults.add(Hold(seconds=None))
    held = account.start("SELECT 1")
    _wait_for(account, held, "RUNNING")
    account.aws.reset()
    assert faults.list() == []


@pytest.mark.parametrize(
    ("scope", "struck"),
    [
        ({}, "abc"),
        ({"times": 2}, "ab"),
        ({"times": 2, "skip": 1}, "bc"),
        ({"sql": "'b'"}, "b"),
        ({"workgroup": "other"}, "c"),
        ({"workgroup": "other", "sql": "'b'"}, ""),
    ],
)
def test_scope_and_count(account: Account, faults: Faults, scope: dict[str, Any], struck: str) -> None:
    account.athena.create_work_group(Name="other")
    ids = {
        name: account.start(f"SELECT '{name}'", WorkGroup=group)
        for name, group in (("a", "primary"), ("b", "primary"), ("c", "other"))
    }
    faults.add(Throttle(**{"action": "GetQueryExecution", "times": None, **scope}))
    seen = ""
    for name, id_ in ids.items():
        try:
            account.athena.get_query_execution(QueryExecutionId=id_)
        except ClientError:
            seen += name
    assert seen == struck
    assert faults.list()[0]["struck"] == len(struck)


def test_faults_of_one_kind_strike_one_after_the_other(account: Account, faults: Faults) -> None:
    faults.add(Throttle(message="first"))
    faults.add(Throttle(message="second"))
    assert [_error(account.athena.list_work_groups)["Message"] for _ in range(2)] == ["first", "second"]
    account.athena.list_work_groups()


# --- calls ------------------------------------------------------------------------------------------------


def test_throttled_calls_do_nothing(account: Account, faults: Faults) -> None:
    faults.add(Throttle(action="StartQueryExecution"))
    limit = "CONCURRENT_QUERY_LIMIT_EXCEEDED"
    faults.add(Throttle(action="StartQueryExecution", code="TooManyRequestsException", reason=limit))
    error = _error(account.start, sql="SELECT 1")
    assert (error["Code"], error["Message"], error["Status"]) == ("ThrottlingException", "Rate exceeded", 400)
    error = _error(account.start, sql="SELECT 1")
    assert (error["Code"], error["Reason"]) == ("TooManyRequestsException", limit)
    assert _created(account) == []
    assert account.run("SELECT 1").state == "SUCCEEDED"


def test_a_client_that_retries_gets_through(account: Account, faults: Faults) -> None:
    faults.add(Throttle(action="ListWorkGroups"))
    patient = boto3.Session("local", "local", region_name="us-east-1").client(
        "athena",
        endpoint_url=account.aws.endpoint_url,
        config=Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 2}),
    )
    answer = patient.list_work_groups()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


def test_a_start_is_refused(account: Account, faults: Faults) -> None:
    faults.add(Refuse(message="line 1:8: no", athena_error_code="MALFORMED_QUERY"))
    faults.add(Refuse(code="InternalServerException", message="Ours."))
    error = _error(account.start, sql="SELECT 1")
    assert (error["Code"], error["Message"], error["Status"]) == (
        "InvalidRequestException",
        "line 1:8: no",
        400,
    )
    assert error["AthenaErrorCode"] == "MALFORMED_QUERY"
    error = _error(account.start, sql="SELECT 1")
    assert (error["Code"], error["Message"], error["Status"]) == ("InternalServerException", "Ours.", 500)
    assert _created(account) == []


def test_a_start_is_accepted_and_its_connection_dropped(account: Account, faults: Faults) -> None:
    faults.add(Drop())
    with pytest.raises(ConnectionClosedError):
        account.start("SELECT 1", ClientRequestToken=TOKEN)
    (created,) = _created(account)
    assert account.start("SELECT 1", ClientRequestToken=TOKEN) == created
    assert account.wait(created).state == "SUCCEEDED"


def test_a_refused_start_does_not_use_up_a_drop(account: Account, faults: Faults) -> None:
    faults.add(Drop())
    _error(account.start, sql="SELECT * FORM t")
    assert faults.list()[0]["struck"] == 0


def test_calls_are_slow_until_that_is_cleared(account: Account, faults: Faults) -> None:
    id_ = faults.add(Slow(milliseconds=60))
    calls: list[Callable[[], Any]] = [
        account.athena.list_work_groups,
        account.s3.list_buckets,
        account.glue.get_databases,
    ]
    for call in calls:
        before = time.monotonic()
        call()
        assert time.monotonic() - before >= 0.06
    assert account.run("SELECT 1").state == "SUCCEEDED"
    faults.clear(id_)
    faults.add(Slow(milliseconds=60_000, action="StopQueryExecution"))
    for call in calls:
        call()
    assert faults.list()[0]["struck"] == 0


def test_a_forgotten_token_starts_another_query(account: Account, faults: Faults) -> None:
    faults.add(ForgetToken())
    first = account.start("SELECT 1", ClientRequestToken=TOKEN)
    assert faults.list()[0]["struck"] == 0
    second = account.start("SELECT 1", ClientRequestToken=TOKEN)
    assert second != first
    assert account.start("SELECT 1", ClientRequestToken=TOKEN) == second
    faults.add(ForgetToken())
    third = account.start("SELECT 2", ClientRequestToken=TOKEN)
    assert _created(account) == [third, second, first]


@pytest.mark.parametrize("state", ["PAUSED", "QUEUED", None])
def test_another_state_is_reported(account: Account, faults: Faults, state: str | None) -> None:
    hold = faults.add(Hold())
    id_ = account.start("SELECT 1")
    _wait_for(account, id_, "RUNNING")
    faults.add(Report(state=state, instead_of="RUNNING", times=2))
    assert [_status(account, id_).get("State") for _ in range(3)] == [state, state, "RUNNING"]
    faults.clear(hold)
    assert account.wait(id_).state == "SUCCEEDED"


def test_a_state_is_reported_instead_of_one_only(account: Account, faults: Faults) -> None:
    id_ = account.run("SELECT 1").execution["QueryExecutionId"]
    faults.add(Report(state="RUNNING", instead_of="FAILED"))
    assert _status(account, id_)["State"] == "SUCCEEDED"
    faults.add(Report(state="RUNNING"))
    assert _status(account, id_)["State"] == "RUNNING"
    assert _status(account, id_)["State"] == "SUCCEEDED"


# --- queries ----------------------------------------------------------------------------------------------


def test_a_query_ends_as_told(account: Account, faults: Faults) -> None:
    end = End(reason="No room", error_type=4, category=1, retryable=True, scanned_bytes=12_345)
    faults.add(end)
    outcome = account.run("SELECT * FROM no_such_table")
    assert outcome.state == "FAILED"
    assert outcome.reason == "No room"
    assert outcome.scanned_bytes == 12_345
    assert outcome.execution["Status"]["AthenaError"] == {
        "ErrorCategory": 1,
        "ErrorType": 4,
        "Retryable": True,
        "ErrorMessage": "No room",
    }
    assert outcome.execution["Status"]["CompletionDateTime"] >= outcome.execution["Status"]["SubmissionDateTime"]
    assert account.run("SELECT 1").state == "SUCCEEDED"


def test_a_query_is_cancelled_by_somebody(account: Account, faults: Faults) -> None:
    faults.add(End(state="CANCELLED", reason="Query cancelled by user"))
    outcome = account.run("SELECT 1")
    assert (outcome.state, outcome.reason) == ("CANCELLED", "Query cancelled by user")
    assert "AthenaError" not in outcome.execution["Status"]
    assert account.s3.list_objects_v2(Bucket="results")["KeyCount"] == 0


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_state_is_held_until_released(account: Account, faults: Faults, state: str) -> None:
    hold = faults.add(Hold(state=state))
    id_ = account.start("SELECT 1")
    _wait_for(account, id_, state)
    other = account.run("SELECT 2")
    assert other.state == "SUCCEEDED"
    assert _status(account, id_)["State"] == state
    faults.clear(hold)
    assert account.wait(id_).state == "SUCCEEDED"


def test_a_state_is_held_for_a_time(account: Account, faults: Faults) -> None:
    faults.add(Hold(state="QUEUED", seconds=0.2))
    faults.add(Hold(state="RUNNING", seconds=0.3))
    statistics = account.run("SELECT 1").execution["Statistics"]
    assert statistics["QueryQueueTimeInMillis"] >= 150
    assert statistics["EngineExecutionTimeInMillis"] >= 250


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_held_query_is_stopped_at_once_and_for_good(account: Account, faults: Faults, state: str) -> None:
    hold = faults.add(Hold(state=state))
    id_ = account.start("SELECT 1")
    _wait_for(account, id_, state)
    faults.add(End())
    account.athena.stop_query_execution(QueryExecutionId=id_)
    stopped = account.wait(id_)
    assert (stopped.state, stopped.reason) == ("CANCELLED", "Query cancelled by user")
    faults.clear(hold)
    assert account.run("SELECT 2").state == "FAILED"
    assert account.wait(id_).execution == stopped.execution


def test_a_query_is_held_and_then_ended(account: Account, faults: Faults) -> None:
    hold = faults.add(Hold())
    id_ = account.start("SELECT 1")
    _wait_for(account, id_, "RUNNING")
    faults.add(End(error_type=1403, reason="Slow down", retryable=True))
    faults.clear(hold)
    assert account.wait(id_).execution["Status"]["AthenaError"]["ErrorType"] == 1403


@pytest.mark.parametrize("error_type", [401, 402])
def test_a_result_is_not_written(account: Account, faults: Faults, error_type: int) -> None:
    account.create_table("t", {"a": "int"})
    account.put("t/1.parquet", pa.table({"a": pa.array([1], pa.int32())}))
    faults.add(FailResultWrite(error_type=error_type))
    outcome = account.run("SELECT a FROM t")
    assert outcome.state == "FAILED"
    assert outcome.execution["Status"]["AthenaError"]["ErrorType"] == error_type
    assert outcome.scanned_bytes > 0
    assert account.s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert account.run("SELECT a FROM t").csv == '"a"\n"1"\n'


# --- S3 ---------------------------------------------------------------------------------------------------


def test_s3_asks_to_slow_down(account: Account, faults: Faults) -> None:
    faults.add(SlowDown(method="PUT", bucket="lake", key_prefix="a/é"))
    for key in ("a/b", "b"):
        account.s3.put_object(Bucket="lake", Key=key, Body=b"x")
    account.s3.put_object(Bucket="results", Key="a/é", Body=b"x")
    error = _error(account.s3.put_object, Bucket="lake", Key="a/é!", Body=b"x" * 100_000)
    assert (error["Code"], error["Status"]) == ("SlowDown", 503)
    assert [each["Key"] for each in account.s3.list_objects_v2(Bucket="lake")["Contents"]] == ["a/b", "b"]
    account.s3.put_object(Bucket="lake", Key="a/é!", Body=b"x")


def test_s3_breaks_off_in_the_middle_of_an_object(account: Account, faults: Faults) -> None:
    data = bytes(range(256)) * 4_000
    account.s3.put_object(Bucket="lake", Key="big", Body=data)
    faults.add(CutBody(key_prefix="big", after_bytes=300_000))
    assert account.s3.head_object(Bucket="lake", Key="big")["ContentLength"] == len(data)
    account.s3.list_objects_v2(Bucket="lake", Prefix="big")
    body = account.s3.get_object(Bucket="lake", Key="big")["Body"]
    read: list[bytes] = []
    with pytest.raises((ResponseStreamingError, ConnectionError)):
        _collect(body.iter_chunks(1_000), read)
    assert 0 < sum(map(len, read)) <= 300_000
    assert data.startswith(b"".join(read))
    assert account.read("s3://lake/big") == data


def test_a_body_is_never_sent_to_its_end(account: Account, faults: Faults) -> None:
    account.s3.put_object(Bucket="lake", Key="k", Body=b"abc")
    faults.add(CutBody(after_bytes=10))
    with pytest.raises((ResponseStreamingError, ConnectionError)):
        account.read("s3://lake/k")


@pytest.mark.parametrize("fault", [SlowDown(times=None), CutBody(times=None)])
def test_what_athena_itself_does_is_spared(account: Account, faults: Faults, fault: Fault) -> None:
    account.create_table("t", {"a": "int"})
    account.put("t/1.parquet", pa.table({"a": pa.array([1], pa.int32())}))
    faults.add(fault)
    id_ = account.start("SELECT a FROM t")
    _wait_for(account, id_, "SUCCEEDED")
    assert faults.list()[0]["struck"] == 0


# --- Athena's own limits ----------------------------------------------------------------------------------


def test_the_queue_is_real_and_bounded(small: Account) -> None:
    faults = Faults(small.aws.endpoint_url)
    hold = faults.add(Hold())
    running = small.start("SELECT 1", ClientRequestToken=TOKEN)
    _wait_for(small, running, "RUNNING")
    queued = small.start("SELECT 2")
    assert _status(small, queued)["State"] == "QUEUED"
    error = _error(small.start, sql="SELECT 3")
    assert (error["Code"], error["Reason"]) == ("TooManyRequestsException", "CONCURRENT_QUERY_LIMIT_EXCEEDED")
    assert small.start("SELECT 1", ClientRequestToken=TOKEN) == running
    small.athena.stop_query_execution(QueryExecutionId=queued)
    third = small.start("SELECT 3")
    assert _created(small) == [third, queued, running]
    faults.clear(hold)
    assert [small.wait(id_).state for id_ in (running, queued, third)] == [
        "SUCCEEDED",
        "CANCELLED",
        "SUCCEEDED",
    ]


def test_a_query_that_would_scan_too_much_is_cancelled(account: Account) -> None:
    account.create_table("t", {"a": "bigint", "b": "bigint"})
    numbers = pa.array(range(700_000), pa.int64())
    account.put("t/1.parquet", pa.table({"a": numbers, "b": numbers}), compression="none", use_dictionary=False)
    cutoff = {"BytesScannedCutoffPerQuery": 10_000_000}
    account.athena.create_work_group(Name="frugal", Configuration=cutoff)
    both = "SELECT sum(a + b) FROM t"
    outcome = account.run(both, WorkGroup="frugal")
    assert (outcome.state, outcome.reason) == ("CANCELLED", "Bytes scanned limit was exceeded")
    assert outcome.scanned_bytes == 10_000_000
    assert account.run("SELECT sum(a) FROM t", WorkGroup="frugal").state == "SUCCEEDED"
    assert account.run(both).state == "SUCCEEDED"
    account.athena.update_work_group(
        WorkGroup="frugal", ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True}
    )
    group = account.athena.get_work_group(WorkGroup="frugal")["WorkGroup"]
    assert "BytesScannedCutoffPerQuery" not in group["Configuration"]
    assert account.run(both, WorkGroup="frugal").state == "SUCCEEDED"


def test_a_scan_limit_is_at_least_10_megabytes(account: Account) -> None:
    unchecked = boto3.Session("local", "local", region_name="us-east-1").client(
        "athena",
        endpoint_url=account.aws.endpoint_url,
        config=Config(proxies={}, parameter_validation=False),
    )
    low = {"BytesScannedCutoffPerQuery": 9_999_999}
    error = _error(unchecked.create_work_group, Name="x", Configuration=low)
    assert error["Code"] == "InvalidRequestException"
    assert "BytesScannedCutoffPerQuery" in error["Message"]
    error = _error(unchecked.update_work_group, WorkGroup="primary", ConfigurationUpdates=low)
    assert "BytesScannedCutoffPerQuery" in error["Message"]
