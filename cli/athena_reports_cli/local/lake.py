"""The tables that a project keeps for local services, which forget everything when they end.

A kept table is a folder in `.lake/`, called like the table. Its `table.json` (a `KeptTable`) names
the folder of the current version, which has the Parquet files in Hive's layout. Replacing
`table.json` replaces the table. The folder of all tables is locked by whoever uses it. `restore`
brings all that is kept into services that have started.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote
from uuid import uuid4

import boto3
from botocore.config import Config
from pydantic import BaseModel, Field

from athena_reports.aws.s3 import S3
from athena_reports.errors import AthenaReportsError
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.rows.columns import duckdb_literal
from athena_reports.rows.engine import Engine
from athena_reports.rows.formats import CONTENT_TYPES
from athena_reports.settings import settings
from athena_reports.sql.names import quoted
from athena_reports_cli.local.local_endpoint import require_local
from athena_reports_cli.local.services import Services
from athena_reports_cli.local.words import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from mypy_boto3_glue import GlueClient

_TABLE_FILE = "table.json"
_MARK = {"written_by": "athena_reports load"}  # parameter of the tables
_CALLS_AT_ONCE = 16
_PARTITIONS_OF_A_CALL = 100  # of BatchCreatePartition, as AWS documents it
_WRITE = """
COPY (FROM table_rows) TO {path}
(FORMAT parquet, COMPRESSION zstd, FILENAME_PATTERN 'part-{{i}}', {layout})
"""


class LakeError(AthenaReportsError):
    """The database has a table of this name that was not loaded."""


class KeptTable(BaseModel, frozen=True):
    """A table as it is kept.

    Attributes:
        columns: Glue's types by the names of the columns, without the partition key.
        key: The partition key, a text; empty for a table without partitions.
        rows: How many rows it has.
        partitions: The values of the key, in order.
        version: The folder of its files.
    """

    columns: dict[str, str]
    key: str
    rows: int
    partitions: tuple[str, ...]
    version: str = Field(default_factory=lambda: uuid4().hex[:12])

    def amount(self) -> str:
        """Return the number of rows and partitions in words."""
        rows = counted(self.rows, "row")
        if not self.key:
            return f"{rows}, no partitions"
        partitions = counted(len(self.partitions), "partition")
        return f"{rows}, {partitions}, {self.partitions[0]} to {self.partitions[-1]}"


@dataclass(frozen=True)
class Lake:
    """Where tables are created: the clients, the bucket of the files and the database."""

    s3: S3
    glue: GlueClient
    bucket: str
    database: str

    @classmethod
    def of_shell(cls) -> Self:
        """Return the lake of the shell's environment, whose S3 and Glue must be local."""
        session = boto3.Session()
        s3 = session.client("s3", config=Config(max_pool_connections=_CALLS_AT_ONCE))
        glue = session.client("glue")
        require_local(s3, glue)
        return cls(S3(s3), glue, f"athena-lake-{settings().environment}", settings().database)

    @classmethod
    def of_services(cls, services: Services, environment: str) -> Self:
        """Return the lake of an environment, such as `dev`, in local services."""
        s3 = S3(services.s3)
        return cls(s3, services.glue, f"athena-lake-{environment}", f"database_{environment}")


# --- what is kept


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else uses the folder of all tables, and keep it for the context.

    The lock ends with its process, also with one that is killed. The folder need not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def keep(table: str, kept: KeptTable, files: Path, folder: Path) -> Path:
    """Make Parquet files the current version of a table, in a locked folder of all tables.

    `files` is a folder in Hive's layout, which is moved. Returns the folder of the files from now
    on.
    """
    table_folder = folder / table
    table_folder.mkdir(exist_ok=True)
    kept_files = table_folder / kept.version
    shutil.move(files, kept_files)
    # Whoever reads it finds the old text or the new one.
    new_file = table_folder / "table.new"
    new_file.write_text(kept.model_dump_json(indent=2), encoding="utf-8")
    new_file.replace(table_folder / _TABLE_FILE)
    for path in table_folder.iterdir():
        if path.is_dir() and path != kept_files:
            shutil.rmtree(path)
    return kept_files


def kept_tables(folder: Path, progress: Callable[[str], None]) -> dict[str, KeptTable]:
    """Return the tables that are kept in a folder, by name. The folder need not exist.

    `progress` is called with a line of text for each table that cannot be read.
    """
    tables = {}
    for file in sorted(folder.glob(f"*/{_TABLE_FILE}")):
        try:
            tables[file.parent.name] = KeptTable.model_validate_json(file.read_bytes())
        except ValueError as error:
            progress(f"skipped {file}: {error}")
    return tables


# --- what services have


def fill_services(
    services: Services, environment: str, folder: Path, progress: Callable[[str], None]
) -> None:
    """Create what an environment, such as `dev`, needs in local services, and its kept tables.

    `progress` is called with a line of text for each table.
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
    """Create all tables that a folder keeps in services, which may have them already.

    The folder need not exist. `progress` is called with a line of text for each table. `leave_out`
    has the names of tables that are left out.
    """
    if not folder.is_dir():
        return
    with locked(folder):
        for table, kept in kept_tables(folder, progress).items():
            if table in leave_out:
                continue
            try:
                create_table(table, kept, folder / table / kept.version, lake)
            except LakeError as error:
                progress(f"skipped {folder / table / _TABLE_FILE}: {error}")
            else:
                progress(f"table {table}, from {folder.name}/: {kept.amount()}")


def location_of_loaded(table: str, lake: Lake) -> str:
    """Return the location of a loaded table; empty if there is no table of this name.

    LakeError if the table was not loaded.
    """
    try:
        existing = lake.glue.get_table(DatabaseName=lake.database, Name=table)["Table"]
    except lake.glue.exceptions.EntityNotFoundException:
        return ""
    if existing.get("Parameters", {}).get("written_by") != _MARK["written_by"]:
        raise LakeError(
            f"{lake.database} has a table {table} that was not loaded by this command. Choose"
            " another name."
        )
    return existing["StorageDescriptor"]["Location"]


def create_table(table: str, kept: KeptTable, files: Path, lake: Lake) -> None:
    """Upload the files of a table and create it, in place of one that was loaded before.

    Glue has no transaction: a query that is planned at this moment may find no table, and fails.
    LakeError if the database has a table of this name that was not loaded.
    """
    replaced_uri = location_of_loaded(table, lake)
    table_uri = f"s3://{lake.bucket}/{table}/{kept.version}/"
    upload_files(files, table_uri, lake.s3)
    with suppress(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.delete_table(DatabaseName=lake.database, Name=table)
    keys = {kept.key: "string"} if kept.key else {}
    create_glue_table(
        lake.glue,
        lake.database,
        table,
        columns=kept.columns,
        keys=keys,
        files=files,
        table_uri=table_uri,
        parameters=_MARK,
    )
    if replaced_uri not in ("", table_uri):
        lake.s3.delete([stored.uri for stored in lake.s3.list(replaced_uri)])


# --- the files of a table, Parquet in Hive's layout


def write_files(rows: DuckDBPyRelation, keys: Collection[str], engine: Engine) -> tuple[Path, int]:
    """Write rows as the files of a table, and return their folder and the number of rows.

    The partition keys are in the names of folders, and not in the files.
    """
    files = engine.folder / uuid4().hex
    layout = "PER_THREAD_OUTPUT true"
    if keys:
        layout = f"PARTITION_BY ({', '.join(map(quoted, keys))})"
    rows.create_view("table_rows")
    sql = _WRITE.format(path=duckdb_literal(str(files)), layout=layout)
    ((number,),) = engine.connection.execute(sql).fetchall()
    return files, number


def upload_files(files: Path, table_uri: str, s3: S3) -> None:
    """Upload the files of a table."""

    def upload(file: Path) -> None:
        uri = f"{table_uri}{file.relative_to(files).as_posix()}"
        s3.upload(file, uri, CONTENT_TYPES["parquet"], sha256="")

    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        list(pool.map(upload, sorted(files.rglob("*.parquet"))))


def create_glue_table(
    glue: GlueClient,
    database: str,
    table: str,
    *,
    columns: Mapping[str, str],
    keys: Mapping[str, str],
    table_uri: str,
    files: Path | None = None,
    parameters: Mapping[str, str] | None = None,
) -> None:
    """Create a table and its partitions.

    `columns` and `keys` have Glue's types; the partition keys are not among the columns. `files` is
    the folder of the files at `table_uri`, which has the partitions; None for a table without rows.
    """
    table_input: Any = {
        "Name": table,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", **(parameters or {})},
        "PartitionKeys": [{"Name": name, "Type": kind} for name, kind in keys.items()],
        "StorageDescriptor": parquet_descriptor(columns, table_uri),
    }
    glue.create_table(DatabaseName=database, TableInput=table_input)
    if not keys or files is None:
        return
    partitions: list[Any] = []
    folders = {file.relative_to(files).parent for file in files.rglob("*.parquet")}
    for folder in sorted(folders):
        # Hive escapes what cannot be in the name of a folder.
        values = [unquote(name.partition("=")[2]) for name in folder.parts]
        descriptor = parquet_descriptor(columns, f"{table_uri}{folder.as_posix()}/")
        partitions.append({"Values": values, "StorageDescriptor": descriptor})
    for start in range(0, len(partitions), _PARTITIONS_OF_A_CALL):
        glue.batch_create_partition(
            DatabaseName=database,
            TableName=table,
            PartitionInputList=partitions[start : start + _PARTITIONS_OF_A_CALL],
        )
