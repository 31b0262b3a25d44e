"""Whose query it is: an intention, and the marker comment in the query's last line that carries it.

An intention is what a run wants: this SQL, in this database, catalog and workgroup, with this output, for
this run of this DAG. A run that is cleared is a new intention: its generation has changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

_MARK = "\n-- athena-reports: "
_FORMAT = "WITH (format = 'PARQUET', compression = 'ZSTD')"
# The folder of an UNLOAD: one for each execution of an intention, since Athena wants an empty one.
_FOLDER = re.compile(rf"(?<=\n\) TO ')(s3://[^']*/)[0-9a-f]{{32}}/\d+(?=/' {re.escape(_FORMAT)}\Z)")


class Marker(BaseModel):
    """The last line of a query.

    Attributes:
        environment, dag_id, run_id, task_id: The task that submitted the query.
        generation: Which clear of the run wants it; see `generation_of`.
        output: The output location that was asked for; a workgroup may have overruled it.
        intention: Digest of all that makes the intention.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    dag_id: str
    run_id: str
    task_id: str
    generation: str
    output: str = ""
    intention: str = ""

    @property
    def line(self) -> str:
        """The comment, with the line break before it."""
        return _MARK + json.dumps(self.model_dump())

    @property
    def owner(self) -> tuple[str, ...]:
        """The task that submitted it, in one run of one environment."""
        return (self.environment, self.dag_id, self.run_id, self.task_id)

    def is_predecessor_of(self, other: Marker) -> bool:
        """Whether this is the same task's intention from before its SQL or settings were edited."""
        same_task = (self.owner, self.generation) == (other.owner, other.generation)
        return same_task and self.intention != other.intention

    @classmethod
    def find(cls, sql: str) -> Self | None:
        """Return the marker of a query, or None; `Submission.from_response` also checks that it is true."""
        try:
            return cls.model_validate_json(sql.rpartition(_MARK)[2])
        except ValidationError:
            return None


class Submission(BaseModel):
    """A query without and with its marker, and the rest of the request that starts it."""

    model_config = ConfigDict(frozen=True)

    statement: str
    context: Mapping[str, str]
    workgroup: str
    result_configuration: Mapping[str, Any]
    marker: Marker

    @classmethod
    def make(
        cls,
        query: str,
        *,
        owner: Marker,
        context: Mapping[str, str],
        workgroup: str,
        result_configuration: Mapping[str, Any],
        unload_to: str | None = None,
    ) -> Self:
        """Return the submission of a rendered query.

        Args:
            query: The SQL.
            owner: The marker, so far without output and intention.
            context: QueryExecutionContext of the request.
            workgroup: Athena workgroup.
            result_configuration: ResultConfiguration of the request; empty where the workgroup decides.
            unload_to: `s3://` prefix with the closing slash below which an UNLOAD writes Parquet files; None
                for a SELECT.
        """
        statement = query.rstrip().removesuffix(";").rstrip()
        if unload_to is not None:
            statement = f"UNLOAD (\n{statement}\n) TO '{unload_to}{'0' * 32}/0/' {_FORMAT}"
        marker = owner.model_copy(update={"output": result_configuration.get("OutputLocation", "")})
        intention = _digest(marker, statement, context, workgroup)
        return cls(
            statement=_into_folder(statement, intention, 0),
            context=context,
            workgroup=workgroup,
            result_configuration=result_configuration,
            marker=marker.model_copy(update={"intention": intention}),
        )

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self | None:
        """Return what an execution was started from, by GetQueryExecution.

        None if it has no marker, or one that does not fit its text, database, catalog and workgroup: somebody
        has copied and edited the query.
        """
        execution = response["QueryExecution"]
        statement, _, _ = execution.get("Query", "").rpartition(_MARK)
        marker = Marker.find(execution.get("Query", ""))
        context = {"Catalog": "AwsDataCatalog"} | execution.get("QueryExecutionContext", {})
        if marker is None or marker.intention != _digest(marker, statement, context, execution["WorkGroup"]):
            return None
        configuration = dict(execution.get("ResultConfiguration", {}))
        configuration.pop("OutputLocation", None)
        return cls(
            statement=_into_folder(statement, marker.intention, 0),
            context=context,
            workgroup=execution["WorkGroup"],
            result_configuration=configuration | ({"OutputLocation": marker.output} if marker.output else {}),
            marker=marker,
        )

    def sql(self, number: int) -> str:
        """Text of the intention's execution with this number, counted from 0."""
        return _into_folder(self.statement, self.marker.intention, number) + self.marker.line

    def token(self, number: int) -> str:
        """ClientRequestToken of the intention's execution with this number, counted from 0."""
        request = [self.sql(0), self.context, self.result_configuration, self.workgroup, number]
        return hashlib.sha256(json.dumps(request).encode()).hexdigest()


def generation_of(clear_number: int | None, run_started: datetime | None) -> str:
    """Return what tells a run that was cleared from a retry after a crash.

    Airflow counts `clear_number` up at each clear. The start of the run tells it from a run that was deleted
    and came back under the same id.
    """
    return f"{clear_number or 0}" + (f" since {run_started.isoformat()}" if run_started else "")


def _into_folder(statement: str, intention: str, number: int) -> str:
    return _FOLDER.sub(rf"\g<1>{intention}/{number}", statement)


def _digest(marker: Marker, statement: str, context: Mapping[str, str], workgroup: str) -> str:
    # GetQueryExecution answers the catalog in lower case.
    where = [context.get("Database", ""), context.get("Catalog", "").lower(), workgroup]
    what = [*marker.owner, marker.generation, marker.output, _FOLDER.sub(r"\g<1>", statement).strip(), *where]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
