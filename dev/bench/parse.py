"""`parse`: reading 200 reports of two cadences each, against the same DAGs written by hand.

Airflow's DagBag reads both in one process, in turns, after a first reading that imports. The DAGs
by hand have the same schedules, retries, tags, docs and params.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.local_airflow import DAGS, ROOT, WORK, figures_of, task_environment
from bench.results import Row, paired

REPORTS = 200
ROUNDS = 7
REQUIRED = 1.15


def measure() -> Sequence[Row]:
    work = WORK / "parse"
    shutil.rmtree(work, ignore_errors=True)
    folders = {kind: work / kind for kind in ("report", "by_hand", "sql")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for name in (f"report_{number:03d}" for number in range(REPORTS)):
        for kind in ("report", "by_hand"):
            shutil.copy(DAGS / f"{kind}.py", folders[kind] / f"{name}.py")
        shutil.copy(ROOT / "include" / "sql" / "user_ranking.sql", folders["sql"] / f"{name}.sql")
    own = {
        "ATHENA_REPORTS_SQL_FOLDER": str(folders["sql"]),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    # Airflow takes its folders from the environment when it is imported.
    environment = task_environment(work / "home", own)
    dags = (str(folders["report"]), str(folders["by_hand"]))
    seconds = figures_of("bench.parse", *dags, environment=environment)
    ours, theirs = zip(*seconds, strict=True)
    unit = f"seconds for {REPORTS} reports x 2 cadences"
    return [paired("parse", unit, ours, "DAGs by hand", theirs, REQUIRED)]


def main(*folders: str) -> None:
    """Print how long each folder takes to read, in turns."""
    from airflow.dag_processing.dagbag import DagBag

    def seconds(folder: str) -> float:
        start = time.perf_counter()
        bag = DagBag(Path(folder))
        elapsed = time.perf_counter() - start
        if bag.import_errors or len(bag.dags) != 2 * REPORTS:
            raise RuntimeError(f"{folder} has {len(bag.dags)} DAGs: {bag.import_errors}")
        return elapsed

    print(json.dumps([[seconds(folder) for folder in folders] for _ in range(ROUNDS + 1)][1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
