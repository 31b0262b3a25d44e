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

from athena_reports.compat import (
    AirflowException,
    AirflowFailException,
)
from athena_reports.errors import (
    RunPeriodError,
)
from athena_reports.periods.run_period import FILL_RUN_ID, PERIOD_PARAM, period_of_run, require_complete
from athena_reports.queries.input_partitions import Coverage, find_coverage
from athena_reports.queries.submission import (
    Submission,
    generation_of,
    require_budget,
    submit_once,
)
from athena_reports.reports.sql_template import ParamValue, SqlPeriod, keeps_order, template_context

if TYPE_CHECKING:
    from airflow.sdk import Context

    from athena_reports.periods.calendar import Cadence
    from athena_reports.reports.report import Input
    from athena_reports.settings import Encryption


from athena_reports.queries.airflow_errors import (
    called,
    describe,
    period_facts,
    require_connection,
    starter,
    worked,
)

PERIOD_XCOM = "period"
SUBMITTED_XCOM = "submitted"


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
