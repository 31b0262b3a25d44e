import os
import re
import runpy
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
from airflow.serialization.serialized_objects import DagSerialization
from jinja2 import StrictUndefined

from athena_reports import (
    LONG_QUERY_TIMEOUT,
    Cadence,
    Column,
    Input,
    Published,
    RetryPolicy,
    build_dag,
    checks,
    daily,
    mail,
    monthly,
    quarterly,
    transforms,
    weekly,
    when_published,
    yearly,
)
from athena_reports.errors import ReportError
from athena_reports.publication.location import ReportLocation
from athena_reports.scheduling import asset_partitions
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import Settings, settings
from athena_reports.steps import publish as publish_step
from athena_reports.steps.recipe import Recipe
from athena_reports.steps.transform import transform_result
from athena_reports.workflows.report_dag import BuiltDag
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEKS
from tests.support.declared import MakeReport
from tests.support.notifiers import Recorder

TOKYO = "Asia/Tokyo"
TASKS = ["run_query", "wait_for_query", "transform", "publish"]


@pytest.fixture
def build(make_report: MakeReport) -> Any:
    """Builds a DAG of a report; options that a report has are its."""

    def build(cadence: Any = WEEKS, **options: Any) -> Any:
        fields = {
            name: options.pop(name)
            for name in ("owner", "doc", "unload", "late_by", "until", "inputs")
            if name in options
        }
        return build_dag(make_report(params={"top": 100}, **fields), cadence, **options)

    return build


def stored(dag: Any) -> Any:
    """The DAG as the metadata database has it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@pytest.mark.parametrize(
    ("cadence", "example"),
    [
        *((daily(TOKYO), "2025-06-15"), (WEEKS, "2025-06-15")),
        *((monthly(TOKYO), "2025-06"), (quarterly(TOKYO), "2025-Q2"), (yearly(TOKYO), "2025")),
    ],
)
def test_the_contract_of_a_dag(build: Any, cadence: Cadence, example: str) -> None:
    dag = build(cadence, owner="analytics", doc="# Plays", until="2025-06-30")

    assert dag.dag_id == f"plays_{cadence.unit}"
    assert [task.task_id for task in dag.topological_sort()] == TASKS
    for task_id, following in pairwise(TASKS):
        assert following in dag.get_task(task_id).downstream_task_ids
    assert dag.timetable == PeriodTimetable(cadence, timedelta(minutes=5)) == stored(dag).timetable
    assert (dag.doc_md, {task.owner for task in dag.tasks}) == ("# Plays", {"analytics"})
    assert dag.tags == {"athena-report", cadence.unit, "dev"}
    days = [datetime(2025, month, day, tzinfo=ZoneInfo(TOKYO)) for month, day in ((1, 1), (6, 30))]
    assert [dag.start_date, dag.end_date, dag.timezone.name] == [*days, TOKYO]
    assert (dag.catchup, dag.is_paused_upon_creation) == (False, False)
    assert (dag.max_active_runs, dag.dagrun_timeout) == (16, None)
    assert dag.description == f"plays: {cadence.description}"
    assert stored(dag).params.dump() == {"period": ""}
    param = dag.params.get_param("period")
    assert param.resolve(None) is None, "the trigger form sends null for an empty field"
    assert param.schema["title"] == "Period"
    text = param.schema["description_md"]
    for explained in (
        f"`{example}`",
        "logical date",
        "last period that is complete",
        "Not for backfills",
        TOKYO,
    ):
        assert explained in text


def test_a_dag_carries_its_report_with_the_params_of_its_cadence_and_airflow_stores_neither(
    build: Any,
) -> None:
    dag, with_params = build(), build(params={"top": 5})

    assert (dag.report.name, dag.cadence) == ("plays", WEEKS)
    assert [each.report.params for each in (dag, with_params)] == [{"top": 100}, {"top": 5}]
    serialized = DagSerialization.to_dict(dag)["dag"]
    assert not {"report", "cadence"} & serialized.keys()
    assert not isinstance(stored(dag), BuiltDag)


HASHED = """
# Airflow looks for a DAG in it.
from enum import Enum
from pathlib import PurePath
from athena_reports import Report, build_dag, monthly, transforms, weekly

class Tier(Enum):
    GOLD = frozenset({"anna", "bert", "carl", "dora"})

OTHERS = frozenset({None, 2.5, (1, "q"), PurePath("a"), frozenset({"m", "n", "o"}), len, Tier})

def graded(names, tiers, others=OTHERS):
    names |= others
    return lambda row: row | {"grade": "gold" if row["name"] in names else tiers[row["tier"]]}


plays = Report(
    name="plays",
    sql="plays.sql",
    since="2025-01-01",
    params={"top": 5},
    transform=transforms.each_row(
        graded({"x", "y", "z"}, {"a": Tier.GOLD}), adds={"grade": "varchar"}
    ),
)
plays_weekly = build_dag(plays, weekly())
plays_monthly = build_dag(plays, monthly(), params={"top": 6})
"""
PRINT_STORED = """
import json, sys

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
stored = [DagSerialization.to_dict(dag) for _, dag in sorted(bag.dags.items())]
print([list({"anna", "bert", "carl", "dora"}), list({"x", "y", "z"})])
print(json.dumps(stored, sort_keys=True).replace(sys.argv[1], ""))
"""


@pytest.mark.ci
def test_a_dag_is_the_same_in_each_process_and_from_each_folder(
    sql_folder: Path, tmp_path: Path
) -> None:
    """Else each parse would make a new version of it, and would outdate all that is published."""
    (sql_folder / "plays.sql").write_text("SELECT {{ params.top }}")
    orders, outputs = set(), set()
    for seed in range(2):
        folder = tmp_path / f"bundle_{seed}"
        folder.mkdir()
        (folder / "plays.py").write_text(HASHED)
        variables = os.environ | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [sys.executable, "-c", PRINT_STORED, str(folder)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        *_, order, output = done.stdout.splitlines()
        orders.add(order)
        outputs.add(output)
    assert len(orders) == 2  # or these seeds would show nothing
    assert len(outputs) == 1
    logic = re.findall(r'"logic": "(v3:[0-9a-f]{16})"', outputs.pop())
    assert len(set(logic)) == len(logic) == 2  # of two DAGs, in the default_args


PARSED = """
# Airflow looks for a DAG in it.
from athena_reports import Input, Report, build_dag, transforms, weekly
plays = Report(
    name="plays", sql="plays.sql", since="2025-01-01", inputs=[Input("plays")],
    transform=transforms.movement(), key=["user_id"], max_scan="20 GB",
)
weekly_plays = build_dag(plays, weekly("sunday", timezone="Asia/Tokyo"))
"""
PRINT_LOADED = """
import sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
assert set(bag.dags) == {"plays_weekly"}, bag.import_errors
print(*sys.modules)
"""


@pytest.mark.ci
def test_the_process_of_a_task_loads_nothing_that_other_steps_work_with(
    sql_folder: Path, tmp_path: Path
) -> None:
    """Each task has a process of its own, which reads the DAG's file before it runs its step."""
    (sql_folder / "plays.sql").write_text("SELECT {{ inputs.plays.partitions }}")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "plays.py").write_text(PARSED)
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PRINT_LOADED, str(tmp_path / "dags")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())

    assert {"athena_reports.steps.run_query", "athena_reports.steps.transform"} <= loaded
    assert loaded.isdisjoint({"duckdb", "numpy", "pandas", "pyarrow", "sqlglot"})
    of_others = {
        "delivery.channels",  # of reports that are delivered
        "publication.commit",
        "publication.glue_table",
        "publication.manifest",
        "rows.athena_result",
        "rows.writer",
        "steps.preparation",
        "steps.wait_for_inputs",  # of reports whose input has a `wait`
        "steps.wait_trigger",
        "alerts.alerts_dag",  # of reports with notifiers
        "workflows.preflight",
    }
    assert loaded.isdisjoint(f"athena_reports.{module}" for module in of_others)


@since_3_3
def test_its_assets_are_those_that_a_consumer_names(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Airflow 3.3 there is none with keyed events."""
    by_period: Any = when_published("plays", WEEKS).asset_condition
    consumed = [Asset("plays_weekly"), by_period]
    outlets = build().get_task("publish").outlets
    assert [(asset.name, asset.uri) for asset in outlets] == [
        (asset.name, asset.uri) for asset in consumed
    ]

    monkeypatch.setitem(sys.modules, "airflow.partition_mappers.window", None)
    without = runpy.run_path(asset_partitions.__file__)["HAS_KEYED_EVENTS"]
    monkeypatch.setattr(publish_step, "HAS_KEYED_EVENTS", without)
    assert build().get_task("publish").outlets == [Asset("plays_weekly")]


def attributes(task: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(task, name) for name in names}


@since_3_3
def test_each_setting_and_field_reaches_its_steps(
    deployment: Settings, make_report: MakeReport
) -> None:
    """Each has a value of its own, so that none can stand for its neighbour."""
    columns = {"user_id": Column("bigint", "Who plays")}
    inputs = [Input("plays", wait=timedelta(hours=6)), Input("users", columns=())]
    report = make_report(
        owner="analytics",
        late_by=timedelta(days=1),
        params={"top": 100},
        transform=transforms.movement(),
        columns=columns,
        checks=[checks.unique("user_id"), checks.rows(at_least=1)],  # the first tells rows apart
        inputs=inputs,
        empty="skip",
        unload=True,
        max_scan="5 MB",
        outputs=["jsonl", "parquet"],
    )
    channel = mail("sales", to=["sales@example.com"])
    options: Any = {"deliver": [channel], "correct_within": timedelta(days=30)}
    dag: Any = build_dag(report, WEEKS, wait=timedelta(hours=2), **options)

    location = ReportLocation("acme-reports", "plays", "weekly")
    encryption = deployment.encryption
    run_query = dag.get_task("run_query")
    assert attributes(
        run_query,
        *("query", "cadence", "late_by", "sql_params", "inputs", "unload_to", "query_logic"),
        *("database", "workgroup", "result_configuration", "pool"),
    ) == {
        "query": report.sql_text,
        "cadence": WEEKS,
        "late_by": timedelta(days=1),
        "sql_params": {"top": 100},
        "inputs": tuple(inputs),
        "unload_to": "s3://acme-results/reports/unload/",
        "query_logic": report.query_logic,
        "database": "lake_db",
        "workgroup": "reports-wg",
        "result_configuration": {
            "OutputLocation": "s3://acme-results/reports/",
            "ExpectedBucketOwner": "012345678901",
            "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/reports"},
        },
        "pool": "athena",
    }
    assert run_query.require.keywords == {
        "settings": deployment,
        "location": location,
        "has_table": True,
        "max_scan": 5_000_000,
    }

    assert attributes(
        dag.get_task("wait_for_query"), "timeout", "deferrable", "reschedule", "pool"
    ) == {"timeout": 7200, "deferrable": False, "reschedule": True, "pool": "athena"}
    assert attributes(
        dag.get_task("wait_for_inputs"), "cadence", "late_by", "database", "deferrable", "waits"
    ) == {
        "cadence": WEEKS,
        "late_by": timedelta(days=1),
        "database": "lake_db",
        "deferrable": False,
        "waits": {inputs[0]: timedelta(hours=6)},
    }
    transform = dag.get_task("transform").python_callable
    assert transform.func is transform_result
    assert transform.keywords == {
        "recipe": Recipe(
            report="plays",
            bucket="acme-reports",
            database="reports_db",
            transforms=report.transforms,
            columns=report.columns,
            key=("user_id",),
            checks=transform.keywords["recipe"].checks,
            empty="skip",
            formats=("jsonl", "parquet"),
            query_logic=report.query_logic,
            transforms_logic=report.transforms_logic,
        ),
        "memory_limit": "512MB",
        "bucket_owner": "012345678901",
        "encryption": encryption,
        "aws_conn_id": "aws_reports",
    }
    names = [check.name for check in transform.keywords["recipe"].checks]
    assert names == ["columns", "unique(user_id)", "rows(at_least=1)"]
    assert attributes(
        dag.get_task("publish"),
        *("bucket", "report", "database", "channels", "deliver_within", "correct_within"),
        *("memory_limit", "bucket_owner", "encryption"),
    ) == {
        "bucket": "acme-reports",
        "report": "plays",
        "database": "reports_db",
        "channels": ("sales",),
        "deliver_within": timedelta(days=7),
        "correct_within": timedelta(days=30),
        "memory_limit": "512MB",
        "bucket_owner": "012345678901",
        "encryption": encryption,
    }
    for task in dag.tasks:
        assert task.owner == "analytics"
        assert getattr(task, "aws_conn_id", "aws_reports") == "aws_reports"
        assert getattr(task, "environment", "stg") == "stg"
    # Airflow stores these two. The Reports page reads the logic, and `run` compares both.
    assert dag.default_args["environment"] == "stg"
    # A template may include another one of the folder, and a name that nobody has set is an error.
    environment = dag.get_template_env()
    file = deployment.sql_folder / "plays.sql"
    assert environment.get_template("plays.sql").filename == str(file)
    assert environment.undefined is StrictUndefined
    assert dag.default_args["logic"] == report.logic
    assert (dag.catchup, dag.is_paused_upon_creation) == (True, True)
    assert dag.tags == {"athena-report", "weekly", "stg"}


@pytest.mark.parametrize("may_lose_rows", [False, True])
def test_a_report_whose_rows_may_be_lost_is_published_as_one(
    make_report: MakeReport, *, may_lose_rows: bool
) -> None:
    report = make_report(empty="publish", may_lose_rows=may_lose_rows)
    publish: Any = build_dag(report, WEEKS).get_task("publish")
    assert publish.may_lose_rows is may_lose_rows


def test_a_report_without_parquet_has_no_table(make_report: MakeReport) -> None:
    """Then nothing of it is in Glue: no step may look there, and the Reports page is told."""
    dag: Any = build_dag(make_report(outputs=["csv"]), WEEKS)
    assert dag.tags == {"athena-report", "weekly", "dev", "no-table"}
    run_query = dag.get_task("run_query")
    assert run_query.require.keywords["has_table"] is False
    assert dag.get_task("transform").python_callable.keywords["recipe"].database is None
    assert dag.get_task("publish").database is None


def test_a_workgroup_that_keeps_its_results_is_told_neither_place_nor_encryption(
    deployment: Settings, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Athena refuses a request that names them."""
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")
    settings.cache_clear()
    run_query = build().get_task("run_query")
    assert (run_query.result_configuration, run_query.unload_to) == ({}, None)


def test_retries_and_limits_are_those_of_the_dag(build: Any) -> None:
    retry = RetryPolicy(retries=5, first_pause=timedelta(minutes=2))
    dag = build(
        retry=retry, wait=LONG_QUERY_TIMEOUT, run_timeout=timedelta(hours=12), max_active_runs=2
    )
    pauses = {(task.retries, task.retry_delay) for task in dag.tasks}
    assert pauses == {(5, timedelta(minutes=2))}
    assert dag.get_task("wait_for_query").timeout == 6 * 3600
    assert (dag.dagrun_timeout, dag.max_active_runs) == (timedelta(hours=12), 2)


# --- mistakes


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("cadence", wrong) for wrong in (weekly, "weekly")),
        *(("delay", wrong) for wrong in (5, -SECOND)),
        ("params", ["top"]),
        *(("wait", wrong) for wrong in (60, timedelta(0), -SECOND)),
        ("retry", 3),
        ("max_active_runs", None),
        ("run_timeout", 3600),
        *(("due", wrong) for wrong in (5, -SECOND)),
        *((option, "me") for option in ("on_failure", "on_late", "on_warning", "deliver")),
        ("on_failure", [print]),
        ("deliver_within", -SECOND),
        ("deliver_when", "never"),
        ("correct_within", 7),
    ],
)
def test_an_option_that_is_not_valid_names_the_report(build: Any, option: str, value: Any) -> None:
    with pytest.raises(ReportError) as caught:
        build(**{option: value})
    assert (caught.value.declaration, caught.value.field) == ("Report 'plays'", option)


def test_a_workgroup_that_keeps_its_results_has_no_place_for_files(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")
    says = (
        "Report 'plays', field 'unload': the workgroup manages its query results. Remove unload,"
        " or set ATHENA_REPORTS_QUERY_RESULTS."
    )
    with pytest.raises(ReportError, match=f"^{re.escape(says)}$"):
        build(unload=True)


DECLARATION = """
from athena_reports import Report, build_dag, monthly, weekly
plays = Report(name="plays", sql="plays.sql", since="2025-01-01")
plays_weekly = build_dag(plays, weekly())
plays_monthly = build_dag(plays, monthly())
"""


def parsed(file: Path) -> Any:
    """What Airflow's DAG processor finds in one file: it parses each in a process of its own."""
    return DagBag(file, safe_mode=False)


@pytest.mark.usefixtures("sql_folder")
def test_a_second_file_that_declares_a_report_is_an_import_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is written, and through a link: a synchronized repository is one."""
    version = tmp_path / "version"
    version.mkdir()
    (tmp_path / "dags").symlink_to(version)
    text = DECLARATION.replace('name="plays", sql="plays.sql"', "sql='plays.sql', name='plays'")
    text = text.replace(" Report(", " athena_reports.Report(")
    (version / "a.py").write_text(f"import athena_reports\n{text}")
    (version / "b.py").write_text(DECLARATION)
    first, second = (tmp_path / "dags" / name for name in ("a.py", "b.py"))
    assert not parsed(second).import_errors  # what lies elsewhere, such as a test, is not Airflow's
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    assert sorted(parsed(first).dags) == ["plays_monthly", "plays_weekly"]
    found = parsed(second)
    (error,) = found.import_errors.values()
    assert (
        f"{version / 'b.py'} and {version / 'a.py'} both declare it, so their DAG ids are the"
        " same. Give it another name, or import the report from the other file."
    ) in error
    assert not found.dags


@pytest.mark.usefixtures("sql_folder")
def test_a_second_file_keeps_no_task_of_the_accepted_one_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have come since the DAG processor has accepted the other, and before a task begins."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    for name in ("a_copy", "plays"):
        (tmp_path / f"{name}.py").write_text(DECLARATION)
    assert parsed(tmp_path / "plays.py").import_errors
    # As the process of a task has them when it parses the file.
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "plays_weekly")
    assert parsed(tmp_path / "plays.py").import_errors
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "run_query")
    found = parsed(tmp_path / "plays.py")
    assert found.import_errors == {}
    assert "plays_weekly" in found.dags


@pytest.mark.usefixtures("sql_folder")
def test_a_report_that_another_file_imports_mentions_or_no_longer_has_is_declared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    files = {"declared_once": DECLARATION, "a_broken": DECLARATION + "(", "a_ignored": DECLARATION}
    files["a"] = "from declared_once import plays  # plays\nfrom athena_reports import *\n"
    # They have others, whose names and fields only look alike.
    files["a_longer"] = DECLARATION.replace('"plays"', '"plays_more"')
    files["a_owner"] = DECLARATION.replace('name="plays"', 'name="games", owner="plays"')
    files["a_other_call"] = "from athena_reports import *\nprint(dict(name='plays'))\n"
    files["z"] = (
        "from athena_reports import build_dag, daily\nfrom declared_once import plays\nz ="
        " build_dag(plays, daily())"
    )
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / ".airflowignore").write_text("a_ignored.py")

    for name in ("declared_once", "z"):
        found = parsed(tmp_path / f"{name}.py")
        assert not found.import_errors
        assert found.dags


def test_a_report_waits_for_its_inputs_if_one_of_them_says_so(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Airflow's default pool, so that a wait holds no slot for queries."""
    monkeypatch.setenv("ATHENA_REPORTS_POOL", "athena")
    inputs = [Input("plays", wait=timedelta(hours=6)), Input("users", columns=())]
    dag = build(inputs=inputs)
    assert [task.task_id for task in dag.topological_sort()] == ["wait_for_inputs", *TASKS]
    assert stored(dag).get_task("wait_for_inputs").downstream_task_ids == {"run_query"}
    wait = dag.get_task("wait_for_inputs")
    assert (wait.pool, dag.get_task("run_query").pool) == ("default_pool", "athena")

    without = build(inputs=[Input("plays")])
    assert [task.task_id for task in without.topological_sort()] == TASKS


def test_a_report_may_read_its_own_periods_of_another_cadence_but_never_itself(build: Any) -> None:
    days, months = Published("plays", daily(TOKYO)), Published("plays", monthly(TOKYO))
    assert build(monthly(TOKYO), inputs=[days]).dag_id == "plays_monthly"
    build(monthly(TOKYO), inputs=[Published("games", monthly(TOKYO))])
    for inputs in ([months], [days, months], [Input("users", columns=()), months]):
        with pytest.raises(ReportError) as caught:
            build(monthly(TOKYO), inputs=inputs)
        says = (
            "Report 'plays', field 'inputs': the report reads itself, plays_monthly. Read another"
            " report."
        )
        assert str(caught.value) == says
    with pytest.raises(ReportError, match="does not consist of whole periods of plays_monthly"):
        build(daily(TOKYO), inputs=[months])


def test_a_wait_that_is_longer_than_due_is_refused_where_somebody_is_told(build: Any) -> None:
    """All of its late periods would be told late while their runs still wait."""
    inputs = [
        Input("games", columns=()),
        Input("users", wait=timedelta(hours=1)),
        Input("plays", wait=timedelta(hours=6)),
    ]
    recorder = [Recorder("a")]
    says = (
        "Report 'plays', field 'due': due (3:00:00) is shorter than the wait for input plays"
        " (6:00:00). Increase due, or shorten the wait."
    )
    with pytest.raises(ReportError, match=f"^{re.escape(says)}$"):
        build(inputs=inputs, on_late=recorder)
    build(inputs=inputs, on_late=recorder, due=timedelta(hours=6))
    build(inputs=inputs, on_failure=recorder)
    build(inputs=inputs)


def test_a_run_that_would_end_before_its_wait_is_refused(build: Any) -> None:
    """The wait counts from the end of the period, the time of the run from its start."""
    inputs = [Input("plays", wait=timedelta(hours=6))]
    says = (
        "Report 'plays', field 'run_timeout': the run starts 1:00:00 after the end of the period"
        " and times out after 5:00:00, before the wait for input plays (6:00:00) ends. Increase"
        " run_timeout, or shorten the wait."
    )
    with pytest.raises(ReportError, match=f"^{re.escape(says)}$"):
        build(inputs=inputs, delay=timedelta(hours=1), run_timeout=timedelta(hours=5))
    build(inputs=inputs, delay=timedelta(hours=1), run_timeout=timedelta(hours=5, seconds=1))
    build(inputs=[Input("plays")], run_timeout=timedelta(minutes=1))
