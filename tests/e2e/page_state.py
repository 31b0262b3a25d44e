"""A state of things for the Reports page to show: some reports, with periods in every state that there is.

What needs no run is published by the library itself, which is how it looks to everybody else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from athena_reports.periods.calendar import Cadence, Period, monthly, weekly
from athena_reports.publication.glue_table import Table
from athena_reports.publication.publish import publish
from athena_reports.stage import Location, Rows, stage
from athena_reports.storage import Storage
from demo.services import Services

TOKYO = "Asia/Tokyo"
WEEKS = weekly("sunday", timezone=TOKYO)
MONTHS = monthly(timezone=TOKYO)
SCANNED_BYTES = 48_000_000
PRICE_USD = 0.00024

_NAMES = ("Swift", "Icy", "Young", "Gentle", "Vivid", "Brave", "Happy", "Fierce", "Calm", "Lucky")
_ANIMALS = ("Raven", "Newt", "Eagle", "Jaguar", "Urchin", "Antelope", "Marten", "Ocelot", "Heron", "Lynx")

DAG_FILE = '''
"""A report of Airflow for the page."""

from athena_reports import Input, Report, build_dag, monthly, transforms, weekly

report = Report(
    name="{report}", sql="{sql}", owner="analytics", since="{since}", params={{"top": 100}},
    transform={transform}, doc=__doc__,
)
weekly_dag = build_dag(report, weekly("sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
'''


def write_dags(folder: Path, sql: Path, since: datetime, reports: Sequence[str]) -> Path:
    """Write a DAG file for each report, weekly and monthly.

    Args:
        folder: Where to.
        sql: The SQL file that all of them run.
        since: Where they begin.
        reports: Their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        text = DAG_FILE.format(
            report=report, sql=sql.name, since=since.date().isoformat(), transform="transforms.movement()"
        )
        (folder / f"{report}.py").write_text(textwrap.dedent(text))
    return folder


@dataclass(frozen=True)
class Publisher:
    """Publishes periods of a report without a run.

    Attributes:
        services: Where.
        report: Name of the report.
        cadence: Its periods.
        database: Glue database of the tables.
        bucket: The report bucket.
    """

    services: Services
    report: str
    cadence: Cadence
    database: str = "report_dev"
    bucket: str = "athena-report-dev"

    @property
    def table(self) -> str:
        return f"{self.report}_{self.cadence.name}"

    def put(
        self,
        period: Period,
        *,
        seed: int = 0,
        at: datetime | None = None,
        provisional: bool = False,
        partial: bool = False,
        checks: Sequence[Mapping[str, Any]] = (),
        run_id: str = "",
        rows: pa.Table | None = None,
    ) -> None:
        """Publish a version of a period.

        Args:
            period: The period.
            seed: Other rows for another number.
            at: When; by default six minutes after the end of the period.
            provisional: As in the manifest.
            partial: As in the manifest.
            checks: As in the manifest.
            run_id: The run that is said to have done it.
            rows: What; by default a ranking.
        """
        storage = Storage(self.services.s3)
        location = Location(self.bucket, self.report, self.cadence.name, period.id)
        table = ranking(period, seed) if rows is None else rows
        staged = stage(
            Rows(table.schema, iter(table.to_batches())),
            location=location,
            formats=["parquet", "csv"],
            storage=storage,
        )
        when = (at or period.end_utc + timedelta(minutes=6)).isoformat(timespec="milliseconds")
        facts = {
            "report": self.report,
            "environment": "dev",
            "period": {
                "id": period.id,
                "cadence": self.cadence.name,
                "timezone": self.cadence.timezone,
                "start": period.start.isoformat(),
                "end": period.end.isoformat(),
                "start_utc": period.start_utc.isoformat(),
                "end_utc": period.end_utc.isoformat(),
            },
            "provisional": provisional,
            "settles_at": (period.end_utc + timedelta(days=1)).isoformat(timespec="milliseconds"),
            "partial": partial,
            "missing_partitions": [],
            "published_at": when,
            "query": {
                "id": "3f1d9c52-0000-4000-8000-000000000000",
                "submitted_at": when,
                "statement": "SELECT user_id FROM plays",
                "sql_sha256": "",
                "reads_previous": True,
                "scanned_bytes": SCANNED_BYTES,
                "price_usd": PRICE_USD,
                "engine_version": "3",
            },
            "checks": list(checks),
            "run": {"dag_id": self.table, "run_id": run_id or f"backfill__{period.start_utc.isoformat()}"},
            "code_version": "0.1.0",
        }
        publish(
            staged,
            facts,
            location=location,
            storage=storage,
            table=Table(self.database, location, self.services.glue),
        )

    def alter(self, period: Period, **parameters: str) -> None:
        """Let the partition of a period say something else."""
        glue = self.services.glue
        partition = glue.get_partition(
            DatabaseName=self.database, TableName=self.table, PartitionValues=[period.id]
        )["Partition"]
        glue.update_partition(
            DatabaseName=self.database,
            TableName=self.table,
            PartitionValueList=[period.id],
            PartitionInput={
                "Values": [period.id],
                "StorageDescriptor": partition["StorageDescriptor"],
                "Parameters": {**partition["Parameters"], **parameters},
            },
        )


def ranking(period: Period, seed: int = 0, rows: int = 100) -> pa.Table:
    """Return a ranking that changes a little from one period to the next."""
    number = period.first_date.toordinal() // 7
    scores = {}
    for user in range(rows + 30):
        drift = ((user * 7919 + number * 104_729 + seed * 31) % 1000) / 1000
        scores[f"u{user:06d}"] = int((60_000 - user * 380) * (0.75 + 0.5 * drift))
    best = sorted(scores, key=lambda user: (-scores[user], user))[:rows]
    movements = ["same", "up 3", "down 2", "new", "up 1", "down 7"]
    names = [f"{_NAMES[int(user[1:]) % 10]} {_ANIMALS[int(user[1:]) // 10 % 10]}" for user in best]
    return pa.table(
        {
            "rank": pa.array(range(1, rows + 1), pa.int64()),
            "user_id": pa.array(best, pa.string()),
            "user_name": pa.array(
                [None if user.endswith("13") else name for user, name in zip(best, names, strict=True)]
            ),
            "score": pa.array([scores[user] for user in best], pa.int64()),
            "plays": pa.array([scores[user] // 211 for user in best], pa.int64()),
            "movement": pa.array([movements[(place + number) % 6] for place in range(rows)]),
        }
    )


def last_periods(cadence: Cadence, number: int) -> list[Period]:
    """Return the last periods that are over, earliest first."""

    def backwards() -> Iterator[Period]:
        period = cadence.last_complete(datetime.now(UTC) - timedelta(minutes=5))
        for _ in range(number):
            yield period
            period = period.previous

    return list(backwards())[::-1]


WARNED = {
    "name": "change(rows)",
    "severity": "warn",
    "passed": False,
    "message": "rows changed by 62 % against the period before, allowed are 50 %",
    "rows": [],
    "value": 100,
}
PASSED = {
    "name": "unique(user_id)",
    "severity": "fail",
    "passed": True,
    "message": "no value occurs twice",
    "rows": [],
    "value": 0,
}
