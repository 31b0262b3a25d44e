from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports import publish as module
from athena_reports.errors import PublishError
from athena_reports.publish import Location, Publication, StagedVersion, publish, stage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = pa.schema([("user_id", pa.int64()), ("name", pa.string())])
FORMATS = ("parquet", "csv")
EARLY, LATE = "2026-11-21T15:05:01.000+00:00", "2026-11-22T15:05:01.000+00:00"


@pytest.fixture
def location(bucket: str) -> Location:
    return Location(bucket, "plays", "weekly", "2026-11-15")


def rows(*names: str | None) -> Iterator[pa.RecordBatch]:
    return iter([pa.RecordBatch.from_pydict({"user_id": range(len(names)), "name": names}, schema=SCHEMA)])


def facts(submitted_at: str = EARLY, *, provisional: bool = False, by: str = "run-1") -> dict[str, Any]:
    return {
        "report": "plays",
        "environment": "dev",
        "period": {"id": "2026-11-15"},
        "provisional": provisional,
        "published_at": submitted_at,
        "query": {"id": f"query of {by}", "submitted_at": submitted_at},
        "run": {"dag_id": "plays_weekly", "run_id": by},
        "code_version": "1",
    }


def staged(s3: S3Client, location: Location, *names: str | None) -> StagedVersion:
    return stage(rows(*names), location=location, formats=FORMATS, s3=s3)


def manifest_at(s3: S3Client, location: Location) -> dict[str, Any]:
    body = s3.get_object(Bucket=location.bucket, Key=location.manifest_key)["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


def everything_at(s3: S3Client, location: Location) -> dict[str, bytes]:
    """Every object of the bucket, by key."""
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=location.bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=location.bucket, Key=key)["Body"].read() for key in keys}


def assert_complete(s3: S3Client, location: Location) -> str:
    """What a reader of the manifest finds is whole; returns the version."""
    manifest = manifest_at(s3, location)
    objects = everything_at(s3, location)
    assert manifest["objects"]
    for named in manifest["objects"]:
        content = objects[named["key"]]
        assert len(content) == named["bytes"]
        assert hashlib.sha256(content).hexdigest() == named["sha256"]
    return str(manifest["version"])


# --- staging


def test_what_is_staged_are_the_rows_in_each_format(s3: S3Client, location: Location) -> None:
    names = ["a,b", 'say "x"', "line\nbreak", "東京 🎌", "", None]
    version = staged(s3, location, *names)

    objects = everything_at(s3, location)
    prefix = f"plays/weekly/2026-11-15/versions/{version.version}"
    assert set(objects) == {f"{prefix}/parquet/part-0.parquet", f"{prefix}/csv/part-0.csv"}
    table = pq.read_table(io.BytesIO(objects[f"{prefix}/parquet/part-0.parquet"]))
    assert table.schema.equals(SCHEMA)
    assert table["name"].to_pylist() == names
    csv = pa_csv.read_csv(
        io.BytesIO(objects[f"{prefix}/csv/part-0.csv"]),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert csv["name"].to_pylist() == names
    assert csv["user_id"].to_pylist() == list(range(6))


def test_the_facts_of_a_version_are_those_of_its_objects(s3: S3Client, location: Location) -> None:
    version = staged(s3, location, "a", None)

    assert version.rows == 2
    assert list(version.columns) == [
        {"name": "user_id", "type": "int64"},
        {"name": "name", "type": "string"},
    ]
    contents = everything_at(s3, location)
    for item in version.objects:
        assert (item.bytes, item.sha256) == (
            len(contents[item.key]),
            hashlib.sha256(contents[item.key]).hexdigest(),
        )
    assert StagedVersion.from_dict(json.loads(json.dumps(version.to_dict()))) == version


def cut(table: pa.Table, sizes: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The rows of a table in batches of the given sizes, each before an empty one, the rest as it comes."""
    begin = 0
    for size in sizes:
        yield from table.slice(begin, size).combine_chunks().to_batches()
        yield pa.RecordBatch.from_pylist([], schema=table.schema)
        begin += size
    yield from table.slice(begin).to_batches()


LARGE = pa.table(
    {"user_id": range(60_000), "name": [f"user {n * 7919 % 60_013} of many" for n in range(60_000)]},
    schema=SCHEMA,
)


@pytest.mark.parametrize("group_rows", [1 << 20, 25_000])
def test_the_bytes_do_not_depend_on_how_the_result_was_cut(
    s3: S3Client, location: Location, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    """Enough rows for several pages, in one row group and in three."""
    monkeypatch.setattr(module, "_ROW_GROUP_ROWS", group_rows)

    @given(st.lists(st.integers(0, 20_000), max_size=6))
    @settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def versions_agree(sizes: list[int]) -> None:
        version = stage(cut(LARGE, sizes), location=location, formats=FORMATS, s3=s3)
        assert version == whole

    whole = stage(iter(LARGE.to_batches()), location=location, formats=FORMATS, s3=s3)
    versions_agree()
    assert whole.rows == 60_000
    key = location.object_key(whole.version, "parquet")
    file = pq.ParquetFile(io.BytesIO(everything_at(s3, location)[key]))
    assert file.num_row_groups == -(-60_000 // group_rows)
    assert file.read().equals(LARGE)


def test_other_rows_or_formats_are_another_version(s3: S3Client, location: Location) -> None:
    versions = [
        stage(rows(*names), location=location, formats=formats, s3=s3).version
        for names, formats in [
            (("a", "b"), FORMATS),
            (("b", "a"), FORMATS),
            (("a",), FORMATS),
            (("a", None), FORMATS),
            (("a", ""), FORMATS),
            (("a", "b"), ["csv"]),
            (("a", "b"), ["parquet"]),
        ]
    ]

    assert len(set(versions)) == len(versions)


def test_the_order_in_which_formats_are_named_is_no_other_version(s3: S3Client, location: Location) -> None:
    one = stage(rows("a"), location=location, formats=["csv", "parquet"], s3=s3)
    other = stage(rows("a"), location=location, formats=["parquet", "csv"], s3=s3)

    assert one.version == other.version


@pytest.mark.parametrize("batches", [1, 3])
def test_an_empty_result_is_staged_with_its_columns(s3: S3Client, location: Location, batches: int) -> None:
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)

    version = stage(iter([empty] * batches), location=location, formats=FORMATS, s3=s3)
    assert version.rows == 0
    objects = everything_at(s3, location)
    table = pq.read_table(io.BytesIO(objects[location.object_key(version.version, "parquet")]))
    assert table.schema.equals(SCHEMA)
    assert objects[location.object_key(version.version, "csv")] == b'"user_id","name"\n'


def test_no_batch_at_all_is_an_error(s3: S3Client, location: Location) -> None:
    with pytest.raises(PublishError, match="no batch of rows") as caught:
        stage(iter([]), location=location, formats=FORMATS, s3=s3)

    assert location.prefix in str(caught.value)
    assert everything_at(s3, location) == {}


def test_a_version_that_is_there_is_not_written_again(s3: S3Client, location: Location) -> None:
    first = staged(s3, location, "a")
    key = first.objects[0].key
    written = s3.head_object(Bucket=location.bucket, Key=key)

    assert staged(s3, location, "a") == first
    assert s3.head_object(Bucket=location.bucket, Key=key)["LastModified"] == written["LastModified"]


def test_without_the_bucket_staging_says_so(s3: S3Client) -> None:
    nowhere = Location("no-such-bucket", "plays", "weekly", "2026-11-15")

    with pytest.raises(PublishError, match=r"s3://no-such-bucket/plays/weekly/2026-11-15/.*NoSuchBucket"):
        staged(s3, nowhere, "a")


# --- publishing


def test_the_first_publication(s3: S3Client, location: Location) -> None:
    version = staged(s3, location, "a", "b")

    publication = publish(version, facts(), location=location, s3=s3)
    assert publication.outcome == "published"
    assert publication.manifest == manifest_at(s3, location)
    assert manifest_at(s3, location) == {
        "manifest_format": 1,
        **facts(),
        **version.to_dict(),
        "earlier_versions": [],
    }
    assert assert_complete(s3, location) == version.version


def test_publishing_the_same_query_again_writes_nothing(s3: S3Client, location: Location) -> None:
    publish(staged(s3, location, "a"), facts(), location=location, s3=s3)
    before = everything_at(s3, location)

    again = facts() | {"published_at": LATE}
    publication = publish(staged(s3, location, "a"), again, location=location, s3=s3)
    assert publication.outcome == "unchanged"
    assert publication.manifest["published_at"] == EARLY
    assert everything_at(s3, location) == before


def test_the_same_rows_of_a_later_query_make_no_new_version_and_keep_older_queries_out(
    s3: S3Client, location: Location
) -> None:
    version, other = staged(s3, location, "a"), staged(s3, location, "b")
    publish(version, facts(EARLY), location=location, s3=s3)
    assert publish(version, facts(LATE), location=location, s3=s3).outcome == "unchanged"
    manifest = manifest_at(s3, location)
    assert (manifest["version"], manifest["earlier_versions"]) == (version.version, [])

    between = "2026-11-22T03:00:00.000+00:00"
    assert EARLY < between < LATE
    assert publish(other, facts(between), location=location, s3=s3).outcome == "superseded"
    assert manifest_at(s3, location)["version"] == version.version


def test_other_rows_of_a_later_query_become_current_and_the_earlier_stay(
    s3: S3Client, location: Location
) -> None:
    old, new = staged(s3, location, "a"), staged(s3, location, "a", "b")
    publish(old, facts(EARLY), location=location, s3=s3)

    assert publish(new, facts(LATE), location=location, s3=s3).outcome == "published"
    manifest = manifest_at(s3, location)
    assert manifest["version"] == new.version
    assert manifest["earlier_versions"] == [
        {"version": old.version, "rows": 1, "published_at": EARLY, "provisional": False}
    ]
    assert {item.key for item in old.objects} <= set(everything_at(s3, location))


def test_a_query_submitted_before_the_published_one_does_not_undo_it(
    s3: S3Client, location: Location
) -> None:
    old, new = staged(s3, location, "a"), staged(s3, location, "a", "b")
    publish(new, facts(LATE), location=location, s3=s3)
    before = everything_at(s3, location)

    publication = publish(old, facts(EARLY), location=location, s3=s3)
    assert publication.outcome == "superseded"
    assert publication.manifest["version"] == new.version
    assert everything_at(s3, location) == before


def test_the_same_rows_after_late_events_could_land_settle_a_provisional_version(
    s3: S3Client, location: Location
) -> None:
    version = staged(s3, location, "a")
    publish(version, facts(EARLY, provisional=True), location=location, s3=s3)

    publication = publish(version, facts(LATE, provisional=False), location=location, s3=s3)
    assert publication.outcome == "unchanged"
    manifest = manifest_at(s3, location)
    assert manifest["provisional"] is False
    assert manifest["query"]["submitted_at"] == LATE
    assert manifest["version"] == version.version
    assert manifest["earlier_versions"] == []


def test_a_settled_version_never_turns_provisional(s3: S3Client, location: Location) -> None:
    version = staged(s3, location, "a")
    publish(version, facts(LATE, provisional=False), location=location, s3=s3)

    assert publish(version, facts(EARLY, provisional=True), location=location, s3=s3).outcome == "superseded"
    assert manifest_at(s3, location)["provisional"] is False


def test_a_version_that_comes_back_is_current_again(s3: S3Client, location: Location) -> None:
    a, b = staged(s3, location, "a"), staged(s3, location, "b")
    for version in (a, b, a):
        publish(version, facts(), location=location, s3=s3)

    manifest = manifest_at(s3, location)
    assert manifest["version"] == a.version
    assert [earlier["version"] for earlier in manifest["earlier_versions"]] == [b.version]


RACERS = 8


def race(
    new_s3_client: Callable[[], S3Client], location: Location, submitted: Sequence[str]
) -> list[Publication]:
    """Publish as many versions as there are times of submission, all at once."""
    client = new_s3_client()
    versions = [staged(client, location, f"racer {n}") for n in range(len(submitted))]
    start = Barrier(len(submitted))

    def run(number: int) -> Publication:
        start.wait()
        return publish(
            versions[number], facts(submitted[number], by=f"run-{number}"), location=location, s3=client
        )

    with ThreadPoolExecutor(len(submitted)) as threads:
        return list(threads.map(run, range(len(submitted))))


def test_of_racing_publications_one_is_current_and_each_is_once_in_the_history(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    publications = race(new_s3_client, location, [EARLY] * RACERS)

    assert [publication.outcome for publication in publications] == ["published"] * RACERS
    manifest = manifest_at(s3, location)
    listed = [manifest["version"], *(earlier["version"] for earlier in manifest["earlier_versions"])]
    assert sorted(listed) == sorted(publication.manifest["version"] for publication in publications)
    assert len(set(listed)) == RACERS
    assert_complete(s3, location)


def test_of_racing_publications_the_latest_query_wins(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    submitted = [f"2026-11-21T15:05:{second:02}.000+00:00" for second in (3, 7, 1, 5, 8, 2, 6, 4)]
    publications = race(new_s3_client, location, submitted)

    assert manifest_at(s3, location)["query"]["submitted_at"] == max(submitted)
    assert publications[4].outcome == "published"
    manifest = manifest_at(s3, location)
    listed = [manifest["version"], *(earlier["version"] for earlier in manifest["earlier_versions"])]
    published = [found.manifest["version"] for found in publications if found.outcome == "published"]
    assert sorted(listed) == sorted(published)


def test_racing_publications_of_the_same_rows_publish_once(
    s3: S3Client, new_s3_client: Callable[[], S3Client], location: Location
) -> None:
    client = new_s3_client()
    start = Barrier(RACERS)

    def run(number: int) -> str:
        start.wait()
        version = staged(client, location, "the same")
        return publish(version, facts(by=f"run-{number}"), location=location, s3=client).outcome

    with ThreadPoolExecutor(RACERS) as threads:
        outcomes = list(threads.map(run, range(RACERS)))
    assert sorted(outcomes) == ["published"] + ["unchanged"] * (RACERS - 1)
    assert manifest_at(s3, location)["earlier_versions"] == []


def damage_by_other_bytes(s3: S3Client, location: Location, key: str) -> None:
    s3.put_object(Bucket=location.bucket, Key=key, Body=b"x")


def damage_by_same_size(s3: S3Client, location: Location, key: str) -> None:
    size = s3.head_object(Bucket=location.bucket, Key=key)["ContentLength"]
    s3.put_object(Bucket=location.bucket, Key=key, Body=b"x" * size)


def damage_by_removal(s3: S3Client, location: Location, key: str) -> None:
    s3.delete_object(Bucket=location.bucket, Key=key)


@pytest.mark.parametrize("format_number", [0, 1])
@pytest.mark.parametrize("damage", [damage_by_other_bytes, damage_by_same_size, damage_by_removal])
def test_a_staged_object_that_is_damaged_is_not_published(
    s3: S3Client,
    location: Location,
    damage: Callable[[S3Client, Location, str], None],
    format_number: int,
) -> None:
    publish(staged(s3, location, "old"), facts(EARLY), location=location, s3=s3)
    new = staged(s3, location, "new")
    key = new.objects[format_number].key
    damage(s3, location, key)
    before = everything_at(s3, location)

    with pytest.raises(PublishError) as caught:
        publish(new, facts(LATE), location=location, s3=s3)
    assert f"s3://{location.bucket}/{key}" in str(caught.value)
    assert "Nothing was published" in str(caught.value)
    assert "clear transform" in str(caught.value)
    assert everything_at(s3, location) == before


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"manifest_format": 2, "period": {"id": "2026-11-15"}}',
        b'{"manifest_format": 1, "period": {"id": "2026-11-08"}}',
        b'{"manifest_format": 1, "period": null}',
    ],
)
def test_a_manifest_that_is_not_ours_is_not_overwritten(
    s3: S3Client, location: Location, content: bytes
) -> None:
    s3.put_object(Bucket=location.bucket, Key=location.manifest_key, Body=content)
    version = staged(s3, location, "a")
    before = everything_at(s3, location)

    with pytest.raises(PublishError, match="is no manifest of this package and period") as caught:
        publish(version, facts(), location=location, s3=s3)
    assert location.manifest_uri in str(caught.value)
    assert everything_at(s3, location) == before


def test_without_the_bucket_publishing_says_so(s3: S3Client, location: Location) -> None:
    version = staged(s3, location, "a")
    nowhere = Location("no-such-bucket", "plays", "weekly", "2026-11-15")

    with pytest.raises(PublishError, match=r"s3://no-such-bucket/.*Nothing was published"):
        publish(version, facts(), location=nowhere, s3=s3)


# --- broken off


class Killed(BaseException):
    """The process ended here."""


def kill_at_call(client: S3Client, number: int, *, answered: bool) -> Callable[[], bool]:
    """Let a client die at its call of that number, before S3 got the request or after it was carried out.

    Returns:
        Says whether it has come to that.
    """
    calls = 0

    def count_and_die(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed

    client.meta.events.register("after-call.s3" if answered else "before-call.s3", count_and_die)
    return lambda: calls >= number


@pytest.mark.parametrize("answered", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("is_first", [False, True], ids=["republished", "first published"])
def test_a_run_killed_at_any_call_leaves_the_old_or_the_new_and_can_be_repeated(
    s3: S3Client,
    new_s3_client: Callable[[], S3Client],
    location: Location,
    number: int,
    answered: bool,
    is_first: bool,
) -> None:
    """Two uploads, two checks, a look at the manifest and the flip."""
    old = None if is_first else staged(s3, location, "old")
    if old:
        publish(old, facts(EARLY), location=location, s3=s3)
    client = new_s3_client()
    came_to_it = kill_at_call(client, number, answered=answered)

    with pytest.raises(Killed):
        publish(staged(client, location, "new"), facts(LATE), location=location, s3=client)
    assert came_to_it()
    flipped = number == 6 and answered
    if flipped or old:
        found = assert_complete(s3, location)
        assert (found != (old and old.version)) == flipped
    else:
        assert location.manifest_key not in everything_at(s3, location)

    new = staged(s3, location, "new")
    again = publish(new, facts(LATE, by="run-2"), location=location, s3=s3)
    assert again.outcome == ("unchanged" if flipped else "published")
    assert assert_complete(s3, location) == new.version
    assert len(manifest_at(s3, location)["earlier_versions"]) == (0 if is_first else 1)


def test_a_publication_takes_six_calls(new_s3_client: Callable[[], S3Client], location: Location) -> None:
    """Of which the test above kills each."""
    client = new_s3_client()
    came_to_seven = kill_at_call(client, 7, answered=False)
    came_to_six = kill_at_call(client, 6, answered=True)

    with pytest.raises(Killed):
        publish(staged(client, location, "a"), facts(), location=location, s3=client)
    assert came_to_six()
    assert not came_to_seven()
