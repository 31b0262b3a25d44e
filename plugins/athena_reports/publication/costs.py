"""What queries scanned and cost, by the UTC month of their submission, as AWS bills it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel

from athena_reports.periods.calendar import monthly


class Cost(NamedTuple):
    """What some queries scanned and cost; `unpriced` of them have no price."""

    queries: int = 0
    scanned_bytes: int = 0
    price_usd: float = 0.0
    unpriced: int = 0


Ledger = Mapping[str, Cost]  # by month, such as `2026-11`


class CostSummary(BaseModel, frozen=True):
    """A ledger in one line.

    `growth` is that of the bytes per query, from the first month with queries to the last one: 0.5
    is half as much again. None for one month only, or if the first one scanned nothing.
    """

    queries: int
    scanned_bytes: int
    price_usd: float | None  # None if no query has a price
    unpriced: int
    growth: float | None


def merged(ledgers: Iterable[Ledger]) -> dict[str, Cost]:
    """Return the sum of ledgers, by month."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for ledger in ledgers:
        for month, cost in ledger.items():
            costs[month].append(cost)
    return {month: _total(costs[month]) for month in sorted(costs)}


def _total(costs: Sequence[Cost]) -> Cost:
    return Cost(
        queries=sum(cost.queries for cost in costs),
        scanned_bytes=sum(cost.scanned_bytes for cost in costs),
        price_usd=sum(cost.price_usd for cost in costs),
        unpriced=sum(cost.unpriced for cost in costs),
    )


def last_months(number: int, now: datetime) -> list[str]:
    """Return the ids of the last UTC months, oldest first and the present one included."""
    months = [monthly().containing(now)]
    while len(months) < number:
        months.insert(0, months[0].previous)
    return [month.id for month in months]


def summary(ledger: Ledger, months: Sequence[str]) -> CostSummary:
    """Return what the queries of some months scanned and cost; the months are oldest first."""
    costs = [ledger[month] for month in months if month in ledger]
    total = _total(costs)
    price_usd = None
    if total.unpriced < total.queries:
        price_usd = round(total.price_usd, 6)
    growth = None
    if len(costs) > 1 and costs[0].scanned_bytes:
        first, last = _bytes_per_query(costs[0]), _bytes_per_query(costs[-1])
        growth = last / first - 1
    return CostSummary(
        queries=total.queries,
        scanned_bytes=total.scanned_bytes,
        price_usd=price_usd,
        unpriced=total.unpriced,
        growth=growth,
    )


def _bytes_per_query(cost: Cost) -> float:
    return cost.scanned_bytes / cost.queries
