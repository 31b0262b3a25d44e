"""An Airflow that a test starts, with a database of its own."""

from collections.abc import Callable
from typing import Any

from athena_reports_cli.local.runtime import AirflowConfig
from tests.support.databases import Postgresql
from tests.support.live_airflow import LiveAirflow

StartAirflow = Callable[..., LiveAirflow]


class AirflowOnPostgresql(LiveAirflow):
    """An Airflow whose `postgresql` restarts as a component does."""

    def __init__(self, config: AirflowConfig, database: Postgresql, **options: Any) -> None:
        super().__init__(config, **options)
        self._database = database

    def restart(self, name: str) -> None:
        if name == "postgresql":
            self._database.restart()
        else:
            super().restart(name)
