"""Fixtures of tests that run a real Airflow."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_local.runtime import AirflowConfig, AirflowRuntime

StartAirflow = Callable[..., AirflowRuntime]


@pytest.fixture(scope="session")
def database_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for migrated databases that all runtimes of a test session share, other workers' too."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "popen-gw" in base.name else base) / "airflow-databases"


@pytest.fixture(scope="module")
def start_airflow(database_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAirflow]:
    """Starts Airflow, in a home of its own, and stops it after the module's last test.

    The function takes the DAGs folder, and optionally the DAGs to wait for and any field of AirflowConfig.
    """
    with contextlib.ExitStack() as started:

        def start(dags_folder: Path, *, dag_ids: Collection[str] = (), **settings: Any) -> AirflowRuntime:
            home = settings.pop("home", None) or tmp_path_factory.mktemp("airflow")
            config = AirflowConfig(
                home=home, dags_folder=dags_folder, database_templates=database_templates, **settings
            )
            return started.enter_context(AirflowRuntime(config, dag_ids=dag_ids))

        yield start
