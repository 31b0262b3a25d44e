"""What has to change in an environment and its bucket so that a bundle is what runs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.bundle import is_constraints
from deploy.environment import ARTIFACTS, Environment, Pin
from deploy.releases import Journal, Stored


@dataclass(frozen=True)
class Plan:
    """What a rollout changes.

    Attributes:
        uploads: Pinned files that have to be uploaded.
        pins: What the environment shall pin; the version is empty for what has to be uploaded.
        updates: Pinned files for which the environment is updated; empty for no update.
        early: Constraints that are written before the update, since it reads them.
        writes: Files below dags/ that are written otherwise, in this order.
        removals: Files below dags/ that are removed, in this order.
        last: Constraints that are removed after all else: if the update fails, they are still needed.
        kept: Files below dags/ that are right as they are.
        taken: What somebody else has put where these files belong.
        dags_first: Whether the files below dags/ go before the update.
    """

    uploads: tuple[str, ...]
    pins: Mapping[str, Pin]
    updates: tuple[str, ...]
    early: tuple[str, ...]
    writes: tuple[str, ...]
    removals: tuple[str, ...]
    last: tuple[str, ...]
    kept: Mapping[str, Stored]
    taken: tuple[str, ...]
    dags_first: bool

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.updates or self.early or self.writes or self.removals or self.last)

    def lines(self, environment: Environment) -> list[str]:
        """The plan in words, in the order in which it is done."""

        def address(path: str) -> str:
            return f"s3://{environment.bucket}/{environment.key(path)}"

        dags = [f"put     {address(path)}" for path in self.writes]
        dags += [f"remove  {address(path)}" for path in self.removals]
        pinned = [f"upload  {address(path)}" for path in self.uploads]
        pinned += [f"put     {address(path)}" for path in self.early]
        if self.updates:
            pinned.append(f"update  {environment.name}, of 20 minutes or more: {', '.join(self.updates)}")
        last = [f"remove  {address(path)}" for path in self.last]
        return (dags + pinned if self.dags_first else pinned + dags) + last


def make_plan(
    wanted: Mapping[str, str],
    environment: Environment,
    there: Mapping[str, Stored],
    running: Mapping[str, Stored],
    journal: Journal,
    versions: Mapping[str, str],
    *,
    dags_first: bool = False,
) -> Plan:
    """Plan what has to change.

    Args:
        wanted: SHA-256 of the files of the bundle, by their paths there.
        environment: The environment.
        there: The objects that are where the files of the bundle and of the journal belong.
        running: What the environment pins.
        journal: What was deployed.
        versions: Versions in S3 that pinned files of the bundle are known to have.
        dags_first: Whether the files below dags/ go before the update.
    """
    pins, uploads, updates = {}, [], []
    for path in ARTIFACTS:
        candidates = [each[path] for each in (running, there) if path in each]
        same = [stored.version for stored in candidates if stored.sha256 == wanted[path]]
        version = same[0] if same else versions.get(path, "")
        pins[path] = Pin(environment.pins[path].key, version)
        if not version:
            uploads.append(path)
        if environment.has_failed or not _is(running.get(path), wanted[path]):
            updates.append(path)
    dags = [path for path in wanted if path not in ARTIFACTS]
    wrong = [path for path in dags if not _is(there.get(path), wanted[path])]
    early = [path for path in wrong if is_constraints(path)]
    writes = [path for path in wrong if path not in early]
    gone = [path for path in there if path not in wanted]  # read at the journal's paths alone: ours
    last = [path for path in gone if is_constraints(path)]
    removals = [path for path in gone if path not in last]
    pinned = {path: there[path] for path in ARTIFACTS if path in there} | dict(running)
    taken = [path for path, stored in pinned.items() if stored.sha256 not in {wanted[path], *journal.contents(path)}]
    taken += [path for path in wrong if path in there and path not in journal.paths]
    return Plan(
        uploads=tuple(uploads),
        pins=pins,
        updates=tuple(updates),
        early=tuple(early),
        # Airflow reads the folder at any time: what a DAG file needs is there before it, and goes after it.
        writes=tuple(sorted(writes, key=_what_dags_need_first)),
        removals=tuple(sorted(removals, key=_what_dags_need_first, reverse=True)),
        last=tuple(last),
        kept={path: there[path] for path in dags if path not in wrong},
        taken=tuple(taken),
        dags_first=dags_first,
    )


def _is(stored: Stored | None, sha256: str) -> bool:
    return stored is not None and stored.sha256 == sha256


def _what_dags_need_first(path: str) -> tuple[bool, str]:
    return path.endswith(".py"), path
