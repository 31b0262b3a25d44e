from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from local_aws import LocalAws
from local_aws.athena.executions import Execution, Request
from tests.dev.local_aws.account import Account

ENDLESS = "WITH d (x) AS (VALUES 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) SELECT sum(a.x * b.x % c.x) FROM " + ", ".join(
    f"d {name}" for name in "abcdefghijklm"
)
TOKEN = "a-token-of-at-least-32-characters"


def _refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert response["Error"]["Code"] == "InvalidRequestException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["AthenaErrorCode"]
    return str(response["Error"]["Message"])


@pytest.fixture
def one_worker() -> Iterator[Account]:
    with LocalAws.start(workers=1) as aws:
        account = Account(aws)
        account.prepare()
        yield account


def test_a_query_from_submission_to_result(account: Account) -> None:
    outcome = account.run("SELECT 1 AS one, NULL AS nothing")
    execution = outcome.execution
    id_ = execution["QueryExecutionId"]
    assert execution["Query"] == "SELECT 1 AS one, NULL AS nothing"
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "SELECT")
    assert execution["ResultConfiguration"]["OutputLocation"] == f"s3://results/some/where/{id_}.csv"
    assert execution["WorkGroup"] == "primary"
    assert execution["QueryExecutionContext"]["Database"] == "db"
    status, statistics = execution["Status"], execution["Statistics"]
    assert status["SubmissionDateTime"] <= status["CompletionDateTime"]
    parts = sum(
        statistics[f"{name}InMillis"] for name in ("QueryQueueTime", "EngineExecutionTime", "ServiceProcessingTime")
    )
    assert abs(parts - statistics["TotalExecutionTimeInMillis"]) <= 3
    assert statistics["QueryPlanningTimeInMillis"] <= statistics["EngineExecutionTimeInMillis"]
    keys = [each["Key"] for each in account.s3.list_objects_v2(Bucket="results")["Contents"]]
    assert keys == [f"some/where/{id_}.csv", f"some/where/{id_}.csv.metadata"]


def test_answers_fit_the_service_model(account: Account) -> None:
    id_ = account.run("SELECT 1").execution["QueryExecutionId"]
    failed = account.run("SELECT * FROM nope").execution["QueryExecutionId"]
    account.create_table("t", {"a": "int"}, {"dt": "string"})
    model = botocore.session.get_session().get_service_model("athena")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("GetQueryExecution", {"QueryExecutionId": id_}),
        ("GetQueryExecution", {"QueryExecutionId": failed}),
        ("BatchGetQueryExecution", {"QueryExecutionIds": [id_, failed, "none"]}),
        ("ListQueryExecutions", {}),
        ("GetQueryResults", {"QueryExecutionId": id_}),
        ("GetWorkGroup", {"WorkGroup": "primary"}),
        ("ListWorkGroups", {}),
        ("GetDatabase", {"CatalogName": "AwsDataCatalog", "DatabaseName": "db"}),
        ("GetTableMetadata", {"CatalogName": "AwsDataCatalog", "DatabaseName": "db", "TableName": "t"}),
        ("GetDataCatalog", {"Name": "AwsDataCatalog"}),
        ("ListDataCatalogs", {}),
    ]
    raw: list[bytes] = []
    account.athena.meta.events.register(
        "before-parse.athena.*", lambda response_dict, **_: raw.append(response_dict["body"])
    )
    for operation, parameters in calls:
        method = botocore.xform_name(operation)
        assert set(getattr(account.athena, method)(**parameters)) > {"ResponseMetadata"}
        shape = model.operation_model(operation).output_shape
        report = ParamValidator().validate(_without_times(json.loads(raw[-1])), shape)
        assert not report.has_errors(), (operation, report.generate_report())


def _without_times(value: Any) -> Any:
    """Times are numbers on the wire, of which botocore's validator knows nothing."""
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if not k.endswith(("DateTime", "Time"))}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def test_results_in_pages(account: Account) -> None:
    numbers = "(VALUES " + ", ".join(f"({i})" for i in range(50)) + ")"
    sql = f"""
        SELECT n, CASE WHEN n % 2 = 0 THEN '"' || CAST(n AS VARCHAR) || '"\n' END AS s
        FROM (SELECT a.x * 50 + b.x AS n FROM {numbers} AS a (x), {numbers} AS b (x))
        ORDER BY n
    """
    id_ = account.run(sql).execution["QueryExecutionId"]
    pages = list(account.athena.get_paginator("get_query_results").paginate(QueryExecutionId=id_))
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [1000, 1000, 501]
    data = [[d.get("VarCharValue") for d in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    assert data == [["n", "s"], *([str(i), None if i % 2 else f'"{i}"\n'] for i in range(2500))]
    first = account.athena.get_query_results(QueryExecutionId=id_, MaxResults=2)
    second = account.athena.get_query_results(QueryExecutionId=id_, MaxResults=2, NextToken=first["NextToken"])
    assert [row["Data"][0]["VarCharValue"] for row in second["ResultSet"]["Rows"]] == ["1", "2"]
    assert "MaxResults" in _refusal(account.athena.get_query_results, QueryExecutionId=id_, MaxResults=1001)
    assert "NextToken" in _refusal(account.athena.get_query_results, QueryExecutionId=id_, NextToken="x")


def test_results_of_what_has_none(account: Account) -> None:
    failed = account.run("SELECT 1 / 0").execution["QueryExecutionId"]
    assert "Final query state: FAILED" in _refusal(account.athena.get_query_results, QueryExecutionId=failed)
    running = account.start(ENDLESS)
    assert "not yet finished" in _refusal(account.athena.get_query_results, QueryExecutionId=running)
    account.athena.stop_query_execution(QueryExecutionId=running)
    account.wait(running)
    assert "Final query state: CANCELLED" in _refusal(account.athena.get_query_results, QueryExecutionId=running)
    done = account.run("SELECT 1").execution
    account.s3.delete_object(Bucket="results", Key=f"some/where/{done['QueryExecutionId']}.csv")
    message = _refusal(account.athena.get_query_results, QueryExecutionId=done["QueryExecutionId"])
    assert message == "Could not find results"
    with pytest.raises(ClientError, match="was not found") as caught:
        account.athena.get_query_execution(QueryExecutionId="none")
    assert caught.value.response["AthenaErrorCode"] == "QUERY_EXECUTION_NOT_FOUND"


def test_the_same_token_is_the_same_execution(account: Account) -> None:
    first = account.start("SELECT 1", ClientRequestToken=TOKEN)
    assert account.start("SELECT 1", ClientRequestToken=TOKEN) == first
    account.wait(first)
    assert account.start("SELECT 1", ClientRequestToken=TOKEN) == first
    assert account.start("SELECT 1", ClientRequestToken=TOKEN.upper()) != first


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "SELECT 2"},
        {"QueryExecutionContext": {"Database": "other"}},
        {"QueryExecutionContext": {"Database": "db", "Catalog": "awsdatacatalog"}},
        {"QueryExecutionContext": {}},
        {"ResultConfiguration": {"OutputLocation": "s3://results/else/"}},
    ],
)
def test_a_token_stands_for_one_sql_catalog_database_and_location(account: Account, change: dict[str, Any]) -> None:
    account.start("SELECT 1", ClientRequestToken=TOKEN)
    with pytest.raises(ClientError) as caught:
        account.start(**{"sql": "SELECT 1", "ClientRequestToken": TOKEN, **change})
    assert caught.value.response["Error"]["Message"] == "Idempotent parameters do not match"
    assert caught.value.response["AthenaErrorCode"] == "IDEMPOTENT_PARAMETER_MISMATCH"


def test_other_parameters_or_another_workgroup_under_a_token_give_the_same_execution(
    account: Account,
) -> None:
    first = account.start("SELECT ?", ClientRequestToken=TOKEN, ExecutionParameters=["1"])
    assert account.start("SELECT ?", ClientRequestToken=TOKEN, ExecutionParameters=["2"]) == first
    account.athena.create_work_group(Name="dev", Configuration={"EnforceWorkGroupConfiguration": False})
    again = account.start("SELECT ?", ClientRequestToken=TOKEN, ExecutionParameters=["1"], WorkGroup="dev")
    assert again == first


def test_what_is_refused_uses_no_token_up(account: Account) -> None:
    assert "mismatched" in _refusal(account.start, sql="SELECT * FORM t", ClientRequestToken=TOKEN)
    assert account.run("SELECT 1", ClientRequestToken=TOKEN).execution["Status"]["State"] == "SUCCEEDED"


def test_an_execution_tells_its_catalog_in_lower_case_and_no_database_where_none_was_given(
    account: Account,
) -> None:
    id_ = account.start("SELECT 1", QueryExecutionContext={"Catalog": "AwsDataCatalog"})
    execution = account.athena.get_query_execution(QueryExecutionId=id_)["QueryExecution"]
    assert execution["QueryExecutionContext"] == {"Catalog": "awsdatacatalog"}


def test_one_execution_of_many_racers_with_one_token(account: Account) -> None:
    ids: list[str] = []
    racers = [
        threading.Thread(target=lambda: ids.append(account.start("SELECT 1", ClientRequestToken=TOKEN)))
        for _ in range(12)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(ids) == 12
    assert len(set(ids)) == 1
    assert account.athena.list_query_executions()["QueryExecutionIds"] == [ids[0]]


@pytest.mark.parametrize("token", [{}, {"ClientRequestToken": "x" * 31}, {"ClientRequestToken": "x" * 129}])
def test_each_start_has_a_token_of_32_to_128_characters(account: Account, token: dict[str, str]) -> None:
    body = {"QueryString": "SELECT 1", **token}
    request = urllib.request.Request(
        account.aws.endpoint_url,
        json.dumps(body).encode(),
        {"X-Amz-Target": "AmazonAthena.StartQueryExecution", "Content-Type": "application/x-amz-json-1.1"},
    )
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(request)
    assert caught.value.headers["x-amzn-errortype"] is None
    answer = json.load(caught.value)
    assert (answer["__type"], answer["AthenaErrorCode"], answer["ErrorCode"]) == (
        "InvalidRequestException",
        "INVALID_INPUT",
        "INVALID_INPUT",
    )
    assert "ClientRequestToken" in answer["Message"]


def test_refused_requests(account: Account) -> None:
    assert "longer than 262144 bytes" in _refusal(account.start, sql=f"SELECT '{'é' * 131_072}'")
    assert account.run(f"SELECT length('{'x' * 262_000}')").csv == '"_col0"\n"262000"\n'
    assert "line 1:10: mismatched input 'FORM'" in _refusal(account.start, sql="SELECT * FORM t")
    long = {"ExecutionParameters": [f"'{'x' * 1023}'"]}
    assert "1024 characters" in _refusal(account.start, sql="SELECT ?", **long)
    assert "expected 1 but found 2" in _refusal(account.start, sql="SELECT ?", ExecutionParameters=["1", "2"])
    nowhere: dict[str, Any] = {"ResultConfiguration": {}}
    assert "No output location provided" in _refusal(account.start, sql="SELECT 1", **nowhere)
    file = {"ResultConfiguration": {"OutputLocation": "file:///tmp/"}}
    assert "not a valid S3 path" in _refusal(account.start, sql="SELECT 1", **file)
    assert "WorkGroup none is not found" in _refusal(account.start, sql="SELECT 1", WorkGroup="none")
    catalog = {"QueryExecutionContext": {"Catalog": "other"}}
    assert "other" in _refusal(account.start, sql="SELECT 1", **catalog)
    assert "does not do the operation" in _refusal(account.athena.list_named_queries)
    assert account.athena.list_query_executions()["QueryExecutionIds"][1:] == []


def test_parameters_reach_the_query_and_nobody_else(account: Account) -> None:
    outcome = account.run("SELECT ? || ?", ExecutionParameters=["'it''s '", "'?'"])
    assert outcome.csv == '"_col0"\n"it\'s ?"\n'
    assert outcome.execution["Query"] == "SELECT ? || ?"
    assert "ExecutionParameters" not in outcome.execution


def test_newest_first_by_workgroup(account: Account) -> None:
    account.athena.create_work_group(Name="other")
    ids = [account.start("SELECT 1", WorkGroup=group) for group in ("primary", "other") * 3]
    pages = account.athena.get_paginator("list_query_executions").paginate(
        WorkGroup="other", PaginationConfig={"PageSize": 2}
    )
    assert [page["QueryExecutionIds"] for page in pages] == [[ids[5], ids[3]], [ids[1]]]
    answer = account.athena.batch_get_query_execution(QueryExecutionIds=[ids[2], "none"])
    assert [each["QueryExecutionId"] for each in answer["QueryExecutions"]] == [ids[2]]
    assert answer["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"] == "none"


# --- stopping ---------------------------------------------------------------------------------------------


def _state(account: Account, id_: str) -> str:
    return str(account.athena.get_query_execution(QueryExecutionId=id_)["QueryExecution"]["Status"]["State"])


def test_a_running_and_a_queued_query_are_stopped_for_good(one_worker: Account) -> None:
    running = one_worker.start(ENDLESS)
    while _state(one_worker, running) == "QUEUED":
        pass
    queued = one_worker.start("SELECT 1")
    assert _state(one_worker, running) == "RUNNING"
    assert _state(one_worker, queued) == "QUEUED"
    one_worker.athena.stop_query_execution(QueryExecutionId=queued)
    assert _state(one_worker, queued) == "CANCELLED"
    one_worker.athena.stop_query_execution(QueryExecutionId=running)
    assert one_worker.wait(running).state == "CANCELLED"
    after = one_worker.run("SELECT 1")
    assert after.state == "SUCCEEDED"
    assert _state(one_worker, queued) == "CANCELLED"
    keys = [each["Key"] for each in one_worker.s3.list_objects_v2(Bucket="results")["Contents"]]
    assert all(after.execution["QueryExecutionId"] in key for key in keys)


def test_a_stop_at_any_moment_ends_the_query(account: Account) -> None:
    ids = []
    for polls in range(24):
        ids.append(account.start(ENDLESS))
        for _ in range(polls % 8):
            account.athena.get_query_execution(QueryExecutionId=ids[-1])
        account.athena.stop_query_execution(QueryExecutionId=ids[-1])
    assert {account.wait(id_).state for id_ in ids} == {"CANCELLED"}


def test_stopping_what_is_over_changes_nothing(account: Account) -> None:
    for sql in ("SELECT 1", "SELECT 1 / 0"):
        before = account.run(sql)
        id_ = before.execution["QueryExecutionId"]
        account.athena.stop_query_execution(QueryExecutionId=id_)
        assert account.wait(id_).execution["Status"] == before.execution["Status"]


def test_a_stop_wins_over_an_engine_that_finishes_at_the_same_moment() -> None:
    request = Request("SELECT 1", (), "db", "AwsDataCatalog", "primary", {}, "us-east-1")
    execution = Execution(request, {"OutputLocation": "s3://results/"}, None, None)
    execution.state, execution.started = "RUNNING", execution.submitted
    execution.stop()
    assert execution.state == "RUNNING"
    execution.finish("SUCCEEDED")
    assert execution.state == "CANCELLED"
    execution.finish("SUCCEEDED")
    assert execution.state == "CANCELLED"


# --- workgroups -------------------------------------------------------------------------------------------


def _where(account: Account, **parameters: Any) -> str:
    location: str = account.run("SELECT 1", **parameters).execution["ResultConfiguration"]["OutputLocation"]
    return location.rpartition("/")[0]


def test_a_workgroup_enforces_its_location(account: Account) -> None:
    configuration = {"ResultConfiguration": {"OutputLocation": "s3://results/own/"}}
    account.athena.create_work_group(Name="dev", Configuration=configuration)
    assert _where(account, WorkGroup="dev") == "s3://results/own"
    account.athena.update_work_group(WorkGroup="dev", ConfigurationUpdates={"EnforceWorkGroupConfiguration": False})
    assert _where(account, WorkGroup="dev") == "s3://results/some/where"
    assert _where(account, WorkGroup="dev", ResultConfiguration={}) == "s3://results/own"
    group = account.athena.get_work_group(WorkGroup="dev")["WorkGroup"]
    assert group["Configuration"]["ResultConfiguration"] == {"OutputLocation": "s3://results/own/"}
    removal = {"ResultConfigurationUpdates": {"RemoveOutputLocation": True}}
    account.athena.update_work_group(WorkGroup="dev", ConfigurationUpdates=removal)
    nowhere: dict[str, Any] = {"ResultConfiguration": {}}
    assert "No output location" in _refusal(account.start, sql="SELECT 1", WorkGroup="dev", **nowhere)


def test_the_life_of_a_workgroup(account: Account) -> None:
    account.athena.create_work_group(Name="dev", Description="first")
    assert "already created" in _refusal(account.athena.create_work_group, Name="dev")
    assert [group["Name"] for group in account.athena.list_work_groups()["WorkGroups"]] == ["dev", "primary"]
    account.athena.update_work_group(WorkGroup="dev", State="DISABLED")
    assert account.athena.get_work_group(WorkGroup="dev")["WorkGroup"]["State"] == "DISABLED"
    assert "is disabled" in _refusal(account.start, sql="SELECT 1", WorkGroup="dev")
    account.athena.delete_work_group(WorkGroup="dev")
    assert "not found" in _refusal(account.athena.get_work_group, WorkGroup="dev")
    assert "cannot be deleted" in _refusal(account.athena.delete_work_group, WorkGroup="primary")
    encryption = {"EnableMinimumEncryptionConfiguration": True}
    assert "NOT_SUPPORTED" in _refusal(account.athena.create_work_group, Name="x", Configuration=encryption)


def test_a_result_that_cannot_be_written(account: Account) -> None:
    outcome = account.run("SELECT 1", ResultConfiguration={"OutputLocation": "s3://no-such-bucket/"})
    assert outcome.state == "FAILED"
    assert outcome.execution["Status"]["AthenaError"]["ErrorType"] in (401, 402)


def test_regions_have_catalogs_of_their_own(account: Account) -> None:
    account.create_table("t", {"a": "int"})
    elsewhere = account.aws.client("athena", "ap-northeast-1")
    location = {"OutputLocation": "s3://results/"}
    id_ = elsewhere.start_query_execution(QueryString="SELECT * FROM db.t", ResultConfiguration=location)
    assert account.wait(id_["QueryExecutionId"]).reason.startswith("SCHEMA_NOT_FOUND")
    assert account.run("SELECT * FROM db.t").state == "SUCCEEDED"
