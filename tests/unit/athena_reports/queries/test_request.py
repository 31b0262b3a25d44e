"""The two rules of the tokens;
tests/world and tests/services/test_successors.py show that a query is paid once.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.queries.request import QueryRequest, executed_sql
from tests.support.memory_athena import MemoryAthena
from tests.support.submissions import OWNER, request, start_sql

TEXTS = st.text(st.characters(codec="utf-8"))
UNLOAD_TO = "s3://results/unload/"
KMS = {"EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/reports"}}
OWNED = {"ExpectedBucketOwner": "012345678901"}


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT 1 ;\n", "SELECT 1 \n; "])
def test_a_semicolon_at_the_end_is_no_part_of_a_query(sql: str) -> None:
    assert request(sql) == request("SELECT 1")


def test_the_comment_is_one_line_that_people_and_other_tools_can_read() -> None:
    """The documented format: one JSON object, whatever the ids are."""
    made = request(run_id="manual\n-- '; DROP\u2028")
    *_, line = made.statement("t").split("\n")
    assert json.loads(line.removeprefix("-- athena-reports: ")) == {
        **OWNER,
        "run_id": "manual\n-- '; DROP\u2028",
    }
    assert line.isascii()
    assert len(line.splitlines()) == 1


SMALL = st.fixed_dictionaries(
    {
        "sql": st.sampled_from(["SELECT 1", "SELECT 2", "SELECT 1\n-- athena-reports: {}"]),
        "database": st.sampled_from(["", "database_dev", "database_stg"]),
        "catalog": st.sampled_from(["AwsDataCatalog", "other"]),
        "workgroup": st.sampled_from(["dev", "stg"]),
        "output": st.sampled_from(["", "s3://results/", "s3://others/"]),
        "unload_to": st.sampled_from([None, "s3://results/unload/", "s3://others/"]),
        "environment": st.sampled_from(["dev", "stg"]),
        "dag_id": st.sampled_from(["plays", "plays_weekly"]),
        "run_id": st.sampled_from(["run-1", "run-2", "weekly-run-1"]),
        "task_id": st.sampled_from(["run_query", "other_query"]),
        "map_index": st.sampled_from([-1, 0, 10]),
        "clear_number": st.sampled_from([0, 1, 10]),
        "run_started_at": st.sampled_from(["", "2025-06-15", "2025-06-16"]),
    }
)


@given(SMALL, SMALL, st.data(), st.sampled_from(["", "q-1"]), st.sampled_from(["", "q-1"]))
def test_two_tokens_are_equal_exactly_if_owner_request_and_predecessor_are(
    one: dict[str, Any], other: dict[str, Any], data: st.DataObject, failed: str, also_failed: str
) -> None:
    """Of two requests that differ in two fields at most."""
    twin = one | {
        name: other[name] for name in data.draw(st.sets(st.sampled_from(sorted(one)), max_size=2))
    }
    token = request(**one).token(failed)
    assert (token == request(**twin).token(also_failed)) == (one == twin and failed == also_failed)
    assert 32 <= len(token) <= 128


ENFORCED: dict[str, Any] = {"OutputLocation": "s3://of-workgroup/q-1.csv", **KMS}
RESPONSES: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = [
    # What it is, the folder of an UNLOAD, and the ResultConfiguration of the response and of the
    # successor's request.
    (
        "of the client",
        None,
        {"OutputLocation": "s3://results/a/q-1.csv", **OWNED, **KMS},
        {"OutputLocation": "s3://results/a/", **OWNED, **KMS},
    ),
    (
        "enforced by the workgroup",
        None,
        ENFORCED,
        {**ENFORCED, "OutputLocation": "s3://of-workgroup/"},
    ),
    (
        "of the workgroup by default",
        None,
        {"OutputLocation": "s3://default/q-1.csv"},
        {"OutputLocation": "s3://default/"},
    ),
    # Athena refuses a request with a ResultConfiguration for managed results.
    ("managed by Athena", None, {}, {}),
    ("managed by Athena, with a key", None, {**KMS}, {}),
    (
        "UNLOAD",
        UNLOAD_TO,
        {"OutputLocation": "s3://results/q-1"},
        {"OutputLocation": "s3://results/"},
    ),
    ("UNLOAD, with managed results", UNLOAD_TO, {}, {}),
]


@pytest.mark.parametrize(
    ("unload_to", "configured", "expected"),
    [row[1:] for row in RESPONSES],
    ids=[row[0] for row in RESPONSES],
)
def test_the_request_of_a_successor_is_that_of_the_execution_before_as_athena_tells_it(
    unload_to: str | None, configured: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = request("SELECT 1\nORDER BY 1", unload_to=unload_to)
    response: dict[str, Any] = {
        "QueryExecutionId": "q-1",
        "Query": made.statement(made.token()),
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "awsdatacatalog"},
        "WorkGroup": "dev",
    }
    if configured:
        response["ResultConfiguration"] = configured
    derived = QueryRequest.from_response({"QueryExecution": response})
    assert derived == QueryRequest(
        query="SELECT 1\nORDER BY 1",
        comment=made.comment,
        context={"Database": "database_dev", "Catalog": "awsdatacatalog"},
        workgroup="dev",
        result_configuration=expected,
        unload_to=unload_to,
    )
    # The successor's own response gives the same request, and so do two derivations.
    token = derived.token("q-1")
    again = {**response, "QueryExecutionId": "q-2", "Query": derived.statement(token)}
    assert QueryRequest.from_response({"QueryExecution": again}) == derived
    assert (f"'{UNLOAD_TO}{token}/'" in derived.statement(token)) == (unload_to is not None)


def test_a_response_without_a_database_gives_a_request_without_one() -> None:
    """To leave it out and to name `default` are different requests for Athena."""
    made = request(database="")
    response = {"Query": made.statement(made.token()), "WorkGroup": "dev"}
    derived = QueryRequest.from_response({"QueryExecution": response})
    assert derived.context == {}


def start(athena: MemoryAthena, made: QueryRequest, token: str) -> str:
    return str(athena.start_query_execution(**made.start_arguments(token))["QueryExecutionId"])


def test_an_empty_result_configuration_is_not_sent() -> None:
    """Athena rejects it in a workgroup with managed query results."""
    assert "ResultConfiguration" not in request(output="").start_arguments("t")
    made = request(output="s3://results/")
    assert made.start_arguments("t")["ResultConfiguration"] == made.result_configuration


@given(TEXTS, TEXTS)
def test_each_token_of_an_unload_has_a_folder_of_its_own(text: str, run_id: str) -> None:
    made = request(f"SELECT {text}", unload_to=UNLOAD_TO, run_id=run_id)
    token = made.token()
    options = "WITH (format = 'PARQUET', compression = 'ZSTD')"
    folder = f"{UNLOAD_TO}{token}/"
    expected = f"UNLOAD (\n{made.query}\n) TO '{folder}' {options}\n-- athena-reports: "
    assert made.statement(token) == expected + made.comment


@given(TEXTS, st.booleans())
def test_the_sql_that_ran_has_neither_comment_nor_unload(text: str, is_unloaded: bool) -> None:
    athena: Any = MemoryAthena()
    made = request(f"SELECT {text}", unload_to=UNLOAD_TO if is_unloaded else None)
    assert executed_sql(athena, start(athena, made, made.token())) == made.query


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '-- athena-reports: '",
        "SELECT 1\n-- athena-reports: by hand\nLIMIT 1",
        "UNLOAD (SELECT 1) TO 's3://mine/' WITH (format = 'PARQUET')",
    ],
)
def test_the_sql_of_somebody_else_is_told_as_it_is(athena: MemoryAthena, sql: str) -> None:
    told: Any = athena
    assert executed_sql(told, start_sql(athena, sql)) == sql
