"""Athena's operations, as a client meets them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from local_athena.athena.clients import ACCOUNT
from tests.account import TOKEN, Account, numbers, refused

DIGITS = ", ".join("123456789")
ENDLESS = f"WITH d (x) AS (VALUES {DIGITS}) SELECT sum(a.x * b.x % c.x) FROM " + ", ".join(
    f"d {n}" for n in "abcdefghijklm"
)
NOWHERE: dict[str, Any] = {"ResultConfiguration": {}}
LOCATION = {"ResultConfiguration": {"OutputLocation": "s3://results/own/"}}
MANAGED = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
IN_MANAGED: dict[str, Any] = {"WorkGroup": "managed", "ResultConfiguration": None}
REUSE = {"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": True}}}
BOTH = "ManagedQueryResultsConfiguration and ResultConfiguration cannot be set together."


def refusal(call: Any, **parameters: Any) -> str:
    error = refused(call, **parameters)
    assert (error["Code"], error["Status"]) == ("InvalidRequestException", 400)
    assert error["AthenaErrorCode"]
    return str(error["Message"])


def rows(account: Account, id_: str) -> list[list[str | None]]:
    pages = account.athena.get_paginator("get_query_results").paginate(QueryExecutionId=id_)
    listed = [row for page in pages for row in page["ResultSet"]["Rows"]]
    return [[datum.get("VarCharValue") for datum in row["Data"]] for row in listed]


def test_a_query_from_submission_to_result(account: Account) -> None:
    catalog = {"Catalog": "AwsDataCatalog"}
    outcome = account.run(
        "SELECT ? || ?", ExecutionParameters=["'it''s '", "'?'"], QueryExecutionContext=catalog
    )
    assert outcome.csv == '"_col0"\n"it\'s ?"\n'
    execution, id_ = outcome.execution, outcome.id
    assert "ExecutionParameters" not in execution
    # The catalog is told in lower case, and no database where none was given.
    assert (
        execution.items()
        >= {
            "Query": "SELECT ? || ?",
            "StatementType": "DML",
            "SubstatementType": "SELECT",
            "ResultConfiguration": {"OutputLocation": f"s3://results/some/where/{id_}.csv"},
            "WorkGroup": "primary",
            "QueryExecutionContext": {"Catalog": "awsdatacatalog"},
        }.items()
    )
    status, statistics = execution["Status"], execution["Statistics"]
    assert status["SubmissionDateTime"] <= status["CompletionDateTime"]
    names = ("QueryQueueTime", "EngineExecutionTime", "ServiceProcessingTime")
    parts = sum(statistics[f"{name}InMillis"] for name in names)
    assert abs(parts - statistics["TotalExecutionTimeInMillis"]) <= 3
    assert statistics["QueryPlanningTimeInMillis"] <= statistics["EngineExecutionTimeInMillis"]
    assert account.keys("results") == [f"some/where/{id_}.csv", f"some/where/{id_}.csv.metadata"]


def test_answers_fit_the_service_model(account: Account) -> None:
    id_, failed = account.run("SELECT 1").id, account.run("SELECT * FROM nope").id
    account.create_table("t", {"a": "int"}, {"dt": "string"})
    model = botocore.session.get_session().get_service_model("athena")
    database = {"CatalogName": "AwsDataCatalog", "DatabaseName": "db"}
    calls: dict[str, dict[str, Any]] = {
        "GetQueryExecution": {"QueryExecutionId": failed},
        "BatchGetQueryExecution": {"QueryExecutionIds": [id_, failed, "none"]},
        "GetQueryResults": {"QueryExecutionId": id_},
        "GetWorkGroup": {"WorkGroup": "primary"},
        "GetTableMetadata": {**database, "TableName": "t"},
        "ListQueryExecutions": {},
        "ListWorkGroups": {},
    }
    raw: list[bytes] = []

    def keep(response_dict: dict[str, Any], **_: Any) -> None:
        raw.append(response_dict["body"])

    account.athena.meta.events.register("before-parse.athena.*", keep)
    for operation, parameters in calls.items():
        getattr(account.athena, botocore.xform_name(operation))(**parameters)
        shape = model.operation_model(operation).output_shape
        report = ParamValidator().validate(without_times(json.loads(raw[-1])), shape)
        assert not report.has_errors(), (operation, report.generate_report())


def without_times(value: Any) -> Any:
    """Times are numbers on the wire, of which botocore's validator knows nothing."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not k.endswith("Time")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("managed", [False, True])
def test_results_in_pages(account: Account, managed: bool) -> None:
    """A managed result is in no bucket, and reads the same."""
    account.athena.create_work_group(Name="managed", Configuration=MANAGED)
    place = IN_MANAGED if managed else {}
    text = "CASE WHEN n % 2 = 0 THEN '\"' || CAST(n AS VARCHAR) || '\n' END AS s"
    outcome = account.run(f"SELECT n, {text} FROM ({numbers(2500)}) ORDER BY n", **place)
    expected = [[str(i), None if i % 2 else f'"{i}\n'] for i in range(2500)]
    assert rows(account, outcome.id) == [["n", "s"], *expected]
    kept = {"Enabled": True} if managed else None
    assert outcome.execution.get("ManagedQueryResultsConfiguration") == kept
    is_kept = "ResultConfiguration" not in outcome.execution
    assert is_kept == (account.keys("results") == []) == managed
    results = account.athena.get_query_results
    first = results(QueryExecutionId=outcome.id, MaxResults=2)
    second = results(QueryExecutionId=outcome.id, MaxResults=2, NextToken=first["NextToken"])
    assert [row["Data"][0]["VarCharValue"] for row in second["ResultSet"]["Rows"]] == ["1", "2"]
    assert len(results(QueryExecutionId=outcome.id)["ResultSet"]["Rows"]) == 1000
    assert "MaxResults" in refusal(results, QueryExecutionId=outcome.id, MaxResults=1001)
    other = account.run("SELECT 1").id
    for id_, token in ((other, first["NextToken"]), (outcome.id, "nonsense"), (outcome.id, "é")):
        assert "Invalid NextToken" in refusal(results, QueryExecutionId=id_, NextToken=token)


def test_results_of_what_has_none(account: Account) -> None:
    def told(id_: str) -> str:
        return refusal(account.athena.get_query_results, QueryExecutionId=id_)

    assert "Final query state: FAILED" in told(account.run("SELECT 1 / 0").id)
    running = account.start(ENDLESS)
    assert "not yet finished" in told(running)
    account.athena.stop_query_execution(QueryExecutionId=running)
    account.wait(running)
    assert "Final query state: CANCELLED" in told(running)
    done = account.run("SELECT 1").id
    account.s3.delete_object(Bucket="results", Key=f"some/where/{done}.csv")
    assert told(done) == "Could not find results"
    unknown = refused(account.athena.get_query_execution, QueryExecutionId="none")
    assert unknown["AthenaErrorCode"] == "QUERY_EXECUTION_NOT_FOUND"


def test_a_token_stands_for_one_execution_of_one_sql_catalog_database_and_location(
    account: Account,
) -> None:
    """Whatever its parameters and workgroup are, and however many send it at once."""
    assert "mismatched" in refusal(account.start, sql="SELECT * FORM t", ClientRequestToken=TOKEN)
    one: dict[str, Any] = {"sql": "SELECT ?", "ExecutionParameters": ["1"]}
    one["ClientRequestToken"] = TOKEN
    with ThreadPoolExecutor(12) as racers:
        started = [racers.submit(account.start, **one) for _ in range(12)]
        (first,) = {each.result() for each in started}
    account.wait(first)
    free = {"EnforceWorkGroupConfiguration": False}
    account.athena.create_work_group(Name="dev", Configuration=free)
    for change in ({}, {"ExecutionParameters": ["2"]}, {"WorkGroup": "dev"}):
        assert account.start(**one | change) == first
    for change in (
        {"sql": "SELECT ? + 1"},
        {"QueryExecutionContext": {"Database": "other"}},
        {"QueryExecutionContext": {"Database": "db", "Catalog": "awsdatacatalog"}},
        {"QueryExecutionContext": {}},
        LOCATION,
    ):
        error = refused(account.start, **one | change)
        assert error["Message"] == "Idempotent parameters do not match"
        assert error["AthenaErrorCode"] == "IDEMPOTENT_PARAMETER_MISMATCH"
    assert account.created() == [first]
    assert account.start(**one | {"ClientRequestToken": TOKEN.upper()}) != first


SHORT = b'{"QueryString": "SELECT 1", "ClientRequestToken": "short"}'


@pytest.mark.parametrize("body", [b"[]", b'{"QueryString": "SELECT 1"}', SHORT])
def test_what_no_client_of_aws_would_send_is_refused_in_athenas_form(
    account: Account, body: bytes
) -> None:
    headers = {
        "X-Amz-Target": "AmazonAthena.StartQueryExecution",
        "Content-Type": "application/x-amz-json-1.1",
    }
    request = urllib.request.Request(account.aws.endpoint_url, body, headers)
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(request)
    assert caught.value.headers["x-amzn-errortype"] is None
    answer = json.load(caught.value)
    assert answer["__type"] == "InvalidRequestException"
    assert answer["AthenaErrorCode"] == "INVALID_INPUT"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sql": f"SELECT '{'é' * 131_068}'"}, "longer than 262144 bytes"),
        ({"sql": "SELECT * FORM t"}, "line 1:10: "),
        ({"sql": "SELECT ?", "ExecutionParameters": [f"'{'x' * 1023}'"]}, "1024 characters"),
        ({"sql": "SELECT ?", "ExecutionParameters": ["1", "2"]}, "expected 1 but found 2"),
        (NOWHERE, "No output location provided"),
        ({"ResultConfiguration": {"OutputLocation": "file:///tmp/"}}, "not a valid S3 path"),
        ({"WorkGroup": "none"}, "WorkGroup none is not found"),
        ({"QueryExecutionContext": {"Catalog": "other"}}, "other"),
        ({"WorkGroup": "managed", **LOCATION}, BOTH),
        ({"WorkGroup": "managed", **NOWHERE}, BOTH),
        ({"WorkGroup": "disabled"}, "is disabled"),
        ({"ClientRequestToken": "x" * 129}, "ClientRequestToken must have 32 to 128 characters"),
        (REUSE, "NOT_SUPPORTED: the local Athena does not support result reuse"),
    ],
)
def test_a_start_that_is_refused(
    account: Account, parameters: dict[str, Any], message: str
) -> None:
    account.athena.create_work_group(Name="managed", Configuration=MANAGED)
    account.athena.create_work_group(Name="disabled")
    account.athena.update_work_group(WorkGroup="disabled", State="DISABLED")
    assert message in refusal(account.start, **{"sql": "SELECT 1", **parameters})
    assert account.created() == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"sql": f"SELECT '{'x' * 262_135}'"},
        {"sql": "SELECT ?", "ExecutionParameters": [f"'{'x' * 1022}'"]},
        {"ClientRequestToken": "x" * 32},
        {"ClientRequestToken": "x" * 128},
        {"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}}},
    ],
)
def test_a_start_at_a_limit_is_accepted(account: Account, parameters: dict[str, Any]) -> None:
    assert account.run(**{"sql": "SELECT 1", **parameters}).state == "SUCCEEDED"


def test_newest_first_by_workgroup(account: Account) -> None:
    account.athena.create_work_group(Name="other")
    ids = [account.start("SELECT 1", WorkGroup=group) for group in ("primary", "other") * 3]
    paginator = account.athena.get_paginator("list_query_executions")
    pages = paginator.paginate(WorkGroup="other", PaginationConfig={"PageSize": 2})
    assert [page["QueryExecutionIds"] for page in pages] == [[ids[5], ids[3]], [ids[1]]]
    answer = account.athena.batch_get_query_execution(QueryExecutionIds=[ids[2], "none"])
    assert [each["QueryExecutionId"] for each in answer["QueryExecutions"]] == [ids[2]]
    assert answer["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"] == "none"


def test_an_operation_that_is_not_done_is_refused(account: Account) -> None:
    assert "does not support the operation" in refusal(account.athena.list_named_queries)


def test_a_token_that_no_answer_has_given_is_refused(account: Account) -> None:
    for token in ("nonsense", "é", "bm9uZQ=="):
        assert refusal(account.athena.list_query_executions, NextToken=token) == "Invalid NextToken"


# --- the catalog


def test_the_catalog_describes_a_table(account: Account) -> None:
    columns = {"StorageDescriptor": account.storage("s3://lake/t/", {"a": "int"})}
    columns["StorageDescriptor"]["Columns"][0]["Comment"] = "first"
    keys = [{"Name": "dt", "Type": "string"}]
    account.glue.create_table(
        DatabaseName="db",
        TableInput={"Name": "t", "PartitionKeys": keys, "Parameters": {"k": "v"}, **columns},
    )
    database = {"CatalogName": "AwsDataCatalog", "DatabaseName": "db"}
    table = account.athena.get_table_metadata(TableName="t", **database)["TableMetadata"]
    assert table.pop("CreateTime")
    assert table == {
        "Name": "t",
        "TableType": "EXTERNAL_TABLE",
        "Columns": [{"Name": "a", "Type": "int", "Comment": "first"}],
        "PartitionKeys": keys,
        "Parameters": {"k": "v", "location": "s3://lake/t/"},
    }
    missing = refused(account.athena.get_table_metadata, TableName="u", **database)
    assert missing["Code"] == "MetadataException"


# --- stopping


def test_a_stop_at_any_moment_ends_the_query_for_good(account: Account) -> None:
    ids = []
    for polls in range(6):
        ids.append(account.start(ENDLESS))
        for _ in range(polls):
            account.status(ids[-1])
        account.athena.stop_query_execution(QueryExecutionId=ids[-1])
    assert {account.wait(id_).state for id_ in ids} == {"CANCELLED"}
    assert account.keys("results") == []


def test_stopping_what_is_over_changes_nothing(account: Account) -> None:
    for sql in ("SELECT 1", "SELECT 1 / 0"):
        before = account.run(sql)
        account.athena.stop_query_execution(QueryExecutionId=before.id)
        assert account.wait(before.id).execution["Status"] == before.execution["Status"]


# --- workgroups


def test_a_workgroup_enforces_its_location(account: Account) -> None:
    def where(**parameters: Any) -> str:
        parameters = {"WorkGroup": "dev", **parameters}
        configuration = account.run("SELECT 1", **parameters).execution["ResultConfiguration"]
        return str(configuration["OutputLocation"]).rpartition("/")[0]

    def update(**changes: Any) -> None:
        account.athena.update_work_group(WorkGroup="dev", ConfigurationUpdates=changes)

    account.athena.create_work_group(Name="dev", Configuration=LOCATION)
    assert where() == "s3://results/own"
    free = {**LOCATION, "EnforceWorkGroupConfiguration": False}
    account.athena.create_work_group(Name="free", Configuration=free)
    assert where(WorkGroup="free") == "s3://results/some/where"
    update(EnforceWorkGroupConfiguration=False)
    assert where() == "s3://results/some/where"
    assert where(**NOWHERE) == "s3://results/own"
    group = account.athena.get_work_group(WorkGroup="dev")["WorkGroup"]
    assert group["Configuration"]["ResultConfiguration"] == LOCATION["ResultConfiguration"]
    update(ResultConfigurationUpdates={"RemoveOutputLocation": False})
    assert where(**NOWHERE) == "s3://results/own"
    update(ResultConfigurationUpdates={"RemoveOutputLocation": True})
    without: dict[str, Any] = {"sql": "SELECT 1", "WorkGroup": "dev", **NOWHERE}
    assert "No output location" in refusal(account.start, **without)


def test_a_managed_workgroup_takes_no_location_until_it_is_managed_no_more(
    account: Account,
) -> None:
    create, update = account.athena.create_work_group, account.athena.update_work_group
    create(Name="managed", Configuration=MANAGED)
    assert refusal(create, Name="both", Configuration=MANAGED | LOCATION) == BOTH
    updates: dict[str, Any] = {"ResultConfigurationUpdates": LOCATION["ResultConfiguration"]}
    assert refusal(update, WorkGroup="managed", ConfigurationUpdates=updates) == BOTH
    updates["ManagedQueryResultsConfigurationUpdates"] = {"Enabled": False}
    update(WorkGroup="managed", ConfigurationUpdates=updates)
    assert account.run("SELECT 1", WorkGroup="managed", **NOWHERE).csv == '"_col0"\n"1"\n'


def test_the_life_of_a_workgroup(account: Account) -> None:
    athena = account.athena
    create, get, delete = athena.create_work_group, athena.get_work_group, athena.delete_work_group
    update = athena.update_work_group

    def listed() -> list[tuple[str, str, str]]:
        groups = account.athena.list_work_groups()["WorkGroups"]
        return [(group["Name"], group["State"], group["Description"]) for group in groups]

    create(Name="test")
    create(Name="dev", Description="first")
    assert "already created" in refusal(create, Name="dev")
    others = [("primary", "ENABLED", ""), ("test", "ENABLED", "")]
    assert listed() == [("dev", "ENABLED", "first"), *others]
    update(WorkGroup="dev", State="DISABLED")
    assert listed() == [("dev", "DISABLED", "first"), *others]
    update(WorkGroup="dev", Description="second")
    assert listed() == [("dev", "DISABLED", "second"), *others]
    assert get(WorkGroup="dev")["WorkGroup"]["State"] == "DISABLED"
    update(WorkGroup="dev", State="ENABLED")
    account.run("SELECT 1", WorkGroup="dev")
    assert "is not empty" in refusal(delete, WorkGroup="dev")
    delete(WorkGroup="dev", RecursiveDeleteOption=True)
    assert "not found" in refusal(get, WorkGroup="dev")
    assert "not found" in refusal(delete, WorkGroup="dev")
    assert "cannot be deleted" in refusal(delete, WorkGroup="primary")
    encryption = {"EnableMinimumEncryptionConfiguration": True}
    assert "NOT_SUPPORTED" in refusal(create, Name="x", Configuration=encryption)
    create(Name="x", Configuration={"EnableMinimumEncryptionConfiguration": False})


# --- where a result cannot go


@pytest.mark.parametrize(
    ("place", "error_type"),
    [
        ({"OutputLocation": "s3://no-such-bucket/"}, 402),
        ({"OutputLocation": "s3://results/", "ExpectedBucketOwner": "210987654321"}, 1500),
        ({"OutputLocation": "s3://results/", "ExpectedBucketOwner": ACCOUNT}, None),
    ],
)
def test_a_result_is_written_to_a_bucket_of_the_expected_owner(
    account: Account, place: dict[str, str], error_type: int | None
) -> None:
    outcome = account.run("SELECT 1", ResultConfiguration=place)
    assert outcome.error.get("ErrorType") == error_type
    assert outcome.state == ("FAILED" if error_type else "SUCCEEDED")


def test_regions_have_catalogs_of_their_own(account: Account) -> None:
    account.create_table("t", {"a": "int"})
    start = account.aws.client("athena", "ap-northeast-1").start_query_execution
    id_ = start(QueryString="SELECT * FROM db.t", **LOCATION)["QueryExecutionId"]
    assert account.wait(id_).reason.startswith("SCHEMA_NOT_FOUND")
    assert account.run("SELECT * FROM db.t").state == "SUCCEEDED"
