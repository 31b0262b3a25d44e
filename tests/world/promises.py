"""What must hold without a cleanup, as soon as all publications of a period have ended."""

from __future__ import annotations

from tests.world.world import PERIODS, World


def judge_followers(world: World) -> None:
    """Glue and `latest.json` say what the manifests say.

    Promised of a period when its runs have succeeded and nobody is at work who writes partitions.
    Glue has no conditional write, so one case is left to the cleanup: who wrote the partition last
    died, or gave up, before it looked whether the manifest was still the same.
    """
    for period in PERIODS:
        if not _is_at_rest(world, period.id):
            continue
        if world.writes == world.judged_at.get(period.id):
            continue  # nobody has written anything since
        world.judged_at[period.id] = world.writes
        _judge_partition(world, period.id)
        if period == PERIODS[-1]:
            judge_latest(world, period.id)


def _is_at_rest(world: World, period_id: str) -> bool:
    runs = world.runs_of_owner(period_id)
    if not runs or not all(run.has_succeeded for run in runs):
        return False
    owner = world.owner
    for work in world.works:
        is_of_period = work.period_id in (period_id, None)
        if is_of_period and work.deployment == owner and not work.is_over:
            return False
    return True


def _judge_partition(world: World, period_id: str) -> None:
    last_work = world.last_work.get(period_id)
    if last_work is not None and not last_work.is_complete:
        world.judged["left to the cleanup"] += 1
        return
    world.judged["without the cleanup"] += 1
    manifest = world.manifest_now(period_id)
    assert manifest is not None, f"{period_id} has no manifest"
    partition = world.partition_now(period_id)
    etag = partition.facts.manifest_etag if partition is not None else None
    expected = manifest.partition(world.location(period_id), etag)
    assert partition == expected, (
        f"{period_id}: Glue says {partition}, before a cleanup, and the manifest {expected}"
    )


def judge_latest(world: World, period_id: str) -> None:
    """`latest.json` says what the manifest of the last period says."""
    manifest = world.manifest_now(period_id)
    assert manifest is not None, f"{period_id} has no manifest"
    location = world.location(period_id)
    expected = manifest.model_dump(mode="json")
    latest = world.latest_now(location)
    assert latest == expected, f"latest.json says {latest}"
