"""Sends a version to one channel."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from types import MappingProxyType
from typing import NamedTuple, assert_never

from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.delivery.attachment import with_attachment
from athena_reports.delivery.channels import Channel, MailChannel, NotifierChannel, SlackChannel
from athena_reports.delivery.content import Content
from athena_reports.delivery.decision import Send
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.mail_message import mail_message, text_part
from athena_reports.delivery.sentences import subject
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.delivery.version_reader import VersionReader
from athena_reports.errors import AthenaReportsError
from athena_reports.publication.manifest import Manifest


class Sent(NamedTuple):
    """What was sent.

    Attributes:
        message_id: The Message-ID of a mail, or the `ts` of a message in Slack; empty for a
            notifier.
        recipients: Who has got it.
        refused: Who has not, with the answer of the server.
    """

    message_id: str = ""
    recipients: Sequence[str] = ()
    refused: Mapping[str, str] = MappingProxyType({})


def send(
    channel: Channel,
    manifest: Manifest,
    decision: Send,
    reader: VersionReader,
    *,
    thread: str,
    context: Context,
) -> Sent:
    """Send a version to a channel, in one attempt.

    Raises:
        DeliveryError: It cannot be sent; `retryable` says whether it may pass.
        MissingPackageError: A package that the channel needs is not installed.
        S3Error: S3 refused a call, or did not serve it.
    """
    with _final_errors(manifest, reader):
        content = reader.content(manifest, channel, decision.corrects)
    if content.correction is not None and content.correction.is_empty:
        return Sent()
    match channel:
        case MailChannel():
            return _send_mail(channel, content, manifest, decision, reader, thread)
        case SlackChannel():
            return _post_to_slack(channel, content, manifest, reader, thread)
        case NotifierChannel():
            return _call_notifier(channel, content, manifest, reader, context)
        case _:
            assert_never(channel)


@contextmanager
def _final_errors(manifest: Manifest, reader: VersionReader) -> Iterator[None]:
    """Raise a final DeliveryError for an unknown error while a message is built.

    A retry would build the same message. The error's text may quote a value of a private column,
    so only the log has it.
    """
    try:
        yield
    except (AthenaReportsError, BotoCoreError, ClientError):
        raise
    except Exception as error:
        unknown = DeliveryError(
            f"could not build the message for version {manifest.version}: unexpected"
            f" {type(error).__name__}. See the traceback in the task log, fix the cause, then clear"
            " this task."
        )
        raise reader.engine.explain(error) or unknown from error


def _send_mail(
    channel: MailChannel,
    content: Content,
    manifest: Manifest,
    decision: Send,
    reader: VersionReader,
    thread: str,
) -> Sent:
    # Only what sends mail needs the provider.
    from athena_reports.delivery.send_mail import send_mail, sender_address

    sender = sender_address(channel.conn_id)
    recipients: Sequence[str] = channel.to
    message_id = f"<{manifest.version}.{channel.name}.{decision.number}@{sender.domain}>"
    if decision.resumed is not None:
        again = decision.resumed.refused_temporarily
        recipients = [address for address in channel.to if address in again]
        message_id = decision.resumed.message_id
        if not recipients:  # the author has removed them since
            return Sent(message_id)
    with _final_errors(manifest, reader):
        columns = TableColumns.of(channel, content)
        content, attachment = with_attachment(content, channel, manifest, reader)
        message = mail_message(
            content,
            columns,
            channel.language,
            attachment,
            sender=sender,
            to=channel.to,
            message_id=message_id,
            thread=thread,
        )
    refused = send_mail(message, recipients, conn_id=channel.conn_id)
    reached = [address for address in recipients if address not in refused]
    return Sent(message_id, reached, refused)


def _post_to_slack(
    channel: SlackChannel,
    content: Content,
    manifest: Manifest,
    reader: VersionReader,
    thread: str,
) -> Sent:
    from athena_reports.delivery.send_slack import open_client, post_message

    client = open_client(channel.conn_id)
    from athena_reports.delivery.slack_message import slack_message  # it needs slack_sdk too

    with _final_errors(manifest, reader):
        text, blocks = slack_message(content, channel.language)
    message_id = post_message(client, channel.channel, text, blocks, thread=thread)
    return Sent(message_id, [channel.channel])


def _call_notifier(
    channel: NotifierChannel,
    content: Content,
    manifest: Manifest,
    reader: VersionReader,
    context: Context,
) -> Sent:
    """Call a notifier. Its templates have `delivery.subject` and `delivery.text`."""
    # Airflow renders a notifier's templates in place, and adds its fields to the context.
    own_context = dict(context)
    with _final_errors(manifest, reader):
        own_context["delivery"] = {
            "subject": subject(content, channel.language),
            "text": text_part(content, TableColumns.usual(content), channel.language),
        }
    copy(channel.notifier)(own_context)
    return Sent()
