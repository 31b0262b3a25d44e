"""What fills the demo's lakes: each test in an environment of its own."""

import datetime as dt
import io
import itertools
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from athena_reports_cli.local.lake import Lake, kept_tables, restore
from athena_reports_cli.local.services import Services
from demo import flights, lake, plays

# 109 days.
SPEC = plays.PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 4, 20), events=3_000, users=100)
DAYS = list(plays.generate(SPEC))
FEW = plays.PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 1, 4), events=100, users=10)

_environments = itertools.count()


@pytest.fixture
def environment(running_services: Services) -> str:
    name = f"laketest{next(_environments)}"
    running_services.prepare(name)
    return name


def objects(services: Services, environment: str, prefix: str = "") -> dict[str, bytes]:
    bucket = f"athena-lake-{environment}"
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    return {key: services.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def registered(services: Services, environment: str, table: str) -> dict[str, Any]:
    pages = services.glue.get_paginator("get_partitions").paginate(
        DatabaseName=f"database_{environment}", TableName=table
    )
    partitions = [partition for page in pages for partition in page["Partitions"]]
    return {each["Values"][0]: each["StorageDescriptor"]["Location"] for each in partitions}


def test_plays_are_in_the_bucket_as_generated_and_each_partition_is_registered(
    running_services: Services, environment: str
) -> None:
    said = lake.seed_plays(running_services, environment, SPEC)

    stored = objects(running_services, environment)
    assert set(stored) == {f"plays/dt={day}/part-0.parquet" for day, _ in DAYS}
    for day, table in DAYS:
        assert pq.read_table(io.BytesIO(stored[f"plays/dt={day}/part-0.parquet"])).equals(table)
    assert registered(running_services, environment, "plays") == {
        str(day): f"s3://athena-lake-{environment}/plays/dt={day}/" for day, _ in DAYS
    }
    assert said == f"3,000 rows, 109 partitions, {sum(map(len, stored.values())) / 1e6:.1f} MB"


def test_a_lake_that_is_kept_is_restored_with_the_files_of_the_one_that_is_seeded(
    running_services: Services, environment: str, tmp_path: Path
) -> None:
    lake.seed_plays(running_services, environment, FEW)
    seeded = objects(running_services, environment)
    other = f"{environment}b"
    running_services.prepare(other)

    days = list(plays.generate(FEW))
    lake.keep_table(tmp_path / ".lake", "plays", plays.SCHEMA, days)
    restore(tmp_path / ".lake", Lake.of_services(running_services, other), lambda _: None)

    kept = objects(running_services, other)
    assert sorted(kept.values()) == sorted(seeded.values())
    tables = [
        running_services.glue.get_table(DatabaseName=f"database_{name}", Name="plays")["Table"]
        for name in (environment, other)
    ]
    columns = [table["StorageDescriptor"]["Columns"] for table in tables]
    assert columns[0] == columns[1]
    locations = registered(running_services, other, "plays")
    for day, _ in days:
        key = locations[str(day)].removeprefix(f"s3://athena-lake-{other}/")
        assert kept[f"{key}part-0.parquet"] == seeded[f"plays/dt={day}/part-0.parquet"]


def test_the_lakes_of_the_demo_are_kept_once_and_then_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flown = flights.read_flights()
    monkeypatch.setattr(lake, "DEMO_PLAYS", SPEC)
    monkeypatch.setattr(flights, "read_flights", lambda: flown[:10])
    lake.keep_demo(tmp_path)
    kept = kept_tables(tmp_path, print)
    assert {name: table.rows for name, table in kept.items()} == {"plays": 3_000, "flights": 10}
    (tmp_path / "flights" / "table.json").unlink()
    lake.keep_demo(tmp_path)
    again = kept_tables(tmp_path, print)
    assert again["plays"] == kept["plays"]
    assert again["flights"] == kept["flights"].model_copy(
        update={"version": again["flights"].version}
    )
