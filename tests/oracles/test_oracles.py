"""The oracles on examples worked out by hand."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from tests.oracles.carrier_ranking import carrier_ranking
from tests.oracles.user_ranking import Event, events_of, user_ranking

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")

# Sunday 2025-01-12 to Sunday 2025-01-19 in Tokyo, and the week before
START = datetime(2025, 1, 12, tzinfo=TOKYO)
END = datetime(2025, 1, 19, tzinfo=TOKYO)
BEFORE = datetime(2025, 1, 5, tzinfo=TOKYO)

LAST_WEEK = datetime(2025, 1, 8)  # noqa: DTZ001 - the lake's timestamps have no zone
THIS_WEEK = datetime(2025, 1, 14)  # noqa: DTZ001
MIDNIGHT = datetime(2025, 1, 11, 15)  # noqa: DTZ001
NEXT_MIDNIGHT = datetime(2025, 1, 18, 15)  # noqa: DTZ001
MILLISECOND = timedelta(milliseconds=1)


def rank(events: list[Event], top: int = 100) -> list[dict[str, object]]:
    return user_ranking(events, START, END, BEFORE, START, top)


def test_ranks_by_score_then_plays_then_id_and_compares_with_all_of_the_previous_period() -> None:
    rows = rank(
        [
            # last week: u3 50, u1 40, u2 10
            Event("a1", "u1", "Ann", 40, LAST_WEEK),
            Event("a2", "u2", "Bob", 10, LAST_WEEK),
            Event("a3", "u3", "Cy", 50, LAST_WEEK),
            # this week: u2 30 in two plays; u1, u4 30 in one; u3 0
            Event("b1", "u4", None, 30, THIS_WEEK),
            Event("b2", "u1", "Ann", 30, THIS_WEEK),
            Event("b3", "u2", "Bob", 20, THIS_WEEK),
            Event("b4", "u2", "Bob", 10, THIS_WEEK),
            Event("b5", "u3", "", 0, THIS_WEEK),
        ]
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "u2", "Bob", 30, 2, 3, "up 2"),
        (2, "u1", "Ann", 30, 1, 2, "same"),
        (3, "u4", None, 30, 1, None, "new"),
        (4, "u3", "", 0, 1, 1, "down 3"),
    ]
    assert list(rows[0]) == ["rank", "user_id", "user_name", "score", "plays", "previous_rank", "movement"]


def test_the_previous_rank_is_known_below_the_top() -> None:
    events = [Event(f"a{n}", f"u{n}", None, 10 - n, LAST_WEEK) for n in range(5)]
    rows = rank([*events, Event("b", "u4", None, 1, THIS_WEEK)], top=1)
    assert [(row["user_id"], row["previous_rank"], row["movement"]) for row in rows] == [("u4", 5, "up 4")]


def test_a_period_holds_its_first_instant_and_not_its_end() -> None:
    rows = rank(
        [
            Event("1", "before", None, 1, MIDNIGHT - MILLISECOND),
            Event("2", "first", None, 4, MIDNIGHT),
            Event("3", "last", None, 2, NEXT_MIDNIGHT - MILLISECOND),
            Event("4", "after", None, 1, NEXT_MIDNIGHT),
        ]
    )
    assert [(row["user_id"], row["previous_rank"]) for row in rows] == [("first", None), ("last", None)]


def test_the_name_is_the_latest_in_the_period_that_is_not_null() -> None:
    rows = rank(
        [
            Event("9", "u", "of last week", 1, LAST_WEEK),
            Event("8", "u", "earlier", 1, THIS_WEEK - MILLISECOND),
            Event("3", "u", "same instant, greater id", 1, THIS_WEEK),
            Event("2", "u", "same instant, smaller id", 1, THIS_WEEK),
            Event("4", "u", None, 1, THIS_WEEK + MILLISECOND),
            Event("5", "u", "of next week", 1, NEXT_MIDNIGHT),
        ]
    )
    assert rows[0]["user_name"] == "same instant, greater id"


def test_bounds_without_a_zone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no zone"):
        user_ranking([], THIS_WEEK, END, BEFORE, START, 1)
    with pytest.raises(ValueError, match="no zone"):
        carrier_ranking(tmp_path, START, NEXT_MIDNIGHT)


def test_events_come_from_tables_whatever_else_is_in_them() -> None:
    table = pa.table(
        {
            "device": ["web"],
            "played_at": pa.array([1_736_812_800_000], pa.timestamp("ms")),
            "score": [5],
            "event_id": ["e"],
            "user_name": pa.array([None], pa.string()),
            "user_id": ["u"],
        }
    )
    assert list(events_of([table])) == [Event("e", "u", None, 5, THIS_WEEK)]


HEADER = "dep_time,arr_delay,carrier,distance,time_hour\n"


def flights(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "flights.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_carriers_by_departures_with_exact_means(tmp_path: Path) -> None:
    path = flights(
        tmp_path,
        "600,1,UA,100,2013-03-12T10:00:00Z",
        "600,2,UA,200,2013-03-12T10:00:00Z",
        "NA,NA,UA,999,2013-03-12T10:00:00Z",  # cancelled: counts for nothing
        "NA,NA,ZZ,999,2013-03-12T10:00:00Z",  # has no flight at all
        "600,NA,B6,50,2013-03-12T10:00:00Z",  # departed, arrived elsewhere
        "600,NA,AA,60,2013-03-12T10:00:00Z",
    )
    rows = carrier_ranking(path, datetime(2013, 3, 11, tzinfo=NEW_YORK), datetime(2013, 3, 18, tzinfo=NEW_YORK))
    assert [tuple(row.values()) for row in rows] == [
        (1, "UA", 2, 300, Decimal("1.50")),
        (2, "AA", 1, 60, None),
        (3, "B6", 1, 50, None),
    ]


@pytest.mark.parametrize(
    ("delays", "mean"),
    [
        ([1, 0, 0, 0, 0, 0, 0, 0], "0.13"),  # 0.125, which binary floating point and half-even put at 0.12
        ([-1, 0, 0, 0, 0, 0, 0, 0], "-0.13"),
        ([1, 0, 0], "0.33"),
        ([-2, 0, 0], "-0.67"),
        ([5], "5.00"),
    ],
)
def test_means_round_halves_away_from_zero(tmp_path: Path, delays: list[int], mean: str) -> None:
    path = flights(tmp_path, *(f"1,{delay},UA,1,2013-03-12T10:00:00Z" for delay in delays))
    (row,) = carrier_ranking(path, datetime(2013, 3, 11, tzinfo=NEW_YORK), datetime(2013, 3, 18, tzinfo=NEW_YORK))
    assert str(row["mean_arrival_delay_minutes"]) == mean


def test_flights_belong_to_the_period_of_their_scheduled_hour_across_a_change_of_dst(tmp_path: Path) -> None:
    path = flights(
        tmp_path,
        "1,1,BEFORE,1,2013-03-04T04:00:00Z",  # Sunday 23:00 EST
        "1,1,FIRST,1,2013-03-04T05:00:00Z",  # Monday 00:00 EST
        "1,1,LAST,1,2013-03-11T03:00:00Z",  # Sunday 23:00 EDT
        "1,1,AFTER,1,2013-03-11T04:00:00Z",  # Monday 00:00 EDT
    )
    rows = carrier_ranking(path, datetime(2013, 3, 4, tzinfo=NEW_YORK), datetime(2013, 3, 11, tzinfo=NEW_YORK))
    assert {row["carrier"] for row in rows} == {"FIRST", "LAST"}
