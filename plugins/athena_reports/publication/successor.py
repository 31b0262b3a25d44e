"""Which manifest follows the current one of a period: decided by what is published, not written."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from athena_reports.aws.s3 import S3, StoredObject
from athena_reports.errors import PublishError
from athena_reports.publication.differences import count_difference
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    Difference,
    Manifest,
    PartitionFacts,
    PublicationFacts,
    Reading,
    Version,
)
from athena_reports.rows.checks import CheckResult

Outcome = Literal["published", "settled", "unchanged", "superseded"]
# `publish` refuses an upload that is older than this, and a cleanup removes only those that are
# twice as old. A publish that began in time has the hours between to end, however slow it is. So a
# cleanup never removes a version while it becomes the current one.
PUBLISHED_WITHIN = timedelta(hours=12)
ROWS_LOST = "rows_lost"  # the warning of a version without rows, after one that had some


class Publication(NamedTuple):
    """An outcome of publishing, and the manifest of the period after it.

    `published` if readers get this version, or the same query published it before; `settled` if
    another query had published the same rows, and they were provisional or partial until now;
    `unchanged` if they were not; `superseded` if a later query has published.
    """

    outcome: Outcome
    manifest: Manifest


def succeed(
    current: Manifest | None,
    version: Version,
    facts: PublicationFacts,
    *,
    location: PeriodLocation,
    s3: S3,
    memory_limit: str,
    may_lose_rows: bool,
) -> Publication:
    """Decide what becomes of an uploaded version; S3 is only read.

    It returns `current` itself if there is nothing to write. PublishError if the upload is
    incomplete or too old.
    """
    if current is not None and current.query.submitted_at > facts.query.submitted_at:
        return Publication("superseded", current)
    # The listing comes after the manifest was read, so it has every object that the manifest names.
    stored = list(s3.list(location.versions_uri))
    reading = Reading(digest=version.read_by_next, since=facts.query.submitted_at)
    if current is None:
        _require_upload(version, location, stored)
        return Publication("published", Manifest.of(version, facts, readings=(reading,)))

    if version.rows == 0 and not may_lose_rows:
        facts = _with_rows_lost(facts, current)
    is_damaged = damage(current, location, stored) != ""
    has_same_rows = version.content == current.content
    if is_damaged or not has_same_rows:
        _require_upload(version, location, stored)
    difference = None
    if not is_damaged and not has_same_rows:
        difference = count_difference(version, current, location, s3, memory_limit)
        has_same_rows = _differ_in_order_only(version, current, difference)
    if has_same_rows and not is_damaged:
        return _keep(current, version, facts)

    replaced = current.as_earlier_version(facts.published_at, difference)
    # A version that was replaced may become the current one again. Then it is not an earlier one.
    others = [entry for entry in current.earlier_versions if entry.version != version.version]
    restated_at = current.restated_at if has_same_rows else facts.query.submitted_at
    successor = Manifest.of(
        version,
        facts,
        restated_at=restated_at,
        readings=_with_reading(current.readings, reading),
        earlier_versions=(replaced, *others),
        repeated_queries=current.repeated_queries,
    )
    return Publication("published", successor)


def _keep(current: Manifest, version: Version, facts: PublicationFacts) -> Publication:
    """Keep the current rows, with the facts of the query that gave them again."""
    # The columns as they are declared now, except that what was private in the kept rows stays so.
    columns = []
    for column in version.columns:
        is_private = column.private or column.name in current.private_columns
        columns.append(column.model_copy(update={"private": is_private}))
    kept_facts = {
        **dict(facts),
        # A channel that the report has got since begins with the next version.
        "delivery": current.delivery,
        "columns": tuple(columns),
        "key": version.key,
    }
    if current.query.id == facts.query.id:
        # A retry. The try that published may have died before it could report that it did.
        retried = {**kept_facts, "published_at": current.published_at, "run": current.run}
        if current.model_copy(update=retried) == current:
            return Publication("published", current)
        return Publication("published", current.model_copy(update=kept_facts))
    kept_facts["repeated_queries"] = (current.query, *current.repeated_queries)
    is_final_now = current.provisional and not facts.provisional
    is_whole_now = current.partial and not facts.partial
    outcome: Outcome = "settled" if is_final_now or is_whole_now else "unchanged"
    return Publication(outcome, current.model_copy(update=kept_facts))


def damage(
    version: Version | PartitionFacts, location: PeriodLocation, stored: Iterable[StoredObject]
) -> str:
    """Return which object of a version is missing or incomplete in a listing; empty for none."""
    stored_bytes = {item.uri: item.bytes for item in stored}
    for expected in version.objects:
        uri = location.uri(expected.key)
        # The size is enough: S3 itself refused an upload whose bytes differed from those sent.
        if uri not in stored_bytes:
            return f"{uri} is missing; transform uploaded {expected.bytes:,} bytes"
        if stored_bytes[uri] != expected.bytes:
            return f"{uri} has {stored_bytes[uri]:,} bytes; transform uploaded {expected.bytes:,}"
    return ""


def _require_upload(
    version: Version, location: PeriodLocation, stored: Iterable[StoredObject]
) -> None:
    """Raise PublishError if an upload is incomplete, or if a cleanup may be removing it."""
    folder = location.version_uri(version.version)
    uploaded = [item for item in stored if item.uri.startswith(folder)]
    problem = damage(version, location, uploaded)
    if problem:
        raise PublishError(f"{problem}. Clear transform.", retryable=False)
    # `uploaded` is not empty: each version has at least one format, whose object exists.
    oldest = min(item.modified for item in uploaded)
    if oldest < datetime.now(UTC) - PUBLISHED_WITHIN:
        raise PublishError(
            f"Version {version.version} was uploaded at {oldest:%Y-%m-%d %H:%M} UTC, too long ago "
            "to be published. Clear transform.",
            retryable=False,
        )


def _with_rows_lost(facts: PublicationFacts, current: Manifest) -> PublicationFacts:
    # The warning stays until the period has rows again, or somebody clears `publish`.
    if current.rows > 0:
        message = (
            f"0 rows, but version {current.version} had {current.rows:,}. If the period has no"
            " rows, clear publish; otherwise restore the source and clear run_query."
        )
        lost = CheckResult(name=ROWS_LOST, severity="warn", passed=False, message=message, value=0)
        return facts.model_copy(update={"checks": (*facts.checks, lost)})
    is_cleared = current.run.max_tries != facts.run.max_tries
    if current.query.id == facts.query.id and is_cleared:
        return facts
    kept = [check for check in current.checks if check.name == ROWS_LOST]
    return facts.model_copy(update={"checks": (*facts.checks, *kept)})


def _with_reading(readings: Iterable[Reading], latest: Reading) -> tuple[Reading, ...]:
    # A reading of the same query is replaced: only the transform was edited between, and the tables
    # that the next period reads are the same.
    earlier = tuple(reading for reading in readings if reading.since < latest.since)
    if earlier and earlier[0].digest == latest.digest:
        return earlier
    return (latest, *earlier)


def _differ_in_order_only(new: Version, current: Version, difference: Difference | None) -> bool:
    if new.ordered or difference != Difference(added=0, removed=0):
        return False
    new_formats = {item.format for item in new.objects}
    return new_formats == {item.format for item in current.objects}
