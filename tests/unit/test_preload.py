from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from athena_reports import preload

ROOT = Path(__file__).resolve().parents[2]
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
        env={**os.environ, "AIRFLOW__CORE__EXECUTOR": executor, "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stderr.splitlines()[-1])
    assert before == []
    assert after == (HEAVY if preloads else [])


# A fork, as a LocalExecutor's task is one: what it asks for again must be there already.
FORK = """
import inspect, json, multiprocessing, runpy, sys
sys.argv = ["airflow", "scheduler"]
from athena_reports.preload import on_starting
on_starting()

def task():
    import botocore.loaders
    opened = []
    loader = botocore.loaders.JSONFileLoader
    load_file = loader.load_file
    loader.load_file = lambda self, path: opened.append(path) or load_file(self, path)
    loaded, located = set(sys.modules), set(inspect.modulesbyfile)
    on_starting()
    runpy.run_path({dag_file!r})
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
    endpoints = [
        hook(aws_conn_id=None, region_name="eu-central-1").get_conn().meta.endpoint_url
        for hook in (AthenaHook, S3Hook, GlueCatalogHook)
    ]
    imported, searched = set(sys.modules) - loaded, set(inspect.modulesbyfile) - located
    print(json.dumps([opened, sorted(imported), sorted(searched), endpoints]), file=sys.stderr)

process = multiprocessing.get_context("fork").Process(target=task)
process.start()
process.join()
sys.exit(process.exitcode)
"""


def test_a_fork_reads_no_service_models_imports_nothing_again_and_its_clients_are_its_own(
    tmp_path: Path,
) -> None:
    script = tmp_path / "scheduler.py"
    script.write_text(FORK.format(dag_file=str(ROOT / "dags" / "user_ranking.py")))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        env={
            **variables,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "PYTHONPATH": str(ROOT / "plugins"),
            "ATHENA_REPORTS_ENV": "dev",
            "ATHENA_REPORTS_SQL_FOLDER": str(ROOT / "include" / "sql"),
            "ATHENA_REPORTS_QUERY_RESULTS": "s3://results/",
            "ATHENA_REPORTS_BUCKET": "reports",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    opened, imported, searched, endpoints = json.loads(done.stderr.splitlines()[-1])
    assert opened == []
    assert imported == []
    assert searched == []  # Python has not gone through all modules to find whose a file is
    assert endpoints == [
        f"https://{service}.eu-central-1.amazonaws.com" for service in ("athena", "s3", "glue")
    ]


def test_a_step_that_fails_stops_neither_the_scheduler_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[str] = []

    def fail(*_: str) -> None:
        taken.append("failed")
        raise ImportError("there is no such module")

    monkeypatch.setattr(sys, "argv", ["airflow", "scheduler"])
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setattr(preload, "_import", fail)
    monkeypatch.setattr(preload, "_know_the_stack", lambda: taken.append("stack"))
    monkeypatch.setattr(preload, "_parse_once", lambda: taken.append("parsed"))
    monkeypatch.setattr(preload, "_keep_service_models", lambda region: taken.append(region))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    preload._prepare.cache_clear()
    preload.on_starting()
    preload.on_starting()  # as in a task
    preload._prepare.cache_clear()

    assert taken == ["failed", "stack", "parsed", "eu-west-1"]
    assert [record.message for record in caplog.records] == [
        "The tasks of reports start slower than they could."
    ]
