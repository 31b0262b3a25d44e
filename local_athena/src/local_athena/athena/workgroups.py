"""Workgroups: settings of queries, enforced on clients or offered to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_athena.athena.errors import ApiError, not_supported_request
from local_athena.athena.locations import s3_folder

PRIMARY = "primary"
ENGINE_VERSION = {
    "SelectedEngineVersion": "Athena engine version 3",
    "EffectiveEngineVersion": "Athena engine version 3",
}
_DONE_SETTINGS = {
    "ResultConfiguration",
    "ManagedQueryResultsConfiguration",
    "EnforceWorkGroupConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "RequesterPaysEnabled",
    "BytesScannedCutoffPerQuery",
    "EngineVersion",
}
_BOTH_RESULT_SETTINGS = (
    "ManagedQueryResultsConfiguration and ResultConfiguration cannot be set together."
)


@dataclass
class WorkGroup:
    """A workgroup.

    Attributes:
        configuration: WorkGroupConfiguration as the service model shapes it.
        created: Seconds since the epoch.
    """

    name: str
    configuration: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    enabled: bool = True
    created: float = field(default_factory=time.time)

    @property
    def summary(self) -> dict[str, Any]:
        """WorkGroupSummary."""
        return {
            "Name": self.name,
            "State": "ENABLED" if self.enabled else "DISABLED",
            "Description": self.description,
            "CreationTime": self.created,
            "EngineVersion": ENGINE_VERSION,
        }

    @property
    def details(self) -> dict[str, Any]:
        """WorkGroup in the service model."""
        summary = {name: value for name, value in self.summary.items() if name != "EngineVersion"}
        configured = {
            name: value for name, value in self.configuration.items() if value is not None
        }
        return {**summary, "Configuration": {**configured, "EngineVersion": ENGINE_VERSION}}

    @property
    def scan_cutoff_bytes(self) -> int | None:
        """BytesScannedCutoffPerQuery, whether or not the settings are enforced on clients."""
        return self.configuration.get("BytesScannedCutoffPerQuery")

    @property
    def is_managed(self) -> bool:
        """Whether Athena keeps the results itself instead of writing them to S3."""
        return bool(self.configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled"))

    def result_configuration(self, requested: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return OutputLocation, ended by a slash, and ExpectedBucketOwner; nothing if managed.

        For a managed result, any ResultConfiguration of the client is rejected, even an empty one.
        """
        if self.is_managed:
            if requested is not None:
                raise ApiError(_BOTH_RESULT_SETTINGS)
            return {}
        own: dict[str, Any] = self.configuration.get("ResultConfiguration", {})
        enforced = self.configuration.get("EnforceWorkGroupConfiguration", True)
        chosen = own if enforced and own.get("OutputLocation") else {**own, **(requested or {})}
        if not chosen.get("OutputLocation"):
            raise ApiError(
                "No output location provided. An output location is required either through the"
                " Workgroup result configuration setting or as an API input."
            )
        owner = {name: chosen[name] for name in ("ExpectedBucketOwner",) if chosen.get(name)}
        return {"OutputLocation": s3_folder(chosen["OutputLocation"], "outputLocation"), **owner}


class WorkGroups:
    """All workgroups, `primary` among them from the start."""

    def __init__(self) -> None:
        self._groups = {PRIMARY: WorkGroup(PRIMARY, {"EnforceWorkGroupConfiguration": False})}
        self._lock = threading.Lock()

    def get(self, name: str) -> WorkGroup:
        """Return the workgroup."""
        group = self._groups.get(name)
        if group is None:
            raise ApiError(f"WorkGroup {name} is not found.")
        return group

    def create(self, name: str, configuration: dict[str, Any], description: str) -> None:
        """Make one; its settings are enforced unless it says otherwise."""
        configuration = {"EnforceWorkGroupConfiguration": True, **configuration}
        _check(configuration)
        with self._lock:
            if name in self._groups:
                raise ApiError(f"WorkGroup is already created: {name}")
            self._groups[name] = WorkGroup(name, configuration, description)

    def update(
        self, name: str, updates: dict[str, Any], description: str | None, state: str | None
    ) -> None:
        """Change one, by ConfigurationUpdates of the service model."""
        group = self.get(name)
        with self._lock:
            changed = {**group.configuration, **updates}
            if changed.pop("RemoveBytesScannedCutoffPerQuery", False):
                changed["BytesScannedCutoffPerQuery"] = None
            for part in ("ResultConfiguration", "ManagedQueryResultsConfiguration"):
                changed[part] = settings = dict(changed.get(part, {}))
                for key, value in changed.pop(f"{part}Updates", {}).items():
                    if not key.startswith("Remove"):
                        settings[key] = value
                    elif value:
                        settings.pop(key.removeprefix("Remove"), None)
            _check(changed)
            group.configuration = changed
            group.description = group.description if description is None else description
            group.enabled = group.enabled if state is None else state == "ENABLED"

    def delete(self, name: str) -> None:
        """Remove one, if it is there; `primary` stays."""
        if name == PRIMARY:
            raise ApiError("The primary workgroup cannot be deleted.")
        with self._lock:
            self._groups.pop(name, None)

    def list(self) -> list[WorkGroup]:
        """All, by name."""
        return [self._groups[name] for name in sorted(self._groups)]


def _check(configuration: dict[str, Any]) -> None:
    for setting, value in configuration.items():
        if setting not in _DONE_SETTINGS and value:
            raise not_supported_request(f"the workgroup setting {setting}")
    managed = configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    if managed and configuration.get("ResultConfiguration", {}).get("OutputLocation"):
        raise ApiError(_BOTH_RESULT_SETTINGS)
