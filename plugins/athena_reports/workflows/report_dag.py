"""Builds the DAG of a report in one cadence: submit, wait, transform, publish.

Before that it waits for the inputs that have a `wait`.

With notifiers it also builds the DAG beside it, which tells of missed alerts.

Each task reads the DAG's file in a process of its own. So what not every report has, and what only
one step works with, is imported where it is used.
"""

import ast
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, Param, XComArg, get_parsing_context
from jinja2 import StrictUndefined

from athena_reports.alerts.policy import AlertPolicy, Notifiers, require_notifiers
from athena_reports.delivery.policy import DeliveryPolicy, require_policy
from athena_reports.errors import InputError
from athena_reports.inputs.published import Published
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.publication.location import ReportLocation
from athena_reports.queries.retry_policy import RetryPolicy
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG, Report
from athena_reports.scheduling.asset_partitions import delivery_asset, period_asset
from athena_reports.scheduling.priority import ScheduleFirst
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.settings import Settings, settings
from athena_reports.sql.literals import ParamValue
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.recipe import Recipe
from athena_reports.steps.run_query import (
    SUBMITTED_XCOM,
    AthenaSubmitOperator,
    result_configuration,
)
from athena_reports.steps.scan_limit import ScanEstimator, measured_scan
from athena_reports.steps.transform import transform_result
from athena_reports.steps.wait_for_query import QUERY_TIMEOUT, AthenaWaitSensor
from athena_reports.workflows.dag_files import dag_files

if TYPE_CHECKING:
    from athena_reports.aws.hook import SharedSessionHook
    from athena_reports.delivery.channels import Channel

PATIENT = timedelta(hours=6)
"""How long to wait for long queries, such as that of a month over a large table."""

_WEIGHT_OF_STARTED_RUNS = 2  # what has begun is finished before another query starts
_INSTANT_IN_EXAMPLE_PERIOD = datetime(2025, 6, 15, 12, tzinfo=UTC)


class BuiltDag(DAG):
    """The DAG that `build_dag` makes of a report. Its callbacks may be set at any time.

    Airflow stores none of the attributes below. They are for code that imports the DAG's file.

    Attributes:
        report: The report, with the params of this cadence.
        cadence: The periods that it is made for.
        channels: The channels that it is delivered to.
        delivery_policy: When versions are delivered to them.
    """

    report: Report
    cadence: Cadence
    channels: Sequence["Channel"]
    delivery_policy: DeliveryPolicy

    def __init__(
        self,
        dag_id: str,
        *,
        report: Report,
        cadence: Cadence,
        channels: Sequence["Channel"],
        delivery_policy: DeliveryPolicy,
        **options: Any,
    ) -> None:
        super().__init__(dag_id, **options)
        self.report = report
        self.cadence = cadence
        self.channels = channels
        self.delivery_policy = delivery_policy

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("on_failure_callback", "on_success_callback"):
            # The scheduler asks for a callback only if `has_...` is set. Airflow sets it when the
            # DAG is made, but not when a callback is set later.
            super().__setattr__(f"has_{name}", bool(value))


def build_dag(
    report: Report,
    cadence: Cadence,
    *,
    delay: timedelta = timedelta(minutes=5),
    params: Mapping[str, ParamValue] | None = None,
    wait: timedelta = QUERY_TIMEOUT,
    retry: RetryPolicy | None = None,
    run_timeout: timedelta | None = None,
    max_active_runs: int = 16,
    on_failure: Notifiers = (),
    due: timedelta = timedelta(hours=3),
    on_late: Notifiers = (),
    on_warning: Notifiers = (),
    deliver: Sequence["Channel"] = (),
    deliver_within: timedelta = timedelta(days=7),
    deliver_when: Literal["published", "final"] = "published",
    correct_within: timedelta = timedelta(days=60),
) -> BuiltDag:
    """Build the DAG `<report>_<cadence>`: submit, wait, transform, publish.

    If an input has a `wait`, the DAG begins with waiting for it.

    With notifiers it has the DAG `<report>_<cadence>_alerts` beside it, which looks when a period
    is due. With `deliver` it has the DAG `<report>_<cadence>_deliver` beside it, which sends each
    version once to each channel.

    Args:
        report: The report.
        cadence: The periods that it is made for.
        delay: How long after the end of a period its run starts: whole seconds.
        params: Params of the report that are different for this cadence.
        wait: How long the query may take. Then it is stopped, and the run fails.
        retry: How often and when a failed task is tried again; None for the default policy.
        run_timeout: How long a run may take in all, with the wait for an input; None for no limit.
        max_active_runs: How many periods may run at once.
        on_failure: Notifiers that are called when a run has failed.
        due: How long after its end a period is published at the latest: whole seconds; with
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
    _require_options(
        report,
        cadence=cadence,
        delay=delay,
        params=params,
        wait=wait,
        retry=retry,
        run_timeout=run_timeout,
        max_active_runs=max_active_runs,
    )
    alert_policy = AlertPolicy(on_failure, on_late, on_warning, due)
    _require_alert_policy(report, alert_policy, delay)
    _require_time_for_inputs(report, alert_policy, delay, run_timeout)
    _require_parts(report, cadence)
    has_notifiers = bool(alert_policy.all_notifiers)
    delivery_policy = DeliveryPolicy(deliver_within, correct_within, deliver_when)
    require_policy(report, delivery_policy)
    channels: Sequence[Channel] = ()
    if deliver != ():
        from athena_reports.delivery.delivery_options import require_deliveries

        channels = require_deliveries(report, deliver, delivery_policy, delay=delay)
    deployment = settings()
    _require_place_for_unload(report, deployment)
    declared_in = sys._getframe(1).f_code.co_filename  # the file that calls build_dag
    _refuse_second_declaration(report, Path(declared_in).resolve())
    report = report.with_params(cadence.name, params or {})
    location = ReportLocation.of(deployment.report_bucket, report.name, cadence)
    table_database = deployment.report_database if report.has_table else None
    failure_callbacks = None
    warning_callbacks = None
    delivery_failure_callbacks = None
    if has_notifiers:
        from athena_reports.alerts import alerts_dag

        failure_callbacks = alerts_dag.failure_callback(cadence, on_failure)
        warning_callbacks = alerts_dag.warning_callback(report, cadence, on_warning)
        delivery_failure_callbacks = alerts_dag.failed_delivery_callback(
            report, cadence, on_failure
        )

    with BuiltDag(
        f"{report.name}_{cadence.name}",
        report=report,
        cadence=cadence,
        channels=channels,
        delivery_policy=delivery_policy,
        description=f"{report.name}: {cadence.description}",
        doc_md=report.doc,
        schedule=PeriodTimetable(cadence, delay),
        start_date=_midnight(report.since, cadence),
        end_date=_midnight(report.until, cadence),  # no period is scheduled that starts later
        catchup=deployment.catchup,
        is_paused_upon_creation=deployment.paused,
        max_active_runs=max_active_runs,
        dagrun_timeout=run_timeout,
        default_args=_default_args(report, deployment, retry, has_notifiers=has_notifiers),
        tags=_tags(report, cadence, deployment),
        template_searchpath=str(deployment.sql_folder),
        template_undefined=StrictUndefined,
        on_failure_callback=failure_callbacks,
        on_success_callback=warning_callbacks,
    ) as dag:
        # The weight rule is not in default_args. There Airflow would store the address of the
        # object, which differs in each process, and so make a new version of the DAG at each parse.
        run_query = AthenaSubmitOperator(
            task_id="run_query",
            query=report.sql_text,
            cadence=cadence,
            late_by=report.late_by,
            sql_params=report.params,
            inputs=report.inputs,
            max_scan=report.max_scan,
            measured=_scan_estimator(table_database, location),
            require=partial(
                _require_place,
                deployment=deployment,
                location=location,
                cadence=cadence,
                has_table=report.has_table,
            ),
            query_logic=report.query_logic,
            unload_to=_unload_folder(report, deployment),
            database=deployment.database,
            workgroup=deployment.workgroup,
            output_location=deployment.query_results,
            result_configuration=_result_configuration(deployment),
            pool=deployment.pool,
            weight_rule=ScheduleFirst(),
        )
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
        transform = PythonOperator(
            task_id="transform",
            python_callable=partial(
                transform_result,
                recipe=Recipe(
                    report=report.name,
                    bucket=deployment.report_bucket,
                    database=table_database,
                    transforms=report.transforms,
                    columns=report.columns,
                    key=report.row_key,
                    checks=report.all_checks,
                    empty=report.empty,
                    formats=report.outputs,
                    query_logic=report.query_logic,
                    transforms_logic=report.transforms_logic,
                ),
                memory_limit=deployment.memory_limit,
                bucket_owner=deployment.bucket_owner,
                encryption=deployment.encryption,
                aws_conn_id=deployment.aws_conn_id,
            ),
            op_kwargs={"query": wait_for_query.output, "submitted": submitted},
            weight_rule=ScheduleFirst(),
            priority_weight=_WEIGHT_OF_STARTED_RUNS,
        )
        publish = S3PublishOperator(
            task_id="publish",
            prepared=transform.output,
            submitted=submitted,
            bucket=deployment.report_bucket,
            report=report.name,
            environment=deployment.environment,
            database=table_database,
            may_lose_rows=report.may_lose_rows,
            channels=[channel.name for channel in channels],
            deliver_within=delivery_policy.within,
            correct_within=delivery_policy.correct_within,
            calendar_checked=True,  # by run_query
            # Without a uri: a consumer that names the asset could not know it.
            outlets=[Asset(dag.dag_id)],
            keyed_outlets=[period_asset(dag.dag_id)],
            delivery_outlets=[delivery_asset(dag.dag_id)] if channels else [],
            memory_limit=deployment.memory_limit,
            bucket_owner=deployment.bucket_owner,
            encryption=deployment.encryption,
            aws_conn_id=deployment.aws_conn_id,
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
    # Set last: Airflow copies the DAG's params into each task as it is made, once for each class
    # that its operator inherits from.
    dag.params[PERIOD_PARAM] = _period_param(cadence)
    if has_notifiers:
        alerts_dag.build_alerts_dag(dag, report, cadence, alert_policy)
    if channels:
        # Other reports do without the providers that it imports.
        from athena_reports.delivery.delivery_dag import build_delivery_dag

        build_delivery_dag(
            dag,
            report,
            cadence,
            channels,
            delivery_policy,
            on_failure_callback=delivery_failure_callbacks,
            deployment=deployment,
        )
    return dag


def _require_options(
    report: Report,
    *,
    cadence: object,
    delay: object,
    params: object,
    wait: Any,
    retry: object,
    run_timeout: object,
    max_active_runs: object,
) -> None:
    """Raise ReportError if an option of `build_dag` has a wrong type, or `delay` a wrong value."""
    _require(
        report, "cadence", cadence, Cadence, "a cadence, such as weekly(timezone='Asia/Tokyo')"
    )
    _require_whole_seconds(report, "delay", delay)
    _require(report, "params", params, Mapping | None, "a dictionary, such as {'top': 1000}")
    _require(report, "wait", wait, timedelta, "a timedelta, such as PATIENT")
    if wait <= timedelta(0):
        report.refuse("wait", f"{wait} is not valid: give more than zero.")
    retry_policy = "a RetryPolicy of athena_reports, such as RetryPolicy(retries=5)"
    _require(report, "retry", retry, RetryPolicy | None, retry_policy)
    _require(report, "run_timeout", run_timeout, timedelta | None, "a timedelta")
    _require(report, "max_active_runs", max_active_runs, int, "an integer")


def _require_alert_policy(report: Report, policy: AlertPolicy, delay: timedelta) -> None:
    """Raise ReportError if an option for alerts has a wrong type, or does not fit `delay`."""
    _require_whole_seconds(report, "due", policy.due)
    require_notifiers(report, "on_failure", policy.on_failure)
    require_notifiers(report, "on_late", policy.on_late)
    require_notifiers(report, "on_warning", policy.on_warning)
    if policy.all_notifiers and policy.due <= delay:
        problem = (
            f"{policy.due} is not later than the start of the run, {delay} after the end."
            " Give more time."
        )
        report.refuse("due", problem)


def _require_time_for_inputs(
    report: Report, policy: AlertPolicy, delay: timedelta, run_timeout: timedelta | None
) -> None:
    """Raise ReportError if a period is told late, or its run ends, while an input is waited for."""
    for source in report.inputs:
        if source.wait is None:
            continue
        if policy.on_late and source.wait > policy.due:
            problem = (
                f"{policy.due} is over before the wait for the input {source.table}, {source.wait}."
                " Give more time, or let the input wait for less."
            )
            report.refuse("due", problem)
        # The wait counts from the end of the period, and the time of the run from its start.
        if run_timeout is not None and delay + run_timeout <= source.wait:
            problem = (
                f"{run_timeout} is over before the wait for the input {source.table}, {source.wait}"
                f" after the end of the period; the run starts {delay} after it."
                " Give more time, or let the input wait for less."
            )
            report.refuse("run_timeout", problem)


def _require_parts(report: Report, cadence: Cadence) -> None:
    """Raise ReportError if the report reads another one whose periods do not fit, or itself."""
    for source in report.inputs:
        if not isinstance(source, Published):
            continue
        if (source.report, source.cadence) == (report.name, cadence):
            report.refuse("inputs", f"it reads itself, {source.table}. Read another report.")
        try:
            source.require_parts_of(cadence)
        except InputError as error:
            report.refuse("inputs", str(error))


def _require_whole_seconds(report: Report, option: str, value: Any) -> None:
    """Raise ReportError if `PeriodTimetable` would not take an option as its `delay`."""
    _require(report, option, value, timedelta, "a timedelta")
    if value < timedelta(0) or value.microseconds:
        report.refuse(option, f"{value} is not valid: give whole seconds, zero or more.")


def _require(report: Report, option: str, value: object, kind: Any, expected: str) -> None:
    """Raise ReportError if an option has not a type; `kind` is a class or a union of them."""
    if not isinstance(value, kind):
        report.refuse(option, f"{value!r} is not valid: give {expected}.")


def _require_place_for_unload(report: Report, deployment: Settings) -> None:
    """Raise ReportError if the query is an UNLOAD, and there is no S3 location for its files."""
    if report.unload and not deployment.query_results:
        problem = (
            "the workgroup manages its results. Set ATHENA_REPORTS_QUERY_RESULTS, or leave it out."
        )
        report.refuse("unload", problem)


def _require_place(
    hook: "SharedSessionHook",
    *,
    deployment: Settings,
    location: ReportLocation,
    cadence: Cadence,
    has_table: bool,
) -> None:
    """Require what the report needs to be published; `run_query` calls this."""
    from athena_reports.workflows.preflight import require_place

    require_place(
        hook, settings=deployment, location=location, cadence=cadence, has_table=has_table
    )


def _midnight(day: Any, cadence: Cadence) -> datetime | None:
    """Return the midnight at which a date begins in the cadence's zone; None for no date.

    Its type is Any because a report's fields may be written as text. They are dates in the report.
    """
    if day is None:
        return None
    return datetime.combine(day, time.min, ZoneInfo(cadence.timezone))


def _default_args(
    report: Report, deployment: Settings, retry: RetryPolicy | None, *, has_notifiers: bool
) -> dict[str, Any]:
    """Return the arguments of all tasks of the DAG, also of those that its author adds."""
    arguments: dict[str, Any] = {
        "owner": report.owner,
        "aws_conn_id": deployment.aws_conn_id,
        # Airflow stores both, and its API shows them. So the Reports page knows today's logic, and
        # `plan --apply` can tell what is deployed there.
        "environment": deployment.environment,
        "logic": report.logic,
        "on_failure_callback": None,
        "on_retry_callback": None,
    }
    if has_notifiers:
        from athena_reports.alerts.alerts_dag import reason_callback

        keep_reason = reason_callback(report)
        arguments["on_failure_callback"] = keep_reason
        arguments["on_retry_callback"] = keep_reason
    if retry is None:
        retry = RetryPolicy()
    arguments.update(retry.arguments)
    return arguments


def _tags(report: Report, cadence: Cadence, deployment: Settings) -> list[str]:
    """Return the tags of the DAG, by which the Reports page and the maintenance DAGs know it."""
    tags = [REPORT_TAG, cadence.name, deployment.environment]
    if not report.has_table:
        tags.append(NO_TABLE_TAG)
    return tags


def _scan_estimator(table_database: str | None, location: ReportLocation) -> ScanEstimator | None:
    """Return what estimates a query's scan by the published table; None without a table."""
    if table_database is None:
        return None
    return partial(measured_scan, database=table_database, location=location)


def _unload_folder(report: Report, deployment: Settings) -> str | None:
    """Return the folder of the Parquet files that Athena writes; None for Athena's usual CSV."""
    if not report.unload:
        return None
    return f"{deployment.query_results}unload/"


def _result_configuration(deployment: Settings) -> dict[str, Any] | None:
    """Return how Athena writes results; None if the workgroup manages them."""
    if not deployment.query_results:
        return None
    return result_configuration(deployment.bucket_owner, deployment.encryption)


def _period_param(cadence: Cadence) -> Param:
    example = cadence.containing(_INSTANT_IN_EXAMPLE_PERIOD).id
    return Param(
        "",
        type=["null", "string"],  # a text alone would have to be filled in in the trigger form
        title="Period",
        description_md=(
            f"Id of the period, its first day in {cadence.timezone}, such as `{example}` "
            f"({cadence.description}). If empty: the last period that is complete at the run's "
            "logical date, or when it starts if it has none. "
            "Not for backfills: there each run takes its own period."
        ),
    )


def _refuse_second_declaration(report: Report, file: Path) -> None:
    """Raise ReportError if another DAG file, which sorts before this one, declares the report too.

    Airflow parses each file by itself. If two have a DAG of one id, each parse replaces the DAG of
    the other file.
    """
    folder = Path(conf.get_mandatory_value("core", "dags_folder")).resolve()
    if not file.is_relative_to(folder):
        return
    is_for_a_task = get_parsing_context().task_id is not None
    if is_for_a_task:
        return  # the DAG processor has parsed the file before, and accepted it
    files = _declaring_files(report.name, folder)
    if file in files[1:]:  # the first of them keeps the name
        report.refuse(
            "name",
            f"{file} declares it, and so does {files[0]}: their DAGs have the same ids. "
            "Give it another name, or import the report from there.",
        )


@cache
def _declaring_files(report_name: str, folder: Path) -> list[Path]:
    """Return the DAG files that declare a report of this name, sorted."""
    paths = {path.resolve() for path in dag_files(folder)}
    return sorted(path for path in paths if _declares(path, report_name))


def _declares(path: Path, report_name: str) -> bool:
    """Return whether a file's text has a call `Report(name="...")` with this name."""
    source = path.read_bytes()
    if report_name.encode() not in source:
        return False
    try:
        nodes = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError):
        return False  # Airflow shows its import error
    for node in nodes:
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("Report"):
            continue
        for keyword in node.keywords:
            if keyword.arg == "name" and ast.unparse(keyword.value) == repr(report_name):
                return True
    return False
