"""Contents of deliveries for tests: one as a report makes it, and hostile ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from athena_reports.delivery.content import Content, ContentColumn, Correction, Movement
from athena_reports.delivery.language import Language
from athena_reports.delivery.mail_message import html_part, text_part
from athena_reports.delivery.receipt import Receipt
from athena_reports.delivery.sentences import Sentences, sentences
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.periods.calendar import weekly
from athena_reports.rows.columns import is_number
from athena_reports.rows.differences import Differences

TOKYO = ZoneInfo("Asia/Tokyo")
WEEK = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
LANGUAGES: tuple[Language, ...] = ("en", "ja")
PAGE_URL = "https://airflow.example.com/reports/#ranking_weekly/2026-11-15"
QUERY_URL = "https://console.aws.amazon.com/athena/home?region=eu-west-1#/history/0f"

# What somebody may put into data, the name of a column or a param.
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "＝1",
    "\t=1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></tr></table><h1>owned",
    "{{ 7 * 7 }}{% raw %}",
    "a\r\nBcc: evil@example.com",
    "a\nb",
    "x\u2028Subject: owned",
    "\x00\x07null",
    "https://evil.example.com/login",
    "[click](https://evil.example.com)",
    "<https://evil.example.com|click>",
    "<!channel> <!here> <@U123>",
    "@channel #general",
    "```\n*bold*",
    "<r><t>raw</t></r>",
    "&amp; &lt;",
    "_x0041_",
    "  spaces  ",
    "",
    "–",
    "😀 千葉 ﷽",
]


def receipt(**fields: Any) -> Receipt:
    """The receipt of a first mail, except where a test says otherwise."""
    usual: dict[str, Any] = {
        "channel": "sales",
        "kind": "mail",
        "version": "v1",
        "number": 1,
        "sent_at": datetime(2026, 11, 22, tzinfo=UTC),
        "recipients": ("a@example.com",),
        "message_id": "<1@example.com>",
        "run_id": "run-1",
        "clears": 0,
    }
    return Receipt(**usual | fields)


SENT_AT = datetime(2026, 11, 21, 15, 7, tzinfo=UTC)


def corrected(**fields: Any) -> Correction:
    """A correction in which nothing differs, except for some fields of its differences."""
    usual: dict[str, Any] = {
        "key": (),
        "paired_by": (),
        "added": 0,
        "removed": 0,
        "changed": 0,
        "columns": {},
        "columns_added": (),
        "columns_removed": (),
        "columns_retyped": {},
        "examples": (),
    }
    return Correction(SENT_AT, Differences(**usual | fields))


def content(**fields: Any) -> Content:
    """The content of a week of a ranking, except for some fields."""
    rows = (
        (1, "u1", "Aiko", 184_230, 3, "up 2"),
        (2, "u2", None, 92_115, None, "new"),
        (3, "u3", "千葉", 61_410, 1, "down 2"),
    )
    made = Content(
        report="ranking",
        environment="prd",
        period=WEEK,
        version="20261121T150712Z-3f9a",
        published_at=datetime(2026, 11, 21, 15, 7, 12, tzinfo=UTC),
        settles_at=datetime(2026, 11, 22, 15, tzinfo=UTC),
        provisional=False,
        missing_partitions=0,
        warned_checks=(),
        columns=(
            ContentColumn("rank", "BIGINT"),
            ContentColumn("user_id", "VARCHAR"),
            ContentColumn("user_name", "VARCHAR"),
            ContentColumn("score", "BIGINT", "points"),
            ContentColumn("previous_rank", "BIGINT"),
            ContentColumn("movement", "VARCHAR"),
        ),
        rows=rows,
        total_rows=100,
        key=("user_id",),
        bar="score",
        total=1_000_000,
        previous_total=800_000,
        previous_rows=97,
        movement=Movement("rank", "previous_rank", "movement", rises=rows[:1], falls=rows[2:]),
        page_url=PAGE_URL,
        query_url=QUERY_URL,
    )
    if not fields.get("bar", made.bar):
        fields.setdefault("total", None)
    return replace(made, **fields)


def bare_content(
    columns: Sequence[ContentColumn], *rows: tuple[Any, ...], **fields: Any
) -> Content:
    """The content of a table without a key, bars and movement, except for some fields."""
    usual: dict[str, Any] = {"total_rows": len(rows), "key": (), "bar": "", "movement": None}
    return content(columns=tuple(columns), rows=rows, **usual | fields)


def all_columns(made: Content) -> TableColumns:
    """All columns of a content, also on a phone."""
    names = [column.name for column in made.columns]
    return TableColumns(names, names)


def spoken(made: Content, language: Language) -> Sentences:
    """The sentences beside a table of all columns."""
    return sentences(made, all_columns(made).shown, language)


def html_of(made: Content, language: Language) -> str:
    """The HTML with all columns."""
    return html_part(made, all_columns(made), language)


def text_of(made: Content, language: Language) -> str:
    """The plain text with all columns."""
    return text_part(made, all_columns(made), language)


@dataclass(frozen=True)
class Kind:
    """A type of a column: its values, and the value that a shown text means."""

    type: str
    values: st.SearchStrategy[Any]
    read: Callable[[str], Any]


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _cents(number: int) -> Decimal:
    return Decimal(f"{number}E-2")  # not by scaleb, which rounds


def _in_tokyo(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC).astimezone(TOKYO)


TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), max_size=20))
# Dates of years with four digits, from which every calendar program counts.
DATES = st.dates(date(1901, 1, 1), date(2199, 12, 31))
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2199, 12, 31))  # noqa: DTZ001
KINDS = {
    "BIGINT": Kind("BIGINT", st.integers(-(2**63), 2**63 - 1), _number),
    "HUGEINT": Kind("HUGEINT", st.integers(-(10**38), 10**38), _number),
    "DECIMAL": Kind("DECIMAL(38,2)", st.integers(-(10**37), 10**37).map(_cents), _number),
    "DOUBLE": Kind(
        "DOUBLE",
        # With the digits that are shown.
        st.floats(-1e300, 1e300).map(lambda number: float(f"{number:.15g}")),
        lambda text: float(text.replace(",", "")),
    ),
    "BOOLEAN": Kind("BOOLEAN", st.booleans(), lambda text: text == "true"),
    "DATE": Kind("DATE", DATES, date.fromisoformat),
    "INSTANT": Kind("TIMESTAMP WITH TIME ZONE", INSTANTS.map(_in_tokyo), datetime.fromisoformat),
    "VARCHAR": Kind("VARCHAR", TEXTS, lambda text: text),
}


def shown(text: str) -> str:
    """A text of data as it is shown: one line."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


@st.composite
def tables(draw: st.DrawFn) -> Content:
    """A content with any columns and rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
    columns = []
    for number, name in enumerate(kinds):
        title = f"{number} " + draw(st.sampled_from(HOSTILE))
        unit = draw(st.sampled_from(["", "points", "<b>"]))
        columns.append(ContentColumn(title, KINDS[name].type, unit))
    values = [st.none() | KINDS[name].values for name in kinds]
    rows = draw(st.lists(st.tuples(*values), max_size=5))
    numbers = [column.name for column in columns if is_number(column.type)]
    bar = draw(st.sampled_from(["", *numbers]))
    return bare_content(
        columns,
        *rows,
        total_rows=len(rows) + draw(st.integers(0, 3)),
        bar=bar,
        total=None,
        warned_checks=tuple(draw(st.lists(st.sampled_from(HOSTILE), max_size=2))),
        version=draw(st.sampled_from(HOSTILE)),
    )


def kind_of(column: ContentColumn) -> Kind:
    """The kind that a column of `tables` has."""
    for kind in KINDS.values():
        if kind.type == column.type:
            return kind
    raise AssertionError(column.type)


def require_cells(table: Sequence[Sequence[str]], content: Content) -> None:
    """Require that a table of texts has the rows of a content of `tables`, cell by cell."""
    assert len(table) == len(content.rows)
    for texts, row in zip(table, content.rows, strict=True):
        for text, value, column in zip(texts, row, content.columns, strict=True):
            if value is None:
                assert text == "–"
            elif isinstance(value, str):
                assert text == shown(value)
            else:
                assert kind_of(column).read(text) == value
