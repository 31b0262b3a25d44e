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


def costs(dags: Sequence[DeclaredReport], months: int, aws: Aws) -> Costs:
    """Return what the queries of the last months cost, by one listing of each table."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        ledgers = list(threads.map(lambda each: _ledger(each, aws), dags))
    shown, everything, owners = last_months(months, datetime.now(UTC)), merged(ledgers), dict[str, Ledger]()
    for each, ledger in zip(dags, ledgers, strict=True):
        owners[each.dag.owner] = merged([owners.get(each.dag.owner, {}), ledger])
    return Costs(
        reports=_dearest_first({each.dag.dag_id: ledger for each, ledger in zip(dags, ledgers, strict=True)}, shown),
        owners=_dearest_first(owners, shown),
        months={month: summary(everything, [month]) for month in shown if month in everything},
    )


def _ledger(each: DeclaredReport, aws: Aws) -> Ledger:
    location = each.recipe.location(each.latest_period())
    if each.recipe.database:
        table = Table(each.recipe.database, location, aws.glue)
        return merged(facts.ledger for facts in table.published_periods().values())
    ids = (folder.split("/")[-2] for folder in aws.s3.folders(location.folder_uri))
    found = (read_manifest(replace(location, period_id=period_id), aws.s3)[0] for period_id in ids)
    return merged(manifest.ledger for manifest in found if manifest)


def _dearest_first(ledgers: Mapping[str, Ledger], months: Sequence[str]) -> dict[str, Summary]:
    found = {name: summary(ledger, months) for name, ledger in ledgers.items()}
    worth = {name: (each.price_usd or 0, each.scanned_bytes, each.growth or 0) for name, each in found.items()}
    return {name: found[name] for name in sorted(found, key=worth.__getitem__, reverse=True)}


def show(found: Costs, console: Console) -> None:
    """Print the costs for a person."""
    for title, lines in (("report", found.reports), ("owner", found.owners), ("month", found.months)):
        grid = Grid(title)
        for name in ("queries", "scanned", "USD", "growth"):
            grid.add_column(name, justify="right")
        for name, each in lines.items():
            price = "none" if each.price_usd is None and each.queries else f"{each.price_usd or 0:.5f}"
            price += f" and {each.unpriced} without" if each.unpriced and each.price_usd is not None else ""
            growth = "" if each.growth is None else f"{each.growth:+.0%}"
            grid.add_row(Text(name), f"{each.queries:,}", size(each.scanned_bytes), price, growth)
        console.print(grid)
    console.print(Text(" ".join(_NOTES.split()), style="dim"))
