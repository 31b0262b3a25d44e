"""The oracle on examples worked out by hand."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.reports.user_ranking.oracle import Event, user_ranking

TOKYO = ZoneInfo("Asia/Tokyo")

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
    assert list(rows[0]) == [
        "rank",
        "user_id",
        "user_name",
        "score",
        "plays",
        "previous_rank",
        "movement",
    ]


def test_the_previous_rank_is_known_below_the_top() -> None:
    events = [Event(f"a{n}", f"u{n}", None, 10 - n, LAST_WEEK) for n in range(5)]
    rows = rank([*events, Event("b", "u4", None, 1, THIS_WEEK)], top=1)
    assert [(row["user_id"], row["previous_rank"], row["movement"]) for row in rows] == [
        ("u4", 5, "up 4")
    ]


def test_a_period_holds_its_first_instant_and_not_its_end() -> None:
    rows = rank(
        [
            Event("1", "before", None, 1, MIDNIGHT - MILLISECOND),
            Event("2", "first", None, 4, MIDNIGHT),
            Event("3", "last", None, 2, NEXT_MIDNIGHT - MILLISECOND),
            Event("4", "after", None, 1, NEXT_MIDNIGHT),
        ]
    )
    assert [(row["user_id"], row["previous_rank"]) for row in rows] == [
        ("first", None),
        ("last", None),
    ]


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
