"""Cleanup: repair what does not follow its manifest, and remove versions that are not kept any longer."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from pydantic import BaseModel, Field

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, StoredObject
from athena_reports.errors import AthenaReportsError, PublishError
from athena_reports.publication.commit import PUBLISHED_WITHIN, damage, follow, read_manifest
from athena_reports.publication.glue_table import Table, published_tables
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import Manifest, Partition
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import report_errors

_FILE = r"((?P<suffix>[a-z]+)(_\w+)?/part-\d+\.(?P=suffix)|sql/[0-9a-f]{16}\.sql)"
_OBJECT = re.compile(r"s3://([^/]+/){4}versions/(?P<version>[0-9a-f]{16})/" + _FILE)


class RetentionPolicy(BaseModel, frozen=True):
    """How long versions stay that are not current.

    Attributes:
        keep_versions: So many of a period's earlier versions stay, the latest, however old they are.
        keep_days: An earlier version stays for so many days after it was replaced.
        abandoned_after_days: A version that was uploaded and never published stays for so many days.
    """

    keep_versions: int = Field(default=3, ge=0)
    keep_days: int = Field(default=90, ge=1)
    abandoned_after_days: int = Field(default=7, ge=1)


@dataclass
class CleanupSummary:
    """What is found and done: the objects to remove, with the reasons, and why other periods are left as they are."""

    periods: int = 0
    removals: dict[StoredObject, str] = field(default_factory=dict)
    repaired: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a problem of one period, or of one table, and go on with the next."""
        try:
            yield
        except AthenaReportsError as error:
            self.problems.append(str(error))


@report_errors()
def clean_up_bucket(
    *,
    bucket: str,
    database: str,
    policy: RetentionPolicy,
    delete: bool = False,
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Clean up all reports of a bucket, without `delete` only list what may be removed; PublishError after problems."""
    hook = SharedSessionHook(aws_conn_id=aws_conn_id)
    s3, glue = S3(hook.client("s3"), bucket_owner, encryption), hook.client("glue")
    summary, now = CleanupSummary(), datetime.now(UTC)
    folders = {each for report in s3.folders(f"s3://{bucket}/") for each in s3.folders(report)}
    with summary.noting():  # a report may be published, and all of it gone
        tables = [each.location for each in published_tables(database, glue)]
        folders |= {each.folder_uri for each in tables if each.bucket == bucket}
    for folder in sorted(folders):
        table = Table(database, ReportLocation.of_folder(folder), glue)
        with summary.noting():
            clean_up(table, summary, s3=s3, policy=policy, now=now, delete=delete)
    for each, reason in summary.removals.items():
        done = "removed" if delete else "may be removed"
        logging.getLogger(__name__).info("%s: %s (%d bytes): %s", done, each.uri, each.bytes, reason)
    if summary.problems:
        raise PublishError("Left as it is: " + "; ".join(summary.problems))
    sizes = [each.bytes for each in summary.removals]
    removed = {"objects": len(sizes), "bytes": sum(sizes), "deleted": delete, "repaired": summary.repaired}
    return {"periods": summary.periods, **removed}


def clean_up(
    table: Table, summary: CleanupSummary, *, s3: S3, policy: RetentionPolicy, now: datetime, delete: bool = False
) -> None:
    """Clean up all periods of a report in one cadence; PublishError if Glue does not list its partitions."""
    partitions, newest = table.partitions(), None
    folders = {folder.split("/")[-2] for folder in s3.folders(table.location.folder_uri)}
    for period_id in sorted(folders | partitions.keys()):
        period = table.location.period_folder(period_id)
        partition = partitions.get(period_id)
        if period_id not in folders and not _is_ours(partition, period):
            continue
        summary.periods += 1
        with summary.noting():
            objects = list(s3.list(period.folder_uri))
            with _marking(table, period, partition):
                manifest, _ = read_manifest(period, s3)  # after the listing, so nothing listed is newer
            removals = plan(objects, manifest, partition, policy, now)
            if delete:
                s3.delete([each.uri for each in removals])
            summary.removals |= removals
            if manifest is not None:
                newest = manifest, period  # ids sort by time
                version = s3.list(period.version_uri(manifest.version))  # again: it may be younger than the listing
                with _marking(table, period, partition):
                    if damage(manifest, period, objects) and (problem := damage(manifest, period, version)):
                        raise PublishError(f"{problem}. Clear run_query of the period and its downstream tasks.")
                says, found = manifest.partition(period), partition or Partition("", {})
                is_same = says.location == found.location and says.parameters.items() <= found.parameters.items()
                if manifest.parquet_key and not is_same:  # Glue and others may add parameters
                    follow(manifest, location=period, s3=s3, table=table)
                    summary.repaired.append(f"{period.report.name}/{period.report.cadence_name}/{period.period_id}")
            elif partition is not None:
                with _marking(table, period, partition):
                    raise PublishError(
                        f"{period.manifest_uri} is missing, but Glue has the period. Its version is kept. Restore "
                        f"the manifest, or clear run_query of the period and its downstream tasks."
                    )
    if newest is not None:  # only the latest period's own run moves latest.json forward
        follow(newest[0], location=newest[1], s3=s3, table=None)


def _is_ours(partition: Partition | None, period: PeriodLocation) -> bool:
    return partition is not None and partition.parameters.get("manifest") == period.manifest_uri


@contextmanager
def _marking(table: Table, period: PeriodLocation, partition: Partition | None) -> Iterator[None]:
    """Mark a period in Glue with the error that says what is wrong with it; whoever publishes it removes the mark."""
    try:
        yield
    except PublishError as error:
        if partition and _is_ours(partition, period) and partition.parameters.get("broken") != str(error):
            table.mark_broken(period.period_id, partition, str(error))
        raise


def plan(
    objects: list[StoredObject],
    manifest: Manifest | None,
    partition: Partition | None,
    policy: RetentionPolicy,
    now: datetime,
) -> dict[StoredObject, str]:
    """Return which of a period's objects, sorted by key, may be removed, and why; those of no version stay."""
    removals: dict[StoredObject, str] = {}
    current = f"/{manifest.version}/" if manifest else partition.location if partition else ""
    for version, found in groupby(objects, lambda each: (match := _OBJECT.fullmatch(each.uri)) and match["version"]):
        stored = list(found)
        written = max(each.modified for each in stored)
        if not version or f"/{version}/" in current or now - written <= 2 * PUBLISHED_WITHIN:
            continue
        if reason := _reason(version, written, manifest, policy, now):
            removals |= dict.fromkeys(stored, f"version {version} {reason}")
    return removals


def _reason(version: str, written: datetime, manifest: Manifest | None, policy: RetentionPolicy, now: datetime) -> str:
    """Say why a version may be removed; empty if it stays."""
    for number, entry in enumerate(manifest.earlier_versions if manifest else ()):
        if entry.version == version:
            age = now - datetime.fromisoformat(entry.replaced_at)
            if number < policy.keep_versions or age <= timedelta(days=policy.keep_days):
                return ""
            return f"was replaced at {entry.replaced_at}, and {number} later ones were too"
    is_kept = now - written <= timedelta(days=policy.abandoned_after_days)
    return "" if is_kept else f"was uploaded at {written.isoformat(timespec='seconds')} and never published"
