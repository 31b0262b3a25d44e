"""The one write that publishes, what follows it, and what is not written."""

import json
from typing import Any
from unittest.mock import Mock

import pytest

from athena_reports.aws.s3 import S3
from athena_reports.errors import PublishError, SchemaError
from athena_reports.publication import commit
from athena_reports.publication.manifest import Version
from tests.support.published import assert_followed
from tests.support.publishing import EARLY, LATE, Place, facts
from tests.support.wire import CONFLICT, answered, s3_error


def described(version: Version) -> Version:
    """The version, with a meaning of each column."""
    columns = [
        column.model_copy(update={"description": "what it means"}) for column in version.columns
    ]
    return version.model_copy(update={"columns": tuple(columns)})


# --- what follows the manifest


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


def test_a_version_without_parquet_has_no_partition_and_is_published_all_the_same(
    tabled: Place,
) -> None:
    """A partition would lead Athena into a folder that does not exist."""
    tabled.publish(tabled.upload("a", formats=["csv"]), facts())
    assert tabled.partitions() == {}
    assert tabled.latest() == tabled.manifest()


@pytest.mark.parametrize("rows", ["a", "b"], ids=["the same rows", "other rows"])
def test_the_table_gets_the_descriptions_of_the_columns(tabled: Place, rows: str) -> None:
    """Also of the same rows. These stay, so the upload of them need not be complete."""
    tabled.publish(tabled.upload("a"), facts(EARLY))
    again = described(tabled.upload(rows))
    if rows == "a":
        tabled.s3.delete([tabled.location.uri(again.parquet_key)])

    manifest = tabled.publish(again, facts(LATE)).manifest
    assert {column.description for column in manifest.columns} == {"what it means"}
    (table,) = tabled.tables()
    assert {each["Comment"] for each in table["StorageDescriptor"]["Columns"]} == {"what it means"}


def test_the_latest_period_only_moves_forward(place: Place) -> None:
    def publish_week(period_id: str, name: str, submitted_at: str) -> str:
        week = place.at(period_id)
        week.publish(week.upload(name), facts(submitted_at, period_id=period_id))
        latest = place.latest()
        assert latest == place.at(latest["period"]["id"]).manifest()
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


def test_the_latest_period_keeps_the_later_of_two_versions_of_one_query(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen publish goes on after its task was cleared, and dies before it looks again."""
    replaced = place.publish(place.upload("a"), facts(published_at=EARLY)).manifest
    newer = place.publish(place.upload("b"), facts(published_at=LATE)).manifest

    monkeypatch.setattr(commit, "read_manifest", Mock(side_effect=SystemExit))
    with pytest.raises(SystemExit):
        commit.follow(replaced, None, location=place.location, s3=place.s3, table=None)
    assert place.latest()["version"] == newer.version


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
    assert (
        str(caught.value) == f"{place.location.manifest_uri} was deleted. Clear the publish task."
    )
    assert caught.value.retryable
    assert place.publish(version, facts()).outcome == "published"


# --- what is not written


def test_columns_that_do_not_fit_the_table_are_refused_before_anything_is_visible(
    tabled: Place,
) -> None:
    tabled.publish(tabled.upload("a"), facts(EARLY))
    new = tabled.upload("a", sql="SELECT '1' AS user_id, name FROM names")
    before = tabled.everything(), tabled.partitions()

    with pytest.raises(SchemaError, match="bigint to string"):
        tabled.publish(new, facts(LATE))
    assert (tabled.everything(), tabled.partitions()) == before


def uri_of(place: Place, name: str) -> str:
    """The address of a document that a publication writes."""
    latest = place.location.report.latest_uri
    return {"manifest.json": place.location.manifest_uri, "latest.json": latest}[name]


@pytest.mark.parametrize("name", ["manifest.json", "latest.json"])
@pytest.mark.parametrize(
    "content", [b"not JSON", b"\xff\xfe", b"[]", b'{"manifest_format": 1, "period": null}']
)
def test_a_document_of_others_is_not_overwritten(place: Place, name: str, content: bytes) -> None:
    uri = uri_of(place, name)
    place.put(uri, content)
    with pytest.raises(PublishError, match=f"^{uri} is not a document of this report") as caught:
        place.publish(place.upload("a"), facts())
    assert not caught.value.retryable
    assert place.s3.read(uri)[0] == content


@pytest.mark.parametrize("name", ["manifest.json", "latest.json"])
def test_a_document_of_a_newer_release_is_not_overwritten(place: Place, name: str) -> None:
    manifest = place.publish(place.upload("a"), facts()).manifest
    uri = uri_of(place, name)
    newer = manifest.model_dump(mode="json") | {"manifest_format": 2}
    content = json.dumps(newer).encode()
    place.put(uri, content)
    with pytest.raises(PublishError, match=f"^{uri} is not a document of this report") as caught:
        place.publish(place.upload("b"), facts(LATE))
    assert not caught.value.retryable
    assert place.s3.read(uri)[0] == content


@pytest.mark.parametrize("fact", ["period", "objects"])
def test_a_manifest_of_another_period_is_not_overwritten(place: Place, fact: str) -> None:
    """It is a whole one, and lies in the wrong folder: somebody has copied it."""
    other = place.at("2026-11-08")
    theirs = other.publish(other.upload("a"), facts(period_id="2026-11-08")).manifest
    manifest = place.publish(place.upload("a"), facts()).manifest
    copied = manifest.model_copy(update={fact: getattr(theirs, fact)})
    place.put(place.location.manifest_uri, copied.model_dump_json().encode())
    version = place.upload("b")
    before = place.everything()

    with pytest.raises(PublishError, match=place.location.manifest_uri) as caught:
        place.publish(version, facts(LATE))
    assert not caught.value.retryable
    assert place.everything() == before


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


def test_a_write_whose_response_was_lost_is_reported_as_published(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore repeats it, and S3 refuses that: the object is another one."""
    place.publish(place.upload("a"), facts(EARLY))
    write = S3.write

    def write_twice(s3: S3, uri: str, *args: Any, **kwargs: Any) -> Any:
        write(s3, uri, *args, **kwargs)
        return write(s3, uri, *args, **kwargs)

    monkeypatch.setattr(S3, "write", write_twice)
    new = place.upload("b")
    publication = place.publish(new, facts(LATE))
    assert (publication.outcome, publication.manifest.version) == ("published", new.version)
    assert len(publication.manifest.earlier_versions) == 1


def test_a_conflict_at_each_attempt_is_given_up_and_may_pass(place: Place) -> None:
    place.publish(place.upload("a"), facts(EARLY))
    new = place.upload("b")
    before = place.everything()

    conflicts = [s3_error(*CONFLICT) for _ in range(10)]
    problem = r"manifest\.json was changed by another process\. This happened on every attempt"
    with (
        answered(place.s3.client, "PutObject", *conflicts) as requests,
        pytest.raises(PublishError, match=problem) as caught,
    ):
        place.publish(new, facts(LATE))
    assert caught.value.retryable
    assert len(requests) == 10
    assert place.everything() == before
