"""One AWS session for all clients of a task."""

from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook


class SharedSessionHook(AthenaHook):
    """Athena's hook that also makes the clients of other services, in the same session.

    Each hook of the provider asks Airflow for the connection, assumes the role, and reads
    botocore's data again.
    """

    def client(self, service: str) -> Any:
        """Return the client of a service, such as `s3`, for this hook's connection."""
        if service == self.client_type:
            return self.get_conn()
        if service not in self._clients:
            endpoint_url = self.conn_config.get_service_endpoint_url(service_name=service)
            self._clients[service] = self._session.client(
                service_name=service,
                endpoint_url=endpoint_url,
                config=self._get_config(),
                verify=self.verify,
            )
        return self._clients[service]

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Return the session of all clients."""
        return self._session

    def _get_caller(self, target_function_name: str = "execute") -> str:
        # For the user agent. AwsGenericHook uses `inspect.stack()`, which takes 50 ms in each task.
        return "athena_reports"

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _session(self) -> Any:
        return super().get_session()
