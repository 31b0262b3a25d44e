"""The notes that a task makes of its query executions, in Airflow's task state store."""

import logging
from typing import Any

from airflow.sdk import Context

_logger = logging.getLogger(__name__)


class TaskStateNotes:
    """Notes of the executions that one task has started for one generation of its run.

    They are in the task's state store (`context["task_state_store"]`), which Airflow has from 3.3
    on. Before 3.3 nothing is noted. The notes survive retries. They survive a clear of the run too,
    but a cleared run has another generation, and so notes of its own. Airflow keeps them for
    `[state_store] default_retention_days`, 30 by default.

    If the store does not answer, that is only logged: the notes are not the only way to find a
    query.

    Args:
        context: The context of the task.
        generation: Which clear of the run wants the query, as in the query's marker.
        known_ids: Ids of executions that the task knows from elsewhere. They count as the oldest.
    """

    def __init__(self, context: Context, generation: str, *, known_ids: tuple[str, ...] = ()):
        self._store: Any = context.get("task_state_store")
        self._key = f"athena query executions, generation {generation}"
        self._known_ids = known_ids

    def ids(self) -> list[str]:
        """Return the ids of the known and of the noted executions, the oldest first."""
        ids = list(self._known_ids)
        for noted_id in self._noted_ids():
            if noted_id not in ids:
                ids.append(noted_id)
        return ids

    def add(self, query_execution_id: str) -> None:
        """Note an execution."""
        if self._store is None:
            return
        # If the notes cannot be read, they are overwritten: the latest execution matters most.
        noted_ids = self._noted_ids()
        if query_execution_id in noted_ids:
            return
        try:
            self._store.set(self._key, [*noted_ids, query_execution_id])
        except Exception as error:  # a deployment can have a backend with errors of its own
            _logger.warning("Query %s could not be noted: %r", query_execution_id, error)

    def _noted_ids(self) -> list[str]:
        if self._store is None:
            return []
        try:
            value = self._store.get(self._key)
        except Exception as error:  # a deployment can have a backend with errors of its own
            _logger.warning("The notes of queries could not be read: %r", error)
            return []
        if not isinstance(value, list):
            return []
        return [str(noted_id) for noted_id in value]
