"""What is published, as Glue and S3 say it, read with the environment's own connection.

Lists of periods come from partition parameters alone and are kept for a few seconds, so that many viewers
cost as much as one. A period's manifest and rows are read when somebody looks at that period.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

# Here, and not where rows are read: this module is imported by the thread of the event loop, which lives as
# long as the process. If the thread that loads Arrow 25 ends, the next new one that needs memory crashes
# (apache/arrow#50471).
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError
from athena_reports.publication.publish import read_manifest
from athena_reports.queries.execution import console_url
from athena_reports.settings import settings
from athena_reports.stage import Location
from athena_reports.storage import Storage

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from athena_reports.page.runs import ReportDag

SHOWN_ROWS = 100
"""How many rows of a period are shown."""

SHOWN_BYTES = 32 * 10**6
"""Of a larger object no row is shown: it would pass through the API server as a whole."""

TABLES_AT_ONCE = 16

# A viewer waits, and a thread of the API server with them: botocore's defaults would be five minutes a table.
_CONNECT_SECONDS = 5
_READ_SECONDS = 20
_KEPT_SECONDS = 3.0
_CLIENTS_KEPT_SECONDS = 300.0  # a changed connection is noticed after this
_HISTORY_ROWS = 10_000
_EXACT = 2**53  # a JavaScript number is exact up to here
_NUMERIC = ("int", "uint", "float", "double", "halffloat", "decimal")
_ABSENT = "EntityNotFoundException"


class LakeError(AthenaReportsError):
    """Something published cannot be read; the message says what, why, and what to do."""


class AbsentTableError(LakeError):
    """A report has no table yet, so nothing of it is published."""


class NoTableError(LakeError):
    """A report never has a table, since it publishes no Parquet."""


class Kept:
    """Values that are made again once they have a certain age. Several threads may ask at once.

    Args:
        seconds: How long a value is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the value of a key, made now if there is none that is young enough."""
        with self._lock:
            now = time.monotonic()
            self._values = {k: v for k, v in self._values.items() if now - v[0] < self._seconds}
            if key in self._values:
                return self._values[key][1]
        value = make()
        with self._lock:
            self._values[key] = (time.monotonic(), value)
        return value


_kept_partitions = Kept(_KEPT_SECONDS)
_kept_lakes = Kept(_CLIENTS_KEPT_SECONDS)


@dataclass(frozen=True)
class Shape:
    """What the columns of a ranking mean to a viewer, by their names and types.

    Attributes:
        key: The column that tells entries apart: the first one of texts.
        label: The column that names them, `user_name` beside `user_id`; the key itself if there is none.
        measures: The numeric columns that are no ranks.
    """

    key: str
    label: str
    measures: Sequence[str]

    @classmethod
    def of(cls, columns: Sequence[Mapping[str, str]]) -> Shape:
        """Return what the columns of a manifest mean; the key is empty if none is of texts."""
        names = [column["name"] for column in columns]
        texts = [c["name"] for c in columns if "string" in c["type"] and c["name"] != "movement"]
        key = texts[0] if texts else ""
        label = next((n for n in (f"{key.removesuffix('_id')}_name", f"{key}_name") if n in names), key)
        measures = [
            column["name"]
            for column in columns
            if column["type"].startswith(_NUMERIC) and column["name"] not in {"rank", "previous_rank"}
        ]
        return cls(key, label, tuple(measures))


@dataclass(frozen=True)
class Lake:
    """The published reports of an environment.

    Attributes:
        database: Glue database of the published tables.
        bucket: The report bucket.
        glue: A boto3 client of Glue.
        storage: S3.
        console: Address of a query in the Athena console, up to the query's id; empty if there is none.
    """

    database: str
    bucket: str
    glue: GlueClient
    storage: Storage
    console: str

    @classmethod
    def connect(cls) -> Lake:
        """Return the lake of this process's settings.

        Raises:
            LakeError: The Airflow connection cannot be used.
            SettingsError: A setting is missing or wrong.
        """
        lake: Lake = _kept_lakes.get("lake", cls._connect)
        return lake

    @classmethod
    def _connect(cls) -> Lake:
        from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook
        from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
        from botocore.config import Config

        names = settings()
        config = Config(
            max_pool_connections=TABLES_AT_ONCE,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 2},
        )
        try:
            hook = GlueCatalogHook(aws_conn_id=names.aws_conn_id, config=config)
            glue: GlueClient = hook.get_conn()
            s3 = S3Hook(aws_conn_id=names.aws_conn_id, config=config).get_conn()
        except Exception as error:  # whatever a connection, its secrets backend or its credentials raise
            raise LakeError(
                f"The Airflow connection {names.aws_conn_id!r} cannot be used: {error}. Create it, or let "
                f"ATHENA_REPORTS_AWS_CONN_ID name another."
            ) from error
        domain = BaseAwsLink.get_aws_domain(glue.meta.partition)
        return cls(
            names.report_database,
            names.report_bucket,
            glue,
            Storage(s3, names.bucket_owner, names.encryption),
            console_url("", glue.meta.region_name, domain) if domain else "",
        )

    def location(self, dag: ReportDag, period_id: str) -> Location:
        """Where a period of a report lies."""
        return Location(self.bucket, dag.report, dag.cadence.name, period_id)

    def partitions(self, dag_id: str, first_id: str = "") -> Mapping[str, Mapping[str, str]]:
        """Return the parameters of the partitions of a report's table, by period id.

        Args:
            dag_id: DAG of the report, which is the name of the table.
            first_id: The earliest period; empty for all. Ids sort by time.

        Raises:
            AbsentTableError: The table is not there.
            LakeError: Glue refused.
        """
        found: Mapping[str, Mapping[str, str]] = _kept_partitions.get(
            (self.database, dag_id, first_id), lambda: self._partitions(dag_id, first_id)
        )
        return found

    def manifest(self, dag: ReportDag, period_id: str) -> Mapping[str, Any]:
        """Return the manifest of a period.

        Raises:
            LakeError: There is none.
            PublishError: It is not of this package.
            StorageError: It cannot be read.
        """
        location = self.location(dag, period_id)
        manifest, _etag = read_manifest(location, self.storage)
        if manifest is None:
            raise LakeError(
                f"{location.manifest_uri} is not there: the period was never published, or its manifest was "
                f"deleted. Clear the run of the period to publish it again."
            )
        return manifest

    def rows(self, dag: ReportDag, manifest: Mapping[str, Any]) -> list[list[Any]]:
        """Return the first rows of what a manifest publishes, as values that JSON has.

        Raises:
            LakeError: They are not Parquet, too large, or cannot be read as that.
            StorageError: They cannot be read.
        """
        location = self.location(dag, manifest["period"]["id"])
        parts = [item for item in manifest["objects"] if item["format"] == "parquet"]
        if not parts:
            raise LakeError("This report publishes no Parquet, so its rows are not shown. Download them.")
        names = [column["name"] for column in manifest["columns"]]
        found: list[list[Any]] = []
        for part in parts:
            uri = location.uri(part["key"])
            rows = self._parquet_rows(uri, part["bytes"], names, SHOWN_ROWS - len(found))
            found.extend([_plain(row.get(name)) for name in names] for row in rows)
            if len(found) == SHOWN_ROWS:
                break
        return found

    def entries(
        self, dag: ReportDag, period_id: str, version: str, shape: Shape, keys: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Return the measures of some entries of a published version, by key.

        Raises:
            LakeError: It is too large, or cannot be read as Parquet.
            StorageError: It cannot be read.
        """
        location = self.location(dag, period_id)
        found: dict[str, dict[str, Any]] = {}
        for item in self.storage.list(f"{location.uri(location.version_key(version))}parquet/"):
            for row in self._parquet_rows(item.uri, item.bytes, [shape.key, *shape.measures], _HISTORY_ROWS):
                if row.get(shape.key) in keys:
                    found[row[shape.key]] = {name: _plain(row.get(name)) for name in shape.measures}
        return found

    def _partitions(self, dag_id: str, first_id: str) -> Mapping[str, Mapping[str, str]]:
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database,
            TableName=dag_id,
            ExcludeColumnSchema=True,
            Expression=f"period >= '{first_id}'" if first_id else "",
        )
        try:
            return {
                partition["Values"][0]: partition.get("Parameters", {})
                for page in pages
                for partition in page["Partitions"]
            }
        except (ClientError, BotoCoreError) as error:
            table = f"The Glue table {self.database}.{dag_id}"
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else ""
            if code == _ABSENT:
                raise AbsentTableError(
                    f"Nothing is published yet: {table[0].lower()}{table[1:]} is not there."
                ) from error
            raise LakeError(
                f"{table} cannot be read: {error}. Allow glue:GetPartitions on it for the role of the "
                f"Airflow connection, or see why Glue does not answer."
            ) from error

    def _parquet_rows(
        self, uri: str, size: int, names: Sequence[str], limit: int
    ) -> Iterator[Mapping[str, Any]]:
        if size > SHOWN_BYTES:
            raise LakeError(
                f"{uri} has {size / 1e6:,.0f} MB, and no more than {SHOWN_BYTES / 1e6:,.0f} MB are read for "
                f"this page. Download it, or query the table in Athena."
            )
        with TemporaryDirectory(prefix="athena-report-page-") as folder:
            path = Path(folder) / "part.parquet"
            self.storage.download(uri, path)
            try:
                with pq.ParquetFile(path) as file:
                    present = [name for name in names if name in file.schema_arrow.names]
                    for batch in file.iter_batches(max(limit, 1), columns=present, use_threads=False):
                        yield from batch.slice(0, limit).to_pylist()
                        limit -= min(limit, batch.num_rows)
                        if not limit:
                            return
            except (pa.ArrowException, OSError) as error:
                raise LakeError(
                    f"{uri} cannot be read as Parquet: {error}. Clear the run of the period to write it "
                    f"again."
                ) from error


def _plain(value: Any) -> Any:
    """Return a value as JSON and JavaScript can hold it without loss; what they cannot hold becomes text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON knows no NaN and no infinity
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)
