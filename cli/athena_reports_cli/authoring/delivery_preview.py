"""What the channels of a report would get of a period, as files. No server is needed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import make_msgid
from pathlib import Path
from shutil import rmtree

from athena_reports.delivery.attachment import with_attachment
from athena_reports.delivery.bounds import problem_of_recipients
from athena_reports.delivery.channels import Channel, MailChannel, SlackChannel, mail
from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.mail_message import html_part, mail_message, text_part
from athena_reports.delivery.slack_message import slack_message
from athena_reports.delivery.table_columns import TableColumns
from athena_reports.delivery.version_reader import Links, VersionReader
from athena_reports.periods.calendar import Period
from athena_reports.publication.location import PeriodLocation
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

_VERSION = "preview"


def require_deliverable(declared: DeclaredReport, send_to: str) -> None:
    """Look for what would be wrong after the query was paid.

    Args:
        declared: The report.
        send_to: The address that its mails are sent to; empty for none.

    Raises:
        DeliveryError: The report has no channels, or no mail can be sent to the address.
    """
    dag_id = declared.dag.dag_id
    if not declared.dag.channels:
        raise DeliveryError(f"{dag_id} is not delivered: build_dag has no deliver=.")
    if not send_to:
        return
    problem = problem_of_recipients(mail("preview", to=[send_to]), settings())
    if problem:
        raise DeliveryError(f"--to {send_to}: {problem}")
    channels = _channels_of_mail(declared)
    if not channels:
        raise DeliveryError(
            f"{dag_id} has no channel of mail. Declare one in deliver=, or leave --to out."
        )
    from athena_reports.delivery.send_mail import sender_address

    for channel in channels:
        sender_address(channel.conn_id)  # AIRFLOW_CONN_<ID>, of the shell or of .airflow.env


def _channels_of_mail(declared: DeclaredReport) -> list[MailChannel]:
    return [channel for channel in declared.dag.channels if isinstance(channel, MailChannel)]


@dataclass(frozen=True)
class DeliveryPreview:
    """The deliveries of a period that is not published.

    Attributes:
        declared: The report.
        period: The period.
        reader: Reads its rows.
        manifest: What would be published, as far as it is known.
    """

    declared: DeclaredReport
    period: Period
    reader: VersionReader
    manifest: Manifest

    @classmethod
    def of(
        cls,
        declared: DeclaredReport,
        period: Period,
        done: Trial,
        aws: Aws,
        *,
        missing_partitions: Sequence[str],
    ) -> "DeliveryPreview":
        """Return the deliveries of a period whose query was paid."""
        location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
        # A reader downloads what its folder does not have.
        (done.engine.folder / f"{_VERSION}.parquet").hardlink_to(done.table.path)
        reader = VersionReader(
            report=declared.report,
            environment=settings().environment,
            period=period,
            location=location,
            s3=aws.s3,
            engine=done.engine,
        )
        manifest = _manifest(declared, period, done, missing_partitions)
        return cls(declared, period, reader, manifest)

    def write(self, folder: Path) -> list[Path]:
        """Write what each channel would get into a folder, and return the files.

        The folder is emptied before.

        Raises:
            DeliveryError: It cannot be made.
            S3Error: The period before cannot be read.
        """
        if folder.exists():
            rmtree(folder)
        folder.mkdir(parents=True)
        files: list[Path] = []
        for channel in self.declared.dag.channels:
            files += self._write(channel, folder)
        return files

    def _write(self, channel: Channel, folder: Path) -> list[Path]:
        content = self._content(channel)
        columns = TableColumns.usual(content)
        texts: dict[str, str] = {}
        copies: list[Path] = []
        if isinstance(channel, MailChannel):
            columns = TableColumns.of(channel, content)
            content, attachment = with_attachment(content, channel, self.manifest, self.reader)
            texts["html"] = html_part(content, columns, channel.language)
            if attachment is not None:
                copy = folder / f"{channel.name}-{attachment.name}"
                copy.write_bytes(attachment.content)
                copies.append(copy)
        if isinstance(channel, SlackChannel):
            message = slack_message(content, channel.language)
            texts["json"] = json.dumps(message.blocks, ensure_ascii=False, indent=2)
        else:
            texts["txt"] = text_part(content, columns, channel.language)
        for suffix, text in texts.items():
            path = folder / f"{channel.name}.{suffix}"
            path.write_text(text, encoding="utf-8")
            copies.append(path)
        return copies

    def send(self, address: str) -> None:
        """Send the mail of each channel to one address, which `require_deliverable` has taken.

        Raises:
            DeliveryError: A mail cannot be sent.
        """
        from athena_reports.delivery.send_mail import send_mail, sender_address

        for channel in _channels_of_mail(self.declared):
            sender = sender_address(channel.conn_id)
            content = self._content(channel)
            columns = TableColumns.of(channel, content)
            content, attachment = with_attachment(content, channel, self.manifest, self.reader)
            message = mail_message(
                content,
                columns,
                channel.language,
                attachment,
                sender=sender,
                to=[address],
                message_id=make_msgid(domain=sender.domain),
            )
            send_mail(message, [address], conn_id=channel.conn_id)

    def _content(self, channel: Channel) -> Content:
        links = Links(page="", query="")
        content = self.reader.content(self.manifest, channel, None, links)
        return replace(content, is_preview=True)


def _manifest(
    declared: DeclaredReport, period: Period, done: Trial, missing_partitions: Sequence[str]
) -> Manifest:
    """Return the manifest that a run would publish, as far as a delivery reads it."""
    now = datetime.now(UTC)
    settles_at = period.end_utc + declared.report.late_by
    rows = PublishedObject(
        format="parquet", key=f"{_VERSION}.parquet", bytes=0, sha256="", rows=done.table.rows
    )
    version = Version(
        version=_VERSION,
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
        run=RunFacts(dag_id=declared.dag.dag_id, run_id=_VERSION),
        code_version=__version__,
    )
    return Manifest.of(version, facts)
