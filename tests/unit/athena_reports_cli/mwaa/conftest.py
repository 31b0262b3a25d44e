"""A small repository of the same form, and an account to deploy it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.mwaa import bundle, wheels
from local_athena import LocalAws
from tests.support.cloudformation import local_services_with_stacks
from tests.support.stacks import Stack, create_stack, kept_parameters
from tests.support.wheel_files import requirement_of, write_wheel
from tests.unit.athena_reports_cli.mwaa.repository import BUCKET, REGION, Repository
from tests.unit.athena_reports_cli.mwaa.stub import StubAws
from tests.unit.athena_reports_cli.mwaa.template import Environment


@pytest.fixture(autouse=True)
def small_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles of this process carry a wheel of some bytes, which `keep_small_wheel` provides."""
    folder = tmp_path / "small-wheel"
    line = requirement_of(write_wheel(folder, "duckdb", "2.0.1"))
    (folder / "wheels.txt").write_text(line)
    monkeypatch.setattr(wheels, "_LIST", folder / "wheels.txt")


@pytest.fixture(autouse=True)
def _files_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bundle of these tests has the same library in it."""
    monkeypatch.setattr(bundle, "_require_python", _compile_once)


def _compile_once(file: Path, content: bytes) -> None:
    if content not in _compiled:
        _require_python(file, content)
        _compiled.add(content)


_require_python = bundle._require_python
_compiled: set[bytes] = set()


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with local_services_with_stacks() as aws:
        yield aws


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """Local services that are empty, and that every client of AWS finds."""
    local_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    monkeypatch.setenv("SAM_CLI_POLL_DELAY", "0.1")
    return local_aws


@pytest.fixture
def new_stack(aws: LocalAws) -> Callable[..., Stack]:
    """Creates stacks in an account that is empty before the first one."""
    Environment.properties = {}

    def create(environment: str = "dev", **parameters: str) -> Stack:
        return create_stack(aws.client("cloudformation"), kept_parameters(environment) | parameters)

    return create


def _note_checksum_mode(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["asks_for_checksums"] = "x-amz-checksum-mode" in params["headers"]


def _leave_out_checksums(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """S3 tells checksums only where they are asked for; moto tells them always."""
    if not context["asks_for_checksums"]:
        for name in [name for name in parsed if name.startswith("Checksum")]:
            del parsed[name]


@pytest.fixture
def bucket(aws: LocalAws) -> Any:
    """The bucket of the stack, as a resource of boto3."""
    s3 = aws.client("s3")
    s3.meta.events.register("before-call.s3.HeadObject", _note_checksum_mode)
    s3.meta.events.register("after-call.s3.HeadObject", _leave_out_checksums)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return s3


@pytest.fixture
def stub(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubAws]:
    """The stub in place of CloudFormation and Amazon MWAA; the bucket of its stack is there."""
    with StubAws(BUCKET).served() as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", stub.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", stub.url)
        yield stub


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Repository:
    return Repository(tmp_path / "repository", monkeypatch, capfd)
