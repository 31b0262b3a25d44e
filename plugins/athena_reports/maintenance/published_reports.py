"""What the operators that look at all published reports have in common."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.publication.glue_table import Table, published_tables


class PublishedReportsOperator(AwsBaseOperator[SharedSessionHook]):
    """Looks at the tables of the published reports.

    Args:
        database: The Glue database of the reports.
        bucket_owner: Account id that must own their bucket; empty for any.
        **kwargs: Arguments of `AwsBaseOperator`, such as `task_id` and `aws_conn_id`.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("database",)
    ui_color = "#c9d8f0"

    def __init__(self, *, database: str, bucket_owner: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.bucket_owner = bucket_owner

    @cached_property
    def _s3(self) -> S3:
        """The client of the bucket of the reports."""
        return S3(self.hook.client("s3"), self.bucket_owner)

    def _tables(self) -> Iterator[Table]:
        """Yield the table of each report in each cadence."""
        yield from published_tables(self.database, self.hook.client("glue"))
