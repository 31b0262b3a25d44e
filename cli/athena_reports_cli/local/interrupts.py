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
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does.

    While one is handled, further signals are ignored: what it has begun to stop is stopped.
    """

    def interrupt(number: int, _: object) -> None:
        if not is_interrupt_handled():
            raise KeyboardInterrupt(signal.Signals(number).name)

    with _handling(interrupt):
        yield


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a process that an interrupt ends, as a shell has it for its signal.

    One that names no signal is a Ctrl-C.
    """
    number = signal.SIGINT
    if interrupt.args:
        number = signal.Signals[str(interrupt.args[0])]
    return 128 + number


@contextmanager
def signals_put_off() -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt after the block, and not within it."""
    pending: list[int] = []
    with _handling(lambda number, _: pending.append(number)):
        yield
    if pending:
        raise KeyboardInterrupt(signal.Signals(pending[0]).name)


def is_interrupt_handled() -> bool:
    """Return whether the code that runs now is a handler of KeyboardInterrupt, or called by one."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    previous: dict[signal.Signals, Any] = {}
    # Python lets no other thread set the handler of a signal.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old_handler in previous.items():
            signal.signal(number, old_handler)
