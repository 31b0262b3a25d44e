"""When versions are delivered."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class DeliveryPolicy:
    """When versions are delivered.

    Attributes:
        within: A channel gets its first version of a period if that was published so long after the
            end of the period at most.
        correct_within: The same for a channel that has a version of the period already.
        when: `published` for each version, or `final` only for those that are neither provisional
            nor partial.
    """

    within: timedelta
    correct_within: timedelta
    when: Literal["published", "final"]
