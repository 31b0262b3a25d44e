"""Cleanup: repair what does not follow its manifest, and remove versions that are not kept."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, StoredObject
from athena_reports.errors import AthenaReportsError, PublishError
from athena_reports.publication.commit import follow, read_manifest, repair_latest
from athena_reports.publication.folder import CalendarError, find_calendar
from athena_reports.publication.glue_table import Table, published_tables
from athena_reports.publication.location import ALERTS_FOLDER, PeriodLocation, ReportLocation
from athena_reports.publication.manifest import (
    EarlierVersion,
    Manifest,
    Partition,
    PartitionFacts,
    ReplacedVersion,
)
from athena_reports.publication.successor import PUBLISHED_WITHIN, damage
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import report_errors

_logger = logging.getLogger(__name__)
# Such as `s3://reports/plays/weekly/2026-11-15/versions/0123456789abcdef/csv/part-0.csv`, or
# `.../0123456789abcdef/sql/0123456789abcdef.sql`. An object with another kind of address is not of
# this package, and stays.
_OBJECT = re.compile(
    r"s3://([^/]+/){4}versions/(?P<version>[0-9a-f]{16})/"
    r"((?P<suffix>[a-z]+)(_\w+)?/part-\d+\.(?P=suffix)|sql/[0-9a-f]{16}\.sql)"
)


class RetentionPolicy(BaseModel, frozen=True):
    """How long versions stay that are not current.

    Attributes:
        keep_versions: How many earlier versions of a period stay in any case, the latest ones.
        keep_days: For how many days an earlier version stays after it was replaced.
        abandoned_after_days: For how many days a version stays that was uploaded and never
            published. In a period without a manifest, every version stays.
    """

    keep_versions: int = Field(default=3, ge=0)
    keep_days: int = Field(default=90, ge=1)
    abandoned_after_days: int = Field(default=7, ge=1)


@dataclass
class CleanupSummary:
    """What a cleanup finds and does."""

    periods: int = 0
    # The objects that are removed, or may be, with the reasons.
    removals: dict[StoredObject, str] = field(default_factory=dict)
    # The periods whose partition differed from their manifest, and each `latest.json` that did not
    # name the newest one.
    repaired: list[str] = field(default_factory=list)
    # The folders of periods that have versions and no manifest. None of these versions is removed:
    # it may have been published, and its manifest lost.
    without_manifest: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # why periods or tables are left as they are

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a problem of one period, or of one table, and go on with the next."""
        try:
            yield
        except AthenaReportsError as error:
            problem = str(error)
            if problem not in self.problems:
                self.problems.append(problem)


@report_errors()
def clean_up_bucket(
    *,
    bucket: str,
    database: str,
    environment: str,
    policy: RetentionPolicy,
    delete: bool = False,
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Clean up all reports of an environment in a bucket; those of others are left alone.

    `database` is the Glue database of their tables. With `delete`, objects are removed; else they
    are only listed in the log. `bucket_owner` is the account id that must own the bucket; empty for
    any. With `encryption=None`, the bucket's default applies to what is written.

    Raises:
        AirflowException: A period or a table was left as it is, and the message says why; or AWS
            did not serve a call.
        AirflowFailException: AWS refused a call without which nothing can be cleaned up.
    """
    hook = SharedSessionHook(aws_conn_id=aws_conn_id)
    s3 = S3(hook.client("s3"), bucket_owner, encryption)
    glue = hook.client("glue")
    summary = CleanupSummary()
    now = datetime.now(UTC)
    cadence_folders: set[str] = set()
    for report_folder in s3.folders(f"s3://{bucket}/"):
        if report_folder == f"s3://{bucket}/{ALERTS_FOLDER}/":
            continue  # its objects expire by a rule of the bucket
        cadence_folders.update(s3.folders(report_folder))
    with summary.noting():
        # A report may be published in Glue although all of its objects are gone.
        for table in published_tables(database, glue):
            if table.location.bucket == bucket:
                cadence_folders.add(table.location.folder_uri)
    for folder in sorted(cadence_folders):
        table = Table(database, ReportLocation.of_folder(folder), glue)
        with summary.noting():
            clean_up(
                table,
                summary,
                environment=environment,
                s3=s3,
                policy=policy,
                now=now,
                delete=delete,
            )
    done = "removed" if delete else "may be removed"
    for item, reason in summary.removals.items():
        _logger.info("%s: %s (%d bytes): %s", done, item.uri, item.bytes, reason)
    for folder in summary.without_manifest:
        _logger.warning("%s has versions but no manifest, so its versions are kept", folder)
    if summary.problems:
        raise PublishError("Could not clean up: " + "; ".join(summary.problems))
    return {
        "periods": summary.periods,
        "objects": len(summary.removals),
        "bytes": sum(item.bytes for item in summary.removals),
        "deleted": delete,
        "repaired": summary.repaired,
        "without_manifest": summary.without_manifest,
    }


def clean_up(
    table: Table,
    summary: CleanupSummary,
    *,
    environment: str,
    s3: S3,
    policy: RetentionPolicy,
    now: datetime,
    delete: bool = False,
) -> None:
    """Clean up all periods of a report in one cadence, and add to the summary.

    It lists the partitions and the objects of the report once. It reads the manifest of a period
    only if these leave open whether there is something to do. Problems of single periods are noted
    in the summary; AthenaReportsError is raised for one of the whole report.
    """
    if _is_of_another_environment(table.location, environment, s3):
        return
    partitions = table.partitions()
    objects_by_folder = _list_by_folder(table.location, s3)
    etags = {item.uri: item.etag for items in objects_by_folder.values() for item in items}
    newest_manifest_etag = None
    for period_id in sorted((objects_by_folder.keys() - {""}) | partitions.keys()):
        location = table.location.period_folder(period_id)
        newest_manifest_etag = etags.get(location.manifest_uri, newest_manifest_etag)
        partition = partitions.get(period_id)
        objects = objects_by_folder.get(period_id, [])
        summary.periods += 1
        if _is_in_order(objects, partition, location, environment, policy, now):
            continue
        with summary.noting():
            # The manifest is read after the listing. So a version that is listed, and has become
            # the current one meanwhile, is known as the current one.
            with _marking(table, location, partition):
                manifest, etag = read_manifest(location, s3)
                _require_own(manifest, environment, location)
                _require_whole(objects, manifest, partition, location, s3)
            if manifest is None:
                if _by_version(objects):
                    summary.without_manifest.append(location.folder_uri)
                continue
            removals = plan(objects, manifest, policy, now)
            if delete:
                s3.delete([item.uri for item in removals])
            summary.removals.update(removals)
            # Without Parquet there is no partition.
            if manifest.parquet_key and partition != manifest.partition(location, etag):
                follow(manifest, etag, location=location, s3=s3, table=table)
                summary.repaired.append(f"{table.location.path}/{period_id}")
    # A copy of the newest manifest has its ETag too, unless a key of KMS encrypts the bucket.
    is_latest = etags.get(table.location.latest_uri) == newest_manifest_etag
    if not is_latest and repair_latest(table.location, s3):
        summary.repaired.append(f"{table.location.path}/latest.json")


def _is_of_another_environment(location: ReportLocation, environment: str, s3: S3) -> bool:
    calendar = find_calendar(location, s3)
    if calendar is None or calendar.environment == environment:
        return False
    _logger.info(
        "%s belongs to environment %s; skipping it", location.folder_uri, calendar.environment
    )
    return True


def _list_by_folder(report: ReportLocation, s3: S3) -> dict[str, list[StoredObject]]:
    """Return the objects of a report by the folder of their period; `""` has those of no period."""
    objects: dict[str, list[StoredObject]] = {}
    for item in s3.list(report.folder_uri):
        folder, slash, _ = item.uri.removeprefix(report.folder_uri).partition("/")
        objects.setdefault(folder if slash else "", []).append(item)
    return objects


def _is_in_order(
    objects: Sequence[StoredObject],
    partition: Partition | None,
    location: PeriodLocation,
    environment: str,
    policy: RetentionPolicy,
    now: datetime,
) -> bool:
    """Whether the listings of S3 and Glue agree that there is nothing to do in a period.

    Whatever has to be done is decided by the manifest itself. Other facts that somebody writes into
    a partition with the same ETag are not noticed: only this package writes such parameters.
    """
    if partition is None:
        return False
    facts = partition.facts
    etags = [item.etag for item in objects if item.uri == location.manifest_uri]
    return (
        etags == [facts.manifest_etag]
        and facts.environment == environment
        and partition.location == location.parquet_folder(facts.version)
        and not facts.broken
        and not damage(facts, location, objects)
        and not plan(objects, facts, policy, now)
    )


def _require_own(manifest: Manifest | None, environment: str, location: PeriodLocation) -> None:
    """Raise CalendarError for a period of another environment in a folder of ours."""
    if manifest is None or manifest.environment == environment:
        return
    raise CalendarError(
        f"{location.manifest_uri} belongs to environment {manifest.environment}; its folder belongs"
        f" to {environment}. Publish from {manifest.environment} to another bucket or under another"
        f" report name. Then move {location.folder_uri} elsewhere, and clear the period's run_query"
        " and its downstream tasks."
    )


@contextmanager
def _marking(table: Table, location: PeriodLocation, partition: Partition | None) -> Iterator[None]:
    """Write the PublishError that the block raises into the period's partition, and raise it again.

    The mark is gone when the partition is written anew: by the next publication of the period, or
    by a cleanup that finds the period whole again.
    """
    try:
        yield
    except PublishError as error:
        why = str(error)
        if partition is not None and partition.facts.broken != why:
            table.mark_broken(location.period_id, partition, why)
        raise


def _require_whole(
    objects: Sequence[StoredObject],
    manifest: Manifest | None,
    partition: Partition | None,
    location: PeriodLocation,
    s3: S3,
) -> None:
    """Raise PublishError if the manifest, or an object that it names, is missing or damaged."""
    if manifest is None:
        if partition is not None:
            raise PublishError(
                f"{location.manifest_uri} is missing, but Glue lists the period. Restore the "
                "manifest, or clear the period's run_query and its downstream tasks. Until then "
                "its versions are kept."
            )
        return
    if damage(manifest, location, objects):
        # The version may be younger than the listing, so its objects are listed once more.
        problem = damage(manifest, location, s3.list(location.version_uri(manifest.version)))
        if problem:
            raise PublishError(f"{problem}. Clear the period's run_query and its downstream tasks.")


def plan(
    objects: Sequence[StoredObject],
    published: Manifest | PartitionFacts,
    policy: RetentionPolicy,
    now: datetime,
) -> dict[StoredObject, str]:
    """Return which objects of a period may be removed, and why. Objects of no version stay.

    `published` is the manifest of the period, or what its partition has of it.
    """
    removals: dict[StoredObject, str] = {}
    for version, stored in _by_version(objects).items():
        if version == published.version:
            continue
        uploaded_at = max(item.modified for item in stored)
        if now - uploaded_at <= 2 * PUBLISHED_WITHIN:
            continue  # it may be about to become the current one
        reason = _reason(version, uploaded_at, published, policy, now)
        if reason:
            for item in stored:
                removals[item] = f"version {version} {reason}"
    return removals


def _by_version(objects: Iterable[StoredObject]) -> dict[str, list[StoredObject]]:
    """Return the objects of each version; objects of no version are left out."""
    versions: dict[str, list[StoredObject]] = {}
    for item in objects:
        match = _OBJECT.fullmatch(item.uri)
        if match:
            versions.setdefault(match["version"], []).append(item)
    return versions


def _reason(
    version: str,
    uploaded_at: datetime,
    published: Manifest | PartitionFacts,
    policy: RetentionPolicy,
    now: datetime,
) -> str:
    """Return why a version that is not current may be removed; empty if it stays."""
    # The latest comes first, so the place of a version is the number of later ones among them.
    earlier_versions: Sequence[EarlierVersion | ReplacedVersion] = published.earlier_versions
    for later_ones, earlier in enumerate(earlier_versions):
        if earlier.version != version:
            continue
        age = now - datetime.fromisoformat(earlier.replaced_at)
        if later_ones < policy.keep_versions or age <= timedelta(days=policy.keep_days):
            return ""
        return f"was replaced at {earlier.replaced_at} (later replaced versions: {later_ones})"
    if now - uploaded_at <= timedelta(days=policy.abandoned_after_days):
        return ""
    return f"was uploaded at {uploaded_at.isoformat(timespec='seconds')} and never published"
