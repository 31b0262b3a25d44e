"""Airflow as the benchmarks run it: on the local services, and nothing by schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from athena_reports_cli.local.runtime import AirflowConfig

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).with_name("dags")
WORK = Path(__file__).with_name(".work")


def airflow_config(
    environment: Mapping[str, str], work: Path, dags: Path, **options: Any
) -> AirflowConfig:
    """Configure an Airflow for a folder of DAGs, with its files in `work`."""
    return AirflowConfig(
        home=work / "airflow",
        dags_folder=dags,
        plugins_folder=ROOT / "plugins",
        environment={
            **environment,
            "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        },
        **options,
    )
