"""Fixtures of tests that run a real Airflow."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_local.runtime import AirflowConfig, AirflowRuntime

StartAirflow = Callable[..., AirflowRuntime]


@pytest.fixture(scope="module")
def start_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAirflow]:
    """Starts Airflow, in a home of its own, and stops it after the module's last test.

    The function takes the DAGs folder, and optionally the DAGs to wait for and any field of AirflowConfig.
    """
    with contextlib.ExitStack() as started:

        def start(dags_folder: Path, *, dag_ids: Collection[str] = (), **settings: Any) -> AirflowRuntime:
            home = settings.pop("home", None) or tmp_path_factory.mktemp("airflow")
            config = AirflowConfig(home=home, dags_folder=dags_folder, **settings)
            return started.enter_context(AirflowRuntime(config, dag_ids=dag_ids))

        yield start
