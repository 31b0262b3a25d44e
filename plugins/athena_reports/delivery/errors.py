"""What keeps a version from being delivered."""

from collections.abc import Mapping

from athena_reports.errors import AthenaReportsError


class DeliveryError(AthenaReportsError):
    """A version could not be delivered. What is published is unchanged."""


def refusals_text(refused: Mapping[str, str]) -> str:
    """Return recipients that a server refused, with its answers, for a message."""
    return "; ".join(f"{address}: {answer}" for address, answer in refused.items())
