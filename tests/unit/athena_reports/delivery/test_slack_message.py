"""Messages of Slack: within its limits, and without what the data would do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.delivery import slack_message as module
from athena_reports.delivery.content import Content, ContentColumn
from athena_reports.delivery.language import Language
from athena_reports.delivery.sentences import subject
from athena_reports.delivery.shown_table import shown_table
from athena_reports.delivery.slack_message import SlackMessage, slack_message
from athena_reports.rows.differences import Change
from tests.unit.athena_reports.delivery.contents import (
    HOSTILE,
    LANGUAGES,
    PAGE_URL,
    QUERY_URL,
    all_columns,
    bare_content,
    content,
    corrected,
    spoken,
    tables,
)

# What Slack takes for a mention, a link or a date.
SPECIAL = re.compile(r"<([^>]*)>")


def texts(message: SlackMessage) -> Iterator[dict[str, Any]]:
    """The text objects of a message around its table."""
    for block in message.blocks:
        if block["type"] == "context":
            yield from block["elements"]
        elif block["type"] != "table":
            yield block["text"]


def cells(message: SlackMessage) -> list[list[str]]:
    """The table with its header; empty for none."""
    tables = [block for block in message.blocks if block["type"] == "table"]
    if not tables:
        return []
    (table,) = tables
    for row in table["rows"]:
        assert {cell["type"] for cell in row} == {"raw_text"}
    return [[cell["text"] for cell in row] for row in table["rows"]]


def require_slack_takes_it(message: SlackMessage) -> None:
    assert 1 <= len(message.blocks) <= 50
    assert 1 <= len(message.text) <= 3000
    table = cells(message)
    in_cells = sum(len(text) for row in table for text in row)
    assert in_cells <= 9_000
    around = sum(len(text["text"]) for text in texts(message))
    assert len(message.text) + in_cells + around <= 11_000
    assert len(table) <= 100
    for row in table:
        assert 1 <= len(row) <= 20
        assert all(row)
    for block in message.blocks:
        assert block["type"] in ("header", "context", "section", "table")
    for text in texts(message):
        assert 1 <= len(text["text"]) <= 3000
        assert text["type"] in ("plain_text", "mrkdwn")
        if text["type"] == "plain_text":
            assert text["emoji"] is False
            assert "<" not in text["text"]
            assert ">" not in text["text"]
        else:
            assert text["verbatim"] is True
        # Each & begins what Slack decodes, also where a text was cut.
        assert re.fullmatch(r"(?s)([^&]|&amp;|&lt;|&gt;)*", text["text"])
    (header,) = [block for block in message.blocks if block["type"] == "header"]
    assert header["text"]["type"] == "plain_text"
    assert len(header["text"]["text"]) <= 150


@given(tables(), st.sampled_from(LANGUAGES))
def test_a_message_has_its_links_only_and_mentions_nobody(
    made: Content, language: Language
) -> None:
    message = slack_message(made, language)
    require_slack_takes_it(message)
    assert not SPECIAL.search(message.text)
    found = []
    for text in texts(message):
        found += SPECIAL.findall(text["text"])
    urls = [unescape(link.split("|")[0]) for link in found]
    assert urls == [PAGE_URL, QUERY_URL]


@given(tables(), st.sampled_from(LANGUAGES))
def test_the_table_has_each_value(made: Content, language: Language) -> None:
    table = cells(slack_message(made, language))
    if not made.rows:
        assert table == []
        return
    columns = shown_table(made, all_columns(made).shown, longest=40)
    expected = [[text or " " for text in column.texts] for column in columns]
    assert [list(column) for column in zip(*table[1:], strict=True)] == expected


def test_a_header_has_its_unit_and_numbers_stand_on_the_right() -> None:
    message = slack_message(content(), "en")
    assert cells(message)[0] == [
        *("rank", "user_id", "user_name", "score (points)", "previous_rank", "movement")
    ]
    (table,) = [block for block in message.blocks if block["type"] == "table"]
    sides = [settings["align"] for settings in table["column_settings"]]
    assert sides == ["right", "left", "left", "right", "right", "left"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_the_sentences_of_the_other_forms(language: Language) -> None:
    made = content(
        provisional=True,
        missing_partitions=2,
        warned_checks=("expression(score >= plays)",),
        correction=corrected(
            changed=1,
            paired_by=("user_id",),
            examples=(Change(kind="changed", key=("u1",), columns={"score": ("1", "<2>")}),),
        ),
    )
    said = spoken(made, language)
    message = slack_message(made, language)
    plain = [
        unescape(line)
        for text in texts(message)
        if text["type"] == "plain_text"
        for line in text["text"].split("\n")
    ]
    assert plain == [
        *said.notices,
        said.headline,
        *said.figures,
        *said.differences,
        *said.left_out,
        *said.movement,
        said.origin,
    ]
    assert unescape(message.text) == " ".join(
        [subject(made, language), *said.notices, said.figures[0]]
    )


# Of rows with 12 long values, a message takes 18: each one more is left out in a round of its own.
@given(st.sampled_from(HOSTILE), st.integers(1, 300), st.integers(1, 20))
@example("&", 4000, 25)
@example("a", 4000, 1)
@example('"', 4000, 20)
@example("\\", 4000, 20)
def test_what_is_too_long_is_cut_and_counted(text: str, repeated: int, rows: int) -> None:
    long = (text or "&") * repeated
    columns = tuple(ContentColumn(f"c{place}", "VARCHAR") for place in range(12))
    made = bare_content(
        columns,
        *((long,) * 12,) * rows,
        report="r" * 64,
        warned_checks=(long,),
        correction=corrected(
            added=1,
            columns={long: 1},
            paired_by=("c0",) * 9,
            examples=(Change(kind="added", key=(long,) * 9, columns={}),) * 9,
        ),
    )
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    shown = len(cells(message)) - 1
    assert 0 < shown <= rows
    plain = " ".join(text["text"] for text in texts(message))
    left_out = re.search(r"(\d+) more rows? (is|are) not shown", plain)
    assert rows - shown == (int(left_out[1]) if left_out else 0)


def table_of(value: str, titles: Sequence[str], *, rows: int = 1) -> Content:
    columns = [ContentColumn(title, "VARCHAR") for title in titles]
    return bare_content(columns, *((value,) * len(titles),) * rows)


@pytest.mark.parametrize(("rows", "width"), [(50, 30), (50, 40), (50, 1), (5, 40)])
def test_rows_are_left_out_until_the_message_is_short_enough(rows: int, width: int) -> None:
    made = table_of("x" * width, [f"c{place}" for place in range(10)], rows=rows)
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    shown = len(cells(message)) - 1
    assert (shown < rows) is (width >= 30 and rows == 50)
    plain = "\n".join(text["text"] for text in texts(message))
    left_out = f"{rows - shown} more rows are not shown."
    assert (left_out in plain) is (shown < rows)
    # One row more would be too long.
    assert shown == rows or 20 + (shown + 1) * 10 * width > 9_000


def test_columns_are_left_out_where_one_row_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IN_CELLS", 130)
    message = slack_message(table_of("x" * 40, ["a", "b", "c", "d"], rows=2), "en")
    assert [len(row) for row in cells(message)] == [3, 3]
    plain = "\n".join(text["text"] for text in texts(message))
    assert "1 more row is not shown.\n1 more column is not shown: d." in plain


def test_a_table_has_20_columns_at_most() -> None:
    message = slack_message(table_of("x", [f"c{place}" for place in range(22)]), "en")
    require_slack_takes_it(message)
    assert len(cells(message)[0]) == 20
    plain = [text["text"] for text in texts(message)]
    assert "2 more columns are not shown: c20, c21." in plain


def test_a_headline_of_150_characters_is_whole_and_a_longer_one_is_cut() -> None:
    room = 150 - len(spoken(content(report=""), "en").headline)
    for length, end in ((room, ")"), (room + 1, "…")):
        made = content(report="r" * length)
        (header,) = [
            block for block in slack_message(made, "en").blocks if "header" in block["type"]
        ]
        shown = header["text"]["text"]
        assert shown == spoken(made, "en").headline[:149] + end
        assert len(shown) == 150


def test_an_empty_period_has_no_table_and_says_why() -> None:
    made = content(rows=(), total_rows=0, total=None)
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    assert cells(message) == []
    assert message.blocks[0]["elements"][0]["text"] == "The report has no rows for this period."
