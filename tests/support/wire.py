"""Answers of AWS as they come over the wire, in the place of those of a local service.

They are what the API references document, and what a local service never gives by itself. botocore
reads them as it reads all others: it parses them, and repeats a call where it would.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse


class _Body(io.BytesIO):
    """The body of a response, as urllib3 has it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def response(status: int, body: str, **headers: str) -> AWSResponse:
    """Return a response with a body."""
    content = body.encode()
    headers = {"Content-Length": str(len(content)), **headers}
    return AWSResponse("http://aws", status, headers, _Body(content))  # type: ignore[arg-type]


def json_response(body: dict[str, Any]) -> AWSResponse:
    """Return what Athena or Glue answers."""
    return response(200, json.dumps(body))


def json_error(code: str, message: str, status: int = 400) -> AWSResponse:
    """Return what Athena or Glue answers to a call that it refuses."""
    return response(status, json.dumps({"__type": code, "message": message}))


def s3_error(code: str, message: str, status: int) -> AWSResponse:
    """Return what S3 answers to a call that it refuses.

    It can also come with the status 200, from an operation that takes long: S3 sends the status
    first (API reference, "CompleteMultipartUpload").
    """
    return response(
        status,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>4442587FB7D0A2F9</RequestId></Error>",
    )


CONFLICT = (
    "ConditionalRequestConflict",
    "The conditional request cannot succeed due to a conflicting operation against this resource.",
    409,
)
"""S3's answer to a conditional write while another one of the same key is under way."""


@contextmanager
def answered(client: Any, operation: str, *answers: AWSResponse | None) -> Iterator[list[Any]]:
    """Answer the first requests of an operation, and let all others pass.

    Args:
        client: The client of boto3.
        operation: The operation, such as `PutObject`.
        answers: The answer to each request, in their order; None lets the request pass. A
            repetition by botocore is a request too.

    Yields:
        The requests of the operation so far, also those that passed.
    """
    requests: list[Any] = []
    event = f"before-send.{client.meta.service_model.service_name}.{operation}"

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        requests.append(request)
        if len(requests) > len(answers):
            return None
        return answers[len(requests) - 1]

    client.meta.events.register(event, answer)
    try:
        yield requests
    finally:
        client.meta.events.unregister(event, answer)
