"""Publish a version of a period: verify it, name it in the manifest, update Glue and `latest.json`.

`manifest.json` is the truth. One conditional write replaces it after every object that it names is
stored: a reader gets the old version or the new one, complete. Glue has no conditional write, so
each run of a period repairs what follows its manifest.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.errors import PublishError
from athena_reports.publication.documents import (
    foreign_document,
    read_document,
    retry_if_contested,
    write_document,
)
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import Manifest, PublicationFacts, Version
from athena_reports.publication.successor import Publication, succeed


@retry_if_contested
def publish(
    version: Version,
    facts: PublicationFacts,
    *,
    location: PeriodLocation,
    s3: S3,
    table: Table | None,
    memory_limit: str,
    may_lose_rows: bool = False,
) -> Publication:
    """Verify an uploaded version and make it the current one of its period, in one write.

    Without a table, Glue is left alone. `may_lose_rows` allows a version without rows after one
    with rows, without a warning. PublishError if the upload is incomplete or too old, a
    document is not of this package, or another process writes it each time; SchemaError if the
    columns do not fit the table.
    """
    current, etag = read_manifest(location, s3)
    publication = succeed(
        current,
        version,
        facts,
        location=location,
        s3=s3,
        memory_limit=memory_limit,
        may_lose_rows=may_lose_rows,
    )
    manifest = publication.manifest
    table_columns = None
    if manifest != current:
        if manifest.version != version.version:
            _copy_sql(facts.query.sql_sha256, version, manifest, location, s3)
        if table is not None:
            # Columns that do not fit are refused before anything is visible.
            table_columns = table.prepare(manifest.columns, commented=True)
        etag = write_document(manifest, location.manifest_uri, s3, replacing=etag)
    follow(manifest, etag, location=location, s3=s3, table=table, table_columns=table_columns)
    return publication


@retry_if_contested
def follow(
    manifest: Manifest,
    etag: str | None,
    *,
    location: PeriodLocation,
    s3: S3,
    table: Table | None,
    table_columns: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Make the period's partition and `latest.json` say what the manifest says.

    `table_columns` are those that `Table.prepare` returned for it; None if it was not prepared.
    PublishError if the manifest was deleted.
    """
    if table is not None and manifest.parquet_key:
        partition = manifest.partition(location, etag)
        table.put_partition(location.period_id, manifest.columns, partition, table_columns)
    _update_latest(manifest, location.report, s3)
    # Glue has no conditional write. If another run has changed the manifest meanwhile, its
    # partition may have been overwritten here, so follow that manifest.
    present, etag = read_manifest(location, s3)
    if present is None:
        raise PublishError(f"{location.manifest_uri} was deleted. Clear the publish task.")
    if present != manifest:
        follow(present, etag, location=location, s3=s3, table=table)


def read_manifest(location: PeriodLocation, s3: S3) -> tuple[Manifest | None, str | None]:
    """Return the manifest of a period and its ETag, or two Nones; PublishError for another's."""
    manifest, etag = read_document(Manifest, location.manifest_uri, s3)
    if manifest is None:
        return None, None
    if manifest.period.id != location.period_id:
        raise foreign_document(location.manifest_uri)
    for item in manifest.objects:
        # A manifest that somebody wrote by hand could name the rows of a report that its readers
        # may not see.
        if not location.uri(item.key).startswith(location.folder_uri):
            raise foreign_document(location.manifest_uri)
    return manifest, etag


def newest_manifest(report: ReportLocation, s3: S3) -> Manifest | None:
    """Return the manifest of the newest period that has one."""
    for folder_uri in sorted(s3.folders(report.folder_uri), reverse=True):  # ids sort by time
        period_id = folder_uri.split("/")[-2]
        manifest, _ = read_manifest(report.period_folder(period_id), s3)
        if manifest is not None:
            return manifest
    return None


def repair_latest(report: ReportLocation, s3: S3) -> bool:
    """Make `latest.json` the newest manifest; True if it had to be written.

    A run only moves it forward (`follow`), so it keeps a period that was withdrawn since.
    PublishError if `latest.json` exists, but no manifest.
    """
    is_repaired = _write_latest(report, s3)
    if is_repaired:
        # Look once more. A run of a newer period may have read `latest.json` before it was written,
        # and left it alone because it was of a still later period, which was withdrawn.
        _write_latest(report, s3)
    return is_repaired


@retry_if_contested
def _write_latest(report: ReportLocation, s3: S3) -> bool:
    # Read before the manifests. A run writes its manifest first, so a manifest that is missing
    # after this was withdrawn.
    latest, etag = read_document(Manifest, report.latest_uri, s3)
    newest = newest_manifest(report, s3)
    if newest == latest:
        return False
    if newest is None:
        raise PublishError(
            f"{report.latest_uri} exists, but no period has a manifest. Delete it, or restore the "
            "manifest."
        )
    write_document(newest, report.latest_uri, s3, replacing=etag)
    return True


@retry_if_contested
def _update_latest(manifest: Manifest, report: ReportLocation, s3: S3) -> None:
    latest, etag = read_document(Manifest, report.latest_uri, s3)
    if latest == manifest:
        return
    # A process that Airflow takes for dead may come back with a manifest that was replaced since.
    if latest is not None and _order(latest) > _order(manifest):
        return
    write_document(manifest, report.latest_uri, s3, replacing=etag)


def _order(manifest: Manifest) -> tuple[str, str, str]:
    return manifest.period.start_utc, manifest.query.submitted_at, manifest.published_at


def _copy_sql(
    sql_sha256: str, version: Version, kept: Version, location: PeriodLocation, s3: S3
) -> None:
    # Both versions have the same rows, and the manifest of the kept one is about to name this SQL.
    with suppress(MissingObjectError, ConditionError):  # it is missing, or was copied before
        body, _ = s3.read(location.sql_uri(version.version, sql_sha256))
        uri = location.sql_uri(kept.version, sql_sha256)
        s3.write(uri, body, "text/plain; charset=utf-8", replacing=None)
