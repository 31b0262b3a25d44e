"""The operator that publishes a prepared version."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk import Asset, Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.errors import PublishError
from athena_reports.periods.calendar import Period
from athena_reports.publication.location import PeriodLocation
from athena_reports.queries.submission import Submitted
from athena_reports.reports.logic_digest import logic_digest
from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import report_errors, required_xcoms
from athena_reports.version import __version__

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from athena_reports.publication.manifest import Manifest, PublicationFacts
    from athena_reports.publication.successor import Publication
    from athena_reports.steps.prepared_version import PreparedVersion


class S3PublishOperator(AwsBaseOperator[SharedSessionHook]):
    """Makes a prepared version the current one of its period in S3 and in Glue.

    The event of each asset among the `outlets` has what the task returns as its extra. There is no
    event if nothing is new: a later query has published, or another query had published the same
    rows. It is new if these rows were provisional or partial, and no longer are.

    Args:
        prepared: What `transform_result` returned.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`.
        bucket: The report bucket.
        report: Name of the report.
        environment: Name of the environment. The folder of the report belongs to it.
        may_lose_rows: Whether a version without rows may replace one with rows without a warning.
        channels: Names of the channels that the version is to be delivered to.
        deliver_within: How long after the end of the period a channel gets its first version of it.
        correct_within: How long after the end of the period a channel gets a correction.
        keyed_outlets: Further assets, whose events have the id of the period as partition key.
            Airflow has such events from 3.3 on; before, these assets are left out.
        delivery_outlets: The same, with events only for what is to be delivered: within
            `deliver_within`, or within `correct_within` if the period was delivered before.
        database: Glue database of the published table; None for no table.
        memory_limit: What DuckDB may hold in memory, such as `128MB`.
        bucket_owner: Account id that must own the bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = aws_template_fields("prepared", "submitted", "bucket")
    ui_color = "#98d8a0"

    def __init__(
        self,
        *,
        prepared: Any,
        submitted: Any,
        bucket: str,
        report: str,
        environment: str,
        may_lose_rows: bool = False,
        channels: Sequence[str] = (),
        deliver_within: timedelta = timedelta(0),
        correct_within: timedelta = timedelta(0),
        keyed_outlets: Sequence[Asset] = (),
        delivery_outlets: Sequence[Asset] = (),
        database: str | None = None,
        memory_limit: str = "128MB",
        bucket_owner: str = "",
        encryption: Encryption | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prepared = prepared
        self.submitted = submitted
        self.bucket = bucket
        self.report = report
        self.environment = environment
        self.may_lose_rows = may_lose_rows
        self.channels = tuple(channels)
        self.deliver_within = deliver_within
        self.correct_within = correct_within
        self.keyed_outlets = list(keyed_outlets) if HAS_KEYED_EVENTS else []
        self.delivery_outlets = list(delivery_outlets) if HAS_KEYED_EVENTS else []
        self.add_outlets([*self.keyed_outlets, *self.delivery_outlets])
        self.database = database
        self.memory_limit = memory_limit
        self.bucket_owner = bucket_owner
        self.encryption = encryption
        self._publication: Publication | None = None  # what `execute` published, for OpenLineage

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the arguments. If run_query did not push `submitted`, the task fails for good."""
        with required_xcoms(self._not_handed_on("run_query")):
            super().render_template_fields(context, jinja_env)

    @report_errors()
    def execute(self, context: Context) -> dict[str, Any]:
        """Publish, and return the address of the manifest and its main facts."""
        # Imported here: every step's process loads this module, and only this step needs them.
        from athena_reports.publication.commit import publish
        from athena_reports.publication.folder import PublishedCalendar, require_calendar
        from athena_reports.publication.glue_table import Table
        from athena_reports.steps.prepared_version import PreparedVersion

        submission = Submitted.from_xcom(self.submitted)
        if submission is None or submission.period is None:
            raise PublishError(self._not_handed_on("run_query"), retryable=False)
        if not self.prepared:
            raise PublishError(self._not_handed_on("transform"), retryable=False)
        prepared = PreparedVersion.model_validate(self.prepared)
        period = submission.period
        location = PeriodLocation.of(self.bucket, self.report, period)
        s3 = S3(self.hook.client("s3"), self.bucket_owner, self.encryption)
        table = None
        if self.database:
            table = Table(self.database, location.report, self.hook.client("glue"))
        calendar = PublishedCalendar(
            environment=self.environment, report=self.report, cadence=period.cadence
        )
        require_calendar(location.report, calendar, s3)
        facts = self._facts(prepared, submission, period, context)
        publication = publish(
            prepared.version,
            facts,
            location=location,
            s3=s3,
            table=table,
            memory_limit=self.memory_limit,
            may_lose_rows=self.may_lose_rows,
        )
        self._publication = publication
        manifest = publication.manifest
        event: dict[str, Any] = {
            "manifest": location.manifest_uri,
            "outcome": publication.outcome,
            "period": manifest.period.model_dump(mode="json"),
            "provisional": manifest.provisional,
            "partial": manifest.partial,
            "published_at": manifest.published_at,
            "version": manifest.version,
            "rows": manifest.rows,
            "warnings": [check.name for check in manifest.warnings],
        }
        # Airflow makes an event for each outlet that a task has at its end. A running task may
        # change them: Airflow's `@task` (DecoratedOperator) does so too.
        self.outlets = self._outlets_with_event(publication, location, s3)
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = event
            if outlet in (*self.keyed_outlets, *self.delivery_outlets):
                context["outlet_events"][outlet].add_partitions(period.id)
        self.log.info("%(outcome)s: version %(version)s, %(rows)d rows, %(manifest)s", event)
        for check in manifest.warnings:
            self.log.warning("check %s: %s", check.name, check.message)
        return event

    def get_openlineage_facets_on_start(self) -> "OperatorLineage[Any, Any]":
        """Return the query, what it reads, and what is to be published, for OpenLineage."""
        from athena_reports.steps.lineage import published_dataset, query_lineage
        from athena_reports.steps.prepared_version import PreparedVersion

        submission = Submitted.model_validate(self.submitted)
        prepared = PreparedVersion.model_validate(self.prepared)
        period: Any = submission.period
        location = PeriodLocation.of(self.bucket, self.report, period)
        s3 = S3(self.hook.client("s3"), self.bucket_owner)
        sql, _ = s3.read(location.sql_uri(prepared.version.version, submission.sql_sha256))
        query = prepared.query
        lineage = query_lineage(sql.decode(), query.id, submission.inputs, query.region)
        version = prepared.version
        checks = prepared.checks
        if self._publication is not None:
            if self._publication.outcome == "superseded":
                return lineage  # readers have the version of a later query
            version = self._publication.manifest
            checks = self._publication.manifest.checks
        dataset = published_dataset(
            version, checks, location, database=self.database, region=query.region
        )
        lineage.outputs.append(dataset)
        return lineage

    def get_openlineage_facets_on_complete(self, _: Any) -> "OperatorLineage[Any, Any]":
        """Return the same with the version that readers get now, also when the task has failed."""
        return self.get_openlineage_facets_on_start()

    def _not_handed_on(self, task_id: str) -> str:
        return (
            f"Report {self.report!r}: publish received no period or no prepared version. "
            f"If {task_id} was marked as success, clear {task_id} and its downstream tasks. "
            "In a custom DAG, pass the cadence to run_query, and prepared=transform.output and "
            "submitted=XComArg(run_query, key='submitted') to publish."
        )

    def _facts(
        self, prepared: "PreparedVersion", submission: Submitted, period: Period, context: Context
    ) -> "PublicationFacts":
        from athena_reports.publication import manifest

        query = manifest.QueryFacts.model_validate(prepared.query, from_attributes=True)
        of_submission = {
            "reads_previous": submission.reads_previous,
            "sql_sha256": submission.sql_sha256,
        }
        own_settles_at = period.end_utc + submission.late_by
        settles_at = own_settles_at
        is_provisional = datetime.fromisoformat(query.submitted_at) < own_settles_at
        missing_partitions: list[str] = []
        parts = {}  # by the DAG of each report that was read, which is the name of its table too
        for source in submission.inputs:
            missing_partitions += source.gaps
            if source.versions:
                parts[source.dag_id] = source.versions
            # A part that was provisional when it was read may still change, and so may this period.
            if source.settles_at is not None:
                is_provisional = True
                settles_at = max(settles_at, source.settles_at)
        delivery = None
        if self.channels:
            until = period.end_utc + self.deliver_within
            correct_until = period.end_utc + self.correct_within
            delivery = manifest.PlannedDelivery(
                channels=self.channels,
                until=until.isoformat(),
                correct_until=correct_until.isoformat(),
            )
        ti: Any = context["ti"]
        run = manifest.RunFacts(
            dag_id=self.dag_id, run_id=context["run_id"], max_tries=ti.max_tries
        )
        bundle = getattr(ti, "bundle_instance", None)  # `dag.test()` has none
        bundle_version = bundle.version if bundle else None
        return manifest.PublicationFacts(
            report=self.report,
            environment=self.environment,
            period=manifest.PublishedPeriod.of(period),
            settles_at=settles_at.isoformat(),
            provisional=is_provisional,
            partial=bool(missing_partitions),
            missing_partitions=tuple(missing_partitions),
            published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            query=query.model_copy(update=of_submission),
            checks=prepared.checks,
            run=run,
            code_version=__version__,
            bundle_version=bundle_version or "",
            logic=logic_digest(submission.query_logic, prepared.transforms_logic),
            delivery=delivery,
            parts=parts,
        )

    def _outlets_with_event(
        self, publication: "Publication", location: PeriodLocation, s3: S3
    ) -> list[Any]:
        if publication.outcome not in ("published", "settled"):
            return []  # nothing new was published
        if _is_to_be_delivered(publication.manifest, location, s3):
            return self.outlets
        return [outlet for outlet in self.outlets if outlet not in self.delivery_outlets]


def _is_to_be_delivered(manifest: "Manifest", location: PeriodLocation, s3: S3) -> bool:
    planned = manifest.delivery
    if planned is None:
        return False
    if planned.is_in_time(manifest.published_at, is_correction=False):
        return True  # some channel may have none yet
    if not planned.is_in_time(manifest.published_at, is_correction=True):
        return False
    receipts = s3.list(location.receipts_uri)
    return any(stored.uri.endswith(".json") for stored in receipts)
