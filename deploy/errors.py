"""What can go wrong while a bundle is built or checked."""

from __future__ import annotations


class DeployError(RuntimeError):
    """Something is wrong with what was asked for; the message says what, and what to do."""


class BundleError(DeployError):
    """A bundle cannot be built."""


class CheckError(DeployError):
    """A bundle would not work on MWAA, or that could not be found out."""


class TargetError(DeployError):
    """Where to deploy is not described, or is something else than described."""


class RolloutError(DeployError):
    """A bundle cannot be rolled out; the message says what has been changed."""
