"""Submits a query to Athena, once per intention, and returns at once."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import RunPeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run, require_complete
from athena_reports.periods.sql_period import ParamValue, SqlPeriod
from athena_reports.queries.input_partitions import InputCoverage, find_coverage
from athena_reports.queries.ownership import Marker, Submission
from athena_reports.queries.submission import Submitted, submit_once
from athena_reports.reports.input import Input
from athena_reports.reports.sql_template import template_context
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import aws_errors, describe, report_errors, require_connection
from athena_reports.steps.scan_limit import ScanEstimate, require_within

SUBMITTED_XCOM = "submitted"
RETRIED_XCOM = "retried"  # of its own: a first try that was taken for dead pushes the others again when it goes on


class AthenaSubmitOperator(AthenaOperator):
    """Submits a query to Athena, once per intention, and returns its query execution id at once.

    With a `cadence` the query is a report's template: it sees `period` and `params` and nothing else. Without one,
    Airflow's usual template context applies, with the plugin's macros. Pushes `Submitted` to XCom under the key
    `submitted`: the steps after it take the period from there. From the second try on it pushes True under `retried`.

    Args:
        cadence: The periods of the DAG; None for a query without a period.
        late_by: How long after it happened an event may still land; the partition filter follows.
        sql_params: Constants of the template, as `{{ params.<name> }}`, written as SQL literals.
        inputs: Tables whose partitions are looked for before the query is paid.
        unload_to: `s3://` prefix with the closing slash for the rows as Parquet files; None for Athena's usual CSV.
        max_scan: The most bytes that the query may scan, by `measured`; None for no limit.
        measured: Function of the period and a Glue client that says what the query will scan; None if nothing does.
        require: Called with the hook before anything else; what it raises fails the task, before a query is paid.
        environment: Name of the environment, for the query's marker and for messages.
        kwargs: Arguments of AthenaOperator.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("period", *AthenaOperator.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence | None = None,
        late_by: timedelta = timedelta(0),
        sql_params: Mapping[str, ParamValue] | None = None,
        inputs: Sequence[Input] = (),
        unload_to: str | None = None,
        max_scan: int | None = None,
        measured: Callable[[Period, Any], ScanEstimate | None] | None = None,
        require: Callable[[SharedSessionHook], None] | None = None,
        environment: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cadence, self.late_by, self.sql_params = cadence, late_by, dict(sql_params or {})
        self.inputs, self.unload_to, self.environment = tuple(inputs), unload_to, environment
        self.max_scan, self.measured, self.require = max_scan, measured, require
        self.killed = False
        self.period: Period | None = None  # shown in the UI

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Decide on the period of the run, before anything is started, and render the query for it."""
        if self.cadence is None:
            super().render_template_fields(context, jinja_env)
            return
        with report_errors(f"{self.dag_id}: "):
            unknown = context["params"].keys() - self.dag.params.keys()
            if misspelt := get_close_matches(PERIOD_PARAM, unknown - {PERIOD_PARAM}, n=1):
                raise RunPeriodError(f"There is no param {misspelt[0]!r}. Did you mean {PERIOD_PARAM!r}?")
            period = period_of_run(self.cadence, context["dag_run"], param=context["params"].get(PERIOD_PARAM) or "")
            require_complete(period, datetime.now(UTC))
            names = template_context(SqlPeriod(period, self.late_by), self.sql_params, self.inputs) | {
                "ti": context["ti"]
            }
            super().render_template_fields(names, jinja_env)  # type: ignore[arg-type]  # all that a report sees
        self.period = period

    def execute(self, context: Context) -> str:
        """Submit the query, once per intention, and return its query execution id."""
        about, ti = describe(self.dag_id, self.period, self.environment), context["ti"]
        require_connection(self.hook, about)
        hook: Any = self.hook  # typed as AthenaOperator's
        with aws_errors(about):
            if self.require:
                self.require(hook)
            inputs = self._find_coverage()
            self._require_small_scan()
            submission = self._submission(context)
            is_retry = ti.try_number > 1
            self.query_execution_id = submit_once(submission, hook, is_retry=is_retry)
        if self.killed:
            self.on_kill()
            raise AirflowException(f"{about}: killed while query {self.query_execution_id} was submitted.")
        where = {"region_name": self.hook.conn_region_name, "aws_partition": self.hook.conn_partition}
        AthenaQueryResultsLink.persist(context, self, **where, query_execution_id=self.query_execution_id)
        sql_sha256 = hashlib.sha256(self.query.encode()).hexdigest()
        submitted = Submitted(period=self.period, sql_sha256=sql_sha256, inputs=inputs)
        ti.xcom_push(key=SUBMITTED_XCOM, value=submitted.model_dump(mode="json"))
        if is_retry:
            ti.xcom_push(key=RETRIED_XCOM, value=True)
        return self.query_execution_id

    def on_kill(self) -> None:
        """Stop the query; one that is being submitted right now is stopped as soon as its id is known."""
        self.killed = True
        if self.query_execution_id:
            self.hook.stop_query(self.query_execution_id)

    def _submission(self, context: Context) -> Submission:
        ti, run = context["ti"], context["dag_run"]
        # Airflow counts clear_number up at each clear; the start tells the run from a deleted one with the same id.
        generation = f"{run.clear_number or 0}" + (f" since {run.start_date.isoformat()}" if run.start_date else "")
        names = {"dag_id": self.dag_id, "run_id": context["run_id"], "task_id": self.task_id}
        map_index = -1 if ti.map_index is None else ti.map_index
        database = {"Database": self.database} if self.database else {}
        output = {"OutputLocation": self.output_location} if self.output_location else {}
        owner = Marker(environment=self.environment, generation=generation, map_index=map_index, **names)
        request: dict[str, Any] = {"context": {**self.query_execution_context, **database, "Catalog": self.catalog}}
        request |= {"workgroup": self.workgroup, "result_configuration": self.result_configuration | output}
        return Submission.make(self.query, owner=owner, unload_to=self.unload_to, **request)

    def _find_coverage(self) -> tuple[InputCoverage, ...]:
        if not self.inputs or self.period is None:
            return ()
        now, database = datetime.now(UTC), self.database or "default"
        hook: Any = self.hook  # typed as AthenaOperator's
        where = {"database": database, "glue": hook.client("glue")}
        found = find_coverage(self.inputs, self.period, late_by=self.late_by, now=now, **where)
        for coverage in found:
            self.log.log(logging.WARNING if coverage.gaps else logging.INFO, "%s.", coverage)
        return found

    def _require_small_scan(self) -> None:
        if self.max_scan is None or self.period is None:
            return
        hook: Any = self.hook
        if estimate := self.measured and self.measured(self.period, hook.client("glue")):
            require_within(self.max_scan, estimate)
        else:
            self.log.warning("No period is published yet, so there is no estimate: max_scan is not checked.")


def result_configuration(bucket_owner: str, encryption: Encryption | None) -> dict[str, Any]:
    """Return the operator's `result_configuration` for a bucket's owner (empty for any) and encryption."""
    configuration: dict[str, Any] = {"ExpectedBucketOwner": bucket_owner} if bucket_owner else {}
    if encryption:
        option = {"AES256": "SSE_S3", "aws:kms": "SSE_KMS"}[encryption.algorithm]
        key = {"KmsKey": encryption.kms_key} if encryption.kms_key else {}
        configuration["EncryptionConfiguration"] = {"EncryptionOption": option, **key}
    return configuration
