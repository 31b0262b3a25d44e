"""The logic of a version is that of its rows: of the tasks that made them, not of today's file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from athena_reports import Column, build_dag
from athena_reports.aws.s3 import S3
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.reports.logic_digest import is_outdated
from athena_reports.steps.transform import transform_result
from athena_reports.workflows.report_dag import BuiltDag
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.unit.athena_reports.steps.last_tasks import published, submitted, transformed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def ranked(rows: Any, _: object) -> Any:
    return rows.order("rank")


def ranked_backwards(rows: Any, _: object) -> Any:
    return rows.order("rank DESC")


class Editions:
    """A report as its file declares it at one time or another, and the tasks of one run of it."""

    def __init__(
        self, make_report: MakeReport, sql_folder: Path, bucket: str, query: Any, s3: S3Client
    ) -> None:
        self.make_report = make_report
        self.sql_folder = sql_folder
        self.bucket = bucket
        self.query = query
        self.s3 = s3

    def parsed(self, edition: str) -> BuiltDag:
        """The DAG of an edition, such as `old SQL, new transform`."""
        sql, transform = edition.split(", ")
        (self.sql_folder / "edited.sql").write_text(f"SELECT 1 AS rank -- {sql}")
        transforms = {"old transform": ranked, "new transform": ranked_backwards}
        report = self.make_report(
            sql="edited.sql", transform=transforms[transform], outputs=["csv"]
        )
        return build_dag(report, WEEKS)

    def run_query(self, edition: str) -> str:
        """The logic that run_query hands on."""
        logic: str = self.parsed(edition).get_task("run_query").query_logic
        return logic

    def transform(self, edition: str, ran: str) -> dict[str, Any]:
        task: Any = self.parsed(edition).get_task("transform")
        recipe = task.python_callable.keywords["recipe"]
        recipe = dataclasses.replace(recipe, bucket=self.bucket)
        return transform_result(self.query, submitted(ran=ran), recipe=recipe)

    def publish(self, prepared: dict[str, Any], ran: str) -> Manifest:
        published(prepared, self.bucket, ran=ran)
        manifest, _ = read_manifest(PeriodLocation.of(self.bucket, "plays", WEEK), S3(self.s3))
        assert manifest is not None
        return manifest


@pytest.fixture
def editions(
    make_report: MakeReport, sql_folder: Path, bucket: str, query: Any, s3: S3Client
) -> Editions:
    return Editions(make_report, sql_folder, bucket, query, s3)


OLD = "old SQL, old transform"
NEW = "new SQL, old transform"
NEW_TRANSFORM = "old SQL, new transform"
BOTH_NEW = "new SQL, new transform"


@pytest.mark.parametrize(
    ("ran", "transformed", "today", "outdated"),
    [
        (OLD, OLD, OLD, False),
        # The SQL was edited while the run was under way, and maybe reverted after it.
        (OLD, OLD, NEW, True),
        (OLD, NEW, NEW, True),
        (OLD, NEW, OLD, False),
        # Likewise the edit was reverted.
        (NEW, NEW, OLD, True),
        (NEW, OLD, OLD, True),
        (NEW, OLD, NEW, False),
        # The transform was edited, and then transform alone was cleared.
        (OLD, NEW_TRANSFORM, NEW_TRANSFORM, False),
        (OLD, OLD, NEW_TRANSFORM, True),
        # Both were edited, and the rows are of one of the two edits.
        (OLD, BOTH_NEW, BOTH_NEW, True),
        (NEW, OLD, BOTH_NEW, True),
        (OLD, BOTH_NEW, OLD, True),
        (NEW, BOTH_NEW, BOTH_NEW, False),
    ],
)
def test_a_period_is_outdated_if_its_rows_were_made_by_other_logic_than_todays(
    editions: Editions, ran: str, transformed: str, today: str, outdated: bool
) -> None:
    handed_on = editions.run_query(ran)
    prepared = editions.transform(transformed, handed_on)
    manifest = editions.publish(prepared, handed_on)
    assert is_outdated(manifest.logic, editions.parsed(today).report.logic) is outdated
    assert manifest.transforms_logic == editions.parsed(transformed).report.transforms_logic


def test_clearing_transform_alone_does_not_make_the_old_rows_those_of_an_edited_sql(
    editions: Editions,
) -> None:
    handed_on = editions.run_query(OLD)
    first = editions.publish(editions.transform(OLD, handed_on), handed_on)
    again = editions.publish(editions.transform(NEW, handed_on), handed_on)
    assert again.logic == first.logic
    assert is_outdated(again.logic, editions.parsed(NEW).report.logic)


def test_a_run_that_began_before_an_upgrade_has_no_logic(editions: Editions) -> None:
    """Its run_query has handed none on."""
    assert editions.publish(editions.transform(OLD, ran=""), ran="").logic == ""


def raises(rows: Any, _: object) -> Any:
    return rows.project("anonymous")


@pytest.mark.parametrize(
    "fields",
    [
        {
            "columns": {
                "rank": Column("bigint", "1 is best"),
                "anonymous": Column("varchar", "a name"),
            }
        },
        {"transform": raises},
    ],
    ids=["a check", "a transform"],
)
def test_rows_of_an_older_sql_that_fail_are_told_with_what_to_clear(
    editions: Editions, fields: dict[str, Any]
) -> None:
    """The SQL of today has the column, and nothing in the file is wrong."""
    handed_on = editions.run_query(OLD)
    report = editions.make_report(sql="plays.sql", outputs=["csv"], **fields)
    recipe = build_dag(report, WEEKS).get_task("transform").python_callable.keywords["recipe"]
    recipe = dataclasses.replace(recipe, bucket=editions.bucket)

    with pytest.raises(AirflowFailException) as caught:
        transform_result(editions.query, submitted(ran=handed_on), recipe=recipe)
    assert str(caught.value).startswith(
        "Report 'plays', period 2025-06-08 (weekly), by an older SQL than the report has now"
        " (clear run_query to run that): "
    )

    with pytest.raises(AirflowFailException) as caught:
        transform_result(editions.query, submitted(ran=recipe.query_logic), recipe=recipe)
    assert "older SQL" not in str(caught.value)


OLDER_SQL = r"by an older SQL than the report has now .*: query q-1 returned no rows"


def test_no_rows_of_an_older_sql_are_told_with_what_to_clear(
    bucket: str, query: dict[str, Any], s3: S3Client
) -> None:
    s3.put_object(Bucket=bucket, Key="q-1.csv", Body=b'"rank","previous_rank","user_name"\n')
    with pytest.raises(AirflowFailException, match=OLDER_SQL):
        transformed(query, bucket, ran="v2:old", query_logic="v2:new")
    with pytest.raises(AirflowSkipException, match=OLDER_SQL):
        transformed(query, bucket, ran="v2:old", query_logic="v2:new", empty="skip")
