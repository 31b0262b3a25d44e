"""Builds the DAG of a report in one cadence: submit, wait, transform, publish.

Before that it waits for the inputs that have a `wait`. With notifiers it also builds the DAG beside
it that alerts, and with channels the one that delivers. Other reports do without their imports.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, BaseNotifier, Param
from jinja2 import StrictUndefined
from pydantic import Field, InstanceOf

from athena_reports.alerts.policy import AlertPolicy
from athena_reports.declaration import validated
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG, Report
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import Settings, settings
from athena_reports.steps.wait_for_query import QUERY_TIMEOUT
from athena_reports.workflows.options import (
    require_parts,
    require_place_for_unload,
    require_time_for_inputs,
    require_time_to_alert,
)
from athena_reports.workflows.report_tasks import add_tasks
from athena_reports.workflows.second_declaration import refuse_second_declaration

if TYPE_CHECKING:
    from athena_reports.delivery.channels import Channel

LONG_QUERY_TIMEOUT = timedelta(hours=6)
"""How long to wait for long queries, such as that of a month over a large table."""

_INSTANT_IN_EXAMPLE_PERIOD = datetime(2025, 6, 15, 12, tzinfo=UTC)


_Time = Annotated[timedelta, Field(ge=timedelta(0))]
_Notifiers = Sequence[InstanceOf[BaseNotifier]]


class BuiltDag(DAG):
    """The DAG that `build_dag` makes of a report. Its callbacks may be set at any time.

    Airflow stores none of the attributes below. They are for code that imports the DAG's file.
    """

    report: Report  # with the params of this cadence
    cadence: Cadence
    channels: Sequence["Channel"]
    delivery_policy: DeliveryPolicy

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("on_failure_callback", "on_success_callback"):
            # The scheduler asks for a callback only if `has_...` is set. Airflow sets it when the
            # DAG is made, but not when a callback is set later.
            super().__setattr__(f"has_{name}", bool(value))


@validated
def build_dag(
    report: InstanceOf[Report],
    cadence: InstanceOf[Cadence],
    *,
    delay: _Time = timedelta(minutes=5),
    params: Mapping[str, Any] | None = None,
    wait: Annotated[timedelta, Field(gt=timedelta(0))] = QUERY_TIMEOUT,
    retry: InstanceOf[RetryPolicy] | None = None,
    run_timeout: timedelta | None = None,
    max_active_runs: int = 16,
    on_failure: _Notifiers = (),
    due: _Time = timedelta(hours=3),
    on_late: _Notifiers = (),
    on_warning: _Notifiers = (),
    deliver: Sequence[Any] = (),
    deliver_within: _Time = timedelta(days=7),
    deliver_when: Literal["published", "final"] = "published",
    correct_within: _Time = timedelta(days=60),
) -> BuiltDag:
    """Build the DAG `<report>_<cadence>`: submit, wait, transform, publish.

    If an input has a `wait`, the DAG begins with waiting for it.

    With notifiers it has the DAG `<report>_<cadence>_alerts` beside it, which looks when a period
    is due. With `deliver` it has the DAG `<report>_<cadence>_deliver` beside it, which sends each
    version once to each channel.

    Args:
        report: The report.
        cadence: The periods that it is made for.
        delay: How long after the end of a period its run starts.
        params: Params of the report that are different for this cadence.
        wait: How long the query may take. Then it is stopped, and the run fails.
        retry: How often and when a failed task is tried again; None for the default policy.
        run_timeout: How long a run may take in all, with the wait for an input; None for no limit.
        max_active_runs: How many periods may run at once.
        on_failure: Notifiers that are called when a run has failed.
        due: How long after its end a period is published at the latest; with
            notifiers, more than `delay`; with `on_late`, not less than the `wait` of an input.
        on_late: Notifiers that are called when a period is not published by then, and when it is
            published after that.
        on_warning: Notifiers that are called when a check has warned of a published period.
        deliver: Channels that get each version: `mail`, `slack` and `notify` make them. It needs
            Airflow 3.3.
        deliver_within: How long after the end of a period a channel gets its first version. So a
            backfill of old periods sends nothing.
        deliver_when: `published`, or `final` to send nothing while a period is provisional or
            partial.
        correct_within: How long after the end of a period a channel is sent a later version, as a
            correction. At most the `keep_days` of the cleanup, which `check` holds it against.

    Raises:
        ReportError: An argument is wrong, or another file of Airflow's `dags_folder` declares a
            report of the same name.
        SettingsError: A setting is missing or wrong.
    """
    deployment = settings()
    alert_policy = AlertPolicy(on_failure, on_late, on_warning, due)
    delivery_policy = DeliveryPolicy(deliver_within, correct_within, deliver_when)
    require_time_to_alert(report, alert_policy, delay)
    require_time_for_inputs(report, alert_policy, delay, run_timeout)
    require_parts(report, cadence)
    require_place_for_unload(report, deployment)
    channels: Sequence[Channel] = ()
    if deliver:
        from athena_reports.delivery.delivery_options import require_deliveries

        channels = require_deliveries(report, deliver, delivery_policy, delay=delay)
    refuse_second_declaration(report)

    report = report.with_params(cadence.unit, params or {})
    default_args = _default_args(report, deployment, retry or RetryPolicy(), alert_policy)
    callbacks: dict[str, Any] = {}
    failed_delivery_callbacks = None
    if alert_policy.all_notifiers:
        from athena_reports.alerts import alerts_dag

        callbacks = {
            "on_failure_callback": alerts_dag.failure_callback(cadence, on_failure),
            "on_success_callback": alerts_dag.warning_callback(report, cadence, on_warning),
        }
        failed_delivery_callbacks = alerts_dag.failed_delivery_callback(report, cadence, on_failure)
    dag = BuiltDag(
        f"{report.name}_{cadence.unit}",
        description=f"{report.name}: {cadence.description}",
        doc_md=report.doc,
        schedule=PeriodTimetable(cadence, delay),
        start_date=_midnight(report.since, cadence),
        end_date=_midnight(report.until, cadence),  # no period is scheduled that starts later
        catchup=deployment.catchup,
        is_paused_upon_creation=deployment.paused,
        max_active_runs=max_active_runs,
        dagrun_timeout=run_timeout,
        default_args=default_args,
        tags=_tags(report, cadence, deployment),
        template_searchpath=str(report.sql_folder),
        template_undefined=StrictUndefined,
        **callbacks,
    )
    dag.report = report
    dag.cadence = cadence
    dag.channels = channels
    dag.delivery_policy = delivery_policy
    with dag:
        add_tasks(
            report,
            cadence,
            deployment,
            dag_id=dag.dag_id,
            wait=wait,
            channels=channels,
            delivery_policy=delivery_policy,
        )
    # Set last: Airflow copies the DAG's params into each task as it is made, once for each class
    # that its operator inherits from.
    dag.params[PERIOD_PARAM] = _period_param(cadence)
    if alert_policy.all_notifiers:
        alerts_dag.build_alerts_dag(dag, report, cadence, alert_policy)
    if channels:
        from athena_reports.delivery.delivery_dag import build_delivery_dag

        build_delivery_dag(
            dag,
            report,
            cadence,
            channels,
            delivery_policy,
            on_failure_callback=failed_delivery_callbacks,
            deployment=deployment,
        )
    return dag


def _midnight(day: str | date | None, cadence: Cadence) -> datetime | None:
    if not isinstance(day, date):  # a report's text is a date once it is validated
        return None
    return datetime.combine(day, time.min, ZoneInfo(cadence.timezone))


def _default_args(
    report: Report, deployment: Settings, retry: RetryPolicy, alert_policy: AlertPolicy
) -> dict[str, Any]:
    """Return the arguments of all tasks of the DAG, also of those that its author adds."""
    keep_reason = None
    if alert_policy.all_notifiers:
        from athena_reports.alerts.alerts_dag import reason_callback

        keep_reason = reason_callback(report)
    return {
        "owner": report.owner,
        "aws_conn_id": deployment.aws_conn_id,
        # Of a task Airflow's API shows neither its template fields nor its arguments, but of a DAG
        # its default_args: `run` and `backfill` compare these, and the page shows them.
        "environment": deployment.environment,
        "logic": report.logic,
        "on_failure_callback": keep_reason,
        "on_retry_callback": keep_reason,
        **retry.arguments,
    }


def _tags(report: Report, cadence: Cadence, deployment: Settings) -> list[str]:
    table_tags = [] if report.has_table else [NO_TABLE_TAG]
    return [REPORT_TAG, cadence.unit, deployment.environment, *table_tags]


def _period_param(cadence: Cadence) -> Param:
    example = cadence.containing(_INSTANT_IN_EXAMPLE_PERIOD).id
    return Param(
        "",
        type=["null", "string"],  # a text alone would have to be filled in in the trigger form
        title="Period",
        description_md=(
            f"Id of the period, its first day in {cadence.timezone}, such as `{example}` "
            f"({cadence.description}). If empty, the last period that is complete at the run's "
            "logical date, or at its start if it has no logical date. "
            "Not for backfills, where each run reports its own period."
        ),
    )
