"""Signals while processes run; tests/e2e/test_runtime.py ends some."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from athena_reports.local.processes import exit_code, signals_as_interrupts, signals_put_off

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture
def unnoticed() -> Iterator[list[int]]:
    """The signals that reached the handlers that were there before."""
    received: list[int] = []
    before = {}
    for number, _ in SIGNALS:
        before[number] = signal.signal(number, lambda number, _: received.append(number))
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("context", [signals_as_interrupts, signals_put_off])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_is_an_interrupt_whose_exit_code_is_that_of_the_signal(
    context: Callable[[], AbstractContextManager[None]],
    number: signal.Signals,
    code: int,
    unnoticed: list[int],
) -> None:
    """SIGHUP comes when the terminal is closed."""
    reached = []

    def work() -> None:
        with context():
            os.kill(os.getpid(), number)
            reached.append("the end of the block")

    with pytest.raises(KeyboardInterrupt) as interrupted:
        work()
    assert exit_code(interrupted.value) == code
    assert bool(reached) == (context is signals_put_off)
    assert unnoticed == []

    os.kill(os.getpid(), number)
    assert unnoticed == [number]


def test_an_interrupt_without_a_signal_is_a_ctrl_c() -> None:
    assert exit_code(KeyboardInterrupt()) == 130
