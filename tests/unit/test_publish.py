from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports.errors import PublishError, SchemaError
from athena_reports.publication.glue_table import Table
from athena_reports.publication.publish import Publication, follow, publish, read_manifest
from athena_reports.stage import Location, Rows, StagedVersion, stage
from athena_reports.storage import Storage, StorageError
from tests.unit.publishing import (
    EARLY,
    FORMATS,
    LATE,
    SCHEMA,
    assert_followed,
    batch,
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

_databases = count(1)


@pytest.fixture
def storage(s3: S3Client) -> Storage:
    return Storage(s3)


@pytest.fixture
def location(bucket: str) -> Location:
    return week(bucket)


@pytest.fixture(scope="session")
def new_glue_client(s3_endpoint: str) -> Callable[[], GlueClient]:
    return lambda: boto3.session.Session().client("glue", endpoint_url=s3_endpoint)


@pytest.fixture(scope="session")
def glue(new_glue_client: Callable[[], GlueClient]) -> GlueClient:
    return new_glue_client()


@pytest.fixture
def database(glue: GlueClient) -> str:
    name = f"reports_{next(_databases)}"
    glue.create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def table(glue: GlueClient, database: str, location: Location) -> Table:
    return Table(database, location, glue)


def version_now(s3: S3Client, location: Location) -> str:
    return str(read_json(s3, location.manifest_uri)["version"])


# --- the manifest


def test_the_first_publication(s3: S3Client, storage: Storage, location: Location) -> None:
    version = staged(storage, location, "a", "b")

    publication = publish(version, facts(), location=location, storage=storage)
    assert publication.outcome == "published"
    assert publication.manifest == read_complete(s3, location)
    assert publication.manifest == {
        "manifest_format": 2,
        **facts(),
        **version.to_dict(),
        "restated_at": "",
        "earlier_versions": [],
    }


def test_publishing_the_same_query_again_writes_nothing(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    publish(staged(storage, location, "a"), facts(), location=location, storage=storage)
    before = everything_at(s3, location.bucket)

    again = facts() | {"published_at": LATE}
    publication = publish(staged(storage, location, "a"), again, location=location, storage=storage)
    assert publication.outcome == "unchanged"
    assert publication.manifest["published_at"] == EARLY
    assert everything_at(s3, location.bucket) == before


CHECK = {"name": "rows", "severity": "warn", "passed": False, "message": "few", "rows": [], "value": 1}


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("provisional", True),
        ("partial", True),
        ("missing_partitions", ["dt=2026-11-15"]),
        ("checks", [CHECK]),
    ],
)
def test_the_same_query_with_other_findings_renews_the_manifest_without_a_new_version(
    s3: S3Client, storage: Storage, location: Location, fact: str, value: Any
) -> None:
    version = staged(storage, location, "a")
    publish(version, facts(), location=location, storage=storage)

    assert (
        publish(version, facts() | {fact: value}, location=location, storage=storage).outcome == "unchanged"
    )
    manifest = read_json(s3, location.manifest_uri)
    assert manifest[fact] == value
    assert (manifest["version"], manifest["earlier_versions"]) == (version.version, [])


def test_the_same_rows_of_a_later_query_make_no_new_version_and_keep_older_queries_out(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    version, other = staged(storage, location, "a"), staged(storage, location, "b")
    publish(version, facts(EARLY), location=location, storage=storage)
    assert publish(version, facts(LATE), location=location, storage=storage).outcome == "unchanged"
    manifest = read_json(s3, location.manifest_uri)
    assert (manifest["version"], manifest["earlier_versions"]) == (version.version, [])

    between = "2026-11-22T03:00:00.000+00:00"
    assert EARLY < between < LATE
    assert publish(other, facts(between), location=location, storage=storage).outcome == "superseded"
    assert version_now(s3, location) == version.version


def test_other_rows_of_a_later_query_become_current_and_the_earlier_stay(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    old, new = staged(storage, location, "a", "x"), staged(storage, location, "a", "b", "b")
    publish(old, facts(EARLY), location=location, storage=storage)

    assert publish(new, facts(LATE), location=location, storage=storage).outcome == "published"
    manifest = read_complete(s3, location)
    assert manifest["version"] == new.version
    assert manifest["earlier_versions"] == [
        {
            "version": old.version,
            "rows": 2,
            "published_at": EARLY,
            "provisional": False,
            "replaced_at": LATE,
            "difference": {"added": 2, "removed": 1},
        }
    ]
    assert {item.key for item in old.objects} <= set(everything_at(s3, location.bucket))


def test_a_query_submitted_before_the_published_one_does_not_undo_it(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    old, new = staged(storage, location, "a"), staged(storage, location, "a", "b")
    publish(new, facts(LATE), location=location, storage=storage)
    before = everything_at(s3, location.bucket)

    publication = publish(old, facts(EARLY), location=location, storage=storage)
    assert publication.outcome == "superseded"
    assert publication.manifest["version"] == new.version
    assert everything_at(s3, location.bucket) == before


def test_a_settled_version_never_turns_provisional(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    version = staged(storage, location, "a")
    publish(version, facts(EARLY, provisional=True), location=location, storage=storage)

    publication = publish(version, facts(LATE, provisional=False), location=location, storage=storage)
    assert publication.outcome == "unchanged"
    assert read_json(s3, location.manifest_uri)["provisional"] is False
    assert read_json(s3, location.manifest_uri)["query"]["submitted_at"] == LATE

    publication = publish(version, facts(EARLY, provisional=True), location=location, storage=storage)
    assert publication.outcome == "superseded"
    assert read_json(s3, location.manifest_uri)["provisional"] is False


def test_a_version_that_comes_back_is_current_again(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    a, b = staged(storage, location, "a"), staged(storage, location, "b")
    for version in (a, b, a):
        publish(version, facts(), location=location, storage=storage)

    manifest = read_complete(s3, location)
    assert manifest["version"] == a.version
    assert [earlier["version"] for earlier in manifest["earlier_versions"]] == [b.version]


def test_a_restatement_is_dated_by_the_query_that_brought_other_rows(
    storage: Storage, location: Location
) -> None:
    later = "2026-11-23T00:00:00.000+00:00"
    a, b = staged(storage, location, "a"), staged(storage, location, "b")

    def restated_at(version: StagedVersion, submitted_at: str) -> str:
        manifest = publish(version, facts(submitted_at), location=location, storage=storage).manifest
        return str(manifest["restated_at"])

    assert restated_at(a, EARLY) == ""
    assert restated_at(a, LATE) == ""
    assert restated_at(b, LATE) == LATE
    assert restated_at(b, later) == LATE


# --- what differs between versions


NAMES = st.lists(st.sampled_from([None, "", "a", "b", "1:a"]), max_size=7)


def multiset_of(*parts: Sequence[str | None]) -> Counter[tuple[int, str | None]]:
    """The rows of a version, as `batch` makes them."""
    return Counter(row for names in parts for row in enumerate(names))


def test_the_difference_counts_whole_rows_as_a_multiset(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    submitted = count(1)

    @given(NAMES, NAMES, NAMES)
    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def is_right(first: list[str | None], second: list[str | None], tail: list[str | None]) -> None:
        times = [f"2026-11-21T00:00:00.{next(submitted):03}+00:00" for _ in range(2)]
        old = stage(
            Rows(SCHEMA, iter([batch(*first)])), location=location, formats=["parquet"], storage=storage
        )
        new = stage(
            Rows(SCHEMA, iter([batch(*second), batch(*tail)])),
            location=location,
            formats=["parquet"],
            storage=storage,
        )
        publish(old, facts(times[0]), location=location, storage=storage)
        if new.version != old.version:
            manifest = publish(new, facts(times[1]), location=location, storage=storage).manifest
            before, after = multiset_of(first), multiset_of(second, tail)
            assert manifest["earlier_versions"][0]["difference"] == {
                "added": (after - before).total(),
                "removed": (before - after).total(),
            }

    is_right()


@pytest.mark.parametrize(
    ("formats", "other_formats", "expected"),
    [
        (["csv"], ["csv"], None),
        (["parquet"], ["csv"], None),
        (["csv"], ["parquet"], None),
        (["parquet"], ["parquet", "csv"], {"added": 1, "removed": 1}),
    ],
)
def test_without_parquet_on_both_sides_the_difference_is_unknown(
    storage: Storage,
    location: Location,
    formats: list[str],
    other_formats: list[str],
    expected: dict[str, int] | None,
) -> None:
    old = staged(storage, location, "a", formats=formats)
    new = staged(storage, location, "b", formats=other_formats)
    publish(old, facts(EARLY), location=location, storage=storage)

    manifest = publish(new, facts(LATE), location=location, storage=storage).manifest
    assert manifest["earlier_versions"][0]["difference"] == expected


def test_a_current_version_that_is_gone_can_be_replaced(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    old, new = staged(storage, location, "a"), staged(storage, location, "b")
    publish(old, facts(EARLY), location=location, storage=storage)
    for item in old.objects:
        s3.delete_object(Bucket=location.bucket, Key=item.key)

    publication = publish(new, facts(LATE), location=location, storage=storage)
    assert publication.outcome == "published"
    assert publication.manifest["earlier_versions"][0]["difference"] is None
    read_complete(s3, location)


def test_with_other_columns_no_row_is_the_same(storage: Storage, location: Location) -> None:
    old = staged(storage, location, "a", "b")
    wider = pa.record_batch({"user_id": [0, 1, 2], "name": ["a", "b", "c"], "more": [None, None, None]})
    new = stage(Rows(wider.schema, iter([wider])), location=location, formats=["parquet"], storage=storage)
    publish(old, facts(EARLY), location=location, storage=storage)

    manifest = publish(new, facts(LATE), location=location, storage=storage).manifest
    assert manifest["earlier_versions"][0]["difference"] == {"added": 3, "removed": 2}


def test_the_same_rows_in_another_order_are_the_same_content_if_the_order_means_nothing(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    rows = pa.Table.from_batches([batch("a", "b", "c")])
    turned = rows.take([2, 0, 1])

    def version_of(table: pa.Table, *, ordered: bool) -> StagedVersion:
        some = Rows(SCHEMA, iter(table.to_batches()), ordered=ordered)
        return stage(some, location=location, formats=["parquet"], storage=storage)

    first, other = version_of(rows, ordered=False), version_of(turned, ordered=False)
    assert first.version != other.version
    publish(first, facts(EARLY), location=location, storage=storage)
    publication = publish(other, facts(LATE), location=location, storage=storage)

    assert publication.outcome == "unchanged"
    manifest = read_complete(s3, location)
    assert (manifest["version"], manifest["query"]["submitted_at"]) == (first.version, LATE)
    assert manifest["earlier_versions"] == []
    assert manifest["objects"] == first.to_dict()["objects"]

    ordered = version_of(turned, ordered=True)
    assert publish(ordered, facts(LATE), location=location, storage=storage).outcome == "published"
    manifest = read_complete(s3, location)
    assert manifest["version"] == ordered.version
    assert manifest["ordered"] is True
    assert manifest["earlier_versions"][0]["difference"] == {"added": 0, "removed": 0}


def test_the_same_rows_without_order_in_another_format_are_a_new_version(
    storage: Storage, location: Location
) -> None:
    first = staged(storage, location, "a", "b", formats=["parquet"], ordered=False)
    other = staged(storage, location, "a", "b", formats=["parquet", "jsonl"], ordered=False)
    publish(first, facts(EARLY), location=location, storage=storage)

    assert publish(other, facts(LATE), location=location, storage=storage).outcome == "published"


# --- races


RACERS = 8


def race(
    new_s3_client: Callable[[], S3Client], location: Location, submitted: Sequence[str]
) -> list[Publication]:
    """Publish as many versions as there are times of submission, all at once."""
    storage = Storage(new_s3_client())
    versions = [staged(storage, location, f"racer {n}") for n in range(len(submitted))]
    start = Barrier(len(submitted))

    def run(number: int) -> Publication:
        start.wait()
        return publish(
            versions[number], facts(submitted[number], by=f"run-{number}"), location=location, storage=storage
        )

    with ThreadPoolExecutor(len(submitted)) as threads:
        return list(threads.map(run, range(len(submitted))))


def test_of_racing_publications_one_is_current_and_each_is_once_in_the_history(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    publications = race(new_s3_client, location, [EARLY] * RACERS)

    assert [publication.outcome for publication in publications] == ["published"] * RACERS
    manifest = read_complete(s3, location)
    listed = [manifest["version"], *(earlier["version"] for earlier in manifest["earlier_versions"])]
    assert sorted(listed) == sorted(publication.manifest["version"] for publication in publications)
    assert len(set(listed)) == RACERS
    assert read_json(s3, location.latest_uri)["version"] == manifest["version"]


def test_of_racing_publications_the_latest_query_wins(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    submitted = [f"2026-11-21T15:05:{second:02}.000+00:00" for second in (3, 7, 1, 5, 8, 2, 6, 4)]
    publications = race(new_s3_client, location, submitted)

    manifest = read_complete(s3, location)
    assert manifest["query"]["submitted_at"] == max(submitted)
    assert publications[4].outcome == "published"
    listed = [manifest["version"], *(earlier["version"] for earlier in manifest["earlier_versions"])]
    published = [found.manifest["version"] for found in publications if found.outcome == "published"]
    assert sorted(listed) == sorted(published)
    assert read_json(s3, location.latest_uri)["submitted_at"] == max(submitted)


def test_racing_publications_of_the_same_rows_publish_once(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    storage = Storage(new_s3_client())
    start = Barrier(RACERS)

    def run(number: int) -> str:
        start.wait()
        version = staged(storage, location, "the same")
        return publish(version, facts(by=f"run-{number}"), location=location, storage=storage).outcome

    with ThreadPoolExecutor(RACERS) as threads:
        outcomes = list(threads.map(run, range(RACERS)))
    assert sorted(outcomes) == ["published"] + ["unchanged"] * (RACERS - 1)
    assert read_complete(s3, location)["earlier_versions"] == []


class Lossy(Storage):
    """Loses the answer to the first write of some object, as a broken connection does."""

    lost: str | None = None

    def write(self, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> None:
        super().write(uri, body, content_type, replacing=replacing)
        if self.lost is not None and uri.endswith(self.lost):
            object.__setattr__(self, "lost", None)
            super().write(uri, body, content_type, replacing=replacing)  # refused: its own write stands there


@pytest.mark.parametrize("lost", ["manifest.json", "latest.json"])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_write_whose_answer_was_lost_counts(
    s3: S3Client, storage: Storage, location: Location, table: Table, lost: str, is_first: bool
) -> None:
    if not is_first:
        publish(
            staged(storage, location, "old"), facts(EARLY), location=location, storage=storage, table=table
        )
    lossy = Lossy(s3)
    object.__setattr__(lossy, "lost", lost)
    new = staged(storage, location, "new")

    publication = publish(new, facts(LATE), location=location, storage=lossy, table=table)
    assert lossy.lost is None
    assert publication.outcome == "published"
    manifest = read_complete(s3, location)
    assert manifest["version"] == new.version
    assert len(manifest["earlier_versions"]) == (0 if is_first else 1)
    assert_followed(s3, location, partitions_of(table.glue, table.database))


# --- what follows the manifest


def test_the_partition_and_the_latest_period_say_what_the_manifest_says(
    s3: S3Client, storage: Storage, location: Location, table: Table
) -> None:
    check = CHECK | {"passed": False}
    version = staged(storage, location, "a", "b")
    publish(version, facts(checks=[check]), location=location, storage=storage, table=table)

    partition = partitions_of(table.glue, table.database)["2026-11-15"]
    assert partition["Parameters"] == {
        "version": version.version,
        "rows": "2",
        "bytes": str(sum(item.bytes for item in version.objects)),
        "published_at": EARLY,
        "submitted_at": EARLY,
        "settles_at": LATE,
        "restated_at": "",
        "reads_previous": "true",
        "provisional": "false",
        "partial": "false",
        "start": "2026-11-15T00:00:00+00:00",
        "end": "later",
        "timezone": "UTC",
        "scanned_bytes": "20000000",
        "price_usd": "0.0001",
        "query_id": "query of run-1",
        "dag_id": "plays_weekly",
        "run_id": "run-1",
        "manifest": location.manifest_uri,
        "checks_failed": "0",
        "checks_warned": "1",
        "earlier": "0",
    }
    assert read_json(s3, location.latest_uri) == {
        "report": "plays",
        "cadence": "weekly",
        "period": facts()["period"],
        "manifest": location.manifest_key,
        "version": version.version,
        "rows": 2,
        "provisional": False,
        "partial": False,
        "published_at": EARLY,
        "submitted_at": EARLY,
    }
    assert_followed(s3, location, partitions_of(table.glue, table.database))


def test_the_latest_period_only_moves_forward(s3: S3Client, storage: Storage, bucket: str) -> None:
    def publish_week(period_id: str, name: str, submitted_at: str) -> str:
        location = week(bucket, period_id)
        version = staged(storage, location, name)
        publish(version, facts(submitted_at, period_id=period_id), location=location, storage=storage)
        latest = read_json(s3, location.latest_uri)
        assert latest["version"] == version_now(s3, week(bucket, latest["period"]["id"]))
        return str(latest["period"]["id"])

    assert publish_week("2026-11-15", "a", EARLY) == "2026-11-15"
    assert publish_week("2026-11-01", "a", LATE) == "2026-11-15"
    assert publish_week("2026-11-15", "restated", LATE) == "2026-11-15"
    assert publish_week("2026-11-22", "a", EARLY) == "2026-11-22"
    assert publish_week("2026-11-15", "restated again", LATE) == "2026-11-22"


def test_the_latest_period_follows_where_one_query_gave_two_versions(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    """A transform was changed, its task cleared, and the worker died before it came to latest.json."""
    publish(staged(storage, location, "a"), facts(), location=location, storage=storage)
    before = s3.get_object(Bucket=location.bucket, Key="plays/weekly/latest.json")["Body"].read()
    changed = staged(storage, location, "b")
    publish(changed, facts(), location=location, storage=storage)
    s3.put_object(Bucket=location.bucket, Key="plays/weekly/latest.json", Body=before)

    assert publish(changed, facts(), location=location, storage=storage).outcome == "unchanged"
    assert read_json(s3, location.latest_uri)["version"] == changed.version


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"period": null}'])
def test_a_latest_period_that_is_not_ours_is_not_overwritten(
    s3: S3Client, storage: Storage, location: Location, content: bytes
) -> None:
    key = location.latest_uri.removeprefix(f"s3://{location.bucket}/")
    s3.put_object(Bucket=location.bucket, Key=key, Body=content)

    with pytest.raises(PublishError, match=r"latest\.json is not of this package") as caught:
        publish(staged(storage, location, "a"), facts(), location=location, storage=storage)
    assert not caught.value.retryable
    assert everything_at(s3, location.bucket)[key] == content
    read_complete(s3, location)


@pytest.mark.parametrize("outcome", ["unchanged", "superseded"])
def test_a_later_run_repairs_what_a_crash_left_behind(
    s3: S3Client, storage: Storage, location: Location, table: Table, outcome: str
) -> None:
    """The manifest was flipped, and then the worker died."""
    old, new = staged(storage, location, "old"), staged(storage, location, "new")
    publish(old, facts(EARLY), location=location, storage=storage, table=table)
    publish(new, facts(LATE), location=location, storage=storage)
    s3.delete_object(Bucket=location.bucket, Key="plays/weekly/latest.json")

    again = (new, facts(LATE)) if outcome == "unchanged" else (old, facts(EARLY))
    publication = publish(again[0], again[1], location=location, storage=storage, table=table)
    assert publication.outcome == outcome
    assert version_now(s3, location) == new.version
    assert_followed(s3, location, partitions_of(table.glue, table.database))


def test_whoever_follows_an_older_manifest_notices_and_follows_the_newer(
    s3: S3Client, storage: Storage, location: Location, table: Table
) -> None:
    """A publisher that was held up between its flip and its partition."""
    old, new = staged(storage, location, "old"), staged(storage, location, "new")
    held = publish(old, facts(EARLY), location=location, storage=storage, table=table).manifest
    publish(new, facts(LATE), location=location, storage=storage, table=table)

    follow(held, location=location, storage=storage, table=table)
    assert_followed(s3, location, partitions_of(table.glue, table.database))
    assert partitions_of(table.glue, table.database)["2026-11-15"]["Parameters"]["version"] == new.version


def test_racing_publications_leave_the_partition_on_the_current_version(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location, table: Table
) -> None:
    storage = Storage(new_s3_client())
    for round_number in range(5):
        start = Barrier(3)

        def run(number: int, start: Barrier = start, round_number: int = round_number) -> str:
            version = staged(storage, location, f"round {round_number}", f"racer {number}")
            submitted_at = f"2026-11-21T15:{round_number:02}:0{number // 2}.000+00:00"
            start.wait()
            return publish(
                version, facts(submitted_at), location=location, storage=storage, table=table
            ).outcome

        with ThreadPoolExecutor(3) as threads:
            assert "published" in set(threads.map(run, range(3)))
        assert read_complete(s3, location)["query"]["submitted_at"].endswith(":01.000+00:00")
        assert_followed(s3, location, partitions_of(table.glue, table.database))


# --- nothing is published


def damage_by_other_bytes(s3: S3Client, location: Location, key: str) -> None:
    s3.put_object(Bucket=location.bucket, Key=key, Body=b"x")


def damage_by_removal(s3: S3Client, location: Location, key: str) -> None:
    s3.delete_object(Bucket=location.bucket, Key=key)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("damage", [damage_by_other_bytes, damage_by_removal])
def test_a_staged_object_that_is_damaged_is_not_published_and_staging_again_helps(
    s3: S3Client,
    storage: Storage,
    location: Location,
    table: Table,
    damage: Callable[[S3Client, Location, str], None],
    number: int,
) -> None:
    publish(staged(storage, location, "old"), facts(EARLY), location=location, storage=storage, table=table)
    new = staged(storage, location, "new")
    key = new.objects[number].key
    damage(s3, location, key)
    before = everything_at(s3, location.bucket)

    with pytest.raises(PublishError) as caught:
        publish(new, facts(LATE), location=location, storage=storage, table=table)
    assert f"s3://{location.bucket}/{key}" in str(caught.value)
    assert "Nothing was published" in str(caught.value)
    assert "clear transform" in str(caught.value)
    assert everything_at(s3, location.bucket) == before

    new = staged(storage, location, "new")
    assert publish(new, facts(LATE), location=location, storage=storage, table=table).outcome == "published"


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"manifest_format": 1, "period": {"id": "2026-11-15"}}',
        b'{"manifest_format": 2, "period": {"id": "2026-11-15"}}',
        json.dumps(
            {
                "manifest_format": 2,
                **facts(period_id="2026-11-08"),
                "version": "v",
                "ordered": True,
                "rows": 0,
                "columns": [],
                "objects": [],
                "restated_at": "",
                "earlier_versions": [],
            }
        ).encode(),
    ],
)
def test_a_manifest_that_is_not_ours_is_not_overwritten(
    s3: S3Client, storage: Storage, location: Location, content: bytes
) -> None:
    s3.put_object(Bucket=location.bucket, Key=location.manifest_key, Body=content)
    version = staged(storage, location, "a")
    before = everything_at(s3, location.bucket)

    with pytest.raises(PublishError, match="is no manifest of this package and period") as caught:
        publish(version, facts(), location=location, storage=storage)
    assert location.manifest_uri in str(caught.value)
    assert not caught.value.retryable
    assert everything_at(s3, location.bucket) == before


def test_without_the_bucket_publishing_says_so(storage: Storage, location: Location) -> None:
    version = staged(storage, location, "a")

    with pytest.raises(StorageError, match=r"s3://no-such-bucket/.*Create the bucket"):
        publish(version, facts(), location=week("no-such-bucket"), storage=storage)


def test_columns_that_do_not_fit_the_table_are_refused_before_anything_is_visible(
    s3: S3Client, storage: Storage, location: Location, table: Table
) -> None:
    publish(staged(storage, location, "a"), facts(EARLY), location=location, storage=storage, table=table)
    other = pa.record_batch({"user_id": ["1"], "name": ["a"]})
    new = stage(Rows(other.schema, iter([other])), location=location, formats=FORMATS, storage=storage)
    before = everything_at(s3, location.bucket), partitions_of(table.glue, table.database)

    with pytest.raises(SchemaError, match="bigint into string"):
        publish(new, facts(LATE), location=location, storage=storage, table=table)
    assert (everything_at(s3, location.bucket), partitions_of(table.glue, table.database)) == before


class RefusingS3:
    """A client of S3 whose calls of one kind fail as long as told, before S3 gets them."""

    def __init__(self, client: S3Client, call: str, error: Exception) -> None:
        self.error: Exception | None = error

        def refuse(**_: Any) -> None:
            if self.error is not None:
                raise self.error

        client.meta.events.register(f"before-call.s3.{call}", refuse)


def refusal(code: str, status: int, operation: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "refused"},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        operation,
    )


@pytest.mark.parametrize("call", ["PutObject", "ListObjectsV2", "GetObject"])
@pytest.mark.parametrize(
    ("error", "retryable", "says"),
    [
        (refusal("SlowDown", 503, "x"), True, "refused"),
        (EndpointConnectionError(endpoint_url="http://s3"), True, "Could not connect"),
        (refusal("AccessDenied", 403, "x"), False, "ATHENA_REPORTS_BUCKET_OWNER"),
    ],
    ids=["503", "no connection", "denied or somebody else's bucket"],
)
def test_a_refused_call_says_what_to_do_and_a_repetition_succeeds(
    s3: S3Client,
    new_s3_client: Callable[[], S3Client],
    location: Location,
    call: str,
    error: Exception,
    retryable: bool,
    says: str,
) -> None:
    client = new_s3_client()
    refusing = RefusingS3(client, call, error)
    storage = Storage(client)

    def run() -> Publication:
        return publish(staged(storage, location, "a"), facts(), location=location, storage=storage)

    with pytest.raises(StorageError, match=says) as caught:
        run()
    assert caught.value.retryable is retryable
    assert f"s3://{location.bucket}/plays/weekly/" in str(caught.value)
    assert location.manifest_key not in everything_at(s3, location.bucket)

    refusing.error = None
    assert run().outcome == "published"
    read_complete(s3, location)


def test_a_manifest_that_others_change_each_time_is_given_up(
    storage: Storage, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = staged(storage, location, "a")
    publish(version, facts(EARLY), location=location, storage=storage)
    monkeypatch.setattr(
        "athena_reports.publication.publish.read_manifest",
        lambda *_: (read_manifest(location, storage)[0], '"another"'),
    )

    with pytest.raises(PublishError, match=r"manifest\.json was changed by others at each of 10 attempts"):
        publish(staged(storage, location, "b"), facts(LATE), location=location, storage=storage)


def test_a_full_disk_while_versions_are_compared_is_said_and_publishes_nothing(
    s3: S3Client, storage: Storage, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(staged(storage, location, "a"), facts(EARLY), location=location, storage=storage)
    new = staged(storage, location, "b")
    before = everything_at(s3, location.bucket)

    def download(self: Storage, uri: str, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Storage, "download", download)
    with pytest.raises(PublishError, match="no space left on the worker's disk"):
        publish(new, facts(LATE), location=location, storage=storage)
    assert everything_at(s3, location.bucket) == before


# --- how many calls it takes


@pytest.fixture
def calls(new_s3_client: Callable[[], S3Client], new_glue_client: Callable[[], GlueClient]) -> Calls:
    return Calls(new_s3_client(), new_glue_client())


class Calls:
    """Clients of S3 and Glue that note what they send."""

    def __init__(self, s3: S3Client, glue: GlueClient) -> None:
        self.s3, self.glue = s3, glue
        self.made: list[str] = []
        for client in (s3, glue):
            client.meta.events.register("before-send", self._note)

    def _note(self, request: Any, event_name: str, **_: Any) -> None:
        self.made.append(event_name.rpartition(".")[2])

    def take(self) -> list[str]:
        made, self.made = self.made, []
        return made


FIRST = [
    *["PutObject"] * 2,
    "ListObjectsV2",
    "GetObject",
    "GetTable",
    "CreateTable",
    "PutObject",
    "CreatePartition",
    "GetObject",
    "PutObject",
    "GetObject",
]
RESTATED = [
    *["PutObject"] * 2,
    "ListObjectsV2",
    "GetObject",
    "GetTable",
    *["GetObject"] * 2,
    "PutObject",
    "UpdatePartition",
    "PutObject",
    "GetObject",
]
READS_OF_THE_RESULT = 1


def test_a_ranking_takes_at_most_twelve_calls(calls: Calls, location: Location, database: str) -> None:
    """From the finished query to the published period: with one read of the result."""
    storage, table = Storage(calls.s3), Table(database, location, calls.glue)

    def run(name: str, submitted_at: str) -> list[str]:
        version = staged(storage, location, *[f"{name} {n}" for n in range(100)])
        publish(version, facts(submitted_at), location=location, storage=storage, table=table)
        return calls.take()

    assert run("first", EARLY) == FIRST
    assert run("restated", LATE) == RESTATED
    assert len(run("restated", LATE)) < len(RESTATED)
    assert max(len(FIRST), len(RESTATED)) + READS_OF_THE_RESULT <= 12
