"""Children that leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from athena_reports_cli.local.interrupts import signals_as_interrupts
from athena_reports_cli.local.processes import Process, end_recorded

# Starts a process in a group of its own, as Airflow starts a task, and says so.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "60"], process_group=0)
print("began", child.pid, flush=True)
print("of errors", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "component.log"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "processes"


def parent(program: str, log: Path, records: Path) -> Process:
    """A child that has started another one."""
    process = Process([sys.executable, "-S", "-c", program], log, records, env={"A": "b"})
    while "of errors" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.fixture
def process(log: Path, records: Path) -> Iterator[Process]:
    process = parent(PARENT, log, records)
    yield process
    process.end()


def child_of(log: Path) -> psutil.Process:
    """The process that the child has started."""
    return psutil.Process(int(log.read_text().split()[1]))


def has_ended(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_its_end_is_that_of_all_that_it_started(process: Process, log: Path) -> None:
    child = child_of(log)
    leader = psutil.Process(process.pid)
    assert os.getsid(process.pid) == process.pid
    assert set(process.members()) == {leader, child}
    assert leader.environ() == {"A": "b"}
    assert log.read_text().splitlines() == [f"began {child.pid}", "of errors"]
    process.end()
    assert has_ended(child)
    assert process.returncode == -9
    assert process.members() == []


def test_what_leads_a_session_of_its_own_is_ended_too(log: Path, records: Path) -> None:
    """As each process of PostgreSQL does."""
    program = PARENT.replace("process_group=0", "start_new_session=True")
    process = parent(program, log, records)
    child = child_of(log)
    assert os.getsid(child.pid) == child.pid
    process.end()
    assert has_ended(child)


def test_a_child_is_recorded_before_a_signal_can_end_its_parent(
    log: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_time = psutil.Process.create_time
    started: list[int] = []

    def interrupted(process: psutil.Process) -> float:
        started.append(process.pid)
        os.kill(os.getpid(), signal.SIGTERM)
        return float(create_time(process))

    try:
        with monkeypatch.context() as patch:
            patch.setattr(psutil.Process, "create_time", interrupted)
            with pytest.raises(KeyboardInterrupt, match="SIGTERM"), signals_as_interrupts():
                Process(["sleep", "60"], log, records)
        ((pid, _),) = (json.loads(line) for line in records.read_text().splitlines())
        child = psutil.Process(pid)
        end_recorded(records)
        assert has_ended(child)
    finally:
        for pid in set(started):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_what_a_killed_child_has_left_is_still_a_member(process: Process, log: Path) -> None:
    process.kill()
    process.wait()
    assert process.members() == [child_of(log)]


def test_what_is_printed_comes_behind_what_is_in_the_log(log: Path, records: Path) -> None:
    for word in ("first", "second"):
        Process(["echo", word], log, records).wait()
    assert log.read_text() == "first\nsecond\n"
    assert len(records.read_text().splitlines()) == 2


def test_what_is_recorded_and_still_runs_is_ended(
    process: Process, log: Path, records: Path
) -> None:
    """As by the next start after its parent was killed."""
    child = child_of(log)
    end_recorded(records)
    assert process.wait() == -9
    assert has_ended(child)
    assert not records.exists()
    end_recorded(records)  # nothing is recorded


def test_a_process_that_got_a_number_that_was_recorded_is_left_alone(records: Path) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(subprocess.Popen(["sleep", "60"], start_new_session=True))
        stack.callback(other.kill)
        created = psutil.Process(other.pid).create_time()
        lines = [json.dumps([other.pid, created - 2.5]), json.dumps([other.pid, created + 2.5])]
        records.write_text("\n".join([*lines, json.dumps([2**22 + 1, created]), ""]))
        end_recorded(records)
        assert other.poll() is None
        # The clock may have been set meanwhile.
        records.write_text(json.dumps([other.pid, created - 1.5]))
        end_recorded(records)
        assert other.wait(10) == -9


@pytest.mark.parametrize(
    "unreadable", [b"[123, 17", b"", b'["x", 1]', b"[-1, 2]", bytes(9), b"\xff"]
)
def test_a_record_that_cannot_be_read_hides_no_other_one(
    unreadable: bytes, process: Process, records: Path
) -> None:
    """As a full disk or the end of the machine leaves it."""
    records.write_bytes(unreadable + b"\n" + records.read_bytes() + unreadable)
    end_recorded(records)
    assert process.wait() == -9
    assert not records.exists()
