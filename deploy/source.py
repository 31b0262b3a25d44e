"""What a working tree is, in git's words."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deploy.errors import RolloutError


def commit_of(repository: Path, *, committed_only: bool) -> str:
    """Return what to call the source of a deployment: the id of the commit, and whether there are changes.

    Args:
        repository: The working tree.
        committed_only: Whether to refuse what is not exactly a commit.

    Raises:
        RolloutError: It is refused.
    """
    commit = _git(repository, "rev-parse", "HEAD")
    changes = _git(repository, "status", "--porcelain", "--untracked-files=all")
    if committed_only and (commit is None or changes is None):
        raise RolloutError(
            f"{repository} is no git repository with a commit, and this environment takes only what is "
            "committed."
        )
    if committed_only and changes:
        raise RolloutError(
            f"There are changes that are not committed, and this environment takes only what is:\n{changes}\n"
            "Commit them, put them aside (git stash --include-untracked), or deploy elsewhere."
        )
    return f"{commit or 'a folder without git'}{' with changes' if changes else ''}"


def _git(repository: Path, *arguments: str) -> str | None:
    """What git says; None if it cannot tell, or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None
