"""Errors of AWS, as botocore raises them."""

from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError


def api_error(code: str, message: str = "", status: int = 400) -> ClientError:
    """An error as botocore raises it."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "AnyOperation")


THROTTLED = api_error("ThrottlingException", "Rate exceeded")
LOST = ConnectionClosedError(endpoint_url="http://athena")
