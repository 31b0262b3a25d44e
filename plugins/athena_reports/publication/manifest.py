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
    """The rows of a period in S3."""

    version: str  # its name, which no two uploads share
    ordered: bool  # whether the order of the rows has a meaning
    rows: int
    columns: tuple[TableColumn, ...]
    objects: tuple[PublishedObject, ...]  # the rows in each format
    key: tuple[str, ...] = ()  # the columns that tell rows apart; empty if none is declared
    # A digest of the rows, without the columns that come from the period before. It stands for the
    # source tables, which the SQL of the next period reads: a change of the tables that leaves the
    # rows as they are is not seen. Empty if the SQL does not read the period before.
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
    """The query of a version; its SQL is at `PeriodLocation.sql_uri`."""

    id: str
    submitted_at: str
    statement: str = ""  # SELECT or UNLOAD
    reads_previous: bool = False  # whether the SQL reads the period before
    sql_sha256: str = ""
    scanned_bytes: int = 0
    price_usd: float | None = None  # None on a capacity reservation, or if the price is not known
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
    """The run that published a version."""

    dag_id: str
    run_id: str
    # Of its task `publish`. Airflow changes it if the task is cleared, and not if it is retried.
    max_tries: int = 0


class Difference(BaseModel, frozen=True):
    """How many rows a version adds to the one before, removes and, by its key, changes."""

    added: int
    removed: int
    changed: int = 0


class Reading(BaseModel, frozen=True):
    """What the next period reads of a period from some time on."""

    digest: str  # `Version.read_by_next`
    since: str  # when the query was submitted that first gave rows with this digest


class EarlierVersion(BaseModel, frozen=True):
    """A version that was current before."""

    version: str
    rows: int
    published_at: str
    provisional: bool
    replaced_at: str
    difference: Difference | None  # what its successor changed; None if it could not be counted
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
    """A period as readers outside of this package get it; the steps hand on the `Period` itself."""

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
    """To whom a version is to be delivered, if it was published early enough."""

    channels: tuple[str, ...]  # names of those that the report had when the version was published
    until: str  # for the first version of the period that a channel gets
    correct_until: str  # for a correction

    def is_in_time(self, published_at: str, *, is_correction: bool) -> bool:
        """Return whether a version was published early enough to be delivered.

        Its publication counts: a server that is down for long delays a delivery, and does not
        lose it.
        """
        until = self.correct_until if is_correction else self.until
        return datetime.fromisoformat(published_at) <= datetime.fromisoformat(until)


class PeriodFacts(BaseModel, frozen=True):
    """What the manifest and the partition in Glue both have of a published period."""

    report: str
    environment: str
    period: PublishedPeriod
    settles_at: str  # when the last event of the period has arrived
    provisional: bool  # whether events of it, or of a part that it read, might still arrive
    partial: bool  # whether partitions of the input were missing
    published_at: str
    query: QueryFacts  # that gave the rows last
    run: RunFacts  # of that query
    logic: str = ""  # by `logic_digest`; empty in a hand-written DAG
    delivery: PlannedDelivery | None = None  # None if the report had no channels
    # Of each report that it reads, by its table, the version of each part, by its period id.
    parts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)


class PublicationFacts(PeriodFacts, frozen=True):
    """What a manifest says besides its version and its history."""

    missing_partitions: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    code_version: str  # of this package
    bundle_version: str = ""  # of the DAG bundle, such as a commit; empty without one


class PartitionFacts(PeriodFacts, frozen=True, from_attributes=True):
    """What the partition in Glue has of a manifest, for those who list periods."""

    version: str
    rows: int
    bytes: int  # of its objects
    objects: tuple[PublishedObject, ...] = ()
    checks_warned: int  # how many of its checks failed and only warn
    readings: tuple[Reading, ...]
    earlier_versions: tuple[ReplacedVersion, ...] = ()  # latest first
    ledger: Mapping[str, Cost]  # of all queries of the period
    manifest_etag: str | None = None  # a manifest with another one may say something else
    broken: str = ""  # what the cleanup found missing or damaged in S3

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
    """

    manifest_format: Literal[1] = 1
    restated_at: str = ""  # when the query was submitted that last replaced other rows
    readings: tuple[Reading, ...] = ()  # for each time at which they changed, latest first
    earlier_versions: tuple[EarlierVersion, ...] = ()  # latest first
    repeated_queries: tuple[QueryFacts, ...] = ()  # that gave the rows of a version once more

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
        earlier_queries = [version.query for version in self.earlier_versions]
        queries = (self.query, *earlier_queries, *self.repeated_queries)
        # One query has several versions if its transform was changed and cleared.
        by_id = {query.id: query for query in queries}
        return merged(query.ledger for query in by_id.values())

    def partition(self, location: PeriodLocation, etag: str | None) -> Partition:
        """Return the partition of the period in Glue, by the ETag of this manifest."""
        facts = PartitionFacts.model_validate(self)
        facts = facts.model_copy(update={"manifest_etag": etag})
        return Partition(location.parquet_folder(self.version), facts)

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
