"""A run that waits for its input, to its end: each task, with real services and a triggerer's loop.

tests/airflow/test_two_triggerers.py shows it under a real scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from athena_reports.steps.partition_poller import PartitionPoller
from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.published import manifest_of
from tests.support.task_runner import run_dag
from tests.support.triggers import Supervisor

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
REPORT = """
from datetime import timedelta

from airflow.sdk import DAG
from athena_reports import Input, Report, build_dag, weekly

report = Report(
    name="{name}",
    sql="{name}.sql",
    since="2025-01-01",
    inputs=[Input("plays", "dt", {options})],
)
dag = build_dag(report, weekly("sunday", "Asia/Tokyo"))
"""
SQL = """SELECT user_id, COUNT(*) AS plays FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }}
GROUP BY user_id ORDER BY user_id
"""
WEEK = "2025-06-08"
LATE = "2025-06-11"
LONG = "wait=timedelta(days=36500)"
PLACE: Any = {"DatabaseName": "database_dev", "TableName": "plays"}


@pytest.fixture
def build(sql_folder: Path, tmp_path: Path, plays_lake: object, services: Services) -> Any:
    def build(name: str, options: str) -> Any:
        (sql_folder / f"{name}.sql").write_text(SQL)
        file = tmp_path / f"{name}.py"
        file.write_text(REPORT.format(name=name, options=options))
        return load_dags(file)[f"{name}_weekly"]

    return build


@pytest.fixture
def late(services: Services) -> Any:
    """A partition that Glue does not have until it is registered."""
    stored = services.glue.get_partition(**PLACE, PartitionValues=[LATE])["Partition"]
    partition: Any = {"Values": [LATE], "StorageDescriptor": stored["StorageDescriptor"]}
    services.glue.delete_partition(**PLACE, PartitionValues=[LATE])

    def register() -> None:
        services.glue.create_partition(**PLACE, PartitionInput=partition)

    yield register
    if not services.glue.batch_get_partition(**PLACE, PartitionsToGet=[{"Values": [LATE]}])[
        "Partitions"
    ]:
        register()


def after_some_looks(patch: pytest.MonkeyPatch, happens: Callable[[], None]) -> list[int]:
    """Let something happen when the triggerer has looked three times; the list of its looks."""
    look, looks = PartitionPoller.look, list[int]()

    async def counted(of_all: PartitionPoller, keys: Any) -> bool:
        looks.append(len(keys))
        if len(looks) == 3:
            happens()
        return await look(of_all, keys)

    patch.setattr(PartitionPoller, "look", counted)
    patch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(None), raising=False)
    return looks


def test_a_partition_that_comes_late_is_in_what_is_published(
    build: Any, late: Callable[[], None], services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_queries(services)
    asked = []

    def register() -> None:
        asked.append(count_queries(services))
        late()

    looks = after_some_looks(monkeypatch, register)
    xcoms = run_dag(build("late_plays", LONG), period=WEEK)
    assert len(looks) == 3
    assert asked == [before]  # nothing is paid while it waits
    told = xcoms.values["wait_for_inputs", "missing_inputs"]["missing"]
    assert [sentence.endswith(f"dt={LATE}") for sentence in told] == [True]
    manifest = manifest_of(services.s3, xcoms)
    assert (manifest["partial"], manifest["missing_partitions"]) == (False, [])
    assert count_queries(services) == before + 1
