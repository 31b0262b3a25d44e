"""What keeps a version from being delivered."""

from athena_reports.errors import AthenaReportsError


class DeliveryError(AthenaReportsError):
    """A version could not be delivered. What is published is unchanged."""
