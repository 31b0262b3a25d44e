"""The template of the stack, and what it creates in the local services."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from cfnlint.decode import decode
from moto.core.common_models import CloudFormationModel

from local_athena import LocalAws
from tests.support.stacks import REPORTS_TEMPLATE, Stack
from tests.unit.athena_reports_cli.mwaa.repository import ACCOUNT, REGION

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
AIRFLOW = {"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
AIRFLOW |= {
    f"{name}Version": f"version-of-{name.lower()}"
    for name in ("Plugins", "Requirements", "Startup")
}
# AWS's limit for a managed policy, in characters that are no white space.
POLICY_CHARACTERS = 6144

TEMPLATE: dict[str, Any] = decode(str(REPORTS_TEMPLATE))[0]
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


class Environment(CloudFormationModel):
    """An environment of Amazon MWAA, which moto has not: keeps what was asked for."""

    properties: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::MWAA::Environment"

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "WebserverUrl"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return "airflow.example.com"

    @classmethod
    def create_from_cloudformation_json(cls, *asked: Any, **_: Any) -> Environment:
        cls.properties = asked[1]["Properties"]
        return cls(cls.properties["Name"])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def policies_of(aws: LocalAws, stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """The statements of both policies of the execution role, by the policy's logical id."""
    iam = aws.client("iam")
    role = stack.outputs["ExecutionRoleArn"].rpartition("/")[2]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []
    found = {}
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        policy = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)[
            "PolicyVersion"
        ]
        assert len(json.dumps(policy["Document"], separators=(",", ":"))) <= POLICY_CHARACTERS
        found[attached["PolicyName"].split("-")[-2]] = policy["Document"]["Statement"]
    return found


# --- What CloudFormation makes of the template ----------------------------------------------------

# Nothing but what has to be given; what an environment needs beside it; each parameter, and none as
# it is by default.
LEAST = {"Environment": "dev", "SourceDataArns": "arn:aws-cn:s3:::lake,arn:aws-cn:s3:::lake/*"}
NETWORK = {"SubnetIds": "subnet-1,subnet-2", "PluginsVersion": "p1"}
ALL = LEAST | {
    "Environment": "prd",
    "SourceDatabase": "events",
    "CreateSourceDatabase": "true",
    "SourceKmsKeyArn": f"{KEY[:-1]}1",
    "KmsKeyArn": KEY,
    "FormerKmsKeyArns": f"{KEY[:-1]}2",
    "MwaaEnvironmentName": "team",
    "QueryResultsDays": "11",
    "NoncurrentDays": "12",
    "ScanCutoffBytes": "13000000",
    "AlertEmail": "reports@example.com",
    "ScanAlarmBytesPerDay": "14",
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1,sg-2",
    "PluginsVersion": "p1",
    "RequirementsVersion": "r1",
    "StartupVersion": "s1",
    "AirflowVersion": "3.2.1",
    "EnvironmentClass": "mw1.large",
    "MinWorkers": "3",
    "MaxWorkers": "7",
    "WebserverAccessMode": "PUBLIC_ONLY",
    "MaintenanceStart": "SAT:03:30",
}

# Another partition than that of the other tests: a name that is written out is noticed.
THERE = {
    "AWS::AccountId": "210987654321",
    "AWS::Partition": "aws-cn",
    "AWS::Region": "cn-north-1",
}
_NO_VALUE = {"Ref": "AWS::NoValue"}


def rendered_resources(**parameters: str) -> dict[str, Any]:
    """The resources that exist with these parameters, each with values in place of functions.

    A reference to another resource is its name in braces: `{ReportBucket}`, `{ExecutionRole.Arn}`.
    They are `THERE`.
    """
    return _Rendering(parameters).section("Resources")


def rendered_outputs(**parameters: str) -> dict[str, Any]:
    """The value of each output that exists with these parameters."""
    outputs = _Rendering(parameters).section("Outputs")
    return {name: output["Value"] for name, output in outputs.items()}


class _Rendering:
    """Evaluates the functions that the template uses; any other is a KeyError."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self._names: dict[str, Any] = dict(THERE)
        assert parameters.keys() <= TEMPLATE["Parameters"].keys()
        for name, declared in TEMPLATE["Parameters"].items():
            text = parameters[name] if name in parameters else declared["Default"]
            self._names[name] = _of_type(declared["Type"], text)

    def section(self, name: str) -> dict[str, Any]:
        rendered = {}
        for logical_id, declared in TEMPLATE[name].items():
            if "Condition" not in declared or self._holds(declared["Condition"]):
                rendered[logical_id] = self._value(declared)
        return rendered

    def _holds(self, condition: str) -> bool:
        return bool(self._value(TEMPLATE["Conditions"][condition]))

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._value(item) for item in node if not self._is_left_out(item)]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._called(function, argument)
        return {k: self._value(item) for k, item in node.items() if not self._is_left_out(item)}

    def _is_left_out(self, node: Any) -> bool:
        if isinstance(node, dict) and "Fn::If" in node:
            return self._is_left_out(self._branch(node["Fn::If"]))
        return bool(node == _NO_VALUE)

    def _branch(self, argument: list[Any]) -> Any:
        condition, if_true, if_false = argument
        return if_true if self._holds(condition) else if_false

    def _called(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._named(argument)
            case "Fn::GetAtt":
                return self._named(".".join(argument))
            case "Fn::Sub":
                return self._substituted(argument)
            case "Fn::If":
                return self._value(self._branch(argument))
            case "Fn::Join":
                separator, items = argument
                return separator.join(self._value(items))
            case "Fn::Equals":
                one, other = self._value(argument)
                return one == other
            case "Fn::Not":
                (condition,) = self._value(argument)
                return not condition
            case "Fn::And":
                return all(self._value(argument))
        raise KeyError(function)

    def _named(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        logical_id, _, attribute = name.partition(".")
        if RESOURCES[logical_id]["Type"] == "AWS::S3::Bucket" and attribute == "Arn":
            return f"arn:{THERE['AWS::Partition']}:s3:::{{{logical_id}}}"
        return f"{{{name}}}"

    def _substituted(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})
        own = self._value(own)
        return re.sub(r"\$\{([^}]+)\}", lambda m: str(own.get(m[1]) or self._named(m[1])), text)


def _of_type(kind: str, text: Any) -> Any:
    """The value of a parameter, whose default is written as a text or a number."""
    match kind:
        case "String":
            return str(text)
        case "Number":
            return int(text)
        case "CommaDelimitedList":
            return text.split(",")
    raise KeyError(kind)
