"""Whose query it is: an intention (a request of a run since its last clear), and the SQL comment that carries it."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ValidationError

_MARK = "\n-- athena-reports: "
_FORMAT = "WITH (format = 'PARQUET', compression = 'ZSTD')"
# The folder of an UNLOAD: one for each execution of an intention, since Athena wants an empty one.
_FOLDER = re.compile(rf"(?<=\n\) TO ')(s3://[^']*/)[0-9a-f]{{32}}/\d+(?=/' {re.escape(_FORMAT)}\Z)")


class Marker(BaseModel, frozen=True, extra="forbid", strict=True):
    """The last line of a query."""

    environment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1  # of a mapped task; -1 for any other, as in Airflow
    generation: str  # which clear of the run wants the query
    output: str = ""  # the output location that was asked for; a workgroup may have overruled it
    intention: str = ""  # digest of all that makes the intention

    @property
    def line(self) -> str:
        """The comment, with the line break before it."""
        return _MARK + json.dumps(self.model_dump())

    @property
    def owner(self) -> tuple[str | int, ...]:
        """The task instance that submitted it, in one run of one environment."""
        return (self.environment, self.dag_id, self.run_id, self.task_id, self.map_index)

    def is_predecessor_of(self, other: Self) -> bool:
        """Whether this is the same task's intention from before its SQL or settings were edited."""
        return (*self.owner, self.generation) == (*other.owner, other.generation) and self.intention != other.intention

    @classmethod
    def find(cls, sql: str) -> Self | None:
        """Return the marker of a query, or None; `Submission.from_response` also checks that it is true."""
        try:
            return cls.model_validate_json(sql.rpartition(_MARK)[2])
        except ValidationError:
            return None


def _into_folder(statement: str, intention: str = "0" * 32, number: int = 0) -> str:
    return _FOLDER.sub(rf"\g<1>{intention}/{number}", statement)


class Submission(BaseModel, frozen=True):
    """A query without and with its marker, and the rest of the request that starts it."""

    statement: Annotated[str, AfterValidator(_into_folder)]
    context: Mapping[str, str]
    workgroup: str
    result_configuration: Mapping[str, Any]
    marker: Marker

    @classmethod
    def make(cls, query: str, *, owner: Marker, unload_to: str | None = None, **request: Any) -> Self:
        """Return the submission of a rendered query; `owner` is the marker without output and intention."""
        statement = query.rstrip().removesuffix(";").rstrip()
        if unload_to is not None:
            statement = f"UNLOAD (\n{statement}\n) TO '{unload_to}{'0' * 32}/0/' {_FORMAT}"
        marker = owner.model_copy(update={"output": request["result_configuration"].get("OutputLocation", "")})
        draft = cls(statement=statement, marker=marker, **request)
        return draft.model_copy(update={"marker": marker.model_copy(update={"intention": draft._intention})})

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self | None:
        """Return what an execution was started from; None if it has no marker, or one copied onto another query."""
        execution = response["QueryExecution"]
        sql = execution.get("Query", "")
        if (marker := Marker.find(sql)) is None:
            return None
        configuration = {**execution.get("ResultConfiguration", {}), "OutputLocation": marker.output}
        found = cls(
            statement=sql.rpartition(_MARK)[0],
            context={"Catalog": "AwsDataCatalog"} | execution.get("QueryExecutionContext", {}),
            workgroup=execution["WorkGroup"],
            result_configuration={name: value for name, value in configuration.items() if value},
            marker=marker,
        )
        return found if marker.intention == found._intention else None

    def sql(self, number: int) -> str:
        """Text of the intention's execution with this number, counted from 0."""
        return _into_folder(self.statement, self.marker.intention, number) + self.marker.line

    def token(self, number: int) -> str:
        """ClientRequestToken of the intention's execution with this number, counted from 0."""
        return _sha256([self.sql(0), self.context, self.result_configuration, self.workgroup, number])

    @property
    def _intention(self) -> str:
        # GetQueryExecution answers the catalog in lower case.
        where = [self.context.get("Database", ""), self.context.get("Catalog", "").lower(), self.workgroup]
        who = [*self.marker.owner, self.marker.generation, self.marker.output]
        return _sha256([*who, self.statement.strip(), *where])[:32]


def _sha256(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
