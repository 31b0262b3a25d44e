"""What reports scanned and cost, by report, owner and month."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from athena_reports.publication.commit import read_manifest
from athena_reports.publication.costs import CostSummary, Ledger, last_months, merged, summary
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.tables import rows_table
from athena_reports_cli.authoring.trial import CALLS_AT_ONCE, Aws

_NOTES = """
Counts all published queries, including those of earlier versions. Failed and cancelled queries,
previews and plans publish nothing, so they are not counted. A query has no price if it ran on a
capacity reservation, which bills capacity instead of queries, or in a region with an unknown price.
Growth is in bytes per query. Months are in UTC.
"""


class Costs(BaseModel, frozen=True):
    """Costs by the ids of DAGs, by their owners, and by month.

    DAGs and owners come with the most expensive first, then with what scanned the most.
    """

    reports: dict[str, CostSummary]
    owners: dict[str, CostSummary]
    months: dict[str, CostSummary]


def costs(dags: Sequence[DeclaredReport], months: int, aws: Aws) -> Costs:
    """Return what the queries of the last months cost, the present one included.

    That takes one listing of each table.
    """
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        ledgers = list(threads.map(partial(_ledger, aws=aws), dags))

    by_report: dict[str, Ledger] = {}
    by_owner: dict[str, Ledger] = {}
    for declared, ledger in zip(dags, ledgers, strict=True):
        owner = declared.report.owner
        by_report[declared.dag.dag_id] = ledger
        by_owner[owner] = merged([by_owner.get(owner, {}), ledger])

    recent_months = last_months(months, datetime.now(UTC))
    total = merged(ledgers)
    return Costs(
        reports=_most_expensive_first(by_report, recent_months),
        owners=_most_expensive_first(by_owner, recent_months),
        months={month: summary(total, [month]) for month in recent_months if month in total},
    )


def _ledger(declared: DeclaredReport, aws: Aws) -> Ledger:
    """Return the costs of a DAG: from its table's partitions, or without a table from manifests."""
    location = declared.location
    table = declared.table(aws.glue)
    if table is not None:
        return merged(facts.ledger for facts in table.published_periods().values())
    ledgers = []
    for folder_uri in aws.s3.folders(location.folder_uri):
        period_id = folder_uri.removeprefix(location.folder_uri).removesuffix("/")
        manifest, _ = read_manifest(location.period_folder(period_id), aws.s3)
        if manifest is not None:
            ledgers.append(manifest.ledger)
    return merged(ledgers)


def _most_expensive_first(
    ledgers: Mapping[str, Ledger], months: Sequence[str]
) -> dict[str, CostSummary]:
    summaries = {name: summary(ledger, months) for name, ledger in ledgers.items()}
    return dict(sorted(summaries.items(), key=_weight, reverse=True))


def _weight(named_summary: tuple[str, CostSummary]) -> tuple[float, int]:
    _, total = named_summary
    return (total.price_usd or 0.0, total.scanned_bytes)


def show(result: Costs, console: Console) -> None:
    """Print the costs for a person."""
    for title, summaries in (
        ("report", result.reports),
        ("owner", result.owners),
        ("month", result.months),
    ):
        headings = [title, "queries", "scanned", "USD", "growth"]
        rows = [_row(name, total) for name, total in summaries.items()]
        console.print(rows_table(headings, rows, numbers=True))
    console.print(Text(" ".join(_NOTES.split()), style="dim"))


def _row(name: str, total: CostSummary) -> Sequence[str]:
    growth = ""
    if total.growth is not None:
        growth = f"{total.growth:+.0%}"
    return name, f"{total.queries:,}", decimal(total.scanned_bytes), _price(total), growth


def _price(total: CostSummary) -> str:
    if total.price_usd is None:
        # No query has a price. No queries at all cost nothing.
        return "none" if total.queries else f"{0:.5f}"
    price = f"{total.price_usd:.5f}"
    if total.unpriced:
        price += f" and {total.unpriced} unpriced"
    return price
