"""`partitions`: the coverage of two years of hours, of a table of one million partitions.

A stand-in of Glue answers at once, so the library and botocore are measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from statistics import median
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from athena_reports import Input, yearly
from athena_reports.steps.input_coverage import find_partitions
from bench.results import Row
from bench.stand_in import Handler, process_of, serve_forever

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

PARTITIONS, NEEDED, MISSING = 1_000_000, 17_544, 3
ROUNDS = 5
REQUIRED_SECONDS = 2.0
REQUIRED_CALLS = 19  # GetTable, and 1,000 partitions in each of the others
FORMAT = "%Y/%m/%d/%H"
END = datetime(2026, 1, 1, tzinfo=UTC)
# BatchGetPartition has no way to leave the columns out.
COLUMNS = json.dumps([{"Name": f"column_{number}", "Type": "string"} for number in range(20)])


def stored_hours() -> set[str]:
    """The last million hours of a table, but for some of the last ones."""
    hours = [END - number * timedelta(hours=1) for number in range(1, PARTITIONS + MISSING + 1)]
    texts = [hour.strftime(FORMAT) for hour in hours]
    return set(texts) - {texts[number * 1000] for number in range(MISSING)}


class Glue(Handler):
    """Answers GetTable and BatchGetPartition."""

    hours: set[str]

    def call(self, operation: str, parameters: Any) -> None:
        self.answer(getattr(self, operation)(parameters))

    def GetTable(self, body: dict[str, Any]) -> str:  # noqa: N802
        keys = [{"Name": "datehour", "Type": "string"}]
        return json.dumps({"Table": {"Name": body["Name"], "PartitionKeys": keys}})

    def BatchGetPartition(self, body: dict[str, Any]) -> str:  # noqa: N802
        partitions = []
        for wanted in body["PartitionsToGet"]:
            (hour,) = wanted["Values"]
            if hour in self.hours:
                descriptor = f'"Columns": {COLUMNS}, "Location": "s3://lake/plays/{hour}/"'
                partitions.append(
                    f'{{"Values": ["{hour}"], "StorageDescriptor": {{{descriptor}}}}}'
                )
        return f'{{"Partitions": [{", ".join(partitions)}]}}'


def serve(port: Connection) -> None:
    Glue.hours = stored_hours()
    assert len(Glue.hours) == PARTITIONS
    serve_forever(Glue, port)


@contextmanager
def glue_of_a_million() -> Iterator[GlueClient]:
    """A client of a Glue whose one table has a million partitions."""
    session = boto3.session.Session("key", "secret", region_name="ap-northeast-1")
    with process_of(serve) as url:
        yield session.client("glue", endpoint_url=url, config=Config(retries={}))


def measure() -> Sequence[Row]:
    source = Input("plays", "datehour", format=FORMAT, previous=True, missing="partial")
    period = yearly().period("2025")
    calls: list[str] = []
    returned: list[int] = []
    seconds = []
    cpu_seconds = []
    with glue_of_a_million() as glue:
        glue.meta.events.register("before-call.glue.*", lambda model, **_: calls.append(model.name))
        glue.meta.events.register(
            "after-call.glue.*",
            lambda parsed, **_: returned.append(len(parsed.get("Partitions", []))),
        )
        for _ in range(ROUNDS):
            calls.clear()
            returned.clear()
            start, cpu_start = time.perf_counter(), time.process_time()
            (found,) = find_partitions(
                [source],
                period,
                late_by=timedelta(0),
                now=END,
                database="lake",
                glue=glue,
                s3=None,  # type: ignore[arg-type]
            )
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)
            needed, missing = found.coverage.needed, len(found.coverage.absent)
            if (needed, missing) != (NEEDED, MISSING):
                raise RuntimeError(f"{missing} of {needed} hours are missing")
    name = f"partitions: {NEEDED:,} hours of {PARTITIONS:,}"
    unit = f"seconds; the ratio is to {REQUIRED_SECONDS:g} s"
    in_time = Row.of(f"{name}: time", unit, median(seconds), {}, REQUIRED_SECONDS)
    calls_unit = f"calls of Glue; the ratio is to {REQUIRED_CALLS}"
    existing = NEEDED - MISSING
    returned_unit = f"partitions that Glue returns; the ratio is to {existing}"
    return [
        replace(in_time, cpu={"ours": round(median(cpu_seconds), 3)}),
        Row.of(f"{name}: calls", calls_unit, len(calls), {}, REQUIRED_CALLS),
        Row.of(f"{name}: returned", returned_unit, sum(returned), {}, existing),
    ]
