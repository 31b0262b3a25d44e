"""What the operators tell the OpenLineage provider of runs on the local services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.openlineage.extractors import OperatorLineage
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from athena_reports_cli.local.services import Services
from demo.plays import PlaysSpec
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.local_athena import facts_of_query
from tests.support.published import manifest_of
from tests.support.task_runner import execute, prepare, run_task

BUCKET = "athena-report-dev"


class Lineage:
    """What the tasks of a run tell, in the order in which the provider asks them."""

    def __init__(self) -> None:
        self.at_start: dict[str, OperatorLineage[Any, Any]] = {}
        self.at_end: dict[str, OperatorLineage[Any, Any]] = {}


def run_with_lineage(dag: Any, period: str, run_id: str) -> tuple[TaskInstance, Lineage]:
    xcoms = TaskInstance(dag_id=dag.dag_id, run_id=run_id)
    lineage = Lineage()
    for task in dag.topological_sort():
        copy, context = prepare(task, xcoms, run_id, None, {"period": period})
        extractor = DefaultExtractor(copy)
        lineage.at_start[task.task_id] = extractor.extract()
        xcoms.xcom_push("return_value", execute(copy, context))
        xcoms.states[task.task_id] = "success"
        lineage.at_end[task.task_id] = extractor.extract_on_complete(xcoms)
    return xcoms, lineage


def partitions_of(lineage: OperatorLineage[Any, Any]) -> set[str]:
    (dataset,) = lineage.inputs
    condition = dataset.inputFacets["subset"].inputCondition
    return {partition.identifier for partition in condition.partitions}


def version_of(lineage: OperatorLineage[Any, Any]) -> str:
    (dataset,) = lineage.outputs
    return dataset.facets["version"].datasetVersion


def test_the_partitions_are_those_that_athena_scans(
    services: Services, dags_folder: Path, plays_lake: PlaysSpec
) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    # The lake ends before the week does: five partitions are missing.
    xcoms, lineage = run_with_lineage(dag, "2025-06-29", "partial")

    (scan,) = facts_of_query(services, xcoms.values["run_query", "return_value"])["scans"]
    scanned = {f"dt={partition['dt']}" for partition in scan["partitions"]}
    assert len(scanned) == 11
    assert partitions_of(lineage.at_end["run_query"]) == scanned
    assert partitions_of(lineage.at_start["publish"]) == scanned
    assert partitions_of(lineage.at_end["publish"]) == scanned
    assert lineage.at_end["run_query"].outputs == []


@pytest.mark.usefixtures("plays_lake")
def test_a_rerun_names_the_version_that_readers_have(services: Services, dags_folder: Path) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    first, first_lineage = run_with_lineage(dag, "2025-04-06", "first")
    again, lineage = run_with_lineage(dag, "2025-04-06", "again")

    assert again.values["publish", "return_value"]["outcome"] == "unchanged"
    version = manifest_of(services.s3, first)["version"]
    assert version_of(first_lineage.at_end["publish"]) == version
    assert version_of(lineage.at_start["publish"]) != version
    assert version_of(lineage.at_end["publish"]) == version
    query = lineage.at_end["publish"].run_facets["externalQuery"]
    assert query.externalQueryId == again.values["run_query", "return_value"]


@pytest.mark.usefixtures("plays_lake")
def test_a_run_that_a_later_query_has_overtaken_publishes_nothing(
    services: Services, dags_folder: Path
) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    period = {"period": "2025-04-20"}
    slow = TaskInstance(dag_id=dag.dag_id, run_id="slow")
    *before_publish, publish = dag.topological_sort()
    for task in before_publish:
        run_task(task, slow, "slow", params=period)
    run_with_lineage(dag, "2025-04-20", "fast")

    copy, context = prepare(publish, slow, "slow", None, period)
    assert execute(copy, context)["outcome"] == "superseded"

    lineage = DefaultExtractor(copy).extract_on_complete(slow)
    assert lineage is not None
    assert lineage.outputs == []
    assert len(partitions_of(lineage)) == 16


@pytest.mark.usefixtures("plays_lake")
def test_a_publication_that_fails_names_what_it_was_about_to_publish(
    services: Services, dags_folder: Path
) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    xcoms = TaskInstance(dag_id=dag.dag_id, run_id="failing")
    *before_publish, publish = dag.topological_sort()
    for task in before_publish:
        run_task(task, xcoms, "failing", params={"period": "2025-04-27"})
    manifest = {"Bucket": BUCKET, "Key": "top_users/weekly/2025-04-27/manifest.json"}
    services.s3.put_object(**manifest, Body=b"{}")  # it is not ours, and not overwritten

    copy, context = prepare(publish, xcoms, "failing", None, {"period": "2025-04-27"})
    with pytest.raises(AirflowException, match="is not a document of this report"):
        execute(copy, context)
    lineage = DefaultExtractor(copy).extract_on_failure(xcoms)
    services.s3.delete_object(**manifest)

    assert lineage is not None
    assert version_of(lineage) == xcoms.values["transform", "return_value"]["version"]["version"]
    assert len(partitions_of(lineage)) == 16
    query = lineage.run_facets["externalQuery"]
    assert query.externalQueryId == xcoms.values["run_query", "return_value"]
