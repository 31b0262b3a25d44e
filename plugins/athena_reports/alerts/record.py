"""Who was told of what: one small object in the report bucket for each run and kind of alert.

The callbacks of a DAG and the DAG that looks for what they missed are processes of their own. They
share these objects, so that nobody is told twice and nobody is forgotten.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Self
from urllib.parse import quote
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, Field

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, S3Error
from athena_reports.publication.location import ALERTS_FOLDER

# After this time others may call the notifier: the process that claimed it counts as killed. It
# takes no longer, unless its machine stands still: 20 s for the claim, 20 s for the call
# (`NOTIFIER_LIMIT`) and 20 s to note its end.
CLAIM_LASTS = timedelta(minutes=1)
_ATTEMPTS = 10  # to write before another process does


class ClaimResult(StrEnum):
    """Whether a process may call a notifier that it wants to claim: only after `CLAIMED`."""

    CLAIMED = "claimed"
    TOLD = "told before"
    CLAIMED_BY_ANOTHER = "being told by another process"


class Claim(BaseModel, frozen=True):
    """A process is calling a notifier.

    Attributes:
        process: Id of the process.
        at: When it began to claim the notifier.
    """

    process: str
    at: AwareDatetime


class AlertRecord(BaseModel, frozen=True):
    """Who was told of one alert. Notifiers have the names of `named_notifiers`.

    Attributes:
        told: When each notifier was told.
        claims: Who is calling a notifier right now.
    """

    told: Mapping[str, AwareDatetime] = Field(default_factory=dict)
    claims: Mapping[str, Claim] = Field(default_factory=dict)

    def result_of_claim(self, notifier: str, claim: Claim) -> ClaimResult:
        """Return whether the process of a claim may call a notifier."""
        if notifier in self.told:
            return ClaimResult.TOLD
        present = self.claims.get(notifier)
        if present is None:
            return ClaimResult.CLAIMED
        # Its own claim is there if S3 wrote it, but the response was lost and botocore sent it
        # again.
        if present.process == claim.process:
            return ClaimResult.CLAIMED
        if claim.at - present.at >= CLAIM_LASTS:
            return ClaimResult.CLAIMED
        return ClaimResult.CLAIMED_BY_ANOTHER

    def with_claim(self, notifier: str, claim: Claim) -> Self:
        """Return the record after a process has claimed a notifier."""
        claims = dict(self.claims)
        claims[notifier] = claim
        return self.model_copy(update={"claims": claims})

    def without_claim(self, notifier: str) -> Self:
        """Return the record without the claim of a notifier, whoever has it."""
        claims = dict(self.claims)
        claims.pop(notifier, None)
        return self.model_copy(update={"claims": claims})

    def after_failed_call(self, notifier: str, process: str) -> Self:
        """Return the record after a process could not tell a notifier.

        The claim stays if it is of another process, which has taken it over and is calling now.
        """
        present = self.claims.get(notifier)
        if present is None or present.process != process:
            return self
        return self.without_claim(notifier)

    def with_told(self, notifier: str, at: datetime) -> Self:
        """Return the record after a notifier was told."""
        told = dict(self.told)
        told[notifier] = at
        return self.without_claim(notifier).model_copy(update={"told": told})


@dataclass(frozen=True)
class StoredRecord:
    """The record of one alert in S3. It is made by `of`.

    Methods raise S3Error, and ValueError if the object is not a record.

    Attributes:
        uri: Its address.
        open_s3: Makes the client when it is used first, which may take a while.
    """

    uri: str
    open_s3: Callable[[], S3]
    # Each object counts as a process: it is made for one call of `tell`.
    _process: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(
        cls,
        bucket: str,
        dag_id: str,
        run_id: str,
        kind: str,
        *,
        open_s3: Callable[[], S3],
    ) -> Self:
        """Return where a bucket has the record of one kind of alert about a run.

        Args:
            bucket: The report bucket.
            dag_id: The DAG of the run.
            run_id: The run.
            kind: The kind, and what tells apart several alerts of it about one run: `failed-2`.
            open_s3: Makes the client.
        """
        run_folder = quote(run_id, safe="")
        return cls(f"s3://{bucket}/{ALERTS_FOLDER}/{dag_id}/{run_folder}/{kind}.json", open_s3)

    def claim(self, notifier: str) -> ClaimResult:
        """Take the right to call a notifier, if it was not told and no other process has it."""
        claim = Claim(process=self._process, at=datetime.now(UTC))
        for _ in range(_ATTEMPTS):
            record, etag = self._read()
            result = record.result_of_claim(notifier, claim)
            if result is not ClaimResult.CLAIMED:
                return result
            if self._write(record.with_claim(notifier, claim), etag):
                return result
        raise self._changed_by_others()

    def note_told(self, notifier: str) -> None:
        """Note that a notifier was told."""
        now = datetime.now(UTC)
        self._update(lambda record: record.with_told(notifier, now))

    def release(self, notifier: str) -> None:
        """Let others call a notifier, because the call of this process has failed."""
        self._update(lambda record: record.after_failed_call(notifier, self._process))

    def was_somebody_told(self) -> bool:
        """Whether at least one notifier was told."""
        record, _ = self._read()
        return bool(record.told)

    @cached_property
    def _s3(self) -> S3:
        return self.open_s3()

    def _update(self, change: Callable[[AlertRecord], AlertRecord]) -> None:
        for _ in range(_ATTEMPTS):
            record, etag = self._read()
            if self._write(change(record), etag):
                return
        raise self._changed_by_others()

    def _read(self) -> tuple[AlertRecord, str | None]:
        try:
            body, etag = self._s3.read(self.uri)
        except MissingObjectError:
            return AlertRecord(), None
        return AlertRecord.model_validate_json(body), etag

    def _write(self, record: AlertRecord, etag: str | None) -> bool:
        """Replace what was read; False if another process was faster."""
        body = record.model_dump_json(indent=2).encode()
        try:
            self._s3.write(self.uri, body, "application/json", replacing=etag)
        except (ConditionError, MissingObjectError):  # it was replaced, or deleted
            return False
        return True

    def _changed_by_others(self) -> S3Error:
        return S3Error(
            f"{self.uri} was changed by other processes {_ATTEMPTS} times. Clear the task.",
            retryable=True,
        )
