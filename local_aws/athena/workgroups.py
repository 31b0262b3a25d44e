"""Workgroups: settings of queries, enforced on clients or offered to them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from local_aws.athena.errors import ApiError

PRIMARY = "primary"
ENGINE_VERSION = {
    "SelectedEngineVersion": "Athena engine version 3",
    "EffectiveEngineVersion": "Athena engine version 3",
}
_DONE_SETTINGS = {
    "ResultConfiguration",
    "EnforceWorkGroupConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "RequesterPaysEnabled",
    "BytesScannedCutoffPerQuery",
    "EngineVersion",
}


@dataclass
class WorkGroup:
    """A workgroup.

    Attributes:
        name: Its name.
        configuration: WorkGroupConfiguration as the service model shapes it.
        description: Free text.
        enabled: Whether it takes queries.
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
        configured = {name: value for name, value in self.configuration.items() if value is not None}
        return {**summary, "Configuration": {**configured, "EngineVersion": ENGINE_VERSION}}

    @property
    def scan_cutoff_bytes(self) -> int | None:
        """BytesScannedCutoffPerQuery, which holds whether or not the settings are enforced on clients."""
        return self.configuration.get("BytesScannedCutoffPerQuery")

    def output_location(self, requested: str | None) -> str:
        """Where a query's result goes.

        Args:
            requested: The client's OutputLocation.

        Raises:
            ApiError: If there is none, or it is no S3 location.
        """
        own: str | None = self.configuration.get("ResultConfiguration", {}).get("OutputLocation")
        enforced = self.configuration.get("EnforceWorkGroupConfiguration", True)
        location = own if enforced and own else requested or own
        if not location:
            raise ApiError(
                "No output location provided. An output location is required either through the Workgroup"
                " result configuration setting or as an API input."
            )
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", location, flags=re.DOTALL):
            raise ApiError(f"outputLocation is not a valid S3 path: {location}")
        return location if location.endswith("/") else f"{location}/"


class WorkGroups:
    """All workgroups, `primary` among them from the start."""

    def __init__(self) -> None:
        self._groups = {PRIMARY: WorkGroup(PRIMARY, {"EnforceWorkGroupConfiguration": False})}
        self._lock = threading.Lock()

    def get(self, name: str) -> WorkGroup:
        """The workgroup.

        Raises:
            ApiError: If there is none.
        """
        group = self._groups.get(name)
        if group is None:
            raise ApiError(f"WorkGroup {name} is not found.")
        return group

    def create(self, name: str, configuration: dict[str, Any], description: str) -> None:
        """Makes one; its settings are enforced unless it says otherwise."""
        _check(configuration)
        with self._lock:
            if name in self._groups:
                raise ApiError(f"WorkGroup is already created: {name}")
            defaults = {"EnforceWorkGroupConfiguration": True}
            self._groups[name] = WorkGroup(name, {**defaults, **configuration}, description)

    def update(self, name: str, updates: dict[str, Any], description: str | None, state: str | None) -> None:
        """Changes one, by ConfigurationUpdates of the service model."""
        group = self.get(name)
        changed = dict(updates)
        result_updates = changed.pop("ResultConfigurationUpdates", {})
        if changed.pop("RemoveBytesScannedCutoffPerQuery", False):
            changed["BytesScannedCutoffPerQuery"] = None
        _check(changed)
        with self._lock:
            result = dict(group.configuration.get("ResultConfiguration", {}))
            for key, value in result_updates.items():
                if not key.startswith("Remove"):
                    result[key] = value
                elif value:
                    result.pop(key.removeprefix("Remove"), None)
            group.configuration = {**group.configuration, **changed, "ResultConfiguration": result}
            group.description = group.description if description is None else description
            group.enabled = group.enabled if state is None else state == "ENABLED"

    def delete(self, name: str) -> None:
        """Removes one; `primary` stays."""
        self.get(name)
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
            raise ApiError(f"NOT_SUPPORTED: the local Athena does not do the workgroup setting {setting}")
