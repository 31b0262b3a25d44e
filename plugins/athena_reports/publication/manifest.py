"""The manifest of a period, and what Glue and `latest.json` say of it; times are ISO 8601 in UTC and sort as texts."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, Field, Json

from athena_reports.aws.s3 import split_uri
from athena_reports.periods.calendar import Period
from athena_reports.publication.costs import Cost, Ledger, merged, paid_for
from athena_reports.publication.location import PeriodLocation
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import Column
from athena_reports.rows.writer import Format

Text = Annotated[str, Field(min_length=1)]


class PublishedObject(BaseModel, frozen=True):
    """The rows of a version in one format; `sha256` is in hexadecimal."""

    format: Format
    key: str
    bytes: int
    sha256: str
    rows: int


class Version(BaseModel, frozen=True):
    """The rows of a period in S3; no two uploads share a name. `ordered` says if the order has a meaning."""

    version: Text
    ordered: bool
    rows: int
    columns: tuple[Column, ...]
    objects: tuple[PublishedObject, ...]

    @property
    def content(self) -> frozenset[tuple[Format, str]]:
        """The SHA-256 of the rows in each format."""
        return frozenset((each.format, each.sha256) for each in self.objects)

    @property
    def parquet_key(self) -> str:
        """Key of its Parquet; empty if there is none."""
        return next((each.key for each in self.objects if each.format == "parquet"), "")


class QueryFacts(BaseModel, frozen=True):
    """The query of a version; its SQL is at `PeriodLocation.sql_uri`.

    `statement` is its kind, SELECT or UNLOAD. `reads_previous` says whether its SQL reads the period before.
    `price_usd` is None on a capacity reservation, which bills no bytes, and where the region's price is not known.
    """

    id: str
    submitted_at: Text
    statement: str = ""
    reads_previous: bool = False
    sql_sha256: str = ""
    scanned_bytes: int = 0
    price_usd: float | None = None
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
    query: QueryFacts
    code_version: str
    logic: str = ""


class PublishedPeriod(BaseModel, frozen=True):
    """A period as `manifest.json` and `latest.json` name it, for readers outside of this package.

    `cadence` is its name, `timezone` is an IANA zone, and the bounds are local and in UTC. Steps hand on the `Period`.
    """

    id: str
    cadence: str
    timezone: str
    start: str
    end: str
    start_utc: str
    end_utc: str

    @classmethod
    def of(cls, period: Period) -> Self:
        """Return what is published of a period."""
        return cls(
            id=period.id,
            cadence=period.cadence.name,
            timezone=period.cadence.timezone,
            start=period.start.isoformat(),
            end=period.end.isoformat(),
            start_utc=period.start_utc.isoformat(),
            end_utc=period.end_utc.isoformat(),
        )


class PublicationFacts(BaseModel, frozen=True):
    """What a manifest says besides its version."""

    report: str
    environment: str
    period: PublishedPeriod
    settles_at: str  # when the last event of the period has arrived
    provisional: bool  # the query was submitted before
    partial: bool  # partitions of the input were missing
    missing_partitions: tuple[str, ...]
    published_at: str
    query: QueryFacts
    checks: tuple[CheckResult, ...]
    run: RunFacts
    code_version: str
    logic: str = ""  # kind and digest of what made the rows: see `logic_digest`; empty in a DAG of one's own


class Latest(BaseModel, frozen=True, extra="allow"):
    """`latest.json`: which period of a report is the latest published one, with the facts of `Manifest.latest`."""

    period: PublishedPeriod
    manifest: str
    submitted_at: str

    def or_later(self, found: Self | None) -> Self:
        """Return the one of the later period, and of one period the one of the later query."""
        return max(self, found or self, key=lambda each: (each.period.start_utc, each.submitted_at))


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
    price_usd: float | None = None
    query_id: str
    dag_id: str
    run_id: str
    manifest: str
    checks_warned: int
    earlier: int
    logic: str = ""
    paid: Json[dict[str, Cost]] = Field(default_factory=dict)  # for all its queries; empty if an older release wrote it
    broken: str = ""  # what the cleanup found missing or damaged in S3

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read a partition's parameters, also among others'; ValueError if it is not of a published period."""
        return cls.model_validate(parameters)

    @property
    def ledger(self) -> Ledger:
        """What the queries of the period cost."""
        return self.paid or paid_for(self)


class Partition(NamedTuple):
    """What Glue says of a period: the `s3://` folder of its Parquet, and the parameters."""

    location: str
    parameters: Mapping[str, str]


class Manifest(Version, PublicationFacts, frozen=True):
    """`manifest.json`: the current version of a period, where it comes from, and its history, latest first."""

    manifest_format: Literal[1]
    restated_at: str = ""  # when the query was submitted that last replaced other rows
    earlier_versions: tuple[EarlierVersion, ...] = ()
    repeated_queries: tuple[QueryFacts, ...] = ()  # that gave the rows of a version once more

    @property
    def ledger(self) -> Ledger:
        """What the queries of the period cost, each query counted once."""
        earlier = [version.query for version in self.earlier_versions]
        # One query has several versions if its transform was changed and cleared.
        queries = {query.id: query for query in (self.query, *earlier, *self.repeated_queries)}
        return merged(paid_for(query) for query in queries.values())

    def latest(self, location: PeriodLocation) -> Latest:
        """Return what `latest.json` says if this period is the latest one."""
        shared = {"report", "period", "version", "rows", "provisional", "partial", "published_at"}
        _, manifest_key = split_uri(location.manifest_uri)
        facts: dict[str, Any] = self.model_dump(include=shared)
        facts["cadence"] = location.report.cadence_name
        facts["manifest"] = manifest_key
        facts["submitted_at"] = self.query.submitted_at
        return Latest.model_validate(facts)

    def partition(self, location: PeriodLocation) -> Partition:
        """Return what Glue says of the period; `PartitionFacts` reads the parameters."""
        named: dict[str, Any] = {"query_id": self.query.id, "manifest": location.manifest_uri}
        named |= {"bytes": sum(each.bytes for each in self.objects), "earlier": len(self.earlier_versions)}
        named["checks_warned"] = sum(not check.passed for check in self.checks)
        facts = PartitionFacts(**dict(self.period) | dict(self.query) | dict(self.run) | dict(self) | named)
        parameters = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in facts
            if value is not None
        }
        parameters["paid"] = json.dumps(self.ledger)
        return Partition(f"{location.version_uri(self.version)}parquet/", parameters)
