"""What the channels of a report would get of a period, as files. No server is needed."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from athena_reports.delivery.attachment import with_attachment
from athena_reports.delivery.channels import Channel, MailChannel, SlackChannel
from athena_reports.delivery.content import PREVIEW
from athena_reports.delivery.mail_message import html_part, text_part
from athena_reports.delivery.slack_message import slack_message
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.delivery.version_reader import VersionReader
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import (
    Manifest,
    PublicationFacts,
    PublishedObject,
    PublishedPeriod,
    QueryFacts,
    RunFacts,
    Version,
)
from athena_reports.settings import settings
from athena_reports.version import __version__
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws, Trial


def write_deliveries(
    declared: DeclaredReport,
    period: Period,
    done: Trial,
    aws: Aws,
    folder: Path,
    *,
    missing_partitions: Sequence[str],
) -> list[Path]:
    """Write what each channel would get of a period that is not published, and return the files.

    The folder is emptied before.
    """
    # A reader downloads what its folder does not have.
    (done.engine.folder / f"{PREVIEW}.parquet").hardlink_to(done.table.path)
    reader = VersionReader(
        report=declared.report,
        period=period,
        location=declared.location.period_folder(period.id),
        s3=aws.s3,
        engine=done.engine,
    )
    manifest = _manifest(declared, period, done, missing_partitions)
    if folder.exists():
        rmtree(folder)
    folder.mkdir(parents=True)
    files = []
    for channel in declared.dag.channels:
        for name, content in _delivery(channel, manifest, reader).items():
            path = folder / f"{channel.name}{name}"
            path.write_bytes(content)
            files.append(path)
    return files


def _delivery(channel: Channel, manifest: Manifest, reader: VersionReader) -> dict[str, bytes]:
    """Return what a channel would get, by what follows its name in the names of files."""
    content = reader.content(manifest, channel, None)
    if isinstance(channel, SlackChannel):
        message = slack_message(content, channel.language)
        return {".json": json.dumps(message.blocks, ensure_ascii=False, indent=2).encode()}
    columns = TableColumns.usual(content)
    delivery = {}
    if isinstance(channel, MailChannel):
        columns = TableColumns.of(channel, content)
        content, attachment = with_attachment(content, channel, manifest, reader)
        delivery[".html"] = html_part(content, columns, channel.language).encode()
        if attachment is not None:
            delivery[f"-{attachment.name}"] = attachment.content
    delivery[".txt"] = text_part(content, columns, channel.language).encode()
    return delivery


def _manifest(
    declared: DeclaredReport, period: Period, done: Trial, missing_partitions: Sequence[str]
) -> Manifest:
    """Return the manifest that a run would publish, as far as a delivery reads it."""
    now = datetime.now(UTC)
    settles_at = period.end_utc + declared.report.late_by
    rows = PublishedObject(
        format="parquet", key=f"{PREVIEW}.parquet", bytes=0, sha256="", rows=done.table.rows
    )
    version = Version(
        version=PREVIEW,
        ordered=done.ordered,
        rows=done.table.rows,
        columns=done.table.columns,
        objects=(rows,),
        key=tuple(declared.report.row_key),
    )
    facts = PublicationFacts(
        report=declared.report.name,
        environment=settings().environment,
        period=PublishedPeriod.of(period),
        settles_at=settles_at.isoformat(),
        provisional=now < settles_at,
        partial=bool(missing_partitions),
        missing_partitions=tuple(missing_partitions),
        published_at=now.isoformat(timespec="milliseconds"),
        query=QueryFacts(id=done.execution.id, submitted_at=done.execution.submitted_at),
        checks=done.checks,
        run=RunFacts(dag_id=declared.dag.dag_id, run_id=PREVIEW),
        code_version=__version__,
    )
    return Manifest.of(version, facts)
