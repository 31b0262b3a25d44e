"""When a running query is looked at."""

from datetime import timedelta

from pydantic import BaseModel, Field


class WaitPolicy(BaseModel, frozen=True, extra="forbid"):
    """Pauses between two calls of GetQueryExecution: each is `factor` times the one before.

    A pause follows from the time since the query was submitted. So another process that takes the
    wait over keeps to the same schedule.

    Attributes:
        first_poll_seconds: The first pause.
        factor: Growth of the pauses.
        longest_pause_seconds: No pause is longer.
        give_up_after: When the query has not ended by then, it is stopped and the wait fails.
    """

    first_poll_seconds: float = Field(default=1.0, gt=0)
    factor: float = Field(default=1.2, ge=1)
    longest_pause_seconds: float = Field(default=60.0, gt=0)
    give_up_after: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))

    def pause_after(self, elapsed_seconds: float) -> float:
        """Return the seconds until the next call, `elapsed_seconds` after the submission."""
        elapsed = max(elapsed_seconds, 0.0)
        # Pauses p, pf, pf^2, ... add up to e = p(f^n - 1)/(f - 1).
        # So the next one, pf^n, is p + (f - 1)e.
        pause = self.first_poll_seconds + (self.factor - 1) * elapsed
        return min(pause, self.longest_pause_seconds)


PATIENT = WaitPolicy(
    first_poll_seconds=5.0,
    longest_pause_seconds=120.0,
    give_up_after=timedelta(hours=6),
)
"""For long queries, such as a month over a large table."""

STATE_MACHINE = WaitPolicy(
    first_poll_seconds=5.0,
    longest_pause_seconds=26.0,
    give_up_after=timedelta(seconds=130),
)
"""The wait of the Step Functions state machine: 5 s, factor 1.2, at most 10 times."""
