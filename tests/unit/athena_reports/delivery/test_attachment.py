"""The file that goes with a mail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_reports import mail
from athena_reports.delivery.attachment import with_attachment
from athena_reports.delivery.content import Content
from athena_reports.delivery.mail_message import Attachment
from athena_reports.delivery.published_rows import PublishedRows
from tests.support.engines import engine
from tests.unit.athena_reports.delivery.contents import TOKYO, content


def attached(text: str) -> tuple[Content, Attachment | None]:
    """The attachment of one row with a text, as a CSV."""
    manifest: Any = None
    with engine() as shared:
        path = shared.folder / "rows.parquet"
        pq.write_table(pa.table({"t": [text]}), path)
        rows = PublishedRows(path, ("t",), shared, zone=TOKYO, ordered=True)
        reader: Any = SimpleNamespace(
            engine=shared, rows=lambda *_: rows, folder_uri=lambda _: "s3://reports/v1/"
        )
        channel = mail("sales", to=["sales@example.com"], attach="csv")
        return with_attachment(content(), channel, manifest, reader)


def test_a_csv_says_that_it_is_utf_8() -> None:
    """Excel and some mail programs would take it for another encoding."""
    _, attachment = attached("Titãs")
    assert attachment is not None
    assert attachment.mime_type == "text/csv"
    assert attachment.content.startswith(b"\xef\xbb\xbf")
    assert attachment.content.decode("utf-8-sig") == '"t"\n"Titãs"\n'
    _, attachment = attached("=1+1")
    assert attachment is not None
    assert attachment.content.decode("utf-8-sig") == '"t"\n"\'=1+1"\n', "no text is a formula"


@pytest.mark.parametrize(("size", "is_attached"), [(7_000_000, True), (7_000_001, False)])
def test_a_file_of_more_than_seven_million_bytes_is_not_attached(
    size: int, is_attached: bool
) -> None:
    around = len(b'\xef\xbb\xbf"t"\n""\n')
    told, attachment = attached("x" * (size - around))
    if is_attached:
        assert attachment is not None
        assert len(attachment.content) == size
        assert not told.too_large
    else:
        assert attachment is None
        assert (told.too_large, told.folder_uri) == (True, "s3://reports/v1/")
