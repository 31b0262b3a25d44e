"""Whose query it is.

An intention is what a run wants since its last clear, or what an author's command wants: one query,
which may take several executions. A comment in the SQL, the marker, names it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ValidationError

_MARK = "\n-- athena-reports: "
_FORMAT = "WITH (format = 'PARQUET', compression = 'ZSTD')"
_UNLOAD = """UNLOAD (
{query}
) TO '{folder_uri}' {format}"""
# Each execution of an UNLOAD has a folder of its own, `<intention>/<number>/`, since Athena wants
# an empty one. `_FOLDER` finds that part in a statement.
_AFTER_FOLDER = re.escape(f"/' {_FORMAT}") + r"\Z"
_FOLDER = re.compile(
    rf"(?<=\n\) TO ')(?P<unload_to>s3://[^']*/)[0-9a-f]{{32}}/\d+(?={_AFTER_FOLDER})"
)
_UNLOADED = re.compile(r"UNLOAD \(\n(?P<query>.*)\n\) TO 's3://[^']*/' .*\Z", re.DOTALL)
_NO_INTENTION = "0" * 32  # stands in the folder where all executions are to have the same text


class _Comment(BaseModel, frozen=True, extra="forbid", strict=True):
    """The last line of a query: one JSON object."""

    @property
    def line(self) -> str:
        """The comment, with the line break before it."""
        return _MARK + json.dumps(self.model_dump())

    @classmethod
    def find(cls, sql: str) -> Self | None:
        """Return the marker of this kind in a query, or None.

        It may be copied from another query, which only `Submission.from_response` notices.
        """
        text = sql.rpartition(_MARK)[2]
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None


class Marker(_Comment, frozen=True):
    """The last line of the query of a task."""

    environment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1  # of a mapped task; -1 for any other, as in Airflow
    generation: str  # which clear of the run wants the query; another clear wants another query
    output: str = ""  # the output location that was asked for; a workgroup may have overruled it
    intention: str = ""  # digest of all that makes the intention

    @property
    def owner(self) -> tuple[str | int, ...]:
        """The task instance that submitted it, in one run of one environment."""
        return (self.environment, self.dag_id, self.run_id, self.task_id, self.map_index)

    @property
    def wanted_by(self) -> tuple[str | int, ...]:
        """What of the marker goes into the intention: the owner, and the clear of its run."""
        return (*self.owner, self.generation)

    def is_predecessor_of(self, other: "Marker | AuthorMarker") -> bool:
        """Whether the other one is of the same task, after its SQL or settings were edited."""
        if not isinstance(other, Marker):
            return False
        is_same_task = self.wanted_by == other.wanted_by
        return is_same_task and self.intention != other.intention


class AuthorMarker(_Comment, frozen=True):
    """The last line of the query of an author's command. No task has such a marker.

    The query is wanted for `expires_after_seconds` after Athena was asked for it, and for as long
    after each renewal of its lease. That is counted by the clocks of AWS. The author's clock may be
    wrong.
    """

    environment: str
    author: str  # the ARN of the credentials, or the user of the operating system
    command: str  # such as `plan`
    command_id: str  # tells this query from every other one, also of the same author
    expires_after_seconds: int
    output: str = ""  # the output location that was asked for; a workgroup may have overruled it
    intention: str = ""  # digest of all that makes the intention

    @property
    def wanted_by(self) -> tuple[str | int, ...]:
        """What of the marker goes into the intention."""
        return (
            "author",  # so that it equals that of no task
            self.environment,
            self.author,
            self.command,
            self.command_id,
            self.expires_after_seconds,
        )

    def is_predecessor_of(self, other: "Marker | AuthorMarker") -> bool:
        """Return False: no command and no task takes over the query of a command."""
        return False


def _into_folder(statement: str, intention: str, number: int) -> str:
    """Return an UNLOAD into the folder of one execution; another statement as it is."""
    return _FOLDER.sub(rf"\g<unload_to>{intention}/{number}", statement)


def _without_folder(statement: str) -> str:
    """Return an UNLOAD as all executions of its intention have it; another statement as it is."""
    return _into_folder(statement, _NO_INTENTION, 0)


def query_of(statement: str) -> str:
    """Return the query inside an UNLOAD of this module; another statement as it is."""
    unload = _UNLOADED.match(statement)
    if unload is None:
        return statement
    return unload["query"]


class Submission(BaseModel, frozen=True):
    """A query, its marker, and the rest of the request that starts it."""

    statement: Annotated[str, AfterValidator(_without_folder)]  # without the marker
    context: Mapping[str, str]  # QueryExecutionContext
    workgroup: str
    result_configuration: Mapping[str, Any]
    marker: Marker | AuthorMarker

    @classmethod
    def make(
        cls,
        query: str,
        *,
        owner: Marker | AuthorMarker,
        context: Mapping[str, str],
        workgroup: str,
        result_configuration: Mapping[str, Any],
        unload_to: str | None = None,
    ) -> Self:
        """Return the submission of a rendered query.

        Args:
            query: The rendered SQL.
            owner: The marker, still without `output` and `intention`, which are added here.
            context: QueryExecutionContext of the request.
            workgroup: WorkGroup of the request.
            result_configuration: ResultConfiguration of the request.
            unload_to: Address of the folder below which an UNLOAD writes; None for no UNLOAD.
        """
        statement = query.rstrip().removesuffix(";").rstrip()
        if unload_to is not None:
            folder_uri = f"{unload_to}{_NO_INTENTION}/0/"
            statement = _UNLOAD.format(query=statement, folder_uri=folder_uri, format=_FORMAT)
        output = result_configuration.get("OutputLocation", "")
        without_intention = cls(
            statement=statement,
            context=context,
            workgroup=workgroup,
            result_configuration=result_configuration,
            marker=owner.model_copy(update={"output": output}),
        )
        return without_intention._with_intention()

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self | None:
        """Return what an execution was started from.

        Args:
            response: The response of GetQueryExecution.

        Returns:
            The submission; None if the query has no marker, or a marker copied from another query.
        """
        execution = response["QueryExecution"]
        sql = execution.get("Query", "")
        marker: Marker | AuthorMarker | None = Marker.find(sql)
        if marker is None:
            marker = AuthorMarker.find(sql)
        if marker is None:
            return None

        context = {"Catalog": "AwsDataCatalog"}
        context.update(execution.get("QueryExecutionContext", {}))
        asked_for = dict(execution.get("ResultConfiguration", {}))
        # The location in the response is that of the result's object, not the folder asked for.
        asked_for["OutputLocation"] = marker.output
        submission = cls(
            statement=sql.rpartition(_MARK)[0],
            context=context,
            workgroup=execution["WorkGroup"],
            result_configuration={name: value for name, value in asked_for.items() if value},
            marker=marker,
        )
        if submission._intention != marker.intention:
            return None
        return submission

    def sql(self, number: int) -> str:
        """Text of the intention's execution with this number, counted from 0, with the marker."""
        statement = _into_folder(self.statement, self.marker.intention, number)
        return statement + self.marker.line

    def token(self, number: int) -> str:
        """ClientRequestToken of the intention's execution with this number, counted from 0."""
        # The number tells the executions apart. The SQL is that of the first one for all of them.
        parts = [self.sql(0), self.context, self.result_configuration, self.workgroup, number]
        return _sha256(parts)

    def _with_intention(self) -> Self:
        marker = self.marker.model_copy(update={"intention": self._intention})
        return self.model_copy(update={"marker": marker})

    @property
    def _intention(self) -> str:
        """The digest of who wants the statement, the statement, and where it runs."""
        database = self.context.get("Database", "")
        catalog = self.context.get("Catalog", "").lower()  # as the response has it
        parts = [
            *self.marker.wanted_by,
            self.marker.output,
            self.statement.strip(),
            database,
            catalog,
            self.workgroup,
        ]
        return _sha256(parts)[:32]


def _sha256(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
