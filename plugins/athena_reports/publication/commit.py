"""Publish a version of a period: verify it, let the manifest name it, let Glue and `latest.json` follow.

`manifest.json` is the truth. One conditional write replaces it (S3 user guide, "Conditional requests") after every
object that it names is there: a reader gets the old version or the new one, complete. What follows it is repaired by
each run of the period, since Glue has no conditional write.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, StoredObject, split_uri
from athena_reports.errors import PublishError
from athena_reports.publication.glue_table import ATTEMPTS, Table, changed_by_others
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Difference, EarlierVersion, Latest, Manifest, PublicationFacts, Version
from athena_reports.rows.engine import open_engine
from athena_reports.rows.writer import count_differences

_Document = TypeVar("_Document", Manifest, Latest)
_Found = tuple[_Document | None, str | None]  # with its ETag, or two Nones
# An upload that is older is not published any more, and twice as old it may be removed. So no removal meets a flip.
PUBLISHED_WITHIN = timedelta(hours=12)
# A manifest that would say the same of these is not written again.
_DECIDING = ["version", "columns", "query", "logic", "checks"]
_DECIDING += ["provisional", "settles_at", "partial", "missing_partitions"]


class Publication(NamedTuple):
    """What the query changed, and the manifest after it: its own, that of the same rows, or that of a later query."""

    outcome: Literal["published", "unchanged", "superseded"]
    manifest: Manifest


def publish(
    version: Version,
    facts: PublicationFacts,
    *,
    location: PeriodLocation,
    s3: S3,
    table: Table | None,
    memory_limit: str,
) -> Publication:
    """Verify an uploaded version and make it the current one of its period, in one conditional write."""

    def next_manifest(current: Manifest | None) -> Manifest:
        if current is not None and current.query.submitted_at > facts.query.submitted_at:
            if current.query.submitted_at > datetime.now(UTC).isoformat(timespec="milliseconds"):
                raise PublishError(
                    f"{location.manifest_uri} says that query {current.query.id} was submitted in the future, at "
                    f"{current.query.submitted_at}: no later one could replace it. Move it away, then clear publish.",
                    retryable=False,
                )
            return current
        manifest = _successor(version, facts, current, location, s3, memory_limit)
        if table is not None:
            # After the upload is verified: readers would see the columns of a version that is not published.
            table.prepare(version.columns, commented=True)
        if current is not None and all(getattr(current, name) == getattr(manifest, name) for name in _DECIDING):
            return current
        return manifest

    before, manifest = _update(Manifest, location.manifest_uri, next_manifest, s3, location.period_id)
    follow(manifest, location=location, s3=s3, table=table)
    is_later = manifest.query.submitted_at > facts.query.submitted_at
    # Of the same query it is a retry: the try that wrote it may have died before it could tell anybody.
    is_same = before is not None and before.version == manifest.version and before.query.id != facts.query.id
    return Publication("superseded" if is_later else "unchanged" if is_same else "published", manifest)


def damage(version: Version, location: PeriodLocation, stored: Iterable[StoredObject]) -> str:
    """Say which object of a version is not among those stored as it was uploaded; empty if each is."""
    found = {each.uri: each.bytes for each in stored}
    for expected in version.objects:  # S3 itself refused bytes that differ from those sent
        uri = location.uri(expected.key)
        if found.get(uri) != expected.bytes:
            problem = f"has {found[uri]:,} bytes" if uri in found else "is missing"
            return f"{uri} {problem}; transform uploaded {expected.bytes:,}"
    return ""


def follow(manifest: Manifest, *, location: PeriodLocation, s3: S3, table: Table | None) -> None:
    """Make the period's partition and `latest.json` say what the manifest, as read or written last, says."""
    for _ in range(ATTEMPTS):
        if table is not None and manifest.parquet_key:
            table.put_partition(location.period_id, manifest.columns, manifest.partition(location))
        _update(Latest, location.report.latest_uri, manifest.latest(location).or_later, s3)
        # Glue has no conditional write: follow what others wrote meanwhile.
        now, _ = read_manifest(location, s3)
        if now is None:
            raise PublishError(f"{location.manifest_uri} was deleted meanwhile. Clear publish to write it again.")
        if now == manifest:
            return
        manifest = now
    raise changed_by_others(location.manifest_uri)


def read_manifest(location: PeriodLocation, s3: S3) -> _Found[Manifest]:
    """Return the manifest of a period and its ETag, or two Nones; PublishError if it is not one of this period."""
    return _read(Manifest, location.manifest_uri, s3, location.period_id)


def _successor(
    version: Version,
    facts: PublicationFacts,
    current: Manifest | None,
    location: PeriodLocation,
    s3: S3,
    memory_limit: str,
) -> Manifest:
    """Return the manifest that is to replace `current`, as reading it back gives it."""
    stored = list(s3.list(location.versions_uri))  # after the manifest was read, so all that it names is older
    is_whole = current is not None and not damage(current, location, stored)
    is_same = current is not None and version.content == current.content
    if not is_whole or not is_same:
        _verify(version, location, stored)
    parts = {"manifest_format": 1, **dict(facts), **dict(version)}
    if current is not None:
        parts |= {"restated_at": current.restated_at, "earlier_versions": current.earlier_versions}
        parts["repeated_queries"] = current.repeated_queries
        difference = _difference(version, current, location, s3, memory_limit) if is_whole else None
        formats, old_formats = ({each.format for each in one.objects} for one in (version, current))
        is_same |= not version.ordered and difference == Difference(added=0, removed=0) and formats == old_formats
        if is_whole and is_same:
            parts |= {name: getattr(current, name) for name in Version.model_fields if name != "columns"}
            if current.query.id != facts.query.id:
                parts["repeated_queries"] = (current.query, *current.repeated_queries)
            _keep_sql(facts.query.sql_sha256, version, current, location, s3)
        else:
            earlier = [each for each in current.earlier_versions if each.version != version.version]
            same = current.model_dump(include=EarlierVersion.model_fields.keys() & Manifest.model_fields.keys())
            replaced = EarlierVersion(**same, replaced_at=facts.published_at, difference=difference)
            parts["earlier_versions"] = (replaced, *earlier)
            parts["restated_at"] = current.restated_at if is_same else facts.query.submitted_at
    return Manifest.model_validate_json(Manifest.model_validate(parts).model_dump_json())


def _verify(version: Version, location: PeriodLocation, stored: Iterable[StoredObject]) -> None:
    """PublishError if an upload is not whole, or if a cleanup may be removing it."""
    ours = [each for each in stored if each.uri.startswith(location.version_uri(version.version))]
    problem = damage(version, location, ours)
    if not problem and (oldest := min(each.modified for each in ours)) < datetime.now(UTC) - PUBLISHED_WITHIN:
        problem = f"Version {version.version} was uploaded at {oldest:%Y-%m-%d %H:%M} UTC, too long ago to be published"
    if problem:
        raise PublishError(f"{problem}. Clear transform.", retryable=False)


def _keep_sql(sql_sha256: str, version: Version, current: Manifest, location: PeriodLocation, s3: S3) -> None:
    """Keep the SQL of a version beside the same rows, which stay current."""
    if sql_sha256 != current.query.sql_sha256:
        with suppress(MissingObjectError, ConditionError):
            body, _ = s3.read(location.sql_uri(version.version, sql_sha256))
            s3.write(location.sql_uri(current.version, sql_sha256), body, "text/plain; charset=utf-8", replacing=None)


def _difference(new: Version, old: Version, location: PeriodLocation, s3: S3, memory_limit: str) -> Difference | None:
    """Count the rows that `new` adds to `old` and removes, as multisets; None without the Parquet of both."""
    if new.content == old.content:
        return Difference(added=0, removed=0)
    types, old_types = ([(each.name, each.type) for each in one.columns] for one in (new, old))
    if types != old_types:
        return Difference(added=new.rows, removed=old.rows)
    if not new.parquet_key or not old.parquet_key:
        return None
    about = f"Report {location.report.name!r}, period {location.period_id}"
    with suppress(MissingObjectError), open_engine(memory_limit, about=about) as engine:
        paths = [engine.folder / "new.parquet", engine.folder / "old.parquet"]
        for version, path in zip((new, old), paths, strict=True):
            s3.download(location.uri(version.parquet_key), path)
        added, removed = count_differences(engine, paths[:1], paths[1:])
        return Difference(added=added, removed=removed)
    return None


def _update(
    model: type[_Document], uri: str, change: Callable[[_Document | None], _Document], s3: S3, period_id: str = ""
) -> tuple[_Document | None, _Document]:
    """Replace what is read by what `change` makes of it, again if another writer is faster; return both."""
    before, after = None, None
    for _ in range(ATTEMPTS):
        present, etag = _read(model, uri, s3, period_id)
        if after is not None and present == after:
            return before, after  # S3 did the write, and its answer was lost
        before, after = present, change(present)
        if after == before:
            return before, after
        with suppress(ConditionError, MissingObjectError):
            s3.write(uri, after.model_dump_json(indent=2).encode(), "application/json", replacing=etag)
            return before, after
    raise changed_by_others(uri)


def _read(model: type[_Document], uri: str, s3: S3, period_id: str = "") -> _Found[_Document]:
    try:
        body, etag = s3.read(uri)
        found = model.model_validate_json(body)
        if period_id and found.period.id != period_id:
            raise ValueError(f"it is of the period {found.period.id}")
        folder = uri.removesuffix("manifest.json")
        for each in found.objects if isinstance(found, Manifest) else ():
            if not f"s3://{split_uri(uri)[0]}/{each.key}".startswith(folder):
                raise ValueError(f"it names {each.key}, which is not of the period")
    except MissingObjectError:
        return None, None
    except ValueError as error:
        advice = "Find out who wrote it, move it away, then clear publish."
        raise PublishError(f"{uri} is not of this package and period. {advice}", retryable=False) from error
    return found, etag
