"""What an error of AWS means, whether the same request may succeed later, and what to do.

One table serves the calls to Athena, Glue and S3 and the failures of query executions, which
`queries/failures.py` classifies.

Sources: the API references of the services, and recordings of real errors. The checks of
`botocore.retries.standard` decide what is throttling, or a connection that broke.
"""

from enum import Enum
from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.retries.standard import (
    RetryContext,
    ThrottledRetryableChecker,
    TransientRetryableChecker,
)


class ErrorKind(Enum):
    """What an error means."""

    def __init__(
        self, meaning: str, retryable: bool, advice: str, codes: tuple[str, ...] = ()
    ) -> None:
        self.meaning = meaning
        self.retryable = retryable  # whether the same request may succeed later
        self.advice = advice  # the next step for a person; empty if the caller knows it better
        self.codes = codes  # of the services' errors, beside those that botocore knows

    NOT_SENT = (
        "could not send the request",
        False,
        "Check the region, profile or credentials of the Airflow connection or the environment.",
    )
    NO_CREDENTIALS = (
        "no credentials",
        True,  # a role may have some in a moment
        "Assign a role, or set AWS_ACCESS_KEY_ID or an Airflow connection.",
    )
    UNAVAILABLE = (
        "the service is not available",
        True,
        "Check the network and the AWS Health Dashboard.",
        # The status of these is 400. S3 received other bytes than were sent, STS could not reach
        # the identity provider, and Glue, or a catalog behind it, was not ready.
        (
            "BadDigest",
            "IDPCommunicationError",
            "FederationSourceException",
            "FederationSourceRetryableException",
            "GlueEncryptionException",
            "InvalidStateException",
            "OperationTimeoutException",
            "ResourceNotReadyException",
            "ResourceNumberLimitExceededException",
        ),
    )
    THROTTLED = ("throttled", True, "Run fewer queries at once, or request a higher quota.")
    REFUSED = (
        "the request is not valid",
        False,
        "Fix the problem that the error describes.",
        ("InvalidRequestException", "InvalidInputException", "ValidationException"),
    )
    DENIED = (
        "permission denied",
        False,
        "Grant the permission to the role of the Airflow workers in IAM, and in the bucket's "
        "policy. If Lake Formation governs the table, grant SELECT on it there, and "
        "lakeformation:GetDataAccess in IAM. For a bucket, check ATHENA_REPORTS_BUCKET_OWNER.",
        # S3's response to a HEAD request has no body, so botocore takes the status for the code.
        (
            "AccessDenied",
            "AccessDeniedException",
            "UnrecognizedClientException",
            "ExpiredToken",
            "ExpiredTokenException",
            "403",
        ),
    )
    NO_WORKGROUP = (
        "no such workgroup",
        False,
        "Create the workgroup, or set ATHENA_REPORTS_WORKGROUP to another one.",
    )
    NO_BUCKET = (
        "no such bucket",
        False,
        "Create the bucket, or correct its name in the settings or in the input's done=.",
        ("NoSuchBucket",),
    )
    WRONG_REGION = (
        "the bucket is in a different region",
        False,
        "Set the Airflow connection's region to the bucket's region.",
        ("PermanentRedirect",),
    )
    NO_OBJECT = ("no such object", False, "", ("NoSuchKey", "404"))
    CONDITION_FAILED = (
        "another process replaced the object",
        False,
        "",
        ("PreconditionFailed", "ConditionalRequestConflict", "409", "412"),
    )
    # Other runs write the tables in Glue, and a task that is retried reads its table again.
    NO_ENTITY = (
        "no such database, table or partition in Glue",
        True,
        "Create the database or table, or correct the input or ATHENA_REPORTS_REPORT_DATABASE.",
        ("EntityNotFoundException",),
    )
    ENTITY_EXISTS = ("it already exists in Glue", True, "", ("AlreadyExistsException",))
    ENTITY_CHANGED = (
        "another process changed it in Glue",
        True,
        "",
        ("ConcurrentModificationException", "VersionMismatchException"),
    )

    # Of a query execution.
    RESOURCES_EXHAUSTED = ("resources exhausted", False, "Reduce the query's memory use.")
    TIMED_OUT = (
        "query timed out",
        False,
        "Scan fewer partitions or columns, or request a higher DML timeout quota.",
    )
    NOT_WRITTEN = (
        "the result could not be written",
        False,
        "Check that the role can write to the query result bucket.",
    )
    FOLDER_IN_USE = ("the output folder is not empty", False, "")
    SCAN_LIMIT = (
        "the workgroup's scan limit was exceeded",
        False,
        "Check each partition filter, or raise the workgroup's limit.",
    )
    CANCELLED = ("the query was cancelled", False, "")
    TRANSIENT = ("transient failure", True, "")
    FAILED = ("not retryable", False, "Fix the problem that the reason describes.")


_CREDENTIAL_ERRORS = (NoCredentialsError, CredentialRetrievalError, MetadataRetrievalError)
_INCOMPLETE_RESPONSES = (IncompleteReadError, ChecksumError, FlexibleChecksumError)
_KINDS_BY_CODE = {code: kind for kind in ErrorKind for code in kind.codes}
_THROTTLED = ThrottledRetryableChecker()
_TRANSIENT = TransientRetryableChecker()


def as_sentence(error: Exception) -> str:
    """Return an error's message with a full stop, which some messages of AWS have already."""
    return f"{str(error).rstrip('.')}."


def error_kind(error: Exception) -> ErrorKind:
    """Return what an error of an API call of botocore or boto3's transfer manager means."""
    if isinstance(error, ClientError):
        return _kind_of_response(error)
    if isinstance(error, ParamValidationError):
        return ErrorKind.REFUSED
    if isinstance(error, _CREDENTIAL_ERRORS):
        return ErrorKind.NO_CREDENTIALS
    context = RetryContext(1, caught_exception=error)
    if _TRANSIENT.is_retryable(context) or isinstance(error, _INCOMPLETE_RESPONSES):
        return ErrorKind.UNAVAILABLE
    # What is not of botocore is an error of boto3's transfer manager.
    return ErrorKind.NOT_SENT if isinstance(error, BotoCoreError) else ErrorKind.UNAVAILABLE


def error_code(error: Exception) -> str:
    """Return the code of a service's error; empty for an error without a response."""
    if not isinstance(error, ClientError):
        return ""
    return error.response.get("Error", {}).get("Code", "")


def _kind_of_response(error: ClientError) -> ErrorKind:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    context = RetryContext(1, parsed_response=error.response)
    if status == HTTPStatus.TOO_MANY_REQUESTS or _THROTTLED.is_retryable(context):
        return ErrorKind.THROTTLED
    if _TRANSIENT.is_retryable(context):
        return ErrorKind.UNAVAILABLE
    message = error.response.get("Error", {}).get("Message", "")
    if message.startswith("WorkGroup") and "is not found" in message:  # it has no code of its own
        return ErrorKind.NO_WORKGROUP
    kind = _KINDS_BY_CODE.get(error_code(error))
    if kind is not None:
        return kind
    # An unknown code is final only if the service blames the request. S3 can report a fault of its
    # own with status 200, and DeleteObjects has none for an object.
    return ErrorKind.REFUSED if 300 <= status < 500 else ErrorKind.UNAVAILABLE
