"""JSON documents in S3, which are replaced only if nobody else has changed them meanwhile.

S3 user guide, "Conditional requests".
"""

from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.errors import PublishError

_Document = TypeVar("_Document", bound=BaseModel)


class ContestedError(PublishError):
    """Another process has changed what this one read, before this one could write it."""


def _give_up(state: RetryCallState) -> NoReturn:
    outcome: Any = state.outcome
    error = outcome.exception()
    raise PublishError(
        f"{error} This happened on every attempt. Stop that process, then clear the failed task."
    ) from error


retry_if_contested = retry(
    retry=retry_if_exception_type(ContestedError),
    stop=stop_after_attempt(10),
    retry_error_callback=_give_up,
)
"""Decorates what reads, decides and writes: if it is contested, all of that is done again."""


def read_document(model: type[_Document], uri: str, s3: S3) -> tuple[_Document | None, str | None]:
    """Return a document and its ETag, or two Nones; PublishError if it is not of this model."""
    try:
        body, etag = s3.read(uri)
    except MissingObjectError:
        return None, None
    try:
        return model.model_validate_json(body), etag
    except ValidationError as error:
        raise foreign_document(uri) from error


def write_document(document: BaseModel, uri: str, s3: S3, *, replacing: str | None) -> str:
    """Write a document in place of one with a certain ETag, or of none, and return the new ETag.

    ContestedError if another process has changed it, or S3 wrote it and the response was lost.
    """
    body = document.model_dump_json(indent=2).encode()
    try:
        return s3.write(uri, body, "application/json", replacing=replacing)
    except (ConditionError, MissingObjectError) as error:
        raise ContestedError(f"{uri} was changed by another process.") from error


def foreign_document(uri: str) -> PublishError:
    """Return the error for a document that another program wrote, or that is of another place."""
    return PublishError(
        f"{uri} is not a document of this report, or this release cannot read it. If a newer "
        "release wrote it, upgrade athena-reports; otherwise move it elsewhere. Then clear the "
        "failed task.",
        retryable=False,
    )
