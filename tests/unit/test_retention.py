from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.publication.cleanup import Policy, Removal, plan, upkeep
from athena_reports.publication.glue_table import Table
from athena_reports.publication.publish import publish
from athena_reports.stage import Location, StagedVersion
from athena_reports.storage import Storage, StoredObject
from tests.unit.publishing import (
    assert_followed,
    everything_at,
    facts,
    partitions_of,
    read_complete,
    read_json,
    staged,
    week,
)

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
LOCATION = week("reports")
POLICY = Policy(keep_versions=2, keep_days=90, abandoned_after_days=7)
_databases = count(1)


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def named(version: str) -> str:
    """The name of a version that is called so here."""
    return hashlib.sha256(version.encode()).hexdigest()[:16]


def stored(version: str, days: float, *, format: str = "parquet") -> StoredObject:
    return StoredObject(LOCATION.uri(LOCATION.object_key(named(version), format)), 10, '"etag"', ago(days))


def manifest(current: str, *earlier: tuple[str, float]) -> dict[str, Any]:
    """A manifest with its current version and the earlier ones, each replaced so many days ago."""
    return {
        "version": named(current),
        "earlier_versions": [
            {"version": named(version), "replaced_at": ago(days).isoformat(timespec="milliseconds")}
            for version, days in earlier
        ],
    }


def removed(
    objects: Sequence[StoredObject], found: dict[str, Any] | None, policy: Policy = POLICY
) -> set[str]:
    planned = plan(
        sorted(objects, key=lambda item: item.uri), found, location=LOCATION, policy=policy, now=NOW
    )
    calling = {named(version): version for version in [*"abcdefgh", "current", "old", "new"]}
    return {calling[removal.uri.split("/")[7]] for removal in planned}


# --- the plan


def test_only_what_is_past_both_limits_goes() -> None:
    found = manifest("e", ("d", 100), ("c", 200), ("b", 300), ("a", 400))
    objects = [stored(version, 500) for version in "abcde"]

    assert removed(objects, found) == {"a", "b"}
    assert removed(objects, found, Policy(keep_versions=0, keep_days=250)) == {"a", "b"}
    assert removed(objects, found, Policy(keep_versions=3, keep_days=1)) == {"a"}
    assert removed(objects, found, Policy(keep_versions=9, keep_days=1)) == set()


def test_a_version_that_was_current_for_long_stays_so_long_after_it_was_replaced() -> None:
    found = manifest("b", ("a", 10))

    assert removed([stored("a", 400), stored("b", 9)], found, Policy(keep_versions=0)) == set()


def test_what_was_staged_and_never_published_goes_after_a_while() -> None:
    objects = [stored("current", 400), stored("old", 8), stored("new", 6)]

    assert removed(objects, manifest("current")) == {"old"}
    assert removed(objects, None) == {"current", "old"}


def test_a_version_goes_whole_or_not_at_all() -> None:
    half_renewed = [stored("old", 30), stored("old", 0.9, format="csv")]

    assert removed(half_renewed, None, Policy(abandoned_after_days=1)) == set()
    whole = [stored("old", 30), stored("old", 29, format="csv")]
    planned = plan(whole, None, location=LOCATION, policy=POLICY, now=NOW)
    assert {removal.uri for removal in planned} == {item.uri for item in whole}
    assert sum(removal.bytes for removal in planned) == 20
    assert all(f"version {named('old')} was staged at 2026-10-26" in removal.reason for removal in planned)


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
    assert removed(objects, found, Policy(keep_versions, keep_days, abandoned)) == set(youngest) - kept


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
    item = StoredObject(f"s3://reports/{key.format(old=named('old'))}", 10, '"etag"', ago(1_000))

    assert plan([item], None, location=LOCATION, policy=Policy(), now=NOW) == []


@pytest.mark.parametrize(
    "numbers",
    [{"keep_versions": -1}, {"keep_days": 0}, {"abandoned_after_days": 0}],
)
def test_a_policy_that_cannot_be_meant_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Policy"):
        Policy(**numbers)


# --- upkeep


@pytest.fixture
def storage(s3: S3Client) -> Storage:
    return Storage(s3)


@pytest.fixture
def table(bucket: str, s3_endpoint: str) -> Table:
    glue: GlueClient = boto3.session.Session().client("glue", endpoint_url=s3_endpoint)
    database = f"kept_{next(_databases)}"
    glue.create_database(DatabaseInput={"Name": database})
    return Table(database, week(bucket), glue)


def later(days: float) -> dt.datetime:
    """What was written now is so old then."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def published(
    storage: Storage, location: Location, name: str, number: int, table: Table | None = None
) -> StagedVersion:
    at = f"2026-11-21T00:00:00.{number:03}+00:00"
    version = staged(storage, location, name)
    publish(
        version,
        facts(at, period_id=location.period_id) | {"published_at": dt.datetime.now(dt.UTC).isoformat()},
        location=location,
        storage=storage,
        table=table,
    )
    return version


def test_a_dry_run_lists_what_deleting_then_deletes_and_the_period_stays_whole(
    s3: S3Client, storage: Storage, bucket: str
) -> None:
    location = week(bucket)
    versions = [published(storage, location, name, n) for n, name in enumerate("abcd")]
    abandoned = staged(storage, location, "never published")
    other_report = staged(storage, Location(bucket, "plays", "weekly2", "2026-11-15"), "x")
    before = everything_at(s3, bucket)
    policy = Policy(keep_versions=1, keep_days=90, abandoned_after_days=7)

    young = upkeep(location, storage=storage, table=None, policy=policy, now=later(0.9), delete=True)
    assert young.removals == []
    dry = upkeep(location, storage=storage, table=None, policy=policy, now=later(91))
    assert everything_at(s3, bucket) == before
    assert not dry.deleted
    done = upkeep(location, storage=storage, table=None, policy=policy, now=later(91), delete=True)
    assert done.deleted
    assert (done.removals, done.periods, done.problems) == (dry.removals, 1, [])
    after = everything_at(s3, bucket)
    gone = {item.key for version in (*versions[:2], abandoned) for item in version.objects}
    assert set(before) - set(after) == gone == {key_of(removal) for removal in done.removals}
    assert {item.key for item in other_report.objects} <= set(after)
    assert read_complete(s3, location)["version"] == versions[-1].version
    assert len(read_complete(s3, location)["earlier_versions"]) == 3
    assert upkeep(location, storage=storage, table=None, policy=policy, now=later(91)).removals == []


def key_of(removal: Removal) -> str:
    return removal.uri.split("/", 3)[3]


def test_a_period_whose_manifest_is_not_ours_is_left_alone_and_said(
    s3: S3Client, storage: Storage, bucket: str
) -> None:
    foreign, ours = week(bucket, "2026-11-08"), week(bucket, "2026-11-15")
    staged(storage, foreign, "a")
    s3.put_object(Bucket=bucket, Key=foreign.manifest_key, Body=b"{}")
    published(storage, ours, "a", 1)
    published(storage, ours, "b", 2)

    summary = upkeep(
        ours,
        storage=storage,
        table=None,
        policy=Policy(keep_versions=0, keep_days=1),
        now=later(100),
        delete=True,
    )
    assert summary.periods == 2
    assert [foreign.manifest_uri in problem for problem in summary.problems] == [True]
    assert {removal.uri.split("/")[5] for removal in summary.removals} == {"2026-11-15"}
    assert len([key for key in everything_at(s3, bucket) if key.startswith(foreign.prefix)]) == 3


def test_a_version_that_is_staged_anew_after_the_listing_is_not_removed(
    s3: S3Client, storage: Storage, bucket: str
) -> None:
    """The run that stages it comes between the listing of everything and the second look."""
    location = week(bucket)
    published(storage, location, "current", 1)
    old = staged(storage, location, "coming back")

    class Restaging(Storage):
        def list(self, prefix_uri: str) -> Any:
            for item in super().list(prefix_uri):
                is_first_look = prefix_uri == location.folder_uri
                modified = item.modified if is_first_look else later(100)
                yield StoredObject(item.uri, item.bytes, item.etag, modified)

    summary = upkeep(
        location, storage=Restaging(s3), table=None, policy=Policy(), now=later(100), delete=True
    )
    assert summary.removals == []
    assert {item.key for item in old.objects} <= set(everything_at(s3, bucket))


def test_upkeep_lets_partitions_and_the_latest_period_follow(
    s3: S3Client, storage: Storage, bucket: str, table: Table
) -> None:
    weeks = [week(bucket, period_id) for period_id in ("2026-11-01", "2026-11-08", "2026-11-15")]
    followed, stale, missing = weeks
    published(storage, followed, "a", 1, table)
    published(storage, stale, "a", 1, table)
    published(storage, stale, "b", 2)
    published(storage, missing, "a", 1)
    s3.delete_object(Bucket=bucket, Key="plays/weekly/latest.json")

    def run() -> Any:
        return upkeep(weeks[0], storage=storage, table=table, policy=Policy(), now=later(0))

    assert list(run().repaired) == ["2026-11-08", "2026-11-15"]
    partitions = partitions_of(table.glue, table.database)
    for location in weeks:
        assert_followed(s3, location, partitions, is_latest=location is missing)
    assert read_json(s3, missing.latest_uri)["period"]["id"] == "2026-11-15"
    assert list(run().repaired) == []


def test_the_latest_period_is_repaired_without_a_table(s3: S3Client, storage: Storage, bucket: str) -> None:
    first, second = week(bucket, "2026-11-08"), week(bucket, "2026-11-15")
    published(storage, first, "a", 1)
    before = s3.get_object(Bucket=bucket, Key="plays/weekly/latest.json")["Body"].read()
    published(storage, second, "a", 1)
    s3.put_object(Bucket=bucket, Key="plays/weekly/latest.json", Body=before)

    upkeep(first, storage=storage, table=None, policy=Policy(), now=later(0))
    assert read_json(s3, first.latest_uri)["period"]["id"] == "2026-11-15"


def test_where_nothing_is_published_there_is_nothing_to_do(storage: Storage, bucket: str) -> None:
    summary = upkeep(week(bucket), storage=storage, table=None, policy=Policy(), now=later(0), delete=True)

    assert (summary.periods, summary.removals, summary.repaired) == (0, [], [])


def test_what_a_partition_says_besides_is_no_difference(
    s3: S3Client, storage: Storage, bucket: str, table: Table
) -> None:
    location = week(bucket)
    published(storage, location, "a", 1, table)
    partition = partitions_of(table.glue, table.database)["2026-11-15"]
    table.glue.update_partition(
        DatabaseName=table.database,
        TableName=table.name,
        PartitionValueList=["2026-11-15"],
        PartitionInput={
            "Values": ["2026-11-15"],
            "StorageDescriptor": partition["StorageDescriptor"],
            "Parameters": {**partition["Parameters"], "of_a_crawler": "yes"},
        },
    )

    summary = upkeep(location, storage=storage, table=table, policy=Policy(), now=later(0))
    assert summary.repaired == []
