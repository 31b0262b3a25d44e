"""One contender in a process of its own: from a finished query to Parquet in S3.

`python -m bench.contender TASK` takes a Task and prints a Measurement, both as JSON, measured once
all is imported. The peak of memory is the kernel's count: `VmHWM` of /proc/self/status, set back
(/proc/self/clear_refs) after the imports, less `VmRSS` at that time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

import boto3

BUCKET = "bench"
# The fastest for PyAthena; its own 128 MB take a third more processor time.
_BLOCK_BYTES = 8 * 1024 * 1024
_READ_CSV = (
    "read_csv({paths}, header=true, auto_detect=false, delim=',', quote='\"', escape='\"',"
    " new_line='\\n', nullstr='', allow_quoted_nulls=false,"
    " max_line_size=2000000, buffer_size=8000000, columns="
    "{{'user_id': 'INTEGER', 'name': 'VARCHAR', 'played_at': 'TIMESTAMP', 'score': 'DOUBLE'}})"
)


@dataclass(frozen=True)
class Task:
    contender: str  # its name, of CONTENDERS
    source: str  # what it reads: CSV or UNLOAD
    query_id: str  # of the finished query; the table in its text has the same name
    keys: Sequence[str]  # of the objects that hold its rows, in BUCKET
    prefix: str  # under which it publishes, with the closing slash


@dataclass(frozen=True)
class Measurement:
    seconds: float
    cpu_seconds: float  # of all its threads, in user and system mode
    peak_mb: float  # peak of resident memory above that after the imports, in 10^6 bytes


def awswrangler(task: Task) -> Iterator[None]:
    """aws-sdk-pandas, with each setting that makes it faster; chunks and zstd make it slower."""
    wr = import_module("awswrangler")
    yield
    faster = {"split_blocks": True, "self_destruct": True}
    frame = wr.athena.get_query_results(
        task.query_id, dtype_backend="pyarrow", pyarrow_additional_kwargs=faster
    )
    path = f"s3://{BUCKET}/{task.prefix}part-0.parquet"
    wr.s3.to_parquet(frame, path, index=False, pyarrow_additional_kwargs={"use_dictionary": False})


@contextmanager
def by_boto3(task: Task) -> Iterator[tuple[Path, Sequence[str], str]]:
    """Yield a folder with the result's objects, their paths, and the Parquet file to write."""
    s3 = boto3.client("s3")
    with TemporaryDirectory() as folder:
        paths = [Path(folder, BUCKET, key) for key in task.keys]
        for key, path in zip(task.keys, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(BUCKET, key, str(path))
        written = f"{folder}/part-0.parquet"
        yield Path(folder), [str(path) for path in paths], written
        s3.upload_file(written, BUCKET, f"{task.prefix}part-0.parquet")


def pyathena(task: Task) -> Iterator[None]:
    """PyAthena's Arrow cursor."""
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.parquet as pq
    from pyarrow import fs
    from pyathena import connect
    from pyathena.arrow.cursor import ArrowCursor

    pyarrow.array([0])  # imports pandas
    yield
    with by_boto3(task) as (folder, _, written):
        # It reads by pyarrow's own client of S3, in whose place it gets what boto3 has downloaded.
        fs.S3FileSystem = lambda **_: fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        connection = connect(s3_staging_dir=f"s3://{BUCKET}/", cursor_class=ArrowCursor)
        sql = f"SELECT * FROM {task.query_id}"
        if unload := task.source == "UNLOAD":
            # An UNLOAD that the cursor writes itself would have a new location, where nothing is.
            sql = f"UNLOAD ( {sql} ) TO 's3://{BUCKET}/' WITH (format = 'PARQUET')"
        cursor = connection.cursor(unload=unload).execute(sql, block_size=_BLOCK_BYTES)
        pq.write_table(cursor.as_arrow(), written, compression="zstd", use_dictionary=False)


def duckdb(task: Task) -> Iterator[None]:
    """The bare minimum: DuckDB, as bounded as ours."""
    import duckdb

    yield
    with by_boto3(task) as (folder, paths, written):
        rows = (_READ_CSV if task.source == "CSV" else "read_parquet({paths})").format(paths=paths)
        config = {"threads": 1, "memory_limit": "128MB", "temp_directory": str(folder)}
        with duckdb.connect(config=config) as connection:
            options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
            connection.execute(f"COPY (FROM {rows}) TO '{written}' ({options})")


def polars(task: Task) -> Iterator[None]:
    """The bare minimum: polars."""
    import polars as pl

    yield
    schema = {
        "user_id": pl.Int32,
        "name": pl.String,
        "played_at": pl.Datetime("ms"),
        "score": pl.Float64,
    }
    with by_boto3(task) as (_, paths, written):
        # For a CSV this is faster than a lazy scan.
        rows = (
            pl.read_csv(paths[0], schema=schema).lazy()
            if task.source == "CSV"
            else pl.scan_parquet(paths)
        )
        rows.sink_parquet(written, compression="zstd", compression_level=1)


def ours(task: Task) -> Iterator[None]:
    """The library's tasks `transform` and `publish`, with AWS's settings from the environment."""
    from athena_reports import weekly
    from athena_reports.aws.hook import SharedSessionHook
    from athena_reports.queries.execution import get_query_execution
    from athena_reports.queries.submission import Submitted
    from athena_reports.steps.publish import S3PublishOperator
    from athena_reports.steps.recipe import Recipe
    from athena_reports.steps.transform import transform_result

    for late in (
        "airflow.providers.amazon.aws.hooks.athena",
        "athena_reports.rows.athena_result",
        "duckdb",
    ):
        import_module(late)
    weeks = weekly(first_day="sunday", timezone="Asia/Tokyo")
    yield
    clients = {name: boto3.client(name) for name in ("athena", "s3")}
    query = get_query_execution(clients["athena"], task.query_id).model_dump(mode="json")
    submitted = Submitted(period=weeks.period("2026-11-15"), sql_sha256="").model_dump(mode="json")
    place = {"report": task.prefix.rstrip("/"), "bucket": BUCKET}
    transforms = [lambda rows, _: rows.filter("score >= 0")]
    recipe = Recipe(transforms=transforms, formats=["parquet"], **place)
    # An Airflow connection's session costs the same whatever is done with it.
    with (
        patch.object(SharedSessionHook, "client", lambda _, service: clients[service]),
        patch.object(SharedSessionHook, "get_conn", lambda _: clients["athena"]),
    ):
        prepared = transform_result(query, submitted, recipe=recipe)
        publish = S3PublishOperator(
            task_id="publish",
            prepared=prepared,
            submitted=submitted,
            environment="bench",
            **place,
        )
        ti = SimpleNamespace(max_tries=0)
        publish.execute({"run_id": "bench", "ti": ti, "outlet_events": {}})


# Each imports what it needs, yields, and does its task.
CONTENDERS: Mapping[str, Callable[[Task], Iterator[None]]] = {
    "ours": ours,
    "awswrangler": awswrangler,
    "PyAthena": pyathena,
    "DuckDB": duckdb,
    "polars": polars,
}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    contender = CONTENDERS[task.contender](task)
    next(contender)
    Path("/proc/self/clear_refs").write_text("5")
    imported_mb = _memory_mb("VmRSS")
    start, cpu_start = time.perf_counter(), time.process_time()
    next(contender, None)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps(asdict(Measurement(seconds, cpu_seconds, _memory_mb("VmHWM") - imported_mb))))


def _memory_mb(field: str) -> float:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
