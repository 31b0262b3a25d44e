"""What a bundle makes of a project's requirements.txt.

The library lies in plugins.zip. If pip installed it too, site-packages would come before the
plugins folder, and Airflow would find its plugin twice. So the lines by which a project installs
it are left out, and lines that could not work on MWAA are refused. The others stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from athena_reports_cli.mwaa import HOME, DeployError

LIBRARY = "athena-reports"
"""The name of this library's package."""
OURS = (LIBRARY, "athena-reports-cli", "local-athena")
"""The packages that a bundle never lets pip install."""
LINEAGE_PROVIDER = "apache-airflow-providers-openlineage"
"""What the extra `lineage` installs. The packages of `delivery` are in the image or the bundle."""

# A project keeps the wheels of the library there while they are on no index.
_FIND_LINKS = re.compile(r"(-f|--find-links)[\s=]*(\./)?wheels/?")
# In a path or a URL, such as `wheels/athena_reports-0.2.0-py3-none-any.whl`. Names that only
# begin or end like ours, such as `athena-reports-extras`, are others.
_OURS_IN_PATH = re.compile(
    r"(?<![\w.-])(athena[-_.]+reports|local[-_.]+athena)(?![a-z_]|[-.](?!git\b|zip\b|tar\b)[a-z])",
    re.IGNORECASE,
)
# An option that names another file.
_OTHER_FILE = re.compile(r"(-r|--requirement|-c|--constraint)[\s=]*+(?P<path>\S.*)")
# What MWAA has or reaches.
_ON_MWAA = re.compile(rf"\w+://|{HOME}/")
_IN_DAGS = f"{HOME}/dags/"
_HASHES = re.compile(r"(^|\s)--(require-hashes|hash)\b")
_COMMENT = re.compile(r"(^|\s)#.*")
_OPTION_OF_A_REQUIREMENT = re.compile(r"\s--[a-z].*")


def bundled_requirements(text: str) -> str:
    """Return the text of requirements.txt without the lines that install this library.

    Args:
        text: The project's requirements.txt.

    Raises:
        DeployError: A line installs this library in a form that is not understood, such as a path
            or a URL, names a file that MWAA does not get, or asks for the extra `lineage`, which
            would be left out with the library.
    """
    kept = []
    for number, lines in _logical_lines(text):
        requirement = _without_comments(lines)
        if _asks_for_lineage(requirement):
            raise DeployError(
                f"requirements.txt, line {number}: {requirement!r} asks for an extra, which pip"
                " would not install, since the bundle has this library in plugins.zip. Write"
                f" {LIBRARY}==<version>, and {LINEAGE_PROVIDER}==<version> in a line of its own."
            )
        if _FIND_LINKS.fullmatch(requirement) or _name(requirement) in OURS:
            continue
        if _installs_ours_otherwise(requirement):
            raise DeployError(
                f"requirements.txt, line {number}: {requirement!r} installs this library, which"
                " the bundle has in plugins.zip. An environment with both would load it twice."
                " Write athena-reports==<version> instead, which the bundle leaves out, or remove"
                " the line."
            )
        other_file = _other_file(requirement)
        if other_file and not _ON_MWAA.match(other_file):
            raise DeployError(
                f"requirements.txt, line {number}: MWAA gets no file {other_file!r}, so pip"
                " would install nothing. Write its lines into requirements.txt, or put it into"
                f" dags/ and name it as {_IN_DAGS}<file>."
            )
        kept += lines
    return "".join(kept)


def asks_for_hashes(requirements: str, dags: Path) -> bool:
    """Whether a line has a hash. Then pip wants one for each line.

    Source: https://pip.pypa.io/en/stable/topics/secure-installs/

    Args:
        requirements: The text of requirements.txt.
        dags: The project's folder of DAGs, which may have a file that requirements.txt names.
    """
    for _, lines in _logical_lines(requirements):
        line = _without_comments(lines)
        if _HASHES.search(line):
            return True
        other_file = _other_file(line)
        if other_file.startswith(_IN_DAGS):
            in_project = dags / other_file.removeprefix(_IN_DAGS)
            if in_project.is_file() and asks_for_hashes(in_project.read_text(), dags):
                return True
    return False


def _other_file(requirement: str) -> str:
    """Return the file or the URL that a line names by an option; empty if it names none."""
    option = _OTHER_FILE.fullmatch(requirement)
    if option is None:
        return ""
    return option["path"].strip("'\"")


def _logical_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that belong together, with the number of the first one.

    As in pip, a backslash at the end of a line continues it.
    """
    first = 1
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        lines.append(line)
        is_continued = line.rstrip("\r\n").endswith("\\")
        if not is_continued:
            yield first, lines
            first += len(lines)
            lines = []
    if lines:
        yield first, lines


def _without_comments(lines: list[str]) -> str:
    parts = []
    for line in lines:
        without_comment = _COMMENT.sub("", line.rstrip("\r\n"))
        parts.append(without_comment.removesuffix("\\"))
    words = " ".join(parts).split()
    return " ".join(words)


def _parsed(requirement: str) -> Requirement | None:
    """Return a requirement by name; None for a path or an option."""
    try:
        return Requirement(_OPTION_OF_A_REQUIREMENT.sub("", requirement))
    except InvalidRequirement:
        return None


def _name(requirement: str) -> str:
    """Return the normalised name that a requirement asks for; empty for a path or an option."""
    parsed = _parsed(requirement)
    if parsed is None:
        return ""
    return canonicalize_name(parsed.name)


def _asks_for_lineage(requirement: str) -> bool:
    parsed = _parsed(requirement)
    if parsed is None or canonicalize_name(parsed.name) != LIBRARY:
        return False
    return "lineage" in parsed.extras


def _installs_ours_otherwise(requirement: str) -> bool:
    """Whether a line that is no requirement by name, such as a path, installs this library."""
    is_editable = requirement.startswith(("-e", "--edit"))
    if requirement.startswith("-") and not is_editable:
        return False
    if _name(requirement):
        return False
    return _OURS_IN_PATH.search(requirement) is not None
