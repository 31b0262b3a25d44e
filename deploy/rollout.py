"""Rolls a bundle out to an environment of Amazon MWAA: first a plan, then what the plan says.

The library goes before the DAG files, since these need the library that they were written for. On the way
back it is the other way round: so either way all that runs in between is old DAG files with the new library.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.bundle import build_bundle, read_bundle
from deploy.environment import (
    OLDEST_AIRFLOW,
    Environment,
    Say,
    UpdateFailedError,
    describe,
    update,
)
from deploy.errors import DeployError, RolloutError, TargetError
from deploy.plan import Plan, make_plan
from deploy.releases import Bucket, Journal, Release, Stored, journal_key
from deploy.source import commit_of
from deploy.target import Target, read_target

if TYPE_CHECKING:
    import boto3

ALONE = dt.timedelta(minutes=60)
"""How long after a deployment was begun no other one is, unless it is told to take over."""

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5})

Check = Callable[[str], None]
"""Checks the bundle for a version of Airflow."""


class Rollout:
    """Deploys to one environment, and back.

    Args:
        target: Where to.
        session: Whose credentials are used.
        say: Told what happens.
        poll_seconds: Seconds between two looks at an environment that is being updated.
    """

    def __init__(self, target: Target, session: boto3.Session, say: Say, poll_seconds: float = 15) -> None:
        self._say = say
        self._poll_seconds = poll_seconds
        account, self._caller = caller(session, target.region)
        if account != target.account:
            raise TargetError(
                f"The credentials are of the account {account} ({self._caller}), and "
                f"{target.mwaa_environment} is in {target.account}: choose others, such as by AWS_PROFILE."
            )
        self._mwaa: Any = session.client("mwaa", region_name=target.region, config=_CONFIG)
        self.environment = describe(self._mwaa, target.mwaa_environment)
        s3 = session.client("s3", region_name=target.region, config=_CONFIG)
        self._bucket = Bucket(s3, self.environment.bucket, target.account)
        refuse_unfit(self.environment)
        _refuse_busy(self.environment)
        refuse_unversioned(self._bucket)
        self._journal = self._bucket.journal(self.environment.name)
        say(
            f"{self.environment.name} in {target.region}, account {target.account}: "
            f"{self.environment.status}, Airflow {self.environment.airflow_version}, s3://{self.environment.bucket}/"
        )

    def deploy(
        self,
        files: Mapping[str, bytes],
        commit: str,
        check: Check | None,
        *,
        replace_others: bool = False,
        take_over: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Deploy a bundle.

        Args:
            files: Its files, by their paths there.
            commit: What it was made of.
            check: Checks it, if anything is to be changed; None to leave that out.
            replace_others: Whether to replace what somebody else has put where these files belong.
            take_over: Whether to go on although another deployment may be under way.
            dry_run: Whether only to say what would be changed.

        Raises:
            DeployError: It was refused, or failed; the message says what has been changed.
        """
        earlier = self._journal.releases[-1:]
        self._say(f"deploying {commit}, after {earlier[0] if earlier else 'nothing that is known'}")
        self._look_at_begun(refuse=not (take_over or dry_run))
        plan = self._plan(files, {})
        self._tell(plan)
        if not replace_others:
            _refuse_taken(plan)
        latest = {path: stored.sha256 for path, stored in self._journal.latest.items()}
        if plan.is_empty and not self._journal.begun and latest == _hashes(files):
            self._say("nothing has to be changed")
            return
        self._say(self._record_line)
        if not dry_run:
            if check is not None and not plan.is_empty:
                check(self.environment.airflow_version)
                self._refuse_other_plan(plan, files)
            release = Release(commit, _now().isoformat(), self._caller, {})
            self._apply(plan, files, before=self._journal.releases, after=(*self._journal.releases, release))

    def roll_back(self, *, replace_others: bool = False, take_over: bool = False, dry_run: bool = False) -> None:
        """Go back to the release before the latest; to the latest if one was begun after it and not finished.

        Args:
            replace_others: Whether to replace what somebody else has put where the release's files belong.
            take_over: Whether to go on although another deployment may be under way.
            dry_run: Whether only to say what would be changed.

        Raises:
            DeployError: It was refused, or failed; the message says what has been changed.
        """
        self._look_at_begun(refuse=not (take_over or dry_run))
        kept = self._journal.releases if self._journal.begun else self._journal.releases[:-1]
        if not kept:
            raise RolloutError(f"No release of {self.environment.name} is known that one could go back to.")
        self._say(f"going back to {kept[-1]}")
        files = self._files_of(kept[-1])
        versions = {path: stored.version for path, stored in kept[-1].files.items()}
        plan = self._plan(files, versions, dags_first=True)
        self._tell(plan)
        if not replace_others:
            _refuse_taken(plan)
        self._say(self._record_line)
        if not dry_run:
            self._apply(plan, files, before=kept, after=kept)

    def _refuse_other_plan(self, plan: Plan, files: Mapping[str, bytes]) -> None:
        """Look again, and raise RolloutError if what was planned is not what would be planned now."""
        before, self.environment = self.environment, describe(self._mwaa, self.environment.name)
        _refuse_busy(self.environment)
        same = _what_a_plan_is_for(before) == _what_a_plan_is_for(self.environment)
        if not same or self._plan(files, {}) != plan:
            raise RolloutError(
                f"{self.environment.name} or its bucket has changed during the check. Nothing was changed by "
                "this command: run it again."
            )

    def _look_at_begun(self, *, refuse: bool) -> None:
        """Say what was begun and not finished; refuse to go on if it may be under way.

        Raises:
            RolloutError: It is refused.
        """
        journal = self._journal
        if not journal.begun:
            return
        by = f" by {journal.begun_by} at {journal.begun_at}" if journal.begun_at else ""
        if refuse and journal.begun_at and _now() - dt.datetime.fromisoformat(journal.begun_at) < ALONE:
            raise RolloutError(
                f"A deployment to {self.environment.name} was begun{by}, and may be under way. Nothing was "
                "changed. Wait until it is over. If it was killed, run the same command again with "
                "TAKE_OVER=1."
            )
        self._say(f"a deployment was begun{by} and not finished: this one finishes or replaces it")

    def _plan(self, files: Mapping[str, bytes], versions: Mapping[str, str], *, dags_first: bool = False) -> Plan:
        environment = self.environment
        paths = sorted({*files, *self._journal.paths})
        there = {path: self._bucket.read(environment.key(path)) for path in paths}
        running = {
            path: self._bucket.read(pin.key, pin.version) for path, pin in environment.pins.items() if pin.version
        }
        return make_plan(
            _hashes(files),
            environment,
            {path: read[1] for path, read in there.items() if read},
            {path: read[1] for path, read in running.items() if read},
            self._journal,
            versions,
            dags_first=dags_first,
        )

    def _tell(self, plan: Plan) -> None:
        for line in plan.lines(self.environment):
            self._say(line)

    @property
    def _record_line(self) -> str:
        return f"record  s3://{self._bucket.name}/{journal_key(self.environment.name)}"

    def _files_of(self, release: Release) -> dict[str, bytes]:
        """The files of a release, read by their versions."""
        files = {}
        for path, stored in release.files.items():
            read = self._bucket.read(self.environment.key(path), stored.version)
            if read is None or read[1] != stored:
                raise RolloutError(
                    f"s3://{self._bucket.name}/{self.environment.key(path)} has no version {stored.version} "
                    "any more: the release cannot be restored. Nothing was changed. Check out "
                    f"{release.commit} and deploy that."
                )
            files[path] = read[0]
        return files

    def _apply(
        self,
        plan: Plan,
        files: Mapping[str, bytes],
        *,
        before: tuple[Release, ...],
        after: tuple[Release, ...],
    ) -> None:
        """Do what a plan says.

        Args:
            plan: The plan.
            files: The files of the bundle.
            before: The releases that are listed while it is done, or if it dies.
            after: Those that are listed then; the last one gets the files that are there.
        """
        name = self.environment.name
        # First of all, so that whatever happens it is known which files are ours.
        begun = self._journal.ours | set(_hashes(files).items())
        journal = self._bucket.replace_journal(
            name, Journal(before, begun, self._caller, _now().isoformat(), self._journal.etag)
        )
        try:
            stored = self._carry_out(plan, files)
        except (Exception, KeyboardInterrupt):
            # It is over: the next one need not take over. If that cannot be said, it has to.
            with suppress(DeployError, BotoCoreError, ClientError):
                self._bucket.replace_journal(name, replace(journal, begun_by="", begun_at=""))
            raise
        done = (*after[:-1], replace(after[-1], files=stored))
        self._bucket.replace_journal(name, Journal(done, etag=journal.etag))
        self._say(f"{name} has {done[-1]}")

    def _carry_out(self, plan: Plan, files: Mapping[str, bytes]) -> dict[str, Stored]:
        """Do what a plan says; returns what is there then."""
        stored = dict(plan.kept)
        if plan.dags_first:
            self._synchronise(plan, files, stored)
        self._update(plan, files, stored)
        if not plan.dags_first:
            self._synchronise(plan, files, stored)
        self._remove(plan.last)
        return stored

    def _update(self, plan: Plan, files: Mapping[str, bytes], stored: dict[str, Stored]) -> None:
        """Upload the pinned files and update the environment; `stored` gets what it then pins."""
        pins = dict(plan.pins)
        for path in plan.uploads:
            self._say(f"uploading {path}")
            pins[path] = replace(pins[path], version=self._bucket.write(pins[path].key, files[path]).version)
        hashes = _hashes(files)
        stored |= {path: Stored(hashes[path], pin.version) for path, pin in pins.items()}
        self._write(plan.early, files, stored)
        if not plan.updates:
            return
        self._say(f"updating {self.environment.name}: 20 minutes or more, even if this command ends")
        try:
            update(self._mwaa, self.environment, pins, self._say, self._poll_seconds)
        except UpdateFailedError as error:
            dags = "those of the release that was to be restored" if plan.dags_first else "as they were"
            raise UpdateFailedError(
                f"{error} DAG files and SQL below {self.environment.dags_prefix} are {dags}. CloudWatch "
                f"has the logs of the components, such as airflow-{self.environment.name}-Scheduler. Mend "
                "the cause and run the same command again, or go back with `make rollback`."
            ) from error

    def _synchronise(self, plan: Plan, files: Mapping[str, bytes], stored: dict[str, Stored]) -> None:
        """Write and remove files below dags/; `stored` gets what is there then."""
        self._write(plan.writes, files, stored)
        self._remove(plan.removals)

    def _remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._say(f"removing {path}")
            self._bucket.delete(self.environment.key(path))

    def _write(self, paths: Sequence[str], files: Mapping[str, bytes], stored: dict[str, Stored]) -> None:
        for path in paths:
            self._say(f"writing {path}")
            stored[path] = self._bucket.write(self.environment.key(path), files[path])


def deploy(
    repository: Path,
    environment: str,
    folder: Path,
    session: boto3.Session,
    say: Say,
    *,
    check: Check | None = None,
    replace_others: bool = False,
    take_over: bool = False,
    dry_run: bool = False,
    poll_seconds: float = 15,
) -> None:
    """Build the bundle of an environment and deploy it.

    Args:
        repository: The repository.
        environment: Short name of the environment.
        folder: Where to write the bundle.
        session: Whose credentials are used.
        say: Told what happens.
        check: Checks the bundle that is in `folder`, if anything is to be changed; None to leave that out.
        replace_others: Whether to replace what somebody else has put where the bundle's files belong.
        take_over: Whether to go on although another deployment may be under way.
        dry_run: Whether only to say what would be changed.
        poll_seconds: Seconds between two looks at an environment that is being updated.

    Raises:
        DeployError: It was refused, or failed; the message says what has been changed.
    """
    target = read_target(repository, environment)
    commit = commit_of(repository, environment, committed_only=target.committed_only)
    bundle = build_bundle(repository, environment, folder)
    if bundle.unset:
        raise RolloutError(
            f"{bundle.unset} deploy/environments/{environment}.env is the place, and "
            f"`make deploy-guided ENV={environment}` asks for it."
        )
    files = read_bundle(folder)
    rollout = Rollout(target, session, say, poll_seconds)
    rollout.deploy(files, commit, check, replace_others=replace_others, take_over=take_over, dry_run=dry_run)


def caller(session: boto3.Session, region: str) -> tuple[str, str]:
    """Account id and ARN of a session's credentials."""
    identity = session.client("sts", region_name=region, config=_CONFIG).get_caller_identity()
    return identity["Account"], identity["Arn"]


def refuse_unfit(environment: Environment) -> None:
    """Raise TargetError if an environment cannot run the package."""
    version = tuple(int(number) for number in environment.airflow_version.split(".")[:3])
    if version < OLDEST_AIRFLOW:
        raise TargetError(
            f"{environment.name} has Airflow {environment.airflow_version}; this package needs "
            f"{'.'.join(map(str, OLDEST_AIRFLOW))} or later: upgrade the environment first."
        )


def refuse_unversioned(bucket: Bucket) -> None:
    """Raise TargetError if a bucket keeps no versions: environments pin them, and a rollback needs them."""
    answer = bucket.s3.get_bucket_versioning(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner)
    if answer.get("Status") != "Enabled":
        raise TargetError(
            f"s3://{bucket.name} does not keep versions. Enable that: aws s3api put-bucket-versioning "
            f"--bucket {bucket.name} --versioning-configuration Status=Enabled"
        )


def _what_a_plan_is_for(environment: Environment) -> tuple[str, ...]:
    return environment.airflow_version, environment.bucket, environment.dags_prefix


def _refuse_taken(plan: Plan) -> None:
    if plan.taken:
        raise RolloutError(
            f"{', '.join(plan.taken)}: what is there has other content, and no deployment of this "
            "package has put it there. Nothing was changed. Take it over into the repository "
            "(docs/deploying.md says where), or replace it with REPLACE=1."
        )


def _refuse_busy(environment: Environment) -> None:
    if not environment.is_ready:
        raise RolloutError(
            f"{environment.name} is {environment.status}. Nothing was changed: run the same command again "
            "when it is AVAILABLE."
        )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
