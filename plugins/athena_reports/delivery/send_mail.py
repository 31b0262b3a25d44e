"""Sends a mail by the SMTP server of an Airflow connection, in one attempt."""

import smtplib
from collections.abc import Mapping, Sequence
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, cast

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.smtp.hooks.smtp import SmtpHook

from athena_reports.delivery.connection import require_connection
from athena_reports.delivery.errors import DeliveryError, refusals_text


class _OneAttemptHook(SmtpHook):
    """The provider's hook for its connection, without its own attempts.

    `send_email_smtp` sends up to five times more, also after the server has taken the mail, and
    does not return which recipients were refused (apache-airflow-providers-smtp 3.0.3).
    """

    @property
    def smtp_retry_limit(self) -> int:
        return 0

    def send(self, message: EmailMessage, recipients: Sequence[str]) -> Mapping[str, str]:
        """Send a mail, and return the recipients that were refused, with the server's answers."""
        client = cast("smtplib.SMTP", self._smtp_client)
        return _answers(client.send_message(message, to_addrs=list(recipients)))


def sender_address(conn_id: str) -> Address:
    """Return the address that mails of an Airflow connection come from.

    Raises:
        DeliveryError: There is no such connection, or it names no address.
    """
    connection = require_connection(conn_id, "smtp")
    sender = connection.extra_dejson.get("from_email") or connection.login or ""
    name, address = parseaddr(sender)
    try:
        return Address(display_name=name, addr_spec=address)
    except (IndexError, MessageError, ValueError) as error:  # IndexError in Python 3.11
        raise DeliveryError(
            f'Airflow connection {conn_id!r} has no sender address. Set "from_email" in its'
            " extra, such as reports@example.com."
        ) from error


def send_mail(
    message: EmailMessage, recipients: Sequence[str], *, conn_id: str
) -> Mapping[str, str]:
    """Send a mail, and return the recipients that were refused, with the answers of the server.

    The others have got it.

    Args:
        message: The mail.
        recipients: The addresses that it is sent to; those of its header may be more.
        conn_id: Airflow connection of type `smtp`.

    Raises:
        DeliveryError: Nobody has got it; `retryable` says whether it may pass. If the connection
            broke off while the server took the mail, somebody may have got it.
    """
    server = f"the SMTP server of the Airflow connection {conn_id!r}"
    hook = _OneAttemptHook(smtp_conn_id=conn_id)
    try:
        with hook:
            return hook.send(message, recipients)
    except smtplib.SMTPRecipientsRefused as error:
        answers = _answers(error.recipients)
        raise DeliveryError(
            f"{server} refused all recipients: {refusals_text(answers)}.",
            retryable=any(answer.startswith("4") for answer in answers.values()),
        ) from error
    except smtplib.SMTPResponseException as error:
        answer = _answer(error.smtp_code, error.smtp_error)
        raise DeliveryError(
            f"{server} refused the mail: {answer}.", retryable=answer.startswith("4")
        ) from error
    except (smtplib.SMTPNotSupportedError, ValueError, RuntimeError) as error:
        # A certificate that is not trusted is a ValueError, an unknown `ssl_context` a RuntimeError
        raise DeliveryError(f"could not use {server}: {error}.") from error
    except (OSError, AirflowException) as error:  # other errors of smtplib are of the first kind
        raise DeliveryError(f"could not reach {server}: {error}.", retryable=True) from error


def _answers(refused: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the server's answer to each refused recipient."""
    return {address: _answer(*answer) for address, answer in refused.items()}


def _answer(code: int, text: bytes | str) -> str:
    """Return the answer of a server in one line, such as `550 no such user`.

    It passes by itself if its code begins with 4 (RFC 5321, 4.2.1).
    """
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return " ".join(f"{code} {text}".split()).removesuffix(".")
