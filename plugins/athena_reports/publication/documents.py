"""JSON documents in S3, which are replaced only if nobody else has changed them meanwhile.

S3 user guide, "Conditional requests".
"""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.errors import PublishError

ATTEMPTS = 10  # of a change that other writers may come before

_Document = TypeVar("_Document", bound=BaseModel)


def read_document(model: type[_Document], uri: str, s3: S3) -> tuple[_Document | None, str | None]:
    """Return a document and its ETag, or two Nones if it does not exist.

    Raises:
        PublishError: It is not a document of this model.
        S3Error: S3 refused the call, or did not serve it.
    """
    try:
        body, etag = s3.read(uri)
    except MissingObjectError:
        return None, None
    try:
        return model.model_validate_json(body), etag
    except ValidationError as error:
        raise foreign_document(uri) from error


def write_document(document: BaseModel, uri: str, s3: S3, *, replacing: str | None) -> bool:
    """Write a document in place of one with a certain ETag; None for no document.

    Returns:
        Whether it was written. Otherwise another writer has changed or deleted the document, or S3
        wrote it and the response was lost.

    Raises:
        S3Error: S3 refused the call, or did not serve it.
    """
    body = document.model_dump_json(indent=2).encode()
    try:
        s3.write(uri, body, "application/json", replacing=replacing)
    except (ConditionError, MissingObjectError):
        return False
    return True


def foreign_document(uri: str) -> PublishError:
    """Return the error for a document that another program wrote, or that is of another place."""
    return PublishError(
        f"{uri} is not a document of this report that this release can read. If a newer release of "
        "athena-reports wrote it, upgrade athena-reports; otherwise move it elsewhere. Then clear "
        "the failed task.",
        retryable=False,
    )


def contested(what: str) -> PublishError:
    """Return the error for something that others change whenever this process is about to."""
    return PublishError(
        f"{what} changed during each attempt to write it: another process is writing to it. Stop "
        "that process, then clear the failed task."
    )
