"""Publishes periods of reports without a run: what the Reports page shows to everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from athena_reports.aws.s3 import S3
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication.commit import publish
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    PublicationFacts,
    PublishedPeriod,
    QueryFacts,
    RunFacts,
)
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.engine import open_engine
from athena_reports.rows.formats import Format
from athena_reports.rows.writer import digest_of, write_file, write_table
from athena_reports.steps.preparation import keep_sql, upload_version
from athena_reports_cli.local.services import Services
from tests.support.partition_facts import alter_partition

SCANNED_BYTES = 48_000_000
PRICE_USD = 0.00024

_NAMES = ["Swift", "Icy", "Young", "Gentle", "Vivid", "Brave", "Happy", "Fierce", "Calm", "Lucky"]
_ANIMALS = [
    "Raven",
    "Newt",
    "Eagle",
    "Jaguar",
    "Urchin",
    "Antelope",
    "Marten",
    "Ocelot",
    "Heron",
    "Lynx",
]


@dataclass(frozen=True)
class Publisher:
    """Publishes periods of a report without a run."""

    services: Services
    report: str
    cadence: Cadence
    database: str = "report_dev"
    bucket: str = "athena-report-dev"

    @property
    def table(self) -> str:
        return f"{self.report}_{self.cadence.unit}"

    def put(
        self,
        period: Period,
        *,
        seed: int = 0,
        at: datetime | None = None,
        provisional: bool = False,
        partial: bool = False,
        key: Sequence[str] = (),
        checks: Sequence[CheckResult] = (),
        run_id: str = "",
        rows: Sequence[Mapping[str, Any]] | str | None = None,
        formats: Sequence[Format] = ("parquet", "csv"),
    ) -> None:
        """Publish a version of a period, by default six minutes after its end.

        Rows are given as such or as SQL; by default they are a ranking, another one for each seed.
        """
        s3 = S3(self.services.s3)
        location = PeriodLocation.of(self.bucket, self.report, period)
        rows = ranking(period, seed) if rows is None else rows
        with open_engine("128MB") as engine:
            sql = rows if isinstance(rows, str) else "SELECT unnest($rows, recursive := true)"
            relation = engine.connection.sql(
                sql, params=None if isinstance(rows, str) else {"rows": rows}
            )
            table = write_table(relation, engine)
            files = [write_file(table, format, engine) for format in formats]
            version = upload_version(files, table, location, s3, ordered=True)
            digest = digest_of(table, engine, without=["movement"])
            columns = tuple(
                column.model_copy(update={"description": f"meaning of {column.name}"})
                for column in version.columns
            )
            version = version.model_copy(
                update={"columns": columns, "key": tuple(key), "read_by_next": digest}
            )
            query = f"SELECT user_id FROM plays -- {period.id}, {seed}"
            sha256 = hashlib.sha256(query.encode()).hexdigest()
            keep_sql(query, sha256, version, location, s3)
        when = (at or period.end_utc + timedelta(minutes=6)).isoformat(timespec="milliseconds")
        number = hashlib.sha256(f"{query} {when}".encode()).hexdigest()[:12]
        facts = PublicationFacts(
            report=self.report,
            environment="dev",
            period=PublishedPeriod.of(period),
            provisional=provisional,
            settles_at=(period.end_utc + timedelta(days=1)).isoformat(timespec="milliseconds"),
            partial=partial,
            missing_partitions=(),
            published_at=when,
            query=QueryFacts(
                id=f"3f1d9c52-0000-4000-8000-{number}",
                submitted_at=when,
                statement="SELECT",
                sql_sha256=sha256,
                reads_previous=True,
                scanned_bytes=SCANNED_BYTES,
                price_usd=PRICE_USD,
                engine_version="3",
            ),
            checks=tuple(checks),
            run=RunFacts(
                dag_id=self.table, run_id=run_id or f"backfill__{period.start_utc.isoformat()}"
            ),
            code_version="0.1.0",
        )
        glue_table = Table(self.database, location.report, self.services.glue)
        publish(version, facts, location=location, s3=s3, table=glue_table, memory_limit="128MB")

    def alter(self, period: Period, /, **changes: Any) -> None:
        alter_partition(self.services.glue, self.database, self.table, period.id, **changes)


def ranking(period: Period, seed: int = 0, rows: int = 100) -> list[dict[str, Any]]:
    """Return a ranking that changes a little from one period to the next."""
    scores = _scores(period, seed, rows + 30)
    best = _best(scores, rows)
    previous_best = _best(_scores(period.previous, 0, rows + 30), rows)
    previous_ranks = {user: place for place, user in enumerate(previous_best, start=1)}
    names = [f"{_NAMES[int(user[1:]) % 10]} {_ANIMALS[int(user[1:]) // 10 % 10]}" for user in best]
    return [
        {
            "rank": place + 1,
            "user_id": user,
            "user_name": None if user.endswith("13") else name,
            "score": scores[user],
            "plays": scores[user] // 211,
            "movement": _movement(place + 1, previous_ranks.get(user)),
        }
        for place, (user, name) in enumerate(zip(best, names, strict=True))
    ]


def _scores(period: Period, seed: int, users: int) -> dict[str, int]:
    number = period.first_date.toordinal() // 7
    scores = {}
    for user in range(users):
        drift = ((user * 7919 + number * 104_729 + seed * 31) % 1000) / 1000
        scores[f"u{user:06d}"] = int((60_000 - user * 380) * (0.75 + 0.5 * drift))
    return scores


def _best(scores: Mapping[str, int], number: int) -> list[str]:
    return sorted(scores, key=lambda user: (-scores[user], user))[:number]


def _movement(rank: int, previous_rank: int | None) -> str:
    """Return what `transforms.movement` says, so that the pictures of the page are true."""
    if previous_rank is None:
        return "new"
    if previous_rank == rank:
        return "same"
    if previous_rank > rank:
        return f"up {previous_rank - rank}"
    return f"down {rank - previous_rank}"


def last_periods(cadence: Cadence, number: int) -> list[Period]:
    """Return the last periods that are over, earliest first."""
    periods = [cadence.last_complete(datetime.now(UTC) - timedelta(minutes=5))]
    while len(periods) < number:
        periods.insert(0, periods[0].previous)
    return periods


WARNED = CheckResult(
    name="change(rows)",
    severity="warn",
    passed=False,
    message="rows changed by 62 % against the period before, allowed are 50 %",
    value=100,
)
PASSED = CheckResult(
    name="unique(user_id)", severity="fail", passed=True, message="no value occurs twice", value=0
)
