"""The script that imports plugins as if packages were missing, in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from athena_reports_cli.mwaa import import_plugins


@pytest.mark.parametrize(
    ("packages", "missing"),
    [(["pluggy", "iniconfig"], "iniconfig"), (["pluggy"], "")],  # nobody imports pluggy
)
def test_a_plugin_that_needs_a_missing_package_when_it_is_imported_fails(
    packages: list[str], missing: str, tmp_path: Path
) -> None:
    (tmp_path / "b_plugin.py").write_text("import helper\nimport iniconfig\n")
    (tmp_path / "a_plugin.py").write_text("def later():\n    import pluggy\n")
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper" / "__init__.py").write_text("print('imported')\n")
    command = [sys.executable, "-P", import_plugins.__file__, str(tmp_path), *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "imported\n"  # what lies beside the plugins is found
    assert done.returncode == (1 if missing else 0)
    assert (f"No module named '{missing}' without requirements.txt" in done.stderr) == bool(missing)
