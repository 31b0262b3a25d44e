"""Differences of two versions, beside plain Python on small tables with NULL and repeated rows."""

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.rows.columns import columns_of
from athena_reports.rows.differences import Differences, find_differences
from athena_reports.rows.engine import open_engine
from tests.support.engines import engine

Row = tuple[str | None, int | None]
TABLES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([1, 2, None])), max_size=8
)
# Those of the SQL that compares, of DuckDB, and of SQL itself.
RESERVED = ["is_there", "repetition", "file", "key_0", "key_1", "value_0", "value_1"]
RESERVED += ["filename", "file_row_number", "file_index", "rowid", "columns", "exclude", "at"]
RESERVED += ["select", "o", "n"]
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=3)
NAMES = st.one_of(st.sampled_from(RESERVED), st.sampled_from(RESERVED).map(str.upper), ANY_TEXT)
# Names that do not differ in case only, as those of a result's columns.
COLUMNS = st.lists(NAMES, min_size=2, max_size=5, unique_by=str.casefold)
VALUES = st.sampled_from([1, 2, None])


def differences(old: pa.Table, new: pa.Table, *key: str, first_by: str = "") -> Differences:
    with engine() as shared:
        paths: list[Path] = []
        for number, table in enumerate((old, new)):
            paths.append(shared.folder / f"{number}.parquet")
            pq.write_table(table, paths[-1])
        columns: Any = [columns_of(shared.connection.from_parquet(str(path))) for path in paths]
        return find_differences(*paths, *columns, key, shared, first_by=first_by)


def compared(old: list[Row], new: list[Row], *key: str) -> Differences:
    def table(rows: list[Row]) -> pa.Table:
        names, values = [row[0] for row in rows], [row[1] for row in rows]
        return pa.table(
            {"name": pa.array(names, pa.string()), "value": pa.array(values, pa.int64())}
        )

    return differences(table(old), table(new), *key)


@given(TABLES, TABLES)
def test_without_a_key_rows_are_compared_as_multisets(old: list[Row], new: list[Row]) -> None:
    found = compared(old, new)
    added, removed = Counter(new) - Counter(old), Counter(old) - Counter(new)
    assert (found.added, found.removed, found.changed) == (added.total(), removed.total(), 0)
    assert found.is_empty == (Counter(new) == Counter(old))


@given(TABLES, TABLES)
def test_a_key_tells_rows_apart_where_it_is_unique_in_both(old: list[Row], new: list[Row]) -> None:
    found, before, after = compared(old, new, "name"), dict(old), dict(new)
    if (len(before), len(after)) != (len(old), len(new)):
        assert found == compared(old, new)
        return
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    counted = (len(after.keys() - before.keys()), len(before.keys() - after.keys()), len(changed))
    assert (found.added, found.removed, found.changed) == counted
    assert found.columns == ({"value": len(changed)} if changed else {})
    assert {each.key[0] for each in found.examples if each.kind == "changed"} <= changed
    # As `checks.unique` finds its columns.
    assert compared(old, new, "NAME") == found


@given(st.data(), COLUMNS, st.booleans())
def test_columns_of_any_name_are_compared_by_their_values(
    data: st.DataObject, names: list[str], is_keyed: bool
) -> None:
    number = data.draw(st.integers(1, 4))
    values = [data.draw(st.lists(VALUES, min_size=number, max_size=number)) for _ in names]
    keys = [*range(number - 1), None]
    row, place = data.draw(st.integers(0, number - 1)), data.draw(st.integers(1, len(names) - 1))
    if is_keyed:
        values[0] = keys
    changed = [[*column] for column in values]
    changed[place][row] = 3
    old = pa.table([pa.array(column, pa.int64()) for column in values], names)
    new = pa.table([pa.array(column, pa.int64()) for column in changed], names)
    key = names[:1] if is_keyed else []

    assert differences(old, old, *key).is_empty
    found = differences(old, new, *key)
    if is_keyed:
        assert (found.added, found.removed, found.changed) == (0, 0, 1)
        assert found.columns == {names[place]: 1}
        (example,) = found.examples
        shown = [None if value is None else str(value) for value in (keys[row], values[place][row])]
        assert (*example.key, example.columns) == (shown[0], {names[place]: (shown[1], "3")})
    else:
        assert (found.added, found.removed, found.changed) == (1, 1, 0)
        assert {len(example.key) for example in found.examples} == {len(names)}


@pytest.mark.parametrize("key", [[], ["name"]])
def test_versions_without_a_column_in_common_differ_in_their_columns(key: list[str]) -> None:
    old, new = pa.table({"name": ["a", "b"]}), pa.table({"title": ["a"]})
    found = differences(old, new, *key)
    assert (found.columns_added, found.columns_removed) == (("title",), ("name",))
    assert (found.added, found.removed, found.changed, found.key) == (0, 1, 0, ())


# Of each type, that of Arrow and a value.
SEVENS: dict[str, tuple[pa.DataType, Any]] = {
    "BIGINT": (pa.int64(), 7),
    "DECIMAL(9,0)": (pa.decimal128(9, 0), Decimal(7)),
    "DECIMAL(9,2)": (pa.decimal128(9, 2), Decimal(7)),
    "VARCHAR": (pa.string(), "7"),
    "DATE": (pa.date32(), date(2026, 1, 7)),
}
RETYPED = [("VARCHAR", "DATE"), *(("BIGINT", kind) for kind in SEVENS if kind != "BIGINT")]


@pytest.mark.parametrize("is_keyed", [True, False])
@pytest.mark.parametrize(
    ("before", "after"), [*RETYPED, *((after, before) for before, after in RETYPED)]
)
def test_a_column_that_rows_are_matched_by_may_change_its_type(
    before: str, after: str, is_keyed: bool
) -> None:
    """Its values are compared as texts."""

    def table(kind: str) -> pa.Table:
        arrow, seven = SEVENS[kind]
        return pa.table({"name": pa.array([seven], arrow), "value": [1]})

    old, new = table(before), table(after)
    found = differences(old, new, *(["name"] if is_keyed else []))

    is_same_row = not {"DATE", "DECIMAL(9,2)"} & {before, after}  # 7 and 7.00 are two texts
    assert (found.added, found.removed, found.changed) == ((0, 0, 0) if is_same_row else (1, 1, 0))
    assert found.columns_retyped == {"name": (before, after)}
    assert not found.is_empty


def test_each_kind_of_change_has_examples() -> None:
    old = [(f"old {number}", 1) for number in range(9)] + [("both", 1), ("none", None)]
    new = [(f"new {number}", 1) for number in range(9)] + [("both", 2), ("none", 1)]
    found = compared(old, new, "name")
    kinds = Counter(example.kind for example in found.examples)
    assert kinds == {"added": 3, "removed": 3, "changed": 2}
    assert [example.key for example in found.examples] == [
        *((f"new {number}",) for number in range(3)),
        *(("both",), ("none",)),
        *((f"old {number}",) for number in range(3)),
    ]
    changes = {example.key: example.columns for example in found.examples}
    assert changes["both",] == {"value": ("1", "2")}
    assert changes["none",] == {"value": (None, "1")}


CHANGES = st.lists(
    st.tuples(st.integers(-9, 9) | st.none(), st.integers(-9, 9) | st.none()), min_size=1
)


@given(CHANGES, st.booleans())
def test_the_examples_are_the_largest_changes(
    changes: list[tuple[int | None, int | None]], is_keyed: bool
) -> None:
    """NULL counts as 0, also that of a row which only one version has."""
    names = [f"{number:03}" for number in range(len(changes))]
    before, after = (pa.array(side, pa.int64()) for side in zip(*changes, strict=True))
    old = pa.table({"name": names, "score": before})
    new = pa.table({"name": names, "score": after})
    found = differences(old, new, *(["name"] if is_keyed else []), first_by="score")

    differing = {
        name: pair for name, pair in zip(names, changes, strict=True) if pair[0] != pair[1]
    }
    sizes = {
        "added": {name: abs(new or 0) for name, (_, new) in differing.items()},
        "removed": {name: abs(old or 0) for name, (old, _) in differing.items()},
        "changed": {name: abs((new or 0) - (old or 0)) for name, (old, new) in differing.items()},
    }
    for kind in ["changed"] if is_keyed else ["added", "removed"]:
        expected = sorted(differing, key=lambda name: (-sizes[kind][name], name))[:3]
        assert [item.key[0] for item in found.examples if item.kind == kind] == expected


def test_a_key_that_a_version_has_not_is_none() -> None:
    assert compared([("a", 1)], [("a", 1)], "nobody").key == ()


@pytest.mark.parametrize("key", [(), ("t",)])
def test_differences_of_nested_columns_and_of_more_rows_than_memory_holds(
    key: tuple[str, ...],
) -> None:
    nested = "SELECT [range] AS l, {'a': range} AS s, repeat(md5(range::VARCHAR), 3) AS t"
    with open_engine("64MB") as opened:
        old, new = opened.folder / "old", opened.folder / "new"
        for path, rows in {old: "range(0, 99_990)", new: "range(5, 100_000)"}.items():
            opened.connection.sql(f"{nested} FROM {rows}").write_parquet(str(path))
        columns = columns_of(opened.connection.from_parquet(str(old)))
        found = find_differences(old, new, columns, columns, key, opened, with_examples=False)
    assert (found.added, found.removed, found.changed, found.examples) == (10, 5, 0, ())
