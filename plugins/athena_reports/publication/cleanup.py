"""Cleanup: repair what does not follow its manifest, and remove versions that are not kept any longer.

Only versions that no manifest names as current are removed: earlier ones by the retention policy, and those
that were never published. Where the manifest is missing, what the partition in Glue names stays too. The
manifest goes on naming removed versions as its history.

A version that is uploaded again while it is removed could become current with objects missing. So an upload
writes its objects anew, a version with an object younger than a day stays, and the period is read again just
before the deletion. Parts of uploads that broke off are for the bucket's lifecycle rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.common.compat.sdk import AirflowException
from pydantic import BaseModel, Field

from athena_reports.errors import PublishError
from athena_reports.publication.glue_table import Partition, Table
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import Manifest
from athena_reports.publication.publish import follow, partition_of, read_manifest
from athena_reports.queries.airflow_errors import report_errors
from athena_reports.s3 import S3, StoredObject

if TYPE_CHECKING:
    from airflow.sdk import Context

    from athena_reports.settings import Encryption

_YOUNG = timedelta(days=1)
_OBJECT = re.compile(r"versions/(?P<version>[0-9a-f]{16})/(?P<format>\w+)/part-\d+\.(?P=format)")


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


class Removal(NamedTuple):
    """An object that may be removed."""

    uri: str
    bytes: int
    reason: str


@dataclass
class Summary:
    """What is found and done; `problems` says what is left as it is, and why."""

    periods: int = 0
    removals: list[Removal] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def plan(
    objects: Iterable[StoredObject],
    manifest: Manifest | None,
    *,
    location: Location,
    policy: RetentionPolicy,
    now: datetime,
    partition: Partition | None = None,
) -> list[Removal]:
    """Return which of a period's objects, sorted by key, may be removed; those of no version stay.

    `manifest` was read after the objects were listed. If it is None, what `partition` names stays.
    """
    removals = []
    for version, found in groupby(objects, lambda each: _version_of(each, location)):
        stored = list(found)
        written = max(each.modified for each in stored)
        if not version or now - written <= _YOUNG or (partition and f"/{version}/" in partition.location):
            continue
        if reason := _reason(version, written, manifest, policy, now):
            removals += [Removal(each.uri, each.bytes, f"version {version} {reason}") for each in stored]
    return removals


def clean_up(
    location: Location,
    summary: Summary,
    *,
    s3: S3,
    table: Table | None,
    policy: RetentionPolicy,
    now: datetime,
    delete: bool = False,
) -> None:
    """Clean up all periods of a report in one cadence.

    If Glue refuses to list the partitions, they are not repaired, and periods without a manifest stay.

    Args:
        location: Where the periods are published; the period has no meaning here.
        summary: What is found and done is added to it.
        s3: S3.
        table: The Glue table; None for none.
        policy: The retention policy.
        now: The present, with a zone.
        delete: Whether to delete what may be removed, or only to list it.
    """
    partitions: Mapping[str, Partition] | None = None
    with _noted(summary):
        partitions = table.partitions() if table is not None else {}

    def look(period: Location, objects: Sequence[StoredObject]) -> tuple[Manifest | None, list[Removal]]:
        manifest, _ = read_manifest(period, s3)
        partition = None
        if manifest is None:
            if partitions is None:
                return None, []
            partition = partitions.get(period.period_id)
        planned = plan(objects, manifest, location=period, policy=policy, now=now, partition=partition)
        return manifest, planned

    newest: tuple[Manifest, Location] | None = None
    for period, objects in _periods(s3.list(location.folder_uri), location):
        summary.periods += 1
        with _noted(summary):
            manifest, removals = look(period, objects)
            if removals and delete:
                _, removals = look(period, list(s3.list(period.uri(period.prefix))))
                s3.delete([each.uri for each in removals])
            summary.removals += removals
            if manifest is None:
                _require_unpublished(period, partitions)
                continue
            if newest is None or manifest.period.start_utc > newest[0].period.start_utc:
                newest = manifest, period
            if table is not None and partitions is not None and not _is_followed(manifest, period, partitions):
                follow(manifest, location=period, s3=s3, table=table)
                summary.repaired.append(period.prefix.rstrip("/"))
    if newest is not None:
        # Only the latest period's own run moves latest.json forward.
        with _noted(summary):
            follow(newest[0], location=newest[1], s3=s3, table=None)


class AthenaReportsCleanupOperator(AwsBaseOperator[S3Hook]):
    """Cleans up all reports of a bucket.

    Returns the numbers of periods, of objects that may be removed or are, and of their bytes; the repairs.

    Args:
        bucket: The report bucket.
        database: Glue database of the published tables.
        policy: The retention policy.
        delete: Whether to delete what may be removed, or only to list it in the log.
        bucket_owner: Account id that must own the bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    aws_hook_class = S3Hook
    template_fields: Sequence[str] = ("bucket", "database")
    ui_color = "#e8d5b5"

    def __init__(
        self,
        *,
        bucket: str,
        database: str,
        policy: RetentionPolicy,
        delete: bool = False,
        bucket_owner: str = "",
        encryption: Encryption | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.database = database
        self.policy = policy
        self.delete = delete
        self.bucket_owner = bucket_owner
        self.encryption = encryption

    def execute(self, context: Context) -> dict[str, Any]:
        """Clean up.

        Raises:
            AirflowException: A period was left as it is, and somebody has to look at it; all others are done.
        """
        s3 = S3(self.hook.get_conn(), self.bucket_owner, self.encryption)
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).get_conn()
        summary = Summary()
        with report_errors():
            for folder in (each for report in s3.folders(f"s3://{self.bucket}/") for each in s3.folders(report)):
                *_, report, cadence, _ = folder.split("/")
                location = Location(self.bucket, report, cadence, "")
                clean_up(
                    location,
                    summary,
                    s3=s3,
                    table=Table(self.database, location, glue),
                    policy=self.policy,
                    now=datetime.now(UTC),
                    delete=self.delete,
                )
        done = "removed" if self.delete else "may be removed"
        for uri, size, reason in summary.removals:
            self.log.info("%s: %s (%d bytes): %s", done, uri, size, reason)
        if summary.problems:
            raise AirflowException("Left as it is: " + "; ".join(summary.problems))
        return {
            "periods": summary.periods,
            "objects": len(summary.removals),
            "bytes": sum(each.bytes for each in summary.removals),
            "deleted": self.delete,
            "repaired": summary.repaired,
        }


@contextmanager
def _noted(summary: Summary) -> Iterator[None]:
    """Note a problem of one period, or of one table, and go on with the next."""
    try:
        yield
    except PublishError as error:
        summary.problems.append(str(error))


def _periods(objects: Iterable[StoredObject], location: Location) -> Iterator[tuple[Location, list[StoredObject]]]:
    """Yield each period with its objects, of all objects sorted by key."""

    def period_of(each: StoredObject) -> str:
        period_id, slash, _ = each.uri.removeprefix(location.folder_uri).partition("/")
        return period_id if slash else ""

    for period_id, found in groupby(objects, period_of):
        if period_id:
            yield replace(location, period_id=period_id), list(found)


def _version_of(stored: StoredObject, location: Location) -> str:
    """Return the version that an object belongs to; empty for any other object."""
    match = _OBJECT.fullmatch(stored.uri.removeprefix(location.uri(location.prefix)))
    return match["version"] if match else ""


def _reason(version: str, written: datetime, manifest: Manifest | None, policy: RetentionPolicy, now: datetime) -> str:
    """Say why a version may be removed; empty if it stays."""
    if manifest and version == manifest.version:
        return ""
    for number, entry in enumerate(manifest.earlier_versions if manifest else ()):
        if entry.version == version:
            age = now - datetime.fromisoformat(entry.replaced_at)
            if number < policy.keep_versions or age <= timedelta(days=policy.keep_days):
                return ""
            return f"was replaced at {entry.replaced_at}, and {number} later ones were too"
    if now - written <= timedelta(days=policy.abandoned_after_days):
        return ""
    return f"was uploaded at {written.isoformat(timespec='seconds')} and never published"


def _is_followed(manifest: Manifest, period: Location, partitions: Mapping[str, Partition]) -> bool:
    """Whether the period's partition says what the manifest says; Glue and others may add parameters."""
    if not manifest.parquet_keys:
        return True
    expected, found = partition_of(manifest, period), partitions.get(period.period_id)
    return (
        found is not None
        and found.location == expected.location
        and expected.parameters.items() <= found.parameters.items()
    )


def _require_unpublished(period: Location, partitions: Mapping[str, Partition] | None) -> None:
    if partitions and period.period_id in partitions:
        raise PublishError(
            f"{period.manifest_uri} is missing, but the period is in Glue: what Glue names stays. Restore "
            f"the manifest, or clear run_query of the period with all that is downstream."
        )
