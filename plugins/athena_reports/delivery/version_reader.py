"""Reads the facts of a delivery: the manifest's, and those of the rows of up to three versions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from athena_reports.aws.s3 import S3, MissingObjectError
from athena_reports.delivery.channels import Channel
from athena_reports.delivery.content import (
    Content,
    ContentColumn,
    Correction,
    Movement,
    measures_of,
    movement_of,
    shown_columns,
)
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.language import Number
from athena_reports.delivery.published_rows import PublishedRows, total_of
from athena_reports.delivery.receipt import Receipt
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest, Version
from athena_reports.reports.report import Report
from athena_reports.rows.columns import (
    TableColumn,
    columns_of,
    is_number,
    read_parquet,
)
from athena_reports.rows.differences import find_differences
from athena_reports.rows.engine import Engine

_NAMED_MOVES = 3  # of each kind


@dataclass(frozen=True)
class VersionReader:
    """Reads the published versions of a period, in an open engine.

    Attributes:
        report: The report, which says what its columns mean and which of them are private now.
        period: The period.
        location: Where it is published.
        s3: The client of the report bucket.
        engine: The engine, whose folder gets the files.
        page_url: Address of the period on the Reports page; empty for none.
        query_url: Address of the query in Athena's console; empty for none.
    """

    report: Report
    period: Period
    location: PeriodLocation
    s3: S3
    engine: Engine
    page_url: str = ""
    query_url: str = ""

    def content(self, manifest: Manifest, channel: Channel, corrects: Receipt | None) -> Content:
        """Return all that a channel gets of a version.

        Raises:
            DeliveryError: The version has no Parquet, no column that may be delivered, or not the
                column of the bars.
            MissingObjectError: Its Parquet is gone.
            S3Error: S3 refused a call, or did not serve it.
        """
        columns = self._shown(manifest)
        names = {column.name.lower() for column in columns}
        rows = self.rows(manifest, channel)
        bar = rows.first_by
        content = Content(
            report=self.report.name,
            environment=manifest.environment,
            period=self.period,
            version=manifest.version,
            published_at=datetime.fromisoformat(manifest.published_at),
            settles_at=datetime.fromisoformat(manifest.settles_at),
            provisional=manifest.provisional,
            missing_partitions=len(manifest.missing_partitions),
            warned_checks=tuple(check.name for check in manifest.warnings),
            columns=columns,
            rows=rows.first(channel.rows),
            total_rows=manifest.rows,
            key=tuple(name for name in manifest.key if name.lower() in names),
            bar=bar,
            total=self._total(manifest, bar),
            movement=self._movement(rows, columns),
            page_url=self.page_url,
            query_url=self.query_url,
        )
        before = self.location.report.period_folder(self.period.previous.id)
        previous, _ = read_manifest(before, self.s3)
        if previous is not None:
            total = self._total(previous, bar)
            content = replace(content, previous_rows=previous.rows, previous_total=total)
        if corrects is not None:
            correction = self._correction(manifest, corrects, content)
            content = replace(content, correction=correction)
        return content

    def rows(self, manifest: Manifest, channel: Channel) -> PublishedRows:
        """Return the rows of a version, without private columns."""
        columns = self._shown(manifest)
        return PublishedRows(
            self._download(manifest),
            tuple(column.name for column in columns),
            self.engine,
            zone=self.period.cadence.zone,
            ordered=manifest.ordered,
            first_by=_column_of_bars(columns, channel),
        )

    def folder_uri(self, version: Version) -> str:
        """Return where the rows are in S3; empty if one of their columns may not be delivered."""
        if len(self._shown(version)) < len(version.columns):
            return ""
        return self.location.version_uri(version.version)

    def _shown(self, version: Version) -> tuple[ContentColumn, ...]:
        """Return the columns of a version that may be delivered; DeliveryError if none may."""
        columns = shown_columns(version.columns, self.report.columns)
        if not columns:
            raise DeliveryError(
                f"Version {version.version} has no column that can be delivered: all are private or"
                " not in columns=. Correct columns= in the report's file, or restate the period."
            )
        return columns

    def _download(self, version: Version) -> Path:
        """Return the Parquet of a version of this or another period in the engine's folder."""
        if not version.parquet_key:
            raise DeliveryError(
                f"Version {version.version} has no Parquet file. Add 'parquet' to the report's"
                " outputs, then restate the period."
            )
        path = self.engine.folder / f"{version.version}.parquet"
        if not path.exists():
            self.s3.download(self.location.uri(version.parquet_key), path)
        return path

    def _total(self, version: Version, bar: str) -> Number | None:
        """Return the total of the column of the bars; None if it is not known."""
        columns = shown_columns(version.columns, self.report.columns)
        column = _numbers(columns).get(bar.lower())
        if column is None or not version.parquet_key:
            return None
        try:
            path = self._download(version)
        except MissingObjectError:  # which the cleanup reports
            return None
        return total_of(path, column, self.engine)

    def _movement(self, rows: PublishedRows, columns: Sequence[ContentColumn]) -> Movement | None:
        """Return how all rows of a version moved; None if the report does not say."""
        movement = movement_of(self.report.transforms, columns)
        if movement is None:
            return None
        rises, falls = rows.biggest_moves(movement.rank, movement.previous_rank, _NAMED_MOVES)
        return replace(movement, rises=rises, falls=falls)

    def _correction(self, manifest: Manifest, corrects: Receipt, content: Content) -> Correction:
        """Return what differs from the version of a receipt."""
        old_path = self.engine.folder / f"{corrects.version}.parquet"
        try:
            self.s3.download(self.location.parquet_uri(corrects.version), old_path)
        except MissingObjectError:
            return Correction(corrects.sent_at, None)
        new_path = self._download(manifest)
        old_columns = self._columns_of(old_path)
        private = {name.lower() for name in manifest.private_columns}
        private.update(_private_before(manifest, corrects.version, old_columns))
        measures = measures_of(content)
        differences = find_differences(
            old_path,
            new_path,
            shown_columns(old_columns, self.report.columns, private),
            shown_columns(self._columns_of(new_path), self.report.columns, private),
            manifest.key,
            self.engine,
            first_by=measures[0] if measures else "",
        )
        return Correction(corrects.sent_at, differences)

    def _columns_of(self, path: Path) -> Sequence[TableColumn]:
        return columns_of(self.engine.connection.sql(f"FROM {read_parquet(path)}"))


def _column_of_bars(columns: Sequence[ContentColumn], channel: Channel) -> str:
    """Return the column that is shown as bars, as the version spells it; empty for none."""
    if not channel.bar:
        return ""
    numbers = _numbers(columns)
    if channel.bar.lower() not in numbers:
        names = ", ".join(column.name for column in numbers.values())
        raise DeliveryError(
            f"bar: {channel.bar!r} is not a numeric column that can be delivered. Use one of"
            f" {names}."
        )
    return numbers[channel.bar.lower()].name


def _numbers(columns: Sequence[ContentColumn]) -> Mapping[str, ContentColumn]:
    """Return the columns of numbers by their names in lower case."""
    return {column.name.lower(): column for column in columns if is_number(column.type)}


def _private_before(
    manifest: Manifest, version: str, columns: Sequence[TableColumn]
) -> Collection[str]:
    """Return which columns an earlier version kept private, in lower case.

    If the manifest does not know that version, they are those that only that version has.
    """
    for earlier in manifest.earlier_versions:
        if earlier.version == version:
            return {name.lower() for name in earlier.private_columns}
    known = {column.name.lower() for column in manifest.columns}
    return {column.name.lower() for column in columns} - known
