"""Where an environment is deployed to, in a file beside its variables: `deploy/environments/<env>.json`.

The file belongs into the repository, since continuous integration deploys by it too. It holds nothing of one
person: which credentials are used is decided as for every AWS client, for example by AWS_PROFILE. What can be
asked of Amazon MWAA, such as the bucket, is asked and not remembered.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.bundle import ENVIRONMENTS
from deploy.errors import TargetError

PATTERNS = {
    "region": (r"[a-z]{2}(-[a-z]+)+-\d", "a region, such as eu-central-1"),
    "account": (r"\d{12}", "an account id of 12 digits"),
    "mwaa_environment": (r"[a-zA-Z][0-9a-zA-Z_-]{0,79}", "the name of an MWAA environment"),
}
"""What each text of a target looks like, and in words."""


@dataclass(frozen=True)
class Target:
    """Where an environment is deployed to.

    Attributes:
        region: AWS region.
        account: Id of the AWS account; any other one is refused.
        mwaa_environment: Name of the MWAA environment.
        committed_only: Whether a working tree with changes that are not committed is refused.
    """

    region: str
    account: str
    mwaa_environment: str
    committed_only: bool


def target_path(repository: Path, environment: str) -> Path:
    """Where the target of an environment is kept."""
    return repository / ENVIRONMENTS / f"{environment}.json"


def read_target(repository: Path, environment: str) -> Target:
    """Read the target of an environment.

    Raises:
        TargetError: There is none, or the file does not describe one.
    """
    path = target_path(repository, environment)
    advice = f"`make deploy-guided ENV={environment}` asks for it and writes that file"
    if not path.is_file():
        raise TargetError(f"Where to deploy {environment!r} is not known: there is no {path}; {advice}.")
    try:
        values = json.loads(path.read_text())
        target = Target(**values)
    except (ValueError, TypeError) as error:
        raise TargetError(f"{path} does not describe a target ({error}); {advice}.") from error
    for name, (pattern, expected) in PATTERNS.items():
        value = getattr(target, name)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise TargetError(f"{path}: {name} is {value!r}, not {expected}; {advice}.")
    if not isinstance(target.committed_only, bool):
        raise TargetError(f"{path}: committed_only is neither true nor false; {advice}.")
    return target


def target_text(target: Target) -> str:
    """The content of a target's file."""
    return json.dumps(asdict(target), indent=2) + "\n"
