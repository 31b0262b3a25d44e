"""The four steps of a report as Airflow operators; each works in a hand-written DAG too.

Submit and wait are the amazon provider's operator and sensor, changed only where a report needs it:
`AthenaSubmitOperator` returns when the query is submitted, `AthenaWaitSensor` looks once per poke and
knows a failure from a query that is still under way. `stage_result` is the callable of a PythonOperator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import PokeReturnValue

from athena_reports import __version__, publish
from athena_reports.errors import QueryError, RunPeriodError
from athena_reports.query import QueryExecution, WaitPolicy, console_url, has_succeeded
from athena_reports.runs import PERIOD_PARAM, period_of_run, require_complete
from athena_reports.sql import ParamValue, SqlPeriod, template_context
from athena_reports.transforms import apply

if TYPE_CHECKING:
    from airflow.sdk import Context

    from athena_reports.period import Cadence, Period
    from athena_reports.report import Transform

PERIOD_XCOM = "period"


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


class AthenaSubmitOperator(AthenaOperator):
    """Submits a query to Athena and returns its query execution id at once.

    With a `cadence` the query is a report's template: it sees `period` and `params` and nothing else, and
    the run's period is decided, checked and pushed to XCom under the key `period`. Without one, Airflow's
    usual template context applies, with the plugin's macros.

    Args:
        cadence: The periods of the DAG; None for a query without a period.
        late_by: How long after it happened an event may still land; the partition filter follows.
        sql_params: Constants of the template, as `{{ params.<name> }}`, written as SQL literals.
    """

    template_fields: Sequence[str] = ("period", *AthenaOperator.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence | None = None,
        late_by: timedelta = timedelta(0),
        sql_params: Mapping[str, ParamValue] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cadence = cadence
        self.late_by = late_by
        self.sql_params = dict(sql_params or {})
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
        """Submit the query and return its query execution id."""
        if self.database:
            self.query_execution_context["Database"] = self.database
        self.query_execution_context["Catalog"] = self.catalog
        if self.output_location:
            self.result_configuration["OutputLocation"] = self.output_location
        self.query_execution_id = self.hook.run_query(
            self.query,
            self.query_execution_context,
            self.result_configuration,
            self.client_request_token,
            self.workgroup,
        )
        AthenaQueryResultsLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            query_execution_id=self.query_execution_id,
        )
        if self.period is not None:
            context["ti"].xcom_push(key=PERIOD_XCOM, value=self.period)
        return self.query_execution_id


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, without holding a worker slot between two looks.

    Pushes `{"period": ..., "query": ...}` to XCom: the period as it was given, and what Athena knows of the
    execution (see `QueryExecution`).

    Args:
        policy: When to look, and when to give up.
        period: The period as `AthenaSubmitOperator` pushed it; shown in the UI, in messages, and handed on.
    """

    template_fields: Sequence[str] = ("period", *AthenaSensor.template_fields)

    def __init__(self, *, policy: WaitPolicy | None = None, period: Any = None, **kwargs: Any) -> None:
        self.policy = policy or WaitPolicy()
        super().__init__(
            mode="reschedule",
            poke_interval=self.policy.first_poll_seconds,
            timeout=self.policy.give_up_after.total_seconds(),
            **kwargs,
        )
        self.period = period

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once.

        Raises:
            AirflowFailException: The query failed, was cancelled, or is in no known state. A failed query
                stays failed, so the wait is not retried.
        """
        execution = QueryExecution.from_response(self.hook.get_query_info(self.query_execution_id))
        try:
            done = has_succeeded(execution)
        except QueryError as error:
            region = self.hook.conn_region_name or "us-east-1"
            about = f"{self.dag_id}, period {self.period['id']}" if self.period else self.dag_id
            link = console_url(self.query_execution_id, region)
            raise AirflowFailException(f"{about}: {error} {link}") from error
        self.log.info(execution.progress())
        handed_on = {"period": self.period, "query": execution.to_dict()}
        return PokeReturnValue(done, handed_on if done else None)

    def _get_next_poke_interval(self, started_at: Any, run_duration: Any, poke_count: int) -> float:
        return self.policy.pause_after(run_duration())


def stage_result(
    waited: Mapping[str, Any],
    *,
    cadence: Cadence,
    report: str,
    transform: Transform | None,
    formats: Sequence[str],
    bucket: str,
    aws_conn_id: str | None,
) -> dict[str, Any]:
    """Read a query's result, transform it, and stage it as the version that it may become.

    The rows stream from S3 through `transform` back to S3; only facts are returned.

    Args:
        waited: What `AthenaWaitSensor` pushed, with its period.
        cadence: The periods of the DAG.
        report: Name of the report.
        transform: From the batches of the result to the batches to publish; None for the result as it is.
        formats: Formats to write.
        bucket: The report bucket.
        aws_conn_id: Airflow connection.

    Returns:
        `waited` with the `StagedVersion` beside it, as `staged`.

    Raises:
        ResultError: The result cannot be read.
        TransformError: The transform failed.
        PublishError: The version cannot be written.
    """
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    from athena_reports.result import read_result

    s3 = S3Hook(aws_conn_id=aws_conn_id).get_conn()
    result = read_result(
        QueryExecution.from_dict(waited["query"]),
        athena=AthenaHook(aws_conn_id=aws_conn_id).get_conn(),
        s3=s3,
    )
    period = cadence.period(waited["period"]["id"])
    about = f"Report {report!r}, period {period.id} ({cadence.name})"
    staged = publish.stage(
        apply(transform, result.batches, period, about) if transform else result.batches,
        location=publish.Location(bucket, report, cadence.name, period.id),
        formats=formats,
        s3=s3,
    )
    return {**waited, "staged": staged.to_dict()}


class S3PublishOperator(AwsBaseOperator[S3Hook]):
    """Verifies a staged version in S3 and makes it the current one of its period.

    Args:
        staged: What `stage_result` returned: the version, and the period and the query that it is of.
        bucket: The report bucket.
        report: Name of the report.
        environment: Name of the environment, for the manifest.
        late_by: A period whose query was submitted before its end plus this is marked as provisional.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.staged = staged
        self.bucket = bucket
        self.report = report
        self.environment = environment
        self.late_by = late_by

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish, and return where the manifest is and what was done."""
        period = self.staged["period"]
        location = publish.Location(self.bucket, self.report, period["cadence"], period["id"])
        publication = publish.publish(
            publish.StagedVersion.from_dict(self.staged["staged"]),
            self._facts(context),
            location=location,
            s3=self.hook.get_conn(),
        )
        manifest = publication.manifest
        outcome = {
            "manifest": location.manifest_uri,
            "outcome": publication.outcome,
            "version": manifest["version"],
            "rows": manifest["rows"],
            "provisional": manifest["provisional"],
        }
        self.log.info("%(outcome)s: version %(version)s, %(rows)d rows, %(manifest)s", outcome)
        return outcome

    def _facts(self, context: Context) -> dict[str, Any]:
        query, period = QueryExecution.from_dict(self.staged["query"]), self.staged["period"]
        settled_at = datetime.fromisoformat(period["end_utc"]) + self.late_by
        return {
            "report": self.report,
            "environment": self.environment,
            "period": period,
            "provisional": datetime.fromisoformat(query.submitted_at) < settled_at,
            "published_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "query": {
                "id": query.id,
                "submitted_at": query.submitted_at,
                "scanned_bytes": query.scanned_bytes,
                "price_usd": round(query.price_usd, 6),
                "engine_version": query.engine_version,
            },
            "run": {"dag_id": self.dag_id, "run_id": context["run_id"]},
            "code_version": __version__,
        }
