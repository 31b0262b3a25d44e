"""Addresses in S3 of what a report publishes. Addresses of folders end with a slash.

A data object is at
`s3://<bucket>/<report>/<cadence>/<period id>/versions/<version>/<format>/part-0.<suffix>`.
"""

from dataclasses import dataclass
from typing import Self

from athena_reports.aws.s3 import split_uri
from athena_reports.periods.calendar import Cadence, Period

# Folder of the report bucket that says who was told of what. No report can have this name.
ALERTS_FOLDER = "_alerts"


@dataclass(frozen=True)
class ReportLocation:
    """Where a report is published in one cadence. It is made by `of`.

    A caller that only knows the folders of a bucket, as the cleanup does, makes it by `of_folder`.
    Then the names may not be those of a report and a cadence.

    Attributes:
        bucket: The report bucket.
        name: Name of the report.
        cadence_name: Name of the cadence, such as `weekly`.
    """

    bucket: str
    name: str
    cadence_name: str

    @classmethod
    def of(cls, bucket: str, report: str, cadence: Cadence) -> Self:
        """Return where a bucket has a report, by its name, in a cadence."""
        return cls(bucket, report, cadence.name)

    @classmethod
    def of_folder(cls, folder_uri: str) -> Self:
        """Return the location that the address of a folder names.

        Names that the address lacks are empty.
        """
        bucket, key = split_uri(folder_uri)
        # The two slashes make sure that there are two names to unpack, which may be empty.
        report, cadence_name, *_ = f"{key}//".split("/")
        return cls(bucket, report, cadence_name)

    @property
    def folder_uri(self) -> str:
        """Address of the folder of all periods."""
        return f"s3://{self.bucket}/{self.name}/{self.cadence_name}/"

    @property
    def latest_uri(self) -> str:
        """Address of the object that names the latest published period."""
        return f"{self.folder_uri}latest.json"

    @property
    def calendar_uri(self) -> str:
        """Address of the object that says whose folder it is, and what its periods mean."""
        return f"{self.folder_uri}calendar.json"

    @property
    def table_name(self) -> str:
        """Name of the table in Glue, `<report>_<cadence>`, which is the id of the DAG too."""
        return f"{self.name}_{self.cadence_name}"

    def period_folder(self, period_id: str) -> "PeriodLocation":
        """Return the location of a folder by its name.

        The name may be the id of a period, or anything else.
        """
        return PeriodLocation(self, period_id)


@dataclass(frozen=True)
class PeriodLocation:
    """Where one period of a report is published.

    It is made by `of`, or of a folder by `ReportLocation.period_folder`.

    Attributes:
        report: Where the report is published.
        period_id: Name of the folder, which is the id of the period.
    """

    report: ReportLocation
    period_id: str

    @classmethod
    def of(cls, bucket: str, report: str, period: Period) -> Self:
        """Return where a bucket has a period of a report, by its name."""
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

    def sql_uri(self, version: str, sql_sha256: str) -> str:
        """Return the address of a version's SQL.

        Other SQL that gave the same rows lies beside it.
        """
        return f"{self.version_uri(version)}sql/{sql_sha256[:16]}.sql"

    def uri(self, key: str) -> str:
        """Return the address of a key in the report bucket."""
        return f"s3://{self.report.bucket}/{key}"
