"""What a query may use before the local Athena ends it."""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 1 << 30
RESULT_BYTES = GIGABYTE // 4
"""How large a result may be: moto's S3 has it in memory four times while it arrives."""
TEXT_CHARACTERS = 1_000_000
"""How long the text for DuckDB may be, of a query that has 262,144 bytes at most."""


@dataclass(frozen=True)
class Limits:
    """Limits of one query.

    Attributes:
        cpu_seconds: Processor time, of all threads together. It does not pass while the machine is
            busy with something else, so that no query fails for the load of others.
        memory_bytes: Memory of its process: what DuckDB, Arrow and Python ask the system for.
    """

    cpu_seconds: int = 5
    memory_bytes: int = GIGABYTE
