"""How a period becomes visible: verify a staged version, flip the manifest, let the rest follow.

`manifest.json` is the truth of a period: it names the current version. A reader of it sees the old version or
the new one, complete, because it is replaced by one conditional write (S3 user guide, "Conditional requests")
and only after every object that it names is there.

Two things follow the manifest: the period's partition in Glue, and `latest.json`, which names the latest
period that is published. Whoever publishes lets them follow the manifest as it stands then, whether it was
changed or not; so a run of the period repairs what a crash left behind, and of racing runs the last one to
write anything has seen the manifest that it wrote it for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from athena_reports.errors import PublishError
from athena_reports.stage import Location, StagedVersion, disk_full_explained
from athena_reports.storage import ConditionError, MissingObjectError

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.publication.glue_table import Column, Table
    from athena_reports.storage import Storage

MANIFEST_FORMAT = 2

_ATTEMPTS = 10
_BATCH_ROWS = 16_384
_READ_BYTES = 1024 * 1024  # of a Parquet file, per column
_JSON = "application/json"
_NONE = {"added": 0, "removed": 0}
# The facts that, with the version, say whether a manifest has to be written at all.
_DECIDING = ("query", "provisional", "settles_at", "partial", "missing_partitions", "checks")


@dataclass(frozen=True)
class Publication:
    """What `publish` did.

    Attributes:
        outcome: `published` (the version is now the current one), `unchanged` (what is published has the same
            content; the manifest names the later query now) or `superseded` (a newer query has been published
            meanwhile; its version stays).
        manifest: The manifest as it now stands.
    """

    outcome: str
    manifest: Mapping[str, Any]


def publish(
    staged: StagedVersion,
    facts: Mapping[str, Any],
    *,
    location: Location,
    storage: Storage,
    table: Table | None = None,
) -> Publication:
    """Verify a staged version and make it the current one, in one conditional write.

    Args:
        staged: The version.
        facts: What the manifest says besides, all of JSON's types: `report`, `environment`, `period` (with
            `id`, `timezone`, `start`, `end`, `start_utc`), `provisional`, `settles_at`, `partial`,
            `missing_partitions`, `query` (with `id`, `submitted_at`, `reads_previous`, `scanned_bytes`,
            `price_usd`), `run` (with `dag_id` and `run_id`), `checks` (as `CheckResult.to_dict` writes them),
            `code_version`, `published_at`.
        location: The period.
        storage: Where it was staged.
        table: The Glue table that the period is a partition of; None for none.

    Raises:
        SchemaError: The columns do not fit the table.
        PublishError: The staged objects are not what they should be, the manifest is not ours, or a write
            kept losing against others.
        StorageError: S3 refused.
    """
    _verify(staged, location, storage)
    flip = _flip(staged, facts, location, storage, table)
    manifest = flip.publication.manifest
    follow(
        manifest,
        location=location,
        storage=storage,
        table=table,
        columns=flip.columns,
        replaced=flip.replaced,
        is_new=flip.is_new,
    )
    return flip.publication


def follow(
    manifest: Mapping[str, Any],
    *,
    location: Location,
    storage: Storage,
    table: Table | None,
    columns: Sequence[Column] | None = None,
    replaced: Mapping[str, Any] | None = None,
    is_new: bool = False,
) -> None:
    """Let the period's partition and `latest.json` say what the manifest says.

    Args:
        manifest: The manifest as it was read or written last.
        location: The period.
        storage: Where it is.
        table: The Glue table; None for none.
        columns: The table's, if it was prepared for this manifest; else it is.
        replaced: The manifest that this one replaced, if it did right now; saves a call.
        is_new: Whether the period had no manifest before; saves a call.

    Raises:
        PublishError: Something is not ours, or was changed by others again and again.
        StorageError: S3 refused.
    """
    for _ in range(_ATTEMPTS):
        if table is not None and parquet_keys(manifest):
            table.put_partition(
                location.period_id,
                manifest["columns"],
                within=columns or table.prepare(manifest["columns"]),
                location_uri=f"{location.uri(location.version_key(manifest['version']))}parquet/",
                parameters=partition_parameters(manifest, location),
                is_new=is_new,
            )
        _move_latest(manifest, replaced, location, storage)
        # What others wrote meanwhile is followed too: Glue knows no conditional write.
        now, _etag = read_manifest(location, storage)
        if now is None:
            raise PublishError(
                f"{location.manifest_uri} was deleted meanwhile. Clear publish to write it again."
            )
        if now == manifest:
            return
        manifest, columns, replaced, is_new = now, None, None, False
    raise _lost(location.manifest_uri)


def read_manifest(location: Location, storage: Storage) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the manifest of a period and its ETag, or two Nones for a period that was never published.

    Raises:
        PublishError: What is there is no manifest of this package and period.
        StorageError: It cannot be read.
    """
    try:
        body, etag = storage.read(location.manifest_uri)
    except MissingObjectError:
        return None, None
    try:
        manifest = json.loads(body)
        StagedVersion.from_dict(manifest)
        ours = (
            manifest["manifest_format"] == MANIFEST_FORMAT
            and manifest["period"]["id"] == location.period_id
            and manifest.keys() >= {"published_at", "provisional", "restated_at", "earlier_versions"}
            and bool(manifest["query"]["submitted_at"])
        )
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise PublishError(
            f"{location.manifest_uri} is no manifest of this package and period. Nothing was overwritten: "
            f"see who wrote it, move it away, then clear publish.",
            retryable=False,
        )
    return manifest, etag


def parquet_keys(version: Mapping[str, Any]) -> list[str]:
    """Keys of a version's Parquet, by their parts."""
    return [item["key"] for item in version["objects"] if item["format"] == "parquet"]


def partition_parameters(manifest: Mapping[str, Any], location: Location) -> dict[str, str]:
    """Return a manifest's main facts, as text, for the parameters of the period's partition."""
    period, query, run = manifest["period"], manifest["query"], manifest["run"]
    failed = [check["severity"] for check in manifest["checks"] if not check["passed"]]
    facts = {
        "version": manifest["version"],
        "rows": manifest["rows"],
        "bytes": sum(item["bytes"] for item in manifest["objects"]),
        "published_at": manifest["published_at"],
        "submitted_at": query["submitted_at"],
        "settles_at": manifest.get("settles_at", ""),
        "restated_at": manifest["restated_at"],
        "reads_previous": query.get("reads_previous", False),
        "provisional": manifest["provisional"],
        "partial": manifest["partial"],
        **{name: period[name] for name in ("start", "end", "timezone")},
        "scanned_bytes": query["scanned_bytes"],
        "price_usd": query["price_usd"],
        "query_id": query["id"],
        "dag_id": run["dag_id"],
        "run_id": run["run_id"],
        "manifest": location.manifest_uri,
        "checks_failed": failed.count("fail"),
        "checks_warned": failed.count("warn"),
        "earlier": len(manifest["earlier_versions"]),
    }
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in facts.items()
    }


def _verify(staged: StagedVersion, location: Location, storage: Storage) -> None:
    """Check that every object is there, whole: S3 itself refused any that arrived otherwise than sent."""
    folder = location.uri(location.version_key(staged.version))
    found = {item.uri: item.bytes for item in storage.list(folder)}
    for expected in staged.objects:
        uri = location.uri(expected.key)
        if found.get(uri) != expected.bytes:
            problem = f"has {found[uri]:,} bytes" if uri in found else "is not there"
            raise PublishError(
                f"{uri} is not what transform staged: it {problem}, expected are {expected.bytes:,} bytes. "
                f"Nothing was published; clear transform."
            )


@dataclass(frozen=True)
class _Flip:
    """What became of the manifest, and what `follow` need not ask for."""

    publication: Publication
    columns: Sequence[Column] | None = None
    replaced: Mapping[str, Any] | None = None
    is_new: bool = False


def _flip(
    staged: StagedVersion,
    facts: Mapping[str, Any],
    location: Location,
    storage: Storage,
    table: Table | None,
) -> _Flip:
    """Let the manifest name the version, unless it need not or must not."""
    columns: Sequence[Column] | None = None
    written: Publication | None = None
    for _ in range(_ATTEMPTS):
        current, etag = read_manifest(location, storage)
        if written is not None and current == written.manifest:
            # The answer to the write was lost, and its repetition refused.
            return _Flip(written, columns)
        if current is not None and _is_newer(current, facts):
            return _Flip(Publication("superseded", current))
        if table is not None and columns is None:
            columns = table.prepare(staged.columns)
        manifest = _next_manifest(staged, facts, current, location, storage)
        is_same = current is not None and current["version"] == manifest["version"]
        if current is not None and is_same and _says_the_same(current, manifest):
            return _Flip(Publication("unchanged", current), columns)
        written = Publication("unchanged" if is_same else "published", manifest)
        if _replace(location.manifest_uri, manifest, etag, storage):
            return _Flip(written, columns, replaced=current, is_new=current is None)
    raise _lost(location.manifest_uri)


def _is_newer(current: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether what is published comes from a later query than what is to be published.

    The texts are ISO 8601 in one zone and one precision, so they sort by time.
    """
    return bool(current["query"]["submitted_at"] > facts["query"]["submitted_at"])


def _says_the_same(current: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    return all(current.get(name) == manifest.get(name) for name in _DECIDING)


def _next_manifest(
    staged: StagedVersion,
    facts: Mapping[str, Any],
    current: Mapping[str, Any] | None,
    location: Location,
    storage: Storage,
) -> dict[str, Any]:
    """Return the manifest that is to replace `current`, as reading it back gives it."""
    earlier: Sequence[Mapping[str, Any]] = current["earlier_versions"] if current else []
    restated_at = current["restated_at"] if current else ""
    if current and current["version"] != staged.version:
        difference = _difference(staged, current, location, storage)
        if not staged.ordered and difference == _NONE and _formats(staged.to_dict()) == _formats(current):
            staged = StagedVersion.from_dict(current)
        else:
            replaced = {name: current[name] for name in ("version", "rows", "published_at", "provisional")}
            replaced |= {"replaced_at": facts["published_at"], "difference": difference}
            restated_at = facts["query"]["submitted_at"]
            earlier = [replaced, *(entry for entry in earlier if entry["version"] != staged.version)]
    manifest = {
        "manifest_format": MANIFEST_FORMAT,
        **facts,
        **staged.to_dict(),
        "restated_at": restated_at,
        "earlier_versions": list(earlier),
    }
    read_back: dict[str, Any] = json.loads(_json(manifest))
    return read_back


def _formats(version: Mapping[str, Any]) -> set[str]:
    return {item["format"] for item in version["objects"]}


def _difference(
    staged: StagedVersion, current: Mapping[str, Any], location: Location, storage: Storage
) -> dict[str, int] | None:
    """Count the rows that a version adds to the current one and those that it removes.

    Rows are compared whole, and one that occurs twice counts twice; their order does not count.

    Returns:
        `added` and `removed`; None where the rows of one of the two cannot be read back, because it has no
        Parquet or is gone.
    """
    from athena_reports.tally import Tally, row_keys

    new, old = staged.to_dict(), current
    if new["columns"] != old["columns"]:
        return {"added": new["rows"], "removed": old["rows"]}
    if not parquet_keys(new) or not parquet_keys(old):
        return None
    with (
        disk_full_explained(location),
        TemporaryDirectory(prefix="athena-report-") as folder,
        Tally() as tally,
    ):
        try:
            batches = [
                _published_rows(parquet_keys(version), Path(folder) / name, location, storage)
                for name, version in (("new", new), ("old", old))
            ]
            # Side by side, so that rows which both have are soon forgotten.
            for added, removed in zip_longest(*batches):
                for batch, count in ((added, 1), (removed, -1)):
                    if batch is not None:
                        tally.add(row_keys(batch), count)
        except MissingObjectError:
            return None
        more, less = tally.difference()
    return {"added": more, "removed": less}


def _published_rows(
    keys: Sequence[str], path: Path, location: Location, storage: Storage
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet objects, of which one at a time is on disk."""
    import pyarrow.parquet as pq

    for key in keys:
        storage.download(location.uri(key), path)
        with pq.ParquetFile(
            path, buffer_size=_READ_BYTES, pre_buffer=False, coerce_int96_timestamp_unit="ms"
        ) as file:
            yield from file.iter_batches(_BATCH_ROWS, use_threads=False)


def _move_latest(
    manifest: Mapping[str, Any], replaced: Mapping[str, Any] | None, location: Location, storage: Storage
) -> None:
    """Let `latest.json` name the period, unless it names a later one."""
    latest = _latest(manifest, location)
    if replaced is not None:
        # It most likely says what the manifest did until now, and the ETag of an object that was written in
        # one part is the MD5 of its bytes (unless KMS encrypts it): so it can be replaced without a look.
        digest = hashlib.md5(_json(_latest(replaced, location)), usedforsecurity=False).hexdigest()
        if _replace(location.latest_uri, latest, f'"{digest}"', storage):
            return
    for _ in range(_ATTEMPTS):
        try:
            body, etag = storage.read(location.latest_uri)
        except MissingObjectError:
            present, etag = None, None
        else:
            present = _parsed_latest(body, location)
            if present == latest or _age(present) > _age(latest):
                return
        if _replace(location.latest_uri, latest, etag, storage):
            return
    raise _lost(location.latest_uri)


def _latest(manifest: Mapping[str, Any], location: Location) -> dict[str, Any]:
    return {
        "report": location.report,
        "cadence": location.cadence,
        "period": manifest["period"],
        "manifest": location.manifest_key,
        **{name: manifest[name] for name in ("version", "rows", "provisional", "partial", "published_at")},
        "submitted_at": manifest["query"]["submitted_at"],
    }


def _parsed_latest(body: bytes, location: Location) -> dict[str, Any]:
    try:
        latest: dict[str, Any] = json.loads(body)
        _age(latest)
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(
            f"{location.latest_uri} is not of this package. It was not overwritten, the period itself is "
            f"published: see who wrote it, move it away, then clear publish.",
            retryable=False,
        ) from error
    return latest


def _age(latest: Mapping[str, Any]) -> tuple[str, str]:
    """By which a later period, and of one period the later query, is the greater."""
    return str(latest["period"]["start_utc"]), str(latest["submitted_at"])


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def _replace(uri: str, content: Mapping[str, Any], etag: str | None, storage: Storage) -> bool:
    """Replace the object that has `etag`, or create it; False when somebody else was faster."""
    try:
        storage.write(uri, _json(content), _JSON, replacing=etag)
    except (ConditionError, MissingObjectError):
        return False
    return True


def _lost(uri: str) -> PublishError:
    return PublishError(
        f"{uri} was changed by others at each of {_ATTEMPTS} attempts. "
        f"See which runs publish this period at the same time, then clear publish."
    )
