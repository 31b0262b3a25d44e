"""Differences of two versions, beside plain Python on small tables with NULL and repeated rows."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.rows.columns import columns_of
from athena_reports.rows.differences import Differences, find_differences
from athena_reports.rows.engine import open_engine

Row = tuple[str | None, int | None]
TABLES = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([1, 2, None])), max_size=8)


def compared(old: list[Row], new: list[Row], *key: str) -> Differences:
    with open_engine("128MB") as engine:
        paths: list[Path] = []
        for number, rows in enumerate((old, new)):
            names, values = [row[0] for row in rows], [row[1] for row in rows]
            table = pa.table({"name": pa.array(names, pa.string()), "value": pa.array(values, pa.int64())})
            paths.append(engine.folder / f"{number}.parquet")
            pq.write_table(table, paths[-1])
        columns: Any = [columns_of(engine.connection.from_parquet(str(path))) for path in paths]
        return find_differences(*paths, *columns, key, engine)


@settings(max_examples=40)
@given(TABLES, TABLES)
def test_without_a_key_rows_are_compared_as_multisets(old: list[Row], new: list[Row]) -> None:
    found = compared(old, new)
    added, removed = Counter(new) - Counter(old), Counter(old) - Counter(new)
    assert (found.added, found.removed, found.changed) == (added.total(), removed.total(), 0)
    assert found.is_empty == (Counter(new) == Counter(old))


@settings(max_examples=40)
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


def test_a_key_that_a_version_has_not_is_none() -> None:
    assert compared([("a", 1)], [("a", 1)], "nobody").key == ()
