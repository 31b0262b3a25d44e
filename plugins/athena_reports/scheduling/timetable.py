"""Airflow's view of a cadence: a run per period, shortly after the period has closed."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.utils.types import DagRunType

from athena_reports.periods.calendar import Cadence, Period

# The kinds of runs that the DAGs beside the reports take. In a backfill, a maintenance DAG would do
# today's work once per run, and the DAG of the alerts would alert about each old period.
ALL_BUT_BACKFILLS = tuple(kind.value for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB)


class PeriodTimetable(Timetable):
    """Schedules one run per period.

    The data interval is the period exactly, and `run_after` is its end plus `delay`, zero or more.
    """

    periodic = True
    run_ordering = ("data_interval_end", "logical_date")

    def __init__(self, cadence: Cadence, delay: timedelta = timedelta(0)) -> None:
        self.cadence = cadence
        self.delay = delay
        self.description = cadence.description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeriodTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.cadence, self.delay))

    @property
    def summary(self) -> str:
        """The schedule as the UI shows it: `Weekly from Sunday, Asia/Tokyo, +5 min`."""
        if not self.delay:
            return self.description
        minutes = self.delay / timedelta(minutes=1)
        return f"{self.description}, +{minutes:g} min"

    def serialize(self) -> dict[str, Any]:
        """Return what the metadata database stores of this timetable."""
        return {"cadence": asdict(self.cadence), "delay_seconds": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Return the timetable that `serialize` stored."""
        return cls(Cadence(**data["cadence"]), timedelta(seconds=data["delay_seconds"]))

    def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
        """Return the last period complete at `run_after`, a manual run's logical date."""
        return _interval(self.cadence.last_complete(run_after))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run.

        The first run is of the first whole period; without catch-up, of the last one that is due.
        None if there is no start date, or the next period starts after the end date.
        """
        earliest_starts = []
        if last_automated_data_interval is not None:
            earliest_starts.append(last_automated_data_interval.end)
        if restriction.earliest is not None:
            earliest_starts.append(restriction.earliest)
        if not restriction.catchup:
            last_due = self.cadence.last_complete(datetime.now(UTC) - self.delay)
            earliest_starts.append(pendulum.instance(last_due.start_utc))
        if not earliest_starts:
            return None
        period = self.cadence.first_from(max(earliest_starts))
        if restriction.latest is not None and period.start_utc > restriction.latest:
            return None
        interval = _interval(period)
        # `interval` fills the further arguments that the constructor needs since Airflow 3.2.
        at_its_end = DagRunInfo.interval(interval.start, interval.end)
        return at_its_end._replace(run_after=interval.end + self.delay)


def _interval(period: Period) -> DataInterval:
    return DataInterval(pendulum.instance(period.start_utc), pendulum.instance(period.end_utc))
