"""A content as a mail: a part of plain text, a part of HTML, and at most one attachment.

What a row holds is text in both parts. It is never HTML, a header or a link of this message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import Language
from athena_reports.delivery.phrases import phrase
from athena_reports.delivery.sentences import sentences, subject
from athena_reports.delivery.shown_table import shown_table, text_lines
from athena_reports.delivery.table_columns import TableColumns

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(["html.jinja"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_LONGEST_VALUE = 200  # characters, in HTML
_LONGEST_TEXT_VALUE = 60  # characters, in plain text


def _policy() -> Policy[EmailMessage]:
    headers = HeaderRegistry()
    # Otherwise Python writes a long id as an encoded word, and no mail program finds its thread.
    kind: Any = MessageIDHeader  # what the registry takes is no type that the stubs know
    headers.map_to_type("in-reply-to", kind)
    headers.map_to_type("references", kind)
    return SMTP.clone(header_factory=headers)


class Attachment(NamedTuple):
    """A file of a mail.

    Attributes:
        name: Its name, such as `user_ranking_2026-11-15.xlsx`.
        content: Its bytes.
        mime_type: Such as `text/csv`; texts are in UTF-8.
    """

    name: str
    content: bytes
    mime_type: str


def mail_message(
    content: Content,
    columns: TableColumns,
    language: Language,
    attachment: Attachment | None = None,
    *,
    sender: Address,
    to: Sequence[str],
    message_id: str,
    thread: str = "",
) -> EmailMessage:
    """Return the mail of a content.

    Args:
        content: The content.
        columns: The columns of its table.
        language: The language.
        attachment: The file that goes with it; None for none.
        sender: The address that it comes from.
        to: The addresses that its header names.
        message_id: Its Message-ID, such as `<version.channel.1@example.com>`.
        thread: The Message-ID of the mail that it replies to; empty for none.
    """
    message = EmailMessage(policy=_policy())
    message["Subject"] = subject(content, language)
    message["From"] = sender
    message["To"] = [Address(addr_spec=address) for address in to]
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = message_id
    if thread:
        message["In-Reply-To"] = thread
        message["References"] = thread
    message["Auto-Submitted"] = "auto-generated"  # nobody's holiday notice answers it
    # In ASCII, so that a server without 8BITMIME takes it too.
    encoding = "quoted-printable"
    message.set_content(text_part(content, columns, language), cte=encoding)
    message.add_alternative(html_part(content, columns, language), subtype="html", cte=encoding)
    if attachment is not None:
        maintype, _, subtype = attachment.mime_type.partition("/")
        message.add_attachment(
            attachment.content,
            maintype=maintype,
            subtype=subtype,
            filename=attachment.name,
            # Without it, some mail programs take a CSV for another encoding.
            params={"charset": "utf-8"} if maintype == "text" else {},
        )
    message["Content-Language"] = language  # at last: to set the content removes such headers
    return message


def html_part(content: Content, columns: TableColumns, language: Language) -> str:
    """Return a content as HTML. All values are escaped."""
    context = _context(content, columns, language, longest=_LONGEST_VALUE)
    not_narrow = [name for name in columns.shown if name not in columns.narrow]
    names = phrase(language, "list_separator").join(not_narrow)
    context["not_narrow"] = not_narrow
    context["narrow_notice"] = phrase(language, "narrow", names=names)
    return _TEMPLATES.get_template("mail.html.jinja").render(context)


def text_part(content: Content, columns: TableColumns, language: Language) -> str:
    """Return a content as plain text."""
    context = _context(content, columns, language, longest=_LONGEST_TEXT_VALUE)
    context["text_lines"] = text_lines(context["table"], language)
    return _TEMPLATES.get_template("mail.txt.jinja").render(context)


def _context(
    content: Content, columns: TableColumns, language: Language, *, longest: int
) -> dict[str, Any]:
    """Return what a template shows; `table` has no columns without rows."""
    shown = columns.shown if content.rows else ()
    return {
        "language": language,
        "subject": subject(content, language),
        "sentences": sentences(content, columns.shown, language),
        "row_count": len(content.rows),
        "table": shown_table(content, shown, longest=longest),
    }
