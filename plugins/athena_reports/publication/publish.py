"""Publish a version of a period: verify it, let the manifest name it, let Glue and `latest.json` follow.

`manifest.json` is the truth of a period. One conditional write replaces it (S3 user guide, "Conditional
requests") after every object that it names is there: a reader gets the old version or the new one, complete.

The period's partition in Glue and `latest.json` follow the manifest as it is now, whether this run changed it
or not. So each run of the period repairs what a crash left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from athena_reports.errors import PublishError
from athena_reports.publication.glue_table import Partition, Table
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import (
    Difference,
    EarlierVersion,
    Latest,
    Manifest,
    PublicationFacts,
    Version,
)
from athena_reports.rows.engine import open_engine
from athena_reports.rows.writer import count_differences
from athena_reports.s3 import S3, ConditionError, MissingObjectError

_Document = TypeVar("_Document", Manifest, Latest)
_ATTEMPTS = 10
# A manifest that would say the same of these is not written again.
_DECIDING = ("version", "query", "provisional", "settles_at", "partial", "missing_partitions", "checks")


class Outcome(StrEnum):
    """The version is current now, or the current one has the same rows, or that of a later query stays."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Publication:
    """What `publish` did, and the manifest after it."""

    outcome: Outcome
    manifest: Manifest


def publish(
    version: Version,
    facts: PublicationFacts,
    *,
    location: Location,
    s3: S3,
    table: Table | None = None,
    memory_limit: str = "128MB",
) -> Publication:
    """Verify an uploaded version and make it the current one of its period, in one conditional write.

    Args:
        version: The version.
        facts: What the manifest says besides.
        location: The period.
        s3: S3.
        table: The Glue table of the report; None for none.
        memory_limit: What the comparison with the current version may hold in memory.

    Raises:
        SchemaError: The columns do not fit the table.
        PublishError: An object is missing, the manifest is not ours, or others won the write each time.
        S3Error: S3 refused a call.
    """
    _verify(version, location, s3)
    written: Publication | None = None
    for _ in range(_ATTEMPTS):
        current, etag = read_manifest(location, s3)
        if written is not None and current == written.manifest:
            break  # S3 did the write, and its answer was lost
        if current is not None and current.query.submitted_at > facts.query.submitted_at:
            written = Publication(Outcome.SUPERSEDED, current)
            break
        if table is not None:
            table.prepare(version.columns)
        manifest = _next_manifest(version, facts, current, location, s3, memory_limit)
        if current and all(getattr(current, name) == getattr(manifest, name) for name in _DECIDING):
            written = Publication(Outcome.UNCHANGED, current)
            break
        is_same = current is not None and current.version == manifest.version
        written = Publication(Outcome.UNCHANGED if is_same else Outcome.PUBLISHED, manifest)
        if _replace(location.manifest_uri, manifest, etag, s3):
            break
    else:
        raise _lost(location.manifest_uri)
    follow(written.manifest, location=location, s3=s3, table=table)
    return written


def follow(manifest: Manifest, *, location: Location, s3: S3, table: Table | None) -> None:
    """Make the period's partition and `latest.json` say what the manifest, as read or written last, says.

    Raises:
        PublishError: Something is not ours, Glue refused, or others won the write each time.
        S3Error: S3 refused a call.
    """
    for _ in range(_ATTEMPTS):
        if table is not None and manifest.parquet_keys:
            partition = partition_of(manifest, location)
            table.put_partition(location.period_id, manifest.columns, partition)
        _move_latest(manifest, location, s3)
        # Glue has no conditional write: follow what others wrote meanwhile.
        now, _etag = read_manifest(location, s3)
        if now is None:
            raise PublishError(f"{location.manifest_uri} was deleted meanwhile. Clear publish to write it again.")
        if now == manifest:
            return
        manifest = now
    raise _lost(location.manifest_uri)


def partition_of(manifest: Manifest, location: Location) -> Partition:
    """Return what the period's partition in Glue has to say."""
    folder = location.uri(f"{location.version_key(manifest.version)}parquet/")
    return Partition(folder, manifest.partition_parameters(location))


def read_manifest(location: Location, s3: S3) -> tuple[Manifest | None, str | None]:
    """Return the manifest of a period and its ETag, or two Nones for a period that is not published.

    Raises:
        PublishError: The object is not a manifest of this package and period.
        S3Error: It cannot be read.
    """
    manifest, etag = _read(Manifest, location.manifest_uri, s3)
    if manifest is not None and manifest.period.id != location.period_id:
        raise _foreign(location.manifest_uri)
    return manifest, etag


def _verify(version: Version, location: Location, s3: S3) -> None:
    """Check that every object is there with its size: S3 itself refused bytes that differ from those sent."""
    found = {each.uri: each.bytes for each in s3.list(location.uri(location.version_key(version.version)))}
    for expected in version.objects:
        uri = location.uri(expected.key)
        if found.get(uri) != expected.bytes:
            problem = f"it has {found[uri]:,} bytes" if uri in found else "it is missing"
            raise PublishError(
                f"{uri} is not what transform uploaded: {problem}, expected are {expected.bytes:,} bytes. "
                f"Nothing is published. Clear transform."
            )


def _next_manifest(
    version: Version,
    facts: PublicationFacts,
    current: Manifest | None,
    location: Location,
    s3: S3,
    memory_limit: str,
) -> Manifest:
    """Return the manifest that is to replace `current`, as reading it back gives it."""
    parts = {"manifest_format": 1, **dict(facts), **dict(version)}
    if current is not None:
        parts |= {"restated_at": current.restated_at, "earlier_versions": current.earlier_versions}
    if current is not None and current.version != version.version:
        about = f"Report {facts.report!r}, period {facts.period.id}"
        difference = _difference(version, current, location, s3, memory_limit, about)
        same_rows = not version.ordered and difference == Difference(added=0, removed=0)
        if same_rows and version.formats == current.formats:
            parts |= {name: getattr(current, name) for name in Version.model_fields}
        else:
            earlier = [each for each in current.earlier_versions if each.version != version.version]
            replaced = EarlierVersion(
                **current.model_dump(include={"version", "rows", "published_at", "provisional"}),
                replaced_at=facts.published_at,
                difference=difference,
            )
            parts |= {"restated_at": facts.query.submitted_at, "earlier_versions": (replaced, *earlier)}
    return Manifest.from_json(Manifest.model_validate(parts).to_json())


def _difference(
    new: Version, old: Version, location: Location, s3: S3, memory_limit: str, about: str
) -> Difference | None:
    """Count the rows that `new` adds to `old` and removes, as multisets; None without the Parquet of both."""
    if new.columns != old.columns:
        return Difference(added=new.rows, removed=old.rows)
    if not new.parquet_keys or not old.parquet_keys:
        return None
    with open_engine(memory_limit, about=about) as engine:
        files = [[engine.folder / key.replace("/", "-") for key in v.parquet_keys] for v in (new, old)]
        try:
            for key, path in zip(new.parquet_keys + old.parquet_keys, chain(*files), strict=True):
                s3.download(location.uri(key), path)
        except MissingObjectError:
            return None
        added, removed = count_differences(engine, *files)
    return Difference(added=added, removed=removed)


def _move_latest(manifest: Manifest, location: Location, s3: S3) -> None:
    """Make `latest.json` name the period, unless it names a later one."""
    latest = manifest.latest(location)
    for _ in range(_ATTEMPTS):
        present, etag = _read(Latest, location.latest_uri, s3)
        if present is not None and (present == latest or present.age > latest.age):
            return
        if _replace(location.latest_uri, latest, etag, s3):
            return
    raise _lost(location.latest_uri)


def _read(model: type[_Document], uri: str, s3: S3) -> tuple[_Document | None, str | None]:
    try:
        body, etag = s3.read(uri)
    except MissingObjectError:
        return None, None
    try:
        return model.from_json(body), etag
    except ValueError as error:
        raise _foreign(uri) from error


def _replace(uri: str, content: Manifest | Latest, etag: str | None, s3: S3) -> bool:
    """Replace the object that has `etag`, or create it; False if another writer was faster."""
    try:
        s3.write(uri, content.to_json(), "application/json", replacing=etag)
    except (ConditionError, MissingObjectError):
        return False
    return True


def _foreign(uri: str) -> PublishError:
    return PublishError(
        f"{uri} is not of this package and period. It was not overwritten: see who wrote it, move it away, "
        f"then clear publish.",
        retryable=False,
    )


def _lost(uri: str) -> PublishError:
    return PublishError(
        f"{uri} was changed by others at each of {_ATTEMPTS} attempts. "
        f"See which runs publish this period at the same time, then clear publish."
    )
