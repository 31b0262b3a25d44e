"""What an error of a call to AWS means: the one rule for Athena, Glue and S3.

Its kind decides whether the same call may succeed later. What a person can do about it differs by
service. For S3 and Glue, the modules that call them say it (`aws/s3.py`,
`publication/glue_table.py`). Several rooms call Athena, so for Athena `call_verdict` says it.

Sources: the API references of the three services, botocore's exceptions, and recordings of real
errors.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError


class ErrorKind(Enum):
    """What an error of a call means."""

    NO_CREDENTIALS = "not sent, because there are no credentials"
    NOT_LOGGED_IN = "not sent, because a person has to log in again"
    NOT_CONFIGURED = "not sent, because of the profile, or of another setting of the AWS client"
    NOT_SENT = "not sent, because the call has no region or a parameter that is not valid"
    NO_ANSWER = "no connection, or one that broke off, stalled or changed what was sent"
    THROTTLED = "too many calls"
    FAILED = "a fault of the service (5xx)"
    REFUSED = "refused, and nothing tells that the same call may succeed later"
    DENIED = "permission denied"
    NO_OBJECT = "no such object in S3"
    CONDITION_FAILED = "an object in S3 is not the one that the call was made for"
    NO_ENTITY = "no such database, table or partition in Glue"
    ENTITY_EXISTS = "a table or partition in Glue exists already"
    ENTITY_CHANGED = "a table in Glue was changed meanwhile"
    CATALOG_NOT_READY = "Glue, or what it depends on, cannot do it now"

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        ErrorKind.NO_CREDENTIALS,  # a role may have some in a moment
        ErrorKind.NO_ANSWER,
        ErrorKind.THROTTLED,
        ErrorKind.FAILED,
        # Other runs write the tables in Glue, and a task that is tried again reads its table anew.
        ErrorKind.NO_ENTITY,
        ErrorKind.ENTITY_EXISTS,
        ErrorKind.ENTITY_CHANGED,
        ErrorKind.CATALOG_NOT_READY,
    }
)

_TOO_MANY_REQUESTS = 429  # an HTTP status
_KINDS: Mapping[str, ErrorKind] = {  # by the code of a service's error, without "Exception"
    # Those that botocore itself takes for throttling (`botocore.retries.standard`).
    "Throttling": ErrorKind.THROTTLED,
    "Throttled": ErrorKind.THROTTLED,
    "RequestThrottled": ErrorKind.THROTTLED,
    "EC2Throttled": ErrorKind.THROTTLED,
    "TooManyRequests": ErrorKind.THROTTLED,
    "RequestLimitExceeded": ErrorKind.THROTTLED,
    "BandwidthLimitExceeded": ErrorKind.THROTTLED,
    "LimitExceeded": ErrorKind.THROTTLED,
    "PriorRequestNotComplete": ErrorKind.THROTTLED,
    "ProvisionedThroughputExceeded": ErrorKind.THROTTLED,
    "TransactionInProgress": ErrorKind.THROTTLED,
    "SlowDown": ErrorKind.THROTTLED,
    "InternalService": ErrorKind.FAILED,
    "InvalidRequest": ErrorKind.REFUSED,
    "InvalidInput": ErrorKind.REFUSED,
    "Validation": ErrorKind.REFUSED,
    "AccessDenied": ErrorKind.DENIED,
    "UnrecognizedClient": ErrorKind.DENIED,
    "ExpiredToken": ErrorKind.DENIED,
    # S3's. Its response to a HEAD request has no body, so botocore takes the status for the code.
    "403": ErrorKind.DENIED,
    "404": ErrorKind.NO_OBJECT,
    "NoSuchKey": ErrorKind.NO_OBJECT,
    # The status of these two is 400. The first one says that an upload stalled, the second one that
    # its checksum does not fit the bytes that arrived.
    "RequestTimeout": ErrorKind.NO_ANSWER,
    "BadDigest": ErrorKind.NO_ANSWER,
    # STS could not reach the identity provider. The status is 400.
    "IDPCommunicationError": ErrorKind.NO_ANSWER,
    "409": ErrorKind.CONDITION_FAILED,
    "412": ErrorKind.CONDITION_FAILED,
    "ConditionalRequestConflict": ErrorKind.CONDITION_FAILED,
    "PreconditionFailed": ErrorKind.CONDITION_FAILED,
    # Glue's. The HTTP status is 400 for all of them, so only the code tells that they may pass.
    "EntityNotFound": ErrorKind.NO_ENTITY,
    "AlreadyExists": ErrorKind.ENTITY_EXISTS,
    "ConcurrentModification": ErrorKind.ENTITY_CHANGED,
    "VersionMismatch": ErrorKind.ENTITY_CHANGED,
    "FederationSource": ErrorKind.CATALOG_NOT_READY,
    "FederationSourceRetryable": ErrorKind.CATALOG_NOT_READY,
    "GlueEncryption": ErrorKind.CATALOG_NOT_READY,
    "InvalidState": ErrorKind.CATALOG_NOT_READY,
    "OperationTimeout": ErrorKind.CATALOG_NOT_READY,
    "ResourceNotReady": ErrorKind.CATALOG_NOT_READY,
    "ResourceNumberLimitExceeded": ErrorKind.CATALOG_NOT_READY,
}
# The errors of botocore itself, with their subclasses. An error of none of these classes means that
# a connection was not made, broke off, or gave what is not an answer.
_NO_CREDENTIALS_ERRORS = (
    botocore_errors.NoCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.MetadataRetrievalError,
)
_NOT_LOGGED_IN_ERRORS = (
    botocore_errors.LoginError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.RefreshWithMFAUnsupportedError,
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
)
_NOT_CONFIGURED_ERRORS = (
    botocore_errors.ConfigNotFound,
    botocore_errors.ConfigParseError,
    botocore_errors.InvalidChecksumConfigError,
    botocore_errors.InvalidConfigError,
    botocore_errors.InvalidDefaultsMode,
    botocore_errors.InvalidEndpointConfigurationError,
    botocore_errors.InvalidEndpointDiscoveryConfigurationError,
    botocore_errors.InvalidIMDSEndpointError,
    botocore_errors.InvalidIMDSEndpointModeError,
    botocore_errors.InvalidProxiesConfigError,
    botocore_errors.InvalidRegionError,
    botocore_errors.InvalidRetryConfigurationError,
    botocore_errors.InvalidS3AddressingStyleError,
    botocore_errors.InvalidS3UsEast1RegionalEndpointConfigError,
    botocore_errors.InvalidSTSRegionalEndpointsConfigError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.ProfileNotFound,
    botocore_errors.UnknownCredentialError,
    botocore_errors.UnknownRegionError,
    botocore_errors.UnknownSignatureVersionError,
    botocore_errors.UnsupportedSignatureVersionError,
)
_NOT_SENT_ERRORS = (
    botocore_errors.ApiVersionNotFoundError,
    botocore_errors.AwsChunkedWrapperError,
    botocore_errors.BaseEndpointResolverError,
    botocore_errors.DataNotFoundError,
    botocore_errors.EndpointProviderError,
    botocore_errors.InvalidDNSNameError,
    botocore_errors.InvalidExpressionError,
    botocore_errors.InvalidHostLabelError,
    botocore_errors.MD5UnavailableError,
    botocore_errors.MissingDependencyException,
    botocore_errors.MissingParametersError,
    botocore_errors.OperationNotPageableError,
    botocore_errors.ParamValidationError,
    botocore_errors.ServiceNotInRegionError,
    botocore_errors.UnknownClientMethodError,
    botocore_errors.UnknownServiceStyle,
    botocore_errors.UnsupportedOutpostResourceError,
    botocore_errors.UnsupportedS3AccesspointConfigurationError,
    botocore_errors.UnsupportedS3ArnError,
    botocore_errors.UnsupportedS3ConfigurationError,
    botocore_errors.UnsupportedS3ControlArnError,
    botocore_errors.UnsupportedS3ControlConfigurationError,
    botocore_errors.UnsupportedServiceProtocolsError,
    botocore_errors.ValidationError,
    botocore_errors.WaiterConfigError,
)


def error_kind(error: Exception) -> ErrorKind:
    """Return what an error of an API call means.

    Args:
        error: An error of botocore, or one by which boto3's transfer manager gives up.
    """
    if isinstance(error, ClientError):
        metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
        return kind_of_code(error_code(error), status=metadata.get("HTTPStatusCode"))
    if isinstance(error, _NO_CREDENTIALS_ERRORS):
        return ErrorKind.NO_CREDENTIALS
    if isinstance(error, _NOT_LOGGED_IN_ERRORS):
        return ErrorKind.NOT_LOGGED_IN
    if isinstance(error, _NOT_CONFIGURED_ERRORS):
        return ErrorKind.NOT_CONFIGURED
    if isinstance(error, _NOT_SENT_ERRORS):
        return ErrorKind.NOT_SENT
    return ErrorKind.NO_ANSWER


def kind_of_code(code: str, *, status: int | None) -> ErrorKind:
    """Return what the code of a service's error means.

    Args:
        code: The code, such as `ThrottlingException`.
        status: The HTTP status of the response, by which an unknown code is judged; None if it is
            not known. Then an unknown code counts as a fault of the service. 429 is throttling,
            whatever the code is.
    """
    if status == _TOO_MANY_REQUESTS:
        return ErrorKind.THROTTLED
    kind = _KINDS.get(code.removesuffix("Exception"))
    if kind is not None:
        return kind
    if status is not None and 300 <= status < 500:
        return ErrorKind.REFUSED
    return ErrorKind.FAILED


def error_code(error: Exception) -> str:
    """Return the code of a service's error; empty for an error that no service answered."""
    if not isinstance(error, ClientError):
        return ""
    details: Mapping[str, Any] = error.response.get("Error", {})
    return str(details.get("Code", ""))


class CallVerdict(NamedTuple):
    """What an error of a call to Athena means, for the message of a task or a command.

    Attributes:
        retryable: Whether the same call may succeed later.
        meaning: What happened.
        hint: What a person can correct.
    """

    retryable: bool
    meaning: str
    hint: str


GRANT_ACCESS = "Grant what is missing to the role of the Airflow workers."
INVALID_REQUEST = CallVerdict(
    ErrorKind.REFUSED.retryable, "Athena refused the request", "Correct what its reason says."
)
_NO_WORKGROUP = CallVerdict(
    ErrorKind.REFUSED.retryable,
    "the workgroup does not exist",
    "Create it, or correct ATHENA_REPORTS_WORKGROUP.",
)
_NO_REGION = CallVerdict(
    ErrorKind.NOT_SENT.retryable,
    "no region is set",
    "Set AWS_DEFAULT_REGION, or the connection's region.",
)
_MEANINGS: Mapping[ErrorKind, tuple[str, str]] = {  # meaning and hint
    ErrorKind.NO_CREDENTIALS: (
        "there are no credentials",
        "Set AWS_ACCESS_KEY_ID, or grant a role.",
    ),
    ErrorKind.NOT_LOGGED_IN: ("the login has expired", "Log in again, as with aws sso login."),
    ErrorKind.NOT_CONFIGURED: (
        "the AWS client is not configured",
        "Correct AWS_PROFILE, the AWS config file or the Airflow connection, as the reason says.",
    ),
    ErrorKind.NOT_SENT: ("the call is not valid", "Correct what its reason says."),
    ErrorKind.NO_ANSWER: ("Athena did not answer", "See the AWS health dashboard and the network."),
    ErrorKind.FAILED: ("Athena did not answer", "See the AWS health dashboard and the network."),
    ErrorKind.THROTTLED: ("throttled", "Run fewer queries at once, or raise the account's quota."),
    ErrorKind.DENIED: ("permission denied", GRANT_ACCESS),
}


def call_verdict(error: ClientError | BotoCoreError) -> CallVerdict:
    """Return what an error of a call to Athena means.

    It also judges the calls that are made beside it, such as those to Glue before a query.
    """
    if isinstance(error, NoRegionError):
        return _NO_REGION
    if _workgroup_is_missing(error):
        return _NO_WORKGROUP
    code = error_code(error)
    kind = error_kind(error)
    if kind is ErrorKind.REFUSED and code in ("InvalidRequestException", "InvalidRequest"):
        return INVALID_REQUEST
    if kind in _MEANINGS:
        meaning, hint = _MEANINGS[kind]
        return CallVerdict(kind.retryable, meaning, hint)
    return CallVerdict(kind.retryable, f"Athena refused the request ({code})", "Correct it.")


def _workgroup_is_missing(error: ClientError | BotoCoreError) -> bool:
    """Return whether Athena says that the workgroup does not exist. It has no code for that."""
    if not isinstance(error, ClientError):
        return False
    message: str = error.response.get("Error", {}).get("Message", "")
    return message.startswith("WorkGroup") and "is not found" in message
