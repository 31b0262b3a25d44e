"""Where a period of a report is published in S3.

s3://<report bucket>/<report>/<cadence>/latest.json                       names the latest published period
s3://<report bucket>/<report>/<cadence>/<period id>/manifest.json         names the current version
.../<period id>/versions/<version>/<format>/part-0.<format>               the rows of a version
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """Where one period of one report is published. Keys and addresses of folders end with a slash."""

    bucket: str
    report: str
    cadence: str
    period_id: str

    @property
    def folder_uri(self) -> str:
        """`s3://` address of all periods of the report in this cadence."""
        return self.uri(f"{self.report}/{self.cadence}/")

    @property
    def latest_uri(self) -> str:
        """`s3://` address of the object that names the latest published period."""
        return f"{self.folder_uri}latest.json"

    @property
    def prefix(self) -> str:
        """Key prefix of the period."""
        return f"{self.report}/{self.cadence}/{self.period_id}/"

    @property
    def manifest_key(self) -> str:
        """Key of the manifest."""
        return f"{self.prefix}manifest.json"

    @property
    def manifest_uri(self) -> str:
        """`s3://` address of the manifest."""
        return self.uri(self.manifest_key)

    def version_key(self, version: str) -> str:
        """Key prefix of a version."""
        return f"{self.prefix}versions/{version}/"

    def object_key(self, version: str, format: str) -> str:
        """Key of a version's rows in one format."""
        return f"{self.version_key(version)}{format}/part-0.{format}"

    def uri(self, key: str) -> str:
        """`s3://` address of a key in the report bucket."""
        return f"s3://{self.bucket}/{key}"
