"""One contender in a process of its own: from a finished query to Parquet in S3, with time and memory.

`python -m bench.contender TASK`, a Task as JSON; the last line of the output is a Measurement as JSON. What
is measured begins when everything is imported. The peak of memory is the kernel's own count, not a sample:
`VmHWM` of /proc/self/status, set back (/proc/self/clear_refs) after the imports, less `VmRSS` at that time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.periods.calendar import Period
    from athena_reports.queries.execution import QueryExecution

BUCKET = "reports"
_CHUNK_ROWS = 500_000
_BLOCK_BYTES = 2 * 1024 * 1024  # PyAthena's own 128 MB take a third more processor time
# What our modules import when they need it, so that DAG files need not.
_IMPORTED_LATER = (
    "athena_reports.jsonlines",
    "athena_reports.result",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
)


@dataclass(frozen=True)
class Task:
    """What a contender has to do.

    Attributes:
        contender: Its name, of CONTENDERS.
        query_id: QueryExecutionId of the finished query.
        table: The table in its text.
        prefix: Key prefix, with the closing slash, under which it publishes.
    """

    contender: str
    query_id: str
    table: str
    prefix: str


@dataclass(frozen=True)
class Measurement:
    """What it took.

    Attributes:
        seconds: Wall time.
        peak_mb: Peak of resident memory above that after the imports, in 10^6 bytes.
    """

    seconds: float
    peak_mb: float


Run = Callable[[Task], None]


@dataclass(frozen=True)
class Contender:
    """One way to publish.

    Attributes:
        library: `ours`, `awswrangler` or `PyAthena`.
        source: What it reads: `CSV` or `UNLOAD`.
        load: Imports what it needs, and returns what is then measured.
    """

    library: str
    source: str
    load: Callable[[], Run]


def import_awswrangler(publish: Callable[[Any, Any, Task], None], **options: Any) -> Run:
    """aws-sdk-pandas."""
    wr = import_module("awswrangler")

    def run(task: Task) -> None:
        publish(wr, wr.athena.get_query_results(task.query_id, **options), task)

    return run


def publish_frame(wr: Any, frame: Any, task: Task) -> None:
    """Publish a data frame in one file."""
    wr.s3.to_parquet(frame, f"s3://{BUCKET}/{task.prefix}part-0.parquet", index=False)


def publish_frames(wr: Any, frames: Iterator[Any], task: Task) -> None:
    """Publish each data frame in a file of its own, so that only one is in memory."""
    for number, frame in enumerate(frames):
        wr.s3.to_parquet(frame, f"s3://{BUCKET}/{task.prefix}part-{number}.parquet", index=False)


def import_pyathena(*, unload: bool) -> Run:
    """PyAthena's Arrow cursor."""
    import boto3
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import fs
    from pyathena import connect
    from pyathena.arrow.cursor import ArrowCursor

    pa.array([0])  # imports pandas, where there is one
    # It hands no endpoint on to pyarrow, which does not look for one itself.
    fs.S3FileSystem = partial(fs.S3FileSystem, endpoint_override=os.environ["AWS_ENDPOINT_URL_S3"])

    def run(task: Task) -> None:
        connection = connect(s3_staging_dir="s3://results/", cursor_class=ArrowCursor)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "part-0.parquet"
            cursor = connection.cursor(unload=unload)
            cursor.execute(_sql(task, unload=unload), block_size=_BLOCK_BYTES)
            pq.write_table(cursor.as_arrow(), path)
            boto3.client("s3").upload_file(str(path), BUCKET, f"{task.prefix}part-0.parquet")

    return run


def _sql(task: Task, *, unload: bool) -> str:
    select = f"SELECT * FROM {task.table}"
    # An UNLOAD that the cursor writes would have a new location, where nothing is.
    return f"UNLOAD ( {select} ) TO 's3://results/' WITH (format = 'PARQUET')" if unload else select


def import_ours(*, transform: bool) -> Run:
    """The library: what its tasks `transform` and `publish` do."""
    import boto3
    import pyarrow as pa

    from athena_reports import weekly
    from athena_reports.publication.publish import publish
    from athena_reports.publication.transform_task import Recipe, prepare
    from athena_reports.queries.execution import QueryExecution
    from athena_reports.storage import Storage

    for module in _IMPORTED_LATER:
        import_module(module)
    pa.array([0])  # imports pandas, where there is one
    weeks = weekly(first_day="sunday", timezone="Asia/Tokyo")
    transforms = [hand_on] if transform else []

    def run(task: Task) -> None:
        athena, storage = boto3.client("athena"), Storage(boto3.client("s3"))
        response = athena.get_query_execution(QueryExecutionId=task.query_id)
        execution = QueryExecution.from_response(response)
        recipe = Recipe(
            report=task.prefix.rstrip("/"),
            cadence=weeks,
            bucket=BUCKET,
            transforms=transforms,
            formats=["parquet"],
        )
        period = weeks.period("2026-11-15")
        prepared = prepare(execution, period, recipe, athena=athena, storage=storage)
        facts = _facts(recipe.report, period, execution)
        publish(prepared.version, facts, location=recipe.location(period), storage=storage)

    return run


def _facts(report: str, period: Period, execution: QueryExecution) -> Mapping[str, Any]:
    """What the task `publish` says of a run."""
    return {
        "report": report,
        "environment": "bench",
        "period": {
            "id": period.id,
            "cadence": period.cadence.name,
            "timezone": period.cadence.timezone,
            "start": period.start.isoformat(),
            "end": period.end.isoformat(),
            "start_utc": period.start_utc.isoformat(),
            "end_utc": period.end_utc.isoformat(),
        },
        "provisional": False,
        "partial": False,
        "missing_partitions": [],
        "published_at": execution.completed_at,
        "query": {
            "id": execution.id,
            "submitted_at": execution.submitted_at,
            "statement": execution.statement,
            "scanned_bytes": execution.scanned_bytes,
            "price_usd": execution.price_usd,
            "engine_version": execution.engine_version,
        },
        "checks": [],
        "run": {"dag_id": report, "run_id": "bench"},
        "code_version": "bench",
    }


def hand_on(batches: Iterator[pa.RecordBatch], _: Any) -> Iterator[pa.RecordBatch]:
    """Publish the rows as they are, having seen each."""
    yield from batches


def _awswrangler(source: str, publish: Callable[[Any, Any, Task], None], **options: Any) -> Contender:
    return Contender("awswrangler", source, lambda: import_awswrangler(publish, **options))


CONTENDERS: Mapping[str, Contender] = {
    "ours, CSV": Contender("ours", "CSV", lambda: import_ours(transform=True)),
    "awswrangler, CSV": _awswrangler("CSV", publish_frame),
    "awswrangler, CSV in chunks": _awswrangler("CSV", publish_frames, chunksize=_CHUNK_ROWS),
    "PyAthena, CSV": Contender("PyAthena", "CSV", lambda: import_pyathena(unload=False)),
    "ours, UNLOAD": Contender("ours", "UNLOAD", lambda: import_ours(transform=True)),
    "ours, UNLOAD as it is": Contender("ours", "UNLOAD", lambda: import_ours(transform=False)),
    "awswrangler, UNLOAD": _awswrangler("UNLOAD", publish_frame, dtype_backend="pyarrow"),
    "awswrangler, UNLOAD in chunks": _awswrangler(
        "UNLOAD", publish_frames, chunksize=_CHUNK_ROWS, dtype_backend="pyarrow"
    ),
    "PyAthena, UNLOAD": Contender("PyAthena", "UNLOAD", lambda: import_pyathena(unload=True)),
}


def main() -> None:
    """Do a task and print what it took."""
    task = Task(**json.loads(sys.argv[1]))
    run = CONTENDERS[task.contender].load()
    Path("/proc/self/clear_refs").write_text("5")
    imported_mb = _memory_mb("VmRSS")
    start = time.perf_counter()
    run(task)
    seconds = time.perf_counter() - start
    print(json.dumps(asdict(Measurement(seconds, _memory_mb("VmHWM") - imported_mb))))


def _memory_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark runs on Linux.")


if __name__ == "__main__":
    main()
