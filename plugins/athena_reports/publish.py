"""How a period becomes visible: stage a version, verify it, flip the manifest.

Layout under `s3://<report bucket>/<report>/<cadence>/<period id>/`:

    manifest.json                              names the current version; the single truth for readers
    versions/<version>/<format>/part-0.<format>

A version is named by its content, so it is immutable: the same rows always stage the same bytes under the
same key, whichever run does it and however often. A reader of the manifest sees the old version or the new
one, complete, because the manifest is replaced by one conditional write (S3 user guide, "Conditional
requests") and only after every object that it names has been verified.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from athena_reports.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa
    from mypy_boto3_s3 import S3Client

MANIFEST_FORMAT = 1

# A Parquet reader pays for each row group; a writer holds one in memory.
_ROW_GROUP_ROWS = 1 << 20
_FLIP_ATTEMPTS = 10
_CONTENT_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
# What a new publication reads of the one before.
_READ_FIELDS = frozenset({"version", "rows", "published_at", "provisional", "earlier_versions"})
_LOST_RACE = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True)
class Location:
    """Where one period of one report lives.

    Attributes:
        bucket: The report bucket.
        report: Name of the report.
        cadence: Name of the cadence.
        period_id: Id of the period.
    """

    bucket: str
    report: str
    cadence: str
    period_id: str

    @property
    def prefix(self) -> str:
        """Key prefix of everything that belongs to the period, with the closing slash."""
        return f"{self.report}/{self.cadence}/{self.period_id}/"

    @property
    def manifest_key(self) -> str:
        """Key of the manifest."""
        return f"{self.prefix}manifest.json"

    @property
    def manifest_uri(self) -> str:
        """`s3://` address of the manifest."""
        return f"s3://{self.bucket}/{self.manifest_key}"

    def object_key(self, version: str, format: str) -> str:
        """Key of a version's data in one format."""
        return f"{self.prefix}versions/{version}/{format}/part-0.{format}"


@dataclass(frozen=True)
class StagedObject:
    """One data object of a version.

    Attributes:
        format: `parquet` or `csv`.
        key: Its S3 key.
        bytes: Its size.
        sha256: Its SHA-256 in hexadecimal.
    """

    format: str
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StagedVersion:
    """A version that lies in S3 and may become the current one.

    Attributes:
        version: Its name, made from its content.
        rows: Number of rows.
        columns: Names and Arrow types, in order.
        objects: One object per format.
    """

    version: str
    rows: int
    columns: Sequence[Mapping[str, str]]
    objects: Sequence[StagedObject]

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> StagedVersion:
        """Return the version that `to_dict` wrote."""
        return cls(
            version=facts["version"],
            rows=facts["rows"],
            columns=tuple(facts["columns"]),
            objects=tuple(StagedObject(**staged) for staged in facts["objects"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom and the manifest."""
        return {**asdict(self), "columns": list(self.columns), "objects": [asdict(o) for o in self.objects]}


@dataclass(frozen=True)
class Publication:
    """What `publish` did.

    Attributes:
        outcome: `published` (the version is now the current one), `unchanged` (it was already; the manifest
            names the later query now) or `superseded` (a newer query has been published meanwhile; its
            version stays).
        manifest: The manifest as it now stands.
    """

    outcome: str
    manifest: Mapping[str, Any]


def stage(
    batches: Iterator[pa.RecordBatch],
    *,
    location: Location,
    formats: Sequence[str],
    s3: S3Client,
) -> StagedVersion:
    """Write the rows in each format and upload them under the version that they may become.

    Args:
        batches: The rows, as at least one batch, which may be empty; the first one's schema holds for all.
            Read once, whatever the number of formats.
        location: The period.
        formats: Of `parquet` and `csv`.
        s3: Client to upload with.

    Raises:
        PublishError: There is no batch, the bucket is not there, or the upload was refused.
    """
    first = next(batches, None)
    if first is None:
        raise PublishError(
            f"{location.prefix}: there is no batch of rows, and so no columns. Yield an empty one."
        )
    schema = first.schema
    _require_plain_columns(schema, formats, location)
    with TemporaryDirectory(prefix="athena-report-") as folder:
        files = {format: Path(folder) / f"part-0.{format}" for format in formats}
        rows = _write(chain([first], batches), schema, files)
        digests = {format: _sha256(path) for format, path in files.items()}
        version = _version(digests)
        objects = tuple(
            StagedObject(
                format, location.object_key(version, format), path.stat().st_size, digests[format].hex()
            )
            for format, path in files.items()
        )
        for staged in objects:
            _upload(files[staged.format], staged, location.bucket, s3)
    columns = tuple({"name": field.name, "type": str(field.type)} for field in schema)
    return StagedVersion(version, rows, columns, objects)


def _require_plain_columns(schema: pa.Schema, formats: Sequence[str], location: Location) -> None:
    import pyarrow as pa

    nested = [field for field in schema if pa.types.is_nested(field.type)]
    if "csv" in formats and nested:
        raise PublishError(
            f"{location.prefix}: the column {nested[0].name!r} is a {nested[0].type}, which a CSV cannot "
            f"hold. CAST it to text in the SQL or the transform, or publish outputs=['parquet'] only."
        )


def _version(digests: Mapping[str, bytes]) -> str:
    content = "\n".join(f"{format} {digest.hex()}" for format, digest in sorted(digests.items()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def _write(batches: Iterator[pa.RecordBatch], schema: pa.Schema, files: Mapping[str, Path]) -> int:
    import pyarrow as pa

    rows = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(format, path, schema)) for format, path in files.items()]
        for group in _row_groups(batches, _ROW_GROUP_ROWS):
            # Where a chunk ends, a Parquet page may end: the bytes must not depend on it.
            table = pa.Table.from_batches(group, schema).combine_chunks()
            rows += table.num_rows
            for writer in writers:
                writer.write_table(table)
    return rows


def _writer(format: str, path: Path, schema: pa.Schema) -> Any:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    if format == "parquet":
        return pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)
    return pa_csv.CSVWriter(str(path), schema)


def _row_groups(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Gather small batches: the same rows give the same file, however the result was cut into batches."""
    group: list[pa.RecordBatch] = []
    missing = rows
    for batch in batches:
        rest = batch
        while rest.num_rows >= missing:
            yield [*group, rest.slice(0, missing)]
            group, rest, missing = [], rest.slice(missing), rows
        if rest.num_rows:
            group.append(rest)
            missing -= rest.num_rows
    if group:
        yield group


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _upload(path: Path, staged: StagedObject, bucket: str, s3: S3Client) -> None:
    """Upload unless it is there already; S3 itself refuses bytes that differ from the checksum."""
    checksum = base64.b64encode(bytes.fromhex(staged.sha256)).decode()
    try:
        with path.open("rb") as file:
            s3.put_object(
                Bucket=bucket,
                Key=staged.key,
                Body=file,
                ContentType=_CONTENT_TYPES[staged.format],
                ChecksumSHA256=checksum,
                Metadata={"sha256": staged.sha256},
                IfNoneMatch="*",
            )
    except ClientError as error:
        if _code(error) not in _LOST_RACE:
            raise PublishError(
                f"s3://{bucket}/{staged.key} cannot be written: {error}. What was published stands unchanged."
            ) from error


def publish(
    staged: StagedVersion, facts: Mapping[str, Any], *, location: Location, s3: S3Client
) -> Publication:
    """Verify a staged version and make it the current one, in one conditional write.

    Args:
        staged: The version.
        facts: What the manifest says besides: `report`, `environment`, `period`, `provisional`,
            `query` (with `submitted_at`), `run`, `code_version`, `published_at`.
        location: The period.
        s3: Client to read and write with.

    Raises:
        PublishError: The staged objects are not what they should be, the manifest is not ours, or the
            write kept losing against others.
    """
    for expected in staged.objects:
        _verify(expected, location, s3)
    for _ in range(_FLIP_ATTEMPTS):
        current, etag = _read_manifest(location, s3)
        if current is not None and _is_newer(current, facts):
            return Publication("superseded", current)
        same_version = current is not None and current["version"] == staged.version
        if current is not None and same_version and _same_query(current, facts):
            return Publication("unchanged", current)
        manifest = _manifest(staged, facts, current)
        if _flip(manifest, etag, location, s3):
            return Publication("unchanged" if same_version else "published", manifest)
    raise PublishError(
        f"{location.manifest_uri} was changed by others at each of {_FLIP_ATTEMPTS} attempts. "
        f"See which runs publish this period at the same time, then clear publish."
    )


def _verify(expected: StagedObject, location: Location, s3: S3Client) -> None:
    address = f"s3://{location.bucket}/{expected.key}"
    try:
        found = s3.head_object(Bucket=location.bucket, Key=expected.key)
    except ClientError as error:
        raise PublishError(
            f"{address}, staged by transform, cannot be read: {error}. "
            f"Nothing was published; clear transform."
        ) from error
    size, sha256 = found["ContentLength"], found["Metadata"].get("sha256")
    if (size, sha256) != (expected.bytes, expected.sha256):
        raise PublishError(
            f"{address} is not what transform staged: {size} bytes with SHA-256 {sha256}, expected "
            f"{expected.bytes} bytes with {expected.sha256}. Nothing was published; delete it and clear "
            f"transform."
        )


def _read_manifest(location: Location, s3: S3Client) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the current manifest and its ETag, or two Nones for a period that was never published."""
    try:
        response = s3.get_object(Bucket=location.bucket, Key=location.manifest_key)
    except ClientError as error:
        if _code(error) in _ABSENT:
            return None, None
        raise PublishError(f"{location.manifest_uri} cannot be read: {error}.") from error
    try:
        manifest = json.loads(response["Body"].read())
        ours = (
            manifest["manifest_format"] == MANIFEST_FORMAT
            and manifest["period"]["id"] == location.period_id
            and manifest.keys() >= _READ_FIELDS
            and bool(manifest["query"]["submitted_at"])
        )
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise PublishError(
            f"{location.manifest_uri} is no manifest of this package and period. Nothing was overwritten: "
            f"see who wrote it, move it away, then clear publish."
        )
    return manifest, response["ETag"]


def _same_query(current: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    return all(current[name] == facts[name] for name in ("query", "provisional"))


def _is_newer(current: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether what is published comes from a later query than what is to be published.

    The texts are ISO 8601 in one zone and one precision, so they sort by time.
    """
    return bool(current["query"]["submitted_at"] > facts["query"]["submitted_at"])


def _manifest(
    staged: StagedVersion, facts: Mapping[str, Any], current: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "manifest_format": MANIFEST_FORMAT,
        **facts,
        **staged.to_dict(),
        "earlier_versions": _earlier_versions(staged, current),
    }


def _earlier_versions(staged: StagedVersion, current: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the other versions that were current before, latest first."""
    if current is None:
        return []
    latest = {name: current[name] for name in ("version", "rows", "published_at", "provisional")}
    return [
        earlier for earlier in (latest, *current["earlier_versions"]) if earlier["version"] != staged.version
    ]


def _flip(manifest: Mapping[str, Any], etag: str | None, location: Location, s3: S3Client) -> bool:
    """Replace the manifest that has `etag`, or create it; False when somebody else was faster."""
    body = json.dumps(manifest, indent=2, ensure_ascii=False).encode()
    condition: dict[str, Any] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        s3.put_object(
            Bucket=location.bucket,
            Key=location.manifest_key,
            Body=body,
            ContentType="application/json",
            **condition,
        )
    except ClientError as error:
        if _code(error) in _LOST_RACE:
            return False
        raise PublishError(
            f"{location.manifest_uri} cannot be written: {error}. What was published stands unchanged."
        ) from error
    return True


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
