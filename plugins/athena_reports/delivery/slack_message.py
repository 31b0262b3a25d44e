"""A content as a message of Slack: blocks, and the text of a notification.

Slack's limits are those of https://docs.slack.dev/reference/block-kit/blocks/: 50 blocks, 3,000
characters in a text, 150 in a header. How to escape is in
https://docs.slack.dev/messaging/formatting-message-text/.

What a row holds is plain text or stands in a code block, and is escaped. So it cannot mention
anybody, and is no link.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import Language, number_in_words, shortened
from athena_reports.delivery.phrases import phrase
from athena_reports.delivery.sentences import Link, sentences, subject
from athena_reports.delivery.shown_table import ShownTable, shown_table, text_lines

_LONGEST_HEADER = 150
_LONGEST_TEXT = 3000
_LONGEST_VALUE = 40  # characters, of a cell of the table
_LONGEST_LINE = 700  # characters, of a line of the table
# Slack refuses a message of more than about 13,200 characters (msg_blocks_too_long). Whatever is in
# the data, the texts around the table leave room for a row of it.
_TOO_LONG = 11_000
_LONGEST_NOTIFICATION = 1000
_LONGEST_SENTENCE = 500
_LONGEST_SECTION = 2000
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

    It leaves out columns that do not fit into a line, and rows until the whole message is short
    enough, and says how many.
    """
    table = shown_table(content, language, longest=_LONGEST_VALUE)
    columns = _fitting_columns(table, language)
    rows = len(table.rows)
    message = _message(content, table.part(rows=rows, columns=columns), language)
    while _size(message) >= _TOO_LONG and rows:
        rows -= 1
        message = _message(content, table.part(rows=rows, columns=columns), language)
    return message


def _message(content: Content, table: ShownTable, language: Language) -> SlackMessage:
    """Return the message with the rows and columns of a table."""
    said = sentences(replace(content, rows=content.rows[: len(table.rows)]), language)
    left_out = list(said.left_out)
    columns_left_out = len(content.columns) - len(table.headers)
    if table.rows and columns_left_out:
        count = number_in_words(columns_left_out)
        left_out.append(phrase(language, "columns_left_out", count=count))
    blocks = [_context(notice.text) for notice in said.notices]
    blocks.append(_header(said.headline))
    blocks.extend(_section([*said.figures, *said.differences]))
    blocks.extend(_section([said.empty] if said.empty else []))
    blocks.extend(_code_blocks(table, language))
    blocks.extend(_section([*left_out, *said.movement]))
    if said.links:
        blocks.append(_links(said.links))
    blocks.append(_context(" ".join(said.origin)))
    notices = [notice.text for notice in said.notices]
    text = " ".join([subject(content, language), *notices, *said.figures[:1]])
    return SlackMessage(_escaped(text, _LONGEST_NOTIFICATION), blocks)


def _size(message: SlackMessage) -> int:
    return len(message.text) + len(json.dumps(message.blocks, ensure_ascii=False))


def _fitting_columns(table: ShownTable, language: Language) -> int:
    """Return how many columns fit into a line; at least one, whose lines may be cut."""
    columns = 1
    while columns < len(table.headers):
        wider = table.part(rows=len(table.rows), columns=columns + 1)
        if max(len(_escape(line)) for line in text_lines(wider, language)) > _LONGEST_LINE:
            break
        columns += 1
    return columns


def _code_blocks(table: ShownTable, language: Language) -> Iterator[Block]:
    """Yield the table in as many blocks as it needs; none without rows."""
    if not table.rows:
        return
    lines = []
    for line in text_lines(table, language):
        # Three of these would end the code block.
        harmless = line.replace(_CODE, "'''")
        lines.append(_escaped(harmless, _LONGEST_LINE))
    room = _LONGEST_TEXT - len(f"{_CODE}\n{_CODE}")
    for chunk in _chunks(lines, room):
        text = "\n".join([_CODE, *chunk, _CODE])
        # `verbatim`: nothing in it becomes a link.
        yield {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


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
    return {"type": "context", "elements": [_plain(text, _LONGEST_SENTENCE)]}


def _section(texts: Sequence[str]) -> list[Block]:
    """Return a section of the first texts that fit. The last ones are examples of a correction."""
    if not texts:
        return []
    escaped = [_escaped(text, _LONGEST_SENTENCE) for text in texts]
    fitting = next(_chunks(escaped, _LONGEST_SECTION))
    text = {"type": "plain_text", "text": "\n".join(fitting), "emoji": False}
    return [{"type": "section", "text": text}]


def _links(links: Sequence[Link]) -> Block:
    texts = []
    for link in links:
        url = link.url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
        texts.append(f"<{_escape(url)}|{_escape(link.text)}>")
    text = "  ".join(texts)
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
