"""What the repository says of itself: settings that there are, versions that agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import athena_reports

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_readme_names_settings_that_there_are() -> None:
    listed = re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \|", SETTINGS_PAGE, re.MULTILINE)
    named = re.findall(r"`(ATHENA_REPORTS_[A-Z_]+)`", README)
    assert named
    assert set(named) <= set(listed)


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == athena_reports.__version__
