"""Pages of GetQueryResults, read from the CSV of a result."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from local_athena.athena.errors import ApiError

_CHUNK_BYTES = 1 << 20
_FIELD = re.compile(rb'(?:"((?:[^"]|"")*)"|)([,\n])')


def read_page(
    chunks: Iterator[bytes], offset: int, rows: int
) -> tuple[list[list[str | None]], int | None]:
    """Read up to so many rows of a CSV, whose first chunk starts at an offset in bytes.

    NULL is None. Return the next page's offset too, None after the last row.
    """
    page: list[list[str | None]] = []
    for row, size in _rows(chunks):
        if len(page) == rows:
            return page, offset
        page.append(row)
        offset += size
    return page, None


def stored(s3: Any, location: str, offset: int) -> Iterator[bytes]:
    """Yield the CSV at an `s3://` URL, from an offset on."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    total = offset + 1
    while offset < total:
        range_ = f"bytes={offset}-{offset + _CHUNK_BYTES - 1}"
        answer = s3.get_object(Bucket=bucket, Key=key, Range=range_)
        chunk = answer["Body"].read()
        total = int(answer["ContentRange"].rpartition("/")[2])
        offset += len(chunk)
        yield chunk


def kept(data: bytes, offset: int) -> Iterator[bytes]:
    """Return a CSV in memory, from an offset on."""
    return (data[at : at + _CHUNK_BYTES] for at in range(offset, len(data), _CHUNK_BYTES))


def _rows(chunks: Iterator[bytes]) -> Iterator[tuple[list[str | None], int]]:
    """Rows of a CSV, each with its size in bytes."""
    pending = b""
    for chunk in chunks:
        pending += chunk
        start = at = 0
        row: list[str | None] = []
        while (match := _FIELD.match(pending, at)) is not None:
            value = match[1]
            row.append(None if value is None else value.replace(b'""', b'"').decode())
            at = match.end()
            if match[2] == b"\n":
                yield row, at - start
                start, row = at, []
        pending = pending[start:]


def encode_token(execution_id: str, offset: int) -> str:
    """NextToken of GetQueryResults."""
    return base64.urlsafe_b64encode(f"{execution_id}:{offset}".encode()).decode()


def decode_token(execution_id: str, token: str) -> int:
    """Return the offset in a token."""
    try:
        owner, _, offset = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if owner == execution_id:
            return int(offset)
    except ValueError:
        pass
    raise ApiError("Invalid NextToken")
