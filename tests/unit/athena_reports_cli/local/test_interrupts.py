"""Signals while processes run; tests/services/commands/test_up.py ends some."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from athena_reports_cli.local.interrupts import (
    interrupt_behind,
    signals_as_interrupts,
    signals_put_off,
)

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def unnoticed() -> Iterator[list[int]]:
    """The signals that reached the handlers that were there before."""
    received: list[int] = []
    before = {}
    for number in SIGNALS:
        before[number] = signal.signal(number, lambda number, _: received.append(number))
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("context", [signals_as_interrupts, signals_put_off])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_interrupt_with_its_name(
    context: Callable[[], AbstractContextManager[None]],
    number: signal.Signals,
    unnoticed: list[int],
) -> None:
    """SIGHUP comes when the terminal is closed."""
    reached = []

    def work() -> None:
        with context():
            os.kill(os.getpid(), number)
            reached.append("the end of the block")

    with pytest.raises(KeyboardInterrupt, match=number.name):
        work()
    assert bool(reached) == (context is signals_put_off)
    assert unnoticed == []

    os.kill(os.getpid(), number)
    assert unnoticed == [number]


@pytest.mark.usefixtures("unnoticed")
def test_of_several_signals_that_were_put_off_the_first_one_counts() -> None:
    def work() -> None:
        with signals_put_off():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        work()


@pytest.mark.parametrize("context", [signals_as_interrupts, signals_put_off])
def test_another_thread_leaves_the_signals_alone(
    context: Callable[[], AbstractContextManager[None]], unnoticed: list[int]
) -> None:
    """Python lets it set none."""

    def work() -> None:
        with context():
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(work).result()
    assert unnoticed == [signal.SIGTERM]


def test_an_interrupt_is_behind_what_its_handler_raises() -> None:
    interrupt = KeyboardInterrupt("SIGTERM")

    def stop() -> None:
        try:
            raise interrupt
        except KeyboardInterrupt:
            raise OSError("it cannot be stopped")  # noqa: B904

    with pytest.raises(OSError, match="it cannot be stopped") as failed:
        stop()
    assert interrupt_behind(failed.value) is interrupt
    assert interrupt_behind(OSError()) is None
    assert interrupt_behind(None) is None


def test_a_signal_that_the_shell_ignores_stays_ignored(unnoticed: list[int]) -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals_as_interrupts():
        os.kill(os.getpid(), signal.SIGHUP)
    assert unnoticed == []


@pytest.mark.usefixtures("unnoticed")
def test_a_second_signal_does_not_break_off_what_the_first_one_has_begun() -> None:
    """A terminal that is closed sends more than one, and people press Ctrl-C again."""
    stopped = []

    class Component:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            stopped.append("the component")

    def work() -> None:
        with signals_as_interrupts(), Component():
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        work()
    assert stopped == ["the component"]
