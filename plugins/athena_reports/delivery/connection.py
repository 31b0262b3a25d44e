"""The Airflow connection of a channel."""

from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, BaseHook

from athena_reports.delivery.errors import DeliveryError


def require_connection(conn_id: str, conn_type: str) -> Any:
    """Return an Airflow connection; DeliveryError if it does not exist."""
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowException as error:
        raise DeliveryError(
            f"Airflow connection {conn_id!r} does not exist. Create it with the type {conn_type}.",
            # The same error as for a secrets backend that does not respond.
            retryable=True,
        ) from error
