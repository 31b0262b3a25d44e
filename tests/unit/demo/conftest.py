from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.variables import kept_environment


@pytest.fixture(autouse=True)
def shell() -> Iterator[None]:
    """The variables of the shell, of which the programs of the demo forget some."""
    with kept_environment():
        yield
