"""`results`: from a finished query to published Parquet in S3, against what a user would take instead.

Each contender works in a process of its own on the same 5 million rows in the same S3 server (SeaweedFS, on
this machine), each of the others in turns with ours. What is published is downloaded and compared with the
rows that were made. Ours is what the tasks `transform` and `publish` do, up to the manifest, over a CSV and
over an UNLOAD, each with a transform. The others publish the rows as they are.

`results-large`: the memory of ours for 20 million rows. It needs about 8 GB of disk for a while.
`results-small`: the time that ours takes for 100 rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench import athena_output
from bench.athena_front import FinishedQuery, athena_front
from bench.contender import BUCKET, Measurement, Task
from bench.results import Row, paired
from bench.weed import S3Server, seaweedfs

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

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(__file__).with_name(".work") / "results"
VENV = Path(__file__).with_name(".work") / "contenders"
REQUIREMENTS = ROOT / "dev" / "pins" / "bench.txt"


@dataclass(frozen=True)
class Rig:
    """An S3 server with one result in it of either kind, and an Athena that knows their queries."""

    python: Path  # of the others' virtual environment
    server: S3Server
    athena_url: str
    queries: Mapping[str, FinishedQuery]  # by the kind of result: CSV or UNLOAD
    fingerprint: tuple[int, int]  # of the rows of either result

    def run(self, contender: str, source: str) -> Measurement:
        """Let a contender publish a result.

        Raises:
            RuntimeError: It failed, or published other rows than those of the result.
        """
        query, prefix = self.queries[source], f"{contender.lower()}_{source.lower()}/"
        task = Task(contender, source, query.id, athena_output.BUCKET, query.keys, prefix)
        python = sys.executable if contender == OURS else self.python
        command = [python, "-m", "bench.contender", json.dumps(asdict(task))]
        done = subprocess.run(command, cwd=ROOT, env=self._environment(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{contender}, {source}, failed:\n{done.stdout}\n{done.stderr}")
        found = self._published(prefix)
        if found != self.fingerprint:
            raise RuntimeError(f"{contender}, {source}, published {found}, not {self.fingerprint}.")
        return Measurement(**json.loads(done.stdout.splitlines()[-1]))

    def pairs(self, contender: str, source: str) -> Sequence[tuple[Measurement, Measurement]]:
        """Let ours and another publish a result in turns, each of them first in every other round."""
        found = []
        for number in range(ROUNDS):
            order = [OURS, contender] if number % 2 else [contender, OURS]
            done = {name: self.run(name, source) for name in order}
            found.append((done[OURS], done[contender]))
        return found

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **inherited,
            **self.server.environment,
            "AWS_ENDPOINT_URL_ATHENA": self.athena_url,
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "plugins"), str(ROOT / "dev"))),
        }

    def _published(self, prefix: str) -> tuple[int, int]:
        """Move what was published out of S3, and return the fingerprint of its rows."""
        folder, s3 = WORK / "published", self.server.client
        folder.mkdir()
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
        for key in keys:
            if key.endswith(".parquet"):
                s3.download_file(BUCKET, key, str(folder / Path(key).name))
            s3.delete_object(Bucket=BUCKET, Key=key)
        found = athena_output.fingerprint_of_files(list(folder.iterdir()))
        shutil.rmtree(folder)
        return found


@contextmanager
def rig(rows: int) -> Iterator[Rig]:
    """Start the servers and make the results, of so many rows; nothing is kept."""
    python = _others_python()
    shutil.rmtree(WORK, ignore_errors=True)
    store = WORK / "seaweedfs"
    store.mkdir(parents=True)
    with seaweedfs(python.with_name("weed"), store) as server:
        for bucket in (athena_output.BUCKET, BUCKET):
            server.client.create_bucket(Bucket=bucket)
        queries = {
            "CSV": athena_output.write_csv(rows, WORK, server.client),
            "UNLOAD": athena_output.write_unload(rows, WORK, server.client),
        }
        fingerprint = athena_output.fingerprint(athena_output.rows(0, rows))
        with athena_front(list(queries.values())) as athena_url:
            yield Rig(python, server, athena_url, queries, fingerprint)
    shutil.rmtree(WORK)


def _others_python() -> Path:
    """Return the interpreter of the others' virtual environment, which is made unless it is there."""
    python, installed = VENV / "bin" / "python", VENV / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
        installed.write_text(wanted)
    return python


def measure() -> Sequence[Row]:
    """Let all contenders publish 5 million rows, and compare."""
    rows = list[Row]()
    with rig(ROWS) as made:
        for source, limits in LIMITS.items():
            found = {name: made.pairs(name, source) for name in limits}
            rows += [_time(source, name, pairs, limits[name]) for name, pairs in found.items()]
            rows.append(_memory(source, found))
    return rows


def _time(source: str, other: str, pairs: Sequence[tuple[Measurement, Measurement]], limit: float | None) -> Row:
    ours, theirs = zip(*pairs, strict=True)
    row = paired(
        f"results {source}: time beside {other}",
        f"seconds from a finished query to {ROWS / 1e6:g} million rows published",
        [each.seconds for each in ours],
        other,
        [each.seconds for each in theirs],
        limit,
    )
    both = {OURS: ours, other: theirs}
    cpu = {name: round(median(each.cpu_seconds for each in found), 3) for name, found in both.items()}
    return replace(row, cpu=cpu)


def _memory(source: str, found: Mapping[str, Sequence[tuple[Measurement, Measurement]]]) -> Row:
    ours = median(mine.peak_mb for pairs in found.values() for mine, _ in pairs)
    others = {name: round(median(theirs.peak_mb for _, theirs in pairs)) for name, pairs in found.items()}
    unit = f"MB at the peak above the imports; the ratio is to {MEMORY_LIMIT_MB} MB"
    return Row(f"results {source}: memory", unit, round(ours), others, round(ours / MEMORY_LIMIT_MB, 3), 1.0)


def _ours(rows: int) -> Mapping[str, Sequence[Measurement]]:
    """Let ours publish so many rows again and again, from either source."""
    with rig(rows) as made:
        return {source: [made.run(OURS, source) for _ in range(ROUNDS)] for source in LIMITS}


def measure_large() -> Sequence[Row]:
    """Let ours publish 5 million rows and 20 million, and compare the memory."""
    usual, large = (
        {source: median(each.peak_mb for each in found) for source, found in _ours(rows).items()}
        for rows in (ROWS, LARGE_ROWS)
    )
    unit = f"MB at the peak above the imports, for {LARGE_ROWS / 1e6:g} million rows"
    return [
        Row(
            f"results-large {source}: memory",
            unit,
            round(large[source]),
            {f"for {ROWS / 1e6:g} million rows": round(usual[source])},
            round(large[source] / usual[source], 3),
            LARGE_MEMORY_LIMIT,
        )
        for source in LIMITS
    ]


def measure_small() -> Sequence[Row]:
    """Let ours publish 100 rows."""
    unit = f"seconds from a finished query to {SMALL_ROWS} rows published; the ratio is to {SMALL_SECONDS} s"
    seconds = {source: median(each.seconds for each in found) for source, found in _ours(SMALL_ROWS).items()}
    return [
        Row(f"results-small {source}: time", unit, round(took, 3), {}, round(took / SMALL_SECONDS, 3), 1.0)
        for source, took in seconds.items()
    ]
