"""Fills the demo's lakes as any pipeline would: Parquet in S3, and tables in Glue."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports_cli.local.lake import KeptTable, create_glue_table, keep, kept_tables, locked
from athena_reports_cli.local.services import Services
from demo import flights, plays

DEMO_PLAYS = plays.PlaysSpec(
    dt.date(2025, 1, 1), dt.date(2025, 7, 1), events=1_000_000, users=30_000
)
TABLES = ("plays", "flights")
_GLUE_TYPES = {"string": "string", "int32": "int", "int64": "bigint", "timestamp[ms]": "timestamp"}


def seed_plays(services: Services, environment: str, spec: plays.PlaysSpec = DEMO_PLAYS) -> str:
    """Generate plays into the table `plays`; see `load`."""
    return load(services, environment, "plays", plays.SCHEMA, plays.generate(spec))


def seed_flights(services: Services, environment: str) -> str:
    """Copy the flights of 2013 into the table `flights`; see `load`."""
    partitions = flights.partitions(flights.read_flights())
    return load(services, environment, "flights", flights.SCHEMA, partitions)


def load(
    services: Services,
    environment: str,
    table: str,
    schema: pa.Schema,
    partitions: Iterable[tuple[dt.date, pa.Table]],
) -> str:
    """Bring partitions into a table of an environment's lake, and say how much that was.

    Other partitions are left alone.
    """
    bucket, database = f"athena-lake-{environment}", f"database_{environment}"
    table_uri, columns = f"s3://{bucket}/{table}/", _glue_types(schema)

    def put(partition: tuple[dt.date, pa.Table]) -> tuple[dt.date, int, int]:
        date, rows = partition
        body = _parquet(rows)
        services.s3.put_object(Bucket=bucket, Key=f"{table}/dt={date}/part-0.parquet", Body=body)
        return date, rows.num_rows, len(body)

    with ThreadPoolExecutor() as pool:
        stored = list(pool.map(put, partitions))
    with suppress(services.glue.exceptions.AlreadyExistsException):
        create_glue_table(
            services.glue,
            database,
            table,
            columns=columns,
            keys={"dt": "string"},
            table_uri=table_uri,
        )
    inputs: Any = [
        {
            "Values": [str(date)],
            "StorageDescriptor": parquet_descriptor(columns, f"{table_uri}dt={date}/"),
        }
        for date, *_ in stored
    ]
    # 100 are what a call takes. Those that are there are left as they are.
    for start in range(0, len(inputs), 100):
        batch = inputs[start : start + 100]
        services.glue.batch_create_partition(
            DatabaseName=database, TableName=table, PartitionInputList=batch
        )
    _, rows, sizes = zip(*stored, strict=True)
    return f"{sum(rows):,} rows, {len(stored)} partitions, {sum(sizes) / 1e6:.1f} MB"


def keep_demo(folder: Path) -> None:
    """Write the demo's lakes as tables that a project keeps, but for those that it has."""
    kept = kept_tables(folder, print)
    if "plays" not in kept:
        keep_table(folder, "plays", plays.SCHEMA, plays.generate(DEMO_PLAYS))
    if "flights" not in kept:
        keep_table(folder, "flights", flights.SCHEMA, flights.partitions(flights.read_flights()))


def keep_table(
    folder: Path,
    table: str,
    schema: pa.Schema,
    partitions: Iterable[tuple[dt.date, pa.Table]],
) -> None:
    """Write partitions as a table that a project keeps, with the objects that `load` would put."""
    dates = []
    number = 0
    with TemporaryDirectory() as files:
        for date, rows in partitions:
            file = Path(files, "table", f"dt={date}", "part-0.parquet")
            file.parent.mkdir(parents=True)
            file.write_bytes(_parquet(rows))
            dates.append(str(date))
            number += rows.num_rows
        kept = KeptTable(
            columns=_glue_types(schema), key="dt", rows=number, partitions=tuple(dates)
        )
        with locked(folder):
            keep(table, kept, Path(files, "table"), folder)


def land_late_plays(
    services: Services,
    environment: str,
    landed: dt.date,
    played_at: dt.datetime,
    scores: Sequence[int],
) -> None:
    """Add an object with plays of one user, with these scores, to a partition that is there."""
    when = played_at.astimezone(dt.UTC).replace(tzinfo=None)
    user = {"user_id": "u999999", "user_name": "Late Ocelot", "played_at": when}
    rows = [
        {"event_id": f"late-{number}", "score": score, **user}
        for number, score in enumerate(scores)
    ]
    services.s3.put_object(
        Bucket=f"athena-lake-{environment}",
        Key=f"plays/dt={landed}/late-0.parquet",
        Body=_parquet(pa.Table.from_pylist(rows, schema=plays.SCHEMA)),
    )


def _glue_types(schema: pa.Schema) -> dict[str, str]:
    """The types of the columns in Glue, by name."""
    return {field.name: _GLUE_TYPES[str(field.type)] for field in schema}


def _parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd", store_schema=False)
    return sink.getvalue()
