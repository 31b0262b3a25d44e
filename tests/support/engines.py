"""DuckDB for the rows of tests."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from athena_reports.rows.engine import Engine, current_engine, open_engine


@contextmanager
def new_engine() -> Iterator[Engine]:
    """An engine of its own, which ends with the block."""
    with open_engine("128MB", about="Report 'plays', period 2026-11-15 (weekly)") as opened:
        yield opened


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine with a folder of its own on the connection that all tests of this process share.

    To open a connection takes longer than most examples do. What one has left on it, such as a
    view, the next one replaces. It is for one thread at a time.
    """
    first = _first_engine()
    with TemporaryDirectory(dir=first.folder) as folder:
        shared = replace(first, folder=Path(folder))
        token = current_engine.set(shared)
        try:
            yield shared
        except (duckdb.Error, OSError) as error:  # as `open_engine` does
            explained = shared.explain(error)
            if explained is None:
                raise
            raise explained from error
        finally:
            current_engine.reset(token)


@cache
def _first_engine() -> Engine:
    """Open it in a context of its own, in which it is the current one until the process ends."""
    context, opened = copy_context(), ExitStack()
    atexit.register(context.run, opened.close)
    return context.run(opened.enter_context, new_engine())
