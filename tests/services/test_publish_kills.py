"""A publisher dies between any two of its writes, or races with another, while somebody reads.

Before its first write and after its last one are such moments too. Between two writes it only reads
and computes, so one moment stands for all of them.

This file is also the program that publishes, a process for each publication.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from athena_reports.aws import s3 as s3_module
from athena_reports.aws.s3 import S3, split_uri
from athena_reports.periods.calendar import weekly
from athena_reports.publication.commit import publish
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from tests.services.forked import Program, answer_lines, fork_each, program
from tests.support.published import assert_followed, partitions_of, read_complete
from tests.support.publishing import EARLY, LATE, PLAYS, facts, upload

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

DATABASE = "reports"
KILLED = 9
WRITES = {
    *("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    *("CreateTable", "UpdateTable", "CreatePartition", "UpdatePartition"),
}
IMPORTED_LATE = ["duckdb", "boto3.s3.transfer"]

_numbers = count(1)


@dataclass(frozen=True)
class Job:
    """One publication by one process.

    `writes_before_death` is how many of its writes are carried out before it dies; None if it
    lives.
    """

    bucket: str
    report: str
    names: Sequence[str]
    submitted_at: str
    log: str
    wide: bool = False
    large: bool = False
    writes_before_death: int | None = None
    by: str = field(default_factory=lambda: f"run-{next(_numbers)}")

    @property
    def location(self) -> PeriodLocation:
        return PeriodLocation.of(self.bucket, self.report, weekly().period("2026-11-15"))


# --- the program that publishes


def serve(endpoint: str) -> None:
    """Let a process publish each job of a line, all of them at once."""

    def begin() -> Callable[[Any], list[int]]:
        s3 = boto3.client("s3", endpoint_url=endpoint)
        glue = boto3.client("glue", endpoint_url=endpoint)
        return lambda jobs: fork_each([partial(run, Job(**job), s3, glue) for job in jobs])

    answer_lines(begin, IMPORTED_LATE)


def run(job: Job, s3: S3Client, glue: GlueClient) -> None:
    """Stage and publish, or die on the way; never returns."""
    writes: list[str] = []
    lock = threading.Lock()

    def die_before_write(event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if operation in WRITES:
            with lock:
                die_if_due()
                writes.append(operation)

    def die_after_write(event_name: str, **_: Any) -> None:
        if event_name.rpartition(".")[2] in WRITES:
            die_if_due()

    def die_if_due() -> None:
        if len(writes) == job.writes_before_death:
            os._exit(KILLED)

    if job.large:  # each file is uploaded in parts
        s3_module.MULTIPART_BYTES = 1
    sql = PLAYS.replace(" FROM", ", 1.5::DOUBLE AS more FROM") if job.wide else PLAYS
    try:
        for client in (s3, glue):
            client.meta.events.register("before-send", die_before_write)
            client.meta.events.register("after-call", die_after_write)
        outcome = publish(
            upload(S3(s3), job.location, *job.names, sql=sql),
            facts(job.submitted_at, by=job.by),
            location=job.location,
            s3=S3(s3),
            table=Table(DATABASE, job.location.report, glue),
            memory_limit="128MB",
        ).outcome
        Path(job.log).write_text(json.dumps({"outcome": outcome, "writes": writes}))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


# --- the tests


class Publishers:
    """The program, running."""

    def __init__(self, publishing: Program) -> None:
        self._program = publishing

    def run(self, *jobs: Job) -> list[int]:
        return list(self._program.ask([asdict(job) for job in jobs]))

    def finish(self, job: Job) -> dict[str, Any]:
        """Let a job run that is not to die, and return what it noted."""
        assert self.run(job) == [0], self._program.log
        noted: dict[str, Any] = json.loads(Path(job.log).read_text())
        return noted


@pytest.fixture(scope="module")
def publishers(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishers]:
    with program(__file__, tmp_path_factory.mktemp("publishers"), s3_endpoint) as publishing:
        yield Publishers(publishing)


@pytest.fixture(scope="module")
def glue(s3_endpoint: str) -> Iterator[GlueClient]:
    client = boto3.session.Session().client("glue", endpoint_url=s3_endpoint)
    client.create_database(DatabaseInput={"Name": DATABASE})
    yield client
    client.delete_database(Name=DATABASE)


@pytest.fixture
def new_job(bucket: str, tmp_path: Path) -> Callable[..., Job]:
    report = f"report_{next(_numbers)}"

    def new(*names: str, submitted_at: str = EARLY, **more: Any) -> Job:
        return Job(
            bucket, report, names, submitted_at, str(tmp_path / f"log-{next(_numbers)}"), **more
        )

    return new


class Reader(threading.Thread):
    """Reads a period again and again, as its readers do,
    and notes the versions that it found whole.
    """

    def __init__(
        self, s3: S3Client, location: PeriodLocation, *, pause_seconds: float = 0.1
    ) -> None:
        super().__init__(name="reader")
        self._s3, self._location = s3, location
        self._pause_seconds = pause_seconds
        self._stopped = threading.Event()
        self.versions: list[str | None] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._stopped.wait(self._pause_seconds):
                self.read()
        except BaseException as error:
            self.error = error

    def read(self) -> None:
        try:
            version = read_complete(self._s3, self._location)["version"]
        except ClientError as error:
            # Only the manifest may be missing, and only before the first publication.
            if error.response["Error"]["Code"] != "NoSuchKey" or any(self.versions):
                raise
            if error.response["Error"].get("Key") not in (
                None,
                split_uri(self._location.manifest_uri)[1],
            ):
                raise
            version = None
        if not self.versions or self.versions[-1] != version:
            self.versions.append(version)

    def __enter__(self) -> Reader:
        self.read()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error
        self.read()


FIRST = ["PutObject", "PutObject", "CreateTable", "PutObject", "CreatePartition", "PutObject"]
FLIP_AND_FOLLOW = ["PutObject", "CreatePartition", "UpdatePartition", "PutObject"]
IN_PARTS = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
SCENARIOS = {
    "first": FIRST,
    "restated": ["PutObject", "PutObject", *FLIP_AND_FOLLOW],
    "widened": ["PutObject", "PutObject", "UpdateTable", *FLIP_AND_FOLLOW],
    "large": [*IN_PARTS * 2, *FLIP_AND_FOLLOW],
}
FROM = {"first": 0, "restated": 2, "widened": 99, "large": 99}
"""The write from which on CI kills a scenario. Those before it are in the first one, too."""


def before_and_after(
    scenario: str, new_job: Callable[..., Job], publishers: Publishers
) -> Callable[..., Job]:
    """Bring the scenario to where it begins, and return what makes the job that is to be killed."""
    if scenario != "first":
        publishers.finish(new_job("a", "b"))
    kind = {"widened": {"wide": True}, "large": {"large": True}}.get(scenario, {})
    return lambda **more: new_job("a", "c", submitted_at=LATE, by="killed", **kind, **more)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_these_are_all_the_writes(
    publishers: Publishers, glue: GlueClient, new_job: Callable[..., Job], scenario: str
) -> None:
    job = before_and_after(scenario, new_job, publishers)()

    assert publishers.finish(job) == {"outcome": "published", "writes": SCENARIOS[scenario]}


@pytest.mark.parametrize(
    ("scenario", "number"),
    [
        pytest.param(scenario, number, marks=[pytest.mark.full] if number < FROM[scenario] else [])
        for scenario, writes in SCENARIOS.items()
        for number in range(len(writes) + 1)
    ],
)
def test_a_publisher_that_dies_between_any_writes_leaves_the_old_or_the_new_and_can_be_repeated(
    publishers: Publishers,
    s3: S3Client,
    glue: GlueClient,
    new_job: Callable[..., Job],
    scenario: str,
    number: int,
) -> None:
    make = before_and_after(scenario, new_job, publishers)
    job = make(writes_before_death=number)
    writes = SCENARIOS[scenario]
    flip = len(writes) - (2 if scenario == "first" else 3)
    with Reader(s3, job.location) as reader:
        assert publishers.run(job) == [KILLED]
        reader_after_kill = Reader(s3, job.location)
        reader_after_kill.read()
        noted = publishers.finish(make())
    flipped = number >= flip
    assert noted["outcome"] == "published"
    old, new = reader.versions[0], reader.versions[-1]
    assert (old is None) == (scenario == "first")
    assert reader.versions == [old, new]
    assert reader_after_kill.versions == [new if flipped else old]
    manifest = read_complete(s3, job.location)
    assert [entry["version"] for entry in manifest["earlier_versions"]] == (
        [] if old is None else [old]
    )
    assert_followed(s3, job.location, partitions_of(glue, DATABASE, f"{job.report}_weekly"))


# Without If-Match, every second round has another manifest than that of the newer query. The unit
# tests of `commit` have each conflict once, without a race.
@pytest.mark.parametrize("rounds", [4, pytest.param(24, marks=pytest.mark.full)])
@pytest.mark.parametrize("same", [False, True], ids=["different queries", "the same query"])
def test_of_two_processes_that_race_the_newer_query_wins_and_all_agree(
    publishers: Publishers,
    s3: S3Client,
    glue: GlueClient,
    new_job: Callable[..., Job],
    same: bool,
    rounds: int,
) -> None:
    publishers.finish(new_job("round", "0"))
    job = new_job()
    with Reader(s3, job.location, pause_seconds=0.03) as reader:
        for number in range(1, rounds + 1):
            times = [
                f"2026-11-22T00:{number:02}:{0 if same else second:02}.000+00:00"
                for second in (1, 2)
            ]
            names = [("round", f"{number}", "" if same else f"racer {racer}") for racer in (1, 2)]
            by = [f"run of round {number}, {'both' if same else racer}" for racer in (1, 2)]
            jobs = [
                new_job(*some, submitted_at=at, by=run)
                for some, at, run in zip(names, times, by, strict=True)
            ]
            # The older query's process starts first in one round, the newer one's in the next.
            order = jobs if number % 2 else jobs[::-1]
            assert publishers.run(*order) == [0, 0]
            outcomes = [json.loads(Path(racer.log).read_text())["outcome"] for racer in jobs]
            manifest = read_complete(s3, job.location)
            assert manifest["query"]["submitted_at"] == times[1]
            assert_followed(s3, job.location, partitions_of(glue, DATABASE, f"{job.report}_weekly"))
            if same:
                assert outcomes == ["published", "published"]
                assert len(manifest["earlier_versions"]) == number
            else:
                assert outcomes[1] == "published"
                assert outcomes[0] in {"published", "superseded"}
    assert len(reader.versions) > rounds / 2
    assert len(set(reader.versions)) == len(reader.versions)


if __name__ == "__main__":
    serve(sys.argv[1])
