"""The process of the command line `athena-reports`: versions, signals, output and errors.

The commands themselves are in `commands`. They are imported only once Python and Airflow are known
to be recent enough, so this module imports nothing that an older Python lacks.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from io import StringIO, TextIOWrapper
from typing import Any

from athena_reports_cli.local.interrupts import is_interrupt_handled

_OLDEST_PYTHON = (3, 11)
_OLDEST_AIRFLOW = (3, 2, 1)


def main() -> None:
    """Run the command line; a known error is one message, and exit code 1."""
    problem = _version_problem()
    if problem:
        raise SystemExit(problem)  # Python prints it, and the exit code is 1
    from athena_reports.errors import AthenaReportsError
    from athena_reports_cli.authoring.commands import app, print_problem

    # Airflow and botocore log how they were set up to standard output, among what is printed.
    logging.disable(logging.WARNING)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    if sys.stdin is None:
        # The shell has closed it. A question then has no answer, as from an empty file.
        sys.stdin = StringIO()
    if isinstance(sys.stdout, TextIOWrapper):
        # A character that the terminal cannot show must not end a command that has paid a query.
        sys.stdout.reconfigure(errors="backslashreplace")

    try:
        with _unwound_by_signals():
            app(prog_name="athena-reports")
    except AthenaReportsError as error:
        print_problem(str(error))
        raise SystemExit(1) from error
    except Exception as error:
        problem = _aws_problem(error)
        if not problem:
            raise
        print_problem(problem)
        raise SystemExit(1) from error
    finally:
        _flush_output()


def _version_problem() -> str:
    """Return why the commands cannot run in this Python, beside this Airflow; empty if they can."""
    if sys.version_info < _OLDEST_PYTHON:
        python = ".".join(str(number) for number in sys.version_info[:3])
        return (
            f"athena-reports needs Python 3.11, 3.12 or 3.13, and this is Python {python}."
            " Install it into an environment of one of them."
        )
    needed = ".".join(str(number) for number in _OLDEST_AIRFLOW)
    advice = f"Install apache-airflow=={needed} or later."
    airflow = _airflow_version()
    if not airflow:
        return f"athena-reports needs Airflow, which is not installed. {advice}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", airflow)[:3])
    if numbers < _OLDEST_AIRFLOW:
        return f"athena-reports needs Airflow {needed} or later, and this is {airflow}. {advice}"
    return ""


def _airflow_version() -> str:
    """Return the version of the installed Airflow; empty if there is none.

    Airflow 3 has its code in the package apache-airflow-core, and Airflow 2 in apache-airflow.
    """
    for package in ("apache-airflow-core", "apache-airflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def _aws_problem(error: Exception) -> str:
    """Return what an error of a call of AWS means; empty if it is another error."""
    from botocore.exceptions import BotoCoreError, ClientError

    from athena_reports.aws.errors import error_kind

    if not isinstance(error, BotoCoreError | ClientError):
        return ""
    return f"{error} {error_kind(error).advice}"


def _flush_output() -> None:
    """Flush standard output; exit code 1 if its reader has gone away, as `head` does.

    Otherwise Python flushes it when the process ends, and prints a traceback.
    """
    if sys.stdout is None:  # the shell has closed it
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer goes there, as Python's documentation of SIGPIPE recommends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        raise SystemExit(1) from None


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, so that a paid query is stopped.

    The exit code after them is 143 or 129, as a shell has it for a process that they killed. While
    a signal is handled, further ones are ignored, so that they do not break off the stop of the
    query.
    """
    received: list[int] = []
    handlers: dict[int, Any] = {}

    def interrupt(number: int, _: object) -> None:
        if is_interrupt_handled():
            return
        # It may be a second one: Python's `input` can lose a KeyboardInterrupt, in the moment in
        # which it flushes its prompt.
        received.append(number)
        # No other exception: the import of DAG files catches all but this one, and typer's
        # questions end by it.
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        handler = signal.getsignal(number)
        if handler is signal.SIG_IGN:  # as under nohup, which wants it to stay ignored
            continue
        handlers[number] = handler
        signal.signal(number, interrupt)
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as end:
        if received and received[-1] != signal.SIGINT:
            raise SystemExit(128 + received[-1]) from end
        raise
    finally:
        for handled, handler in handlers.items():
            signal.signal(handled, handler)
