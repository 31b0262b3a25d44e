"""A report of three tables, as docs/how-to/several-tables.md writes it.

Two of the tables have the partition key `dt`, in zones of their own, and one has no partitions.
"""

from __future__ import annotations

import io
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.support.code_blocks import files_of
from tests.support.dag_files import load_dags
from tests.support.paths import ROOT
from tests.support.published import manifest_of, rows_of
from tests.support.shell import Shell
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
PAGE = ROOT / "docs" / "how-to" / "several-tables.md"
TOKYO = ZoneInfo("Asia/Tokyo")
WEEK = "2025-06-08"
FIRST = datetime(2025, 6, 8, tzinfo=TOKYO)
DATABASE = "several_tables"
BUCKET = "athena-lake-several-tables"


class Play(NamedTuple):
    event_id: str
    user_id: str
    score: int
    played_at: datetime
    amount: Decimal | None  # of its purchase


def plays() -> list[Play]:
    """Plays of three weeks, some of them in the last and the first second of a week."""
    chance = random.Random(26)
    instants = [
        FIRST + timedelta(seconds=chance.randrange(-604_800, 2 * 604_800)) for _ in range(600)
    ]
    for week in (0, 1):
        border = FIRST + timedelta(days=7 * week)
        instants += [border, border - timedelta(milliseconds=1)]
    made = []
    for number, instant in enumerate(instants):
        amount = Decimal(chance.randrange(1, 99_999)) / 100 if chance.random() < 0.4 else None
        user = f"u{chance.randrange(40)}"
        made.append(
            Play(f"e{number}", user, chance.randrange(1000), instant.astimezone(UTC), amount)
        )
    return made


PLAYS = plays()
# The last ten users are not in the table.
COUNTRIES = {f"u{number}": ("JP", "DE", None)[number % 3] for number in range(30)}
PLAY_TYPES = {
    "event_id": "string",
    "user_id": "string",
    "score": "bigint",
    "played_at": "timestamp",
}
PURCHASE_TYPES = {"event_id": "string", "amount": "decimal(10,2)"}
USER_TYPES = {"user_id": "string", "country": "string"}


def put(services: Services, key: str, rows: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    services.s3.put_object(Bucket=BUCKET, Key=key, Body=sink.getvalue())


def create(
    services: Services, table: str, types: dict[str, str], days: dict[date, pa.Table]
) -> None:
    """Create a table with a partition for each date of two months, with or without rows."""
    keys: Any = [{"Name": "dt", "Type": "string"}]
    descriptor: Any = parquet_descriptor(types, f"s3://{BUCKET}/{table}/")
    services.glue.create_table(
        DatabaseName=DATABASE,
        TableInput={"Name": table, "PartitionKeys": keys, "StorageDescriptor": descriptor},
    )
    for number in range(61):
        day = date(2025, 5, 15) + timedelta(days=number)
        prefix = f"{table}/dt={day}/"
        if day in days:
            put(services, f"{prefix}part-0.parquet", days[day])
        partition: Any = {
            "Values": [str(day)],
            "StorageDescriptor": parquet_descriptor(types, f"s3://{BUCKET}/{prefix}"),
        }
        services.glue.create_partition(
            DatabaseName=DATABASE, TableName=table, PartitionInput=partition
        )


def by_day(columns: list[str], zone: Any, schema: pa.Schema) -> dict[date, pa.Table]:
    rows: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for play in PLAYS:
        if "amount" not in columns or play.amount is not None:
            values = play._asdict()
            day = play.played_at.astimezone(zone).date()
            rows[day].append({name: values[name] for name in columns})
    return {day: pa.Table.from_pylist(found, schema) for day, found in rows.items()}


@pytest.fixture(scope="module")
def tables(running_services: Services) -> None:
    services = running_services
    services.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    services.glue.create_database(DatabaseInput={"Name": DATABASE})
    play_schema = pa.schema(
        [
            ("event_id", pa.string()),
            ("user_id", pa.string()),
            ("score", pa.int64()),
            ("played_at", pa.timestamp("ms")),
        ]
    )
    create(services, "plays", PLAY_TYPES, by_day(play_schema.names, UTC, play_schema))
    purchase_schema = pa.schema([("event_id", pa.string()), ("amount", pa.decimal128(10, 2))])
    create(
        services,
        "purchases",
        PURCHASE_TYPES,
        by_day(purchase_schema.names, TOKYO, purchase_schema),
    )
    users = [{"user_id": user, "country": country} for user, country in COUNTRIES.items()]
    put(services, "users/part-0.parquet", pa.Table.from_pylist(users[:20]))
    put(services, "users/more/part-1.parquet", pa.Table.from_pylist(users[20:]))
    descriptor: Any = parquet_descriptor(USER_TYPES, f"s3://{BUCKET}/users/")
    services.glue.create_table(
        DatabaseName=DATABASE, TableInput={"Name": "users", "StorageDescriptor": descriptor}
    )


class Project(NamedTuple):
    """The files of the page, in a folder of their own."""

    report: Path
    sql: Path

    def edit(self, old: str, new: str, file: str = "sql") -> None:
        path: Path = getattr(self, file)
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


@pytest.fixture
def project(tables: None, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    files = {path: block.text for path, block in files_of(PAGE)}
    assert len(files) == 2
    for path, text in files.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", DATABASE)
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(tmp_path / "include" / "sql"))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    return Project(
        tmp_path / "dags" / "country_revenue.py", tmp_path / "include/sql/country_revenue.sql"
    )


def expected_rows(first: datetime, end: datetime) -> list[dict[str, Any]]:
    """Computed from the plays alone."""
    players: dict[str | None, set[str]] = defaultdict(set)
    points: dict[str | None, int] = defaultdict(int)
    revenue: dict[str | None, Decimal] = defaultdict(Decimal)
    for play in PLAYS:
        if first <= play.played_at < end:
            country = COUNTRIES.get(play.user_id)
            players[country].add(play.user_id)
            points[country] += play.score
            revenue[country] += play.amount or 0
    return [
        {
            "country": country,
            "players": len(players[country]),
            "points": points[country],
            "revenue": revenue[country],
        }
        for country in sorted(players, key=lambda country: (country is None, country))
    ]


@pytest.mark.parametrize(
    ("cadence", "period", "days"), [("weekly", WEEK, (8, 15)), ("monthly", "2025-06", (1, 31))]
)
def test_what_is_published_is_what_the_three_tables_add_up_to(
    project: Project, services: Services, cadence: str, period: str, days: tuple[int, int]
) -> None:
    run = run_dag(load_dags(project.report)[f"country_revenue_{cadence}"], period=period)
    manifest = manifest_of(services.s3, run)
    june = datetime(2025, 6, 1, tzinfo=TOKYO)
    first, end = (june + timedelta(days=day - 1) for day in days)
    expected = expected_rows(first, end)
    assert [row["country"] for row in expected] == ["DE", "JP", None]
    assert all(row["revenue"] > 0 for row in expected)
    assert rows_of(services.s3, manifest, "parquet") == expected
    assert (manifest["partial"], manifest["missing_partitions"]) == (False, [])
