import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from athena_reports.aws.s3 import S3
from athena_reports.errors import PublishError, SchemaError
from athena_reports.publication import commit
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.manifest import (
    PartitionFacts,
    PlannedDelivery,
    RunFacts,
    Version,
)
from athena_reports.publication.published_calendar import CalendarError
from athena_reports.rows.checks import CheckResult
from tests.support.published import assert_followed
from tests.support.publishing import EARLY, LATE, Place, facts
from tests.support.wire import CONFLICT, answered, s3_error

CHECK = CheckResult(name="rows", severity="warn", passed=False, message="few", value=1)


# --- the manifest


def test_the_first_publication(place: Place) -> None:
    version = place.upload("a", "b")

    publication = place.publish(version, facts())
    assert publication.outcome == "published"
    assert place.manifest() == publication.manifest.model_dump(mode="json")
    assert place.manifest() == {
        "manifest_format": 1,
        **facts().model_dump(mode="json"),
        **version.model_dump(mode="json"),
        "restated_at": "",
        "readings": [{"digest": version.read_by_next, "since": EARLY}],
        "earlier_versions": [],
        "repeated_queries": [],
    }


def test_publishing_the_same_query_again_writes_nothing_and_says_the_same_again(
    place: Place,
) -> None:
    """A try that died may have told nobody what it published."""
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
def test_the_same_query_with_other_findings_renews_the_manifest_without_a_new_version(
    place: Place, fact: str, value: Any
) -> None:
    version = place.upload("a")
    place.publish(version, facts())

    place.publish(version, facts(**{fact: value}))
    manifest, _ = read_manifest(place.location, place.s3)
    assert manifest is not None
    assert getattr(manifest, fact) == value
    assert (manifest.version, manifest.earlier_versions) == (version.version, ())


def test_the_same_rows_of_a_later_query_make_no_new_version_and_keep_older_queries_out(
    place: Place,
) -> None:
    version, again, other = place.upload("a"), place.upload("a"), place.upload("b")
    assert version.version != again.version
    place.publish(version, facts(EARLY))
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    assert (place.manifest()["version"], place.manifest()["earlier_versions"]) == (
        version.version,
        [],
    )

    between = "2026-11-22T03:00:00.000+00:00"
    assert EARLY < between < LATE
    assert place.publish(other, facts(between)).outcome == "superseded"
    assert place.manifest()["version"] == version.version


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


def test_the_same_rows_of_other_parts_say_which_parts_gave_them_last(tabled: Place) -> None:
    """Else the period would stay stale, and be reported again and again."""
    tabled.publish(tabled.upload("a"), facts(EARLY, parts={"days_daily": {"2026-11-15": "v1"}}))
    parts = {"days_daily": {"2026-11-15": "v2"}}
    again = tabled.publish(tabled.upload("a"), facts(LATE, parts=parts))
    assert again.outcome == "unchanged"
    assert tabled.manifest()["parts"] == parts
    partition = tabled.partitions()["2026-11-15"]["Parameters"]
    assert PartitionFacts.from_parameters(partition).parts == parts


def warnings(place: Place) -> list[str]:
    manifest, _ = read_manifest(place.location, place.s3)
    assert manifest is not None
    return [check.name for check in manifest.checks if not check.passed]


def test_a_version_without_rows_after_one_with_rows_warns_until_rows_return(tabled: Place) -> None:
    """Its source may have lost them."""
    days = [datetime.fromisoformat(EARLY) + timedelta(days=day) for day in range(6)]
    times = [day.isoformat(timespec="milliseconds") for day in days]

    def publish(at: str, *names: str) -> list[str]:
        tabled.publish(tabled.upload(*names), facts(at, by=f"run of {at}", checks=(CHECK,)))
        partition = PartitionFacts.from_parameters(tabled.partitions()["2026-11-15"]["Parameters"])
        assert partition.checks_warned == len(warnings(tabled))
        assert partition.rows == len(names)
        return warnings(tabled)

    assert publish(times[0], "a", "b") == ["rows"]
    assert publish(times[1]) == ["rows", "rows_lost"]
    manifest, _ = read_manifest(tabled.location, tabled.s3)
    assert manifest is not None
    lost = manifest.checks[-1]
    assert (lost.severity, lost.passed, lost.value) == ("warn", False, 0)
    first = manifest.earlier_versions[0].version
    assert lost.message == (
        f"0 rows, after 2 in version {first}. If the period has no rows, clear publish; otherwise "
        "restore the source and clear run_query."
    )
    assert publish(times[1]) == ["rows", "rows_lost"], "a retry"
    assert publish(times[2]) == ["rows", "rows_lost"]
    assert publish(times[3], "a") == ["rows"]
    assert publish(times[4]) == ["rows", "rows_lost"], "they are lost again"


def test_a_version_without_rows_warns_of_none_that_were_never_there(place: Place) -> None:
    place.publish(place.upload(), facts(EARLY))
    place.publish(place.upload(), facts(LATE))
    assert warnings(place) == []


def test_a_version_without_rows_has_no_warning_if_the_report_may_lose_them(place: Place) -> None:
    """The orders without a payment, until the late payments have landed."""
    later = "2026-11-23T15:05:01.000+00:00"
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), facts(LATE))
    assert warnings(place) == ["rows_lost"]
    place.publish(place.upload(), facts(later), may_lose_rows=True)
    assert warnings(place) == [], "it was declared since"


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_clear_of_publish_accepts_that_there_are_no_rows(
    place: Place, *, is_repeated: bool
) -> None:
    later = "2026-11-23T15:05:01.000+00:00"
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), facts(LATE, run=run("run-2")))
    cleared = facts(LATE, run=run("run-2", max_tries=5))
    if is_repeated:  # a later query has found no rows either
        place.publish(place.upload(), facts(later, run=run("run-3")))
        assert place.publish(place.upload(), cleared).outcome == "superseded"
        cleared = facts(later, run=run("run-3", max_tries=5))
    assert warnings(place) == ["rows_lost"]

    assert place.publish(place.upload(), cleared).outcome == "published"
    assert warnings(place) == []
    assert place.publish(place.upload(), cleared).outcome == "published"
    last = "2026-11-24T15:05:01.000+00:00"
    place.publish(place.upload(), facts(last, run=run("run-4")))
    assert warnings(place) == [], "nothing was lost since"


def test_another_query_of_a_cleared_run_does_not_accept_that_there_are_no_rows(
    place: Place,
) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    place.publish(place.upload(), facts(LATE, run=run("run-2")))
    later = "2026-11-23T15:05:01.000+00:00"
    place.publish(place.upload(), facts(later, run=run("run-2", max_tries=5)))
    assert warnings(place) == ["rows_lost"]


def run(run_id: str, *, max_tries: int = 3) -> RunFacts:
    return RunFacts(dag_id="plays_weekly", run_id=run_id, max_tries=max_tries)


def test_a_version_is_planned_for_the_channels_of_its_publication(tabled: Place) -> None:
    """A channel that is added later begins with the next version."""
    first = PlannedDelivery(
        channels=("sales", "topic"),
        until="2026-12-01T00:00:00+00:00",
        correct_until="2026-12-02T00:00:00+00:00",
    )
    second = PlannedDelivery(
        channels=("another",),
        until="2027-01-01T00:00:00+00:00",
        correct_until="2027-01-02T00:00:00+00:00",
    )
    tabled.publish(tabled.upload("a"), facts(EARLY, delivery=first))
    again = tabled.publish(tabled.upload("a"), facts(LATE, delivery=second))
    assert again.manifest.delivery == first
    partition = tabled.partitions()["2026-11-15"]["Parameters"]
    assert PartitionFacts.from_parameters(partition).delivery == first

    later = "2026-11-23T15:05:01.000+00:00"
    assert tabled.publish(tabled.upload("b"), facts(later, delivery=second)).manifest.delivery == (
        second
    )
    partition = tabled.partitions()["2026-11-15"]["Parameters"]
    assert PartitionFacts.from_parameters(partition).delivery == second


def test_other_words_for_the_columns_are_told_without_a_new_version(place: Place) -> None:
    version = place.upload("a")
    place.publish(version, facts())
    described = tuple(
        each.model_copy(update={"description": "what it means"}) for each in version.columns
    )
    for by, rows in (("run-1", ("a",)), ("run-2", ("a", "b"))):
        place.publish(
            place.upload(*rows).model_copy(update={"columns": described}), facts(LATE, by=by)
        )
        assert {each["description"] for each in place.manifest()["columns"]} == {"what it means"}
    (earlier,) = place.manifest()["earlier_versions"]
    assert (earlier["version"], earlier["difference"]) == (
        version.version,
        {"added": 1, "removed": 0, "changed": 0},
    )


@pytest.mark.parametrize("by", ["q1", "q2"], ids=["the same query", "a later query"])
@pytest.mark.parametrize(("before", "now"), [(True, False), (False, True), (False, False)])
def test_what_is_private_in_the_kept_rows_stays_so_if_they_are_given_again(
    before: bool, now: bool, by: str, place: Place
) -> None:
    """A channel has had them without it."""

    def marked(private: bool) -> Version:
        version = place.upload("a")
        columns = [
            column.model_copy(update={"private": private and place_of == 0})
            for place_of, column in enumerate(version.columns)
        ]
        return version.model_copy(update={"columns": tuple(columns)})

    first = marked(before)
    place.publish(first, facts(EARLY, by="q1"))
    manifest = place.publish(marked(now), facts(LATE if by == "q2" else EARLY, by=by)).manifest
    assert manifest.version == first.version
    names = (first.columns[0].name,)
    assert manifest.private_columns == (names if before or now else ())


def test_other_words_for_the_columns_of_the_same_rows_are_told_in_the_table_too(
    tabled: Place,
) -> None:
    """The published objects stay, so those that were uploaded again need not be whole."""
    version, again = tabled.upload("a"), tabled.upload("a")
    tabled.publish(version, facts(EARLY))
    tabled.s3.delete([tabled.location.uri(again.parquet_key)])
    described = tuple(
        each.model_copy(update={"description": "what it means"}) for each in again.columns
    )

    publication = tabled.publish(again.model_copy(update={"columns": described}), facts(LATE))
    assert (publication.outcome, publication.manifest.version) == ("unchanged", version.version)
    (table,) = tabled.tables()
    assert {each["Comment"] for each in table["StorageDescriptor"]["Columns"]} == {"what it means"}


def test_other_rows_of_a_later_query_become_current_and_the_earlier_stay(place: Place) -> None:
    old, new = place.upload("a", "x"), place.upload("a", "b", "b")
    place.publish(old, facts(EARLY))

    assert place.publish(new, facts(LATE)).outcome == "published"
    assert place.manifest()["version"] == new.version
    earlier = {
        "version": old.version,
        "rows": 2,
        "published_at": facts(EARLY).published_at,
        "provisional": False,
        "replaced_at": facts(LATE).published_at,
    }
    earlier |= {"query": facts(EARLY).query.model_dump(), "code_version": "1", "logic": ""}
    earlier["private_columns"] = []
    assert place.manifest()["earlier_versions"] == [
        earlier | {"difference": {"added": 2, "removed": 1, "changed": 0}}
    ]
    assert {item.key for item in old.objects} <= set(place.everything())


def test_each_query_that_was_paid_stays_in_the_manifest(place: Place) -> None:
    """Whether it gave other rows, or the current ones once more."""
    paid = []
    for hour, rows in enumerate("aabbcca"):
        again = facts(f"2026-11-22T0{hour}:00:00.000+00:00")
        place.publish(place.upload(rows), again)
        paid.append(again.query.id)

        manifest = place.manifest()
        queries = [manifest["query"], *manifest["repeated_queries"]]
        queries += [version["query"] for version in manifest["earlier_versions"]]
        assert sorted(query["id"] for query in queries) == sorted(paid)


def test_a_manifest_of_the_future_does_not_keep_every_later_query_out(place: Place) -> None:
    version = place.upload("a")
    # S3 refuses the requests of a worker whose clock is that far off.
    future = (datetime.now(UTC) + timedelta(minutes=16)).isoformat(timespec="milliseconds")
    place.publish(version, facts(future))
    before = place.everything()

    says = rf"manifest\.json says .*in the future, at {re.escape(future)}; it is \d{{4}}-"
    with pytest.raises(PublishError, match=says) as caught:
        place.publish(version, facts(LATE))
    assert not caught.value.retryable
    assert "this clock is wrong, or the manifest was edited" in str(caught.value)
    assert "move it away" not in str(caught.value).lower()
    assert place.everything() == before


@pytest.mark.parametrize("ahead", [timedelta(seconds=20), timedelta(minutes=14)])
def test_a_query_that_is_ahead_of_a_slow_clock_is_a_later_query(
    place: Place, ahead: timedelta
) -> None:
    """Athena dated the query; the worker that compares has a clock that is behind."""
    submitted_at = (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds")
    place.publish(place.upload("a"), facts(submitted_at))
    before = place.manifest()

    assert place.publish(place.upload("b"), facts(EARLY)).outcome == "superseded"
    assert place.manifest() == before


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"environment": "stg"}, "belongs to the environment dev, and this is stg"),
        (
            {"period": facts().period.model_copy(update={"timezone": "Asia/Tokyo"})},
            "has weeks from Sunday in UTC, and this report has weeks from Sunday in Asia/Tokyo",
        ),
    ],
)
@pytest.mark.parametrize("submitted_at", [EARLY, LATE])
def test_a_period_of_another_environment_or_calendar_is_not_replaced(
    place: Place, others: Any, says: str, submitted_at: str
) -> None:
    """By no query, neither an older nor a later one, and also by a DAG that is written by hand."""
    between = "2026-11-22T03:00:00.000+00:00"
    place.publish(place.upload("a"), facts(between))
    other = place.upload("b")
    before = place.everything()

    with pytest.raises(CalendarError, match=says) as caught:
        place.publish(other, facts(submitted_at, **others))
    assert place.location.folder_uri in str(caught.value)
    assert not caught.value.retryable
    assert place.everything() == before


def test_a_restatement_is_dated_by_the_query_that_brought_other_rows(place: Place) -> None:
    later = "2026-11-23T00:00:00.000+00:00"
    a, b = place.upload("a"), place.upload("b")

    sequence = [(a, EARLY), (a, LATE), (b, LATE), (b, later)]
    dated = [
        place.publish(version, facts(submitted_at, published_at=later)).manifest
        for version, submitted_at in sequence
    ]
    assert [manifest.restated_at for manifest in dated] == ["", "", LATE, LATE]


def test_what_the_next_period_reads_is_dated_by_the_query_that_first_gave_it(place: Place) -> None:
    days = [f"2026-11-2{day}T00:00:00.000+00:00" for day in range(2, 9)]
    a, b = place.upload("a"), place.upload("b")
    as_text_too = place.upload("a", formats=["parquet", "csv", "jsonl"])

    found = []
    for version, submitted_at in zip([a, a, as_text_too, b, b, a], days, strict=False):
        manifest = place.publish(version, facts(submitted_at)).manifest
        found.append([(each.digest, each.since[8:10]) for each in manifest.readings])
    read_a, read_b = a.read_by_next, b.read_by_next
    first, second = [(read_a, "22")], [(read_b, "25"), (read_a, "22")]
    assert found == [first, first, first, second, second, [(read_a, "27"), *second]]


def test_an_edited_transform_of_the_same_query_is_not_read_anew_by_the_next_period(
    place: Place,
) -> None:
    """It reads the tables of the query, not these rows."""
    for name in ("a", "b"):
        manifest = place.publish(place.upload(name), facts(EARLY)).manifest
    (reading,) = manifest.readings
    assert (reading.digest, reading.since) == (place.upload("b").read_by_next, EARLY)


def test_other_rows_than_those_of_an_older_release_are_read_anew(place: Place) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    old = place.manifest()
    for field in ("readings", "read_by_next", "key"):
        del old[field]
    place.put(place.location.manifest_uri, json.dumps(old).encode())
    manifest = place.publish(place.upload("b"), facts(LATE)).manifest
    assert [each.since for each in manifest.readings] == [LATE, EARLY]
    assert len({each.digest for each in manifest.readings}) == 2


def test_what_is_kept_is_the_history_with_the_latest_first(place: Place) -> None:
    days = [f"2026-11-2{day}T00:00:00.000+00:00" for day in range(2, 8)]
    versions = []
    for rows, submitted_at in zip("aabbbc", days, strict=True):
        version = place.upload(rows)
        versions.append(version.version)
        place.publish(version, facts(submitted_at))
    a, _, b, *_ = versions
    manifest = place.manifest()
    assert [earlier["version"] for earlier in manifest["earlier_versions"]] == [b, a]
    repeated = [query["submitted_at"] for query in manifest["repeated_queries"]]
    assert repeated == [days[3], days[2], days[0]]


def test_the_same_rows_stay_the_version_that_they_are(place: Place) -> None:
    """What is published is the object of before, and so are its order and what was read of it."""
    version, again = place.upload("a"), place.upload("a", ordered=False)
    again = again.model_copy(update={"read_by_next": "another digest"})
    place.publish(version, facts(EARLY))
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    manifest = place.manifest()
    kept = {name: manifest[name] for name in ("version", "ordered", "read_by_next")}
    assert kept == version.model_dump(include=set(kept))
    assert manifest["readings"] == [{"digest": version.read_by_next, "since": EARLY}]


# --- what differs between versions


@pytest.mark.parametrize(
    ("key", "old", "new", "expected"),
    [
        (["name"], "('a', 1), ('b', 2), ('c', 3)", "('a', 1), ('b', 5), ('d', 3)", (1, 1, 1)),
        ([], "('a', 1), ('b', 2), ('c', 3)", "('a', 1), ('b', 5), ('d', 3)", (2, 2, 0)),
        (["name"], "('a', 1)", "('a', 2)", (0, 0, 1)),
        (["name", "n"], "('a', 1), (NULL, 1)", "('a', 2), (NULL, 1)", (1, 1, 0)),
        # Rows that share a key are compared as a whole.
        (["name"], "('a', 1), ('a', 2)", "('a', 1), ('a', 3), ('a', 4)", (2, 1, 0)),
    ],
)
def test_a_difference_counts_by_the_key(
    place: Place, key: list[str], old: str, new: str, expected: tuple[int, int, int]
) -> None:
    for submitted_at, values in ((EARLY, old), (LATE, new)):
        sql = f"SELECT * FROM (VALUES {values}) t(name, n)"
        manifest = place.publish(place.upload(sql=sql, key=key), facts(submitted_at)).manifest
    (earlier,) = manifest.earlier_versions
    assert earlier.difference is not None
    assert tuple(earlier.difference.model_dump().values()) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [(["name"], (1, 1, 1)), ([], (2, 2, 0)), (["n"], (2, 2, 0))]
)
def test_rows_of_other_columns_are_paired_by_a_key_that_both_versions_have(
    place: Place, key: list[str], expected: tuple[int, int, int]
) -> None:
    old = "SELECT * FROM (VALUES ('a', 'x'), ('b', 'y')) t(name, n)"
    new = "SELECT * FROM (VALUES ('b', 1), ('c', 2)) t(name, n)"
    for submitted_at, sql in ((EARLY, old), (LATE, new)):
        manifest = place.publish(place.upload(sql=sql, key=key), facts(submitted_at)).manifest
    (earlier,) = manifest.earlier_versions
    assert earlier.difference is not None
    assert tuple(earlier.difference.model_dump().values()) == expected


def test_a_renamed_column_changes_each_row(place: Place) -> None:
    for submitted_at, name in ((EARLY, "n"), (LATE, "m")):
        sql = f"SELECT * FROM (VALUES ('a', 1), ('b', 2)) t(name, {name})"
        manifest = place.publish(place.upload(sql=sql, key=["name"]), facts(submitted_at)).manifest
    (earlier,) = manifest.earlier_versions
    assert earlier.difference is not None
    assert earlier.difference.model_dump() == {"added": 0, "removed": 0, "changed": 2}


def test_a_key_that_is_declared_later_is_told_of_the_same_rows(tabled: Place) -> None:
    version = tabled.upload("a", "b")
    tabled.publish(version, facts(EARLY))
    assert tabled.manifest()["key"] == []
    again = tabled.upload("a", "b", key=["name"])
    assert tabled.publish(again, facts(LATE)).outcome == "unchanged"
    manifest = tabled.manifest()
    assert (manifest["key"], manifest["version"]) == (["name"], version.version)


def test_a_current_version_that_is_gone_can_be_replaced(place: Place) -> None:
    old, new = place.upload("a"), place.upload("b")
    place.publish(old, facts(EARLY))
    place.s3.delete([place.location.uri(item.key) for item in old.objects])

    assert place.publish(new, facts(LATE)).outcome == "published"
    assert place.manifest()["earlier_versions"][0]["difference"] is None


def test_rows_that_are_gone_when_they_are_compared_are_replaced_without_a_difference(
    place: Place,
) -> None:
    """Somebody removes them after the list of what is there."""
    old, new = place.upload("a"), place.upload("b")
    place.publish(old, facts(EARLY))

    def remove(params: Any, **_: Any) -> None:
        if old.version in params["url"]:
            place.s3.delete([place.location.uri(old.parquet_key)])

    events = place.s3.client.meta.events
    events.register("before-call.s3.HeadObject", remove)
    publication = place.publish(new, facts(LATE))
    events.unregister("before-call.s3.HeadObject", remove)
    (earlier,) = publication.manifest.earlier_versions
    assert (publication.outcome, earlier.difference) == ("published", None)
    assert publication.manifest.version == new.version


def test_a_current_version_that_is_damaged_is_replaced_by_the_same_rows_and_nothing_is_restated(
    place: Place,
) -> None:
    broken, again = place.upload("a"), place.upload("a")
    place.publish(broken, facts(EARLY))
    place.put(place.location.uri(broken.parquet_key), b"x")

    publication = place.publish(again, facts(LATE))
    assert (publication.outcome, publication.manifest.restated_at) == ("published", "")
    assert place.manifest()["version"] == again.version


def test_what_would_replace_a_damaged_version_is_verified_too(place: Place) -> None:
    broken, again = place.upload("a"), place.upload("a")
    place.publish(broken, facts(EARLY))
    for upload in (broken, again):
        place.put(place.location.uri(upload.parquet_key), b"x")
    before = place.everything()
    with pytest.raises(PublishError, match=f"{again.parquet_key} has 1 bytes; transform uploaded"):
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


def test_the_same_rows_in_another_order_are_the_same_content_if_the_order_means_nothing(
    place: Place,
) -> None:
    sql = "SELECT name FROM names"
    first, other, ordered = (
        place.upload(*names, sql=sql, formats=["parquet"], ordered=ordered)
        for names, ordered in (("abc", False), ("cab", False), ("cba", True))
    )
    assert first.version != other.version
    place.publish(first, facts(EARLY))
    assert place.publish(other, facts(LATE)).outcome == "unchanged"
    manifest = place.manifest()
    assert (manifest["version"], manifest["query"]["submitted_at"]) == (first.version, LATE)
    assert manifest["earlier_versions"] == []

    assert place.publish(ordered, facts(LATE)).outcome == "published"
    manifest = place.manifest()
    assert (manifest["version"], manifest["ordered"]) == (ordered.version, True)
    assert manifest["earlier_versions"][0]["difference"] == {"added": 0, "removed": 0, "changed": 0}
    # Which says nothing to the period after it.
    assert len(manifest["readings"]) == 1


def test_the_same_rows_in_one_more_format_are_other_content(place: Place) -> None:
    sql = "SELECT name FROM names"
    first, in_csv, others = (
        place.upload(*names, sql=sql, formats=formats, ordered=False)
        for names, formats in (
            ("abc", ["parquet"]),
            ("cab", ["parquet", "csv"]),
            ("cad", ["parquet", "csv"]),
        )
    )
    for version in (first, in_csv, others, in_csv):
        assert place.publish(version, facts(LATE)).outcome == "published"


# --- what follows the manifest


def test_the_partition_and_the_latest_period_say_what_the_manifest_says(tabled: Place) -> None:
    version = tabled.upload("a", "b")
    tabled.publish(version, facts(checks=(CHECK,)))

    manifest = tabled.manifest()
    found = tabled.partitions()["2026-11-15"]["Parameters"]
    for name in ("version", "rows", "published_at", "settles_at", "restated_at"):
        assert found[name] == str(manifest[name])
    named = {
        "start": "2026-11-15T00:00:00+00:00",
        "end": "later",
        "timezone": "UTC",
        "submitted_at": EARLY,
    }
    named |= {
        "reads_previous": "true",
        "provisional": "false",
        "partial": "false",
        "checks_warned": "1",
    }
    named |= {
        "scanned_bytes": "20000000",
        "price_usd": "0.0001",
        "query_id": facts().query.id,
        "run_id": "run-1",
    }
    named |= {"environment": "dev"}
    named |= {"dag_id": "plays_weekly", "manifest": tabled.location.manifest_uri, "earlier": "0"}
    named |= {"bytes": str(sum(item.bytes for item in version.objects))}
    assert found.items() >= named.items()
    # The report has no channels, and reads no other.
    left_out = {"channels", "deliver_until", "correct_until", "parts"}
    assert found.keys() == set(PartitionFacts.model_fields) - left_out
    latest = {
        "latest_format": 1,
        "cadence": "weekly",
        "manifest": "plays/weekly/2026-11-15/manifest.json",
        "submitted_at": EARLY,
    }
    shared = {"report", "period", "version", "rows", "provisional", "partial", "published_at"}
    assert tabled.latest() == latest | {name: manifest[name] for name in shared}
    assert_followed(tabled.s3.client, tabled.location, tabled.partitions())


@pytest.mark.parametrize("rows", ["b", "c"], ids=["the same rows", "other rows"])
def test_the_partition_follows_a_run_that_publishes_meanwhile(tabled: Place, rows: str) -> None:
    """Of both runs, the one that began earlier writes its partition last."""
    tabled.publish(tabled.upload("a"), facts("2026-11-20T00:00:00.000+00:00"))
    mine, other = tabled.upload("b"), tabled.upload(rows)
    assert tabled.table is not None
    events = tabled.table.glue.meta.events

    def publish_the_other(**_: Any) -> None:
        events.unregister("before-call.glue.UpdatePartition", publish_the_other)
        tabled.publish(other, facts(LATE, by="run-2"))

    events.register("before-call.glue.UpdatePartition", publish_the_other)
    tabled.publish(mine, facts(EARLY))

    assert tabled.manifest()["query"]["id"] == facts(LATE, by="run-2").query.id
    assert_followed(tabled.s3.client, tabled.location, tabled.partitions())
    found = tabled.partitions()["2026-11-15"]["Parameters"]
    assert (found["query_id"], found["run_id"]) == (tabled.manifest()["query"]["id"], "run-2")


def test_a_version_without_parquet_has_no_partition_and_is_published_all_the_same(
    tabled: Place,
) -> None:
    """A partition would lead Athena into a folder that is not there."""
    tabled.publish(tabled.upload("a", formats=["csv"]), facts())
    assert tabled.partitions() == {}
    assert tabled.latest()["version"] == tabled.manifest()["version"]


def test_the_latest_period_only_moves_forward(place: Place) -> None:
    def publish_week(period_id: str, name: str, submitted_at: str) -> str:
        some = place.at(period_id)
        some.publish(some.upload(name), facts(submitted_at, period_id=period_id))
        latest = place.latest()
        assert latest["version"] == place.at(latest["period"]["id"]).manifest()["version"]
        return str(latest["period"]["id"])

    assert publish_week("2026-11-15", "a", EARLY) == "2026-11-15"
    assert publish_week("2026-11-01", "a", LATE) == "2026-11-15"
    assert publish_week("2026-11-15", "restated", LATE) == "2026-11-15"
    assert publish_week("2026-11-22", "a", EARLY) == "2026-11-22"
    assert publish_week("2026-11-15", "restated again", LATE) == "2026-11-22"


def test_the_latest_period_follows_where_one_query_gave_two_versions(place: Place) -> None:
    """A transform was changed, its task cleared, and its worker died before latest.json."""
    place.publish(place.upload("a"), facts())
    before = place.everything()["plays/weekly/latest.json"]
    changed = place.upload("b")
    place.publish(changed, facts())
    place.put(place.location.report.latest_uri, before)

    place.publish(changed, facts())
    assert place.latest()["version"] == changed.version


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"period": null}'])
def test_a_latest_period_that_is_not_ours_is_not_overwritten(place: Place, content: bytes) -> None:
    place.put(place.location.report.latest_uri, content)

    problem = r"latest\.json is not of this package and folder"
    with pytest.raises(PublishError, match=problem) as caught:
        place.publish(place.upload("a"), facts())
    assert not caught.value.retryable
    assert place.everything()["plays/weekly/latest.json"] == content
    place.manifest()


def test_a_later_run_of_an_older_query_repairs_what_a_crash_left_behind(tabled: Place) -> None:
    """The manifest was replaced, and then the worker died;
    tests/services/test_publish_kills.py has the rest.
    """
    old, new = tabled.upload("old"), tabled.upload("new")
    tabled.publish(old, facts(EARLY))
    tabled.without_table().publish(new, facts(LATE))
    tabled.s3.delete([tabled.location.report.latest_uri])

    assert tabled.publish(old, facts(EARLY)).outcome == "superseded"
    assert tabled.manifest()["version"] == new.version
    assert_followed(tabled.s3.client, tabled.location, tabled.partitions())


# --- nothing is published


@pytest.mark.parametrize("damage", ["one byte less", "one byte more", "empty", "removal"])
def test_an_uploaded_object_that_is_damaged_is_not_published_and_uploading_again_helps(
    tabled: Place, damage: str
) -> None:
    tabled.publish(tabled.upload("old"), facts(EARLY))
    new = tabled.upload("new")
    key = new.objects[1].key
    number = new.objects[1].bytes
    uploaded_bytes = f"{number:,}"
    if damage == "removal":
        tabled.s3.delete([tabled.location.uri(key)])
        problem = f"is missing; transform uploaded {uploaded_bytes} bytes"
    else:
        left = {"one byte less": number - 1, "one byte more": number + 1, "empty": 0}[damage]
        tabled.put(tabled.location.uri(key), b"x" * left)
        problem = f"has {left:,} bytes; transform uploaded {uploaded_bytes}"
    before = tabled.everything()

    with pytest.raises(PublishError, match=r"Clear transform") as caught:
        tabled.publish(new, facts(LATE))
    assert str(caught.value) == f"{tabled.location.uri(key)} {problem}. Clear transform."
    assert not caught.value.retryable
    assert tabled.everything() == before
    assert tabled.publish(tabled.upload("new"), facts(LATE)).outcome == "published"


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("damage", ["other size", "removal", "too old"])
def test_an_upload_that_is_not_published_changes_no_column_of_the_table(
    tabled: Place, monkeypatch: pytest.MonkeyPatch, damage: str, is_first: bool
) -> None:
    if not is_first:
        tabled.publish(tabled.upload("old"), facts(EARLY))
    new = tabled.upload("new", sql="SELECT name, 1::BIGINT AS score FROM names")
    described = tuple(
        each.model_copy(update={"description": "what it means"}) for each in new.columns
    )
    uri = tabled.location.uri(new.parquet_key)
    if damage == "removal":
        tabled.s3.delete([uri])
    elif damage == "other size":
        tabled.put(uri, b"x" * (new.objects[0].bytes + 1))
    else:
        monkeypatch.setattr(commit, "PUBLISHED_WITHIN", timedelta(minutes=-1))
    before = tabled.tables()

    with pytest.raises(PublishError, match=r"Clear transform"):
        tabled.publish(new.model_copy(update={"columns": described}), facts(LATE))
    assert tabled.tables() == before
    assert len(before) == (0 if is_first else 1)


def test_an_upload_that_a_cleanup_may_be_removing_is_not_published(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, again, other = place.upload("a"), place.upload("a"), place.upload("b")
    place.publish(current, facts(EARLY))
    before = place.everything()

    monkeypatch.setattr(commit, "PUBLISHED_WITHIN", timedelta(minutes=-1))
    with pytest.raises(
        PublishError, match=rf"{other.version} was uploaded at .* too long ago.* Clear transform"
    ) as caught:
        place.publish(other, facts(LATE))
    assert not caught.value.retryable
    assert place.everything() == before
    assert place.publish(again, facts(LATE)).outcome == "unchanged"
    assert place.publish(other, facts(EARLY)).outcome == "superseded"


@pytest.mark.parametrize(("hours", "is_too_old"), [(11.9, False), (12.1, True)])
def test_an_upload_may_wait_for_twelve_hours_until_it_is_published(
    place: Place, hours: float, is_too_old: bool
) -> None:
    """A cleanup removes what is twice as old: so it never removes what is being published."""
    version = place.upload("a")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours)):
        if is_too_old:
            with pytest.raises(PublishError, match="too long ago to be published"):
                place.publish(version, facts())
        else:
            assert place.publish(version, facts()).outcome == "published"


def test_how_old_the_current_version_is_says_nothing_of_an_upload(place: Place) -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=13)):
        place.publish(place.upload("a"), facts(EARLY))
    assert place.publish(place.upload("b"), facts(LATE)).outcome == "published"


def test_a_version_that_is_current_again_is_no_earlier_one(place: Place) -> None:
    """The transform of a run was changed, and changed back."""
    first, second = place.upload("a"), place.upload("b")
    for version in (first, second, first):
        place.publish(version, facts())
    manifest = place.manifest()
    assert manifest["version"] == first.version
    assert [each["version"] for each in manifest["earlier_versions"]] == [second.version]


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"not JSON",
            b"\xff\xfe",
            b"[]",
            b'{"manifest_format": 1, "period": {"id": "2026-11-15"}}',
        ),
    ],
)
def test_a_manifest_that_is_not_ours_is_not_overwritten(place: Place, content: bytes) -> None:
    place.put(place.location.manifest_uri, content)
    version = place.upload("a")
    before = place.everything()

    with pytest.raises(PublishError, match="is not of this package and period") as caught:
        place.publish(version, facts())
    assert place.location.manifest_uri in str(caught.value)
    assert not caught.value.retryable
    assert place.everything() == before


def test_a_manifest_of_another_period_is_not_overwritten(place: Place) -> None:
    """It is a whole one, and lies in the wrong folder: somebody has copied it."""
    other = place.at("2026-11-08")
    other.publish(other.upload("a"), facts(period_id="2026-11-08"))
    body, _ = place.s3.read(other.location.manifest_uri)
    place.put(place.location.manifest_uri, body)
    version = place.upload("b")
    before = place.everything()

    with pytest.raises(PublishError, match="is not of this package and period") as caught:
        place.publish(version, facts())
    assert not caught.value.retryable
    assert str(caught.value.__cause__) == "it is of the period 2026-11-08"
    assert place.everything() == before


def test_a_manifest_that_names_objects_of_another_period_is_not_overwritten(place: Place) -> None:
    other = place.at("2026-11-08").upload("a")
    version = place.upload("a")
    place.publish(version, facts())
    fields = place.manifest() | {"objects": [item.model_dump() for item in other.objects]}
    place.put(place.location.manifest_uri, json.dumps(fields).encode())
    before = place.everything()

    with pytest.raises(PublishError, match="is not of this package and period") as caught:
        place.publish(version, facts(LATE))
    assert "which is not of the period" in str(caught.value.__cause__)
    assert place.everything() == before


@pytest.mark.parametrize(
    ("document", "format_field"),
    [("manifest", "manifest_format"), ("latest", "latest_format")],
)
def test_what_a_newer_release_has_written_is_left_alone_and_said(
    place: Place, document: str, format_field: str
) -> None:
    """It is not somebody else's, which would have to be moved away."""
    place.publish(place.upload("a"), facts())
    locations = {
        "manifest": place.location.manifest_uri,
        "latest": place.location.report.latest_uri,
    }
    uri = locations[document]
    fields = json.loads(place.s3.read(uri)[0])
    version = place.upload("b")
    for number, says in (
        (2, f"is of a newer release of this package, which has another {format_field}."),
        (0, "is not of this package and "),
        ("2", "is not of this package and "),
        (None, "is not of this package and "),
    ):
        place.put(uri, json.dumps(fields | {format_field: number}).encode())
        with pytest.raises(PublishError) as caught:
            place.publish(version, facts(LATE))
        assert str(caught.value).startswith(f"{uri} {says}")
        assert not caught.value.retryable
        is_newer = number == 2
        assert ("update the package here" in str(caught.value)) == is_newer
        assert ("move it away" in str(caught.value)) != is_newer


def test_a_manifest_that_is_deleted_while_it_is_followed_is_written_by_the_next_try(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = place.upload("a")
    with monkeypatch.context() as patch:
        patch.setattr(
            commit, "_update_latest", lambda *_: place.s3.delete([place.location.manifest_uri])
        )
        with pytest.raises(PublishError) as caught:
            place.publish(version, facts())
    says = "was deleted meanwhile. Clear publish to write it again."
    assert str(caught.value) == f"{place.location.manifest_uri} {says}"
    assert caught.value.retryable
    assert place.publish(version, facts()).outcome == "published"


def test_columns_that_do_not_fit_the_table_are_refused_before_anything_is_visible(
    tabled: Place,
) -> None:
    tabled.publish(tabled.upload("a"), facts(EARLY))
    new = tabled.upload("a", sql="SELECT '1' AS user_id, name FROM names")
    before = tabled.everything(), tabled.partitions()

    with pytest.raises(SchemaError, match="bigint to string"):
        tabled.publish(new, facts(LATE))
    assert (tabled.everything(), tabled.partitions()) == before


# By which S3 refuses a conditional write that another one came before.
UNDECIDED = {
    "a write under way": CONFLICT,
    "deleted meanwhile": ("NoSuchKey", "The specified key does not exist.", 404),
}


@pytest.mark.parametrize("answer", UNDECIDED)
@pytest.mark.parametrize("writes_before", [0, 1], ids=["manifest.json", "latest.json"])
def test_what_s3_does_not_write_because_of_another_writer_is_decided_anew(
    place: Place, answer: str, writes_before: int
) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    new = place.upload("b")
    answers = [*[None] * writes_before, s3_error(*UNDECIDED[answer])]

    with answered(place.s3.client, "PutObject", *answers) as requests:
        publication = place.publish(new, facts(LATE))
    assert publication.outcome == "published"
    assert place.manifest()["version"] == place.latest()["version"] == new.version
    assert len(requests) == 3


def test_a_manifest_whose_write_is_repeated_is_not_judged_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore repeats a write whose answer is lost. S3 refuses that: the object is another one."""
    place.publish(place.upload("a"), facts(EARLY, provisional=True))
    write = S3.write

    def write_twice(s3: S3, uri: str, *args: Any, **kwargs: Any) -> Any:
        write(s3, uri, *args, **kwargs)
        return write(s3, uri, *args, **kwargs)

    monkeypatch.setattr(S3, "write", write_twice)
    assert place.publish(place.upload("a"), facts(LATE)).outcome == "settled"


def test_a_conflict_at_each_attempt_is_given_up_and_may_pass(place: Place) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    new = place.upload("b")
    before = place.everything()

    conflicts = [s3_error(*CONFLICT) for _ in range(10)]
    with (
        answered(place.s3.client, "PutObject", *conflicts) as requests,
        pytest.raises(PublishError, match="was changed by others at each of 10") as caught,
    ):
        place.publish(new, facts(LATE))
    assert caught.value.retryable
    assert len(requests) == 10
    assert place.everything() == before


def test_a_manifest_that_others_change_each_time_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    body, _ = place.s3.read(place.location.manifest_uri)
    monkeypatch.setattr(S3, "read", lambda *_: (body, '"another"'))

    with pytest.raises(
        PublishError, match=r"manifest\.json was changed by others at each of 10 attempts"
    ):
        place.publish(place.upload("b"), facts(LATE))
