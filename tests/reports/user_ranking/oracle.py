"""The ranking of users, from the events themselves."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa


class Event(NamedTuple):
    """A play; `played_at` is UTC without a zone, as in the lake."""

    event_id: str
    user_id: str
    user_name: str | None
    score: int
    played_at: datetime


def events_of(tables: Iterable[pa.Table]) -> Iterator[Event]:
    """The events in the partitions of the lake."""
    for table in tables:
        yield from map(Event, *(table[column].to_pylist() for column in Event._fields))


def user_ranking(
    events: Iterable[Event],
    start_local: datetime,
    end_local: datetime,
    previous_start: datetime,
    previous_end: datetime,
    top: int,
) -> list[dict[str, Any]]:
    """The first `top` users of [start_local, end_local); all bounds carry their zone."""
    events = list(events)
    current = _between(events, start_local, end_local)
    previous_ranks = {
        user: rank for rank, user, _, _ in _ranked(_between(events, previous_start, previous_end))
    }
    named = sorted(
        (e.played_at, e.event_id, e.user_id, e.user_name)
        for e in current
        if e.user_name is not None
    )
    names = {user: name for _, _, user, name in named}
    return [
        {
            "rank": rank,
            "user_id": user,
            "user_name": names.get(user),
            "score": score,
            "plays": plays,
            "previous_rank": previous_ranks.get(user),
            "movement": _movement(rank, previous_ranks.get(user)),
        }
        for rank, user, score, plays in _ranked(current)[:top]
    ]


def _between(events: list[Event], start: datetime, end: datetime) -> list[Event]:
    first, last = (_utc(bound) for bound in (start, end))
    return [event for event in events if first <= event.played_at < last]


def _utc(bound: datetime) -> datetime:
    return bound.astimezone(UTC).replace(tzinfo=None)


def _ranked(events: list[Event]) -> list[tuple[int, str, int, int]]:
    """Rank, user, score and plays; no two users share a rank."""
    scores: dict[str, list[int]] = defaultdict(list)
    for event in events:
        scores[event.user_id].append(event.score)
    order = sorted((-sum(all_), -len(all_), user) for user, all_ in scores.items())
    return [
        (rank, user, -score, -plays) for rank, (score, plays, user) in enumerate(order, start=1)
    ]


def _movement(rank: int, previous: int | None) -> str:
    if previous is None:
        return "new"
    if previous == rank:
        return "same"
    return f"up {previous - rank}" if previous > rank else f"down {rank - previous}"
