"""One contender in a process of its own: from a finished query to Parquet in S3, with time and memory.

`python -m bench.contender TASK`, a Task as JSON; the last line of the output is a Measurement as JSON. What
is measured begins when everything is imported. The peak of memory is the kernel's own count, not a sample:
`VmHWM` of /proc/self/status, set back (/proc/self/clear_refs) after the imports, less `VmRSS` at that time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from athena_reports import Period

BUCKET = "reports"
_BLOCK_BYTES = 2 * 1024 * 1024  # PyAthena's own 128 MB take a third more processor time
_READ_CSV = (
    "read_csv({paths}, header=true, auto_detect=false, delim=',', quote='\"', escape='\"', new_line='\\n', "
    "nullstr='', allow_quoted_nulls=false, max_line_size=2000000, buffer_size=8000000, columns="
    "{{'user_id': 'INTEGER', 'name': 'VARCHAR', 'played_at': 'TIMESTAMP', 'score': 'DOUBLE'}})"
)


@dataclass(frozen=True)
class Task:
    """What a contender has to do.

    Attributes:
        contender: Its name, of CONTENDERS.
        source: What it reads: `CSV` or `UNLOAD`.
        query_id: QueryExecutionId of the finished query, and the name of the table in its text.
        bucket: Bucket of the result.
        keys: Keys of the objects that hold its rows.
        prefix: Key prefix, with the closing slash, under which it publishes.
    """

    contender: str
    source: str
    query_id: str
    bucket: str
    keys: Sequence[str]
    prefix: str


@dataclass(frozen=True)
class Measurement:
    """What it took.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time of all its threads, in user and system mode.
        peak_mb: Peak of resident memory above that after the imports, in 10^6 bytes.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


Run = Callable[[Task], None]


def import_awswrangler() -> Run:
    """aws-sdk-pandas."""
    wr = import_module("awswrangler")

    def run(task: Task) -> None:
        frame = wr.athena.get_query_results(task.query_id, dtype_backend="pyarrow")
        wr.s3.to_parquet(frame, f"s3://{BUCKET}/{task.prefix}part-0.parquet", index=False)

    return run


def import_pyathena() -> Run:
    """PyAthena's Arrow cursor, which reads what boto3 has downloaded."""
    import boto3
    import pyarrow.parquet as pq
    from pyarrow import fs
    from pyathena import connect
    from pyathena.arrow.cursor import ArrowCursor

    def run(task: Task) -> None:
        s3, unload = boto3.client("s3"), task.source == "UNLOAD"
        with TemporaryDirectory() as folder:

            def download(**_: Any) -> Any:
                _download(s3, task, Path(folder, task.bucket))
                return fs.SubTreeFileSystem(folder, fs.LocalFileSystem(use_mmap=False))

            fs.S3FileSystem = download
            connection = connect(s3_staging_dir=f"s3://{task.bucket}/", cursor_class=ArrowCursor)
            cursor = connection.cursor(unload=unload)
            cursor.execute(_sql(task), block_size=_BLOCK_BYTES)
            path = Path(folder, "part-0.parquet")
            pq.write_table(cursor.as_arrow(), path, compression="zstd")
            s3.upload_file(str(path), BUCKET, f"{task.prefix}part-0.parquet")

    return run


def _sql(task: Task) -> str:
    select = f"SELECT * FROM {task.query_id}"
    # An UNLOAD that the cursor writes would have a new location, where nothing is.
    unload = f"UNLOAD ( {select} ) TO 's3://{task.bucket}/' WITH (format = 'PARQUET')"
    return unload if task.source == "UNLOAD" else select


def _download(s3: Any, task: Task, folder: Path) -> list[str]:
    """Download the objects of the result, and return their paths."""
    paths = [folder / key for key in task.keys]
    for key, path in zip(task.keys, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(task.bucket, key, str(path))
    return [str(path) for path in paths]


def import_duckdb() -> Run:
    """The bare minimum: DuckDB, as bounded as ours."""
    import boto3
    import duckdb

    def run(task: Task) -> None:
        s3 = boto3.client("s3")
        with TemporaryDirectory() as folder:
            paths, written = _download(s3, task, Path(folder)), f"{folder}/part-0.parquet"
            rows = (_READ_CSV if task.source == "CSV" else "read_parquet({paths})").format(paths=paths)
            config = {"threads": 1, "memory_limit": "128MB", "temp_directory": folder}
            with duckdb.connect(config=config) as connection:
                connection.execute(f"COPY (FROM {rows}) TO '{written}' (FORMAT parquet, COMPRESSION zstd)")
            s3.upload_file(written, BUCKET, f"{task.prefix}part-0.parquet")

    return run


def import_polars() -> Run:
    """The bare minimum: polars."""
    import boto3
    import polars as pl

    schema = {
        "user_id": pl.Int32,
        "name": pl.String,
        "played_at": pl.Datetime("ms"),
        "score": pl.Float64,
    }

    def run(task: Task) -> None:
        s3 = boto3.client("s3")
        with TemporaryDirectory() as folder:
            paths, written = _download(s3, task, Path(folder)), f"{folder}/part-0.parquet"
            rows = pl.scan_csv(paths, schema=schema) if task.source == "CSV" else pl.scan_parquet(paths)
            rows.sink_parquet(written, compression="zstd")
            s3.upload_file(written, BUCKET, f"{task.prefix}part-0.parquet")

    return run


def import_ours() -> Run:
    """The library: what its tasks `transform` and `publish` do."""
    import boto3
    import pyarrow as pa

    from athena_reports import weekly
    from athena_reports.prepare import Recipe, prepare
    from athena_reports.query import QueryExecution
    from athena_reports.storage import Storage

    for module in ("athena_reports.result", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet"):
        import_module(module)
    pa.array([0])  # imports pandas, where there is one
    weeks = weekly(first_day="sunday", timezone="Asia/Tokyo")

    def hand_on(batches: Any, _: Any) -> Any:
        yield from batches

    def run(task: Task) -> None:
        athena, storage = boto3.client("athena"), Storage(boto3.client("s3"))
        execution = QueryExecution.from_response(athena.get_query_execution(QueryExecutionId=task.query_id))
        recipe = Recipe(report=task.prefix.rstrip("/"), cadence=weeks, bucket=BUCKET, transforms=[hand_on], formats=["parquet"])
        prepare(execution, weeks.period("2026-11-15"), recipe, athena=athena, storage=storage)

    return run


CONTENDERS: Mapping[str, Callable[[], Run]] = {
    "ours": import_ours,
    "awswrangler": import_awswrangler,
    "PyAthena": import_pyathena,
    "DuckDB": import_duckdb,
    "polars": import_polars,
}


def main() -> None:
    """Do a task and print what it took."""
    task = Task(**json.loads(sys.argv[1]))
    run = CONTENDERS[task.contender]()
    Path("/proc/self/clear_refs").write_text("5")
    imported_mb = _memory_mb("VmRSS")
    start, cpu_start = time.perf_counter(), time.process_time()
    run(task)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps(asdict(Measurement(seconds, cpu_seconds, _memory_mb("VmHWM") - imported_mb))))


def _memory_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark runs on Linux.")


if __name__ == "__main__":
    main()
