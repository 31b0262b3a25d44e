"""The wheels that a new project keeps, because they are on no package index."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from athena_reports_cli.authoring.project_folder import InitError

COMMAND = "athena-reports-cli"
_REQUIRED_PACKAGES = ("athena-reports", "local-athena")
"""The other packages of a release, which the command requires."""


def kept_wheels() -> list[Path]:
    """Return the wheels that a project keeps: none if the command came from a package index.

    pip and uv write where its wheel was into direct_url.json, as the specification of recorded
    direct URLs says (https://packaging.python.org/en/latest/specifications/direct-url/). The wheels
    of the packages that it requires are taken from the same folder. InitError if it came from
    something else than a wheel.
    """
    direct_url = distribution(COMMAND).read_text("direct_url.json")
    if direct_url is None:
        return []
    url = urlsplit(json.loads(direct_url)["url"])
    wheel = Path(unquote(url.path))
    if url.scheme != "file" or wheel.suffix != ".whl" or not wheel.is_file():
        raise InitError(
            f"{COMMAND} was installed from {url.geturl()}, which is not a wheel. Install it from a"
            " wheel, such as one built by `make build`, or from a package index."
        )
    wheels = [wheel]
    for name in _REQUIRED_PACKAGES:
        pattern = f"{name.replace('-', '_')}-{distribution(name).version}-*.whl"
        wheels += sorted(wheel.parent.glob(pattern))[:1]
    return wheels
