"""When a failed task is tried again."""

from datetime import timedelta
from typing import Any

import pydantic
from pydantic import Field

from athena_reports.declaration import CONFIG, Declaration


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=CONFIG)
class RetryPolicy(Declaration):
    """Pauses between the tries of a task: each is `factor` times the one before.

    Airflow makes a pause up to twice as long, so that tasks that failed together do not return
    together. It does not if `factor` is 1.

    Attributes:
        retries: How often a failed task is tried again.
        first_pause: The first pause.
        factor: Growth of the pauses; 1 keeps them equal.
        longest_pause: No growing pause is longer; None for Airflow's own limit, a day.
    """

    retries: int = Field(default=3, ge=0)
    first_pause: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(0))
    factor: float = Field(default=2.0, ge=1)
    longest_pause: timedelta | None = Field(default=None, gt=timedelta(0))

    @property
    def arguments(self) -> dict[str, Any]:
        """The policy as arguments of an Airflow operator."""
        return {
            "retries": self.retries,
            "retry_delay": self.first_pause,
            "retry_exponential_backoff": self.factor,
            "max_retry_delay": self.longest_pause,
        }


STATE_MACHINE_RETRIES = RetryPolicy(retries=5, first_pause=timedelta(seconds=3), factor=1)
"""The retrier of the Step Functions state machine: 5 times, each after 3 s."""
