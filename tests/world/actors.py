"""Who acts in a world beside the runs: restatement, cleanup with deletion,
and two kinds of readers.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports import RetentionPolicy
from athena_reports.errors import AthenaReportsError
from athena_reports.maintenance.cleanup import clean_up_bucket
from athena_reports.maintenance.restatement import AthenaRestatementsOperator
from athena_reports.publication.commit import read_manifest
from tests.world.airflow_model import Run, task
from tests.world.alerts_model import Alerts
from tests.world.author_model import Authors
from tests.world.deliveries_model import Deliveries
from tests.world.promises import judge_followers
from tests.world.world import (
    ANOTHER_ENVIRONMENT,
    BUCKET,
    DAYS,
    MORNING_SECONDS,
    OURS,
    PERIODS,
    Deployment,
    Sources,
    World,
)

_POLICY = RetentionPolicy(keep_versions=0, keep_days=1, abandoned_after_days=2)
_MOST_RUNS = 8


def populate(world: World) -> None:
    """Two runs of one period and one of the period before, and everybody who acts beside them."""
    begin_within = 90.0
    if world.has_alerts:
        begin_within = 1800.0  # some are late
    for number, period in enumerate([PERIODS[1], PERIODS[1], PERIODS[0]]):
        add_run(world, f"run-{number + 1}", period.id, after=world.rng.uniform(0, begin_within))
    if world.rival is ANOTHER_ENVIRONMENT:
        for number, period in enumerate(PERIODS):
            after = world.rng.uniform(0, begin_within)
            add_run(world, f"rival-{number + 1}", period.id, after=after, deployment=world.rival)
    elif world.rival is not None:
        world.spawn("author of the DAG", partial(change_calendar, world, world.rival))
    for act in (restate, clean_up, clean_up, read_manifests, read_table):
        world.spawn(act.__name__, partial(_repeat, world, act))
    if world.has_alerts:
        world.alerts = Alerts(world)
        world.spawn("check", world.alerts.play_check)
    if world.sources is not None:
        world.spawn("pipeline", partial(land_partitions, world, world.sources))
    if world.has_deliveries:
        world.deliveries = Deliveries(world)
        world.spawn("deliveries", world.deliveries.play)
        world.spawn("author of the channels", world.deliveries.add_channel)
        look = world.deliveries.look_for_lost_events
        world.spawn("look for lost events", partial(_repeat, world, lambda _: look()))
    if world.has_authors:
        world.authors = Authors(world)
        world.spawn("author", world.authors.play)


def add_run(
    world: World,
    run_id: str,
    period_id: str,
    *,
    after: float = 0.0,
    deployment: Deployment = OURS,
) -> None:
    """Let a run of a period begin."""
    is_3_3, deferrable = world.rng.random() < 0.7, world.rng.random() < 0.7
    run = Run(world, run_id, deployment.cadence.period(period_id), is_3_3, deferrable, deployment)
    if world.rival is not None:
        run.is_handwritten = world.rng.random() < 0.3
    chance = random.Random(f"skips of {run_id} of {world.seed}").random()
    if chance < 0.2:
        run.skips_by = "soft_fail" if chance < 0.1 else "never_fail"
    world.runs.append(run)
    world.spawn(f"{run_id} ({period_id})", run.play, after=after)


def change_calendar(world: World, deployment: Deployment) -> None:
    """Deploy the report with another zone or first day, some days after it has begun."""
    world.pause_until_morning(world.rng.randint(1, 3))
    assert world.calendars, "the report has not begun"
    period = deployment.cadence.last_complete(PERIODS[-1].end_utc + timedelta(days=1))
    add_run(world, "changed-1", period.id, deployment=deployment)


def land_partitions(world: World, sources: Sources) -> None:
    """Register partitions as they come."""
    late = [(at, day) for day, at in sources.lands_at.items() if at is not None]
    for at, day in sorted(late):
        if at > world.clock.now:
            world.pause((at - world.clock.now).total_seconds())
        sources.land(world.glue, day)
        world.say(f"{day} has come")


def _repeat(world: World, act: Callable[[World], None]) -> None:
    world.pause(world.rng.uniform(0, 3 * MORNING_SECONDS))
    for _ in range(DAYS):
        _try(world, act)
        world.pause_until_morning()


def _try(world: World, act: Callable[[World], None]) -> None:
    try:
        act(world)
    except (AirflowException, AthenaReportsError, ClientError, BotoCoreError) as error:
        world.say(f"could not: {error}")  # so it is done the next time


def restate(world: World) -> None:
    operator = task(AthenaRestatementsOperator, {}, database=OURS.database)
    context: Any = {"ti": world, "params": {"stale": True}}
    for found in operator.execute(context):
        run_id = found["trigger_run_id"]
        if len(world.runs) < _MOST_RUNS and run_id not in [run.run_id for run in world.runs]:
            world.say(f"triggers {run_id}")
            add_run(world, run_id, found["conf"]["period"])


def clean_up(world: World) -> None:
    deployments = [OURS]
    if world.rival is ANOTHER_ENVIRONMENT:
        deployments.append(ANOTHER_ENVIRONMENT)
    for deployment in deployments:
        _clean_up(world, deployment)


def _clean_up(world: World, deployment: Deployment) -> None:
    judge_followers(world)  # before the cleanup repairs what it finds
    with world.working(deployment):
        summary = clean_up_bucket(
            bucket=BUCKET,
            database=deployment.database,
            environment=deployment.environment,
            policy=_POLICY,
            delete=True,
        )
    if summary["objects"]:
        world.say(f"removed {summary['objects']} objects")
        assert deployment == world.owner, f"{deployment.environment} has removed {summary}"


def read_manifests(world: World) -> None:
    """Read a manifest, then its objects, as a program does that knows nothing else."""
    for period in PERIODS:
        location = world.location(period.id)
        manifest, _ = read_manifest(location, world.store)
        for found in manifest.objects if manifest else ():
            body, _ = world.store.read(location.uri(found.key))
            assert hashlib.sha256(body).hexdigest() == found.sha256, (
                f"{found.key} is not what its manifest says"
            )


def read_table(world: World) -> None:
    """Read the partition of each period, then what lies in its folder, as Athena does."""
    for period_id, partition in world.table.partitions().items():
        names = [each.uri for each in world.store.list(partition.location)]
        assert len(names) == 1, f"Athena sees {names} in {partition.location}"
        body, _ = world.store.read(names[0])
        manifests = world.s3.history.get(
            world.location(period_id).manifest_uri.removeprefix("s3://"), []
        )
        known = {each["sha256"] for text in manifests for each in json.loads(text)["objects"]}
        assert hashlib.sha256(body).hexdigest() in known, (
            f"Athena reads rows of {period_id} that no manifest named"
        )
