"""`costs` after runs of whole DAGs, beside the queries that Athena itself lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.shell import Shell
from tests.support.task_runner import execute, prepare

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
