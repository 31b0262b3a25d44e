"""How the waits of a triggerer for their inputs share their looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from athena_reports import Input
from athena_reports.inputs.need import InputNeed
from athena_reports.periods.calendar import Period
from athena_reports.steps.partition_poller import (
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    PartitionPoller,
)
from athena_reports.steps.shared_poller import Connection
from tests.support.aws_errors import THROTTLED, api_error
from tests.support.calendars import WEEK
from tests.support.virtual_clock import VirtualClock
from tests.unit.athena_reports.steps.source_lake import DATABASE, SourceLake

CONNECTION = Connection("aws_default")
NO_NETWORK = EndpointConnectionError(endpoint_url="https://glue.example")
DENIED = api_error("AccessDeniedException", "not authorized")
DATES = [str(date(2025, 6, 7) + timedelta(days=days)) for days in range(8)]  # of WEEK, in UTC


def need(
    table: str = "plays", period: Period = WEEK, late_by: timedelta = timedelta(0), **fields: Any
) -> InputNeed:
    source = Input(table, "dt", wait=timedelta(days=30), **fields)
    return InputNeed(source=source, period=period, late_by=late_by, database=DATABASE)


async def changes_of(needs: Sequence[InputNeed]) -> list[Sequence[str]]:
    """Wait until nothing is missing, and return each change."""
    poller = PartitionPoller.of(CONNECTION)
    return [missing async for missing in poller.changes(needs, None)]


async def landing(lake: SourceLake, dates: Sequence[str], every_seconds: float) -> None:
    for day in dates:
        await asyncio.sleep(every_seconds)
        lake.land(day)


def waited(clock: VirtualClock, *coroutines: Any) -> list[Any]:
    async def at_once() -> list[Any]:
        return await asyncio.gather(*coroutines)

    return clock.run(at_once())


def test_late_partitions_are_needed_once_all_of_them_can_have_landed(
    lake: SourceLake, clock: VirtualClock
) -> None:
    """The clock starts half a day before that: a wait that goes on needs them too."""
    lake.create(dates=DATES[:7])
    of_late_events = [str(date(2025, 6, 15) + timedelta(days=days)) for days in range(4)]

    async def land_all_later() -> None:
        await asyncio.sleep(timedelta(days=1).total_seconds())
        for day in (DATES[7], *of_late_events):
            lake.land(day)

    late = need(late_by=timedelta(days=4))
    changes, _ = waited(clock, changes_of([late]), land_all_later())
    counts = [change[0].split()[1:4] for change in changes if change]
    assert counts == [["1", "of", "8"], ["5", "of", "12"]]
    assert changes[-1] == []


@pytest.mark.parametrize("waits", [1, 200])
def test_a_look_asks_once_for_all_waits(lake: SourceLake, clock: VirtualClock, waits: int) -> None:
    """200 waits for a week each, some of the same week: two calls a look, and no more clients."""
    weeks = [WEEK]
    for _ in range(9):
        weeks.append(weeks[-1].previous)
    lake.create(dates=DATES[:7])
    first = date(2025, 6, 7) - timedelta(days=70)
    for days in range(70):
        lake.land(str(first + timedelta(days=days)))
    needs = [need(period=weeks[number % 10]) for number in range(waits)]
    waited(
        clock,
        *(changes_of([one]) for one in needs),
        landing(lake, DATES[7:], 5 * PAUSE_SECONDS - 1),
    )
    looks = lake.counts["GetTable"]
    assert 4 <= looks <= 6
    assert lake.counts == {"GetTable": looks, "BatchGetPartition": looks}


def test_a_success_marker_is_waited_for_and_asked_for_once_for_all_waits(
    lake: SourceLake, clock: VirtualClock
) -> None:
    lake.create(dates=DATES)
    for day in DATES[:7]:
        lake.mark(f"lake/done/{day}")
    marked = need(done="s3://lake/done/{date}")

    async def mark_the_last() -> None:
        await asyncio.sleep(3 * PAUSE_SECONDS - 1)
        lake.mark(f"lake/done/{DATES[7]}.tmp")
        assert lake.counts["ListObjectsV2"] == 8 * lake.counts["GetTable"]
        await asyncio.sleep(PAUSE_SECONDS)
        lake.mark(f"lake/done/{DATES[7]}")

    *changes, _ = waited(clock, changes_of([marked]), changes_of([marked]), mark_the_last())
    for own in changes:
        assert [len(change) for change in own] == [1, 0]
        assert own[0][0].endswith(f"without a success marker: dt={DATES[7]}")
    assert clock.seconds > 4 * PAUSE_SECONDS - 1


@pytest.mark.parametrize("error", [NO_NETWORK, DENIED, RuntimeError("a bug")])
def test_no_error_ends_a_wait_and_each_outage_is_told_once(
    lake: SourceLake, clock: VirtualClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    lake.create(dates=DATES[:7])

    def refuse(action: str) -> None:
        if 100 < clock.seconds < 500 or 1000 < clock.seconds < 5000:
            raise error

    lake.before = refuse
    with caplog.at_level(logging.INFO):
        changes, _ = waited(clock, changes_of([need()]), landing(lake, DATES[7:], 2000))
    assert changes[-1] == []
    assert 5000 <= clock.seconds <= 5000 + LONGEST_PAUSE_SECONDS
    told = [record.getMessage() for record in caplog.records]
    told = [line for line in told if "will retry" in line]
    assert len(told) == 2
    assert all(str(error) in line for line in told)


def test_a_table_that_cannot_be_looked_at_leaves_the_other_waits_alone(
    lake: SourceLake, clock: VirtualClock
) -> None:
    lake.create("plays", DATES)

    async def give_up() -> None:
        async with asyncio.timeout(1000):
            await changes_of([need("absent")])

    async def end_of_plays() -> float:
        assert await changes_of([need("plays")]) == [[]]
        return clock.seconds

    async def both() -> list[Any]:
        return await asyncio.gather(give_up(), end_of_plays(), return_exceptions=True)

    lost, ended_at = clock.run(both())
    assert isinstance(lost, TimeoutError)
    assert ended_at <= 2 * PAUSE_SECONDS


def test_it_gives_way_while_glue_throttles_and_each_table_has_its_turn(
    lake: SourceLake, clock: VirtualClock
) -> None:
    tables = [f"t{number}" for number in range(6)]
    for table in tables:
        lake.create(table, DATES)
    asked_at: list[float] = []
    calls = 0

    def throttle(action: str) -> None:
        nonlocal calls
        asked_at.append(clock.seconds)
        calls += 1
        if clock.seconds < 2000 or calls % 5 == 0:
            raise THROTTLED

    lake.before = throttle
    waited(clock, *(changes_of([need(table)]) for table in tables))
    early = [at for at in asked_at if at < 2000]
    pauses = [after - before for before, after in pairwise(early)]
    assert pauses[:3] == pytest.approx([40, 80, 160], abs=1)
    assert max(pauses) == pytest.approx(LONGEST_PAUSE_SECONDS, abs=1)
    assert len(early) == len(set(early))  # one call, and then a pause
    assert clock.seconds < 2000 + 2 * LONGEST_PAUSE_SECONDS


def test_it_gives_way_while_s3_throttles(lake: SourceLake, clock: VirtualClock) -> None:
    lake.create(dates=DATES)
    for day in DATES:
        lake.mark(f"lake/done/{day}")
    asked_at: list[float] = []

    def throttle(action: str) -> None:
        if action.startswith("ListObjectsV2"):
            asked_at.append(clock.seconds)
            if clock.seconds < 2000:
                raise api_error("SlowDown", "Please reduce your request rate")

    lake.before = throttle
    waited(clock, changes_of([need(done="s3://lake/done/{date}")]))
    looks = sorted({round(at) for at in asked_at})  # a look makes several calls
    pauses = [after - before for before, after in pairwise(looks)]
    assert pauses[:3] == pytest.approx([40, 80, 160], abs=1)
