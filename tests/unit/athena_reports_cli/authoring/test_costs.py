"""`costs`: of the months that are asked for, and fast for years of daily periods.

tests/services/commands/test_looks.py has the command.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from botocore.client import BaseClient
from rich.console import Console

from athena_reports import build_dag, daily
from athena_reports.aws.s3 import S3
from athena_reports.publication.costs import Cost, CostSummary
from athena_reports_cli.authoring import costs as view
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.publishing import Place, facts

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def aws(
    glue: GlueClient, s3: S3Client, database: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Aws:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", database)
    nobody: Any = None
    return Aws(nobody, glue, S3(s3))


def publish(declared: DeclaredReport, period_id: str, aws: Aws) -> None:
    """Publish a period today, the cost of one query."""
    table = declared.table(aws.glue)
    place = Place(aws.s3, declared.location.period_folder(period_id), table)
    today = datetime.now(UTC).isoformat(timespec="milliseconds")
    version = place.upload("a", formats=declared.report.outputs)
    place.publish(version, facts(today, period_id=period_id))


def queries(declared: DeclaredReport, aws: Aws) -> int:
    found = view.costs([declared], 2, aws)  # one month may end meanwhile
    return found.reports[declared.dag.dag_id].queries


def test_costs_of_a_table_take_its_listing_and_no_call_for_each_period(
    aws: Aws, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_days = DeclaredReport(build_dag(make_report(), daily("America/New_York")))
    for period_id in ("2013-03-01", "2013-03-02", "2013-03-03"):
        publish(of_days, period_id, aws)
    calls: list[str] = []
    call = BaseClient._make_api_call

    def counted(client: Any, operation: str, parameters: Any) -> Any:
        calls.append(operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    assert queries(of_days, aws) == 3
    assert set(calls) == {"GetPartitions"}


def test_without_a_table_each_manifest_counts_and_a_folder_without_one_hides_none(
    aws: Aws, make_report: MakeReport
) -> None:
    of_weeks = DeclaredReport(build_dag(make_report(outputs=["csv"]), UTC_WEEKS))
    for period_id in ("2025-06-08", "2025-06-22"):
        publish(of_weeks, period_id, aws)
    for period_id in ("2025-06-01", "2025-06-15"):  # they were not published in the end
        Place(aws.s3, of_weeks.location.period_folder(period_id)).upload("a", formats=["csv"])
    assert queries(of_weeks, aws) == 2


def test_what_was_published_before_the_cadence_was_changed_counts_too(
    aws: Aws, make_report: MakeReport
) -> None:
    of_weeks = DeclaredReport(build_dag(make_report(), UTC_WEEKS))
    publish(of_weeks, "2025-06-08", aws)
    table = of_weeks.table(aws.glue)
    assert table is not None
    ((_, partition),) = table.partitions().items()
    table.put_partition("2025-06-10", table.columns() or (), partition)  # no week begins on it
    assert queries(of_weeks, aws) == 2


def test_costs_are_three_tables_and_what_they_count() -> None:
    cost = partial(CostSummary, price_usd=None, unpriced=0, growth=None)
    result = view.Costs(
        reports={
            "a_weekly": cost(
                queries=1_234, scanned_bytes=2_500_000, price_usd=0.5, unpriced=2, growth=0.104
            ),
            "b_weekly": cost(queries=2, scanned_bytes=20, unpriced=2, growth=-0.5),
            "c_weekly": cost(queries=0, scanned_bytes=0),
        },
        owners={"us": cost(queries=1, scanned_bytes=999, price_usd=0.0)},
        months={"2025-06": cost(queries=1, scanned_bytes=1_000, price_usd=0.000004)},
    )
    output = StringIO()
    view.show(result, Console(file=output, width=120))
    lines = output.getvalue().splitlines()
    grids = [
        [cell.strip() for cell in line[1:-1].split(line[0])] for line in lines if line[:1] in "┃│"
    ]
    columns = ["queries", "scanned", "USD", "growth"]
    assert grids == [
        ["report", *columns],
        ["a_weekly", "1,234", "2.5 MB", "0.50000 and 2 unpriced", "+10%"],
        ["b_weekly", "2", "20 bytes", "none", "-50%"],
        ["c_weekly", "0", "0 bytes", "0.00000", ""],
        ["owner", *columns],
        ["us", "1", "999 bytes", "0.00000", ""],
        ["month", *columns],
        ["2025-06", "1", "1.0 kB", "0.00000", ""],
    ]
    notes = " ".join(output.getvalue().rpartition("┘")[2].split())
    assert notes.startswith("Counts all published queries, including those of earlier versions.")
    assert notes.endswith("Growth is in bytes per query. Months are in UTC.")


def test_the_most_expensive_comes_first_and_each_query_is_counted_once(
    make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a report, its owner and the months."""
    paid = {
        # Bytes and price of a query, in October and in November.
        "dear": ((10, 0.5), (10, 0.5)),
        "wide": ((20, 0.25), (20, 0.25)),
        "small": ((10, 0.25), (10, 0.25)),
        "unused": (),
    }
    ledgers = {}
    dags = []
    for name, queries in reversed(paid.items()):
        months = zip(("2025-10", "2025-11"), queries, strict=False)
        ledgers[f"{name}_daily"] = {
            month: Cost(queries=1, scanned_bytes=scanned_bytes, price_usd=price_usd)
            for month, (scanned_bytes, price_usd) in months
        }
        owner = "two" if name in ("wide", "small") else name
        dags.append(DeclaredReport(build_dag(make_report(name=name, owner=owner), daily())))
    monkeypatch.setattr(view, "_ledger", lambda declared, **_: ledgers[declared.dag.dag_id])
    services: Any = None
    # There the month has begun already, and it is that of UTC that counts.
    of_auckland = datetime(2025, 12, 1, 12, 59, 59, tzinfo=ZoneInfo("Pacific/Auckland"))
    with time_machine.travel(of_auckland):
        found = view.costs(dags, 2, services)
        of_november = view.costs(dags, 1, services)
    assert list(found.reports) == [f"{name}_daily" for name in paid]
    assert list(found.owners) == ["two", "dear", "unused"]
    assert (found.owners["two"].queries, found.owners["two"].price_usd) == (4, 1.0)
    assert {month: total.queries for month, total in found.months.items()} == {
        "2025-10": 3,
        "2025-11": 3,
    }
    assert list(of_november.months) == ["2025-11"]
    assert of_november.reports["dear_daily"].price_usd == 0.5
