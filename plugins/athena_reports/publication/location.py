"""Addresses in S3 of what a report publishes.

A data object is at
`s3://<bucket>/<report>/<cadence>/<period id>/versions/<version>/<format>/part-0.<suffix>`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """One period of one report. Addresses of folders end with a slash."""

    bucket: str
    report: str
    cadence: str
    period_id: str

    @property
    def folder_uri(self) -> str:
        """Address of the folder of all periods of the report in this cadence."""
        return f"s3://{self.bucket}/{self.report}/{self.cadence}/"

    @property
    def latest_uri(self) -> str:
        """Address of the object that names the latest published period."""
        return f"{self.folder_uri}latest.json"

    @property
    def manifest_uri(self) -> str:
        """Address of the period's manifest."""
        return f"{self.folder_uri}{self.period_id}/manifest.json"

    @property
    def versions_uri(self) -> str:
        """Address of the folder of the period's versions."""
        return f"{self.folder_uri}{self.period_id}/versions/"

    def version_uri(self, version: str) -> str:
        """Return the address of the folder of a version."""
        return f"{self.versions_uri}{version}/"

    def sql_uri(self, version: str, sql_sha256: str) -> str:
        """Return the address of a version's SQL. Another SQL with the same rows lies beside it."""
        return f"{self.version_uri(version)}sql/{sql_sha256[:16]}.sql"

    def uri(self, key: str) -> str:
        """Return the address of a key in the report bucket."""
        return f"s3://{self.bucket}/{key}"
