"""Messages of Slack: within its limits, and without what the data would do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape, unescape
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.delivery.content import Content, ContentColumn, Correction
from athena_reports.delivery.language import Language, shortened
from athena_reports.delivery.sentences import sentences, subject
from athena_reports.delivery.shown_table import shown_table, text_lines
from athena_reports.delivery.slack_message import SlackMessage, slack_message
from athena_reports.rows.differences import Change
from tests.unit.athena_reports.delivery.contents import (
    HOSTILE,
    LANGUAGES,
    PAGE_URL,
    QUERY_URL,
    content,
    tables,
)

# What Slack takes for a mention, a link or a date.
SPECIAL = re.compile(r"<([^>]*)>")


def texts(message: SlackMessage) -> Iterator[dict[str, Any]]:
    """The text objects of a message."""
    for block in message.blocks:
        if block["type"] == "context":
            yield from block["elements"]
        else:
            yield block["text"]


def code_lines(message: SlackMessage) -> list[str]:
    """The lines of the code blocks, as they are shown."""
    lines = []
    for text in texts(message):
        if text["text"].startswith("```\n"):
            assert text["text"].endswith("\n```")
            lines += unescape(text["text"][4:-4]).split("\n")
    return lines


def require_slack_takes_it(message: SlackMessage) -> None:
    assert 1 <= len(message.blocks) <= 50
    assert 1 <= len(message.text) <= 3000
    assert len(message.text) + len(json.dumps(message.blocks, ensure_ascii=False)) < 11_000
    for block in message.blocks:
        assert block["type"] in ("header", "context", "section")
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
def test_the_code_block_is_the_table(made: Content, language: Language) -> None:
    lines = code_lines(slack_message(made, language))
    if not made.rows:
        assert lines == []
        return
    expected = text_lines(shown_table(made, language, longest=40), language)
    assert lines == [line.replace("```", "'''") for line in expected]


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_the_sentences_of_the_other_forms(language: Language) -> None:
    made = content(
        provisional=True,
        partial=True,
        warned_checks=("expression(score >= plays)",),
        correction=Correction(
            datetime(2026, 11, 22, tzinfo=UTC),
            changed=1,
            names=("user_id",),
            examples=(Change(kind="changed", key=("u1",), columns={"score": ("1", "<2>")}),),
        ),
    )
    said = sentences(made, language)
    message = slack_message(made, language)
    plain = [
        unescape(line)
        for text in texts(message)
        if text["type"] == "plain_text"
        for line in text["text"].split("\n")
    ]
    assert plain == [
        *[notice.text for notice in said.notices],
        said.headline,
        *said.figures,
        *said.differences,
        *said.left_out,
        *said.movement,
        " ".join(said.origin),
    ]
    notices = [notice.text for notice in said.notices]
    assert unescape(message.text) == " ".join([subject(made, language), *notices, said.figures[0]])


@pytest.mark.ci
@given(st.sampled_from(HOSTILE), st.integers(1, 300), st.integers(1, 30))
@example("&", 4000, 120)
@example("a", 4000, 1)
@example('"', 4000, 120)
@example("\\", 4000, 120)
def test_what_is_too_long_is_cut_and_counted(text: str, repeated: int, rows: int) -> None:
    long = (text or "&") * repeated
    columns = tuple(ContentColumn(f"c{place}", "VARCHAR") for place in range(12))
    made = content(
        report="r" * 64,
        columns=columns,
        rows=((long,) * 12,) * rows,
        total_rows=rows,
        key=(),
        bar="",
        movement=None,
        warned_checks=(long,),
        correction=Correction(
            datetime(2026, 11, 22, tzinfo=UTC),
            added=1,
            columns={long: 1},
            names=("c0",) * 9,
            examples=(Change(kind="added", key=(long,) * 9, columns={}),) * 9,
        ),
    )
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    shown = len(code_lines(message)) - 2
    assert 0 < shown <= rows
    plain = " ".join(text["text"] for text in texts(message))
    left_out = re.search(r"(\d+) more rows? (is|are) not shown", plain)
    assert rows - shown == (int(left_out[1]) if left_out else 0)


def table_of(value: str, titles: Sequence[str], *, rows: int = 1) -> Content:
    return content(
        columns=tuple(ContentColumn(title, "VARCHAR") for title in titles),
        rows=((value,) * len(titles),) * rows,
        total_rows=rows,
        key=(),
        bar="",
        movement=None,
    )


# With one header the lines fill a block to its last character, with another one the last line
# would have one character too many.
@pytest.mark.parametrize("title", ["c" * length for length in range(1, 21)])
def test_a_block_ends_where_the_next_line_would_not_fit(title: str) -> None:
    made = table_of("x" * 20, titles=(title,), rows=400)
    blocks = [text["text"] for text in texts(slack_message(made, "en")) if "```" in text["text"]]
    assert len(blocks) > 1
    assert max(map(len, blocks)) <= 3000
    for block in blocks[:-1]:
        assert len(block) + len("\n" + "x" * 20) > 3000


@pytest.mark.parametrize(("rows", "width"), [(50, 30), (50, 60), (50, 1), (5, 40)])
def test_rows_are_left_out_until_the_message_is_short_enough(rows: int, width: int) -> None:
    made = table_of("x" * width, [f"c{place}" for place in range(10)], rows=rows)
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    shown = len(code_lines(message)) - 2
    assert (shown < rows) is (width >= 30 and rows == 50)
    plain = "\n".join(text["text"] for text in texts(message))
    left_out = f"{rows - shown} more rows are not shown."
    assert (left_out in plain) is (shown < rows)
    # One row more would be too long.
    line = code_lines(message)[-1]
    size = len(message.text) + len(json.dumps(message.blocks, ensure_ascii=False))
    assert shown == rows or size + 2 * len(line) > 11_000


@pytest.mark.parametrize(("columns", "left_out"), [(16, 0), (17, 1), (30, 14)])
def test_columns_that_do_not_fit_into_a_line_are_left_out(columns: int, left_out: int) -> None:
    """16 of 40 characters do, with two spaces between them."""
    names = [f"c{place}" for place in range(columns)]
    message = slack_message(table_of("x" * 40, names), "en")
    header, _, row = code_lines(message)
    assert header.split() == names[: columns - left_out]
    assert row == "  ".join(["x" * 40] * (columns - left_out))
    plain = [text["text"] for text in texts(message)]
    said = {0: None, 1: "1 more column is not shown.", 14: "14 more columns are not shown."}
    assert [text for text in plain if "column" in text] == ([said[left_out]] if left_out else [])


@pytest.mark.parametrize("text", ["&", "<", "a", "a&", "abcdefghi>", "&&&&&&&abc"])
def test_one_column_that_is_too_long_keeps_as_much_as_fits(text: str) -> None:
    title = (text * 800)[:800]
    made = table_of("x", [title, "second"])
    line, *_ = text_lines(shown_table(table_of("x", [title]), "en", longest=40), "en")
    shown, *_ = code_lines(slack_message(made, "en"))
    cuts = [shortened(line, kept) for kept in range(1, len(line) + 1)]
    fitting = [cut for cut in cuts if len(escape(cut, quote=False)) <= 700]
    assert shown == fitting[-1]


def test_a_value_has_40_characters_at_most_and_ends_no_code_block() -> None:
    made = table_of("x" * 41, ["c```"])
    made = replace(made, rows=(("x" * 41,), ("```" * 13 + "`",)), total_rows=2)
    lines = ["c'''", "-" * 40, "x" * 39 + "…", "'''" * 13 + "`"]
    assert code_lines(slack_message(made, "en")) == lines


def test_a_headline_of_150_characters_is_whole_and_a_longer_one_is_cut() -> None:
    room = 150 - len(sentences(content(report=""), "en").headline)
    for length, end in ((room, ")"), (room + 1, "…")):
        made = content(report="r" * length)
        (header,) = [
            block for block in slack_message(made, "en").blocks if "header" in block["type"]
        ]
        shown = header["text"]["text"]
        assert shown == sentences(made, "en").headline[:149] + end
        assert len(shown) == 150


def test_an_empty_period_has_no_table_and_says_why() -> None:
    made = content(rows=(), total_rows=0, total=None)
    message = slack_message(made, "en")
    require_slack_takes_it(message)
    assert code_lines(message) == []
    assert sentences(made, "en").empty in [text["text"] for text in texts(message)]


def test_without_addresses_there_are_no_links() -> None:
    message = slack_message(content(page_url="", query_url=""), "ja")
    require_slack_takes_it(message)
    assert not any(SPECIAL.search(text["text"]) for text in texts(message))


def test_an_address_with_control_characters_of_slack_stays_one_link() -> None:
    message = slack_message(content(query_url="https://a.example.com/?x=1&y=<b>|c"), "en")
    links = [text["text"] for text in texts(message) if PAGE_URL in text["text"]]
    assert links[0].endswith(
        "<https://a.example.com/?x=1&amp;y=%3Cb%3E%7Cc|Open the query in Athena>"
    )
