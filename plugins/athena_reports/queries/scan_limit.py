"""Whether a query may scan what it will: an estimate from published periods, held against the report's limit."""

from typing import NamedTuple

from athena_reports.errors import AthenaReportsError


class ScanLimitError(AthenaReportsError):
    """A query would scan more than its report allows, so it was not started."""


class ScanEstimate(NamedTuple):
    """What a query will scan, in bytes, and where that comes from."""

    bytes: int
    basis: str


def require_within(limit: int, estimate: ScanEstimate) -> None:
    """Raise ScanLimitError if more bytes than the limit are expected."""
    if estimate.bytes > limit:
        problem = f"the query would scan about {estimate.bytes:,} bytes ({estimate.basis}); max_scan is {limit:,}"
        raise ScanLimitError(f"{problem}. No query was started. Read fewer columns or partitions, or raise max_scan.")
