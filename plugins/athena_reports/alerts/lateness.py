"""When a period is late."""

from datetime import datetime, timedelta

# The check of a period is scheduled for when the period is due. Airflow needs some time to create
# the run and to find a slot. A check that starts later than this could not start before: the DAG is
# new, was paused, or no scheduler was running. Then, as far as is known, the report could not run
# before either.
USUAL_DELAY = timedelta(minutes=15)


def deadline(period_end: datetime, due: timedelta, check_started: datetime | None) -> datetime:
    """Return the time from which on an unpublished period is late.

    Args:
        period_end: The end of the period.
        due: How long after its end a period is published at the latest.
        check_started: When the scheduled check of the period started. If it started late, the
            report gets the whole `due` from there on. None for a check that somebody started, who
            wants to know now.
    """
    usual_deadline = period_end + due
    if check_started is None or check_started <= usual_deadline + USUAL_DELAY:
        return usual_deadline
    return check_started + due
