"""Addresses in S3 of what a report publishes. Addresses of folders end with a slash.

A data object is at
`s3://<bucket>/<report>/<cadence>/<period id>/versions/<version>/<format>/part-0.<suffix>`.
"""

from dataclasses import dataclass
from typing import Self

from athena_reports.aws.s3 import split_uri
from athena_reports.periods.calendar import Cadence, Period

# Folder of the report bucket where the alerts note what they have sent. No report can have this
# name.
ALERTS_FOLDER = "_alerts"


@dataclass(frozen=True)
class ReportLocation:
    """Where a report is published in one cadence."""

    bucket: str
    name: str
    cadence_name: str

    @classmethod
    def of(cls, bucket: str, report: str, cadence: Cadence) -> Self:
        """Return where a bucket has a report in a cadence."""
        return cls(bucket, report, cadence.unit)

    @classmethod
    def of_folder(cls, folder_uri: str) -> Self:
        """Return the location that the address of a folder names, which need not be a report's.

        Names that the address lacks are empty.
        """
        bucket, key = split_uri(folder_uri)
        # With two more slashes there are always two names to unpack; each may be empty.
        report, cadence_name, *_ = f"{key}//".split("/")
        return cls(bucket, report, cadence_name)

    @property
    def path(self) -> str:
        """The folder of all periods below the bucket, such as `user_ranking/weekly`."""
        return f"{self.name}/{self.cadence_name}"

    @property
    def folder_uri(self) -> str:
        """Address of the folder of all periods."""
        return f"s3://{self.bucket}/{self.path}/"

    @property
    def latest_uri(self) -> str:
        """Address of the object that names the latest published period."""
        return f"{self.folder_uri}latest.json"

    @property
    def calendar_uri(self) -> str:
        """Address of the object that has the environment and the calendar of the folder."""
        return f"{self.folder_uri}calendar.json"

    @property
    def table_name(self) -> str:
        """Name of the table in Glue, `<report>_<cadence>`, which is the id of the DAG too."""
        return f"{self.name}_{self.cadence_name}"

    def period_folder(self, period_id: str) -> "PeriodLocation":
        """Return the location of one of its folders, whose name need not be the id of a period."""
        return PeriodLocation(self, period_id)


@dataclass(frozen=True)
class PeriodLocation:
    """Where one period of a report is published."""

    report: ReportLocation
    period_id: str

    @classmethod
    def of(cls, bucket: str, report: str, period: Period) -> Self:
        """Return where a bucket has a period of a report."""
        return cls(ReportLocation.of(bucket, report, period.cadence), period.id)

    @property
    def folder_uri(self) -> str:
        """Address of the folder of the period."""
        return f"{self.report.folder_uri}{self.period_id}/"

    @property
    def manifest_uri(self) -> str:
        """Address of the manifest."""
        return f"{self.folder_uri}manifest.json"

    @property
    def versions_uri(self) -> str:
        """Address of the folder of all versions."""
        return f"{self.folder_uri}versions/"

    def version_uri(self, version: str) -> str:
        """Return the address of the folder of a version."""
        return f"{self.versions_uri}{version}/"

    def parquet_folder(self, version: str) -> str:
        """Return the address of the folder of a version's Parquet, which its partition names."""
        return f"{self.version_uri(version)}parquet/"

    def parquet_uri(self, version: str) -> str:
        """Return the address of the rows of a version as Parquet, if it has them."""
        return f"{self.parquet_folder(version)}part-0.parquet"

    def sql_uri(self, version: str, sql_sha256: str) -> str:
        """Return the address of SQL that gave a version's rows, by its SHA-256 in hexadecimal."""
        return f"{self.version_uri(version)}sql/{sql_sha256[:16]}.sql"

    @property
    def receipts_uri(self) -> str:
        """Address of the folder of all receipts of deliveries."""
        return f"{self.folder_uri}receipts/"

    def uri(self, key: str) -> str:
        """Return the address of a key in the report bucket."""
        return f"s3://{self.report.bucket}/{key}"
