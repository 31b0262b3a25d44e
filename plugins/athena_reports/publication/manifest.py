"""The manifest of a period, and what Glue and `latest.json` say of it: the one place that knows their names.

Times are ISO 8601 in UTC with one precision, so that they sort as texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from athena_reports.periods.calendar import PeriodFacts
from athena_reports.publication.location import Location
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import Column
from athena_reports.rows.writer import Format

Text = Annotated[str, Field(min_length=1)]


class _Document(BaseModel, frozen=True):
    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read it from S3; a ValueError says that it is something else."""
        return cls.model_validate_json(text)

    def to_json(self) -> bytes:
        """Return its text."""
        return self.model_dump_json(indent=2).encode()


class PublishedObject(BaseModel, frozen=True):
    """The rows of a version in one format: S3 key, size, SHA-256 in hexadecimal, and number of rows."""

    format: Format
    key: str
    bytes: int
    sha256: str
    rows: int


class Version(BaseModel, frozen=True):
    """The rows of a period in S3, named by a hash of them; `ordered` says if their order has a meaning."""

    version: Text
    ordered: bool
    rows: int
    columns: tuple[Column, ...]
    objects: tuple[PublishedObject, ...]

    @property
    def formats(self) -> set[str]:
        """Its formats."""
        return {each.format for each in self.objects}

    @property
    def parquet_keys(self) -> list[str]:
        """Keys of its Parquet."""
        return [each.key for each in self.objects if each.format == "parquet"]


class QueryFacts(BaseModel, frozen=True):
    """The query of a version. `reads_previous` says whether its SQL reads the period before."""

    id: str
    submitted_at: Text
    statement: str = ""
    reads_previous: bool = False
    sql_sha256: str = ""
    scanned_bytes: int = 0
    price_usd: float = 0.0
    engine_version: str = ""


class RunFacts(BaseModel, frozen=True):
    """The run that published a version."""

    dag_id: str
    run_id: str


class Difference(BaseModel, frozen=True):
    """How many rows a version adds to the one before, and how many it removes."""

    added: int
    removed: int


class EarlierVersion(BaseModel, frozen=True):
    """A version that was current before; `difference` is what its successor changed, None if unknown."""

    version: str
    rows: int
    published_at: str
    provisional: bool
    replaced_at: str
    difference: Difference | None


class PublicationFacts(BaseModel, frozen=True):
    """What a manifest says besides its version.

    `settles_at` is when the last event of the period has arrived; `provisional`, whether the query was
    submitted before; `partial`, whether partitions of the input were missing.
    """

    report: str
    environment: str
    period: PeriodFacts
    settles_at: str
    provisional: bool
    partial: bool
    missing_partitions: tuple[str, ...]
    published_at: str
    query: QueryFacts
    checks: tuple[CheckResult, ...]
    run: RunFacts
    code_version: str


class Manifest(Version, PublicationFacts, _Document, frozen=True):
    """`manifest.json`: the current version of a period, where it comes from, and its history, latest first.

    `restated_at` is when the query was submitted that last replaced other rows; empty for never.
    """

    manifest_format: Literal[1]
    restated_at: str = ""
    earlier_versions: tuple[EarlierVersion, ...] = ()

    def latest(self, location: Location) -> Latest:
        """Return what `latest.json` says if this period is the latest one."""
        return Latest(
            **self.model_dump(include=set(Latest.model_fields) - {"manifest"}),
            cadence=location.cadence,
            manifest=location.manifest_key,
            submitted_at=self.query.submitted_at,
        )

    def partition_parameters(self, location: Location) -> dict[str, str]:
        """Return the parameters of the period's partition in Glue; `PartitionFacts` reads them."""
        named = set(PartitionFacts.model_fields)
        facts = PartitionFacts(
            **self.model_dump(include=named - {"manifest"}),
            **self.period.model_dump(include=named),
            **self.query.model_dump(include=named),
            **self.run.model_dump(),
            bytes=sum(each.bytes for each in self.objects),
            query_id=self.query.id,
            manifest=location.manifest_uri,
            checks_warned=sum(not check.passed for check in self.checks),
            earlier=len(self.earlier_versions),
        )
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in facts}


class Latest(_Document, frozen=True):
    """`latest.json`: which period of a report is the latest published one."""

    report: str
    cadence: str
    period: PeriodFacts
    manifest: str
    version: str
    rows: int
    provisional: bool
    partial: bool
    published_at: str
    submitted_at: str

    @property
    def age(self) -> tuple[str, str]:
        """The later period is greater, and of one period the later query."""
        return self.period.start_utc, self.submitted_at


class PartitionFacts(BaseModel, frozen=True):
    """The main facts of a manifest, as its partition in Glue has them for those who list periods."""

    version: str
    rows: int
    bytes: int
    published_at: str
    submitted_at: Text
    settles_at: str
    restated_at: str
    reads_previous: bool
    provisional: bool
    partial: bool
    start: str
    end: str
    timezone: str
    scanned_bytes: int
    price_usd: float
    query_id: str
    dag_id: str
    run_id: str
    manifest: str
    checks_warned: int
    earlier: int

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read the parameters of a partition; those that others added are ignored.

        Raises:
            ValueError: They are not those of a published period.
        """
        return cls.model_validate(parameters)
