"""When a running query is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class WaitPolicy:
    """When a running query is looked at: soon at first, then ever more seldom.

    The pause grows with the time that has passed since the query was submitted, so that each pause is
    `factor` times the one before, and the schedule needs no memory: whoever takes the wait over, after a
    crash or on another machine, goes on with it.

    Attributes:
        first_poll_seconds: Pause after the first look.
        factor: Each pause is this many times the one before; at least 1.
        longest_pause_seconds: No pause is longer.
        give_up_after: The wait fails, and the query is stopped, when it has not ended by then.
    """

    first_poll_seconds: float = 1.0
    factor: float = 1.2
    longest_pause_seconds: float = 60.0
    give_up_after: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        if self.first_poll_seconds <= 0 or self.factor < 1:
            raise ValueError(f"{self}: the first pause must be above 0 and the factor at least 1.")
        if self.longest_pause_seconds < self.first_poll_seconds or self.give_up_after <= timedelta(0):
            raise ValueError(
                f"{self}: the longest pause is below the first, or give_up_after is not above 0."
            )

    def pause_after(self, elapsed_seconds: float) -> float:
        """Return the seconds until the next look, `elapsed_seconds` after the query was submitted.

        The sum of a geometric series of pauses p, pf, pf^2, ... up to now is e = p(f^n - 1)/(f - 1), and so
        the next pause pf^n is p + (f - 1)e.
        """
        pause = self.first_poll_seconds + (self.factor - 1) * max(elapsed_seconds, 0.0)
        return min(pause, self.longest_pause_seconds)


PATIENT = WaitPolicy(first_poll_seconds=5.0, longest_pause_seconds=120.0, give_up_after=timedelta(hours=6))
"""For queries that take long, such as a month over a large table."""

STATE_MACHINE = WaitPolicy(
    first_poll_seconds=5.0, factor=1.2, longest_pause_seconds=26.0, give_up_after=timedelta(seconds=130)
)
"""The wait of a Step Functions state machine as it is often written: from 5 s by 1.2, at most 10 times."""
