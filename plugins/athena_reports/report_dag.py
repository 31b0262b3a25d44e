"""A report and a cadence become a DAG of four steps: submit, wait, transform, publish."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, Param, XComArg
from jinja2 import StrictUndefined

from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.periods.sql_period import ParamValue
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.priority import ScheduleFirst
from athena_reports.publication.publish_operator import S3PublishOperator
from athena_reports.publication.transform_task import Recipe, transform_result
from athena_reports.queries.submit_operator import (
    PERIOD_XCOM,
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_sensor import AthenaWaitSensor
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG, Report
from athena_reports.settings import settings

_OPTIONS = {  # type, and what to give
    "cadence": (Cadence, "a cadence, such as weekly(timezone='Asia/Tokyo')"),
    "delay": (timedelta, "a timedelta"),
    "params": (Mapping | None, "a dictionary, such as {'top': 1000}"),
    "wait": (WaitPolicy | None, "a WaitPolicy, such as PATIENT"),
    "retries": (int, "an integer"),
    "retry_delay": (timedelta, "a timedelta"),
    "max_active_runs": (int, "an integer"),
}


def build_dag(
    report: Report,
    cadence: Cadence,
    *,
    delay: timedelta = timedelta(minutes=5),
    params: Mapping[str, ParamValue] | None = None,
    wait: WaitPolicy | None = None,
    retries: int = 3,
    retry_delay: timedelta = timedelta(seconds=30),
    run_timeout: timedelta | None = None,
    max_active_runs: int = 16,
) -> DAG:
    """Build the DAG `<report>_<cadence>`: submit, wait, transform, publish; ReportError if an argument is wrong.

    Args:
        report: The report.
        cadence: The periods that it is made for.
        delay: How long after the end of a period its run starts: whole seconds.
        params: Params of the report that are different for this cadence.
        wait: How the query is waited for; None for the default policy.
        retries: How often a failed task is tried again.
        retry_delay: Pause before the first retry; it doubles with each.
        run_timeout: How long a run may take in all; None for no limit.
        max_active_runs: How many periods may run at once.
    """
    given = locals()
    for name, (kind, expected) in _OPTIONS.items():
        if not isinstance(given[name], kind):
            report.refuse(name, f"{given[name]!r} is not valid: give {expected}.")
    names = settings()
    if report.unload and not names.query_results:
        report.refuse("unload", "the workgroup manages its results. Set ATHENA_REPORTS_QUERY_RESULTS, or leave it out.")
    report = report.with_params(cadence.name, params or {})
    connection: dict[str, Any] = {"aws_conn_id": names.aws_conn_id}
    defaults = connection | {"owner": report.owner, "environment": names.environment}
    defaults |= {"retries": retries, "retry_delay": retry_delay, "retry_exponential_backoff": True}
    common = connection | {"memory_limit": names.memory_limit}
    common |= {"bucket_owner": names.bucket_owner, "encryption": names.encryption}
    target: dict[str, Any] = {"report": report.name, "bucket": names.report_bucket}
    target["database"] = names.report_database if report.has_table else None
    # Not in default_args: Airflow would store the object's address, so a new version of the DAG each time.
    first: dict[str, Any] = {"weight_rule": ScheduleFirst()}
    then: dict[str, Any] = {**first, "priority_weight": 2}  # what has begun is finished before another query starts

    days: Any = (report.since, report.until)
    begin, end = (day and datetime.combine(day, time.min, ZoneInfo(cadence.timezone)) for day in days)
    with DAG(
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
    ) as dag:
        run_query = AthenaSubmitOperator(
            task_id="run_query",
            query=report.sql_text,
            cadence=cadence,
            late_by=report.late_by,
            sql_params=report.params,
            inputs=report.inputs,
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
            checks=report.checks,
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
            reads_previous=any(source.previous for source in report.inputs),
            outlets=[Asset(dag.dag_id, uri=f"s3://{names.report_bucket}/{report.name}/{cadence.name}/")],
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
    return dag
