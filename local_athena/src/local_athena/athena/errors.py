"""How the local Athena says no: to a request (`ApiError`), or later to a query (`QueryFailed`)."""

from __future__ import annotations

from typing import Any

SYSTEM, USER = 1, 2
"""Values of AthenaError's ErrorCategory (Athena user guide, "Athena error catalog")."""

EXCEEDED_MEMORY, EXCEEDED_CPU = "EXCEEDED_LOCAL_MEMORY_LIMIT", "EXCEEDED_CPU_LIMIT"
"""Trino's names for a query that needs more memory, or more processor time, than it may have."""

_ERROR_TYPES = {
    # recorded from the real service, which does not always keep to its catalog
    "TABLE_NOT_FOUND": 1301,
    "SCHEMA_NOT_FOUND": 1301,
    "COLUMN_NOT_FOUND": 1006,
    "CATALOG_NOT_FOUND": 1006,
    "DIVISION_BY_ZERO": 1001,
    "TYPE_MISMATCH": 1002,
    "INVALID_CAST_ARGUMENT": 1100,
    "NOT_SUPPORTED": 1200,
    "FUNCTION_NOT_FOUND": 1303,
    # from the catalog
    "RESULT_WRITE": 401,
    "RESULT_BUCKET": 402,
    EXCEEDED_MEMORY: 0,
    EXCEEDED_CPU: 206,
    "INTERNAL": 200,
    "PERMISSION_DENIED": 1500,
}
_USER_ERROR = 1000


class ApiError(Exception):
    """A request that Athena rejects, as botocore shows it.

    `code` is the exception's name in the service model, `athena_code` the AthenaErrorCode of an
    InvalidRequestException, `reason` the Reason of a TooManyRequestsException.
    """

    def __init__(
        self,
        message: str,
        code: str = "InvalidRequestException",
        athena_code: str = "INVALID_INPUT",
        status: int = 400,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.athena_code = athena_code
        self.status = status
        self.reason = reason

    @property
    def fields(self) -> dict[str, str]:
        """The body of the answer, as recorded: the exception's name is in it and in no header."""
        fields = {"__type": self.code, "Message": self.message}
        if self.code == "InvalidRequestException":
            fields |= {"AthenaErrorCode": self.athena_code, "ErrorCode": self.athena_code}
        if self.reason:
            fields["Reason"] = self.reason
        return fields


class QueryFailed(Exception):  # noqa: N818 - the state it leads to
    """A query that ends FAILED, by Trino's name of the error, such as TABLE_NOT_FOUND.

    The message begins with "line L:C: " where the position is known.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message

    def at(self, line: int, column: int) -> QueryFailed:
        """The same error with its position (both counted from 1), unless it has one already."""
        if self.message.startswith("line "):
            return self
        return QueryFailed(self.name, f"line {line}:{column}: {self.message}")

    @property
    def athena_error(self) -> dict[str, Any]:
        """AthenaError, its types from Athena's error catalog."""
        return {
            "ErrorCategory": SYSTEM if self.name == "INTERNAL" else USER,
            "ErrorType": _ERROR_TYPES.get(self.name, _USER_ERROR),
            "Retryable": False,
            "ErrorMessage": str(self),
        }


def not_supported(what: str) -> QueryFailed:
    """Return the error of a query for what Athena does and this service does not."""
    return QueryFailed("NOT_SUPPORTED", f"the local Athena does not support {what}")


def not_supported_request(what: str) -> ApiError:
    """Return the error of a request for what Athena does and this service does not."""
    return ApiError(str(not_supported(what)))
