"""What may be told of a version: no private column."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_reports import Column, transforms
from athena_reports.delivery.content import (
    Correction,
    Movement,
    movement_of,
    shown_columns,
)
from athena_reports.rows.columns import columns_of
from athena_reports.rows.differences import find_differences
from tests.support.engines import engine

BEFORE = datetime(2026, 11, 22, tzinfo=UTC)
OLD = [("u1", "secret-a", 10), ("u2", "secret-b", 20), ("u3", "secret-c", 30)]
NEW = [("u1", "secret-a", 11), ("u2", "secret-x", 20), ("u4", "secret-d", 40)]
NAMES = ["user_id", "email", "score"]


def correction(*key: str, private: tuple[str, ...]) -> Correction:
    """What may be told between OLD and NEW."""
    with engine() as shared:
        old = written(OLD, shared.folder / "old.parquet")
        new = written(NEW, shared.folder / "new.parquet")
        columns = columns_of(shared.connection.from_parquet(str(new)))
        differences = find_differences(old, new, columns, columns, key, shared)
    return Correction.of(differences, columns, private=private, published_at=BEFORE)


def written(rows: list[tuple[str, str, int]], path: Path) -> Path:
    values = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(dict(zip(NAMES, values, strict=True))), path)
    return path


@pytest.mark.parametrize("key", [(), ("user_id",), ("email",), ("user_id", "email")])
@pytest.mark.parametrize("spelling", ["email", "EMAIL"])
def test_no_value_of_a_private_column_is_told(key: tuple[str, ...], spelling: str) -> None:
    assert "secret" in repr(correction(*key, private=()))
    told = correction(*key, private=(spelling,))
    assert "secret" not in repr(told)
    assert "email" not in repr(told)
    assert told.examples


def test_a_row_that_differs_in_a_private_column_only_is_counted_and_not_shown() -> None:
    told = correction("user_id", private=("email",))
    assert (told.added, told.removed, told.changed) == (1, 1, 2)
    assert [change.key for change in told.examples if change.kind == "changed"] == [("u1",)]
    assert told.columns == {"score": 1}


def test_a_private_key_leaves_the_values_that_differ() -> None:
    told = correction("email", private=("email",))
    assert told.names == ()
    assert all(change.kind == "changed" for change in told.examples)


def test_a_version_without_rows_is_told_as_such() -> None:
    told = Correction.without_rows(BEFORE)
    assert not told.rows_kept
    assert told.published_at == BEFORE


def test_columns_are_those_of_the_version_with_what_the_report_says() -> None:
    with engine() as shared:
        relation = shared.connection.sql("SELECT 1::BIGINT AS Score, 'x' AS email, 2 AS other")
        published = columns_of(relation)
    declared = {
        "score": Column("bigint", "sum", unit="points"),
        "Email": Column("varchar", "address", private=True),
    }
    columns = shown_columns(published, declared)
    assert [column.name for column in columns] == ["Score", "other"]
    assert (columns[0].type, columns[0].description, columns[0].unit) == ("BIGINT", "sum", "points")
    assert (columns[1].description, columns[1].unit) == ("", "")


def test_movement_is_known_by_its_transform_if_all_its_columns_are_shown() -> None:
    with engine() as shared:
        sql = "SELECT 1 AS Place, 2 AS before, 'up 1' AS moved"
        columns = shown_columns(columns_of(shared.connection.sql(sql)), {})
    named = transforms.movement(rank="place", previous_rank="before", into="moved")
    assert movement_of([named], columns) == Movement("Place", "before", "moved")
    assert movement_of([named], columns[:2]) is None
    assert movement_of([transforms.movement()], columns) is None
    assert movement_of([], columns) is None
