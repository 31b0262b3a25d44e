import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3, StoredObject
from athena_reports.maintenance import cleanup
from athena_reports.maintenance.cleanup import (
    CleanupSummary,
    RetentionPolicy,
    clean_up,
    clean_up_bucket,
    plan,
)
from athena_reports.periods.calendar import daily
from athena_reports.publication.commit import repair_latest
from athena_reports.publication.folder import PublishedCalendar, require_calendar
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import EarlierVersion, Manifest, Version
from athena_reports.settings import Encryption
from tests.support.published import facts_in
from tests.support.publishing import Place, facts, week
from tests.support.retried import raises_retried
from tests.support.wire import answered, response

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
LOCATION = week("reports")
STRICT = RetentionPolicy(keep_versions=0, keep_days=1)


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def named(version: str) -> str:
    """The name of a version that is called so here."""
    return hashlib.sha256(version.encode()).hexdigest()[:16]


def stored(version: str, days: float, *, format: str = "parquet") -> StoredObject:
    uri = f"{LOCATION.version_uri(named(version))}{format}/part-0.{format.partition('_')[0]}"
    return StoredObject(uri=uri, bytes=10, etag='"etag"', modified=ago(days))


def manifest(current: str, *earlier: tuple[str, float]) -> Manifest:
    """A manifest with its current version and the earlier ones, each replaced so many days ago."""
    same = {"rows": 1, "published_at": "", "provisional": False, "difference": None}
    same |= {"query": facts().query, "code_version": "1"}
    return Manifest(
        manifest_format=1,
        **dict(facts()),
        version=named(current),
        ordered=True,
        rows=1,
        columns=(),
        objects=(),
        earlier_versions=tuple(
            EarlierVersion.model_validate(
                {"version": named(each), "replaced_at": ago(days).isoformat(), **same}
            )
            for each, days in earlier
        ),
    )


def removed(objects: Sequence[StoredObject], found: Manifest, policy: RetentionPolicy) -> set[str]:
    ordered = sorted(objects, key=lambda item: item.uri)
    planned = plan(ordered, found, policy, NOW)
    calling = {named(version): version for version in "abcdefgh"}
    return {calling[each.uri.split("/")[7]] for each in planned}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 400)), max_size=12),
    st.permutations("abcdefgh"),
    st.integers(0, 7),
    st.lists(st.floats(0, 400), min_size=8, max_size=8),
    st.integers(0, 4),
    st.integers(1, 200),
    st.integers(1, 30),
)
def test_what_must_stay_stays(
    written: list[tuple[str, float]],
    order: list[str],
    known: int,
    replaced: list[float],
    keep_versions: int,
    keep_days: int,
    abandoned: int,
) -> None:
    """Against an oracle in sets: what goes is what no rule keeps."""
    history = list(zip(order[1 : known + 1], sorted(replaced), strict=False))
    found = manifest(order[0], *history)
    objects = [stored(version, days) for version, days in written]
    youngest = {version: min(days for v, days in written if v == version) for version, _ in written}
    published = {version for version, _ in history}

    kept = {order[0]}
    kept |= {version for version, days in youngest.items() if days <= 1}
    kept |= {version for version, _ in history[:keep_versions]}
    kept |= {version for version, days in history if days <= keep_days}
    kept |= {
        version
        for version, days in youngest.items()
        if days <= abandoned and version not in published
    }
    policy = RetentionPolicy(
        keep_versions=keep_versions, keep_days=keep_days, abandoned_after_days=abandoned
    )
    assert removed(objects, found, policy) == set(youngest) - kept


@pytest.mark.parametrize(("days", "gone"), [(0.51, set()), (1, set()), (1.01, {"a"})])
def test_a_replaced_version_that_is_uploaded_anew_stays_while_a_publish_may_still_take_it(
    days: float, gone: set[str]
) -> None:
    """A publish takes what was uploaded within 12 hours, and may itself take as long."""
    assert removed([stored("a", days)], manifest("b", ("a", 30)), STRICT) == gone


@pytest.mark.parametrize(("later", "gone"), [(0.0, False), (1e-6, True)])
def test_a_version_stays_for_as_many_days_as_the_policy_says(later: float, gone: bool) -> None:
    policy = RetentionPolicy(keep_versions=0, keep_days=30, abandoned_after_days=10)
    replaced = removed([stored("a", 60)], manifest("b", ("a", 30 + later)), policy)
    never_published = removed([stored("c", 10 + later)], manifest("b"), policy)
    assert (replaced, never_published) == (({"a"}, {"c"}) if gone else (set(), set()))


def test_a_version_goes_whole_or_not_at_all() -> None:
    policy = RetentionPolicy(abandoned_after_days=1)
    young = [stored("a", 30), stored("a", 0.9, format="csv")]
    assert removed(young, manifest("b"), policy) == set()
    sql = StoredObject(
        uri=LOCATION.sql_uri(named("a"), "0" * 64), bytes=10, etag="", modified=ago(30)
    )
    whole = [
        stored("a", 30),
        stored("a", 29, format="csv"),
        stored("a", 29, format="csv_for_spreadsheets"),
        sql,
    ]
    planned = plan(whole, manifest("b"), policy, NOW)
    assert list(planned) == whole
    assert all(
        f"version {named('a')} was uploaded at 2026-10-26" in reason for reason in planned.values()
    )


@pytest.mark.parametrize(
    "key",
    [
        "plays/weekly/2026-11-15/manifest.json",
        "others/plays/weekly/2026-11-15/versions/{old}/parquet/part-0.parquet",
        "plays/weekly/2026-11-15/notes/versions/{old}/parquet/part-0.parquet",
        "plays/weekly/2026-11-15/versions/1.0/parquet/part-0.parquet",
        "plays/weekly/2026-11-15/versions/{old}/read-me.txt",
        "plays/weekly/2026-11-15/versions/{old}/sql/notes.sql",
        "plays/weekly/2026-11-15/versions/{old}/parquet/part-0.csv",
        "plays/weekly/2026-11-15/versions/{old}/parquet/part-0.parquet/copy",
    ],
)
def test_nothing_outside_the_versions_of_the_period_is_touched(key: str) -> None:
    uri = f"s3://reports/{key.format(old=named('old'))}"
    item = StoredObject(uri=uri, bytes=10, etag='"etag"', modified=ago(1_000))
    assert plan([item], manifest("b"), RetentionPolicy(), NOW) == {}


@pytest.mark.parametrize(
    "number", [{"keep_versions": -1}, {"keep_days": 0}, {"abandoned_after_days": 0}]
)
def test_a_policy_that_cannot_be_meant_is_refused(number: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="RetentionPolicy"):
        RetentionPolicy(**number)


# --- the pass


def versions(summary: CleanupSummary) -> set[str]:
    """The versions of which objects are removed, or may be."""
    return {each.uri.split("/")[7] for each in summary.removals}


def published(place: Place, name: str, number: int = 1) -> Version:
    at = f"2026-11-21T00:00:00.{number:03}+00:00"
    version = place.upload(name)
    now = dt.datetime.now(dt.UTC).isoformat()
    place.publish(version, facts(at, period_id=place.location.period_id, published_at=now))
    return version


def cleaned(
    place: Place, days: float = 0, *, policy: RetentionPolicy | None = None, delete: bool = False
) -> CleanupSummary:
    """Clean up so many days from now."""
    summary, now = CleanupSummary(), dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    with summary.noting():
        clean_up(
            place.own_table,
            summary,
            environment="dev",
            s3=place.s3,
            policy=policy or RetentionPolicy(),
            now=now,
            delete=delete,
        )
    return summary


CleanUp = Callable[..., dict[str, Any]]


@pytest.fixture
def clean_up_all(tabled: Place, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> CleanUp:
    """Cleans up the bucket, as the task does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    return partial(
        clean_up_bucket,
        bucket=tabled.location.report.bucket,
        environment="dev",
        database=tabled.own_table.database,
        policy=RetentionPolicy(),
    )


def test_a_dry_run_lists_what_deleting_then_deletes_and_the_period_stays_whole(
    tabled: Place,
) -> None:
    assert cleaned(tabled, delete=True) == CleanupSummary()
    versions = [published(tabled, name, n) for n, name in enumerate("abcd")]
    abandoned = tabled.upload("never published")
    other_folder = ReportLocation.of_folder(f"s3://{tabled.location.report.bucket}/plays/weekly2/")
    other_report = Place(tabled.s3, other_folder.period_folder("2026-11-15")).upload("x")
    before = tabled.everything()
    policy = RetentionPolicy(keep_versions=1, keep_days=90, abandoned_after_days=7)

    assert cleaned(tabled, 0.9, policy=policy, delete=True).removals == {}
    dry = cleaned(tabled, 91, policy=policy)
    assert tabled.everything() == before
    done = cleaned(tabled, 91, policy=policy, delete=True)
    assert (done.removals, done.periods, done.problems) == (dry.removals, 1, [])
    after = tabled.everything()
    gone = {item.key for version in (*versions[:2], abandoned) for item in version.objects}
    assert set(before) - set(after) == gone == {each.uri.split("/", 3)[3] for each in done.removals}
    assert {item.key for item in other_report.objects} <= set(after)
    assert tabled.manifest()["version"] == versions[-1].version
    assert len(tabled.manifest()["earlier_versions"]) == 3
    assert cleaned(tabled, 91, policy=policy).removals == {}


def test_a_period_whose_manifest_is_not_ours_is_left_alone_and_said(tabled: Place) -> None:
    foreign = tabled.at("2026-11-08")
    foreign.upload("a")
    foreign.put(foreign.location.manifest_uri, b"{}")
    published(tabled, "a", 1)
    published(tabled, "b", 2)

    summary = cleaned(tabled, 100, policy=STRICT, delete=True)
    (problem,) = summary.problems
    assert foreign.location.manifest_uri in problem
    assert {each.uri.split("/")[5] for each in summary.removals} == {"2026-11-15"}
    assert len([key for key in tabled.everything() if "/2026-11-08/" in key]) == 3


def test_a_period_that_another_environment_has_overwritten_is_left_alone_and_said(
    tabled: Place,
) -> None:
    """A release without calendars did that."""
    foreign = tabled.at("2026-11-08")
    for place in (foreign, tabled):
        published(place, "a", 1)
        published(place, "b", 2)
    theirs = foreign.manifest() | {"environment": "stg"}
    foreign.put(foreign.location.manifest_uri, json.dumps(theirs).encode())

    summary = cleaned(tabled, 400, policy=STRICT, delete=True)
    (problem,) = summary.problems
    uri = foreign.location.manifest_uri
    assert f"{uri} belongs to environment stg; its folder belongs to dev." in problem
    assert {each.uri.split("/")[5] for each in summary.removals} == {"2026-11-15"}


def test_a_period_in_order_costs_no_call_of_its_own(tabled: Place) -> None:
    """Its manifest is read again if it has changed, or if a version may go."""
    for period_id in ("2026-11-01", "2026-11-08", "2026-11-15"):
        for number, rows in enumerate("ab"):
            published(tabled.at(period_id), rows, number)
    policy = RetentionPolicy(keep_versions=0, keep_days=30)
    calendar = PublishedCalendar(environment="dev", report="plays", cadence=daily())
    require_calendar(tabled.location.report, calendar, tabled.s3)

    def reads(days: float = 0) -> int:
        """How many manifests a cleanup reads that lists once."""
        s3, glue = tabled.s3.client, tabled.own_table.glue
        with (
            answered(glue, "GetPartitions") as partitions,
            answered(s3, "ListObjectsV2") as listings,
            answered(s3, "GetObject") as objects,
        ):
            assert cleaned(tabled, days, policy=policy).problems == []
        assert (len(partitions), len(listings)) == (1, 1)
        return len(objects) - 1  # of `calendar.json`

    assert reads() == 0
    assert reads(31) == 3
    uri = tabled.at("2026-11-08").location.manifest_uri
    body, _ = tabled.s3.read(uri)
    tabled.put(uri, body + b"\n")
    with answered(tabled.s3.client, "GetObject") as objects:
        assert cleaned(tabled, policy=policy).repaired == ["plays/weekly/2026-11-08"]
    assert objects
    assert reads() == 0


def drop_the_table(place: Place) -> None:
    place.own_table.glue.delete_table(DatabaseName=place.own_table.database, Name="plays_weekly")


@pytest.mark.parametrize("table", ["none", "dropped", "lists the period"])
def test_nothing_is_removed_of_a_period_whose_manifest_is_lost_and_the_period_is_listed(
    tabled: Place, clean_up_all: CleanUp, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """It may have been published, and its manifest come back from a copy of the bucket."""
    place = tabled.without_table() if table == "none" else tabled
    published(place, "a", 1)
    published(place, "b", 2)
    place.upload("never published")
    place.s3.delete([place.location.manifest_uri])
    if table == "dropped":
        drop_the_table(place)
    before = place.everything()
    monkeypatch.setattr(cleanup, "datetime", LaterDatetime)
    policy = RetentionPolicy(keep_versions=0, keep_days=1, abandoned_after_days=1)

    if table == "lists the period":
        says = f"{place.location.manifest_uri} is missing, but Glue lists the period"
        with raises_retried(says):
            clean_up_all(policy=policy, delete=True)
    else:
        (latest,) = [key for key in before if key.endswith("latest.json")]
        place.s3.delete([f"s3://{place.location.report.bucket}/{latest}"])
        del before[latest]
        returned = clean_up_all(policy=policy, delete=True)
        assert place.everything() == before
        assert returned["without_manifest"] == [place.location.folder_uri]
    assert place.everything() == before


def test_a_table_of_a_report_in_another_bucket_is_left_alone(
    tabled: Place, clean_up_all: CleanUp
) -> None:
    published(tabled, "a")
    glue = tabled.own_table.glue
    table = tabled.own_table
    own = glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]
    storage = {**own["StorageDescriptor"], "Location": "s3://elsewhere/others/weekly/"}
    others = {name: own[name] for name in ("TableType", "PartitionKeys", "Parameters")}  # type: ignore[literal-required]
    glue.create_table(
        DatabaseName=tabled.own_table.database,
        TableInput={"Name": "others_weekly", "StorageDescriptor": storage, **others},
    )
    assert clean_up_all()["periods"] == 1


def test_the_log_names_what_is_removed_or_may_be_and_the_outcome_counts_it(
    tabled: Place,
    clean_up_all: CleanUp,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], list[str]],
) -> None:
    bucket = tabled.location.report.bucket
    published(tabled, "a", 1)
    published(tabled.without_table(), "b", 2)  # the worker died before Glue
    abandoned = tabled.upload("never published")
    lost = tabled.at("2026-11-08")
    lost.upload("a")
    others = PublishedCalendar(environment="stg", report="sales", cadence=daily())
    of_others = ReportLocation(bucket, "sales", "daily")
    require_calendar(of_others, others, tabled.s3)
    uploaded_at = max(item.modified for item in tabled.s3.list(tabled.location.versions_uri))
    monkeypatch.setattr(cleanup, "datetime", LaterDatetime)
    removed = f"{uploaded_at.isoformat(timespec='seconds')} and never published"
    outcome: dict[str, Any] = {
        "periods": 2,
        "objects": 2,
        "bytes": sum(item.bytes for item in abandoned.objects),
        "without_manifest": [lost.location.folder_uri],
    }
    logged()
    for delete, repaired in ((False, ["plays/weekly/2026-11-15"]), (True, [])):
        assert clean_up_all(delete=delete) == {**outcome, "deleted": delete, "repaired": repaired}
        done = "removed" if delete else "may be removed"
        reason = f"version {abandoned.version} was uploaded at {removed}"
        assert sorted(logged()) == sorted(
            [
                *(
                    f"info: {done}: {tabled.location.uri(item.key)} ({item.bytes} bytes): {reason}"
                    for item in abandoned.objects
                ),
                f"info: {of_others.folder_uri} belongs to environment stg; skipping it",
                (
                    f"warning: {lost.location.folder_uri} has versions but no manifest,"
                    " so its versions are kept"
                ),
            ]
        )


def test_the_owner_and_the_encryption_are_those_of_the_deployment(
    tabled: Place, clean_up_all: CleanUp, made_s3: list[S3], connections: list[str | None]
) -> None:
    published(tabled, "a", 1)
    encryption = Encryption.from_text("alias/reports")
    made_s3.clear()
    clean_up_all(bucket_owner="123456789012", encryption=encryption, aws_conn_id="aws_reports")
    assert {(each.owner, each.encryption) for each in made_s3} == {("123456789012", encryption)}
    assert set(connections) == {"aws_reports"}


class LaterDatetime(dt.datetime):
    """The clock of a cleanup a year from now."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return dt.datetime.now(tz) + dt.timedelta(days=365)


def test_a_folder_without_versions_is_not_listed(tabled: Place) -> None:
    tabled.put(f"{tabled.location.folder_uri}notes.txt", b"of somebody else")
    summary = cleaned(tabled, 100, delete=True)
    assert (summary.without_manifest, summary.problems) == ([], [])


def gone(place: Place, version: Version) -> None:
    place.s3.delete([place.location.uri(each.key) for each in version.objects])


def all_gone(place: Place, _: Version) -> None:
    place.s3.delete([f"s3://{place.location.report.bucket}/{key}" for key in place.everything()])


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (
            lambda place, _: place.s3.delete([place.location.manifest_uri]),
            "manifest.json is missing",
        ),
        (
            lambda place, _: place.put(place.location.manifest_uri, b"{}"),
            "is not a document of this report",
        ),
        (gone, "part-0.parquet is missing"),
        (
            lambda place, version: place.put(place.location.uri(version.parquet_key), b"x"),
            "part-0.parquet has 1 bytes",
        ),
        (all_gone, "missing"),
    ],
)
def test_a_published_period_that_is_broken_is_marked_until_it_is_whole_again(
    tabled: Place, harm: Any, why: str
) -> None:
    """Glue names it, so the page, which reads nothing else, would say that it is published."""
    version, other = published(tabled, "a"), tabled.at("2026-11-22")
    before = tabled.everything()
    harm(tabled, version)
    published(other, "b")

    def marks() -> dict[str, str]:
        return {each: facts_in(found)["broken"] for each, found in tabled.partitions().items()}

    for writes in (1, 0):
        with answered(tabled.own_table.glue, "UpdatePartition") as requests:
            (problem,) = cleaned(tabled).problems
        assert len(requests) == writes
        assert marks() == {"2026-11-15": problem, "2026-11-22": ""}
        assert why in problem
        assert "lear " in problem, "it names the task to clear"
    for key, body in before.items():
        tabled.s3.client.put_object(Bucket=tabled.location.report.bucket, Key=key, Body=body)
    assert cleaned(tabled).problems == []
    assert set(marks().values()) == {""}


def test_a_period_that_is_published_while_the_cleanup_looks_at_it_is_not_broken(
    tabled: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list of its objects and the look at its manifest."""
    published(tabled, "a", 1)
    list_objects = S3.list
    later: list[Version] = []

    def publish_after_the_first_list(self: S3, *arguments: Any) -> list[Any]:
        objects = list(list_objects(self, *arguments))
        monkeypatch.setattr(S3, "list", list_objects)
        later.append(published(tabled, "b", 2))
        return objects

    monkeypatch.setattr(S3, "list", publish_after_the_first_list)
    assert cleaned(tabled).problems == []
    said = facts_in(tabled.partitions()["2026-11-15"])
    assert (said["version"], said["broken"]) == (later[0].version, "")


def test_a_period_that_is_published_anew_before_it_is_marked_is_not_marked(tabled: Place) -> None:
    """The cleanup looks at the partition again, and leaves one alone that has changed."""
    gone(tabled, published(tabled, "a", 1))
    looks: list[Version] = []

    def publish_before_the_second_look(**_: Any) -> None:
        if looks:
            events.unregister("before-send.glue.GetPartitions", publish_before_the_second_look)
        looks.append(published(tabled, "b", 2) if looks else tabled.upload("c"))

    events = tabled.own_table.glue.meta.events
    events.register("before-send.glue.GetPartitions", publish_before_the_second_look)
    (problem,) = cleaned(tabled).problems
    assert "is missing" in problem
    said = facts_in(tabled.partitions()["2026-11-15"])
    assert (said["version"], said["broken"]) == (looks[1].version, "")


def test_rows_that_are_published_again_while_they_are_removed_stay(
    tabled: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the cleanup's last look at the manifest."""
    first = published(tabled, "a", 1)
    published(tabled, "b", 2)
    delete = S3.delete

    def publish_first(self: S3, uris: Sequence[str]) -> None:
        published(tabled, "a", 3)
        delete(self, uris)

    monkeypatch.setattr(S3, "delete", publish_first)
    assert versions(cleaned(tabled, 2, policy=STRICT, delete=True)) == {first.version}
    assert tabled.manifest()["rows"] == 1


def test_what_s3_does_not_delete_is_said_and_the_next_period_is_cleaned_up(tabled: Place) -> None:
    """DeleteObjects answers 200, and names in the body what it has not deleted."""
    locked, free = tabled.at("2026-11-01"), tabled.at("2026-11-08")
    old = {}
    for place in (locked, free):
        old[place] = published(place, "a", 1)
        published(place, "b", 2)
    key = old[locked].objects[0].key
    error = f"<Key>{key}</Key><Code>AccessDenied</Code><Message>It is locked</Message>"
    refused = response(200, f"<DeleteResult><Error>{error}</Error></DeleteResult>")

    with answered(tabled.s3.client, "DeleteObjects", refused):
        summary = cleaned(tabled, 2, policy=STRICT, delete=True)
    (problem,) = summary.problems
    assert problem.startswith("Could not delete ")
    assert f"{key}: " in problem
    assert "It is locked" in problem
    assert versions(summary) == {old[free].version}

    again = cleaned(tabled, 2, policy=STRICT, delete=True)
    assert again.problems == []
    assert versions(again) == {old[locked].version}


def test_one_refusal_of_glue_ends_neither_the_pass_nor_the_table(tabled: Place) -> None:
    broken, behind = tabled.at("2026-11-01"), tabled.at("2026-11-08")
    gone(broken, published(broken, "a"))
    published(behind, "a")
    published(behind.without_table(), "b", 2)

    def refuse(params: Any, **_: Any) -> None:
        if b"2026-11-01" in params["body"]:
            raise ClientError(
                {"Error": {"Code": "ThrottlingException", "Message": "slow down"}},
                "UpdatePartition",
            )

    events = tabled.own_table.glue.meta.events
    events.register("before-call.glue.UpdatePartition", refuse)
    summary = cleaned(tabled)
    events.unregister("before-call.glue.UpdatePartition", refuse)
    (problem,) = summary.problems
    assert "UpdatePartition" in problem
    assert summary.repaired == ["plays/weekly/2026-11-08"]


def test_where_glue_does_not_list_partitions_nothing_is_removed(
    tabled: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabled.upload("never published, as long as Glue does not say so")

    def refuse(_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetPartitions"
        )

    monkeypatch.setattr(tabled.own_table.glue, "get_paginator", refuse)
    summary = cleaned(tabled, 100, delete=True)
    assert summary.removals == {}
    (problem,) = summary.problems
    assert "GetPartitions" in problem


def test_the_records_of_alerts_are_not_taken_for_a_report(
    tabled: Place, clean_up_all: CleanUp
) -> None:
    """However old they are: a rule of the bucket lets them expire."""
    published(tabled, "a")
    record = f"s3://{tabled.location.report.bucket}/_alerts/plays_weekly/run-1/late-0.json"
    tabled.s3.write(record, b"{}", "application/json", replacing=None)
    summary = clean_up_all(policy=STRICT, delete=True)
    assert (summary["periods"], summary["objects"]) == (1, 0)
    assert tabled.s3.read(record)[0] == b"{}"


# --- latest.json


def withdraw(place: Place) -> None:
    place.s3.delete([place.location.manifest_uri])
    if place.table is not None:
        place.table.glue.delete_partition(
            DatabaseName=place.table.database,
            TableName="plays_weekly",
            PartitionValues=[place.location.period_id],
        )


def name_a_far_period(place: Place) -> None:
    """As a program of somebody else, or an older release, may have left it."""
    latest = json.dumps(place.latest()).replace(place.location.period_id, "2999-12-29")
    place.put(place.location.report.latest_uri, latest.encode())
    withdraw(place)


def test_what_others_add_to_a_partition_is_no_difference_and_what_they_change_is_repaired(
    tabled: Place,
) -> None:
    """Such as a crawler, or the statistics that Glue computes."""
    published(tabled, "a")
    glue = tabled.own_table.glue
    names = {"DatabaseName": tabled.own_table.database, "TableName": tabled.own_table.name}
    period_id = tabled.location.period_id

    def change(folder: str = "", **added: str) -> None:
        partition = tabled.partitions()[period_id]
        if folder:
            partition["StorageDescriptor"]["Location"] = folder
        glue.update_partition(
            **names,
            PartitionValueList=[period_id],
            PartitionInput={
                "Values": [period_id],
                "StorageDescriptor": partition["StorageDescriptor"],
                "Parameters": {**partition["Parameters"], **added},
            },
        )

    change(CrawlerSchemaSerializerVersion="1.0")
    assert cleaned(tabled).repaired == []

    facts_before = facts_in(tabled.partitions()[period_id])
    change(athena_reports="another text")
    assert cleaned(tabled).repaired == [f"plays/weekly/{period_id}"]
    assert facts_in(tabled.partitions()[period_id]) == facts_before

    own_folder = tabled.partitions()[period_id]["StorageDescriptor"]["Location"]
    change("s3://elsewhere/plays/")
    assert cleaned(tabled).repaired == [f"plays/weekly/{period_id}"]
    assert tabled.partitions()[period_id]["StorageDescriptor"]["Location"] == own_folder
    assert cleaned(tabled).repaired == []


def test_a_period_without_parquet_gets_no_partition(tabled: Place) -> None:
    tabled.publish(tabled.upload("a", formats=["csv"]), facts())
    published(tabled.at("2026-11-08"), "a")
    before = tabled.everything()
    summary = cleaned(tabled)
    assert (summary.periods, summary.repaired, summary.problems) == (2, [], [])
    assert set(tabled.partitions()) == {"2026-11-08"}
    assert tabled.everything() == before


def test_a_partition_that_another_program_has_made_is_no_period_of_ours(tabled: Place) -> None:
    published(tabled, "a")
    of_others: Any = {
        "Values": ["2026-11-08"],
        "StorageDescriptor": {"Location": "s3://elsewhere/"},
        "Parameters": {"rows": "1"},
    }
    tabled.own_table.glue.create_partition(
        DatabaseName=tabled.own_table.database,
        TableName=tabled.own_table.name,
        PartitionInput=of_others,
    )
    summary = cleaned(tabled)
    assert (summary.periods, summary.repaired, summary.problems) == (1, [], [])
    # Not even where a period of ours is uploaded, and not published.
    tabled.at("2026-11-08").upload("a")
    assert cleaned(tabled).problems == []
    assert tabled.partitions()["2026-11-08"]["Parameters"] == {"rows": "1"}


@pytest.mark.parametrize("harm", [withdraw, name_a_far_period])
def test_the_latest_period_goes_back_to_the_newest_that_has_a_manifest(
    tabled: Place, harm: Any
) -> None:
    weeks = [tabled.at(period_id) for period_id in ("2026-11-01", "2026-11-08", "2026-11-15")]
    for week_ in weeks:
        published(week_, "a")
    expected = None
    for week_ in weeks[:2]:
        published(week_, "b", 2)
        expected = week_.manifest()["version"]
    harm(weeks[2])

    summary = cleaned(tabled)
    assert tabled.latest()["version"] == expected
    assert tabled.latest()["period"]["id"] == "2026-11-08"
    assert (summary.repaired, summary.problems) == (["plays/weekly/latest.json"], [])
    assert cleaned(tabled).repaired == []

    # The next run moves it forward again.
    published(tabled.at("2026-11-22"), "a")
    assert tabled.latest()["period"]["id"] == "2026-11-22"


def test_a_latest_period_without_any_manifest_stays_and_is_said(tabled: Place) -> None:
    published(tabled, "a")
    before = tabled.latest()
    withdraw(tabled)
    summary = cleaned(tabled, 100, delete=True)
    (problem,) = summary.problems
    assert tabled.latest() == before
    assert tabled.location.report.latest_uri in problem


def test_a_latest_period_whose_manifest_cannot_be_read_stays(tabled: Place) -> None:
    published(tabled.at("2026-11-08"), "a")
    published(tabled, "a")
    tabled.put(tabled.location.manifest_uri, b"{}")
    (problem,) = cleaned(tabled).problems
    assert tabled.location.manifest_uri in problem
    assert tabled.latest()["period"]["id"] == "2026-11-15"


def test_a_latest_period_that_is_deleted_while_it_is_repaired_is_written_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place.at("2026-11-08"), "a")
    published(place, "a")
    withdraw(place)
    uri = place.location.report.latest_uri
    write = S3.write

    def deleted_before(self: S3, *given: Any, **named: Any) -> Any:
        monkeypatch.setattr(S3, "write", write)
        self.delete([uri])
        return self.write(*given, **named)

    monkeypatch.setattr(S3, "write", deleted_before)
    assert repair_latest(place.location.report, place.s3)
    assert place.latest()["period"]["id"] == "2026-11-08"


@pytest.mark.parametrize("calls", range(10))
def test_a_run_that_publishes_while_the_latest_period_is_repaired_wins(
    place: Place, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """At any moment: it leaves alone what names a later period, or it moves forward."""
    published(place.at("2026-11-08"), "a")
    published(place.at("2026-12-27"), "a")
    withdraw(place.at("2026-12-27"))
    left = calls
    is_done = False

    def run_comes_first(name: str) -> None:
        method = getattr(S3, name)

        def after_a_run(self: S3, *given: Any, **named: Any) -> Any:
            nonlocal left, is_done
            left -= 1
            if left < 0 and not is_done:
                is_done = True
                published(place.at("2026-11-15"), "a")
            return method(self, *given, **named)

        monkeypatch.setattr(S3, name, after_a_run)

    for name in ("read", "write", "folders"):
        run_comes_first(name)
    repair_latest(place.location.report, place.s3)
    if not is_done:
        published(place.at("2026-11-15"), "a")
    assert place.latest()["version"] == place.at("2026-11-15").manifest()["version"]
