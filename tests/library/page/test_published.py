"""What the page reads from Glue and S3, and what it says of what it cannot read."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import PublishError
from athena_reports.page import published as lake_module
from athena_reports.page.coverage import Published
from athena_reports.page.published import SHOWN_ROWS, AbsentTableError, Kept, LakeError, Shape
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import weekly
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.storage import StorageError
from tests.e2e.page_state import ranking

if TYPE_CHECKING:
    from tests.unit.web.conftest import Account

WEEKS = weekly("sunday", timezone="Asia/Tokyo")
DAG = ReportDag("scores_weekly", PeriodTimetable(WEEKS), datetime(2026, 1, 1, tzinfo=UTC), is_paused=False)
WEEK = WEEKS.period("2026-03-01")


def stored(account: Account, key: str, body: bytes) -> None:
    account.s3.put_object(Bucket=account.bucket, Key=key, Body=body)


def test_partitions_are_those_from_the_first_period_on(account: Account) -> None:
    publisher = account.publisher("scores", WEEKS)
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for week in weeks:
        publisher.put(week)
    assert set(account.lake.partitions(DAG.dag_id)) == {week.id for week in weeks}
    found = account.lake.partitions(DAG.dag_id, WEEK.next.id)
    assert set(found) == {week.id for week in weeks[1:]}
    made = Published.from_parameters(found[WEEK.next.id])
    manifest = account.lake.manifest(DAG, WEEK.next.id)
    assert (made.version, made.rows) == (manifest["version"], 100)
    assert made.bytes == sum(item["bytes"] for item in manifest["objects"])


def test_a_table_that_is_not_there_is_no_failure_of_glue(account: Account) -> None:
    with pytest.raises(AbsentTableError, match=rf"{account.database}\.scores_weekly is not there"):
        account.lake.partitions(DAG.dag_id)


def test_a_refusal_of_glue_names_the_table_and_what_to_allow(account: Account) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, "GetPartitions"
        )

    account.glue.meta.events.register("before-call.glue.GetPartitions", refuse)
    with pytest.raises(
        LakeError, match=r"scores_weekly cannot be read: .*not authorized.* glue:GetPartitions"
    ):
        account.lake.partitions(DAG.dag_id)


def test_a_manifest_that_was_deleted_or_is_foreign_is_told_apart(account: Account) -> None:
    account.publisher("scores", WEEKS).put(WEEK)
    key = account.lake.location(DAG, WEEK.id).manifest_key
    stored(account, key, b'{"hello": 1}')
    with pytest.raises(PublishError, match=r"no manifest of this package"):
        account.lake.manifest(DAG, WEEK.id)
    account.s3.delete_object(Bucket=account.bucket, Key=key)
    with pytest.raises(LakeError, match=r"manifest\.json is not there: .*Clear the run"):
        account.lake.manifest(DAG, WEEK.id)


def test_a_bucket_that_cannot_be_read_is_named(account: Account) -> None:
    lake = replace(account.lake, bucket="nobodys-bucket")
    with pytest.raises(StorageError, match=r"s3://nobodys-bucket/scores/weekly/.*Create the bucket"):
        lake.manifest(DAG, WEEK.id)


def test_rows_are_the_first_ones_of_what_is_published(account: Account) -> None:
    table = ranking(WEEK, rows=SHOWN_ROWS + 30)
    account.publisher("scores", WEEKS).put(WEEK, rows=table)
    manifest = account.lake.manifest(DAG, WEEK.id)
    rows = account.lake.rows(DAG, manifest)
    assert rows == [list(row.values()) for row in table.slice(0, SHOWN_ROWS).to_pylist()]


def test_rows_that_are_damaged_are_a_message_and_not_an_accident(account: Account) -> None:
    account.publisher("scores", WEEKS).put(WEEK)
    manifest = account.lake.manifest(DAG, WEEK.id)
    (key,) = (item["key"] for item in manifest["objects"] if item["format"] == "parquet")
    stored(account, key, b"no parquet at all")
    with pytest.raises(LakeError, match=r"part-0\.parquet cannot be read as Parquet"):
        account.lake.rows(DAG, manifest)


def test_a_large_object_is_not_fetched_to_show_some_rows(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.publisher("scores", WEEKS).put(WEEK)
    manifest = account.lake.manifest(DAG, WEEK.id)
    (size,) = [item["bytes"] for item in manifest["objects"] if item["format"] == "parquet"]
    monkeypatch.setattr(lake_module, "SHOWN_BYTES", size)
    assert account.lake.rows(DAG, manifest)

    monkeypatch.setattr(lake_module, "SHOWN_BYTES", size - 1)
    monkeypatch.setattr(type(account.lake.storage), "download", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(LakeError, match=r"part-0\.parquet has .* Download it, or query the table in Athena"):
        account.lake.rows(DAG, manifest)
    with pytest.raises(LakeError, match="Download it"):
        account.lake.entries(DAG, WEEK.id, manifest["version"], Shape.of(manifest["columns"]), ["u1"])


def test_rows_are_read_in_threads_that_come_and_go(tmp_path: Path) -> None:
    """In a process of its own, which a crash of Arrow would end; a server's threads live for seconds."""
    pq.write_table(ranking(WEEK), tmp_path / "part.parquet")
    code = f"""
import sys; sys.path.insert(0, {str(Path(lake_module.__file__).parents[2])!r})
import shutil, threading, types
from athena_reports.page.published import Lake

part = {str(tmp_path / "part.parquet")!r}
storage = types.SimpleNamespace(download=lambda uri, path: shutil.copy(part, path))
dag = types.SimpleNamespace(report="scores", cadence=types.SimpleNamespace(name="weekly"))
manifest = {{
    "period": {{"id": "2026-03-01"}},
    "columns": [{{"name": "user_id"}}],
    "objects": [{{"key": "x", "format": "parquet", "bytes": 1}}],
}}
lake, seen = Lake("", "bucket", None, storage, ""), []
for _ in range(4):
    thread = threading.Thread(target=lambda: seen.append(len(lake.rows(dag, manifest))))
    thread.start()
    thread.join()
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[100, 100, 100, 100]"), done.stderr


def test_entries_are_found_by_their_key(account: Account) -> None:
    account.publisher("scores", WEEKS).put(WEEK)
    manifest = account.lake.manifest(DAG, WEEK.id)
    shape = Shape.of(manifest["columns"])
    rows = {row["user_id"]: row for row in ranking(WEEK).to_pylist()}
    wanted = [*list(rows)[:2], "nobody"]
    found = account.lake.entries(DAG, WEEK.id, manifest["version"], shape, wanted)
    assert found == {
        key: {"score": rows[key]["score"], "plays": rows[key]["plays"]} for key in wanted if key in rows
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {
                "rank": "int64",
                "user_id": "string",
                "user_name": "string",
                "score": "int64",
                "movement": "string",
            },
            Shape("user_id", "user_name", ("score",)),
        ),
        (
            {
                "carrier": "string",
                "carrier_name": "large_string",
                "flights": "double",
                "previous_rank": "int64",
            },
            Shape("carrier", "carrier_name", ("flights",)),
        ),
        ({"day": "date32[day]", "amount": "decimal128(10, 2)"}, Shape("", "", ("amount",))),
        ({"movement": "string"}, Shape("", "", ())),
    ],
)
def test_columns_mean_what_their_names_and_types_say(columns: dict[str, str], expected: Shape) -> None:
    assert Shape.of([{"name": name, "type": kind} for name, kind in columns.items()]) == expected


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_every_value_becomes_json_that_javascript_reads_without_loss(value: Any) -> None:
    plain = lake_module._plain(value)
    # A number in JavaScript is a double.
    read = json.loads(json.dumps(plain, allow_nan=False), parse_int=lambda digits: int(float(digits)))
    if isinstance(value, bool) or value is None:
        assert read is value
    elif isinstance(value, int):
        assert int(read) == value
    elif isinstance(value, float):
        assert float(read) == value or math.isnan(value)
    elif isinstance(value, Decimal):
        assert Decimal(read) == value
    elif isinstance(value, datetime):
        assert datetime.fromisoformat(read) == value
    elif isinstance(value, date):
        assert date.fromisoformat(read) == value
    elif isinstance(value, bytes):
        assert bytes.fromhex(read) == value
    elif isinstance(value, list | dict):
        assert len(read) == len(value)
    else:
        assert read == value


def test_rows_of_every_type_can_be_shown(account: Account) -> None:
    table = pa.table(
        {
            "at": pa.array([datetime(2026, 1, 2, 3, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "day": pa.array([date(2026, 1, 2)]),
            "big": pa.array([2**60], pa.int64()),
            "money": pa.array([Decimal("1.20")], pa.decimal128(10, 2)),
            "nothing": pa.array([None], pa.string()),
            "not_a_number": pa.array([math.nan]),
        }
    )
    account.publisher("scores", WEEKS).put(WEEK, rows=table)
    rows = account.lake.rows(DAG, account.lake.manifest(DAG, WEEK.id))
    assert rows == [["2026-01-02T03:00:00+00:00", "2026-01-02", str(2**60), "1.20", None, "nan"]]


def test_kept_values_are_made_once_while_they_are_young(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(lake_module.time, "monotonic", lambda: now[0])
    kept = Kept(3)
    made: list[str] = []

    def make() -> int:
        made.append("x")
        return len(made)

    assert [kept.get("a", make), kept.get("a", make), kept.get("b", make)] == [1, 1, 2]
    now[0] += 3
    assert kept.get("a", make) == 3

    def fail() -> int:
        raise LakeError("no")

    with pytest.raises(LakeError):
        kept.get("c", fail)
    assert kept.get("c", make) == 4
