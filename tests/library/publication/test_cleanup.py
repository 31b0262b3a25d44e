from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.publication.cleanup import RetentionPolicy, Summary, clean_up, plan
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import EarlierVersion, Manifest, Version
from athena_reports.s3 import S3, StoredObject
from tests.library.publication.publishing import Place, assert_followed, facts, week

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
LOCATION = week("reports")
POLICY = RetentionPolicy(keep_versions=2, keep_days=90, abandoned_after_days=7)


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def named(version: str) -> str:
    """The name of a version that is called so here."""
    return hashlib.sha256(version.encode()).hexdigest()[:16]


def stored(version: str, days: float, *, format: str = "parquet") -> StoredObject:
    uri = LOCATION.uri(LOCATION.object_key(named(version), format))
    return StoredObject(uri=uri, bytes=10, etag='"etag"', modified=ago(days))


def manifest(current: str, *earlier: tuple[str, float]) -> Manifest:
    """A manifest with its current version and the earlier ones, each replaced so many days ago."""
    return Manifest(
        manifest_format=1,
        **dict(facts()),
        version=named(current),
        ordered=True,
        rows=1,
        columns=(),
        objects=(),
        earlier_versions=tuple(
            EarlierVersion(
                version=named(version),
                rows=1,
                published_at="",
                provisional=False,
                replaced_at=ago(days).isoformat(timespec="milliseconds"),
                difference=None,
            )
            for version, days in earlier
        ),
    )


def removed(objects: Sequence[StoredObject], found: Manifest | None, policy: RetentionPolicy = POLICY) -> set[str]:
    planned = plan(sorted(objects, key=lambda item: item.uri), found, location=LOCATION, policy=policy, now=NOW)
    calling = {named(version): version for version in [*"abcdefgh", "current", "old", "new"]}
    return {calling[removal.uri.split("/")[7]] for removal in planned}


# --- the plan


def test_only_what_is_past_both_limits_goes() -> None:
    found = manifest("e", ("d", 100), ("c", 200), ("b", 300), ("a", 400))
    objects = [stored(version, 500) for version in "abcde"]

    assert removed(objects, found) == {"a", "b"}
    assert removed(objects, found, RetentionPolicy(keep_versions=0, keep_days=250)) == {"a", "b"}
    assert removed(objects, found, RetentionPolicy(keep_versions=3, keep_days=1)) == {"a"}
    assert removed(objects, found, RetentionPolicy(keep_versions=9, keep_days=1)) == set()


def test_a_version_that_was_current_for_long_stays_so_long_after_it_was_replaced() -> None:
    found = manifest("b", ("a", 10))

    assert removed([stored("a", 400), stored("b", 9)], found, RetentionPolicy(keep_versions=0)) == set()


def test_what_was_uploaded_and_never_published_goes_after_a_while() -> None:
    objects = [stored("current", 400), stored("old", 8), stored("new", 6)]

    assert removed(objects, manifest("current")) == {"old"}
    assert removed(objects, None) == {"current", "old"}


def test_a_version_goes_whole_or_not_at_all() -> None:
    half_renewed = [stored("old", 30), stored("old", 0.9, format="csv")]

    assert removed(half_renewed, None, RetentionPolicy(abandoned_after_days=1)) == set()
    whole = [stored("old", 30), stored("old", 29, format="csv")]
    planned = plan(whole, None, location=LOCATION, policy=POLICY, now=NOW)
    assert {removal.uri for removal in planned} == {item.uri for item in whole}
    assert sum(removal.bytes for removal in planned) == 20
    assert all(f"version {named('old')} was uploaded at 2026-10-26" in removal.reason for removal in planned)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 400)), max_size=12),
    st.permutations("abcdefgh"),
    st.integers(0, 7),
    st.lists(st.floats(0, 400), min_size=8, max_size=8),
    st.integers(0, 4),
    st.integers(1, 200),
    st.integers(1, 30),
    st.booleans(),
)
def test_what_must_stay_stays(
    written: list[tuple[str, float]],
    order: list[str],
    known: int,
    replaced: list[float],
    keep_versions: int,
    keep_days: int,
    abandoned: int,
    has_manifest: bool,
) -> None:
    """Against an oracle in sets: what goes is what no rule keeps."""
    history = list(zip(order[1 : known + 1], sorted(replaced), strict=False))
    found = manifest(order[0], *history) if has_manifest else None
    objects = [stored(version, days) for version, days in written]
    youngest = {version: min(days for v, days in written if v == version) for version, _ in written}

    kept = {version for version, days in youngest.items() if days <= 1}
    if has_manifest:
        kept |= {order[0]}
        kept |= {version for version, _ in history[:keep_versions]}
        kept |= {version for version, days in history if days <= keep_days}
        published = {version for version, _ in history}
    else:
        published = set()
    kept |= {version for version, days in youngest.items() if days <= abandoned and version not in published}
    policy = RetentionPolicy(keep_versions=keep_versions, keep_days=keep_days, abandoned_after_days=abandoned)
    assert removed(objects, found, policy) == set(youngest) - kept


@pytest.mark.parametrize(
    "key",
    [
        "plays/weekly/2026-11-15/manifest.json",
        "plays/weekly/2026-11-15/notes/versions/{old}/parquet/part-0.parquet",
        "plays/weekly/2026-11-15/versions/read-me.txt",
        "plays/weekly/2026-11-15/versions/1.0/parquet/part-0.parquet",
        "plays/weekly/2026-11-15/versions/{old}/read-me.txt",
        "plays/weekly/2026-11-15/versions/{old}/parquet/part-0.csv",
        "plays/weekly/2026-11-15/versions/{old}/parquet/part-0.parquet/copy",
        "plays/weekly/2026-11-08/versions/{old}/parquet/part-0.parquet",
        "plays/weekly/2026-11-15-copy/versions/{old}/parquet/part-0.parquet",
        "plays/daily/2026-11-15/versions/{old}/parquet/part-0.parquet",
        "others/plays/weekly/2026-11-15/versions/{old}/parquet/part-0.parquet",
    ],
)
def test_nothing_outside_the_versions_of_the_period_is_touched(key: str) -> None:
    uri = f"s3://reports/{key.format(old=named('old'))}"
    item = StoredObject(uri=uri, bytes=10, etag='"etag"', modified=ago(1_000))

    assert plan([item], None, location=LOCATION, policy=RetentionPolicy(), now=NOW) == []


@pytest.mark.parametrize(
    "numbers",
    [{"keep_versions": -1}, {"keep_days": 0}, {"abandoned_after_days": 0}],
)
def test_a_policy_that_cannot_be_meant_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="RetentionPolicy"):
        RetentionPolicy(**numbers)


# --- the pass


def later(days: float) -> dt.datetime:
    """What was written now is so old then."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def published(place: Place, name: str, number: int = 1) -> Version:
    at = f"2026-11-21T00:00:00.{number:03}+00:00"
    version = place.upload(name)
    now = dt.datetime.now(dt.UTC).isoformat()
    place.publish(version, facts(at, period_id=place.location.period_id, published_at=now))
    return version


def cleaned(place: Place, days: float = 0, *, s3: S3 | None = None, **options: Any) -> Summary:
    summary = Summary()
    options.setdefault("policy", RetentionPolicy())
    clean_up(place.location, summary, s3=s3 or place.s3, table=place.table, now=later(days), **options)
    return summary


def test_a_dry_run_lists_what_deleting_then_deletes_and_the_period_stays_whole(place: Place) -> None:
    versions = [published(place, name, n) for n, name in enumerate("abcd")]
    abandoned = place.upload("never published")
    other_report = Place(place.s3, Location(place.location.bucket, "plays", "weekly2", "2026-11-15")).upload("x")
    before = place.everything()
    policy = RetentionPolicy(keep_versions=1, keep_days=90, abandoned_after_days=7)

    assert cleaned(place, 0.9, policy=policy, delete=True).removals == []
    dry = cleaned(place, 91, policy=policy)
    assert place.everything() == before
    done = cleaned(place, 91, policy=policy, delete=True)
    assert (done.removals, done.periods, done.problems) == (dry.removals, 1, [])
    after = place.everything()
    gone = {item.key for version in (*versions[:2], abandoned) for item in version.objects}
    assert set(before) - set(after) == gone == {removal.uri.split("/", 3)[3] for removal in done.removals}
    assert {item.key for item in other_report.objects} <= set(after)
    assert place.manifest()["version"] == versions[-1].version
    assert len(place.manifest()["earlier_versions"]) == 3
    assert cleaned(place, 91, policy=policy).removals == []


def test_a_period_whose_manifest_is_not_ours_is_left_alone_and_said(place: Place) -> None:
    foreign = place.at("2026-11-08")
    foreign.upload("a")
    foreign.put(foreign.location.manifest_key, b"{}")
    published(place, "a", 1)
    published(place, "b", 2)

    summary = cleaned(place, 100, policy=RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
    assert summary.periods == 2
    assert [foreign.location.manifest_uri in problem for problem in summary.problems] == [True]
    assert {removal.uri.split("/")[5] for removal in summary.removals} == {"2026-11-15"}
    assert len([key for key in place.everything() if key.startswith(foreign.location.prefix)]) == 3


def test_what_glue_names_stays_where_the_manifest_is_missing(tabled: Place) -> None:
    current = published(tabled, "current")
    tabled.upload("never published")
    tabled.s3.delete([tabled.location.manifest_uri])

    summary = cleaned(tabled, 100, delete=True)
    assert len(summary.removals) == 2
    assert {item.key for item in current.objects} <= set(tabled.everything())
    (problem,) = summary.problems
    assert f"{tabled.location.manifest_uri} is missing, but the period is in Glue" in problem


def test_a_refusal_of_glue_is_said_and_ends_no_other_work(tabled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tabled, "a", 1)
    published(tabled, "b", 2)
    lost = tabled.at("2026-11-08")
    lost.upload("never published, as long as Glue does not say so")
    assert tabled.table is not None

    class Refusing:
        def paginate(self, **_: Any) -> Iterator[None]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetPartitions")
            yield

    monkeypatch.setattr(tabled.table.glue, "get_paginator", lambda _: Refusing())
    summary = cleaned(tabled, 100, policy=RetentionPolicy(keep_versions=0), delete=True)
    assert {removal.uri.split("/")[5] for removal in summary.removals} == {"2026-11-15"}
    (problem,) = summary.problems
    assert "its partitions cannot be listed" in problem
    tabled.manifest()


def test_a_version_that_is_uploaded_anew_after_the_listing_is_not_removed(place: Place) -> None:
    """The run that uploads it comes between the listing of everything and the second look."""
    published(place, "current")
    old = place.upload("coming back")

    class Renewing(S3):
        def list(self, prefix_uri: str) -> Any:
            for item in super().list(prefix_uri):
                is_first_look = prefix_uri == place.location.folder_uri
                yield item.model_copy(update={} if is_first_look else {"modified": later(100)})

    assert cleaned(place, 100, s3=Renewing(place.s3.client), delete=True).removals == []
    assert {item.key for item in old.objects} <= set(place.everything())


def test_partitions_and_the_latest_period_follow(tabled: Place) -> None:
    places = [tabled.at(period_id) for period_id in ("2026-11-01", "2026-11-08", "2026-11-15", "2026-11-22")]
    followed, moved, stale, missing = places
    for place in (followed, moved, stale):
        published(place, "a")
    published(stale.without_table(), "b", 2)
    published(missing.without_table(), "a")
    tabled.s3.delete([tabled.location.latest_uri])
    assert tabled.table is not None
    found = tabled.partitions()["2026-11-08"]
    descriptor = {**found["StorageDescriptor"], "Location": "s3://elsewhere/"}
    of_crawler = {**tabled.partitions()["2026-11-01"]["Parameters"], "of_a_crawler": "yes"}
    put_partition(tabled, "2026-11-08", descriptor, found["Parameters"])
    put_partition(tabled, "2026-11-01", tabled.partitions()["2026-11-01"]["StorageDescriptor"], of_crawler)

    repaired = [f"plays/weekly/{place.location.period_id}" for place in (moved, stale, missing)]
    assert cleaned(tabled).repaired == repaired
    for place in places:
        assert_followed(place.s3.client, place.location, place.partitions(), is_latest=place is missing)
    assert tabled.latest()["period"]["id"] == "2026-11-22"
    assert cleaned(tabled).repaired == []


def put_partition(place: Place, period_id: str, descriptor: Any, parameters: dict[str, str]) -> None:
    assert place.table is not None
    place.table.glue.update_partition(
        DatabaseName=place.table.database,
        TableName=place.table.name,
        PartitionValueList=[period_id],
        PartitionInput={"Values": [period_id], "StorageDescriptor": descriptor, "Parameters": parameters},
    )


def test_the_latest_period_is_repaired_without_a_table(place: Place) -> None:
    published(place.at("2026-11-08"), "a")
    before = place.everything()["plays/weekly/latest.json"]
    published(place, "a")
    place.put("plays/weekly/latest.json", before)

    cleaned(place)
    assert place.latest()["period"]["id"] == "2026-11-15"


def test_where_nothing_is_published_there_is_nothing_to_do(place: Place) -> None:
    assert cleaned(place, delete=True) == Summary()
