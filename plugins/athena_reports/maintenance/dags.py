"""The DAGs that keep the reports in order: cleanup and restatement."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, XComArg

from athena_reports.maintenance.cleanup import RetentionPolicy, clean_up_bucket
from athena_reports.maintenance.restatement import STALE_PARAM, AthenaRestatementsOperator
from athena_reports.maintenance.undelivered import PLANNED_XCOM, AthenaUndeliveredOperator
from athena_reports.reports.report import MAINTENANCE_TAG
from athena_reports.scheduling.timetable import ALL_BUT_BACKFILLS
from athena_reports.settings import settings


class CleanupDag(DAG):
    """The DAG of `build_cleanup`.

    Airflow does not store the attribute below. It is for code that imports the DAG's file.

    Attributes:
        policy: How long versions are kept that are not current.
    """

    policy: RetentionPolicy


_Dag = TypeVar("_Dag", bound=DAG)


def build_cleanup(
    policy: RetentionPolicy | None = None,
    *,
    delete: bool = False,
    every: timedelta = timedelta(days=1),
    doc: str | None = None,
) -> CleanupDag:
    """Build the DAG `athena_reports_cleanup`.

    It repairs what a crash left behind, and removes old versions.

    Args:
        policy: How long versions are kept that are not current; None for the default policy.
        delete: Whether to delete old versions; else they are only listed.
        every: How often it runs.
        doc: Markdown for the people who operate it.
    """
    deployment = settings()
    if policy is None:
        policy = RetentionPolicy()
    clean_up = partial(
        clean_up_bucket,
        policy=policy,
        delete=delete,
        bucket=deployment.report_bucket,
        database=deployment.report_database,
        environment=deployment.environment,
        bucket_owner=deployment.bucket_owner,
        encryption=deployment.encryption,
        aws_conn_id=deployment.aws_conn_id,
    )
    description = "Repairs what a crash left behind, and lists or deletes old versions"
    with _maintenance_dag("cleanup", description, every, doc, kind=CleanupDag) as dag:
        PythonOperator(task_id="clean_up", python_callable=clean_up)
    dag.policy = policy
    return dag


def build_restatement(every: timedelta = timedelta(minutes=30), doc: str | None = None) -> DAG:
    """Build the DAG `athena_reports_restatement`.

    It reports provisional periods again once late events have landed. With the param `stale`, it
    also reports stale periods again: what their SQL reads of the period before has changed since.
    And it starts the deliveries that no event has started.
    `every` says how often it runs; `doc` is Markdown for the people who operate it.
    """
    with _maintenance_dag(
        "restatement",
        "Restates periods once their late events have arrived",
        every,
        doc,
        kind=DAG,
        params={STALE_PARAM: Param(False, type="boolean", title="Include stale periods")},
    ) as dag:
        deployment = settings()
        find = AthenaRestatementsOperator(task_id="find", database=deployment.report_database)
        restate = TriggerDagRunOperator.partial(
            task_id="restate",
            logical_date=None,
            skip_when_already_exists=True,
            # One after the other, in the order of their map indexes: so the run of the oldest
            # period is created first, and a thousand triggers never fill the workers.
            max_active_tis_per_dagrun=1,
        )
        restate.expand_kwargs(find.output)
        AthenaUndeliveredOperator(
            task_id="deliver",
            planned=XComArg(find, PLANNED_XCOM),
            bucket_owner=deployment.bucket_owner,
        )
    return dag


def _maintenance_dag(
    name: str,
    description: str,
    every: timedelta,
    doc: str | None,
    *,
    kind: type[_Dag],
    params: Mapping[str, Param] | None = None,
) -> _Dag:
    deployment = settings()
    defaults = {"owner": "airflow", "retries": 1, "aws_conn_id": deployment.aws_conn_id}
    return kind(
        f"athena_reports_{name}",
        description=description,
        doc_md=doc,
        schedule=every,  # without a start date, the first run comes at once
        catchup=False,
        is_paused_upon_creation=deployment.paused,
        allowed_run_types=ALL_BUT_BACKFILLS,
        max_active_runs=1,
        default_args=defaults,
        params=params,
        tags=[MAINTENANCE_TAG, deployment.environment],
    )
