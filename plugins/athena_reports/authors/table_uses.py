"""How often a query scans each table, by the names after FROM and JOIN: no SQL is parsed in full.

Athena puts a CTE in the place of each of its names. So a CTE that is read twice scans its tables
twice.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, Union

from athena_reports.authors.cte import TOKEN

# What stands in parentheses is one item of the items around it.
_Item: TypeAlias = Union[str, "_Items"]
_Items: TypeAlias = tuple[_Item, ...]

_QUERY_WORDS = {"SELECT", "WITH", "VALUES", "TABLE"}
_SET_WORDS = {"UNION", "INTERSECT", "EXCEPT"}
_END_OF_FROM = {"WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH"}
_END_OF_WHERE = _END_OF_FROM - {"WHERE"}
_LOOSENING_WORDS = {"OR", "NOT"}  # with one of them, a filter may leave rows of other partitions


class TableUses(NamedTuple):
    """The tables that a query scans.

    Attributes:
        number: How often it scans each, by the name in the SQL: in lower case, with the database if
            that stands there.
        are_filtered: Whether it is certain that this is all, and that each scan is filtered.
    """

    number: Counter[str]
    are_filtered: bool


def table_uses(sql: str, filters: Mapping[str, Collection[str]]) -> TableUses:
    """Return how often a query scans each table.

    Args:
        sql: The rendered query.
        filters: Predicates in parentheses, by the name of a table. A scan counts as filtered if its
            WHERE demands one of them.
    """
    filters_of_table = {}
    for table, predicates in filters.items():
        filters_of_table[table] = {_items(predicate)[0] for predicate in predicates}
    reader = _Reader(filters_of_table)
    number = reader.query(_items(sql), {})
    return TableUses(number, reader.are_filtered)


def _items(sql: str) -> _Items:
    """Return the words and signs of SQL, without comments."""
    outer: list[list[_Item]] = [[]]
    for match in TOKEN.finditer(sql):
        text = match[0]
        if text.startswith(("--", "/*")):
            continue
        if text == "(":
            outer.append([])
        elif text == ")" and len(outer) > 1:
            inner = tuple(outer.pop())
            outer[-1].append(inner)
        else:
            outer[-1].append(text)
    while len(outer) > 1:  # it was not closed
        inner = tuple(outer.pop())
        outer[-1].append(inner)
    return tuple(outer[0])


def _word(items: _Items, place: int) -> str:
    """Return the word at a place in upper case; empty if there is none, or parentheses."""
    if not 0 <= place < len(items):
        return ""
    item = items[place]
    if isinstance(item, str):
        return item.upper()
    return ""


def _is_query(items: _Items) -> bool:
    if _word(items, 0) in _QUERY_WORDS:
        return True
    return bool(items) and isinstance(items[0], tuple) and _is_query(items[0])


class _Select:
    """One SELECT: the tables that it names itself, and what its WHERE demands."""

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.demanded: set[_Item] = set()
        self.is_loose = False  # the WHERE has an OR or a NOT outside of parentheses


class _Reader:
    def __init__(self, filters: Mapping[str, Collection[_Item]]) -> None:
        self.filters = filters
        self.are_filtered = True

    def query(self, items: _Items, outer_ctes: Mapping[str, Counter[str]]) -> Counter[str]:
        """Return how often a query scans each table."""
        ctes = dict(outer_ctes)
        place = 0
        if _word(items, 0) == "WITH":
            place = self._read_ctes(items, ctes)
        number: Counter[str] = Counter()
        for select_items in _split_at_set_words(items[place:]):
            select = _Select()
            number += self._read(select_items, ctes, select, is_relation_next=False)
            self._look_at_filters(select)
        return number

    def _read_ctes(self, items: _Items, ctes: dict[str, Counter[str]]) -> int:
        """Read what stands in WITH, and return the place of the query after it."""
        place = 1
        is_recursive = _word(items, place) == "RECURSIVE"
        if is_recursive:
            self.are_filtered = False  # nobody knows how often it reads itself
            place += 1
        while place < len(items):
            name = _name(items[place])
            if is_recursive:
                ctes[name] = Counter()
            while place < len(items) and _word(items, place) != "AS":
                place += 1
            place += 1
            inner = items[place] if place < len(items) else ""
            if isinstance(inner, tuple):
                ctes[name] = self.query(inner, ctes)
            place += 1
            if _word(items, place) != ",":
                break
            place += 1
        return place

    def _read(
        self,
        items: _Items,
        ctes: Mapping[str, Counter[str]],
        select: _Select,
        *,
        is_relation_next: bool,
    ) -> Counter[str]:
        """Return how often a SELECT, or the inside of parentheses in its FROM, scans each table."""
        number: Counter[str] = Counter()
        is_in_from = is_relation_next
        is_in_where = False
        place = 0
        while place < len(items):
            item = items[place]
            word = _word(items, place)
            place += 1
            if isinstance(item, tuple):
                if _is_query(item):
                    number += self.query(item, ctes)
                elif is_relation_next:
                    number += self._read(item, ctes, select, is_relation_next=True)
                else:
                    number += self._read_expression(item, ctes)
                    if is_in_where:
                        select.demanded.add(item)
                is_relation_next = False
            elif word in ("FROM", "JOIN"):
                # Not that of `a IS DISTINCT FROM b`.
                is_relation_next = _word(items, place - 2) != "DISTINCT"
                is_in_from = is_in_from or is_relation_next
            elif (word == "TABLE" and place == 1) or (word == "," and is_in_from):
                is_relation_next = True
            elif word in _END_OF_FROM:
                is_in_from = False
                is_relation_next = False
                is_in_where = word == "WHERE"
            elif is_in_where and word in _LOOSENING_WORDS:
                select.is_loose = True
            elif is_relation_next and word != "LATERAL":
                is_relation_next = False
                name = _name(item)
                while _word(items, place) == ".":
                    name += "." + _name(items[place + 1])
                    place += 2
                is_function = place < len(items) and isinstance(items[place], tuple)
                if is_function:  # such as UNNEST
                    continue
                if name in ctes:
                    number += ctes[name]
                else:
                    table = ".".join(name.split(".")[-2:])  # without a catalog
                    number[table] += 1
                    select.tables.append(table)
        return number

    def _read_expression(self, items: _Items, ctes: Mapping[str, Counter[str]]) -> Counter[str]:
        """Return how often the subqueries of an expression scan each table.

        A FROM outside of them is not one of a query, as in `EXTRACT(YEAR FROM day)`.
        """
        number: Counter[str] = Counter()
        for item in items:
            if not isinstance(item, tuple):
                continue
            if _is_query(item):
                number += self.query(item, ctes)
            else:
                number += self._read_expression(item, ctes)
        return number

    def _look_at_filters(self, select: _Select) -> None:
        """Note a SELECT that may scan more of a table than the filtered partitions."""
        if not select.tables:
            return
        if select.is_loose or len(set(select.tables)) < len(select.tables):
            self.are_filtered = False
        for table in select.tables:
            if not select.demanded.intersection(self.filters.get(table, ())):
                self.are_filtered = False


def _split_at_set_words(items: _Items) -> Iterator[_Items]:
    """Yield the sides of UNION, INTERSECT and EXCEPT, without these words."""
    start = 0
    for place in range(len(items)):
        if _word(items, place) in _SET_WORDS:
            yield items[start:place]
            start = place + 1
            if _word(items, start) in ("ALL", "DISTINCT"):
                start += 1
    yield items[start:]


def _name(item: _Item | Sequence[str]) -> str:
    """Return a name as Athena compares it."""
    return str(item).strip('"').lower()
