"""Whether a partition of an input is complete: the object that its writer leaves says so."""

from dataclasses import replace

from athena_reports.aws.errors import ErrorKind, error_code, error_kind
from athena_reports.aws.s3 import S3, S3Error, split_uri
from athena_reports.errors import InputError


def is_done(uri: str, s3: S3) -> bool:
    """Return whether a done object is there.

    Args:
        uri: Its address.
        s3: S3, whose `owner` is not asked for: the lake may belong to another account.

    Raises:
        InputError: The role may not list the bucket, or there is none.
        S3Error: S3 did not serve the call.
    """
    try:
        return replace(s3, owner="").exists(uri)
    except S3Error as error:
        bucket, _ = split_uri(uri)
        cause: Exception = error
        if isinstance(error.__cause__, Exception):
            cause = error.__cause__
        if error_kind(cause) is ErrorKind.DENIED:
            way_out = (
                f"Grant s3:ListBucket on the bucket {bucket} to the role of the Airflow workers, "
                "and allow it in the bucket's policy."
            )
        elif error_code(cause) == "NoSuchBucket":
            way_out = f"Correct done= of the input, or create the bucket {bucket}."
        else:
            raise
        raise InputError(
            f"The done object {uri} cannot be looked for: {cause}. {way_out}"
        ) from error
