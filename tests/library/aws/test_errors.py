"""What an error of a call means, beside Athena's API reference."""

from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError

from athena_reports.aws.errors import call_verdict
from tests.simulation.memory_athena import LOST, api_error


@pytest.mark.parametrize(
    ("error", "retryable", "meaning"),
    [
        (api_error("InvalidRequestException"), False, "refused the request"),
        (api_error("InvalidRequestException", "WorkGroup stg is not found."), False, "the workgroup does not exist"),
        (api_error("InternalServerException", status=500), True, "did not answer"),
        (api_error("TooManyRequestsException"), True, "throttled"),
        (api_error("ThrottlingException"), True, "throttled"),
        (api_error("AccessDeniedException"), False, "permission"),
        (api_error("ExpiredTokenException", status=403), False, "permission"),
        (api_error("SomethingNew"), False, "SomethingNew"),
        (api_error("SomethingNew", status=500), True, "did not answer"),
        (LOST, True, "did not answer"),
        (NoRegionError(), False, "no region"),
        (NoCredentialsError(), True, "no credentials"),  # a role may be there in a moment
    ],
    ids=str,
)
def test_every_documented_exception_of_a_call_has_its_verdict(error: Any, retryable: bool, meaning: str) -> None:
    verdict = call_verdict(error)
    assert (verdict.retryable, meaning in verdict.meaning) == (retryable, True)
