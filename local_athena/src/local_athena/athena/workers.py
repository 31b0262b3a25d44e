"""The processes that read and run statements, as the service starts, lends and ends them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from local_athena.athena.errors import EXCEEDED_CPU, EXCEEDED_MEMORY, ApiError, QueryFailed
from local_athena.athena.lake import Lake
from local_athena.athena.limits import GIGABYTE, Limits
from local_athena.athena.messages import (
    Answer,
    Ask,
    Check,
    Checked,
    CutoffExceeded,
    Done,
    Ended,
    Failed,
    Missing,
    Plan,
    Query,
    Refused,
    TableScan,
    Written,
)
from local_athena.athena.worker import OUT_OF_MEMORY

_CHECKS_AT_ONCE = 2
_PATIENCE_SECONDS = 0.1
_IDLE_SECONDS = 5.0
_REUSABLE_BYTES = 400 << 20
_RESTING_BYTES = 160 << 20
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZDIR")


class CutoffExceededError(Exception):
    """A query would scan more than its workgroup allows."""


class WorkerEndedError(Exception):
    """A process has ended, or was ended, before its statement did."""


class Host(Protocol):
    """What a query says while it runs, and the lake that it asks."""

    @property
    def lake(self) -> Lake:
        """Glue and S3."""

    def planned(self, plan: Plan) -> None:
        """It is translated."""

    def scanned(self, scan: TableScan) -> None:
        """It has opened a table."""

    def written(self, file: int, data: bytes) -> None:
        """It has computed more of its result."""


class Worker:
    """One process. It serves one statement after the other.

    Attributes:
        is_reusable: Whether it waits for the next statement.
        has_grown: Whether it holds more memory than one that has just started.
        idle_since: Since when, on the monotonic clock.
    """

    def __init__(self, limits: Limits) -> None:
        self.is_reusable = False
        self.has_grown = False
        self.idle_since = 0.0
        self._limits = limits
        self._connection, other_end = multiprocessing.Pipe()
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        # mimalloc takes a gigabyte of addresses at once, which the kernel would count.
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"
        # numpy, which DuckDB asks for when a query calls Python, would reserve some for each core.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        command = [sys.executable, "-m", "local_athena.athena.worker", str(other_end.fileno())]
        with other_end:
            self._process = subprocess.Popen(
                [*command, str(limits.cpu_seconds), str(limits.memory_bytes)],
                stdin=subprocess.PIPE,  # the process ends when nobody holds it any more
                stdout=subprocess.DEVNULL,
                pass_fds=[other_end.fileno()],
                env=environment,
                start_new_session=True,  # an interrupt from the terminal is for the service
            )

    def wait_until_ready(self) -> None:
        """Wait until it takes statements."""
        self._receive()
        self.is_reusable = True

    def check(self, sql: str, parameters: tuple[str, ...]) -> str | None:
        """Check whether a statement may start; return the target of an UNLOAD."""
        try:
            outcome = self._serve(Check(sql, parameters), None)
        except QueryFailed as error:
            message = f"NOT_SUPPORTED: the local Athena cannot read this statement: {error.message}"
            raise ApiError(message) from error
        assert isinstance(outcome, Checked)
        return outcome.unload_target

    def run(self, query: Query, host: Host) -> Done:
        """Run a query."""
        outcome = self._serve(query, host)
        assert isinstance(outcome, Done)
        return outcome

    def _serve(self, statement: Check | Query, host: Host | None) -> Checked | Done:
        """Send a statement, and answer what comes back until it ends."""
        self.is_reusable = False
        try:
            self._connection.send(statement)
        except OSError as error:
            raise WorkerEndedError from error
        while True:
            message = self._receive()
            if isinstance(message, Ended):
                self.is_reusable = not message.is_broken and message.peak_bytes <= _REUSABLE_BYTES
                self.has_grown = message.peak_bytes > _RESTING_BYTES
                return self._unwrapped(message)
            assert host is not None
            if isinstance(message, Ask):
                self._answer(message, host.lake)
            elif isinstance(message, Plan):
                host.planned(message)
            elif isinstance(message, TableScan):
                host.scanned(message)
            elif isinstance(message, Written):
                host.written(message.file, message.data)

    def _answer(self, question: Ask, lake: Lake) -> None:
        answer: Answer | Missing
        try:
            answer = Answer(getattr(lake, question.method)(*question.arguments))
        except LookupError as error:
            answer = Missing(str(error.args[0]))
        try:
            self._connection.send(answer)
        except OSError as error:
            raise WorkerEndedError from error

    def _unwrapped(self, message: Ended) -> Checked | Done:
        outcome = message.outcome
        if isinstance(outcome, Refused):
            raise ApiError(outcome.message, athena_code=outcome.athena_code)
        if isinstance(outcome, CutoffExceeded):
            raise CutoffExceededError
        if isinstance(outcome, Failed) and outcome.name == EXCEEDED_MEMORY:
            raise self._out_of_memory()
        if isinstance(outcome, Failed):
            raise QueryFailed(outcome.name, outcome.message)
        return outcome

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            pass
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            seconds = self._limits.cpu_seconds
            message = f"Exceeded CPU limit of {seconds}s (the local Athena's --query-seconds)"
            raise QueryFailed(EXCEEDED_CPU, message)
        if code == OUT_OF_MEMORY:
            raise self._out_of_memory()
        if code == -signal.SIGKILL:
            raise WorkerEndedError("the query's process was killed")
        raise QueryFailed("INTERNAL", f"The query's process has ended with exit code {code}")

    def _out_of_memory(self) -> QueryFailed:
        gigabytes = self._limits.memory_bytes / GIGABYTE
        message = (
            f"Query exceeded per-node memory limit of {gigabytes:g}GB"
            " (the local Athena's --query-gigabytes)"
        )
        return QueryFailed(EXCEEDED_MEMORY, message)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it at once, from any thread."""
        self._process.kill()

    def end(self) -> None:
        """End it, and wait until its memory is free."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Workers:
    """As many processes as are needed, of which one waits ready.

    A process takes a third of a second to start, and is used again. When none has been idle for a
    moment, another one is started. What is idle for long ends, but for one that is like new.
    """

    def __init__(self, limits: Limits, queries_at_once: int) -> None:
        self._limits = limits
        self._most = queries_at_once + _CHECKS_AT_ONCE
        self._checks = threading.BoundedSemaphore(_CHECKS_AT_ONCE)
        self._changed = threading.Condition()
        self._all: set[Worker] = set()
        self._idle: list[Worker] = []  # the one that was used last is the last
        self._none_idle_since = 0.0
        self._failure: Exception | None = None
        self._is_closed = False
        self._keeper = threading.Thread(target=self._keep, name="athena-workers", daemon=True)
        self._keeper.start()

    def check(self, sql: str, parameters: tuple[str, ...]) -> str | None:
        """Check whether a statement may start; return the target of an UNLOAD."""
        try:
            with self._checks, self.borrow() as worker:
                return worker.check(sql, parameters)
        except WorkerEndedError as error:
            raise ApiError(str(error), "InternalServerException", status=500) from error

    @contextmanager
    def borrow(self, is_over: Callable[[], bool] = lambda: False) -> Iterator[Worker]:
        """Lend a process for one statement; kill it if the block leaves it in the middle of one.

        `is_over` is called after each `wake`.
        """
        worker = self._take(is_over)
        try:
            yield worker
        finally:
            self._give_back(worker)

    def wake(self) -> None:
        """Let those who wait for a process look whether they still want it."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End all processes."""
        with self._changed:
            self._is_closed = True
            for worker in self._all:
                worker.kill()
            self._changed.notify_all()
        self._keeper.join()
        for worker in list(self._all):
            self._end(worker)

    def _take(self, is_over: Callable[[], bool]) -> Worker:
        with self._changed:
            self._failure = None
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._has_idle() or self._failure or self._is_closed or is_over()
            )
            if self._is_closed or is_over():
                raise WorkerEndedError("the query was stopped")
            if self._failure is not None:
                message = "The process of queries cannot be started"
                raise WorkerEndedError(message) from self._failure
            worker = self._idle.pop()
            if not self._idle:
                self._none_idle_since = time.monotonic()
                self._changed.notify_all()
            return worker

    def _has_idle(self) -> bool:
        """Whether a process waits; those that the system has killed meanwhile are left out."""
        while self._idle and self._idle[-1].has_ended:
            ended = self._idle.pop()
            ended.end()
            self._all.discard(ended)
            self._changed.notify_all()
        return bool(self._idle)

    def _give_back(self, worker: Worker) -> None:
        if worker.is_reusable:
            self._add_idle(worker)
        else:
            self._end(worker)

    def _add_idle(self, worker: Worker) -> None:
        worker.idle_since = time.monotonic()
        with self._changed:
            self._idle.append(worker)
            self._changed.notify_all()

    def _end(self, worker: Worker) -> None:
        worker.end()
        with self._changed:
            self._all.discard(worker)
            self._changed.notify_all()

    def _keep(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and (pause := self._pause()) != 0:
                    self._changed.wait(pause)
                if self._is_closed:
                    return
                surplus = self._idle.pop(0) if self._idle else None
            if surplus is not None:
                self._end(surplus)
            else:
                self._start()

    def _pause(self) -> float | None:
        """Seconds until there is something to do, None for ever.

        With idle processes that is to end one, else to start one.
        """
        if len(self._idle) > 1 or (self._idle and self._idle[0].has_grown):
            due = self._idle[0].idle_since + _IDLE_SECONDS
        elif self._idle or self._failure is not None or len(self._all) == self._most:
            return None
        else:
            due = self._none_idle_since + (_PATIENCE_SECONDS if self._all else 0)
        return max(0.0, due - time.monotonic())

    def _start(self) -> None:
        """Start a process. If that fails twice in a row, those who wait for one are told."""
        for is_last in (False, True):
            try:
                worker = self._new_worker()
            except (OSError, WorkerEndedError, QueryFailed) as error:
                if is_last:
                    self._fail(error)
            else:
                self._add_idle(worker)
                return

    def _new_worker(self) -> Worker:
        """A process that takes statements."""
        worker = Worker(self._limits)
        with self._changed:
            self._all.add(worker)
            if self._is_closed:
                worker.kill()
        try:
            worker.wait_until_ready()
        except (WorkerEndedError, QueryFailed):
            self._end(worker)
            raise
        return worker

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()
