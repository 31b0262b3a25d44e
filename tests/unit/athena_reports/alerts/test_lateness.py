"""From when on a period is late."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from athena_reports.alerts.lateness import USUAL_DELAY, deadline

ENDS = st.integers(0, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SECOND = timedelta(seconds=1)
DUES = st.timedeltas(SECOND, timedelta(days=30))
LATENESS = st.timedeltas(timedelta(0), timedelta(days=400))


@given(ENDS, DUES, LATENESS)
def test_a_report_has_the_time_that_it_would_have_had(
    end: datetime, due: timedelta, lateness: timedelta
) -> None:
    """No report is late that had less than `due` since it could run, whenever the check starts.

    If the check started in time, the report could run from the end of its period on. Otherwise, as
    far as is known, it could run only from the start of the check on.
    """
    started = end + due + lateness
    late_from = deadline(end, due, started)

    could_run_from = end if lateness <= USUAL_DELAY else started
    assert late_from - could_run_from == due
    assert late_from >= end + due, "nobody is told before the time that the author has set"


@given(ENDS, DUES)
def test_who_starts_a_check_gets_the_usual_deadline(end: datetime, due: timedelta) -> None:
    assert deadline(end, due, None) == end + due


def test_a_scheduler_may_take_a_quarter_of_an_hour_to_start_a_check() -> None:
    end, due = datetime(2026, 3, 8, tzinfo=UTC), timedelta(hours=3)
    in_time = end + due + timedelta(minutes=15)
    assert deadline(end, due, in_time) == end + due
    assert deadline(end, due, in_time + SECOND) == in_time + SECOND + due
