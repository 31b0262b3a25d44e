from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.repository.generated_pages import PAGES
from tests.support.airflow_versions import since_3_3
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "reference"


@pytest.mark.parametrize(
    "name",
    # The signatures of operators have parameters of Airflow's own.
    [pytest.param(name, marks=since_3_3 if name == "api" else ()) for name in PAGES],
)
def test_a_generated_page_is_what_the_code_says(name: str, request: pytest.FixtureRequest) -> None:
    write: Callable[[], str] = PAGES[name]
    file = FOLDER / f"{name}.md"
    if request.config.getoption("--renew-golden"):
        file.write_text(write(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == write(), "write it with `make docs`"
