"""The template of the stack, and what it creates in the local services."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from cfnlint.decode import decode
from moto.core.common_models import CloudFormationModel

from local_athena import LocalAws
from tests.library.mwaa.repository import ACCOUNT, REGION
from tests.support.stacks import REPORTS_TEMPLATE, Stack

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
