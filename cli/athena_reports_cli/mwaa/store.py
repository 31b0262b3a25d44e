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

from athena_reports_cli.mwaa import DeployError

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
                stored = self._head(path)
                if stored.get("ChecksumSHA256") == _sum(content):
                    versions[path] = stored["VersionId"]
                elif dry_run:
                    versions[path] = "not-uploaded"
                else:
                    versions[path] = self._put(path)
        return {parameter: versions[path] for path, parameter in PINNED.items()}

    def differences(self) -> tuple[list[str], list[str]]:
        """Return what to write below dags/, DAG files last, and what to remove, DAG files first.

        Raises:
            DeployError: Somebody else's file is where one of the bundle belongs.
        """
        stored = self._stored_dags()
        writes = []
        for path, content in self._files.items():
            if not path.startswith("dags/"):
                continue
            if path in stored and stored[path].get("ChecksumSHA256") == _sum(content):
                continue
            if path in stored and not _is_marked(stored[path]):
                raise DeployError(
                    f"s3://{self._bucket['Bucket']}/{path} is another file, which was not deployed"
                    " from here. Nothing was changed. Take it over into the repository, remove it"
                    " there with `aws s3 rm`, and run the same command again."
                )
            writes.append(path)
        removals = []
        for path, head in stored.items():
            if path not in self._files and _is_marked(head):
                removals.append(path)
        writes.sort(key=_dags_last)
        removals.sort(key=_dags_last, reverse=True)
        return writes, removals

    def _stored_dags(self) -> dict[str, dict[str, Any]]:
        """Return what S3 says of each object below dags/, by its key."""
        stored = {}
        paginator = self._s3.get_paginator("list_objects_v2")
        for page in paginator.paginate(**self._bucket, Prefix="dags/"):
            for entry in page.get("Contents", []):
                stored[entry["Key"]] = self._head(entry["Key"])
        return stored

    def synchronise(self) -> None:
        """Make dags/ that of the bundle.

        Raises:
            DeployError: Somebody else's file is in the way, or has come meanwhile.
        """
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
        response = self._s3.put_object(
            **self._bucket, Key=path, Body=content, ChecksumAlgorithm="SHA256", Metadata=_MARK
        )
        return str(response["VersionId"])


def _is_marked(head: Mapping[str, Any]) -> bool:
    """Whether an object was put here by a deployment."""
    metadata: Mapping[str, str] = head.get("Metadata", {})
    return _MARK.items() <= metadata.items()


def _sum(content: bytes) -> str:
    return b64encode(hashlib.sha256(content).digest()).decode()


def _dags_last(path: str) -> tuple[bool, str]:
    return (path.endswith(".py"), path)
