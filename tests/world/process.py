"""A process that is no try of a report's task, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.world.world import Actor, CrashError, Start, World


@dataclass(eq=False)
class Process:
    """A process, which is killed after any of its calls. It stands where an `Attempt` stands."""

    world: World
    incident: str  # what kills it
    dies_at: float  # at the latest, by the world's clock
    outcome: str | None = None  # `done`, `failed` or `killed`; None while it lasts
    result: Any = None
    threads: list[Actor] = field(default_factory=list)  # which die with it
    started: Start | None = None  # the last execution

    def execute(self, function: Callable[[], Any], *errors: type[Exception]) -> None:
        """Do what the process is for; errors of these types are told."""
        outcome = "killed"
        try:
            self.result = function()
            outcome = "done"
        except CrashError:
            self.world.say("the process is gone")
        except errors as error:
            self.world.say(f"{type(error).__name__}: {error}")
            outcome = "failed"
        self.outcome = outcome
        for thread in self.threads:
            thread.wake = self.world.clock.seconds

    def go_on(self) -> None:
        if self.outcome is None and self.world.clock.seconds > self.dies_at:
            self.outcome = "killed"
        if self.outcome is not None:
            raise CrashError

    def after_a_call(self) -> None:
        if self.world.happens(self.incident):
            self.crash()

    def crash(self) -> None:
        """Be killed by a signal that no program can answer."""
        self.outcome = "killed"
        raise CrashError
