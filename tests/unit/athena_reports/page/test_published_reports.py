"""What the page reads from Glue and S3, and what it says of what it cannot read."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any

import duckdb
import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3Error
from athena_reports.delivery.table_columns import label_of
from athena_reports.errors import PublishError
from athena_reports.page import published_reports as page
from athena_reports.page.published_reports import (
    ColumnRoles,
    PublishedReports,
    UnreadableReportError,
    names_of_entries,
)
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.columns import TableColumn
from tests.support.calendars import WEEKS
from tests.support.page_publisher import ranking
from tests.support.partition_facts import facts
from tests.support.wire import answered, json_error, json_response, s3_error
from tests.unit.athena_reports.page.account import WEEK, Account, report_dag

DAG = report_dag("scores")


def published(account: Account, rows: Any = None) -> Manifest:
    account.publisher("scores", WEEKS).put(WEEK, rows=rows)
    return account.reports.manifest(DAG, WEEK.id)


def shown(account: Account, manifest: Manifest) -> list[tuple[str | None, ...]]:
    return account.reports.rows(DAG, manifest, [column.name for column in manifest.columns])


Connect = Callable[[], PublishedReports]


@pytest.fixture
def connect(sql_folder: Path) -> Iterator[Connect]:
    """Connects as another process would."""
    connect: Any = PublishedReports.connect

    def anew() -> PublishedReports:
        connect.cache_clear()
        reports: PublishedReports = connect()
        return reports

    yield anew
    connect.cache_clear()


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/athena/home?region=eu-west-1#"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/athena/home?region=cn-north-1#"),
        ("us-iso-east-1", ""),  # Airflow knows no console of its partition
    ],
)
def test_the_console_is_that_of_the_partition_of_aws(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, region: str, console: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    assert connect().console.partition("/query-editor/")[0] == console


def test_nothing_is_read_from_a_bucket_of_another_account(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "123456789012")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    reports = connect()
    refused = s3_error("AccessDenied", "Access Denied", 403)
    with answered(reports.s3.client, "GetObject", refused) as requests, pytest.raises(S3Error):
        reports.manifest(DAG, WEEK.id)
    (request,) = requests
    assert dict(request.headers)["x-amz-expected-bucket-owner"] == b"123456789012"


def test_what_is_published_is_that_of_the_settings_and_of_their_connection(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_settings = {
        "ATHENA_REPORTS_ENV": "stg",
        "ATHENA_REPORTS_BUCKET": "reports-of-stg",
        "ATHENA_REPORTS_DATABASE": "events",
        "ATHENA_REPORTS_REPORT_DATABASE": "published",
        "ATHENA_REPORTS_AWS_CONN_ID": "aws_reports",
        "AIRFLOW_CONN_AWS_REPORTS": "aws://of-the-connection:secret@/?region_name=eu-west-3",
    }
    for name, value in of_settings.items():
        monkeypatch.setenv(name, value)
    reports = connect()
    assert (reports.database, reports.bucket) == ("published", "reports-of-stg")
    for client in (reports.glue, reports.s3.client):
        assert client.meta.region_name == "eu-west-3"
        assert client._request_signer._credentials.access_key == "of-the-connection"


def test_a_viewer_waits_for_aws_for_seconds(connect: Connect) -> None:
    reports = connect()
    for client in (reports.glue, reports.s3.client):
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (2, 5)
        assert config.retries["total_max_attempts"] == 2


def test_a_connection_that_has_changed_is_noticed_after_some_minutes(connect: Connect) -> None:
    of_class: Any = PublishedReports.connect
    reports = connect()
    of_class.cache.expire(time.monotonic() + 4 * 60)  # as time does
    assert of_class() is reports
    of_class.cache.expire(time.monotonic() + 6 * 60)
    assert of_class() is not reports


def test_a_connection_that_cannot_be_used_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_AWS_CONN_ID", "aws_reports")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_REPORTS", "aws://?profile_name=nobodys")
    says = "^Could not use the Airflow connection 'aws_reports': .*nobodys.* Create it, or set "
    with pytest.raises(UnreadableReportError, match=says):
        connect()
    of_a_role = "aws://?role_arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_REPORTS", f"{of_a_role}&assume_role_method=by_post")
    with pytest.raises(UnreadableReportError, match=r"'aws_reports': .*by_post"):
        connect()


def test_partitions_are_those_from_the_first_period_on_and_asked_for_again_after_some_seconds(
    account: Account,
) -> None:
    calls: list[dict[str, Any]] = []
    account.glue.meta.events.register(
        "before-call.glue.GetPartitions",
        lambda params, **_: calls.append(json.loads(params["body"])),
    )
    for _ in range(2):
        assert account.reports.published_periods(DAG.dag_id) == {}
        account.publisher("scores", WEEKS).put(WEEK)
    (call,) = calls
    assert call["ExcludeColumnSchema"] is True, "it is as large as all else"
    account.publisher("scores", WEEKS).put(WEEK.next)
    page._partitions.clear()  # as time does
    assert set(account.reports.published_periods(DAG.dag_id)) == {WEEK.id, WEEK.next.id}
    assert set(account.reports.published_periods(DAG.dag_id, WEEK.next.id)) == {WEEK.next.id}


def test_partitions_of_all_pages_are_read_empty_ones_too(account: Account) -> None:
    """Glue may send an empty page before others, without the list.

    A calendar of days has thousands of partitions.
    """
    parameters = facts(WEEK).as_parameters()
    ids = [f"{number:04}" for number in range(2_000)]
    many = [{"Values": [period_id], "Parameters": parameters} for period_id in ids]
    pages = [
        {"Partitions": many[:1], "NextToken": "a"},
        {"NextToken": "b"},
        {"Partitions": many[1:1_000], "NextToken": "c"},
        {"Partitions": many[1_000:]},
    ]
    with answered(account.glue, "GetPartitions", *map(json_response, pages)):
        published = account.reports.published_periods(DAG.dag_id)
    assert published == dict.fromkeys(ids, facts(WEEK))


def test_partitions_that_are_throttled_in_the_middle_are_not_taken_for_all(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    first = json_response({"Partitions": [{"Values": [WEEK.id]}], "NextToken": "a"})
    throttled = [json_error("ThrottlingException", "Rate exceeded") for _ in range(9)]
    with (
        answered(account.glue, "GetPartitions", first, *throttled),
        pytest.raises(UnreadableReportError, match=r"scores_weekly: .*Rate exceeded"),
    ):
        account.reports.published_periods(DAG.dag_id)


def test_all_who_ask_at_once_share_one_answer_of_glue(account: Account) -> None:
    """A refusal too. Asked for again by each, a Glue that hangs would hold them up in turn."""
    calls: list[str] = []
    hangs = Event()

    def refuse(**_: Any) -> None:
        calls.append("one")
        hangs.wait()
        raise ConnectTimeoutError(endpoint_url="glue")

    account.glue.meta.events.register("before-call.glue.GetPartitions", refuse)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(account.reports.published_periods, DAG.dag_id) for _ in range(8)]
        hangs.set()
        problems = [str(each.exception()) for each in asked]
    assert len(calls) == 1
    assert re.match(r"Could not read Glue table .*scores_weekly: Connect timeout", problems[0])
    assert len(set(problems)) == 1


def test_entries_are_found_by_their_key_and_an_unknown_column_is_empty(account: Account) -> None:
    manifest = published(account)
    first, second = ranking(WEEK)[:2]
    keys = [(first["user_id"],), (second["user_id"],), ("nobody",)]
    found = account.reports.entries(DAG, manifest, ["user_id"], keys, ["plays", "not_yet"])
    assert found == {(row["user_id"],): (str(row["plays"]), None) for row in (first, second)}
    assert account.reports.entries(DAG, manifest, ["user_id"], [], ["plays"]) == {}
    assert account.reports.entries(DAG, manifest, ["not_yet"], [(None,)], ["plays"]) == {}


KEYS = st.tuples(*[st.sampled_from([None, "", "NULL", "a", "a, a", "'", "[a]"])] * 2)


@pytest.mark.ci
@given(st.lists(KEYS, max_size=8), st.lists(KEYS, max_size=3))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_entry_is_the_one_row_that_has_all_values_of_its_key(
    account: Account,
    rows: list[tuple[str | None, str | None]],
    others: list[tuple[str | None, str | None]],
) -> None:
    """NULL is a value like others, and the empty text is another one."""
    listed = [
        {"one": one, "other": other, "place": place}
        for place, (one, other) in enumerate([*rows, ("end", "end")])
    ]
    manifest = published(account, listed)

    found = account.reports.entries(DAG, manifest, ["one", "other"], [*rows, *others], ["place"])
    places = {row: str(rows.index(row)) for row in rows if rows.count(row) == 1}
    assert {key: place for key, (place,) in found.items()} == places


@pytest.mark.parametrize("limit", ["SHOWN_BYTES", "SHOWN_UNFOLDED"])
def test_what_is_too_large_or_unfolds_too_far_is_not_read(
    account: Account, monkeypatch: pytest.MonkeyPatch, limit: str, tmp_path: Path
) -> None:
    manifest = published(account)
    file = tmp_path / "rows.parquet"
    account.s3.download_file(account.bucket, manifest.parquet_key, str(file))
    sizes = duckdb.sql(f"SELECT sum(total_uncompressed_size) FROM parquet_metadata('{file}')")
    ((unfolded_bytes,),) = sizes.fetchall()
    number, unit = {
        "SHOWN_BYTES": (file.stat().st_size, "bytes"),
        "SHOWN_UNFOLDED": (int(unfolded_bytes), "uncompressed bytes"),
    }[limit]
    monkeypatch.setattr(page, limit, number)
    assert shown(account, manifest)

    monkeypatch.setattr(page, limit, number - 1)
    if limit == "SHOWN_BYTES":
        monkeypatch.setattr(
            type(account.reports.s3), "download", lambda *_: pytest.fail("it was fetched")
        )
    problem = rf"part-0\.parquet has {number:,} {unit}; this page reads at most {number - 1:,}"
    with pytest.raises(UnreadableReportError, match=rf"{problem}.* Download it"):
        shown(account, manifest)


def test_four_may_read_rows_at_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its memory."""
    manifest = published(account)
    opened: Queue[None] = Queue()
    goes_on = Event()

    def wait(*_: Any, **__: Any) -> None:
        opened.put(None)
        goes_on.wait()
        raise UnreadableReportError("It was opened.")

    monkeypatch.setattr(page, "open_engine", wait)
    with ThreadPoolExecutor(9) as threads:
        asked = [threads.submit(shown, account, manifest) for _ in range(9)]
        try:
            for _ in range(4):
                opened.get(timeout=60)
            with pytest.raises(Empty):
                opened.get(timeout=0.2)
        finally:
            goes_on.set()
        # Also one that fails lets the next one read.
        problems = [str(each.exception(60)) for each in asked]
    assert problems == ["It was opened."] * 9


@pytest.mark.ci
def test_a_small_file_of_huge_values_stays_small(account: Account, tmp_path: Path) -> None:
    """A few kilobytes of Parquet with one value of 250 MB, and with a hundred values of 8 MB."""
    manifest = published(account, "SELECT 'x' AS user_id, 1 AS score")
    cut = "x" * (page.SHOWN_CHARS - 1) + "…"
    for rows, length in ((1, 250_000_000), (100, 8_000_000)):
        path = tmp_path / "bomb.parquet"
        bomb = f"SELECT repeat('x', {length}) AS user_id, 1 AS score FROM range({rows})"
        duckdb.sql(f"COPY ({bomb}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        account.s3.upload_file(str(path), account.bucket, manifest.parquet_key)
        with pytest.raises(
            UnreadableReportError,
            match=r"needs more memory than this page's limit of 128MB\. Download it",
        ):
            shown(account, manifest)
    assert account.reports.entries(DAG, manifest, ["user_id"], [(cut,)], ["score"]) == {}


def test_a_key_that_is_too_long_to_be_shown_is_not_taken_for_another_one(account: Account) -> None:
    cut = "SELECT repeat('x', 200) || n AS name, n AS score FROM range(2) r(n)"
    manifest = published(account, f"{cut} UNION ALL SELECT 'y', 7")
    keys = [(name,) for (name,) in account.reports.rows(DAG, manifest, ["name"])]
    assert len(set(keys)) == 2
    assert account.reports.entries(DAG, manifest, ["name"], keys, ["score"]) == {("y",): ("7",)}


def test_a_long_value_is_cut(account: Account) -> None:
    sql = "SELECT repeat('ä', 201) AS text, repeat('1', 200) AS number"
    assert shown(account, published(account, sql)) == [("ä" * 199 + "…", "1" * 200)]


def test_rows_are_read_from_their_period_alone(account: Account) -> None:
    """Another program's manifest could name any object that the page may read."""
    manifest = published(account)
    account.publisher("scores", WEEKS).put(WEEK.next)
    key = f"scores/weekly/{WEEK.id}/manifest.json"
    body = manifest.model_dump_json().replace(f"/{WEEK.id}/versions/", f"/{WEEK.next.id}/versions/")
    account.s3.put_object(Bucket=account.bucket, Key=key, Body=body)
    with pytest.raises(PublishError, match="is not a document of this report"):
        account.reports.manifest(DAG, WEEK.id)


def test_rows_of_every_type_are_shown_without_loss(account: Account) -> None:
    sql = """SELECT TIMESTAMPTZ '2026-01-02 03:00:00+00' AS at, DATE '2026-01-02' AS day,
        1.20::DECIMAL(10, 2) AS money, 1152921504606846977 AS big, NULL::VARCHAR AS nothing,
        'nan'::DOUBLE AS not_a_number, 0.1::DOUBLE AS tenth"""
    dates = ("2026-01-02 03:00:00+00", "2026-01-02")
    row = (*dates, "1.20", "1152921504606846977", None, "nan", "0.1")
    assert shown(account, published(account, sql)) == [row]


RANKED = "rank BIGINT, user_id VARCHAR, user_name VARCHAR, n INTEGER, movement VARCHAR"
CARRIERS = "carrier VARCHAR, carrier_name VARCHAR, flights DOUBLE, previous_rank BIGINT"
MEASURED = "day DATE, amount DECIMAL(10,2), parts DECIMAL(10,2)[], length INTERVAL"


@pytest.mark.parametrize(
    ("columns", "key", "expected"),
    [
        (RANKED, "", ("user_id", "user_name", "rank n", "", "n")),
        (RANKED, "n", ("n", "n", "rank n", "", "")),
        (RANKED, "movement user_id", ("movement user_id", "movement user_name", "rank n", "", "n")),
        (CARRIERS, "", ("carrier", "carrier_name", "flights previous_rank", "", "flights")),
        (MEASURED, "", ("", "", "amount", "amount", "amount")),
        ("movement VARCHAR", "", ("", "", "", "", "")),
    ],
)
def test_columns_mean_what_the_key_and_their_names_and_types_say(
    columns: str, key: str, expected: tuple[str, ...]
) -> None:
    described = []
    for column in columns.split(", "):
        name, kind = column.split(" ")
        described.append(TableColumn(name=name, type=kind, glue=""))
    manifest = Manifest.model_construct(columns=tuple(described), key=tuple(key.split()))
    assert ColumnRoles.of(manifest) == ColumnRoles(*(names.split() for names in expected))


@pytest.mark.parametrize(
    ("column", "others", "label"),
    [
        ("user_id", ["user_id_name"], "user_id_name"),
        ("user_id", ["user_id_name", "user_name"], "user_name"),
        ("user_id", ["name", "user_names"], "user_id"),
    ],
)
def test_a_column_is_named_by_the_one_that_is_called_after_it(
    column: str, others: list[str], label: str
) -> None:
    assert label_of(column, [column, *others]) == label


def test_entries_of_one_name_are_told_apart_by_their_keys() -> None:
    """What is called by its key alone has it once."""
    columns = ["user_id", "user_name", "country", "country_name"]
    roles = ColumnRoles(["user_id", "country"], ["user_name", "country_name"], [], [], [])
    rows: list[page.TextValues] = [
        ("u1", "Ada", "jp", "jp"),
        ("u2", "Ada", "jp", ""),
        ("u3", None, None, None),
        ("u4", "", "fr", "France"),
    ]
    assert names_of_entries(rows, columns, roles) == [
        ("Ada (u1)", "jp"),
        ("Ada (u2)", "jp"),
        ("u3", "NULL"),
        ("u4", "France"),
    ]


def test_partitions_are_cached_by_bytes_and_a_refusal_for_seconds(account: Account) -> None:
    page._partitions.clear()
    account.publisher("scores", WEEKS).put(WEEK)
    assert set(account.reports.published_periods(DAG.dag_id)) == {WEEK.id}
    (cached,) = page._partitions.values()
    assert 1_000 < cached.bytes == page._partitions.currsize < page.CACHED_BYTES == 8_000_000
    partition = {"Values": [WEEK.id], "Parameters": {"rows": "1"}}
    with answered(account.glue, "GetPartitions", json_response({"Partitions": [partition]})):
        of_others = account.reports.published_periods(DAG.dag_id, runs_changed_at=WEEK.end_utc)
    assert of_others == {}
    refused = json_error("AccessDeniedException", "no")
    with answered(account.glue, "GetPartitions", refused), pytest.raises(UnreadableReportError):
        account.reports.published_periods("others_weekly")
    page._partitions.expire(time.monotonic() + 10)  # as time does
    assert account.reports.published_periods("others_weekly") == {}


def test_of_a_report_without_parquet_no_rows_are_shown(account: Account) -> None:
    account.publisher("scores", WEEKS).put(WEEK, formats=["csv"])
    says = "^This report publishes no Parquet, so its rows are not shown. Download them instead.$"
    with pytest.raises(UnreadableReportError, match=says):
        shown(account, account.reports.manifest(DAG, WEEK.id))
