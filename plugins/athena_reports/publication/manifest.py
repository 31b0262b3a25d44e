"""What is published of a period: the models of `manifest.json` and of its partition in Glue.

Each document is read and written through its model. Times are ISO 8601 in UTC, so they sort as
texts.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, Field, ValidationError

from athena_reports.periods.calendar import Period, Unit
from athena_reports.publication.costs import Cost, Ledger, merged
from athena_reports.publication.location import PeriodLocation
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.formats import Format

_PARAMETER = "athena_reports"  # of a partition in Glue; its value is the JSON of `PartitionFacts`


class PublishedObject(BaseModel, frozen=True):
    """The rows of a version in one format; `sha256` is in hexadecimal."""

    format: Format
    key: str
    bytes: int
    sha256: str
    rows: int


class Version(BaseModel, frozen=True):
    """The rows of a period in S3.

    Attributes:
        version: Its name, which no two uploads share.
        ordered: Whether the order of the rows has a meaning.
        objects: The rows in each format.
        key: The columns that tell rows apart; empty if the report declares none.
        read_by_next: A digest of the rows, without the columns that come from the period before.
            The SQL of the next period reads the source tables and not these rows, but if the tables
            change, the rows do. A change of the tables that leaves the rows as they are is not
            seen. It is empty if the SQL of the report does not read the period before.
    """

    version: str
    ordered: bool
    rows: int
    columns: tuple[TableColumn, ...]
    objects: tuple[PublishedObject, ...]
    key: tuple[str, ...] = ()
    read_by_next: str = ""

    @property
    def content(self) -> frozenset[tuple[Format, str]]:
        """The SHA-256 of the rows in each format."""
        return frozenset((item.format, item.sha256) for item in self.objects)

    @property
    def private_columns(self) -> tuple[str, ...]:
        """The columns whose values stay in S3."""
        return tuple(column.name for column in self.columns if column.private)

    @property
    def parquet_key(self) -> str:
        """Key of its Parquet; empty if there is none."""
        return next((item.key for item in self.objects if item.format == "parquet"), "")


class QueryFacts(BaseModel, frozen=True):
    """The query of a version; its SQL is at `PeriodLocation.sql_uri`.

    Attributes:
        statement: SELECT or UNLOAD.
        reads_previous: Whether the SQL reads the period before.
        price_usd: None on a capacity reservation, which bills no bytes, and where the region's
            price is not known.
    """

    id: str
    submitted_at: str
    statement: str = ""
    reads_previous: bool = False
    sql_sha256: str = ""
    scanned_bytes: int = 0
    price_usd: float | None = None
    engine_version: str = ""

    @property
    def ledger(self) -> Ledger:
        """What it cost, by the UTC month of its submission."""
        cost = Cost(
            queries=1,
            scanned_bytes=self.scanned_bytes,
            price_usd=self.price_usd or 0.0,
            unpriced=int(self.price_usd is None),
        )
        return {self.submitted_at[:7]: cost}


class RunFacts(BaseModel, frozen=True):
    """The run that published a version.

    `max_tries` is that of its task `publish`. Airflow changes it if the task is cleared, and not if
    it is retried.
    """

    dag_id: str
    run_id: str
    max_tries: int = 0


class Difference(BaseModel, frozen=True):
    """How many rows a version adds to the one before, removes and changes.

    A changed row has other values for the same key. Without a key, it is one that is removed and
    one that is added.
    """

    added: int
    removed: int
    changed: int = 0


class Reading(BaseModel, frozen=True):
    """What the next period reads of a period from some time on.

    `digest` is `Version.read_by_next`, and `since` is when the query was submitted that first gave
    rows with this digest.
    """

    digest: str
    since: str


class EarlierVersion(BaseModel, frozen=True):
    """A version that was current before.

    `difference` is what its successor changed; None if it could not be counted.
    """

    version: str
    rows: int
    published_at: str
    provisional: bool
    replaced_at: str
    difference: Difference | None
    query: QueryFacts
    code_version: str
    bundle_version: str = ""
    logic: str = ""
    private_columns: tuple[str, ...] = ()


class ReplacedVersion(BaseModel, frozen=True, from_attributes=True):
    """What the partition in Glue has of a version that was current before."""

    version: str
    replaced_at: str


class PublishedPeriod(BaseModel, frozen=True):
    """A period as readers outside of this package get it.

    `cadence` is its name, `timezone` is an IANA zone, and the bounds are local and in UTC. The
    steps of a run hand on the `Period` itself.
    """

    id: str
    cadence: Unit
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
            cadence=period.cadence.unit,
            timezone=period.cadence.timezone,
            start=period.start.isoformat(),
            end=period.end.isoformat(),
            start_utc=period.start_utc.isoformat(),
            end_utc=period.end_utc.isoformat(),
        )


class PlannedDelivery(BaseModel, frozen=True):
    """To whom a version is to be delivered.

    `channels` are the names of those that the report had when the version was published. A channel
    gets its first version of the period if that was published by `until`, and a correction if that
    was published by `correct_until`.
    """

    channels: tuple[str, ...]
    until: str
    correct_until: str

    def is_in_time(self, published_at: str, *, is_correction: bool) -> bool:
        """Return whether a version was published early enough to be delivered.

        The time that counts is that of the publication: a server that is down for long delays a
        delivery, and does not lose it.
        """
        until = self.correct_until if is_correction else self.until
        return datetime.fromisoformat(published_at) <= datetime.fromisoformat(until)


class PeriodFacts(BaseModel, frozen=True):
    """What the manifest and the partition in Glue both have of a published period.

    Attributes:
        settles_at: When the last event of the period has arrived.
        provisional: Whether events of it, or of a part that it read, might still arrive.
        partial: Whether partitions of the input were missing.
        query: The query that gave the rows last.
        run: The run of that query.
        logic: Kind and digest of what made the rows, by `logic_digest`; `unknown` if a transform
            cannot be read, empty in a hand-written DAG.
        delivery: To whom the version is to be delivered; None if the report had no channels.
        parts: Of each report that it reads, by its table, the version of each part, by its period
            id.
    """

    report: str
    environment: str
    period: PublishedPeriod
    settles_at: str
    provisional: bool
    partial: bool
    published_at: str
    query: QueryFacts
    run: RunFacts
    logic: str = ""
    delivery: PlannedDelivery | None = None
    parts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)


class PublicationFacts(PeriodFacts, frozen=True):
    """What a manifest says besides its version and its history.

    `code_version` is that of this package, and `bundle_version` that of the DAG bundle, such as a
    commit; empty without one.
    """

    missing_partitions: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    code_version: str
    bundle_version: str = ""


class PartitionFacts(PeriodFacts, frozen=True, from_attributes=True):
    """What the partition in Glue has of a manifest, for those who list periods.

    Attributes:
        bytes: The size of its objects.
        checks_warned: How many of its checks failed and only warn.
        earlier_versions: The versions that were current before, latest first.
        ledger: What all queries of the period cost.
        manifest_etag: The ETag of the manifest that this is of. A manifest in S3 with another ETag
            may say something else.
        broken: What the cleanup found missing or damaged in S3; empty for a whole period.
    """

    version: str
    rows: int
    bytes: int
    objects: tuple[PublishedObject, ...] = ()
    checks_warned: int
    readings: tuple[Reading, ...]
    earlier_versions: tuple[ReplacedVersion, ...] = ()
    ledger: Mapping[str, Cost]
    manifest_etag: str | None = None
    broken: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self | None:
        """Read the parameters of a partition; None if this package did not write them."""
        try:
            return cls.model_validate_json(parameters.get(_PARAMETER, ""))
        except ValidationError:
            return None

    def as_parameters(self) -> dict[str, str]:
        """Return the parameters of the partition."""
        return {_PARAMETER: self.model_dump_json()}


class Partition(NamedTuple):
    """A partition in Glue: the `s3://` folder of its Parquet, and its facts."""

    location: str
    facts: PartitionFacts

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self | None:
        """Return a partition by Glue's description of it; None if another program wrote it."""
        facts = PartitionFacts.from_parameters(stored.get("Parameters", {}))
        return None if facts is None else cls(stored["StorageDescriptor"]["Location"], facts)


def partitions_by_period(stored_partitions: Iterable[Mapping[str, Any]]) -> dict[str, Partition]:
    """Return partitions by period id, without those of other programs."""
    partitions = {}
    for stored in stored_partitions:
        partition = Partition.of(stored)
        if partition is not None:
            partitions[stored["Values"][0]] = partition
    return partitions


class Manifest(Version, PublicationFacts, frozen=True):
    """`manifest.json`: the current version of a period, where it comes from, and its history.

    `latest.json` is a copy of the manifest of the latest period.

    Attributes:
        restated_at: When the query was submitted that last replaced other rows; empty if none did.
        readings: What the next period reads of this one, for each time at which that changed,
            latest first.
        earlier_versions: The versions that were current before, latest first.
        repeated_queries: The queries that gave the rows of a version once more.
    """

    manifest_format: Literal[1] = 1
    restated_at: str = ""
    readings: tuple[Reading, ...] = ()
    earlier_versions: tuple[EarlierVersion, ...] = ()
    repeated_queries: tuple[QueryFacts, ...] = ()

    @classmethod
    def of(cls, version: Version, facts: PublicationFacts, **history: Any) -> Self:
        """Return the manifest of a version; `history` has the fields that are named here."""
        return cls(**dict(version), **dict(facts), **history)

    @property
    def bytes(self) -> int:
        """The size of the objects of the current version."""
        return sum(item.bytes for item in self.objects)

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The checks that failed and only warn: with another one, nothing is published."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def checks_warned(self) -> int:
        """How many checks failed and only warn."""
        return len(self.warnings)

    @property
    def ledger(self) -> Ledger:
        """What the queries of the period cost, each query counted once."""
        # One query has several versions if its transform was changed and cleared.
        earlier_queries = [version.query for version in self.earlier_versions]
        queries = {
            query.id: query for query in (self.query, *earlier_queries, *self.repeated_queries)
        }
        return merged(query.ledger for query in queries.values())

    def partition(self, location: PeriodLocation, etag: str | None) -> Partition:
        """Return the partition of the period in Glue, by the ETag of this manifest."""
        facts = PartitionFacts.model_validate(self)
        return Partition(
            location.parquet_folder(self.version),
            facts.model_copy(update={"manifest_etag": etag}),
        )

    def as_earlier_version(self, replaced_at: str, difference: Difference | None) -> EarlierVersion:
        """Return what the next manifest says of this version."""
        return EarlierVersion(
            version=self.version,
            rows=self.rows,
            published_at=self.published_at,
            provisional=self.provisional,
            replaced_at=replaced_at,
            difference=difference,
            query=self.query,
            code_version=self.code_version,
            bundle_version=self.bundle_version,
            logic=self.logic,
            private_columns=self.private_columns,
        )
