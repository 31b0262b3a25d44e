"""What may be told of a version: no private column."""

from __future__ import annotations

from dataclasses import replace

from athena_reports import Column, transforms
from athena_reports.delivery.content import (
    ContentColumn,
    Movement,
    measures_of,
    movement_of,
    shown_columns,
)
from athena_reports.rows.columns import TableColumn, columns_of
from tests.support.engines import engine
from tests.unit.athena_reports.delivery.contents import content


def test_columns_are_those_of_the_version_with_what_the_report_says() -> None:
    with engine() as shared:
        relation = shared.connection.sql("SELECT 1::BIGINT AS Score, 'x' AS email, 2 AS other")
        published = columns_of(relation)
    declared = {
        "score": Column("bigint", "sum", unit="points"),
        "Email": Column("varchar", "address", private=True),
    }
    (column,) = shown_columns(published, declared)
    assert column == ContentColumn("Score", "BIGINT", "points")


def test_a_report_that_declares_no_columns_delivers_those_that_were_not_private() -> None:
    published = (
        TableColumn(name="Score", type="BIGINT", glue="bigint"),
        TableColumn(name="email", type="VARCHAR", glue="string", private=True),
    )
    (column,) = shown_columns(published, {})
    assert column == ContentColumn("Score", "BIGINT")


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


def test_measures_are_numbers_without_key_and_ranks_and_that_of_the_bars_comes_first() -> None:
    names = ("rank", "user_id", "place", "score", "plays")
    columns = (*(ContentColumn(name, "BIGINT") for name in names), ContentColumn("name", "VARCHAR"))
    made = content(columns=columns, rows=(), key=("user_id",), bar="", movement=None)
    assert measures_of(made) == ["place", "score", "plays"]
    moved = replace(made, bar="plays", movement=Movement("place", "before", "moved"))
    assert measures_of(moved) == ["plays", "rank", "score"]
