"""Plays of an imaginary game: events for the lake of `user_ranking`, as awkward as real ones.

Every value is integer arithmetic on the raw output of PCG64, which numpy keeps across versions: a
specification gives the same rows on every machine. A landing date is drawn from the seed and its
date alone, so a longer span leaves the other days as they are.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "user_id": pa.string(),
        "user_name": pa.string(),
        "score": pa.int64(),
        "played_at": pa.timestamp("ms"),
        "device": pa.string(),
    }
)

_DAY_MS = 86_400_000
_TOKYO_OFFSET_MS = 9 * 3_600_000
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_DAYS_FROM_SUNDAY_TO_EPOCH = 4  # 1970-01-01 was a Thursday

# fmt: off
TRICKY_NAMES = (
    "Smith, John", 'The "Ace"', '"fully quoted"', '"', "two\nlines", "carriage\r\nreturn", "a\ttab",
    '1,"2"\n3',
    "🎮 Max", "👩‍👩‍👧‍👦", "🇯🇵", "さくら", "山田 太郎", "ﾊﾝｶｸ", "𠮷野家", "שלום עולם", "مرحبا، بك",
    "\u202eright to left", " leading", "trailing ", "\u3000wide space\u3000", " ", "",
    "NULL", "null", "NA", "\\N", "\\", "O'Brien", "'; DROP TABLE plays; --", "{{ period.id }}",
    "=1+1", "100%", "<b>bold</b>", "Zoë", "Zoe\u0308",
    "zero\u200bwidth", "İstanbul", "long " * 60,
)
_ADJECTIVES = (
    "Amber", "Brave", "Calm", "Daring", "Eager", "Fierce", "Gentle", "Happy",
    "Icy", "Jolly", "Keen", "Lucky", "Mighty", "Noble", "Odd", "Proud",
    "Quick", "Rapid", "Silent", "Tiny", "Urban", "Vivid", "Wild", "Young",
)
_ANIMALS = (
    "Antelope", "Badger", "Crane", "Dolphin", "Eagle", "Falcon", "Gecko", "Heron",
    "Ibis", "Jaguar", "Koala", "Lynx", "Marten", "Newt", "Otter", "Panda",
    "Quail", "Raven", "Seal", "Tiger", "Urchin", "Viper", "Wolf", "Yak",
)
# fmt: on
_PLAIN_NAMES = tuple(
    f"{adjective} {animal}{number}"
    for number in ("", " II", " 3", " 7", " 42", " 99")
    for adjective in _ADJECTIVES
    for animal in _ANIMALS
)
_NAMES = pa.array(TRICKY_NAMES + _PLAIN_NAMES, pa.string())
_DEVICES = pa.array(["phone", "tablet", "console", "web", None], pa.string())


class Role(IntEnum):
    """What is awkward about a player, by the player's number modulo 8; player 0 plays most."""

    # Whatever this player plays, the next one plays too: equal score and plays in every period.
    TWIN = 0
    FOLLOWER = 1  # the other half of a pair of twins
    # Also plays at midnight in Asia/Tokyo and the millisecond before, under names of that moment.
    MIDNIGHT = 2
    RENAMER = 3  # takes another name every 60 days, at an instant of their own
    SOMETIMES_NAMELESS = 4  # one in five of these never has a name
    VISITOR = 5  # plays in one Tokyo week (from Sunday) of thirteen and not at all in the others
    TRICKY_NAME = 6  # has a name from `TRICKY_NAMES`
    ORDINARY = 7  # nothing awkward, but a name that others have too


@dataclass(frozen=True)
class PlaysSpec:
    """Which plays to generate.

    Attributes:
        start: First landing date (UTC, the partition `dt`).
        end: The landing date after the last one.
        events: How many over all days; the first days take what does not divide evenly.
        users: At most a million.
    """

    start: dt.date
    end: dt.date
    events: int
    users: int
    seed: int = 7


def generate(spec: PlaysSpec) -> Iterator[tuple[dt.date, pa.Table]]:
    """Yield each landing date, in order, with its table, whose rows are in no order.

    An event lands on the UTC date of `played_at` or, a few per cent of them, one day later.
    """
    population = _Population(spec)
    days = (spec.end - spec.start).days
    evenly, left = divmod(spec.events, days)
    for index in range(days):
        day = spec.start + dt.timedelta(days=index)
        yield day, _Day(population, day, evenly + (index < left)).table()


class _Population:
    """What is the same on every day: who there is, how often each plays, what they are called."""

    def __init__(self, spec: PlaysSpec) -> None:
        players = np.arange(spec.users, dtype=np.int64)
        self.seed, self.users = spec.seed, spec.users
        self.roles = players % len(Role)
        self.roles[spec.users - spec.users % len(Role) :] = Role.ORDINARY
        self._cumulative_weights = np.cumsum((1 << 40) // (players + 30))
        self._user_ids = pa.array([f"u{number:06d}" for number in range(spec.users)], pa.string())

    def draw(self, raw: npt.NDArray[np.uint64]) -> Ints:
        """Players by how often they play, from uniform 64-bit integers."""
        points = _below(raw, int(self._cumulative_weights[-1]))
        return np.searchsorted(self._cumulative_weights, points, side="right").astype(np.int64)

    def midnight_player(self, occasion: int) -> int:
        """One of the twelve busiest players of the role `MIDNIGHT`, or anyone if there is none."""
        groups = self.users // len(Role)
        if groups == 0:
            return occasion % self.users
        return occasion % min(groups, 12) * len(Role) + Role.MIDNIGHT

    def ids_of(self, players: Ints) -> pa.StringArray:
        """Ids whose order says nothing about the order of play."""
        # A prime above the number of users has no factor in common with it: a permutation.
        return self._user_ids.take(pa.array(players * 1_000_003 % self.users))

    def names(self, players: Ints, versions: Ints) -> Ints:
        """Positions in `_NAMES`; the version says how often the player was renamed."""
        tricky = (players // len(Role) + versions) % len(TRICKY_NAMES)
        plain = len(TRICKY_NAMES) + _hash(self.seed, players, versions) % len(_PLAIN_NAMES)
        return np.where(self.roles[players] == Role.TRICKY_NAME, tricky, plain)


class _Day:
    """The events that land on one date; each attribute is a column of them."""

    def __init__(self, population: _Population, day: dt.date, events: int) -> None:
        self.population, self.day, self.events = population, day, events
        self.landed_ms = (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MS
        seed = np.random.SeedSequence([population.seed, day.toordinal()])
        raw = np.random.PCG64(seed).random_raw(8 * events)
        raw = np.asarray(raw, dtype=np.uint64).reshape(8, events)
        is_late = _below(raw[0], 100) < 3
        self.played_ms = self.landed_ms - is_late * _DAY_MS + _below(raw[1], _DAY_MS)
        self.players = self._present(population.draw(raw[2]))
        self.score = self._scores(_below(raw[3], 100), _below(raw[4], 100))
        self.unnamed = _below(raw[5], 100) < 2
        self.device = _below(raw[6], len(_DEVICES))
        self.extra_versions = np.zeros(events, dtype=np.int64)
        self.order = np.argsort(raw[7], kind="stable")
        self._pair_twins(first=self._place_midnights())

    def table(self) -> pa.Table:
        order = self.order
        names = self.population.names(self.players, self._versions())
        unnamed = self.unnamed | self._nameless()
        event_ids = [f"{self.day:%Y%m%d}-{number:07d}" for number in order.tolist()]
        columns = {
            "event_id": pa.array(event_ids, pa.string()),
            "user_id": self.population.ids_of(self.players[order]),
            "user_name": _NAMES.take(pa.array(names[order], mask=unnamed[order])),
            "score": pa.array(self.score[order]),
            "played_at": pa.array(self.played_ms[order]).cast(pa.timestamp("ms")),
            "device": _DEVICES.take(pa.array(self.device[order])),
        }
        return pa.table(columns, schema=SCHEMA)

    def _present(self, players: Ints) -> Ints:
        """Replace followers by their twins, and visitors outside their week by a neighbour."""
        roles = self.population.roles[players]
        week = (self._tokyo_weeks() - _hash(self.population.seed, players)) % 13
        is_away = (roles == Role.VISITOR) & (week != 0)
        return np.where(is_away | (roles == Role.FOLLOWER), players - 1, players)

    def _scores(self, first: Ints, second: Ints) -> Ints:
        """Multiples of ten, mostly small, some zero; a player's form changes from week to week."""
        form = 1 + _hash(self.population.seed, self.players, self._tokyo_weeks()) % 4
        return first * second * form // 400 * 10

    def _place_midnights(self) -> int:
        """Move the first events to where periods of Asia/Tokyo begin and end; return how many.

        In the last millisecond a player plays three times under three names, the third time landing
        late: the name at the end of the period hangs on the event id.
        """
        today = self.landed_ms + _DAY_MS - _TOKYO_OFFSET_MS
        yesterday = today - _DAY_MS
        ordinal = self.day.toordinal()
        moments = [
            (today, 5 * ordinal, 0),
            (today - 1, 5 * ordinal + 1, 0),
            (today - 1, 5 * ordinal + 2, 1),
            (today - 1, 5 * ordinal + 2, 2),
            (yesterday, 5 * ordinal + 3, 0),
            (yesterday - 1, 5 * ordinal + 4, 0),
            (yesterday - 1, 5 * (ordinal - 1) + 2, 3),
        ]
        for index, (played_ms, occasion, extra_version) in enumerate(moments[: self.events]):
            self.played_ms[index] = played_ms
            self.players[index] = self.population.midnight_player(occasion)
            self.score[index] = 980
            self.unnamed[index] = False
            self.extra_versions[index] = extra_version
        return min(len(moments), self.events)

    def _pair_twins(self, first: int) -> None:
        """Copy a twin's event to the follower; those without room go to somebody else."""
        is_twin = self.population.roles[self.players] == Role.TWIN
        is_twin[:first] = False
        positions = np.arange(self.events)
        is_paired = is_twin & ((positions - first) % 2 == 0) & (positions + 1 < self.events)
        self.players[is_twin & ~is_paired] += Role.ORDINARY - Role.TWIN
        twins = np.flatnonzero(is_paired)
        self.players[twins + 1] = self.players[twins] + 1
        self.played_ms[twins + 1] = self.played_ms[twins]
        self.score[twins + 1] = self.score[twins]

    def _tokyo_weeks(self) -> Ints:
        return ((self.played_ms + _TOKYO_OFFSET_MS) // _DAY_MS + _DAYS_FROM_SUNDAY_TO_EPOCH) // 7

    def _versions(self) -> Ints:
        span = 60 * _DAY_MS
        renames = (self.played_ms + _hash(self.population.seed, self.players) % span) // span
        renames[self.population.roles[self.players] != Role.RENAMER] = 0
        return renames + self.extra_versions

    def _nameless(self) -> Flags:
        roles = self.population.roles[self.players]
        nameless: Flags = (roles == Role.SOMETIMES_NAMELESS) & (self.players // len(Role) % 5 == 0)
        return nameless


def _below(raw: npt.NDArray[np.uint64], bound: int) -> Ints:
    """Uniform integers in [0, bound), for bounds far below 2**64: there is next to no bias."""
    return (raw % np.uint64(bound)).astype(np.int64)


def _hash(seed: int, *columns: Ints) -> Ints:
    """A non-negative 62-bit integer for each row, scattered by the finaliser of SplitMix64."""
    state = np.full(columns[0].shape, seed, dtype=np.uint64)
    for column in columns:
        state += column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(2)).astype(np.int64)
