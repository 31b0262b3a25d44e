"""A plugin of pytest that lists every test with its marks, whatever is deselected."""

from __future__ import annotations

import json

import pytest

BEGIN = "every test: "


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Print the marks of each test, by its node id, as JSON on a line of its own."""
    marks = {item.nodeid: sorted({mark.name for mark in item.iter_markers()}) for item in items}
    print(f"\n{BEGIN}{json.dumps(marks)}")
