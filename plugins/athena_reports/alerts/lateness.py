"""When a period is late."""

from datetime import datetime, timedelta

# A check that starts within this time after its period is due is on time: Airflow has made the
# run, a worker had a slot. One that starts later was not possible before: the DAG is new, was
# paused, or no scheduler was running. The report could not run either, as far as is known.
USUAL_DELAY = timedelta(minutes=15)


def deadline(period_end: datetime, due: timedelta, check_started: datetime | None) -> datetime:
    """Return from when on a period is late that is not published.

    Args:
        period_end: The end of the period.
        due: How long after its end a period is published at the latest.
        check_started: When the scheduled check of the period started. If that is late, the report
            has `due` from there on, the time it would have had. None if it does not matter, as
            somebody wants to know now.
    """
    usual = period_end + due
    if check_started is None or check_started <= usual + USUAL_DELAY:
        return usual
    return check_started + due
