"""The check of the account before the first query."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from athena_reports import Input
from athena_reports.aws.s3 import S3
from athena_reports.periods.calendar import Period, weekly
from athena_reports.publication.folder import CalendarError, PublishedCalendar, find_calendar
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition
from athena_reports.rows.columns import TableColumn
from athena_reports.settings import Encryption, Settings, settings
from athena_reports.steps.scan_limit import ScanLimitError
from athena_reports.workflows.preflight import (
    AccountCheck,
    AccountError,
    check_account,
    require_account,
    require_payable,
)
from athena_reports_cli.local.services import Services
from tests.support.calendars import WEEK
from tests.support.partition_facts import facts
from tests.support.wire import answered, json_error

NO_BUCKET = "there-is-no-such-bucket"


def looked_at(services: Services, names: Settings, *inputs: Input) -> list[AccountCheck]:
    return list(
        check_account(names, services.athena, services.glue, S3(services.s3), inputs=inputs)
    )


def changed(**fields: Any) -> Settings:
    return settings().model_copy(update=fields)


def test_what_is_there_has_no_problem(services: Services) -> None:
    checks = looked_at(services, settings())
    assert [check.name for check in checks] == [
        "workgroup dev",
        "query results s3://athena-query-result-dev/",
        "report bucket athena-report-dev",
        "report database report_dev",
    ]
    assert {check.problem for check in checks} == {""}


def test_an_input_of_another_database_is_looked_for_there_once(services: Services) -> None:
    elsewhere = Input("plays", "dt", database="elsewhere")
    checks = looked_at(services, settings(), elsewhere, elsewhere)
    tables = [check for check in checks if check.name.startswith("table")]
    assert [check.name for check in tables] == ["table elsewhere.plays"]
    assert tables[0].problem


def test_what_no_run_could_wait_for_is_named(services: Services) -> None:
    """The partitions of a projected table, and success markers that nobody may look for."""
    projected: Any = {
        "Name": "projected",
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
        "Parameters": {"projection.enabled": "true"},
    }
    services.glue.create_table(DatabaseName="database_dev", TableInput=projected)
    services.s3.create_bucket(Bucket="markers-of-a-lake")
    wait = timedelta(hours=6)
    done = "s3://{}/plays/{{date}}"
    calls: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(params["body"])

    services.glue.meta.events.register("before-call.glue.GetTable", note)
    checks = looked_at(
        services,
        settings(),
        Input("projected", wait=wait, done=done.format("markers-of-a-lake")),
        Input("projected", wait=wait, done=done.format(NO_BUCKET)),
        Input("projected"),
    )[4:]
    services.glue.meta.events.unregister("before-call.glue.GetTable", note)
    assert len(calls) == 1  # each declaration is checked against one response
    assert [check.name for check in checks] == [
        "table database_dev.projected",
        "success markers s3://markers-of-a-lake/plays/{date}",
        "table database_dev.projected",
        f"success markers s3://{NO_BUCKET}/plays/{{date}}",
        "table database_dev.projected",
    ]
    *found, unlisted, last = checks
    assert {check.problem for check in (*found, last)} == {""}
    assert "correct its name in the settings or in the input's done=." in unlisted.problem

    (check,) = looked_at(services, settings(), Input("projected", wait=wait))[4:]
    assert "its partitions are projected" in check.problem


def test_a_workgroup_that_cannot_take_the_query_is_named(services: Services) -> None:
    services.athena.create_work_group(Name="resting", Configuration={})
    services.athena.update_work_group(WorkGroup="resting", State="DISABLED")
    for workgroup, results, problem in (
        (
            "resting",
            "s3://athena-query-result-dev/",
            "it is disabled. Enable it, or set ATHENA_REPORTS_WORKGROUP to another workgroup.",
        ),
        (
            "dev",
            None,
            "it does not manage query results. Set ATHENA_REPORTS_QUERY_RESULTS to an S3 location.",
        ),
    ):
        checks = looked_at(services, changed(workgroup=workgroup, query_results=results))
        problems = [check for check in checks if check.problem]
        assert [check.name for check in problems] == [f"workgroup {workgroup}"]
        assert problems[0].problem == problem
        assert not problems[0].retryable


def test_a_workgroup_that_manages_its_results_goes_without_a_place_for_them(
    services: Services,
) -> None:
    managed: Any = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
    services.athena.create_work_group(Name="keeping", Configuration=managed)
    checks = looked_at(services, changed(workgroup="keeping", query_results=None))
    assert [check.name for check in checks] == [
        "workgroup keeping",
        "report bucket athena-report-dev",
        "report database report_dev",
    ]
    assert {check.problem for check in checks} == {""}
    first, *_ = looked_at(services, changed(workgroup="keeping"))
    assert first.problem == (
        "it manages its query results. Set ATHENA_REPORTS_QUERY_RESULTS=managed."
    )


def test_a_report_without_a_table_needs_no_database(services: Services) -> None:
    clients: Any = (services.athena, services.glue, S3(services.s3))
    checks = check_account(changed(report_database="absent"), *clients, has_table=False)
    assert [check.name for check in checks if check.problem] == []


def test_each_thing_that_is_missing_says_what_to_do(services: Services) -> None:
    names = changed(
        workgroup="absent",
        query_results=f"s3://{NO_BUCKET}-1/",
        report_bucket=f"{NO_BUCKET}-2",
        report_database="absent",
    )
    problems = {check.name: check.problem for check in looked_at(services, names)}
    ways_out = {
        "workgroup absent": "or set ATHENA_REPORTS_WORKGROUP to another one.",
        f"query results s3://{NO_BUCKET}-1/": f"Could not list s3://{NO_BUCKET}-1/: ",
        f"report bucket {NO_BUCKET}-2": f"Could not write s3://{NO_BUCKET}-2/: ",
        "report database absent": "correct the input or ATHENA_REPORTS_REPORT_DATABASE.",
    }
    assert problems.keys() == ways_out.keys()
    for name, way_out in ways_out.items():
        assert way_out in problems[name]


def test_an_aws_that_does_not_answer_is_a_problem_that_may_pass(services: Services) -> None:
    def hang(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://athena")

    event = "before-call.athena.GetWorkGroup"
    services.athena.meta.events.register(event, hang)
    try:
        first, *others = looked_at(services, settings())
    finally:
        services.athena.meta.events.unregister(event, hang)
    assert (first.name, first.retryable) == ("workgroup dev", True)
    assert first.problem.startswith('Connect timeout on endpoint URL: "https://athena". ')
    assert [check.problem for check in others] == ["", "", ""]


@dataclass
class Hook:
    """Gives the clients of the local services, and keeps which of them were asked for."""

    services: Services
    asked: list[str]

    def client(self, service: str) -> Any:
        self.asked.append(service)
        return getattr(self.services, service)


def require(
    services: Services,
    names: Settings,
    *,
    report: str = "first",
    has_table: bool = True,
    max_scan: int | None = None,
) -> list[str]:
    """What a run requires before it pays a query; the services that are asked."""
    hook: Any = Hook(services, [])
    require_payable(
        hook,
        WEEK,
        settings=names,
        location=ReportLocation.of(names.report_bucket, report, WEEK.cadence),
        has_table=has_table,
        max_scan=max_scan,
    )
    return hook.asked


def test_a_first_run_names_each_problem(services: Services) -> None:
    names = changed(workgroup="absent", report_database="absent")
    with pytest.raises(AccountError) as refused:
        require(services, names)
    first, *problems = str(refused.value).splitlines()
    assert first == "The first run cannot start; no query was submitted."
    found = [check for check in looked_at(services, names) if check.problem]
    assert [check.name for check in found] == ["workgroup absent", "report database absent"]
    assert problems == [f"{check.name}: {check.problem}" for check in found]
    # Without a table it needs no database.
    require(services, changed(report_database="absent"), has_table=False)


def test_a_first_run_names_what_is_missing_beside_the_report_bucket(services: Services) -> None:
    names = changed(report_bucket=NO_BUCKET, report_database="absent")
    with pytest.raises(AccountError) as refused:
        require(services, names)
    _, *problems = str(refused.value).splitlines()
    assert [problem.partition(":")[0] for problem in problems] == [
        f"report bucket {NO_BUCKET}",
        "report database absent",
    ]


@pytest.mark.parametrize(
    ("operations", "report_bucket", "retryable"),
    [
        # The bucket is looked at after the workgroup, and before the database.
        ({"GetWorkGroup"}, NO_BUCKET, True),
        ({"GetTables"}, NO_BUCKET, True),
        ({"GetWorkGroup"}, "athena-report-dev", True),
        (set(), NO_BUCKET, False),
    ],
    ids=["passes, then stays", "stays, then passes", "passes", "stays"],
)
def test_a_first_run_is_tried_again_if_any_problem_may_pass_by_itself(
    operations: set[str],
    report_bucket: str,
    retryable: bool,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    throttled = [json_error("ThrottlingException", "Rate exceeded") for _ in range(9)]
    hook: Any = Hook(services, [])
    with ExitStack() as stack:
        for operation in operations:
            client = services.athena if operation == "GetWorkGroup" else services.glue
            stack.enter_context(answered(client, operation, *throttled))
        refused = stack.enter_context(pytest.raises(AccountError))
        names = changed(report_bucket=report_bucket)
        require_account(hook, S3(services.s3), names, has_table=True)
    assert refused.value.retryable == retryable
    problems = str(refused.value).splitlines()[1:]
    assert len(problems) == len(operations) + (report_bucket == NO_BUCKET)


def test_the_owner_and_the_encryption_are_those_of_the_deployment(
    services: Services, made_s3: list[S3]
) -> None:
    encryption = Encryption.from_text("AES256")
    require(services, changed(bucket_owner="123456789012", encryption=encryption), report="owned")
    assert {(each.owner, each.encryption) for each in made_s3} == {("123456789012", encryption)}


def test_the_account_is_looked_at_before_the_folder_is_claimed_and_the_folder_each_time(
    services: Services,
) -> None:
    location = ReportLocation.of("athena-report-dev", "placed", WEEK.cadence)
    with pytest.raises(AccountError):
        require(services, changed(workgroup="absent"), report="placed")
    assert find_calendar(location, S3(services.s3)) is None

    assert "athena" in require(services, settings(), report="placed")
    calendar = find_calendar(location, S3(services.s3))
    assert calendar == PublishedCalendar(environment="dev", report="placed", cadence=WEEK.cadence)
    assert require(services, changed(workgroup="absent"), report="placed") == ["s3"]
    with pytest.raises(CalendarError, match="environment dev; this is environment stg"):
        require(services, changed(environment="stg"), report="placed")


def test_a_scan_is_limited_by_what_the_report_has_published(
    services: Services, logged: Callable[[], list[str]]
) -> None:
    location = ReportLocation.of("athena-report-dev", "scanned", WEEK.cadence)
    table = Table(settings().report_database, location, services.glue)

    def publish(period: Period, scanned_bytes: int) -> None:
        columns = [TableColumn(name="rank", type="BIGINT", glue="bigint")]
        published = Partition("s3://reports/x/", facts(period, scanned_bytes=scanned_bytes))
        table.put_partition(period.id, columns, published)

    publish(weekly("monday", WEEK.cadence.timezone).period("2025-06-02"), 1)  # of other weeks
    says = "No published periods to estimate the scan from; max_scan is not checked"
    for has_table in (True, False):
        require(services, settings(), report="scanned", has_table=has_table, max_scan=999)
        assert logged() == [f"warning: {says}"]
    publish(WEEK.previous, 1000)
    with pytest.raises(ScanLimitError) as refused:
        require(services, settings(), report="scanned", max_scan=999)
    assert str(refused.value) == (
        f"the query would scan about 1,000 bytes (median of {WEEK.previous.id}); max_scan is 999."
        " No query was started. Read fewer columns or partitions, or raise max_scan."
    )
    assert not refused.value.retryable
    require(services, settings(), report="scanned", max_scan=1000)
    require(services, settings(), report="scanned")
    assert logged() == []
