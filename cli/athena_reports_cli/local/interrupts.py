"""Signals that end a command: what they raise, and when."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does, with the signal's name.

    No other exception: the import of DAG files catches all but this one, and typer's questions end
    by it. While one is handled, further signals are ignored: what it has begun to stop is stopped.
    """

    def interrupt(number: int, _: object) -> None:
        if interrupt_behind(sys.exception()) is None:
            raise KeyboardInterrupt(signal.Signals(number).name)

    with _handling(interrupt):
        yield


@contextmanager
def signals_put_off() -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt after the block, and not within it."""
    pending: list[int] = []
    with _handling(lambda number, _: pending.append(number)):
        yield
    if pending:
        raise KeyboardInterrupt(signal.Signals(pending[0]).name)


def interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an exception is, or was raised in the handling of."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__context__
    return None


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    previous: dict[signal.Signals, Any] = {}
    # Python lets no other thread set the handler of a signal.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # which nohup sets, to stay so
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old_handler in previous.items():
            signal.signal(number, old_handler)
