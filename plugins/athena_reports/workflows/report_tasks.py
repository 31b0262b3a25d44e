"""The tasks of a report in one cadence: run_query, wait_for_query, transform, publish.

Each task reads the DAG's file in a process of its own. So what not every report has, and what only
one step works with, is imported where it is used.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import Asset, XComArg

from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication.location import ReportLocation
from athena_reports.reports.report import Report
from athena_reports.scheduling.asset_partitions import delivery_asset, period_asset
from athena_reports.scheduling.priority import ScheduleFirst
from athena_reports.settings import Settings
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.recipe import Recipe
from athena_reports.steps.run_query import (
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.steps.transform import transform_result
from athena_reports.steps.wait_for_query import AthenaWaitSensor

if TYPE_CHECKING:
    from datetime import timedelta

    from athena_reports.aws.hook import SharedSessionHook
    from athena_reports.delivery.channels import Channel

_WEIGHT_OF_STARTED_RUNS = 2  # a run that has started goes before the next query


def add_tasks(
    report: Report,
    cadence: Cadence,
    deployment: Settings,
    *,
    dag_id: str,
    wait: "timedelta",
    channels: Sequence["Channel"],
    delivery_policy: DeliveryPolicy,
) -> None:
    """Add the tasks to the DAG of the context, whose default_args have what all of them take."""
    # The weight rule is not in default_args. There Airflow would store the address of the object,
    # which differs in each process, and so make a new version of the DAG at each parse.
    run_query = _run_query(report, cadence, deployment)
    submitted = XComArg(run_query, key=SUBMITTED_XCOM)
    wait_for_query = AthenaWaitSensor(
        task_id="wait_for_query",
        query_execution_id=run_query.output,
        submitted=submitted,
        timeout=wait,
        deferrable=deployment.deferrable,
        pool=deployment.pool,
        weight_rule=ScheduleFirst(),
        priority_weight=_WEIGHT_OF_STARTED_RUNS,
    )
    make_version = partial(
        transform_result,
        recipe=_recipe(report, deployment),
        memory_limit=deployment.memory_limit,
        bucket_owner=deployment.bucket_owner,
        encryption=deployment.encryption,
        aws_conn_id=deployment.aws_conn_id,
    )
    transform = PythonOperator(
        task_id="transform",
        python_callable=make_version,
        op_kwargs={"query": wait_for_query.output, "submitted": submitted},
        weight_rule=ScheduleFirst(),
        priority_weight=_WEIGHT_OF_STARTED_RUNS,
    )
    channel_names = [channel.name for channel in channels]
    delivery_outlets = [delivery_asset(dag_id)] if channels else []
    publish = S3PublishOperator(
        task_id="publish",
        prepared=transform.output,
        submitted=submitted,
        bucket=deployment.report_bucket,
        report=report.name,
        environment=deployment.environment,
        database=_table_database(report, deployment),
        may_lose_rows=report.may_lose_rows,
        channels=channel_names,
        deliver_within=delivery_policy.within,
        correct_within=delivery_policy.correct_within,
        # Without a uri: a consumer that names the asset could not know it.
        outlets=[Asset(dag_id)],
        keyed_outlets=[period_asset(dag_id)],
        delivery_outlets=delivery_outlets,
        memory_limit=deployment.memory_limit,
        bucket_owner=deployment.bucket_owner,
        encryption=deployment.encryption,
        weight_rule=ScheduleFirst(),
        priority_weight=_WEIGHT_OF_STARTED_RUNS,
    )
    run_query >> wait_for_query >> transform >> publish
    if any(source.wait is not None for source in report.inputs):
        from athena_reports.steps.missing_inputs import INPUTS_TASK
        from athena_reports.steps.wait_for_inputs import InputsWaitSensor

        # In Airflow's default pool: a wait must hold none of the slots for queries.
        wait_for_inputs = InputsWaitSensor(
            task_id=INPUTS_TASK,
            cadence=cadence,
            late_by=report.late_by,
            inputs=report.inputs,
            database=deployment.database,
            deferrable=deployment.deferrable,
            weight_rule=ScheduleFirst(),
        )
        wait_for_inputs >> run_query


def _run_query(report: Report, cadence: Cadence, deployment: Settings) -> AthenaSubmitOperator:
    unload_to = f"{deployment.query_results}unload/" if report.unload else None
    location = ReportLocation.of(deployment.report_bucket, report.name, cadence)
    require = partial(
        _require_payable,
        settings=deployment,
        location=location,
        has_table=report.has_table,
        max_scan=report.max_scan,
    )
    return AthenaSubmitOperator(
        task_id="run_query",
        query=report.sql_text,
        cadence=cadence,
        late_by=report.late_by,
        sql_params=report.params,
        inputs=report.inputs,
        require=require,
        query_logic=report.query_logic,
        unload_to=unload_to,
        database=deployment.database,
        workgroup=deployment.workgroup,
        result_configuration=result_configuration(deployment),
        pool=deployment.pool,
        weight_rule=ScheduleFirst(),
    )


def _recipe(report: Report, deployment: Settings) -> Recipe:
    return Recipe(
        report=report.name,
        bucket=deployment.report_bucket,
        database=_table_database(report, deployment),
        transforms=report.transforms,
        columns=report.columns,
        key=report.row_key,
        checks=report.all_checks,
        empty=report.empty,
        formats=report.outputs,
        query_logic=report.query_logic,
        transforms_logic=report.transforms_logic,
    )


def _table_database(report: Report, deployment: Settings) -> str | None:
    return deployment.report_database if report.has_table else None


def _require_payable(hook: "SharedSessionHook", period: Period, **report: Any) -> None:
    from athena_reports.workflows.preflight import require_payable

    require_payable(hook, period, **report)
