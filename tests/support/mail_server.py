"""A mail server that keeps what it gets, and answers as a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller


@dataclass
class MailServer:
    """What arrived, with its recipients, and how the server answers."""

    port: int = 0
    arrived: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    # For addresses that are not taken, such as `550 no such user`.
    answers_to_recipients: dict[str, str] = field(default_factory=dict)
    # To the next mails, in the place of taking them.
    answers_to_data: list[str] = field(default_factory=list)

    @property
    def connection(self) -> str:
        """The URI of an Airflow connection to it."""
        options = "from_email=reports%40example.com&disable_ssl=true&disable_tls=true&timeout=10"
        return f"smtp://127.0.0.1:{self.port}/?{options}"

    async def handle_RCPT(  # aiosmtpd calls it by this name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.answers_to_recipients:
            return self.answers_to_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answers_to_data:
            return self.answers_to_data.pop(0)
        message = cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default))
        self.arrived.append((tuple(envelope.rcpt_tos), message))
        return "250 OK"


class _OnAFreePort(Controller):
    """aiosmtpd looks for its server at the port that it was given, which is 0 here."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    controller = _OnAFreePort(server, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        server.port = controller.port
        yield server
    finally:
        controller.stop()
