from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import athena_reports
from tests.repository.generated_pages import PAGES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str, request: pytest.FixtureRequest) -> None:
    write: Callable[[], str] = PAGES[name]
    file = FOLDER / f"{name}.md"
    if request.config.getoption("--renew-golden"):
        file.write_text(write(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == write(), "write it with `make docs`"


@pytest.mark.parametrize("name", athena_reports.__all__)
def test_what_is_exported_is_there_and_documented(name: str) -> None:
    assert getattr(athena_reports, name).__doc__
