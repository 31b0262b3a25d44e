"""Reads the facts of a delivery: the manifest's, and those of the rows of up to three versions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from athena_reports.aws.s3 import S3, MissingObjectError
from athena_reports.delivery.channels import Channel
from athena_reports.delivery.content import (
    Content,
    ContentColumn,
    Correction,
    Movement,
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
from athena_reports.reports.column import private_names
from athena_reports.reports.report import Report
from athena_reports.rows.columns import (
    TableColumn,
    columns_of,
    duckdb_literal,
    is_number,
    quoted,
    read_parquet,
)
from athena_reports.rows.differences import find_differences
from athena_reports.rows.engine import Engine

_NAMED_MOVES = 3  # of each kind


class Links(NamedTuple):
    """Where a reader looks further; an address is empty if there is none."""

    page: str
    query: str


class _Comparison(NamedTuple):
    """What the period before is known to have; None for what is not known."""

    total: Number | None
    rows: int | None


@dataclass(frozen=True)
class VersionReader:
    """Reads the published versions of a period, in an open engine.

    Attributes:
        report: The report, which says what its columns mean and which are private.
        environment: Name of the environment.
        period: The period.
        location: Where it is published.
        s3: The client of the report bucket.
        engine: The engine, whose folder gets the files.
    """

    report: Report
    environment: str
    period: Period
    location: PeriodLocation
    s3: S3
    engine: Engine

    def content(
        self, manifest: Manifest, channel: Channel, corrects: Receipt | None, links: Links
    ) -> Content:
        """Return all that a channel may be told of a version.

        Args:
            manifest: The manifest that names the version.
            channel: The channel.
            corrects: The receipt of the version that it had before; None if it had none.
            links: Where to look further.

        Raises:
            DeliveryError: The version has no Parquet, or not the column of the bars.
            MissingObjectError: Its Parquet is gone.
            S3Error: S3 refused a call, or did not serve it.
        """
        columns = shown_columns(manifest.columns, self.report.columns)
        bar = self._column_of_bars(manifest, channel)
        rows = self.rows(manifest, channel)
        total = total_of(rows.path, bar, self.engine) if bar else None
        before = self._period_before(bar)
        return Content(
            report=self.report.name,
            environment=self.environment,
            period=self.period,
            version=manifest.version,
            published_at=datetime.fromisoformat(manifest.published_at),
            settles_at=datetime.fromisoformat(manifest.settles_at),
            provisional=manifest.provisional,
            partial=manifest.partial,
            missing_partitions=len(manifest.missing_partitions),
            warned_checks=tuple(check.name for check in manifest.checks if not check.passed),
            columns=columns,
            rows=rows.first(channel.rows),
            total_rows=manifest.rows,
            key=tuple(name for name in manifest.key if not self._is_private(name)),
            bar=bar,
            total=total,
            previous_total=before.total,
            previous_rows=before.rows,
            movement=self._movement(rows, columns),
            correction=self._correction(manifest, corrects),
            page_url=links.page,
            query_url=links.query,
        )

    def _movement(self, rows: PublishedRows, columns: Sequence[ContentColumn]) -> Movement | None:
        """Return how all rows of a version moved; None if the report does not say."""
        movement = movement_of(self.report.transforms, columns)
        if movement is None:
            return None
        rises, falls = rows.biggest_moves(movement.rank, movement.previous_rank, _NAMED_MOVES)
        return replace(movement, rises=rises, falls=falls)

    def rows(self, manifest: Manifest, channel: Channel) -> PublishedRows:
        """Return the rows of a version, without private columns."""
        return PublishedRows.of(
            self._download(manifest),
            [column.name for column in manifest.columns if not self._is_private(column.name)],
            self.engine,
            zone=self.period.cadence.zone,
            ordered=manifest.ordered,
            first_by=self._column_of_bars(manifest, channel),
        )

    def file_uri(self, version: Version) -> str:
        """Return where the rows lie in S3: as CSV if there is one, else as Parquet.

        It is empty if a column of that file is private.
        """
        if any(self._is_private(column.name) for column in version.columns):
            return ""
        by_format = {item.format: item.key for item in version.objects}
        for format in ("csv_for_spreadsheets", "csv", "parquet"):
            if format in by_format:
                return self.location.uri(by_format[format])
        return ""

    @cached_property
    def _private(self) -> frozenset[str]:
        return private_names(self.report.columns)

    def _is_private(self, name: str) -> bool:
        return name.lower() in self._private

    def _column_of_bars(self, version: Version, channel: Channel) -> str:
        """Return the column that is shown as bars, as the version spells it; empty for none."""
        if not channel.bar:
            return ""
        shown = [column for column in version.columns if not self._is_private(column.name)]
        numbers = [column.name for column in shown if is_number(column.type)]
        for name in numbers:
            if name.lower() == channel.bar.lower():
                return name
        choice = ", ".join(numbers) or "none"
        raise DeliveryError(
            f"bar={channel.bar!r} names no column of numbers. The rows have {choice}."
            " Correct it in the report's file."
        )

    def _download(self, version: Version) -> Path:
        """Return the Parquet of a version of this or another period in the engine's folder."""
        if not version.parquet_key:
            raise DeliveryError(
                f"Version {version.version} has no Parquet. Add 'parquet' to outputs of the report,"
                " and restate the period."
            )
        path = self.engine.folder / f"{version.version}.parquet"
        if not path.exists():
            self.s3.download(self.location.uri(version.parquet_key), path)
        return path

    def _period_before(self, bar: str) -> _Comparison:
        """Return what to compare with; nothing if the period before is not published."""
        before = self.location.report.period_folder(self.period.previous.id)
        manifest, _ = read_manifest(before, self.s3)
        if manifest is None:
            return _Comparison(None, None)
        total: Number | None = None
        if bar and manifest.parquet_key:
            try:
                total = total_of(self._download(manifest), bar, self.engine)
            except MissingObjectError:
                total = None  # a cleanup tells of it
        return _Comparison(total, manifest.rows)

    def _correction(self, manifest: Manifest, corrects: Receipt | None) -> Correction | None:
        """Return what differs from the version of a receipt; None without a receipt."""
        if corrects is None:
            return None
        published_at = corrects.sent_at
        for earlier in manifest.earlier_versions:
            if earlier.version == corrects.version:
                published_at = datetime.fromisoformat(earlier.published_at)
        old_path = self.engine.folder / f"{corrects.version}.parquet"
        try:
            self.s3.download(self.location.parquet_uri(corrects.version), old_path)
        except MissingObjectError:
            return Correction.without_rows(published_at)
        old_path = self._without_private(old_path)
        new_path = self._without_private(self._download(manifest))
        new_columns = self._columns_of(new_path)
        key = manifest.key
        if any(self._is_private(name) for name in key):
            key = ()  # then whole rows are compared
        differences = find_differences(
            old_path, new_path, self._columns_of(old_path), new_columns, key, self.engine
        )
        return Correction.of(differences, new_columns, published_at=published_at)

    def _without_private(self, path: Path) -> Path:
        """Return a file of the same rows without private columns."""
        names = [column.name for column in self._columns_of(path)]
        shown = [name for name in names if not self._is_private(name)]
        if shown == names:
            return path
        shown_path = path.with_suffix(".shown.parquet")
        columns = ", ".join(map(quoted, shown))
        target = duckdb_literal(str(shown_path))
        sql = f"COPY (SELECT {columns} FROM {read_parquet(path)}) TO {target} (FORMAT parquet)"
        self.engine.connection.execute(sql)
        return shown_path

    def _columns_of(self, path: Path) -> tuple[TableColumn, ...]:
        return columns_of(self.engine.connection.sql(f"FROM {read_parquet(path)}"))
