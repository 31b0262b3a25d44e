"""The mail that a channel gets of a version."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage

from athena_reports.delivery.attachment import with_attachment
from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.content import Content
from athena_reports.delivery.mail_message import Envelope, mail_message
from athena_reports.delivery.version_reader import VersionReader
from athena_reports.publication.manifest import Manifest


def channel_mail(
    channel: MailChannel,
    content: Content,
    manifest: Manifest,
    reader: VersionReader,
    *,
    sender: str,
    to: Sequence[str],
    message_id: str,
    thread: str = "",
) -> EmailMessage:
    """Return the mail of a content, with its attachment.

    Args:
        channel: The channel.
        content: The content.
        manifest: The manifest that names the version.
        reader: Reads the version.
        sender: The address that it comes from.
        to: The addresses that its header names.
        message_id: Its Message-ID.
        thread: The Message-ID of the mail that it replies to; empty for none.

    Raises:
        DeliveryError: It cannot be made.
        MissingPackageError: XlsxWriter is not installed, and the channel attaches a workbook.
        PublishError: A CSV has no form for a column.
    """
    content, attachment = with_attachment(content, channel, manifest, reader)
    envelope = Envelope(
        sender=sender,
        to=to,
        message_id=message_id,
        date=datetime.now(UTC),
        in_reply_to=thread,
        references=[thread] if thread else [],
    )
    return mail_message(content, channel.language, envelope, attachment)
