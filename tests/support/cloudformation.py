"""Resource types that moto's CloudFormation ignores, or creates only in part.

Here they are made by calls of their services. moto finds its types among the direct subclasses of
`CloudFormationModel`, and the last one of a type wins; so every class here names it as a base. A
type that is neither here nor in moto is left out of a stack, with a warning, such as alarms.
Bucket policies are left out on purpose: moto checks no conditions, and there is no TLS here that
they could require.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from moto.core.common_models import CloudFormationModel
from moto.iam.models import ManagedPolicy as MotoManagedPolicy
from moto.s3.models import FakeBucket

from local_athena import LocalAws

_RESHAPED = {"Id", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"}
_services: list[LocalAws] = []


@contextmanager
def local_services_with_stacks() -> Iterator[LocalAws]:
    """Run the local services in this process, with a CloudFormation that creates stacks in them."""
    with LocalAws.start() as aws:
        _services[:] = [aws]
        yield aws


def _client(service: str, region: str) -> Any:
    return _services[0].client(service, region)


class _Resource:
    """A resource that is created by the API of its service."""

    type: ClassVar[str]
    service: ClassVar[str]

    def __init__(self, physical_resource_id: str) -> None:
        self.physical_resource_id = physical_resource_id  # what Ref gives

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
        resource_name: str,  # noqa: ARG003
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,
        **kwargs: Any,  # noqa: ARG003
    ) -> Any:
        properties = cloudformation_json["Properties"]
        return cls(cls._create(_client(cls.service, region_name), properties))

    @classmethod
    def _create(cls, client: Any, properties: dict[str, Any]) -> str:
        """Create it; return its physical id."""
        raise NotImplementedError


class Database(_Resource, CloudFormationModel):
    """A Glue database."""

    type = "AWS::Glue::Database"
    service = "glue"

    @classmethod
    def _create(cls, client: Any, properties: dict[str, Any]) -> str:
        database = properties["DatabaseInput"]
        client.create_database(DatabaseInput=database)
        return str(database["Name"])


class WorkGroup(_Resource, CloudFormationModel):
    """A workgroup of the local Athena."""

    type = "AWS::Athena::WorkGroup"
    service = "athena"

    @classmethod
    def _create(cls, client: Any, properties: dict[str, Any]) -> str:
        client.create_work_group(
            Name=properties["Name"],
            Description=properties["Description"],
            Configuration=properties["WorkGroupConfiguration"],
        )
        return str(properties["Name"])


class Bucket(FakeBucket, CloudFormationModel):
    """A bucket with its versioning and its lifecycle, which moto leaves out."""

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> FakeBucket:
        bucket = super().create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
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
        document = cloudformation_json["Properties"]["PolicyDocument"]
        statements = document["Statement"]
        document["Statement"] = [statement for statement in statements if statement is not None]
        return super().create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )


def _configure(bucket: str, properties: dict[str, Any], region: str) -> None:
    s3 = _client("s3", region)
    s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"]
    )
    rules = [_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule in the shape of S3's API, whose client refuses members it does not know."""
    answer = {name: value for name, value in rule.items() if name not in _RESHAPED}
    answer |= {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        answer["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if rule.get("ExpiredObjectDeleteMarker"):
        answer["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    return answer
