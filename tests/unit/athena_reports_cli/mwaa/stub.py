"""What moto does not do of CloudFormation and Amazon MWAA, by botocore's models:
change sets, failures, pools.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.validate import ParamValidator
from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

NAME = "athena-reports-stg"
_STACK = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{NAME}/1"
_NOTHING = (
    "The submitted information didn't contain changes. Submit different information to create a"
    " change set."
)
_AIRFLOW = ("Airflow", "AWS::MWAA::Environment")
# What a parameter changes, and whether that is a replacement,
# by CloudFormation's reference of these types.
_CHANGES = {
    **dict.fromkeys(
        ("PluginsVersion", "RequirementsVersion", "StartupVersion"), (*_AIRFLOW, "False")
    ),
    **dict.fromkeys(("SubnetIds", "SecurityGroupIds", "MwaaEnvironmentName"), (*_AIRFLOW, "True")),
    "ScanCutoffBytes": ("Workgroup", "AWS::Athena::WorkGroup", "False"),
}


class _Refused(ServiceException):
    code = "ValidationError"


class _Conflict(ServiceException):
    code, message, RestApiStatusCode = "RestApiClientException", "Conflict", 409


class StubAws:
    """An account; `status` of its stack is empty if there is none,
    `fails_with` is why the next change fails.
    """

    def __init__(self, bucket: str) -> None:
        self.status, self.fails_with = "", ""
        self.parameters = {"AirflowVersion": "3.3.1"}
        self.outputs = {
            "MwaaBucket": (bucket, "For the bundle"),
            "Reports": (bucket, "ATHENA_REPORTS_BUCKET"),
        }
        self.pools: list[dict[str, Any]] = []
        self.operations: list[str] = []
        self._events: list[dict[str, Any]] = []
        self._event(NAME, "AWS::CloudFormation::Stack", "REVIEW_IN_PROGRESS")
        self._change_sets: dict[str, dict[str, str]] = {}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if not self.status:
            raise _Refused(f"Stack with id {NAME} does not exist")
        stack = {
            "StackName": NAME,
            "StackId": _STACK,
            "CreationTime": datetime.now(UTC),
            "StackStatus": self.status,
        }
        parameters = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in self.parameters.items()
        ]
        outputs = [
            {"OutputKey": n, "OutputValue": v, "Description": d}
            for n, (v, d) in self.outputs.items()
        ]
        return {"Stacks": [stack | {"Parameters": parameters, "Outputs": outputs}]}

    def get_template_summary(self, **_: Any) -> dict[str, Any]:
        return {"Parameters": [{"ParameterKey": name} for name in self.parameters]}

    def create_change_set(self, **asked: Any) -> dict[str, Any]:
        if self.status.endswith("_IN_PROGRESS"):
            raise _Refused(f"Stack:{_STACK} is in {self.status} state and can not be updated.")
        given = {each["ParameterKey"]: each["ParameterValue"] for each in asked["Parameters"]}
        self._change_sets[asked["ChangeSetName"]] = self.parameters | given
        self.status = self.status or "REVIEW_IN_PROGRESS"
        return {"Id": asked["ChangeSetName"], "StackId": _STACK}

    def describe_change_set(self, **asked: Any) -> dict[str, Any]:
        after = self._change_sets[asked["ChangeSetName"]]
        had, has = (
            bool(each.get("SubnetIds") and each.get("PluginsVersion"))
            for each in (self.parameters, after)
        )
        changes = {}
        for name, (resource, kind, replacement) in _CHANGES.items():
            if after.get(name, "") != self.parameters.get(name, "") and (
                resource != "Airflow" or had or has
            ):
                action = (
                    "Modify" if resource != "Airflow" or had == has else "Add" if has else "Remove"
                )
                replaces = {"Replacement": replacement} if action == "Modify" else {}
                changes[resource] = {
                    "Action": action,
                    "LogicalResourceId": resource,
                    "ResourceType": kind,
                } | replaces
        if not changes and self.status != "REVIEW_IN_PROGRESS":
            return {"Status": "FAILED", "StatusReason": _NOTHING}
        return {
            "Status": "CREATE_COMPLETE",
            "Changes": [{"ResourceChange": each} for each in changes.values()],
        }

    def delete_change_set(self, **asked: Any) -> dict[str, Any]:
        del self._change_sets[asked["ChangeSetName"]]
        return {}

    def execute_change_set(self, **asked: Any) -> dict[str, Any]:
        change = "CREATE" if self.status == "REVIEW_IN_PROGRESS" else "UPDATE"
        self._event(NAME, "AWS::CloudFormation::Stack", f"{change}_IN_PROGRESS")
        self.status = f"{change}_COMPLETE"
        if self.fails_with:
            self._event(*_AIRFLOW, f"{change}_FAILED", self.fails_with)
            self.status = {"CREATE": "ROLLBACK_COMPLETE", "UPDATE": "UPDATE_ROLLBACK_COMPLETE"}[
                change
            ]
            self.fails_with = ""
        else:
            self.parameters = self._change_sets[asked["ChangeSetName"]]
            if self.parameters.get("SubnetIds") and self.parameters["PluginsVersion"]:
                self.outputs["MwaaEnvironmentName"] = (NAME, "Its name")
        self._event(NAME, "AWS::CloudFormation::Stack", self.status)
        return {}

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        return {"StackEvents": self._events}

    def update_termination_protection(self, **_: Any) -> dict[str, Any]:
        return {"StackId": _STACK}

    def invoke_rest_api(self, **asked: Any) -> dict[str, Any]:
        if asked["Body"]["name"] in {pool["name"] for pool in self.pools}:
            raise _Conflict
        self.pools.append(asked["Body"])
        return {"RestApiStatusCode": 201, "RestApiResponse": asked["Body"]}

    def happened(self, resource: str, status: str, reason: str = "-") -> None:
        """Note what became of the stack or of a resource of it."""
        kind = "AWS::CloudFormation::Stack" if resource == NAME else _AIRFLOW[1]
        self._event(resource, kind, status, reason)

    def _event(self, resource: str, kind: str, status: str, reason: str = "-") -> None:
        event = {
            "StackId": _STACK,
            "EventId": str(len(self._events)),
            "StackName": NAME,
            "PhysicalResourceId": _STACK,
        }
        event |= {"LogicalResourceId": resource, "ResourceType": kind, "ResourceStatus": status}
        self._events.insert(
            0, {**event, "Timestamp": datetime.now(UTC), "ResourceStatusReason": reason}
        )

    def _answer(self, request: Request) -> Response:
        action = request.values.get("Action", "InvokeRestApi")
        self.operations.append(action)
        service = get_service_model("mwaa" if action == "InvokeRestApi" else "cloudformation")
        model = service.operation_model(action)
        parts = {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
        }
        parts |= {"url_path": request.path, "url_params": {"Name": request.path.rpartition("/")[2]}}
        asked = PROTOCOL_PARSERS[service.protocol](model).parse(parts)
        answer: Any
        try:
            answer = getattr(self, xform_name(action))(**asked)
            for value, shape in ((asked, model.input_shape), (answer, model.output_shape)):
                report = ParamValidator().validate(value, shape) if shape else None
                assert report is None or not report.has_errors(), report.generate_report()
        except ServiceException as error:
            answer = error
        said = get_serializer_class(service.service_name, service.protocol)(model).serialize(answer)
        return Response(said["body"], said["status_code"], said["headers"])

    @contextmanager
    def served(self) -> Iterator[StubAws]:
        server = make_server("127.0.0.1", 0, Request.application(self._answer), threaded=True)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
