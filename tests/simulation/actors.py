"""Who acts in a world beside the runs: reconciler, restatement, cleanup with deletion,
and two kinds of readers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports import RetentionPolicy
from athena_reports.errors import AthenaReportsError
from athena_reports.maintenance.cleanup import clean_up_bucket
from athena_reports.maintenance.reconcile import AthenaReconcileOperator
from athena_reports.maintenance.restatement import AthenaRestatementsOperator
from athena_reports.publication.commit import read_manifest
from tests.simulation.airflow_model import Run, task
from tests.simulation.world import BUCKET, DATABASE, DAYS, MORNING_SECONDS, PERIODS, WEEKS, World

_POLICY = RetentionPolicy(keep_versions=0, keep_days=1, abandoned_after_days=2)
_MOST_RUNS = 8


def populate(world: World) -> None:
    """Two runs of one period and one of the period before, and everybody who acts beside them."""
    for number, period in enumerate([PERIODS[1], PERIODS[1], PERIODS[0]]):
        add_run(world, f"run-{number + 1}", period.id, after=world.rng.uniform(0, 90))
    for act in (reconcile, reconcile, restate, clean_up, clean_up, read_manifests, read_table):
        world.spawn(act.__name__, lambda act=act: _repeat(world, act))


def add_run(world: World, run_id: str, period_id: str, *, after: float = 0.0) -> None:
    """Let a run of a period begin."""
    is_3_3, deferrable = world.rng.random() < 0.7, world.rng.random() < 0.7
    run = Run(world, run_id, WEEKS.period(period_id), is_3_3, deferrable)
    world.runs.append(run)
    world.spawn(f"{run_id} ({period_id})", run.play, after=after)


def _repeat(world: World, act: Callable[[World], None]) -> None:
    world.pause(world.rng.uniform(0, 3 * MORNING_SECONDS))
    for _ in range(DAYS):
        try:
            act(world)
        except (AirflowException, AthenaReportsError, ClientError, BotoCoreError) as error:
            world.say(f"could not: {error}")  # so it is done the next time
        world.pause_until_morning()


def reconcile(world: World) -> None:
    operator = task(AthenaReconcileOperator, {}, workgroup="dev", environment="dev")
    context: Any = {"ti": world}
    before = {
        run.xcoms.get("run_query"): run
        for run in world.runs
        if run.active and "run_query" in run.xcoms
    }
    stopped = operator.execute(context)
    for id_ in stopped:
        run = before.get(id_)
        wanted = run is not None and run.active and run.xcoms.get("run_query") == id_
        assert not wanted, f"the reconciler stopped {id_}, which was still waited for"


def restate(world: World) -> None:
    operator = task(AthenaRestatementsOperator, {}, database=DATABASE)
    context: Any = {"ti": world, "params": {"stale": True}}
    for found in operator.execute(context):
        run_id = found["trigger_run_id"]
        if len(world.runs) < _MOST_RUNS and run_id not in [run.run_id for run in world.runs]:
            world.say(f"triggers {run_id}")
            add_run(world, run_id, found["conf"]["period"])


def clean_up(world: World) -> None:
    found = clean_up_bucket(
        bucket=BUCKET, database=DATABASE, environment="dev", policy=_POLICY, delete=True
    )
    if found["objects"]:
        world.say(f"removed {found['objects']} objects")


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
            world.location(period_id).manifest_uri.removeprefix(f"s3://{BUCKET}/"), []
        )
        known = {each["sha256"] for text in manifests for each in json.loads(text)["objects"]}
        assert hashlib.sha256(body).hexdigest() in known, (
            f"Athena reads rows of {period_id} that no manifest named"
        )
