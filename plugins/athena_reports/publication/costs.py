"""What queries scanned and cost, by the UTC month of their submission, as AWS bills it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Any, NamedTuple

from pydantic import BaseModel


class Cost(NamedTuple):
    """What some queries scanned and cost; `unpriced` of them have no price."""

    queries: int = 0
    scanned_bytes: int = 0
    price_usd: float = 0.0
    unpriced: int = 0


Ledger = Mapping[str, Cost]  # by month, such as `2026-11`


class CostSummary(BaseModel, frozen=True):
    """A ledger in one line: `price_usd` is None if no query has a price, `growth` is that of the bytes per query."""

    queries: int
    scanned_bytes: int
    price_usd: float | None
    unpriced: int
    growth: float | None  # from the first month with queries to the last one; None if there is one month only


def paid_for(query: Any) -> Ledger:
    """Return the ledger of one query, by its facts in a manifest or a partition."""
    price = query.price_usd
    return {query.submitted_at[:7]: Cost(1, query.scanned_bytes, price or 0.0, int(price is None))}


def merged(ledgers: Iterable[Ledger]) -> dict[str, Cost]:
    """Return the sum of ledgers, by month."""
    found: dict[str, Cost] = {}
    for month, cost in (pair for ledger in ledgers for pair in ledger.items()):
        found[month] = Cost(*map(add, found.get(month, Cost()), cost))
    return dict(sorted(found.items()))


def last_months(number: int, now: datetime) -> list[str]:
    """Return the last months, the present one included."""
    months = (divmod(now.year * 12 + now.month - 1 - back, 12) for back in range(number))
    return [f"{year:04}-{month + 1:02}" for year, month in months][::-1]


def summary(ledger: Ledger, months: Sequence[str]) -> CostSummary:
    """Return what the queries of some months scanned and cost."""
    costs = [ledger[month] for month in months if month in ledger]
    queries, scanned, price, unpriced = Cost(*map(sum, zip(Cost(), *costs, strict=True)))
    first, last = (costs[place].scanned_bytes / costs[place].queries if len(costs) > 1 else 0 for place in (0, -1))
    known = None if unpriced == queries else round(price, 6)
    growth = last / first - 1 if first else None
    return CostSummary(queries=queries, scanned_bytes=scanned, price_usd=known, unpriced=unpriced, growth=growth)
