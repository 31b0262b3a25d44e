"""What Athena leaves in S3 for one result, as a CSV and as an UNLOAD, and the fingerprint of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from bench.athena_front import FinishedQuery

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = (("user_id", "integer"), ("name", "varchar"), ("played_at", "timestamp"), ("score", "double"))
BUCKET = "results"
_FILE_ROWS = 1_250_000
_PLACES = ["札幌市", "仙台市", "東京都渋谷区", "横浜市", "名古屋市", "大阪市北区", "広島市", "福岡市博多区"]
_WEEK_START_MS, _WEEK_MS = 1_794_700_800_000, 7 * 24 * 3600 * 1000


def rows(start: int, end: int) -> str:
    """Return a query for the rows with these numbers: random, but the same ones every time."""
    return f"""
        SELECT (hash(i, 0) % 10_000_000)::INTEGER AS user_id,
            CASE WHEN hash(i, 1) % 10 > 0 THEN {_PLACES}[place] || ' ' || user_id END AS name,
            make_timestamp_ms(({_WEEK_START_MS} + hash(i, 3) % {_WEEK_MS})::BIGINT) AS played_at,
            (hash(i, 4) % 1_000_000_000_000_000) / 1e12 AS score
        FROM (SELECT i, 1 + (hash(i, 2) % {len(_PLACES)})::INTEGER AS place
            FROM range({start}, {end}) AS numbers(i))"""


def fingerprint(relation: str) -> tuple[int, int]:
    """Return the number of rows of a query or table, and a sum that is the same for each order of equal rows.

    A NULL counts as an empty text, which it becomes in some libraries. A score may differ in its last bit.
    """
    [(count, total)] = duckdb.sql(f"""
        SELECT count(*), coalesce(sum(hash(user_id::BIGINT, coalesce(name, '')::VARCHAR,
            epoch_ms(played_at::TIMESTAMP), round(score * 1e12)::BIGINT)), 0)
        FROM ({relation})""").fetchall()
    return count, total


def fingerprint_of_files(paths: Sequence[Path]) -> tuple[int, int]:
    """Return the fingerprint of the rows in Parquet files."""
    return fingerprint(f"FROM read_parquet({[str(path) for path in paths]})")


def write_csv(count: int, folder: Path, s3: S3Client) -> FinishedQuery:
    """Write the result of a SELECT to S3: every value is quoted, a NULL is an empty field without quotes."""
    table, path = f"csv_{count}", folder / "result.csv"
    as_text = "strftime(played_at, '%Y-%m-%d %H:%M:%S.%g') AS played_at"
    duckdb.sql(f"""COPY (SELECT * REPLACE ({as_text}) FROM ({rows(0, count)}))
        TO '{path}' (FORMAT csv, HEADER, FORCE_QUOTE *, NULLSTR '')""")
    key = f"{table}.csv"
    _move(path, key, s3)
    sql, uri = f"SELECT * FROM {table}", f"s3://{BUCKET}/{key}"
    return FinishedQuery(table, sql, "SELECT", uri, "", COLUMNS, [key])


def write_unload(count: int, folder: Path, s3: S3Client) -> FinishedQuery:
    """Write the files of an UNLOAD to S3, and their manifest.

    As Athena's writer does: zstd, timestamps of 96 bits (DuckDB writes none), row groups of up to 128 MB.
    """
    import pyarrow.parquet as pq

    table, keys = f"unload_{count}", list[str]()
    for start in range(0, count, _FILE_ROWS):
        path = folder / "file.parquet"
        batch = duckdb.sql(rows(start, min(start + _FILE_ROWS, count))).to_arrow_table()
        options = {"compression": "zstd", "use_deprecated_int96_timestamps": True, "store_schema": False}
        pq.write_table(batch, path, row_group_size=_FILE_ROWS, **options)
        keys.append(f"unloaded/{table}/20261129_000500_{len(keys):05d}_bench")
        _move(path, keys[-1], s3)
    body = "".join(f"s3://{BUCKET}/{key}\n" for key in keys)
    s3.put_object(Bucket=BUCKET, Key=f"{table}-manifest.csv", Body=body.encode())
    target = f"'s3://{BUCKET}/unloaded/{table}/' WITH (format = 'PARQUET', compression = 'ZSTD')"
    sql, uri = f"UNLOAD (\nSELECT * FROM {table}\n) TO {target}", f"s3://{BUCKET}/{table}"
    return FinishedQuery(table, sql, "UNLOAD", uri, f"{uri}-manifest.csv", [("rows", "bigint")], keys)


def _move(path: Path, key: str, s3: S3Client) -> None:
    s3.upload_file(str(path), BUCKET, key)
    path.unlink()
