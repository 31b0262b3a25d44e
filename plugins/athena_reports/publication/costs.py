"""What queries scanned and cost, by the UTC month of their submission, as AWS bills it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from pydantic import BaseModel


class Cost(NamedTuple):
    """What some queries scanned and cost; `unpriced` of them have no price."""

    queries: int = 0
    scanned_bytes: int = 0
    price_usd: float = 0.0
    unpriced: int = 0


Ledger = Mapping[str, Cost]  # by month, such as `2026-11`


class CostSummary(BaseModel, frozen=True):
    """A ledger in one line.

    `price_usd` is None if no query has a price. `growth` is that of the bytes per query, from the
    first month with queries to the last one, as a fraction: 0.5 is half as much again. It is None
    if there is one month only, or if the first one scanned nothing.
    """

    queries: int
    scanned_bytes: int
    price_usd: float | None
    unpriced: int
    growth: float | None


class _PaidQuery(Protocol):
    """The facts of a query that its cost follows from."""

    @property
    def submitted_at(self) -> str: ...
    @property
    def scanned_bytes(self) -> int: ...
    @property
    def price_usd(self) -> float | None: ...


def paid_for(query: _PaidQuery) -> Ledger:
    """Return the ledger of one query, by its facts in a manifest or a partition."""
    month = query.submitted_at[:7]
    if query.price_usd is None:
        return {month: Cost(queries=1, scanned_bytes=query.scanned_bytes, unpriced=1)}
    return {month: Cost(queries=1, scanned_bytes=query.scanned_bytes, price_usd=query.price_usd)}


def merged(ledgers: Iterable[Ledger]) -> dict[str, Cost]:
    """Return the sum of ledgers, by month."""
    sums: dict[str, Cost] = {}
    for ledger in ledgers:
        for month, cost in ledger.items():
            sums[month] = _added(sums.get(month, Cost()), cost)
    return dict(sorted(sums.items()))


def _added(cost: Cost, other: Cost) -> Cost:
    return Cost(
        queries=cost.queries + other.queries,
        scanned_bytes=cost.scanned_bytes + other.scanned_bytes,
        price_usd=cost.price_usd + other.price_usd,
        unpriced=cost.unpriced + other.unpriced,
    )


def last_months(number: int, now: datetime) -> list[str]:
    """Return the last months, oldest first and the present one included.

    Args:
        number: How many months.
        now: An instant in UTC, as ledgers are by UTC month.
    """
    present = now.year * 12 + now.month - 1  # months since the year 0
    months = []
    for month_number in range(present - number + 1, present + 1):
        year, month = divmod(month_number, 12)
        months.append(f"{year:04}-{month + 1:02}")
    return months


def summary(ledger: Ledger, months: Sequence[str]) -> CostSummary:
    """Return what the queries of some months scanned and cost; the months are oldest first."""
    costs = [ledger[month] for month in months if month in ledger]
    total = Cost()
    for cost in costs:
        total = _added(total, cost)
    price = None
    if total.unpriced < total.queries:
        price = round(total.price_usd, 6)
    return CostSummary(
        queries=total.queries,
        scanned_bytes=total.scanned_bytes,
        price_usd=price,
        unpriced=total.unpriced,
        growth=_growth(costs),
    )


def _growth(costs: Sequence[Cost]) -> float | None:
    """Return by which fraction the bytes per query grew from the first month to the last one."""
    if len(costs) < 2:
        return None
    first = costs[0].scanned_bytes / costs[0].queries
    last = costs[-1].scanned_bytes / costs[-1].queries
    if not first:
        return None
    return last / first - 1
