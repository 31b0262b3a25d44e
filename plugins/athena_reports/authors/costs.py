"""What reports scanned and cost, by report, owner and month."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.authors.declared import DeclaredReport
from athena_reports.authors.preview import size
from athena_reports.authors.trial import CALLS_AT_ONCE, Aws
from athena_reports.publication.costs import Ledger, Summary, last_months, merged, summary
from athena_reports.publication.glue_table import Table
from athena_reports.publication.publish import read_manifest

_NOTES = """Every published query is counted, also those of earlier versions. Failed and cancelled queries, previews and
plans are not published, and so not here. A query without a price ran on a capacity reservation, which bills capacity
and not the query, or in a region whose price is not known. Growth is that of the bytes per query. Months are UTC's."""


class Costs(BaseModel, frozen=True):
    """Costs by the ids of DAGs, dearest first and of these the fastest growing, by their owners, and by month."""

    reports: dict[str, Summary]
    owners: dict[str, Summary]
    months: dict[str, Summary]
    owner_of: dict[str, str]


def costs(dags: Sequence[DeclaredReport], months: int, aws: Aws) -> Costs:
    """Return what the queries of the last months cost, by one listing of each table."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        ledgers = list(threads.map(lambda each: _ledger(each, aws), dags))
    shown, owners = last_months(months, datetime.now(UTC)), {each.dag.dag_id: each.dag.owner for each in dags}
    reports = dict(zip(owners, ledgers, strict=True))
    by_owner = {
        owner: merged(reports[dag_id] for dag_id in owners if owners[dag_id] == owner) for owner in owners.values()
    }
    everything = merged(ledgers)
    return Costs(
        reports=_dearest_first(reports, shown),
        owners=_dearest_first(by_owner, shown),
        months={month: summary(everything, [month]) for month in shown if month in everything},
        owner_of=owners,
    )


def _ledger(each: DeclaredReport, aws: Aws) -> Ledger:
    location = each.recipe.location(each.latest_period())
    if each.recipe.database:
        return merged(
            facts.ledger for facts in Table(each.recipe.database, location, aws.glue).published_periods().values()
        )
    ids = (folder.split("/")[-2] for folder in aws.s3.folders(location.folder_uri))
    found = (read_manifest(replace(location, period_id=period_id), aws.s3)[0] for period_id in ids)
    return merged(manifest.ledger for manifest in found if manifest)


def _dearest_first(ledgers: Mapping[str, Ledger], months: Sequence[str]) -> dict[str, Summary]:
    found = {name: summary(ledger, months) for name, ledger in ledgers.items()}
    order = sorted(found.items(), key=lambda each: (each[1].price_usd or 0, each[1].scanned_bytes, each[1].growth or 0))
    return dict(order[::-1])


def show(found: Costs, console: Console) -> None:
    """Print the costs for a person."""
    for title, lines in (("report", found.reports), ("owner", found.owners), ("month", found.months)):
        grid = Grid(title, *(["owner"] if title == "report" else []))
        for name in ("queries", "scanned", "USD", "growth"):
            grid.add_column(name, justify="right")
        for name, each in lines.items():
            price = "by capacity" if each.price_usd is None and each.queries else f"{each.price_usd or 0:.5f}"
            price += f" and {each.unpriced} without" if each.unpriced and each.price_usd is not None else ""
            growth = "" if each.growth is None else f"{each.growth:+.0%}"
            owner = [Text(found.owner_of[name])] if title == "report" else []
            grid.add_row(Text(name), *owner, f"{each.queries:,}", size(each.scanned_bytes), price, growth)
        console.print(grid)
    console.print(Text(" ".join(_NOTES.split()), style="dim"))
