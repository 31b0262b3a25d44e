"""What becomes of a version: the outcome, the current version, and the history."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from athena_reports.errors import PublishError
from athena_reports.publication import successor
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.manifest import (
    Manifest,
    PlannedDelivery,
    PublicationFacts,
    Reading,
    RunFacts,
    Version,
)
from athena_reports.rows.checks import CheckResult
from tests.support.publishing import EARLY, LATE, Place, facts

BETWEEN = "2026-11-22T03:00:00.000+00:00"
LATER = "2026-11-23T15:05:01.000+00:00"
CHECK = CheckResult(name="rows", severity="warn", passed=False, message="few", value=1)


def test_the_first_publication(place: Place) -> None:
    version = place.upload("a", "b")

    publication = place.publish(version, facts())
    assert publication.outcome == "published"
    reading = Reading(digest=version.read_by_next, since=EARLY)
    expected = Manifest(**dict(version), **dict(facts()), readings=(reading,))
    assert publication.manifest == expected
    assert place.manifest() == expected.model_dump(mode="json")


def test_a_retry_writes_nothing_and_reports_that_it_published(place: Place) -> None:
    """The try before may have died before it could report that."""
    place.publish(place.upload("a"), facts())
    again = place.upload("a")
    before = place.everything()

    publication = place.publish(again, facts(published_at=LATE))
    published_at = publication.manifest.published_at
    assert (publication.outcome, published_at) == ("published", facts().published_at)
    assert place.everything() == before


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("provisional", True),
        ("partial", True),
        ("missing_partitions", ("dt=2026-11-15",)),
        ("checks", (CHECK,)),
        ("settles_at", EARLY),
        ("logic", "v2:another"),
    ],
)
def test_new_facts_of_the_same_query_are_written_without_a_new_version(
    place: Place, fact: str, value: Any
) -> None:
    version = place.upload("a")
    place.publish(version, facts())

    place.publish(version, facts(**{fact: value}))
    manifest = current(place)
    assert getattr(manifest, fact) == value
    assert (manifest.version, manifest.earlier_versions) == (version.version, ())


def test_the_same_rows_of_a_later_query_keep_older_queries_out(place: Place) -> None:
    version, again, other = place.upload("a"), place.upload("a"), place.upload("b")
    assert version.version != again.version
    place.publish(version, facts(EARLY))
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    assert place.publish(other, facts(BETWEEN)).outcome == "superseded"
    assert (current(place).version, current(place).earlier_versions) == (version.version, ())


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        ({"provisional": True}, {}, "settled"),
        ({"partial": True}, {}, "settled"),
        ({"provisional": True, "partial": True}, {"partial": True}, "settled"),
        ({"partial": True}, {"provisional": True}, "settled"),
        ({"provisional": True}, {"provisional": True}, "unchanged"),
        ({"partial": True}, {"partial": True}, "unchanged"),
        ({}, {"provisional": True}, "unchanged"),
        ({}, {"partial": True}, "unchanged"),
        ({}, {}, "unchanged"),
    ],
)
def test_the_same_rows_settle_a_provisional_or_partial_period(
    place: Place, before: dict[str, bool], now: dict[str, bool], outcome: str
) -> None:
    version = place.upload("a")
    place.publish(version, facts(EARLY, **before))
    settled = place.publish(place.upload("a"), facts(LATE, **now))
    assert (settled.outcome, settled.manifest.version) == (outcome, version.version)


def test_the_same_rows_of_other_parts_record_which_parts_gave_them_last(place: Place) -> None:
    """Else the period would stay stale, and be reported again and again."""
    place.publish(place.upload("a"), facts(EARLY, parts={"days_daily": {"2026-11-15": "v1"}}))
    parts = {"days_daily": {"2026-11-15": "v2"}}
    again = place.publish(place.upload("a"), facts(LATE, parts=parts))
    assert (again.outcome, again.manifest.parts) == ("unchanged", parts)


def test_the_same_rows_stay_the_version_that_they_are(place: Place) -> None:
    """What is published is the object of before, and so are its order and what was read of it."""
    version, again = place.upload("a"), place.upload("a", ordered=False, key=["name"])
    again = again.model_copy(update={"read_by_next": "another digest"})
    place.publish(version, facts(EARLY))
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    manifest = current(place)
    for name in ("version", "ordered", "read_by_next"):
        assert getattr(manifest, name) == getattr(version, name)
    assert manifest.readings == (Reading(digest=version.read_by_next, since=EARLY),)
    assert manifest.key == ("name",), "it was declared since"


def test_other_rows_of_a_later_query_become_current_and_the_earlier_stay(place: Place) -> None:
    old, new = place.upload("a", "x"), place.upload("a", "b", "b")
    first = place.publish(old, facts(EARLY)).manifest

    publication = place.publish(new, facts(LATE))
    assert (publication.outcome, publication.manifest.version) == ("published", new.version)
    (earlier,) = publication.manifest.earlier_versions
    assert earlier.difference is not None
    assert (earlier.difference.added, earlier.difference.removed) == (2, 1)
    assert earlier == first.as_earlier_version(facts(LATE).published_at, earlier.difference)
    assert {item.key for item in old.objects} <= set(place.everything())


def test_what_is_kept_is_the_history_with_the_latest_first(place: Place) -> None:
    days = [f"2026-11-2{day}T00:00:00.000+00:00" for day in range(2, 8)]
    versions = []
    for rows, submitted_at in zip("aabbbc", days, strict=True):
        version = place.upload(rows)
        versions.append(version.version)
        place.publish(version, facts(submitted_at))
    a, _, b, *_ = versions
    manifest = current(place)
    assert [earlier.version for earlier in manifest.earlier_versions] == [b, a]
    repeated = [query.submitted_at for query in manifest.repeated_queries]
    assert repeated == [days[3], days[2], days[0]]


def test_a_version_that_is_current_again_is_no_earlier_one(place: Place) -> None:
    """The transform of a run was changed, and changed back."""
    first, second = place.upload("a"), place.upload("b")
    for version in (first, second, first):
        manifest = place.publish(version, facts()).manifest
    assert manifest.version == first.version
    assert [each.version for each in manifest.earlier_versions] == [second.version]


def test_a_restatement_is_dated_by_the_query_that_brought_other_rows(place: Place) -> None:
    a, b = place.upload("a"), place.upload("b")
    dated = [
        place.publish(version, facts(submitted_at)).manifest.restated_at
        for version, submitted_at in [(a, EARLY), (a, LATE), (b, LATE), (b, LATER)]
    ]
    assert dated == ["", "", LATE, LATE]


def test_what_the_next_period_reads_is_dated_by_the_query_that_first_gave_it(place: Place) -> None:
    days = [f"2026-11-2{day}T00:00:00.000+00:00" for day in range(2, 8)]
    a, b = place.upload("a"), place.upload("b")
    as_text_too = place.upload("a", formats=["parquet", "csv", "jsonl"])

    readings = []
    for version, submitted_at in zip([a, a, as_text_too, b, b, a], days, strict=True):
        manifest = place.publish(version, facts(submitted_at)).manifest
        readings.append([(each.digest, each.since[8:10]) for each in manifest.readings])
    read_a, read_b = a.read_by_next, b.read_by_next
    first, second = [(read_a, "22")], [(read_b, "25"), (read_a, "22")]
    assert readings == [first, first, first, second, second, [(read_a, "27"), *second]]


def test_an_edited_transform_of_the_same_query_is_not_read_anew_by_the_next_period(
    place: Place,
) -> None:
    """It reads the tables of the query, not these rows."""
    for name in ("a", "b"):
        manifest = place.publish(place.upload(name), facts(EARLY)).manifest
    (reading,) = manifest.readings
    assert (reading.digest, reading.since) == (place.upload("b").read_by_next, EARLY)


def test_the_same_rows_in_another_order_are_the_same_content_if_the_order_means_nothing(
    place: Place,
) -> None:
    sql = "SELECT name FROM names"
    first, other, ordered = (
        place.upload(*names, sql=sql, formats=["parquet"], ordered=ordered)
        for names, ordered in (("abc", False), ("cab", False), ("cba", True))
    )
    place.publish(first, facts(EARLY))
    kept = place.publish(other, facts(LATE))
    assert (kept.outcome, kept.manifest.version) == ("unchanged", first.version)
    assert kept.manifest.query.submitted_at == LATE

    replaced = place.publish(ordered, facts(LATE))
    assert (replaced.outcome, replaced.manifest.version) == ("published", ordered.version)
    # Which says nothing to the period after it.
    assert len(replaced.manifest.readings) == 1


def test_the_same_rows_in_one_more_format_are_other_content(place: Place) -> None:
    sql = "SELECT name FROM names"
    first = place.upload(*"abc", sql=sql, formats=["parquet"], ordered=False)
    in_csv = place.upload(*"cab", sql=sql, formats=["parquet", "csv"], ordered=False)
    for version in (first, in_csv):
        assert place.publish(version, facts(LATE)).manifest.version == version.version


@pytest.mark.parametrize("by", ["q1", "q2"], ids=["the same query", "a later query"])
@pytest.mark.parametrize(("before", "now"), [(True, False), (False, True), (False, False)])
def test_what_is_private_in_the_kept_rows_stays_so_if_they_are_given_again(
    before: bool, now: bool, by: str, place: Place
) -> None:
    """A channel has had them without it."""

    def marked(private: bool) -> Version:
        version = place.upload("a")
        first, *others = version.columns
        marked = first.model_copy(update={"private": private})
        return version.model_copy(update={"columns": (marked, *others)})

    first = marked(before)
    place.publish(first, facts(EARLY, by="q1"))
    manifest = place.publish(marked(now), facts(LATE if by == "q2" else EARLY, by=by)).manifest
    assert manifest.version == first.version
    names = (first.columns[0].name,)
    assert manifest.private_columns == (names if before or now else ())


def test_a_version_is_planned_for_the_channels_of_its_publication(place: Place) -> None:
    """A channel that is added later begins with the next version."""
    first, second = (
        PlannedDelivery(channels=(name,), until=LATE, correct_until=LATE)
        for name in ("sales", "another")
    )
    place.publish(place.upload("a"), facts(EARLY, delivery=first))
    again = place.publish(place.upload("a"), facts(LATE, delivery=second))
    assert again.manifest.delivery == first
    other = place.publish(place.upload("b"), facts(LATER, delivery=second))
    assert other.manifest.delivery == second


# --- rows that are lost


def test_a_version_without_rows_after_one_with_rows_warns_until_rows_return(place: Place) -> None:
    """Its source may have lost them."""
    days = [datetime.fromisoformat(EARLY) + timedelta(days=day) for day in range(6)]
    times = [day.isoformat(timespec="milliseconds") for day in days]

    def publish(at: str, *names: str) -> list[str]:
        place.publish(place.upload(*names), facts(at, by=f"run of {at}", checks=(CHECK,)))
        return warnings(place)

    assert publish(times[0], "a", "b") == ["rows"]
    assert publish(times[1]) == ["rows", "rows_lost"]
    manifest = current(place)
    lost = manifest.checks[-1]
    assert (lost.severity, lost.passed, lost.value) == ("warn", False, 0)
    first = manifest.earlier_versions[0].version
    assert lost.message == (
        f"0 rows, but version {first} had 2. If the period has no rows, clear publish; otherwise "
        "restore the source and clear run_query."
    )
    assert publish(times[1]) == ["rows", "rows_lost"], "a retry"
    assert publish(times[2]) == ["rows", "rows_lost"]
    assert publish(times[3], "a") == ["rows"]
    assert publish(times[4]) == ["rows", "rows_lost"], "they are lost again"


def test_a_period_that_never_had_rows_has_no_warning(place: Place) -> None:
    place.publish(place.upload(), facts(EARLY))
    place.publish(place.upload(), facts(LATE))
    assert warnings(place) == []


def test_a_version_without_rows_has_no_warning_if_the_report_may_lose_them(place: Place) -> None:
    """The orders without a payment, until the late payments have landed."""
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), facts(LATE))
    assert warnings(place) == ["rows_lost"]
    place.publish(place.upload(), facts(LATER), may_lose_rows=True)
    assert warnings(place) == [], "it was declared since"


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_clear_of_publish_accepts_that_there_are_no_rows(
    place: Place, *, is_repeated: bool
) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), of_run("run-2", LATE))
    cleared = of_run("run-2", LATE, max_tries=5)
    if is_repeated:  # a later query has found no rows either
        place.publish(place.upload(), of_run("run-3", LATER))
        assert place.publish(place.upload(), cleared).outcome == "superseded"
        cleared = of_run("run-3", LATER, max_tries=5)
    assert warnings(place) == ["rows_lost"]

    for _ in range(2):
        assert place.publish(place.upload(), cleared).outcome == "published"
        assert warnings(place) == []
    place.publish(place.upload(), of_run("run-4", "2026-11-24T15:05:01.000+00:00"))
    assert warnings(place) == [], "nothing was lost since"


def test_another_query_of_a_cleared_run_does_not_accept_that_there_are_no_rows(
    place: Place,
) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), of_run("run-2", LATE))
    place.publish(place.upload(), of_run("run-2", LATER, max_tries=5))
    assert warnings(place) == ["rows_lost"]


def of_run(run_id: str, submitted_at: str, *, max_tries: int = 3) -> PublicationFacts:
    run = RunFacts(dag_id="plays_weekly", run_id=run_id, max_tries=max_tries)
    return facts(submitted_at, run=run)


def current(place: Place) -> Manifest:
    manifest, _ = read_manifest(place.location, place.s3)
    assert manifest is not None
    return manifest


def warnings(place: Place) -> list[str]:
    return [check.name for check in current(place).checks if not check.passed]


# --- uploads and versions that are damaged or too old


@pytest.mark.parametrize("more_bytes", [-1, 1, None])
def test_an_incomplete_upload_is_not_published_and_uploading_again_helps(
    tabled: Place, more_bytes: int | None
) -> None:
    tabled.publish(tabled.upload("old"), facts(EARLY))
    new = tabled.upload("new", sql="SELECT name, 1::BIGINT AS score FROM names")
    uri = tabled.location.uri(new.objects[1].key)
    number = new.objects[1].bytes
    if more_bytes is None:
        tabled.s3.delete([uri])
        problem = f"is missing; transform uploaded {number:,} bytes"
    else:
        tabled.put(uri, b"x" * (number + more_bytes))
        problem = f"has {number + more_bytes:,} bytes; transform uploaded {number:,}"
    before = tabled.tables(), tabled.everything()
    with pytest.raises(PublishError) as caught:
        tabled.publish(new, facts(LATE))
    assert str(caught.value) == f"{uri} {problem}. Clear transform."
    assert not caught.value.retryable
    assert (tabled.tables(), tabled.everything()) == before
    assert tabled.publish(tabled.upload("new"), facts(LATE)).outcome == "published"


@pytest.mark.parametrize(("hours", "is_too_old"), [(11.9, False), (12.1, True)])
def test_an_upload_may_wait_for_twelve_hours_until_it_is_published(
    place: Place, hours: float, is_too_old: bool
) -> None:
    """A cleanup removes what is twice as old: so it never removes what is being published."""
    version = place.upload("a")
    last = version.objects[-1]
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours)):
        place.put(place.location.uri(last.key), b"x" * last.bytes)  # the first object counts
        if not is_too_old:
            assert place.publish(version, facts()).outcome == "published"
            return
        problem = rf"{version.version} was uploaded at .* too long ago.* Clear transform"
        with pytest.raises(PublishError, match=problem) as caught:
            place.publish(version, facts())
    assert not caught.value.retryable


def test_an_old_upload_that_is_not_to_be_published_is_no_problem(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, again, other = place.upload("a"), place.upload("a"), place.upload("b")
    place.publish(same, facts(EARLY))
    monkeypatch.setattr(successor, "PUBLISHED_WITHIN", timedelta(minutes=-1))
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    assert place.publish(other, facts(EARLY)).outcome == "superseded"


def test_how_old_the_current_version_is_says_nothing_of_an_upload(place: Place) -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=13)):
        place.publish(place.upload("a"), facts(EARLY))
    assert place.publish(place.upload("b"), facts(LATE)).outcome == "published"


@pytest.mark.parametrize("is_removed", [True, False])
@pytest.mark.parametrize("rows", ["a", "b"])
def test_a_damaged_current_version_is_replaced_and_only_other_rows_restate_it(
    place: Place, rows: str, *, is_removed: bool
) -> None:
    broken, new = place.upload("a"), place.upload(rows)
    place.publish(broken, facts(EARLY))
    uri = place.location.uri(broken.parquet_key)
    if is_removed:
        place.s3.delete([uri])
    else:
        place.put(uri, b"x")

    outcome, manifest = place.publish(new, facts(LATE))
    assert (outcome, manifest.version) == ("published", new.version)
    assert manifest.restated_at == ("" if rows == "a" else LATE)
    assert manifest.earlier_versions[0].difference is None


def test_what_would_replace_a_damaged_version_is_verified_too(place: Place) -> None:
    broken, again = place.upload("a"), place.upload("a")
    place.publish(broken, facts(EARLY))
    for upload in (broken, again):
        place.put(place.location.uri(upload.parquet_key), b"x")
    before = place.everything()
    with pytest.raises(PublishError, match=f"{again.parquet_key} has 1 bytes"):
        place.publish(again, facts(LATE))
    assert place.everything() == before


@pytest.mark.parametrize("is_kept_already", [False, True])
def test_the_sql_of_a_later_query_is_kept_beside_the_same_rows(
    place: Place, is_kept_already: bool
) -> None:
    first, again = place.upload("a"), place.upload("a")
    place.publish(first, facts(EARLY))
    place.put(place.location.sql_uri(again.version, "5ql"), b"SELECT 1")
    if is_kept_already:  # of an earlier try
        place.put(place.location.sql_uri(first.version, "5ql"), b"SELECT 1")

    edited = facts(LATE).query.model_copy(update={"sql_sha256": "5ql"})
    for _ in range(2):
        assert place.publish(again, facts(LATE, query=edited)).manifest.version == first.version
    assert place.s3.read(place.location.sql_uri(first.version, "5ql"))[0] == b"SELECT 1"
