"""The wheels that a new project keeps, because they are on no package index."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from athena_reports_cli.authoring.project_folder import InitError

COMMAND = "athena-reports-cli"
_REQUIRED_PACKAGES = ("athena-reports", "local-athena")
"""The other packages of a release, which the command requires."""


def kept_wheels() -> list[Path]:
    """Return the wheels that a project keeps: none if they came from a package index.

    Raises:
        InitError: An installed package cannot be named in a requirements.txt.
    """
    wheel = _installed_from(distribution(COMMAND))
    if wheel is None:
        return []
    wheels = [wheel]
    for name in _REQUIRED_PACKAGES:
        package = distribution(name)
        wheel_of_package = _installed_from(package)
        if wheel_of_package is not None:
            wheels.append(wheel_of_package)
        else:
            # pip records where a wheel was only if it was named, not if it was found in a folder.
            pattern = f"{name.replace('-', '_')}-{package.version}-*.whl"
            wheels += sorted(wheel.parent.glob(pattern))[:1]
    return wheels


def _installed_from(package: Distribution) -> Path | None:
    """Return the wheel that a package was installed from; None if that was no file or URL.

    pip and uv write it into direct_url.json, as the specification of recorded direct URLs says
    (https://packaging.python.org/en/latest/specifications/direct-url/).
    """
    text = package.read_text("direct_url.json")
    if text is None:
        return None
    url = str(json.loads(text)["url"])
    parts = urlsplit(url)
    wheel = Path(unquote(parts.path))
    if parts.scheme != "file" or wheel.suffix != ".whl":
        raise InitError(
            f"{package.name} was installed from {url}, which is not a wheel in a folder. Install it"
            " from a wheel, such as one that `make build` builds, or from a package index."
        )
    if not wheel.is_file():
        raise InitError(
            f"{package.name} was installed from {wheel}, which no longer exists. Restore the wheel,"
            " or install it from another place."
        )
    return wheel
