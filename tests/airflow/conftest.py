"""What tests with a real Airflow share."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.airflow.environment import environment_of_reports
from tests.airflow.harness import AirflowOnPostgresql, StartAirflow
from tests.support.databases import postgresql
from tests.support.inbox import Inbox
from tests.support.live_airflow import LiveAirflow
from tests.support.paths import ROOT
from tests.support.run_folder import one_at_a_time


@pytest.fixture(scope="session", autouse=True)
def _each_sqlite_migrated_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[None]:
    """Each later Airflow begins with a copy of the metadata with which the first one began.

    `airflow db migrate` takes some seconds to write the same.
    """
    call = LiveAirflow.cli

    def cli(runtime: LiveAirflow, *args: str) -> str:
        has_a_server = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in runtime.config.environment
        if args != ("db", "migrate") or has_a_server:
            return call(runtime, *args)
        with one_at_a_time(tmp_path_factory, worker_id, "metadata") as folder:
            template = folder / "airflow.db"
            database = runtime.config.home / template.name
            if template.exists():
                shutil.copy(template, database)
                return ""
            printed = call(runtime, *args)
            shutil.copy(database, template)
            return printed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveAirflow, "cli", cli)
        yield


@pytest.fixture(scope="module")
def start_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAirflow]:
    """Starts Airflow, in a home of its own, and stops it after the module's last test.

    The function takes the DAGs folder, and optionally the DAGs to wait for, the services that
    reports use, `database="postgresql"`, `supervised=True` and any field of AirflowConfig.
    """
    with contextlib.ExitStack() as started:

        def start(
            dags_folder: Path,
            *,
            dag_ids: Collection[str] = (),
            services: Services | None = None,
            environment: Mapping[str, str] | None = None,
            database: str = "sqlite",
            supervised: bool = False,
            **settings: Any,
        ) -> LiveAirflow:
            variables = dict(environment or {})
            if services is not None:
                variables = environment_of_reports(services) | variables
                settings["plugins_folder"] = ROOT / "plugins"
            config = AirflowConfig(
                home=tmp_path_factory.mktemp("airflow"),
                dags_folder=dags_folder,
                environment=variables,
                **settings,
            )
            if database == "sqlite":
                airflow = LiveAirflow(config, dag_ids=dag_ids, supervised=supervised)
                return started.enter_context(airflow)
            server = started.enter_context(postgresql())
            config = replace(config, environment={**config.environment, **server.environment})
            airflow = AirflowOnPostgresql(config, server, dag_ids=dag_ids, supervised=supervised)
            return started.enter_context(airflow)

        yield start


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The local services with three weeks of plays; many modules have a lake of their own."""
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        spec = PlaysSpec(dt.date(2025, 5, 30), dt.date(2025, 6, 18), events=5_000, users=500)
        seed_plays(running, "dev", spec)
        yield running


@pytest.fixture(scope="module")
def inbox(services: Services) -> Inbox:
    """What arrives at the topic `alerts`."""
    return Inbox.create(services, "alerts")
