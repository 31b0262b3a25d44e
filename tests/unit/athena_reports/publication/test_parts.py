"""What is published of the parts of a period, as Glue has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from athena_reports import Published, daily
from athena_reports.errors import InputError
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PartitionFacts, PublishedPeriod
from athena_reports.publication.parts import changed_parts, find_parts
from athena_reports.steps.input_coverage import complete_periods
from tests.support.calendars import WEEK
from tests.support.memory_store import MemoryGlue
from tests.support.partition_facts import facts

DAYS = Published("days", daily(WEEK.cadence.timezone), missing="partial")
PARTS = DAYS.parts_of(WEEK)
NAMES = tuple(f"period={part.id}" for part in PARTS)


@pytest.fixture
def glue() -> MemoryGlue:
    return MemoryGlue(lambda _, effect: effect(), lambda _: None)


def publish(glue: MemoryGlue, day: Period, **changes: Any) -> None:
    glue.tables[DAYS.database, DAYS.table] = {"Name": DAYS.table}
    glue.partitions[DAYS.database, DAYS.table, day.id] = {
        "Values": [day.id],
        "StorageDescriptor": {"Location": f"s3://reports/{day.id}/"},
        "Parameters": facts(day, **changes).as_parameters(),
    }


def coverage(glue: Any) -> InputCoverage:
    ((coverage, _),) = find_parts([(DAYS, WEEK)], glue)
    return coverage


def test_nothing_is_published_of_a_report_without_a_table(glue: MemoryGlue) -> None:
    assert coverage(glue).unpublished == NAMES


def test_a_partition_of_another_program_is_not_published(glue: MemoryGlue) -> None:
    publish(glue, PARTS[0])
    glue.partitions[DAYS.database, DAYS.table, PARTS[0].id]["Parameters"] = {}
    assert coverage(glue).unpublished == NAMES


def test_what_a_part_lacks_or_may_still_get_is_that_of_its_reader(glue: MemoryGlue) -> None:
    publish(glue, PARTS[0])
    publish(glue, PARTS[1], partial=True)
    late, later = "2025-07-01T09:00:00+09:00", "2025-07-01T00:00:01+00:00"
    publish(glue, PARTS[2], provisional=True, settles_at=later)
    publish(glue, PARTS[3], provisional=True, settles_at=late)
    found = coverage(glue)

    assert (found.partial, found.unpublished) == (NAMES[1:2], NAMES[4:])
    assert found.gaps == [f"{found.table}/{name}" for name in (*NAMES[4:], NAMES[1])]
    assert found.settles_at == datetime.fromisoformat(later)
    assert found.versions == {part.id: "v1" for part in PARTS[:4]}


def test_each_of_some_periods_has_its_own_parts(glue: Any) -> None:
    following = WEEK.next
    in_both = [*DAYS.parts_of(WEEK)[-1:], *DAYS.parts_of(following)[:1]]
    for day in in_both:
        publish(glue, day)
    found = find_parts([(DAYS, following), (DAYS, WEEK), (DAYS, following)], glue)
    for place, day in ((0, in_both[1]), (1, in_both[0]), (2, in_both[1])):
        coverage, folders = found[place]
        name = f"period={day.id}"
        assert folders == {name: f"s3://reports/{day.id}/"}
        assert (coverage.needed, coverage.present) == (7, (name,))
        assert (coverage.table, coverage.dag_id) == (f"{DAYS.database}.{DAYS.table}", DAYS.table)
        assert (coverage.missing, coverage.settles_at) == ("partial", None)
        assert len(coverage.unpublished) == 6


def test_a_period_is_not_complete_while_a_part_of_it_is_partial(glue: Any) -> None:
    """Though a run of it has nothing to wait for."""
    following = WEEK.next
    for part in (*PARTS, *DAYS.parts_of(following)):
        publish(glue, part)
    publish(glue, PARTS[1], partial=True)
    complete = complete_periods(
        [DAYS],
        [following, WEEK],
        late_by=timedelta(0),
        now=datetime(2025, 7, 1, tzinfo=UTC),
        database=DAYS.database,
        glue=glue,
        s3=None,  # type: ignore[arg-type]
    )
    assert complete == [following]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"broken": "s3://x is missing"}, "is broken: s3://x is missing. Clear that period's run"),
        (
            {"period": PublishedPeriod.of(daily("UTC").period(PARTS[0].id))},
            "is published in time zone UTC; the input declares Asia/Tokyo. Use the cadence of",
        ),
    ],
)
def test_a_part_that_would_give_other_rows_is_refused(
    glue: MemoryGlue, changes: dict[str, Any], says: str
) -> None:
    publish(glue, PARTS[0], **changes)
    with pytest.raises(InputError, match=says) as caught:
        coverage(glue)
    assert f"{DAYS.table}, period {PARTS[0].id}" in str(caught.value)
    assert not caught.value.retryable


def test_the_versions_of_a_report_are_asked_for_once_however_many_periods_read_it() -> None:
    """Each answer lists all partitions of a table."""
    read = {
        "first": {"days_daily": {"1": "v1", "2": "v1"}, "weeks_weekly": {"1": "v1"}},
        "second": {"days_daily": {"2": "v2", "gone": "v1"}},
        "third": {"days_daily": {"1": "v2"}, "gone_daily": {"1": "v1"}},
    }
    periods = {period_id: facts(WEEK, parts=parts) for period_id, parts in read.items()}
    present = {"days_daily": {"1": "v1", "2": "v2"}, "weeks_weekly": {"1": "v3"}}
    asked = []

    def published_of(table: str) -> Mapping[str, PartitionFacts]:
        asked.append(table)
        versions = present.get(table, {})
        return {part_id: facts(WEEK, version=version) for part_id, version in versions.items()}

    assert changed_parts(periods, published_of) == {
        "first": ["days_daily 2", "weeks_weekly 1"],
        "third": ["days_daily 1"],
    }
    assert asked == ["days_daily", "weeks_weekly", "gone_daily"]
