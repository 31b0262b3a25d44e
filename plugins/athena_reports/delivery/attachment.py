"""The file that goes with a mail."""

from codecs import BOM_UTF8
from dataclasses import replace

from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.content import Content
from athena_reports.delivery.mail_message import Attachment
from athena_reports.delivery.version_reader import VersionReader
from athena_reports.delivery.workbook import write_workbook
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.formats import copy_rows

# Servers take mails of 10 MB at least, and an attachment grows by 37% in a mail.
LARGEST_ATTACHMENT = 7_000_000


def with_attachment(
    content: Content, channel: MailChannel, manifest: Manifest, reader: VersionReader
) -> tuple[Content, Attachment | None]:
    """Return the file of a mail, and the content that says so if it is too large for a mail.

    Raises:
        DeliveryError: The rows do not fit into a workbook.
        MissingPackageError: XlsxWriter is not installed.
        PublishError: A CSV has no form for a column.
    """
    if channel.attach is None:
        return content, None
    rows = reader.rows(manifest, channel)
    name = f"{content.report}_{content.period.id}.{channel.attach}"
    path = reader.engine.folder / name
    byte_order_mark = b""
    if channel.attach == "xlsx":
        write_workbook(content, rows.all(), path, channel.language)
        mime_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    else:
        copy_rows(rows.source, "csv_for_spreadsheets", path, rows.engine)
        mime_type = "text/csv"
        byte_order_mark = BOM_UTF8  # without it, Excel reads a CSV in the computer's code page
    if path.stat().st_size + len(byte_order_mark) > LARGEST_ATTACHMENT:
        folder_uri = reader.folder_uri(manifest)
        return replace(content, too_large=True, folder_uri=folder_uri), None
    return content, Attachment(name, byte_order_mark + path.read_bytes(), mime_type)
