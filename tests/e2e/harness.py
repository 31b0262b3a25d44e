"""Fixtures of tests that run a real Airflow."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_local.databases import Postgresql, postgresql
from airflow_local.runtime import AirflowConfig, AirflowRuntime

StartAirflow = Callable[..., AirflowRuntime]


class AirflowOnPostgresql(AirflowRuntime):
    """An Airflow whose `postgresql` restarts as a component does."""

    def __init__(self, config: AirflowConfig, database: Postgresql, **options: Any) -> None:
        super().__init__(config, **options)
        self._database = database

    def restart(self, name: str) -> None:
        if name == "postgresql":
            self._database.restart()
        else:
            super().restart(name)


@pytest.fixture(scope="module")
def start_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAirflow]:
    """Starts Airflow, in a home of its own, and stops it after the module's last test.

    The function takes the DAGs folder, and optionally the DAGs to wait for,
    `database="postgresql"`, and any field of AirflowConfig.
    """
    with contextlib.ExitStack() as started:

        def start(
            dags_folder: Path,
            *,
            dag_ids: Collection[str] = (),
            database: str = "sqlite",
            **settings: Any,
        ) -> AirflowRuntime:
            config = AirflowConfig(
                home=tmp_path_factory.mktemp("airflow"), dags_folder=dags_folder, **settings
            )
            if database == "sqlite":
                return started.enter_context(AirflowRuntime(config, dag_ids=dag_ids))
            server = started.enter_context(postgresql())
            config = replace(config, environment={**config.environment, **server.environment})
            return started.enter_context(AirflowOnPostgresql(config, server, dag_ids=dag_ids))

        yield start
