"""What a channel may be told of versions in S3: nothing of private columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_reports import Column, Report, mail, notify, slack, transforms, weekly
from athena_reports.aws.s3 import S3, split_uri
from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.sentences import sentences
from athena_reports.delivery.version_reader import VersionReader
from athena_reports.periods.calendar import Period
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    EarlierVersion,
    Manifest,
    PublicationFacts,
    PublishedObject,
    Version,
)
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.differences import Differences
from athena_reports.rows.engine import Engine
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.engines import engine
from tests.support.notifiers import Recorder
from tests.support.publishing import facts
from tests.unit.athena_reports.delivery.contents import receipt

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEEK = UTC_WEEKS.period("2026-11-15")
COLUMNS = (
    TableColumn(name="user_id", type="VARCHAR", glue="string"),
    TableColumn(name="email", type="VARCHAR", glue="string"),
    TableColumn(name="score", type="BIGINT", glue="bigint"),
)
Rows = Sequence[tuple[Any, ...]]
OLD: Rows = [("u1", "secret-a", 10), ("u2", "secret-b", 20), ("u3", "secret-c", 30)]
NEW: Rows = [("u1", "secret-a", 11), ("u2", "secret-x", 20), ("u4", "secret-d", 40)]


def names_of(columns: Sequence[TableColumn]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def recorded(names: Sequence[str], private: Sequence[str] = ()) -> tuple[TableColumn, ...]:
    """Columns as a manifest has them."""
    types = {column.name: column.type for column in COLUMNS}
    return tuple(
        TableColumn(name=name, type=types.get(name, "VARCHAR"), glue="", private=name in private)
        for name in names
    )


def integers(names: Sequence[str], *, texts: Sequence[str]) -> tuple[TableColumn, ...]:
    """Columns of integers, but for those of texts."""
    types = dict.fromkeys(names, "BIGINT") | dict.fromkeys(texts, "VARCHAR")
    return tuple(TableColumn(name=name, type=types[name], glue="") for name in names)


def replaced(version: str, columns: tuple[TableColumn, ...]) -> EarlierVersion:
    """What a manifest says of a version that was current before."""
    earlier = Version(version=version, ordered=True, rows=3, columns=columns, objects=())
    return Manifest.of(earlier, facts()).as_earlier_version("2026-11-23T00:00:00+00:00", None)


def declaring(private: Sequence[str], public: Sequence[str]) -> dict[str, Column]:
    columns = {name: Column("string", name, private=True) for name in private}
    return columns | {name: Column("string", name) for name in public}


class Told:
    """Publishes versions, and returns what a channel is told of the last one."""

    def __init__(self, s3: S3Client, bucket: str, make_report: MakeReport) -> None:
        self.s3 = s3
        self.location = PeriodLocation.of(bucket, "plays", WEEK)
        self.make_report = make_report

    def reader(self, shared: Engine, report: Report | None = None) -> VersionReader:
        return VersionReader(
            report=report or self.make_report(),
            period=WEEK,
            location=self.location,
            s3=S3(self.s3),
            engine=shared,
            page_url="https://airflow.example/page",
            query_url="https://console.example/query",
        )

    def upload(
        self,
        name: str,
        rows: Rows,
        *,
        columns: Sequence[TableColumn] = COLUMNS,
        location: PeriodLocation | None = None,
        **fields: Any,
    ) -> Version:
        """Upload the rows of a version, whose manifest has these columns or other fields."""
        values = [list(column) for column in zip(*rows, strict=True)]
        file = BytesIO()
        pq.write_table(pa.table(dict(zip(names_of(columns), values, strict=True))), file)
        bucket, key = split_uri((location or self.location).parquet_uri(name))
        self.s3.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
        parquet = PublishedObject(format="parquet", key=key, bytes=1, sha256="", rows=len(rows))
        usual = {"ordered": True, "rows": len(rows), "columns": columns, "objects": (parquet,)}
        return Version(version=name, **usual | fields)

    def publish(self, period: Period, rows: Rows, **fields: Any) -> str:
        """Publish another period of the report, and return the address of its rows."""
        location = PeriodLocation.of(self.location.report.bucket, "plays", period)
        version = self.upload(period.id, rows, location=location, **fields)
        body = Manifest.of(version, facts(period_id=period.id)).model_dump_json().encode()
        S3(self.s3).write(location.manifest_uri, body, "application/json", replacing=None)
        return location.parquet_uri(period.id)

    def __call__(
        self,
        new: Rows = NEW,
        old: Rows | None = OLD,
        *,
        old_is_kept: bool = True,
        old_names: Sequence[str] = ("user_id", "email", "score"),
        private: tuple[str, ...] = (),
        declared: Sequence[str] = (),
        recorded_private: Sequence[str] = (),
        old_private: Sequence[str] = (),
        key: tuple[str, ...] = (),
        told_facts: PublicationFacts | None = None,
        earlier: tuple[EarlierVersion, ...] | None = None,
        **channel: Any,
    ) -> Content:
        """Return what is told.

        `private` are private in today's file, whose `columns=` has these and `declared`, if any.
        `recorded_private` are private in the manifest, and `old_private` were in that of the
        version before.
        """
        columns = recorded(names_of(COLUMNS), recorded_private)
        version = self.upload("new", new).model_copy(update={"columns": columns, "key": key})
        if earlier is None:
            earlier = (replaced("old", recorded(old_names, old_private)),)
        corrects = None
        if old is not None:
            if old_is_kept:
                self.upload("old", old, columns=recorded(old_names))
            corrects = receipt(version="old")
        report: Report = self.make_report()
        with engine() as shared:
            reader = self.reader(shared, replace(report, columns=declaring(private, declared)))
            whom = mail("sales", to=["a@example.com"], **channel)
            manifest = Manifest.of(version, told_facts or facts(), earlier_versions=earlier)
            return reader.content(manifest, whom, corrects)


def found(content: Content) -> Differences:
    """What differs from the version before."""
    assert content.correction is not None
    assert content.correction.differences is not None
    return content.correction.differences


PRIVATE_EMAIL: dict[str, Any] = {"private": ("email",), "declared": ("user_id", "score")}


def require_no_email(content: Content) -> None:
    """Require that `NEW` is told without its private column."""
    assert "secret" not in repr(content)
    assert "email" not in repr(content)
    assert content.rows == (("u1", 11), ("u2", 20), ("u4", 40))


@pytest.fixture
def told(s3: S3Client, bucket: str, make_report: MakeReport) -> Told:
    return Told(s3, bucket, make_report)


@pytest.mark.parametrize("key", [(), ("user_id",), ("email",), ("user_id", "email")])
@pytest.mark.parametrize("spelling", ["email", "EMAIL"])
def test_nothing_of_a_private_column_is_told(
    told: Told, key: tuple[str, ...], spelling: str
) -> None:
    assert "secret" in repr(told(key=key))
    content = told(key=key, private=(spelling,), declared=("user_id", "score"))
    require_no_email(content)
    assert found(content).examples


def test_what_differs_in_a_private_column_only_is_no_difference(told: Told) -> None:
    differences = found(told(key=("user_id",), **PRIVATE_EMAIL))
    assert (differences.added, differences.removed, differences.changed) == (1, 1, 1)
    only_private = [(user_id, "other", score) for user_id, _, score in NEW]
    assert found(told(NEW, only_private, key=("user_id",), **PRIVATE_EMAIL)).is_empty
    assert not found(told(NEW, only_private, key=("user_id",))).is_empty


def test_with_a_private_column_in_the_key_whole_rows_are_compared(told: Told) -> None:
    """Without it, the rest of the key may not tell rows apart."""
    differences = found(told(NEW[:2], key=("user_id", "email"), **PRIVATE_EMAIL))
    assert (differences.added, differences.removed, differences.changed) == (1, 2, 0)
    assert differences.paired_by == ("user_id", "score")


def test_a_correction_tells_which_columns_only_one_of_its_versions_has(told: Told) -> None:
    changed_names = ("user_id", "level", "score")
    correction = found(told(old_names=changed_names, key=("user_id",)))
    assert (correction.columns_added, correction.columns_removed) == (("email",), ("level",))
    assert correction.columns == {"score": 1}
    options: Any = {"private": ("level",), "declared": names_of(COLUMNS)}
    shown = found(told(old_names=changed_names, key=("user_id",), **options))
    assert (shown.columns_added, shown.columns_removed) == (("email",), ())


@pytest.mark.parametrize(
    "options",
    [
        {"recorded_private": ("email",)},
        {"recorded_private": ("email",), "declared": ("user_id", "email", "score")},
        {"declared": ("user_id", "score")},
        {"declared": ("user_id", "mail", "score")},
    ],
    ids=["columns= is gone", "private= is gone", "dropped", "renamed"],
)
@pytest.mark.parametrize("key", [(), ("user_id",), ("email",)])
def test_a_column_stays_private_when_the_file_no_longer_says_so(
    told: Told, options: dict[str, Any], key: tuple[str, ...]
) -> None:
    require_no_email(told(key=key, **options))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_correction_hides_a_column_that_only_the_version_before_had_and_kept_private(
    told: Told, is_known: bool
) -> None:
    """The manifest that said so is gone if somebody has withdrawn the period."""
    old_names = ("user_id", "secret_name", "score")
    earlier = None if is_known else ()
    content = told(old_names=old_names, old_private=old_names[1:2], earlier=earlier)
    assert "secret_name" not in repr(content)
    assert "secret" not in repr(content.correction)
    assert (found(content).added, found(content).removed) == (2, 2)


def test_a_correction_hides_a_column_that_the_version_before_kept_private(told: Told) -> None:
    content = told(old_private=("email",), key=("user_id",))
    assert "secret-a" in repr(content.rows)
    assert "secret" not in repr(content.correction)
    assert "email" not in repr(content.correction)


def test_a_version_whose_columns_all_stay_in_s3_is_told(told: Told) -> None:
    says = "Version new has no column that can be delivered: all are private or not in columns=."
    for options in ({"declared": ("name",)}, {"recorded_private": names_of(COLUMNS)}):
        with pytest.raises(DeliveryError, match=says):
            told(**options)


def test_a_correction_of_a_version_whose_columns_all_stay_in_s3_tells_none_of_them(
    told: Told,
) -> None:
    content = told(old=OLD[:2], old_names=("a", "b", "c"), declared=names_of(COLUMNS))
    assert (found(content).columns_added, found(content).columns_removed) == (names_of(COLUMNS), ())
    assert "secret" not in repr(content.correction)


def test_a_version_whose_rows_are_gone_is_told_as_such(told: Told) -> None:
    content = told(old_is_kept=False)
    assert content.correction is not None
    assert content.correction.differences is None
    assert not content.correction.is_empty


@pytest.mark.parametrize("bar", ["score", "Score"])
def test_the_column_of_the_bars_is_known_in_any_case(told: Told, bar: str) -> None:
    content = told(bar=bar)
    assert (content.bar, content.total) == ("score", 71)


@pytest.mark.parametrize("bar", ["user_id", "points", "email"])
def test_a_column_that_cannot_be_bars_is_told(told: Told, bar: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        told(bar=bar, **PRIVATE_EMAIL)
    assert str(caught.value) == (
        f"bar: {bar!r} is not a numeric column that can be delivered. Use one of score."
    )


@pytest.mark.parametrize("provisional", [True, False])
def test_the_facts_are_those_of_the_manifest(told: Told, provisional: bool) -> None:
    checked = [
        CheckResult(name=name, severity="warn", passed=passed, message="1,234 of a secret")
        for name, passed in (("rows", True), ("unique", False), ("not_null", False))
    ]
    told_facts = facts(
        published_at="2026-11-22T01:00:00+00:00",
        settles_at="2026-11-24T02:00:00+00:00",
        provisional=provisional,
        missing_partitions=("dt=1", "dt=2", "dt=3"),
        checks=tuple(checked),
    )
    content = told(NEW, None, told_facts=told_facts, rows=2, key=("user_id",))
    assert (content.report, content.environment, content.period) == ("plays", "dev", WEEK)
    assert content.version == "new"
    assert content.published_at == datetime(2026, 11, 22, 1, tzinfo=UTC)
    assert content.settles_at == datetime(2026, 11, 24, 2, tzinfo=UTC)
    assert content.provisional == provisional
    assert content.missing_partitions == 3
    assert content.warned_checks == ("unique", "not_null")
    assert (content.rows, content.total_rows) == (tuple(NEW[:2]), 3)
    assert content.key == ("user_id",)
    assert content.page_url == "https://airflow.example/page"
    assert content.query_url == "https://console.example/query"
    assert content.correction is None, "a channel without an earlier version gets no correction"


def test_a_period_is_compared_with_the_one_before(told: Told) -> None:
    told.publish(WEEK.next, [("u9", "secret-e", 1)])
    alone = told(bar="score")
    assert (alone.total, alone.previous_total, alone.previous_rows) == (71, None, None)
    uri = told.publish(WEEK.previous, OLD[:2])
    compared = told(bar="score")
    assert (compared.total, compared.previous_total, compared.previous_rows) == (71, 30, 2)
    without_bar = told()
    assert (without_bar.total, without_bar.previous_total) == (None, None)
    assert without_bar.previous_rows == 2
    S3(told.s3).delete([uri])
    gone = told(bar="score")  # a cleanup tells of it
    assert (gone.previous_total, gone.previous_rows) == (None, 2)


@pytest.mark.parametrize(
    "of_before",
    [{"columns": recorded(names_of(COLUMNS), ["score"])}, {"objects": ()}],
    ids=["it was private", "no Parquet"],
)
def test_a_period_is_compared_by_its_rows_where_the_total_before_cannot_be_told(
    told: Told, of_before: dict[str, Any]
) -> None:
    told.publish(WEEK.previous, OLD[:2], **of_before)
    compared = told(bar="score")
    assert (compared.total, compared.previous_total, compared.previous_rows) == (71, None, 2)


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_are_read_in_the_order_of_their_version_and_the_zone_of_the_period(
    told: Told, ordered: bool
) -> None:
    version = told.upload("v", NEW, ordered=ordered)
    tokyo = weekly("sunday", "Asia/Tokyo").period(WEEK.id)
    with engine() as shared:
        reader = replace(told.reader(shared), period=tokyo)
        rows = reader.rows(
            Manifest.of(version, facts()), mail("sales", to=["a@example.com"], bar="score")
        )
        assert rows.zone.key == "Asia/Tokyo"
        assert [row[0] for row in rows.first(3)] == (
            ["u1", "u2", "u4"] if ordered else ["u4", "u2", "u1"]
        )


def test_each_channel_names_the_biggest_moves_of_all_rows(told: Told) -> None:
    """However many rows it shows, and in whatever order."""
    names = ("rank", "artist", "previous_rank", "movement")
    rows = [(rank, f"a{rank}", rank, "same") for rank in range(1, 40)]
    rows += [(40, "riser", 400, "up 360"), (41, "faller", 2, "down 39")]
    version = told.upload("v", rows, columns=integers(names, texts=names[1::2]))
    report: Report = told.make_report(transform=transforms.movement())
    with engine() as shared:
        reader = told.reader(shared, report)
        for channel in (
            mail("sales", to=["a@example.com"], rows=5, bar="rank"),
            slack("team", channel="#sales", rows=2),
            notify("topic", Recorder()),
        ):
            read = reader.content(Manifest.of(version, facts()), channel, None)
            assert sentences(read, [], "en").movement == [
                "Biggest rises: riser (from 400 to 40).",
                "Biggest falls: faller (from 2 to 41).",
            ]


@pytest.mark.parametrize(("bar", "first"), [("", "u3"), ("plays", "u2")])
def test_the_examples_of_a_correction_change_most_in_the_first_measure(
    told: Told, bar: str, first: str
) -> None:
    names = ("user_id", "rank", "score", "plays")
    old = [("u1", 1, 9, 9), ("u2", 2, 9, 9), ("u3", 30, 9, 9)]
    new = [("u1", 90, 9, 8), ("u2", 2, 8, 0), ("u3", 3, 99, 7)]
    columns = integers(names, texts=names[:1])
    version = told.upload("v", new, columns=columns, key=names[:1])
    told.upload("old", old, columns=columns)
    manifest = Manifest.of(version, facts(), earlier_versions=(replaced("old", columns),))
    with engine() as shared:
        channel = mail("sales", to=["a@example.com"], bar=bar)
        corrects = receipt(version="old")
        content = told.reader(shared).content(manifest, channel, corrects)
    assert found(content).examples[0].key == (first,)


@pytest.mark.parametrize(("private", "is_named"), [((), True), (("EMAIL",), False)])
def test_a_version_is_where_people_find_its_files_unless_they_may_not_read_all_of_them(
    told: Told, private: tuple[str, ...], is_named: bool
) -> None:
    version = Version(version="v", ordered=True, rows=1, columns=COLUMNS, objects=())
    declared = declaring(private, ("user_id", "score")) if private else {}
    with engine() as shared:
        reader = told.reader(shared, replace(told.make_report(), columns=declared))
        expected = told.location.version_uri("v") if is_named else ""
        assert reader.folder_uri(version) == expected
        in_capitals = tuple(c.model_copy(update={"name": c.name.upper()}) for c in COLUMNS)
        assert reader.folder_uri(version.model_copy(update={"columns": in_capitals})) == expected
        was_private = version.model_copy(update={"columns": recorded(names_of(COLUMNS), ["email"])})
        assert reader.folder_uri(was_private) == ""


def test_a_version_without_parquet_is_refused(told: Told) -> None:
    version = Version(version="v", ordered=True, rows=1, columns=COLUMNS, objects=())
    with engine() as shared, pytest.raises(DeliveryError) as caught:
        told.reader(shared).rows(Manifest.of(version, facts()), mail("sales", to=["a@example.com"]))
    assert str(caught.value) == (
        "Version v has no Parquet file. Add 'parquet' to the report's outputs, then restate the"
        " period."
    )
