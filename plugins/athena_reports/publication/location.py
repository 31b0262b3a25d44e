"""Addresses in S3: s3://<bucket>/<report>/<cadence>/<period id>/versions/<version>/<format>/part-0.<suffix>."""

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
        """All periods of the report in this cadence."""
        return f"s3://{self.bucket}/{self.report}/{self.cadence}/"

    @property
    def latest_uri(self) -> str:
        """The object that names the latest published period."""
        return f"{self.folder_uri}latest.json"

    @property
    def manifest_uri(self) -> str:
        """The manifest."""
        return f"{self.folder_uri}{self.period_id}/manifest.json"

    @property
    def versions_uri(self) -> str:
        """All versions."""
        return f"{self.folder_uri}{self.period_id}/versions/"

    def version_uri(self, version: str) -> str:
        """All objects of a version."""
        return f"{self.versions_uri}{version}/"

    def sql_uri(self, version: str, sql_sha256: str) -> str:
        """The SQL of a version; another SQL with the same rows lies beside it."""
        return f"{self.version_uri(version)}sql/{sql_sha256[:16]}.sql"

    def uri(self, key: str) -> str:
        """Address of a key in the report bucket."""
        return f"s3://{self.bucket}/{key}"
