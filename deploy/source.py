"""What a working tree is, in git's words."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from deploy.bundle import is_shipped, sources
from deploy.errors import RolloutError


def commit_of(repository: Path, environment: str, *, committed_only: bool) -> str:
    """Return what to call the source of a deployment: the id of the commit, and whether there are changes.

    Args:
        repository: The working tree.
        environment: Short name of the environment.
        committed_only: Whether to refuse what is not exactly a commit.

    Raises:
        RolloutError: It is refused.
    """
    commit = _git(repository, "rev-parse", "HEAD")
    changes = _git(repository, "status", "--porcelain", "--untracked-files=all")
    if changes is not None:
        changes = "\n".join(filter(None, [changes, *_ignored(repository, environment)]))
    if committed_only and (commit is None or changes is None):
        raise RolloutError(
            f"{repository} is no git repository with a commit, and this environment takes only what is committed."
        )
    if committed_only and changes:
        raise RolloutError(
            f"There are changes that are not committed, and this environment takes only what is:\n{changes}\n"
            "Commit them, put them aside (git stash --include-untracked), or deploy elsewhere. Files "
            "after !! are ignored by git and would be shipped all the same: move them away."
        )
    return f"{commit or 'a folder without git'}{' with changes' if changes else ''}"


def _ignored(repository: Path, environment: str) -> list[str]:
    """The files that git ignores and the bundle ships, as git's status marks them."""
    options = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    paths = (_git(repository, *options, *sources(environment)) or "").split("\0")
    return [f"!! {path}" for path in paths if path and all(map(is_shipped, PurePosixPath(path).parts))]


def _git(repository: Path, *arguments: str) -> str | None:
    """What git says; None if it cannot tell, or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None
