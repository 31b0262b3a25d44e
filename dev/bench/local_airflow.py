"""Airflow as the benchmarks run it: on the local services, and nothing by schedule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.local.services import environment_without

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


def task_environment(home: Path, own: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables of a process that parses DAG files or runs tasks without Airflow."""
    path = [str(ROOT / "plugins"), str(ROOT / "dev"), *sys.path]
    return {
        **environment_without("AIRFLOW", "AWS_", "ATHENA_REPORTS_"),
        "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "PYTHONPATH": os.pathsep.join(path),
        **own,
    }


def figures_of(module: str, *arguments: str, environment: Mapping[str, str]) -> Any:
    """Run a module in a process of its own, and return the JSON in its last line of output."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
