"""`results`: from a finished query to published Parquet in S3, against what a user would take instead.

Each contender works in a process of its own, all in turns, on the same 5 million rows in the same S3 server
(SeaweedFS, on this machine). What each published is fetched and compared with the rows that were made. Ours
is the way that the tasks `transform` and `publish` go, up to the manifest: over a CSV and over an UNLOAD
whose rows pass through a transform, and over an UNLOAD that is published as it is.

`results-large`: the memory of ours for 20 million rows. It needs about 8 GB of disk for a while.
`results-small`: the time that ours takes for 100 rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from bench import athena_output
from bench.athena_front import FinishedQuery, athena_front
from bench.athena_output import Facts
from bench.contender import BUCKET, CONTENDERS, Measurement, Task
from bench.results import Row, machine
from bench.weed import S3Server, seaweedfs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROWS = 5_000_000
LARGE_ROWS = 20_000_000
SMALL_ROWS = 100
ROUNDS = 3
READS = 5
MEMORY_LIMIT_MB = 200
LARGE_MEMORY_LIMIT = 1.10
READ_LIMIT = 1.1
SMALL_SECONDS = 0.5

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(__file__).with_name(".work") / "results"
VENV = Path(__file__).with_name(".work") / "contenders"
REQUIREMENTS = ROOT / "requirements-bench.txt"

OURS = [name for name, contender in CONTENDERS.items() if contender.library == "ours"]


@dataclass(frozen=True)
class Limit:
    """How long ours may take, as a share of the best of a library over the same kind of result."""

    ours: str
    library: str
    share: float


LIMITS = (
    Limit("ours, CSV", "awswrangler", 0.50),
    Limit("ours, CSV", "PyAthena", 1.05),
    Limit("ours, UNLOAD", "awswrangler", 0.65),
    Limit("ours, UNLOAD", "PyAthena", 1.20),
    Limit("ours, UNLOAD as it is", "awswrangler", 0.25),
)


@dataclass(frozen=True)
class Rig:
    """An S3 server with one result in it of either kind, and an Athena that knows their queries.

    Attributes:
        python: Interpreter of the others' virtual environment.
        server: The S3 server.
        athena_url: Address of Athena.
        queries: The finished query by the kind of its result, `CSV` or `UNLOAD`.
        facts: What is true of either result.
        folder: Where what is published is fetched to.
    """

    python: Path
    server: S3Server
    athena_url: str
    queries: Mapping[str, FinishedQuery]
    facts: Facts
    folder: Path

    def run(self, contender: str) -> Measurement:
        """Let a contender do its work, and leave what it published in its folder.

        Raises:
            RuntimeError: It failed, or published other rows than those of the result.
        """
        query = self.queries[CONTENDERS[contender].source]
        task = Task(contender, query.id, query.table, f"{_slug(contender)}/")
        ours = CONTENDERS[contender].library == "ours"
        command = [sys.executable if ours else self.python, "-m", "bench.contender", json.dumps(asdict(task))]
        done = subprocess.run(command, cwd=ROOT, env=self._environment(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{contender} failed:\n{done.stdout}\n{done.stderr}")
        paths = self._fetch(contender, task.prefix)
        found = athena_output.facts_of_files(paths)
        if not found.agrees(self.facts):
            raise RuntimeError(f"{contender} published {found}, the result is {self.facts}.")
        return Measurement(**json.loads(done.stdout.splitlines()[-1]))

    def fetched(self, contender: str) -> Sequence[Path]:
        """Return the files that a contender published at last."""
        return sorted((self.folder / _slug(contender)).iterdir())

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **inherited,
            **self.server.environment,
            "AWS_ENDPOINT_URL_ATHENA": self.athena_url,
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(ROOT / "plugins"),
        }

    def _fetch(self, contender: str, prefix: str) -> Sequence[Path]:
        """Move what was published from S3 into a folder, in place of what was there."""
        folder = self.folder / _slug(contender)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        s3 = self.server.client
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
        for key in keys:
            if key.endswith(".parquet"):
                s3.download_file(BUCKET, key, str(folder / Path(key).name))
            s3.delete_object(Bucket=BUCKET, Key=key)
        return self.fetched(contender)


def _slug(contender: str) -> str:
    return contender.lower().replace(",", "").replace(" ", "_")


@contextmanager
def rig(rows: int) -> Iterator[Rig]:
    """Start the servers and make the results, of so many rows; nothing is kept."""
    python = _others_python()
    shutil.rmtree(WORK, ignore_errors=True)
    store, fetched = WORK / "seaweedfs", WORK / "published"
    for folder in (store, fetched):
        folder.mkdir(parents=True)
    with seaweedfs(python.with_name("weed"), store) as server:
        queries, facts = _results(rows, server.client)
        with athena_front(list(queries.values())) as athena_url:
            yield Rig(python, server, athena_url, queries, facts, fetched)
    shutil.rmtree(WORK)


def _results(rows: int, s3: S3Client) -> tuple[Mapping[str, FinishedQuery], Facts]:
    for bucket in (athena_output.BUCKET, BUCKET):
        s3.create_bucket(Bucket=bucket)
    csv, facts = athena_output.write_csv(rows, WORK, s3)
    unload, _ = athena_output.write_unload(rows, WORK, s3)
    return {"CSV": csv, "UNLOAD": unload}, facts


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
    """Let all contenders publish 5 million rows, in turns, and compare."""
    with rig(ROWS) as made:
        found = _in_turns(made, list(CONTENDERS))
        reading = _reading(made)
    seconds = {name: [one.seconds for one in each] for name, each in found.items()}
    peaks = {name: median(one.peak_mb for one in each) for name, each in found.items()}
    return [
        *(_time(limit, seconds) for limit in LIMITS),
        *(_memory(name, peaks) for name in OURS),
        *(_read(name, reading) for name in OURS),
    ]


def measure_large() -> Sequence[Row]:
    """Let ours publish 5 million rows and 20 million, and compare the memory."""
    with rig(ROWS) as made:
        usual = _in_turns(made, OURS)
    with rig(LARGE_ROWS) as made:
        large = _in_turns(made, OURS)
    return [_large(name, usual[name], large[name]) for name in OURS]


def measure_small() -> Sequence[Row]:
    """Let ours publish 100 rows."""
    with rig(SMALL_ROWS) as made:
        found = _in_turns(made, OURS)
    return [_small(name, each) for name, each in found.items()]


def _in_turns(made: Rig, contenders: Sequence[str]) -> Mapping[str, Sequence[Measurement]]:
    rounds = [{name: made.run(name) for name in contenders} for _ in range(ROUNDS)]
    return {name: [each[name] for each in rounds] for name in contenders}


def _reading(made: Rig) -> Mapping[str, Sequence[float]]:
    """Read in turns what each published, from this machine's disk, as a reader of the report would."""
    rounds = [{name: _read_seconds(made.fetched(name)) for name in CONTENDERS} for _ in range(READS)]
    return {name: [each[name] for each in rounds] for name in CONTENDERS}


def _read_seconds(paths: Sequence[Path]) -> float:
    start = time.perf_counter()
    pq.read_table(paths)
    return time.perf_counter() - start


def compared(
    name: str,
    unit: str,
    ours: str,
    others: Sequence[str],
    figures: Mapping[str, Sequence[float]],
    limit: float,
) -> Row:
    """Make a row of figures taken in turns: medians, and the median of the ratios to the best other's."""
    medians = {who: median(figures[who]) for who in (ours, *others)}
    best = min(others, key=lambda who: medians[who])
    ratio = median(mine / theirs for mine, theirs in zip(figures[ours], figures[best], strict=True))
    shown = {who: round(medians[who], 3) for who in others}
    return Row(name, unit, round(medians[ours], 3), shown, round(ratio, 3), limit, machine())


def _rivals(ours: str, *libraries: str) -> Sequence[str]:
    """Return the other libraries' contenders over the same kind of result."""
    source = CONTENDERS[ours].source
    return [
        name
        for name, contender in CONTENDERS.items()
        if contender.source == source and contender.library in libraries
    ]


def _kind(ours: str) -> str:
    return ours.removeprefix("ours, ")


def _time(limit: Limit, seconds: Mapping[str, Sequence[float]]) -> Row:
    name = f"results {_kind(limit.ours)}: time beside {limit.library}"
    unit = "seconds from a finished query to 5 million rows published"
    return compared(name, unit, limit.ours, _rivals(limit.ours, limit.library), seconds, limit.share)


def _memory(ours: str, peaks: Mapping[str, float]) -> Row:
    others = {who: round(peaks[who]) for who in _rivals(ours, "awswrangler", "PyAthena")}
    ratio = round(peaks[ours] / MEMORY_LIMIT_MB, 3)
    unit = f"MB at the peak above the imports; the ratio is to {MEMORY_LIMIT_MB} MB"
    return Row(f"results {_kind(ours)}: memory", unit, round(peaks[ours]), others, ratio, 1.0, machine())


def _read(ours: str, seconds: Mapping[str, Sequence[float]]) -> Row:
    unit = "seconds to read what was published, from disk"
    others = _rivals(ours, "awswrangler", "PyAthena")
    return compared(f"results {_kind(ours)}: reading", unit, ours, others, seconds, READ_LIMIT)


def _large(ours: str, usual: Sequence[Measurement], large: Sequence[Measurement]) -> Row:
    usual_mb, large_mb = (median(one.peak_mb for one in each) for each in (usual, large))
    return Row(
        f"results-large {_kind(ours)}: memory",
        "MB at the peak above the imports, for 20 million rows",
        round(large_mb),
        {"for 5 million rows": round(usual_mb)},
        round(large_mb / usual_mb, 3),
        LARGE_MEMORY_LIMIT,
        machine(),
    )


def _small(ours: str, found: Sequence[Measurement]) -> Row:
    seconds = median(one.seconds for one in found)
    unit = f"seconds from a finished query to 100 rows published; the ratio is to {SMALL_SECONDS} s"
    name = f"results-small {_kind(ours)}: time"
    return Row(name, unit, round(seconds, 3), {}, round(seconds / SMALL_SECONDS, 3), 1.0, machine())
