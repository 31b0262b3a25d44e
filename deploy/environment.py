"""An environment of Amazon MWAA: what it runs, and its update.

Shapes and the meaning of the states are those of AWS's service model (GetEnvironment, UpdateEnvironment).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.errors import RolloutError, TargetError

_ARGUMENTS = {"plugins.zip": "Plugins", "requirements.txt": "Requirements", "startup.sh": "StartupScript"}
ARTIFACTS = tuple(_ARGUMENTS)
"""The files of a bundle that an environment pins by their version in S3."""

OLDEST_AIRFLOW = (3, 2, 1)

_AVAILABLE = "AVAILABLE"
# After a failed update AWS has restored the environment, and it is ready for another one.
_READY = frozenset({_AVAILABLE, "UPDATE_FAILED"})
_FAILED = frozenset({"UPDATE_FAILED", "UNAVAILABLE", "CREATE_FAILED", "DELETING", "DELETED"})
_LIMIT_SECONDS = 2 * 60 * 60
_SILENCE_SECONDS = 60
_LOOKS_AFTER_REFUSAL = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pin:
    """An object that an environment pins.

    Attributes:
        key: Its key in the environment's bucket.
        version: Its version there; empty for none.
    """

    key: str
    version: str


@dataclass(frozen=True)
class Environment:
    """An environment, as GetEnvironment describes it.

    Attributes:
        name: Its name.
        status: Its state, such as `AVAILABLE`.
        airflow_version: Airflow's version.
        bucket: Bucket that it takes everything from.
        dags_prefix: Prefix of its DAG files there, with the closing slash.
        pins: What it pins, for each of `ARTIFACTS`.
        update_status: How the last update went: `SUCCESS`, `PENDING`, `FAILED`; empty if there was none.
        update_began: When the last update was asked for.
        update_error: What AWS says of it.
    """

    name: str
    status: str
    airflow_version: str
    bucket: str
    dags_prefix: str
    pins: Mapping[str, Pin]
    update_status: str
    update_began: dt.datetime | None
    update_error: str

    @property
    def is_ready(self) -> bool:
        """Whether it takes an update, and runs what it pins."""
        return self.status in _READY

    @property
    def has_failed(self) -> bool:
        """Whether its last update failed. What it pins then need not be what it runs."""
        return self.status in _FAILED or self.update_status == "FAILED"

    def key(self, path: str) -> str:
        """The key in the bucket of a path in the bundle."""
        return self.pins[path].key if path in self.pins else self.dags_prefix + path.removeprefix("dags/")


class UpdateFailedError(RolloutError):
    """An update was refused, or failed: the environment runs what it ran before."""


def describe(client: Any, name: str) -> Environment:
    """Ask what an environment is.

    Args:
        client: A client of MWAA.
        name: Its name.

    Raises:
        TargetError: There is none of that name.
    """
    try:
        answer = client.get_environment(Name=name)["Environment"]
    except client.exceptions.ResourceNotFoundException as error:
        raise TargetError(
            f"There is no MWAA environment {name!r} in {client.meta.region_name}: {error}. "
            "`make deploy-guided` asks for another one."
        ) from error
    update = answer.get("LastUpdate", {})
    failure = update.get("Error", {})
    return Environment(
        name=name,
        status=answer["Status"],
        airflow_version=answer["AirflowVersion"],
        bucket=answer["SourceBucketArn"].rpartition(":")[2],
        dags_prefix=answer["DagS3Path"].strip("/") + "/",
        pins={
            path: Pin(answer.get(f"{argument}S3Path") or path, answer.get(f"{argument}S3ObjectVersion") or "")
            for path, argument in _ARGUMENTS.items()
        },
        update_status=update.get("Status", ""),
        update_began=update.get("CreatedAt"),
        update_error=": ".join(filter(None, (failure.get("ErrorCode"), failure.get("ErrorMessage")))),
    )


def update(client: Any, environment: Environment, pins: Mapping[str, Pin], say: Say, poll_seconds: float) -> None:
    """Make an environment pin other versions, and wait until it runs them.

    Args:
        client: A client of MWAA.
        environment: The environment as it is.
        pins: What it shall pin, for each of `ARTIFACTS`.
        say: Told how it goes on.
        poll_seconds: Seconds between two looks.

    Raises:
        UpdateFailedError: It was refused, or failed.
        RolloutError: It takes too long.
    """
    arguments = {}
    for path, pin in pins.items():
        arguments[f"{_ARGUMENTS[path]}S3Path"] = pin.key
        arguments[f"{_ARGUMENTS[path]}S3ObjectVersion"] = pin.version
    try:
        client.update_environment(Name=environment.name, **arguments)
    except ClientError as error:
        # The client repeats a call whose answer was lost; AWS then refuses it, for it has taken the first.
        if not _was_taken(client, environment, poll_seconds):
            raise UpdateFailedError(f"AWS has refused the update of {environment.name}: {error}.") from error
    _wait(client, environment, pins, say, poll_seconds)


def _was_taken(client: Any, before: Environment, poll_seconds: float) -> bool:
    """Whether an environment is being updated after all; the first answers may still be those of before."""
    for _ in range(_LOOKS_AFTER_REFUSAL):
        time.sleep(poll_seconds)
        if _has_begun(before, describe(client, before.name)):
            return True
    return False


def _has_begun(before: Environment, now: Environment) -> bool:
    return not now.is_ready or now.update_began != before.update_began


def _wait(client: Any, before: Environment, pins: Mapping[str, Pin], say: Say, poll_seconds: float) -> None:
    """Wait for an update that was asked for; the first answers may still be those of before."""
    began = said = time.monotonic()
    has_begun = False
    status = ""
    while True:
        time.sleep(poll_seconds)
        now = describe(client, before.name)
        seconds = time.monotonic() - began
        if now.status != status or time.monotonic() - said >= _SILENCE_SECONDS:
            say(f"{seconds / 60:5.1f} min  {now.status}")
            status, said = now.status, time.monotonic()
        has_begun = has_begun or _has_begun(before, now)
        if has_begun and now.update_status != "PENDING":
            if now.has_failed:
                raise UpdateFailedError(
                    f"The update of {before.name} has failed: {now.status}, "
                    f"{now.update_error or 'AWS gives no reason: see the environment in its console'}."
                )
            if now.status == _AVAILABLE and now.pins == pins:
                return
            if now.status == _AVAILABLE:
                raise UpdateFailedError(
                    f"{before.name} is {now.status} with other versions than asked for: somebody else has "
                    "updated it meanwhile."
                )
        if seconds > _LIMIT_SECONDS:
            raise RolloutError(
                f"{before.name} is still {now.status} after {seconds / 60:.0f} minutes. DAG files were not "
                "synchronised: once it is AVAILABLE, run the same command again."
            )
