"""The process of the command line `athena-reports`: signals, output and errors.

The commands themselves are in `commands`.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO, TextIOWrapper

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.interrupts import interrupt_behind, signals_as_interrupts


def main() -> None:
    """Run the command line; a known error is one message, and exit code 1."""
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
        with _ended_by_signals():
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
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, so that a paid query is stopped.

    The exit code after them is 143 or 129, as a shell has it for a process that they killed.
    """
    try:
        with signals_as_interrupts():
            yield
    except (SystemExit, KeyboardInterrupt) as end:
        interrupt = interrupt_behind(end)
        if interrupt is not None and interrupt.args in (("SIGTERM",), ("SIGHUP",)):
            raise SystemExit(128 + signal.Signals[interrupt.args[0]]) from end
        raise
