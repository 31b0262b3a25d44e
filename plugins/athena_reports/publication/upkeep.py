"""The operator that looks after everything that is published: repairs, and removes by policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.common.compat.sdk import AirflowException

from athena_reports.publication.cleanup import Policy, upkeep
from athena_reports.publication.glue_table import Table
from athena_reports.stage import Location
from athena_reports.storage import Storage

if TYPE_CHECKING:
    from airflow.sdk import Context

    from athena_reports.settings import Encryption


class AthenaReportsUpkeepOperator(AwsBaseOperator[S3Hook]):
    """Looks through all reports of a bucket: repairs what does not follow its manifest, removes what may go.

    Returns the number of periods, of objects that may go or are gone, their bytes, and what was repaired.

    Args:
        bucket: The report bucket.
        database: Glue database of the published tables.
        policy: How long versions stay that are not current.
        delete: Whether to delete what may go; else it is only listed in the log.
        bucket_owner: Account id that must own the bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    aws_hook_class = S3Hook
    template_fields: Sequence[str] = ("bucket", "database")
    ui_color = "#e8d5b5"

    def __init__(
        self,
        *,
        bucket: str,
        database: str,
        policy: Policy,
        delete: bool = False,
        bucket_owner: str = "",
        encryption: Encryption | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.database = database
        self.policy = policy
        self.delete = delete
        self.bucket_owner = bucket_owner
        self.encryption = encryption

    def execute(self, context: Context) -> dict[str, Any]:
        """Look through all periods.

        Raises:
            AirflowException: A period had to be left alone and needs somebody; all others are done.
        """
        storage = Storage(self.hook.get_conn(), self.bucket_owner, self.encryption)
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).get_conn()
        periods, objects, size = 0, 0, 0
        repaired: list[str] = []
        problems: list[str] = []
        for report in storage.folders(f"s3://{self.bucket}/"):
            for cadence in storage.folders(report):
                *_, report_name, cadence_name, _ = cadence.split("/")
                location = Location(self.bucket, report_name, cadence_name, "")
                summary = upkeep(
                    location,
                    storage=storage,
                    table=Table(self.database, location, glue),
                    policy=self.policy,
                    now=datetime.now(UTC),
                    delete=self.delete,
                )
                for removal in summary.removals:
                    done = "removed" if summary.deleted else "may go"
                    self.log.info("%s: %s (%d bytes): %s", done, removal.uri, removal.bytes, removal.reason)
                periods += summary.periods
                objects += len(summary.removals)
                size += sum(removal.bytes for removal in summary.removals)
                repaired += [f"{report_name}/{cadence_name}/{period_id}" for period_id in summary.repaired]
                problems += summary.problems
        if problems:
            raise AirflowException("Left alone: " + "; ".join(problems))
        return {
            "periods": periods,
            "objects": objects,
            "bytes": size,
            "deleted": self.delete,
            "repaired": repaired,
        }
