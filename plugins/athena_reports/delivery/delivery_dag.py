"""Builds the DAG that delivers what a report publishes: `<report>_<cadence>_deliver`."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from airflow.sdk import DAG, Param

from athena_reports.delivery.channels import Channel
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.reports.report import MAINTENANCE_TAG, Report
from athena_reports.scheduling.asset_partitions import when_to_deliver
from athena_reports.scheduling.timetable import ALL_BUT_BACKFILLS
from athena_reports.settings import Settings

# A server that is down for some hours delays a delivery, and does not lose it: with these pauses a
# task tries for four hours at least.
_RETRIES = RetryPolicy(
    retries=12, first_pause=timedelta(minutes=1), factor=2.0, longest_pause=timedelta(minutes=30)
)
_ACTIVE_RUNS = 16  # a channel that fails for hours holds up no other
_DOC = """\
Delivers each version of `{dag_id}` to each channel: {channels}.

**Schedule.** On each publication within `deliver_within`, or within `correct_within` if the period
was delivered before. A run's partition key is the id of the period.

**Input.** The version that is published when the task runs, and its receipts.

**Rerun.** Clearing a task sends again. A retry sends only what has not been delivered yet.

**Permissions.** Read the report bucket, write below `receipts/` and `tries/` of its periods, and
delete below `receipts/`. Access the Airflow connections of the channels.
"""


def build_delivery_dag(
    dag: DAG,
    report: Report,
    cadence: Cadence,
    channels: Sequence[Channel],
    policy: DeliveryPolicy,
    *,
    on_failure_callback: Sequence[Callable[..., None]] | None,
    deployment: Settings,
) -> None:
    """Build the DAG `<report>_<cadence>_deliver`, with a task for each channel.

    A channel gets one version at a time, so that a correction follows what it corrects. Airflow
    registers the DAG as it is made, so it is not returned.
    """
    default_args = {
        **dag.default_args,
        **_RETRIES.arguments,
        "on_retry_callback": None,
        "on_failure_callback": on_failure_callback,
    }
    names = ", ".join(channel.name for channel in channels)
    period_param = Param(
        "",
        type=["null", "string"],
        title="Period",
        description_md=(
            "Id of the period to deliver, for a run that is triggered manually. A run that is"
            " started by a publication uses its partition key."
        ),
    )
    with DAG(
        f"{dag.dag_id}_deliver",
        description=f"Delivers {dag.dag_id}",
        doc_md=_DOC.format(dag_id=dag.dag_id, channels=names),
        schedule=when_to_deliver(dag.dag_id),
        catchup=False,
        max_active_runs=_ACTIVE_RUNS,
        allowed_run_types=ALL_BUT_BACKFILLS,
        is_paused_upon_creation=dag.is_paused_upon_creation,
        default_args=default_args,
        params={PERIOD_PARAM: period_param},
        tags=[MAINTENANCE_TAG, cadence.unit, deployment.environment],
    ):
        for channel in channels:
            DeliverOperator(
                task_id=channel.name,
                max_active_tis_per_dag=1,
                report=report,
                cadence=cadence,
                channel=channel,
                delivery_policy=policy,
                deployment=deployment,
            )
