"""Faults on demand: what each does, to which calls, and how often; and Athena's own limits."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from local_athena import LocalAws, faults
from local_athena.faults import (
    CutBody,
    Drop,
    End,
    Hold,
    LeaveUnprocessed,
    Refuse,
    Report,
    Slow,
    SlowDown,
    Throttle,
    ThrottleGlue,
)
from tests.account import TOKEN, Account, ints, refused

TOO_MANY = "TooManyRequestsException"
LIMIT = "CONCURRENT_QUERY_LIMIT_EXCEEDED"


def held(account: Account, **hold: Any) -> tuple[str, str]:
    """A hold, and a query that it keeps."""
    fault = account.faults.add(Hold(**hold))
    id_ = account.start("SELECT 1")
    account.wait_for(id_, hold.get("state", "RUNNING"))
    return fault, id_


# --- scripting


def send(account: Account, method: str, path: str = "", body: str = "") -> tuple[int, Any]:
    url = f"{account.aws.endpoint_url}/_local/faults{path}"
    request = urllib.request.Request(url, body.encode() or None, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_plain_http(account: Account) -> None:
    fields = {"kind": "Refuse", "action": "ListWorkGroups", "message": "No."}
    status, answer = send(account, "POST", body=json.dumps(fields))
    assert status == 200
    assert refused(account.athena.list_work_groups)["Message"] == "No."
    errors = {"code": "InvalidRequestException", "athena_error_code": "INVALID_INPUT"}
    defaults: dict[str, Any] = {"times": 1, "skip": 0, "sql": "", "workgroup": None}
    listed = fields | errors | defaults | {"id": answer["id"], "struck": 1}
    assert send(account, "GET") == (200, {"faults": [listed]})
    assert send(account, "DELETE", f"/{answer['id']}") == (200, {})
    assert send(account, "DELETE", f"/{answer['id']}")[0] == 404
    assert send(account, "PUT", body="{}")[0] == 405


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("nonsense", "Expecting value"),
        ('{"kind": "Storm"}', "kind is one of Throttle"),
        ("[]", "A fault is a JSON object"),
        ('{"kind": "Slow"}', "milliseconds"),
        ('{"kind": "Slow", "milliseconds": "9"}', "milliseconds is '9'"),
        ('{"kind": "Slow", "milliseconds": -9}', "milliseconds is -9"),
        ('{"kind": "Drop", "bucket": "b"}', "has the fields times, skip, sql, workgroup, action"),
        ('{"kind": "End", "state": "SUCCEEDED"}', "Literal['FAILED', 'CANCELLED']"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    account: Account, body: str, complaint: str
) -> None:
    status, answer = send(account, "POST", body=body)
    assert status == 400
    assert complaint in answer["message"]
    assert account.faults.list() == []


def test_every_kind_survives_the_wire_and_is_documented(account: Account) -> None:
    needed: dict[str, dict[str, Any]] = {"Slow": {"milliseconds": 0}, "Report": {"state": None}}
    added = [kind(**needed.get(name, {})) for name, kind in faults.KINDS.items()]
    for fault in added:
        account.faults.add(fault)
    listed = account.faults.list()
    for each in listed:
        del each["id"], each["struck"]
    assert [faults.from_json(json.dumps(each).encode()) for each in listed] == added
    account.aws.reset()
    assert account.faults.list() == []
    text = (Path(__file__).parents[1] / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == set(faults.KINDS)
    examples = [faults.from_json(each.encode()) for each in re.findall(r"-d '(.*?)'", text)]
    assert len(examples) >= 5


@pytest.mark.parametrize(
    ("scope", "struck"),
    [
        ({}, "abc"),
        ({"times": 2, "skip": 1}, "bc"),
        ({"sql": "'b'"}, "b"),
        ({"workgroup": "other"}, "c"),
        ({"workgroup": "other", "sql": "'b'"}, ""),
    ],
)
def test_scope_and_count(account: Account, scope: dict[str, Any], struck: str) -> None:
    account.athena.create_work_group(Name="other")
    groups = {"a": "primary", "b": "primary", "c": "other"}
    ids = {name: account.start(f"SELECT '{name}'", WorkGroup=groups[name]) for name in groups}
    account.faults.add(Throttle(**{"action": "GetQueryExecution", "times": None, **scope}))
    seen = ""
    for name, id_ in ids.items():
        try:
            account.status(id_)
        except ClientError:
            seen += name
    assert seen == struck
    assert account.faults.list()[0]["struck"] == len(struck)


def test_faults_of_one_kind_strike_one_after_the_other_and_are_cleared_alone(
    account: Account,
) -> None:
    first, second = [account.faults.add(Throttle(message=text)) for text in ("one", "two")]
    struck = [refused(account.athena.list_work_groups)["Message"] for _ in range(2)]
    assert struck == ["one", "two"]
    account.athena.list_work_groups()
    account.faults.clear(first)
    assert [each["id"] for each in account.faults.list()] == [second]
    with pytest.raises(KeyError):
        account.faults.clear(first)
    account.faults.clear()
    assert account.faults.list() == []


def test_a_start_without_a_workgroup_is_one_in_the_primary_workgroup(account: Account) -> None:
    account.athena.create_work_group(Name="other")
    account.faults.add(Refuse(workgroup="primary", message="No."))
    account.start("SELECT 1", WorkGroup="other")
    assert refused(account.start, sql="SELECT 1")["Message"] == "No."


# --- calls


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Throttle(), {"Code": "ThrottlingException", "Message": "Rate exceeded"}),
        (Throttle(code=TOO_MANY, reason=LIMIT), {"Code": TOO_MANY, "Reason": LIMIT, "Status": 400}),
        (
            Refuse(athena_error_code="X"),
            {"Code": "InvalidRequestException", "AthenaErrorCode": "X"},
        ),
        (Refuse(code="InternalServerException", message="No"), {"Status": 500, "Message": "No"}),
    ],
)
def test_a_start_is_refused_and_does_nothing(
    account: Account, fault: faults.Fault, expected: dict[str, Any]
) -> None:
    account.faults.add(fault)
    error = refused(account.start, sql="SELECT 1")
    assert {name: error[name] for name in expected} == expected
    assert account.created() == []
    assert account.run("SELECT 1").state == "SUCCEEDED"


def test_a_start_is_accepted_and_its_connection_dropped(account: Account) -> None:
    account.faults.add(Drop())
    account.athena.list_work_groups()
    refused(account.start, sql="SELECT * FORM t")
    assert account.faults.list()[0]["struck"] == 0
    with pytest.raises(ConnectionClosedError):
        account.start("SELECT 1", ClientRequestToken=TOKEN)
    (created,) = account.created()
    assert account.start("SELECT 1", ClientRequestToken=TOKEN) == created
    assert account.wait(created).state == "SUCCEEDED"


def test_a_start_is_accepted_and_answered_by_an_error(account: Account) -> None:
    account.faults.add(Drop(status=500))
    error = refused(account.start, sql="SELECT 1", ClientRequestToken=TOKEN)
    assert (error["Code"], error["Status"]) == ("InternalServerException", 500)
    assert account.created() == [account.start("SELECT 1", ClientRequestToken=TOKEN)]


def test_glue_is_throttled(account: Account) -> None:
    account.create_table("t", {"a": "int"})
    account.faults.add(ThrottleGlue(action="DeleteTable"))
    account.faults.add(ThrottleGlue(action="GetTables"))
    table = {"DatabaseName": "db", "Name": "t"}
    error = refused(account.glue.delete_table, **table)
    assert (error["Code"], error["Status"]) == ("ThrottlingException", 400)
    account.glue.get_table(**table)
    account.glue.delete_table(**table)
    assert [each["struck"] for each in account.faults.list()] == [1, 0]


def test_calls_of_every_service_are_slow_until_that_is_cleared(account: Account) -> None:
    account.faults.add(Slow(milliseconds=60))
    calls = (account.athena.list_work_groups, account.s3.list_buckets, account.glue.get_databases)
    for call in calls:
        before = time.monotonic()
        call()
        assert time.monotonic() - before >= 0.06
    account.faults.clear()
    account.faults.add(Slow(milliseconds=60_000, action="StopQueryExecution"))
    for call in calls:
        call()
    assert account.faults.list()[0]["struck"] == 0


def test_a_query_of_a_batch_is_left_unprocessed_once(account: Account) -> None:
    ids = [account.start("SELECT 1"), account.start("SELECT 2")]
    account.faults.add(LeaveUnprocessed(sql="SELECT 2"))
    batch = account.athena.batch_get_query_execution(QueryExecutionIds=ids)
    assert [each["QueryExecutionId"] for each in batch["QueryExecutions"]] == ids[:1]
    (left,) = batch["UnprocessedQueryExecutionIds"]
    assert left["QueryExecutionId"] == ids[1]
    again = account.athena.batch_get_query_execution(QueryExecutionIds=ids)
    assert len(again["QueryExecutions"]) == 2


def test_a_forgotten_token_starts_another_query(account: Account) -> None:
    account.faults.add(faults.ForgetToken())
    first, second, again = (account.start("SELECT 1", ClientRequestToken=TOKEN) for _ in range(3))
    assert second == again != first
    account.faults.add(faults.ForgetToken())
    third = account.start("SELECT 2", ClientRequestToken=TOKEN)
    assert account.created() == [third, second, first]


@pytest.mark.parametrize("state", ["PAUSED", "QUEUED", None])
def test_another_state_is_reported_instead_of_one(account: Account, state: str | None) -> None:
    hold, id_ = held(account)
    account.faults.add(Report(state="FAILED", instead_of="SUCCEEDED"))
    account.faults.add(Report(state=state, instead_of="RUNNING", times=2))
    assert [account.status(id_).get("State") for _ in range(3)] == [state, state, "RUNNING"]
    account.faults.clear(hold)
    account.wait_for(id_, "FAILED")
    assert account.status(id_)["State"] == "SUCCEEDED"


def test_another_state_is_reported_in_the_answers_of_one_operation(account: Account) -> None:
    id_ = account.run("SELECT 1").id
    account.faults.add(Report(state="PAUSED", action="BatchGetQueryExecution"))
    assert account.status(id_)["State"] == "SUCCEEDED"
    for state in ("PAUSED", "SUCCEEDED"):
        batch = account.athena.batch_get_query_execution(QueryExecutionIds=[id_])
        assert batch["QueryExecutions"][0]["Status"]["State"] == state


# --- queries


def test_a_query_ends_as_told(account: Account) -> None:
    end = End(reason="No room", error_type=4, category=1, retryable=True, scanned_bytes=12_345)
    account.faults.add(end)
    failed = account.run("SELECT * FROM no_such_table")
    assert (failed.state, failed.reason, failed.scanned_bytes) == ("FAILED", "No room", 12_345)
    error = {"ErrorCategory": 1, "ErrorType": 4, "Retryable": True, "ErrorMessage": "No room"}
    assert failed.error == error
    account.faults.add(End(state="CANCELLED", reason="Enough"))
    cancelled = account.run("SELECT 1")
    assert (cancelled.state, cancelled.reason, cancelled.error) == ("CANCELLED", "Enough", {})
    assert account.keys("results") == []
    assert account.run("SELECT 1").state == "SUCCEEDED"


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_state_is_held_until_it_is_released_stopped_or_over(account: Account, state: str) -> None:
    hold, id_ = held(account, state=state)
    assert account.run("SELECT 2").state == "SUCCEEDED"
    assert account.status(id_)["State"] == state
    account.faults.add(End(error_type=1403))
    account.faults.clear(hold)
    error = account.wait(id_).error
    assert error == {"ErrorCategory": 1, "ErrorType": 1403, "ErrorMessage": "Ended on demand"}

    hold, id_ = held(account, state=state)
    account.athena.stop_query_execution(QueryExecutionId=id_)
    stopped = account.wait(id_)
    assert (stopped.state, stopped.reason) == ("CANCELLED", "Query cancelled by user")
    account.faults.clear(hold)

    account.faults.add(Hold(state=state, seconds=0.2))
    statistics = account.run("SELECT 1").execution["Statistics"]
    name = {"QUEUED": "QueryQueue", "RUNNING": "EngineExecution"}[state]
    in_state = statistics[f"{name}TimeInMillis"]
    assert statistics["TotalExecutionTimeInMillis"] >= in_state >= 150
    assert account.wait(id_).execution == stopped.execution


@pytest.mark.parametrize("error_type", [401, 402])
def test_a_result_is_not_written(account: Account, error_type: int) -> None:
    account.create_table("t", {"a": "int"})
    account.put("t/1.parquet", {"a": ints(1)})
    account.faults.add(faults.FailResultWrite(error_type=error_type))
    outcome = account.run("SELECT a FROM t")
    assert (outcome.state, outcome.error["ErrorType"]) == ("FAILED", error_type)
    assert outcome.scanned_bytes > 0
    assert account.keys("results") == []
    assert account.run("SELECT a FROM t").csv == '"a"\n"1"\n'


# --- S3


def test_s3_asks_to_slow_down(account: Account) -> None:
    account.faults.add(SlowDown(method="PUT", bucket="lake", key_prefix="a/é"))
    for bucket, key in (("lake", "a/b"), ("lake", "b"), ("lake", "x/a/é"), ("results", "a/é")):
        account.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert refused(account.s3.get_object, Bucket="lake", Key="a/é!")["Code"] == "NoSuchKey"
    error = refused(account.s3.put_object, Bucket="lake", Key="a/é!", Body=b"x" * 100_000)
    assert (error["Code"], error["Status"]) == ("SlowDown", 503)
    assert account.keys("lake") == ["a/b", "b", "x/a/é"]
    account.s3.put_object(Bucket="lake", Key="a/é!", Body=b"x")


@pytest.mark.parametrize(("size", "after_bytes"), [(1_000_000, 300_000), (3, 10)])
def test_s3_breaks_off_before_the_end_of_an_object(
    account: Account, size: int, after_bytes: int
) -> None:
    data = bytes(n % 251 for n in range(size))
    account.s3.put_object(Bucket="lake", Key="big", Body=data)
    account.faults.add(CutBody(key_prefix="big", after_bytes=after_bytes))
    assert account.s3.head_object(Bucket="lake", Key="big")["ContentLength"] == size
    body, chunks = account.s3.get_object(Bucket="lake", Key="big")["Body"], list[bytes]()
    with pytest.raises((ResponseStreamingError, ConnectionError)):
        chunks.extend(body.iter_chunks(1_000))
    read = b"".join(chunks)
    assert len(read) < min(size, after_bytes + 1)
    assert data.startswith(read)
    assert account.read("s3://lake/big") == data


@pytest.mark.parametrize(
    "fault", [SlowDown(times=None), CutBody(times=None), ThrottleGlue(times=None)]
)
def test_what_athena_itself_does_is_spared(account: Account, fault: faults.Fault) -> None:
    account.create_table("t", {"a": "int"})
    account.put("t/1.parquet", {"a": ints(1)})
    account.faults.add(fault)
    account.wait_for(account.start("SELECT a FROM t"), "SUCCEEDED")
    assert account.faults.list()[0]["struck"] == 0


# --- Athena's own limits


@pytest.fixture
def small() -> Iterator[Account]:
    """An account whose Athena runs one query at a time and takes two."""
    with LocalAws.start(workers=1, max_active=2) as aws:
        yield Account(aws)


def test_the_queue_is_real_and_bounded(small: Account) -> None:
    hold = small.faults.add(Hold())
    running = small.start("SELECT 1", ClientRequestToken=TOKEN)
    small.wait_for(running, "RUNNING")
    queued = small.start("SELECT 2")
    assert small.status(queued)["State"] == "QUEUED"
    error = refused(small.start, sql="SELECT 3")
    assert (error["Code"], error["Reason"]) == (TOO_MANY, LIMIT)
    assert small.start("SELECT 1", ClientRequestToken=TOKEN) == running
    small.athena.stop_query_execution(QueryExecutionId=queued)
    assert small.status(queued)["State"] == "CANCELLED"
    third = small.start("SELECT 3")
    small.faults.clear(hold)
    ended = {id_: small.wait(id_).state for id_ in small.created()}
    assert ended == {third: "SUCCEEDED", queued: "CANCELLED", running: "SUCCEEDED"}


def test_a_query_that_is_held_in_the_queue_takes_no_worker(small: Account) -> None:
    hold = small.faults.add(Hold(state="QUEUED"))
    held_query = small.start("SELECT 1")
    assert small.run("SELECT 2").state == "SUCCEEDED"
    assert small.status(held_query)["State"] == "QUEUED"
    small.faults.clear(hold)
    assert small.wait(held_query).state == "SUCCEEDED"


def test_a_query_that_would_scan_too_much_is_cancelled(account: Account) -> None:
    account.create_table("t", {"a": "int", "b": "int"})
    columns = dict.fromkeys("ab", ints(*range(1_400_000)))
    account.put("t/1.parquet", columns, compression="none", use_dictionary=False)
    cutoff = {"BytesScannedCutoffPerQuery": 10_000_000}
    account.athena.create_work_group(Name="frugal", Configuration=cutoff)
    both = "SELECT count(a + b) FROM t"
    outcome = account.run(both, WorkGroup="frugal")
    assert (outcome.state, outcome.reason) == ("CANCELLED", "Bytes scanned limit was exceeded")
    assert outcome.scanned_bytes == 10_000_000
    assert account.run("SELECT count(a) FROM t", WorkGroup="frugal").state == "SUCCEEDED"
    assert account.run(both).state == "SUCCEEDED"
    update = {"RemoveBytesScannedCutoffPerQuery": True}
    account.athena.update_work_group(WorkGroup="frugal", ConfigurationUpdates=update)
    assert account.run(both, WorkGroup="frugal").state == "SUCCEEDED"
