"""Publishes the project of a version with the packages of that version, and keeps what came of it.

Copy the folder of the version before, correct its project, and run this beside
`.venv/bin/local-athena serve`:

    git worktree add /tmp/checkout v0.2.0
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 PYTHONPATH=/tmp/checkout/plugins:/tmp/checkout/cli:. \
        .venv/bin/python -m tests.compatibility.write_version 0.2.0

Two weeks and a month are published. A third week is left as it is between `transform` and
`publish`. All of them are over when this runs, and late visits are still expected for some.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.compatibility.kept_version import STORED_DAGS, KeptVersion, remove_published
from tests.compatibility.visits import put_table

PLACE = "/opt/airflow"
"""Stands for the folder of the project in what Airflow stores."""


def main() -> None:
    kept = KeptVersion(sys.argv[1])
    with tempfile.TemporaryDirectory() as home:
        set_environment(kept, Path(home))
        write(kept)


def set_environment(kept: KeptVersion, home: Path) -> None:
    """Set what Airflow and the library read when they are imported."""
    # The first one is imported. That of this repository is on the path, too.
    library = next(folder for folder in sys.path if Path(folder, "athena_reports").is_dir())
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(kept.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": library,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ATHENA_REPORTS_SQL_FOLDER": str(kept.sql),
    }


def write(kept: KeptVersion) -> None:
    import duckdb
    from airflow import __version__ as airflow_version

    import athena_reports
    from athena_reports import weekly
    from athena_reports_cli.local.services import Services
    from tests.support.dag_files import load_dags
    from tests.support.task_runner import run_dag

    if athena_reports.__version__ != kept.name:
        raise SystemExit(f"This is version {athena_reports.__version__}, not {kept.name}.")
    weeks = weekly("sunday", "Asia/Tokyo")
    unpublished = weeks.last_complete(datetime.now(UTC))
    published = [unpublished.previous.previous, unpublished.previous]
    first_of_month = published[0].start.replace(day=1)
    month = f"{first_of_month - timedelta(days=1):%Y-%m}"
    first_day = (first_of_month - timedelta(days=1)).replace(day=1).date()
    last_day = unpublished.end.date()
    kept.write(
        "version.json",
        {
            "version": kept.name,
            "airflow": airflow_version,
            "duckdb": duckdb.__version__,
            "days": [str(first_day), str(last_day)],
            "published": {
                "page_visits_weekly": [week.id for week in published],
                "page_visits_monthly": [month],
                "visits_by_hand": [str(published[0].start.date() + timedelta(days=1))],
            },
            "unpublished": unpublished.id,
            "imports": imports(),
            "settings": settings_of_dev(kept.sql),
            "commands": commands(),
            "trigger": stored_trigger(),
        },
    )

    Services(os.environ["AWS_ENDPOINT_URL"]).prepare("dev")
    remove_published()
    put_table(kept.days)
    dags = load_dags(kept.dags / "page_visits.py") | load_dags(kept.dags / "visits_by_hand.py")
    for dag_id, period_ids in kept.facts["published"].items():
        for period_id in period_ids:
            run_dag(dags[dag_id], period=period_id)
    outputs = {}
    for name, arguments in outputs_of(published[-1].id).items():
        outputs[name] = printed(*arguments)
    kept.write("outputs.json", outputs)
    kept.write("in_flight.json", run_until_publish(dags["page_visits_weekly"], unpublished.id))

    for folder in ("published", "serialized"):
        shutil.rmtree(kept.folder / folder, ignore_errors=True)
    kept.store()
    for dag_id, stored in serialized_dags(kept).items():
        kept.write(f"serialized/{dag_id}.json", stored)


def imports() -> dict[str, list[str]]:
    """The public names, and those of the public modules: of each its arguments and its members."""
    import athena_reports

    found = {}
    for name in athena_reports.__all__:
        value = getattr(athena_reports, name)
        found[name] = offered(value)
        if not inspect.ismodule(value):
            continue
        for member in getattr(value, "__all__", vars(value)):
            of_module = getattr(value, member)
            is_own = getattr(of_module, "__module__", "") == value.__name__
            if is_own and not member.startswith("_"):
                found[f"{name}.{member}"] = offered(of_module)
    return found


def offered(value: Any) -> list[str]:
    """The arguments of a function or class, and the methods and properties of a class."""
    if not callable(value):
        return []
    names = [f"{argument}=" for argument in inspect.signature(value).parameters]
    if inspect.isclass(value):
        for member, attribute in vars(value).items():
            is_member = inspect.isfunction(attribute) or isinstance(attribute, property)
            if is_member and not member.startswith("_"):
                names.append(member)
    return sorted(names)


def settings_of_dev(sql: Path) -> dict[str, Any]:
    """The settings, by variable, of a deployment that says where AWS and its SQL are, no more."""
    from athena_reports.settings import read_settings

    where = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "ATHENA_REPORTS_SQL_FOLDER": str(sql)}
    local = read_settings(where)
    values: dict[str, Any] = local.model_dump(mode="json", by_alias=True)
    del values["ATHENA_REPORTS_SQL_FOLDER"]  # a place on this machine
    return values


def commands() -> dict[str, list[str]]:
    """The commands, each with its arguments and options."""
    import typer.main

    from athena_reports_cli.authoring.commands import app

    group: Any = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        found[name] = sorted(option for param in command.params for option in param.opts)
    return found


def stored_trigger() -> list[Any]:
    """What the metadata database keeps of a task that waits for a query."""
    from athena_reports.steps.wait_trigger import AthenaWaitTrigger

    trigger = AthenaWaitTrigger("0123", aws_conn_id="aws_default")
    class_path, fields = trigger.serialize()
    return [class_path, fields]


def outputs_of(period_id: str) -> dict[str, list[str]]:
    """The commands that print JSON of a report, by their names."""
    report = "page_visits_weekly"
    return {
        "status": ["status", report],
        "costs": ["costs", report, "--months", "1200"],
        "preview": ["preview", report, period_id, "--run"],
        "plan": ["plan", report, "--last", "1", "--yes"],
    }


def printed(*arguments: str) -> Any:
    """What a command prints as JSON."""
    command = [sys.executable, "-m", "athena_reports_cli", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments} has failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def run_until_publish(dag: Any, period_id: str) -> dict[str, dict[str, Any]]:
    """Run a report without its last step; the XComs of each task."""
    from tests.support.airflow_run import TaskInstance
    from tests.support.task_runner import execute, prepare

    xcoms = TaskInstance(dag_id=dag.dag_id, run_id="in_flight")
    for task_id in ("run_query", "wait_for_query", "transform"):
        task, context = prepare(
            dag.get_task(task_id), xcoms, "in_flight", params={"period": period_id}
        )
        xcoms.xcom_push("return_value", execute(task, context))
    by_task: dict[str, dict[str, Any]] = {}
    for (task_id, key), value in xcoms.values.items():
        by_task.setdefault(task_id, {})[key] = value
    return by_task


def serialized_dags(kept: KeptVersion) -> dict[str, Any]:
    """The DAGs of the project as the metadata database has them."""
    from airflow.serialization.serialized_objects import DagSerialization

    from tests.support.dag_files import parse_dags

    serialized = {}
    for file in sorted(kept.dags.glob("*.py")):
        for dag_id, dag in parse_dags(file).items():
            if dag_id not in STORED_DAGS:
                continue
            text = json.dumps(DagSerialization.to_dict(dag))
            serialized[dag_id] = json.loads(text.replace(str(kept.folder / "project"), PLACE))
    return serialized


if __name__ == "__main__":
    main()
