"""Resource types that moto's CloudFormation ignores, or creates only in part.

Here they are made by calls of their services. moto finds its types among the direct subclasses of
`CloudFormationModel`, and the last one of a type wins; so every class here names it as a base. A
type that is neither here nor in moto is left out of a stack, with a warning. Bucket policies are
left out on purpose: moto checks no conditions, and there is no TLS here that they could require.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.iam.models import ManagedPolicy as MotoManagedPolicy
from moto.s3.models import FakeBucket

from local_athena import LocalAws

_RESHAPED = {"Id", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"}
_services: list[LocalAws] = []


def _execute_change_set(
    backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
) -> None:
    """What moto does, then the stack's outputs and parameters, which it leaves as they were."""
    change_set: Any = backend.describe_change_set(change_set_name)
    _moto_executes(backend, change_set_name, stack_name)
    stack = change_set.stack
    stack.template_dict, stack.parameters = change_set.template_dict, change_set.parameters
    stack.output_map = stack._create_output_map()


def _update_termination_protection(response: CloudFormationResponse) -> ActionResult:
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
    stack.enable_termination_protection = response._get_bool_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})


def _parameters(stack: Stack) -> dict[str, str]:
    """Parameters as they were given.

    moto answers lists in Python's notation, and cannot use them again.
    """
    given = stack.resource_map.resolved_parameters.items()
    parameters = {}
    for name, value in given:
        parameters[name] = ",".join(value) if isinstance(value, list) else str(value)
    return parameters


def _parameter_list(stack: Stack) -> list[dict[str, str]]:
    return [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in _parameters(stack).items()
    ]


def _update_resource(
    logical_id: str,
    resource_json: dict[str, Any],
    resources_map: parsing.ResourceMap,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """What moto does, which has no look at conditions and drops a resource that knows no update."""
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        return None
    updated = _moto_updates(logical_id, resource_json, resources_map, *args, **kwargs)
    return updated or resources_map[logical_id]


_moto_updates = parsing.parse_and_update_resource
_moto_executes = CloudFormationBackend.execute_change_set
for _owner, _name, _ours in (
    (parsing, "parse_and_update_resource", _update_resource),
    (CloudFormationBackend, "execute_change_set", _execute_change_set),
    (Stack, "stack_parameters", property(_parameters)),
    (Stack, "parameter_list", property(_parameter_list)),
    (CloudFormationResponse, "update_termination_protection", _update_termination_protection),
):
    setattr(_owner, _name, _ours)


@contextmanager
def local_services_with_stacks() -> Iterator[LocalAws]:
    """Run the local services in this process, with a CloudFormation that makes stacks in them."""
    with LocalAws.start() as aws:
        _services[:] = [aws]
        yield aws


@dataclass(frozen=True)
class _Wanted:
    """A resource as a stack wants it.

    Attributes:
        name: The name that it has, or gets if its properties give none.
        properties: As the template has them, without functions.
        exists: Whether it is there.
    """

    name: str
    properties: dict[str, Any]
    exists: bool


def _client(service: str, region: str) -> Any:
    return _services[0].client(service, region)


class _Resource:
    """A resource that its service holds: put there, and removed, by the service's API.

    Args:
        physical_resource_id: What Ref gives.
    """

    type: ClassVar[str]
    service: ClassVar[str]

    def __init__(self, physical_resource_id: str) -> None:
        self.physical_resource_id = physical_resource_id

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.type

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    def is_created(self) -> bool:
        return True

    # The signatures are moto's, which passes some of these by name.

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,
        **kwargs: Any,  # noqa: ARG003
    ) -> Any:
        wanted = _Wanted(resource_name, cloudformation_json["Properties"], exists=False)
        return cls(cls._put(_client(cls.service, region_name), wanted))

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,
    ) -> Any:
        name = original_resource.physical_resource_id
        wanted = _Wanted(name, cloudformation_json["Properties"], exists=True)
        return cls(cls._put(_client(cls.service, region_name), wanted))

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],  # noqa: ARG003
        account_id: str,  # noqa: ARG003
        region_name: str,
    ) -> None:
        cls._remove(_client(cls.service, region_name), resource_name)

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        """Make the resource, or what is there of it, as it is wanted; return its physical id."""
        raise NotImplementedError

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        """Delete it, by its physical id."""
        raise NotImplementedError


class Database(_Resource, CloudFormationModel):
    """A Glue database."""

    type = "AWS::Glue::Database"
    service = "glue"

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        database = wanted.properties["DatabaseInput"]
        if wanted.exists:
            client.update_database(Name=wanted.name, DatabaseInput=database)
        else:
            client.create_database(DatabaseInput=database)
        return str(database["Name"])

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        client.delete_database(Name=name)


class WorkGroup(_Resource, CloudFormationModel):
    """A workgroup of the local Athena."""

    type = "AWS::Athena::WorkGroup"
    service = "athena"

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        configuration = dict(wanted.properties.get("WorkGroupConfiguration", {}))
        described = {"Description": wanted.properties.get("Description", "")}
        if wanted.exists:
            result_configuration = configuration.pop("ResultConfiguration", {})
            configuration["ResultConfigurationUpdates"] = result_configuration
            client.update_work_group(
                WorkGroup=wanted.name, ConfigurationUpdates=configuration, **described
            )
        else:
            client.create_work_group(
                Name=wanted.properties["Name"], Configuration=configuration, **described
            )
        return str(wanted.properties["Name"])

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        client.delete_work_group(WorkGroup=name)


class Alarm(_Resource, CloudFormationModel):
    """An alarm of CloudWatch."""

    type = "AWS::CloudWatch::Alarm"
    service = "cloudwatch"

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        alarm = {"AlarmName": wanted.name, **wanted.properties}
        client.put_metric_alarm(**alarm)
        return str(alarm["AlarmName"])

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        client.delete_alarms(AlarmNames=[name])


class TopicPolicy(_Resource, CloudFormationModel):
    """One policy of topics."""

    type = "AWS::SNS::TopicPolicy"
    service = "sns"

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        policy = json.dumps(wanted.properties["PolicyDocument"])
        for topic in wanted.properties["Topics"]:
            client.set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=policy
            )
        return wanted.name

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        """Leaves the policy where it is: it goes with its topics."""


class Subscription(_Resource, CloudFormationModel):
    """A subscription to a topic."""

    type = "AWS::SNS::Subscription"
    service = "sns"

    @classmethod
    def _put(cls, client: Any, wanted: _Wanted) -> str:
        if wanted.exists:
            client.unsubscribe(SubscriptionArn=wanted.name)
        answer = client.subscribe(**wanted.properties, ReturnSubscriptionArn=True)
        return str(answer["SubscriptionArn"])

    @classmethod
    def _remove(cls, client: Any, name: str) -> None:
        client.unsubscribe(SubscriptionArn=name)


class Bucket(FakeBucket, CloudFormationModel):
    """A bucket with what moto leaves out: versioning, lifecycle, public access block, ownership."""

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> FakeBucket:
        """Creates it with all that the properties say."""
        bucket = super().create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )
        _configure(bucket.name, cloudformation_json["Properties"], region_name)
        return bucket

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> FakeBucket:
        """Changes it to what the properties say."""
        bucket = super().update_from_cloudformation_json(
            original_resource, new_resource_name, cloudformation_json, account_id, region_name
        )
        _configure(bucket.name, cloudformation_json["Properties"], region_name)
        return bucket


class ManagedPolicy(MotoManagedPolicy, CloudFormationModel):
    """A policy that may leave out statements.

    CloudFormation drops AWS::NoValue from lists, and moto does not.
    """

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> MotoManagedPolicy:
        """Creates it with the statements that are there."""
        _without_nothing(cloudformation_json)
        return super().create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003
        cloudformation_json: Any,
        account_id: str,  # noqa: ARG003
        region_name: str,
    ) -> MotoManagedPolicy:
        """Makes the document its new default version."""
        document = json.dumps(_without_nothing(cloudformation_json))
        iam = _client("iam", region_name)
        iam.create_policy_version(
            PolicyArn=original_resource.arn, PolicyDocument=document, SetAsDefault=True
        )
        changed: MotoManagedPolicy = original_resource
        return changed


def _without_nothing(cloudformation_json: Any) -> Any:
    document = cloudformation_json["Properties"]["PolicyDocument"]
    statements = document["Statement"]
    document["Statement"] = [statement for statement in statements if statement is not None]
    return document


def _configure(bucket: str, properties: dict[str, Any], region: str) -> None:
    s3 = _client("s3", region)
    if versioning := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
    if block := properties.get("PublicAccessBlockConfiguration"):
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    if controls := properties.get("OwnershipControls"):
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    if lifecycle := properties.get("LifecycleConfiguration"):
        rules = [_rule(rule) for rule in lifecycle["Rules"]]
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        )


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule in the shape of S3's API, whose client refuses members it does not know."""
    answer = {name: value for name, value in rule.items() if name not in _RESHAPED}
    answer |= {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        answer["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if rule.get("ExpiredObjectDeleteMarker"):
        answer["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    return answer
