"""`results`: from a finished query to published Parquet in S3, against other ways to do it.

Each contender publishes the same 5 million rows to the same S3 server (SeaweedFS) from a process
of its own, in turns with ours, and what is published is compared with the rows. Ours is what the
tasks `transform` and `publish` do, over a CSV and over an UNLOAD; the others publish the rows as
they are.

`results-large`: the memory of ours for 20 million rows. It needs about 8 GB of disk for a while.
`results-small`: the time that ours takes for 100 rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from athena_reports_cli.local.services import environment_without
from bench import athena_output
from bench.contender import BUCKET, Measurement, Task
from bench.local_airflow import ROOT, WORK
from bench.results import Row, paired
from bench.weed import seaweedfs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROWS = 5_000_000
LARGE_ROWS = 20_000_000
SMALL_ROWS = 100
ROUNDS = 5
MEMORY_LIMIT_MB = 200
LARGE_MEMORY_LIMIT = 1.10
SMALL_SECONDS = 0.5
OURS = "ours"
# How long ours may take, as a share of another's time; None for one that is only reported.
LIMITS: Mapping[str, Mapping[str, float | None]] = {
    "CSV": {"awswrangler": 0.45, "PyAthena": 0.90, "DuckDB": 1.25, "polars": None},
    "UNLOAD": {"awswrangler": 0.80, "PyAthena": 0.90, "DuckDB": 1.35, "polars": None},
}
PYPROJECT = ROOT / "pyproject.toml"
"""Its dependency group `bench` names the contenders and their versions."""
Run = Callable[[str, str], Measurement]
"""Lets a contender publish a result, given its name and CSV or UNLOAD.

It fails if the contender publishes other rows.
"""
_WORK = WORK / "results"
_MEMORY = "MB at the peak above the imports"


@contextmanager
def rig(rows: int) -> Iterator[Run]:
    """Start the servers and make the results, of so many rows; nothing is kept."""
    python = _others_python()
    shutil.rmtree(_WORK, ignore_errors=True)
    with seaweedfs(python.with_name("weed"), _WORK / "seaweedfs") as (s3, environment):
        s3.create_bucket(Bucket=BUCKET)
        queries = {
            "CSV": athena_output.write_csv(rows, _WORK, s3),
            "UNLOAD": athena_output.write_unload(rows, _WORK, s3),
        }
        expected = athena_output.fingerprint(athena_output.rows(0, rows))

        def run(contender: str, source: str) -> Measurement:
            query, prefix = queries[source], f"{contender.lower()}_{source.lower()}/"
            task = json.dumps(asdict(Task(contender, source, query.id, query.keys, prefix)))
            interpreter = sys.executable if contender == OURS else python
            command = [interpreter, "-m", "bench.contender", task]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{contender}, {source}, failed:\n{done.stdout}\n{done.stderr}")
            if (found := _take(s3, prefix)) != expected:
                raise RuntimeError(f"{contender}, {source}, published {found}, not {expected}.")
            return Measurement(**json.loads(done.stdout.splitlines()[-1]))

        with athena_output.athena_front(list(queries.values())) as athena_url:
            path = os.pathsep.join((str(ROOT / "plugins"), str(ROOT / "dev")))
            own = {
                "AWS_ENDPOINT_URL_ATHENA": athena_url,
                "NO_PROXY": "127.0.0.1",
                "PYTHONPATH": path,
            }
            environment = {**environment_without("AWS_"), **environment, **own}
            yield run
    shutil.rmtree(_WORK)


def _take(s3: S3Client, prefix: str) -> tuple[int, int]:
    """Move what was published out of S3, and return the fingerprint of its rows."""
    folder = _WORK / "published"
    folder.mkdir()
    contents = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    for key in [entry["Key"] for entry in contents]:
        if key.endswith(".parquet"):
            s3.download_file(BUCKET, key, str(folder / Path(key).name))
        s3.delete_object(Bucket=BUCKET, Key=key)
    found = athena_output.fingerprint(f"FROM '{folder}/*.parquet'")
    shutil.rmtree(folder)
    return found


def _pairs(run: Run, contender: str, source: str) -> Sequence[tuple[Measurement, Measurement]]:
    """Let ours and another publish a result in turns, each of them first in every other round."""
    found = []
    for number in range(ROUNDS):
        order = [OURS, contender] if number % 2 else [contender, OURS]
        done = {name: run(name, source) for name in order}
        found.append((done[OURS], done[contender]))
    return found


def _others_python() -> Path:
    """Return the interpreter of the contenders' virtual environment, made anew if they changed."""
    venv = WORK / "contenders"
    python = venv / "bin" / "python"
    installed = venv / "installed.txt"
    group = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]["bench"]
    requirements = "\n".join(group)
    if not installed.exists() or installed.read_text() != requirements:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *group], check=True)
        installed.write_text(requirements)
    return python


def measure() -> Sequence[Row]:
    rows = list[Row]()
    with rig(ROWS) as run:
        for source, limits in LIMITS.items():
            found = {name: _pairs(run, name, source) for name in limits}
            rows += [_time(source, name, pairs, limits[name]) for name, pairs in found.items()]
            ours = median(mine.peak_mb for pairs in found.values() for mine, _ in pairs)
            others = {
                name: median(theirs.peak_mb for _, theirs in pairs) for name, pairs in found.items()
            }
            unit = f"{_MEMORY}; the ratio is to {MEMORY_LIMIT_MB} MB"
            rows.append(Row.of(f"results {source}: memory", unit, ours, others, MEMORY_LIMIT_MB))
    return rows


def _time(
    source: str, other: str, pairs: Sequence[tuple[Measurement, Measurement]], limit: float | None
) -> Row:
    ours, theirs = zip(*pairs, strict=True)
    name = f"results {source}: time beside {other}"
    unit = f"seconds from a finished query to {ROWS / 1e6:g} million rows published"
    our_seconds = [measurement.seconds for measurement in ours]
    their_seconds = [measurement.seconds for measurement in theirs]
    row = paired(name, unit, our_seconds, other, their_seconds, limit)
    return replace(row, cpu={OURS: _cpu_seconds(ours), other: _cpu_seconds(theirs)})


def _cpu_seconds(measurements: Sequence[Measurement]) -> float:
    return round(median(measurement.cpu_seconds for measurement in measurements), 3)


def _ours(rows: int, figure: str) -> Mapping[str, float]:
    """Publish so many rows by ours again and again; return the median of a figure by source."""
    with rig(rows) as run:
        return {
            source: median(getattr(run(OURS, source), figure) for _ in range(ROUNDS))
            for source in LIMITS
        }


def measure_large() -> Sequence[Row]:
    usual, large = _ours(ROWS, "peak_mb"), _ours(LARGE_ROWS, "peak_mb")
    unit = f"{_MEMORY}, for {LARGE_ROWS / 1e6:g} million rows"
    other = f"for {ROWS / 1e6:g} million rows"
    rows = []
    for source, mb in usual.items():
        name = f"results-large {source}: memory"
        rows.append(Row.of(name, unit, large[source], {other: mb}, mb, LARGE_MEMORY_LIMIT))
    return rows


def measure_small() -> Sequence[Row]:
    unit = (
        f"seconds from a finished query to {SMALL_ROWS} rows published;"
        f" the ratio is to {SMALL_SECONDS} s"
    )
    found = _ours(SMALL_ROWS, "seconds")
    return [
        Row.of(f"results-small {name}: time", unit, took, {}, SMALL_SECONDS)
        for name, took in found.items()
    ]
