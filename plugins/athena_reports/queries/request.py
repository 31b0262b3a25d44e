"""The request that starts a query, and the token under which Athena starts it only once.

Athena returns the execution that it started for a token before, whatever became of it. So whoever
repeats a start with the same token pays one query. Two rules make the tokens of a run:

- The token of the first execution is the digest of the request. Its comment names the task
  instance and the clear of its run, so the query of every other one has another token.
- The token of a successor, after a failure that may pass, is the digest of the request and the id
  of the execution that failed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel

_COMMENT = re.compile(r"\n-- athena-reports: (?P<comment>[^\n]*)\Z")
_FORMAT = "WITH (format = 'PARQUET', compression = 'ZSTD')"
# Each token has a folder of its own, since UNLOAD requires an empty one.
_UNLOAD = re.compile(
    rf"UNLOAD \(\n(?P<query>.*)\n\) TO '(?P<unload_to>s3://[^']*/)[0-9a-f]{{64}}/' "
    rf"{re.escape(_FORMAT)}\Z",
    re.DOTALL,
)


def _without_semicolon(query: str) -> str:
    return query.rstrip().removesuffix(";").rstrip()


class QueryRequest(BaseModel, frozen=True, defer_build=True):
    """A request of StartQueryExecution, without its token and what the token names."""

    query: Annotated[str, AfterValidator(_without_semicolon)]  # inside UNLOAD, without the comment
    comment: str = ""  # one line of JSON for people who read Athena's history: whose query it is
    context: Mapping[str, str]  # QueryExecutionContext
    workgroup: str
    result_configuration: Mapping[str, Any]  # empty for the workgroup's
    unload_to: str | None = None  # `s3://` prefix for the folders of UNLOAD; None without it

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self:
        """Return the request that starts the query of an execution again.

        It differs from the request that started the execution: GetQueryExecution returns the
        catalog in lower case, the result object in the place of its folder, and no location for
        managed results, where a request must not have a ResultConfiguration. Athena compares them
        with those of the token's first start, so every successor is derived in this one way.
        """
        execution = response["QueryExecution"]
        configuration = dict(execution.get("ResultConfiguration", {}))
        result_uri = configuration.get("OutputLocation", "")
        if result_uri:
            folder_uri, _, _ = result_uri.rpartition("/")
            configuration["OutputLocation"] = f"{folder_uri}/"
        else:
            configuration = {}
        parts = _parts_of(execution.get("Query", ""))
        return cls(
            **parts,
            context=execution.get("QueryExecutionContext", {}),
            workgroup=execution["WorkGroup"],
            result_configuration=configuration,
        )

    def token(self, failed_execution_id: str = "") -> str:
        """Return the ClientRequestToken of the query's start, or of a successor's."""
        parts = [self.model_dump(mode="json"), failed_execution_id]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def statement(self, token: str) -> str:
        """Return the SQL that is sent under a token."""
        statement = self.query
        if self.unload_to is not None:
            statement = f"UNLOAD (\n{statement}\n) TO '{self.unload_to}{token}/' {_FORMAT}"
        if self.comment:
            statement = f"{statement}\n-- athena-reports: {self.comment}"
        return statement

    def start_arguments(self, token: str) -> dict[str, Any]:
        """Return the arguments of StartQueryExecution for a start under a token."""
        arguments = {
            "QueryString": self.statement(token),
            "QueryExecutionContext": dict(self.context),
            "WorkGroup": self.workgroup,
            "ClientRequestToken": token,
        }
        # A workgroup with managed query results rejects even an empty configuration.
        if self.result_configuration:
            arguments["ResultConfiguration"] = dict(self.result_configuration)
        return arguments


def _parts_of(statement: str) -> dict[str, Any]:
    parts = {"query": statement}
    comment = _COMMENT.search(statement)
    if comment is not None:
        parts = {"query": statement[: comment.start()], **comment.groupdict()}
    unload = _UNLOAD.match(parts["query"])
    if unload is not None:
        parts.update(unload.groupdict())
    return parts


def executed_sql(athena: Any, query_execution_id: str) -> str:
    """Return the query that ran, without UNLOAD and comment."""
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    statement = response["QueryExecution"].get("Query", "")
    return str(_parts_of(statement)["query"])
