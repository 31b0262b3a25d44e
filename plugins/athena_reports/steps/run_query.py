"""Submits a query to Athena, once per clear of its run, and returns at once."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.inputs.published import Source
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.queries.request import QueryRequest
from athena_reports.queries.submission import Submitted
from athena_reports.reports.sql_params import sql_environment
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context, template_errors
from athena_reports.settings import Settings
from athena_reports.sql.literals import ParamValue
from athena_reports.steps.airflow_errors import (
    report_errors,
    require_connection,
    run_label,
)
from athena_reports.steps.execution_notes import ExecutionNotes, start_once, stop_unwanted
from athena_reports.steps.input_coverage import find_partitions, require_partitions
from athena_reports.steps.task_period import period_of_task

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

SUBMITTED_XCOM = "submitted"

# Athena's names of the ways to encrypt, by S3's. It has none for DSSE-KMS.
_ENCRYPTION_OPTIONS = {"AES256": "SSE_S3", "aws:kms": "SSE_KMS"}


class AthenaSubmitOperator(AthenaOperator):
    """Submits a query to Athena, once per clear of its run, and returns its id at once.

    With a `cadence` the query is a report's template: it sees `period` and `params` and nothing
    else. Without one, Airflow's usual template context applies, with the plugin's macros. Pushes
    `Submitted` to XCom under the key `submitted`: the steps after it take the period from there.
    A retry, and a process that was killed, get the same execution by its token. So a kill of the
    task does not stop the query.

    Args:
        cadence: The periods of the DAG; None for a query without a period.
        late_by: How long after it happened an event may still land; the partition filter follows. A
            period whose query is submitted before its last events can have landed is provisional.
        sql_params: Constants of the template, as `{{ params.<name> }}`, written as SQL literals.
        inputs: Tables and reports that are looked for before the query is paid. If an `Input` reads
            the period before (`previous`), this one is stale as soon as that one changes.
        unload_to: `s3://` prefix with the closing slash for the rows as Parquet files; None for
            Athena's usual CSV.
        require: Called with the hook and the period before anything else; what it raises fails the
            task, before a query is paid.
        query_logic: Digest of what makes the query, as `Report.query_logic` gives it.
        environment: Name of the environment, for the query's token and for messages.
        kwargs: Arguments of AthenaOperator. Those about polling and the log, such as `sleep_time`
            and `log_query`, have no effect.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("period", "reads", *AthenaOperator.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence | None = None,
        late_by: timedelta = timedelta(0),
        sql_params: Mapping[str, ParamValue] | None = None,
        inputs: Sequence[Source] = (),
        unload_to: str | None = None,
        require: Callable[[SharedSessionHook, Any], None] | None = None,
        query_logic: str = "",
        environment: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cadence = cadence
        self.late_by = late_by
        self.sql_params = dict(sql_params or {})
        self.inputs = tuple(inputs)
        # The DAGs of the reports that it reads. As a template field Airflow stores it, and the
        # Reports page knows it.
        self.reads = [source.dag_id for source in inputs if source.dag_id]
        self.unload_to = unload_to
        self.require = require
        self.query_logic = query_logic
        self.environment = environment
        # What there is of each input, from the moment on when that is known.
        self._coverages: tuple[InputCoverage, ...] = ()
        # The period of the run, which is known when the query is rendered; None without a cadence.
        self._run_period: Period | None = None
        # The same in its wire form: as a template field, it is what Airflow's UI shows.
        self.period: dict[str, Any] | None = None

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Decide on the run's period before anything is started, and render the query for it."""
        if self.cadence is None:
            super().render_template_fields(context, jinja_env)
            return
        with report_errors(f"{self.dag_id}: "), template_errors(self.sql_params, self.inputs):
            period = period_of_task(self.cadence, context, self.dag)

            # Instead of Airflow's context: all that a report's template sees.
            sql_period = SqlPeriod(period, self.late_by)
            template_names = template_context(sql_period, self.sql_params, self.inputs)
            template_names["ti"] = context["ti"]
            environment = sql_environment(jinja_env or self.get_template_env())
            super().render_template_fields(template_names, environment)  # type: ignore[arg-type]
        self._run_period = period
        self.period = period.model_dump(mode="json")

    def execute(self, context: Context) -> str:
        """Submit the query, or find it, and return its query execution id."""
        about = run_label(self.dag_id, self._run_period, self.environment)
        hook: Any = self.hook  # typed as AthenaOperator's
        require_connection(hook, about)
        with report_errors(f"{about}: "):
            if self.require is not None:
                self.require(hook, self._run_period)
            self._coverages = self._find_coverage(hook)
            request = self._request(context)
            token = request.token()
            notes = ExecutionNotes(context, chain=token)
            stop_unwanted(hook, notes)
            self.query_execution_id = start_once(request, token, hook, notes)

        AthenaQueryResultsLink.persist(
            context,
            self,
            region_name=hook.conn_region_name,
            aws_partition=hook.conn_partition,
            query_execution_id=self.query_execution_id,
        )
        sql_sha256 = hashlib.sha256(self.query.encode()).hexdigest()
        reads_previous = any(source.previous for source in self.inputs)
        submitted = Submitted(
            period=self._run_period,
            query_execution_id=self.query_execution_id,
            sql_sha256=sql_sha256,
            inputs=self._coverages,
            late_by=self.late_by,
            reads_previous=reads_previous,
            query_logic=self.query_logic,
        )
        context["ti"].xcom_push(key=SUBMITTED_XCOM, value=submitted.model_dump(mode="json"))
        return self.query_execution_id

    def on_kill(self) -> None:
        """Leave the query running, which AthenaOperator would stop.

        A SIGTERM also comes from an evicted pod or a deployment. Then the next try gets the same
        execution.
        """

    def get_openlineage_facets_on_complete(self, _: Any) -> "OperatorLineage[Any, Any]":
        """Return the query and its `inputs`, for OpenLineage."""
        # AthenaOperator would look for tables in the SQL, and name the root of the result bucket.
        from athena_reports.steps.lineage import query_lineage

        region: Any = self.hook.conn_region_name
        return query_lineage(self.query, self.query_execution_id, self._coverages, region)

    def _find_coverage(self, hook: SharedSessionHook) -> tuple[InputCoverage, ...]:
        if self._run_period is None or not self.inputs:
            return ()
        glue = hook.client("glue")
        s3 = S3(hook.client("s3"))
        partitions = find_partitions(
            self.inputs,
            self._run_period,
            late_by=self.late_by,
            now=datetime.now(UTC),
            database=self.database or "default",  # which Athena takes, too
            glue=glue,
            s3=s3,
        )
        coverages = tuple(found.coverage for found in partitions)
        require_partitions(coverages)
        for coverage in coverages:
            level = logging.WARNING if coverage.gaps else logging.INFO
            self.log.log(level, "%s.", coverage)
        return coverages

    def _request(self, context: Context) -> QueryRequest:
        # No other task instance and clear has the same comment.
        run: Any = context["dag_run"]
        owner = {
            "environment": self.environment,
            "dag_id": self.dag_id,
            "run_id": context["run_id"],
            "task_id": self.task_id,
            "map_index": context["ti"].map_index,
            "clear_number": run.clear_number,
            # Differs if the run was deleted and created again.
            "run_started_at": str(run.start_date),
        }
        execution_context = dict(self.query_execution_context)
        if self.database:
            execution_context["Database"] = self.database
        execution_context["Catalog"] = self.catalog
        configuration = dict(self.result_configuration)
        if self.output_location:
            configuration["OutputLocation"] = self.output_location
        return QueryRequest(
            query=self._query_with_coverage(),
            comment=json.dumps(owner),
            context=execution_context,
            workgroup=self.workgroup,
            result_configuration=configuration,
            unload_to=self.unload_to,
        )

    def _query_with_coverage(self) -> str:
        # What it lacks and which versions it reads can change between two tries. Then the second
        # one has another token, and so a query of its own.
        lines = []
        gaps = [gap for coverage in self._coverages for gap in coverage.gaps]
        if gaps:
            lines.append(f"-- missing: {', '.join(gaps)}")
        versions = [coverage.versions for coverage in self._coverages if coverage.versions]
        if versions:
            digest = hashlib.sha256(json.dumps(versions).encode()).hexdigest()
            lines.append(f"-- versions of parts: {digest[:16]}")
        return "\n".join([*lines, self.query])


def result_configuration(deployment: Settings) -> dict[str, Any]:
    """Return the ResultConfiguration of Athena's API, which is the operator's argument too.

    It is empty if the workgroup manages its results: Athena rejects a request with one then.
    """
    configuration: dict[str, Any] = {}
    if not deployment.query_results:
        return configuration
    configuration["OutputLocation"] = deployment.query_results
    if deployment.bucket_owner:
        configuration["ExpectedBucketOwner"] = deployment.bucket_owner
    encryption = deployment.encryption
    if encryption is not None and encryption.algorithm in _ENCRYPTION_OPTIONS:
        options = {"EncryptionOption": _ENCRYPTION_OPTIONS[encryption.algorithm]}
        if encryption.kms_key:
            options["KmsKey"] = encryption.kms_key
        configuration["EncryptionConfiguration"] = options
    return configuration
