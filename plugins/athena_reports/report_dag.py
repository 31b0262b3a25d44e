"""The only place where DAGs are made: a report and a cadence become a DAG of four steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, Param, XComArg
from airflow.sdk.definitions._internal.contextmanager import DagContext
from jinja2 import StrictUndefined

from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.priority import ScheduleFirst
from athena_reports.publication.cleanup import Policy
from athena_reports.publication.publish_operator import S3PublishOperator
from athena_reports.publication.restatement import STALE_PARAM, AthenaRestatementsOperator
from athena_reports.publication.transform_task import Recipe, stage_result
from athena_reports.publication.upkeep import AthenaReportsUpkeepOperator
from athena_reports.queries.orphans import AthenaReconcileOperator
from athena_reports.queries.submit_operator import (
    PERIOD_XCOM,
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_sensor import AthenaWaitSensor
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG, Report
from athena_reports.reports.sql_template import ParamValue
from athena_reports.settings import settings


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
    """Build the DAG `<report>_<cadence>`: submit, wait, transform, publish.

    Args:
        report: What is reported.
        cadence: For which periods.
        delay: How long after the end of a period its run starts.
        params: Params of the report that are different for this cadence.
        wait: How the query is waited for; None for the default policy.
        retries: How often a failed task is tried again.
        retry_delay: Pause before the first retry; it doubles with each.
        run_timeout: How long a run may take in all; None for no limit.
        max_active_runs: How many periods may be under way at once.

    Raises:
        ReportError: The DAG was built already, or `params` do not fit the report.
        SettingsError: A setting of the environment is missing or wrong.
    """
    _require_arguments(report, cadence, delay, retry_delay, retries=retries, max_active_runs=max_active_runs)
    if wait is not None and not isinstance(wait, WaitPolicy):
        report.refuse("wait", f"{wait!r} is no wait policy.", "Give a WaitPolicy(...), or leave it out.")
    if params is not None and not isinstance(params, Mapping):
        report.refuse("params", f"{params!r} is no mapping.", 'Write params={"top": 1000}.')
    names = settings()
    if report.unload and not names.query_results:
        report.refuse(
            "unload",
            "the workgroup keeps results by itself, so there is no place to write files to.",
            "Set ATHENA_REPORTS_QUERY_RESULTS to a location in S3, or leave unload out.",
        )
    dag_id = f"{report.name}_{cadence.name}"
    # Not in default_args: Airflow would store the object's address, so a new version of the DAG each time.
    schedule_first: dict[str, Any] = {"weight_rule": ScheduleFirst()}
    # What has begun is finished before another query is started.
    begun: dict[str, Any] = {**schedule_first, "priority_weight": 2}
    sql_params = report.params_for(cadence.name, params or {})
    # Airflow notices a second DAG of one id only where one process reads all files, and its DAG processor
    # does not. This set is Airflow's own: the DAGs of the file that is being read.
    report.require_first(dag_id, {dag.dag_id for dag, _ in DagContext.autoregistered_dags})
    with DAG(
        dag_id,
        description=f"{report.name}: {cadence.description}",
        doc_md=report.doc,
        schedule=PeriodTimetable(cadence, delay),
        start_date=datetime.combine(report.since_date, time.min, ZoneInfo(cadence.timezone)),
        catchup=names.catchup,
        is_paused_upon_creation=names.paused,
        max_active_runs=max_active_runs,
        dagrun_timeout=run_timeout,
        default_args={
            "owner": report.owner,
            "retries": retries,
            "retry_delay": retry_delay,
            "retry_exponential_backoff": True,
        },
        params={PERIOD_PARAM: _period_param(cadence)},
        tags=[REPORT_TAG, cadence.name, names.environment, *([] if report.has_table else [NO_TABLE_TAG])],
        template_searchpath=str(names.sql_folder),
        template_undefined=StrictUndefined,
    ) as dag:
        run_query = AthenaSubmitOperator(
            task_id="run_query",
            query=report.sql_text,
            cadence=cadence,
            late_by=report.late_by,
            sql_params=sql_params,
            environment=names.environment,
            inputs=report.inputs,
            unload_to=f"{names.query_results}unload/" if report.unload else None,
            database=names.database,
            workgroup=names.workgroup,
            output_location=names.query_results,
            result_configuration=(
                result_configuration(names.bucket_owner, names.encryption) if names.query_results else None
            ),
            aws_conn_id=names.aws_conn_id,
            pool=names.pool,
            **schedule_first,
        )
        wait_for_query = AthenaWaitSensor(
            task_id="wait_for_query",
            query_execution_id=run_query.output,
            period=XComArg(run_query, key=PERIOD_XCOM),
            policy=wait,
            environment=names.environment,
            deferrable=names.deferrable,
            aws_conn_id=names.aws_conn_id,
            pool=names.pool,
            **begun,
        )
        transform = PythonOperator(
            task_id="transform",
            python_callable=partial(
                stage_result,
                recipe=Recipe(
                    report=report.name,
                    cadence=cadence,
                    bucket=names.report_bucket,
                    transforms=report.transforms,
                    checks=report.checks,
                    empty=report.empty,
                    formats=report.outputs,
                ),
                bucket_owner=names.bucket_owner,
                encryption=names.encryption,
                aws_conn_id=names.aws_conn_id,
            ),
            op_kwargs={
                "query": wait_for_query.output,
                "submitted": XComArg(run_query, key=SUBMITTED_XCOM),
            },
            **begun,
        )
        publish = S3PublishOperator(
            task_id="publish",
            staged=transform.output,
            bucket=names.report_bucket,
            report=report.name,
            environment=names.environment,
            late_by=report.late_by,
            reads_previous=any(source.previous for source in report.inputs),
            database=names.report_database if report.has_table else None,
            bucket_owner=names.bucket_owner,
            encryption=names.encryption,
            aws_conn_id=names.aws_conn_id,
            outlets=[Asset(dag_id, uri=f"s3://{names.report_bucket}/{report.name}/{cadence.name}/")],
            **begun,
        )
        run_query >> wait_for_query >> transform >> publish
    return dag


def build_reconciler(every: timedelta = timedelta(minutes=10), doc: str | None = None) -> DAG:
    """Build the DAG `athena_reports_reconciler`: it stops queries that nobody wants any more.

    Args:
        every: How often.
        doc: Markdown for the people who operate it.
    """
    names = settings()
    with DAG(
        "athena_reports_reconciler",
        description="Stops the reports' queries that nobody waits for any more",
        doc_md=doc,
        schedule=every,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        is_paused_upon_creation=names.paused,
        max_active_runs=1,
        dagrun_timeout=every,
        default_args={"owner": "airflow", "retries": 0},
        tags=["athena-reports-upkeep", names.environment],
    ) as dag:
        AthenaReconcileOperator(
            task_id="stop_unwanted_queries",
            workgroup=names.workgroup,
            environment=names.environment,
            aws_conn_id=names.aws_conn_id,
        )
    return dag


def build_upkeep(
    policy: Policy | None = None,
    *,
    delete: bool = False,
    every: timedelta = timedelta(days=1),
    doc: str | None = None,
) -> DAG:
    """Build the DAG `athena_reports_upkeep`: it repairs what a crash left behind, and removes old versions.

    Args:
        policy: How long versions stay that are not current; None for the default policy.
        delete: Whether to delete what may go; else it is only listed.
        every: How often.
        doc: Markdown for the people who operate it.
    """
    names = settings()
    with DAG(
        "athena_reports_upkeep",
        description="Repairs and tidies what the reports have published",
        doc_md=doc,
        schedule=every,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        is_paused_upon_creation=names.paused,
        max_active_runs=1,
        default_args={"owner": "airflow", "retries": 1},
        tags=["athena-reports-upkeep", names.environment],
    ) as dag:
        AthenaReportsUpkeepOperator(
            task_id="repair_and_tidy",
            bucket=names.report_bucket,
            database=names.report_database,
            policy=policy or Policy(),
            delete=delete,
            bucket_owner=names.bucket_owner,
            encryption=names.encryption,
            aws_conn_id=names.aws_conn_id,
        )
    return dag


def build_restatement(every: timedelta = timedelta(minutes=30), doc: str | None = None) -> DAG:
    """Build the DAG `athena_reports_restatement`: it reports periods again whose numbers have changed.

    Those are provisional periods whose late events have landed. With the param `stale`, also periods whose
    SQL reads the period before, if that one was restated since.

    Args:
        every: How often.
        doc: Markdown for the people who operate it.
    """
    names = settings()
    with DAG(
        "athena_reports_restatement",
        description="Reports periods again when late events have landed",
        doc_md=doc,
        schedule=every,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        is_paused_upon_creation=names.paused,
        max_active_runs=1,
        default_args={"owner": "airflow", "retries": 1},
        params={STALE_PARAM: Param(False, type="boolean", title="Stale periods too")},
        tags=["athena-reports-upkeep", names.environment],
    ) as dag:
        found = AthenaRestatementsOperator(
            task_id="find", database=names.report_database, aws_conn_id=names.aws_conn_id
        )
        TriggerDagRunOperator.partial(
            task_id="restate", logical_date=None, skip_when_already_exists=True, max_active_tis_per_dagrun=1
        ).expand_kwargs(found.output)
    return dag


def _require_arguments(
    report: Report, cadence: Cadence, delay: timedelta, retry_delay: timedelta, **counts: int
) -> None:
    """Refuse arguments of `build_dag` of the wrong kind, in the report's name."""
    if not isinstance(cadence, Cadence):
        hint = "Call it, " if callable(cadence) else "Give "
        report.refuse(
            "cadence", f"{cadence!r} is no cadence.", f"{hint}such as weekly(timezone='Asia/Tokyo')."
        )
    for name, duration in (("delay", delay), ("retry_delay", retry_delay)):
        if not isinstance(duration, timedelta) or duration < timedelta(0) or duration.microseconds:
            report.refuse(
                name, f"{duration!r} is no duration.", "Give a timedelta of whole seconds, 0 or more."
            )
    for name, least in (("retries", 0), ("max_active_runs", 1)):
        if not isinstance(counts[name], int) or counts[name] < least:
            report.refuse(name, f"{counts[name]!r} is too few, or no number.", f"Give {least} or more.")


def _period_param(cadence: Cadence) -> Param:
    example = cadence.on(date(2025, 6, 15)).id
    return Param(
        "",
        type=["null", "string"],  # a text alone would have to be filled in in the trigger form
        title="Period",
        description_md=(
            f"Id of the period to report on, its first day in {cadence.timezone}, such as `{example}` "
            f"({cadence.description}). Leave it empty for the usual one: a run with a logical date takes the "
            f"last period that is complete at that date, a run without one the last period that is complete "
            f"when it starts. Not for backfills: there each run takes its own period."
        ),
    )
