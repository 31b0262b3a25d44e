"""A content as a message of Slack: blocks, and the text of a notification.

Slack's limits are those of https://docs.slack.dev/reference/block-kit/blocks/: 50 blocks, 3,000
characters in a text, 150 in a header; in a table 100 rows with the header, and 20 columns. How to
escape is in https://docs.slack.dev/messaging/formatting-message-text/.

What a row holds is a raw text of a table, in which nothing is a mention or a link.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    RawTextObject,
    SectionBlock,
    TableBlock,
)

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import Language, shortened
from athena_reports.delivery.sentences import sentences, subject
from athena_reports.delivery.shown_table import ShownColumn, shown_table, with_unit

_LONGEST_HEADER = 150
_LONGEST_VALUE = 40  # characters, of a cell of the table
_MOST_COLUMNS = 20
# Slack refuses a table of more than 10,000 characters, and a message of more than about 13,200
# (msg_blocks_too_long). Whatever is in the data, the texts around the table leave room for a row.
_MOST_IN_CELLS = 9_000
_MOST_IN_MESSAGE = 11_000
_LONGEST_NOTIFICATION = 1_000
_LONGEST_SENTENCE = 500
_LONGEST_SECTION = 1_500


class SlackMessage(NamedTuple):
    """What `chat.postMessage` takes, to be sent with `unfurl_links=False`.

    Attributes:
        text: What a notification shows, escaped.
        blocks: The message.
    """

    text: str
    blocks: list[dict[str, Any]]


def slack_message(content: Content, language: Language) -> SlackMessage:
    """Return the message of a content.

    It leaves out rows, and then columns, until the message is short enough, and says which.
    """
    table = shown_table(content, content.column_names[:_MOST_COLUMNS], longest=_LONGEST_VALUE)
    rows = len(content.rows)
    message = _message(content, table, rows, language)
    while not _fits(message) and (rows > 1 or len(table) > 1):
        if rows > 1:
            rows -= 1
        else:
            table = table[:-1]
        message = _message(content, table, rows, language)
    return message


def _fits(message: SlackMessage) -> bool:
    in_cells = sum(_size(block) for block in message.blocks if block["type"] == "table")
    in_message = len(message.text) + _size(message.blocks)
    return in_cells <= _MOST_IN_CELLS and in_message <= _MOST_IN_MESSAGE


def _size(part: Any) -> int:
    """Return how many characters the texts of a block have."""
    if isinstance(part, dict):
        return sum(_size(value) for name, value in part.items() if name not in ("type", "align"))
    if isinstance(part, list):
        return sum(_size(item) for item in part)
    return len(part) if isinstance(part, str) else 0


def _message(
    content: Content, table: Sequence[ShownColumn], rows: int, language: Language
) -> SlackMessage:
    """Return the message with the first rows of a table."""
    shown = [column.name for column in table]
    parts = sentences(replace(content, rows=content.rows[:rows]), shown, language)
    blocks: list[Block] = [_context(notice) for notice in parts.notices]
    blocks.append(HeaderBlock(text=_plain(parts.headline, _LONGEST_HEADER)))
    blocks.append(_section([*parts.figures, *parts.differences]))
    if rows:
        blocks.append(_table(table, rows, language))
    below = [*parts.left_out, *parts.movement]
    if below:
        blocks.append(_section(below))
    if parts.links:
        links = "  ".join(f"<{_escape(url)}|{_escape(text)}>" for text, url in parts.links)
        blocks.append(SectionBlock(text=MarkdownTextObject(text=links, verbatim=True)))
    blocks.append(_context(parts.origin))
    text = " ".join([subject(content, language), *parts.notices, *parts.figures[:1]])
    sent = [block.to_dict() for block in blocks]
    return SlackMessage(_escaped(text, _LONGEST_NOTIFICATION), sent)


def _table(table: Sequence[ShownColumn], rows: int, language: Language) -> TableBlock:
    columns = []
    for column in table:
        header = shortened(with_unit(column.header, column.unit, language), _LONGEST_VALUE)
        columns.append([header, *column.texts[:rows]])
    rows_of_cells = [[_cell(text) for text in row] for row in zip(*columns, strict=True)]
    settings = [{"align": "right" if column.is_number else "left"} for column in table]
    return TableBlock(rows=rows_of_cells, column_settings=settings)


def _cell(text: str) -> dict[str, Any]:
    return RawTextObject(text=text or " ").to_dict()  # Slack takes no empty text


def _escaped(text: str, longest: int) -> str:
    """Return a text for Slack that has at most so many characters."""
    cut = shortened(_escape(text), longest)
    return re.sub("&[a-z]*…$", "…", cut)  # not through an escaped character


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, longest: int) -> PlainTextObject:
    return PlainTextObject(text=_escaped(text, longest), emoji=False)


def _context(text: str) -> ContextBlock:
    return ContextBlock(elements=[_plain(text, _LONGEST_SENTENCE)])


def _section(texts: Sequence[str]) -> SectionBlock:
    return SectionBlock(text=_plain("\n".join(texts), _LONGEST_SECTION))
