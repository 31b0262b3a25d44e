"""The notes that a task makes of its query executions, in Airflow's task state store."""

import logging
from functools import cached_property
from typing import Any

from airflow.sdk import Context
from botocore.exceptions import ClientError
from pydantic import TypeAdapter

from athena_reports.aws.errors import error_code
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.queries.request import QueryRequest

_KEY = "athena query executions"
_NOTES = TypeAdapter(dict[str, dict[str, str]])  # the ids of executions by chain and token
_logger = logging.getLogger(__name__)


class ExecutionNotes:
    """Notes of the executions that a task has started for one chain of tokens.

    They are in the task's state store (`context["task_state_store"]`, Airflow 3.3), which survives
    retries for `[state_store] default_retention_days`, 30 by default, and clears on Airflow 3.3;
    3.4 discards it when a task is cleared, unless `keep_task_state` is set. A try that was taken
    for dead and comes back finds none: Airflow knows the task instance by a new id then.

    A store that does not answer is only logged: Athena remembers the token as well. A chain is
    named by the token of its first execution, or the execution that a wait was given. Another chain
    is of another clear of the run, or of SQL that was edited since.
    """

    def __init__(self, context: Context, chain: str) -> None:
        self._store: Any = context.get("task_state_store")
        self._chain = chain

    @property
    def are_kept(self) -> bool:
        """Whether Airflow keeps notes."""
        return self._store is not None

    def find(self, token: str) -> str:
        """Return the id of the execution that was started under a token; empty for none."""
        return self._ids_by_chain.get(self._chain, {}).get(token, "")

    def add(self, token: str, query_execution_id: str) -> None:
        """Note an execution."""
        if self._store is None:
            return
        self._ids_by_chain.setdefault(self._chain, {})[token] = query_execution_id
        try:
            self._store.set(_KEY, self._ids_by_chain)
        except Exception as error:  # a deployment can have a backend with errors of its own
            _logger.warning("Could not record query %s: %r", query_execution_id, error)

    def ids_of_chain(self) -> list[str]:
        """Return the ids of the noted executions of this chain."""
        return list(self._ids_by_chain.get(self._chain, {}).values())

    def ids_of_other_chains(self) -> list[str]:
        """Return the ids of the noted executions that do not belong to this chain."""
        other_ids: list[str] = []
        for chain, ids_by_token in self._ids_by_chain.items():
            if chain != self._chain:
                other_ids.extend(ids_by_token.values())
        return other_ids

    @cached_property
    def _ids_by_chain(self) -> dict[str, dict[str, str]]:
        # Read once: each read is a call to Airflow's API server.
        if self._store is None:
            return {}
        try:
            return _NOTES.validate_python(self._store.get(_KEY, {}))
        except Exception as error:  # of the backend, or somebody has edited the notes
            _logger.warning("Could not read the recorded queries: %r", error)
            return {}


def start_once(
    request: QueryRequest, token: str, hook: SharedSessionHook, notes: ExecutionNotes
) -> str:
    """Return the id of the execution that is noted under a token; start the query if none is."""
    noted_id = notes.find(token)
    if noted_id:
        return noted_id
    # If the worker died before it could note the execution, Athena knows it by its token.
    athena: Any = hook.get_conn()
    response = athena.start_query_execution(**request.start_arguments(token))
    query_execution_id: str = response["QueryExecutionId"]
    notes.add(token, query_execution_id)
    _logger.info("Started query %s.", query_execution_id)
    return query_execution_id


def stop_unwanted(hook: SharedSessionHook, notes: ExecutionNotes) -> None:
    """Stop what this task started before its run was cleared, or its SQL edited."""
    for unwanted_id in notes.ids_of_other_chains():
        try:
            hook.stop_query(unwanted_id)  # which does nothing to a query that has ended
        except ClientError as error:
            # Athena has no code of its own for an unknown id. It forgets executions after 45 days.
            if error_code(error) != "InvalidRequestException":
                raise
