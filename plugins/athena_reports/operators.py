"""The four steps of a report as Airflow operators; each works in a hand-written DAG too.

Submit and wait are the amazon provider's operator and sensor, changed only where a report needs it:
`AthenaSubmitOperator` submits once per intention and returns at once, `AthenaWaitSensor` waits in the
triggerer and knows what a failure means. `stage_result` is the callable of a PythonOperator.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk import PokeReturnValue
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from athena_reports import __version__
from athena_reports.compat import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from athena_reports.errors import (
    AthenaReportsError,
    QueryError,
    ResultError,
    RunPeriodError,
)
from athena_reports.failures import Decision, Verdict, of_call, of_execution
from athena_reports.inputs import Coverage, find_coverage
from athena_reports.prepare import Recipe, SkipPeriodError, prepare
from athena_reports.publish import Publication, publish
from athena_reports.query import QueryExecution, WaitPolicy, console_url, elapsed_since, has_succeeded
from athena_reports.runs import FILL_RUN_ID, PERIOD_PARAM, period_of_run, require_complete
from athena_reports.sql import ParamValue, SqlPeriod, keeps_order, template_context
from athena_reports.stage import Location, StagedVersion
from athena_reports.storage import Storage
from athena_reports.submit import (
    Start,
    Submission,
    generation_of,
    look,
    require_budget,
    standing_for,
    stop_all,
    submit_once,
)
from athena_reports.table import Table
from athena_reports.trigger import AthenaWaitTrigger

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook
    from airflow.sdk import Context

    from athena_reports.period import Cadence, Period
    from athena_reports.report import Input
    from athena_reports.settings import Encryption

PERIOD_XCOM = "period"
SUBMITTED_XCOM = "submitted"

CLEAR_STOPS_WITHIN = timedelta(minutes=1)
"""How long after a cleared wait has begun again its old trigger may still stop the query.

Airflow does not wait for it (2 s are usual). Whoever cancels the query later than this fails the run.
"""


def period_facts(period: Period) -> dict[str, str]:
    """Return what a task shows, and hands on, of its period: id, cadence, zone, local and UTC bounds."""
    return {
        "id": period.id,
        "cadence": period.cadence.name,
        "timezone": period.cadence.timezone,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "start_utc": period.start_utc.isoformat(),
        "end_utc": period.end_utc.isoformat(),
    }


def describe(dag_id: str, period: Mapping[str, str] | None, environment: str) -> str:
    """Return whose query it is, for the beginning of a message."""
    parts = [dag_id, f"period {period['id']}" if period else "", environment and f"environment {environment}"]
    return ", ".join(part for part in parts if part)


def verdict_of(error: ClientError | BotoCoreError) -> Verdict:
    """Return what an error of an API call means."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return of_call(error.response.get("Error", {}).get("Code", ""), status)
    if isinstance(error, NoRegionError):
        where = "Set AWS_DEFAULT_REGION, or the region of the Airflow connection."
        return Verdict(Decision.FAIL, "no region is set", where)
    if isinstance(error, NoCredentialsError):
        where = "Give the Airflow connection some, or the environment: AWS_ACCESS_KEY_ID, or a role."
        return Verdict(Decision.RETRY_CALL, "no credentials are there", where)
    return of_call("", 0)


def refusal(error: ClientError | BotoCoreError) -> str:
    """Return what an error of an API call means, in words."""
    verdict = verdict_of(error)
    return f"{error} [{verdict.meaning}]. {verdict.advice}"


@contextmanager
def called(about: str) -> Iterator[None]:
    """Turn a failed call into what Airflow is to do: retry the task, or fail it for good.

    Raises:
        AirflowException: The call was not served; the task's retries apply.
        AirflowFailException: It was refused, or the query failed for good.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        again = verdict_of(error).decision is Decision.RETRY_CALL
        raise (AirflowException if again else AirflowFailException)(f"{about}: {refusal(error)}") from error
    except QueryError as error:
        raise AirflowFailException(f"{about}: {error}") from error


@contextmanager
def worked(about: str = "") -> Iterator[None]:
    """Turn an error of our own into what Airflow is to do: retry the task, or fail it for good.

    Raises:
        AirflowSkipException: There is nothing to publish, and that is right.
        AirflowException: S3 or Glue did not serve a call; the task's retries apply.
        AirflowFailException: The same would happen again.
    """
    try:
        yield
    except SkipPeriodError as error:
        raise AirflowSkipException(str(error)) from error
    except AthenaReportsError as error:
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(f"{about}{error}") from error


def require_connection(hook: AthenaHook, about: str) -> None:
    """Refuse a named connection that does not exist: the hook would take whatever credentials there are.

    Without the default one that is right: on MWAA they are the execution role's.

    Raises:
        AirflowException: It is not found. The task's retries apply, since a secrets backend that did not
            answer looks the same: Airflow passes over it.
    """
    if hook.aws_conn_id in (None, hook.default_conn_name):
        return
    try:
        hook.get_connection(hook.aws_conn_id)
    except AirflowNotFoundException as error:
        raise AirflowException(
            f"{about}: there is no Airflow connection {hook.aws_conn_id!r}. Create it, or let "
            f"ATHENA_REPORTS_AWS_CONN_ID name another."
        ) from error


def starter(hook: AthenaHook) -> Start:
    """Return a function that starts a submission through the provider's hook."""

    def start(submission: Submission, token: str) -> str:
        query_execution_id: str = hook.run_query(
            submission.sql,
            submission.context,
            dict(submission.result_configuration),
            token,
            submission.workgroup,
        )
        return query_execution_id

    return start


class AthenaSubmitOperator(AthenaOperator):
    """Submits a query to Athena, once per intention, and returns its query execution id at once.

    With a `cadence` the query is a report's template: it sees `period` and `params` and nothing else, and
    the run's period is decided, checked and pushed to XCom under the key `period`. Without one, Airflow's
    usual template context applies, with the plugin's macros.

    Args:
        cadence: The periods of the DAG; None for a query without a period.
        late_by: How long after it happened an event may still land; the partition filter follows.
        sql_params: Constants of the template, as `{{ params.<name> }}`, written as SQL literals.
        environment: Name of the environment, for the query's marker and for messages.
        inputs: Tables whose partitions are looked for before the query is paid.
        unload: Whether Athena is to write the rows as Parquet files; None if the SQL asks for no order.
        unload_to: `s3://` prefix with the closing slash below which it does.
        bucket_owner: Account id that must own the bucket of the result; empty for any.
        encryption: How the result is encrypted; None for the default of the workgroup and the bucket.
        backfill_budget_bytes: What the backfills of this DAG may scan in 24 hours; None for no limit.
    """

    template_fields: Sequence[str] = ("period", *AthenaOperator.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence | None = None,
        late_by: timedelta = timedelta(0),
        sql_params: Mapping[str, ParamValue] | None = None,
        environment: str = "",
        inputs: Sequence[Input] = (),
        unload: bool | None = False,
        unload_to: str | None = None,
        bucket_owner: str = "",
        encryption: Encryption | None = None,
        backfill_budget_bytes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backfill_budget_bytes = backfill_budget_bytes
        self.cadence = cadence
        self.late_by = late_by
        self.sql_params = dict(sql_params or {})
        self.environment = environment
        self.inputs = tuple(inputs)
        self.unload = unload
        self.unload_to = unload_to
        self.bucket_owner = bucket_owner
        self.encryption = encryption
        self.killed = False
        self.period: dict[str, str] | None = None

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the query for the period of the run, which is decided here, before anything is started.

        Raises:
            AirflowFailException: The run has no period that could be reported; it is not retried.
        """
        if self.cadence is None:
            super().render_template_fields(context, jinja_env)
            return
        try:
            period = period_of_run(
                self.cadence, context["dag_run"], param=context["params"].get(PERIOD_PARAM) or ""
            )
            require_complete(period, datetime.now(UTC))
        except RunPeriodError as error:
            raise AirflowFailException(f"{self.dag_id}: {error}") from error
        names = template_context(SqlPeriod(period, self.late_by), self.sql_params) | {"ti": context["ti"]}
        super().render_template_fields(names, jinja_env)  # type: ignore[arg-type]  # all that a report sees
        self.period = period_facts(period)

    def execute(self, context: Context) -> str:
        """Submit the query, once per intention, and return its query execution id.

        Raises:
            AirflowFailException: Athena refused the query for good; it is not retried.
        """
        ti, run = context["ti"], context["dag_run"]
        mapped = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
        submission = Submission.make(
            self.query,
            database=self.database,
            catalog=self.catalog,
            workgroup=self.workgroup,
            result_configuration=self._result_configuration(),
            unload_to=self.unload_to if self._unloads() else None,
            environment=self.environment,
            dag_id=self.dag_id,
            run_id=context["run_id"],
            task_id=self.task_id + mapped,
            generation=generation_of(run.clear_number, ti.max_tries, self.retries or 0, run.start_date),
            is_of_backfill=run.run_type == "backfill" or context["run_id"].startswith(FILL_RUN_ID),
        )
        about = describe(self.dag_id, self.period, self.environment)
        require_connection(self.hook, about)
        coverages = self._find_coverage(about)
        with called(about):
            self._require_budget(submission)
            self.query_execution_id = submit_once(
                submission, athena=self.hook.get_conn(), start=starter(self.hook), is_retry=ti.try_number > 1
            )
        if self.killed:
            self.on_kill()
            raise AirflowException(f"{about}: killed while query {self.query_execution_id} was submitted.")
        AthenaQueryResultsLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            query_execution_id=self.query_execution_id,
        )
        if self.period is not None:
            ti.xcom_push(key=PERIOD_XCOM, value=self.period)
        sql_sha256 = hashlib.sha256(self.query.encode()).hexdigest()
        inputs = [coverage.to_dict() for coverage in coverages]
        ti.xcom_push(key=SUBMITTED_XCOM, value={"sql_sha256": sql_sha256, "inputs": inputs})
        return self.query_execution_id

    def _require_budget(self, submission: Submission) -> None:
        if self.backfill_budget_bytes is not None and submission.marker.is_of_backfill:
            require_budget(
                submission.marker,
                self.hook.get_conn(),
                workgroup=submission.workgroup,
                budget_bytes=self.backfill_budget_bytes,
                now=datetime.now(UTC),
            )

    def _find_coverage(self, about: str) -> list[Coverage]:
        """Look which partitions are there, unless no input is declared."""
        if not self.inputs or self.period is None or self.cadence is None:
            return []
        with called(about), worked(f"{about}: "):
            found = find_coverage(
                self.inputs,
                self.cadence.period(self.period["id"]),
                late_by=self.late_by,
                now=datetime.now(UTC),
                database=self.database or "default",
                glue=GlueCatalogHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).get_conn(),
            )
        for coverage in found:
            self.log.log(logging.WARNING if coverage.gaps else logging.INFO, "%s.", coverage)
        return found

    def _unloads(self) -> bool:
        if self.unload is None:
            return self.unload_to is not None and not keeps_order(self.query)
        return self.unload

    def _result_configuration(self) -> dict[str, Any]:
        """ResultConfiguration of the request; a workgroup that enforces its own overrules it."""
        if not self.output_location:
            return {}
        configuration: dict[str, Any] = {"OutputLocation": self.output_location}
        if self.bucket_owner:
            configuration["ExpectedBucketOwner"] = self.bucket_owner
        if self.encryption:
            option = {"AES256": "SSE_S3", "aws:kms": "SSE_KMS"}[self.encryption.algorithm]
            key = {"KmsKey": self.encryption.kms_key} if self.encryption.kms_key else {}
            configuration["EncryptionConfiguration"] = {"EncryptionOption": option, **key}
        return configuration

    def on_kill(self) -> None:
        """Stop the query; one that is being submitted right now is stopped as soon as its id is known."""
        self.killed = True
        if self.query_execution_id:
            self.hook.stop_query(self.query_execution_id)


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, and holds neither a worker slot nor a process meanwhile.

    It looks once; a query that is still under way is then watched by the triggerer. Where there is none
    (`deferrable=False`), the task is rescheduled between two looks, each a single call. A query that Athena
    failed for a reason that passes is submitted again. Whoever stops the wait stops the query.

    Pushes `{"period": ..., "query": ...}` to XCom: the period as it was given, and what Athena knows of the
    execution that succeeded (see `QueryExecution`).

    Args:
        policy: When to look, and when to give up.
        period: The period as `AthenaSubmitOperator` pushed it; shown in the UI, in messages, and handed on.
        environment: Name of the environment, for messages.
        deferrable: Whether the triggerer waits.
    """

    template_fields: Sequence[str] = ("period", *AthenaSensor.template_fields)

    def __init__(
        self,
        *,
        policy: WaitPolicy | None = None,
        period: Any = None,
        environment: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.policy = policy or WaitPolicy()
        super().__init__(
            mode="reschedule",
            poke_interval=self.policy.first_poll_seconds,
            timeout=self.policy.give_up_after.total_seconds(),
            **kwargs,
        )
        self.period = period
        self.environment = environment
        self.deferrable = deferrable
        self._submitted_at = ""  # not known before Athena has answered once

    def execute(self, context: Context) -> Any:
        """Look once, then hand the wait over to the triggerer, or come back later."""
        self._renew_if_cleared(context)
        with self._stopping_on_timeout():
            if not self.deferrable:
                return super().execute(context)
            if looked := self.poke(context):
                return looked.xcom_value
            return self._defer()

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not see it any more."""
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.from_dict(event["query"])
        self.query_execution_id = execution.id
        if self._was_stopped_by_clear(execution, context["ti"]):
            execution = self._resubmit(execution)
        if looked := self._conclude(execution):
            return looked.xcom_value
        return self._defer()

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Stop the query when the wait has taken too long, unless it has succeeded meanwhile.

        It may have ended within the last pause, or while no triggerer was there to see it.
        """
        with self._stopping_on_timeout():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowSensorTimeout:
                execution = self._latest(self.query_execution_id)
                if execution.state != "SUCCEEDED":
                    raise
                self.query_execution_id = execution.id
                return self._conclude(execution).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; a call that is not served is no answer, and asked again at the next look.

        Raises:
            AirflowFailException: The query failed for good, was cancelled, or is in no known state.
        """
        try:
            execution = self._look()
        except (ClientError, BotoCoreError) as error:
            if verdict_of(error).decision is not Decision.RETRY_CALL:
                raise AirflowFailException(f"{self._about}: {refusal(error)}") from error
            self.log.warning("Athena did not answer: %s", error)
            return PokeReturnValue(is_done=False)
        return self._conclude(execution)

    def on_kill(self) -> None:
        """Stop the query."""
        self._stop()

    def _get_next_poke_interval(self, started_at: Any, run_duration: Any, poke_count: int) -> float:
        return self.policy.pause_after(run_duration())

    @property
    def _about(self) -> str:
        return describe(self.dag_id, self.period, self.environment)

    def _link(self, query_execution_id: str) -> str:
        """The query's page in the console, if the region is known."""
        region, domain = (
            self.hook.conn_region_name,
            AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition),
        )
        return console_url(query_execution_id, region, domain) if region and domain else ""

    def _look(self) -> QueryExecution:
        return look(self.hook.get_conn(), self.query_execution_id)

    def _latest(self, query_execution_id: str) -> QueryExecution:
        """Return a query, or what it was submitted again as: a new process knows only the first id."""
        with called(self._about):
            athena: Any = self.hook.get_conn()
            response = athena.get_query_execution(QueryExecutionId=query_execution_id)
            return standing_for(athena, response) or QueryExecution.from_response(response)

    def _conclude(self, execution: QueryExecution) -> PokeReturnValue:
        """Say whether the wait is over; where Athena failed the query in passing, submit it again first."""
        try:
            done = has_succeeded(execution)
        except QueryError as error:
            if execution.state == "FAILED" and of_execution(execution).decision is Decision.RESUBMIT:
                return self._conclude(self._resubmit(execution))
            if execution.state == "CANCELLED" and (renewed := self._renewed(execution)):
                return self._conclude(renewed)
            raise AirflowFailException(f"{self._about}: {error} {self._link(execution.id)}") from error
        self._submitted_at = execution.submitted_at
        self.log.info(execution.progress())
        handed_on = {"period": self.period, "query": execution.to_dict()}
        return PokeReturnValue(done, handed_on if done else None)

    def _renew_if_cleared(self, context: Context) -> None:
        """Submit a cancelled query again when this task alone was cleared, which had stopped the query.

        Clearing raises `max_tries` above the retries. A query that somebody cancels while it is waited for
        fails the run: this is asked only where a wait begins.
        """
        begins = not context.get("task_reschedule_count")
        if begins and context["ti"].max_tries > (self.retries or 0):
            with called(self._about):
                execution = self._look()
                if execution.state == "CANCELLED":
                    self._resubmit(execution)

    def _renewed(self, execution: QueryExecution) -> QueryExecution | None:
        """Return what a cancelled query was submitted again as, if it was."""
        renewed = self._latest(execution.id)
        if renewed.id == execution.id:
            return None
        self.query_execution_id = renewed.id
        return renewed

    def _was_stopped_by_clear(self, execution: QueryExecution, ti: Any) -> bool:
        """Whether the trigger of a wait that was cleared stopped the query after this wait had begun."""
        if execution.state != "CANCELLED" or ti.max_tries <= (self.retries or 0):
            return False
        stopped_at = datetime.fromisoformat(execution.completed_at) if execution.completed_at else None
        return stopped_at is not None and stopped_at < ti.start_date + CLEAR_STOPS_WITHIN

    def _resubmit(self, execution: QueryExecution) -> QueryExecution:
        """Submit the query of an execution again, and return what there is of it now."""
        athena: Any = self.hook.get_conn()
        with called(self._about):
            submission = Submission.of_response(athena.get_query_execution(QueryExecutionId=execution.id))
            if submission is None:
                raise QueryError(f"Query {execution.id} is {execution.state}, and not ours to submit again.")
            self.query_execution_id = submit_once(
                submission, athena=athena, start=starter(self.hook), is_retry=True
            )
            self.log.warning(
                "Query %s is %s: %s. It was submitted again as %s.",
                execution.id,
                execution.state,
                execution.reason,
                self.query_execution_id,
            )
            return self._look()

    def _defer(self) -> NoReturn:
        left = self.policy.give_up_after - elapsed_since(self._submitted_at)
        if left <= timedelta(0):
            raise AirflowSensorTimeout("The wait is over before it could be handed over.")
        self.defer(
            trigger=AthenaWaitTrigger(
                query_execution_id=self.query_execution_id,
                submitted_at=self._submitted_at,
                policy=self.policy,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=left,
        )

    @contextmanager
    def _stopping_on_timeout(self) -> Iterator[None]:
        try:
            yield
        except AirflowSensorTimeout as error:
            with called(self._about):
                self._stop()
            raise AirflowFailException(
                f"{self._about}: query {self.query_execution_id} had not ended after "
                f"{self.policy.give_up_after}, so it was stopped. Make it lighter, or give the report a wait "
                f"policy with a later give_up_after, then clear run_query with all that is downstream."
            ) from error

    def _stop(self) -> None:
        """Stop the query, and what it was submitted again as: a new process knows only the first id."""
        athena: Any = self.hook.get_conn()
        stop_all(athena, athena.get_query_execution(QueryExecutionId=self.query_execution_id))


def stage_result(
    waited: Mapping[str, Any] | None,
    submitted: Mapping[str, Any] | None = None,
    *,
    recipe: Recipe,
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Read a query's result, transform and check it, and stage it as the version that it may become.

    The rows stream from S3 through the transforms back to S3; only facts are returned.

    Args:
        waited: What `AthenaWaitSensor` pushed, with its period.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`.
        recipe: What becomes of the result.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
        aws_conn_id: Airflow connection.

    Returns:
        `waited` with `submitted` and the staged version, with the results of its checks, beside it.

    Raises:
        AirflowSkipException: There are no rows, and the report says to skip the period then.
        AirflowFailException: There is no query, its result cannot be read, a transform or a check failed, or
            there are no rows: the same would happen again.
        AirflowException: A call was not served, or the version could not be written.
    """
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    if not waited:
        raise AirflowFailException(
            f"Report {recipe.report!r}: wait_for_query handed no query on, as when it is marked as success, "
            f"which stops the query. Clear run_query with all that is downstream."
        )
    if not waited["period"]:
        raise ResultError(
            f"Report {recipe.report!r}: the period is missing. Give the submitting operator its cadence, and "
            f"the sensor period=XComArg(run_query, key={PERIOD_XCOM!r})."
        )
    submitted = submitted or {}
    with worked():
        prepared = prepare(
            QueryExecution.from_dict(waited["query"]),
            recipe.cadence.period(waited["period"]["id"]),
            recipe,
            coverages=[Coverage.from_dict(facts) for facts in submitted.get("inputs", [])],
            athena=AthenaHook(aws_conn_id=aws_conn_id).get_conn(),
            storage=Storage(S3Hook(aws_conn_id=aws_conn_id).get_conn(), bucket_owner, encryption),
        )
    return {**waited, "submitted": submitted, **prepared.to_dict()}


class S3PublishOperator(AwsBaseOperator[S3Hook]):
    """Verifies a staged version in S3, makes it the current one of its period, and registers it in Glue.

    An asset among the `outlets` gets the manifest's main facts as its event's extra.

    Args:
        staged: What `stage_result` returned: the version, and the period and the query that it is of.
        bucket: The report bucket.
        report: Name of the report.
        environment: Name of the environment, for the manifest.
        late_by: A period whose query was submitted before its end plus this is marked as provisional.
        reads_previous: Whether the SQL reads the period before; this one is stale once that one is restated.
        database: Glue database of the published table; None for no table.
        bucket_owner: Account id that must own the bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    aws_hook_class = S3Hook
    template_fields: Sequence[str] = aws_template_fields("staged", "bucket")
    ui_color = "#98d8a0"

    def __init__(
        self,
        *,
        staged: Any,
        bucket: str,
        report: str,
        environment: str,
        late_by: timedelta = timedelta(0),
        reads_previous: bool = False,
        database: str | None = None,
        bucket_owner: str = "",
        encryption: Encryption | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.staged = staged
        self.bucket = bucket
        self.report = report
        self.environment = environment
        self.late_by = late_by
        self.reads_previous = reads_previous
        self.database = database
        self.bucket_owner = bucket_owner
        self.encryption = encryption

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish, and return where the manifest is and what was done."""
        period = self.staged["period"]
        location = Location(self.bucket, self.report, period["cadence"], period["id"])
        with worked():
            publication = publish(
                StagedVersion.from_dict(self.staged["version"]),
                self._facts(context),
                location=location,
                storage=Storage(self.hook.get_conn(), self.bucket_owner, self.encryption),
                table=self._table(location),
            )
        outcome = self._outcome(location, publication)
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = outcome
        self.log.info("%(outcome)s: version %(version)s, %(rows)d rows, %(manifest)s", outcome)
        for check in publication.manifest["checks"]:
            if not check["passed"]:
                self.log.warning("check %s: %s", check["name"], check["message"])
        return outcome

    def _table(self, location: Location) -> Table | None:
        if self.database is None:
            return None
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).get_conn()
        return Table(self.database, location, glue)

    def _outcome(self, location: Location, publication: Publication) -> dict[str, Any]:
        manifest = publication.manifest
        return {
            "manifest": location.manifest_uri,
            "outcome": publication.outcome,
            "period": manifest["period"],
            **{
                name: manifest[name] for name in ("version", "rows", "provisional", "partial", "published_at")
            },
            "warnings": [check["name"] for check in manifest["checks"] if not check["passed"]],
        }

    def _facts(self, context: Context) -> dict[str, Any]:
        query, period = QueryExecution.from_dict(self.staged["query"]), self.staged["period"]
        submitted = self.staged["submitted"]
        settles_at = datetime.fromisoformat(period["end_utc"]) + self.late_by
        missing = [gap for facts in submitted.get("inputs", []) for gap in Coverage.from_dict(facts).gaps]
        return {
            "report": self.report,
            "environment": self.environment,
            "period": period,
            "settles_at": settles_at.isoformat(),
            "provisional": datetime.fromisoformat(query.submitted_at) < settles_at,
            "partial": bool(missing),
            "missing_partitions": missing,
            "published_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "query": {
                "id": query.id,
                "submitted_at": query.submitted_at,
                "statement": query.statement,
                "reads_previous": self.reads_previous,
                "sql_sha256": submitted.get("sql_sha256", ""),
                "scanned_bytes": query.scanned_bytes,
                "price_usd": round(query.price_usd, 6),
                "engine_version": query.engine_version,
            },
            "checks": self.staged["checks"],
            "run": {"dag_id": self.dag_id, "run_id": context["run_id"]},
            "code_version": __version__,
        }
