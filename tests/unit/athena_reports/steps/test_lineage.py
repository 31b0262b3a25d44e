"""How tables, partitions and what is published are named for OpenLineage."""

from __future__ import annotations

from typing import Any

import pytest
from openlineage.client.serde import Serde

from athena_reports.inputs.coverage import InputCoverage
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Version
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.steps.lineage import published_dataset, query_lineage
from tests.support.calendars import WEEK

REGION = "eu-central-1"
LOCATION = PeriodLocation.of("reports", "plays", WEEK)


def inputs_of(coverage: InputCoverage) -> list[dict[str, Any]]:
    lineage = query_lineage("SELECT 1", "q-1", [coverage], REGION)
    return Serde.to_dict(lineage)["inputs"]


@pytest.mark.parametrize(
    ("partition", "keys"),
    [
        ("dt=2025-06-29", {"dt": "2025-06-29"}),
        ("year=2025/month=6/day=3", {"year": "2025", "month": "6", "day": "3"}),
        ("dt=2025/06/29", {"dt": "2025/06/29"}),
        ("dt=2025=06=29", {"dt": "2025=06=29"}),
    ],
)
def test_a_partition_has_its_name_and_the_values_of_its_keys(
    partition: str, keys: dict[str, str]
) -> None:
    coverage = InputCoverage(
        table="lake.plays", missing="partial", needed=2, present=(partition,), absent=("dt=other",)
    )

    (dataset,) = inputs_of(coverage)

    assert dataset["namespace"] == "awsathena://athena.eu-central-1.amazonaws.com"
    assert dataset["name"] == "AwsDataCatalog.lake.plays"
    condition = dataset["inputFacets"]["subset"]["inputCondition"]
    assert condition == {
        "type": "partition",
        "partitions": [{"dimensions": keys, "identifier": partition}],
    }


def test_a_table_without_partitions_is_read_as_a_whole() -> None:
    coverage = InputCoverage(table="lake.users", is_partitioned=False, missing="fail", needed=0)
    (dataset,) = inputs_of(coverage)
    assert dataset["name"] == "AwsDataCatalog.lake.users"
    assert dataset["inputFacets"] == {}
    (dataset,) = inputs_of(coverage.model_copy(update={"catalog": "s3tablescatalog/lake"}))
    assert dataset["name"] == "s3tablescatalog/lake.lake.users"


def test_a_table_of_which_no_partition_is_there_is_not_read_as_a_whole() -> None:
    coverage = InputCoverage(
        table="lake.plays", missing="partial", needed=1, absent=("dt=2025-06-29",)
    )
    (dataset,) = inputs_of(coverage)
    assert dataset["inputFacets"]["subset"]["inputCondition"]["partitions"] == []


def test_a_query_is_named_as_athena_does() -> None:
    facets = Serde.to_dict(query_lineage("SELECT 1", "q-1", [], REGION))["run_facets"]
    query = facets["externalQuery"]
    assert (query["externalQueryId"], query["source"]) == ("q-1", "awsathena")


def test_a_query_that_was_not_started_has_no_id() -> None:
    lineage = query_lineage("SELECT 1", None, [], REGION)
    assert lineage.run_facets == {}
    assert lineage.job_facets["sql"].query == "SELECT 1"


TABLE = {
    "namespace": "awsathena://athena.eu-central-1.amazonaws.com",
    "name": "AwsDataCatalog.reports_db.plays_weekly",
    "type": "TABLE",
}


@pytest.mark.parametrize(("database", "tables"), [("reports_db", [TABLE]), (None, [])])
def test_what_is_published_has_its_columns_and_checks(
    database: str | None, tables: list[dict[str, str]]
) -> None:
    columns = (
        TableColumn(name="user", type="VARCHAR", glue="string", description="Who plays"),
        TableColumn(name="span", type="INTERVAL", glue=""),
    )
    version = Version(version="v-1", ordered=True, rows=2, columns=columns, objects=())
    checks = [
        CheckResult(name="unique(user)", severity="fail", passed=True, message=""),
        CheckResult(name="rows in 5 to 9", severity="warn", passed=False, message="2 rows"),
    ]

    dataset = published_dataset(version, checks, LOCATION, database=database, region=REGION)

    described = Serde.to_dict(dataset)
    facets = described["facets"]
    assert (described["namespace"], described["name"]) == ("s3://reports", "plays/weekly")
    fields = [(field["name"], field["type"]) for field in facets["schema"]["fields"]]
    assert fields == [("user", "string"), ("span", "INTERVAL")]
    assert [field.get("description") for field in facets["schema"]["fields"]] == ["Who plays", None]
    assert facets["version"]["datasetVersion"] == "v-1"
    assertions = facets["dataQualityAssertions"]["assertions"]
    assert [(each["assertion"], each["success"], each["severity"]) for each in assertions] == [
        ("unique(user)", True, "error"),
        ("rows in 5 to 9", False, "warn"),
    ]
    assert facets.get("symlinks", {"identifiers": []})["identifiers"] == tables
    assert ("symlinks" in facets) == bool(tables)
    condition = described["outputFacets"]["subset"]["outputCondition"]
    assert condition["partitions"] == [
        {"dimensions": {"period": WEEK.id}, "identifier": f"period={WEEK.id}"}
    ]
