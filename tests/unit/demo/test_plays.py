import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.plays import SCHEMA, TRICKY_NAMES, PlaysSpec, generate

DAY = dt.timedelta(days=1)
MILLISECOND = dt.timedelta(milliseconds=1)
TOKYO = dt.timedelta(hours=9)
JANUARY_2025 = PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 2, 1), events=31 * 2_000, users=3_000)


def values(table: pa.Table, column: str) -> list[Any]:
    return list(table[column].to_pylist())


def rows(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(values(table, column) for column in columns), strict=True)


@st.composite
def specs(draw: st.DrawFn) -> PlaysSpec:
    start = draw(st.dates(dt.date(1969, 12, 1), dt.date(2100, 1, 1)))
    return PlaysSpec(
        start=start,
        end=start + draw(st.integers(1, 5)) * DAY,
        events=draw(st.integers(0, 400)),
        users=draw(st.integers(1, 60)),
        seed=draw(st.integers(0, 2**64 - 1)),
    )


@pytest.fixture(scope="module")
def january() -> list[tuple[dt.date, pa.Table]]:
    return list(generate(JANUARY_2025))


@pytest.fixture(scope="module")
def events(january: list[tuple[dt.date, pa.Table]]) -> pa.Table:
    return pa.concat_tables(table for _, table in january)


@given(specs())
def test_any_specification_gives_its_days_its_events_and_nothing_that_lands_early_or_too_late(
    spec: PlaysSpec,
) -> None:
    days = list(generate(spec))
    assert [day for day, _ in days] == [
        spec.start + n * DAY for n in range((spec.end - spec.start).days)
    ]
    everything = pa.concat_tables(table for _, table in days)
    assert everything.schema == SCHEMA
    assert everything.num_rows == spec.events
    assert len(set(values(everything, "event_id"))) == spec.events
    assert all(score >= 0 for score in values(everything, "score"))
    assert {int(user[1:]) for user in values(everything, "user_id")} <= set(range(spec.users))
    assert everything["user_id"].null_count == everything["score"].null_count == 0
    for day, table in days:
        assert {played.date() for played in values(table, "played_at")} <= {day, day - DAY}


def test_a_day_does_not_depend_on_the_span_around_it(
    january: list[tuple[dt.date, pa.Table]],
) -> None:
    a_week = PlaysSpec(dt.date(2025, 1, 10), dt.date(2025, 1, 17), events=7 * 2_000, users=3_000)
    of_january = dict(january)
    for day, table in generate(a_week):
        assert table.equals(of_january[day])


def test_the_rows_are_the_same_on_every_machine(january: list[tuple[dt.date, pa.Table]]) -> None:
    """Compares with what was computed once:
    another numpy, Python or processor must not change it.
    """
    digest = hashlib.sha256()
    for day, table in january[:3]:
        for row in rows(table, *table.column_names):
            digest.update(repr((day, row)).encode())
    assert digest.hexdigest() == "8300ef12814004d7e70926f45099bdf33f08b477b766f794c18d5bb670dde050"


def test_days_are_generated_when_they_are_asked_for() -> None:
    ten_a_day = PlaysSpec(dt.date(1970, 1, 1), dt.date(9999, 1, 1), events=10 * 2_932_532, users=10)
    day, table = next(generate(ten_a_day))
    assert (day, table.num_rows) == (dt.date(1970, 1, 1), 10)


def test_every_tricky_name_is_there_and_some_have_none(events: pa.Table) -> None:
    names = set(values(events, "user_name"))
    assert names >= set(TRICKY_NAMES)
    assert None in names
    for nasty in (",", '"', "\n", "\r\n", "🎮", "山", "ש"):
        assert any(nasty in name for name in names if name)
    assert {"", " leading", "trailing "} <= names


def test_there_are_ties_at_the_top_in_score_and_plays_and_in_score_alone(events: pa.Table) -> None:
    totals = events.group_by("user_id").aggregate([("score", "sum"), ("score", "count")])
    pairs = list(rows(totals, "score_sum", "score_count"))
    top = sorted(pairs, reverse=True)[:100]
    assert len(top) - len(set(top)) >= 5
    assert len(set(pairs)) > len({score for score, _ in pairs})


def test_a_few_per_cent_land_a_day_late(january: list[tuple[dt.date, pa.Table]]) -> None:
    late = sum(
        played.date() != day for day, table in january for played in values(table, "played_at")
    )
    assert 0.02 < late / JANUARY_2025.events < 0.05


def test_periods_of_tokyo_are_met_to_the_millisecond_on_time_and_late(
    january: list[tuple[dt.date, pa.Table]],
) -> None:
    landed = {day: set(values(table, "played_at")) for day, table in january}
    first_of_month_and_sundays = [dt.date(2025, 1, day) for day in (5, 12, 19, 26)] + [
        dt.date(2025, 1, 31)
    ]
    for local_day in [*first_of_month_and_sundays, dt.date(2025, 1, 2)]:
        midnight = dt.datetime.combine(local_day, dt.time()) - TOKYO
        on_time = local_day - DAY
        for instant in (midnight, midnight - MILLISECOND):
            assert instant in landed[on_time]
            assert instant in landed[on_time + DAY]


def test_the_last_name_of_a_period_can_hang_on_the_event_id_alone(events: pa.Table) -> None:
    """At the end of a Tokyo day somebody plays at one instant under several names."""
    last_millisecond = dt.datetime(2025, 1, 11, 14, 59, 59, 999_000)  # noqa: DTZ001 - UTC, as in the lake
    at_once = events.filter(
        pc.equal(events["played_at"], pa.scalar(last_millisecond, pa.timestamp("ms")))
    )
    names: dict[str, set[str]] = defaultdict(set)
    for user, name in rows(at_once, "user_id", "user_name"):
        names[user].add(name)
    assert max(len(different) for different in names.values()) == 3
