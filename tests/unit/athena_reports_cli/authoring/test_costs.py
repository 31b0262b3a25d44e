"""`costs`: of the months that are asked for, and fast for years of daily periods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
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
from athena_reports.publication.glue_table import Table
from athena_reports_cli.authoring import costs as view
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.flown import DAG_ID, REPORT, WEEKS, Flown
from tests.support.publishing import Place, facts, week
from tests.support.shell import Shell

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output


class InTwoMonths(datetime):
    """A clock that is fast."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> InTwoMonths:
        later = datetime.now(tz) + timedelta(days=62)
        return cls.combine(later.date(), later.timetz())


def test_costs_are_those_of_the_months_and_the_report_that_are_asked_for(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    (flown.root / "dags" / "another.py").write_text(
        REPORT.replace('name="flown"', 'name="another"')
    )
    every = shell.json("costs")["reports"]
    assert {dag_id: each["queries"] for dag_id, each in every.items()} == {
        DAG_ID: len(WEEKS),
        "another_weekly": 0,
    }
    assert shell.json("costs", "flown")["reports"].keys() == {DAG_ID}
    monkeypatch.setattr(view, "datetime", InTwoMonths)
    queries = {
        number: shell.json("costs", "flown", "--months", number)["reports"][DAG_ID]
        for number in ("1", "12")
    }
    assert {number: each["queries"] for number, each in queries.items()} == {
        "1": 0,
        "12": len(WEEKS),
    }


def test_costs_of_a_table_take_its_listing_and_no_call_for_each_period(
    glue: GlueClient,
    s3: S3Client,
    bucket: str,
    database: str,
    make_report: MakeReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", database)
    of_days = DeclaredReport(build_dag(make_report(), daily("America/New_York")))
    table = Table(database, of_days.location, glue)
    today = datetime.now(UTC).isoformat(timespec="milliseconds")
    for period_id in ("2013-03-01", "2013-03-02", "2013-03-03"):
        place = Place(S3(s3), of_days.location.period_folder(period_id), table)
        place.publish(place.upload("a"), facts(today, period_id=period_id))
    calls: list[str] = []
    call = BaseClient._make_api_call

    def counted(client: Any, operation: str, parameters: Any) -> Any:
        calls.append(operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    nobody: Any = None
    found = view.costs([of_days], 2, Aws(nobody, glue, S3(s3)))  # one month may end meanwhile
    assert found.reports["plays_daily"].queries == 3
    assert set(calls) == {"GetPartitions"}


def test_without_a_table_each_manifest_counts_and_a_folder_without_one_hides_none(
    glue: GlueClient,
    s3: S3Client,
    bucket: str,
    make_report: MakeReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    of_weeks = DeclaredReport(build_dag(make_report(outputs=["csv"]), UTC_WEEKS))
    today = datetime.now(UTC).isoformat(timespec="milliseconds")
    for number, period_id in enumerate(("2025-06-01", "2025-06-08", "2025-06-15", "2025-06-22")):
        place = Place(S3(s3), week(bucket, period_id))
        version = place.upload("a", formats=["csv"])
        if number % 2:  # the others were not published in the end
            place.publish(version, facts(today, period_id=period_id))
    nobody: Any = None
    found = view.costs([of_weeks], 2, Aws(nobody, glue, S3(s3)))  # one month may end meanwhile
    assert found.reports["plays_weekly"].queries == 2


def test_what_was_published_before_the_cadence_was_changed_counts_too(
    glue: GlueClient,
    s3: S3Client,
    bucket: str,
    database: str,
    make_report: MakeReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", database)
    of_weeks = DeclaredReport(build_dag(make_report(), UTC_WEEKS))
    table = Table(database, of_weeks.location, glue)
    place = Place(S3(s3), week(bucket, "2025-06-08"), table)
    today = datetime.now(UTC).isoformat(timespec="milliseconds")
    place.publish(place.upload("a"), facts(today, period_id="2025-06-08"))
    ((_, partition),) = table.partitions().items()
    table.put_partition("2025-06-10", table.columns() or (), partition)  # no week begins on it
    nobody: Any = None
    found = view.costs([of_weeks], 2, Aws(nobody, glue, S3(s3)))  # one month may end meanwhile
    assert found.reports["plays_weekly"].queries == 2


def cost(
    queries: int,
    scanned_bytes: int,
    price_usd: float | None,
    *,
    unpriced: int = 0,
    growth: float | None = None,
) -> CostSummary:
    return CostSummary(
        queries=queries,
        scanned_bytes=scanned_bytes,
        price_usd=price_usd,
        unpriced=unpriced,
        growth=growth,
    )


def test_costs_are_three_tables_and_what_they_count() -> None:
    result = view.Costs(
        reports={
            "[a]_weekly": cost(1_234, 2_500_000, 0.5, growth=0.104),
            "b_weekly": cost(3, 20, 0.00001, unpriced=2, growth=-0.5),
            "c_weekly": cost(2, 20, None, unpriced=2, growth=0.0),
            "d_weekly": cost(0, 0, None),
            "e_weekly": cost(1, 0, None, unpriced=1),
        },
        owners={"us": cost(1, 999, 0.0)},
        months={"2025-06": cost(1, 1_000, 0.000004)},
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
        ["[a]_weekly", "1,234", "2.5 MB", "0.50000", "+10%"],
        ["b_weekly", "3", "20 bytes", "0.00001 and 2 unpriced", "-50%"],
        ["c_weekly", "2", "20 bytes", "none", "+0%"],
        ["d_weekly", "0", "0 bytes", "0.00000", ""],
        ["e_weekly", "1", "0 bytes", "none", ""],
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
