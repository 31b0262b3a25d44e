"""Publishes a staged version and registers it in Glue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from athena_reports import __version__
from athena_reports.publication.glue_table import Table
from athena_reports.publication.publish import Publication, publish
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.submission import Submitted
from athena_reports.stage import Location, StagedVersion
from athena_reports.storage import Storage

if TYPE_CHECKING:
    from airflow.sdk import Context

    from athena_reports.settings import Encryption


from athena_reports.queries.airflow_errors import report_errors


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
        period = self.staged["submitted"]["period"]
        location = Location(self.bucket, self.report, period["cadence"], period["id"])
        with report_errors():
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
        query = QueryExecution.model_validate(self.staged["query"])
        submitted = Submitted.model_validate(self.staged["submitted"])
        period = self.staged["submitted"]["period"]
        settles_at = datetime.fromisoformat(period["end_utc"]) + self.late_by
        missing = [gap for coverage in submitted.inputs for gap in coverage.gaps]
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
                "sql_sha256": submitted.sql_sha256,
                "scanned_bytes": query.scanned_bytes,
                "price_usd": round(query.price_usd, 6),
                "engine_version": query.engine_version,
            },
            "checks": self.staged["checks"],
            "run": {"dag_id": self.dag_id, "run_id": context["run_id"]},
            "code_version": __version__,
        }
