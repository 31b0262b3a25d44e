"""What Athena leaves in S3 for one result, as a CSV and as an UNLOAD, and the facts to check a copy by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bench.athena_front import FinishedQuery

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = (("user_id", "integer"), ("name", "varchar"), ("played_at", "timestamp"), ("score", "double"))
"""Names and Athena's types."""

BUCKET = "results"
_FILE_ROWS = 1_250_000
_WEEK_START_MS = 1_794_700_800_000
_WEEK_MS = 7 * 24 * 3600 * 1000
_PLACES = ("札幌市", "仙台市", "東京都渋谷区", "横浜市", "名古屋市", "大阪市北区", "広島市", "福岡市博多区")
_NULL_SHARE = 0.1


@dataclass(frozen=True)
class Facts:
    """What is the same in every true copy of a result, in whatever order its rows are.

    Attributes:
        rows: Number of rows.
        user_ids: Sum of `user_id`.
        names: Bytes of all `name`s. A NULL has none, so it may have become an empty text.
        played_at: Sum of `played_at`, in milliseconds since the epoch.
        scores: Sum of `score`.
    """

    rows: int = 0
    user_ids: int = 0
    names: int = 0
    played_at: int = 0
    scores: float = 0.0

    def __add__(self, other: Facts) -> Facts:
        """The facts of both."""
        return Facts(
            self.rows + other.rows,
            self.user_ids + other.user_ids,
            self.names + other.names,
            self.played_at + other.played_at,
            self.scores + other.scores,
        )

    def agrees(self, other: Facts) -> bool:
        """Whether both are of the same rows, but for the order in which scores were added up."""
        exact = self.rows, self.user_ids, self.names, self.played_at
        theirs = other.rows, other.user_ids, other.names, other.played_at
        return exact == theirs and abs(self.scores - other.scores) <= 1e-9 * self.scores


def facts_of(batch: pa.RecordBatch) -> Facts:
    """Return the facts of some rows."""
    milliseconds = pc.cast(pc.cast(batch["played_at"], pa.timestamp("ms")), pa.int64())
    return Facts(
        batch.num_rows,
        pc.sum(batch["user_id"]).as_py() or 0,
        pc.sum(pc.binary_length(batch["name"])).as_py() or 0,
        pc.sum(milliseconds).as_py() or 0,
        pc.sum(batch["score"]).as_py() or 0.0,
    )


def facts_of_files(paths: Sequence[Path]) -> Facts:
    """Return the facts of Parquet files."""
    facts = Facts()
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[name for name, _ in COLUMNS]):
                facts += facts_of(batch)
    return facts


def rows_of(count: int) -> Iterator[pa.RecordBatch]:
    """Yield `count` made-up rows, the same ones every time, in batches of one file of an UNLOAD each."""
    for start in range(0, count, _FILE_ROWS):
        yield _batch(start, min(_FILE_ROWS, count - start))


def _batch(start: int, count: int) -> pa.RecordBatch:
    def random(column: int) -> pa.Array:
        return pc.random(count, initializer=4 * start + column)

    user_id = pc.cast(pc.floor(pc.multiply(random(0), 1e7)), pa.int32())
    chance = random(1)
    place = pc.take(pa.array(_PLACES), pc.cast(pc.floor(pc.multiply(chance, len(_PLACES))), pa.int32()))
    name = pc.binary_join_element_wise(place, pc.cast(user_id, pa.string()), " ")
    offset_ms = pc.cast(pc.floor(pc.multiply(random(2), _WEEK_MS)), pa.int64())
    return pa.RecordBatch.from_arrays(
        [
            user_id,
            pc.if_else(pc.less(random(3), _NULL_SHARE), pa.scalar(None, pa.string()), name),
            pc.cast(pc.add(offset_ms, _WEEK_START_MS), pa.timestamp("ms")),
            pc.round(pc.multiply(chance, 1000.0), ndigits=12),
        ],
        names=[name for name, _ in COLUMNS],
    )


def write_csv(rows: int, folder: Path, s3: S3Client) -> tuple[FinishedQuery, Facts]:
    """Leave the result of a SELECT in S3: every value quoted, NULL an empty field without quotes."""
    query = _query(f"csv_{rows}", "SELECT")
    path, facts = folder / "result.csv", Facts()
    schema = next(rows_of(1)).schema
    options = pa_csv.WriteOptions(quoting_style="all_valid")
    with pa_csv.CSVWriter(str(path), schema, write_options=options) as writer:
        for batch in rows_of(rows):
            writer.write_batch(batch)
            facts += facts_of(batch)
    _move(path, query.output_location, s3)
    return query, facts


def write_unload(rows: int, folder: Path, s3: S3Client) -> tuple[FinishedQuery, Facts]:
    """Leave the files of an UNLOAD in S3, and their manifest.

    As Athena's writer does: zstd, timestamps of 96 bits, row groups of up to 128 MB and pages of 1 MB.
    """
    query = _query(f"unload_{rows}", "UNLOAD")
    manifest, facts = [], Facts()
    for number, batch in enumerate(rows_of(rows)):
        path = folder / "file.parquet"
        options = {"compression": "zstd", "use_deprecated_int96_timestamps": True, "store_schema": False}
        pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=_FILE_ROWS, **options)
        manifest.append(f"s3://{BUCKET}/unloaded/{query.id}/20261129_000500_{number:05d}_bench")
        _move(path, manifest[-1], s3)
        facts += facts_of(batch)
    key = query.data_manifest.removeprefix(f"s3://{BUCKET}/")
    s3.put_object(Bucket=BUCKET, Key=key, Body="".join(f"{uri}\n" for uri in manifest).encode())
    return query, facts


def _query(table: str, statement: str) -> FinishedQuery:
    select = f"SELECT * FROM {table}"
    if statement == "SELECT":
        return FinishedQuery(table, select, table, statement, f"s3://{BUCKET}/{table}.csv", "", COLUMNS)
    sql = f"UNLOAD (\n{select}\n) TO 's3://{BUCKET}/unloaded/{table}/' WITH (format = 'PARQUET', "
    return FinishedQuery(
        table,
        sql + "compression = 'ZSTD')",
        table,
        statement,
        f"s3://{BUCKET}/{table}",
        f"s3://{BUCKET}/{table}-manifest.csv",
        (("rows", "bigint"),),
    )


def _move(path: Path, uri: str, s3: S3Client) -> None:
    s3.upload_file(str(path), BUCKET, uri.removeprefix(f"s3://{BUCKET}/"))
    path.unlink()
