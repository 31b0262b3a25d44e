"""SQL predicates on partition keys. Athena reads no other partition, whatever else a query says."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from athena_reports.inputs.layout import Layout, PartitionValues
from athena_reports.sql.literals import Scalar, literal

_IN_TIME = ["%Y", "%m", "%d", "%H"]  # hours in this order sort as the texts that name them


def partitions_predicate(
    layout: Layout,
    partitions: Sequence[PartitionValues],
    names: Sequence[str],
    *,
    dates_are_texts: bool = False,
) -> str:
    """Return a predicate on exactly some partitions, at least one.

    Consecutive hours of one key are a range, if their texts sort in time. `names` is what the query
    calls the keys, such as `p.dt`. An expression of GetPartitions takes a date as a text.
    """

    def literal_of(value: str, number: int) -> str:
        typed: Scalar = value
        kind = layout.keys[number].kind
        if kind == "integer":
            typed = int(value)
        elif kind == "date" and not dates_are_texts:
            typed = date.fromisoformat(value)
        return literal(typed)

    if len(names) == 1 and layout.keys[0].directives == _IN_TIME:
        (first_value,), (last_value,) = min(partitions), max(partitions)
        first = literal_of(first_value, 0)
        last = literal_of(last_value, 0)
        return f"({names[0]} BETWEEN {first} AND {last})"
    conditions = []
    for product in _products(partitions):
        terms = []
        for number, values in enumerate(product):
            literals = ", ".join(literal_of(value, number) for value in values)
            terms.append(f"{names[number]} IN ({literals})")
        conditions.append(" AND ".join(terms))
    return f"({' OR '.join(conditions)})"


def only_predicate(only: Mapping[str, Sequence[Scalar]], names: Sequence[str]) -> str:
    """Return a predicate on the values of further keys, of which there is one at least."""
    values_by_name = zip(names, only.values(), strict=True)
    return " AND ".join(f"{name} IN {literal(values)}" for name, values in values_by_name)


def _products(partitions: Sequence[PartitionValues]) -> Iterator[tuple[Sequence[str], ...]]:
    # Days with the same hours, and months with the same days, are in one product.
    if not partitions[0]:  # of no keys there is one partition
        yield ()
        return
    partitions_below: dict[str, list[PartitionValues]] = {}
    for value, *below in partitions:
        partitions_below.setdefault(value, []).append(tuple(below))
    values_above: dict[tuple[PartitionValues, ...], list[str]] = {}
    for value, all_below in partitions_below.items():
        values_above.setdefault(tuple(all_below), []).append(value)
    for same_below, values in values_above.items():
        for product in _products(same_below):
            yield (values, *product)
