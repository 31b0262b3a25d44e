"""Tables that are kept for local services; tests/services/test_load.py queries some."""

from __future__ import annotations

import fcntl
import os
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.aws.s3 import S3
from athena_reports_cli.local.lake import (
    KeptTable,
    Lake,
    create_table,
    keep,
    kept_tables,
    location_of_loaded,
    locked,
    restore,
)
from athena_reports_cli.local.local_endpoint import RemoteEndpointError

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

DAYS = [str(date(2025, 1, 1) + timedelta(days=number)) for number in range(250)]
FIRST_TO_LAST = f"{DAYS[0]} to {DAYS[-1]}"


@pytest.fixture
def lake(s3: S3Client, glue: GlueClient, database: str, bucket: str) -> Lake:
    return Lake(S3(s3), glue, bucket, database)


def kept_table(*days: str, **changes: Any) -> KeptTable:
    columns = {"user": "string", "n": "bigint"}
    made = KeptTable(columns=columns, key="dt", rows=len(days), partitions=days)
    return made.model_copy(update=changes)


def write_files(folder: Path, table: str, kept: KeptTable) -> Path:
    """Write a file for each partition, as `load` does."""
    for day in kept.partitions:
        file = folder / f"dt={day}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        file.write_text(f"{table} {kept.version} {day}")
    return folder


def keep_version(folder: Path, table: str, *days: str) -> KeptTable:
    """Keep a version of a table with a file for each of some dates."""
    kept = kept_table(*days)
    with locked(folder):
        keep(table, kept, write_files(folder.with_name("written"), table, kept), folder)
    return kept


def objects(lake: Lake) -> dict[str, str]:
    uri = f"s3://{lake.bucket}/"
    uris = [item.uri for item in lake.s3.list(uri)]
    return {each.removeprefix(uri): lake.s3.read(each)[0].decode() for each in uris}


@pytest.mark.parametrize(
    ("table", "amount"),
    [
        (kept_table(*DAYS * 5, rows=1_234), f"1,234 rows, 1,250 partitions, {FIRST_TO_LAST}"),
        (kept_table("2025-01-01"), "1 row, 1 partition, 2025-01-01 to 2025-01-01"),
        (kept_table(rows=3, key=""), "3 rows, no partitions"),
    ],
)
def test_a_table_says_how_much_it_has(table: KeptTable, amount: str) -> None:
    assert table.amount() == amount


@pytest.mark.parametrize("number", [0, 100, 250])
def test_a_table_has_a_partition_for_each_date_and_glue_gets_a_hundred_in_a_call(
    lake: Lake, tmp_path: Path, number: int
) -> None:
    calls: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(params["body"].count(b'"Values"'))

    kept = kept_table(*DAYS[:number])
    files = write_files(tmp_path / "files", "plays", kept)
    event = "before-call.glue.BatchCreatePartition"
    lake.glue.meta.events.register(event, note)
    try:
        create_table("plays", kept, files, lake)
    finally:
        lake.glue.meta.events.unregister(event, note)
    assert calls == [100] * (number // 100) + [number % 100] * (number % 100 > 0)
    table = {"DatabaseName": lake.database, "TableName": "plays"}
    pages = lake.glue.get_paginator("get_partitions").paginate(**table)
    partitions = [partition for page in pages for partition in page["Partitions"]]
    found = {each["Values"][0]: each["StorageDescriptor"]["Location"] for each in partitions}
    folder = f"s3://{lake.bucket}/plays/{kept.version}"
    assert found == {day: f"{folder}/dt={day}/" for day in DAYS[:number]}


def test_a_table_takes_the_place_of_the_loaded_one_and_of_nothing_else(
    lake: Lake, tmp_path: Path
) -> None:
    """Other files below the same folder may be those of a table that somebody else has made."""
    assert location_of_loaded("plays", lake) == ""
    old, new = kept_table(*DAYS[:2]), kept_table(DAYS[0], columns={"x": "double"})
    create_table("plays", old, write_files(tmp_path / "old", "plays", old), lake)
    other = "plays/raw/part-0.parquet"
    lake.s3.write(f"s3://{lake.bucket}/{other}", b"theirs", "text/plain", replacing=None)
    for _ in range(2):  # services may have it already
        create_table("plays", new, write_files(tmp_path / new.version, "plays", new), lake)
        shutil.rmtree(tmp_path / new.version)
        assert objects(lake).keys() == {f"plays/{new.version}/dt={DAYS[0]}/part-0.parquet", other}
    table = lake.glue.get_table(DatabaseName=lake.database, Name="plays")["Table"]
    columns = table["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [("x", "double")]
    assert location_of_loaded("plays", lake) == f"s3://{lake.bucket}/plays/{new.version}/"


def test_what_is_kept_is_brought_into_services_and_what_cannot_be_is_reported(
    lake: Lake, tmp_path: Path
) -> None:
    folder = tmp_path / ".lake"
    kept = {table: keep_version(folder, table, *DAYS[:2]) for table in ("c", "a", "b")}
    keep_version(folder, "theirs", DAYS[0])
    lake.glue.create_table(DatabaseName=lake.database, TableInput={"Name": "theirs"})
    keep_version(folder, "broken", DAYS[0])
    (folder / "broken" / "table.json").write_text("{")
    lines: list[str] = []
    for _ in range(2):  # services may have them already
        lines.clear()
        restore(folder, lake, lines.append, leave_out=["b"])
    broken, *others = lines
    assert broken.startswith(f"skipped {folder / 'broken' / 'table.json'}: ")
    assert others == [
        f"table a, from .lake/: 2 rows, 2 partitions, {DAYS[0]} to {DAYS[1]}",
        f"table c, from .lake/: 2 rows, 2 partitions, {DAYS[0]} to {DAYS[1]}",
        f"skipped {folder / 'theirs' / 'table.json'}: {lake.database} has a table theirs that"
        " was not loaded by this command. Choose another name.",
    ]
    versions = [f"{table}/{kept[table].version}" for table in ("a", "c")]
    assert objects(lake) == {
        f"{version}/dt={day}/part-0.parquet": f"{version.replace('/', ' ')} {day}"
        for version in versions
        for day in DAYS[:2]
    }


def test_a_version_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / ".lake"
    assert kept_tables(folder, pytest.fail) == {}
    first = keep_version(folder, "plays", DAYS[0])
    (folder / "plays" / "0123456789ab").mkdir()  # by a load that was killed
    (folder / "plays_2" / "0123456789ab").mkdir(parents=True)
    assert kept_tables(folder, pytest.fail) == {"plays": first}
    second = keep_version(folder, "plays", DAYS[1])
    assert second.version != first.version
    assert kept_tables(folder, pytest.fail) == {"plays": second}
    assert {path.name for path in (folder / "plays").iterdir()} == {"table.json", second.version}
    assert [path.name for path in (folder / "plays_2").iterdir()] == ["0123456789ab"]


def test_one_command_at_a_time_uses_the_kept_tables(tmp_path: Path) -> None:
    with locked(tmp_path / ".lake"):
        descriptor = os.open(tmp_path / ".lake", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)


@pytest.mark.parametrize("service", ["S3", "GLUE"])
def test_the_lake_of_a_shell_is_a_local_one_of_its_environment(
    service: str, sql_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", "events")
    lake = Lake.of_shell()
    assert (lake.bucket, lake.database) == ("athena-lake-dev", "events")
    url = "https://aws.example.com"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
    with pytest.raises(RemoteEndpointError) as refused:
        Lake.of_shell()
    assert str(refused.value) == (
        f"The {service.lower()} endpoint of this shell is {url}, which is not local. This command"
        " writes only to local services. Unset AWS_ENDPOINT_URL and ATHENA_REPORTS_ENV, and it"
        " starts them; or set AWS_ENDPOINT_URL to services that already run on this machine."
    )
