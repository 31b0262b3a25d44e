"""Waits for inputs in the triggerer: many waits in one process, none in a worker."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetXCom
from airflow.triggers.base import BaseTrigger, TriggerEvent

from athena_reports.inputs.need import InputNeed
from athena_reports.steps.missing_inputs import MISSING_XCOM, MissingInputs
from athena_reports.steps.partition_poller import PartitionPoller
from athena_reports.steps.shared_poller import Connection


class InputsTrigger(BaseTrigger):
    """Fires when no input lacks anything, and keeps the XCom of its task up to date.

    `since` is ISO 8601, `missing` is None if nothing is known, and `connection` has the arguments
    of `Connection`. The time-out is that of the deferral.
    """

    def __init__(
        self, needs: Sequence[str], since: str, missing: Sequence[str] | None, **connection: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.needs = list(needs)
        self.since = datetime.fromisoformat(since)
        self.missing = missing
        self.connection = connection

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        fields = {
            "needs": self.needs,
            "since": self.since.isoformat(),
            "missing": self.missing,
            **self.connection,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until nothing is missing."""
        needs = [InputNeed.model_validate_json(need) for need in self.needs]
        poller = PartitionPoller.of(Connection(**self.connection))
        async for missing in poller.changes(needs, self.missing):
            if missing:
                waiting = MissingInputs(since=self.since, missing=tuple(missing))
                self.log.info("%s", waiting)
                await self._push(waiting)
        yield TriggerEvent({"missing": []})

    async def _push(self, waiting: MissingInputs) -> None:
        # For the Reports page. The wait goes on if Airflow does not take it.
        task: Any = self.task_instance
        message = SetXCom(
            key=MISSING_XCOM,
            value=waiting.model_dump(mode="json"),
            dag_id=task.dag_id,
            run_id=task.run_id,
            task_id=task.task_id,
            map_index=task.map_index,
        )
        try:
            await task_runner.SUPERVISOR_COMMS.asend(message)
        except Exception as error:
            self.log.warning("Could not update the missing inputs on the Reports page: %r", error)
