"""What an error of a call means, beside the API references of Athena, Glue and S3."""

from typing import Any

import botocore.exceptions as of_botocore
import pytest
from boto3.exceptions import S3TransferFailedError
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.errors import ErrorKind, call_verdict, error_kind
from tests.simulation.memory_athena import LOST, api_error

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
    "InvalidRequestException": ErrorKind.REFUSED,
    "InvalidInputException": ErrorKind.REFUSED,
    "ValidationException": ErrorKind.REFUSED,
    "InternalServiceException": ErrorKind.FAILED,
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
    "GlueEncryptionException": ErrorKind.CATALOG_NOT_READY,
    "OperationTimeoutException": ErrorKind.CATALOG_NOT_READY,
    "ResourceNotReadyException": ErrorKind.CATALOG_NOT_READY,
}
FINAL = {
    ErrorKind.NOT_SENT,
    ErrorKind.REFUSED,
    ErrorKind.DENIED,
    ErrorKind.NO_OBJECT,
    ErrorKind.CONDITION_FAILED,
}
STATUSES = st.sampled_from([301, 400, 403, 404, 409, 412, 429, 500, 503])
NOT_SENT = [
    "NoRegionError",
    "ParamValidationError",
    "UnknownEndpointError",
    "EndpointResolutionError",
]


@given(st.sampled_from(sorted(KINDS)), STATUSES, st.text())
def test_a_known_code_decides_whatever_the_status_and_the_message_say(
    code: str, status: int, message: str
) -> None:
    kind = error_kind(api_error(code, message, status))
    assert kind is KINDS[code]
    assert kind.retryable is (kind not in FINAL)


@given(
    st.text().filter(lambda code: code.removesuffix("Exception") not in ("", *KINDS)),
    st.integers(300, 599),
)
def test_an_unknown_code_may_pass_only_if_the_service_blames_itself(code: str, status: int) -> None:
    if code + "Exception" in KINDS:
        return
    kind = error_kind(api_error(code, status=status))
    assert (kind, kind.retryable) == (
        (ErrorKind.FAILED, True) if status >= 500 else (ErrorKind.REFUSED, False)
    )


def test_an_error_without_a_status_may_pass() -> None:
    assert error_kind(ClientError({"Error": {"Code": "SomethingNew"}}, "AnyOperation")).retryable


@pytest.mark.parametrize("name", NOT_SENT)
def test_a_call_that_botocore_does_not_send_is_final(name: str) -> None:
    error_class = getattr(of_botocore, name)
    error = error_class.__new__(error_class)
    kind = error_kind(error)
    assert (kind, kind.retryable) == (ErrorKind.NOT_SENT, False)


@pytest.mark.parametrize(
    "name",
    [
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "EndpointConnectionError",
        "IncompleteReadError",
        "SSLError",
    ],
)
def test_a_call_that_is_not_answered_may_be_sent_again(name: str) -> None:
    error_class = getattr(of_botocore, name)
    error = error_class.__new__(error_class)
    kind = error_kind(error)
    assert (kind, kind.retryable) == (ErrorKind.NO_ANSWER, True)


def test_a_transfer_that_boto3_gives_up_may_be_tried_again() -> None:
    assert error_kind(S3TransferFailedError()).retryable


@pytest.mark.parametrize(
    ("error", "retryable", "meaning"),
    [
        (api_error("InvalidRequestException"), False, "refused the request"),
        (
            api_error("InvalidRequestException", "WorkGroup stg is not found."),
            False,
            "the workgroup does not exist",
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
