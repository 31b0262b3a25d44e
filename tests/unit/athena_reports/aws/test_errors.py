"""What an error of a call means, beside the API references of Athena, Glue and S3."""

from typing import Any

import botocore.exceptions as of_botocore
import pytest
from boto3.exceptions import S3TransferFailedError
from botocore.exceptions import ClientError
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.errors import ErrorKind, error_code, error_kind
from tests.support.aws_errors import LOST, api_error

CODES = {
    ErrorKind.DENIED: "AccessDenied AccessDeniedException UnrecognizedClientException ExpiredToken"
    " ExpiredTokenException 403",
    ErrorKind.THROTTLED: "ThrottlingException TooManyRequestsException SlowDown",
    ErrorKind.UNAVAILABLE: "RequestTimeout IDPCommunicationError BadDigest InvalidStateException"
    " FederationSourceRetryableException FederationSourceException OperationTimeoutException"
    " ResourceNotReadyException GlueEncryptionException ResourceNumberLimitExceededException",
    ErrorKind.REFUSED: "InvalidRequestException InvalidInputException ValidationException",
    ErrorKind.NO_BUCKET: "NoSuchBucket",
    ErrorKind.WRONG_REGION: "PermanentRedirect",
    ErrorKind.NO_OBJECT: "NoSuchKey 404",
    ErrorKind.CONDITION_FAILED: "PreconditionFailed 412 ConditionalRequestConflict 409",
    ErrorKind.NO_ENTITY: "EntityNotFoundException",
    ErrorKind.ENTITY_EXISTS: "AlreadyExistsException",
    ErrorKind.ENTITY_CHANGED: "ConcurrentModificationException VersionMismatchException",
}
KINDS = {code: kind for kind, codes in CODES.items() for code in codes.split()}
RETRYABLE = {
    ErrorKind.NO_CREDENTIALS,  # a role may have some in a moment
    ErrorKind.UNAVAILABLE,
    ErrorKind.THROTTLED,
    ErrorKind.NO_ENTITY,
    ErrorKind.ENTITY_EXISTS,
    ErrorKind.ENTITY_CHANGED,
}
STATUSES = st.sampled_from([200, 301, 400, 403, 404, 409, 412, 500, 503])
# By name, since most take arguments to be made.
NAMES_IN_BOTOCORE = {
    ErrorKind.NO_CREDENTIALS: "CredentialRetrievalError MetadataRetrievalError NoCredentialsError",
    ErrorKind.UNAVAILABLE: "ConnectTimeoutError ConnectionClosedError EndpointConnectionError"
    " FlexibleChecksumError IncompleteReadError ProxyConnectionError ReadTimeoutError"
    " ResponseStreamingError SSLError",
    ErrorKind.REFUSED: "ParamValidationError",
    ErrorKind.NOT_SENT: "NoRegionError PartialCredentialsError ProfileNotFound TokenRetrievalError"
    " UnauthorizedSSOTokenError",
}
OF_BOTOCORE = {name: kind for kind, names in NAMES_IN_BOTOCORE.items() for name in names.split()}


@given(st.sampled_from(sorted(KINDS)), STATUSES, st.text())
def test_a_known_code_decides_whatever_the_status_and_the_message(
    code: str, status: int, message: str
) -> None:
    error = api_error(code, message, status)
    assert error_kind(error) is KINDS[code]
    assert error_code(error) == code


def test_only_what_may_pass_without_a_person_is_retryable() -> None:
    for kind in {*KINDS.values(), *OF_BOTOCORE.values()}:
        assert kind.retryable is (kind in RETRYABLE)


@given(st.sampled_from(sorted(KINDS)) | st.text())
def test_too_many_requests_may_pass_whatever_the_code(code: str) -> None:
    assert error_kind(api_error(code, status=429)) is ErrorKind.THROTTLED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, ErrorKind.REFUSED),
        (400, ErrorKind.REFUSED),
        (499, ErrorKind.REFUSED),
        (500, ErrorKind.UNAVAILABLE),
        (503, ErrorKind.UNAVAILABLE),
        (200, ErrorKind.UNAVAILABLE),  # CompleteMultipartUpload sends it before it knows
    ],
)
def test_an_unknown_code_is_final_only_if_the_service_blames_the_request(
    status: int, kind: ErrorKind
) -> None:
    assert error_kind(api_error("SomethingNew", status=status)) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("WorkGroup stg is not found.", ErrorKind.NO_WORKGROUP),
        ("WorkGroup stg is disabled.", ErrorKind.REFUSED),
        ("QueryExecution 1 is not found.", ErrorKind.REFUSED),
    ],
)
def test_a_workgroup_that_is_missing_is_known_by_the_message(message: str, kind: ErrorKind) -> None:
    assert error_kind(api_error("InvalidRequestException", message)) is kind


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": "SomethingNew"}}])
def test_an_error_without_a_status_may_pass(response: Any) -> None:
    assert error_kind(ClientError(response, "AnyOperation")) is ErrorKind.UNAVAILABLE


@pytest.mark.parametrize("service", ["__default__", "s3", "sts"])
def test_what_botocore_itself_repeats_may_pass(service: str) -> None:
    """botocore gives it up after some attempts, and raises the last error."""
    rules = get_session().get_component("data_loader").load_data("_retry")
    policies = rules["retry"][service].get("__default__", {}).get("policies", {})
    policies = policies or rules["definitions"]
    answers = []
    for policy in policies.values():
        response = policy.get("applies_when", {}).get("response", {})
        if "http_status_code" in response:
            code = response.get("service_error_code", "SomethingNew")
            answers.append((code, response["http_status_code"]))
    assert answers
    for code, status in answers:
        assert (code, error_kind(api_error(code, status=status)).retryable) == (code, True)


@pytest.mark.parametrize(("name", "kind"), OF_BOTOCORE.items())
def test_an_error_of_botocore_may_pass_if_a_connection_broke(name: str, kind: ErrorKind) -> None:
    error_class = getattr(of_botocore, name)
    error = error_class.__new__(error_class)
    assert (error_kind(error), error_code(error)) == (kind, "")


@pytest.mark.parametrize("error", [S3TransferFailedError(), LOST])
def test_a_transfer_or_connection_that_is_given_up_may_be_tried_again(error: Exception) -> None:
    assert error_kind(error) is ErrorKind.UNAVAILABLE
