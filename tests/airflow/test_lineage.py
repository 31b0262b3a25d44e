"""The events that the OpenLineage provider writes for the tasks of a real Airflow, beside what was
declared, read and published.

tests/services/test_lineage.py asks the operators as the provider does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.local.services import Services
from tests.airflow.harness import StartAirflow
from tests.airflow.report_run import ReportRun, until
from tests.support.live_airflow import LiveAirflow
from tests.support.local_athena import facts_of_query
from tests.support.published import read_json
from tests.support.reports import DAGS

pytestmark = [pytest.mark.e2e, pytest.mark.full]

DAG_ID = "top_users_weekly"
BUCKET = "athena-report-dev"
ATHENA = "awsathena://athena.us-east-1.amazonaws.com"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage") / "events.jsonl"


@pytest.fixture(scope="module")
def airflow(start_airflow: StartAirflow, services: Services, events_file: Path) -> LiveAirflow:
    transport = {"type": "file", "log_file_path": str(events_file), "append": True}
    return start_airflow(
        DAGS,
        dag_ids=[DAG_ID],
        services=services,
        environment={"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)},
    )


def events_of(run_id: str, task_id: str, last: str, file: Path) -> dict[str, Json]:
    """The events of a task by their type, once the last one is written."""

    def written() -> dict[str, Json]:
        events = {}
        for line in file.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # it is being written
            event = json.loads(line)
            run = event["run"]["facets"].get("airflow", {}).get("dagRun", {})
            if (run.get("run_id"), event["job"]["name"]) == (run_id, f"{DAG_ID}.{task_id}"):
                events[event["eventType"]] = event
        return events if last in events else {}

    return until(written, f"the event {last} of {task_id}")


def plain(value: Any) -> Any:
    """A part of an event without what says who produced it by which schema."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {
            name: plain(item)
            for name, item in value.items()
            if name not in ("_producer", "_schemaURL")
        }
    return value


def plays(services: Services, query_id: str) -> Json:
    """The input, with the partitions that Athena has scanned."""
    (scan,) = facts_of_query(services, query_id)["scans"]
    days = sorted(partition["dt"] for partition in scan["partitions"])
    partitions = [{"dimensions": {"dt": day}, "identifier": f"dt={day}"} for day in days]
    condition = {"type": "partition", "partitions": partitions}
    return {
        "namespace": ATHENA,
        "name": "AwsDataCatalog.database_dev.plays",
        "facets": {},
        "inputFacets": {"subset": {"inputCondition": condition}},
    }


def top_users(period: str, version: str) -> Json:
    """The published dataset, as the SQL and the report declare it."""
    columns = {"rank": "bigint", "user_id": "string", "score": "bigint", "previous_rank": "bigint"}
    check = {"assertion": "unique(user_id)", "success": True, "severity": "error", "params": {}}
    table = {"namespace": ATHENA, "name": f"AwsDataCatalog.report_dev.{DAG_ID}", "type": "TABLE"}
    part = {"dimensions": {"period": period}, "identifier": f"period={period}"}
    return {
        "namespace": f"s3://{BUCKET}",
        "name": "top_users/weekly",
        "facets": {
            "schema": {
                "fields": [
                    {"name": name, "type": kind, "fields": []} for name, kind in columns.items()
                ]
            },
            "version": {"datasetVersion": version},
            "dataQualityAssertions": {"assertions": [check]},
            "symlinks": {"identifiers": [table]},
        },
        "outputFacets": {
            "subset": {"outputCondition": {"type": "partition", "partitions": [part]}}
        },
    }


def assert_names_query(event: Json, services: Services, query_id: str) -> None:
    query = event["run"]["facets"]["externalQuery"]
    assert plain(query) == {"externalQueryId": query_id, "source": "awsathena"}
    response = services.athena.get_query_execution(QueryExecutionId=query_id)
    sql = event["job"]["facets"]["sql"]["query"]
    executed = response["QueryExecution"]["Query"]
    assert executed.startswith(sql)
    assert executed.removeprefix(sql).lstrip().startswith("-- athena-reports: ")


def test_the_events_of_a_run_name_what_it_has_read_and_published(
    airflow: LiveAirflow, services: Services, events_file: Path
) -> None:
    run = ReportRun.begin(airflow, services, DAG_ID, "complete", "2025-06-08")
    run.wait_until_success()

    (query,) = run.queries
    manifest = read_json(services.s3, f"s3://{BUCKET}/top_users/weekly/2025-06-08/manifest.json")
    published = events_of("complete", "publish", "COMPLETE", events_file)
    assert published.keys() == {"START", "COMPLETE"}
    for event in published.values():
        assert plain(event["inputs"]) == [plays(services, query.id)]
        assert plain(event["outputs"]) == [top_users("2025-06-08", manifest["version"])]
        assert_names_query(event, services, query.id)
    submitted = events_of("complete", "run_query", "COMPLETE", events_file)["COMPLETE"]
    assert plain(submitted["inputs"]) == [plays(services, query.id)]
    assert submitted["outputs"] == []
    assert_names_query(submitted, services, query.id)
    table = services.glue.get_table(DatabaseName="report_dev", Name=DAG_ID)["Table"]
    assert table["StorageDescriptor"]["Location"] == f"s3://{BUCKET}/top_users/weekly/"
