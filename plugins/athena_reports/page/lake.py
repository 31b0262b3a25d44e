"""What is published, as Glue and S3 have it. Partitions are kept for seconds: many viewers cost as much as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import BoundedSemaphore, Condition
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from botocore.exceptions import BotoCoreError, ClientError
from cachetools import TTLCache, cached  # type: ignore[import-untyped]

from athena_reports.aws.s3 import S3
from athena_reports.errors import AthenaReportsError
from athena_reports.page.coverage import PublishedPartitions
from athena_reports.page.runs import ReportDag
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import Manifest
from athena_reports.queries.execution import console_url
from athena_reports.rows.columns import Column, is_number, literal, quoted
from athena_reports.rows.engine import open_engine, reason
from athena_reports.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

SHOWN_ROWS, SHOWN_CHARS = 100, 200  # of a value
# Of one object: all of it passes through the API server, and a kilobyte of Parquet may unfold to gigabytes.
SHOWN_COLUMNS, SHOWN_BYTES, SHOWN_UNFOLDED, SHOWN_VALUES = 200, 32 * 10**6, 256 * 10**6, 10**7
MEMORY_LIMIT = "128MB"
CALLS_AT_ONCE = 16
Values = tuple[str | None, ...]  # of some columns of a row, as text
_engines = BoundedSemaphore(4)
_partitions = TTLCache(1024, ttl=3)


class LakeError(AthenaReportsError):
    """Something published cannot be read; the message says what, why, and what to do."""


class Shape(NamedTuple):
    """What the columns mean to a viewer, by their names and types."""

    key: str  # the first text column, which names rows; empty if there is none
    label: str  # the column that names them better, such as `user_name` for `user_id`; else the key
    numbers: Sequence[str]
    measures: Sequence[str]  # the numbers that are not ranks

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Self:
        """Return what the columns of a manifest mean."""
        names = [column.name for column in columns]
        key = next((c.name for c in columns if c.type == "VARCHAR" and c.name != "movement"), "")
        label = label_of(key, names)
        numbers = [c.name for c in columns if is_number(c.type)]
        return cls(key, label, numbers, [name for name in numbers if name not in ("rank", "previous_rank")])


def label_of(column: str, names: Sequence[str]) -> str:
    """Return which of some columns names what another one identifies, `user_name` for `user_id`; else that column."""
    for name in (f"{column.removesuffix('_id')}_name", f"{column}_name"):
        if name in names:
            return name
    return column


@dataclass(frozen=True)
class Lake:
    """The published reports of an environment. `console` is Athena's page of a query, up to its id; empty for none."""

    database: str
    bucket: str
    glue: "GlueClient"
    s3: S3
    console: str

    @classmethod
    @cached(TTLCache(1, ttl=300), condition=Condition())  # type: ignore[untyped-decorator]
    def connect(cls) -> Self:
        """Return the lake of this process's settings; a changed connection is noticed after five minutes."""
        from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
        from botocore.config import Config

        from athena_reports.aws.hook import SharedSessionHook

        names = settings()
        # A viewer waits, and so does a thread of the API server: with botocore's defaults up to five minutes.
        twice: Any = {"total_max_attempts": 2}
        config = Config(max_pool_connections=CALLS_AT_ONCE, connect_timeout=2, read_timeout=5, retries=twice)
        try:
            hook = SharedSessionHook(aws_conn_id=names.aws_conn_id, config=config)
            glue, s3 = hook.client("glue"), S3(hook.client("s3"), names.bucket_owner)
        except Exception as error:  # whatever a connection, its secrets backend or its credentials raise
            problem = f"The Airflow connection {names.aws_conn_id!r} cannot be used: {error}."
            raise LakeError(f"{problem} Create it, or set ATHENA_REPORTS_AWS_CONN_ID to another one.") from error
        domain = BaseAwsLink.get_aws_domain(glue.meta.partition)
        console = console_url("", glue.meta.region_name, domain) if domain else ""
        return cls(names.report_database, names.report_bucket, glue, s3, console)

    def location(self, dag: ReportDag, period_id: str) -> Location:
        """Return where a period of a report lies; raises PeriodError if the report has no such period."""
        return Location(self.bucket, dag.report, dag.cadence.name, dag.cadence.period(period_id).id)

    def partitions(self, table: str, first_id: str = "") -> PublishedPartitions:
        """Return the parameters of a table's partitions by period id, from `first_id` on; none without a table."""
        found: PublishedPartitions | str = self._listed(table, first_id)
        if isinstance(found, str):
            raise LakeError(found)
        return found

    @cached(_partitions, condition=Condition())  # type: ignore[untyped-decorator]
    def _listed(self, table: str, first_id: str) -> PublishedPartitions | str:
        """Return partitions or the problem. One call is under way for a key, and all who ask meanwhile share it."""
        expression = f"period >= '{first_id}'" if first_id else ""
        which: Any = {"DatabaseName": self.database, "TableName": table, "Expression": expression}
        pages = self.glue.get_paginator("get_partitions").paginate(**which, ExcludeColumnSchema=True)
        try:
            return {each["Values"][0]: each.get("Parameters", {}) for page in pages for each in page["Partitions"]}
        except self.glue.exceptions.EntityNotFoundException:
            return {}
        except (ClientError, BotoCoreError) as error:
            advice = "Allow glue:GetPartitions for the connection's role, or see why Glue does not answer."
            return f"The Glue table {self.database}.{table} cannot be read: {error}. {advice}"

    def manifest(self, dag: ReportDag, period_id: str) -> Manifest:
        """Return the manifest of a period; raises PublishError too, for one that is not of this package."""
        location = self.location(dag, period_id)
        manifest, _etag = read_manifest(location, self.s3)
        if manifest is None:
            cause = "the period was never published, or its manifest was deleted"
            raise LakeError(f"{location.manifest_uri} does not exist: {cause}. Clear the run of the period.")
        return manifest

    def rows(self, dag: ReportDag, manifest: Manifest, names: Sequence[str]) -> list[Values]:
        """Return columns of the first rows as text; NULL for unknown columns. A long value is cut."""
        return self._select(dag, manifest, _shown(names, manifest))

    def entries(
        self, dag: ReportDag, manifest: Manifest, key: Sequence[str], keys: Sequence[Values], names: Sequence[str]
    ) -> dict[Values, Values]:
        """Return columns of the rows that have one of some keys, by key, as text; NULL for unknown columns.

        A row that is not the only one of its key is left out: nothing says which of them is meant.

        Args:
            dag: The report.
            manifest: The period.
            key: The columns that tell rows apart. If they are empty, the only row of a period has the key `()`.
            keys: Values of these columns, as `rows` returns them. One that `rows` has cut fits no row.
            names: The columns to return.
        """
        if not {column.name for column in manifest.columns}.issuperset(key):
            return {}
        key_values = [f"{quoted(name)}::VARCHAR" for name in key]
        key_list = f"[{', '.join(key_values)}]::VARCHAR[]"  # in lists NULL equals NULL
        wanted = f"WHERE list_contains($keys::VARCHAR[][], {key_list})"
        alone = f"QUALIFY count(*) OVER (PARTITION BY {key_list}) = 1"
        expressions = [*key_values, *_shown(names, manifest)]
        found = self._select(dag, manifest, expressions, f"{wanted} {alone}", {"keys": [*map(list, keys)]})
        return {row[: len(key)]: row[len(key) :] for row in found}

    def _select(
        self,
        dag: ReportDag,
        manifest: Manifest,
        expressions: Sequence[str],
        condition: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> list[Values]:
        """Return expressions of the first rows that satisfy a condition; LakeError if this page cannot read them."""
        import duckdb

        parquet = next((each for each in manifest.objects if each.format == "parquet"), None)
        if parquet is None:
            raise LakeError("This report publishes no Parquet, so its rows are not shown. Download them.")
        uri = self.location(dag, manifest.period.id).uri(parquet.key)
        advice = "Download it, or query the table in Athena."

        def require(found: int, most: int, unit: str) -> None:
            if found > most:
                raise LakeError(f"{uri} has {found:,} {unit}, more than the {most:,} that this page reads. {advice}")

        require(len(expressions), SHOWN_COLUMNS, "columns")
        require(max((each.bytes for each in self.s3.list(uri)), default=0), SHOWN_BYTES, "bytes")
        with _engines, open_engine(MEMORY_LIMIT, about=uri) as engine:
            path = engine.folder / "rows.parquet"
            self.s3.download(uri, path)
            file, run = literal(str(path)), engine.connection.execute
            sizes = (
                f"SELECT sum(num_values)::BIGINT, sum(total_uncompressed_size)::BIGINT FROM parquet_metadata({file})"
            )
            sql = f"SELECT {', '.join(expressions)} FROM read_parquet({file}) {condition} LIMIT {SHOWN_ROWS}"
            try:
                values, unfolded = run(sizes).fetchone() or (0, 0)
                require(values or 0, SHOWN_VALUES, "values")
                require(unfolded or 0, SHOWN_UNFOLDED, "bytes uncompressed")
                return run(sql, parameters or {}).fetchall()
            except duckdb.OutOfMemoryException as error:
                raise LakeError(f"{uri} needs more memory than the {MEMORY_LIMIT} of this page. {advice}") from error
            except duckdb.Error as error:
                advice = "Clear the run of the period to publish it again."
                raise LakeError(f"{uri} cannot be read as Parquet: {reason(error)}. {advice}") from error


def _shown(names: Sequence[str], manifest: Manifest) -> list[str]:
    """Return SQL of columns as text, cut if it is long; NULL for those that a period does not have."""
    known = {column.name for column in manifest.columns}
    texts = [f"{quoted(name) if name in known else 'NULL'}::VARCHAR" for name in names]
    return [f"if(length({text}) > {SHOWN_CHARS}, left({text}, {SHOWN_CHARS - 1}) || '…', {text})" for text in texts]
