"""Which tasks go first when a pool is full."""

from typing import TYPE_CHECKING

from airflow.task.priority_strategy import PriorityWeightStrategy

from athena_reports.periods.run_period import BACKFILL_RUN_IDS

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

_HEAD_START = 1000  # more than the weight of any task


class ScheduleFirst(PriorityWeightStrategy):
    """Tasks of scheduled and manual runs go before those that fill periods; then weight decides.

    A scheduled run that a backfill reprocesses keeps its id, and so the weight of the schedule.
    """

    def get_weight(self, ti: "TaskInstance") -> int:
        """Return the weight of a task instance; Airflow asks when its run is created or cleared."""
        weight = ti.task.priority_weight if ti.task else 1
        fills_a_period = str(ti.run_id).startswith(BACKFILL_RUN_IDS)
        return weight if fills_a_period else weight + _HEAD_START
