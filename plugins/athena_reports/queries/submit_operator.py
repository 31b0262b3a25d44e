"""Submits a query to Athena, once per intention, and returns at once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from athena_reports.errors import RunPeriodError
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run, require_complete
from athena_reports.periods.sql_period import ParamValue, SqlPeriod
from athena_reports.queries.airflow_errors import aws_errors, describe, report_errors, require_connection
from athena_reports.queries.input_partitions import InputCoverage, find_coverage
from athena_reports.queries.ownership import Marker, Submission, generation_of
from athena_reports.queries.submission import Start, Submitted, submit_once
from athena_reports.reports.sql_template import template_context

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook
    from airflow.sdk import Context

    from athena_reports.periods.calendar import Cadence, Period
    from athena_reports.reports.report import Input
    from athena_reports.settings import Encryption

PERIOD_XCOM = "period"
SUBMITTED_XCOM = "submitted"


class AthenaSubmitOperator(AthenaOperator):
    """Submits a query to Athena, once per intention, and returns its query execution id at once.

    With a `cadence` the query is a report's template: it sees `period` and `params` and nothing else. Without
    one, Airflow's usual template context applies, with the plugin's macros. Pushes `Submitted` to XCom under
    the key `submitted`, and with a cadence `PeriodFacts` under the key `period`.

    Args:
        cadence: The periods of the DAG; None for a query without a period.
        late_by: How long after it happened an event may still land; the partition filter follows.
        sql_params: Constants of the template, as `{{ params.<name> }}`, written as SQL literals.
        inputs: Tables whose partitions are looked for before the query is paid.
        unload_to: `s3://` prefix with the closing slash below which Athena writes the rows as Parquet files;
            None for its usual CSV.
        environment: Name of the environment, for the query's marker and for messages.
        kwargs: Arguments of AthenaOperator.
    """

    template_fields: Sequence[str] = ("period", *AthenaOperator.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence | None = None,
        late_by: timedelta = timedelta(0),
        sql_params: Mapping[str, ParamValue] | None = None,
        inputs: Sequence[Input] = (),
        unload_to: str | None = None,
        environment: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cadence = cadence
        self.late_by = late_by
        self.sql_params = dict(sql_params or {})
        self.inputs = tuple(inputs)
        self.unload_to = unload_to
        self.environment = environment
        self.killed = False
        self.period: dict[str, str] | None = None  # shown in the UI
        self._period: Period | None = None

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Decide on the period of the run, before anything is started, and render the query for it."""
        if self.cadence is None:
            super().render_template_fields(context, jinja_env)
            return
        try:
            param = context["params"].get(PERIOD_PARAM) or ""
            period = period_of_run(self.cadence, context["dag_run"], param=param)
            require_complete(period, datetime.now(UTC))
        except RunPeriodError as error:
            raise AirflowFailException(f"{self.dag_id}: {error}") from error
        names = template_context(SqlPeriod(period, self.late_by), self.sql_params) | {"ti": context["ti"]}
        super().render_template_fields(names, jinja_env)  # type: ignore[arg-type]  # all that a report sees
        self._period, self.period = period, period.facts.model_dump()

    def execute(self, context: Context) -> str:
        """Submit the query, once per intention, and return its query execution id."""
        about = describe(self.dag_id, self._period.id if self._period else "", self.environment)
        require_connection(self.hook, about)
        inputs = self._find_coverage(about)
        with aws_errors(about):
            self.query_execution_id = submit_once(
                self._submission(context),
                athena=self.hook.get_conn(),
                start=starter(self.hook),
                is_retry=context["ti"].try_number > 1,
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
        submitted = Submitted(
            period=self._period.facts if self._period else None,
            sql_sha256=hashlib.sha256(self.query.encode()).hexdigest(),
            inputs=inputs,
        )
        context["ti"].xcom_push(key=SUBMITTED_XCOM, value=submitted.model_dump(mode="json"))
        if self.period is not None:
            context["ti"].xcom_push(key=PERIOD_XCOM, value=self.period)
        return self.query_execution_id

    def on_kill(self) -> None:
        """Stop the query; one that is being submitted right now is stopped as soon as its id is known."""
        self.killed = True
        if self.query_execution_id:
            self.hook.stop_query(self.query_execution_id)

    def _submission(self, context: Context) -> Submission:
        ti, run = context["ti"], context["dag_run"]
        mapped = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
        database = {"Database": self.database} if self.database else {}
        output = {"OutputLocation": self.output_location} if self.output_location else {}
        return Submission.make(
            self.query,
            owner=Marker(
                environment=self.environment,
                dag_id=self.dag_id,
                run_id=context["run_id"],
                task_id=self.task_id + mapped,
                generation=generation_of(run.clear_number, run.start_date),
            ),
            context={**self.query_execution_context, **database, "Catalog": self.catalog},
            workgroup=self.workgroup,
            result_configuration={**self.result_configuration, **output},
            unload_to=self.unload_to,
        )

    def _find_coverage(self, about: str) -> tuple[InputCoverage, ...]:
        if not self.inputs or self._period is None:
            return ()
        with aws_errors(about), report_errors(f"{about}: "):
            found = find_coverage(
                self.inputs,
                self._period,
                late_by=self.late_by,
                now=datetime.now(UTC),
                database=self.database or "default",
                glue=GlueCatalogHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).get_conn(),
            )
        for coverage in found:
            self.log.log(logging.WARNING if coverage.gaps else logging.INFO, "%s.", coverage)
        return found


def starter(hook: AthenaHook) -> Start:
    """Return a function that starts an execution of a submission through the provider's hook."""
    return lambda submission, number: hook.run_query(
        submission.sql(number),
        dict(submission.context),
        dict(submission.result_configuration),
        submission.token(number),
        submission.workgroup,
    )


def result_configuration(bucket_owner: str, encryption: Encryption | None) -> dict[str, Any]:
    """Return the operator's `result_configuration` for a bucket's owner (empty for any) and encryption."""
    configuration: dict[str, Any] = {"ExpectedBucketOwner": bucket_owner} if bucket_owner else {}
    if encryption:
        option = {"AES256": "SSE_S3", "aws:kms": "SSE_KMS"}[encryption.algorithm]
        key = {"KmsKey": encryption.kms_key} if encryption.kms_key else {}
        configuration["EncryptionConfiguration"] = {"EncryptionOption": option, **key}
    return configuration
