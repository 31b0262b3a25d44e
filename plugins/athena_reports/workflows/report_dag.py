"""A report and a cadence become a DAG of four steps: submit, wait, transform, publish."""

import ast
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, Param, XComArg, get_parsing_context
from airflow.utils.file import list_py_file_paths
from jinja2 import StrictUndefined

from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.periods.sql_period import ParamValue
from athena_reports.publication.location import Location
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG, Report
from athena_reports.scheduling.asset_partitions import period_asset
from athena_reports.scheduling.priority import ScheduleFirst
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import settings
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.run_query import (
    PERIOD_XCOM,
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.steps.scan_limit import measured_scan
from athena_reports.steps.transform import Recipe, transform_result
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from athena_reports.workflows.alerts import (
    CallbackDag,
    Notifiers,
    build_late_check,
    failure_callback,
    keep_reason,
    require_notifiers,
)
from athena_reports.workflows.preflight import require_account

_OPTIONS = {  # type, and what to give
    "cadence": (Cadence, "a cadence, such as weekly(timezone='Asia/Tokyo')"),
    "delay": (timedelta, "a timedelta"),
    "params": (Mapping | None, "a dictionary, such as {'top': 1000}"),
    "wait": (WaitPolicy | None, "a WaitPolicy, such as PATIENT"),
    "retry": (RetryPolicy | None, "a RetryPolicy of athena_reports, such as RetryPolicy(retries=5)"),
    "max_active_runs": (int, "an integer"),
    "due": (timedelta, "a timedelta"),
}


def build_dag(
    report: Report,
    cadence: Cadence,
    *,
    delay: timedelta = timedelta(minutes=5),
    params: Mapping[str, ParamValue] | None = None,
    wait: WaitPolicy | None = None,
    retry: RetryPolicy | None = None,
    run_timeout: timedelta | None = None,
    max_active_runs: int = 16,
    on_failure: Notifiers = (),
    due: timedelta = timedelta(hours=3),
    on_late: Notifiers = (),
) -> DAG:
    """Build the DAG `<report>_<cadence>`: submit, wait, transform, publish; ReportError if an argument is wrong.

    It is a ReportError too if another file of Airflow's `dags_folder` declares a report of the same name.

    Args:
        report: The report.
        cadence: The periods that it is made for.
        delay: How long after the end of a period its run starts: whole seconds.
        params: Params of the report that are different for this cadence.
        wait: How the query is waited for; None for the default policy.
        retry: How often and when a failed task is tried again; None for the default policy.
        run_timeout: How long a run may take in all; None for no limit.
        max_active_runs: How many periods may run at once.
        on_failure: Notifiers that are called when a run has failed.
        due: How long after its end a period is published at the latest: whole seconds, more than `delay`.
        on_late: Notifiers that are called when it is not; the DAG `<report>_<cadence>_late` looks.
    """
    given = locals()
    for name, (kind, expected) in _OPTIONS.items():
        if not isinstance(given[name], kind):
            report.refuse(name, f"{given[name]!r} is not valid: give {expected}.")
    require_notifiers(report, "on_failure", on_failure)
    require_notifiers(report, "on_late", on_late)
    if on_late and due <= delay:
        report.refuse("due", f"{due} is not later than the start of the run, {delay} after the end. Give more time.")
    names = settings()
    if report.unload and not names.query_results:
        report.refuse("unload", "the workgroup manages its results. Set ATHENA_REPORTS_QUERY_RESULTS, or leave it out.")
    _refuse_second_declaration(report, Path(sys._getframe(1).f_code.co_filename).resolve())
    report = report.with_params(cadence.name, params or {})
    connection: dict[str, Any] = {"aws_conn_id": names.aws_conn_id}
    defaults = connection | {"owner": report.owner, "environment": names.environment}
    defaults |= (retry or RetryPolicy()).arguments | {"on_failure_callback": keep_reason if on_failure else None}
    common = connection | {"memory_limit": names.memory_limit}
    common |= {"bucket_owner": names.bucket_owner, "encryption": names.encryption}
    target: dict[str, Any] = {"report": report.name, "bucket": names.report_bucket}
    target["database"] = names.report_database if report.has_table else None
    location = Location(names.report_bucket, report.name, cadence.name, "")
    measured: dict[str, Any] = {}
    if report.has_table:
        measured["measured"] = partial(measured_scan, database=names.report_database, location=location)
    # Not in default_args: Airflow would store the object's address, so a new version of the DAG each time.
    first: dict[str, Any] = {"weight_rule": ScheduleFirst()}
    then: dict[str, Any] = {**first, "priority_weight": 2}  # what has begun is finished before another query starts

    days: Any = (report.since, report.until)
    begin, end = (day and datetime.combine(day, time.min, ZoneInfo(cadence.timezone)) for day in days)
    with CallbackDag(
        f"{report.name}_{cadence.name}",
        description=f"{report.name}: {cadence.description}",
        doc_md=report.doc,
        schedule=PeriodTimetable(cadence, delay),
        start_date=begin,
        end_date=end,  # no period is scheduled that starts later
        catchup=names.catchup,
        is_paused_upon_creation=names.paused,
        max_active_runs=max_active_runs,
        dagrun_timeout=run_timeout,
        default_args=defaults,
        tags=[REPORT_TAG, cadence.name, names.environment, *([] if report.has_table else [NO_TABLE_TAG])],
        template_searchpath=str(names.sql_folder),
        template_undefined=StrictUndefined,
        on_failure_callback=failure_callback(cadence, on_failure),
    ) as dag:
        run_query = AthenaSubmitOperator(
            task_id="run_query",
            query=report.sql_text,
            cadence=cadence,
            late_by=report.late_by,
            sql_params=report.params,
            inputs=report.inputs,
            max_scan=report.max_scan,
            **measured,
            require=partial(require_account, settings=names, location=location, has_table=report.has_table),
            unload_to=f"{names.query_results}unload/" if report.unload else None,
            database=names.database,
            workgroup=names.workgroup,
            output_location=names.query_results,
            result_configuration=names.query_results and result_configuration(names.bucket_owner, names.encryption),
            pool=names.pool,
            **first,
        )
        wait_for_query = AthenaWaitSensor(
            task_id="wait_for_query",
            query_execution_id=run_query.output,
            period=XComArg(run_query, key=PERIOD_XCOM),
            policy=wait,
            deferrable=names.deferrable,
            pool=names.pool,
            **then,
        )
        recipe = Recipe(
            **target,
            cadence=cadence,
            transforms=report.transforms,
            columns=report.columns,
            checks=report.all_checks,
            empty=report.empty,
            formats=report.outputs,
        )
        transform = PythonOperator(
            task_id="transform",
            python_callable=partial(transform_result, recipe=recipe, **common),
            op_kwargs={"query": wait_for_query.output, "submitted": XComArg(run_query, key=SUBMITTED_XCOM)},
            **then,
        )
        publish = S3PublishOperator(
            task_id="publish",
            prepared=transform.output,
            late_by=report.late_by,
            logic=report.logic,
            reads_previous=any(source.previous for source in report.inputs),
            outlets=[Asset(dag.dag_id)],  # no uri: a consumer that names the asset could not know it
            keyed_outlets=[period_asset(dag.dag_id)],
            **target,
            **common,
            **then,
        )
        run_query >> wait_for_query >> transform >> publish
    # Set last: Airflow copies what is there into each task, once for each class that the operator is made of.
    example = cadence.containing(datetime(2025, 6, 15, 12, tzinfo=UTC)).id
    dag.params[PERIOD_PARAM] = Param(
        "",
        type=["null", "string"],  # a text alone would have to be filled in in the trigger form
        title="Period",
        description_md=(
            f"Id of the period, its first day in {cadence.timezone}, such as `{example}` ({cadence.description}). "
            f"If empty: the last period that is complete at the run's logical date, or when it starts if it has none. "
            f"Not for backfills: there each run takes its own period."
        ),
    )
    if on_late:
        build_late_check(dag, report, cadence, due=due, on_late=on_late, on_failure=on_failure)
    return dag


def _refuse_second_declaration(report: Report, file: Path) -> None:
    """Airflow parses each file by itself, and lets two files with one DAG id take each other's DAG over."""
    folder = Path(conf.get_mandatory_value("core", "dags_folder")).resolve()
    is_task = get_parsing_context().task_id is not None  # its DAG has been looked at
    declaring = [] if is_task or not file.is_relative_to(folder) else _declaring(report.name, folder)
    if file in declaring[1:]:
        way_out = "Give it another name, or import the report from there."
        report.refuse(
            "name", f"{file} declares it, and so does {declaring[0]}: their DAGs have the same ids. {way_out}"
        )


@cache
def _declaring(report: str, folder: Path) -> list[Path]:
    paths = {Path(path).resolve() for path in list_py_file_paths(folder, safe_mode=False)}
    return sorted(path for path in paths if _declares(path, report))


def _declares(path: Path, report: str) -> bool:
    source = path.read_bytes()
    if report.encode() not in source:
        return False
    with suppress(SyntaxError, ValueError):  # it has an import error of its own
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        given = [word for call in calls if ast.unparse(call.func).endswith("Report") for word in call.keywords]
        return any(word.arg == "name" and ast.unparse(word.value) == repr(report) for word in given)
    return False
