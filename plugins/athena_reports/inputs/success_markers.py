"""Whether a partition is complete: its writer leaves an object that says so."""

from dataclasses import replace

from botocore.exceptions import ClientError

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.s3 import S3, S3Error, split_uri
from athena_reports.errors import InputError


def has_success_marker(uri: str, s3: S3) -> bool:
    """Return whether a success marker exists.

    Args:
        uri: Its address.
        s3: S3, whose `owner` is not asked for: the lake may belong to another account.

    Raises:
        InputError: The role may not list the bucket, or it does not exist.
        S3Error: S3 did not serve the call.
    """
    try:
        return replace(s3, owner="").exists(uri)
    except S3Error as error:
        cause = error.__cause__
        bucket, _ = split_uri(uri)
        if not isinstance(cause, ClientError):
            raise
        if error_kind(cause) is ErrorKind.DENIED:
            action = f"Grant s3:ListBucket on the bucket {bucket} to the role of the workers"
        elif error_kind(cause) is ErrorKind.NO_BUCKET:
            action = f"Correct done= of the input, or create the bucket {bucket}"
        else:
            raise
        raise InputError(
            f"Could not look for the success marker {uri}: {cause}. {action}."
        ) from error
