"""How the query of an author's command stays wanted for longer than its marker says.

A comment in SQL cannot change. So the command that waits writes a small object beside the query
results, the lease, and writes it again every few minutes. When the command is killed, nobody does.
"""

import json
from datetime import UTC, datetime, timedelta

from athena_reports.aws.s3 import S3
from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.ownership import AuthorMarker

LIFETIME = timedelta(minutes=30)  # of a query whose command has died
RENEW_EVERY = timedelta(minutes=5)


class Lease:
    """The lease of one query, for the command that waits for it.

    A short query has none: the first renewal writes it. Where the workgroup manages its results
    there is no place for it, and nothing is written.
    """

    def __init__(self, marker: AuthorMarker, query_execution_id: str, s3: S3) -> None:
        self._marker = marker
        self._query_execution_id = query_execution_id
        self._s3 = s3
        self._uri = _lease_uri(marker.output, query_execution_id)
        self._renewed_at = datetime.now(UTC)
        self._is_written = False

    def renew_if_due(self) -> None:
        """Write the lease, unless that was done a moment ago; S3Error if S3 does not."""
        if not self._uri or datetime.now(UTC) - self._renewed_at < RENEW_EVERY:
            return
        self._renewed_at = datetime.now(UTC)  # also if it fails: the next try is minutes later
        etag = None
        if self._is_written:
            _, etag = self._s3.read(self._uri)
        content = {
            "query_execution_id": self._query_execution_id,
            "author": self._marker.author,
            "command": self._marker.command,
        }
        body = json.dumps(content).encode()
        self._s3.write(self._uri, body, "application/json", replacing=etag)
        self._is_written = True

    def remove(self) -> None:
        """Remove what was written; S3Error if S3 does not."""
        if self._is_written:
            self._s3.delete([self._uri])


def is_expired(marker: AuthorMarker, execution: QueryExecution, s3: S3) -> bool:
    """Return whether nobody has wanted an author's query for its lifetime.

    Args:
        marker: The marker of the query.
        execution: The query.
        s3: The client that finds its lease.

    Raises:
        S3Error: S3 refused a call, or did not serve it.
    """
    lifetime = timedelta(seconds=marker.expires_after_seconds)
    if elapsed_since(execution.submitted_at) < lifetime:
        return False
    uri = _lease_uri(marker.output, execution.id)
    if not uri:
        return True
    renewals = [lease.modified for lease in s3.list(uri)]
    if not renewals:
        return True
    return datetime.now(UTC) - max(renewals) >= lifetime


def _lease_uri(output: str, query_execution_id: str) -> str:
    """Return the address of a query's lease; empty if there is no place for it."""
    if not output:
        return ""
    return f"{output}leases/{query_execution_id}.json"
