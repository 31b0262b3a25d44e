"""What `transform` hands on to `publish`."""

from pydantic import BaseModel

from athena_reports.publication.manifest import Version
from athena_reports.queries.execution import QueryExecution
from athena_reports.rows.checks import CheckResult


class PreparedVersion(BaseModel, frozen=True):
    """An unpublished version, the query that it comes from, and what the checks found."""

    query: QueryExecution
    version: Version
    checks: tuple[CheckResult, ...]
    transforms_logic: str = ""  # the digest of the transforms; empty if the DAG does not say
