"""How often a query scans each table, by the names after FROM and JOIN: no SQL is parsed in full.

Athena puts a CTE in the place of each of its names. So a CTE that is read twice scans its tables
twice.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, TypeAlias, Union

from athena_reports.authors.cte import TOKEN

# SQL as its words and signs. What stands in parentheses or brackets is one item of those around it.
_Item: TypeAlias = Union[str, "_Items"]
_Items: TypeAlias = tuple[_Item, ...]

_QUERY_WORDS = {"SELECT", "WITH", "VALUES", "TABLE"}
_SET_WORDS = {"UNION", "INTERSECT", "EXCEPT"}
_END_OF_FROM = {"WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH"}
# What can follow a condition of a WHERE that has to hold.
_END_OF_CONDITION = (_END_OF_FROM - {"WHERE"}) | {"AND", ";"}
_LOOSENING_WORDS = {"OR", "CASE"}  # with one of them, a condition need not hold


class TableUses(NamedTuple):
    """The tables that a query scans.

    Attributes:
        number: How often it scans each, by the name in the SQL: in lower case, with the database if
            the SQL names it.
        are_filtered: Whether it is certain that the query scans no other tables, and that each scan
            is filtered.
    """

    number: Counter[str]
    are_filtered: bool


def table_uses(sql: str, filters: Mapping[str, Collection[str]]) -> TableUses:
    """Return how often a query scans each table.

    Args:
        sql: The rendered query.
        filters: Predicates in parentheses, by the name of a table as `number` has it. A scan counts
            as filtered if one of them must hold for the WHERE of its SELECT to hold.
    """
    filters_of_table = {}
    for table, predicates in filters.items():
        filters_of_table[table] = {_items(predicate)[0] for predicate in predicates}
    reader = _Reader(filters_of_table)
    number = reader.query(_items(sql), {})
    return TableUses(number, reader.are_filtered)


def _items(sql: str) -> _Items:
    """Return the items of SQL, without comments."""
    outer: list[list[_Item]] = [[]]  # the items so far: of the SQL, then of each open parenthesis
    for match in TOKEN.finditer(sql):
        text = match[0]
        if text.startswith(("--", "/*")):
            continue
        if text in ("(", "["):
            outer.append([])
        elif text in (")", "]") and len(outer) > 1:
            inner = tuple(outer.pop())
            outer[-1].append(inner)
        else:
            outer[-1].append(text)
    while len(outer) > 1:  # it was not closed
        inner = tuple(outer.pop())
        outer[-1].append(inner)
    return tuple(outer[0])


def _text(items: _Items, place: int) -> str:
    """Return the word or sign at a place; empty if there is none, or parentheses."""
    if not 0 <= place < len(items):
        return ""
    item = items[place]
    if isinstance(item, str):
        return item
    return ""


def _word(items: _Items, place: int) -> str:
    """Return the word or sign at a place in upper case, to be compared with those of SQL."""
    return _text(items, place).upper()


def _name(items: _Items, place: int) -> str:
    """Return the name at a place as Athena compares it: in lower case, without quotes."""
    return _text(items, place).strip('"').lower()


def _inside(items: _Items, place: int) -> _Items | None:
    """Return what stands in the parentheses at a place; None if there are none."""
    if place < len(items):
        item = items[place]
        if isinstance(item, tuple):
            return item
    return None


def _is_query(items: _Items) -> bool:
    """Return whether the inside of parentheses is a query, also one in parentheses of its own."""
    if _word(items, 0) in _QUERY_WORDS:
        return True
    inside = _inside(items, 0)
    return inside is not None and _is_query(inside)


def _must_hold(items: _Items, place: int) -> bool:
    """Return whether the parentheses at a place in a WHERE are a condition that AND connects.

    Those of `(a) = false`, `NOT (a)` and `f(a)` are not.
    """
    is_last = place == len(items) - 1
    is_ended = is_last or _word(items, place + 1) in _END_OF_CONDITION
    return is_ended and _word(items, place - 1) in ("WHERE", "AND")


class _Select:
    """One SELECT: the tables that its own FROM names, and the conditions in its WHERE.

    A subquery is another SELECT.
    """

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.conditions: set[_Item] = set()  # those in parentheses
        self.is_loose = False  # a word of the WHERE says that not all of them have to hold


class _Reader:
    """Counts scans, and notes on its way in `are_filtered` what keeps it from being certain."""

    def __init__(self, filters: Mapping[str, Collection[_Item]]) -> None:
        self.filters = filters
        self.are_filtered = True

    def query(self, items: _Items, outer_ctes: Mapping[str, Counter[str]]) -> Counter[str]:
        """Return how often a query scans each table.

        `outer_ctes` are those of the queries around it, with how often each scans each table.
        """
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
            name = _name(items, place)
            if is_recursive:
                ctes[name] = Counter()  # it is no table inside of itself
            # Names of columns may stand between name and AS.
            while place < len(items) and _word(items, place) != "AS":
                place += 1
            place += 1
            inside = _inside(items, place)
            if inside is not None:
                ctes[name] = self.query(inside, ctes)
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
        """Return how often a SELECT, or the inside of parentheses in its FROM, scans each table.

        The tables and conditions that it meets are added to `select`. `is_relation_next` says
        whether the first item is a table or a subquery: in the parentheses of a FROM it is.
        """
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
                    if is_in_where and _must_hold(items, place - 1):
                        select.conditions.add(item)
                is_relation_next = False
            elif word in ("FROM", "JOIN"):
                # The FROM of `a IS DISTINCT FROM b` is none of a query.
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
                parts = [_name(items, place - 1)]
                while _word(items, place) == ".":
                    parts.append(_name(items, place + 1))
                    place += 2
                name = ".".join(parts[-2:])  # without a catalog
                if _inside(items, place) is not None:  # a function
                    if name != "unnest":
                        self.are_filtered = False  # nobody knows what it scans, as in TABLE(f(a))
                elif name in ctes:
                    number += ctes[name]
                else:
                    number[name] += 1
                    select.tables.append(name)
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
        # Of a table that is named twice, one filter may bound only one.
        has_repeated_table = len(set(select.tables)) < len(select.tables)
        if select.is_loose or has_repeated_table:
            self.are_filtered = False
        for table in select.tables:
            if not select.conditions.intersection(self.filters.get(table, ())):
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
