"""Takes the pictures of deliveries in docs/images: `python -m demo.delivery_pictures`.

It needs Debian's Chromium and a Japanese font, such as fonts-noto-cjk. The pictures of Slack and
Excel are this project's own rendering, and say so.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openpyxl import load_workbook
from playwright.sync_api import Browser, sync_playwright

from athena_reports import mail, weekly
from athena_reports.delivery.content import Content, ContentColumn, Movement
from athena_reports.delivery.language import Language
from athena_reports.delivery.mail_message import html_part
from athena_reports.delivery.slack_message import slack_message
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.delivery.workbook import write_workbook

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
CHROMIUM = "/usr/bin/chromium-headless-shell"
COLUMNS = (
    ContentColumn("rank", "BIGINT"),
    ContentColumn("artist_id", "VARCHAR"),
    ContentColumn("artist_name", "VARCHAR"),
    ContentColumn("country", "VARCHAR"),
    ContentColumn("plays", "BIGINT"),
    ContentColumn("listeners", "BIGINT"),
    ContentColumn("revenue", "DECIMAL(12,2)", unit="USD"),
    ContentColumn("previous_rank", "BIGINT"),
    ContentColumn("movement", "VARCHAR"),
)
ARTISTS = (
    ("a1042", "Meridian Quartet", "US", 184_230, 41_207, Decimal("1842.30"), 3, "up 2"),
    ("a0007", "Orchestre du Port", "FR", 171_904, 39_480, Decimal("1719.04"), 1, "down 1"),
    ("a2210", "東京ナイトライン", "JP", 150_377, 35_112, Decimal("1503.77"), 4, "up 1"),
    ("a0918", "The Paper Lanterns", "GB", 131_846, 30_665, Decimal("1318.46"), 2, "down 2"),
    ("a3307", "Nubes Bajas", "MX", 98_122, 22_941, Decimal("981.22"), None, "new"),
    ("a0555", "Kleine Brandung", "DE", 74_590, 18_003, Decimal("745.90"), 6, "same"),
    ("a1770", "Saltwater Choir", "AU", 61_218, 14_377, Decimal("612.18"), 12, "up 5"),
    ("a2901", "青い午後", "JP", 50_466, 11_902, Decimal("504.66"), 5, "down 3"),
)
STYLE = """
body { margin: 0; padding: 16px; font: 14px/1.45 system-ui, 'Noto Sans CJK JP', sans-serif; }
.note { margin: 0 0 10px; color: #666; font-size: 12px; }
.head { font-size: 18px; font-weight: 700; margin: 6px 0; }
.small { color: #616061; font-size: 12px; }
table { border-collapse: collapse; }
td { border: 1px solid #ccc; padding: 3px 8px; white-space: nowrap; }
.right { text-align: right; }
th { font-weight: 700; border: 1px solid #ccc; padding: 3px 8px; white-space: nowrap; }
th:not(.right) { text-align: left; }
"""


def ranking() -> Content:
    """Return one week of the ranking, as a delivery has it."""
    rows = tuple((rank, *artist) for rank, artist in enumerate(ARTISTS, start=1))
    week = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
    return Content(
        report="artist_ranking",
        environment="prd",
        period=week,
        version="20261121T150712Z-3f9a",
        published_at=datetime(2026, 11, 21, 15, 7, 12, tzinfo=UTC),
        settles_at=datetime(2026, 11, 21, 17, tzinfo=UTC),
        provisional=True,
        missing_partitions=0,
        warned_checks=(),
        columns=COLUMNS,
        rows=rows,
        total_rows=100,
        key=("artist_id",),
        bar="plays",
        total=2_104_377,
        previous_total=1_961_205,
        previous_rows=100,
        movement=Movement("rank", "previous_rank", "movement", (rows[6],), (rows[7],)),
        page_url="https://airflow.example.com/reports/#artist_ranking_weekly/2026-11-15",
        query_url="https://console.aws.amazon.com/athena/home",
    )


def take(browser: Browser, html: str, name: str, width: int) -> None:
    """Write a page as a picture of so many pixels across."""
    page = browser.new_page(viewport={"width": width, "height": 400})
    page.set_content(html)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
    page.close()


def mail_page(content: Content, language: Language) -> str:
    """Return the mail of a channel without options."""
    channel = mail("sales", to=["sales@example.com"], bar="plays", language=language)
    return html_part(content, TableColumns.of(channel, content), language)


def slack_page(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return blocks as Slack lays them out, in a plain form."""
    parts = []
    for block in blocks:
        match block["type"]:
            case "header":
                parts.append(f'<p class="head">{block["text"]["text"]}</p>')
            case "context":
                parts.append(f'<p class="small">{block["elements"][0]["text"]}</p>')
            case "section" if block["text"]["type"] == "mrkdwn":
                parts.append(f"<p>{_links(block['text']['text'])}</p>")
            case "section":
                parts.append(f"<p>{block['text']['text']}</p>".replace("\n", "<br>"))
            case "table":
                parts.append(_slack_table(block))
            case other:
                raise ValueError(other)
    return _page("Rendered by Athena reports on Airflow, not by Slack", "".join(parts))


def _links(text: str) -> str:
    links = []
    for link in text.split("  "):
        url, _, label = link.strip("<>").partition("|")
        links.append(f'<a href="{url}">{label}</a>')
    return " &nbsp; ".join(links)


def _slack_table(block: Mapping[str, Any]) -> str:
    rows = [[cell["text"] for cell in row] for row in block["rows"]]
    return _table(rows, [setting["align"] == "right" for setting in block["column_settings"]])


def workbook_page(content: Content) -> str:
    """Return the first sheet of the workbook, with its column letters."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ranking.xlsx"
        write_workbook(content, content.rows, path, "en")
        sheet = load_workbook(path).worksheets[0]
        letters = [column[0].column_letter for column in sheet.columns]
        rows = [["", *letters]]
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            rows.append([str(number), *[_shown(cell) for cell in cells]])
    is_number = [True, *[column.type != "VARCHAR" for column in content.columns]]
    note = "Rendered by Athena reports on Airflow, not by Excel"
    return _page(note, _table(rows, is_number, header_row=1))


def _shown(cell: Any) -> str:
    if cell.value is None:
        return ""
    if cell.number_format == "#,##0":
        return f"{cell.value:,}"
    if cell.number_format.endswith("0.00"):
        return f"{cell.value:,.2f}" if "," in cell.number_format else f"{cell.value:.2f}"
    return str(cell.value)


def _table(rows: Sequence[Sequence[str]], is_number: Sequence[bool], *, header_row: int = 0) -> str:
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if number == header_row else "td"
        cells = []
        for text, right in zip(row, is_number, strict=True):
            side = "right" if right else ""
            cells.append(f'<{tag} class="{side}">{escape(text)}</{tag}>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _page(note: str, body: str) -> str:
    head = f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>'
    return f'{head}<p class="note">{note}</p>{body}'


def main() -> None:
    """Take all pictures."""
    content = ranking()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        for name, width in (("phone", 360), ("tablet", 800), ("desktop", 1200)):
            take(browser, mail_page(content, "en"), f"mail-{name}", width)
        take(browser, mail_page(content, "ja"), "mail-phone-ja", 360)
        take(browser, slack_page(slack_message(content, "en").blocks), "slack", 880)
        take(browser, workbook_page(content), "workbook", 880)


if __name__ == "__main__":
    main()
