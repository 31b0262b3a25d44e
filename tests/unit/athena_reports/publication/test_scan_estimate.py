"""What queries will scan, beside all published periods sorted by their distance."""

from collections.abc import Mapping
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.publication.scan_estimate import estimate_scans
from tests.support.calendars import WEEKS
from tests.support.partition_facts import facts, periods_from

PERIODS = periods_from(WEEKS.period("2026-03-01"), 12)


def published_from(
    scans: Mapping[Period, int], price_usd: float | None = 0.25
) -> dict[Period, PartitionFacts]:
    return {
        period: facts(period, scanned_bytes=scanned_bytes, price_usd=price_usd)
        for period, scanned_bytes in scans.items()
    }


@given(
    st.dictionaries(st.sampled_from(PERIODS), st.integers(0, 10**12), min_size=1),
    st.sets(st.sampled_from(PERIODS)),
)
def test_a_scan_is_the_median_of_the_three_nearest_published_periods(
    scans: dict[Period, int], periods: set[Period]
) -> None:
    estimates = estimate_scans(sorted(periods), published_from(scans))
    assert list(estimates) == sorted(periods)
    for period, estimate in estimates.items():
        nearest = sorted(scans, key=lambda other: (abs(other.index - period.index), other))[:3]
        assert estimate.bytes == round(median(scans[other] for other in nearest))
        assert estimate.basis == f"median of {', '.join(map(str, sorted(nearest)))}"
        assert estimate.price_usd == 0.25


def test_without_a_published_period_there_is_no_estimate() -> None:
    assert estimate_scans(PERIODS, {}) == {}


def test_without_each_price_there_is_no_price() -> None:
    published = published_from(dict.fromkeys(PERIODS[:3], 1000))
    published |= published_from({PERIODS[1]: 1000}, price_usd=None)
    (estimate,) = estimate_scans([PERIODS[3]], published).values()
    assert (estimate.bytes, estimate.price_usd) == (1000, None)
