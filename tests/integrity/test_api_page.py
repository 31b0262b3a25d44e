from __future__ import annotations

from pathlib import Path

import pytest

import athena_reports
from tests.integrity.api_page import page

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"


def test_the_page_of_the_api_is_that_of_the_docstrings(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--renew-golden"):
        FILE.write_text(page(), encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == page(), "write it anew with --renew-golden"


@pytest.mark.parametrize("name", athena_reports.__all__)
def test_what_is_exported_is_there_and_documented(name: str) -> None:
    assert getattr(athena_reports, name).__doc__


def test_what_is_loaded_on_demand_is_exported() -> None:
    assert {*athena_reports._MODULE_OF, "settings"} == set(athena_reports.__all__)
    assert len(athena_reports.__all__) == len(set(athena_reports.__all__))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = athena_reports.nothing
