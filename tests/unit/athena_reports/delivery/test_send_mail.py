from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from threading import Thread
from typing import Any

import pytest

from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.send_mail import send_mail, sender_address
from tests.support.mail_server import MailServer, mail_server

SERVER = "the SMTP server of the Airflow connection 'mailer'"
TO = ("a@example.com", "b@example.com", "c@example.com")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MAILER", server.connection)
        yield server


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "Plays"
    mail["From"] = "reports@example.com"
    mail["To"] = ", ".join(TO)
    mail["Message-ID"] = "<1@example.com>"
    mail.set_content("All is well. 週次\n")
    return mail


def error_of(recipients: Sequence[str] = TO) -> DeliveryError:
    """The error with which the mail is not sent."""
    with pytest.raises(DeliveryError) as caught:
        send_mail(message(), recipients, conn_id="mailer")
    return caught.value


def test_a_mail_arrives_once_as_it_was_written(server: MailServer) -> None:
    assert send_mail(message(), TO, conn_id="mailer") == {}
    ((recipients, arrived),) = server.arrived
    assert recipients == TO
    assert (arrived["Subject"], arrived["Message-ID"]) == ("Plays", "<1@example.com>")
    assert arrived.get_content().strip() == "All is well. 週次"
    assert sender_address("mailer") == Address(addr_spec="reports@example.com")


def test_a_recipient_that_is_refused_is_named_and_the_others_get_it(server: MailServer) -> None:
    server.answers_to_recipients = {TO[0]: "550 no such user", TO[2]: "451 try\tlater"}
    assert send_mail(message(), TO, conn_id="mailer") == {
        TO[0]: "550 no such user",
        TO[2]: "451 try later",
    }
    assert [recipients for recipients, _ in server.arrived] == [(TO[1],)]


@pytest.mark.parametrize(
    ("answers", "retryable"),
    [({TO[0]: "550 no", TO[1]: "550 no"}, False), ({TO[0]: "550 no", TO[1]: "451 later"}, True)],
)
def test_if_all_are_refused_nobody_gets_it(
    server: MailServer, answers: dict[str, str], retryable: bool
) -> None:
    server.answers_to_recipients = answers
    error = error_of(TO[:2])
    assert error.retryable is retryable
    told = "; ".join(f"{address}: {answer}" for address, answer in answers.items())
    assert str(error) == f"{SERVER} refused all recipients: {told}."
    assert server.arrived == []


@pytest.mark.parametrize(
    ("answer", "retryable"), [("451 busy", True), ("554 spam", False), ("421 closing", True)]
)
def test_one_try_is_one_attempt(server: MailServer, answer: str, retryable: bool) -> None:
    """The provider's hook would send five times more."""
    server.answers_to_data = [answer]
    error = error_of()
    assert str(error) == f"{SERVER} refused the mail: {answer}."
    assert error.retryable is retryable
    assert server.arrived == []
    assert server.answers_to_data == []
    send_mail(message(), TO, conn_id="mailer")
    assert len(server.arrived) == 1


@pytest.mark.parametrize(
    ("uri", "says", "retryable"),
    [
        (
            "smtp://127.0.0.1:1/?disable_ssl=true&disable_tls=true",
            "could not reach the SMTP server",
            True,
        ),
        (
            "smtp://127.0.0.1:{port}/?disable_ssl=true",
            "could not use the SMTP server of the Airflow connection 'mailer': STARTTLS",
            False,
        ),
        ("smtp://u:p@127.0.0.1:{port}/?disable_ssl=true&disable_tls=true", "could not use", False),
        ("smtp://127.0.0.1:{port}/?ssl_context=odd", "could not use", False),
    ],
)
def test_a_connection_that_cannot_be_used_is_told(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, uri: str, says: str, retryable: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAILER", uri.format(port=server.port))
    error = error_of()
    assert says in str(error)
    assert error.retryable is retryable
    assert "'mailer'" in str(error)


def plain_connection(port: int) -> str:
    return f"smtp://127.0.0.1:{port}/?disable_ssl=true&disable_tls=true&timeout=5"


@contextmanager
def server_that(answers: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that lets `answers` talk with its first client, then hangs up."""

    def serve() -> None:
        with suppress(OSError):
            client, _ = listening.accept()
            with client:
                answers(client)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        thread = Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has connected once more
            listening.accept()


@pytest.mark.parametrize("banner", ["", "220 hello\r\n"])
def test_a_server_that_closes_the_connection_may_serve_later(
    monkeypatch: pytest.MonkeyPatch, banner: str
) -> None:
    with server_that(lambda client: client.sendall(banner.encode())) as port:
        monkeypatch.setenv("AIRFLOW_CONN_MAILER", plain_connection(port))
        error = error_of()
    assert f"could not reach {SERVER}: " in str(error)
    assert error.retryable


@pytest.mark.parametrize(
    ("banner", "answer"),
    [(b"554 ferm\xe9\r\n", "554 ferm\ufffd"), (b"554-no\r\n554  service\r\n", "554 no service")],
    ids=["not in UTF-8", "two lines"],
)
def test_an_odd_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, banner: bytes, answer: str
) -> None:
    with server_that(lambda client: client.sendall(banner)) as port:
        monkeypatch.setenv("AIRFLOW_CONN_MAILER", plain_connection(port))
        error = error_of()
    assert str(error) == f"{SERVER} refused the mail: {answer}."
    assert not error.retryable


def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is an OSError, as a server is that is not reached, and a ValueError."""

    def refuse(*_: Any, context: ssl.SSLContext, **__: Any) -> None:
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        raise ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")

    monkeypatch.setattr(smtplib, "SMTP_SSL", refuse)
    monkeypatch.setenv("AIRFLOW_CONN_MAILER", "smtp://127.0.0.1:1/")
    error = error_of()
    assert re.search("could not use .*CERTIFICATE_VERIFY", str(error))
    assert not error.retryable


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("smtp://a%40example.com:secret@127.0.0.1", "a@example.com"),
        ("smtp://u:secret@127.0.0.1/?from_email=b%40example.com", "b@example.com"),
        ("smtp://127.0.0.1/?from_email=Reports+%3Cb%40example.com%3E", "Reports <b@example.com>"),
        ("smtp://u:secret@127.0.0.1", None),
        ("smtp://127.0.0.1", None),
        ("smtp://127.0.0.1/?from_email=A%0ABcc%3A+e%40x.com+%3Ca%40x.com%3E", None),
        ("smtp://127.0.0.1/?from_email=a%40x.com%3E%00", None),
    ],
)
def test_the_sender_is_what_the_connection_says(
    monkeypatch: pytest.MonkeyPatch, uri: str, address: str | None
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAILER", uri)
    if address is not None:
        assert str(sender_address("mailer")) == address
        return
    with pytest.raises(DeliveryError) as refused:
        sender_address("mailer")
    assert str(refused.value) == (
        "Airflow connection 'mailer' has no sender address. Set \"from_email\" in its extra,"
        " such as reports@example.com."
    )


def test_a_sender_needs_a_connection() -> None:
    with pytest.raises(DeliveryError) as caught:
        sender_address("mailer")
    assert caught.value.retryable, "a secrets backend that does not respond gives the same error"
    assert str(caught.value) == (
        "Airflow connection 'mailer' does not exist. Create it with the type smtp."
    )
