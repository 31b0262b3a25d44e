"""How the query of an author's command stays wanted for longer than its marker says.

The marker is a comment in the SQL, which cannot change. So the command that waits for the query
writes a small object beside the query results, the lease, and writes it again every few minutes.
When the command is killed, nobody writes it again, and both expire.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.ownership import AuthorMarker

LIFETIME = timedelta(minutes=30)  # how long a query is wanted after its start, and a renewal
RENEW_EVERY = timedelta(minutes=5)  # several times within the lifetime: some may fail


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
        self._may_be_written = False

    def renew_if_due(self) -> None:
        """Write the lease, unless that was done in the last minutes; S3Error if S3 does not."""
        if not self._uri or datetime.now(UTC) - self._renewed_at < RENEW_EVERY:
            return
        self._renewed_at = datetime.now(UTC)  # also if it fails: the next try is minutes later
        etag = self._etag()
        content = {
            "query_execution_id": self._query_execution_id,
            "author": self._marker.author,
            "command": self._marker.command,
        }
        body = json.dumps(content).encode()
        self._may_be_written = True
        # Nobody else writes this object. So if S3 has another version, this write has been done:
        # botocore sends it again if the response was lost.
        with suppress(ConditionError):
            self._s3.write(self._uri, body, "application/json", replacing=etag)

    def remove(self) -> None:
        """Remove what may have been written; S3Error if S3 does not."""
        if self._may_be_written:
            self._s3.delete([self._uri])

    def _etag(self) -> str | None:
        """Return the ETag of the lease; None if it was not written."""
        if not self._may_be_written:
            return None
        try:
            _, etag = self._s3.read(self._uri)
        except MissingObjectError:
            return None
        return etag


def is_expired(marker: AuthorMarker, execution: QueryExecution, s3: S3) -> bool:
    """Return whether an author's query is no longer wanted, by its marker and its lease.

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
