"""What may be removed again, and what has to be repaired.

Nothing but versions that no manifest names as current is ever removed, and only where the manifest is ours:
earlier versions that are past the policy, and versions that were staged and never published. The manifest
goes on naming removed versions as its history; its readers need the current one alone.

A version that is staged anew while it is removed could become current with objects missing. So whatever was
written within a day stays, staging writes its objects anew, and the period is looked at again just before
its objects are deleted; what remains is the moment between that look and the deletion.

Parts of uploads that were broken off are no objects; the bucket's lifecycle rule removes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from athena_reports.errors import PublishError
from athena_reports.publication.publish import follow, parquet_keys, partition_parameters, read_manifest

if TYPE_CHECKING:
    from athena_reports.publication.glue_table import Table
    from athena_reports.stage import Location
    from athena_reports.storage import Storage, StoredObject

YOUNGEST = timedelta(days=1)
"""A version of which something was written within this time stays, whatever the policy says."""


_OBJECT = re.compile(r"versions/(?P<version>[0-9a-f]{16})/(?P<format>\w+)/part-\d+\.(?P=format)")


@dataclass(frozen=True)
class Policy:
    """How long versions stay that are not current.

    Attributes:
        keep_versions: So many of a period's earlier versions stay, the latest, however old they are.
        keep_days: An earlier version stays for so many days after it was replaced.
        abandoned_after_days: A version that was staged and never published stays for so many days.

    Raises:
        ValueError: A number is too small to be meant.
    """

    keep_versions: int = 3
    keep_days: int = 90
    abandoned_after_days: int = 7

    def __post_init__(self) -> None:
        if self.keep_versions < 0 or self.keep_days < 1 or self.abandoned_after_days < 1:
            raise ValueError(f"{self}: no number of versions is below 0, and no number of days below 1.")


@dataclass(frozen=True)
class Removal:
    """An object that may go.

    Attributes:
        uri: Its `s3://` address.
        bytes: Its size.
        reason: Why.
    """

    uri: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class Summary:
    """What `upkeep` found and did.

    Attributes:
        periods: Number of periods looked at.
        removals: What may go, or is gone.
        deleted: Whether it is gone.
        repaired: Ids of the periods whose partition did not say what their manifest says, and does now.
        problems: What was left alone, and why.
    """

    periods: int
    removals: Sequence[Removal]
    deleted: bool
    repaired: Sequence[str]
    problems: Sequence[str]


def plan(
    objects: Iterable[StoredObject],
    manifest: Mapping[str, Any] | None,
    *,
    location: Location,
    policy: Policy,
    now: datetime,
) -> list[Removal]:
    """Return which of a period's objects may go.

    Args:
        objects: What there is, sorted by key; others than those of the period's versions are passed over.
        manifest: The period's manifest, read after the objects were listed; None if it has none.
        location: The period.
        policy: How long what stays.
        now: The present, with a time zone.
    """
    removals = []
    for version, found in groupby(objects, lambda item: _version_of(item, location)):
        stored = list(found)
        written = max(item.modified for item in stored)
        reason = _reason(version, written, manifest, policy, now) if version else ""
        if reason and now - written > YOUNGEST:
            removals += [Removal(item.uri, item.bytes, f"version {version} {reason}") for item in stored]
    return removals


def upkeep(
    location: Location,
    *,
    storage: Storage,
    table: Table | None,
    policy: Policy,
    now: datetime,
    delete: bool = False,
) -> Summary:
    """Look through all periods of a report in one cadence: repair what does not follow, remove what may go.

    Args:
        location: Where they lie; which period makes no difference.
        storage: S3.
        table: Their Glue table; None for none.
        policy: How long what stays.
        now: The present, with a time zone.
        delete: Whether to delete what may go; else it is only listed.

    Raises:
        StorageError: S3 refused.
        TableError: Glue does not list the partitions.
    """
    partitions = table.partitions() if table is not None else {}
    removals: list[Removal] = []
    repaired, problems = [], []
    newest: Mapping[str, Any] | None = None
    periods = 0
    for period, objects in _periods(storage.list(location.folder_uri), location):
        periods += 1
        try:
            manifest, _ = read_manifest(period, storage)
            planned = plan(objects, manifest, location=period, policy=policy, now=now)
            removals += _remove(period, storage, policy, now) if planned and delete else planned
            if manifest is None:
                continue
            if newest is None or _start(manifest) > _start(newest):
                newest = manifest
            if table is not None and not _is_followed(manifest, period, partitions):
                follow(manifest, location=period, storage=storage, table=table)
                repaired.append(period.period_id)
        except PublishError as error:
            problems.append(str(error))
    if newest is not None:
        # Nothing but the latest period's own run moves latest.json forward.
        period = replace(location, period_id=newest["period"]["id"])
        follow(newest, location=period, storage=storage, table=None)
    return Summary(periods, removals, delete, repaired, problems)


def _periods(
    objects: Iterable[StoredObject], location: Location
) -> Iterator[tuple[Location, list[StoredObject]]]:
    """Yield each period with its objects, of all objects sorted by key."""

    def period_of(item: StoredObject) -> str:
        period_id, slash, _ = item.uri.removeprefix(location.folder_uri).partition("/")
        return period_id if slash else ""

    for period_id, found in groupby(objects, period_of):
        if period_id:
            yield replace(location, period_id=period_id), list(found)


def _version_of(item: StoredObject, location: Location) -> str:
    """Return the version that an object belongs to; empty if it is not one that `stage` writes."""
    match = _OBJECT.fullmatch(item.uri.removeprefix(location.uri(location.prefix)))
    return match["version"] if match else ""


def _reason(
    version: str, written: datetime, manifest: Mapping[str, Any] | None, policy: Policy, now: datetime
) -> str:
    """Say why a version may go; empty if it stays."""
    earlier = manifest["earlier_versions"] if manifest else []
    if manifest and version == manifest["version"]:
        return ""
    for number, entry in enumerate(earlier):
        if entry["version"] == version:
            replaced_at = datetime.fromisoformat(entry["replaced_at"])
            if number < policy.keep_versions or now - replaced_at <= timedelta(days=policy.keep_days):
                return ""
            return f"was replaced at {entry['replaced_at']}, and {number} later ones were too"
    if now - written <= timedelta(days=policy.abandoned_after_days):
        return ""
    return f"was staged at {written.isoformat(timespec='seconds')} and never published"


def _remove(period: Location, storage: Storage, policy: Policy, now: datetime) -> list[Removal]:
    """Look at a period again, delete what may go, and return it."""
    objects = list(storage.list(period.uri(period.prefix)))
    manifest, _ = read_manifest(period, storage)
    removals = plan(objects, manifest, location=period, policy=policy, now=now)
    storage.delete([removal.uri for removal in removals])
    return removals


def _is_followed(
    manifest: Mapping[str, Any], period: Location, partitions: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether the period's partition says what the manifest says; Glue and others may add to it."""
    expected = partition_parameters(manifest, period).items()
    return not parquet_keys(manifest) or expected <= partitions.get(period.period_id, {}).items()


def _start(manifest: Mapping[str, Any]) -> str:
    return str(manifest["period"]["start_utc"])
