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
    """A request of StartQueryExecution, without its token and what the token names.

    Attributes:
        query: The SQL inside UNLOAD, without the comment.
        comment: One line for people who read Athena's history: JSON that says whose query it is.
        context: QueryExecutionContext.
        workgroup: WorkGroup.
        result_configuration: ResultConfiguration; empty for the workgroup's.
        unload_to: `s3://` prefix with the closing slash for the folders of UNLOAD; None without it.
    """

    query: Annotated[str, AfterValidator(_without_semicolon)]
    comment: str = ""
    context: Mapping[str, str]
    workgroup: str
    result_configuration: Mapping[str, Any]
    unload_to: str | None = None

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self:
        """Return the request that starts the query of an execution again.

        It is not quite the request that started the execution. GetQueryExecution returns the
        catalog in lower case, the result object in the place of its folder, and no location for
        managed results, where a request must not have a ResultConfiguration. Athena compares all of
        them with those of the token's first start, so every successor is derived in this one way.
        """
        execution = response["QueryExecution"]
        configuration = dict(execution.get("ResultConfiguration", {}))
        result_uri = configuration.get("OutputLocation", "")
        if result_uri:
            folder_uri, _, _ = result_uri.rpartition("/")
            configuration["OutputLocation"] = f"{folder_uri}/"
        else:
            configuration = {}
        return cls(
            **_parts_of(execution.get("Query", "")),
            context=execution.get("QueryExecutionContext", {}),
            workgroup=execution["WorkGroup"],
            result_configuration=configuration,
        )

    def token(self, failed_execution_id: str = "") -> str:
        """Return the ClientRequestToken of the query's start.

        For a successor, the execution that failed is part of it.
        """
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
    """Cut off comment and UNLOAD: return `query`, `comment` and `unload_to` of a statement."""
    comment = ""
    match = _COMMENT.search(statement)
    if match is not None:
        comment = match["comment"]
        statement = statement[: match.start()]
    unload = _UNLOAD.match(statement)
    if unload is None:
        return {"query": statement, "comment": comment}
    return {"query": unload["query"], "comment": comment, "unload_to": unload["unload_to"]}


def executed_sql(athena: Any, query_execution_id: str) -> str:
    """Return the query that ran, without UNLOAD and comment."""
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    return str(_parts_of(response["QueryExecution"].get("Query", ""))["query"])
