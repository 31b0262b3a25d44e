"""Copied into the twin's plugins folder: each component that starts notes which plugins it has loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

_FOLDER = Path(conf.get("core", "plugins_folder"))


class Probe:
    """A listener; Airflow has loaded all plugins before it asks one."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Add a line of JSON to the notes, which lie beside the plugins folder."""
        is_task = type(component).__name__ == "TaskRunnerMarker"
        note = {
            "component": "worker" if is_task else sys.argv[1],
            "plugins": [path.stem for path in sorted(_FOLDER.glob("*.py")) if _is_loaded(path.stem)],
        }
        with _FOLDER.with_name("plugins.jsonl").open("a") as notes:
            notes.write(json.dumps(note) + "\n")


def _is_loaded(name: str) -> bool:
    """Whether a plugin's module came to its end; one that failed stays in `sys.modules` as far as it got."""
    members = vars(sys.modules.get(name, object)).values()
    return any(
        isinstance(each, type) and issubclass(each, AirflowPlugin) and each is not AirflowPlugin for each in members
    )


class ProbePlugin(AirflowPlugin):
    """Registers the probe."""

    name = "twin_probe"
    listeners = [Probe()]  # noqa: RUF012  # Airflow's way to declare it
