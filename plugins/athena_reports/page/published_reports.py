"""What is published, as Glue and S3 have it.

Partitions are cached, so many viewers cost no more calls than one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from threading import BoundedSemaphore, Condition
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from botocore.exceptions import BotoCoreError, ClientError
from cachetools import TLRUCache, TTLCache, cached  # type: ignore[import-untyped]

from athena_reports.aws.s3 import S3
from athena_reports.delivery.table_columns import label_of
from athena_reports.errors import AthenaReportsError
from athena_reports.page.runs import ReportDag
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest, PartitionFacts
from athena_reports.queries.execution import console_url
from athena_reports.rows.columns import is_number
from athena_reports.rows.engine import open_engine, reason
from athena_reports.settings import settings
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

SHOWN_ROWS = 100
SHOWN_CHARS = 200  # of a value
# The most that is read of one object. The API server downloads it as a whole, and a kilobyte of
# Parquet can become gigabytes in its memory.
SHOWN_BYTES = 32 * 10**6
SHOWN_UNFOLDED = 256 * 10**6  # bytes
MEMORY_LIMIT = "128MB"
# Of the coverage of all viewers. A thread that parses an answer holds Python's global lock: with
# more threads, the API server's event loop would wait longer for it.
THREADS = ThreadPoolExecutor(4, "athena-reports")

TextValues = tuple[str | None, ...]
"""The values of some columns of a row as text; None for NULL."""
EntryName = tuple[str, ...]
"""What an entry is called in each column of its key."""

_engines = BoundedSemaphore(4)
CACHED_SECONDS = 60
RETRY_SECONDS = 4  # after which Glue is asked again if it did not serve a call
# Of Glue's text. In memory the facts of partitions take about four times as much.
CACHED_BYTES = 8 * 10**6
_KEY_BYTES = 500  # of an entry without partitions

_UNFOLDED_BYTES = """
SELECT coalesce(sum(total_uncompressed_size), 0)::BIGINT
FROM parquet_metadata($file)
"""
_ROWS = f"""
SELECT {{expressions}}
FROM read_parquet($file)
LIMIT {SHOWN_ROWS}
"""
_ROWS_OF_KEYS = """
SELECT {expressions}
FROM read_parquet($file)
WHERE list_contains($keys::VARCHAR[][], {key})
QUALIFY count(*) OVER (PARTITION BY {key}) = 1
"""
_READ_ELSEWHERE = "Download it, or query the table in Athena."
_SHORTENED = "if(length({text}) > {longest}, left({text}, {longest} - 1) || '…', {text})"


class UnreadableReportError(AthenaReportsError):
    """Something published cannot be read; the message says what, why, and what to do."""


class _Partitions(NamedTuple):
    """What Glue has of the periods of a table, or why it cannot be read."""

    periods: Mapping[str, PartitionFacts]
    problem: str
    bytes: int  # of Glue's text


def _expires_at(_key: object, partitions: _Partitions, now: float) -> float:
    return now + (RETRY_SECONDS if partitions.problem else CACHED_SECONDS)


_partitions = TLRUCache(CACHED_BYTES, ttu=_expires_at, getsizeof=attrgetter("bytes"))


@dataclass(frozen=True)
class ColumnRoles:
    """What the columns of a report are to a viewer, by their names and types."""

    key: Sequence[str]  # what tells rows apart; if nothing does, the first text column, if any
    labels: Sequence[str]  # for each column of the key the one that names it, such as `user_name`
    numbers: Sequence[str]
    decimals: Sequence[str]  # the numbers that are shown with all their digits
    measures: Sequence[str]  # the numbers that are not ranks, and not of the key

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return what the columns of a period are."""
        types = {column.name: column.type for column in manifest.columns}
        texts = [name for name, kind in types.items() if kind == "VARCHAR" and name != "movement"]
        numbers = [name for name, kind in types.items() if is_number(kind)]
        not_measured = ("rank", "previous_rank", *manifest.key)
        key = manifest.key or texts[:1]
        return cls(
            key=list(key),
            labels=[label_of(column, list(types)) for column in key],
            numbers=numbers,
            decimals=[name for name in numbers if types[name].startswith("DECIMAL")],
            measures=[name for name in numbers if name not in not_measured],
        )


def names_of_entries(
    rows: Sequence[TextValues], columns: Sequence[str], roles: ColumnRoles
) -> list[EntryName]:
    """Return the names of the entries of some rows, whose columns have these names.

    An entry is named by its label, or by its key if the label is empty or NULL. Entries that would
    have the same name have both, such as `Ada (u01)`.
    """
    key_places = [columns.index(column) for column in roles.key]
    label_places = [columns.index(column) for column in roles.labels]
    keys = [tuple(_text_of(row[place]) for place in key_places) for row in rows]
    names = []
    for row, key in zip(rows, keys, strict=True):
        labels = [row[place] for place in label_places]
        names.append(tuple(label or part for label, part in zip(labels, key, strict=True)))
    entries_by_name = Counter(names)
    for number, name in enumerate(names):
        if entries_by_name[name] > 1:
            names[number] = tuple(map(_with_key, name, keys[number]))
    return names


def _text_of(value: str | None) -> str:
    return "NULL" if value is None else value


def _with_key(name: str, key: str) -> str:
    return name if name == key else f"{name} ({key})"


@dataclass(frozen=True)
class PublishedReports:
    """The published reports of an environment, in a Glue database and a bucket."""

    database: str
    bucket: str
    glue: "GlueClient"
    s3: S3
    console: str  # Athena's page of a query, up to the query's id; empty for none

    @classmethod
    @cached(TTLCache(1, ttl=300), condition=Condition())  # type: ignore[untyped-decorator]
    def connect(cls) -> Self:
        """Return the published reports of this process's settings.

        A changed connection is noticed after five minutes.

        Raises:
            UnreadableReportError: The Airflow connection cannot be used.
        """
        from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
        from botocore.config import Config

        from athena_reports.aws.hook import SharedSessionHook

        deployment = settings()
        # A viewer waits, and so does a thread of the API server. With botocore's defaults they wait
        # for up to five minutes.
        config = Config(
            max_pool_connections=16,
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 2},
        )
        connection = deployment.aws_conn_id
        try:
            hook = SharedSessionHook(aws_conn_id=connection, config=config)
            glue = hook.client("glue")
            s3 = S3(hook.client("s3"), deployment.bucket_owner)
        except Exception as error:  # whatever a connection, its secrets or its credentials raise
            raise UnreadableReportError(
                f"Could not use the Airflow connection {connection!r}: {error}. Create it, or set "
                "ATHENA_REPORTS_AWS_CONN_ID to another connection."
            ) from error
        domain = BaseAwsLink.get_aws_domain(glue.meta.partition)
        console = console_url("", glue.meta.region_name, domain) if domain else ""
        return cls(
            database=deployment.report_database,
            bucket=deployment.report_bucket,
            glue=glue,
            s3=s3,
            console=console,
        )

    def location(self, dag: ReportDag, period_id: str) -> PeriodLocation:
        """Return where a period of a report is; PeriodError if the report has no such period."""
        return PeriodLocation.of(self.bucket, dag.report, dag.cadence.period(period_id))

    def published_periods(
        self, table: str, first_id: str = "", *, runs_changed_at: datetime | None = None
    ) -> Mapping[str, PartitionFacts]:
        """Return the facts of a table's partitions by period id; none without a table.

        They begin with the period `first_id`. They are read again after a minute, and if
        `runs_changed_at` has changed: when a run of the report's DAG changed last, which may have
        published. UnreadableReportError if Glue does not list the partitions.
        """
        partitions: _Partitions = self._list_partitions(table, first_id, runs_changed_at)
        if partitions.problem:
            raise UnreadableReportError(partitions.problem)
        return partitions.periods

    @cached(_partitions, condition=Condition())  # type: ignore[untyped-decorator]
    def _list_partitions(
        self, table: str, first_id: str, _runs_changed_at: datetime | None
    ) -> _Partitions:
        """Return the facts of partitions, or why they cannot be read.

        The cache keeps what is returned, but no exception. While one call is under way, all others
        with the same arguments wait for it and share its answer.
        """
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database,
            TableName=table,
            Expression=f"period >= '{first_id}'" if first_id else "",
            ExcludeColumnSchema=True,
        )
        published = {}
        text_bytes = _KEY_BYTES
        try:
            for page in pages:
                for partition in page.get("Partitions", []):
                    parameters = partition.get("Parameters", {})
                    facts = PartitionFacts.from_parameters(parameters)
                    if facts is not None:
                        published[partition["Values"][0]] = facts
                        text_bytes += sum(map(len, parameters.values()))
        except self.glue.exceptions.EntityNotFoundException:
            return _Partitions({}, "", _KEY_BYTES)
        except (ClientError, BotoCoreError) as error:
            problem = (
                f"Could not read Glue table {self.database}.{table}: {error}. Grant "
                "glue:GetPartitions to the Airflow connection's role, or check whether Glue is "
                "responding."
            )
            return _Partitions({}, problem, _KEY_BYTES)
        return _Partitions(published, "", text_bytes)

    def manifest(self, dag: ReportDag, period_id: str) -> Manifest:
        """Return the manifest of a period.

        PeriodError if the report has no such period; UnreadableReportError if there is no manifest;
        PublishError if it is not of this package, or of a newer release.
        """
        location = self.location(dag, period_id)
        manifest, _etag = read_manifest(location, self.s3)
        if manifest is None:
            raise UnreadableReportError(
                f"{location.manifest_uri} does not exist: the period was never published, or its "
                "manifest was deleted. Clear the period's run."
            )
        return manifest

    def rows(self, dag: ReportDag, manifest: Manifest, names: Sequence[str]) -> list[TextValues]:
        """Return columns of the first rows as text, cut if it is long; NULL for unknown columns.

        UnreadableReportError if there is no Parquet, or it is too large or not readable;
        DiskFullError and MissingPackageError are those of DuckDB.
        """
        sql = _ROWS.format(expressions=", ".join(_shortened(names, manifest)))
        return self._select(sql, dag, manifest)

    def entries(
        self,
        dag: ReportDag,
        manifest: Manifest,
        key: Sequence[str],
        keys: Sequence[TextValues],
        names: Sequence[str],
    ) -> dict[TextValues, TextValues]:
        """Return columns of the rows that have one of some keys, by key, as `rows` returns them.

        If several rows have one key, all of them are left out: nothing says which is meant. `key`
        are the columns that identify a row; without any, the only row of a period has the key `()`.
        `keys` are values of these columns, as `rows` returns them. One that is cut fits no row.
        """
        known = {column.name for column in manifest.columns}
        if not known.issuperset(key):
            return {}
        key_values = [f"{quoted(name)}::VARCHAR" for name in key]
        expressions = [*key_values, *_shortened(names, manifest)]
        sql = _ROWS_OF_KEYS.format(
            expressions=", ".join(expressions),
            # Lists are compared, since in them NULL equals NULL.
            key=f"[{', '.join(key_values)}]::VARCHAR[]",
        )
        rows = self._select(sql, dag, manifest, keys=[list(values) for values in keys])
        return {row[: len(key)]: row[len(key) :] for row in rows}

    def _select(
        self, sql: str, dag: ReportDag, manifest: Manifest, **parameters: Any
    ) -> list[TextValues]:
        """Return what a query returns that has these parameters, and the rows' `file`."""
        uri = self._parquet_uri(dag, manifest)
        with _engines, open_engine(MEMORY_LIMIT, about=uri) as engine:
            import duckdb  # not before: `open_engine` says what is wrong if it is missing

            path = engine.folder / "rows.parquet"
            self.s3.download(uri, path)
            file = {"file": str(path)}
            try:
                sizes = engine.connection.execute(_UNFOLDED_BYTES, file)
                ((unfolded_bytes,),) = sizes.fetchall()
                _require_at_most(SHOWN_UNFOLDED, unfolded_bytes, "uncompressed bytes", uri)
                return engine.connection.execute(sql, file | parameters).fetchall()
            except duckdb.OutOfMemoryException as error:
                problem = (
                    f"Reading {uri} needs more memory than this page's limit of {MEMORY_LIMIT}."
                )
                raise UnreadableReportError(f"{problem} {_READ_ELSEWHERE}") from error
            except duckdb.Error as error:
                problem = f"Could not read {uri} as Parquet: {reason(error)}."
                advice = "Clear the period's run to publish it again."
                raise UnreadableReportError(f"{problem} {advice}") from error

    def _parquet_uri(self, dag: ReportDag, manifest: Manifest) -> str:
        """Return the address of the rows as Parquet.

        UnreadableReportError if the report publishes none, or if it is too large.
        """
        if not manifest.parquet_key:
            problem = "This report publishes no Parquet, so its rows are not shown."
            raise UnreadableReportError(f"{problem} Download them instead.")
        uri = self.location(dag, manifest.period.id).uri(manifest.parquet_key)
        for stored in self.s3.list(uri):
            _require_at_most(SHOWN_BYTES, stored.bytes, "bytes", uri)
        return uri


def _require_at_most(limit: int, number: int, unit: str, uri: str) -> None:
    """Raise UnreadableReportError if an object has more of something than this page reads."""
    if number > limit:
        problem = f"{uri} has {number:,} {unit}; this page reads at most {limit:,}."
        raise UnreadableReportError(f"{problem} {_READ_ELSEWHERE}")


def _shortened(names: Sequence[str], manifest: Manifest) -> list[str]:
    """Return SQL of columns as text, cut if it is long; NULL for those that a period lacks."""
    known = {column.name for column in manifest.columns}
    expressions = []
    for name in names:
        column = quoted(name) if name in known else "NULL"
        expressions.append(_SHORTENED.format(text=f"{column}::VARCHAR", longest=SHOWN_CHARS))
    return expressions
