"""The declaration of a report that another one reads, and the parts that a period has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import Published, daily, monthly, quarterly, weekly, yearly
from athena_reports.errors import InputError, ReportError
from athena_reports.periods.calendar import Cadence
from athena_reports.settings import settings

CADENCES = [
    daily("Asia/Tokyo"),
    daily("UTC"),
    daily("America/New_York"),
    weekly("sunday", "Asia/Tokyo"),
    weekly("monday", "Asia/Tokyo"),
    monthly("Asia/Tokyo"),
    monthly("America/New_York"),
    quarterly("Asia/Tokyo"),
    quarterly("UTC"),
    yearly("Asia/Tokyo"),
    yearly("America/New_York"),
]
INSTANTS = st.datetimes(
    datetime(2011, 1, 1),  # noqa: DTZ001
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def tiles(parts: Published, cadence: Cadence, instants: list[datetime]) -> bool:
    """Whether the parts of each of some periods are whole: they begin and end with the period."""
    for instant in instants:
        period = cadence.containing(instant)
        found = parts.parts_of(period)
        if (found[0].start_utc, found[-1].end_utc) != (period.start_utc, period.end_utc):
            return False
    return True


@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("of_parts", CADENCES)
def test_exactly_what_has_whole_parts_for_years_is_accepted(
    of_parts: Cadence, cadence: Cadence
) -> None:
    """A week of months may look whole once, but not for two years."""
    parts = Published("plays", of_parts)
    two_years = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(731)]
    if tiles(parts, cadence, two_years):
        parts.require_parts_of(cadence)
        return
    with pytest.raises(InputError, match='parts="overlapping"'):
        parts.require_parts_of(cadence)
    Published("plays", of_parts, parts="overlapping").require_parts_of(cadence)


def test_what_does_not_fit_is_said_of_both_cadences() -> None:
    with pytest.raises(InputError) as refused:
        Published("plays", monthly("Asia/Tokyo")).require_parts_of(weekly("sunday", "Asia/Tokyo"))
    assert str(refused.value) == (
        "a week (Weekly from Sunday, Asia/Tokyo) does not consist of whole periods of"
        " plays_monthly (Monthly, Asia/Tokyo). Read a report with matching periods, or set"
        ' parts="overlapping" to read every period that overlaps.'
    )


@given(st.sampled_from(CADENCES), st.sampled_from(CADENCES), INSTANTS)
def test_overlapping_parts_are_those_with_an_instant_in_common(
    of_parts: Cadence, cadence: Cadence, instant: datetime
) -> None:
    period = cadence.containing(instant)
    found = Published("plays", of_parts, parts="overlapping").parts_of(period)
    expected = []
    part = of_parts.containing(period.start_utc - timedelta(days=400))
    while part.start_utc < period.end_utc:
        if part.end_utc > period.start_utc:
            expected.append(part)
        part = part.next
    assert found == expected


def test_the_table_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", "published_here")
    settings.cache_clear()
    days = Published("plays", daily("Asia/Tokyo"))
    assert (days.database, days.table) == ("published_here", "plays_daily")
    week = weekly("sunday", "Asia/Tokyo").period("2025-06-01")
    ids = [f"2025-06-0{day}" for day in range(1, 8)]
    late = timedelta(days=2)  # which has no effect: a part has its own late events
    assert days.predicate(week, late, "d") == f"(d.period IN {tuple(ids)})"
    assert days.required_partitions(week, late, week.end_utc) == [(id,) for id in ids]


@pytest.mark.parametrize(
    ("fields", "named", "says"),
    [
        *(
            ({"report": name}, "report", f"{name!r} is not valid")
            for name in ("Plays", "1st", "", "a" * 65, "plays\n")
        ),
        ({"cadence": "daily"}, "cadence", "'daily' is not valid"),
        ({"wait": timedelta(0)}, "wait", "is not valid"),
    ],
)
def test_a_mistake_names_the_field(fields: dict[str, Any], named: str, says: str) -> None:
    arguments = {"report": "plays", "cadence": daily(), **fields}
    with pytest.raises(ReportError, match=f"^Published .*, field '{named}'") as caught:
        Published(**arguments)
    assert says in str(caught.value)
