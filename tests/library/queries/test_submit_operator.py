from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from athena_reports.periods.sql_period import SqlPeriod, literal
from athena_reports.queries.ownership import Marker
from athena_reports.queries.submission import Submitted
from athena_reports.queries.submit_operator import (
    PERIOD_XCOM,
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.reports.report import Input
from athena_reports.settings import Encryption
from tests.library.queries.tasks import FACTS, WEEK, Run, context, submit_task, submitted
from tests.simulation.clock import START as NOW
from tests.simulation.clock import VirtualClock
from tests.simulation.memory_athena import LOST, THROTTLED, MemoryAthena, api_error

pytestmark = pytest.mark.usefixtures("clock")


def rendered(query: str, run: Run | None = None, param: str | None = "", **fields: Any) -> Any:
    task = submit_task(query, **fields)
    task.render_template_fields(context(run, param))
    return task


# --- rendering


def test_the_query_is_rendered_for_the_period_of_the_run() -> None:
    task = rendered('SELECT {{ period.contains("at") }} FROM {{ period.previous.partitions("dt") }}')

    assert task.query == (f"SELECT {SqlPeriod(WEEK).contains('at')} FROM {SqlPeriod(WEEK.previous).partitions('dt')}")
    assert task.period == FACTS
    assert set(AthenaSubmitOperator.template_fields) == {*AthenaOperator.template_fields, "period"}


def test_the_partitions_follow_the_lateness_of_the_report() -> None:
    source = 'SELECT {{ period.partitions("dt") }}'

    assert "'2025-06-15'" not in rendered(source).query
    assert "'2025-06-15'" in rendered(source, late_by=timedelta(days=1)).query


@pytest.mark.parametrize(
    ("run", "param", "period_id"),
    [
        (Run(), "", "2025-06-08"),
        (Run(), None, "2025-06-08"),
        (Run("backfill"), "", "2025-06-08"),
        (Run("manual", NOW, None, None), "", "2025-06-08"),
        (Run("manual", NOW - timedelta(days=7), None, None), "", "2025-06-01"),
        (Run("manual"), "2025-05-25", "2025-05-25"),
    ],
)
def test_each_kind_of_run_has_its_period(run: Run, param: str | None, period_id: str) -> None:
    task = rendered("SELECT '{{ period }}'", run, param)

    assert task.query == f"SELECT '{period_id}'"
    assert task.period["id"] == period_id


@pytest.mark.parametrize(
    ("run", "param", "says"),
    [
        (Run("backfill"), "2025-06-08", "belongs to a backfill"),
        (Run("manual", NOW, None, None), "2025-06-15", "is not over"),
        (Run("manual", NOW, None, None), "2025-06-09", "2025-06-08"),
        (Run("backfill", NOW, WEEK.next.start_utc, WEEK.next.end_utc), "", "is not over"),
    ],
)
def test_a_run_without_a_reportable_period_fails_for_good_before_anything_is_called(
    run: Run, param: str, says: str
) -> None:
    """No retry helps; and at the address of AWS nobody listens, so a call would be another error."""
    with pytest.raises(AirflowFailException) as caught:
        rendered("SELECT 1", run, param)

    assert str(caught.value).startswith("plays_weekly: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ period.id }}",
        "{% for x in range(9) %}{{ x }}{% endfor %}",
        "'; DROP TABLE plays; --",
        "{# #}{{ ds }}",
        "plays.sql",
    ],
)
def test_the_text_of_a_param_is_never_rendered(text: str) -> None:
    assert rendered("SELECT {{ params.text }}", sql_params={"text": text}).query == f"SELECT {literal(text)}"


def test_a_param_of_the_run_does_not_reach_the_sql() -> None:
    task, given = submit_task("SELECT {{ params.top }}", sql_params={"top": 10}), context()
    given["params"] |= {"top": "1; DROP TABLE plays"}
    task.render_template_fields(given)

    assert task.query == "SELECT 10"


def test_without_a_cadence_the_context_is_airflows_and_there_is_no_period(athena: MemoryAthena) -> None:
    given = context()
    submitted(given, "SELECT '{{ ds }}'", cadence=None)

    assert athena.queries["q-1"].request["QueryString"].startswith("SELECT '1999-01-01'\n")
    assert PERIOD_XCOM not in given["ti"].xcoms
    assert given["ti"].xcoms[SUBMITTED_XCOM]["period"] is None


# --- submitting


def test_submitting_is_one_call_and_hands_the_facts_on(athena: MemoryAthena, clock: VirtualClock) -> None:
    given = context()

    assert submitted(given) == "q-1"
    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]
    assert clock.seconds == 0
    sql, marker = athena.queries["q-1"].request["QueryString"].split("\n")
    assert sql == "SELECT 1 AS a"
    assert marker.startswith("-- ")
    assert {**athena.queries["q-1"].request, "QueryString": sql} == {
        "QueryString": "SELECT 1 AS a",
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "AwsDataCatalog"},
        "ResultConfiguration": {"OutputLocation": "s3://results/"},
        "WorkGroup": "dev",
    }
    xcoms = json.loads(json.dumps(given["ti"].xcoms))
    assert xcoms[PERIOD_XCOM] == FACTS
    assert Submitted.model_validate(xcoms[SUBMITTED_XCOM]) == Submitted(
        period=WEEK.facts, sql_sha256=hashlib.sha256(b"SELECT 1 AS a").hexdigest()
    )
    (link,) = AthenaSubmitOperator.operator_extra_links
    assert xcoms[link.key]["query_execution_id"] == "q-1"
    assert xcoms[link.key]["region_name"] == "ap-northeast-1"


def test_athena_writes_files_if_it_is_told_where(athena: MemoryAthena) -> None:
    submitted(context(), "SELECT 1 AS a LIMIT 5;", unload_to="s3://results/unload/")

    text = athena.queries["q-1"].request["QueryString"]
    unload = r"UNLOAD \(\nSELECT 1 AS a LIMIT 5\n\) TO 's3://results/unload/[0-9a-f]{32}/0/' WITH "
    assert re.match(unload, text)


@pytest.mark.parametrize(
    ("encryption", "told"),
    [
        (None, {}),
        (Encryption.from_text("AES256"), {"EncryptionOption": "SSE_S3"}),
        (
            Encryption.from_text("alias/reports"),
            {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/reports"},
        ),
    ],
)
def test_owner_and_encryption_reach_athena(
    athena: MemoryAthena, encryption: Encryption | None, told: dict[str, str]
) -> None:
    submitted(context(), result_configuration=result_configuration("012345678901", encryption))

    assert athena.queries["q-1"].request["ResultConfiguration"] == {
        "OutputLocation": "s3://results/",
        "ExpectedBucketOwner": "012345678901",
        **({"EncryptionConfiguration": told} if told else {}),
    }
    assert result_configuration("", None) == {}


def test_a_workgroup_that_keeps_its_results_is_told_no_location(athena: MemoryAthena) -> None:
    submitted(context(), output_location=None)

    assert athena.queries["q-1"].request["ResultConfiguration"] == {}


def test_a_missing_partition_fails_the_run_before_anything_is_paid(
    athena: MemoryAthena, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "submit_lake"})
    keys: Any = [{"Name": "dt", "Type": "string"}]
    glue.create_table(DatabaseName="submit_lake", TableInput={"Name": "plays", "PartitionKeys": keys})

    def run(missing: Any) -> Submitted:
        given = context()
        submitted(given, inputs=[Input("plays", database="submit_lake", missing=missing)])
        return Submitted.model_validate(given["ti"].xcoms[SUBMITTED_XCOM])

    with pytest.raises(AirflowException, match=r"period 2025-06-08.*submit_lake\.plays.*No query was started"):
        run("fail")
    assert not athena.queries
    (coverage,) = run("partial").inputs
    assert len(coverage.absent) == coverage.needed == 8


def test_the_marker_names_the_run_and_the_instance_of_a_mapped_task(athena: MemoryAthena) -> None:
    started = datetime.fromisoformat("2025-06-15T00:05:00+00:00")
    for index in (-1, 0, 1):
        submitted(context(Run(clear_number=2, start_date=started), map_index=index))

    markers = [Marker.find(query.request["QueryString"]) for query in athena.queries.values()]
    assert [marker.owner for marker in markers if marker] == [
        ("dev", "plays_weekly", "run-1", task) for task in ("run_query", "run_query[0]", "run_query[1]")
    ]
    assert {marker.generation for marker in markers if marker} == {"2 since 2025-06-15T00:05:00+00:00"}


@pytest.mark.parametrize("crash", ["before its id was saved", "as the answer was lost"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_retry_after_a_crash_leads_back_to_the_query(athena: MemoryAthena, crash: str, forgotten: bool) -> None:
    """No XCom of the first try is left: Airflow clears them when a retry starts."""

    def lose(action: str) -> None:
        if action == "StartQueryExecution" and "lost" in crash:
            raise LOST

    athena.after = lose
    if "lost" in crash:
        with pytest.raises(AirflowException) as caught:
            submitted(context())
        assert not isinstance(caught.value, AirflowFailException)
    else:
        submitted(context())
    if forgotten:
        athena.forget_tokens()

    assert submitted(context(try_number=2)) == "q-1"
    assert len(athena.queries) == 1


def test_a_run_that_is_cleared_is_a_new_intention_and_a_retry_with_edited_sql_replaces_its_predecessor(
    athena: MemoryAthena,
) -> None:
    submitted(context())
    assert submitted(context(Run(clear_number=1), try_number=2, max_tries=4)) == "q-2"
    assert athena.states == ["QUEUED", "QUEUED"]

    assert submitted(context(try_number=2), "SELECT 2 AS a") == "q-3"
    assert athena.states == ["CANCELLED", "QUEUED", "QUEUED"]


@pytest.mark.parametrize(
    ("error", "retried", "says"),
    [
        (THROTTLED, True, "throttled"),
        (api_error("TooManyRequestsException", "CONCURRENT_QUERY_LIMIT_EXCEEDED"), True, "throttled"),
        (api_error("InternalServerException", status=500), True, "did not answer"),
        (LOST, True, "did not answer"),
        (api_error("InvalidRequestException", "line 1:10: mismatched input"), False, "line 1:10"),
        (api_error("AccessDeniedException", "no identity-based policy"), False, "Grant what is missing"),
    ],
    ids=["throttled", "too many", "internal", "lost", "syntax", "denied"],
)
def test_a_start_that_fails_is_retried_by_airflow_only_where_it_helps(
    athena: MemoryAthena, error: Exception, retried: bool, says: str
) -> None:
    def refuse(_: str) -> None:
        raise error

    athena.before = refuse
    with pytest.raises(AirflowException) as caught:
        submitted(context())

    assert isinstance(caught.value, AirflowFailException) is not retried
    assert str(caught.value).startswith("plays_weekly, period 2025-06-08, environment dev: ")
    assert says in str(caught.value)
    assert len(athena.calls) == 1


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        (["AWS_DEFAULT_REGION"], AirflowFailException),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], AirflowException),  # a role may be there in a moment
    ],
)
def test_what_the_environment_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: list[str], error: type[Exception]
) -> None:
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(error, match=missing[0]) as caught:
        submitted(context())

    assert type(caught.value) is error


# --- stopping


def test_a_killed_submission_stops_its_query_and_waits_for_nothing(athena: MemoryAthena, clock: VirtualClock) -> None:
    task = submit_task()
    task.on_kill()
    assert athena.calls == []
    task = rendered("SELECT 1")
    task.execute(context())
    task.on_kill()

    assert athena.states == ["CANCELLED"]
    assert athena.count("GetQueryExecution") == 0
    assert clock.seconds == 0


def test_a_query_that_is_being_submitted_when_the_kill_comes_is_stopped(athena: MemoryAthena) -> None:
    """Airflow's handler of SIGTERM calls on_kill and returns: the code goes on where it was."""

    def kill(action: str) -> None:
        if action == "StartQueryExecution":
            task.on_kill()

    athena.after = kill
    task, given = rendered("SELECT 1"), context()
    with pytest.raises(AirflowException, match="killed while query q-1 was submitted"):
        task.execute(given)

    assert athena.states == ["CANCELLED"]
    assert given["ti"].xcoms == {}
