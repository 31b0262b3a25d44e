"""What a channel may be told of versions in S3: nothing of private columns."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_reports import Column, Report, mail
from athena_reports.aws.s3 import S3, split_uri
from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.receipt import Receipt
from athena_reports.delivery.version_reader import Links, VersionReader
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest, PublishedObject, Version
from athena_reports.rows.columns import TableColumn
from tests.support.calendars import UTC_WEEKS
from tests.support.declared import MakeReport
from tests.support.engines import engine
from tests.support.publishing import facts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEEK = UTC_WEEKS.period("2026-11-15")
COLUMNS = (
    TableColumn(name="user_id", type="VARCHAR", glue="string"),
    TableColumn(name="email", type="VARCHAR", glue="string"),
    TableColumn(name="score", type="BIGINT", glue="bigint"),
)
Rows = list[tuple[str, str, int]]
OLD: Rows = [("u1", "secret-a", 10), ("u2", "secret-b", 20), ("u3", "secret-c", 30)]
NEW: Rows = [("u1", "secret-a", 11), ("u2", "secret-x", 20), ("u4", "secret-d", 40)]


class Told:
    """Publishes versions, and returns what a channel is told of the last one."""

    def __init__(self, s3: S3Client, bucket: str, make_report: MakeReport) -> None:
        self.s3 = s3
        self.location = PeriodLocation.of(bucket, "plays", WEEK)
        self.make_report = make_report

    def put(self, version: str, rows: Rows) -> str:
        values = [list(column) for column in zip(*rows, strict=True)]
        names = [column.name for column in COLUMNS]
        file = BytesIO()
        pq.write_table(pa.table(dict(zip(names, values, strict=True))), file)
        bucket, key = split_uri(self.location.parquet_uri(version))
        self.s3.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
        return key

    def __call__(
        self,
        new: Rows = NEW,
        old: Rows | None = OLD,
        *,
        old_is_kept: bool = True,
        private: tuple[str, ...] = (),
        key: tuple[str, ...] = (),
        **channel: Any,
    ) -> Content:
        parquet_key = self.put("new", new)
        rows = PublishedObject(format="parquet", key=parquet_key, bytes=1, sha256="", rows=len(new))
        version = Version(
            version="new", ordered=True, rows=len(new), columns=COLUMNS, objects=(rows,), key=key
        )
        corrects = None
        if old is not None:
            if old_is_kept:
                self.put("old", old)
            corrects = receipt("old")
        report: Report = self.make_report()
        columns = {name: Column("string", name, private=True) for name in private}
        with engine() as shared:
            reader = VersionReader(
                report=report.model_copy(update={"columns": columns}),
                environment="dev",
                period=WEEK,
                location=self.location,
                s3=S3(self.s3),
                engine=shared,
            )
            whom = mail("sales", to=["a@example.com"], **channel)
            manifest = Manifest.of(version, facts())
            return reader.content(manifest, whom, corrects, Links(page="", query=""))


def receipt(version: str) -> Receipt:
    return Receipt(
        channel="sales",
        kind="mail",
        version=version,
        number=1,
        sent_at=datetime(2026, 11, 22, tzinfo=UTC),
        recipients=("a@example.com",),
        message_id="<1@example.com>",
        run_id="run-1",
        tries_before_clear=0,
    )


@pytest.fixture
def told(s3: S3Client, bucket: str, make_report: MakeReport) -> Told:
    return Told(s3, bucket, make_report)


@pytest.mark.parametrize("key", [(), ("user_id",), ("email",), ("user_id", "email")])
@pytest.mark.parametrize("spelling", ["email", "EMAIL"])
def test_nothing_of_a_private_column_is_told(
    told: Told, key: tuple[str, ...], spelling: str
) -> None:
    assert "secret" in repr(told(key=key))
    content = told(key=key, private=(spelling,))
    assert "secret" not in repr(content)
    assert "email" not in repr(content)
    assert content.rows == (("u1", 11), ("u2", 20), ("u4", 40))
    assert content.correction is not None
    assert content.correction.examples


def test_what_differs_in_a_private_column_only_is_no_difference(told: Told) -> None:
    content = told(key=("user_id",), private=("email",))
    assert content.correction is not None
    correction = content.correction
    assert (correction.added, correction.removed, correction.changed) == (1, 1, 1)
    only_private = [(user_id, "other", score) for user_id, _, score in NEW]
    same = told(NEW, only_private, key=("user_id",), private=("email",)).correction
    assert same is not None
    assert same.is_empty
    different = told(NEW, only_private, key=("user_id",)).correction
    assert different is not None
    assert not different.is_empty


def test_a_channel_that_had_no_version_gets_no_correction(told: Told) -> None:
    assert told(NEW, None).correction is None


def test_a_version_whose_rows_are_gone_is_told_as_such(told: Told) -> None:
    content = told(old_is_kept=False)
    assert content.correction is not None
    assert not content.correction.rows_kept
    assert not content.correction.is_empty


@pytest.mark.parametrize("bar", ["score", "Score"])
def test_the_column_of_the_bars_is_known_in_any_case(told: Told, bar: str) -> None:
    content = told(bar=bar)
    assert (content.bar, content.total) == ("score", 71)


@pytest.mark.parametrize("bar", ["user_id", "points", "email"])
def test_a_column_that_cannot_be_bars_is_told(told: Told, bar: str) -> None:
    with pytest.raises(DeliveryError, match=f"bar='{bar}' names no column of numbers.*have score"):
        told(bar=bar, private=("email",))
