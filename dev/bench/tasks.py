"""`tasks`: the processor seconds of each task of a run, beside those of the DAG by hand.

It is the profile of `backfill`: `parse` is to read the DAG file with its imports, `run` to render
and execute the task against the local services.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from athena_reports_cli.local.services import local_services
from bench.local_airflow import DAGS, ROOT, WORK, figures_of, task_environment
from bench.results import Row
from demo.lake import seed_plays
from demo.plays import PlaysSpec

TASKS = ("run_query", "wait_for_query", "transform", "publish")
ROUNDS = 5
REQUIRED = 1.5
_WORK = WORK / "tasks"


def measure() -> Sequence[Row]:
    shutil.rmtree(_WORK, ignore_errors=True)
    folders = {"ours": _WORK / "ours", "by hand": _WORK / "by_hand"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "user_ranking.py", folders["ours"])
    shutil.copy(DAGS / "by_hand.py", folders["by hand"])
    with local_services(_WORK / "aws.log") as services:
        services.prepare("dev")
        days = {"start": date(2025, 2, 28), "end": date(2025, 3, 18)}
        seed_plays(services, "dev", PlaysSpec(**days, events=4_000, users=500, seed=11))
        rounds: dict[str, list[Mapping[str, float]]] = {name: [] for name in folders}
        for number in range(ROUNDS + 1):
            for name, folder in folders.items():
                (file,) = folder.glob("*.py")
                figures = _run(file, _WORK / f"{name}-{number}.json", services.environment)
                rounds[name].append(figures)
    costs = {}
    for name, measured in rounds.items():
        later = measured[1:]  # the first one compiles Python files and publishes the first week
        costs[name] = {part: median(figures[part] for figures in later) for part in later[0]}
    return [_row(task, costs) for task in (*TASKS, "all")]


def _row(task: str, costs: Mapping[str, Mapping[str, float]]) -> Row:
    """Return the row of a task, with its parts as `cpu`."""
    seconds = {}
    parts = {}
    for name, cost in costs.items():
        seconds[name] = sum(cost[f"{task} {part}"] for part in ("parse", "run"))
        for part in ("parse", "run"):
            parts[f"{name}, {part}"] = round(cost[f"{task} {part}"], 3)
    unit = "processor seconds of its process, without Airflow's own imports"
    others = {"by hand": seconds["by hand"]}
    required = REQUIRED if task == "all" else None
    row = Row.of(f"tasks: {task}", unit, seconds["ours"], others, seconds["by hand"], required)
    return Row(**{**vars(row), "cpu": parts})


def _run(file: Path, xcoms: Path, services: Mapping[str, str]) -> Mapping[str, float]:
    """Run the tasks of a week, and return what each part of them took."""
    environment = task_environment(_WORK / "home", services)
    figures = {"all parse": 0.0, "all run": 0.0}
    for task in TASKS:
        parts = figures_of("bench.one_task", str(file), task, str(xcoms), environment=environment)
        for part, seconds in parts.items():
            figures[f"{task} {part}"] = seconds
            figures[f"all {part}"] += seconds
        if task == "run_query":
            time.sleep(1)  # until the query has ended, so that no task waits for it
    return figures
