"""Publish a version of a period: verify it, name it in the manifest, update Glue and `latest.json`.

`manifest.json` is the truth. One conditional write replaces it (S3 user guide, "Conditional
requests") after every object that it names is there: a reader gets the old version or the new one,
complete. Glue has no conditional write, so each run of a period repairs what follows its manifest.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, StoredObject
from athena_reports.errors import PublishError
from athena_reports.publication.glue_table import ATTEMPTS, Table, changed_by_others
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import (
    Difference,
    Latest,
    Manifest,
    PublicationFacts,
    QueryFacts,
    Reading,
    Version,
)
from athena_reports.publication.published_calendar import CalendarError, PublishedCalendar
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.differences import find_differences
from athena_reports.rows.engine import open_engine

Outcome = Literal["published", "settled", "unchanged", "superseded"]
# `publish` refuses an upload that is older than this, and a cleanup removes only those that are
# twice as old. A publish that began in time has the hours between to end, however slow it is. So a
# cleanup never removes a version while it becomes the current one.
PUBLISHED_WITHIN = timedelta(hours=12)
# Athena dates a query by its clock, and a worker compares that date with its own clock. A worker's
# clock is not further off than this: S3 would refuse its requests (RequestTimeTooSkewed).
CLOCK_TOLERANCE = timedelta(minutes=15)
ROWS_LOST = "rows_lost"  # the warning of a version without rows, after one that had some

# The field of each document that says which form it has.
_FORMAT_FIELDS: Mapping[type[Any], str] = {
    Manifest: "manifest_format",
    Latest: "latest_format",
    PublishedCalendar: "calendar_format",
}
_FORMAT = 1  # of all documents that this release reads and writes

_Document = TypeVar("_Document", Manifest, Latest, PublishedCalendar)
# A document and its ETag; two Nones if it is not there.
_Stored = tuple[_Document | None, str | None]


class _Change(NamedTuple, Generic[_Document]):
    """The document to store in the place of the present one, and the outcome to report.

    If it is equal to the present one, nothing is written.
    """

    document: _Document
    outcome: Outcome


class Publication(NamedTuple):
    """What came of publishing, and the manifest after it.

    Attributes:
        outcome: `published` if readers get this version, or the same query published it before;
            `settled` if another query had published the same rows, and they were provisional or
            partial until now; `unchanged` if they were not; `superseded` if a later query has
            published.
        manifest: The manifest of the period as it is now.
    """

    outcome: Outcome
    manifest: Manifest


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

    Args:
        version: The version, whose objects are uploaded.
        facts: What the manifest says of it.
        location: Where the period is published.
        s3: The client of the report bucket.
        table: The table that lists the period; None for no table.
        memory_limit: What DuckDB may hold in memory, such as `128MB`.
        may_lose_rows: Whether a version without rows may replace one with rows without a warning.

    Raises:
        CalendarError: The period is published by another environment, or in another time zone.
        PublishError: The upload is not whole, or is too old; the manifest or `latest.json` is not
            of this package, or of a newer release; the manifest is of the future; or other programs
            are always faster.
        SchemaError: The columns do not fit the table.
        TableError: Glue refused a call, or did not serve it; or the table is not ours.
        S3Error: S3 refused a call, or did not serve it.
        AthenaReportsError: The rows cannot be compared with the published ones, for lack of memory
            or disk.
    """

    def next_manifest(current: Manifest | None) -> _Change[Manifest]:
        if current is not None:
            _require_same_calendar(current, facts, location)
            if current.query.submitted_at > facts.query.submitted_at:
                _refuse_a_future_query(current, location)
                return _Change(current, "superseded")
        checked = facts
        if current is not None and version.rows == 0 and not may_lose_rows:
            checked = _with_rows_lost(facts, current)
        successor = _successor(version, checked, current, location, s3, memory_limit)
        if table is not None:
            # `_successor` has verified the upload. Before that, readers would see the columns of a
            # version that may never be published.
            table.prepare(version.columns, commented=True)
        if current is None:
            return successor
        has_new_facts = _facts_worth_a_write(successor.document) != _facts_worth_a_write(current)
        if has_new_facts:
            return successor
        return _Change(current, successor.outcome)

    read = partial(read_manifest, location, s3)
    change = _update(location.manifest_uri, read, next_manifest, s3)
    follow(change.document, location=location, s3=s3, table=table)
    return Publication(change.outcome, change.document)


def damage(version: Version, location: PeriodLocation, stored: Iterable[StoredObject]) -> str:
    """Say which object of a version is not stored as it was uploaded; empty if each is.

    Args:
        version: The version.
        location: Where its period is published.
        stored: What a listing has of the version's objects, and maybe other objects.
    """
    stored_bytes = {item.uri: item.bytes for item in stored}
    for expected in version.objects:
        uri = location.uri(expected.key)
        # The size is enough: S3 itself refused an upload whose bytes differed from those sent.
        if uri not in stored_bytes:
            return f"{uri} is missing; transform uploaded {expected.bytes:,} bytes"
        if stored_bytes[uri] != expected.bytes:
            return f"{uri} has {stored_bytes[uri]:,} bytes; transform uploaded {expected.bytes:,}"
    return ""


def follow(manifest: Manifest, *, location: PeriodLocation, s3: S3, table: Table | None) -> None:
    """Make the period's partition and `latest.json` say what the manifest says.

    Args:
        manifest: The manifest as it was read or written last.
        location: Where the period is published.
        s3: The client of the report bucket.
        table: The table that lists the period; None for no table.

    Raises:
        PublishError: The manifest was deleted, or others change it each time; or it or
            `latest.json` is not of this package, or of a newer release.
        SchemaError: The columns do not fit the table.
        TableError: Glue refused a call, or did not serve it; or the table is not ours.
        S3Error: S3 refused a call, or did not serve it.
    """
    for _ in range(ATTEMPTS):
        if table is not None and manifest.parquet_key:
            partition = manifest.partition(location)
            table.put_partition(location.period_id, manifest.columns, partition)
        _update_latest(manifest, location, s3)
        # Glue has no conditional write. If another run has changed the manifest meanwhile, its
        # partition may have been overwritten here, so follow that manifest.
        present, _ = read_manifest(location, s3)
        if present is None:
            raise PublishError(
                f"{location.manifest_uri} was deleted meanwhile. Clear publish to write it again."
            )
        if present == manifest:
            return
        manifest = present
    raise changed_by_others(location.manifest_uri)


def read_manifest(location: PeriodLocation, s3: S3) -> _Stored[Manifest]:
    """Return the manifest of a period and its ETag, or two Nones if there is none.

    Raises:
        PublishError: What is there is not a manifest of this period, or a newer release wrote it.
        S3Error: S3 refused the call, or did not serve it.
    """
    uri = location.manifest_uri
    manifest, etag = read_document(Manifest, uri, s3)
    if manifest is None:
        return None, None
    if manifest.period.id != location.period_id:
        raise not_ours(uri) from ValueError(f"it is of the period {manifest.period.id}")
    for published in manifest.objects:
        if not location.uri(published.key).startswith(location.folder_uri):
            problem = f"it names {published.key}, which is not of the period"
            raise not_ours(uri) from ValueError(problem)
    return manifest, etag


def repair_latest(report: ReportLocation, s3: S3) -> bool:
    """Let `latest.json` name the newest period that has a manifest; True if it had to be written.

    A run only moves it forward (`follow`). So it keeps the name of a period that was withdrawn
    since, and it stays behind if the run of the newest period died.

    Raises:
        PublishError: `latest.json` is there, but no period has a manifest; `latest.json` or the
            newest manifest is not of this package, or of a newer release; or others change
            `latest.json` each time.
        S3Error: S3 refused a call, or did not serve it.
    """
    uri = report.latest_uri
    is_repaired = False
    for _ in range(ATTEMPTS):
        # Read before the manifests. A run writes its manifest first, so a manifest that is missing
        # after this was withdrawn.
        present, etag = read_document(Latest, uri, s3)
        newest = newest_manifest(report, s3)
        if newest is None:
            if present is None:
                return False
            raise PublishError(
                f"{uri} names the period {present.period.id}, but no period has a manifest. Delete "
                "it, or restore the manifest."
            )
        manifest, location = newest
        latest = manifest.latest(location)
        if latest == present:
            return is_repaired
        body = latest.model_dump_json(indent=2).encode()
        try:
            s3.write(uri, body, "application/json", replacing=etag)
        except (ConditionError, MissingObjectError):
            continue  # a run has written it since it was read
        # Look once more. A run of a newer period may have read `latest.json` before this write, and
        # left it alone because it named a still later period, which was withdrawn.
        is_repaired = True
    raise changed_by_others(uri)


def newest_manifest(report: ReportLocation, s3: S3) -> tuple[Manifest, PeriodLocation] | None:
    """Return the manifest of the newest period that has one, and where it is.

    Raises:
        PublishError: What is there is not a manifest of this period, or a newer release wrote it.
        S3Error: S3 refused a call, or did not serve it.
    """
    for folder_uri in sorted(s3.folders(report.folder_uri), reverse=True):  # ids sort by time
        period_id = folder_uri.split("/")[-2]
        location = report.period_folder(period_id)
        manifest, _ = read_manifest(location, s3)
        if manifest is not None:
            return manifest, location
    return None


def _require_same_calendar(
    current: Manifest, facts: PublicationFacts, location: PeriodLocation
) -> None:
    """Raise CalendarError if another environment, or another time zone, published the period."""
    published = PublishedCalendar.of_facts(current)
    conflict = published.conflict_with(PublishedCalendar.of_facts(facts), location.folder_uri)
    if conflict:
        raise CalendarError(conflict)


def _refuse_a_future_query(current: Manifest, location: PeriodLocation) -> None:
    """Raise PublishError if the published query is dated in the future."""
    now = datetime.now(UTC)
    latest_possible = (now + CLOCK_TOLERANCE).isoformat(timespec="milliseconds")
    if current.query.submitted_at > latest_possible:
        raise PublishError(
            f"{location.manifest_uri} says that query {current.query.id} was submitted in the "
            f"future, at {current.query.submitted_at}; it is {now.isoformat(timespec='seconds')} "
            "by this worker's clock. No later query could replace it. Either this clock is wrong, "
            "or the manifest was edited: compare both with the query in the Athena console. Set "
            "the clock, or query.submitted_at of the manifest, then clear publish.",
            retryable=False,
        )


def _facts_worth_a_write(manifest: Manifest) -> tuple[object, ...]:
    """Return those facts of a manifest whose change alone is a reason to write it.

    The others follow from these, or differ at each try of a task, such as `published_at`.
    """
    return (
        manifest.version,
        manifest.columns,
        manifest.key,
        manifest.query,
        manifest.logic,
        manifest.checks,
        manifest.provisional,
        manifest.settles_at,
        manifest.partial,
        manifest.missing_partitions,
    )


def _with_rows_lost(facts: PublicationFacts, current: Manifest) -> PublicationFacts:
    """Return the facts of a version without rows, with a warning if the period had some.

    The warning stays until the period has rows again, or somebody clears `publish`.
    """
    if current.rows > 0:
        message = (
            f"0 rows, after {current.rows:,} in version {current.version}. If the period has no"
            " rows, clear publish; otherwise restore the source and clear run_query."
        )
        rows_lost = [
            CheckResult(name=ROWS_LOST, severity="warn", passed=False, message=message, value=0)
        ]
    elif _is_cleared(facts, current):
        rows_lost = []
    else:
        rows_lost = [check for check in current.checks if check.name == ROWS_LOST]
    return facts.model_copy(update={"checks": (*facts.checks, *rows_lost)})


def _is_cleared(facts: PublicationFacts, current: Manifest) -> bool:
    """Whether somebody has cleared `publish`, and not the query, since it published `current`."""
    is_of_same_query = current.query.id == facts.query.id
    return is_of_same_query and current.run.max_tries != facts.run.max_tries


def _successor(
    version: Version,
    facts: PublicationFacts,
    current: Manifest | None,
    location: PeriodLocation,
    s3: S3,
    memory_limit: str,
) -> _Change[Manifest]:
    """Return the manifest that is to replace `current`, and the outcome to report."""
    # The listing comes after the manifest was read, so it has every object that the manifest names.
    stored = list(s3.list(location.versions_uri))

    if current is None:  # the first publication
        _verify(version, location, stored)
        return _Change(Manifest.of(version, facts), "published")

    has_same_content = version.content == current.content
    is_current_broken = damage(current, location, stored) != ""
    if is_current_broken or not has_same_content:
        _verify(version, location, stored)

    if is_current_broken:  # a broken version is replaced, by the same rows or by others
        is_restated = not has_same_content
        manifest = _replacing(current, version, facts, difference=None, is_restated=is_restated)
        return _Change(manifest, "published")

    if not has_same_content:
        difference = _difference(version, current, location, s3, memory_limit)
        if not _differ_in_order_only(version, current, difference):  # new rows
            manifest = _replacing(current, version, facts, difference=difference, is_restated=True)
            return _Change(manifest, "published")

    _keep_sql(facts.query.sql_sha256, version, current, location, s3)
    if current.query.id != facts.query.id:  # the same rows by another query
        repeated_queries = (current.query, *current.repeated_queries)
        manifest = _keeping(current, version, facts, repeated_queries)
        outcome: Outcome = "settled" if _is_settled_by(facts, current) else "unchanged"
        return _Change(manifest, outcome)

    # The same rows of the same query: a retry. The try that published may have died before it could
    # tell anybody that it did.
    manifest = _keeping(current, version, facts, current.repeated_queries)
    return _Change(manifest, "published")


def _is_settled_by(facts: PublicationFacts, current: Manifest) -> bool:
    """Whether the rows of a provisional or partial version are known to be final or whole now."""
    is_final_now = current.provisional and not facts.provisional
    is_whole_now = current.partial and not facts.partial
    return is_final_now or is_whole_now


def _replacing(
    current: Manifest,
    version: Version,
    facts: PublicationFacts,
    *,
    difference: Difference | None,
    is_restated: bool,
) -> Manifest:
    """Return the manifest that names another version; the current one becomes an earlier one."""
    replaced = current.as_earlier_version(facts.published_at, difference)
    # A version that was replaced may become the current one again. Then it is not an earlier one.
    others = [entry for entry in current.earlier_versions if entry.version != version.version]
    restated_at = current.restated_at
    if is_restated:
        restated_at = facts.query.submitted_at
    return Manifest.of(
        version,
        facts,
        restated_at=restated_at,
        readings=_readings(current),
        earlier_versions=(replaced, *others),
        repeated_queries=current.repeated_queries,
    )


def _keeping(
    current: Manifest,
    version: Version,
    facts: PublicationFacts,
    repeated_queries: tuple[QueryFacts, ...],
) -> Manifest:
    """Return the manifest that keeps the current rows.

    Its facts are those of the query that gave these rows again. Only the planned delivery stays: a
    channel that the report has got since begins with the next version.
    """
    facts = facts.model_copy(update={"delivery": current.delivery})
    kept = Version(
        version=current.version,
        ordered=current.ordered,
        rows=current.rows,
        columns=_columns_of_kept_rows(version, current),
        objects=current.objects,
        key=version.key,  # it may have been declared since
        read_by_next=current.read_by_next,
    )
    return Manifest.of(
        kept,
        facts,
        restated_at=current.restated_at,
        readings=_readings(current),
        earlier_versions=current.earlier_versions,
        repeated_queries=repeated_queries,
    )


def _columns_of_kept_rows(version: Version, current: Version) -> tuple[TableColumn, ...]:
    """Return the columns as they are declared now. What was private in the kept rows stays so."""
    private = current.private_columns
    return tuple(
        column.model_copy(update={"private": column.private or column.name in private})
        for column in version.columns
    )


def _readings(current: Manifest) -> tuple[Reading, ...]:
    """Return the readings of a manifest, latest first.

    An older release wrote none. It gets one with an empty digest, which no digest of rows equals.
    """
    if current.readings:
        return current.readings
    return (Reading(digest="", since=current.query.submitted_at),)


def _verify(version: Version, location: PeriodLocation, stored: Iterable[StoredObject]) -> None:
    """Raise PublishError if an upload is not whole, or if a cleanup may be removing it."""
    folder = location.version_uri(version.version)
    uploaded = [item for item in stored if item.uri.startswith(folder)]
    problem = damage(version, location, uploaded)
    if problem:
        raise PublishError(f"{problem}. Clear transform.", retryable=False)
    # `uploaded` is not empty: each version has at least one format, whose object was just found.
    oldest = min(item.modified for item in uploaded)
    if oldest < datetime.now(UTC) - PUBLISHED_WITHIN:
        raise PublishError(
            f"Version {version.version} was uploaded at {oldest:%Y-%m-%d %H:%M} UTC, too long ago "
            "to be published. Clear transform.",
            retryable=False,
        )


def _difference(
    new: Version, old: Version, location: PeriodLocation, s3: S3, memory_limit: str
) -> Difference | None:
    """Count the rows that `new` adds to `old`, removes and changes.

    Rows are paired by the key of `new`, if `old` has its columns too, and else compared as a whole.
    If the columns or their types differ, so does each row. None if a version has no Parquet, or no
    longer has it: then nothing can be counted.
    """
    key = _shared_key(new, old)
    has_same_columns = _types(new) == _types(old)
    if not key and not has_same_columns:
        return Difference(added=new.rows, removed=old.rows)
    if not new.parquet_key or not old.parquet_key:
        return None
    about = f"Report {location.report.name!r}, period {location.period_id}"
    with open_engine(memory_limit, about=about) as engine:
        new_path = engine.folder / "new.parquet"
        old_path = engine.folder / "old.parquet"
        try:
            s3.download(location.uri(new.parquet_key), new_path)
            s3.download(location.uri(old.parquet_key), old_path)
        except MissingObjectError:
            return None
        found = find_differences(
            old_path, new_path, old.columns, new.columns, key, engine, with_examples=False
        )
        changed = found.changed
        if not has_same_columns:
            changed = new.rows - found.added
        return Difference(added=found.added, removed=found.removed, changed=changed)


def _shared_key(new: Version, old: Version) -> tuple[str, ...]:
    """Return the key of `new` if `old` has its columns in the same types; otherwise none."""
    new_types = dict(_types(new))
    old_types = dict(_types(old))
    for name in new.key:
        if old_types.get(name) != new_types[name]:
            return ()
    return new.key


def _types(version: Version) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in version.columns]


def _differ_in_order_only(new: Version, current: Version, difference: Difference | None) -> bool:
    """Whether two versions have the same rows, in another order that has no meaning."""
    if new.ordered or difference is None:
        return False
    has_same_formats = _formats(new) == _formats(current)
    return has_same_formats and difference == Difference(added=0, removed=0)


def _formats(version: Version) -> set[str]:
    return {item.format for item in version.objects}


def _keep_sql(
    sql_sha256: str, version: Version, current: Manifest, location: PeriodLocation, s3: S3
) -> None:
    """Copy the SQL of a version that will not be published into the folder of the current one.

    Both versions have the same rows, and the manifest is about to name this SQL.
    """
    if sql_sha256 == current.query.sql_sha256:
        return
    with suppress(MissingObjectError, ConditionError):  # it is not there, or was copied before
        body, _ = s3.read(location.sql_uri(version.version, sql_sha256))
        uri = location.sql_uri(current.version, sql_sha256)
        s3.write(uri, body, "text/plain; charset=utf-8", replacing=None)


def _update_latest(manifest: Manifest, location: PeriodLocation, s3: S3) -> None:
    """Let `latest.json` name this period, unless it has a later period, or a later query of it."""
    uri = location.report.latest_uri
    latest = manifest.latest(location)

    def latest_of_both(current: Latest | None) -> _Change[Latest]:
        if current is not None and latest.is_before(current):
            return _Change(current, "superseded")
        return _Change(latest, "published")

    _update(uri, partial(read_document, Latest, uri, s3), latest_of_both, s3)


def _update(
    uri: str,
    read: Callable[[], _Stored[_Document]],
    decide: Callable[[_Document | None], _Change[_Document]],
    s3: S3,
) -> _Change[_Document]:
    """Replace a document by the one that `decide` returns for it, and return the change.

    If another writer is faster, the document is read again, and `decide` is called again.
    """
    change = None
    for _ in range(ATTEMPTS):
        present, etag = read()
        if change is not None and present == change.document:
            return change  # at the attempt before, S3 did the write, and its answer was lost
        change = decide(present)
        if change.document == present:
            return change
        body = change.document.model_dump_json(indent=2).encode()
        try:
            s3.write(uri, body, "application/json", replacing=etag)
        except (ConditionError, MissingObjectError):
            continue  # another writer has written, or deleted, the document since it was read
        return change
    raise changed_by_others(uri)


def read_document(model: type[_Document], uri: str, s3: S3) -> _Stored[_Document]:
    """Return a published document and its ETag, or two Nones if it is not there.

    Raises:
        PublishError: It is not of this package, or a newer release wrote it.
        S3Error: S3 refused the call, or did not serve it.
    """
    try:
        body, etag = s3.read(uri)
    except MissingObjectError:
        return None, None
    try:
        return model.model_validate_json(body), etag
    except ValueError as error:
        format_field = _FORMAT_FIELDS[model]
        if _is_of_newer_release(body, format_field):
            raise PublishError(
                f"{uri} is of a newer release of this package, which has another {format_field}. "
                "It is right as it is: update the package here, then clear the failed tasks.",
                retryable=False,
            ) from error
        scope = "period" if model is Manifest else "folder"
        raise not_ours(uri, scope) from error


def _is_of_newer_release(body: bytes, format_field: str) -> bool:
    try:
        fields = json.loads(body)
    except ValueError:
        return False
    if not isinstance(fields, dict):
        return False
    document_format = fields.get(format_field)
    return isinstance(document_format, int) and document_format > _FORMAT


def not_ours(uri: str, scope: str = "period") -> PublishError:
    """Return the error for a document that another program wrote, or that is of another place.

    Args:
        uri: The address of the document.
        scope: What it should be of: the "period" or the "folder".
    """
    advice = "Find out who wrote it, move it away, then clear publish."
    return PublishError(f"{uri} is not of this package and {scope}. {advice}", retryable=False)
