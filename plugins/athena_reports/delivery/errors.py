"""What keeps a version from being delivered."""

from athena_reports.errors import AthenaReportsError


class DeliveryError(AthenaReportsError):
    """A version could not be delivered. What is published is unchanged."""


class ChannelError(DeliveryError):
    """A channel is declared wrongly. The message names channel, field and way out."""
