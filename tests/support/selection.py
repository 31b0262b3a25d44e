"""What pytest has collected, before it deselects any of it."""

from __future__ import annotations

import pytest

COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""The key in the stash of pytest's configuration."""
