"""What IAM would be asked: the action and the resource of every request.

Over HTTP, at the endpoint of all services:

    GET    /_local/actions       {"actions": [{"principal", "action", "resource", "count"}], "dropped"}
    DELETE /_local/actions       forgets them

In Python, `Actions(endpoint_url).list()` gives the same. The principal is the access key that signed the
request, so give what is watched a key of its own. What Athena asks of Glue and S3 for a query has the key
`local-athena`: in AWS it does that with the permissions of whoever started the query.

A request counts whatever its answer is. Beyond `LIMIT` different entries new ones are only counted.

Actions and resources are those of the Service Authorization Reference ("Actions, resources, and condition
keys for Amazon S3", "... AWS Glue", "... Amazon Athena"). A request to S3 is first told apart by botocore's
model. Where IAM's action has another name than the operation, the tables below have it; what configures a
bucket (its lifecycle, its encryption) is left under the operation's name.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

import botocore.session
from moto.core.models import DEFAULT_ACCOUNT_ID

PATH = "/_local/actions"
LIMIT = 50_000
"""So many different entries are kept."""

ACCOUNT: str = DEFAULT_ACCOUNT_ID
"""The account that owns everything here."""

S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
_S3_OF_VERSIONS = {
    name: name.replace("Object", "ObjectVersion")
    for name in (
        *("DeleteObject", "DeleteObjectTagging", "GetObject", "GetObjectAcl", "GetObjectAttributes"),
        *("GetObjectTagging", "GetObjectTorrent", "PutObjectAcl", "PutObjectTagging"),
    )
}
_S3_HEADERS = {
    "HTTP_X_AMZ_TAGGING": "PutObjectTagging",
    "HTTP_X_AMZ_OBJECT_LOCK_MODE": "PutObjectRetention",
    "HTTP_X_AMZ_OBJECT_LOCK_LEGAL_HOLD": "PutObjectLegalHold",
}
_COPY_SOURCE = "HTTP_X_AMZ_COPY_SOURCE"
_GLUE_DATABASE_OPERATIONS = ("CreateDatabase", "GetDatabase", "UpdateDatabase", "DeleteDatabase")
_ATHENA_CATALOG_OPERATIONS = ("GetDataCatalog", "GetDatabase", "GetTableMetadata", "ListDatabases")
_ATHENA_ACCOUNT_OPERATIONS = ("ListWorkGroups", "ListDataCatalogs", "ListEngineVersions")


class Permission(NamedTuple):
    """What a request needs.

    Attributes:
        action: IAM action, such as `s3:GetObject`.
        resource: ARN; `*` where the action has no resource.
    """

    action: str
    resource: str


@dataclass(frozen=True)
class RecordedAction:
    """What a principal has done.

    Attributes:
        principal: Access key that signed.
        action: IAM action, such as `s3:GetObject`.
        resource: ARN; `*` where the action has no resource.
        count: How often.
    """

    principal: str
    action: str
    resource: str
    count: int


class ActionLog:
    """Which principals have done what."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Permission]] = Counter()
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, principal: str, permissions: Iterable[Permission]) -> None:
        """Takes what one request needs; one whose form is wrong will be refused, and needs nothing."""
        try:
            needed = list(permissions)
        except (AttributeError, TypeError, ElementTree.ParseError):
            return
        with self._lock:
            for permission in needed:
                entry = (principal, permission)
                if entry in self._counts or len(self._counts) < LIMIT:
                    self._counts[entry] += 1
                else:
                    self._dropped += 1

    def to_json(self) -> dict[str, Any]:
        """All of it, sorted by principal, action and resource."""
        with self._lock:
            counts, dropped = sorted(self._counts.items()), self._dropped
        actions = [
            {"principal": principal, **permission._asdict(), "count": count}
            for (principal, permission), count in counts
        ]
        return {"actions": actions, "dropped": dropped}

    def clear(self) -> None:
        """Forgets all of it."""
        with self._lock:
            self._counts.clear()
            self._dropped = 0


class Actions:
    """The recorded actions of a local AWS, over HTTP.

    Args:
        endpoint_url: Where it listens.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._url = endpoint_url.rstrip("/") + PATH
        # A proxy of the environment is not for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def list(self) -> list[RecordedAction]:
        """All of them.

        Raises:
            RuntimeError: There were too many different ones, so the list is not complete.
        """
        answer = self._send("GET")
        if answer["dropped"]:
            raise RuntimeError(f"{answer['dropped']} actions beyond the first {LIMIT:,} were dropped; clear earlier.")
        return [RecordedAction(**entry) for entry in answer["actions"]]

    def clear(self) -> None:
        """Forgets all of them."""
        self._send("DELETE")

    def _send(self, method: str) -> Any:
        with self._opener.open(urllib.request.Request(self._url, method=method)) as answer:
            return json.load(answer)


def of_s3(environ: Mapping[str, Any], body: Callable[[], bytes]) -> Iterator[Permission]:
    """What a request to S3 needs.

    Args:
        environ: The request, as WSGI has it.
        body: Gives its body; called where the resources are only there.
    """
    bucket, key = s3_place(environ)
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    is_copy = _COPY_SOURCE in environ
    level = "object" if key else "bucket" if bucket else "account"
    listing = "list-type=2" if query.get("list-type") == ["2"] else ""
    names = frozenset({*query, listing} - {""})
    operation = s3_operation(environ["REQUEST_METHOD"], level, names, is_copy=is_copy)
    action = S3_ACTIONS.get(operation, operation)
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}" if bucket else "*"
    if operation == "DeleteObjects":
        yield from _deletions(resource, body())
        return
    if "versionId" in query:
        action = _S3_OF_VERSIONS.get(action, action)
    yield Permission(f"s3:{action}", resource)
    for header, extra in _S3_HEADERS.items():
        if header in environ:
            yield Permission(f"s3:{extra}", resource)
    if is_copy:
        source = f"arn:aws:s3:::{unquote(environ[_COPY_SOURCE]).removeprefix('/')}"
        yield Permission("s3:GetObject", source)
        if operation == "CopyObject" and environ.get("HTTP_X_AMZ_TAGGING_DIRECTIVE") != "REPLACE":
            yield Permission("s3:GetObjectTagging", source)
            yield Permission("s3:PutObjectTagging", resource)


def of_athena(
    operation: str, body: bytes, region: str, workgroup_of: Callable[[str], str | None]
) -> Iterator[Permission]:
    """What a request to Athena needs.

    Args:
        operation: Name of the operation.
        body: Its parameters.
        region: Region that it is signed for.
        workgroup_of: Gives the workgroup of a query execution, by its id; None if there is no such query.
    """
    parameters = _parameters(body)
    arn = f"arn:aws:athena:{region}:{ACCOUNT}:"
    if operation in _ATHENA_ACCOUNT_OPERATIONS:
        resources = {"*"}
    elif operation in _ATHENA_CATALOG_OPERATIONS:
        resources = {f"{arn}datacatalog/{parameters.get('CatalogName') or parameters.get('Name')}"}
    else:
        ids = parameters.get("QueryExecutionIds", [parameters.get("QueryExecutionId")])
        groups = {workgroup_of(id_) for id_ in ids if id_} - {None}
        named = parameters.get("WorkGroup") or parameters.get("Name") or "primary"
        resources = {f"{arn}workgroup/{name}" for name in groups or {named}}
    for resource in sorted(resources):
        yield Permission(f"athena:{operation}", resource)


def of_other(service: str, environ: Mapping[str, Any], body: bytes, region: str) -> Iterator[Permission]:
    """What a request to a service needs that has one endpoint for all operations.

    Args:
        service: Its name in the signature, which is its prefix in IAM.
        environ: The request, as WSGI has it.
        body: Its body.
        region: Region that it is signed for.
    """
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        operation, parameters = target.rpartition(".")[2], _parameters(body)
    else:
        parameters = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        operation = parameters.get("Action", f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    if service == "glue":
        yield from of_glue(operation, parameters, region)
        return
    resources = ["*"]
    if service == "secretsmanager" and "SecretId" in parameters:
        resources = [f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{parameters['SecretId']}"]
    elif topic := parameters.get("TopicArn") or parameters.get("TargetArn"):
        resources = [topic]
    for resource in resources:
        yield Permission(f"{service}:{operation}", resource)


def of_glue(operation: str, parameters: Mapping[str, Any], region: str) -> Iterator[Permission]:
    """What a request to Glue needs: a resource of the Data Catalog and all that it lies in.

    IAM asks for each (Glue developer guide, "Specifying AWS Glue resource ARNs").

    Args:
        operation: Name of the operation.
        parameters: Its parameters.
        region: Region that it is signed for.
    """
    for resource in _glue_resources(operation, parameters, region) or ["*"]:
        yield Permission(f"glue:{operation}", resource)


def s3_place(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The bucket and the key that a request to S3 names; empty if it names none."""
    # WSGI hands over the path's bytes as Latin-1.
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


@lru_cache(1_000)
def s3_operation(method: str, level: str, query: frozenset[str], *, is_copy: bool) -> str:
    """The name of S3's operation, by botocore's model; the most specific that fits.

    Args:
        method: HTTP method.
        level: What its path names: `account`, `bucket` or `object`.
        query: Names in its query string; `list-type=2` with its value.
        is_copy: Whether it names a source to copy from.
    """
    fitting = [
        operation
        for operation in _s3_operations()
        if (operation.method, operation.level, operation.is_copy) == (method, level, is_copy)
        and operation.query <= query
    ]
    return max(fitting, key=lambda operation: len(operation.query)).name if fitting else f"{method} {level}"


class _S3Operation(NamedTuple):
    name: str
    method: str
    level: str
    query: frozenset[str]
    is_copy: bool


@cache
def _s3_operations() -> list[_S3Operation]:
    model = botocore.session.get_session().get_service_model("s3")
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        level = "object" if "{Key" in path else "bucket" if "{Bucket" in path else "account"
        shape = operation.input_shape
        places = [shape.members[each].serialization for each in shape.required_members] if shape else []
        needed = {place["name"] for place in places if place.get("location") == "querystring"}
        headers = {place["name"].lower() for place in places if place.get("location") == "header"}
        is_copy = "x-amz-copy-source" in headers
        literal = {part for part in query.split("&") if part}
        found.append(_S3Operation(name, operation.http["method"], level, frozenset(needed | literal), is_copy))
    return found


def _deletions(bucket: str, body: bytes) -> Iterator[Permission]:
    for each in ElementTree.fromstring(body).iterfind("{*}Object"):
        action = "s3:DeleteObject" if each.find("{*}VersionId") is None else "s3:DeleteObjectVersion"
        yield Permission(action, f"{bucket}/{each.findtext('{*}Key')}")


def _glue_resources(operation: str, parameters: Mapping[str, Any], region: str) -> list[str]:
    arn = f"arn:aws:glue:{region}:{ACCOUNT}:"
    if operation == "GetDatabases":
        return [f"{arn}catalog", f"{arn}database/*"]
    if operation in _GLUE_DATABASE_OPERATIONS:
        name = parameters.get("Name") or parameters.get("DatabaseInput", {}).get("Name")
        return [f"{arn}catalog", f"{arn}database/{name}"]
    database = parameters.get("DatabaseName")
    if database is None:
        return []
    # A list of tables is one of all tables.
    table = parameters.get("TableName") or parameters.get("Name") or parameters.get("TableInput", {}).get("Name")
    return [f"{arn}catalog", f"{arn}database/{database}", f"{arn}table/{database}/{table or '*'}"]


def _parameters(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parameters if isinstance(parameters, dict) else {}
