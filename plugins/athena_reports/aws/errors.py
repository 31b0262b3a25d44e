"""What an error of a call to AWS means: whether the call may succeed later, and what a person can correct.

Sources: Athena's API reference, and recordings of real errors.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError


class CallVerdict(NamedTuple):
    """What an error of a call means.

    Attributes:
        retryable: Whether the same call may succeed later.
        meaning: What happened.
        hint: What a person can correct.
    """

    retryable: bool
    meaning: str
    hint: str


GRANT_ACCESS = "Grant what is missing to the role of the Airflow workers."

REFUSED = CallVerdict(False, "Athena refused the request", "Correct what its reason says.")
_THROTTLED = CallVerdict(True, "throttled", "Run fewer queries at once, or raise the account's quota.")
_NO_ANSWER = CallVerdict(True, "Athena did not answer", "See the AWS health dashboard and the network.")
_NO_CREDENTIALS = CallVerdict(True, "there are no credentials", "Set AWS_ACCESS_KEY_ID, or grant a role.")
_NO_ACCESS = CallVerdict(False, "permission denied", GRANT_ACCESS)
_NO_REGION = CallVerdict(False, "no region is set", "Set AWS_DEFAULT_REGION, or the connection's region.")
_NO_WORKGROUP = CallVerdict(False, "the workgroup does not exist", "Create it, or correct ATHENA_REPORTS_WORKGROUP.")

_BY_CODE: Mapping[str, CallVerdict] = {  # code of a service's error, without "Exception"
    "InvalidRequest": REFUSED,
    "Throttling": _THROTTLED,
    "TooManyRequests": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "SlowDown": _THROTTLED,
    "AccessDenied": _NO_ACCESS,
    "UnrecognizedClient": _NO_ACCESS,
    "ExpiredToken": _NO_ACCESS,
}
_BY_CLASS: Mapping[str, CallVerdict] = {  # class of botocore's own error
    "NoCredentialsError": _NO_CREDENTIALS,
    "NoRegionError": _NO_REGION,
}


def call_verdict(error: ClientError | BotoCoreError) -> CallVerdict:
    """Return what an error of an API call means; an error of botocore's own means that no answer arrived."""
    if isinstance(error, BotoCoreError):
        return _BY_CLASS.get(type(error).__name__, _NO_ANSWER)
    response: Any = error.response
    code = response.get("Error", {}).get("Code", "")
    message = response.get("Error", {}).get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if message.startswith("WorkGroup") and "is not found" in message:
        return _NO_WORKGROUP
    known = _BY_CODE.get(code.removesuffix("Exception"))
    if known is not None:
        return known
    if status >= 500:
        return _NO_ANSWER
    return CallVerdict(False, f"Athena refused the request ({code})", "Correct it.")
