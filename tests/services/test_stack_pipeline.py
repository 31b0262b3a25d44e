"""The reports on the resources that the stack creates,
reached by the variables that its outputs give.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from demo.lake import seed_flights
from tests.support.cloudformation import local_services_with_stacks
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of, rows_of
from tests.support.reports import carriers
from tests.support.stacks import Stack, create_stack, kept_parameters
from tests.support.task_runner import run_dag

NEW_YORK = ZoneInfo("America/New_York")
OWN_ENVIRONMENT = "stacked"
MAINTENANCE = Path(__file__).resolve().parents[2] / "dags" / "athena_reports_maintenance.py"
FEBRUARY = (datetime(2013, 2, 1, tzinfo=NEW_YORK), datetime(2013, 3, 1, tzinfo=NEW_YORK))


@pytest.fixture(scope="module")
def running_stack() -> Iterator[tuple[Services, Stack]]:
    """Local services with the lake of dev, and the stack of an environment that reads it."""
    lake = "arn:aws:s3:::athena-lake-dev"
    parameters = kept_parameters("stg") | {
        "Environment": OWN_ENVIRONMENT,
        "SourceDatabase": "database_dev",
        "SourceDataArns": f"{lake},{lake}/*",
    }
    with local_services_with_stacks() as aws:
        services = Services(aws.endpoint_url)
        services.prepare("dev")
        seed_flights(services, "dev")
        yield services, create_stack(aws.client("cloudformation"), parameters)


@pytest.fixture
def services(running_stack: tuple[Services, Stack], monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services, reached by the variables of the environment."""
    services, _ = running_stack
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    return services


@pytest.fixture
def stack(
    running_stack: tuple[Services, Stack], services: Services, monkeypatch: pytest.MonkeyPatch
) -> Stack:
    """The stack, with its variables set and no others."""
    _, stack = running_stack
    for name, value in stack.variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return stack


def test_a_report_is_published_on_what_the_stack_created(
    services: Services, dags_folder: Path, stack: Stack
) -> None:
    dag = load_dags(dags_folder / "carriers.py")["carriers_monthly"]
    run = run_dag(dag, period="2013-02")
    manifest = manifest_of(services.s3, run)

    expected = carriers(*FEBRUARY)
    assert manifest["environment"] == OWN_ENVIRONMENT
    assert manifest["bucket"] == stack.outputs["ReportBucket"]
    assert rows_of(services.s3, manifest, "parquet") == expected

    query = services.athena.get_query_execution(QueryExecutionId=manifest["query"]["id"])[
        "QueryExecution"
    ]
    assert query["WorkGroup"] == stack.outputs["Workgroup"]
    assert query["ResultConfiguration"]["OutputLocation"].startswith(
        stack.outputs["QueryResultsLocation"]
    )
    assert query["ResultConfiguration"]["ExpectedBucketOwner"] == stack.outputs["BucketOwner"]

    table = {"DatabaseName": stack.outputs["ReportDatabase"], "TableName": "carriers_monthly"}
    (partition,) = services.glue.get_partitions(**table)["Partitions"]
    assert partition["Values"] == ["2013-02"]
    assert partition["StorageDescriptor"]["Location"].startswith(
        f"s3://{stack.outputs['ReportBucket']}/"
    )


def test_a_period_that_is_published_again_keeps_what_it_was(
    services: Services, dags_folder: Path, stack: Stack
) -> None:
    dag = load_dags(dags_folder / "carriers.py")["carriers_weekly"]
    first, second = (manifest_of(services.s3, run_dag(dag, period="2013-02-04")) for _ in range(2))

    assert second["version"] == first["version"]
    assert second["query"]["id"] != first["query"]["id"]
    key = "carriers/weekly/2013-02-04/manifest.json"
    found = services.s3.list_object_versions(Bucket=stack.outputs["ReportBucket"], Prefix=key)[
        "Versions"
    ]
    assert [version["IsLatest"] for version in found] == [True, False]

    cleanup = load_dags(MAINTENANCE)["athena_reports_cleanup"]
    (looked,) = (
        value
        for _, value in sorted(run_dag(cleanup).values.items())
        if value and "periods" in value
    )
    assert looked["periods"] >= 1
    assert (looked["objects"], looked["repaired"]) == (0, [])
