"""Sends a mail by the SMTP server of an Airflow connection, in one attempt."""

import smtplib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, cast

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.smtp.hooks.smtp import SmtpHook

from athena_reports.delivery.errors import DeliveryError


class _OneAttemptHook(SmtpHook):
    """The provider's hook for its connection, without its own attempts.

    `send_email_smtp` sends up to five times more, also after the server has taken the mail, and
    does not tell which recipients were refused (apache-airflow-providers-smtp 3.0.3).
    """

    @property
    def smtp_retry_limit(self) -> int:
        return 0

    def send(self, message: EmailMessage, recipients: Sequence[str]) -> Mapping[str, str]:
        """Send a mail, and return the recipients that were refused, with the server's answers."""
        client = cast("smtplib.SMTP", self._smtp_client)
        refused: Mapping[str, Any] = client.send_message(message, to_addrs=list(recipients))
        return {address: _answer(*answer) for address, answer in refused.items()}


def sender_address(conn_id: str) -> Address:
    """Return the address that mails of an Airflow connection come from.

    Raises:
        DeliveryError: There is no such connection, or it names no address.
    """
    hook = _OneAttemptHook(smtp_conn_id=conn_id)
    connection = _connection(hook)
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

    Those that are not among them have got it.

    Args:
        message: The mail.
        recipients: The addresses that it is sent to; those of its header may be more.
        conn_id: Airflow connection of type `smtp`.

    Raises:
        DeliveryError: Nobody has got it; `retryable` says whether it may pass. If the connection
            broke off while the server took the mail, somebody may have got it.
    """
    hook = _OneAttemptHook(smtp_conn_id=conn_id)
    _connection(hook)
    with _explained(conn_id), hook:
        return hook.send(message, recipients)


def _connection(hook: SmtpHook) -> Any:
    """Return the Airflow connection of a hook."""
    try:
        return hook.get_connection(hook.smtp_conn_id)
    except AirflowException as error:
        raise DeliveryError(
            f"Airflow connection {hook.smtp_conn_id!r} does not exist. Create it with the type"
            " smtp.",
            # The same error as for a secrets backend that does not respond.
            retryable=True,
        ) from error


@contextmanager
def _explained(conn_id: str) -> Iterator[None]:
    """Raise a DeliveryError in the place of an error of SMTP."""
    server = f"the SMTP server of the Airflow connection {conn_id!r}"
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        answers = {address: _answer(*answer) for address, answer in error.recipients.items()}
        told = "; ".join(f"{address}: {answer}" for address, answer in answers.items())
        is_temporary = any(answer.startswith("4") for answer in answers.values())
        raise DeliveryError(
            f"{server} refused all recipients: {told}.", retryable=is_temporary
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


def _answer(code: int, text: bytes | str) -> str:
    """Return the answer of a server in one line, such as `550 no such user`.

    It passes by itself if its code begins with 4 (RFC 5321, 4.2.1).
    """
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return " ".join(f"{code} {text}".split()).removesuffix(".")
