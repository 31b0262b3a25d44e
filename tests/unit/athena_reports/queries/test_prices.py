import pytest

from athena_reports.queries.prices import price_usd


@pytest.mark.parametrize(
    ("region", "scanned_bytes", "usd"),
    [
        ("us-east-1", 0, 5e-5),  # 10 MB at least
        ("us-east-1", 10**7, 5e-5),
        ("us-east-1", 2 * 10**11, 1.0),
        ("sa-east-1", 10**12, 9.0),
    ],
)
def test_a_scan_costs_by_the_terabyte_and_region(
    region: str, scanned_bytes: int, usd: float
) -> None:
    assert price_usd(scanned_bytes, region) == pytest.approx(usd)


def test_a_region_whose_price_is_not_known_has_none() -> None:
    assert price_usd(10**12, "mars-east-1") is None
