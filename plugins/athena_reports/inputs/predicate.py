"""The SQL predicate on the partition keys of a table that selects some partitions.

Athena reads no other partition, whatever else the query says.
"""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from datetime import date, datetime, time, timedelta
from itertools import groupby

from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import Layout, Partition, PartitionKey, bounds_of_events
from athena_reports.inputs.partition_format import (
    PartitionUnit,
    partition_unit,
    sorts_in_time,
)
from athena_reports.periods.calendar import Period
from athena_reports.periods.zones import dates_shown, hours_shown, midnight, zone_of
from athena_reports.sql.literals import Scalar, literal
from athena_reports.sql.names import sql_name

MOST_BYTES = 100_000
"""The longest predicate: Athena takes 256 KB of SQL."""

_DAY = timedelta(days=1)
_DAYS_OF_SHORTEST_MONTH = 28


def partitions_predicate(
    layout: Layout, start: datetime, end: datetime, names: Sequence[str]
) -> str:
    """Return a predicate on exactly the partitions that can hold an event of [start, end).

    Args:
        layout: The partition keys that tell time.
        start: An instant in UTC.
        end: An instant in UTC.
        names: What the query calls the keys, such as `p.dt`.

    Raises:
        ValueError: The predicate would be longer than `MOST_BYTES`.
    """
    moments = layout.moments(start, end)
    partitions = list(dict.fromkeys(layout.partition(moment) for moment in moments))
    if _is_range(layout):
        (key,) = layout.keys
        predicate = _range(key, partitions, names[0])
    else:
        whole = _whole_prefixes(layout, moments)
        conditions = []
        for terms in _conjunctions(partitions, layout.keys, names, whole, prefix=()):
            condition = " AND ".join(terms)
            if len(names) > 1:
                condition = f"({condition})"
            conditions.append(condition)
        predicate = f"({' OR '.join(conditions)})"
    _require_short(predicate)
    return predicate


def input_predicate(
    source: Input, period: Period, late_by: timedelta, *, alias: str | None = None
) -> str:
    """Return the predicate on exactly the partitions of an input that a period needs.

    Args:
        source: The input, which has partitions.
        period: The period. The input may read others with it.
        late_by: How long after the end of a period its events may land.
        alias: What the query calls the table, such as `p`; None if it needs no name.

    Raises:
        ValueError: The predicate would be longer than `MOST_BYTES`.
    """
    prefix = "" if alias is None else f"{alias}."
    names = [f"{prefix}{sql_name(key)}" for key in source.columns]
    predicates = []
    for read_period in source.periods_read(period):
        start, end = bounds_of_events(read_period, late_by)
        predicates.append(partitions_predicate(source.layout, start, end, names))
    predicate = predicates[0]
    if len(predicates) > 1:
        predicate = f"({' OR '.join(predicates)})"
    if source.only:
        terms = []
        for key, values in source.only.items():
            terms.append(f"{prefix}{sql_name(key)} IN {literal(values)}")
        predicate = f"({predicate} AND {' AND '.join(terms)})"
    _require_short(predicate)
    return predicate


def value_literal(text: str, kind: str) -> str:
    """Return the value of a partition key of some kind as a SQL literal."""
    value: Scalar = text
    if kind == "integer":
        value = int(text)
    elif kind == "date":
        value = date.fromisoformat(text)
    return literal(value)


def _require_short(predicate: str) -> None:
    size = len(predicate.encode())
    if size > MOST_BYTES:
        raise ValueError(
            f"the filter on the partitions has {size:,} bytes, more than the {MOST_BYTES:,} that"
            " leave room for the query. Report shorter periods, name fewer values in only=, or"
            " read a table whose hours sort in time, as those of %Y-%m-%d-%H do"
        )


def _is_range(layout: Layout) -> bool:
    """Whether a range selects consecutive partitions. Dates of one key are few: each is named."""
    if layout.unit == "date" or len(layout.keys) > 1:
        return False
    (key,) = layout.keys
    return sorts_in_time(key.format, as_integers=key.kind == "integer")


def _range(key: PartitionKey, partitions: Sequence[Partition], name: str) -> str:
    (first,) = partitions[0]
    (last,) = partitions[-1]
    return f"({name} BETWEEN {value_literal(first, key.kind)} AND {value_literal(last, key.kind)})"


def _conjunctions(
    partitions: Sequence[Partition],
    keys: Sequence[PartitionKey],
    names: Sequence[str],
    whole: Set[Partition],
    *,
    prefix: Partition,
) -> Iterator[list[str]]:
    """Yield terms on the keys; a partition that is selected meets all the terms of one list.

    Args:
        partitions: The partitions below the prefix, in the order of time.
        keys: All keys.
        names: What the query calls the keys.
        whole: The prefixes all of whose partitions are selected: they need no term on further keys.
        prefix: The values of the first keys.
    """
    depth = len(prefix)
    partitions_by_value: dict[str, list[Partition]] = {}
    for partition in partitions:
        partitions_by_value.setdefault(partition[depth], []).append(partition)

    def is_selected(value: str) -> bool:
        return depth == len(keys) - 1 or (*prefix, value) in whole

    kind = keys[depth].kind
    for selected, group in groupby(partitions_by_value, key=is_selected):
        values = list(group)
        if selected:
            literals = ", ".join(value_literal(value, kind) for value in values)
            yield [f"{names[depth]} IN ({literals})"]
            continue
        for value in values:
            term = f"{names[depth]} = {value_literal(value, kind)}"
            for terms in _conjunctions(
                partitions_by_value[value], keys, names, whole, prefix=(*prefix, value)
            ):
                yield [term, *terms]


def _whole_prefixes(layout: Layout, moments: Sequence[date]) -> Set[Partition]:
    """Return the values of the first keys all of whose hours are among some hours.

    There are none where the partitions hold dates, or where the keys before the last one do not
    name a day: then each partition is named.

    Args:
        layout: The partition keys.
        moments: All hours from one to another that a clock shows, in order.
    """
    if layout.unit == "date" or not _name_days(layout):
        return set()
    hours_by_date: dict[date, set[date]] = {}
    for moment in moments:
        assert isinstance(moment, datetime)  # the unit is an hour
        hours_by_date.setdefault(moment.date(), set()).add(moment)
    prefix_of_date = {day: layout.partition(_first_hour(day))[:-1] for day in hours_by_date}
    whole_dates = [day for day, hours in hours_by_date.items() if hours >= _hours(layout, day)]
    whole = {prefix_of_date[day] for day in whole_dates}
    if len(whole_dates) >= _DAYS_OF_SHORTEST_MONTH:
        whole |= _whole_months(layout, whole_dates)
    return whole


def _first_hour(day: date) -> datetime:
    return datetime.combine(day, time(0))


def _name_days(layout: Layout) -> bool:
    """Whether the keys before the last one name a day."""
    formats = tuple(key.format for key in layout.keys[:-1])
    # With the hour behind them they name hours only if they name the day themselves.
    return _names(formats, "date") and _names((*formats, "%H"), "hour")


def _names(formats: tuple[str, ...], unit: PartitionUnit) -> bool:
    try:
        return partition_unit(formats) == unit
    except ValueError:
        return False


def _hours(layout: Layout, day: date) -> set[datetime]:
    """Return the hours of a date that a clock shows."""
    zone = zone_of(layout.zone)
    return set(hours_shown(zone, midnight(zone, day), midnight(zone, day + _DAY)))


def _whole_months(layout: Layout, whole_dates: Sequence[date]) -> Set[Partition]:
    """Return the values of still fewer keys, such as year and month, all of whose dates are whole.

    Args:
        layout: The partition keys, of which all but the last name the day.
        whole_dates: Dates, in order.
    """
    zone = zone_of(layout.zone)
    # From the day before the first year to the day after the last one.
    first = date(whole_dates[0].year, 1, 1) - _DAY
    after_last = date(whole_dates[-1].year + 1, 1, 1) + _DAY
    all_dates = dates_shown(zone, midnight(zone, first), midnight(zone, after_last))
    values_of_date = {day: layout.partition(_first_hour(day)) for day in all_dates}
    whole: set[Partition] = set()
    for length in range(1, len(layout.keys) - 1):
        formats = tuple(key.format for key in layout.keys[:length])
        if not _names(formats, "date"):  # such as a month of any year
            continue
        count_of_all = Counter(values[:length] for values in values_of_date.values())
        count_of_whole = Counter(values_of_date[day][:length] for day in whole_dates)
        edges = (values_of_date[all_dates[0]], values_of_date[all_dates[-1]])
        reaching_further = {values[:length] for values in edges}
        for prefix, count in count_of_whole.items():
            if prefix not in reaching_further and count == count_of_all[prefix]:
                whole.add(prefix)
    return whole
