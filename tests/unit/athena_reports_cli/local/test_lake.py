"""Tables that are kept for local services; tests/services/test_load.py queries some."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports_cli.local.lake import (
    KeptTable,
    Lake,
    LakeError,
    create_table,
    fill_services,
    is_kept,
    keep,
    kept_tables,
    new_version,
    remove_other_objects,
    require_loaded,
    restore,
    upload,
)

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

DAYS = [str(date(2025, 1, 1) + timedelta(days=number)) for number in range(250)]


@pytest.fixture
def lake(s3: S3Client, glue: GlueClient, database: str, bucket: str) -> Iterator[Lake]:
    return Lake(s3, glue, bucket, database)


def kept_table(version: str = "v1", **changes: Any) -> KeptTable:
    made = KeptTable(
        version=version, columns={"user": "string", "n": "bigint"}, key="dt", rows=3, dates=("d",)
    )
    return made.model_copy(update=changes)


def keep_version(folder: Path, table: str, dates: tuple[str, ...]) -> KeptTable:
    """Keep a version of a table with a file for each of some dates."""
    with new_version(table, folder) as version:
        for day in dates:
            file = version.folder / f"dt={day}" / "part-0.parquet"
            file.parent.mkdir()
            file.write_text(f"{table} {version.name} {day}")
        kept = kept_table(version.name, dates=dates, rows=len(dates))
        keep(table, kept, version)
    return kept


def objects(lake: Lake) -> dict[str, str]:
    listed = lake.s3.list_objects_v2(Bucket=lake.bucket).get("Contents", [])
    return {
        item["Key"]: lake.s3.get_object(Bucket=lake.bucket, Key=item["Key"])["Body"].read().decode()
        for item in listed
    }


@pytest.mark.parametrize(
    ("table", "amount"),
    [
        (
            kept_table(rows=1_234, dates=("2025-01-01", "2025-01-02", "2025-02-01")),
            "1,234 rows, 3 partitions, 2025-01-01 to 2025-02-01",
        ),
        (
            kept_table(dates=tuple(DAYS) * 5),
            f"3 rows, 1,250 partitions, {DAYS[0]} to {DAYS[-1]}",
        ),
        (kept_table(key="", dates=()), "3 rows, no partitions"),
    ],
)
def test_a_table_says_how_much_it_has(table: KeptTable, amount: str) -> None:
    assert table.amount() == amount


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250])
def test_a_table_has_a_partition_for_each_date_and_glue_gets_a_hundred_in_a_call(
    lake: Lake, number: int
) -> None:
    calls: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(params["body"].count(b'"Values"'))

    event = "before-call.glue.BatchCreatePartition"
    lake.glue.meta.events.register(event, note)
    try:
        create_table("plays", kept_table(dates=tuple(DAYS[:number])), lake)
    finally:
        lake.glue.meta.events.unregister(event, note)
    assert calls == [100] * (number // 100) + [number % 100] * (number % 100 > 0)
    table = lake.glue.get_table(DatabaseName=lake.database, Name="plays")["Table"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    keys = [(key["Name"], key["Type"]) for key in table["PartitionKeys"]]
    assert keys == [("dt", "string")]
    assert table["Parameters"]["classification"] == "parquet"
    assert table["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/plays/v1/"
    pages = lake.glue.get_paginator("get_partitions").paginate(
        DatabaseName=lake.database, TableName="plays"
    )
    found = {}
    for partition in (each for page in pages for each in page["Partitions"]):
        descriptor = partition["StorageDescriptor"]
        columns = [(column["Name"], column["Type"]) for column in descriptor["Columns"]]
        assert columns == [("user", "string"), ("n", "bigint")]
        found[partition["Values"][0]] = descriptor["Location"]
    assert found == {day: f"s3://{lake.bucket}/plays/v1/dt={day}/" for day in DAYS[:number]}


def test_a_table_takes_the_place_of_an_earlier_one_of_its_name(lake: Lake) -> None:
    create_table("plays", kept_table(), lake)
    create_table("plays", kept_table("v2", key="", dates=(), columns={"x": "double"}), lake)
    table = lake.glue.get_table(DatabaseName=lake.database, Name="plays")["Table"]
    assert table.get("PartitionKeys", []) == []
    columns = table["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [("x", "double")]
    require_loaded("plays", lake)
    require_loaded("absent", lake)


def test_what_is_kept_is_brought_into_services_and_what_cannot_be_is_told(
    lake: Lake, tmp_path: Path
) -> None:
    folder = tmp_path / ".lake"
    kept = {table: keep_version(folder, table, tuple(DAYS[:2])) for table in ("c", "a", "b")}
    keep_version(folder, "theirs", (DAYS[0],))
    lake.glue.create_table(DatabaseName=lake.database, TableInput={"Name": "theirs"})
    keep_version(folder, "broken", (DAYS[0],))
    (folder / "broken" / "table.json").write_text("{")
    lines: list[str] = []
    for _ in range(2):  # services may have them already
        lines.clear()
        restore(folder, lake, lines.append, leave_out=["b"])
    broken, *others = lines
    assert broken.startswith(f"{folder / 'broken' / 'table.json'} is left out: ")
    assert others == [
        f"table {table}, from .lake/: 2 rows, 2 partitions, {DAYS[0]} to {DAYS[1]}"
        for table in ("a", "c")
    ] + [
        f"{folder / 'theirs' / 'table.json'} is left out: {lake.database} has a table theirs that"
        " was not loaded by this command. It is left as it is: choose another name."
    ]
    assert objects(lake) == {
        f"{table}/{kept[table].version}/dt={day}/part-0.parquet": (
            f"{table} {kept[table].version} {day}"
        )
        for table in ("a", "c")
        for day in DAYS[:2]
    }


def test_services_get_what_an_environment_needs_and_then_the_tables(
    lake: Lake, tmp_path: Path
) -> None:
    def prepare(environment: str) -> None:
        lake.glue.create_database(DatabaseInput={"Name": f"database_{environment}"})

    environment = lake.database.replace("_", "")  # of this test alone
    folder = tmp_path / ".lake"
    keep_version(folder, "plays", (DAYS[0],))
    services: Any = SimpleNamespace(s3=lake.s3, glue=lake.glue, prepare=prepare)
    lines: list[str] = []
    fill_services(services, environment, folder, lines.append)
    assert lines == [f"table plays, from .lake/: 1 rows, 1 partitions, {DAYS[0]} to {DAYS[0]}"]
    table = lake.glue.get_table(DatabaseName=f"database_{environment}", Name="plays")["Table"]
    location = table["StorageDescriptor"]["Location"]
    assert location.startswith(f"s3://athena-lake-{environment}/plays/")


def test_a_version_replaces_the_one_before_and_one_that_fails_leaves_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ".lake"
    assert not is_kept("plays", folder)
    assert kept_tables(folder, pytest.fail) == {}
    first = keep_version(folder, "plays", (DAYS[0],))
    with new_version("plays", folder):
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # nobody else uses the tables meanwhile
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)
    assert is_kept("plays", folder)

    def fail() -> None:
        with new_version("plays", folder) as version:
            (version.folder / "part-0.parquet").write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert kept_tables(folder, pytest.fail) == {"plays": first}
    assert [path.name for path in folder.iterdir()] == ["plays"]
    left = folder / ".plays-0123456789ab"
    left.mkdir()  # by a load that was killed
    for other in (".plays-mine", ".plays-0123456789ab.bak"):
        (folder / other).mkdir()
    second = keep_version(folder, "plays", (DAYS[1],))
    assert second.version != first.version
    assert kept_tables(folder, pytest.fail) == {"plays": second}
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".plays-0123456789ab.bak", ".plays-mine", "plays"]
    assert {path.name for path in (folder / "plays").iterdir()} == {"table.json", second.version}


def test_the_files_of_other_versions_of_a_table_are_removed_and_of_no_other_table(
    lake: Lake, tmp_path: Path
) -> None:
    file = tmp_path / "part-0.parquet"
    file.write_text("x")
    for table, version in (("a", "v1"), ("a", "v2"), ("a", "v22"), ("a_b", "v1")):
        upload(table, kept_table(version), tmp_path, lake)
    remove_other_objects("a", "v2", lake)
    assert sorted(objects(lake)) == ["a/v2/part-0.parquet", "a_b/v1/part-0.parquet"]


@pytest.mark.parametrize("service", ["S3", "GLUE"])
def test_the_lake_of_a_shell_is_a_local_one_of_its_environment(
    service: str, sql_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", "events")
    lake = Lake.of_shell()
    assert (lake.bucket, lake.database) == ("athena-lake-dev", "events")
    url = "https://aws.example.com"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
    says = (
        f"The {service.lower()} of this shell is {url}, which is not a local endpoint, so nothing"
        " was read or written. Unset AWS_ENDPOINT_URL and ATHENA_REPORTS_ENV to have local services"
        " started, or set AWS_ENDPOINT_URL to yours."
    )
    with pytest.raises(LakeError, match=f"^{re.escape(says)}$"):
        Lake.of_shell()
