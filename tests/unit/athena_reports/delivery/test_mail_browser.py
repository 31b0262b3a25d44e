"""A mail as a browser shows it: nothing is wider than the screen. It needs Debian's Chromium."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from athena_reports.delivery.content import Content, ContentColumn
from athena_reports.delivery.language import Language
from athena_reports.delivery.mail_message import html_part
from athena_reports.delivery.table_columns import TableColumns
from tests.unit.athena_reports.delivery.contents import LANGUAGES, content

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.ci

PLAYED_AT = datetime(2026, 11, 15, 0, 4, 11, tzinfo=UTC)
INSTANT = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {
    "rank": ("BIGINT", 1),
    "user_id": ("VARCHAR", "u100616"),
    "user_name": ("VARCHAR", "Giorgos Papadopoulos"),
    "country": ("VARCHAR", "United States"),
    "score": ("BIGINT", 184_230),
    "plays": ("BIGINT", 312),
    "mean_score": ("DOUBLE", 590.48),
    "revenue": ("DOUBLE", 1234.5),
    "first_played_at": (INSTANT, PLAYED_AT),
    "last_played_at": (INSTANT, PLAYED_AT),
    "previous_rank": ("BIGINT", None),
    "movement": ("VARCHAR", "new"),
}


def first_columns(number: int) -> Content:
    """A content of so many columns."""
    names = list(COLUMNS)[:number]
    return content(
        columns=tuple(ContentColumn(name, COLUMNS[name][0]) for name in names),
        rows=(tuple(COLUMNS[name][1] for name in names),) * 20,
        key=("rank",),
        movement=None,
    )


@pytest.mark.parametrize("columns", [5, 9, 12])
@pytest.mark.parametrize("width", [360, 800, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_table_is_wider_than_the_screen(
    browser: Browser, columns: int, width: int, scheme: str, language: Language
) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    made = first_columns(columns)
    page.set_content(html_part(made, TableColumns.usual(made), language))
    widths = page.evaluate(
        """() => {
            const box = document.querySelector(".rows").parentElement;
            return [box.clientWidth, box.scrollWidth];
        }"""
    )
    assert widths[1] <= widths[0]
    headers = [text for text in page.locator("th:visible").all_inner_texts() if text]
    assert headers[:2] == (["rank", "user_name"] if width == 360 else ["rank", "user_id"])
    assert "score" in headers
    assert page.locator(".narrow").is_visible() is (width == 360)
    page.close()
