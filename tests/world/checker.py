"""What must hold when all actors of a world rest, whatever has happened."""

from __future__ import annotations

import json
from datetime import datetime

from athena_reports.publication.commit import read_manifest
from athena_reports.publication.manifest import Manifest, PublishedPeriod
from tests.world.actors import clean_up, populate
from tests.world.promises import judge_followers, judge_latest
from tests.world.world import (
    BUCKET,
    DAY,
    DAYS,
    PERIODS,
    Sources,
    World,
    story_of,
    world,
)


def play(seed: int) -> World:
    """Play the world of a seed to its end and judge it;
    its story is printed if something does not hold.
    """
    with world(seed) as made:
        populate(made)
        try:
            made.play()
            made.spawn("at rest", lambda: _rest(made), after=DAYS * DAY)
            made.play()
        except BaseException:
            print(story_of(made))
            raise
    return made


def _rest(made: World) -> None:
    judge_followers(made)
    for _ in range(2):  # what a first pass finds is CANCELLED, or repaired, at the second
        made.pause(120)
        clean_up(made)
    if made.deliveries is not None:
        made.deliveries.come_to_rest()
    _queries(made)
    for period in PERIODS:
        _period(made, period.id)
    if made.sources is not None:
        _inputs(made, made.sources)
    judge_latest(made, PERIODS[-1].id)
    _owner(made)
    if made.alerts is not None:
        made.alerts.judge_at_rest()
    if made.deliveries is not None:
        made.deliveries.judge_at_rest()


def _queries(made: World) -> None:
    """None runs: each start was judged when it was made."""
    states = made.athena.states
    assert not {"QUEUED", "RUNNING"} & set(states), f"something still runs: {states}"


def _period(made: World, period_id: str) -> None:
    """The manifest is of the newest published query, its history only went forward,
    and all that it names is there.
    """
    location = made.location(period_id)
    manifest, etag = read_manifest(location, made.store)
    assert manifest is not None, f"{period_id} has no manifest"
    history = made.s3.history[location.manifest_uri.removeprefix("s3://")]
    submitted = [json.loads(body)["query"]["submitted_at"] for body in history]
    assert submitted == sorted(submitted), (
        f"{period_id}: a newer query was replaced by an older one: {submitted}"
    )
    published = [at for run in made.runs_of_owner(period_id) for at in run.published]
    assert manifest.query.submitted_at >= max(published), f"{period_id}: what was published is gone"
    for found in manifest.objects:
        stored = made.s3.objects.get(f"{BUCKET}/{found.key}")
        assert stored is not None, f"{period_id}: {found.key} is gone, and the manifest names it"
        same = [query for query in made.rows if made.rows[query].encode() == stored.body]
        assert manifest.query.id in same, (
            f"{period_id}: the rows are not those of {manifest.query.id}"
        )
    partition = made.table.partitions()[period_id]
    assert partition == manifest.partition(location, etag), f"{period_id}: Glue says {partition}"


def _inputs(made: World, sources: Sources) -> None:
    """Nothing was published as whole while a date that it needs was missing at its query."""
    for period in PERIODS:
        place = made.location(period.id).manifest_uri.removeprefix("s3://")
        for body in made.s3.history[place]:
            manifest = Manifest.model_validate_json(body)
            submitted_at = datetime.fromisoformat(manifest.query.submitted_at)
            missing = sources.missing(period, submitted_at)
            assert manifest.partial or not missing, (
                f"{period.id} is whole without {missing}: {manifest.query.id}"
            )
            made.judged["partial"] += manifest.partial
            made.judged["whole"] += not manifest.partial


def _owner(made: World) -> None:
    """One environment with one calendar has published all, and others have paid nothing."""
    assert len(made.calendars) == 1, f"calendar.json has said {made.calendars}"
    for place, bodies in made.s3.history.items():
        if not place.endswith("/manifest.json"):
            continue
        for body in bodies:
            manifest = Manifest.model_validate_json(body)
            period = PublishedPeriod.of(made.owner.cadence.period(manifest.period.id))
            of_owner = (made.owner.environment, period)
            assert (manifest.environment, manifest.period) == of_owner, place
    for run in made.runs:
        if run.deployment != made.owner and not run.is_handwritten:
            paid = [start.id for start in made.books.values() if start.run is run]
            assert not paid, f"{run.run_id} has paid, and cannot publish"
