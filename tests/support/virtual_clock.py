"""Time that passes only when somebody waits: hours of polling in milliseconds,
the same in every run.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import time_machine
from airflow.sdk.bases import sensor

from athena_reports.steps import partition_poller, query_poller, shared_poller
from athena_reports.steps.shared_poller import RateLimiter

START = datetime(2025, 6, 18, 3, tzinfo=UTC)

_T = TypeVar("_T")


class VirtualClock:
    """The clock of a test: of `datetime.now`, of pollers and sensors, and of the event loop."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self.seconds = 0.0  # since the clock was started

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._traveller.shift(seconds)

    def monotonic(self) -> float:
        return self.seconds

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """As `asyncio.run`, without waiting for anything."""
        with asyncio.Runner(loop_factory=lambda: ClockLoop(self, NoWaiting(self.sleep))) as runner:
            return runner.run(coroutine)


@contextmanager
def virtual_clock() -> Iterator[VirtualClock]:
    """Stop the clock, and hand it over."""
    with time_machine.travel(START, tick=False) as traveller, pytest.MonkeyPatch.context() as patch:
        clock = VirtualClock(traveller)
        for module in (shared_poller, query_poller):
            patch.setattr(module, "time", clock)
        for module in (query_poller, partition_poller):
            patch.setattr(module, "_rate_limiter", RateLimiter())
        patch.setattr(shared_poller, "_pollers", {})
        # A sensor without a triggerer: its pauses depend on when it began.
        sensor_time = SimpleNamespace(
            monotonic=clock.monotonic, sleep=lambda seconds: time.sleep(seconds)
        )
        patch.setattr(sensor, "time", sensor_time)
        patch.setattr("time.sleep", clock.sleep)
        yield clock


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of a clock. What is for a thread is done at once."""

    def __init__(self, clock: VirtualClock, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._clock = clock

    def time(self) -> float:
        return self._clock.seconds

    def run_in_executor(  # type: ignore[override]  # its future has no type
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class NoWaiting(selectors.SelectSelector):
    """Lets time pass to the next timer of an event loop, by `pause`, instead of waiting for it."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        super().__init__()
        self._pause = pause

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits for something that no time will bring")
        if not ready and timeout:
            # Slightly longer: after rounding, the timer might not be due yet, and nothing goes on.
            self._pause(timeout + 1e-9)
        return ready
