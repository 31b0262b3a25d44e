"""Airflow's view of a cadence: a run per period, shortly after the period has closed."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from athena_reports.periods.calendar import Cadence, Period


class PeriodTimetable(Timetable):
    """Schedules one run per period: the data interval is the period exactly, and `run_after` is its end plus `delay`.

    `delay` is in whole seconds, zero or more.
    """

    periodic = True
    run_ordering = ("data_interval_end", "logical_date")

    def __init__(self, cadence: Cadence, delay: timedelta = timedelta(0)) -> None:
        if delay < timedelta(0) or delay.microseconds:
            raise ValueError(f"delay is {delay}: give whole seconds, zero or more.")
        self.cadence, self.delay, self.description = cadence, delay, cadence.description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeriodTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.cadence, self.delay))

    @property
    def summary(self) -> str:
        """The schedule as the UI shows it: `Weekly from Sunday, Asia/Tokyo, +5 min`."""
        return f"{self.description}, +{self.delay / timedelta(minutes=1):g} min" if self.delay else self.description

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
        """Return the next run; the first is of the first whole period, without catch-up of the last that is due."""
        bounds = [last_automated_data_interval and last_automated_data_interval.end, restriction.earliest]
        if not restriction.catchup:
            bounds.append(pendulum.instance(self.cadence.last_complete(datetime.now(UTC) - self.delay).start_utc))
        if not any(bounds):
            return None
        period = self.cadence.first_from(max(filter(None, bounds)))
        if restriction.latest is not None and period.start_utc > restriction.latest:
            return None
        interval = _interval(period)
        # `interval` fills the further arguments that the constructor needs since Airflow 3.2.
        return DagRunInfo.interval(interval.start, interval.end)._replace(run_after=interval.end + self.delay)


def _interval(period: Period) -> DataInterval:
    return DataInterval(pendulum.instance(period.start_utc), pendulum.instance(period.end_utc))
