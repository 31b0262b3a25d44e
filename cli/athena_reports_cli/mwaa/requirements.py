"""Removes from a project's requirements.txt what the bundle has in plugins.zip.

If pip installed the library too, site-packages would come before the plugins folder, and Airflow
would find its plugin twice.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from athena_reports_cli.mwaa import BundleError

OURS = ("athena-reports", "athena-reports-cli", "local-athena")
"""The packages that a bundle never lets pip install."""

_REST = re.compile(r"\s(#|--).*")  # a comment, or options such as --hash


def bundled_requirements(text: str) -> list[str]:
    """Return the lines of a requirements.txt without those that install this library by its name.

    BundleError for the extra `lineage`, whose package would be left out as well.
    """
    lines = []
    for line in text.replace("\\\n", " ").splitlines():
        requirement = _parse(line)
        if requirement is None or canonicalize_name(requirement.name) not in OURS:
            lines.append(line)
        elif "lineage" in requirement.extras:
            raise BundleError(
                f"requirements.txt: {line.strip()} has an extra that MWAA would not install,"
                " because the bundle includes the library in plugins.zip. Remove the extra, and add"
                " the line apache-airflow-providers-openlineage==<version>."
            )
    return lines


def _parse(line: str) -> Requirement | None:
    """Return a requirement by name; None for a path, an option or a comment."""
    try:
        return Requirement(_REST.sub("", line))
    except InvalidRequirement:
        return None
