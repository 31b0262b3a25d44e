"""The manifest of a period, and what Glue and `latest.json` say of it.

Every field of these documents is written and read through the models here. Times are ISO 8601 in
UTC, so they sort as texts.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, Field, Json

from athena_reports.aws.s3 import split_uri
from athena_reports.periods.calendar import Period, Unit
from athena_reports.publication.costs import Cost, Ledger, merged, paid_for
from athena_reports.publication.location import PeriodLocation
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.formats import Format

Text = Annotated[str, Field(min_length=1)]  # not empty


class PublishedObject(BaseModel, frozen=True):
    """The rows of a version in one format; `sha256` is in hexadecimal."""

    format: Format
    key: str
    bytes: int
    sha256: str
    rows: int


class Version(BaseModel, frozen=True):
    """The rows of a period in S3.

    `version` is its name, which no two uploads share. `ordered` says whether the order of the rows
    has a meaning. `key` has the columns that tell rows apart; it is empty if none are known to, and
    in what an older release published.

    `read_by_next` stands for what the next period finds if its SQL reads this period. That SQL
    reads the source tables, not these rows. But if the tables change, the rows do. So it is a
    digest of the rows, without the columns that come from the period before this one, which the
    next period does not read. A change of the tables that leaves the rows as they are is not seen.
    It is empty if the SQL of the report does not read the period before.
    """

    version: Text
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
        for item in self.objects:
            if item.format == "parquet":
                return item.key
        return ""


class QueryFacts(BaseModel, frozen=True):
    """The query of a version; its SQL is at `PeriodLocation.sql_uri`.

    `statement` is its kind, SELECT or UNLOAD. `reads_previous` says whether its SQL reads the
    period before. `price_usd` is None on a capacity reservation, which bills no bytes, and where
    the region's price is not known.
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
    """The run that published a version.

    `max_tries` is that of its task `publish`. Airflow changes it if the task is cleared, and not if
    it is retried. It is 0 in what an older release published.
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
    """What the next period finds if it reads a period from some time on.

    `digest` is `Version.read_by_next`, and `since` is when the query was submitted that first gave
    rows with this digest.
    """

    digest: str
    since: str


class EarlierVersion(BaseModel, frozen=True):
    """A version that was current before.

    `difference` is what its successor changed; None if that is not known. `private_columns` are
    those whose values stay in S3.
    """

    version: str
    rows: int
    published_at: str
    provisional: bool
    replaced_at: str
    difference: Difference | None
    query: QueryFacts
    code_version: str
    logic: str = ""
    private_columns: tuple[str, ...] = ()


class PublishedPeriod(BaseModel, frozen=True):
    """A period as `manifest.json` and `latest.json` name it, for readers outside of this package.

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
        """Return what is published of a period. The bounds are the texts of its wire form."""
        wire_form = period.model_dump(mode="json")
        return cls(
            id=period.id,
            cadence=period.cadence.unit,
            timezone=period.cadence.timezone,
            start=wire_form["start"],
            end=wire_form["end"],
            start_utc=wire_form["start_utc"],
            end_utc=wire_form["end_utc"],
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


class PublicationFacts(BaseModel, frozen=True):
    """What a manifest says besides its version."""

    report: str
    environment: str
    period: PublishedPeriod
    settles_at: str  # when the last event of the period has arrived
    provisional: bool  # events of it, or of a part that it read, might still arrive
    partial: bool  # partitions of the input were missing
    missing_partitions: tuple[str, ...]
    published_at: str
    query: QueryFacts
    checks: tuple[CheckResult, ...]
    run: RunFacts
    code_version: str
    # Kind and digest of what made the rows, by `logic_digest`; `unknown` if a transform cannot be
    # read, empty in a DAG of one's own.
    logic: str = ""
    # The digest of the transforms alone, by `transforms_digest`; likewise.
    transforms_logic: str = ""
    delivery: PlannedDelivery | None = None  # None if the report had no channels
    # Of each report that it reads, by its table, the version of each part, by its period id.
    parts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)


class Latest(BaseModel, frozen=True, extra="allow"):
    """`latest.json`: which period of a report is the latest published one.

    It has more facts than these fields: see `Manifest.latest`.
    """

    latest_format: Literal[1] = 1
    period: PublishedPeriod
    manifest: str
    submitted_at: str

    def is_before(self, other: Self) -> bool:
        """Whether the other one is of a later period, or of a later query of the same period."""
        if self.period.start_utc != other.period.start_utc:
            return self.period.start_utc < other.period.start_utc
        return self.submitted_at < other.submitted_at


class PartitionFacts(BaseModel, frozen=True):
    """The main facts of a manifest, which its partition in Glue has for those who list periods."""

    version: str
    rows: int
    bytes: int
    published_at: str
    submitted_at: Text
    settles_at: str
    restated_at: str
    reads_previous: bool
    # `Reading.digest` by `Reading.since`, read from JSON; empty if an older release wrote the
    # partition.
    readings: Json[dict[str, str]] = Field(default_factory=dict)
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
    environment: str = ""  # empty if an older release wrote the partition
    checks_warned: int  # checks that failed and only warn
    earlier: int  # earlier versions
    logic: str = ""
    # What all queries of the period cost, read from JSON; empty if an older release wrote the
    # partition.
    paid: Json[dict[str, Cost]] = Field(default_factory=dict)
    broken: str = ""  # what the cleanup found missing or damaged in S3
    channels: str | None = None  # those of `PlannedDelivery`, with commas between
    deliver_until: str | None = None
    correct_until: str | None = None
    # `PublicationFacts.parts`, read from JSON; empty if the report reads no other.
    parts: Json[dict[str, dict[str, str]]] = Field(default_factory=dict)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read the parameters of a partition, which may have others too.

        Raises:
            ValueError: The partition is not of a published period.
        """
        return cls.model_validate(parameters)

    @property
    def delivery(self) -> PlannedDelivery | None:
        """To whom the version is to be delivered; None if the report had no channels."""
        if self.channels is None or self.deliver_until is None or self.correct_until is None:
            return None
        return PlannedDelivery(
            channels=tuple(self.channels.split(",")),
            until=self.deliver_until,
            correct_until=self.correct_until,
        )

    @property
    def ledger(self) -> Ledger:
        """What the queries of the period cost.

        If an older release wrote the partition, only that of the current version is known.
        """
        if self.paid:
            return self.paid
        return paid_for(self)


class Partition(NamedTuple):
    """What Glue says of a period: the `s3://` folder of its Parquet, and the parameters."""

    location: str
    parameters: Mapping[str, str]


class Manifest(Version, PublicationFacts, frozen=True):
    """`manifest.json`: the current version of a period, where it comes from, and its history.

    Attributes:
        restated_at: When the query was submitted that last replaced other rows; empty if none did.
        readings: What the next period finds if it reads this one, for each time at which that
            changed, latest first.
        earlier_versions: The versions that were current before, latest first.
        repeated_queries: The queries that gave the rows of a version once more.
    """

    manifest_format: Literal[1]
    restated_at: str = ""
    readings: tuple[Reading, ...] = ()
    earlier_versions: tuple[EarlierVersion, ...] = ()
    repeated_queries: tuple[QueryFacts, ...] = ()

    @classmethod
    def of(
        cls,
        version: Version,
        facts: PublicationFacts,
        *,
        restated_at: str = "",
        readings: tuple[Reading, ...] = (),
        earlier_versions: tuple[EarlierVersion, ...] = (),
        repeated_queries: tuple[QueryFacts, ...] = (),
    ) -> Self:
        """Return the manifest that names a version as the current one, as reading it back gives it.

        For a first publication, the history is empty. `readings` are those before this version.
        """
        reading = Reading(digest=version.read_by_next, since=facts.query.submitted_at)
        manifest = cls(
            manifest_format=1,
            version=version.version,
            ordered=version.ordered,
            rows=version.rows,
            columns=version.columns,
            objects=version.objects,
            key=version.key,
            read_by_next=version.read_by_next,
            report=facts.report,
            environment=facts.environment,
            period=facts.period,
            settles_at=facts.settles_at,
            provisional=facts.provisional,
            partial=facts.partial,
            missing_partitions=facts.missing_partitions,
            published_at=facts.published_at,
            query=facts.query,
            checks=facts.checks,
            run=facts.run,
            code_version=facts.code_version,
            logic=facts.logic,
            transforms_logic=facts.transforms_logic,
            delivery=facts.delivery,
            parts=facts.parts,
            restated_at=restated_at,
            readings=_with_reading(readings, reading),
            earlier_versions=earlier_versions,
            repeated_queries=repeated_queries,
        )
        # It is compared with manifests that were read, so it has only what JSON keeps.
        return cls.model_validate_json(manifest.model_dump_json())

    def as_earlier_version(self, replaced_at: str, difference: Difference | None) -> EarlierVersion:
        """Return what the next manifest says of this version.

        Args:
            replaced_at: When the next version is published.
            difference: What the next version changes; None if unknown.
        """
        return EarlierVersion(
            version=self.version,
            rows=self.rows,
            published_at=self.published_at,
            provisional=self.provisional,
            replaced_at=replaced_at,
            difference=difference,
            query=self.query,
            code_version=self.code_version,
            logic=self.logic,
            private_columns=self.private_columns,
        )

    @property
    def ledger(self) -> Ledger:
        """What the queries of the period cost, each query counted once."""
        # One query has several versions if its transform was changed and cleared.
        queries = {self.query.id: self.query}
        for version in self.earlier_versions:
            queries[version.query.id] = version.query
        for query in self.repeated_queries:
            queries[query.id] = query
        return merged(paid_for(query) for query in queries.values())

    def latest(self, location: PeriodLocation) -> Latest:
        """Return what `latest.json` says if this period is the latest one."""
        _, manifest_key = split_uri(location.manifest_uri)
        return Latest.model_validate(
            {
                "report": self.report,
                "period": self.period,
                "provisional": self.provisional,
                "partial": self.partial,
                "published_at": self.published_at,
                "version": self.version,
                "rows": self.rows,
                "cadence": location.report.cadence_name,
                "manifest": manifest_key,
                "submitted_at": self.query.submitted_at,
            }
        )

    def partition(self, location: PeriodLocation) -> Partition:
        """Return what Glue says of the period; `PartitionFacts` reads the parameters."""
        facts = PartitionFacts(
            version=self.version,
            rows=self.rows,
            bytes=sum(item.bytes for item in self.objects),
            published_at=self.published_at,
            submitted_at=self.query.submitted_at,
            settles_at=self.settles_at,
            restated_at=self.restated_at,
            reads_previous=self.query.reads_previous,
            provisional=self.provisional,
            partial=self.partial,
            start=self.period.start,
            end=self.period.end,
            timezone=self.period.timezone,
            scanned_bytes=self.query.scanned_bytes,
            price_usd=self.query.price_usd,
            query_id=self.query.id,
            dag_id=self.run.dag_id,
            run_id=self.run.run_id,
            manifest=location.manifest_uri,
            environment=self.environment,
            checks_warned=sum(not check.passed for check in self.checks),
            earlier=len(self.earlier_versions),
            logic=self.logic,
        )
        if self.delivery is not None:
            channels = ",".join(self.delivery.channels)
            update = {
                "channels": channels,
                "deliver_until": self.delivery.until,
                "correct_until": self.delivery.correct_until,
            }
            facts = facts.model_copy(update=update)
        parameters = _as_texts(facts)
        # These fields only read JSON. Each cost is written as a list, in the order of its fields.
        parameters["paid"] = json.dumps(self.ledger)
        parameters["parts"] = json.dumps(self.parts)
        if not self.parts:
            del parameters["parts"]
        readings = {reading.since: reading.digest for reading in self.readings}
        parameters["readings"] = json.dumps(readings)
        return Partition(f"{location.version_uri(self.version)}parquet/", parameters)


def _with_reading(readings: Sequence[Reading], latest: Reading) -> tuple[Reading, ...]:
    """Return the readings of a period with one more, latest first.

    If it has the digest of the one before, nothing is added. If it is of the same query as the one
    before, it takes its place: only the transform was edited between, and the tables that the next
    period reads are the same.
    """
    earlier = tuple(reading for reading in readings if reading.since < latest.since)
    if earlier and earlier[0].digest == latest.digest:
        return earlier
    return (latest, *earlier)


def _as_texts(facts: PartitionFacts) -> dict[str, str]:
    """Return facts as the parameters of a partition, which are texts.

    What is not known is left out.
    """
    texts = {}
    for name, value in facts:
        if value is None:
            continue
        text = str(value)
        if isinstance(value, bool):
            text = text.lower()
        texts[name] = text
    return texts
