"""What queries will scan, estimated from the published periods of their report."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from athena_reports.periods.calendar import Period

if TYPE_CHECKING:
    from athena_reports.publication.manifest import PartitionFacts

_NEIGHBOURS = 3  # the nearest published periods: one odd one among them does not count


@dataclass(frozen=True)
class ScanEstimate:
    """What a query will scan and cost, and where that comes from."""

    bytes: int
    basis: str
    price_usd: float | None = None  # None if one of the published periods has no price


def estimate_scans(
    periods: Sequence[Period], published: "Mapping[Period, PartitionFacts]"
) -> dict[Period, ScanEstimate]:
    """Return what the query of each period will scan: the median of the nearest published periods.

    There are no estimates if no period is published.
    """
    if not published:
        return {}
    in_order = sorted(published)
    return {period: _estimate(_nearest(period, in_order), published) for period in periods}


def _nearest(period: Period, published: Sequence[Period]) -> Sequence[Period]:
    place = bisect(published, period)
    first = max(place - _NEIGHBOURS, 0)
    around = published[first : place + _NEIGHBOURS]
    # The sort is stable: of two periods that are as near, the earlier one counts.
    by_distance = sorted(around, key=lambda other: abs(other.index - period.index))
    return sorted(by_distance[:_NEIGHBOURS])


def _estimate(
    nearest: Sequence[Period], published: "Mapping[Period, PartitionFacts]"
) -> ScanEstimate:
    from statistics import median

    scanned_bytes = median(published[period].query.scanned_bytes for period in nearest)
    basis = f"median of {', '.join(map(str, nearest))}"
    known_prices = []
    for period in nearest:
        price_usd = published[period].query.price_usd
        if price_usd is None:
            return ScanEstimate(round(scanned_bytes), basis)
        known_prices.append(price_usd)
    return ScanEstimate(round(scanned_bytes), basis, median(known_prices))
