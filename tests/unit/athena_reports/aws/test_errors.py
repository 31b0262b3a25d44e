"""What an error of a call means, beside the API references of Athena, Glue and S3."""

from typing import Any

import botocore.exceptions as of_botocore
import pytest
from boto3.exceptions import S3TransferFailedError
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ParamValidationError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws import errors
from athena_reports.aws.errors import ErrorKind, call_verdict, error_kind
from tests.support.aws_errors import LOST, api_error

KINDS = {
    "AccessDenied": ErrorKind.DENIED,
    "AccessDeniedException": ErrorKind.DENIED,
    "UnrecognizedClientException": ErrorKind.DENIED,
    "ExpiredToken": ErrorKind.DENIED,
    "ExpiredTokenException": ErrorKind.DENIED,
    "403": ErrorKind.DENIED,
    "Throttling": ErrorKind.THROTTLED,
    "ThrottlingException": ErrorKind.THROTTLED,
    "TooManyRequestsException": ErrorKind.THROTTLED,
    "RequestLimitExceeded": ErrorKind.THROTTLED,
    "SlowDown": ErrorKind.THROTTLED,
    "ThrottledException": ErrorKind.THROTTLED,
    "RequestThrottled": ErrorKind.THROTTLED,
    "RequestThrottledException": ErrorKind.THROTTLED,
    "EC2ThrottledException": ErrorKind.THROTTLED,
    "BandwidthLimitExceeded": ErrorKind.THROTTLED,
    "LimitExceededException": ErrorKind.THROTTLED,
    "PriorRequestNotComplete": ErrorKind.THROTTLED,
    "ProvisionedThroughputExceededException": ErrorKind.THROTTLED,
    "TransactionInProgressException": ErrorKind.THROTTLED,
    "InvalidRequestException": ErrorKind.REFUSED,
    "InvalidInputException": ErrorKind.REFUSED,
    "ValidationException": ErrorKind.REFUSED,
    "InternalServiceException": ErrorKind.FAILED,
    "RequestTimeout": ErrorKind.NO_ANSWER,
    "RequestTimeoutException": ErrorKind.NO_ANSWER,
    "IDPCommunicationError": ErrorKind.NO_ANSWER,
    "BadDigest": ErrorKind.NO_ANSWER,
    "NoSuchKey": ErrorKind.NO_OBJECT,
    "404": ErrorKind.NO_OBJECT,
    "PreconditionFailed": ErrorKind.CONDITION_FAILED,
    "412": ErrorKind.CONDITION_FAILED,
    "ConditionalRequestConflict": ErrorKind.CONDITION_FAILED,
    "409": ErrorKind.CONDITION_FAILED,
    "EntityNotFoundException": ErrorKind.NO_ENTITY,
    "AlreadyExistsException": ErrorKind.ENTITY_EXISTS,
    "ConcurrentModificationException": ErrorKind.ENTITY_CHANGED,
    "VersionMismatchException": ErrorKind.ENTITY_CHANGED,
    "FederationSourceException": ErrorKind.CATALOG_NOT_READY,
    "FederationSourceRetryableException": ErrorKind.CATALOG_NOT_READY,
    "GlueEncryptionException": ErrorKind.CATALOG_NOT_READY,
    "InvalidStateException": ErrorKind.CATALOG_NOT_READY,
    "OperationTimeoutException": ErrorKind.CATALOG_NOT_READY,
    "ResourceNotReadyException": ErrorKind.CATALOG_NOT_READY,
    "ResourceNumberLimitExceededException": ErrorKind.CATALOG_NOT_READY,
}
FINAL = {
    ErrorKind.NOT_SENT,
    ErrorKind.NOT_CONFIGURED,
    ErrorKind.NOT_LOGGED_IN,
    ErrorKind.REFUSED,
    ErrorKind.DENIED,
    ErrorKind.NO_OBJECT,
    ErrorKind.CONDITION_FAILED,
}
STATUSES = st.sampled_from([301, 400, 403, 404, 409, 412, 500, 503])
# Every error of botocore, by hand. A new one has to be judged here first.
OF_BOTOCORE = {
    ErrorKind.NO_CREDENTIALS: """
        CredentialRetrievalError MetadataRetrievalError NoCredentialsError
    """,
    ErrorKind.NOT_LOGGED_IN: """
        LoginAuthorizationCodeError LoginError LoginInsufficientPermissions LoginRefreshRequired
        LoginTokenLoadError NoAuthTokenError RefreshWithMFAUnsupportedError SSOError
        SSOTokenLoadError TokenRetrievalError UnauthorizedSSOTokenError
    """,
    ErrorKind.NOT_CONFIGURED: """
        ConfigNotFound ConfigParseError InfiniteLoopConfigError InvalidChecksumConfigError
        InvalidConfigError InvalidDefaultsMode InvalidEndpointConfigurationError
        InvalidEndpointDiscoveryConfigurationError InvalidIMDSEndpointError
        InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError InvalidProxiesConfigError
        InvalidRegionError InvalidRetryConfigurationError InvalidRetryModeError
        InvalidS3AddressingStyleError InvalidS3UsEast1RegionalEndpointConfigError
        InvalidSTSRegionalEndpointsConfigError PartialCredentialsError ProfileNotFound
        UnknownCredentialError UnknownRegionError UnknownSignatureVersionError
        UnsupportedSignatureVersionError
    """,
    ErrorKind.NOT_SENT: """
        AliasConflictParameterError ApiVersionNotFoundError AwsChunkedWrapperError
        BaseEndpointResolverError DataNotFoundError EndpointProviderError EndpointResolutionError
        EndpointVariantError InvalidDNSNameError InvalidExpressionError InvalidHostLabelError
        MD5UnavailableError MissingDependencyException MissingParametersError NoRegionError
        OperationNotPageableError ParamValidationError RangeError ServiceNotInRegionError
        UnknownClientMethodError UnknownEndpointError UnknownEndpointResolutionBuiltInName
        UnknownFIPSEndpointError UnknownKeyError UnknownParameterError UnknownServiceError
        UnknownServiceStyle UnsupportedOutpostResourceError
        UnsupportedS3AccesspointConfigurationError UnsupportedS3ArnError
        UnsupportedS3ConfigurationError UnsupportedS3ControlArnError
        UnsupportedS3ControlConfigurationError UnsupportedServiceProtocolsError ValidationError
        WaiterConfigError
    """,
    ErrorKind.NO_ANSWER: """
        BotoCoreError CapacityNotAvailableError ChecksumError ConnectTimeoutError
        ConnectionClosedError ConnectionError EndpointConnectionError FlexibleChecksumError
        HTTPClientError IncompleteReadError PaginationError ProxyConnectionError ReadTimeoutError
        ResponseStreamingError SSLError UnseekableStreamError WaiterError
    """,
}
NEVER_RAISED = {"StubAssertionError", "StubResponseError", "UnStubbedResponseError"} | {
    "UnknownTokenProviderError"  # the name of a provider is botocore's own
}


@given(st.sampled_from(sorted(KINDS)), STATUSES, st.text())
def test_a_known_code_decides_whatever_the_status_and_the_message_say(
    code: str, status: int, message: str
) -> None:
    kind = error_kind(api_error(code, message, status))
    assert kind is KINDS[code]
    assert kind.retryable is (kind not in FINAL)


@given(st.sampled_from(sorted(KINDS)) | st.text())
def test_too_many_requests_may_pass_whatever_the_code(code: str) -> None:
    error = api_error(code, status=429)
    assert error_kind(error) is ErrorKind.THROTTLED
    verdict = call_verdict(error)
    assert (verdict.retryable, verdict.meaning) == (True, "throttled")


def test_each_code_that_is_known_is_judged_here() -> None:
    assert {code.removesuffix("Exception") for code in KINDS} == errors._KINDS.keys()


@given(
    st.text().filter(lambda code: code.removesuffix("Exception") not in ("", *KINDS)),
    st.integers(300, 599).filter(lambda status: status != 429),
)
def test_an_unknown_code_may_pass_only_if_the_service_blames_itself(code: str, status: int) -> None:
    if code + "Exception" in KINDS:
        return
    kind = error_kind(api_error(code, status=status))
    assert (kind, kind.retryable) == (
        (ErrorKind.FAILED, True) if status >= 500 else (ErrorKind.REFUSED, False)
    )


@pytest.mark.parametrize(
    ("service", "answer"),
    [("s3", ("RequestTimeout", 400)), ("sts", ("IDPCommunicationError", 400))],
)
def test_what_botocore_itself_repeats_for_a_service_may_pass(
    service: str, answer: tuple[str, int]
) -> None:
    """botocore gives it up after some attempts, and raises the last error."""
    rules = get_session().get_component("data_loader").load_data("_retry")["retry"][service]
    answers = []
    for policy in rules["__default__"]["policies"].values():
        response = policy["applies_when"]["response"]
        answers.append((response["service_error_code"], response["http_status_code"]))
    assert answer in answers
    for code, status in answers:
        kind = error_kind(api_error(code, status=status))
        assert (code, kind.retryable) == (code, True)


@pytest.mark.parametrize(
    "code",
    [
        *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
        *TransientRetryableChecker._TRANSIENT_ERROR_CODES,
    ],
)
def test_what_botocore_itself_repeats_for_each_service_may_pass(code: str) -> None:
    assert error_kind(api_error(code)).retryable


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": "SomethingNew"}}])
def test_an_error_without_a_status_may_pass(response: Any) -> None:
    error = ClientError(response, "AnyOperation")
    assert error_kind(error).retryable
    assert call_verdict(error).meaning == "Athena did not answer"


@pytest.mark.parametrize(("kind", "names"), OF_BOTOCORE.items(), ids=lambda value: str(value)[:20])
def test_what_an_error_of_botocore_means(kind: ErrorKind, names: str) -> None:
    for name in names.split():
        error_class = getattr(of_botocore, name)
        assert (name, error_kind(error_class.__new__(error_class))) == (name, kind)


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (ErrorKind.NO_CREDENTIALS, True),  # a role may have some in a moment
        (ErrorKind.NOT_LOGGED_IN, False),
        (ErrorKind.NOT_CONFIGURED, False),
        (ErrorKind.NOT_SENT, False),
        (ErrorKind.NO_ANSWER, True),
    ],
)
def test_only_what_may_pass_without_a_person_is_tried_again(
    kind: ErrorKind, retryable: bool
) -> None:
    assert kind.retryable is retryable


def test_every_error_of_botocore_is_judged() -> None:
    judged = set(" ".join(OF_BOTOCORE.values()).split())
    there_are = set()
    for name, value in vars(of_botocore).items():
        if isinstance(value, type) and issubclass(value, of_botocore.BotoCoreError):
            there_are.add(name)
    assert there_are - NEVER_RAISED == judged


def test_a_transfer_that_boto3_gives_up_may_be_tried_again() -> None:
    assert error_kind(S3TransferFailedError()).retryable


# What a person can do, by what the error means.
HINTS = {
    "refused the request": "Correct what its reason says.",
    "the workgroup does not exist": "correct ATHENA_REPORTS_WORKGROUP",
    "did not answer": "See the AWS health dashboard and the network.",
    "throttled": "raise the account's quota",
    "permission": "Grant what is missing to the role of the Airflow workers.",
    "SomethingNew": "Correct it.",
    "no region": "Set AWS_DEFAULT_REGION, or the connection's region.",
    "the AWS client is not configured": "Correct AWS_PROFILE, the AWS config file or",
    "login": "aws sso login",
    "no credentials": "Set AWS_ACCESS_KEY_ID, or grant a role.",
    "the call is not valid": "Correct what its reason says.",
}


@pytest.mark.parametrize(
    ("error", "retryable", "meaning"),
    [
        (api_error("InvalidRequestException"), False, "refused the request"),
        (
            api_error("InvalidRequestException", "WorkGroup stg is not found."),
            False,
            "the workgroup does not exist",
        ),
        (
            api_error("InvalidRequestException", "WorkGroup stg is disabled."),
            False,
            "refused the request",
        ),
        (
            api_error("InvalidRequestException", "QueryExecution 1 is not found."),
            False,
            "refused the request",
        ),
        (api_error("InternalServerException", status=500), True, "did not answer"),
        (api_error("TooManyRequestsException"), True, "throttled"),
        (api_error("ThrottlingException"), True, "throttled"),
        (api_error("RequestLimitExceeded"), True, "throttled"),
        (api_error("SlowDown", status=503), True, "throttled"),
        (api_error("AccessDeniedException"), False, "permission"),
        (api_error("UnrecognizedClientException"), False, "permission"),
        (api_error("ExpiredTokenException", status=403), False, "permission"),
        (api_error("SomethingNew"), False, "SomethingNew"),
        (api_error("SomethingNew", status=500), True, "did not answer"),
        (LOST, True, "did not answer"),
        (NoRegionError(), False, "no region"),
        (of_botocore.ProfileNotFound(profile="x"), False, "the AWS client is not configured"),
        (of_botocore.TokenRetrievalError(provider="sso", error_msg="x"), False, "login"),
        (NoCredentialsError(), True, "no credentials"),  # a role may be there in a moment
        (ParamValidationError(report="no such parameter"), False, "the call is not valid"),
    ],
    ids=str,
)
def test_every_documented_exception_of_a_call_has_its_verdict(
    error: Any, retryable: bool, meaning: str
) -> None:
    verdict = call_verdict(error)
    assert (verdict.retryable, meaning in verdict.meaning) == (retryable, True)
    assert HINTS[meaning] in verdict.hint
