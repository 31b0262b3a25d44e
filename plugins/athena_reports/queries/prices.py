"""What Athena bills for a terabyte that a query scans, by region.

A region that is not here has no price. The prices are those of AWS's price list of 2026-03-22, by
secondary sources. Look a price up before you rely on it.
"""

from __future__ import annotations

USD_PER_TB = {
    "ap-northeast-1": 5.0,
    "ap-southeast-1": 5.0,
    "eu-central-1": 5.0,
    "eu-west-1": 5.0,
    "sa-east-1": 9.0,
    "us-east-1": 5.0,
    "us-east-2": 5.0,
    "us-west-1": 6.75,
    "us-west-2": 5.0,
}
_BYTES_PER_TB = 1e12
_LEAST_BILLED_TB = 1e-5


def price_usd(scanned_bytes: int, region: str) -> float | None:
    """Return what a query costs that scans so much; None if the region's price is not known.

    Athena bills 10 MB at least.
    """
    if region not in USD_PER_TB:
        return None
    billed_tb = max(scanned_bytes / _BYTES_PER_TB, _LEAST_BILLED_TB)
    return billed_tb * USD_PER_TB[region]
