"""A plan compares with what is published, and is a table for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from athena_reports import build_dag, monthly
from athena_reports.aws.s3 import S3
from athena_reports.publication.glue_table import Table
from athena_reports.rows.differences import Change, Differences
from athena_reports_cli.authoring.plan import (
    ChangePlan,
    PlanError,
    PlannedPeriod,
    check_comparable,
    markdown,
    published_before,
)
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.publishing import Place, facts, week

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

NOBODY: Any = None
PUBLISHED = ["2025-06-01", "2025-06-08", "2025-06-22"]
WITHOUT_PARQUET = "2025-06-29"
NO_CHANGES = Differences(
    key=("user_id",),
    paired_by=("user_id",),
    added=0,
    removed=0,
    changed=0,
    columns={},
    columns_added=(),
    columns_removed=(),
    columns_retyped={},
    examples=(),
)


def planned(period_id: str = "2025-06-08", failed: str = "", **differences: Any) -> PlannedPeriod:
    """A period that does not change, but for these differences."""
    return PlannedPeriod(
        period=period_id,
        version="a1",
        rows=3,
        differences=NO_CHANGES.model_copy(update=differences),
        failed=failed,
        scanned_bytes=1234,
        price_usd=0.00005,
    )


def printed(*periods: PlannedPeriod) -> list[str]:
    return markdown(ChangePlan(dag_id="plays_weekly", periods=periods)).splitlines()


# --- the table


def test_a_period_is_a_line_with_its_counts_its_columns_and_its_price() -> None:
    changed = planned(
        "2025-06-15",
        added=1,
        removed=2,
        changed=3,
        columns={"score": 2, "name": 1},
        columns_added=("grade",),
        columns_removed=("rank", "place"),
        columns_retyped={"score": ("INTEGER", "BIGINT")},
    )
    lines = printed(planned(), changed.model_copy(update={"price_usd": None}))
    assert lines[0] == "### plays_weekly: 1 of 2 periods would change"
    header, border, *rows = (line.strip("| ").split(" | ") for line in lines[2:])
    assert len(border) == len(header)
    assert dict(zip(header, rows[0], strict=True)) == {
        "period": "2025-06-08",
        "rows": "3",
        "added": "0",
        "removed": "0",
        "changed": "0",
        "in columns": "",
        "scanned bytes": "1234",
        "USD": "0.00005",
    }
    columns = "score (2), name (1), +grade, -rank, -place, score: INTEGER to BIGINT"
    assert lines[-1] == f"| 2025-06-15 | 3 | 1 | 2 | 3 | {columns} | 1234 |  |"


def test_examples_name_the_row_by_its_key_or_by_all_of_its_values() -> None:
    columns = {"score": ("1", "2"), "rank": ("3", "4")}
    changed = Change(kind="changed", key=("7", None), columns=columns)
    added = Change(kind="added", key=("7", None), columns={})
    keyed = planned(key=("user_id", "game"), changed=1, examples=(changed,))
    whole = planned("2025-06-15", key=(), added=1, examples=(added,))
    assert printed(keyed, whole)[6:] == [
        "",
        "2025-06-08, for example:",
        "",
        "- changed: user_id 7, game NULL; score 1 → 2; rank 3 → 4",
        "",
        "2025-06-15, for example:",
        "",
        "- added: 7, NULL",
    ]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (None, "None", "NULL → None"),
        ("None", "NULL", "None → 'NULL'"),
        ("NULL", None, "'NULL' → NULL"),
        ("null", "", "null → "),
    ],
)
def test_a_null_is_told_apart_from_every_text(old: str | None, new: str | None, shown: str) -> None:
    changed = Change(kind="changed", key=(new,), columns={"name": (old, new)})
    _, new_shown = shown.split(" → ")
    *_, example = printed(planned(changed=1, examples=(changed,)))
    assert example == f"- changed: user_id {new_shown}; name {shown}"


def test_a_period_that_a_check_forbids_is_said_and_is_not_restated() -> None:
    forbidden = planned(removed=3, failed="Check rows(at_least=1) failed.")
    plan = ChangePlan(dag_id="plays_weekly", periods=(planned(), forbidden))
    assert markdown(plan).endswith(
        "\n\n2025-06-08 would not be published. Check rows(at_least=1) failed."
    )
    assert (plan.changed, plan.restatable) == (["2025-06-08"], [])


# --- what is published


@pytest.fixture
def aws(
    glue: GlueClient, s3: S3Client, database: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Aws:
    """Services with three published weeks of a report, and one without Parquet or partition."""
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", database)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", bucket)
    for period_id in (PUBLISHED[1], PUBLISHED[2], PUBLISHED[0]):
        location = week(bucket, period_id)
        place = Place(S3(s3), location, Table(database, location.report, glue))
        place.publish(place.upload("a"), facts(period_id=period_id))
    place = Place(S3(s3), week(bucket, WITHOUT_PARQUET))
    place.publish(place.upload("a", formats=["csv"]), facts(period_id=WITHOUT_PARQUET))
    return Aws(NOBODY, glue, S3(s3))


@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_the_last_published_periods_come_oldest_first(
    number: int, aws: Aws, make_report: MakeReport
) -> None:
    periods = published_before(DeclaredReport(build_dag(make_report(), UTC_WEEKS)), number, aws)
    assert [period.id for period in periods] == PUBLISHED[-number:]


def test_without_a_published_period_there_is_nothing_to_compare_with(
    aws: Aws, make_report: MakeReport
) -> None:
    months = DeclaredReport(build_dag(make_report(), monthly()))
    without_table = DeclaredReport(build_dag(make_report(outputs=["csv"]), UTC_WEEKS))
    for declared in (months, without_table):
        with pytest.raises(
            PlanError, match=rf"No period of {declared.dag.dag_id} \(.*nothing to compare with"
        ):
            published_before(declared, 3, aws)


def test_a_key_and_the_parquet_of_each_period_are_looked_for_before_anything_is_paid(
    aws: Aws, make_report: MakeReport
) -> None:
    declared = DeclaredReport(build_dag(make_report(), UTC_WEEKS))
    published = [UTC_WEEKS.period(period_id) for period_id in PUBLISHED]
    check_comparable(declared, published, ["name", "user_id"], aws)
    with pytest.raises(PlanError, match='period 2025-06-01 has no column "game"'):
        check_comparable(declared, published, ["user_id", "game"], aws)
    with pytest.raises(PlanError, match='has no column "NAME"'):
        check_comparable(declared, published, ["NAME"], aws)
    for without in (WITHOUT_PARQUET, "2025-06-15"):  # which has no manifest either
        with pytest.raises(PlanError, match=f"{without}/manifest.json has no Parquet to compare"):
            check_comparable(declared, [*published, UTC_WEEKS.period(without)], [], aws)
