"""Athena's API for queries that have ended already, so that a benchmark measures what comes after them.

Only what a client asks about one finished query is answered. The results themselves are in S3.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ENDED = 1_795_500_000.0


@dataclass(frozen=True)
class FinishedQuery:
    """A query that has succeeded.

    Attributes:
        id: Its QueryExecutionId.
        sql: Its text. A query that is started with a text of its own ends as this one if it names `table`.
        table: Name of the table that it reads, which no other query reads.
        statement: SubstatementType: `SELECT` or `UNLOAD`.
        output_location: `s3://` location of its result.
        data_manifest: `s3://` location of its data manifest; empty for none.
        columns: Names and Athena's types of the columns of its result.
    """

    id: str
    sql: str
    table: str
    statement: str
    output_location: str
    data_manifest: str
    columns: Sequence[tuple[str, str]]

    def execution(self) -> Mapping[str, Any]:
        """What GetQueryExecution says."""
        manifest = {"DataManifestLocation": self.data_manifest} if self.data_manifest else {}
        return {
            "QueryExecution": {
                "QueryExecutionId": self.id,
                "Query": self.sql,
                "StatementType": "DML",
                "SubstatementType": self.statement,
                "ResultConfiguration": {"OutputLocation": self.output_location},
                "QueryExecutionContext": {"Database": "bench", "Catalog": "awsdatacatalog"},
                "Status": {
                    "State": "SUCCEEDED",
                    "SubmissionDateTime": _ENDED - 60,
                    "CompletionDateTime": _ENDED,
                },
                "Statistics": {"DataScannedInBytes": 10_000_000, "EngineExecutionTimeInMillis": 60_000}
                | manifest,
                "WorkGroup": "primary",
                "EngineVersion": {
                    "SelectedEngineVersion": "AUTO",
                    "EffectiveEngineVersion": "Athena engine version 3",
                },
            }
        }

    def results(self) -> Mapping[str, Any]:
        """What GetQueryResults says when it is asked for the columns: the header is the first row."""
        columns = [
            {
                "CatalogName": "hive",
                "Name": name,
                "Label": name,
                "Type": athena_type,
                "Precision": 0,
                "Scale": 0,
                "Nullable": "UNKNOWN",
                "CaseSensitive": athena_type == "varchar",
            }
            for name, athena_type in self.columns
        ]
        header = {"Data": [{"VarCharValue": name} for name, _ in self.columns]}
        return {
            "UpdateCount": 0,
            "ResultSet": {"Rows": [header], "ResultSetMetadata": {"ColumnInfo": columns}},
        }


class _Front:
    """The calls that are answered."""

    def __init__(self, queries: Sequence[FinishedQuery]) -> None:
        self._queries = {query.id: query for query in queries}
        self.calls: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": lambda asked: self._queries[asked["QueryExecutionId"]].execution(),
            "GetQueryResults": lambda asked: self._queries[asked["QueryExecutionId"]].results(),
        }

    def _start(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        named = [query.id for query in self._queries.values() if query.table in asked["QueryString"].split()]
        return {"QueryExecutionId": named[0]}


@contextmanager
def athena_front(queries: Sequence[FinishedQuery]) -> Iterator[str]:
    """Answer for these queries on a free port of 127.0.0.1 until the context ends; yields the address."""
    front = _Front(queries)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            call = self.headers["X-Amz-Target"].rpartition(".")[2]
            body = json.dumps(front.calls[call](asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
