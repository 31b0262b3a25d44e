"""Periods as partition keys of asset events, and DAGs that wait for these events."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from airflow.partition_mappers.base import PartitionMapper
from airflow.sdk import Asset

from athena_reports.periods.calendar import Cadence

if TYPE_CHECKING:
    from airflow.sdk import PartitionedAssetTimetable

try:
    from airflow.partition_mappers.window import Window
except ImportError:  # before Airflow 3.3
    Window = object  # type: ignore[assignment,misc]

# Events with a partition key came with the windows, in Airflow 3.3.
HAS_KEYED_EVENTS = Window is not object


def period_asset(dag_id: str) -> Asset:
    """Return the asset whose events have the id of the published period as partition key."""
    return Asset(f"{dag_id}_periods")


def delivery_asset(dag_id: str) -> Asset:
    """Return the asset whose events, by period id, start the DAG that delivers a report."""
    return Asset(f"{dag_id}_deliveries")


def when_to_deliver(dag_id: str) -> "PartitionedAssetTimetable":
    """Return the schedule of the DAG that delivers what a report's DAG publishes."""
    from airflow.sdk import IdentityMapper, PartitionedAssetTimetable

    return PartitionedAssetTimetable(
        assets=delivery_asset(dag_id), default_partition_mapper=IdentityMapper()
    )


def when_published(
    report: str, cadence: Cadence, *, all_of: Cadence | None = None
) -> "PartitionedAssetTimetable":
    """Return the schedule of a DAG that runs once for each published period; needs Airflow 3.3.

    The run's `partition_key` is the id of the period.

    Args:
        report: Name of the report.
        cadence: The cadence in which it is published.
        all_of: Periods of another cadence to run for instead, each once all that overlap with it
            are published.
    """
    from airflow.sdk import IdentityMapper, PartitionedAssetTimetable, RollupMapper

    mapper: Any = IdentityMapper()
    if all_of is not None:
        parts: Any = PeriodMapper(cadence, all_of)
        window: Any = PeriodWindow(cadence, all_of)
        mapper = RollupMapper(upstream_mapper=parts, window=window)
    return PartitionedAssetTimetable(
        assets=period_asset(f"{report}_{cadence.unit}"), default_partition_mapper=mapper
    )


class _Cadences:
    """What Airflow stores: the cadence of the `parts`, and of the `whole` that they make up."""

    def __init__(self, parts: Cadence, whole: Cadence) -> None:
        super().__init__()
        self.parts = parts
        self.whole = whole

    def serialize(self) -> dict[str, Any]:
        """Return what the metadata database stores."""
        return {"parts": asdict(self.parts), "whole": asdict(self.whole)}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Return what `serialize` stored."""
        return cls(Cadence(**data["parts"]), Cadence(**data["whole"]))


class PeriodMapper(_Cadences, PartitionMapper):
    """Maps the id of a period of `parts` to the ids of the periods of `whole` that it overlaps."""

    def to_downstream(self, key: str) -> Iterable[str]:
        """Return the ids of the periods that need this one, such as the two months of a week."""
        part = self.parts.period(key)
        return [period.id for period in self.whole.overlapping(part)]

    def to_partition_date(self, downstream_key: str) -> datetime:
        """Return the start of a period, for the run's `partition_date`."""
        return self.whole.period(downstream_key).start_utc


class PeriodWindow(_Cadences, Window):
    """The periods of the cadence `parts` that overlap with one of `whole`."""

    def to_upstream(self, decoded_downstream: str) -> Iterable[str]:
        """Return the ids of all periods that have to be published for this one."""
        whole_period = self.whole.period(decoded_downstream)
        return [period.id for period in self.parts.overlapping(whole_period)]
