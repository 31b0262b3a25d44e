"""What was deployed to an environment, in its bucket: read before a deployment, written before and after it.

`athena-reports/<MWAA environment>.json` lists the last releases with version and SHA-256 of every file. So it
is known which objects are ours, what a rollback goes back to, and what a deployment that died had begun. It
is replaced on condition that it is the one that was read, and says who is deploying: of two deployments at
once one is refused.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from deploy.errors import RolloutError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEPT = 10
"""How many releases are remembered."""

_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405", "MethodNotAllowed"})
_CONDITION = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


@dataclass(frozen=True)
class Stored:
    """A version of an object.

    Attributes:
        sha256: SHA-256 of its content, in hexadecimal digits.
        version: Its version in S3.
    """

    sha256: str
    version: str


@dataclass(frozen=True)
class Release:
    """What was deployed, to its end.

    Attributes:
        commit: Id of the commit, or what else is known of where it came from.
        at: When, in UTC.
        by: ARN of whose credentials they were.
        files: Every file of the bundle, by its path there.
    """

    commit: str
    at: str
    by: str
    files: Mapping[str, Stored]

    def __str__(self) -> str:
        return f"{self.commit}, deployed {self.at} by {self.by}"


@dataclass(frozen=True)
class Journal:
    """The releases of an environment.

    Attributes:
        releases: The last ones; the latest at the end.
        begun: While a deployment is under way, or if one has died: path and SHA-256 of every file that may be
            there by then. Else empty.
        begun_by: ARN of who has begun that; empty if it has ended, by an error.
        begun_at: When, in UTC; empty likewise.
        etag: ETag of the object that this was read from; empty if there was none.
    """

    releases: tuple[Release, ...] = ()
    begun: frozenset[tuple[str, str]] = frozenset()
    begun_by: str = ""
    begun_at: str = ""
    etag: str = ""

    @property
    def latest(self) -> Mapping[str, Stored]:
        """The files of the latest release."""
        return self.releases[-1].files if self.releases else {}

    @property
    def ours(self) -> frozenset[tuple[str, str]]:
        """Path and SHA-256 of every file that may be there and is ours."""
        return self.begun | {(path, stored.sha256) for path, stored in self.latest.items()}

    @property
    def paths(self) -> frozenset[str]:
        """Paths in the bundle that may hold objects of ours."""
        return frozenset(path for path, _ in self.ours)

    def contents(self, path: str) -> frozenset[str]:
        """SHA-256 of what is known to have been at a path."""
        deployed = {each.files[path].sha256 for each in self.releases if path in each.files}
        return frozenset(deployed | {sha256 for ours, sha256 in self.begun if ours == path})


@dataclass(frozen=True)
class Bucket:
    """The bucket of an environment.

    Attributes:
        s3: A client.
        name: Its name.
        owner: Id of the account that must own it.
    """

    s3: S3Client
    name: str
    owner: str

    def read(self, key: str, version: str = "") -> tuple[bytes, Stored] | None:
        """Return an object and what it is; None if there is none."""
        wanted: dict[str, Any] = {"VersionId": version} if version else {}
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner, **wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        content = answer["Body"].read()
        return content, Stored(hashlib.sha256(content).hexdigest(), answer.get("VersionId", ""))

    def write(self, key: str, content: bytes) -> Stored:
        """Write an object."""
        answer = self.s3.put_object(Bucket=self.name, Key=key, Body=content, ExpectedBucketOwner=self.owner)
        return Stored(hashlib.sha256(content).hexdigest(), answer["VersionId"])

    def delete(self, key: str) -> None:
        """Delete an object; its versions stay."""
        self.s3.delete_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner)

    def journal(self, environment: str) -> Journal:
        """Read the releases of an MWAA environment.

        Raises:
            RolloutError: What is there cannot be read.
        """
        key = journal_key(environment)
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return Journal()
            raise
        try:
            return _journal(json.loads(answer["Body"].read()), answer["ETag"])
        except (ValueError, TypeError, KeyError) as error:
            raise RolloutError(
                f"s3://{self.name}/{key} is not what a deployment writes ({error!r}): restore its "
                "last version that is right, or delete it, and then nothing is known of earlier releases."
            ) from error

    def replace_journal(self, environment: str, journal: Journal) -> Journal:
        """Write the releases of an MWAA environment, in place of those that were read.

        Raises:
            RolloutError: Another deployment has written them meanwhile.
        """
        key = journal_key(environment)
        content = _text(journal).encode()
        condition: dict[str, Any] = {"IfMatch": journal.etag} if journal.etag else {"IfNoneMatch": "*"}
        try:
            answer = self.s3.put_object(
                Bucket=self.name, Key=key, Body=content, ExpectedBucketOwner=self.owner, **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CONDITION:
                raise
            # A call whose answer was lost is repeated by the client and then finds its own object.
            there = self.s3.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner)
            if there["Body"].read() != content:
                raise RolloutError(
                    f"Somebody else deploys to {environment}, or has just done so. When that is over, "
                    "run the same command again; DRY_RUN=1 says what it would change."
                ) from error
            return replace(journal, etag=there["ETag"])
        return replace(journal, etag=answer["ETag"])


def journal_key(environment: str) -> str:
    """Where the releases of an MWAA environment are listed."""
    return f"athena-reports/{environment}.json"


def _text(journal: Journal) -> str:
    # The id makes each write another one, so that of two equal ones only one finds its own object.
    facts = {
        "id": uuid.uuid4().hex,
        "releases": [asdict(release) for release in journal.releases[-KEPT:]],
        "begun": sorted(journal.begun),
        "begun_by": journal.begun_by,
        "begun_at": journal.begun_at,
    }
    return json.dumps(facts, indent=1)


def _journal(facts: Mapping[str, Any], etag: str) -> Journal:
    releases = (
        Release(**each | {"files": {path: Stored(**stored) for path, stored in each["files"].items()}})
        for each in facts["releases"]
    )
    return Journal(
        tuple(releases),
        frozenset((path, sha256) for path, sha256 in facts["begun"]),
        facts["begun_by"],
        facts["begun_at"],
        etag,
    )
