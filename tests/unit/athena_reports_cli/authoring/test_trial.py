"""A trial pays the query that the run would pay."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.httpsession import URLLib3Session

from athena_reports import build_dag
from athena_reports.errors import QueryError
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import (
    CALLS_AT_ONCE,
    Aws,
    Trial,
    run_request,
    trial,
    why_not_published,
)
from tests.support.airflow_run import context
from tests.support.aws_errors import LOST, THROTTLED, api_error
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.submissions import start_sql
from tests.support.virtual_clock import VirtualClock
from tests.support.wire import response

NOBODY: Any = None


def run(make_report: MakeReport, athena: MemoryAthena) -> None:
    """Run a trial of the report, whose query does not succeed."""
    aws = Aws(athena, NOBODY, NOBODY)  # type: ignore[arg-type]
    declared = DeclaredReport(build_dag(make_report(), WEEKS))
    with trial(run_request(declared, WEEK, aws, command="plan"), aws):
        raise AssertionError("it has rows")


@pytest.mark.parametrize(
    ("results", "configured"),
    [
        ("s3://results/", {"OutputLocation", "ExpectedBucketOwner", "EncryptionConfiguration"}),
        ("managed", None),
    ],
)
def test_a_trial_asks_athena_as_the_run_does(
    results: str,
    configured: set[str] | None,
    make_report: MakeReport,
    athena: MemoryAthena,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", results)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "012345678901")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "alias/reports")
    monkeypatch.setenv("ATHENA_REPORTS_WORKGROUP", "reports-wg")
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", "lake_db")
    dag = build_dag(make_report(), WEEKS)
    run_query: Any = dag.get_task("run_query")
    run_query.require = None
    given = context()
    run_query.render_template_fields(given, dag.get_template_env())
    run_query.execute(given)

    athena.plan = lambda _: Plan.failing(1006, category=2)
    says = r"^plays_weekly, period 2025-06-08: Query q-2 is FAILED"
    with pytest.raises(QueryError, match=says) as failure:
        run(make_report, athena)
    assert str(failure.value).endswith(" Run the command again.")
    assert "Clear" not in str(failure.value)

    of_run, of_trial = (dict(query.request) for query in athena.queries.values())
    sql, _, marker = of_run.pop("QueryString").strip().partition("\n")
    sql_of_trial, _, marker_of_trial = of_trial.pop("QueryString").partition("\n")
    assert sql_of_trial == sql
    assert marker.startswith("-- ")
    told = json.loads(marker_of_trial.removeprefix("-- athena-reports: "))
    assert told["author"] == f"uid {os.getuid()}"  # nobody answers for STS here
    assert (told["environment"], told["command"]) == ("dev", "plan")
    assert of_run["WorkGroup"] == "reports-wg"
    sent = of_run.get("ResultConfiguration")
    assert (sent and sent.keys()) == configured, "not even an empty one for managed results"
    assert of_trial == of_run


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT id\nFROM elsewhere", "line 2 (`FROM plays`)."),
        ("SELECT 1\nFROM plays", "line 2 of the rendered SQL."),
    ],
)
def test_an_error_has_the_line_of_the_template_if_the_sql_is_the_same_up_to_it(
    sql: str, place: str, make_report: MakeReport, athena: MemoryAthena, sql_folder: Path
) -> None:
    (sql_folder / "plays.sql").write_text("SELECT id\nFROM plays")
    failing = Plan.failing(1006, category=2)
    athena.plan = lambda _: replace(failing, reason="TABLE_NOT_FOUND: line 2:6: no")
    aws = Aws(athena, glue=NOBODY, s3=NOBODY)  # type: ignore[arg-type]
    request = run_request(
        DeclaredReport(build_dag(make_report(), WEEKS)), WEEK, aws, command="plan"
    )
    request = replace(request, query=request.query.model_copy(update={"query": sql}))
    with pytest.raises(QueryError) as failure, trial(request, aws):
        raise AssertionError("it has rows")
    assert f" The error is in {sql_folder / 'plays.sql'}, {place}" in str(failure.value)


def test_an_author_whose_credentials_have_expired_is_the_user_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expired = "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
    monkeypatch.setattr(URLLib3Session, "send", lambda *_: response(403, expired))
    assert Aws(NOBODY, NOBODY, NOBODY).author == f"uid {os.getuid()}"


class KilledError(BaseException):
    """A signal, as it unwinds a command."""


SIGNALS = [KilledError(), SystemExit(143)]
ERRORS = [LOST, THROTTLED, api_error("AccessDeniedException")]
WAYS_OUT: list[tuple[str, bool, BaseException]] = [
    *(("GetQueryExecution", is_done, error) for is_done in (False, True) for error in ERRORS),
    *(("GetQueryExecution", is_done, error) for is_done in (False, True) for error in SIGNALS),
    *(("StartQueryExecution", False, error) for error in ERRORS),
    *(("StartQueryExecution", is_done, error) for is_done in (False, True) for error in SIGNALS),
]


@pytest.mark.parametrize(("action", "is_done", "error"), WAYS_OUT, ids=repr)
def test_no_query_runs_on_when_its_command_has_ended(
    action: str,
    is_done: bool,
    error: BaseException,
    make_report: MakeReport,
    athena: MemoryAthena,
    clock: VirtualClock,
) -> None:
    """Whatever ends the command, while a query is submitted or waited for."""
    athena.plan = lambda _: Plan.endless()

    def strike(called: str) -> None:
        first = 1 if action == "StartQueryExecution" else 9
        struck = athena.count(action) - first
        is_again = struck > 0 and error in SIGNALS  # a signal comes once
        if called == action and struck >= 0 and not is_again:
            raise error

    if is_done:
        athena.after = strike
    else:
        athena.before = strike
    with pytest.raises(type(error)):
        run(make_report, athena)
    assert set(athena.states) <= {"CANCELLED"}
    if action == "GetQueryExecution":
        assert len(athena.states) == 1


@pytest.mark.parametrize("answer", [LOST, THROTTLED, KilledError()], ids=repr)
def test_a_query_whose_start_was_not_answered_is_stopped_and_no_other_one_is_paid(
    answer: BaseException, make_report: MakeReport, athena: MemoryAthena
) -> None:
    """A repeated start has the same token, and returns it."""
    athena.plan = lambda _: Plan.endless()
    start_sql(athena, "SELECT 1")

    def lose(called: str) -> None:
        if called == "StartQueryExecution" and athena.count(called) == 2:
            raise answer

    athena.after = lose
    with pytest.raises(type(answer)):
        run(make_report, athena)
    assert athena.states == ["RUNNING", "CANCELLED"]


def test_a_start_that_athena_refuses_is_not_repeated(
    make_report: MakeReport, athena: MemoryAthena
) -> None:
    def refuse(called: str) -> None:
        raise api_error("AccessDeniedException")

    athena.before = refuse
    with pytest.raises(ClientError, match="AccessDenied"):
        run(make_report, athena)
    assert athena.count("StartQueryExecution") == 1


def test_a_query_that_may_run_and_is_not_found_by_its_token_is_told(
    make_report: MakeReport, athena: MemoryAthena, capsys: pytest.CaptureFixture[str]
) -> None:
    athena.plan = lambda _: Plan.endless()

    def lose(called: str) -> None:
        raise LOST

    athena.after = lose
    with pytest.raises(type(LOST)):
        run(make_report, athena)
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("A query may have been started: ")
    assert told.endswith("Look for it in the history of workgroup dev.")


def test_a_query_that_somebody_cancels_has_no_rows_to_show(
    make_report: MakeReport, athena: MemoryAthena
) -> None:
    athena.plan = lambda _: Plan(end="CANCELLED", reason="by an admin")
    with pytest.raises(QueryError, match="Query q-1 is CANCELLED: by an admin"):
        run(make_report, athena)
    assert len(athena.queries) == 1


def test_two_commands_pay_two_queries(make_report: MakeReport, athena: MemoryAthena) -> None:
    athena.plan = lambda _: Plan.failing(1006, category=2)
    for _ in range(2):
        with pytest.raises(QueryError):
            run(make_report, athena)
    assert len(athena.queries) == 2


def test_an_author_is_whose_credentials_the_shell_has(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STS tells it without any permission."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_endpoint)
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::")
    assert Aws(NOBODY, NOBODY, NOBODY).author == arn


def test_an_sts_that_cannot_be_reached_is_asked_once_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "https://sts.in-a-private-network.example")
    timeouts: list[tuple[float, float]] = []

    def send(session: Any, request: AWSPreparedRequest) -> NoReturn:
        timeouts.append((session._timeout.connect_timeout, session._timeout.read_timeout))
        raise ConnectTimeoutError(endpoint_url=request.url)

    monkeypatch.setattr(URLLib3Session, "send", send)
    assert Aws(NOBODY, NOBODY, NOBODY).author == f"uid {os.getuid()}"
    assert timeouts == [(2, 2)]


def test_the_clients_are_those_of_the_settings_and_of_the_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "012345678901")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "alias/reports")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    aws = Aws.connect()
    assert (aws.s3.owner, aws.s3.encryption) == ("012345678901", settings().encryption)
    assert aws.s3.encryption is not None
    clients: list[Any] = [aws.athena, aws.glue, aws.s3.client]
    names = [client.meta.service_model.service_name for client in clients]
    assert names == ["athena", "glue", "s3"]
    assert {client.meta.region_name for client in clients} == {"eu-west-1"}
    # As many connections as there are calls at once.
    assert aws.s3.client.meta.config.max_pool_connections == CALLS_AT_ONCE


def test_a_query_that_cannot_be_stopped_is_told(
    make_report: MakeReport, athena: MemoryAthena, capsys: pytest.CaptureFixture[str]
) -> None:
    athena.plan = lambda _: Plan.endless()

    def refuse(called: str) -> None:
        if called in ("GetQueryExecution", "StopQueryExecution"):
            raise api_error("AccessDeniedException")

    athena.before = refuse
    with pytest.raises(ClientError, match="AccessDenied"):
        run(make_report, athena)
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(
        "Query q-1 may still be running: An error occurred (AccessDeniedException)"
    )
    assert told.endswith(" Stop it in the Athena console.")


@pytest.mark.parametrize("empty", ["fail", "skip", "publish"])
@pytest.mark.parametrize("rows", [0, 1])
def test_why_rows_would_not_be_published_is_what_keeps_a_run_from_it(
    rows: int, empty: Any, make_report: MakeReport
) -> None:
    check = CheckResult(name="rows(at_least=9)", severity="fail", passed=False, message="Few.")
    warned = check.model_copy(update={"severity": "warn"})
    declared = DeclaredReport(build_dag(make_report(empty=empty), WEEKS))

    def why(*checks: CheckResult) -> str:
        table: Any = SimpleNamespace(rows=rows)
        done = Trial(NOBODY, NOBODY, table=table, ordered=True, checks=checks)
        return why_not_published(declared, done)

    if rows == 0 and empty != "publish":
        assert why() == f'The query returned no rows, and the report declares empty="{empty}".'
        assert why(check) == why()
        return
    assert why() == why(warned) == ""
    assert "rows(at_least=9)" in why(warned, check)
