"""Athena's API in the JSON 1.1 protocol, its requests checked by botocore's service model."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from local_athena.athena import pages
from local_athena.athena.clients import Clients
from local_athena.athena.errors import ApiError, not_supported_request
from local_athena.athena.executions import FINAL_STATES, Execution, Executions, Request
from local_athena.athena.workgroups import PRIMARY, WorkGroups
from local_athena.faults import (
    Call,
    Drop,
    Dropped,
    FaultPlan,
    LeaveUnprocessed,
    Refuse,
    Report,
    Slow,
    Throttle,
)

MAX_QUERY_BYTES = 262_144
MAX_PARAMETER_CHARACTERS = 1_024
MAX_PAGE_ROWS = 1_000

_T = TypeVar("_T")


class AthenaApi:
    """Athena's operations, each a method that takes the request's parameters and its region."""

    def __init__(self, clients: Clients, faults: FaultPlan, executions: Executions) -> None:
        self._clients = clients
        self._faults = faults
        self._groups = WorkGroups()
        self._executions = executions
        self._model = botocore.session.get_session().get_service_model("athena")
        self._operations: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": self._get,
            "BatchGetQueryExecution": self._batch_get,
            "ListQueryExecutions": self._list,
            "StopQueryExecution": self._stop,
            "GetQueryResults": self._results,
            "CreateWorkGroup": self._create_group,
            "GetWorkGroup": self._get_group,
            "UpdateWorkGroup": self._update_group,
            "DeleteWorkGroup": self._delete_group,
            "ListWorkGroups": self._list_groups,
            "GetTableMetadata": self._table,
        }

    def call(self, operation: str, body: bytes, region: str) -> tuple[int, bytes]:
        """Answer a request with its HTTP status and body, or raise Dropped if it gets no answer."""
        try:
            answer = self._answer(operation, body, region)
            return 200, json.dumps(answer).encode()
        except ApiError as error:
            return error.status, json.dumps(error.fields).encode()

    def _answer(self, operation: str, body: bytes, region: str) -> dict[str, Any]:
        method = self._operations.get(operation)
        if method is None:
            raise not_supported_request(f"the operation {operation}")
        try:
            parameters = json.loads(body or b"{}")
        except ValueError:
            raise ApiError("The request is not JSON", "SerializationException") from None
        shape = self._model.operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise ApiError(report.generate_report())
        call = self._call(operation, parameters)
        self._strike(call)
        answer = method(parameters, region)
        drop = self._faults.take(Drop, call)
        if drop is None:
            return answer
        if drop.status is None:
            raise Dropped
        raise ApiError(
            "The answer was dropped on demand", "InternalServerException", status=drop.status
        )

    def _call(self, operation: str, parameters: dict[str, Any]) -> Call:
        if "QueryExecutionId" in parameters:
            with contextlib.suppress(ApiError):
                return self._executions.get(parameters["QueryExecutionId"]).call(operation)
        group = parameters.get("WorkGroup", PRIMARY)
        return Call(operation, parameters.get("QueryString", ""), group)

    def _strike(self, call: Call) -> None:
        slow = self._faults.take(Slow, call)
        if slow is not None:
            time.sleep(slow.milliseconds / 1000)
        throttle = self._faults.take(Throttle, call)
        if throttle is not None:
            raise ApiError(throttle.message, throttle.code, reason=throttle.reason)
        refuse = self._faults.take(Refuse, call)
        if refuse is not None:
            status = 500 if refuse.code == "InternalServerException" else 400
            raise ApiError(refuse.message, refuse.code, refuse.athena_error_code, status)

    def close(self) -> None:
        """Stop all queries and end the workers."""
        self._executions.close()

    def inspect(self, execution_id: str) -> dict[str, Any]:
        """What a query read: its scans (tables, partitions, columns, bytes), and DuckDB's text."""
        execution = self._executions.get(execution_id)
        with execution.lock:
            return {
                "id": execution.id,
                "state": execution.state,
                "scans": [dataclasses.asdict(scan) for scan in execution.scans],
                "duckdb_sql": execution.plan.duckdb_sql if execution.plan is not None else None,
            }

    # --- query executions -------------------------------------------------------------------------

    def _start(self, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        sql = parameters["QueryString"]
        if len(sql.encode()) > MAX_QUERY_BYTES:
            raise ApiError(f"The query string is longer than {MAX_QUERY_BYTES} bytes")
        for literal in parameters.get("ExecutionParameters", []):
            if len(literal) > MAX_PARAMETER_CHARACTERS:
                raise ApiError(
                    f"An execution parameter is longer than {MAX_PARAMETER_CHARACTERS} characters"
                )
        token = parameters.get("ClientRequestToken")
        if token is None or not 32 <= len(token) <= 128:  # the AWS clients make one up
            raise ApiError("ClientRequestToken must have 32 to 128 characters")
        reuse = parameters.get("ResultReuseConfiguration", {})
        if reuse.get("ResultReuseByAgeConfiguration", {}).get("Enabled"):
            raise not_supported_request("result reuse")
        context = parameters.get("QueryExecutionContext", {})
        if context.get("Catalog", "AwsDataCatalog").lower() != "awsdatacatalog":
            raise ApiError(f"Catalog {context['Catalog']} does not exist")
        group = self._groups.get(parameters.get("WorkGroup", PRIMARY))
        if not group.enabled:
            raise ApiError(f"WorkGroup {group.name} is disabled.")
        request = Request(
            sql=sql,
            parameters=tuple(parameters.get("ExecutionParameters", [])),
            database=context.get("Database"),
            catalog=context.get("Catalog", "AwsDataCatalog"),
            workgroup=group.name,
            result_configuration=parameters.get("ResultConfiguration"),
            region=region,
        )
        return {"QueryExecutionId": self._executions.start(request, group, token).id}

    def _get(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        execution = self._executions.get(parameters["QueryExecutionId"])
        return {"QueryExecution": self._describe(execution, "GetQueryExecution")}

    def _describe(self, execution: Execution, action: str) -> dict[str, Any]:
        answer = execution.describe()
        call = execution.call(action, answer["Status"]["State"])
        report = self._faults.take(Report, call)
        if report is not None:
            answer["Status"]["State"] = report.state
        return answer

    def _batch_get(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        found, missing = [], []
        for execution_id in parameters["QueryExecutionIds"]:
            try:
                execution = self._executions.get(execution_id)
            except ApiError as error:
                unprocessed = {"ErrorCode": error.athena_code, "ErrorMessage": error.message}
                missing.append({"QueryExecutionId": execution_id, **unprocessed})
                continue
            call = execution.call("BatchGetQueryExecution")
            if self._faults.take(LeaveUnprocessed, call) is None:
                found.append(self._describe(execution, "BatchGetQueryExecution"))
            else:
                unprocessed = {"ErrorCode": "INTERNAL_ERROR", "ErrorMessage": "Try again"}
                missing.append({"QueryExecutionId": execution_id, **unprocessed})
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def _list(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        group = self._groups.get(parameters.get("WorkGroup", PRIMARY))
        ids = [execution.id for execution in self._executions.newest_first(group.name)]
        return _page("QueryExecutionIds", ids, parameters, key=str)

    def _stop(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        self._executions.stop(parameters["QueryExecutionId"])
        return {}

    def _results(self, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        execution = self._executions.get(parameters["QueryExecutionId"])
        _check_finished(execution)
        assert execution.plan is not None
        manifest = parameters.get("QueryResultType") == "DATA_MANIFEST"
        if manifest and execution.unload_target is None:
            raise ApiError(
                "QueryResultType DATA_MANIFEST is for statements that write data, such as UNLOAD"
            )
        if execution.unload_target is not None and not manifest:
            nothing: dict[str, Any] = {"Rows": [], "ResultSetMetadata": {"ColumnInfo": []}}
            return {"UpdateCount": execution.unloaded_rows, "ResultSet": nothing}
        rows = parameters.get("MaxResults", MAX_PAGE_ROWS)
        if rows > MAX_PAGE_ROWS:
            raise ApiError(f"MaxResults is more than maximum allowed length {MAX_PAGE_ROWS}.")
        token = parameters.get("NextToken")
        offset = pages.decode_token(execution.id, token) if token is not None else 0
        if execution.kept is not None:
            chunks = pages.kept(execution.kept, offset)
        else:
            s3 = self._clients.get("s3", region)
            chunks = pages.stored(s3, execution.output_location, offset)
        try:
            page, following = pages.read_page(chunks, offset, rows)
        except ClientError:
            raise ApiError("Could not find results") from None
        info = execution.plan.columns
        data = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in page]
        answer: dict[str, Any] = {
            "UpdateCount": 0,
            "ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": info}},
        }
        if following is not None:
            answer["NextToken"] = pages.encode_token(execution.id, following)
        return answer

    # --- workgroups -------------------------------------------------------------------------------

    def _create_group(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        configuration = parameters.get("Configuration", {})
        self._groups.create(parameters["Name"], configuration, parameters.get("Description", ""))
        return {}

    def _get_group(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        return {"WorkGroup": self._groups.get(parameters["WorkGroup"]).details}

    def _update_group(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        updates = parameters.get("ConfigurationUpdates", {})
        description, state = parameters.get("Description"), parameters.get("State")
        self._groups.update(parameters["WorkGroup"], updates, description, state)
        return {}

    def _delete_group(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        name = self._groups.get(parameters["WorkGroup"]).name
        if self._executions.newest_first(name) and not parameters.get("RecursiveDeleteOption"):
            raise ApiError(f"WorkGroup {name} is not empty")
        self._groups.delete(name)
        return {}

    def _list_groups(self, parameters: dict[str, Any], _: str) -> dict[str, Any]:
        summaries = [group.summary for group in self._groups.list()]
        return _page("WorkGroups", summaries, parameters, key=lambda summary: str(summary["Name"]))

    # --- data catalog -----------------------------------------------------------------------------

    def _table(self, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        glue = self._clients.get("glue", region)
        try:
            found = glue.get_table(
                DatabaseName=parameters["DatabaseName"], Name=parameters["TableName"]
            )
        except ClientError as error:
            raise ApiError(error.response["Error"]["Message"], "MetadataException") from None
        table = found["Table"]
        storage = table.get("StorageDescriptor", {})
        columns = storage.get("Columns", [])
        table_parameters = dict(table.get("Parameters", {}))
        if storage.get("Location"):
            table_parameters["location"] = storage["Location"]
        return {
            "TableMetadata": {
                "Name": table["Name"],
                "CreateTime": table["CreateTime"].timestamp(),
                "TableType": table.get("TableType", "EXTERNAL_TABLE"),
                "Columns": [_column(each) for each in columns],
                "PartitionKeys": [_column(each) for each in table.get("PartitionKeys", [])],
                "Parameters": table_parameters,
            }
        }


def _column(column: Mapping[str, str]) -> dict[str, str]:
    return {name: column[name] for name in ("Name", "Type", "Comment") if name in column}


def _check_finished(execution: Execution) -> None:
    state = execution.state
    if state not in FINAL_STATES:
        raise ApiError(
            f"Query has not yet finished. Current state: {state}",
            athena_code="INVALID_QUERY_EXECUTION_STATE",
        )
    if state != "SUCCEEDED":
        message = f"Query did not finish successfully. Final query state: {state}"
        raise ApiError(message, athena_code="INVALID_QUERY_EXECUTION_STATE")


def _page(
    name: str, items: Sequence[_T], parameters: Mapping[str, Any], key: Callable[[_T], str]
) -> dict[str, Any]:
    """One page of a list; its token names the last item shown, so that new items shift nothing."""
    start = 0
    token = parameters.get("NextToken")
    if token is not None:
        last = _decoded(token)
        start = next((i for i, item in enumerate(items, 1) if key(item) == last), -1)
        if start < 0:
            raise ApiError("Invalid NextToken")
    page = items[start : start + parameters.get("MaxResults", 50)]
    answer: dict[str, Any] = {name: list(page)}
    if page and start + len(page) < len(items):
        answer["NextToken"] = base64.urlsafe_b64encode(key(page[-1]).encode()).decode()
    return answer


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise ApiError("Invalid NextToken") from None
