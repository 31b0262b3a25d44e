from collections.abc import Iterator

import pytest

from tests.simulation.clock import VirtualClock, virtual_clock
from tests.simulation.memory_athena import MemoryAthena, serve


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


@pytest.fixture
def athena(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> MemoryAthena:
    """The Athena that every hook talks to."""
    athena = MemoryAthena()
    serve(athena, monkeypatch)
    return athena
