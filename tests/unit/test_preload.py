from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
HEAVY = [
    "boto3",
    "aiobotocore",
    "pyarrow",
    "pyarrow.dataset",
    "airflow.providers.amazon.aws.operators.athena",
]

# In a process of its own: this one has long imported everything.
SCRIPT = """
import json, sys
sys.argv = json.loads(sys.argv[1])
import athena_reports_plugin
before = [name for name in {heavy} if name in sys.modules]
from athena_reports.preload import on_starting
on_starting()
print(json.dumps([before, [name for name in {heavy} if name in sys.modules]]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "executor", "preloads"),
    [
        (["airflow", "scheduler", "--skip-serve-logs"], "LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor", False),
        (["airflow", "triggerer"], "LocalExecutor", False),
        (["airflow", "tasks", "test", "scheduler"], "LocalExecutor", False),
    ],
)
def test_a_scheduler_that_forks_its_tasks_imports_for_them_and_nobody_else_does(
    command: list[str], executor: str, preloads: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), json.dumps(command)],
        env={**os.environ, "AIRFLOW__CORE__EXECUTOR": executor, "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stderr.splitlines()[-1])
    assert before == []
    assert after == (HEAVY if preloads else [])
