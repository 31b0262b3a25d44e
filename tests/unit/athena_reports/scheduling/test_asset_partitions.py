"""Periods as partition keys: which runs of another cadence a period belongs to,
also through the metadata database.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import Cadence, daily, monthly, quarterly, weekly, when_published
from tests.support.airflow_versions import since_3_3

pytestmark = since_3_3

TOKYO, BERLIN = "Asia/Tokyo", "Europe/Berlin"
CADENCES = [
    daily(TOKYO),
    weekly("sunday", TOKYO),
    weekly("monday", BERLIN),
    monthly(BERLIN),
    quarterly(TOKYO),
]


def stored(cadence: Cadence, all_of: Cadence) -> Any:
    """The mapper of a DAG as the scheduler reads it."""
    dag = DAG("consumer", schedule=when_published("plays", cadence, all_of=all_of))
    timetable: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert timetable.partitioned
    return timetable.get_partition_mapper(name="plays_weekly_periods", uri="plays_weekly_periods")


def test_a_month_needs_every_week_that_overlaps_with_it() -> None:
    mapper = stored(weekly("sunday", TOKYO), monthly(TOKYO))

    assert sorted(mapper.to_upstream("2025-06")) == [
        f"2025-06-{day}" for day in ("01", "08", "15", "22", "29")
    ]
    assert sorted(mapper.to_upstream("2025-05"))[::4] == ["2025-04-27", "2025-05-25"]
    assert list(mapper.to_downstream("2025-06-29")) == ["2025-06", "2025-07"]
    assert list(mapper.to_downstream("2025-05-25")) == ["2025-05"]  # its last day is the month's
    assert mapper.to_partition_date("2025-06").isoformat() == "2025-05-31T15:00:00+00:00"


@pytest.mark.parametrize("all_of", [None, monthly(TOKYO)])
def test_a_schedule_follows_the_periods_of_the_report_in_its_cadence(
    all_of: Cadence | None,
) -> None:
    schedule: Any = when_published("plays", weekly("sunday", TOKYO), all_of=all_of)
    assert schedule.asset_condition.name == "plays_weekly_periods"
    mapper = type(schedule.default_partition_mapper).__name__
    assert mapper == ("IdentityMapper" if all_of is None else "RollupMapper")


@given(
    st.sampled_from(CADENCES),
    st.sampled_from(CADENCES),
    st.dates(date(1901, 1, 1), date(2198, 1, 1)),
)
def test_a_run_waits_for_exactly_the_periods_that_are_mapped_to_it(
    parts: Cadence, whole: Cadence, day: date
) -> None:
    """Else a run would wait for ever, or start too early."""
    period = whole.containing(datetime.combine(day, time(), UTC))
    around = parts.between(period.start_utc - timedelta(100), period.end_utc + timedelta(100))
    needed = list(parts.overlapping(period))

    assert needed == [part for part in around if period in whole.overlapping(part)]
    assert needed[0].start_utc <= period.start_utc < period.end_utc <= needed[-1].end_utc
