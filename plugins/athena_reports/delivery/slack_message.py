"""A content as a message of Slack: blocks, and the text of a notification.

Slack's limits are those of https://docs.slack.dev/reference/block-kit/blocks/: 50 blocks, 3,000
characters in a text, 150 in a header. How to escape is in
https://docs.slack.dev/messaging/formatting-message-text/.

What a row holds is plain text or stands in a code block, and is escaped. So it cannot mention
anybody, and is no link.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import Language, shortened
from athena_reports.delivery.sentences import Link, sentences, subject
from athena_reports.delivery.shown_table import shown_table, text_lines

_LONGEST_HEADER = 150
_LONGEST_TEXT = 3000
_LONGEST_VALUE = 40  # characters, of a cell of the table
_LONGEST_LINE = 700  # characters, of a line of the table
_TABLE_BLOCKS = 8  # more would be a wall of text
_CODE = "```"

Block = dict[str, Any]


@dataclass(frozen=True)
class SlackMessage:
    """What `chat.postMessage` takes, to be sent with `unfurl_links=False`.

    Attributes:
        text: What a notification shows, escaped.
        blocks: The message.
    """

    text: str
    blocks: list[Block]


def slack_message(content: Content, language: Language) -> SlackMessage:
    """Return the message of a content.

    If not all of its rows fit, it says that more are left out.
    """
    tables = _tables(content, language)
    if len(tables) > _TABLE_BLOCKS:
        kept_lines = sum(len(lines) for lines in tables[:_TABLE_BLOCKS])
        kept_rows = kept_lines - 2  # without the header and its rule
        content = replace(content, rows=content.rows[:kept_rows])
        tables = _tables(content, language)[:_TABLE_BLOCKS]

    said = sentences(content, language)
    blocks = [_context(notice.text) for notice in said.notices]
    blocks.append(_header(said.headline))
    blocks.extend(_sections([*said.figures, *said.differences]))
    if said.empty:
        blocks.extend(_sections([said.empty]))
    blocks.extend(_code_block(lines) for lines in tables)
    blocks.extend(_sections([*said.left_out, *said.movement]))
    if said.links:
        blocks.append(_links(said.links))
    blocks.append(_context(" ".join(said.origin)))
    notices = [notice.text for notice in said.notices]
    text = " ".join([subject(content, language), *notices, *said.figures[:1]])
    return SlackMessage(_escaped(text, _LONGEST_TEXT), blocks)


def _tables(content: Content, language: Language) -> list[list[str]]:
    """Return the lines of the table for each code block."""
    if not content.rows:
        return []
    table = shown_table(content, language, longest=_LONGEST_VALUE)
    lines = []
    for line in text_lines(table, language):
        # Three of these would end the code block.
        harmless = line.replace(_CODE, "'''")
        lines.append(_escaped(harmless, _LONGEST_LINE))
    room = _LONGEST_TEXT - len(f"{_CODE}\n{_CODE}")
    return list(_chunks(lines, room))


def _chunks(lines: Sequence[str], room: int) -> Iterator[list[str]]:
    """Yield the lines in parts that have at most so many characters, with their line breaks.

    Each line has to be shorter than that, or the first part would be empty.
    """
    chunk: list[str] = []
    size = 0
    for line in lines:
        if size + len(line) + 1 > room:
            yield chunk
            chunk = []
            size = 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield chunk


def _escaped(text: str, longest: int) -> str:
    """Return a text for Slack that has at most so many characters."""
    kept = longest
    escaped = _escape(shortened(text, kept))
    while len(escaped) > longest:
        kept -= max(1, (len(escaped) - longest) // 5)  # one character is up to five
        escaped = _escape(shortened(text, kept))
    return escaped


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, longest: int) -> Block:
    return {"type": "plain_text", "text": _escaped(text, longest), "emoji": False}


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text, _LONGEST_HEADER)}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_plain(text, _LONGEST_TEXT)]}


def _sections(texts: Sequence[str]) -> list[Block]:
    escaped = [_escaped(text, _LONGEST_TEXT - 1) for text in texts]
    sections: list[Block] = []
    for chunk in _chunks(escaped, _LONGEST_TEXT):
        text = {"type": "plain_text", "text": "\n".join(chunk), "emoji": False}
        sections.append({"type": "section", "text": text})
    return sections


def _code_block(lines: Sequence[str]) -> Block:
    text = "\n".join([_CODE, *lines, _CODE])
    # `verbatim`: nothing in it becomes a link.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _links(links: Sequence[Link]) -> Block:
    texts = []
    for link in links:
        url = link.url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
        texts.append(f"<{_escape(url)}|{_escape(link.text)}>")
    text = "  ".join(texts)
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
