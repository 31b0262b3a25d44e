"""The process of a query: `python -m local_athena.athena.worker`, started and ended by the service.

Its limits are the kernel's, so that they hold whatever DuckDB, Arrow or Python do.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from multiprocessing.connection import Connection

OUT_OF_MEMORY = 77
"""Exit code: memory ran out in a place where nothing can be done any more."""


def main(arguments: list[str]) -> None:
    """Serve statements, one after the other, until the service ends.

    Args:
        arguments: The file descriptor of the connection to the service; seconds of processor time
            for a statement; bytes of memory.
    """
    descriptor, cpu_seconds, memory_bytes = map(int, arguments)
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would count libraries and what is reserved and never used. macOS holds neither.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    # pyarrow imports numpy and pandas where they are installed: 70 MB and 0.3 s, of no use here.
    sys.modules["numpy"] = None  # type: ignore[assignment]

    from local_athena.athena.statements import Statements

    statements = Statements(Connection(descriptor), memory_bytes)
    # From here on it writes no file, wherever.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        statements.serve(before_each=lambda: _allow_processor_time(cpu_seconds))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _end_with_the_service() -> None:
    """End when standard input does: the service holds its other end and never writes to it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


def _allow_processor_time(seconds: int) -> None:
    """Let the kernel end this process after so much more processor time of all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
