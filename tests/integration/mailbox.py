"""An SMTP server of this machine, and the mails that have arrived at it."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import cast


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes every mail, as RFC 5321 asks of a server without extensions.

    Attributes:
        mails: What has arrived.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._answer("220 mailbox")
        for line in self.rfile:
            command = line.decode().strip().upper()
            if command == "DATA":
                self._answer("354 go on")
                self._take()
                self._answer("250 taken")
            elif command == "QUIT":
                self._answer("221 bye")
                return
            else:
                self._answer("250 mailbox")

    def _take(self) -> None:
        lines: list[bytes] = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b"."))
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        cast(Mailbox, self.server).mails.append(cast(EmailMessage, mail))

    def _answer(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Run a server."""
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
