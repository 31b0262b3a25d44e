"""The DAGs of a file as Airflow's DAG processor finds them, also those that no variable holds."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG


def parse_dags(file: Path) -> dict[str, Any]:
    """The DAGs of a file, by id."""
    bag: Any = DagBag(file, collect_dags=False)
    bag.process_file(str(file), only_if_updated=False, safe_mode=True)
    assert not bag.import_errors
    found: dict[str, Any] = bag.dags
    return found


def load_dags(file: Path) -> dict[str, DAG]:
    """The DAGs that a file defines, by id."""
    found = runpy.run_path(str(file)).values()
    return {value.dag_id: value for value in found if isinstance(value, DAG)}
