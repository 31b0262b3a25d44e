"""What Airflow finds in the plugins folder, with and without the library that pip has installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

PLUGINS = ROOT / "plugins"
LOADED = """
import json
from airflow import plugins_manager as manager
plugins = [[plugin.name, str(plugin.source)] for plugin in manager._get_plugins()[0]]
print("\\n" + json.dumps({"plugins": plugins, "errors": manager.get_import_errors()}))
"""
INSTALLED = """
from airflow.plugins_manager import AirflowPlugin

class AthenaReportsPlugin(AirflowPlugin):
    name = "athena_reports"
"""


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def install(site_packages: Path) -> None:
    """What pip makes of a wheel of the library, as far as Airflow looks at it."""
    (site_packages / "installed_plugin.py").write_text(INSTALLED)
    info = site_packages / "athena_reports-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: athena-reports\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text(
        "[airflow.plugins]\nathena_reports = installed_plugin:AthenaReportsPlugin\n"
    )


def loaded(site_packages: Path) -> tuple[list[list[str]], dict[str, str], str]:
    """The plugins that an Airflow of its own has, their import errors, and its log."""
    variables = {**os.environ, "PYTHONPATH": str(site_packages)}
    variables["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PLUGINS)
    variables["AIRFLOW__CORE__LAZY_LOAD_PLUGINS"] = "True"
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(
        command, env=variables, cwd=site_packages.parent, capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ours = [plugin for plugin in answer["plugins"] if plugin[0] == "athena_reports"]
    return ours, answer["errors"], done.stdout + done.stderr


def test_the_plugins_folder_alone_is_enough(site_packages: Path) -> None:
    plugins, errors, _ = loaded(site_packages)
    assert [name for name, _ in plugins] == ["athena_reports"]
    assert errors == {}


def test_a_library_that_pip_has_installed_too_is_an_import_error_that_says_what_to_remove(
    site_packages: Path,
) -> None:
    install(site_packages)
    plugins, errors, log = loaded(site_packages)

    ((_, source),) = plugins
    assert "athena-reports==9.9" in source  # that is what is imported
    ((file, message),) = errors.items()
    assert "athena_reports_plugin.py" in file
    assert message == (
        f"athena-reports 9.9 is installed with pip, but the plugins folder {PLUGINS} also contains"
        " the library. Airflow uses the installed one. Remove athena-reports from"
        " requirements.txt, or the"
        " library from the plugins folder."
    )
    assert message in log
