"""One AWS session for all clients of a task."""

import inspect
from collections.abc import Iterator
from copy import copy
from functools import cached_property
from traceback import walk_stack
from types import FrameType
from typing import Any, Self

from airflow.providers.amazon.aws.hooks.athena import AthenaHook, query_params_to_string
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.providers.common.sql.hooks.lineage import send_sql_hook_lineage
from botocore.config import Config


def start_request(
    *,
    query: str,
    query_context: dict[str, str],
    result_configuration: dict[str, Any],
    client_request_token: str | None,
    workgroup: str,
) -> dict[str, Any]:
    """Return a request of StartQueryExecution, without a result configuration that is empty.

    A workgroup with managed query results rejects a request that has one, even an empty one.
    """
    request: dict[str, Any] = {
        "QueryString": query,
        "QueryExecutionContext": query_context,
    }
    if result_configuration:
        request["ResultConfiguration"] = result_configuration
    request["WorkGroup"] = workgroup
    if client_request_token:
        request["ClientRequestToken"] = client_request_token
    return request


class SharedSessionHook(AthenaHook):
    """Athena's hook that also makes the clients of other services, in the same session.

    Each hook of the provider makes a session of its own: it asks Airflow for the connection,
    assumes the role, and reads botocore's data again. Here all of that happens once.
    """

    def client(self, service: str) -> Any:
        """Return a client of a service, such as `s3`, for this hook's connection."""
        if service == self.client_type:
            return self.get_conn()
        if service not in self._clients:
            self.get_session()  # if there is none yet: then the copy has the same one
            hook = copy(self)
            hook.client_type = service
            self._clients[service] = hook.get_client_type()
        return self._clients[service]

    def with_defaults(self, defaults: Config) -> Self:
        """Return a hook in the same session that has these options where this hook has none."""
        config = defaults.merge(self.config)
        hook = type(self)(self.aws_conn_id, log_query=self.log_query)
        hook.conn_config = AwsConnectionWrapper(self.conn_config, botocore_config=config)
        hook._session = self.get_session()  # in the place of the one that the hook would make
        return hook

    def run_query(
        self,
        query: str,
        query_context: dict[str, str],
        result_configuration: dict[str, Any],
        client_request_token: str | None = None,
        workgroup: str = "primary",
    ) -> str:
        """Start a query as AthenaHook does, which would also send an empty result configuration."""
        request = start_request(
            query=query,
            query_context=query_context,
            result_configuration=result_configuration,
            client_request_token=client_request_token,
            workgroup=workgroup,
        )
        if self.log_query:
            self.log.info("Running Query with params:\n%s", query_params_to_string(request))
        athena: Any = self.get_conn()
        response = athena.start_query_execution(**request)
        query_execution_id: str = response["QueryExecutionId"]
        self.log.info("Query execution id: %s", query_execution_id)
        send_sql_hook_lineage(context=self, sql=query, job_id=query_execution_id)
        return query_execution_id

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Return the session of all clients; aiobotocore has another."""
        if deferrable:
            return super().get_session(region_name, deferrable)
        return self._session

    @staticmethod
    def _find_operator_class_name(target_function_name: str) -> str | None:
        """Return the class of the operator whose method makes this call, for the user agent.

        AwsGenericHook gives the same by `inspect.stack()`. That reads the source of each frame and
        looks through all modules, which takes 50 ms of each task's processor time.
        """
        for frame in _calling_frames():
            if frame.f_code.co_name == target_function_name:
                return type(frame.f_locals["self"]).__name__
        return None

    @staticmethod
    def _find_executor_class_name() -> str | None:
        """Return the class of the executor that makes this call, for the user agent.

        AwsGenericHook gives the same by `inspect.stack()`, see above.
        """
        for frame in _calling_frames():
            classes = [name for name, value in frame.f_globals.items() if inspect.isclass(value)]
            if "BaseExecutor" in classes:
                return classes[-1]
        return None

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _session(self) -> Any:
        return super().get_session()


def _calling_frames() -> Iterator[FrameType]:
    """Yield the frames of the calls that are under way, the latest first."""
    for frame, _ in walk_stack(inspect.currentframe()):
        yield frame
