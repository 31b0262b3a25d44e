"""A test file that is also a program: it imports everything once, and then forks for each job."""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def answer_lines(begin: Callable[[], Callable[[Any], Any]], modules: Sequence[str]) -> None:
    """Answer each line of JSON on standard input by what `begin` returns.

    The modules are imported before.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to the standard output
    for module in modules:
        importlib.import_module(module)
    answer = begin()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def fork_each(functions: Sequence[Callable[[], None]]) -> list[int]:
    """Run each function, which does not return, in a process of its own; their exit codes.

    All begin at once.
    """
    gc.freeze()  # a process would write into each page of memory that it looks through
    gate, opening = os.pipe()
    children = []
    for function in functions:
        child = os.fork()
        if child == 0:
            os.close(opening)
            os.read(gate, 1)  # returns when the parent lets go of its end
            function()
        children.append(child)
    os.close(gate)
    os.close(opening)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


class Program:
    """The program, running."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    @property
    def log(self) -> str:
        """What its processes have written on standard error."""
        return self._log.read_text()

    def ask(self, question: Any) -> Any:
        """Its answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self.log
        return json.loads(answer)


@contextmanager
def program(file: str, folder: Path, *arguments: str) -> Iterator[Program]:
    """Run a test file as a program. What processes leave behind that die is in the folder."""
    log = folder / "log"
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, file, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | variables,
        ) as process,
    ):
        yield Program(process, log)
        assert process.stdin is not None
        process.stdin.close()  # on which it ends
