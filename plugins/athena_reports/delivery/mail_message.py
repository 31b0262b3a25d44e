"""A content as a mail: a part of plain text, a part of HTML, and at most one attachment.

What a row holds is text in both parts. It is never HTML, a header or a link of this message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.language import Language
from athena_reports.delivery.sentences import sentences, subject
from athena_reports.delivery.shown_table import shown_table, text_lines

_TEMPLATES = Path(__file__).with_name("templates")
_LONGEST_VALUE = 200  # characters, in HTML
_LONGEST_TEXT_VALUE = 60  # characters, in plain text
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_MIME_TYPE = re.compile(
    r"(?P<main>[a-z]+)/(?P<sub>[a-z0-9.+-]+)(; charset=(?P<charset>[a-z0-9-]+))?"
)
_FILE_NAME = re.compile(r"[\w. -]+")


class _MessageIds(UnstructuredHeader):
    """Message-IDs of other mails.

    Python would write a long one as an encoded word, and no mail program would find its thread.
    """

    name: str

    def fold(self, *, policy: Policy) -> str:
        lines = str(self).split()
        return f"{self.name}: {f'{policy.linesep} '.join(lines)}{policy.linesep}"


def _policy() -> Policy[EmailMessage]:
    headers = HeaderRegistry()
    kind: Any = _MessageIds  # what the registry takes is no type that the stubs know
    headers.map_to_type("in-reply-to", kind)
    headers.map_to_type("references", kind)
    return SMTP.clone(header_factory=headers)


@dataclass(frozen=True)
class Attachment:
    """A file of a mail.

    Attributes:
        name: Its name, such as `user_ranking_2026-11-15.xlsx`.
        content: Its bytes.
        mime_type: Such as `text/csv; charset=utf-8`.
    """

    name: str
    content: bytes
    mime_type: str


@dataclass(frozen=True)
class Envelope:
    """What the headers of a mail say besides its subject.

    Attributes:
        sender: An address, or a name with one: `Reports <reports@example.com>`.
        to: Such an address for each recipient.
        message_id: Such as `<version.channel.0@example.com>`.
        date: When the mail is made, with a time zone.
        in_reply_to: The Message-ID of the mail that this one answers; empty for none.
        references: The Message-IDs of the mails before it in its thread, first one first.
    """

    sender: str
    to: Sequence[str]
    message_id: str
    date: datetime
    in_reply_to: str = ""
    references: Sequence[str] = field(default_factory=tuple)


def mail_message(
    content: Content,
    language: Language,
    envelope: Envelope,
    attachment: Attachment | None = None,
) -> EmailMessage:
    """Return the mail of a content.

    Args:
        content: The content.
        language: The language.
        envelope: What the headers say.
        attachment: The file that goes with it; None for none.

    Raises:
        DeliveryError: An address or a Message-ID is not valid.
    """
    message = EmailMessage(policy=_policy())
    message["Subject"] = subject(content, language)
    message["From"] = _address(envelope.sender)
    message["To"] = [_address(recipient) for recipient in envelope.to]
    message["Date"] = envelope.date
    message["Message-ID"] = _message_id(envelope.message_id)
    if envelope.in_reply_to:
        message["In-Reply-To"] = _message_id(envelope.in_reply_to)
    if envelope.references:
        references = [_message_id(reference) for reference in envelope.references]
        message["References"] = " ".join(references)
    message["Auto-Submitted"] = "auto-generated"  # nobody's holiday notice answers it
    # In ASCII, so that a server without 8BITMIME takes it too.
    encoding = "quoted-printable"
    message.set_content(text_part(content, language), cte=encoding)
    html = html_part(content, language)
    message.add_alternative(html, subtype="html", cte=encoding)
    if attachment is not None:
        _attach(message, attachment)
    message["Content-Language"] = language  # at last: to set the content removes such headers
    return message


def html_part(content: Content, language: Language) -> str:
    """Return a content as HTML. All values are escaped."""
    template = _template("mail.html.jinja", autoescape=True)
    return template.render(_context(content, language))


def text_part(content: Content, language: Language) -> str:
    """Return a content as plain text."""
    context = _context(content, language)
    table = shown_table(content, language, longest=_LONGEST_TEXT_VALUE)
    context["table"] = table
    context["text_lines"] = text_lines(table, language)
    return _template("mail.txt.jinja", autoescape=False).render(context)


def _context(content: Content, language: Language) -> dict[str, Any]:
    """Return what a template knows."""
    said = sentences(content, language)
    return {
        "language": language,
        "subject": subject(content, language),
        "notices": said.notices,
        "headline": said.headline,
        "figures": said.figures,
        "differences": said.differences,
        "empty": said.empty,
        "table": shown_table(content, language, longest=_LONGEST_VALUE),
        "left_out": said.left_out,
        "movement": said.movement,
        "links": said.links,
        "origin": said.origin,
    }


def _template(name: str, *, autoescape: bool) -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _address(text: str) -> Address:
    """Return one address; a text with two of them, or with a line break, is refused."""
    name, specification = parseaddr(text)
    try:
        if not specification or not text.isprintable():
            raise ValueError("it is not an address")
        return Address(display_name=name, addr_spec=specification)
    except (IndexError, MessageError, ValueError) as error:  # IndexError in Python 3.11
        raise DeliveryError(
            f"{text!r} is not one address of mail. Write it as name@example.com."
        ) from error


def _message_id(text: str) -> str:
    if not _MESSAGE_ID.fullmatch(text):
        raise DeliveryError(f"{text!r} is not a Message-ID, such as <name@example.com>.")
    return text


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    mime_type = _MIME_TYPE.fullmatch(attachment.mime_type)
    if mime_type is None or not _FILE_NAME.fullmatch(attachment.name):
        raise DeliveryError(
            f"{attachment.name!r} of the type {attachment.mime_type!r} cannot be attached."
            " Name a file and its type, such as text/csv."
        )
    params = {"charset": mime_type["charset"]} if mime_type["charset"] else {}
    message.add_attachment(
        attachment.content,
        maintype=mime_type["main"],
        subtype=mime_type["sub"],
        filename=attachment.name,
        params=params,
    )
