"""Airflow as the benchmarks run it: on the local services, and nothing by schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_local.runtime import AirflowConfig
from airflow_local.services import Services

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).with_name("dags")
WORK = Path(__file__).with_name(".work")


def airflow_config(
    services: Services, work: Path, dags: Path, *, environment: Mapping[str, str] | None = None, **options: Any
) -> AirflowConfig:
    """Configure an Airflow for a folder of DAGs, with its files in `work`."""
    return AirflowConfig(
        home=work / "airflow",
        dags_folder=dags,
        plugins_folder=ROOT / "plugins",
        environment={
            **services.environment,
            "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            **(environment or {}),
        },
        **options,
    )
