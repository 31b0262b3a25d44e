"""docs/how-to/upgrade.md names what Airflow stores of the library."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import BaseTrigger

from athena_reports import steps
from tests.compatibility.kept_version import VERSIONS, KeptVersion
from tests.support.airflow_versions import since_3_3
from tests.support.dag_files import parse_dags
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "upgrade.md"
CLASS_PATH = r"athena_reports(?:\.[a-z_]+)+\.[A-Z]\w+"
NEWEST = max(VERSIONS.iterdir(), key=lambda folder: folder.name.split("."))


@since_3_3
@pytest.mark.usefixtures("dags_folder")
def test_the_page_lists_the_class_paths_that_airflow_stores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = KeptVersion(NEWEST.name)
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(kept.sql))
    stored = set()
    for file in kept.dags.glob("*.py"):
        for dag in parse_dags(file).values():
            text = json.dumps(DagSerialization.to_dict(dag))
            stored |= set(re.findall(rf'"({CLASS_PATH})"', text))
    for module in pkgutil.iter_modules(steps.__path__, f"{steps.__name__}."):
        importlib.import_module(module.name)
    for trigger in triggers_of_the_library(BaseTrigger):
        stored.add(f"{trigger.__module__}.{trigger.__qualname__}")
    assert len(stored) > 1
    listed = re.findall(rf"^- `({CLASS_PATH})`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(stored)


def triggers_of_the_library(base: type[Any]) -> list[type[Any]]:
    """The classes of the library that wait in a triggerer."""
    triggers = []
    for subclass in base.__subclasses__():
        if subclass.__module__.startswith("athena_reports."):
            triggers.append(subclass)
        triggers += triggers_of_the_library(subclass)
    return triggers
