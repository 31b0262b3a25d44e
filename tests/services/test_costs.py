"""`costs` after runs of whole DAGs, beside the queries that Athena itself lists."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from athena_reports import Report, build_dag, monthly
from athena_reports.queries.execution import price_usd
from athena_reports.settings import settings
from athena_reports_cli.authoring import costs as view
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.shell import Shell
from tests.support.task_runner import execute, prepare, run_dag

SQL = """SELECT carrier, COUNT(*) AS flights FROM flights
WHERE {{ period.partitions("dt") }} AND carrier LIKE {{ params.like }}
GROUP BY carrier ORDER BY carrier
"""
TRANSFORMED = """
from athena_reports import Report, build_dag, monthly

def first_rows(rows, period):
    return rows.limit({rows})

report = Report(
    name="costs_transformed",
    sql="costs.sql",
    since="2013-01-01",
    params={{"like": "%"}},
    transform=first_rows,
)
monthly_dag = build_dag(report, monthly("America/New_York"))
"""


def declared(sql_folder: Path, name: str, like: str = "%", **fields: Any) -> DeclaredReport:
    (sql_folder / "costs.sql").write_text(SQL)
    settings.cache_clear()
    fields = {"since": "2013-01-01", "params": {"like": like}, "owner": name[-1]} | fields
    report = Report(name=name, sql="costs.sql", **fields)
    return DeclaredReport(build_dag(report, monthly("America/New_York")))


def query_ids(services: Services) -> list[str]:
    """Every query of the workgroup, also those of other tests that still run."""
    pages = services.athena.get_paginator("list_query_executions").paginate(WorkGroup="dev")
    return [id for page in pages for id in page["QueryExecutionIds"]]


def athena_lists(services: Services) -> dict[str, int]:
    """The bytes that each successful query of the workgroup scanned, by its id."""
    ids = query_ids(services)
    found = {}
    for start in range(0, len(ids), 50):
        some = services.athena.batch_get_query_execution(QueryExecutionIds=ids[start : start + 50])
        for each in some["QueryExecutions"]:
            if each["Status"]["State"] == "SUCCEEDED":
                found[each["QueryExecutionId"]] = each["Statistics"]["DataScannedInBytes"]
    return found


@pytest.mark.full
def test_costs_are_those_of_the_queries_that_athena_lists(
    services: Services, flights_lake: object, sql_folder: Path
) -> None:
    paid: dict[str, dict[str, int]] = {}
    months = {f"{datetime.now(UTC):%Y-%m}"}
    for name, outputs in (("costs_a", ("parquet",)), ("costs_b", ("csv",))):
        before = query_ids(services)
        for like in ("U%", "%", "%", "D%"):  # the first version, another, the same again, another
            run_dag(declared(sql_folder, name, like=like, outputs=outputs).dag, period="2013-02")
        if name == "costs_a":
            run_dag(declared(sql_folder, name, outputs=outputs).dag, period="2013-03")
        paid[name] = {id: each for id, each in athena_lists(services).items() if id not in before}
    unpublished = declared(sql_folder, "costs_c")

    dags = [
        declared(sql_folder, "costs_a", outputs=["parquet"]),
        declared(sql_folder, "costs_b", outputs=["csv"]),
    ]
    months.add(f"{datetime.now(UTC):%Y-%m}")  # another one, if the month has ended meanwhile
    found = view.costs([*dags, unpublished], 2, Aws.connect())
    for name, scanned in paid.items():
        line = found.reports[f"{name}_monthly"]
        assert (line.queries, line.scanned_bytes) == (len(scanned), sum(scanned.values()))
        assert line.price_usd == pytest.approx(
            sum(price_usd(each, "ap-northeast-1") or 0 for each in scanned.values())
        )
        assert found.owners[name[-1]] == line
    assert list(found.reports)[-1] == "costs_c_monthly"
    assert found.reports["costs_c_monthly"].queries == 0
    queries = {month: line.queries for month, line in found.months.items() if line.queries}
    assert sum(queries.values()) == sum(map(len, paid.values()))
    assert queries.keys() <= months


def test_a_query_whose_transform_was_changed_and_cleared_alone_is_counted_once(
    services: Services,
    shell: Shell,
    flights_lake: object,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (sql_folder / "costs.sql").write_text(SQL)
    file, xcoms, before = (
        tmp_path / "transformed.py",
        TaskInstance(dag_id="costs_transformed_monthly"),
        query_ids(services),
    )
    runs = [
        (2, ["run_query", "wait_for_query", "transform", "publish"]),
        (3, ["transform", "publish"]),
        (2, ["transform", "publish"]),
    ]
    for rows, tasks in runs:
        file.write_text(TRANSFORMED.format(rows=rows))
        dag = load_dags(file)["costs_transformed_monthly"]
        for name in tasks:
            task, context = prepare(dag.get_task(name), xcoms, "run", params={"period": "2013-02"})
            xcoms.xcom_push("return_value", execute(task, context))
        published = xcoms.values["publish", "return_value"]
        assert (published["outcome"], published["rows"]) == ("published", rows)

    (scanned,) = (bytes for query, bytes in athena_lists(services).items() if query not in before)
    line = shell.json("costs", "costs_transformed")["reports"]["costs_transformed_monthly"]
    assert (line["queries"], line["scanned_bytes"]) == (1, scanned)
