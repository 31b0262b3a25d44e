"""The DAGs of a file as Airflow's DAG processor finds them, also those that no variable holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag


def parse_dags(file: Path) -> dict[str, Any]:
    """The DAGs of a file, by id."""
    bag: Any = DagBag(file, collect_dags=False)
    bag.process_file(str(file), only_if_updated=False, safe_mode=True)
    assert not bag.import_errors
    found: dict[str, Any] = bag.dags
    return found
