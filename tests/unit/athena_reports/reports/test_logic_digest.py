"""The digest of a report's logic: what changes it, and what does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from athena_reports import (
    Column,
    Input,
    Published,
    Report,
    checks,
    daily,
    transforms,
    weekly,
)
from athena_reports.errors import ReportError
from athena_reports.reports.canonical import UnreadableError
from athena_reports.reports.logic_digest import (
    is_outdated,
    logic_digest,
    transforms_digest,
)

SQL = "{% include 'filter.sql' %} SELECT {{ params.top }} FROM plays, users"
BOTH = {"a": "bigint", "b": "bigint"}
PLAYS = Input("plays", "dt")
USERS = Input("users", "dt", zone="Asia/Tokyo", format="%Y-%m", kind="string")


def made_by(sql_folder: Path, **fields: Any) -> str:
    return declared(sql_folder, **fields).logic


def declared(sql_folder: Path, *, sql: str = SQL, included: str = "-- a", **fields: Any) -> Report:
    (sql_folder / "logic.sql").write_text(sql)
    (sql_folder / "filter.sql").write_text(included)
    usual = {
        "params": {"top": 5, "game": "go"},
        "inputs": [PLAYS, USERS],
        "transform": rows_of(doubled, adds=BOTH),
    }
    return Report(name="logic", sql="logic.sql", since="2025-01-01", **usual | fields)


def doubled(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": row["score"] * 2}


def tripled(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": row["score"] * 3}


def scaled(factor: object, names: Sequence[str] = ("score",)) -> Any:
    def transform(rows: Any, _period: object, suffix: str = "") -> Any:
        return rows.project(", ".join(f"{name} * {factor}{suffix}" for name in names))

    return transform


def rows_of(*arguments: Any, **options: Any) -> Any:
    return [transforms.movement(), transforms.each_row(*arguments, **options)]


CHANGES: dict[str, dict[str, Any]] = {
    "the template": {"sql": SQL + " -- edited"},
    "an included file": {"included": "-- b"},
    "a file that is included by an included one": {"included": "{% include 'more.sql' %}"},
    "a param": {"params": {"top": 6, "game": "go"}},
    "a param's type": {"params": {"top": "5", "game": "go"}},
    "a number's digits": {"params": {"top": Decimal("5.0"), "game": "go"}},
    "another param": {"params": {"top": 5, "game": "go", "mode": 1}},
    "two params exchanged": {"params": {"top": "go", "game": 5}},
    "how late events land": {"late_by": timedelta(hours=1)},
    "how many days late they land": {"late_by": timedelta(days=2)},
    "an input less": {"inputs": [PLAYS]},
    "an input's table": {
        "inputs": [PLAYS, Input("players", "dt", zone="Asia/Tokyo", format="%Y-%m")]
    },
    "an input's keys": {"inputs": [Input("plays", "day"), USERS]},
    "an input's three keys": {"inputs": [Input("plays", ("year", "month", "day")), USERS]},
    "an input's zone": {"inputs": [Input("plays", "dt", zone="Asia/Tokyo"), USERS]},
    "an input's format": {"inputs": [Input("plays", "dt", format="%Y%m%d"), USERS]},
    "an input's kind": {"inputs": [Input("plays", "dt", kind="date"), USERS]},
    "an input of two periods": {"inputs": [Input("plays", "dt", previous=True), USERS]},
    "an input of a year before": {"inputs": [Input("plays", "dt", last_year=True), USERS]},
    "a value of a key": {"inputs": [Input("plays", "dt", only={"region": ["jp"]}), USERS]},
    "another value of a key": {"inputs": [Input("plays", "dt", only={"region": ["us"]}), USERS]},
    "a value of another key": {"inputs": [Input("plays", "dt", only={"level": ["jp"]}), USERS]},
    "a report that is read": {"inputs": [PLAYS, USERS, Published("sums", daily())]},
    "another report that is read": {"inputs": [PLAYS, USERS, Published("sales", daily())]},
    "a report of weeks": {"inputs": [PLAYS, USERS, Published("sums", weekly("sunday"))]},
    "a report of other weeks": {"inputs": [PLAYS, USERS, Published("sums", weekly("monday"))]},
    "a report of another zone": {"inputs": [PLAYS, USERS, Published("sums", daily("Asia/Tokyo"))]},
    "parts that overlap": {
        "inputs": [PLAYS, USERS, Published("sums", daily(), parts="overlapping")]
    },
    "no transform": {"transform": None},
    "a transform less": {"transform": [transforms.movement()]},
    "an argument of a transform": {
        "transform": [transforms.movement(into="moved"), *rows_of(doubled)[1:]]
    },
    "the order of the transforms": {"transform": rows_of(doubled, adds=BOTH)[::-1]},
    "the function of the rows": {"transform": rows_of(tripled, adds=BOTH)},
    "the type of a column": {"transform": rows_of(doubled, adds=BOTH | {"b": "varchar"})},
    "the order of the columns": {
        "transform": rows_of(doubled, adds={"b": "bigint", "a": "bigint"})
    },
    "a column that is dropped": {"transform": rows_of(doubled, adds=BOTH, drops=["c"])},
    "what stands for the transforms": {"logic_version": "1"},
}
NO_CHANGES: dict[str, dict[str, Any]] = {
    "what a gap means": {"inputs": [Input("plays", "dt", missing="partial"), USERS]},
    "a table without partitions": {"inputs": [PLAYS, USERS, Input("games", columns=())]},
    "the database of an input": {"inputs": [Input("plays", "dt", database="lake"), USERS]},
    "how long an input is waited for": {
        "inputs": [
            Input("plays", "dt", wait=timedelta(hours=6), done="s3://lake/{date}"),
            USERS,
        ]
    },
    "the defaults of an input": {"inputs": [Input("plays", ["dt"], zone="UTC"), USERS]},
    "the order of the inputs": {"inputs": [USERS, PLAYS]},
    "the order of the params": {"params": {"game": "go", "top": 5}},
    "how types are called": {"transform": rows_of(doubled, adds={"a": "BIGINT", "b": " bigint"})},
    "the defaults of a transform": {
        "transform": [
            transforms.movement(into="movement", rank="rank"),
            transforms.each_row(doubled, adds=BOTH, drops=[]),
        ]
    },
    "what operators read": {"doc": "text", "owner": "you"},
    "the formats": {"outputs": ["parquet"]},
    "what happens without rows": {"empty": "publish"},
    "when it ends": {"until": "2025-12-31"},
    "the checks": {"checks": [checks.rows(at_least=1)]},
    "how Athena writes the rows": {"unload": True},
    "what the columns mean": {"columns": {"score": Column("bigint", "points won")}},
}


def test_all_that_makes_other_rows_makes_different_digests(sql_folder: Path) -> None:
    (sql_folder / "more.sql").write_text("-- more")
    digests = [made_by(sql_folder), *(made_by(sql_folder, **fields) for fields in CHANGES.values())]
    assert len(set(digests)) == len(CHANGES) + 1
    assert all(re.fullmatch("v3:[0-9a-f]{16}", digest) for digest in digests)


@pytest.mark.parametrize("name", NO_CHANGES)
def test_what_makes_the_same_rows_makes_the_same_digest(sql_folder: Path, name: str) -> None:
    assert made_by(sql_folder, **NO_CHANGES[name]) == made_by(sql_folder)


def test_what_is_waited_for_of_a_report_makes_the_same_rows(sql_folder: Path) -> None:
    digests = {
        made_by(sql_folder, inputs=[PLAYS, USERS, Published("sums", daily(), **options)])
        for options in ({}, {"missing": "partial"}, {"wait": timedelta(hours=6)})
    }
    assert len(digests) == 1


def test_a_digest_of_this_kind_stays_what_it_is(sql_folder: Path) -> None:
    """What is published would all be outdated, or would never be:
    give another KIND to what is digested otherwise.

    No file of this package and no private name in it may change this, only what this
    report declares.
    """
    assert made_by(sql_folder) == "v3:3f9a06b4283e9ab8"


def test_a_file_that_is_not_there_is_another_one_than_an_empty_one(sql_folder: Path) -> None:
    sql = "SELECT 1 {% include 'later.sql' ignore missing %}"
    without = made_by(sql_folder, sql=sql)
    (sql_folder / "later.sql").write_text("")
    assert made_by(sql_folder, sql=sql) != without


@pytest.mark.parametrize(
    "sql",
    ["{% import 'more.sql' as more %}SELECT 1", "{%- from 'more.sql' import a %} SELECT {{ a }}"],
)
def test_an_edit_of_a_file_that_is_imported_is_other_logic(sql_folder: Path, sql: str) -> None:
    digests = set()
    for value in (1, 2):
        (sql_folder / "more.sql").write_text(f"{{% set a = {value} %}}")
        digests.add(made_by(sql_folder, sql=sql))
    assert len(digests) == 2


def test_a_template_with_tags_that_cannot_be_parsed_is_told_with_its_line(
    sql_folder: Path,
) -> None:
    with pytest.raises(ReportError, match=r"logic\.sql, line 2: Unexpected end of template"):
        made_by(sql_folder, sql="SELECT 1\n{% if true %}")


# --- transforms


def test_a_transform_of_this_package_counts_by_its_public_name(
    sql_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = made_by(sql_folder)

    def renamed(rows: Any, _period: object, **_: object) -> Any:
        return rows

    for name in ("_movement", "_each_row"):
        monkeypatch.setattr(f"athena_reports.rows.transforms.{name}", renamed)
    assert made_by(sql_folder) == digest


class Client:
    """Nobody knows what it holds."""

    def fetched(self, rows: Any, _period: object) -> Any:
        return rows

    def __call__(self, rows: Any, _period: object) -> Any:
        return rows


CLIENT: Any = Client()


@pytest.mark.parametrize(
    "transform",
    [
        scaled(CLIENT),
        [transforms.movement(), scaled(2, [CLIENT])],
        transforms.each_row(lambda row, client=CLIENT: row | client),
        CLIENT.fetched,
    ],
)
def test_the_logic_of_a_transform_that_cannot_be_read_is_unknown(
    sql_folder: Path, transform: Any
) -> None:
    """The DAG works without."""
    report = declared(sql_folder, transform=transform)
    assert (report.logic, report.transforms_logic) == ("unknown", "unknown")
    assert report.query_logic == declared(sql_folder).query_logic


def test_the_transform_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UnreadableError) as caught:
        transforms_digest([transforms.movement(), scaled(CLIENT)], "")
    assert str(caught.value) == (
        "transform 2 of 2 (transform): a value of type Client has no stable digest"
    )


def test_a_value_that_contains_itself_cannot_be_read() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    with pytest.raises(UnreadableError, match="its values contain circular references"):
        transforms_digest([scaled(endless)], "")


def test_a_version_that_is_given_stands_for_the_transforms(sql_folder: Path) -> None:
    digests = [
        made_by(sql_folder, transform=scaled(CLIENT), logic_version=version)
        for version in ("1", "2", "3")
    ]
    assert len({*digests, made_by(sql_folder)}) == 4
    assert made_by(sql_folder, transform=scaled(4), logic_version="3") == digests[-1]
    assert made_by(sql_folder, transform=None, logic_version="3") == digests[-1]
    assert made_by(sql_folder, params={"top": 6, "game": "go"}, logic_version="3") not in digests


# --- the comparison


@pytest.mark.parametrize(
    ("published", "today", "is_known_to_be_other"),
    [
        ("v3:aaaaaaaaaaaaaaaa", "v3:bbbbbbbbbbbbbbbb", True),
        ("v3:aaaaaaaaaaaaaaaa", "v3:aaaaaaaaaaaaaaaa", False),
        ("aaaaaaaaaaaaaaaa", "v3:aaaaaaaaaaaaaaaa", False),
        ("v1:aaaaaaaaaaaaaaaa", "v3:aaaaaaaaaaaaaaaa", False),
        ("v4:aaaaaaaaaaaaaaaa", "v3:aaaaaaaaaaaaaaaa", False),
        # A DAG that an older version of the package stored.
        ("v3:aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", False),
        ("v3:aaaaaaaaaaaaaaaa", "", False),
        ("", "v3:aaaaaaaaaaaaaaaa", False),
        ("unknown", "v3:aaaaaaaaaaaaaaaa", False),
        ("v3:aaaaaaaaaaaaaaaa", "unknown", False),
        ("unknown", "unknown", False),
    ],
)
def test_only_digests_of_one_kind_are_compared(
    published: str, today: str, is_known_to_be_other: bool
) -> None:
    assert is_outdated(published, today) == is_known_to_be_other


@pytest.mark.parametrize(
    ("query", "transforms_logic", "logic"),
    [
        ("v2:query", "unknown", "unknown"),
        ("", "v2:transforms", ""),
        ("v2:query", "", ""),
        ("", "unknown", ""),
    ],
)
def test_the_logic_is_not_known_if_a_part_is_not(
    query: str, transforms_logic: str, logic: str
) -> None:
    assert logic_digest(query, transforms_logic) == logic
