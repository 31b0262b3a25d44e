from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from athena_reports import (
    PATIENT,
    Report,
    RetryPolicy,
    WaitPolicy,
    build_dag,
    daily,
    monthly,
    quarterly,
    weekly,
    when_published,
    yearly,
)
from athena_reports.errors import ReportError, SettingsError
from athena_reports.periods import partitions
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.publication import publish_operator
from athena_reports.settings import settings

TOKYO = "Asia/Tokyo"
CADENCES = [
    (daily(TOKYO), "daily", "2025-06-15"),
    (weekly("sunday", TOKYO), "weekly", "2025-06-15"),
    (weekly("monday", TOKYO), "weekly", "2025-06-09"),
    (monthly(TOKYO), "monthly", "2025-06"),
    (quarterly(TOKYO), "quarterly", "2025-Q2"),
    (yearly(TOKYO), "yearly", "2025"),
]

MakeReport = Callable[..., Report]


@pytest.fixture
def make_report(sql_folder: Path) -> MakeReport:
    def make(**fields: Any) -> Report:
        return Report(**{"name": "plays", "sql": "plays.sql", "since": "2025-01-01"} | fields)

    return make


@pytest.mark.parametrize(("cadence", "name", "example"), CADENCES)
def test_the_contract_of_a_dag(make_report: MakeReport, cadence: Any, name: str, example: str) -> None:
    dag: Any = build_dag(make_report(owner="analytics", doc="# Plays"), cadence)

    assert dag.dag_id == f"plays_{name}"
    assert [task.task_id for task in dag.topological_sort()] == [
        "run_query",
        "wait_for_query",
        "transform",
        "publish",
    ]
    assert dag.timetable == PeriodTimetable(cadence, timedelta(minutes=5))
    assert dag.doc_md == "# Plays"
    assert {task.owner for task in dag.tasks} == {"analytics"}
    assert dag.tags == {"athena-report", name, "dev"}
    assert dag.start_date == datetime(2025, 1, 1, tzinfo=ZoneInfo(TOKYO))
    assert dag.timezone.name == TOKYO


@pytest.mark.parametrize(("cadence", "name", "example"), CADENCES)
def test_the_param_is_empty_by_default_and_explained_with_an_id_that_exists(
    make_report: MakeReport, cadence: Any, name: str, example: str
) -> None:
    dag = build_dag(make_report(), cadence)

    assert list(dag.params) == ["period"]
    param = dag.params.get_param("period")
    assert param.value == ""
    text = param.schema["description_md"]
    assert f"`{example}`" in text
    assert cadence.period(example).id == example
    for explained in ("logical date", "last period that is complete", "Not for backfills", TOKYO):
        assert explained in text


def test_each_step_waits_for_the_one_before_even_where_data_says_so_already(make_report: MakeReport) -> None:
    dag = build_dag(make_report(), weekly("sunday", TOKYO))

    assert dag.get_task("run_query").downstream_task_ids >= {"wait_for_query"}
    assert "transform" in dag.get_task("wait_for_query").downstream_task_ids
    assert "publish" in dag.get_task("transform").downstream_task_ids
    assert dag.get_task("publish").downstream_task_ids == set()


def test_its_assets_are_those_that_a_consumer_names(make_report: MakeReport) -> None:
    publish: Any = build_dag(make_report(), weekly("sunday", TOKYO)).get_task("publish")
    by_period: Any = when_published("plays", weekly("sunday", TOKYO)).asset_condition

    consumed = [Asset("plays_weekly"), by_period]
    assert [(asset.name, asset.uri) for asset in publish.outlets] == [(asset.name, asset.uri) for asset in consumed]


def test_before_airflow_3_3_there_is_no_asset_with_keyed_events(
    make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "airflow.partition_mappers.window", None)
    without = runpy.run_path(partitions.__file__)["HAS_KEYED_EVENTS"]
    monkeypatch.setattr(publish_operator, "HAS_KEYED_EVENTS", without)
    publish: Any = build_dag(make_report(), weekly("sunday", TOKYO)).get_task("publish")

    assert publish.outlets == [Asset("plays_weekly")]


def test_reports_start_unpaused_and_without_catching_up(make_report: MakeReport) -> None:
    dag = build_dag(make_report(), weekly("sunday", TOKYO))

    assert (dag.catchup, dag.is_paused_upon_creation) == (False, False)
    assert dag.get_task("run_query").unload_to is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("environment", ["dev", "stg", "prd"])
def test_the_names_of_the_environment_reach_every_step(
    make_report: MakeReport, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_ENV", environment)
    dag = build_dag(make_report(), weekly("sunday", TOKYO))

    run_query: Any = dag.get_task("run_query")
    transform: Any = dag.get_task("transform")
    publish: Any = dag.get_task("publish")
    assert run_query.database == f"database_{environment}"
    assert run_query.workgroup == environment
    assert run_query.output_location == f"s3://athena-query-result-{environment}/"
    assert transform.python_callable.keywords["recipe"].bucket == f"athena-report-{environment}"
    assert publish.bucket == f"athena-report-{environment}"
    assert publish.environment == environment
    assert publish.database == f"report_{environment}"
    assert environment in dag.tags
    assert {task.pool for task in dag.tasks} == {"default_pool"}
    sensor: Any = dag.get_task("wait_for_query")
    assert run_query.environment == sensor.environment == environment


def test_each_setting_reaches_its_steps(make_report: MakeReport, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POOL": "athena", "MEMORY_LIMIT": "512MB", "AWS_CONN_ID": "aws_reports"}.items():
        monkeypatch.setenv(f"ATHENA_REPORTS_{name}", value)
    for name in ("CATCHUP", "PAUSED"):
        monkeypatch.setenv(f"ATHENA_REPORTS_{name}", "true")
    monkeypatch.setenv("ATHENA_REPORTS_DEFERRABLE", "false")
    dag: Any = build_dag(make_report(unload=True), weekly("sunday", TOKYO))

    run_query, sensor, transform, publish = dag.topological_sort()
    assert (dag.catchup, dag.is_paused_upon_creation) == (True, True)
    assert (sensor.deferrable, sensor.reschedule) == (False, True)
    assert {task.task_id for task in dag.tasks if task.pool == "athena"} == {"run_query", "wait_for_query"}
    assert transform.python_callable.keywords["memory_limit"] == publish.memory_limit == "512MB"
    assert {task.aws_conn_id for task in (run_query, sensor, publish)} == {"aws_reports"}
    assert transform.python_callable.keywords["aws_conn_id"] == "aws_reports"
    assert run_query.unload_to == "s3://athena-query-result-dev/unload/"


def test_retries_wait_limits_and_params_differ_by_cadence(make_report: MakeReport) -> None:
    report = make_report(params={"top": 100})
    week = build_dag(report, weekly("sunday", TOKYO), retry=RetryPolicy(retries=1))
    month = build_dag(
        report,
        monthly(TOKYO),
        params={"top": 1000},
        wait=PATIENT,
        retry=RetryPolicy(retries=5, first_pause=timedelta(minutes=2)),
        run_timeout=timedelta(hours=12),
        max_active_runs=2,
    )

    of_week: Any = week.get_task("run_query")
    of_month: Any = month.get_task("run_query")
    assert (of_week.sql_params, of_month.sql_params) == ({"top": 100}, {"top": 1000})
    sensor_of_week: Any = week.get_task("wait_for_query")
    sensor_of_month: Any = month.get_task("wait_for_query")
    assert (sensor_of_week.policy, sensor_of_month.policy) == (WaitPolicy(), PATIENT)
    assert sensor_of_month.timeout == PATIENT.give_up_after.total_seconds()
    assert {task.retries for task in week.tasks} == {1}
    assert {task.retries for task in month.tasks} == {5}
    assert {task.retry_delay for task in month.tasks} == {timedelta(minutes=2)}
    assert (week.dagrun_timeout, month.dagrun_timeout) == (None, timedelta(hours=12))
    assert month.max_active_runs == 2


def test_the_lateness_reaches_the_filter_and_the_manifest(make_report: MakeReport) -> None:
    dag = build_dag(make_report(late_by=timedelta(days=1)), weekly("sunday", TOKYO))

    run_query: Any = dag.get_task("run_query")
    publish: Any = dag.get_task("publish")
    assert run_query.late_by == publish.late_by == timedelta(days=1)


def test_a_dag_survives_the_metadata_database(make_report: MakeReport) -> None:
    dag = build_dag(make_report(params={"top": 1}), weekly("sunday", TOKYO))

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable == dag.timetable
    assert {task.task_id: task.task_type for task in stored.tasks} == {
        "run_query": "AthenaSubmitOperator",
        "wait_for_query": "AthenaWaitSensor",
        "transform": "PythonOperator",
        "publish": "S3PublishOperator",
    }
    assert stored.params.dump() == {"period": ""}


@pytest.mark.parametrize(
    ("cadence", "last"),
    [(weekly("sunday", TOKYO), "2025-06-29"), (monthly(TOKYO), "2025-06"), (daily(TOKYO), "2025-06-30")],
)
def test_a_report_that_ended_schedules_no_period_that_starts_later(
    make_report: MakeReport, cadence: Any, last: str
) -> None:
    dag = build_dag(make_report(until="2025-06-30"), cadence)
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    within = TimeRestriction(*stored._time_restriction[:2], catchup=True)
    starts, interval = [], None
    while info := stored.timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=within):
        interval = info.data_interval
        starts.append(cadence.containing(interval.start).id)
    assert starts[-1] == last


# --- mistakes


@pytest.mark.parametrize(("params", "field"), [({"topp": 1}, "params['topp']"), ({"top": "x"}, "params['top']")])
def test_params_of_a_cadence_that_do_not_fit_the_report(
    make_report: MakeReport, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(ReportError) as caught:
        build_dag(make_report(params={"top": 1}), monthly(TOKYO), params=params)
    assert caught.value.field == field


def test_a_missing_setting_is_an_error_while_parsing(make_report: MakeReport, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make_report()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    settings.cache_clear()

    with pytest.raises(SettingsError, match="ATHENA_REPORTS_ENV is not set"):
        build_dag(report, weekly("sunday", TOKYO))


@pytest.mark.parametrize(
    ("option", "value", "example"),
    [
        ("cadence", weekly, "weekly(timezone='Asia/Tokyo')"),
        ("cadence", "weekly", "weekly(timezone='Asia/Tokyo')"),
        ("delay", 5, "timedelta"),
        ("params", ["top"], "{'top': 1000}"),
        ("wait", 60, "PATIENT"),
        ("retry", 3, "RetryPolicy(retries=5)"),
        ("max_active_runs", None, "integer"),
    ],
)
def test_an_option_of_the_wrong_type_names_the_report_and_what_is_expected(
    make_report: MakeReport, option: str, value: Any, example: str
) -> None:
    options = {"cadence": weekly("sunday", TOKYO), option: value}

    with pytest.raises(ReportError) as caught:
        build_dag(make_report(), **options)
    assert (caught.value.report, caught.value.field) == ("plays", option)
    assert example in str(caught.value)


@pytest.mark.parametrize("delay", [timedelta(minutes=-1), timedelta(microseconds=1)])
def test_a_run_that_would_start_before_its_period_has_ended(make_report: MakeReport, delay: timedelta) -> None:
    with pytest.raises(ValueError, match="give whole seconds, zero or more"):
        build_dag(make_report(), weekly("sunday", TOKYO), delay=delay)


def test_a_workgroup_that_keeps_its_results_has_no_place_for_files(
    make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")

    dag: Any = build_dag(make_report(), weekly("sunday", TOKYO))
    assert dag.get_task("run_query").output_location is None
    with pytest.raises(ReportError, match="ATHENA_REPORTS_QUERY_RESULTS"):
        build_dag(make_report(unload=True), weekly("sunday", TOKYO))


@dataclass
class Instance:
    """The part of a task instance that a priority strategy looks at."""

    task: Any
    run_id: str


def test_the_schedule_goes_before_backfills_and_what_runs_before_what_waits(make_report: MakeReport) -> None:
    dag = build_dag(make_report(), weekly("sunday", TOKYO))

    def weight(task_id: str, run_id: str) -> int:
        task: Any = dag.get_task(task_id)
        return int(task.weight_rule.get_weight(Instance(task, run_id)))

    order = [
        {weight(task_id, f"{kind}__2025-06-08T00:00:00+00:00") for task_id in task_ids}
        for kind in ("backfill", "scheduled")
        for task_ids in (["run_query"], ["wait_for_query", "transform", "publish"])
    ]
    assert all(max(later) < min(sooner) for later, sooner in pairwise(order))
    assert {weight("run_query", "manual__2025-06-08T00:00:00+00:00")} == order[2]
    assert {weight("run_query", "fill__2025-06-08__2025-08-01T00:00:00+00:00")} == order[0]


def test_a_dag_is_the_same_each_time_it_is_parsed(make_report: MakeReport) -> None:
    """Else Airflow would make a new version of it each time: no address of an object may be in it."""
    dag = build_dag(make_report(), weekly("sunday", TOKYO))

    assert " object at 0x" not in json.dumps(DagSerialization.to_dict(dag))


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
@pytest.mark.parametrize("second", ["plays_copy.py", "team/plays.py"])
def test_a_second_file_that_declares_a_report_is_an_import_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    first, copy = tmp_path / "dags" / "plays.py", tmp_path / "dags" / second
    copy.parent.mkdir(parents=True)
    for file in (first, copy):
        file.write_text(DECLARATION)
    assert not parsed(copy).import_errors  # what lies elsewhere, such as a test, is not Airflow's
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))

    assert sorted(parsed(first).dags) == ["plays_monthly", "plays_weekly"]
    found = parsed(copy)
    (error,) = found.import_errors.values()
    assert str(first) in error
    assert str(copy) in error
    assert not found.dags


@pytest.mark.usefixtures("sql_folder")
def test_a_report_that_another_file_imports_mentions_or_no_longer_has_is_declared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (tmp_path / "declared_once.py").write_text(DECLARATION)
    (tmp_path / "a.py").write_text("from declared_once import plays  # plays\nfrom athena_reports import *\n")
    (tmp_path / "a_broken.py").write_text(DECLARATION + "(")
    (tmp_path / "a_ignored.py").write_text(DECLARATION)
    (tmp_path / ".airflowignore").write_text("a_ignored.py")
    (tmp_path / "z.py").write_text(
        "from athena_reports import build_dag, daily\nfrom declared_once import plays\ndag = build_dag(plays, daily())"
    )

    for file in ("declared_once.py", "z.py"):
        found = parsed(tmp_path / file)
        assert not found.import_errors
        assert found.dags
