"""What Athena leaves in S3 for one result, as a CSV and as an UNLOAD.

Its API answers for these finished queries alone: a benchmark measures what comes after a query.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from bench.contender import BUCKET
from bench.stand_in import Handler

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = {"user_id": "integer", "name": "varchar", "played_at": "timestamp", "score": "double"}
_FILE_ROWS = 1_250_000
_PLACES = [
    "札幌市",
    "仙台市",
    "東京都渋谷区",
    "横浜市",
    "名古屋市",
    "大阪市北区",
    "広島市",
    "福岡市博多区",
]
_WEEK_START_MS, _WEEK_MS = 1_794_700_800_000, 7 * 24 * 3600 * 1000
_ENDED = 1_795_500_000.0
_TYPE = {
    "CatalogName": "hive",
    "Precision": 0,
    "Scale": 0,
    "Nullable": "UNKNOWN",
    "CaseSensitive": False,
}


@dataclass(frozen=True)
class FinishedQuery:
    id: str  # and the name of the table that this query alone reads
    sql: str
    output_location: str
    keys: Sequence[str]  # of the objects that hold the rows
    data_manifest: str = ""  # its location, of an UNLOAD

    def execution(self) -> Mapping[str, Any]:
        """The answer of GetQueryExecution."""
        manifest = {"DataManifestLocation": self.data_manifest} if self.data_manifest else {}
        return {
            "QueryExecution": {
                "QueryExecutionId": self.id,
                "Query": self.sql,
                "StatementType": "DML",
                "SubstatementType": self.sql.split()[0],
                "ResultConfiguration": {"OutputLocation": self.output_location},
                "Status": {
                    "State": "SUCCEEDED",
                    "SubmissionDateTime": _ENDED - 60,
                    "CompletionDateTime": _ENDED,
                },
                "Statistics": {
                    "DataScannedInBytes": 10_000_000,
                    "EngineExecutionTimeInMillis": 60_000,
                    **manifest,
                },
                "WorkGroup": "primary",
            }
        }

    def results(self) -> Mapping[str, Any]:
        """The answer of GetQueryResults; the header is the first row."""
        types = {"rows": "bigint"} if self.data_manifest else COLUMNS
        columns = [
            {**_TYPE, "Name": name, "Label": name, "Type": type_} for name, type_ in types.items()
        ]
        header = {"Data": [{"VarCharValue": name} for name in types]}
        return {"ResultSet": {"Rows": [header], "ResultSetMetadata": {"ColumnInfo": columns}}}


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
    """Return the number of rows of a relation, and a sum that their order does not change.

    NULL counts as an empty text, as in some libraries; a score may differ in its last bit.
    """
    [(count, total)] = duckdb.sql(f"""
        SELECT count(*), coalesce(sum(hash(user_id::BIGINT, coalesce(name, '')::VARCHAR,
            epoch_ms(played_at::TIMESTAMP), round(score * 1e12)::BIGINT)), 0)
        FROM ({relation})""").fetchall()
    return count, total


def write_csv(count: int, folder: Path, s3: S3Client) -> FinishedQuery:
    """Write the result of a SELECT: each value quoted, NULL an empty field without quotes."""
    table, path = f"csv_{count}", folder / "result.csv"
    as_text = "strftime(played_at, '%Y-%m-%d %H:%M:%S.%g') AS played_at"
    duckdb.sql(f"""COPY (SELECT * REPLACE ({as_text}) FROM ({rows(0, count)}))
        TO '{path}' (FORMAT csv, HEADER, FORCE_QUOTE *, NULLSTR '')""")
    key = f"{table}.csv"
    s3.upload_file(str(path), BUCKET, key)
    path.unlink()
    return FinishedQuery(table, f"SELECT * FROM {table}", f"s3://{BUCKET}/{key}", [key])


def write_unload(count: int, folder: Path, s3: S3Client) -> FinishedQuery:
    """Write the files and manifest of an UNLOAD: zstd, timestamps of 96 bits, large row groups."""
    import pyarrow.parquet as pq

    table, keys = f"unload_{count}", list[str]()
    options = {
        "compression": "zstd",
        "use_deprecated_int96_timestamps": True,
        "store_schema": False,
    }
    for start in range(0, count, _FILE_ROWS):
        path = folder / "file.parquet"
        batch = duckdb.sql(rows(start, min(start + _FILE_ROWS, count))).to_arrow_table()
        pq.write_table(batch, path, row_group_size=_FILE_ROWS, **options)
        keys.append(f"unloaded/{table}/20261129_000500_{len(keys):05d}_bench")
        s3.upload_file(str(path), BUCKET, keys[-1])
        path.unlink()
    body = "".join(f"s3://{BUCKET}/{key}\n" for key in keys)
    s3.put_object(Bucket=BUCKET, Key=f"{table}-manifest.csv", Body=body.encode())
    target, uri = f"s3://{BUCKET}/unloaded/{table}/", f"s3://{BUCKET}/{table}"
    written_as = "WITH (format = 'PARQUET', compression = 'ZSTD')"
    sql = f"UNLOAD (\nSELECT * FROM {table}\n) TO '{target}' {written_as}"
    return FinishedQuery(table, sql, uri, keys, f"{uri}-manifest.csv")


@contextmanager
def athena_front(queries: Sequence[FinishedQuery]) -> Iterator[str]:
    """Answer for these queries on a free port of 127.0.0.1; yield the address."""
    known = {query.id: query for query in queries}

    def answer_to(call: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if call == "StartQueryExecution":
            id_ = next(word for word in asked["QueryString"].split() if word in known)
            return {"QueryExecutionId": id_}
        query = known[asked["QueryExecutionId"]]
        return query.results() if call == "GetQueryResults" else query.execution()

    class FinishedQueries(Handler):
        def call(self, operation: str, parameters: Any) -> None:
            self.answer(json.dumps(answer_to(operation, parameters)))

    with ThreadingHTTPServer(("127.0.0.1", 0), FinishedQueries) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
