"""The bucket that an MWAA environment takes everything from.

`aws s3 sync` compares sizes and times: a file of the same size that was built before the last
deployment would stay as it is. Here contents are compared, by the SHA-256 that S3 keeps of them.
What is put here carries a mark, so that what others have put below dags/ is left alone.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from athena_reports.mwaa import DeployError

PINNED = {
    "plugins.zip": "PluginsVersion",
    "requirements.txt": "RequirementsVersion",
    "startup.sh": "StartupVersion",
}
"""The files of a bundle that the stack pins by their S3 version, and the parameters that do."""

_MARK = {"put-by": "athena-reports"}


class Store:
    """A bucket that the account `owner` must own, and the files of the bundle for it."""

    def __init__(self, s3: Any, bucket: str, owner: str, files: Mapping[str, bytes]) -> None:
        self._s3 = s3
        self._bucket = {"Bucket": bucket, "ExpectedBucketOwner": owner}
        self._files = files

    def upload(self, *, dry_run: bool = False) -> dict[str, str]:
        """Upload what the stack pins, and the constraints that requirements.txt names.

        A file whose content is there keeps its version: another one would update the environment.
        A dry run has `not-uploaded` in place of a new version. Returns the stack's parameters.
        """
        versions = {}
        for path, content in self._files.items():
            if path in PINNED or path.startswith("dags/constraints-"):
                there = self._head(path)
                if there.get("ChecksumSHA256") == _sum(content):
                    versions[path] = there["VersionId"]
                else:
                    versions[path] = "not-uploaded" if dry_run else self._put(path)
        return {PINNED[path]: version for path, version in versions.items() if path in PINNED}

    def differences(self) -> tuple[list[str], list[str]]:
        """What to write below dags/, DAG files last, and what to remove, DAG files first."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(**self._bucket, Prefix="dags/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        there = {key: self._head(key) for key in keys}
        ours = {
            path
            for path, head in there.items()
            if _MARK.items() <= head.get("Metadata", {}).items()
        }
        dags = {path: content for path, content in self._files.items() if path.startswith("dags/")}
        writes = {
            path for path in dags if there.get(path, {}).get("ChecksumSHA256") != _sum(dags[path])
        }
        if taken := sorted(writes & there.keys() - ours):
            raise DeployError(
                f"s3://{self._bucket['Bucket']}/{taken[0]} is another file, which was not deployed"
                " from here. Nothing was changed. Take it over into the repository, remove it"
                " there with `aws s3 rm`, and run the same command again."
            )
        removals = sorted(ours - dags.keys(), key=_dags_last, reverse=True)
        return sorted(writes, key=_dags_last), removals

    def synchronise(self) -> None:
        """Make dags/ that of the bundle."""
        writes, removals = self.differences()
        for path in writes:
            self._put(path)
        for path in removals:
            print(f"remove  {path}")
            self._s3.delete_object(**self._bucket, Key=path)
        if self.differences() != ([], []):
            raise DeployError(
                "Somebody else has changed dags/ meanwhile: run the same command again."
            )

    def _head(self, key: str) -> dict[str, Any]:
        """What S3 says of an object; nothing if there is none."""
        try:
            head: dict[str, Any] = self._s3.head_object(
                **self._bucket, Key=key, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return {}
            raise
        return head

    def _put(self, path: str) -> str:
        print(f"write   {path}")
        content = self._files[path]
        answer = self._s3.put_object(
            **self._bucket, Key=path, Body=content, ChecksumAlgorithm="SHA256", Metadata=_MARK
        )
        return str(answer["VersionId"])


def _sum(content: bytes) -> str:
    return b64encode(hashlib.sha256(content).digest()).decode()


def _dags_last(path: str) -> tuple[bool, str]:
    return (path.endswith(".py"), path)
