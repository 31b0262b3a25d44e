"""Random calls of functions over random rows, against plain Python.

Each call is a text of Athena's beside what it gives in Python. A parameter of the Python function
is a column of the row, or was drawn for the call and stands in its text too.
"""

# ruff: noqa: E501 - a call of a table stands on a line

from __future__ import annotations

import calendar
import datetime as dt
import functools
import inspect
import itertools
import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Compute = Callable[..., str]

DAY = dt.date(2026, 11, 15)


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min)


@dataclass(frozen=True)
class Row:
    """A row of the table `t`."""

    id: int
    g: str | None
    h: str | None
    x: int | None
    y: int | None
    s: str | None
    d: dt.date
    ts: dt.datetime
    tags: list[int | None] | None

    @property
    def doc(self) -> str:
        """The row as JSON."""
        return json.dumps({"x": self.x, "s": self.s, "in": {"tags": self.tags}})


ROWS = st.builds(
    Row,
    id=st.just(0),
    g=st.sampled_from(["a", "b", None]),
    h=st.sampled_from(["p", "q", None]),
    x=st.none() | st.integers(-9, 9),
    y=st.none() | st.integers(-3, 3),
    s=st.none() | st.text("ab1,-é", max_size=6),
    d=st.dates(dt.date(2026, 10, 20), dt.date(2027, 1, 10)),
    ts=st.datetimes(midnight(dt.date(2019, 12, 20)), midnight(dt.date(2028, 3, 2))).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
    tags=st.none() | st.lists(st.none() | st.integers(-2, 4), max_size=4),
)
TABLES = st.lists(ROWS, min_size=1, max_size=8).map(
    lambda rows: [replace(row, id=position) for position, row in enumerate(rows)]
)
SMALL = st.integers(0, 4)
PLACES = st.integers(1, 4)


@dataclass(frozen=True)
class Piece:
    """A text of Athena's, and what it gives."""

    athena: str
    python: Callable[..., Any]


# --- functions of a row ---------------------------------------------------------------------------


def scalar(
    athena: str, python: Callable[..., Any], *, takes_null: bool = False, **drawn: Any
) -> st.SearchStrategy[Piece]:
    """A call whose `{name}`s are drawn; NULL in a column gives NULL, unless it takes that."""
    names = list(inspect.signature(python).parameters)

    def piece(values: dict[str, Any]) -> Piece:
        def of_row(row: Row) -> Any:
            given = [values[name] if name in values else getattr(row, name) for name in names]
            return None if None in given and not takes_null else python(*given)

        return Piece(athena.format(**values), of_row)

    return st.fixed_dictionaries(drawn).map(piece)


def any_of(truths: Iterable[bool | None]) -> bool | None:
    """OR of SQL."""
    held = list(truths)
    return True if True in held else None if None in held else False


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def between(x: int | None, y: int | None, n: int) -> bool | None:
    """Both comparisons of SQL: one that is false decides."""
    return negated(any_of([compared(x, y, int.__lt__), compared(x, n, int.__gt__)]))


def tenths(value: Fraction) -> str:
    """A decimal with one digit behind the point, rounded half away from zero."""
    digits = int(abs(value) * 10 + Fraction(1, 2))
    return f"{'-' if value < 0 and digits else ''}{digits // 10}.{digits % 10}"


def whole(duration: dt.timedelta, unit: dt.timedelta) -> int:
    """How many whole units it has."""
    return abs(duration) // unit * (1 if duration > dt.timedelta() else -1)


def group_of(pattern: str) -> Callable[[str, int], str | None]:
    def found(s: str, n: int) -> str | None:
        match = re.search(pattern, s)
        return None if match is None else match[n]

    return found


def tag_of(tags: list[int | None], n: int) -> str | None:
    tag = element(tags, n + 1)
    return None if tag is None else str(tag)


def reduced(values: Iterable[int | None], start: int) -> int:
    for value in values:
        start = start * 2 + (1 if value is None else value)
    return start


def divided(x: int, y: int) -> int | None:
    """Integer division that cuts off, and NULL where TRY catches a zero."""
    return None if y == 0 else int(Fraction(x, y))


def complete_months(start: dt.date, end: dt.date) -> int:
    if end < start:
        return -complete_months(end, start)
    months = (end.year - start.year) * 12 + end.month - start.month
    is_last = end.day == calendar.monthrange(end.year, end.month)[1]
    return months - (end.day < start.day and not is_last)


def in_months(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(day.day, last))


def distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def nulls_last(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (value is None, 0 if value is None else value))


def element(values: Sequence[Any], place: int) -> Any:
    return values[place - 1] if place <= len(values) else None


def compared(
    left: int | None, right: int | None, how: Callable[[int, int], bool] = int.__gt__
) -> bool | None:
    """A comparison of SQL."""
    return None if left is None or right is None else how(left, right)


def sliced(values: list[Any], start: int, size: int) -> list[Any]:
    return values[start - 1 : start - 1 + size]


def added(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def signed_bits(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def moved(moment: dt.datetime, zone: str) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone))


def ratio(rows: Sequence[Row]) -> int | None:
    total = over("x", sum)(rows)
    return None if total is None else divided(total, sum((row.y or 0) > 1 for row in rows))


TEXTS = [
    scalar("split_part(s, ',', {n})", lambda s, n: element(s.split(","), n), n=PLACES),
    scalar("split(s, ',')", lambda s: s.split(",")),
    scalar("substr(s, {n}, {m})", lambda s, n, m: sliced(s, n, m), n=PLACES, m=SMALL),
    scalar("substr(s, -{n})", lambda s, n: s[-n:] if n <= len(s) else "", n=PLACES),
    scalar("strpos(s, 'b')", lambda s: s.find("b") + 1),
    scalar("replace(s, 'a', '{n}')", lambda s, n: s.replace("a", str(n)), n=SMALL),
    scalar("upper(reverse(s)) || '{n}'", lambda s, n: s[::-1].upper() + str(n), n=SMALL),
    scalar("lpad(s, {n}, 'xy')", lambda s, n: ("xyxy"[: max(0, n - len(s))] + s)[:n], n=PLACES),
    scalar("translate(s, 'a1', 'c')", lambda s: s.replace("a", "c").replace("1", "")),
    scalar("trim(s || ' ') = s", lambda s: s.strip(" ") == s),
    scalar("s LIKE '%a_'", lambda s: re.fullmatch(".*a.", s) is not None),
    scalar("coalesce(s, g, '-')", lambda s, g: s if s is not None else g or "-", takes_null=True),
    scalar("concat_ws('-', s, g)", lambda s, g: "-".join(v for v in (s, g) if v is not None), takes_null=True),
    scalar("try_cast(s AS bigint)", lambda s: int(s) if re.fullmatch("-?[0-9]+", s) else None),
    scalar("regexp_like(s, '^a|,$')", lambda s: re.search("^a|,$", s) is not None),
    scalar("regexp_count(s, '[a-b]+')", lambda s: len(re.findall("[a-b]+", s))),
    scalar("regexp_count(s, '\\b')", lambda s: len(re.findall(r"\b", s))),
    scalar("regexp_extract(s, '(?<=b).')", lambda s: element(re.findall("(?<=b).", s), 1)),
    scalar("json_value(doc, 'lax $.in.tags[{n}]')", tag_of, n=SMALL),
    scalar("regexp_extract_all(s, '[ab]')", lambda s: re.findall("[ab]", s)),
    scalar("regexp_extract(s, '([a-b]+)(1*),?', {n})", group_of("([a-b]+)(1*),?"), n=st.integers(0, 2)),
    scalar("regexp_replace(s, '(a)(b)?', '[$2$1]')", lambda s: re.sub("(a)(b)?", r"[\2\1]", s)),
    scalar("regexp_split(s, '[,-]')", lambda s: re.split("[,-]", s)),
    scalar("regexp_position(s, '[b1]', 1, {n})", lambda s, n: element([m.start() + 1 for m in re.finditer("[b1]", s)] + [-1] * 4, n), n=PLACES),
    scalar("regexp_replace(s, '([ab])', v -> upper(v[1]))", lambda s: s.replace("a", "A").replace("b", "B")),
    scalar("levenshtein_distance(replace(s, 'é', 'e'), replace(s, 'é', 'e') || '{n}')", lambda s, n: len(f"{s}{n}") - len(s), n=SMALL),
    scalar("json_extract_scalar(doc, '$.s')", lambda s: s),
    scalar("json_extract_scalar(doc, '$.x')", lambda x: str(x)),
    scalar("json_extract_scalar(doc, '$.in.tags[{n}]')", tag_of, n=SMALL),
    scalar("json_array_length(json_extract(doc, '$.in.tags'))", lambda tags: len(tags)),
    scalar("CAST(json_extract(doc, '$.in.tags') AS array(bigint))", lambda tags: tags),
    scalar("json_format(json_extract(doc, '$.in.tags'))", lambda tags: "null" if tags is None else json.dumps(tags).replace(" ", ""), takes_null=True),
]  # fmt: skip
NUMBERS = [
    scalar("try(x / y)", divided),
    scalar("try({n} % x)", lambda x, n: int(math.fmod(n, x)) if x else None, n=SMALL),
    scalar("nullif(x, {n})", lambda x, n: None if x == n else x, n=SMALL),
    scalar("if(x > y, x, {n})", lambda x, y, n: x if x is not None and y is not None and x > y else n, takes_null=True, n=SMALL),
    scalar("coalesce(y, x, {n})", lambda x, y, n: y if y is not None else x if x is not None else n, takes_null=True, n=SMALL),
    scalar("greatest(x, y, {n})", lambda x, y, n: max(x, y, n), n=SMALL),
    scalar("least(x, y)", lambda x, y: min(x, y)),
    scalar("CASE WHEN x IN (y, {n}) THEN 'in' WHEN x < 0 THEN 'less' END", lambda x, y, n: ("in" if x is not None and x in (y, n) else "less" if x is not None and x < 0 else None), takes_null=True, n=SMALL),
    scalar("x BETWEEN y AND {n}", between, takes_null=True, n=SMALL),
    scalar("x IS DISTINCT FROM y", lambda x, y: x != y, takes_null=True),
    scalar("bitwise_and(x, {n})", lambda x, n: x & n, n=SMALL),
    scalar("bitwise_left_shift(x, {n})", lambda x, n: signed_bits(x << n), n=st.sampled_from([0, 1, 3, 62])),
    scalar("bitwise_right_shift(x, {n})", lambda x, n: signed_bits(x % 2**64 >> n), n=SMALL),
    scalar("bit_count(x, 64)", lambda x: (x % 2**64).bit_count()),
    scalar("CAST(x AS double) / {n}", lambda x, n: x / n, n=PLACES),
    scalar("x / DECIMAL '{n}.0'", lambda x, n: tenths(Fraction(x, n)), n=PLACES),
    scalar("width_bucket(x, -5, 5, {n})", lambda x, n: 0 if x < -5 else n + 1 if x >= 5 else (x + 5) * n // 10 + 1, n=PLACES),
]  # fmt: skip
ARRAYS = [
    scalar("element_at(tags, {n})", lambda tags, n: element(tags, n), n=PLACES),
    scalar("element_at(tags, -{n})", lambda tags, n: tags[-n] if n <= len(tags) else None, n=PLACES),
    scalar("try(tags[{n}])", lambda tags, n: element(tags, n), n=PLACES),
    scalar("contains(tags, {n})", lambda tags, n: any_of(None if v is None else v == n for v in tags), n=SMALL),
    scalar("array_position(tags, {n})", lambda tags, n: tags.index(n) + 1 if n in tags else 0, n=SMALL),
    scalar("array_sort(tags)", lambda tags: nulls_last(tags)),
    scalar("array_distinct(tags)", lambda tags: distinct(tags)),
    scalar("array_max(tags)", lambda tags: max(tags) if tags and None not in tags else None),
    scalar("array_min(tags)", lambda tags: min(tags) if tags and None not in tags else None),
    scalar("slice(tags, {n}, {m})", lambda tags, n, m: sliced(tags, n, m), n=PLACES, m=SMALL),
    scalar("array_remove(tags, {n})", lambda tags, n: [v for v in tags if v != n], n=SMALL),
    scalar("array_sort(array_union(tags, ARRAY[{n}, 1]))", lambda tags, n: nulls_last({*tags, n, 1}), n=SMALL),
    scalar("array_sort(array_except(tags, ARRAY[{n}, 1]))", lambda tags, n: nulls_last({*tags} - {n, 1}), n=SMALL),
    scalar("array_sort(array_intersect(tags, ARRAY[{n}, 1]))", lambda tags, n: nulls_last({*tags} & {n, 1}), n=SMALL),
    scalar("arrays_overlap(tags, ARRAY[{n}])", lambda tags, n: any_of(None if v is None else v == n for v in tags), n=SMALL),
    scalar("array_join(tags, '|')", lambda tags: "|".join(str(v) for v in tags if v is not None)),
    scalar("array_join(tags, '|', 'n')", lambda tags: "|".join("n" if v is None else str(v) for v in tags)),
    scalar("reverse(tags) || {n}", lambda tags, n: [*reversed(tags), n], n=SMALL),
    scalar("flatten(ARRAY[tags, ARRAY[{n}]])", lambda tags, n: [*(tags or []), n], n=SMALL, takes_null=True),
    scalar("filter(tags, v -> v > {n})", lambda tags, n: [v for v in tags if v is not None and v > n], n=SMALL),
    scalar("transform(tags, v -> v * {n} + x)", lambda tags, x, n: ([None if v is None or x is None else v * n + x for v in tags] if tags is not None else None), takes_null=True, n=SMALL),
    scalar("any_match(tags, v -> v > {n})", lambda tags, n: any_of(compared(v, n) for v in tags), n=SMALL),
    scalar("all_match(tags, v -> v > {n})", lambda tags, n: negated(any_of(negated(compared(v, n)) for v in tags)), n=SMALL),
    scalar("none_match(tags, v -> v > {n})", lambda tags, n: negated(any_of(compared(v, n) for v in tags)), n=SMALL),
    scalar("reduce(tags, BIGINT '{n}', (a, v) -> a * 2 + coalesce(v, 1), a -> -a)", lambda tags, n: -reduced(tags, n), n=SMALL),
    scalar("zip_with(tags, ARRAY[{n}, 1], (a, b) -> a + b)", lambda tags, n: [added(a, b) for a, b in itertools.zip_longest(tags, [n, 1])], n=SMALL),
    scalar("sequence({n}, x)", lambda x, n: list(range(n, x + 1)) if n <= x else list(range(n, x - 1, -1)), n=SMALL),
    scalar("cardinality(filter(sequence(1, 9), v -> v % {n} = 0))", lambda n: 9 // n, n=PLACES),
    scalar("ngrams(tags, 2)", lambda tags: [list(pair) for pair in itertools.pairwise(tags)] if len(tags) > 1 else [tags]),
    scalar("element_at(MAP(ARRAY['a', 'c'], ARRAY[x, {n}]), coalesce(g, 'c'))", lambda x, g, n: {"a": x, "c": n}.get(g or "c"), takes_null=True, n=SMALL),
    scalar("map_filter(MAP(ARRAY['k'], ARRAY[x]), (k, v) -> v > {n})", lambda x, n: {"k": x} if x is not None and x > n else {}, takes_null=True, n=SMALL),
    scalar("transform_values(MAP(ARRAY['k'], ARRAY[x]), (k, v) -> v + {n})", lambda x, n: {"k": None if x is None else x + n}, takes_null=True, n=SMALL),
    scalar("CAST(ROW(x, s) AS ROW(a bigint, b varchar)).a", lambda x: x),
    scalar("CAST(ROW(x, s) AS ROW(a bigint, b varchar))[2]", lambda s: s),
]  # fmt: skip
DATES = [
    scalar("date_diff('day', d, CAST(ts AS date))", lambda d, ts: (ts.date() - d).days),
    scalar("date_diff('week', d, DATE '2026-11-15')", lambda d: whole(DAY - d, dt.timedelta(days=7))),
    scalar("date_diff('month', d, DATE '2026-11-15')", lambda d: complete_months(d, DAY)),
    scalar("date_diff('hour', ts, TIMESTAMP '2026-11-15 00:00:00')", lambda ts: whole(midnight(DAY) - ts, dt.timedelta(hours=1))),
    scalar("date_add('month', {n}, CAST(ts AS date))", lambda ts, n: in_months(ts.date(), n), n=st.integers(-14, 14)),
    scalar("d + INTERVAL '{n}' DAY", lambda d, n: d + dt.timedelta(days=n), n=SMALL),
    scalar("ts - INTERVAL '{n}' HOUR", lambda ts, n: ts - dt.timedelta(hours=n), n=SMALL),
    scalar("d - INTERVAL '{n}' MONTH", lambda d, n: in_months(d, -n), n=SMALL),
    scalar("date_trunc('week', d)", lambda d: d - dt.timedelta(days=d.weekday())),
    scalar("date_trunc('month', ts)", lambda ts: midnight(ts.date().replace(day=1))),
    scalar("date_trunc('quarter', d)", lambda d: dt.date(d.year, (d.month - 1) // 3 * 3 + 1, 1)),
    scalar("date_trunc('hour', ts)", lambda ts: ts.replace(minute=0, second=0, microsecond=0)),
    scalar("day_of_week(d)", lambda d: d.isoweekday()),
    scalar("week(ts)", lambda ts: ts.isocalendar()[1]),
    scalar("year_of_week(ts)", lambda ts: ts.isocalendar()[0]),
    scalar("day_of_year(ts)", lambda ts: ts.timetuple().tm_yday),
    scalar("last_day_of_month(ts)", lambda ts: in_months(ts.date().replace(day=1), 1) - dt.timedelta(days=1)),
    scalar("EXTRACT(HOUR FROM ts) * 100 + minute(ts)", lambda ts: ts.hour * 100 + ts.minute),
    scalar("millisecond(ts)", lambda ts: ts.microsecond // 1000),
    scalar("date_format(ts, '%Y/%m/%d %H:%i:%s')", lambda ts: ts.strftime("%Y/%m/%d %H:%M:%S")),
    scalar("date_format(ts, '%x-W%v %W %j')", lambda ts: ts.strftime("%G-W%V %A %j")),
    scalar("format_datetime(ts, 'yyyy-MM-dd HH')", lambda ts: ts.strftime("%Y-%m-%d %H")),
    scalar("date_parse(date_format(ts, '%Y%m%d'), '%Y%m%d')", lambda ts: midnight(ts.date())),
    scalar("ts AT TIME ZONE '{zone}'", lambda ts, zone: moved(ts, zone), zone=st.sampled_from(["Asia/Tokyo", "America/New_York", "Europe/Berlin"])),
    scalar("CAST(ts AT TIME ZONE '{zone}' AS date)", lambda ts, zone: moved(ts, zone).date(), zone=st.sampled_from(["Asia/Tokyo", "America/New_York"])),
    scalar("date_trunc('day', ts AT TIME ZONE '{zone}')", lambda ts, zone: moved(ts, zone).replace(hour=0, minute=0, second=0, microsecond=0), zone=st.just("Asia/Tokyo")),
    scalar("hour(ts AT TIME ZONE 'America/New_York')", lambda ts: moved(ts, "America/New_York").hour),
    scalar("cardinality(sequence(d, d + INTERVAL '{n}' DAY))", lambda n: n + 1, n=SMALL),
    scalar("day(CAST(ts AS timestamp) - CAST(d AS timestamp))", lambda ts, d: whole(ts - midnight(d), dt.timedelta(days=1))),
]  # fmt: skip

SCALARS = st.one_of(*TEXTS, *NUMBERS, *ARRAYS, *DATES)


# --- aggregates -----------------------------------------------------------------------------------


def aggregate(athena: str, python: Callable[..., Any], **drawn: Any) -> st.SearchStrategy[Piece]:
    """A call whose `{name}`s are drawn; Python gets the rows, and what was drawn."""

    def piece(values: dict[str, Any]) -> Piece:
        return Piece(athena.format(**values), lambda rows: python(rows, **values))

    return st.fixed_dictionaries(drawn).map(piece)


def over(column: str, python: Callable[..., Any], least: int = 1) -> Callable[..., Any]:
    """A function of the values that are not NULL; NULL if there are fewer than `least`."""

    def of_rows(rows: Sequence[Row], **drawn: Any) -> Any:
        values = [getattr(row, column) for row in rows if getattr(row, column) is not None]
        return python(values, **drawn) if len(values) >= least else None

    return of_rows


def over_pairs(python: Callable[[list[int], list[int]], float]) -> Callable[..., Any]:
    """A function of the x and y of rows that have both; NULL where Python has no answer."""

    def of_rows(rows: Sequence[Row]) -> float | None:
        pairs = [(row.x, row.y) for row in rows if row.x is not None and row.y is not None]
        try:
            return python([x for x, _ in pairs], [y for _, y in pairs])
        except statistics.StatisticsError:
            return None

    return of_rows


def at_percentile(values: list[int], p: str) -> int:
    return sorted(values)[min(int(Fraction(p) * len(values)), len(values) - 1)]


def truths(rows: Sequence[Row], n: int) -> list[bool]:
    return [row.x > n for row in rows if row.x is not None]


AGGREGATES = st.one_of(
    aggregate("count(*)", len),
    aggregate("count(x)", over("x", len, least=0)),
    aggregate("sum(x)", over("x", sum)),
    aggregate("sum(DISTINCT x)", over("x", lambda values: sum(set(values)))),
    aggregate("avg(x)", over("x", lambda values: sum(values) / len(values))),
    aggregate("min(s)", over("s", min)),
    aggregate("max(ts)", over("ts", max)),
    aggregate("count(DISTINCT s)", over("s", lambda values: len(set(values)), least=0)),
    aggregate("approx_distinct(y)", over("y", lambda values: len(set(values)), least=0)),
    aggregate("approx_percentile(x, {p})", over("x", at_percentile), p=st.sampled_from(["0.0", "0.25", "0.5", "0.9", "1.0"])),
    aggregate("count_if(x > {n})", lambda rows, n: sum(truths(rows, n)), n=SMALL),
    aggregate("bool_and(x > {n})", lambda rows, n: all(truths(rows, n)) if truths(rows, n) else None, n=SMALL),
    aggregate("bool_or(x > {n})", lambda rows, n: any(truths(rows, n)) if truths(rows, n) else None, n=SMALL),
    aggregate("stddev(x)", over("x", statistics.stdev, least=2)),
    aggregate("stddev_pop(x)", over("x", statistics.pstdev)),
    aggregate("variance(x)", over("x", lambda values: float(statistics.variance(map(Fraction, values))), least=2)),
    aggregate("var_pop(x)", over("x", lambda values: float(statistics.pvariance(map(Fraction, values))))),
    aggregate("corr(x, y)", over_pairs(statistics.correlation)),
    aggregate("covar_samp(x, y)", over_pairs(statistics.covariance)),
    aggregate("regr_slope(x, y)", over_pairs(lambda x, y: statistics.linear_regression(y, x).slope)),
    aggregate("regr_intercept(x, y)", over_pairs(lambda x, y: statistics.linear_regression(y, x).intercept)),
    aggregate("array_agg(x ORDER BY id DESC)", lambda rows: [row.x for row in reversed(rows)] or None),
    aggregate("array_agg(DISTINCT x ORDER BY x)", lambda rows: nulls_last({row.x for row in rows}) or None),
    aggregate("array_agg(s ORDER BY x DESC, id)", lambda rows: ([row.s for row in sorted(rows, key=lambda row: (row.x is None, -(row.x or 0), row.id))] or None)),
    aggregate("array_join(array_agg(s ORDER BY id), '|')", lambda rows: "|".join(row.s for row in rows if row.s is not None) if rows else None),
    aggregate("listagg(s, '/') WITHIN GROUP (ORDER BY id DESC)", over("s", lambda values: "/".join(reversed(values)))),
    aggregate("element_at(map_agg(id, x), {n})", lambda rows, n: {row.id: row.x for row in rows}.get(n), n=SMALL),
    aggregate("cardinality(map_agg(s, x))", over("s", lambda values: len(set(values)))),
    aggregate("element_at(histogram(y), {n})", over("y", lambda values, n: values.count(n) or None), n=SMALL),
    aggregate("array_sort(element_at(multimap_agg(coalesce(h, '-'), id), 'p'))", lambda rows: [row.id for row in rows if row.h == "p"] or None),
    aggregate("max_by(s, id)", lambda rows: rows[-1].s if rows else None),
    aggregate("min_by(x, ROW(d, id))", lambda rows: min(rows, key=lambda row: (row.d, row.id)).x if rows else None),
    aggregate("max(x, 2)", over("x", lambda values: sorted(values, reverse=True)[:2])),
    aggregate("sum(x) FILTER (WHERE y > 0)", lambda rows: over("x", sum)([row for row in rows if (row.y or 0) > 0])),
    aggregate("reduce_agg(x, BIGINT '0', (a, b) -> a + b, (a, b) -> a + b)", over("x", sum)),
    aggregate("bitwise_or_agg(x)", over("x", lambda values: functools.reduce(int.__or__, values))),
    aggregate("try(sum(x) / count_if(y > 1))", lambda rows: ratio(rows)),
)  # fmt: skip

GROUPINGS = {
    "": [()],
    "GROUP BY g": [("g",)],
    "GROUP BY g, h": [("g", "h")],
    "GROUP BY ROLLUP (g, h)": [("g", "h"), ("g",), ()],
    "GROUP BY CUBE (g, h)": [("g", "h"), ("g",), ("h",), ()],
    "GROUP BY GROUPING SETS ((g), (h), ())": [("g",), ("h",), ()],
    "GROUP BY h, GROUPING SETS ((g), ())": [("h", "g"), ("h",)],
}


def grouped(
    rows: Sequence[Row], sets: Sequence[tuple[str, ...]], pieces: Sequence[Piece]
) -> list[list[Any]]:
    """What a query with these grouping sets gives: which keys are missing, the keys, the rest."""
    keys = sorted({key for each in sets for key in each})
    answer = []
    for grouping in sets:
        groups: dict[tuple[Any, ...], list[Row]] = {} if grouping else {(): []}
        for row in rows:
            groups.setdefault(tuple(getattr(row, key) for key in grouping), []).append(row)
        missing = sum(2**place for place, key in enumerate(reversed(keys)) if key not in grouping)
        for values, members in groups.items():
            named = dict(zip(grouping, values, strict=True))
            shown = [named.get(key) for key in keys]
            head = [missing, *shown] if keys else []
            answer.append([*head, *(piece.python(members) for piece in pieces)])
    size = len(keys) + 1 if keys else 0
    return sorted(answer, key=lambda line: [(value is None, str(value)) for value in line[:size]])


# --- windows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A frame's text, and the rows that are in it for the row at a place of its partition."""

    athena: str
    rows: Callable[[Sequence[Row], int], Sequence[Row]]


def by_rows(before: int, after: int) -> Frame:
    return Frame(
        f"ORDER BY id ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING",
        lambda rows, at: rows[max(0, at - before) : at + after + 1],
    )


def by_days(before: int, after: int) -> Frame:
    def near(rows: Sequence[Row], at: int) -> Sequence[Row]:
        first = rows[at].d - dt.timedelta(days=before)
        last = rows[at].d + dt.timedelta(days=after)
        return [row for row in rows if first <= row.d <= last]

    days = f"INTERVAL '{before}' DAY PRECEDING AND INTERVAL '{after}' DAY FOLLOWING"
    return Frame(f"ORDER BY d RANGE BETWEEN {days}", near)


WHOLE = "ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
FRAMES_BY_ID = st.one_of(
    st.just(Frame("ORDER BY id", lambda rows, at: rows[: at + 1])),
    st.just(Frame(WHOLE, lambda rows, _at: rows)),
    st.builds(by_rows, SMALL, SMALL),
)
FRAMES = st.one_of(FRAMES_BY_ID, st.builds(by_days, st.integers(0, 30), st.integers(0, 30)))
OVER_ANY_FRAME = st.sampled_from(
    [
        Piece("sum(x)", over("x", sum)),
        Piece("count(x)", over("x", len, least=0)),
        Piece("max(s)", over("s", max)),
        Piece("avg(y)", over("y", lambda values: sum(values) / len(values))),
        Piece("count_if(y > 0)", over("y", lambda values: sum(value > 0 for value in values), least=0)),
    ]
)  # fmt: skip


def valued(rows: Sequence[Row]) -> list[int]:
    return [row.x for row in rows if row.x is not None]


def over_ordered(n: int) -> list[Piece]:
    """Functions of a frame whose rows have an order."""
    return [
        Piece("first_value(x)", lambda rows: rows[0].x if rows else None),
        Piece("last_value(x)", lambda rows: rows[-1].x if rows else None),
        Piece(f"nth_value(x, {n})", lambda rows: element([row.x for row in rows], n)),
        Piece("first_value(x) IGNORE NULLS", lambda rows: element(valued(rows), 1)),
        Piece("last_value(x) IGNORE NULLS", lambda rows: element(valued(rows)[::-1], 1)),
        Piece(f"nth_value(x, {n}) IGNORE NULLS", lambda rows: element(valued(rows), n)),
        Piece("array_agg(x)", lambda rows: [row.x for row in rows] or None),
    ]


def over_framed(partition: str, frame: Frame, function: Piece) -> Piece:
    def of_place(rows: Sequence[Row], at: int) -> Any:
        return function.python(frame.rows(rows, at))

    return Piece(f"{function.athena} OVER ({partition}{frame.athena})", of_place)


def over_partition(partition: str, n: int) -> list[Piece]:
    """Functions that know no frame."""

    def tile(rows: Sequence[Row], at: int) -> int:
        size, rest = divmod(len(rows), n)
        larger = rest * (size + 1)
        return at // (size + 1) + 1 if at < larger else rest + (at - larger) // size + 1

    def lower(rows: Sequence[Row], at: int) -> list[int | None]:
        """The y before that of a row, NULL being last."""
        y = rows[at].y
        own = math.inf if y is None else y
        return [row.y for row in rows if row.y is not None and row.y < own]

    def peers(rows: Sequence[Row], at: int) -> int:
        return sum(row.y == rows[at].y for row in rows)

    def shifted(values: Sequence[Any], by: int, default: Any) -> Any:
        return values[by] if 0 <= by < len(values) else default

    by_id, by_y = f"OVER ({partition}ORDER BY id)", f"OVER ({partition}ORDER BY y)"
    return [
        Piece(f"row_number() {by_id}", lambda _rows, at: at + 1),
        Piece(f"ntile({n}) {by_id}", tile),
        Piece(f"rank() {by_y}", lambda rows, at: len(lower(rows, at)) + 1),
        Piece(f"dense_rank() {by_y}", lambda rows, at: len(set(lower(rows, at))) + 1),
        Piece(f"percent_rank() {by_y}", lambda rows, at: len(lower(rows, at)) / max(len(rows) - 1, 1)),
        Piece(f"cume_dist() {by_y}", lambda rows, at: (len(lower(rows, at)) + peers(rows, at)) / len(rows)),
        Piece(f"lag(x, {n}, -1) {by_id}", lambda rows, at: shifted([row.x for row in rows], at - n, -1)),
        Piece(f"lead(x, {n}) {by_id}", lambda rows, at: shifted([row.x for row in rows], at + n, None)),
        Piece(f"lag(x, {n}) IGNORE NULLS {by_id}", lambda rows, at: element(valued(rows[:at])[::-1], n)),
        Piece(f"lead(x, {n}) IGNORE NULLS {by_id}", lambda rows, at: element(valued(rows[at + 1 :]), n)),
    ]  # fmt: skip


@st.composite
def windows(draw: st.DrawFn, partition: str) -> Piece:
    """A function with OVER; Python gets the rows of the partition, and the place of one of them."""
    n = draw(PLACES)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return over_framed(partition, draw(FRAMES), draw(OVER_ANY_FRAME))
    if kind == 1:
        return over_framed(partition, draw(FRAMES_BY_ID), draw(st.sampled_from(over_ordered(n))))
    return draw(st.sampled_from(over_partition(partition, n)))


# --- queries --------------------------------------------------------------------------------------


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, dt.datetime):
        return f"TIMESTAMP '{shown(value)}'"
    if isinstance(value, dt.date):
        return f"DATE '{value}'"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(literal, value))}]"
    return f"'{value}'" if isinstance(value, str) else str(value)


def table(rows: Sequence[Row]) -> str:
    """WITH, for a table of these rows."""
    types = {
        **dict.fromkeys("ghs", "varchar"),
        **dict.fromkeys("xy", "bigint"),
        "tags": "array(bigint)",
    }
    names = [field.name for field in fields(Row)]
    lines = []
    for row in rows:
        cells = [literal(getattr(row, name)) for name in names]
        for place, name in enumerate(names):
            if name in types:
                cells[place] = f"CAST({cells[place]} AS {types[name]})"
        lines.append(f"({', '.join([*cells, literal(row.doc)])})")
    return f"WITH t ({', '.join([*names, 'doc'])}) AS (VALUES {', '.join(lines)})"


def shown(value: Any) -> str:
    """A value as Athena prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        zone = f" {value.tzinfo}" if value.tzinfo else ""
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}{zone}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{shown(key)}={shown(held)}' for key, held in value.items())}}}"
    return str(value)


def check(compute: Compute, sql: str, expected: Sequence[Sequence[Any]]) -> None:
    """Fails unless a query gives these rows; doubles may differ in their last digits."""
    cells = re.findall(r'("(?:[^"]|"")*"|)[,\n]', compute(sql))
    values = [value for row in expected for value in row]
    assert len(cells) == len(values), sql
    for cell, value in zip(cells, values, strict=True):
        if isinstance(value, float):
            assert math.isclose(float(cell.strip('"')), value, rel_tol=1e-9, abs_tol=1e-9), sql
        else:
            quoted = "" if value is None else '"' + shown(value).replace('"', '""') + '"'
            assert cell == quoted, sql


def listed(pieces: Sequence[Piece]) -> str:
    return ", ".join(piece.athena for piece in pieces)


COUNTS = pytest.mark.parametrize("count", [20, pytest.param(600, marks=pytest.mark.full)])


def examples(count: int) -> settings:
    return settings(max_examples=count, database=None)


@COUNTS
def test_functions_of_a_row(compute: Compute, count: int) -> None:
    @given(rows=TABLES, pieces=st.lists(SCALARS, min_size=6, max_size=10))
    @examples(count)
    def hold(rows: list[Row], pieces: list[Piece]) -> None:
        sql = f"{table(rows)} SELECT id, {listed(pieces)} FROM t ORDER BY id"
        check(compute, sql, [[row.id, *(piece.python(row) for piece in pieces)] for row in rows])

    hold()


@COUNTS
def test_aggregates(compute: Compute, count: int) -> None:
    @given(
        rows=TABLES,
        least=st.none() | st.integers(-9, 9),
        grouping=st.sampled_from(list(GROUPINGS)),
        pieces=st.lists(AGGREGATES, min_size=3, max_size=6),
    )
    @examples(count)
    def hold(rows: list[Row], least: int | None, grouping: str, pieces: list[Piece]) -> None:
        sets = GROUPINGS[grouping]
        keys = sorted({key for each in sets for key in each})
        head = [f"grouping({', '.join(keys)})", *keys] if keys else []
        places = ", ".join(str(place) for place in range(1, len(head) + 1))
        order = f"ORDER BY {places}" if head else ""
        where = "" if least is None else f"WHERE x >= {least}"
        kept = [row for row in rows if least is None or (row.x is not None and row.x >= least)]
        selected = ", ".join([*head, listed(pieces)])
        sql = f"{table(rows)} SELECT {selected} FROM t {where} {grouping} {order}"
        check(compute, sql, grouped(kept, sets, pieces))

    hold()


@COUNTS
def test_windows(compute: Compute, count: int) -> None:
    @given(rows=TABLES, data=st.data(), key=st.sampled_from(["g", "h", None]))
    @examples(count)
    def hold(rows: list[Row], data: st.DataObject, key: str | None) -> None:
        partition = f"PARTITION BY {key} " if key else ""
        pieces = data.draw(st.lists(windows(partition), min_size=3, max_size=6))
        expected = []
        for row in rows:
            value = getattr(row, key) if key else None
            members = [each for each in rows if not key or getattr(each, key) == value]
            at = members.index(row)
            expected.append([row.id, *(piece.python(members, at) for piece in pieces)])
        check(compute, f"{table(rows)} SELECT id, {listed(pieces)} FROM t ORDER BY id", expected)

    hold()


@COUNTS
def test_unnest(compute: Compute, count: int) -> None:
    @given(rows=TABLES, outer=st.booleans(), piece=SCALARS)
    @examples(count)
    def hold(rows: list[Row], outer: bool, piece: Piece) -> None:
        join, on = ("LEFT JOIN", "ON true") if outer else ("CROSS JOIN", "")
        unnest = f"{join} UNNEST(tags, split(s, ',')) WITH ORDINALITY AS u (a, b, n) {on}"
        expected = []
        for row in rows:
            parts = [] if row.s is None else row.s.split(",")
            pairs = itertools.zip_longest(row.tags or [], parts)
            numbered = [[a, b, n] for n, (a, b) in enumerate(pairs, 1)]
            if outer and not numbered:
                numbered = [[None, None, None]]
            expected += [[row.id, piece.python(row), *values] for values in numbered]
        sql = f"{table(rows)} SELECT id, {piece.athena}, a, b, n FROM t {unnest} ORDER BY id, n"
        check(compute, sql, expected)

    hold()
