"""The tables that a project keeps for local services, which forget everything when they end.

A kept table is a folder in `.lake/`, called like the table. Its `table.json` (a `KeptTable`) names
the folder of the current version, which has the Parquet files in Hive's layout. Replacing
`table.json` replaces the table. Beside the tables a new version is written into a hidden folder,
`.<table>-<version>`, which becomes the folder of the version. The folder of all tables is locked by
whoever uses it. `restore` brings all that is kept into services that have started.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import uuid4

import boto3
from botocore.config import Config
from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.settings import settings
from athena_reports_cli.local.local_endpoint import remote_endpoint
from athena_reports_cli.local.services import Services

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

_TABLE_FILE = "table.json"
_UNFINISHED = re.compile(r"\.[a-z0-9_]+-[0-9a-f]{12}")  # the hidden folder of a new version
_MARK = {"written_by": "athena_reports load"}  # parameter of the tables
_CALLS_AT_ONCE = 16
_PARTITIONS_OF_A_CALL = 100  # of BatchCreatePartition, as AWS documents it


class LakeError(AthenaReportsError):
    """The lake cannot have a table, or is not a local one."""


class KeptTable(BaseModel, frozen=True):
    """A table as it is kept.

    Attributes:
        version: The folder of its files.
        columns: Glue's types by the names of the columns, without the partition key.
        key: The partition key, a date as text; empty for a table without partitions.
        rows: How many rows it has.
        dates: The partitions, in order.
    """

    version: str
    columns: dict[str, str]
    key: str
    rows: int
    dates: tuple[str, ...]

    def amount(self) -> str:
        """Return in words how much it has."""
        rows = f"{self.rows:,} rows"
        if not self.key:
            return f"{rows}, no partitions"
        partitions = f"{len(self.dates):,} partitions, {self.dates[0]} to {self.dates[-1]}"
        return f"{rows}, {partitions}"


class NewVersion(NamedTuple):
    """A version of a table that is being written: its name, and the folder for its files."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Lake:
    """Where tables are created: the clients, the bucket of the files and the database."""

    s3: S3Client
    glue: GlueClient
    bucket: str
    database: str

    @classmethod
    def of_shell(cls) -> Self:
        """Return the lake of the shell's environment.

        Raises:
            LakeError: The shell's S3 or Glue is not at a local endpoint.
        """
        session = boto3.Session()
        config = Config(max_pool_connections=_CALLS_AT_ONCE)
        s3 = session.client("s3", config=config)
        _require_local(s3)
        glue = session.client("glue", config=config)
        _require_local(glue)
        environment = settings().environment
        return cls(s3, glue, f"athena-lake-{environment}", settings().database)

    @classmethod
    def of_services(cls, services: Services, environment: str) -> Self:
        """Return the lake of an environment, such as `dev`, in local services."""
        bucket = f"athena-lake-{environment}"
        return cls(services.s3, services.glue, bucket, f"database_{environment}")


def _require_local(client: Any) -> None:
    """Raise LakeError unless a client calls this machine, or a container beside this one."""
    endpoint = remote_endpoint(client)
    if endpoint:
        raise LakeError(
            f"{endpoint}, which is not a local endpoint, so nothing was read or written."
            " Unset AWS_ENDPOINT_URL and ATHENA_REPORTS_ENV to have local services started, or set"
            " AWS_ENDPOINT_URL to yours."
        )


# --- what is kept


@contextmanager
def new_version(table: str, folder: Path) -> Iterator[NewVersion]:
    """Give a folder for the files of a new version. Nobody else uses the kept tables meanwhile.

    The files are removed when the context ends, unless `keep` has made them the table.

    Args:
        table: The name of the table.
        folder: Where the tables are kept. It need not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid4().hex[:12]
    unfinished = folder / f".{table}-{name}"
    with _locked(folder):
        _remove_unfinished(folder)
        unfinished.mkdir()
        try:
            yield NewVersion(name, unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def keep(table: str, kept: KeptTable, version: NewVersion) -> None:
    """Make a version that is written the one of its table."""
    table_folder = version.folder.parent / table
    table_folder.mkdir(exist_ok=True)
    version.folder.rename(table_folder / version.name)
    _replace_file(table_folder / _TABLE_FILE, kept.model_dump_json(indent=2))
    _remove_other_versions(table_folder, version.name)


def is_kept(table: str, folder: Path) -> bool:
    """Return whether a table is kept in a folder."""
    return (folder / table / _TABLE_FILE).exists()


def kept_tables(folder: Path, progress: Callable[[str], None]) -> dict[str, KeptTable]:
    """Return the tables that are kept in a folder, by name.

    Args:
        folder: Where they are kept. It need not exist.
        progress: Is called with a line of text for each table that cannot be read.
    """
    tables = {}
    for file in sorted(folder.glob(f"*/{_TABLE_FILE}")):
        try:
            tables[file.parent.name] = KeptTable.model_validate_json(file.read_bytes())
        except ValueError as error:
            progress(f"{file} is left out: {error}")
    return tables


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else uses the folder of all tables, and keep it for the context.

    The lock ends with its process, also with one that is killed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unfinished(folder: Path) -> None:
    """Remove what killed loads have left. Of a load that runs, the lock keeps all others away."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path)


def _replace_file(file: Path, text: str) -> None:
    """Replace a file at once: whoever reads it finds the old text or the new one."""
    new_file = file.with_suffix(".new")
    new_file.write_text(text, encoding="utf-8")
    new_file.replace(file)


def _remove_other_versions(table_folder: Path, version: str) -> None:
    for folder in table_folder.iterdir():
        if folder.is_dir() and folder.name != version:
            shutil.rmtree(folder)


# --- what services have


def fill_services(
    services: Services, environment: str, folder: Path, progress: Callable[[str], None]
) -> None:
    """Create what an environment, such as `dev`, needs in local services, and its kept tables.

    Args:
        services: The services.
        environment: The environment.
        folder: Where tables are kept; see `restore`, which also has the errors.
        progress: Is called with a line of text for each table.
    """
    services.prepare(environment)
    restore(folder, Lake.of_services(services, environment), progress)


def restore(
    folder: Path,
    lake: Lake,
    progress: Callable[[str], None],
    *,
    leave_out: Collection[str] = (),
) -> None:
    """Bring all tables that are kept into services that have none of them.

    Args:
        folder: Where they are kept. It need not exist.
        lake: Where they are created.
        progress: Is called with a line of text for each table.
        leave_out: Names of tables that are left out.

    Raises:
        ClientError: The services refused a call.
        BotoCoreError: They did not answer.
    """
    if not folder.is_dir():
        return
    with _locked(folder):
        for table, kept in kept_tables(folder, progress).items():
            if table in leave_out:
                continue
            try:
                require_loaded(table, lake)
            except LakeError as error:
                progress(f"{folder / table / _TABLE_FILE} is left out: {error}")
                continue
            upload(table, kept, folder / table / kept.version, lake)
            create_table(table, kept, lake)
            progress(f"table {table}, from {folder.name}/: {kept.amount()}")


def require_loaded(table: str, lake: Lake) -> None:
    """Raise LakeError if there is a table of this name that was not loaded."""
    try:
        existing = lake.glue.get_table(DatabaseName=lake.database, Name=table)["Table"]
    except lake.glue.exceptions.EntityNotFoundException:
        return
    parameters = existing.get("Parameters", {})
    if parameters.get("written_by") != _MARK["written_by"]:
        raise LakeError(
            f"{lake.database} has a table {table} that was not loaded by this command."
            " It is left as it is: choose another name."
        )


def upload(table: str, kept: KeptTable, folder: Path, lake: Lake) -> None:
    """Upload the files of a version, which are in a folder. No table names them yet."""
    _create_bucket(lake)
    prefix = _prefix(table, kept.version)

    def put(file: Path) -> None:
        object_key = f"{prefix}{file.relative_to(folder).as_posix()}"
        lake.s3.upload_file(str(file), lake.bucket, object_key)

    files = sorted(folder.rglob("*.parquet"))
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        list(pool.map(put, files))


def _create_bucket(lake: Lake) -> None:
    """Create the bucket, unless it is there.

    Outside of us-east-1, S3 creates a bucket only if the request names the region (CreateBucket in
    S3's API reference).
    """
    region: Any = lake.s3.meta.region_name
    with suppress(
        lake.s3.exceptions.BucketAlreadyOwnedByYou, lake.s3.exceptions.BucketAlreadyExists
    ):
        if region == "us-east-1":
            lake.s3.create_bucket(Bucket=lake.bucket)
        else:
            lake.s3.create_bucket(
                Bucket=lake.bucket, CreateBucketConfiguration={"LocationConstraint": region}
            )


def _prefix(table: str, version: str) -> str:
    return f"{table}/{version}/"


def create_table(table: str, kept: KeptTable, lake: Lake) -> None:
    """Create the table with its partitions, in place of the one that is there.

    Glue has no transaction: a query that is planned at this moment may find no table, and fails.
    """
    table_uri = f"s3://{lake.bucket}/{_prefix(table, kept.version)}"
    keys: Any = []
    if kept.key:
        keys = [{"Name": kept.key, "Type": "string"}]
    descriptor: Any = parquet_descriptor(kept.columns, table_uri)
    with suppress(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.delete_table(DatabaseName=lake.database, Name=table)
    lake.glue.create_table(
        DatabaseName=lake.database,
        TableInput={
            "Name": table,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {**_MARK, "classification": "parquet"},
            "PartitionKeys": keys,
            "StorageDescriptor": descriptor,
        },
    )
    for start in range(0, len(kept.dates), _PARTITIONS_OF_A_CALL):
        partitions: Any = []
        for partition_date in kept.dates[start : start + _PARTITIONS_OF_A_CALL]:
            partition_uri = f"{table_uri}{kept.key}={partition_date}/"
            descriptor = parquet_descriptor(kept.columns, partition_uri)
            partitions.append({"Values": [partition_date], "StorageDescriptor": descriptor})
        lake.glue.batch_create_partition(
            DatabaseName=lake.database, TableName=table, PartitionInputList=partitions
        )


def remove_other_objects(table: str, version: str, lake: Lake) -> None:
    """Remove the files of a table's other versions."""
    pages = lake.s3.get_paginator("list_objects_v2").paginate(
        Bucket=lake.bucket, Prefix=f"{table}/"
    )
    for page in pages:
        for stored_object in page.get("Contents", []):
            object_key = stored_object["Key"]
            if not object_key.startswith(_prefix(table, version)):
                lake.s3.delete_object(Bucket=lake.bucket, Key=object_key)
