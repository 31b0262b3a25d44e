"""Plays of an imaginary game: events for the lake of `user_ranking`, as awkward as real ones.

Every value comes from integer arithmetic on the raw output of PCG64, which numpy keeps the same across
versions, and never from floating point: a specification gives the same rows on every machine. A landing
date is drawn from its seed and its date alone, so a longer span at the same number of events a day adds
days and leaves the others as they are.

Users are numbered by how much they play (player 0 plays most). A player's place in each group of eight
decides what is awkward about them, see `Role`; a last group that is not full is ordinary.
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

_TYPES: dict[str, pa.DataType] = {
    "event_id": pa.string(),
    "user_id": pa.string(),
    "user_name": pa.string(),
    "score": pa.int64(),
    "played_at": pa.timestamp("ms"),
    "device": pa.string(),
}
SCHEMA = pa.schema(_TYPES)

MAX_USERS = 1_000_000

_DAY_MS = 86_400_000
_TOKYO_OFFSET_MS = 9 * 3_600_000
_TOKYO_MIDNIGHT_MS = _DAY_MS - _TOKYO_OFFSET_MS  # within a UTC day
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_DAYS_FROM_SUNDAY_TO_EPOCH = 4  # 1970-01-01 was a Thursday

_LATE_PERCENT = 3
_UNNAMED_PERCENT = 2
_NAMELESS_GROUPS = 5
_VISIT_EVERY_WEEKS = 13
_RENAME_EVERY_DAYS = 60
_BOUNDARY_SCORE = 980

TRICKY_NAMES = (
    "Smith, John",
    'The "Ace"',
    '"fully quoted"',
    '"',
    "two\nlines",
    "carriage\r\nreturn",
    "a\ttab",
    '1,"2"\n3',
    "🎮 Max",
    "👩‍👩‍👧‍👦",
    "🇯🇵",
    "さくら",
    "山田 太郎",
    "ﾊﾝｶｸ",
    "𠮷野家",
    "שלום עולם",
    "مرحبا، بك",
    "\u202eright to left",
    " leading",
    "trailing ",
    "\u3000wide space\u3000",
    " ",
    "",
    "NULL",
    "null",
    "NA",
    "\\N",
    "\\",
    "O'Brien",
    "'; DROP TABLE plays; --",
    "{{ period.id }}",
    "=1+1",
    "100%",
    "<b>bold</b>",
    "Zoë",
    "Zoe\u0308",
    "zero\u200bwidth",
    "İstanbul",
    "long " * 60,
)
# fmt: off
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
    """What is awkward about a player, by the player's number modulo 8."""

    TWIN = 0
    """Whatever this player plays, the next one plays too: equal score and equal plays in every period."""
    FOLLOWER = 1
    """The other half of a pair of twins."""
    MIDNIGHT = 2
    """Also plays at midnight in Asia/Tokyo and in the millisecond before, under names of that moment."""
    RENAMER = 3
    """Takes another name every 60 days, at an instant of their own."""
    SOMETIMES_NAMELESS = 4
    """One in five of these never has a name."""
    VISITOR = 5
    """Plays in one Tokyo week (from Sunday) of thirteen and not at all in the others."""
    TRICKY_NAME = 6
    """Has a name from `TRICKY_NAMES`."""
    ORDINARY = 7
    """Nothing awkward, but a name that others have too."""


@dataclass(frozen=True)
class PlaysSpec:
    """Which plays to generate.

    Attributes:
        start: first landing date (UTC, the partition `dt`); late events of this day were played the day
            before.
        end: the landing date after the last one.
        events: number of events over all days; the first days take what does not divide evenly.
        users: number of users to draw from, at most a million. Not all of them need to play.
        seed: another seed gives another game; 64 bits.
    """

    start: dt.date
    end: dt.date
    events: int
    users: int
    seed: int = 7

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"PlaysSpec: end {self.end} must be after start {self.start}")
        if self.events < 0:
            raise ValueError(f"PlaysSpec: events must not be negative, got {self.events}")
        if not 1 <= self.users <= MAX_USERS:
            raise ValueError(f"PlaysSpec: users must be 1 to {MAX_USERS}, got {self.users}")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"PlaysSpec: seed must be 0 to 2**64 - 1, got {self.seed}")

    def days(self) -> Iterator[tuple[dt.date, int]]:
        """Each landing date with its number of events, in date order."""
        days = (self.end - self.start).days
        evenly, left = divmod(self.events, days)
        for index in range(days):
            yield self.start + dt.timedelta(days=index), evenly + (index < left)


def generate(spec: PlaysSpec) -> Iterator[tuple[dt.date, pa.Table]]:
    """The plays of a specification, one table a landing date, in date order.

    An event lands on the UTC date of `played_at`, or, a few per cent of them, one day later.

    Yields:
        The landing date and a table with `SCHEMA`, its rows in no particular order. Only one day is held
        in memory.
    """
    population = _Population.of(spec)
    for day, events in spec.days():
        yield day, _Day(population, day, events).table()


@dataclass(frozen=True)
class _Population:
    """What is the same on every day: who there is, how often each plays, what they are called.

    Attributes:
        seed: the specification's seed.
        roles: the `Role` of each player; shape (users,).
        cumulative_weights: how often each plays, summed up; shape (users,), increasing.
        user_ids: by user number, which is not the player number, so that the order of ids says nothing
            about the order of play.
    """

    seed: int
    roles: Ints
    cumulative_weights: Ints
    user_ids: pa.StringArray

    # A prime above MAX_USERS has no factor in common with any number of users: a permutation.
    _SCATTER = 1_000_003

    @classmethod
    def of(cls, spec: PlaysSpec) -> "_Population":
        players = np.arange(spec.users, dtype=np.int64)
        roles = players % len(Role)
        roles[spec.users - spec.users % len(Role) :] = Role.ORDINARY
        weights = (1 << 40) // (players + 30)
        return cls(
            seed=spec.seed,
            roles=roles,
            cumulative_weights=np.cumsum(weights),
            user_ids=pa.array([f"u{number:06d}" for number in range(spec.users)], pa.string()),
        )

    @property
    def users(self) -> int:
        return len(self.roles)

    def draw(self, raw: npt.NDArray[np.uint64]) -> Ints:
        """Players by their weights, from uniform 64-bit integers."""
        points = _below(raw, int(self.cumulative_weights[-1]))
        return np.searchsorted(self.cumulative_weights, points, side="right").astype(np.int64)

    def midnight_player(self, occasion: int) -> int:
        """One of the twelve busiest players of the role `MIDNIGHT`, or anyone where there is none."""
        groups = self.users // len(Role)
        if groups == 0:
            return occasion % self.users
        return occasion % min(groups, 12) * len(Role) + Role.MIDNIGHT

    def ids_of(self, players: Ints) -> pa.StringArray:
        return self.user_ids.take(_indexes(players * self._SCATTER % self.users))

    def name_indexes(self, players: Ints, versions: Ints) -> Ints:
        """Positions in `_NAMES`; the version says how often the player was renamed."""
        tricky = (players // len(Role) + versions) % len(TRICKY_NAMES)
        plain = len(TRICKY_NAMES) + _hash(self.seed, players, versions) % len(_PLAIN_NAMES)
        return np.where(self.roles[players] == Role.TRICKY_NAME, tricky, plain)


class _Day:
    """The events that land on one date; each attribute is a column of them."""

    def __init__(self, population: _Population, day: dt.date, events: int) -> None:
        self.population = population
        self.day = day
        self.events = events
        self.landed_ms = (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MS
        seed = np.random.SeedSequence([population.seed, day.toordinal()])
        raw = np.asarray(np.random.PCG64(seed).random_raw(8 * events), dtype=np.uint64).reshape(8, events)

        late = _below(raw[0], 100) < _LATE_PERCENT
        self.played_ms = self.landed_ms - late * _DAY_MS + _below(raw[1], _DAY_MS)
        self.players = self._present(population.draw(raw[2]))
        self.score = self._scores(_below(raw[3], 100), _below(raw[4], 100))
        self.unnamed = _below(raw[5], 100) < _UNNAMED_PERCENT
        self.device = _below(raw[6], len(_DEVICES))
        self.extra_versions = np.zeros(events, dtype=np.int64)
        self.order = np.argsort(raw[7], kind="stable")

        self._pair_twins(first=self._place_midnights())

    def table(self) -> pa.Table:
        order = self.order
        names = self.population.name_indexes(self.players, self._versions())
        unnamed = self.unnamed | self._nameless()
        event_ids = pa.array([f"{self.day:%Y%m%d}-{number:07d}" for number in order.tolist()], pa.string())
        return pa.table(
            {
                "event_id": event_ids,
                "user_id": self.population.ids_of(self.players[order]),
                "user_name": _NAMES.take(_indexes(names[order], missing=unnamed[order])),
                "score": pa.array(self.score[order]),
                "played_at": pa.array(self.played_ms[order]).cast(pa.timestamp("ms")),
                "device": _DEVICES.take(_indexes(self.device[order])),
            },
            schema=SCHEMA,
        )

    def _present(self, players: Ints) -> Ints:
        """Replaces followers by their twins, and visitors outside their week by a neighbour."""
        roles = self.population.roles[players]
        weeks_since_visit = (self._tokyo_weeks() - _hash(self.population.seed, players)) % _VISIT_EVERY_WEEKS
        away: Flags = (roles == Role.VISITOR) & (weeks_since_visit != 0)
        replaced: Flags = away | (roles == Role.FOLLOWER)
        return np.where(replaced, players - 1, players)

    def _scores(self, first: Ints, second: Ints) -> Ints:
        """Multiples of ten, mostly small, some zero; a player's form changes from week to week."""
        form = 1 + _hash(self.population.seed, self.players, self._tokyo_weeks()) % 4
        return first * second * form // 400 * 10

    def _place_midnights(self) -> int:
        """Moves the first events to where periods of Asia/Tokyo begin and end; returns how many.

        Both sides of the midnight in this day, and of the one before, whose events land a day late. In
        the last millisecond a player plays three times under three names, the third time landing late:
        what that player is called at the end of the period hangs on the event id.
        """
        today = self.landed_ms + _TOKYO_MIDNIGHT_MS
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
            self.score[index] = _BOUNDARY_SCORE
            self.unnamed[index] = False
            self.extra_versions[index] = extra_version
        return min(len(moments), self.events)

    def _pair_twins(self, first: int) -> None:
        """Copies a twin's event to the follower; events with no room for a copy go to somebody else."""
        is_twin = self.population.roles[self.players] == Role.TWIN
        is_twin[:first] = False
        positions = np.arange(self.events)
        paired = is_twin & ((positions - first) % 2 == 0) & (positions + 1 < self.events)
        alone = is_twin & ~paired
        self.players[alone] += Role.ORDINARY - Role.TWIN
        twins = np.flatnonzero(paired)
        self.players[twins + 1] = self.players[twins] + 1
        self.played_ms[twins + 1] = self.played_ms[twins]
        self.score[twins + 1] = self.score[twins]

    def _tokyo_weeks(self) -> Ints:
        days = (self.played_ms + _TOKYO_OFFSET_MS) // _DAY_MS
        return (days + _DAYS_FROM_SUNDAY_TO_EPOCH) // 7

    def _versions(self) -> Ints:
        span = _RENAME_EVERY_DAYS * _DAY_MS
        renames = (self.played_ms + _hash(self.population.seed, self.players) % span) // span
        renames[self.population.roles[self.players] != Role.RENAMER] = 0
        return renames + self.extra_versions

    def _nameless(self) -> Flags:
        sometimes: Flags = self.population.roles[self.players] == Role.SOMETIMES_NAMELESS
        always: Flags = self.players // len(Role) % _NAMELESS_GROUPS == 0
        return sometimes & always


def _indexes(positions: Ints, missing: Flags | None = None) -> pa.Int64Array:
    """Positions to take from an Arrow array, NULL where something is missing."""
    return pa.array(positions, pa.int64(), mask=missing)


def _below(raw: npt.NDArray[np.uint64], bound: int) -> Ints:
    """Uniform integers in [0, bound) for bounds far below 2**64, where the bias is of no interest."""
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
