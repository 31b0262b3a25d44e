"""What may be told of a version: no private column."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from athena_reports import Column, transforms
from athena_reports.delivery.content import (
    Correction,
    Movement,
    movement_of,
    shown_columns,
)
from athena_reports.rows.columns import TableColumn, columns_of
from athena_reports.rows.differences import Change, Differences
from tests.support.engines import engine

BEFORE = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_version_without_rows_is_told_as_such() -> None:
    told = Correction.without_rows(BEFORE)
    assert not told.rows_kept
    assert told.published_at == BEFORE


@pytest.mark.parametrize(("key", "named"), [(("score",), ("score",)), ((), ("Score", "other"))])
def test_a_correction_names_the_values_of_its_examples(
    key: tuple[str, ...], named: tuple[str, ...]
) -> None:
    """By the key, else by the columns that both versions have: the earlier one had no `email`."""
    with engine() as shared:
        relation = shared.connection.sql("SELECT 1 AS Score, 'x' AS email, 2 AS other")
        later = columns_of(relation)
    differences = Differences(
        key=key,
        added=1,
        removed=2,
        changed=3,
        columns={"other": 3},
        columns_added=("email",),
        columns_removed=("name",),
        columns_retyped={},
        examples=(Change(kind="added", key=("1",) * len(named), columns={}),),
    )
    told = Correction.of(differences, later, published_at=BEFORE)
    assert told == Correction(
        published_at=BEFORE,
        added=1,
        removed=2,
        changed=3,
        columns={"other": 3},
        columns_added=("email",),
        columns_removed=("name",),
        names=named,
        examples=differences.examples,
    )


def test_columns_are_those_of_the_version_with_what_the_report_says() -> None:
    with engine() as shared:
        relation = shared.connection.sql("SELECT 1::BIGINT AS Score, 'x' AS email, 2 AS other")
        published = columns_of(relation)
    declared = {
        "score": Column("bigint", "sum", unit="points"),
        "Email": Column("varchar", "address", private=True),
    }
    (column,) = shown_columns(published, declared)
    assert (column.name, column.type) == ("Score", "BIGINT")
    assert (column.description, column.unit) == ("sum", "points")


def test_a_report_that_declares_no_columns_delivers_those_that_were_not_private() -> None:
    published = (
        TableColumn(name="Score", type="BIGINT", glue="bigint"),
        TableColumn(name="email", type="VARCHAR", glue="string", private=True),
    )
    (column,) = shown_columns(published, {})
    assert (column.name, column.description, column.unit) == ("Score", "", "")


def test_movement_is_known_by_its_transform_if_all_its_columns_are_shown() -> None:
    with engine() as shared:
        sql = "SELECT 1 AS Place, 2 AS before, 'up 1' AS moved"
        columns = shown_columns(columns_of(shared.connection.sql(sql)), {})
    named = transforms.movement(rank="place", previous_rank="before", into="moved")
    assert movement_of([named], columns) == Movement("Place", "before", "moved")
    others = [lambda rows, _: rows, transforms.each_row(lambda row: row), named]
    assert movement_of(others, columns) == Movement("Place", "before", "moved")
    assert movement_of(others[:2], columns) is None
    assert movement_of([named], columns[:2]) is None
    assert movement_of([transforms.movement()], columns) is None
    assert movement_of([], columns) is None
