from __future__ import annotations

from pathlib import Path

import pytest

from tests import functions_page

FILE = Path(__file__).resolve().parents[1] / "docs" / "functions.md"


def test_the_page_of_functions_follows_from_their_rows(request: pytest.FixtureRequest) -> None:
    page = functions_page.page("`make docs` writes it.")
    if request.config.getoption("--renew-golden"):
        FILE.write_text(page, encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == page, "write it with `make docs`"
