"""Child processes that leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from pydantic import PositiveInt, TypeAdapter, ValidationError

from athena_reports_cli.local.interrupts import signals_put_off

_RECORD = TypeAdapter(tuple[PositiveInt, float])  # the number and the time of creation of a process


class Process(subprocess.Popen[bytes]):
    """A child that leads a session of its own and prints into a file.

    Airflow gives each task a process group of its own, and a task outlives its supervisor. Only the
    session tells what all a component has started. `records` is a file for `end_recorded`.
    """

    def __init__(self, command: Sequence[str], log: Path, records: Path, **options: Any) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output, signals_put_off(), records.open("a") as file:
            super().__init__(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
            print(json.dumps([self.pid, psutil.Process(self.pid).create_time()]), file=file)

    def members(self) -> list[psutil.Process]:
        """It and all that it started, as far as they live."""
        # The system gives its number to no other process while its session has members.
        is_over = self.poll() is not None and psutil.pid_exists(self.pid)
        return [] if is_over else _members(self.pid)

    def end(self) -> None:
        """Kill it and all that it started."""
        # Again and again: a process may fork between being found and being killed.
        while _kill(self.members()):
            time.sleep(0.02)
        self.wait()


def end_recorded(records: Path) -> None:
    """Kill what was started and still runs, such as that of a parent that was killed.

    A record that cannot be read is ignored: a full disk or a power failure can cut off the last.
    """
    if not records.exists():
        return
    for line in records.read_bytes().splitlines():
        try:
            pid, created = _RECORD.validate_json(line)
        except ValidationError:
            continue
        with suppress(psutil.NoSuchProcess):
            # The time of creation is counted from that of the boot,
            # which moves when the clock is set.
            if abs(psutil.Process(pid).create_time() - created) < 2:
                while _kill(_members(pid)):
                    time.sleep(0.02)
    records.unlink()


def _members(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # PostgreSQL's processes lead sessions of their own.
            is_member = leader in (process.pid, process.ppid(), os.getsid(process.pid))
            if is_member and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def _kill(processes: list[psutil.Process]) -> bool:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(processes)
