"""Athena's API for queries that have ended already, so that a benchmark measures what comes after them.

Only what a client asks about one finished query is answered. The results themselves are in S3.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ENDED = 1_795_500_000.0
_TYPE = {"CatalogName": "hive", "Precision": 0, "Scale": 0, "Nullable": "UNKNOWN", "CaseSensitive": False}


@dataclass(frozen=True)
class FinishedQuery:
    """A query that has succeeded."""

    id: str  # and the name of the table that this query alone reads
    sql: str
    statement: str  # its SubstatementType: SELECT or UNLOAD
    output_location: str
    data_manifest: str  # its location; empty for none
    columns: Sequence[tuple[str, str]]  # names and Athena's types, as GetQueryResults gives them
    keys: Sequence[str]  # of the objects that hold the rows

    def execution(self) -> Mapping[str, Any]:
        """The answer of GetQueryExecution."""
        manifest = {"DataManifestLocation": self.data_manifest} if self.data_manifest else {}
        times = {"SubmissionDateTime": _ENDED - 60, "CompletionDateTime": _ENDED}
        statistics = {"DataScannedInBytes": 10_000_000, "EngineExecutionTimeInMillis": 60_000}
        return {
            "QueryExecution": {
                "QueryExecutionId": self.id,
                "Query": self.sql,
                "StatementType": "DML",
                "SubstatementType": self.statement,
                "ResultConfiguration": {"OutputLocation": self.output_location},
                "QueryExecutionContext": {"Database": "bench", "Catalog": "awsdatacatalog"},
                "Status": {"State": "SUCCEEDED", **times},
                "Statistics": {**statistics, **manifest},
                "WorkGroup": "primary",
                "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
            }
        }

    def results(self) -> Mapping[str, Any]:
        """The answer of GetQueryResults to a client that needs the columns: the header is the first row."""
        columns = [{**_TYPE, "Name": name, "Label": name, "Type": type_} for name, type_ in self.columns]
        header = {"Data": [{"VarCharValue": name} for name, _ in self.columns]}
        return {"ResultSet": {"Rows": [header], "ResultSetMetadata": {"ColumnInfo": columns}}}


@contextmanager
def athena_front(queries: Sequence[FinishedQuery]) -> Iterator[str]:
    """Answer for these queries on a free port of 127.0.0.1 until the context ends; yields the address."""

    def answer(call: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if call == "StartQueryExecution":
            words = asked["QueryString"].split()
            return {"QueryExecutionId": next(query.id for query in queries if query.id in words)}
        query = next(query for query in queries if query.id == asked["QueryExecutionId"])
        return query.results() if call == "GetQueryResults" else query.execution()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(self.headers["X-Amz-Target"].rpartition(".")[2], asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
