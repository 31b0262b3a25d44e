"""What a report's own fields do, through every step and against the local services."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
)

from athena_reports import Column, Report, build_dag, checks, monthly, transforms
from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import TaskInstance
from tests.support.local_athena import run_sql
from tests.support.published import facts_in, manifest_of, object_of, rows_of
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.usefixtures("flights_lake")

MONTHS = monthly(timezone="America/New_York")
SQL = """SELECT carrier, COUNT(*) AS flights, SUM(CAST(distance AS BIGINT)) AS miles
FROM flights
WHERE {{ period.partitions("dt") }} AND {{ period.contains("time_hour") }}
    AND carrier LIKE {{ params.like }}
GROUP BY carrier
"""
ORDERED = SQL + "ORDER BY carrier\n"

RunReport = Callable[..., TaskInstance]
_names: Iterator[int] = iter(range(1000))


@pytest.fixture
def run_report(services: Services, sql_folder: Path) -> RunReport:
    """Runs a report of its own name for a month, by every step."""
    name = f"flights_{next(_names)}"

    def run(
        sql: str = ORDERED, period: str = "2013-02", like: str = "%", **fields: Any
    ) -> TaskInstance:
        (sql_folder / "flights.sql").write_text(sql)
        settings.cache_clear()
        report = Report(
            name=name, sql="flights.sql", since="2013-01-01", params={"like": like}, **fields
        )
        return run_dag(build_dag(report, MONTHS), period=period)

    return run


def by_carrier(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["carrier"]))


def test_an_unload_publishes_the_rows_of_a_csv(services: Services, run_report: RunReport) -> None:
    manifest = manifest_of(services.s3, run_report(SQL, unload=True))
    as_csv = manifest_of(services.s3, run_report(ORDERED, unload=False))

    assert (manifest["query"]["statement"], manifest["ordered"]) == ("UNLOAD", False)
    assert (as_csv["query"]["statement"], as_csv["ordered"]) == ("SELECT", True)
    assert manifest["columns"] == as_csv["columns"]
    expected = rows_of(services.s3, as_csv, "parquet")
    assert by_carrier(rows_of(services.s3, manifest, "parquet")) == expected
    assert by_carrier(rows_of(services.s3, manifest, "csv")) == expected
    assert len(expected) == 15


def test_an_empty_unload_has_the_columns_of_the_table(
    services: Services, run_report: RunReport
) -> None:
    options: dict[str, Any] = {"unload": True, "empty": "publish"}
    some = manifest_of(services.s3, run_report(SQL, **options))
    none = manifest_of(services.s3, run_report(SQL, like="no carrier", **options))
    assert (none["rows"], none["columns"]) == (0, some["columns"])
    assert object_of(services.s3, none, "csv") == b'"carrier",flights,miles\n'


def test_a_chain_of_transforms_in_three_formats(services: Services, run_report: RunReport) -> None:
    found = run_report(
        SQL + "ORDER BY flights DESC",
        transform=[
            lambda rows, _: rows.project("*, row_number() OVER () AS rank"),
            transforms.each_row(
                lambda row: {**row, "name": row["carrier"].lower()}, adds={"name": "varchar"}
            ),
            lambda rows, _: rows.project("* RENAME (carrier AS code)"),
        ],
        outputs=["parquet", "csv", "jsonl"],
        checks=[
            checks.schema(
                {
                    "code": "varchar",
                    "flights": "bigint",
                    "miles": "bigint",
                    "rank": "bigint",
                    "name": "varchar",
                }
            )
        ],
    )
    manifest = manifest_of(services.s3, found)
    rows = rows_of(services.s3, manifest, "parquet")

    assert [row["rank"] for row in rows] == list(range(1, 16))
    assert all(row["name"] == row["code"].lower() for row in rows)
    assert rows_of(services.s3, manifest, "csv") == rows
    assert [
        json.loads(line) for line in object_of(services.s3, manifest, "jsonl").splitlines()
    ] == rows


COLUMNS = {
    "flights": Column("bigint", "departures"),  # in another order than the SQL's
    "carrier": Column("varchar", "code | `of` <the> airline"),
    "miles": Column("bigint", "distance flown", unit="miles"),
}


def test_declared_columns_are_published_with_what_they_mean(
    services: Services, run_report: RunReport
) -> None:
    manifest = manifest_of(services.s3, run_report(columns=COLUMNS))
    described = {each["name"]: each["description"] for each in manifest["columns"]}
    assert described == {name: column.comment for name, column in COLUMNS.items()}
    table = services.glue.get_table(
        DatabaseName="report_dev", Name=f"{manifest['report']}_monthly"
    )["Table"]
    columns = table["StorageDescriptor"]["Columns"]
    assert {each["Name"]: each["Comment"] for each in columns} == described
    assert described["miles"] == "distance flown (miles)"


def test_a_key_is_published_and_rows_that_repeat_it_are_not(
    services: Services, run_report: RunReport
) -> None:
    manifest = manifest_of(services.s3, run_report(key=["carrier", "flights"]))
    assert manifest["key"] == ["carrier", "flights"]
    assert [check["name"] for check in manifest["checks"]] == ["unique(carrier, flights)"]
    by_check = run_report(checks=[checks.unique("carrier")])
    assert manifest_of(services.s3, by_check)["key"] == ["carrier"]

    twice = f"{SQL}UNION ALL\n{SQL}".replace("SELECT carrier", "SELECT 'UA' AS carrier")
    with pytest.raises(AirflowFailException, match=r"unique\(carrier\) failed: 29 of 30 rows"):
        run_report(twice, key=["carrier"])


def test_a_restatement_says_what_changed_and_the_table_follows(
    services: Services, run_report: RunReport
) -> None:
    first = manifest_of(services.s3, run_report(like="U%"))
    second = manifest_of(services.s3, run_report())

    (earlier,) = second["earlier_versions"]
    assert (earlier["version"], earlier["rows"]) == (first["version"], 2)
    assert earlier["difference"] == {"added": 13, "removed": 0, "changed": 0}
    table = f"{second['report']}_monthly"
    (partition,) = services.glue.get_partitions(DatabaseName="report_dev", TableName=table)[
        "Partitions"
    ]
    assert facts_in(partition)["version"] == second["version"]
    sql = f"SELECT COUNT(*) AS number FROM {table} WHERE period = '2013-02'"
    counted = run_sql(sql, services.athena, database="report_dev", workgroup="dev")
    assert counted == [{"number": "15"}]


def test_a_bucket_of_another_account_is_neither_read_nor_written(
    services: Services, run_report: RunReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "999999999999")
    with pytest.raises(AirflowFailException, match=r"AccessDenied.*ATHENA_REPORTS_BUCKET_OWNER"):
        run_report()
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "123456789012")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "AES256")
    manifest = manifest_of(services.s3, run_report())
    head = services.s3.head_object(Bucket=manifest["bucket"], Key=manifest["objects"][0]["key"])
    assert head["ServerSideEncryption"] == "AES256"


def test_a_workgroup_that_keeps_its_results_itself(
    services: Services, run_report: RunReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows_of(services.s3, manifest_of(services.s3, run_report()), "parquet")
    keeps_its_results = "keeps_its_results"
    services.athena.create_work_group(
        Name=keeps_its_results,
        Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}},
    )
    monkeypatch.setenv("ATHENA_REPORTS_WORKGROUP", keeps_its_results)
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")

    found = run_report()
    assert rows_of(services.s3, manifest_of(services.s3, found), "parquet") == expected
    assert found.values["wait_for_query", "return_value"]["output_location"] == ""
    assert found.values["publish", "return_value"]["outcome"] == "unchanged"
