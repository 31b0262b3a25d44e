"""The digest of a report's logic: what changes it, and what does not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from athena_reports import Column, Input, Report, transforms

SQL = "{% include 'filter.sql' %} SELECT {{ params.top }}"


def made_by(sql_folder: Path, *, sql: str = SQL, included: str = "-- a", **fields: Any) -> str:
    (sql_folder / "logic.sql").write_text(sql)
    (sql_folder / "filter.sql").write_text(included)
    declared = {"params": {"top": 5}, "inputs": [Input("plays", "dt")], "transform": transforms.movement()}
    return Report(name="logic", sql="logic.sql", since="2025-01-01", **declared | fields).logic


def doubled(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": row["score"] * 2}


def tripled(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": row["score"] * 3}


def scaled(factor: int) -> Any:
    return lambda rows, _period: rows.project(f"score * {factor}")


@pytest.mark.parametrize(
    "other",
    [
        {"sql": SQL + " -- edited"},
        {"included": "-- b"},
        {"params": {"top": 6}},
        {"inputs": [Input("plays", "dt", zone="Asia/Tokyo")]},
        {"late_by": timedelta(hours=1)},
        {"transform": None},
        {"transform": transforms.movement(into="moved")},
        {"transform": transforms.each_row(doubled)},
    ],
)
def test_what_makes_other_rows_makes_another_digest(sql_folder: Path, other: dict[str, Any]) -> None:
    assert made_by(sql_folder, **other) != made_by(sql_folder)


def test_the_source_and_the_arguments_of_a_function_count(sql_folder: Path) -> None:
    functions = [transforms.each_row(doubled), transforms.each_row(tripled), scaled(2), scaled(3)]
    digests = [made_by(sql_folder, transform=function) for function in functions]
    assert len(set(digests)) == len(functions)
    assert made_by(sql_folder, transform=scaled(3)) == digests[-1]


@pytest.mark.parametrize("other", [{"doc": "text"}, {"owner": "you"}, {"outputs": ["parquet"]}, {"empty": "publish"}])
def test_what_makes_the_same_rows_makes_the_same_digest(sql_folder: Path, other: dict[str, Any]) -> None:
    assert made_by(sql_folder, **other) == made_by(sql_folder)


def test_what_a_report_promises_of_its_columns_does_not_make_its_rows(sql_folder: Path) -> None:
    assert made_by(sql_folder, columns={"score": Column("bigint", "points won")}) == made_by(sql_folder)
