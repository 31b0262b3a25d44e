"""No statement takes the service with it: it ends, answered or refused, and others are answered."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError

from local_athena import LocalAws
from local_athena.athena import output
from local_athena.athena.errors import ApiError
from local_athena.athena.limits import Limits
from local_athena.athena.lookups import Lookups
from local_athena.athena.workers import WorkerEndedError, Workers
from tests.account import Account, Outcome, account_at, numbers, refused, served

MEGABYTE = 1 << 20
LIMITS = Limits(cpu_seconds=1, memory_bytes=600 * MEGABYTE)
HUNDRED = "(VALUES " + ", ".join(f"({i})" for i in range(100)) + ")"


def crossed(tables: int) -> str:
    return ", ".join(f"{HUNDRED} AS t{i} (x)" for i in range(tables))


def nested_with(depth: int) -> str:
    """A WITH query that doubles at each of its levels."""
    levels = (f"q{i} AS (SELECT a.x FROM q{i - 1} a, q{i - 1} b)" for i in range(1, depth))
    return f"WITH q0 AS (SELECT 1 AS x), {', '.join(levels)} SELECT * FROM q{depth - 1}"


COUNTLESS_ROWS = f"SELECT count(t0.x + t1.x) FROM {crossed(6)} WHERE t0.x + t4.x < t5.x"
ENDLESS_ROWS = f"SELECT t0.x FROM {crossed(6)}"
SLOW_PATTERN = (
    f"SELECT count(*) FROM {crossed(4)} WHERE"
    " regexp_like(lpad('', t0.x * t1.x + t2.x + t3.x, 'a'), '(a*)*(a*)*(a*)*b')"
)
SORT = f"SELECT lpad('a', 100000, 'x') AS s FROM {crossed(3)} ORDER BY s"
BACKTRACKING = "SELECT regexp_like(lpad('b', 60, 'a'), '^(?!c)(a+)+$')"
SUM = "SELECT " + "+".join(["1"] * 20_000)
ENDLESS_SYNTAX = "SELECT " + "ARRAY[" * 100 + "1" + "]" * 100
TOO_LARGE = "QUERY_TEXT_TOO_LARGE"
EXCEEDED = {"EXCEEDED_CPU_LIMIT", "EXCEEDED_LOCAL_MEMORY_LIMIT"}
NOT_DONE = {*EXCEEDED, "NOT_SUPPORTED", "INVALID_FUNCTION_ARGUMENT"}


@pytest.fixture(scope="module")
def bounded() -> Iterator[LocalAws]:
    with LocalAws.start(limits=LIMITS) as aws:
        yield aws


@pytest.fixture(scope="module")
def unhurried() -> Iterator[LocalAws]:
    with LocalAws.start(limits=Limits(cpu_seconds=100_000, memory_bytes=400 * MEGABYTE)) as aws:
        yield aws


@pytest.fixture
def patient(unhurried: LocalAws) -> Account:
    """An account whose queries no limit of time ends."""
    unhurried.reset()
    return Account(unhurried)


@pytest.fixture
def small(bounded: LocalAws) -> Account:
    """An account whose queries may use little, so that tests are short."""
    bounded.reset()
    return Account(bounded)


def children(pid: int) -> set[int]:
    """The processes that a process has started and not waited for."""
    return {child.pid for child in psutil.Process(pid).children()}


def processes_of_queries() -> set[psutil.Process]:
    """Those that this process has started, and nothing else that tests have started."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if "local_athena.athena.worker" in child.cmdline():
                found.add(child)
    return found


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_of(account: Account, id_: str) -> Outcome:
    """Wait for a query that takes a second; the service computes little for the looks meanwhile."""
    while account.status(id_)["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.1)
    return account.wait(id_)


@pytest.mark.parametrize(
    ("sql", "ends"),
    [
        pytest.param("SELECT lpad('a', 2147483647, 'x')", {*EXCEEDED, "NOT_SUPPORTED"}, id="lpad"),
        pytest.param("SELECT repeat('abc', 1000000000)", NOT_DONE, id="repeat"),
        pytest.param("SELECT sequence(1, 1000000000)", NOT_DONE, id="sequence"),
        pytest.param(COUNTLESS_ROWS, EXCEEDED, id="cross join"),
        pytest.param(ENDLESS_ROWS, EXCEEDED, id="rows without an end", marks=pytest.mark.full),
        pytest.param(SORT, EXCEEDED, id="sort", marks=pytest.mark.full),
        pytest.param(SLOW_PATTERN, EXCEEDED, id="regular expressions", marks=pytest.mark.full),
        pytest.param(BACKTRACKING, EXCEEDED, id="a regular expression in Python"),
        pytest.param(SUM, {*EXCEEDED, "NOT_SUPPORTED"}, id="sum", marks=pytest.mark.full),
        pytest.param(nested_with(30), {*EXCEEDED, TOO_LARGE, "SUCCEEDED"}, id="with of 30 levels"),
    ],
)
def test_a_bomb_ends_while_others_are_answered(small: Account, sql: str, ends: set[str]) -> None:
    bomb = ""
    try:
        bomb = small.start(sql)
    except ClientError:  # on a busy machine it takes too long to read already
        assert "NOT_SUPPORTED" in ends
    others = [small.run(f"SELECT {number}").csv for number in (1, 2)]
    assert others == ['"_col0"\n"1"\n', '"_col0"\n"2"\n']
    if bomb:
        outcome = end_of(small, bomb)
        end = outcome.reason.partition(":")[0] or outcome.state
        assert end in ends, outcome.reason
        if end == "EXCEEDED_CPU_LIMIT":
            assert (outcome.error["ErrorType"], outcome.error["Retryable"]) == (206, False)
    assert small.run("SELECT 3").csv == '"_col0"\n"3"\n'


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        pytest.param(ENDLESS_SYNTAX, "Exceeded CPU limit", id="arrays"),
        pytest.param(f"SELECT '{'a' * 1_000_000}'", "longer than 262144 bytes", id="1 MB"),
        pytest.param("SELECT " + "abs(" * 45 + "1" + ")" * 45, "too large", id="deep calls"),
    ],
)
def test_a_statement_that_cannot_be_read_is_refused_while_others_are_answered(
    small: Account, sql: str, message: str
) -> None:
    with ThreadPoolExecutor(1) as thread:
        error = thread.submit(refused, small.start, sql=sql)
        assert small.run("SELECT 1").csv == '"_col0"\n"1"\n'
    assert error.result()["Code"] == "InvalidRequestException"
    assert message in error.result()["Message"]


def test_the_memory_of_a_bomb_comes_back(small: Account) -> None:
    assert small.run("SELECT 1").state == "SUCCEEDED"
    before = processes_of_queries()
    outcome = small.run(f"SELECT lpad('a', 1000000, 'x') AS s FROM {crossed(2)} ORDER BY s")
    assert outcome.reason.startswith("EXCEEDED_LOCAL_MEMORY_LIMIT")
    assert small.run("SELECT 1").state == "SUCCEEDED"
    after = processes_of_queries()
    assert before - after, "no process has ended"
    assert all(process.memory_info().rss < 250 * MEGABYTE for process in after)


def test_texts_count_though_duckdb_does_not_count_them(patient: Account) -> None:
    long = "length(lpad('a', 9000000 + x, 'x'))"
    outcome = end_of(patient, patient.start(f"SELECT sum({long}) FROM {HUNDRED} AS t (x)"))
    assert outcome.reason.startswith("EXCEEDED_LOCAL_MEMORY_LIMIT")
    assert (outcome.error["ErrorCategory"], outcome.error["ErrorType"]) == (2, 0)


def test_a_result_has_a_largest_size(small: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "RESULT_BYTES", 2 * MEGABYTE)
    assert small.run(numbers(100_000)).state == "SUCCEEDED"
    reason = "NOT_SUPPORTED: the local Athena does not support results of more than 2 MB"
    assert small.run(numbers(400_000)).reason == reason


# --- stop


def wait_for_work(account: Account, id_: str) -> None:
    """Until the query has been translated, and so runs in its process."""
    account.wait_for(id_, "RUNNING")
    path = f"{account.aws.endpoint_url}/_local/athena/executions/{id_}"
    while b'"duckdb_sql": null' in urllib.request.urlopen(path).read():
        time.sleep(0.005)


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS_ROWS,
        BACKTRACKING,
        pytest.param(COUNTLESS_ROWS, marks=pytest.mark.full),
        pytest.param(SLOW_PATTERN, marks=pytest.mark.full),
    ],
)
def test_a_query_stops_while_it_computes(patient: Account, sql: str) -> None:
    id_ = patient.start(sql)
    wait_for_work(patient, id_)
    patient.athena.stop_query_execution(QueryExecutionId=id_)
    outcome = patient.wait(id_)
    assert (outcome.state, outcome.error) == ("CANCELLED", {})
    assert patient.run("SELECT 1").state == "SUCCEEDED"


def test_a_query_stops_while_it_is_translated(
    patient: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, stopped = threading.Event(), threading.Event()

    def table(_lake: Lookups, _database: str, _name: str) -> None:
        asked.set()
        stopped.wait()

    monkeypatch.setattr(Lookups, "table", table)
    id_ = patient.start("SELECT * FROM plays")
    asked.wait()
    patient.athena.stop_query_execution(QueryExecutionId=id_)
    stopped.set()
    assert patient.wait(id_).state == "CANCELLED"


def test_a_query_stops_while_its_result_is_written(
    patient: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an object: no part of it can be seen."""
    stopped: list[str] = []

    class Stopping(output.Output):
        def _upload(self, location: str, file: Any, owner: str | None) -> None:
            class Slow:
                def read(self, size: int = -1) -> bytes:
                    if not stopped:
                        stopped.extend(patient.created()[:1])
                        patient.athena.stop_query_execution(QueryExecutionId=stopped[0])
                    return bytes(file.read(size))

                def __getattr__(self, name: str) -> Any:
                    return getattr(file, name)

            super()._upload(location, Slow(), owner)  # type: ignore[arg-type]

    monkeypatch.setattr("local_athena.athena.executions.Output", Stopping)
    outcome = patient.run(numbers(500_000))
    assert stopped == [outcome.id]
    assert outcome.state == "CANCELLED"
    assert patient.keys("results") == []


# --- processes


@contextlib.contextmanager
def statement_that_is_read(account: Account) -> Iterator[None]:
    """Let the service read a statement without an end, and end before that one does."""
    with ThreadPoolExecutor(1) as thread:
        started = thread.submit(account.start, ENDLESS_SYNTAX)
        yield
    assert started.exception()  # which one depends on when the service ends


# The service handles SIGINT as it does SIGTERM, so CI sends only SIGTERM and SIGKILL.
@pytest.mark.parametrize(
    "sent",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGKILL],
)
@pytest.mark.parametrize(
    "sql", [COUNTLESS_ROWS, pytest.param(ENDLESS_ROWS, marks=pytest.mark.full)]
)
def test_a_service_ends_while_it_works_and_no_process_outlives_it(
    sent: signal.Signals, sql: str
) -> None:
    with served("--query-seconds=100000") as (process, endpoint_url):
        account = account_at(endpoint_url)
        wait_for_work(account, account.start(sql))
        started = children(process.pid)
        assert started
        with statement_that_is_read(account):
            process.send_signal(sent)
            assert process.wait() == (-sent if sent == signal.SIGKILL else 0)
            while any(map(is_running, started)):
                time.sleep(0.01)


@contextlib.contextmanager
def processes() -> Iterator[Workers]:
    workers = Workers(Limits(), queries_at_once=2)
    try:
        yield workers
    finally:
        workers.close()


def test_a_process_is_used_again_and_replaced_when_it_was_killed() -> None:
    """Also where the service is larger than a process of queries may become."""
    held = b"x" * (450 * MEGABYTE)
    others = children(os.getpid())
    with processes() as workers:
        assert workers.check("SELECT 1", ()) is None
        (first,) = children(os.getpid()) - others
        assert workers.check("SELECT 2", ()) is None
        assert children(os.getpid()) - others == {first}
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert workers.check("SELECT 3", ()) is None
        assert first not in children(os.getpid())
    assert children(os.getpid()) <= others
    assert held


def test_a_query_stops_while_it_waits_for_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which does not get ready, and ends with the others."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 100000\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    others = children(os.getpid())
    stopped = threading.Event()

    def wait() -> None:
        with pytest.raises(WorkerEndedError), workers.borrow(is_over=stopped.is_set):
            pass

    with processes() as workers, ThreadPoolExecutor(1) as thread:
        while not children(os.getpid()) - others:
            time.sleep(0.01)
        ended = thread.submit(wait)
        stopped.set()
        while not ended.done():
            workers.wake()
            time.sleep(0.01)
        ended.result()
    assert children(os.getpid()) <= others


def test_a_process_has_nothing_but_what_it_works_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of somebody")
    others = children(os.getpid())
    with processes() as workers:
        workers.check("SELECT 1", ())
        (process,) = children(os.getpid()) - others
        folder = Path(f"/proc/{process}")
        variables = folder.joinpath("environ").read_bytes().split(b"\0")
        names = {variable.partition(b"=")[0].decode() for variable in variables if variable}
        ours = {"ARROW_DEFAULT_MEMORY_POOL", "OPENBLAS_NUM_THREADS"}
        assert names - ours <= {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}
        limits = folder.joinpath("limits").read_text().splitlines()
        (largest_file,) = (line.split()[3:5] for line in limits if line.startswith("Max file size"))
        assert largest_file == ["0", "0"]


def test_a_process_that_did_not_start_is_started_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the queries that wait for it fail."""
    failed = tmp_path / "failed"
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\n[ -e {failed} ] && exec {sys.executable} "$@"\ntouch {failed}\nexit 1\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with processes() as workers:
        assert workers.check("SELECT 1", ()) is None
    assert failed.exists()


def test_without_its_program_a_process_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/none/there")
    with processes() as workers, pytest.raises(ApiError, match="cannot be started"):
        workers.check("SELECT 1", ())
