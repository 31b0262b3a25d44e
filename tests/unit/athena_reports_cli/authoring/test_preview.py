"""A preview says what a period reads and costs, and shows what its query gave.

It refuses what its run refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from athena_reports import Input, build_dag, weekly
from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import CalendarError, PublishedCalendar, require_calendar
from athena_reports.publication.glue_table import Table
from athena_reports.publication.manifest import PublishedPeriod, QueryFacts
from athena_reports.publication.scan_estimate import ScanEstimate
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from athena_reports.steps.scan_limit import ScanLimitError
from athena_reports_cli.authoring.dry_run import Verdict
from athena_reports_cli.authoring.preview import (
    InputPreview,
    Preview,
    TrialPreview,
    expected_cost,
    preview,
    show,
)
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.publishing import LATE, Place, facts, week

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

SCANNED = 20_000_000  # what each published query of `publishing` scanned
PUBLISHED = UTC_WEEKS.period("2025-06-08")
NEXT = PUBLISHED.next
VALID = Verdict(outcome="valid")
SQL = "SELECT user_id FROM plays WHERE {{ inputs.plays.partitions }}"


@pytest.fixture
def aws(glue: GlueClient, s3: S3Client) -> Aws:
    """Services that would raise an error if a query were paid."""
    athena: Any = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
    return Aws(athena, glue, S3(s3))


@pytest.fixture
def lake(
    glue: GlueClient,
    s3: S3Client,
    database: str,
    bucket: str,
    sql_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The table `plays`: 10 bytes for each date, but one of the dates of the week is missing."""
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", database)
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", database)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    (sql_folder / "plays.sql").write_text(SQL)
    columns: Any = {"Name": "plays", "PartitionKeys": [{"Name": "dt", "Type": "string"}]}
    glue.create_table(DatabaseName=database, TableInput=columns)
    for day in range(8, 24):
        if day == 18:
            continue
        folder = f"lake/dt=2025-06-{day:02}"
        s3.put_object(Bucket=bucket, Key=f"{folder}/1.parquet", Body=b"x" * 4)
        s3.put_object(Bucket=bucket, Key=f"{folder}/2.parquet", Body=b"x" * 6)
        s3.put_object(Bucket=bucket, Key=f"{folder}0/1.parquet", Body=b"not of this date")
        partition: Any = {
            "Values": [f"2025-06-{day:02}"],
            # Glue has locations with and without a slash at their end.
            "StorageDescriptor": {"Location": f"s3://{bucket}/{folder}{'/' * (day % 2)}"},
        }
        glue.create_partition(DatabaseName=database, TableName="plays", PartitionInput=partition)


@pytest.fixture
def publish(aws: Aws, database: str, bucket: str) -> Callable[..., None]:
    """Publishes a week."""

    def publish(period: Period, **fields: Any) -> None:
        location = week(bucket, period.id)
        place = Place(aws.s3, location, Table(database, location.report, aws.glue))
        place.publish(place.upload("a"), facts(period_id=period.id, **fields))

    return publish


@pytest.fixture
def published(publish: Callable[..., None]) -> None:
    """A week that is published."""
    publish(PUBLISHED)


def declare(make_report: MakeReport, *others: Input, **fields: Any) -> DeclaredReport:
    inputs = [Input("plays", "dt", missing="partial"), *others]
    return DeclaredReport(build_dag(make_report(inputs=inputs, **fields), UTC_WEEKS))


def printed(result: Preview, width: int = 100) -> str:
    output = StringIO()
    show(result, Console(file=output, width=width))
    return output.getvalue()


def test_before_the_first_publication_the_bytes_of_all_partitions_are_counted(
    lake: None, aws: Aws, make_report: MakeReport
) -> None:
    declared = declare(make_report, max_scan="5 B")
    result = preview(declared, NEXT, aws, VALID)

    (plays,) = result.inputs
    days = tuple(f"dt=2025-06-{day:02}" for day in (15, 16, 17, 19, 20, 21))
    assert plays.coverage.present == days
    assert (plays.coverage.absent, plays.bytes) == (("dt=2025-06-18",), 60)
    assert result.estimate is not None
    assert result.estimate.bytes == 60
    assert result.estimate.basis.endswith("max_scan is not checked before the first publication")
    assert result.refused == ""  # what is not measured refuses nothing
    assert "max_scan" not in printed(preview(declare(make_report), NEXT, aws, VALID))


@pytest.fixture
def add_users(
    lake: None, glue: GlueClient, s3: S3Client, database: str, bucket: str
) -> Callable[..., None]:
    """Adds a table without partitions; takes what Glue has of it."""

    def add(**storage: str) -> None:
        s3.put_object(Bucket=bucket, Key="users/1.parquet", Body=b"x" * 1_000)
        s3.put_object(Bucket=bucket, Key="users/more/2.parquet", Body=b"x" * 500)
        s3.put_object(Bucket=bucket, Key="users_of_others/1.parquet", Body=b"not of this table")
        descriptor: Any = {"Columns": [{"Name": "user_id", "Type": "string"}]} | storage
        table: Any = {"Name": "users", "StorageDescriptor": descriptor}
        glue.create_table(DatabaseName=database, TableInput=table)

    return add


def test_a_table_without_partitions_counts_with_all_of_its_bytes(
    add_users: Callable[..., None], aws: Aws, bucket: str, make_report: MakeReport
) -> None:
    add_users(Location=f"s3://{bucket}/users")
    declared = declare(make_report, Input("users", columns=()))
    result = preview(declared, NEXT, aws, VALID)

    plays, users = result.inputs
    assert (plays.bytes, users.bytes, users.coverage.is_partitioned) == (60, 1_500, False)
    assert result.estimate is not None
    assert result.estimate.bytes == 1_560
    assert result.estimate.price_usd is not None


def test_each_input_is_looked_for_in_its_own_database_and_one_without_data_refuses(
    lake: None,
    aws: Aws,
    glue: GlueClient,
    database: str,
    make_report: MakeReport,
) -> None:
    other = f"{database}_of_others"
    glue.create_database(DatabaseInput={"Name": other})
    columns: Any = {"Name": "visits", "PartitionKeys": [{"Name": "day", "Type": "string"}]}
    glue.create_table(DatabaseName=other, TableInput=columns)
    declared = declare(make_report, Input("visits", "day", database=other))
    result = preview(declared, NEXT, aws, VALID)
    assert result.inputs[1].coverage.table == f"{other}.visits"
    assert len(result.inputs[1].coverage.absent) == 7
    assert result.estimate is not None
    assert result.estimate.bytes == 60
    assert result.refused.startswith(
        "plays_weekly, period 2025-06-15, environment dev:"
        f" {other}.visits: 7 of 7 required partitions missing in Glue: day=2025-06-15, "
    )


def test_the_size_of_a_view_is_not_known(
    add_users: Callable[..., None], aws: Aws, make_report: MakeReport
) -> None:
    add_users()
    declared = declare(make_report, Input("users", columns=()))
    assert preview(declared, NEXT, aws, VALID).inputs[1].bytes is None


def test_published_periods_measure_the_next_one_and_refuse_it_as_its_run_does(
    lake: None, aws: Aws, published: None, make_report: MakeReport
) -> None:
    result = preview(declare(make_report, max_scan="1 MB"), NEXT, aws, VALID)

    assert result.estimate is not None
    assert (result.estimate.bytes, result.estimate.basis) == (SCANNED, "median of 2025-06-08")
    assert (
        f"would scan about {SCANNED:,} bytes (median of 2025-06-08); max_scan is 1,000,000"
        in result.refused
    )
    assert result.refused.startswith("plays_weekly, period 2025-06-15")
    within = preview(declare(make_report, max_scan="20 MB"), NEXT, aws, VALID)
    assert within.refused == ""


@pytest.mark.parametrize("max_scan", [None, "20 MB"])
def test_a_report_whose_folder_has_another_calendar_is_refused_as_its_run_is(
    lake: None,
    aws: Aws,
    published: None,
    make_report: MakeReport,
    bucket: str,
    max_scan: str | None,
) -> None:
    declared = declare(make_report, max_scan=max_scan)
    assert preview(declared, NEXT, aws, VALID).refused == ""
    mondays = PublishedCalendar(environment="dev", report="plays", cadence=weekly("monday"))
    body = mondays.model_dump_json().encode()
    aws.s3.write(declared.location.calendar_uri, body, "application/json", replacing=None)

    result = preview(declared, NEXT, aws, VALID)
    with pytest.raises(CalendarError) as refused:
        require_calendar(declared.location, declared.calendar, aws.s3)
    assert result.refused == (f"plays_weekly, period 2025-06-15, environment dev: {refused.value}")
    text = " ".join(printed(result).split())
    assert f"a run of this period would be rejected. {result.refused}" in text


def test_a_report_bucket_that_cannot_be_read_only_gives_a_warning(
    lake: None,
    aws: Aws,
    make_report: MakeReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "there-is-no-such-bucket")
    settings.cache_clear()
    result = preview(declare(make_report), NEXT, aws, VALID)
    assert (result.refused, result.inputs[0].bytes) == ("", 60)
    warning = capsys.readouterr().err
    assert "Could not read s3://there-is-no-such-bucket/plays/weekly/calendar.json: " in warning
    assert "Could not check whether a run may publish" in warning


def test_nothing_is_estimated_without_inputs_and_without_a_published_period(
    lake: None, aws: Aws, sql_folder: Path, make_report: MakeReport
) -> None:
    declared = declare(make_report)
    (sql_folder / "plays.sql").write_text("SELECT 1 AS one")
    of_no_inputs = DeclaredReport(build_dag(make_report(), UTC_WEEKS))
    result = preview(of_no_inputs, NEXT, aws, VALID)
    assert (result.estimate, result.refused) == (None, "")
    assert "will scan" not in printed(result)
    published = declared.published_periods(aws.glue)
    assert expected_cost(declared, [PUBLISHED], published) == "about 0 bytes, 0.00000 USD"


def test_the_cost_of_several_periods_is_the_sum_and_unknown_if_one_is_unknown(
    lake: None, aws: Aws, publish: Callable[..., None], make_report: MakeReport
) -> None:
    declared = declare(make_report)
    publish(PUBLISHED)
    published = declared.published_periods(aws.glue)
    assert expected_cost(declared, [PUBLISHED, NEXT], published) == "about 40.0 MB, 0.00020 USD"
    publish(NEXT, query=QueryFacts(id="q", submitted_at=LATE, scanned_bytes=SCANNED))
    published = declared.published_periods(aws.glue)
    assert expected_cost(declared, [NEXT], published) == "about 20.0 MB, no per-byte price"
    with pytest.raises(
        ScanLimitError, match=r"period 2025-06-15.*max_scan is 1,000\. No query was started"
    ):
        expected_cost(declare(make_report, max_scan="1 kB"), [NEXT], published)


SHOWN = Preview(
    dag_id="plays_weekly",
    period=PublishedPeriod(
        id="2025-06-08",
        cadence="weekly",
        timezone="Asia/Tokyo",
        start="2025-06-08T00:00:00+09:00",
        end="2025-06-15T00:00:00+09:00",
        start_utc="2025-06-07T15:00:00+00:00",
        end_utc="2025-06-14T15:00:00+00:00",
    ),
    sql="SELECT 1\nFROM [plays]",
    inputs=(
        InputPreview(
            coverage=InputCoverage(
                table="lake.plays",
                missing="partial",
                needed=6,
                present=("dt=1", "dt=2", "dt=3", "dt=4"),
                absent=("dt=5", "dt=6"),
            ),
            bytes=1_500,
        ),
        InputPreview(coverage=InputCoverage(table="lake.none", missing="fail", needed=3), bytes=0),
        InputPreview(
            coverage=InputCoverage(
                table="lake.users", missing="fail", needed=0, is_partitioned=False
            ),
            bytes=2_500_000,
        ),
        InputPreview(
            coverage=InputCoverage(
                table="lake.ages", missing="fail", needed=0, is_partitioned=False
            ),
            bytes=None,
        ),
    ),
    estimate=ScanEstimate(3_000, "median of 2025-06-01", 0.00005),
    max_scan=2_000,
    not_validated="the catalog raw is not known.",
    outdated_tables=("lake.plays",),
    refused="",
)


def lines_of(result: Preview) -> list[str]:
    return [line.rstrip() for line in printed(result).splitlines()]


def test_all_that_is_known_before_a_run_is_shown() -> None:
    assert lines_of(SHOWN) == [
        "plays_weekly",
        "period      2025-06-08, weekly",
        "local       2025-06-08T00:00:00+09:00 to 2025-06-15T00:00:00+09:00 (Asia/Tokyo)",
        "UTC         2025-06-07T15:00:00+00:00 to 2025-06-14T15:00:00+00:00",
        "lake.plays  4 of 6 partitions, 1.5 kB in all columns: dt=1 to dt=4",
        "lake.none   0 of 3 partitions, 0 bytes in all columns",
        "lake.users  no partitions, 2.5 MB in all columns",
        "lake.ages   a view: size unknown, missing partitions not checked",
        "will scan   about 3.0 kB, 0.00005 USD",
        "            (median of 2025-06-01)",
        "max_scan    2.0 kB",
        "",
        "SELECT 1",
        "FROM [plays]",
        "",
        "lake.plays: 2 of 6 required partitions missing in Glue: dt=5, dt=6",
        "lake.plays: the columns in tables.yaml differ from Glue. Run `athena-reports check"
        " --tables`.",
        "not validated: the catalog raw is not known.",
        "",
        "The query was not run. To run it and see its first rows, add --run.",
    ]


def test_a_paid_preview_ends_with_its_rows_and_what_was_delivered() -> None:
    trial = TrialPreview(
        scanned_bytes=1_234,
        price_usd=0.00005,
        rows=3_000,
        columns={"a": "BIGINT", "b": "VARCHAR"},
        first_rows=[("1", None), ("2", "NULL")],
        checks=(
            CheckResult(name="rows", severity="fail", passed=True, message="3 rows."),
            CheckResult(name="[a]", severity="warn", passed=False, message="1 NULL."),
        ),
        failed="Check a failed.",
        deliveries=("dist/a.html", f"dist/{'a' * 100}/[b].txt"),
    )
    lines = lines_of(SHOWN.model_copy(update={"trial": trial, "refused": "Never."}))
    assert lines[lines.index("FROM [plays]") + 1 :] == [
        "",
        "lake.plays: 2 of 6 required partitions missing in Glue: dt=5, dt=6",
        "lake.plays: the columns in tables.yaml differ from Glue. Run `athena-reports check"
        " --tables`.",
        "not validated: the catalog raw is not known.",
        "┏━━━━━━━━┳━━━━━━━━━┓",
        "┃ a      ┃ b       ┃",
        "┃ bigint ┃ varchar ┃",
        "┡━━━━━━━━╇━━━━━━━━━┩",
        "│ 1      │ NULL    │",
        "│ 2      │ NULL    │",
        "└────────┴─────────┘",
        "  2 of 3,000 rows",
        "passed rows: 3 rows.",
        "warn   [a]: 1 NULL.",
        "The period would not be published. Check a failed.",
        "wrote dist/a.html",
        f"wrote dist/{'a' * 100}/[b].txt",
        "Scanned 1.2 kB, 0.00005 USD. Nothing was published.",
    ]
