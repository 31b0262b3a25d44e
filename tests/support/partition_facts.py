"""What Glue says of published periods, for tests that need no Glue."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PartitionFacts


def periods_from(period: Period, number: int) -> list[Period]:
    return list(accumulate(range(number - 1), lambda each, _: each.next, initial=period))


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def facts(period: Period, **changes: str) -> dict[str, str]:
    """What the partition of a period says, published an hour after the period."""
    times = dict.fromkeys(
        ["published_at", "submitted_at", "settles_at"], text(period.end_utc + timedelta(hours=1))
    )
    places = {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "restated_at": "",
        "broken": "",
    }
    return (
        dict.fromkeys(PartitionFacts.model_fields, "0")
        | {"rows": "1", "paid": "{}", "parts": "{}", "readings": "{}"}
        | times
        | places
        | changes
    )
