from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import QueryError
from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import Period, daily
from athena_reports.queries.submission import Submitted
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.settings import Encryption, Settings
from athena_reports.sql.literals import literal
from athena_reports.steps import run_query
from athena_reports.steps.run_query import SUBMITTED_XCOM, AthenaSubmitOperator
from tests.support.airflow_run import DagRun, StateStore, context
from tests.support.calendars import WEEK
from tests.support.memory_athena import MemoryAthena
from tests.support.query_comments import comment_of
from tests.support.tasks import submit_task, submitted
from tests.support.virtual_clock import START as NOW
from tests.support.virtual_clock import VirtualClock
from tests.unit.athena_reports.steps.source_lake import DATABASE, SourceLake

pytestmark = pytest.mark.usefixtures("clock")


def rendered(query: str, run: DagRun | None = None, param: str | None = "", **fields: Any) -> Any:
    task = submit_task(query, **fields)
    task.render_template_fields(context(run, param))
    return task


def handed_on(**fields: Any) -> Submitted:
    """What a try of the task hands on."""
    given = context()
    submitted(given, **fields)
    return Submitted.model_validate(given["ti"].pushed[SUBMITTED_XCOM])


def dates_of(week: Period) -> list[str]:
    """The dates in UTC that a week of Tokyo touches."""
    return [str(week.first_date + timedelta(days=days)) for days in range(-1, 7)]


# --- the query


def test_the_query_is_rendered_for_the_period_of_the_run() -> None:
    task = rendered(
        'SELECT {{ period.contains("at") }} FROM {{ period.previous.partitions("dt") }}'
    )

    contains = SqlPeriod(WEEK).contains("at")
    assert task.query == f"SELECT {contains} FROM {SqlPeriod(WEEK.previous).partitions('dt')}"
    assert task.period == WEEK.model_dump(mode="json"), "the UI shows it with its bounds"


@pytest.mark.parametrize(
    ("run", "param", "says"),
    [
        (DagRun("backfill"), "2025-06-08", "backfill"),
        (DagRun("manual", NOW, None, None), "2025-06-15", "in the future"),
        (DagRun("manual", NOW, None, None), "2025-06-09", "2025-06-08"),
        (DagRun("backfill", NOW, WEEK.next.start_utc, WEEK.next.end_utc), "", "in the future"),
    ],
)
def test_a_run_without_a_reportable_period_fails_for_good_before_anything_is_called(
    run: DagRun, param: str, says: str
) -> None:
    """No retry helps. Nobody listens at the address of AWS, so a call would be another error."""
    with pytest.raises(AirflowFailException, match=rf"^plays_weekly: .*{says}"):
        rendered("SELECT 1", run, param)


@pytest.mark.parametrize("name", ["perod", "Period", "period_id"])
def test_a_misspelt_param_is_refused_and_not_ignored(name: str) -> None:
    task, given = submit_task(), context()
    given["params"] |= {name: "2025-06-01"}
    with pytest.raises(
        AirflowFailException, match=f"Unknown param '{name}'. Did you mean 'period'?"
    ):
        task.render_template_fields(given)

    task.dag.params[name] = ""  # of a DAG written by hand
    task.render_template_fields(given)


def test_a_template_that_cannot_be_rendered_is_not_retried() -> None:
    with pytest.raises(AirflowFailException, match="line 1 of the SQL: top is not defined"):
        rendered("SELECT {{ params.top }}", DagRun())


@pytest.mark.parametrize(
    "text", ["{{ period.id }}", "{% for x in '' %}{% endfor %}", "'; --", "{# #}", "a.sql"]
)
def test_the_text_of_a_param_is_never_rendered_and_no_param_of_the_run_reaches_the_sql(
    text: str,
) -> None:
    task, given = submit_task("SELECT {{ params.text }}", sql_params={"text": text}), context()
    given["params"] |= {"text": "1; DROP TABLE plays"}
    task.render_template_fields(given)

    assert task.query == f"SELECT {literal(text)}"


def test_without_a_cadence_the_context_is_airflows_and_there_is_no_period(
    athena: MemoryAthena,
) -> None:
    given = context()
    submitted(given, "SELECT '{{ ds }}'", cadence=None)

    assert athena.queries["q-1"].request["QueryString"].startswith("SELECT '1999-01-01'\n")
    assert given["ti"].pushed[SUBMITTED_XCOM]["period"] is None


# --- the call


def test_submitting_is_one_call_and_hands_the_facts_on(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    given = context()

    lateness = timedelta(hours=30)
    assert submitted(given, query_logic="v2:query", late_by=lateness) == "q-1"
    assert ([action for action, _ in athena.calls], clock.seconds) == (["StartQueryExecution"], 0)
    request = dict(athena.queries["q-1"].request)
    sql, marker = request.pop("QueryString").split("\n")
    assert (sql, marker[:3]) == ("SELECT 1 AS a", "-- ")
    assert request == {
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "AwsDataCatalog"},
        "ResultConfiguration": {"OutputLocation": "s3://results/"},
        "WorkGroup": "dev",
    }
    xcoms = json.loads(json.dumps(given["ti"].pushed))
    assert "period" not in xcoms, "it goes through XCom once"
    assert xcoms[SUBMITTED_XCOM]["period"] == WEEK.model_dump(mode="json")
    digest = hashlib.sha256(sql.encode()).hexdigest()
    assert Submitted.model_validate(xcoms[SUBMITTED_XCOM]) == Submitted(
        period=WEEK,
        query_execution_id="q-1",
        sql_sha256=digest,
        late_by=lateness,
        query_logic="v2:query",
    )


def test_the_link_is_to_the_console_of_the_partition(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AthenaHook, "conn_partition", "aws-cn")
    given = context()
    submitted(given)
    (link,) = AthenaSubmitOperator.operator_extra_links
    assert given["ti"].pushed[link.key] == {
        "region_name": "ap-northeast-1",
        "aws_domain": "amazonaws.cn",
        "query_execution_id": "q-1",
    }


ENCRYPTIONS = [
    (None, {}),
    (Encryption.from_text("AES256"), {"EncryptionOption": "SSE_S3"}),
    (
        Encryption.from_text("alias/reports"),
        {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/reports"},
    ),
    (Encryption.from_text("aws:kms:dsse:alias/reports"), {}),
]


@pytest.mark.parametrize(("encryption", "told"), ENCRYPTIONS)
def test_athena_is_told_location_owner_and_encryption(
    encryption: Encryption | None, told: dict[str, str], deployment: Settings
) -> None:
    named = deployment.model_copy(update={"encryption": encryption})
    expected: dict[str, Any] = {
        "OutputLocation": "s3://acme-results/reports/",
        "ExpectedBucketOwner": "012345678901",
    }
    if told:
        expected["EncryptionConfiguration"] = told
    assert run_query.result_configuration(named) == expected


def test_what_is_required_is_required_for_the_period_before_a_query_is_paid(
    athena: MemoryAthena,
) -> None:
    asked = []

    def refuse(hook: Any, period: Period) -> None:
        asked.append((type(hook), period))
        raise QueryError("not today")

    with pytest.raises(AirflowFailException, match=r"^plays_weekly, period 2025-06-08.*not today"):
        submitted(context(), require=refuse)
    assert asked == [(SharedSessionHook, WEEK)]
    assert athena.calls == []


def test_a_missing_partition_fails_the_run_before_anything_is_paid(
    athena: MemoryAthena, lake: SourceLake
) -> None:
    lake.create()
    problem = rf"period 2025-06-08.*{DATABASE}\.plays.*No query was started"
    with pytest.raises(AirflowException, match=problem):
        submitted(context(), inputs=[Input("plays")])
    assert not athena.queries


def test_the_log_says_what_the_query_reads_and_what_it_lacks(
    athena: MemoryAthena, lake: SourceLake, logged: Callable[[], list[str]]
) -> None:
    *dates, last = dates_of(WEEK)
    lake.create(dates=dates)
    lake.create("users")
    lake.glue.tables[DATABASE, "users"]["PartitionKeys"] = []
    inputs = [Input("plays", missing="partial"), Input("users", columns=())]
    plays, users = handed_on(inputs=inputs).inputs
    assert logged() == [
        f"warning: {plays}.",
        f"info: {users}.",
        "info: Started query q-1.",
    ]
    assert f"dt={last}" in str(plays)
    lake.land(last)
    submitted(context(), inputs=inputs)
    assert [line.partition(":")[0] for line in logged()] == ["info"] * 3


@pytest.mark.parametrize(
    ("inputs", "reads_previous"),
    [
        ([Input("plays")], False),
        ([Input("users"), Input("plays", previous=True), Input("games")], True),
    ],
)
def test_a_query_is_one_that_reads_the_period_before_if_any_input_does(
    athena: MemoryAthena, inputs: list[Input], reads_previous: bool, lake: SourceLake
) -> None:
    """Then its period is stale when the input of that period has changed since."""
    for source in inputs:
        lake.create(source.table, [*dates_of(WEEK.previous), *dates_of(WEEK)])
    assert handed_on(inputs=inputs).reads_previous == reads_previous


def test_a_query_without_a_database_reads_that_which_athena_takes(
    athena: MemoryAthena, lake: SourceLake
) -> None:
    lake.create()
    table = lake.glue.tables.pop((DATABASE, "plays"))
    lake.glue.tables["default", "plays"] = table
    (plays,) = handed_on(database="", inputs=[Input("plays", missing="partial")]).inputs
    assert plays.table == "default.plays"
    request = athena.queries["q-1"].request
    assert request["QueryExecutionContext"] == {"Catalog": "AwsDataCatalog"}


def tries(source: Source) -> Callable[[], str]:
    """Each call is the next try of a task, and returns the query that it hands on."""
    given = context() | {"task_state_store": StateStore()}

    def next_try() -> str:
        id_ = submitted(given, inputs=[source])
        given["ti"].begin_next_try()
        return id_

    return next_try


def test_a_retry_that_finds_more_partitions_does_not_take_the_query_that_lacked_them(
    athena: MemoryAthena, lake: SourceLake
) -> None:
    """Else the period would be published as whole, and its query had read less."""
    *dates, last = dates_of(WEEK)
    lake.create(dates=dates)
    next_try = tries(Input("plays", missing="partial"))
    first = next_try()
    sql = athena.queries[first].request["QueryString"]
    assert sql.startswith(f"-- missing: {DATABASE}.plays/dt={last}\nSELECT 1 AS a")
    assert next_try() == first
    lake.land(last)
    second = next_try()
    assert second != first
    assert athena.states == ["CANCELLED", "QUEUED"]
    assert athena.queries[second].request["QueryString"].startswith("SELECT 1 AS a")
    assert next_try() == second


def test_a_retry_that_finds_a_part_replaced_does_not_take_the_query_that_read_the_other_version(
    athena: MemoryAthena, lake: SourceLake
) -> None:
    """Else the period would be published as read from the new version, and never become stale."""
    days = Published("days", daily(WEEK.cadence.timezone))
    parts = days.parts_of(WEEK)
    for day in parts:
        lake.publish(days, day, version="v1")
    next_try = tries(days)

    first = next_try()
    assert next_try() == first
    lake.publish(days, parts[3], version="v2")
    second = next_try()
    assert second != first
    assert athena.states == ["CANCELLED", "QUEUED"]
    assert next_try() == second


def test_the_comment_names_the_run_and_the_instance_of_a_mapped_task(athena: MemoryAthena) -> None:
    for index in (-1, 0, 1):
        submitted(context(DagRun(clear_number=2, start_date=NOW), map_index=index))

    comments = [comment_of(query.request["QueryString"]) for query in athena.queries.values()]
    owner = {
        "environment": "dev",
        "dag_id": "plays_weekly",
        "run_id": "run-1",
        "task_id": "run_query",
        "clear_number": 2,
        "run_started_at": str(NOW),
    }
    assert comments == [owner | {"map_index": index} for index in (-1, 0, 1)]


def test_a_retry_takes_the_query_of_its_own_run_and_of_no_other(athena: MemoryAthena) -> None:
    """A run that is deleted can be created again with the same id."""
    run = DagRun(start_date=NOW)
    created_again = replace(run, start_date=NOW + timedelta(days=1))
    cleared = replace(run, clear_number=1)
    submitted(context(run))
    for retried, queries in ((run, 1), (created_again, 2), (cleared, 3), (run, 3), (cleared, 3)):
        submitted(context(retried, try_number=2))
        assert len(athena.queries) == queries
